"""Limits of each session, and what the log says of those whom the kernel kills."""
import json
import os
import re
import signal
import time

from machine import GROUPS, HOG, LIMITS, ROOT, SLOW, Case, journal, until
import host
from host import ROOTS, SPEC, container, exec_in, nsinit, policy, run, ssh

EACH = 'session_limits: { memory = "24M"; swap = 0; cpu = "20%"; pids = 15; };'


class Sessions(Case):
    def login(self, command):
        """A session; its client, and the name of its group, which is new."""
        before = self.sessions()
        client = self.session('alice', command)
        name, = self.sessions() - before
        return client, name

    def sessions(self):
        try:
            return {name for name in os.listdir(GROUPS + self.group()) if name.startswith('session-')}
        except FileNotFoundError:
            return set()

    def members(self, below):
        return [int(pid) for pid in self.value('cgroup.procs', below).split()]

    def score(self, pid, new=None):
        if new is not None:
            with open(f'/proc/{pid}/oom_score_adj', 'w') as f:
                f.write(str(new))
        with open(f'/proc/{pid}/oom_score_adj') as f:
            return int(f.read())

    @staticmethod
    def answers(client):
        client.stdin.write('still here\n')
        client.stdin.flush()
        return client.stdout.readline() == 'still here\n'


class SessionLimits(Sessions):
    def setUp(self):
        super().setUp()
        self.rules(EACH)

    def test_they_are_set_for_each_and_those_of_the_container_for_all(self):
        for _ in range(2):
            _, name = self.login('echo in; exec sleep 1000')
            self.assertEqual([self.value(f, name) for f in ('memory.max', 'memory.swap.max', 'cpu.max', 'pids.max')],
                             [str(24 << 20), '0', '20000 100000', '15'])
            self.assertEqual(len(self.members(name)), 2)  # sshd's process for the connection, and the command
        self.assertEqual([self.value(f) for f in ('memory.max', 'cpu.max', 'pids.max', 'cgroup.procs')],
                         [str(64 << 20), '50000 100000', '60', ''])
        self.assertEqual([self.value(f, 'init') for f in ('memory.max', 'cpu.max', 'pids.max')], ['max', 'max 100000', 'max'])
        self.assertEqual(self.members('init'), [host.wait_nspid(ROOT)])
        for below in ('', 'init', name):
            self.assertEqual(self.value('memory.oom.group', below), '0')
        self.assertEqual(int(self.value('pids.current')), 5)

    def test_every_key_is_read_back_inside(self):
        """By the login that starts the container, by one that joins it, and by root's command, which is in no session."""
        container('alice', {**SPEC, 'resources': LIMITS,
                            'mounts': [{'type': 'bind', 'source': GROUPS, 'target': '/mnt', 'readonly': True}]})
        self.rules(f'limits: {{ mounts = [ "{GROUPS}" ]; }}; {EACH}')
        files = 'memory.max memory.swap.max cpu.max pids.max'
        read = (f'cd /mnt$(sed -n s/^0:://p /proc/self/cgroup); for f in {files}; do echo $(cat $f) of $(cat ../$f); done; '
                'echo 0 2>/dev/null >cgroup.procs || echo kept')
        expected = [f'{24 << 20} of {64 << 20}', '0 of 0', '20000 100000 of 50000 100000', '15 of 60', 'kept']
        spawned, name = self.login(f'echo in; {read}; exec sleep 1000')
        self.assertEqual([spawned.stdout.readline().strip() for _ in expected], expected)
        self.assertEqual(ssh('alice', read).stdout.strip().split('\n'), expected)
        self.assertEqual(exec_in(ROOT, 'sh', '-c', read).stdout.strip().split('\n'),
                         [f'max of {64 << 20}', 'max of 0', 'max 100000 of 50000 100000', 'max of 60', 'kept'])
        until(lambda: self.sessions() == {name}, 'the end of the other session')

    def test_a_namespace_of_cgroups(self):
        container('alice', {**SPEC, 'resources': LIMITS, 'namespaces': SPEC['namespaces'] + ['NEWCGROUP']})
        self.assertRegex(ssh('alice', 'cat /proc/self/cgroup /proc/1/cgroup').stdout, r'^0::/session-\d+\n0::/init\n$')

    def test_a_fork_bomb_takes_its_session_alone(self):
        other, quiet = self.login('echo in; while read line; do (echo "$line"); done')
        _, name = self.login('echo in; bomb() { bomb | bomb & }; bomb; sleep 1000')
        until(lambda: 'max 0' not in self.value('pids.events', name), 'a refused fork')
        for _ in range(10):
            self.assertLessEqual(int(self.value('pids.current', name)), 15)
            time.sleep(0.1)
        self.assertTrue(self.answers(other))
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'inside\n')  # which is in no session
        leader = name.removeprefix('session-')
        # Before Linux 6.11 the kernel does not say which of the two it was.
        self.logged(rf'reason=limit user=alice leader={leader} too many processes: forks refused: \d+ '
                    r'\((pids\.max=60 or )?pids\.max=15 of the session\)')
        shown = json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)
        self.assertGreater(shown['pids.refused'], 0)
        self.assertGreaterEqual(shown['pids.current'], shown['sessions'][name]['pids.current'])
        self.assertEqual(sorted(shown['sessions']), sorted([quiet, name]))
        print('# ' + nsinit('stats', '-C', ROOT).stdout.replace('\n', '; '), flush=True)

    def test_a_memory_hog_takes_its_session_alone(self):
        other, _ = self.login('echo in; while read line; do echo "$line"; done')
        hog, name = self.login(f'echo in; read x; {HOG}; echo "status $?"; read x')
        hog.stdin.write('go\n')
        hog.stdin.flush()
        # The shell may say "Killed" first.
        self.assertIn('status 137\n', iter(hog.stdout.readline, ''))
        self.logged(rf'reason=limit user=alice leader={name.removeprefix("session-")} out of memory: processes killed: 1 '
                    r'\(memory\.max=24M of the session\): awk\[\d+\]')
        self.assertTrue(self.answers(other))
        self.assertEqual(json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)['sessions'][name]['memory.oom_kill'], 1)

    def test_the_limit_of_the_container_is_named_where_it_was_that_one(self):
        container('alice', {**SPEC, 'resources': {'memory': {'max': '30M', 'swap': 0}}})
        clients = [self.login(f'echo in; read x; {HOG}; echo "status $?"; read x') for _ in range(2)]
        for client, _ in clients:
            client.stdin.write('go\n')
            client.stdin.flush()
        self.logged(r'reason=limit user=alice leader=\d+ out of memory: processes killed: \d+ \(memory\.max=30M\): awk\[')

    def test_a_session_has_its_share_of_the_processor(self):
        _, idle = self.login('echo in; exec sleep 1000')
        _, busy = self.login('echo in; while :; do :; done')

        def used(name):
            return [int(n) for n in re.findall(r'(?m)^(?:usage_usec|nr_throttled) (\d+)', self.value('cpu.stat', name))]
        before = [used(idle), used(busy)]  # to log in takes some, too
        start = time.monotonic()
        time.sleep(5)
        after = [used(idle), used(busy)]
        passed = time.monotonic() - start
        print(f'# in {passed:.1f} s: idle {before[0]} to {after[0]}, busy {before[1]} to {after[1]}', flush=True)
        self.assertEqual(before[0], after[0])
        self.assertGreater(after[1][1], before[1][1] + 5)
        self.assertLess(after[1][0] - before[1][0], 0.3 * passed * 1e6)

    def test_who_survives_keeps_the_limits(self):
        self.rules(f'lifetime = "linger"; idle = 1; {EACH}')
        self.assertEqual(ssh('alice', f'(sleep 2; {HOG}) >/dev/null 2>&1 </dev/null & echo started').stdout, 'started\n')
        name, = self.sessions()
        self.logged(rf'user=alice leader={name.removeprefix("session-")} out of memory: .*24M of the session\): awk\[\d+\]')
        until(lambda: not self.sessions(), 'the end of its group')

    def test_nsinit_shell_has_them_too(self):
        container('carol')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; {EACH} }}'])
        done = run(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--clear-groups', '--', 'nsinit-shell', '-c',
                    f'cat /proc/self/cgroup; {HOG}; echo "status $?"'], check=False, timeout=180)
        self.assertRegex(done.stdout, rf'^0::{self.group("carol")}/session-\d+\n(Killed\n)?status 137\n$')
        self.logged(r'reason=limit user=carol leader=\d+ out of memory: processes killed: 1 \(memory\.max=24M of the session\)')


class OutOfMemory(Sessions):
    """One group for the whole container."""

    # None of them is as large as the whole: the score that is given to another makes that the largest.
    HOGS = f'for i in 1 2 3; do {HOG} & done; wait'

    def hog(self):
        """In a session of its own."""
        client = self.session('alice', f'echo in; {self.HOGS}')
        self.addCleanup(client.wait)

    def test_a_session_whose_shell_is_killed(self):
        other = self.session('alice', 'echo in; while read line; do echo "$line"; done')
        shell = self.session('alice', 'echo in; x=1234567890123456; while :; do x=$x$x; done')
        shell.wait(SLOW * 3)
        self.logged(r'reason=limit out of memory: processes killed: 1 \(memory\.max=64M\): sh\[\d+\]')
        self.assertTrue(self.answers(other))

    def test_a_session_whose_connection_is_killed(self):
        client = self.session('alice', 'echo in; exec sleep 1000')
        other = self.session('alice', 'echo in; while read line; do echo "$line"; done')
        monitor = min(int(pid) for pid in run('pgrep -f "^sshd(-session)?: alice .priv"').stdout.split())
        served, = [int(pid) for pid in run(f'pgrep -P {monitor}').stdout.split()]
        self.score(served, 1000)
        self.hog()
        client.wait(SLOW * 3)
        self.logged(rf'reason=limit out of memory: processes killed: \d+ \(memory\.max=64M\): sshd(-session)?\[{served}\]')
        self.logged(rf'reason=limit user=alice leader={monitor} the session has ended: out of memory, its process {served} was killed')
        self.assertTrue(self.answers(other))

    def test_the_end_of_process_1_is_told(self):
        client = self.session('alice', 'echo in; exec sleep 1000')
        self.score(host.wait_nspid(ROOT), 1000)
        self.hog()
        client.wait(SLOW * 3)
        self.logged(r'rootfs=/srv/nsinit/alice ended: out of memory, the kernel has killed pid 1')
        self.logged(r'reason=limit out of memory: processes killed: \d+ \(memory\.max=64M\): nsinit-init\[\d+\]')

    def test_the_end_of_process_1_is_told_without_the_kernel_s_log(self):
        hog = self.session('alice', f'echo in; read x; {self.HOGS}')
        init = host.wait_nspid(ROOT)
        supervisor = int(run(f'ps -o ppid= -p {init}').stdout)
        self.score(init, 1000)
        os.kill(supervisor, signal.SIGSTOP)
        self.addCleanup(run, f'kill -CONT {supervisor} 2>/dev/null', check=False)
        hog.stdin.write('go\n')
        hog.stdin.flush()
        until(lambda: 'oom_kill 0' not in self.value('memory.events'), 'a kill', SLOW * 3)
        run(['sysctl', '-q', 'kernel.printk_devkmsg=on'])
        with open('/dev/kmsg', 'w') as f:  # more than it holds
            for _ in range(5000):
                f.write('filler ' * 100 + '\n')
                f.flush()
        os.kill(supervisor, signal.SIGCONT)
        self.logged(r'reason=limit out of memory: processes killed: \d+ \(memory\.max=64M\)\n')
        self.logged(r'rootfs=/srv/nsinit/alice ended: out of memory, the kernel has killed pid 1')

    def test_process_1_is_spared(self):
        self.session('alice', 'echo in; exec sleep 4242')
        init, other = host.wait_nspid(ROOT), int(run('pgrep -f "^sleep 4242"').stdout)
        self.assertEqual(self.score(init), self.score(other) - 500)
        # What no kill gives back: everybody else is killed first, and without a session the container ends.
        ssh('alice', 'dd if=/dev/zero of=/dev/shm/file bs=1M; sleep 1', timeout=180)
        self.logged(r'rootfs=/srv/nsinit/alice ended: no session is left')
        self.assertNotIn('nsinit-init[', journal('--since', self.since, '-t', 'nsinit'))

    def test_its_score_follows_container_json(self):
        for given, expected in ((300, -200), (-900, -999)):
            container('alice', {**SPEC, 'resources': LIMITS, 'oom_score_adj': given})
            self.session('alice', 'echo in; exec sleep 4242')
            self.assertEqual(self.score(host.wait_nspid(ROOT)), expected)
            self.assertEqual(self.score(int(run('pgrep -f "^sleep 4242"').stdout)), given)
            os.kill(int(run('pgrep -f "^sleep 4242"').stdout), signal.SIGKILL)
            self.ended()

    def test_it_is_not_lower_where_others_may_trace_it(self):
        container('alice', {**SPEC, 'capabilities': {'keep': ['CHOWN', 'SETUID', 'SETGID', 'SYS_PTRACE']}})
        self.session('alice', 'echo in; exec sleep 4242')
        self.assertEqual(self.score(host.wait_nspid(ROOT)), self.score(int(run('pgrep -f "^sleep 4242"').stdout)))

    def test_a_command_that_is_process_1_keeps_its_score(self):
        self.assertEqual(exec_in(ROOT, 'cat', '/proc/self/oom_score_adj').stdout, f'{self.score("self")}\n')
