"""Who may look into the processes of a login while it is made: the user on the host, others, root inside."""
import os
import pwd
import subprocess
import unittest

import host
from host import ROOTS, SPEC, container, policy, run, wait_nothing_left

ROOT = f'{ROOTS}/alice'
MARK = '/opt/on-the-host'
SECONDS = 3


class Race(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs(MARK, exist_ok=True)
        run(['gcc', '-O2', '-static', '-o', '/usr/bin/racer', 'tests/live/racer.c'])
        cls.broker = subprocess.Popen(['nsinitd'])
        host.wait_nsinitd()

    @classmethod
    def tearDownClass(cls):
        cls.broker.terminate()
        cls.broker.wait()

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        # Root inside with more than usual, so that not the lack of it is what keeps it out.
        container('alice', {**SPEC, 'capabilities': {'keep': ['SYS_PTRACE', 'SETUID', 'SETGID', 'KILL', 'DAC_OVERRIDE']}})
        run(['cp', '/usr/bin/racer', f'{ROOT}/bin/racer'])
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])

    @staticmethod
    def identity(name):
        user = pwd.getpwnam(name)
        return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}

    def race(self, command, **kwargs):
        """What `command` has seen of one login after the other: a set of lines."""
        p = subprocess.Popen([*command, 'racer', str(SECONDS), MARK], stdout=subprocess.PIPE, text=True, **kwargs)
        logins = 0
        while p.poll() is None:
            done = run(['nsinit-shell', '-c', 'hostname'], stdin=subprocess.DEVNULL, **self.identity('alice'))
            self.assertEqual(done.stdout, 'inside\n')
            logins += 1
        seen = set(p.communicate()[0].strip().split('\n'))
        self.assertGreater(logins, 10)
        self.assertIn('looks many', seen)
        return seen - {'looks many', 'looks few'}

    def test_control(self):
        """Root of the host sees all of it."""
        seen = self.race([])
        for line in ('nsinit fd socket:', 'nsinit-init fd /dev/null', 'nsinit-shell fd socket:', 'nsinit root host',
                     'nsinit-shell root host'):
            self.assertIn(line, seen)

    def test_login_user_on_the_host(self):
        """As the owner she may enter, once it is a container; not while it still has the host's directories."""
        seen = self.race([], **self.identity('alice'))
        self.assertIn('nsinit-init entered container', seen)
        for line in seen:
            # nsinit-shell is hers, and like any process of hers until it says that it is not to be looked at.
            self.assertRegex(line, r'^(nsinit(-init|-shell)? entered container|nsinit-init (fd /dev/null|mem opened)|'
                                   r'nsinit-shell (root host|mem opened|fd (/dev/null|/dev/pts|/dev/\.nsinit/login-shell|pipe:)))$')

    def test_another_user(self):
        self.assertEqual(self.race([], **self.identity('bob')), set())

    def test_root_inside(self):
        holder = subprocess.Popen(['nsinit-shell', '-c', 'sleep 60'], stdin=subprocess.DEVNULL, **self.identity('alice'))
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        host.wait_nspid(ROOT)
        seen = self.race(['nsinit', 'exec', '-T', '-C', ROOT, '--'])
        self.assertIn('nsinit-init fd /dev/null', seen)
        for line in seen:
            # A name that is read while the kernel writes it may end early.
            self.assertRegex(line, r'^nsinit(-init|-sh(ell)?) (mem opened|fd (/dev/null|/dev/pts|/dev/\.nsinit/login-shell|pipe:))$')
