"""What surrounds the join goes wrong: other modules of the stack, a container that ends meanwhile."""
import collections
import os
import re
import subprocess
import threading
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
        run(['gcc', '-shared', '-fPIC', '-o', '/root/pam_stop.so', 'tests/live/pam_stop.c'])

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

    def test_session_line_that_stands_there_twice(self):
        """As an included file has it, too: one session, the terminals inside, and a child that is held back."""
        twice = 'session required pam_nsinit.so\nsession required pam_nsinit.so'
        host.Host.pam(session=twice)
        before = len(host.log_text())
        self.assertEqual(ssh('alice', 'hostname; tty', options=['-tt']).stdout, 'inside\n/dev/pts/0\n')
        until(lambda: 'user=alice session closed' in host.log_text()[before:], 'the end')
        self.assertEqual(host.log_text()[before:].count('session opened'), 2)  # pam_unix's and ours
        host.Host.pam('auth requisite /root/pam_stop.so\nauth optional pam_nsinit.so', twice)
        self.command()
        self.assertFalse(os.path.exists(MARK))

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


class Control(Case):
    """The session line does not have the say: it is "optional", a line before it ends the stack, or it is missing."""
    LINES = ('session optional pam_nsinit.so', 'session [default=ignore] pam_nsinit.so',
             'session sufficient pam_permit.so\nsession required pam_nsinit.so', 'session required pam_permit.so')

    def setUp(self):
        super().setUp()
        self.outside = Server('outside', ('127.0.0.1', 7001))
        self.addCleanup(self.outside.close)
        os.rename(f'{ROOT}/container.json', f'{ROOT}/container.json.away')
        self.addCleanup(os.rename, f'{ROOT}/container.json.away', f'{ROOT}/container.json')
        run(['rm', '-rf', MARK])
        self.addCleanup(run, f'rm -rf {MARK}*')
        os.makedirs('/root/.ssh', exist_ok=True)
        run(f'cp {host.KEY}.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chown root /root')

    def reach(self):
        """What a refused user can do to the host."""
        ssh('alice', f'touch {MARK}')
        run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', TARGET], input=f'mkdir {MARK}\nls /etc\n', check=False)
        said = ssh('alice', options=['-W', '127.0.0.1:7001']).stdout
        listed = run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', TARGET], input='ls /\n', check=False).stdout
        return os.path.exists(MARK), said, [line for line in listed.split() if line.startswith('/') and line != '/']

    def test_sshd(self):
        for line in self.LINES:
            with self.subTest(line=line):
                host.Host.pam(session=line)
                before = len(host.log_text())
                self.assertEqual(self.reach(), (False, '', []))
                self.assertIn('user=alice refused', host.log_text()[before:])
                self.assertEqual(ssh('bob', 'hostname').stdout, 'throwaway\n')
                self.assertEqual(ssh('root', 'hostname').stdout, 'throwaway\n')
        # The control: these lines keep nobody in whom the policy leaves on the host.
        policy(['{ user = "root"; stay = "host"; }'])
        self.addCleanup(policy, ['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; }}'])
        reached = self.reach()
        self.assertEqual(reached[:2], (True, 'outside\n'))
        self.assertIn('/etc', reached[2])

    def test_sshd_without_the_hook_as_well(self):
        """The auth line is missing, or what is before it ends the stack in the child: nothing is there to shut it away."""
        for auth in ('# no auth line', 'auth requisite /root/pam_stop.so\nauth optional pam_nsinit.so'):
            with self.subTest(auth=auth):
                host.Host.pam(auth, self.LINES[0])
                self.assertEqual(self.reach(), (False, '', []))
                self.assertEqual(ssh('bob', 'hostname').stdout, 'throwaway\n')
                self.assertEqual(ssh('root', 'hostname').stdout, 'throwaway\n')

    def test_other_services(self):
        stack = 'auth sufficient pam_rootok.so\naccount required pam_permit.so\n' \
                'session required pam_permit.so\nsession optional pam_nsinit.so\n'
        for service in ('su', 'runuser', 'sudo'):
            with open(f'/etc/pam.d/{service}') as f:
                self.addCleanup(write, f'/etc/pam.d/{service}', f.read())
            write(f'/etc/pam.d/{service}', stack)
        for command in (['su', '%s', '-c'], ['runuser', '%s', '-c'], ['sudo', '-u', '%s', '/bin/sh', '-c']):
            with self.subTest(command=command):
                done = {user: run([word.replace('%s', user) for word in command] + [f'touch {MARK}-{user}'], check=False,
                                  stdin=subprocess.DEVNULL) for user in ('alice', 'bob', 'root')}
                self.assertNotEqual(done['alice'].returncode, 0)
                self.assertFalse(os.path.exists(f'{MARK}-alice'))
                for user in ('bob', 'root'):
                    os.unlink(f'{MARK}-{user}')


class Gone(Case):
    def test_container_that_ends_between_open_and_join(self):
        write('/root/kill-pid-1', f'#!/bin/sh\npid=$(cat {ROOT}/.nspid)\n[ "$PAM_TYPE" = open_session ] || exit 0\n'
                                  'kill -9 $pid\nwhile [ -e /proc/$pid ]; do sleep 0.01; done\n'
                                  'echo $pid >> /tmp/killed\n', mode=0o755)
        write('/tmp/killed', '')
        host.Host.pam(after='session optional pam_exec.so /root/kill-pid-1')
        for n, arguments in enumerate((['hostname; touch ' + MARK], ['-W', f'127.0.0.1:{PORT}']), 1):
            before = len(host.log_text())
            done = ssh('alice', options=arguments) if n == 2 else ssh('alice', *arguments)
            # sshd's child has ended with 254, which ssh shows as a connection that was lost.
            self.assertEqual((done.returncode, done.stdout), (255, ''))
            self.assertFalse(os.path.exists(MARK))
            with open('/tmp/killed') as f:
                self.assertEqual(len(f.readlines()), n)
            until(lambda: 'reason=join user=alice refused' in host.log_text()[before:], 'the reason in the log')
        host.Host.pam()
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')


class Descriptors(Case):
    def session(self, user):
        """What monitor and child of a fresh session hold: two Counters of kinds of descriptors."""
        old = self.sshd_processes(user)
        client = self.background(f'{user}@127.0.0.1', 'echo in; sleep 1000')
        self.assertEqual(client.stdout.readline(), 'in\n')
        fresh = self.sshd_processes(user) - old
        self.assertEqual(len(fresh), 2, fresh)
        kinds = {role: self.kinds(pid) for pid, role in fresh}
        return kinds['monitor'], kinds['child']

    @staticmethod
    def sshd_processes(user):
        found = re.findall(rf'^\s*(\d+) sshd(?:-session)?: {user}(.)', run('ps -eo pid,args').stdout, re.M)
        return {(pid, 'child' if mark == '@' else 'monitor') for pid, mark in found}

    @staticmethod
    def kinds(pid):
        with open('/proc/net/unix') as f:  # Num RefCount Protocol Flags Type St Inode; 0005 is SOCK_SEQPACKET
            control = {line.split()[6] for line in f if line.split()[4] == '0005'}
        counter = collections.Counter()
        for fd in os.listdir(f'/proc/{pid}/fd'):
            target = os.readlink(f'/proc/{pid}/fd/{fd}')
            kind = 'pidfd' if 'pidfd' in target else re.sub(r':?\[.*', '', target)
            counter['control' if re.sub(r'\D', '', target) in control else kind] += 1
        return counter

    def test_sshd_s_processes_hold_what_they_need(self):
        monitor, child = self.session('bob')
        for number in ('first', 'second'):  # one has started the supervisor, the other has found it
            with self.subTest(session=number):
                ours, inside = self.session('alice')
                self.assertEqual(ours, monitor + collections.Counter(['pidfd', 'mnt', '/', '/', 'control']))
                self.assertEqual(inside, child)


class Lock(Case):
    def test_ends_and_starts_at_once_leave_no_lock_file(self):
        results = []
        before = set(os.listdir(host.RUN_DIR)) if os.path.isdir(host.RUN_DIR) else set()

        def log_in():
            for _ in range(8):
                results.append(ssh('alice', 'hostname').stdout)
        threads = [threading.Thread(target=log_in) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, ['inside\n'] * 32)
        wait_nothing_left()
        left = {name for name in os.listdir(host.RUN_DIR) if name.endswith('.lock')}
        self.assertEqual(left - before, set())  # those of starts that failed stay


del Case
