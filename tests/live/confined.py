"""A container for logins and one for `nsinit exec`, and what a command prints in either by each way in."""
import os
import signal
import subprocess
import unittest

from host import (PORT, ROOTS, SPEC, SSH_OPTIONS, container, exec_in, policy, run, ssh, wait_nothing_left, wait_nspid,
                  write)

ROOT, LOGIN = f'{ROOTS}/confine', f'{ROOTS}/alice'
SHELL = '/usr/bin/nsinit-shell'
WAYS = ('spawn', 'join', 'ssh', 'su', 'shell')


class Confine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run(['gcc', '-D_GNU_SOURCE', '-static', '-o', '/tmp/probe', 'tests/live/probe.c'])
        with open('/etc/pam.d/su') as f:
            cls.su = f.read()
        write('/etc/pam.d/su', 'auth sufficient pam_rootok.so\naccount required pam_unix.so\n'
                               'session required pam_unix.so\nsession required pam_nsinit.so\n')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])

    @classmethod
    def tearDownClass(cls):
        write('/etc/pam.d/su', cls.su)

    def setUp(self):
        self.addCleanup(wait_nothing_left)

    def make(self, **keys):
        for name in ('confine', 'alice'):
            root = container(name, dict(SPEC, **keys))
            run(['cp', '/tmp/probe', f'{root}/bin/probe'])

    def hold(self, command, root):
        """Keep the container alive until the test ends."""
        process = subprocess.Popen([*command, 'sh', '-c', '"echo ready; sleep 1000"' if command[0] == 'ssh' else
                                    'echo ready; sleep 1000'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), 'ready\n')
        pid = wait_nspid(root)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(lambda: process.poll() is None and os.kill(pid, signal.SIGKILL))

    def spawn_and_join(self):
        yield 'spawn'
        self.hold(['nsinit', 'exec', '-C', ROOT], ROOT)
        yield 'join'

    def everywhere(self, command, **keys):
        """What a shell command prints, by the way in which its process came inside."""
        self.make(**keys)
        shown = {'spawn': exec_in(ROOT, 'sh', '-c', f'{command}; true')}
        self.hold(['nsinit', 'exec', '-C', ROOT], ROOT)
        shown['join'] = exec_in(ROOT, 'sh', '-c', f'{command}; true')
        shown['ssh'] = ssh('alice', command)
        self.hold(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1'], LOGIN)
        shown['su'] = run(['su', 'alice', '-c', command], check=False, stdin=subprocess.DEVNULL)
        shown['shell'] = run(['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups', SHELL, '-c', command],
                             check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(tuple(shown), WAYS)
        return {way: done.stdout for way, done in shown.items()}

    def expect(self, command, expected, **keys):
        for way, text in self.everywhere(command, **keys).items():
            with self.subTest(way=way):
                for line in expected.splitlines():
                    self.assertIn(line + '\n', text)

    def fails(self, text, **keys):
        self.make(**keys)
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn(text, done.stderr)
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
