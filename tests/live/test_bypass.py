"""What a user can leave in files that the host's programs read: none of it runs on the host."""
import os
import re
import signal
import subprocess
import unittest

import host
from host import ROOTS, SSH_OPTIONS, container, policy, run, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
HOME = '/home/alice'
MARK = '/tmp/bypass-mark'  # its place says where the code ran: the host's /tmp or the container's
SHELL = '/usr/bin/nsinit-shell'
PORT = 2522


class Bypass(unittest.TestCase):
    """An sshd that lets users have an environment and an rc file, for a plain shell and for nsinit-shell."""

    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])
        with open('/root/sshd_config') as f:
            config = f.read().replace(f'Port {host.PORT}', f'Port {PORT}')
        write('/root/sshd_lax', config + 'PermitUserEnvironment yes\nPermitUserRC yes\n')
        cls.sshd = subprocess.Popen(['/usr/sbin/sshd', '-D', '-e', '-f', '/root/sshd_lax'],
                                    stderr=open(host.SSHD_LOG, 'a'))
        until(lambda: host.Host.listening(PORT), 'sshd')
        write('/tmp/evil.c', '#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n'
                             '__attribute__((constructor)) static void f(void)'
                             f'{{ FILE *o = fopen("{MARK}", "a"); if (o) {{ fputs("preload\\n", o); fclose(o); }} }}\n')
        run(['gcc', '-shared', '-fPIC', '-o', f'{HOME}/evil.so', '/tmp/evil.c'])

    @classmethod
    def tearDownClass(cls):
        cls.sshd.terminate()
        cls.sshd.wait()
        run(f'rm -rf {HOME}/evil.so {HOME}/.ssh/rc {HOME}/.ssh/environment')
        run(['usermod', '-s', '/bin/sh', 'alice'])

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        for path in (MARK, ROOT + MARK):
            if os.path.exists(path):
                os.unlink(path)

    def ssh(self, *command, options=()):
        return run(['ssh', *SSH_OPTIONS, '-p', str(PORT), *options, 'alice@127.0.0.1', *command], check=False,
                   stdin=subprocess.DEVNULL)

    def leaves_its_mark_inside_only(self, prepare, undo):
        for shell in ('/bin/sh', SHELL):
            run(['usermod', '-s', shell, 'alice'])
            prepare()
            try:
                self.ssh('/usr/bin/bash -c "hostname"')
            finally:
                undo()
            self.assertFalse(os.path.exists(MARK), f'it ran on the host, by way of {shell}')
            self.assertTrue(os.path.exists(ROOT + MARK), 'it did not run at all: the test shows nothing')
            os.unlink(ROOT + MARK)

    def own(self, path, text, mode=0o644):
        write(path, text, mode)
        run(['chown', 'alice:', path])

    def test_rc(self):
        self.leaves_its_mark_inside_only(lambda: self.own(f'{HOME}/.ssh/rc', f'touch {MARK}\n'),
                                         lambda: os.unlink(f'{HOME}/.ssh/rc'))

    def test_environment_file(self):
        self.leaves_its_mark_inside_only(
            lambda: self.own(f'{HOME}/.ssh/environment', f'LD_PRELOAD={HOME}/evil.so\n'),
            lambda: os.unlink(f'{HOME}/.ssh/environment'))

    def authorized(self, options):
        with open('/root/key.pub') as f:
            self.own(f'{HOME}/.ssh/authorized_keys', f'{options} {f.read()}'.lstrip())

    def test_environment_and_command_of_a_key(self):
        for options in (f'environment="LD_PRELOAD={HOME}/evil.so"', f'command="touch {MARK}"'):
            self.leaves_its_mark_inside_only(lambda: self.authorized(options), lambda: self.authorized(''))

    def test_profile(self):
        files = ('.profile', '.bashrc', '.bash_profile')

        def undo():
            for name in files:
                os.unlink(f'{HOME}/{name}')

        def prepare():
            for name in files:
                self.own(f'{HOME}/{name}', f'touch {MARK}\n')
        for shell in ('/bin/sh', SHELL):
            run(['usermod', '-s', shell, 'alice'])
            prepare()
            t = host.Terminal(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1'])
            self.addCleanup(t.end)
            t.expect(r'\$ ')
            t.type('exit\n')
            t.finish()
            undo()
            self.assertFalse(os.path.exists(MARK))
            self.assertTrue(os.path.exists(ROOT + MARK))
            os.unlink(ROOT + MARK)

    def test_accounts_inside_change_nothing_outside(self):
        """Whoever is root inside can rewrite the image's passwd: the next login is inside all the same."""
        before = open('/etc/passwd').read()
        uid = run('id -u alice').stdout.strip()
        with open(f'{ROOT}/etc/passwd') as f:
            image = f.read()
        write(f'{ROOT}/etc/passwd', image + f'alice:x:{uid}:{uid}::/home/alice:/bin/sh\nroot2:x:0:0::/:/bin/sh\n')
        self.addCleanup(write, f'{ROOT}/etc/passwd', image)
        for shell in ('/bin/sh', SHELL):
            run(['usermod', '-s', shell, 'alice'])
            self.assertEqual(self.ssh('hostname; head -c 11 /proc/1/cmdline; echo').stdout, 'inside\nnsinit-init\n')
        self.assertEqual(open('/etc/passwd').read().replace(SHELL, '/bin/sh'), before.replace(SHELL, '/bin/sh'))

    def test_home_s_links_and_sockets(self):
        """sftp follows the container's links, -L and -R its sockets."""
        target = f'{ROOT}/tmp/passwd-link'
        if os.path.lexists(target):
            os.unlink(target)
        os.symlink('/etc/passwd', target)
        done = run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', 'alice@127.0.0.1'],
                   input='get /tmp/passwd-link /tmp/got\nget /proc/1/root/etc/shadow /tmp/got-shadow\n', check=False)
        self.assertNotEqual(done.returncode, 0)  # the second is refused
        with open('/tmp/got') as f, open('/etc/passwd') as h:
            self.assertNotEqual(f.read(), h.read())
        self.assertFalse(os.path.exists('/tmp/got-shadow'))


class Agent(Bypass):
    def test_agent_of_an_old_shell_works_after_a_reconnect(self):
        run(['usermod', '-s', SHELL, 'alice'])
        agent = re.findall(r'=([^;]+);', run('ssh-agent -s').stdout)
        self.addCleanup(os.kill, int(agent[1]), signal.SIGTERM)
        env = dict(os.environ, SSH_AUTH_SOCK=agent[0])
        run(['ssh-add', '-q', host.KEY], env=env)

        def session(command):
            return subprocess.Popen(['ssh', *SSH_OPTIONS, '-A', '-p', str(PORT), 'alice@127.0.0.1', command], env=env,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holder = session('echo in; read x')
        self.addCleanup(holder.kill)
        holder.stdout.readline()
        # A shell that outlives its connection, as tmux does, and waits for a word.
        first = session('echo $SSH_AUTH_SOCK; mkfifo -m 600 /tmp/go; (read x < /tmp/go; ssh-add -l > /tmp/keys 2>&1) '
                        '> /dev/null 2>&1 < /dev/null &')
        out = first.communicate(timeout=10)[0]
        self.assertRegex(out, r'^/tmp/\.ssh-agent-\d+\n$')
        second = session('ssh-add -l; read x')
        self.assertIn('(ED25519)', second.stdout.readline())
        exec_ = run(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', 'echo go > /tmp/go'],
                    stdin=subprocess.DEVNULL)
        self.assertEqual(exec_.returncode, 0)
        keys = until(lambda: os.path.exists(f'{ROOT}/tmp/keys') and open(f'{ROOT}/tmp/keys').read(), 'the keys')
        self.assertIn('(ED25519)', keys)
        for client in (second, holder):
            client.communicate('\n', timeout=10)


for name in [n for n in dir(Bypass) if n.startswith('test_')]:
    setattr(Agent, name, None)
