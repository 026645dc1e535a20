"""The other services: su, sudo, runuser, login, cron, at, systemd-user. Each with a plain shell and with nsinit-shell."""
import glob
import os
import re
import subprocess
import unittest

import host
from host import ROOTS, Terminal, container, pause, policy, run, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
SHELL = '/usr/bin/nsinit-shell'
STACK = ('auth sufficient pam_rootok.so\nauth required pam_unix.so\nauth optional pam_nsinit.so\n'
         'account required pam_unix.so\nsession required pam_limits.so\nsession required pam_unix.so\n'
         'session required pam_nsinit.so\n')
SERVICES = ('su', 'su-l', 'sudo', 'sudo-i', 'runuser', 'runuser-l', 'login', 'cron', 'atd', 'systemd-user', 'other-thing')
WHERE = 'hostname; id -un; head -c 11 /proc/1/cmdline; echo'
INSIDE = 'inside\nalice\nnsinit-init\n'
MARK = '/tmp/host-mark'


class Services(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        container('carol')
        cls.saved = {s: open(f'/etc/pam.d/{s}').read() for s in SERVICES if os.path.exists(f'/etc/pam.d/{s}')}
        for service in SERVICES:
            write(f'/etc/pam.d/{service}', STACK)
        cls.set_policy()
        write('/etc/sudoers.d/test', 'bob ALL=(ALL) NOPASSWD: ALL\n', 0o440)

    @classmethod
    def set_policy(cls, extra='', userns='auto'):
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; userns = "{userns}"; }}',
                f'{{ user = "carol"; rootfs = "{ROOTS}/%u"; }}',
                '{ user = "dave"; deny = "No container is set up for %u."; }'], extra=extra)

    @classmethod
    def tearDownClass(cls):
        for service in SERVICES:
            os.unlink(f'/etc/pam.d/{service}')
        for service, text in cls.saved.items():
            write(f'/etc/pam.d/{service}', text)

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.addCleanup(run, ['usermod', '-s', '/bin/sh', 'alice'])
        if os.path.exists(MARK):
            os.unlink(MARK)

    def both_shells(self):
        for shell in ('/bin/sh', SHELL):
            run(['usermod', '-s', shell, 'alice'])
            yield shell

    def terminal(self, *command):
        t = Terminal(list(command), rows=31, columns=97)
        self.addCleanup(t.end)
        return t


def hostile_name_services(test):
    """The image's nsswitch.conf asks for a library of its own, which leaves word when it is loaded."""
    write('/tmp/evil.c', '#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) static void f(void)'
                         '{ FILE *o = fopen("/tmp/loaded", "a"); if (o) { fprintf(o, "%d\\n", (int)getuid()); fclose(o); } }\n')
    run(['gcc', '-shared', '-fPIC', '-o', f'{ROOT}/usr/lib/libnss_evil.so.2', '/tmp/evil.c'])
    multiarch = os.path.basename(glob.glob('/usr/lib/*-linux-gnu*')[0])
    os.makedirs(f'{ROOT}/usr/lib/{multiarch}', exist_ok=True)
    run(['cp', f'{ROOT}/usr/lib/libnss_evil.so.2', f'{ROOT}/usr/lib/{multiarch}/'])
    write(f'{ROOT}/etc/nsswitch.conf', ''.join(f'{db}: evil files\n' for db in (
        'passwd', 'group', 'shadow', 'gshadow', 'hosts', 'services', 'netgroup')) + 'initgroups: evil\n')
    test.addCleanup(os.unlink, f'{ROOT}/etc/nsswitch.conf')
    # The control: a program of the container does load it.
    write('/tmp/lookup.c', '#include <pwd.h>\nint main(void) { getpwnam("x"); return 0; }\n')
    run(['gcc', '-o', f'{ROOT}/usr/bin/lookup', '/tmp/lookup.c'])
    run(['su', 'alice', '-c', '/usr/bin/lookup'])
    test.assertTrue(os.path.exists(f'{ROOT}/tmp/loaded'))
    os.unlink(f'{ROOT}/tmp/loaded')


class Su(Services):
    def test_supervisor_is_out_of_the_caller_s_reach(self):
        # su has its caller's real uid, and the kernel lets those signal who has the same.
        su = subprocess.Popen(['setpriv', '--reuid', 'bob', '--regid', 'bob', '--init-groups', 'su', 'carol', '-c', 'echo in; sleep 1000'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(su.communicate)
        self.addCleanup(su.terminate)
        su.stdin.write(f'{host.PASSWORD}\n')
        su.stdin.flush()
        self.assertEqual(su.stdout.readline(), 'in\n')
        supervisor = run(f'ps -o ppid= -p {host.wait_nspid(f"{ROOTS}/carol")}').stdout.strip()
        with open(f'/proc/{supervisor}/status') as f:
            self.assertEqual(re.findall(r'(?m)^(?:Uid|Gid|Groups):[ \t]*(.*?)[ \t]*$', f.read()), ['0\t0\t0\t0', '0\t0\t0\t0', ''])
        done = run(['setpriv', '--reuid', 'bob', '--regid', 'bob', '--init-groups', 'kill', '-STOP', supervisor], check=False)
        self.assertIn('not permitted', done.stderr)

    def test_commands(self):
        for _ in self.both_shells():
            for command in (['su', 'alice', '-c'], ['su', '-', 'alice', '-c'], ['runuser', 'alice', '-c'],
                            ['runuser', '-', 'alice', '-c'], ['runuser', '-l', 'alice', '-c'],
                            ['su', '-P', 'alice', '-c'], ['su', '-s', '/bin/sh', 'alice', '-c']):
                done = run([*command, WHERE], check=False, stdin=subprocess.DEVNULL)
                self.assertEqual(done.stdout.replace('\r', ''), INSIDE, f'{command} {done}')
                done = run([*command, 'exit 42'], check=False, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 42, command)

    def test_confinement(self):
        for _ in self.both_shells():
            done = run(['su', 'alice', '-c', 'grep -E "^(Cap|Uid|Gid|Groups)" /proc/self/status; ls -l /proc/self/fd'])
            uid = run('id -u alice').stdout.strip()
            for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
                self.assertIn(f'{name}:\t0000000000000000', done.stdout)
            self.assertIn('CapBnd:\t00000000a80425fb', done.stdout)
            self.assertIn(f'Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\nGroups:\t{uid} \n',
                          done.stdout)
            self.assertNotRegex(done.stdout, 'nsinit|pidfd|mnt:')

    def test_working_directory_and_environment(self):
        for _ in self.both_shells():
            done = run(['su', 'alice', '-c', 'pwd; echo $HOME $USER $container'], cwd='/tmp')
            self.assertEqual(done.stdout, '/tmp\n/home/alice alice nsinit\n')
            done = run(['su', '-', 'alice', '-c', 'pwd; echo $HOME $USER $container'], cwd='/tmp')
            self.assertEqual(done.stdout, '/home/alice\n/home/alice alice nsinit\n')
            done = run(['su', 'alice', '-c', 'pwd'], cwd='/nsinit-source')
            self.assertEqual(done.stdout, '/\n')

    def test_terminal(self):
        """nsinit-shell makes a terminal inside; `su -P` allocates it there by itself."""
        for shell in self.both_shells():
            for command in (['su', '-', 'alice'], ['su', '-P', '-', 'alice'], ['runuser', '-', 'alice']):
                t = self.terminal(*command)
                t.expect(r'\$ ')
                t.type(WHERE + '; stty size; tty\n')
                t.expect('inside\r\nalice\r\nnsinit-init\r\n31 97\r\n')
                if shell == SHELL or '-P' in command:
                    t.expect('/dev/pts/0\r\n')
                t.expect(r'\$ ')
                t.type('touch /tmp/asleep; sleep 100\n')
                until(lambda: os.path.exists(f'{ROOT}/tmp/asleep'), 'the command', 20)
                os.unlink(f'{ROOT}/tmp/asleep')
                pause(1)
                t.type('\x03')
                t.expect(r'\$ ')
                t.type('echo status=$?\n')
                t.expect('status=130')
                t.type('exit 5\n')
                self.assertEqual(t.finish(), 5)
                wait_nothing_left()

    def test_no_input_is_put_into_the_caller_s_terminal(self):
        write('/tmp/push.c', '''
#include <stdio.h>
#include <errno.h>
#include <sys/ioctl.h>
int main(void) { for (const char *p = "pushed"; *p; p++) if (ioctl(0, TIOCSTI, p) < 0) return printf("error %d\\n", errno), 1;
 return puts("it went") < 0; }''')
        run(['gcc', '-static', '-o', f'{ROOT}/bin/push', '/tmp/push.c'])
        t = self.terminal('su', 'alice', '-s', '/usr/bin/bash')
        t.expect(r'\$ ')
        t.type('/bin/push\n')
        t.expect('error 1\r\n')
        t.type('exit\n')
        t.finish()
        # The control: without a container the kernel lets it pass, where it is not configured otherwise.
        if open('/proc/sys/dev/tty/legacy_tiocsti').read().strip() == '1' \
                if os.path.exists('/proc/sys/dev/tty/legacy_tiocsti') else True:
            run(['cp', f'{ROOT}/bin/push', '/tmp/push'])
            t = self.terminal('su', 'bob')
            t.expect(r'\$ ')
            t.type('/tmp/push\n')
            t.expect('it went')

    def test_descriptors_of_the_caller_stay_outside(self):
        """A directory of the host, as a script that calls su may have it open: by the number, and as standard input."""
        look = 'ls -d /proc/self/fd/*/nsinit-source 2>/dev/null; hostname'
        for command in ('su %s -c', 'su -P - %s -c', 'runuser %s -c', 'runuser -u %s -- /bin/sh -c', 'sudo -u %s /bin/sh -c'):
            for redirection in ('9</', '777</', '</'):
                with self.subTest(command=command, redirection=redirection):
                    alice, bob = (run(f'ulimit -n 1024; {command % user} "{look}" {redirection}', check=False, executable='/bin/bash',
                                      **({} if redirection == '</' else {'stdin': subprocess.DEVNULL})).stdout
                                  for user in ('alice', 'bob'))
                    self.assertNotIn('nsinit-source', alice)
                    self.assertEqual('inside' in alice, redirection != '</', alice)
                    if not (command.startswith('sudo') and redirection != '</') and '-P' not in command:
                        self.assertIn('nsinit-source', bob)  # the control: on the host they are passed on

    def test_denied_and_unmapped(self):
        done = run(['su', 'dave', '-c', f'touch {MARK}'], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('No container is set up for dave.', done.stdout + done.stderr)
        self.assertFalse(os.path.exists(MARK))
        self.assertEqual(run(['su', 'bob', '-c', 'hostname']).stdout, 'throwaway\n')

    def test_without_a_user_namespace_it_is_refused(self):
        self.set_policy(userns='off')
        self.addCleanup(self.set_policy)
        done = run(['su', 'alice', '-c', f'touch {MARK}; echo in'], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn('in\n', done.stdout)
        self.assertFalse(os.path.exists(MARK))
        until(lambda: 'may do so only with a user namespace' in host.log_text(), 'the reason in the log')

    def test_hostile_name_services_of_the_image_are_not_loaded(self):
        hostile_name_services(self)
        for command in ('su alice -c', 'su -P - alice -c', 'sudo -u alice /bin/sh -c', 'runuser -l alice -c'):
            self.assertEqual(run([*command.split(), WHERE], stdin=subprocess.DEVNULL).stdout.replace('\r', ''), INSIDE)
        self.assertFalse(os.path.exists(f'{ROOT}/tmp/loaded'), 'the library was loaded')

    def test_services_of_the_policy(self):
        self.set_policy(extra='services: { su = "deny"; };')
        self.addCleanup(self.set_policy)
        done = run(['su', 'alice', '-c', f'touch {MARK}; echo in'], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('This service does not lead into your container.', done.stdout + done.stderr)
        self.assertFalse(os.path.exists(MARK))


class Sudo(Services):
    def test_commands(self):
        for _ in self.both_shells():
            for command in (['sudo', '-u', 'alice', '/bin/sh', '-c'], ['sudo', '-i', '-u', 'alice', '/bin/sh', '-c']):
                done = run([*command, WHERE], check=False, stdin=subprocess.DEVNULL)
                self.assertEqual(done.stdout, INSIDE, f'{command} {done}')
                self.assertEqual(run([*command, 'exit 42'], check=False).returncode, 42)
            done = run(['sudo', '-u', 'alice', '/bin/sh', '-c', 'grep -E "^(Cap|Uid|Gid)" /proc/self/status'])
            uid = run('id -u alice').stdout.strip()
            self.assertIn(f'Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n', done.stdout)
            self.assertIn('CapEff:\t0000000000000000', done.stdout)

    def test_from_another_user(self):
        done = run(['su', 'bob', '-c', f'sudo -u alice /bin/sh -c "{WHERE}"'], stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, INSIDE)

    def test_supplementary_groups_of_the_host(self):
        done = run(['sudo', '-u', 'carol', '/bin/sh', '-c', 'hostname; id -un'], check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, 'inside\ncarol\n', done)

    def test_terminal(self):
        for _ in self.both_shells():
            t = self.terminal('sudo', '-i', '-u', 'alice')
            t.expect(r'\$ ')
            t.type(WHERE + '\n')
            t.expect('inside\r\nalice\r\nnsinit-init\r\n')
            t.type('exit 3\n')
            self.assertEqual(t.finish(), 3)


class Login(Services):
    def test_terminal(self):
        run(['usermod', '-s', SHELL, 'alice'])
        t = self.terminal('login', '-f', 'alice')
        t.expect(r'\$ ')
        t.type(WHERE + '; tty; stty size; echo $0 $SHELL $container; pwd\n')
        t.expect('inside\r\nalice\r\nnsinit-init\r\n/dev/pts/0\r\n31 97\r\n-sh /bin/sh nsinit\r\n/home/alice\r\n')
        t.type('exit\n')
        t.finish()

    def test_plain_shell_is_refused(self):
        t = self.terminal('login', '-f', 'alice')
        self.assertNotEqual(t.finish(), 0)
        self.assertNotIn('$ ', t.text)
        until(lambda: 'this service only starts the login shell, which is not' in host.log_text(), 'the reason')


class Timed(Services):
    def test_cron(self):
        outs = [f'{ROOT}/tmp/by-cron', f'{ROOT}/tmp/by-cron-shell']
        for out in outs:
            if os.path.exists(out):
                os.unlink(out)
        hostile_name_services(self)  # cron looks the user's groups up after it has entered
        job = f'* * * * * ({WHERE}) > /tmp/%s; touch {MARK}\n'
        write('/tmp/crontab', job % 'by-cron' + f'SHELL={SHELL}\n' + job % 'by-cron-shell')
        run(['crontab', '-u', 'alice', '/tmp/crontab'])
        self.addCleanup(run, ['crontab', '-u', 'alice', '-r'])
        cron = subprocess.Popen(['cron', '-f'])  # it looks at whole minutes
        self.addCleanup(cron.wait)
        self.addCleanup(cron.terminate)
        for out in outs:
            done = until(lambda: os.path.exists(out) and open(out).read().count('\n') == 3 and open(out).read(),
                         'output of the job', 70)
            self.assertEqual(done, INSIDE)
        until(lambda: os.path.exists(f'{ROOT}{MARK}'), 'the mark inside')
        self.assertFalse(os.path.exists(MARK))
        self.assertFalse(os.path.exists(f'{ROOT}/tmp/loaded'), 'the library was loaded')

    def test_at(self):
        """Refused by default: once inside, atd cannot tidy its spool on the host."""
        self.set_policy(extra='services: { atd = "join"; };')
        self.addCleanup(self.set_policy)
        os.makedirs('/var/spool/cron/atjobs', exist_ok=True)
        out = f'{ROOT}/tmp/by-at'
        atd = subprocess.Popen(['atd', '-f', '-b', '1'])
        self.addCleanup(atd.wait)
        self.addCleanup(atd.terminate)
        pause(0.3)
        # at(1) records the environment and directory of its caller, here an administrator's on behalf of alice.
        run(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', 'at', 'now'],
            input=f'({WHERE}) > /tmp/by-at; touch {MARK}\n', cwd='/tmp', env=dict(os.environ, HOME='/home/alice'))
        done = until(lambda: os.path.exists(out) and open(out).read().count('\n') == 3 and open(out).read(), 'the job', 10)
        self.assertEqual(done, INSIDE)
        pause(0.2)
        self.assertFalse(os.path.exists(MARK))


class Explain(Services):
    def test_service(self):
        def shown(*arguments):
            return host.nsinit('explain', *arguments).stdout
        self.assertIn('sshd       enters in the child', shown('alice'))
        self.assertIn('su         enters with the process', shown('--service', 'su', 'alice'))
        self.assertIn("login      runs the login shell, nsinit-shell, which enters; refused: the user's shell",
                      shown('alice', '--service', 'login'))
        self.assertIn('systemd-user refused', shown('--service', 'systemd-user', 'alice'))
        self.assertNotIn('enters', shown('--service', 'su', 'bob'))
        self.assertEqual(host.nsinit('explain', '--servce', 'x', 'alice').returncode, 125)


class Unknown(Services):
    def test_systemd_user_and_unknown_services_are_refused(self):
        for service in ('systemd-user', 'atd', 'other-thing'):
            write('/tmp/pamtry.c', '''
#include <security/pam_appl.h>
#include <stdio.h>
static int say(int n, const struct pam_message **m, struct pam_response **r, void *d)
{ for (int i = 0; i < n; i++) printf("%s\\n", m[i]->msg); return PAM_SUCCESS; }
int main(int c, char **v) { struct pam_conv conv = {say, 0}; pam_handle_t *h;
 if (pam_start(v[1], v[2], &conv, &h)) return 9; int r = pam_open_session(h, 0); pam_end(h, r); return r; }''')
            run(['gcc', '-o', '/tmp/pamtry', '/tmp/pamtry.c', '-lpam'])
            done = run(['/tmp/pamtry', service, 'alice'], check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('This service does not lead into your container.', done.stdout)
            self.assertEqual(run(['/tmp/pamtry', service, 'bob'], check=False).returncode, 0)


del Services
