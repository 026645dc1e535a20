"""What surrounds the join goes wrong: other modules of the stack, a container that ends meanwhile."""
import os
import subprocess
import unittest

import host
from host import PORT, ROOTS, SSH_OPTIONS, Server, ask, container, policy, run, ssh, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
TARGET = 'alice@127.0.0.1'
MARK = '/tmp/a-host-process-ran'


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        container('alice')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; }}'])

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.addCleanup(host.Host.pam)

    def background(self, *arguments, **kwargs):
        process = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **kwargs)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process


class Hook(Case):
    """A module before ours stops the stack in sshd's child alone: our setcred, where the join is, is not called."""

    def setUp(self):
        super().setUp()
        run(['gcc', '-shared', '-fPIC', '-o', '/root/pam_stop.so', 'tests/live/pam_stop.c'])

    def test_child_that_is_not_let_in_runs_nothing(self):
        outside = Server('outside', ('127.0.0.1', 7001))
        self.addCleanup(outside.close)
        for control in ('requisite', '[success=ok default=die]'):
            host.Host.pam(f'auth {control} /root/pam_stop.so\nauth optional pam_nsinit.so')
            for reach in (self.command, self.sftp, self.forward):
                with self.subTest(control=control, reach=reach.__name__):
                    run(['rm', '-rf', MARK])
                    before = os.stat(host.SSHD_LOG).st_size
                    reach()
                    until(lambda: b'setresuid' in self.log_since(before), "sshd's word of it")
                    self.assertFalse(os.path.exists(MARK))
            self.assertEqual(ssh('bob', 'hostname').stdout, 'throwaway\n')

    @staticmethod
    def log_since(offset):
        with open(host.SSHD_LOG, 'rb') as f:
            f.seek(offset)
            return f.read()

    def command(self):
        done = ssh('alice', f'hostname; touch {MARK}')
        self.assertEqual((done.returncode, done.stdout), (255, ''))

    def sftp(self):
        done = run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', TARGET], input=f'mkdir {MARK}\nls /etc\n',
                   check=False)
        self.assertEqual((done.returncode, done.stdout), (255, ''))

    def forward(self):
        client = self.background('-N', '-L', '7105:127.0.0.1:7001', TARGET)
        until(lambda: client.poll() is not None or host.Host.listening(7105), 'the forward, or the end')
        self.assertEqual(ask(('127.0.0.1', 7105)), '')
        client.kill()
        client.wait()

    def test_programs_that_other_modules_execute_keep_root_s_rights(self):
        write('/root/note', '#!/bin/sh\necho "$1 $PAM_TYPE $(setpriv --reuid alice --clear-groups id -un)" '
                            '>> /tmp/notes\n', mode=0o755)
        write('/tmp/notes', '')
        line = 'session optional pam_exec.so /root/note'
        host.Host.pam(f'auth optional pam_nsinit.so\n{line} first', after=f'{line} last')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

        def notes():
            with open('/tmp/notes') as f:
                return f.read().split('\n')[:-1]
        until(lambda: len(notes()) == 4, 'four notes')
        self.assertEqual(notes(), [f'{which} {when}_session alice' for when in ('open', 'close')
                                   for which in ('first', 'last')])


del Case
