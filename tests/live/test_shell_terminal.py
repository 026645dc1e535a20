"""nsinit-shell on a terminal of the host: what is inside does not reach it, and it is given back as it was."""
import os
import signal
import subprocess
import time
import unittest

import host
from host import ROOTS, Terminal, container, policy, run, until, wait_nothing_left, write

SHELL = '/usr/bin/nsinit-shell'
ROOT = f'{ROOTS}/alice'

# Type at every terminal that can be had, as if at its keyboard, ioctl_tty(2) and ioctl_console(2).
INJECT = r'''
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

static const char text[] = "echo \"inj\"ected\n";

static int inject(int fd)
{
	char paste[16] = {3}, select[16] = {2, 1, 0, 1, 0, 9};
	int done = 0;

	for (const char *c = text; *c; c++)
		done += ioctl(fd, TIOCSTI, c) == 0;
	ioctl(fd, TIOCLINUX, select);
	return done + (ioctl(fd, TIOCLINUX, paste) == 0);
}

int main(int argc, char **argv)
{
	static const char *const paths[] = {"/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/proc/1/fd/0",
		"/proc/self/fd/0", "/dev/stdout"};
	char name[32];
	int done = inject(0) + inject(1) + inject(2);

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		done += inject(open(paths[i], O_RDWR | O_NOCTTY));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "/dev/pts/%d", i);
		done += inject(open(name, O_RDWR | O_NOCTTY));
	}
	printf("typed %s\n", done ? "True" : "False");
	return 0;
}
'''


class OnTerminal(unittest.TestCase):
    """A shell of the host, in which alice calls nsinit-shell."""

    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        write('/tmp/inject.c', INJECT)
        run(['gcc', '-static', '-o', f'{ROOT}/inject', '/tmp/inject.c'])
        run(['cp', f'{ROOT}/inject', '/tmp/inject'])
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])
        cls.broker = subprocess.Popen(['nsinitd'])
        host.wait_nsinitd()

    @classmethod
    def tearDownClass(cls):
        cls.broker.terminate()
        cls.broker.wait()

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.t = t = Terminal(['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups', 'env', 'HOME=/tmp',
                               'PS1=host> ', 'TERM=dumb', 'SHELL=/bin/sh', 'bash', '--norc', '-i'], rows=31, columns=97)
        self.addCleanup(t.end)
        t.expect('host> ')

    def say(self, text):
        self.t.type(text + '\n')
        self.t.expect('\n')  # its echo

    def unchanged(self):
        self.say('stty -g | cmp /tmp/before - && echo "un"changed')
        self.t.expect('unchanged\r\n')
        self.t.expect('host> ')

    def remember(self):
        self.say('stty -g >/tmp/before')
        self.t.expect('host> ')

    def outer(self):
        mine = os.readlink('/proc/self/ns/pid')
        def there():
            pids = run(['pgrep', '-x', '-u', 'alice', 'nsinit-shell'], check=False).stdout.split()
            return [int(p) for p in pids if host.in_namespace(p, mine)]
        return until(there, 'nsinit-shell')[0]

    def test_what_it_is(self):
        self.say(f'{SHELL} -c "tty; stty size; test -t 2 && echo all; readlink /proc/\\$\\$/fd/0; exit 9"; echo $?')
        self.t.expect(r'/dev/pts/0\r\n31 97\r\nall\r\n/dev/pts/0\r\n9\r\n')

    def test_typing_for_the_host(self):
        # The control: where the kernel allows it, a program of the host does type at this terminal.
        knob = '/proc/sys/dev/tty/legacy_tiocsti'
        allowed = not os.path.exists(knob) or open(knob).read().strip() == '1'
        if allowed:
            self.say('/tmp/inject')
            self.t.expect('typed True')
            self.t.expect('\ninjected')
            time.sleep(0.5)
            self.say('echo "o"ver')
            self.t.expect('\nover')
        self.t.expect('host> ')
        self.say(f'{SHELL} -c "/inject; sleep 0.2"; echo "ba"ck')
        self.t.expect('typed False')  # not even at its own
        self.t.expect('back')
        time.sleep(0.3)
        self.say('echo "o"ver')
        self.t.expect('over')
        self.assertNotIn('injected', self.t.text)

    def test_given_back_after_every_end(self):
        self.remember()
        self.say(f'{SHELL} -c "stty raw -echo; exit 3"; echo "status"=$?')
        self.t.expect('status=3')
        self.unchanged()
        for name, end in (('inner', lambda: self.kill_inner(signal.SIGKILL)), ('inner', lambda: self.kill_inner(signal.SIGSEGV)),
                          ('TERM', lambda: os.kill(self.outer(), signal.SIGTERM)),
                          ('HUP', lambda: os.kill(self.outer(), signal.SIGHUP)),
                          ('pid 1', lambda: os.kill(host.wait_nspid(ROOT), signal.SIGKILL))):
            with self.subTest(end=name):
                self.say(f'{SHELL} -c "echo runs; stty raw -echo; exec sleep 300"; echo "status"=$?')
                self.t.expect('runs')
                time.sleep(0.2)
                end()
                self.assertGreater(int(self.t.expect(r'status=(\d+)\r').group(1)), 128)
                self.unchanged()
        self.say(f'{SHELL} -c "echo runs; cat"; echo "status"=$?')
        self.t.expect('runs')
        time.sleep(0.2)
        self.t.type('\x04')
        self.t.expect('status=0')
        self.unchanged()

    def kill_inner(self, sig):
        inner = run(['pgrep', '-P', str(self.outer())]).stdout.split()
        self.assertEqual(len(inner), 1)
        os.kill(int(inner[0]), sig)

    def test_given_back_after_a_refusal(self):
        self.remember()
        policy(['{ user = "alice"; deny = "Not today."; }'])
        self.addCleanup(policy, [f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])
        self.say(f'{SHELL}; echo "status"=$?')
        self.t.expect('Not today.\r\nstatus=254')
        self.unchanged()

    def test_mixed_descriptors(self):
        self.remember()
        self.say(f'{SHELL} -c "tty; test -t 1 || echo pipe; head -n 1; exit 4" | sed "s/^/piped /"; echo ${{PIPESTATUS[0]}}')
        self.t.expect(r'piped /dev/pts/0\r?\n')
        self.t.expect('piped pipe')
        self.t.type('some words\n')
        self.t.expect('piped some words')
        self.t.expect(r'\n4\r')
        self.unchanged()
        self.say(f'{SHELL} -c "tty; test -t 1 && echo term; cat; exit 4" </dev/null; echo $?')
        self.t.expect(r'not a tty\r\nterm\r\n4\r')
        self.unchanged()
        self.say(f'{SHELL} -c "test -t 2 || echo quiet; echo lost >&2; exit 4" 2>/dev/null; echo $?')
        self.t.expect(r'quiet\r\n4\r')
        self.say(f'echo words | {SHELL} -c "cat; test -t 1 && echo term" 2>&1; echo "status"=$?')
        self.t.expect(r'words\r\nterm\r\n')
        self.t.expect('status=0')
        self.say(f'{SHELL} -c "yes" | head -n 2; echo "status"=${{PIPESTATUS[0]}}')
        self.t.expect(r'y\r?\ny\r?\n')
        self.assertNotEqual(self.t.expect(r'status=(\d+)').group(1), '0')
        self.unchanged()
        # No input from the terminal: its keys are the host's, and the signal is passed on.
        self.say(f'{SHELL} -c "echo runs; exec sleep 300" </dev/null; echo "status"=$?')
        self.t.expect('runs')
        time.sleep(0.2)
        self.t.type('\x03')
        self.t.expect('host> ')
        self.unchanged()

    def test_only_standard_error_is_a_terminal(self):
        self.say(f'{SHELL} -c "echo out; test -t 2 && echo err >&2; exit 4" </dev/null | cat; echo "status"=${{PIPESTATUS[0]}}')
        self.t.expect('out')
        self.t.expect('status=4')
