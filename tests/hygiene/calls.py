"""A process that calls the module: harness.c plays it, step by step. What is left of it is compared."""
import glob
import os
import re
import shutil
import subprocess
import unittest

import host
from host import ROOTS, container, policy, run, until, wait_nothing_left, write

HARNESS = '/root/harness'
LINE = 'pam_nsinit.so'
# sshd's own order: the child becomes the user's groups before it joins, and the user after that, and forks for each command.
CHILD = 'fork groups setcred drop fork exec=hostname done done'
LOGIN = f'start setcred open {CHILD} close delcred end'


class Told:
    """What the harness has printed."""

    def __init__(self, done):
        self.code, self.err = done.returncode, done.stderr
        self.lines = done.stdout.splitlines()

    def __repr__(self):
        return '\n'.join(['', *self.lines, self.err, f'exit status {self.code}'])

    def changes(self, label):
        """What a comparison has found: each as [sign, topic, rest]."""
        assert f'{label} compared' in self.lines, self
        return [line.split(' ', 3)[1:] for line in self.lines if re.match(rf'{label} [-+] ', line)]

    def topics(self, label):
        """Their topics, such as "fd", or "status CapEff:" and the like where a topic has many parts."""
        found = set()
        for sign, topic, rest in self.changes(label):
            found.add(topic if topic not in ('status', 'attribute', 'namespace') else
                      f'{topic} {re.split("[=:]", rest.removeprefix("this 0 "))[0]}')
        return found

    def results(self, step):
        return [int(line.split()[1]) for line in self.lines if re.fullmatch(rf'{step} -?\d+', line)]


def rules():
    policy(['{ user = "root"; stay = "host"; }',
            *(f'{{ user = "{name}"; rootfs = "{ROOTS}/{name}"; }}' for name in ('alice', 'carol')),
            f'{{ user = "dave"; rootfs = "{ROOTS}/dave"; tty = "relay"; }}'],
           extra='services: { desktop = "join"; };')


class Case(unittest.TestCase):
    before, environment = (), {}
    flags = ['-O1', '-g']

    @classmethod
    def setUpClass(cls):
        run(['gcc', '-Wall', '-Wextra', '-Werror', *cls.flags, '-o', HARNESS, 'tests/hygiene/harness.c', 'tests/hygiene/state.c',
             '-lpam'])
        for service in ('sshd', 'su', 'login', 'desktop'):
            write(f'/etc/pam.d/{service}', '\n'.join(['auth required pam_permit.so', f'auth optional {LINE}',
                                                      'session required pam_permit.so', f'session required {LINE}', '']))
        write('/etc/pam.d/other', ''.join(f'{kind} required pam_deny.so\n' for kind in ('auth', 'account', 'password', 'session')))
        for name in ('alice', 'carol', 'dave'):
            container(name)

    @classmethod
    def tearDownClass(cls):
        host.Host.pam()

    def setUp(self):
        rules()
        self.addCleanup(wait_nothing_left)

    def steps(self, *words, code=0, **kwargs):
        told = Told(run([*self.before, HARNESS, *' '.join(words).split()], check=False,
                        env={**os.environ, **self.environment}, **kwargs))
        self.assertEqual(told.code, code, told)
        return told

    def hold(self, steps):
        process = subprocess.Popen([HARNESS, *steps.split(), 'say=holds', 'read'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, **self.environment})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        until(lambda: process.stdout.readline() in ('holds\n', ''), 'a session that is held')
        return lambda: process.communicate('\n')

    def same(self, told, *labels):
        for label in labels:
            self.assertEqual(told.changes(label), [], label)

    def logged(self, before, pattern):
        until(lambda: re.search(pattern, host.log_text()[before:]), f'{pattern!r} in the log: {host.log_text()[before:]}')


class Sanitized:
    """All of it again with the module, and the program, that the compiler has made to find errors of memory."""
    flags = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    environment = {'ASAN_OPTIONS': 'detect_leaks=1'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run(['make', '-j2', 'BUILD=build/asan', f'CFLAGS={" ".join(cls.flags)}', 'build/asan/bin/pam_nsinit.so'], timeout=600)
        module = glob.glob('/usr/lib/*/security/pam_nsinit.so')[0]
        cls.addClassCleanup(shutil.move, module + '.plain', module)
        shutil.copy(module, module + '.plain')
        run(['install', '-m', '0644', 'build/asan/bin/pam_nsinit.so', module])


__all__ = ['CHILD', 'Case', 'LINE', 'LOGIN', 'ROOTS', 'Sanitized', 'container', 'glob', 'host', 'os', 're', 'policy', 'rules', 'run',
           'shutil', 'until', 'wait_nothing_left', 'write']
