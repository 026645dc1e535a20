"""Limits of each session: that it has a group of its own. What the limits do is seen in tests/machine."""
import json
import os
import re
import signal
import subprocess
import unittest

import host
from host import SPEC, container, exec_in, nsinit, policy, run, ssh, until, wait_nothing_left, wait_nspid, write
from test_resources import MOUNT, ROOT, Case, Grouped
from test_services import STACK

LIMITS = 'session_limits: { memory = "32M"; swap = 0; cpu = "50%"; pids = 20; };'


def sleeper(seconds):
    """The pid of (one of) the `sleep` that runs for so long."""
    return until(lambda: [int(p) for p in run(f'pgrep -f "^sleep {seconds}"', check=False).stdout.split()], 'sleep')[0]


class Policy(unittest.TestCase):
    def tearDown(self):
        wait_nothing_left()

    def test_explain_and_check_show_it(self):
        container('alice', SPEC)
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = "alice"; rootfs = "{ROOT}"; session_limits: {{ memory = "2G"; pids = 5; }}; }}'],
               extra=f'defaults: {{ {LIMITS} limits: {{ memory = "1G"; pids = 6; }}; }};')
        each = 'memory.max=2G memory.swap.max=0 cpu.max=50% pids.max=5'  # setting for setting over the defaults
        self.assertIn(f'a session: {each}\n', nsinit('explain', 'alice').stdout)
        self.assertEqual(json.loads(nsinit('explain', '--json', 'alice').stdout)['container']['session_limits'], each)
        done = nsinit('check', '/etc/nsinit/nsinit.conf')
        self.assertIn(f'a session:    {each}\n', done.stdout)
        self.assertIn('session_limits: memory.max=2G is more than the 1G that "limits" gives the whole container '
                      '[session-limits]', done.stdout)
        self.assertNotIn('pids.max=5 is more', done.stdout)
        shown = json.loads(nsinit('check', '--json', '/etc/nsinit/nsinit.conf').stdout)
        self.assertEqual(shown['policy']['rules'][1]['container']['session_resources'],
                         {'memory.max': str(2 << 30), 'memory.swap.max': '0', 'cpu.max': '50000 100000', 'pids.max': '5'})


class WithoutControllers(Case):
    def test_refused_or_left_out(self):
        container('alice', SPEC)
        self.rule('session_limits: { pids = 20; };')
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.logged(r'reason=resources limiting pids\.max: the pids controller of cgroup v2 is not to be had')
        self.rule('session_limits: { pids = 20; }; resources = "best-effort";')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.logged(r'reason=resources not limited, for lack of a controller: session pids\.max')


class InGroups(Grouped):
    settings = LIMITS

    def setUp(self):
        super().setUp()
        container('alice', SPEC)

    def groups(self):
        """The groups below the container's, with the processes in each."""
        found = {}
        for name in os.listdir(MOUNT + self.group()):
            if os.path.isdir(f'{MOUNT}{self.group()}/{name}'):
                try:
                    with open(f'{MOUNT}{self.group()}/{name}/cgroup.procs') as f:
                        found[name] = [int(pid) for pid in f]
                except OSError:  # its session has ended at this moment
                    continue
        return found

    def sessions(self):
        return sorted(name for name in self.groups() if name.startswith('session-'))

    def left(self, n):
        return until(lambda: len(self.sessions()) == n and self.groups(), f'{n} groups of sessions: {self.groups()}')

    def test_each_login_has_its_own(self):
        self.session('echo in; exec sleep 4242')
        self.session('echo in; exec sleep 4243')
        groups = self.left(2)
        self.assertEqual(self.members(), [])  # which the kernel asks for
        self.assertEqual(groups.pop('init'), [wait_nspid(ROOT)])
        for name, pids in groups.items():
            leader = int(name.removeprefix('session-'))
            self.assertRegex(run(f'ps -o args= -p {leader}').stdout, r'^sshd.*alice \[priv\]')  # the monitor, outside
            self.assertNotIn(leader, pids)
            self.assertEqual(len([p for p in pids if run(f'ps -o args= -p {p}').stdout.startswith('sleep 424')]), 1)

    def test_it_ends_with_the_session(self):
        clients = [self.session('echo in; exec sleep 4242'), self.session('echo in; exec sleep 4242')]
        before = self.left(2)
        gone, = [name for name in before if sleeper(4242) in before[name]]
        os.kill(sleeper(4242), signal.SIGTERM)
        self.assertEqual(sorted(self.left(1)), sorted(set(before) - {gone}))
        until(lambda: [c.poll() is None for c in clients].count(True) == 1, 'the end of one')
        os.kill(sleeper(4242), signal.SIGTERM)
        self.no_group()

    def test_who_survives_keeps_it(self):
        self.rule(f'resources = "best-effort"; lifetime = "linger"; idle = 1; {LIMITS}')
        self.session('echo in; exec sleep 4242')
        self.addCleanup(lambda: os.kill(sleeper(4242), signal.SIGKILL))
        self.assertEqual(ssh('alice', 'sleep 4244 >/dev/null 2>&1 </dev/null & echo started').stdout, 'started\n')
        survivor = sleeper(4244)
        name = os.path.basename(self.group_of(survivor))
        until(lambda: self.groups().get(name) == [survivor], 'nobody else in its group')
        os.kill(survivor, signal.SIGKILL)
        self.assertNotIn(name, self.left(1))

    def test_the_number_of_one_who_left_something_behind(self):
        """A session whose leader has the number of an earlier one, of which something lives."""
        self.session()
        leader = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(leader.wait)
        self.addCleanup(leader.kill)
        path = f'{MOUNT}{self.group()}'
        names = []
        for pid in range(leader.pid + 1, leader.pid + 400):  # whichever number the next one gets
            try:
                os.mkdir(f'{path}/session-{pid}')
                names.append(f'session-{pid}')
            except FileExistsError:
                pass
        self.session()
        self.assertEqual(len([n for n in self.sessions() if n.endswith('-2')]), 1, self.sessions())

    def test_exec_is_in_none(self):
        self.session()
        self.assertIn(f'0::{self.group()}/init\n', exec_in(ROOT, 'cat', '/proc/self/cgroup').stdout)
        self.left(1)

    def test_su_is_a_session(self):
        saved = open('/etc/pam.d/su').read()
        self.addCleanup(write, '/etc/pam.d/su', saved)
        write('/etc/pam.d/su', STACK)
        self.session()
        shown = run(['su', 'alice', '-c', 'cat /proc/self/cgroup']).stdout
        self.assertRegex(shown, rf'(?m)^0::{self.group()}/session-\d+$')
        self.left(1)

    def test_nsinit_shell_is_a_session(self):
        self.session()
        done = run(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--clear-groups', '--', 'nsinit-shell', '-c',
                    'cat /proc/self/cgroup; ls -l /proc/self/fd; true'])
        self.assertRegex(done.stdout, rf'(?m)^0::{self.group()}/session-\d+$')
        self.assertNotIn('/sys/fs', done.stdout)
        self.left(1)

    def test_a_session_has_no_handle_on_it(self):
        self.session()
        for pids in self.left(1).values():
            for pid in pids:
                self.assertNotIn('/nsinit/', run(f'ls -l /proc/{pid}/fd', check=False).stdout)

    def test_a_namespace_of_its_own_has_the_container_s_group_for_a_root(self):
        container('alice', {**SPEC, 'namespaces': SPEC['namespaces'] + ['NEWCGROUP']})
        self.assertRegex(ssh('alice', 'cat /proc/self/cgroup /proc/1/cgroup').stdout,
                         r'(?ms)^0::/session-\d+$.*^0::/init$')

    def test_root_without_a_user_namespace_has_no_way_out(self):
        """The host's own uid 0, to which every group belongs: it must not come by the hierarchy."""
        container('alice', {**SPEC, 'namespaces': SPEC['namespaces'] + ['NEWCGROUP']})
        self.rule(f'userns = "off"; resources = "best-effort"; {LIMITS}')
        self.session()
        done = exec_in(ROOT, 'sh', '-c', 'id -u; cat /proc/self/cgroup; mkdir /tmp/g; mount -t cgroup2 none /tmp/g && echo mounted; '
                       'find / -name cgroup.procs 2>/dev/null')
        self.assertRegex(done.stdout, r'(?s)^0\n.*0::/init\n$')
        self.assertIn('mount: permission denied', done.stderr)
        self.assertRegex(ssh('alice', 'cat /proc/self/cgroup').stdout, r'(?m)^0::/session-\d+$')

    def test_its_end_kills_what_is_in_any(self):
        self.session()
        outsider = subprocess.Popen(['sleep', '1000'])  # in a group, but in no namespace of the container
        self.addCleanup(outsider.wait)
        name, = self.sessions()
        with open(f'{MOUNT}{self.group()}/{name}/cgroup.procs', 'w') as f:
            f.write(str(outsider.pid))
        os.kill(wait_nspid(ROOT), signal.SIGKILL)
        self.assertEqual(outsider.wait(5), -signal.SIGKILL)
        self.no_group()

    def test_a_killed_supervisor_s_groups_are_swept(self):
        self.session()
        old, = self.sessions()
        os.kill(int(run(f'ps -o ppid= -p {wait_nspid(ROOT)}').stdout), signal.SIGKILL)
        self.session()
        self.assertNotIn(old, self.left(1))

    def test_a_session_is_refused_without_a_group(self):
        """One more group than the kernel may make: the login is refused, and nothing else happens."""
        self.session()
        with open(f'{MOUNT}{self.group()}/cgroup.max.descendants', 'w') as f:
            f.write('2')  # init and one session
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.logged(r'reason=resources user=alice refused: making the session\'s cgroup session-\d+: ')
        self.assertEqual(len(self.sessions()), 1)
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'inside\n')

    def test_stats(self):
        self.session()
        self.session()
        names = [n for n in self.left(2) if n != 'init']
        shown = json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)
        self.assertEqual(sorted(shown['sessions']), sorted(names))
        self.assertGreater(shown['sessions'][names[0]]['cpu.usage_usec'], 0)
        self.assertGreaterEqual(shown['cpu.usage_usec'], sum(s['cpu.usage_usec'] for s in shown['sessions'].values()))
        self.assertRegex(nsinit('stats', '-C', ROOT).stdout, rf'(?m)^{names[0]} +.*cpu\.usage_usec=\d+$')

    def test_status(self):
        self.session()
        each = {'memory.max': str(32 << 20), 'memory.swap.max': '0', 'cpu.max': '50000 100000', 'pids.max': '20'}
        shown = json.loads(nsinit('status', '-C', ROOT, '--json').stdout)
        self.assertEqual((shown['limits'], shown['session_limits']), ({}, each))
        self.assertEqual(shown['limits_not_kept'], ', '.join(f'session {name}' for name in each))
        self.assertIn('\nlimits:      none\na session:   memory.max=32M memory.swap.max=0 cpu.max=50% pids.max=20\n'
                      'not kept:    session memory.max, ', nsinit('status', '-C', ROOT).stdout)

    def test_the_log_tells_of_it(self):
        self.session()
        self.logged(rf'cgroup={MOUNT}{re.escape(self.group())} each session memory\.max=32M memory\.swap\.max=0 '
                    r'cpu\.max=50% pids\.max=20')

    def test_without_them_there_are_none(self):
        container('alice', {**SPEC, 'resources': {'pids': {'max': 50}}})
        self.rule('resources = "best-effort";')
        self.session()
        self.assertEqual(self.groups(), {})
        self.assertIn(wait_nspid(ROOT), self.members())

    def test_many_at_a_time(self):
        self.session()
        clients = [subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'hostname'],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(8)]
        self.assertEqual([c.communicate()[0] for c in clients], ['inside\n'] * 8)
        self.left(1)


class Init(Case):
    """Process 1 of a login container, which nobody inside makes do anything: see tests/machine for why."""

    def test_root_inside_gets_no_hold_of_it(self):
        container('alice', SPEC)
        self.rule()
        self.session()
        for path in ('mem', 'maps', 'environ', 'exe', 'fd', 'root', 'ns/pid'):
            done = exec_in(ROOT, 'sh', '-c', f'id -u; ls -lL /proc/1/{path}; cat /proc/1/{path}')
            self.assertEqual(done.stdout.split('\n')[0], '0')
            self.assertRegex(done.stderr, 'Permission denied|Operation not permitted', path)
        self.assertEqual(exec_in(ROOT, 'cat', '/proc/1/comm').stdout, 'nsinit-init\n')
