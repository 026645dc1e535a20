"""Whatever of a session through nsinit-shell is killed, stopped, flooded or lied to."""
import collections
import os
import pwd
import signal
import subprocess
import time
import unittest

import host
from host import (ROOTS, SSH_OPTIONS, Terminal, container, policy, run, until, wait_nothing_left)

SHELL = '/usr/bin/nsinit-shell'
PORT = 2323
SENTENCE = 'Your container could not be opened'
DOORS = '/run/nsinit/doors'
ALICE, BOB = f'{ROOTS}/alice', f'{ROOTS}/bob'

# Connect to a door N times, say there what is given in hex, and stay.
KNOCK = '''
import os, socket, sys, time, array
door, n, text = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
fds = array.array('i', [os.pidfd_open(os.getpid()), 0, 1, 2]).tobytes()
held = []
for i in range(n):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(door)
    s.settimeout(20)
    held.append(s)
    if text:
        for with_fds in (False, True):
            try:
                s.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if with_fds else [])
            except OSError:
                pass
print('connected', flush=True)
answers = []
for s in held:
    try:
        data, given, flags, _ = socket.recv_fds(s, 100000, 10)
        answers.append(f'{int.from_bytes(data[4:8], "little")}:{len(given)}')
    except OSError as e:
        answers.append(type(e).__name__)
print(' '.join(answers), flush=True)
sys.stdin.read()
'''


def processes(name, user=None):
    """Pids of the host's processes of a name, those in containers too."""
    return [int(pid) for pid in run(['pgrep', '-x', *(['-u', user] if user else []), name], check=False).stdout.split()]


def parent(pid):
    with open(f'/proc/{pid}/stat') as f:
        return int(f.read().rsplit(')', 1)[1].split()[1])


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        container('bob')
        policy([f'{{ user = "{name}"; rootfs = "{ROOTS}/%u"; }}' for name in ('alice', 'bob')])
        for name in ('alice', 'bob'):
            run(['usermod', '-s', SHELL, name])
        run(['add-shell', SHELL])
        run('rm -f /root/dropbear_key; dropbearkey -t ed25519 -f /root/dropbear_key')
        cls.dropbear = subprocess.Popen(['dropbear', '-F', '-E', '-r', '/root/dropbear_key', '-p', f'127.0.0.1:{PORT}'],
                                        stderr=open('/tmp/dropbear.log', 'a'))
        until(lambda: host.Host.listening(PORT), 'dropbear')

    @classmethod
    def tearDownClass(cls):
        cls.dropbear.terminate()
        cls.dropbear.wait()
        run(['usermod', '-s', '/bin/sh', 'alice'])
        run(['usermod', '-s', '/bin/bash', 'bob'])

    def setUp(self):
        self.start_broker()
        self.addCleanup(self.stop_broker)
        self.addCleanup(wait_nothing_left)
        self.addCleanup(lambda: self.lands('alice'))

    def start_broker(self):
        self.broker = subprocess.Popen(['nsinitd'])
        until(lambda: run(['ss', '-xlH', 'src', f'{DOORS}/nsinitd']).stdout, "nsinitd's socket")

    def stop_broker(self):
        self.broker.terminate()
        self.broker.wait()

    def ssh(self, user, *command, **kwargs):
        return run(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', *command],
                   **{'check': False, 'stdin': subprocess.DEVNULL, **kwargs})

    def lands(self, user):
        done = self.ssh(user, 'hostname; exit 4')
        self.assertEqual((done.returncode, done.stdout), (4, 'inside\n'), done.stderr)

    def refused(self, user):
        done = self.ssh(user, 'hostname')
        self.assertEqual((done.returncode, done.stdout), (254, ''), done.stderr)
        self.assertIn(SENTENCE, done.stderr)

    def terminal(self, user='alice', command=(), port=PORT):
        t = Terminal(['ssh', '-tt', *SSH_OPTIONS, '-p', str(port), f'{user}@127.0.0.1', *command])
        self.addCleanup(t.end)
        if not command:
            t.expect(r'\$ ')
            t.type('echo shell=$$\n')
            t.shell = int(t.expect(r'shell=(\d+)\r').group(1))
            t.expect(r'\$ ')
        return t

    def outer(self, user='alice'):
        """The nsinit-shell of the host."""
        mine = os.readlink('/proc/self/ns/pid')
        return until(lambda: [p for p in processes('nsinit-shell', user) if host.in_namespace(p, mine)],
                     'nsinit-shell')[0]

    def supervisor(self, root):
        return parent(host.wait_nspid(root))

    def knock(self, user, door, n, text=b''):
        who = pwd.getpwnam(user)
        p = subprocess.Popen(['/usr/bin/python3', '-c', KNOCK, f'{DOORS}/{door}', str(n), text.hex()], user=who.pw_uid,
                             group=who.pw_gid, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, cwd='/')
        self.addCleanup(p.wait)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.kill)
        self.assertEqual(p.stdout.readline(), 'connected\n')
        return p


class Killed(Kills):
    def test_nsinitd(self):
        t = self.terminal()
        self.broker.kill()
        self.broker.wait()
        t.type('echo still-$((40 + 2))\n')
        t.expect('still-42')
        for user in ('alice', 'bob'):
            self.refused(user)
        self.assertIn('nsinitd does not run', host.log_text())
        self.start_broker()
        for user in ('alice', 'bob'):
            self.lands(user)
        t.type('echo still-$((41 + 2)); exit 5\n')
        t.expect('still-43')
        self.assertEqual(t.finish(), 5)

    def test_nsinitd_terminated(self):
        t = self.terminal()
        self.stop_broker()
        self.assertFalse(os.path.exists(f'{DOORS}/nsinitd'))
        self.refused('bob')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)
        self.start_broker()

    def test_supervisor(self):
        for port in (PORT, host.PORT):
            t = self.terminal(port=port)
            os.kill(self.supervisor(ALICE), signal.SIGKILL)
            self.assertNotEqual(t.finish(), 0)
            self.assertFalse(processes('nsinit-shell', 'alice'))
            self.lands('alice')

    def test_pid_1(self):
        t = self.terminal()
        os.kill(host.wait_nspid(ALICE), signal.SIGKILL)
        self.assertNotEqual(t.finish(), 0)
        self.lands('alice')

    def test_outer_process(self):
        for command in ((), ('sleep 300',)):
            t = self.terminal(command=command)
            os.kill(self.outer(), signal.SIGKILL)
            self.assertNotEqual(t.finish(), 0)
            wait_nothing_left()

    def test_inner_shell(self):
        for sig in (signal.SIGKILL, signal.SIGHUP):
            t = self.terminal()
            inner = [int(p) for p in run(['pgrep', '-P', str(self.outer())]).stdout.split()]
            self.assertEqual(len(inner), 1)
            os.kill(inner[0], sig)
            self.assertNotEqual(t.finish(), 0)

    def test_server_s_process(self):
        t = self.terminal()
        os.kill(parent(self.outer()), signal.SIGKILL)
        t.finish()
        wait_nothing_left()

    def test_nothing_of_a_session_waits_for_a_word_that_does_not_come(self):
        """Each process of a session stopped in turn, and the one behind it killed."""
        t = self.terminal()
        outer = self.outer()
        os.kill(outer, signal.SIGSTOP)
        os.kill(self.supervisor(ALICE), signal.SIGKILL)
        os.kill(outer, signal.SIGCONT)
        self.assertNotEqual(t.finish(), 0)


class Stopped(Kills):
    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def quickly(self, user, seconds=3):
        start = time.monotonic()
        self.lands(user)
        self.assertLess(time.monotonic() - start, seconds)

    def later(self, user):
        p = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', 'hostname'],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (p.kill(), p.communicate()))
        return p

    def workers(self):
        return [int(p) for p in run(['pgrep', '-P', str(self.broker.pid)], check=False).stdout.split()]

    def test_supervisor(self):
        """Its user's next login is refused in time; nobody else's is delayed."""
        t = self.terminal()
        supervisor = self.supervisor(ALICE)
        self.stop(supervisor)
        for door in (True, False):  # by the supervisor's door; by nsinitd's, where a worker waits
            path = f'{DOORS}/{pwd.getpwnam("alice").pw_uid}'
            if not door:
                os.rename(path, f'{path}.away')
            start = time.monotonic()
            waiting = self.later('alice')
            time.sleep(0.5)
            self.quickly('bob')
            out, err = waiting.communicate(timeout=30)
            self.assertEqual((waiting.returncode, out), (254, ''), err)
            self.assertIn(SENTENCE, err)
            self.assertLess(time.monotonic() - start, 15)
            if not door:
                os.rename(f'{path}.away', path)
        os.kill(supervisor, signal.SIGCONT)
        self.lands('alice')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_worker(self):
        t = self.terminal()
        self.stop(self.supervisor(ALICE))
        os.rename(f'{DOORS}/{pwd.getpwnam("alice").pw_uid}', f'{DOORS}/away')
        waiting = [self.later('alice'), self.later('alice')]
        workers = until(lambda: len(self.workers()) == 2 and self.workers(), 'two workers')
        self.stop(workers[0])
        self.quickly('bob')
        os.kill(workers[0], signal.SIGKILL)
        os.kill(workers[1], signal.SIGKILL)
        for p in waiting:
            out, err = p.communicate(timeout=5)
            self.assertEqual((p.returncode, out), (254, ''), err)
            self.assertIn(SENTENCE, err)
        os.rename(f'{DOORS}/away', f'{DOORS}/{pwd.getpwnam("alice").pw_uid}')
        os.kill(self.supervisor(ALICE), signal.SIGCONT)
        self.lands('alice')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_flood_of_nsinitd(self):
        """One user's waiting requests take that user's places, and nobody else's."""
        t = self.terminal('bob')
        supervisor = self.supervisor(BOB)
        self.stop(supervisor)
        flood = [self.knock('bob', 'nsinitd', 50) for _ in range(4)]
        time.sleep(0.3)
        self.assertEqual(len(self.workers()), 16)
        self.quickly('alice')
        self.assertEqual(host.log_text().count('too many requests wait'), 1)
        os.kill(supervisor, signal.SIGCONT)
        answers = ' '.join(p.stdout.readline() for p in flood).split()
        self.assertEqual(collections.Counter(answers), {'0:2': 16, '11:0': 184})
        for p in flood:
            p.kill()
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_flood_of_a_supervisor(self):
        door = pwd.getpwnam('alice').pw_uid
        t = self.terminal(port=host.PORT)
        supervisor = self.supervisor(ALICE)
        flood = [self.knock('alice', door, 200) for _ in range(4)]
        answers = ' '.join(p.stdout.readline() for p in flood).split()
        self.assertEqual(collections.Counter(answers), {'0:2': 128, '16:0': 672})
        self.assertLess(len(os.listdir(f'/proc/{supervisor}/fd')), 300)
        self.assertEqual(host.ssh('alice', 'hostname').stdout, 'inside\n')
        for p in flood:
            p.kill()
            p.wait()
        self.lands('alice')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_refused_connections_do_not_hold_the_container(self):
        """The session ends, and with it the container, whoever still holds on to a door that refused."""
        t = self.terminal()
        p = self.knock('alice', pwd.getpwnam('alice').pw_uid, 20)
        self.assertEqual(set(p.stdout.readline().split()), {'11:0'})
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)
        wait_nothing_left()


class Lies(Kills):
    def test_nothing_that_is_sent_is_read(self):
        uid = pwd.getpwnam('alice').pw_uid
        t = self.terminal(port=host.PORT)
        before = host.wait_nspid(ALICE)
        words = [b'x', b'\0' * 12, b'\xff' * 4096]
        for ask in range(7):
            for magic in (0x6e736902, 0x6e736903):
                for who in (uid, 0, pwd.getpwnam('bob').pw_uid):
                    words.append(b''.join(n.to_bytes(4, 'little') for n in (magic, ask, who)))
        for word in words:
            for door in (uid, 'nsinitd'):
                p = self.knock('alice', door, 1, word)
                # Answered as who it is, with two descriptors and never a third; or reset, with words unread.
                self.assertIn(p.stdout.readline().strip(), ('0:2', 'ConnectionResetError'))
                p.kill()
                p.wait()
        self.assertEqual(host.wait_nspid(ALICE), before)
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_doors_of_others(self):
        t = self.terminal(port=host.PORT)
        uid = pwd.getpwnam('alice').pw_uid
        who = pwd.getpwnam('bob')
        for path in (f'{DOORS}/{uid}', *(f'/run/nsinit/{d}/control' for d in os.listdir('/run/nsinit'))):
            done = run(['/usr/bin/python3', '-c', KNOCK, path, '1', ''], check=False, user=who.pw_uid, group=who.pw_gid,
                       extra_groups=[], cwd='/')
            self.assertRegex(done.stderr, 'PermissionError|FileNotFoundError|NotADirectoryError', path)
        done = run(['ls', '/run/nsinit'], check=False, user=who.pw_uid, group=who.pw_gid, extra_groups=[])
        self.assertNotEqual(done.returncode, 0)
        # nsinitd gives each their own container.
        self.lands('bob')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)


del Kills
