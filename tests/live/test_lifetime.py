"""How long a container lives, and how many sessions it takes."""
import os
import re
import subprocess
import time
import unittest

import host
from host import (PORT, ROOTS, SSH_OPTIONS, add_programs, container, exec_in, nothing_left, nsinit, policy, run, ssh,
                  until, wait_nothing_left)

ROOT = f'{ROOTS}/alice'
# Which container: the number of a namespace is soon another's, so also when its pid 1 was started.
NAMESPACE = 'echo $(readlink /proc/self/ns/pid) $(cut -d" " -f22 /proc/1/stat)'


def lives():
    """Whether a container's pid 1 runs."""
    return 'nsinit-init' in run('ps -eo comm').stdout


def seconds_until_the_end(limit):
    start = time.monotonic()
    until(lambda: not lives(), 'the end of the container', limit)
    return time.monotonic() - start


class Lifetime(unittest.TestCase):
    def setUp(self):
        add_programs(container('alice'), ['/usr/bin/nohup'])
        self.addCleanup(wait_nothing_left)
        self.log_from = len(host.log_text())

    def rule(self, options):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; {options} }}'])

    def logged(self, pattern):
        until(lambda: re.search(pattern, host.log_text()[self.log_from:]),
              f'{pattern!r} in the log: ' + host.log_text()[self.log_from:])

    def session(self, command='echo in; sleep 1000'):
        """A login that stays."""
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', command],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), 'in\n')
        return client

    # ---------------------------------------------------------------- linger

    def test_linger_outlives_the_login_as_long_as_a_process_runs(self):
        self.rule('lifetime = "linger"; idle = 2;')
        first = ssh('alice', f'{NAMESPACE}; nohup sleep 4 >/dev/null 2>&1 </dev/null &').stdout
        time.sleep(2.5)  # longer than `idle`: the process keeps it
        self.assertEqual(ssh('alice', f'{NAMESPACE}; ps').stdout.split('\n')[0] + '\n', first)
        self.assertIn('sleep 4', run('ps -eo args').stdout)
        until(lambda: 'sleep 4' not in run('ps -eo args').stdout, 'the end of the process')
        self.assertTrue(1.5 <= seconds_until_the_end(6) <= 3.5)
        self.logged('ended: no session is left')

    def test_linger_ends_when_nothing_runs(self):
        self.rule('lifetime = "linger"; idle = 1;')
        ssh('alice', 'true')
        self.assertTrue(lives())
        self.assertTrue(0.5 <= seconds_until_the_end(4) <= 2)

    def test_linger_counts_a_session_s_own_command(self):
        # Its parent is sshd's process, outside: where the connection breaks it becomes no child of pid 1.
        self.rule('lifetime = "linger"; idle = 1;')
        client = self.session('trap "" HUP TERM; echo in; exec sleep 4')
        client.kill()
        time.sleep(2.5)
        self.assertTrue(lives())
        self.assertIn('sleep 4', run('ps -eo args').stdout)
        self.assertTrue(seconds_until_the_end(6) >= 1)

    def test_a_login_stops_the_idle_time(self):
        self.rule('lifetime = "linger"; idle = 1;')
        first = ssh('alice', NAMESPACE).stdout
        time.sleep(0.6)
        self.assertEqual(ssh('alice', f'{NAMESPACE}; sleep 1.5').stdout, first)
        time.sleep(0.6)
        self.assertEqual(ssh('alice', NAMESPACE).stdout, first)

    def test_linger_is_no_matter_of_who_started_it(self):
        # exec -d: a session of root's, which holds the container as any other does.
        self.rule('lifetime = "linger"; idle = 1;')
        ssh('alice', 'true')
        exec_in(ROOT, 'sh', '-c', 'sleep 3 >/dev/null 2>&1 </dev/null &')
        time.sleep(1.8)
        self.assertTrue(lives())

    # ---------------------------------------------------------------- the others

    def test_forever(self):
        self.rule('lifetime = "forever";')
        first = ssh('alice', NAMESPACE).stdout
        time.sleep(1)
        self.assertEqual(ssh('alice', NAMESPACE).stdout, first)
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout), 15)
        wait_nothing_left()
        self.logged('ended: a signal has come')

    def test_grace(self):
        self.rule('lifetime = 1;')
        ssh('alice', 'nohup sleep 4321 >/dev/null 2>&1 </dev/null &')
        self.assertIn('sleep 4321', run('ps -eo args').stdout)
        self.assertTrue(0.5 <= seconds_until_the_end(4) <= 2)
        self.assertNotIn('sleep 4321', run('ps -eo args').stdout)

    # ---------------------------------------------------------------- max_age

    def test_max_age_ends_whatever_runs(self):
        for lifetime in ('forever', 'linger', 'last-session'):
            self.rule(f'lifetime = "{lifetime}"; max_age = 2;')
            client = self.session()
            start = time.monotonic()
            client.communicate(timeout=6)
            self.assertTrue(1 <= time.monotonic() - start < 3.5)
            self.assertNotEqual(client.returncode, 0)
            wait_nothing_left()
            self.logged('ended: max_age is reached')
            self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
            if lifetime == 'forever':
                os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout), 15)
            until(nothing_left, 'the end', 15)

    def test_max_age_hangs_up_first(self):
        self.rule('lifetime = "forever"; max_age = 2;')
        client = self.session('trap "echo hung up; exit 3" HUP; echo in; while :; do sleep 0.1; done')
        self.assertEqual(client.communicate(timeout=6)[0], 'hung up\n')
        self.assertEqual(client.returncode, 3)

    def test_max_age_kills_what_stays_and_a_login_waits_for_the_next(self):
        self.rule('lifetime = "forever"; max_age = 2;')
        client = self.session(f'trap "" HUP; echo in; {NAMESPACE}; while :; do sleep 0.1; done')
        first = client.stdout.readline()
        time.sleep(3)  # in the hangup's grace
        self.assertIsNone(client.poll())
        second = ssh('alice', NAMESPACE)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertNotEqual(second.stdout, first)
        client.communicate(timeout=2)
        until(nothing_left, 'the end', 10)

    # ---------------------------------------------------------------- max_sessions

    def test_max_sessions(self):
        self.rule('max_sessions = 1;')
        first = self.session()
        second = ssh('alice', 'echo reached')
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(second.stdout, ('', 'You have too many sessions open: end one first.\n'))
        self.logged(r'reason=sessions user=alice refused: .*max_sessions = 1 are open')
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'inside\n')  # root's way in stays open
        first.kill()
        first.wait()
        until(lambda: ssh('alice', 'hostname').stdout == 'inside\n', 'a login after the first one has ended')

    def test_max_sessions_counts_who_is_in(self):
        self.rule('max_sessions = 2; lifetime = 1;')
        one = self.session()
        self.session()
        for _ in range(3):
            self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        one.kill()
        one.wait()
        until(lambda: ssh('alice', 'true').returncode == 0, 'a place')

    def test_supervisor_without_descriptors_takes_no_time(self):
        """More sessions than it has descriptors for: those that wait cost the host no processor."""
        self.rule('')
        self.session()
        supervisor = int(run(['ps', '-o', 'ppid=', '-p', str(host.wait_nspid(ROOT))]).stdout)

        def spent():
            with open(f'/proc/{supervisor}/stat') as f:
                return sum(map(int, f.read().rsplit(')')[1].split()[11:13])) / os.sysconf('SC_CLK_TCK')
        limit = max(map(int, os.listdir(f'/proc/{supervisor}/fd'))) + 1
        run(['prlimit', '--pid', str(supervisor), f'--nofile={limit}:20000'])
        waiting = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', 'hostname'], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(waiting.communicate)
        time.sleep(2)  # it has come as far as that
        before = spent()
        time.sleep(3)
        self.assertLess(spent() - before, 0.1)
        self.assertIsNone(waiting.poll())  # the control: there is somebody
        run(['prlimit', '--pid', str(supervisor), '--nofile=1024:20000'])
        self.assertEqual(waiting.communicate(timeout=10)[0], 'inside\n')

    # ---------------------------------------------------------------- explain

    def test_explain_tells_all(self):
        self.rule('lifetime = "linger"; idle = 7; max_age = 3600; max_sessions = 3; shell = "/bin/ash";')
        shown = nsinit('explain', 'alice').stdout
        for line in ('lifetime:  linger, until 7 s without session and process', 'max age:   3600 s', 'sessions:  at most 3',
                     'shell:     /bin/ash'):
            self.assertIn(line + '\n', shown)
        self.rule('')
        shown = nsinit('explain', 'alice').stdout
        self.assertNotIn('max age', shown)
        self.assertNotIn('sessions:', shown)

    # ---------------------------------------------------------------- machined

    def test_without_systemd_machined_nothing_else_changes(self):
        """tests/machine has it."""
        self.rule('machined = true;')
        self.assertIn('machined:  is told\n', nsinit('explain', 'alice').stdout)
        session = self.session()
        self.logged('reason=machined registering at org.freedesktop.machine1: ')
        supervisor = run('ps -o ppid= -C nsinit-init').stdout.strip()
        self.assertNotIn('busctl', run(f'ps -o args= --ppid {supervisor}').stdout)  # it is reaped
        session.kill()
        until(nothing_left, 'the end of the container')
