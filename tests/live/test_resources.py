"""Limits of resources, as far as they can be seen on a host without the controllers: see tests/machine for the rest."""
import json
import os
import re
import signal
import subprocess
import unittest

import host
from host import (PORT, ROOTS, SPEC, SSH_OPTIONS, container, exec_in, nsinit, policy, run, ssh, until, wait_nothing_left,
                  wait_nspid)

ROOT = f'{ROOTS}/alice'
MOUNT = '/sys/fs/cgroup'
LIMITED = {**SPEC, 'resources': {'memory': {'max': '64M', 'swap': 0}, 'pids': {'max': 50}}}


class Case(unittest.TestCase):
    def setUp(self):
        container('alice', LIMITED)
        self.addCleanup(wait_nothing_left)
        self.log_from = len(host.log_text())

    def rule(self, options=''):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; {options} }}'])

    def logged(self, pattern):
        return until(lambda: re.search(pattern, host.log_text()[self.log_from:]), f'{pattern!r} in the log: '
                     + host.log_text()[self.log_from:])

    def session(self, command='echo in; sleep 1000'):
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', command],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), 'in\n')
        return client


class WithoutControllers(Case):
    """The throw-away host has no cgroup hierarchy mounted."""

    def test_a_limit_that_cannot_be_kept_is_refused(self):
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('limiting memory.max: the memory controller of cgroup v2 is not to be had', done.stderr)
        self.assertIn('set resources = "best-effort"', done.stderr)
        self.rule()
        self.assertNotEqual(ssh('alice', 'echo reached').stdout, 'reached\n')
        self.logged(r'reason=resources limiting memory\.max')

    def test_best_effort_logs_it(self):
        self.rule('resources = "best-effort";')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.logged(r'reason=resources not limited, for lack of a controller: memory.max, memory.swap.max, pids.max')
        self.rule('resources = "required";')
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)

    def test_without_limits_nothing_is_needed(self):
        container('alice', SPEC)
        self.rule()
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'inside\n')

    # ---------------------------------------------------------------- ceilings

    def test_a_ceiling_holds_where_container_json_says_nothing(self):
        container('alice', SPEC)
        self.rule('limits: { pids = 200; };')
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.logged(r'limiting pids\.max')

    def test_asking_for_more_is_refused(self):
        for limits, shown in (('memory = "32M";', 'memory.max=64M, and the policy allows 32M'),
                              ('pids = 49;', 'pids.max=50, and the policy allows 49')):
            self.rule(f'resources = "best-effort"; limits: {{ {limits} }};')
            self.assertNotEqual(ssh('alice', 'true').returncode, 0)
            self.logged(r'reason=limits .*asks for ' + shown)
        self.rule('resources = "best-effort"; limits: { memory = "64M"; pids = 50; cpu = "100%"; };')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_a_share_of_cpu_is_compared_as_a_share(self):
        for asked, most, allowed in (('50%', '100%', True), ('200%', '100%', False), ('30000/20000', '150%', True),
                                     ('30001/20000', '150%', False)):
            container('alice', {**SPEC, 'resources': {'cpu': {'max': asked}}})
            self.rule(f'resources = "best-effort"; limits: {{ cpu = "{most}"; }};')
            self.assertEqual(ssh('alice', 'true').returncode == 0, allowed, asked)
            wait_nothing_left()

    def test_clamp_logs_what_is_cut_down(self):
        self.rule('resources = "best-effort"; limits: { memory = "32M"; pids = 49; clamp = true; };')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.logged(r'reason=limits memory\.max=64M clamped to 32M, pids\.max=50 clamped to 49')

    def test_a_rule_s_limit_takes_the_place_of_the_defaults(self):
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = "alice"; rootfs = "{ROOT}"; limits: {{ memory = "2G"; }}; }}'],
               extra='defaults: { limits: { memory = "1G"; pids = 7; }; };')
        self.assertIn('limits:    memory.max=2G pids.max=7\n', nsinit('explain', 'alice').stdout)

    # ---------------------------------------------------------------- what is shown

    def test_check_and_explain_show_it(self):
        container('alice', {**SPEC, 'resources': {
            'memory': {'max': '512M', 'high': 400 << 20, 'swap': '0'}, 'cpu': {'weight': 50, 'max': '50%'},
            'pids': {'max': 100}, 'io': {'weight': 10}}})
        self.assertIn('resources:    memory.max=512M memory.high=400M memory.swap.max=0 cpu.weight=50 cpu.max=50% '
                      'pids.max=100 io.weight=10\n', nsinit('check', ROOT).stdout)
        self.rule('resources = "best-effort"; limits: { memory = "1G"; cpu = "30001/20000"; clamp = true; };')
        shown = nsinit('explain', 'alice').stdout
        self.assertIn('limits:    memory.max=1G cpu.max=30001/20000, more is cut down to it\n', shown)
        self.assertIn('resources: best-effort\n', shown)

    def test_list(self):
        container('alice', SPEC)
        self.rule()
        self.assertEqual(json.loads(nsinit('list', '--json').stdout), [])
        self.session()
        self.session()
        one, = json.loads(nsinit('list', '--json').stdout)
        self.assertEqual((one['pid1'], one['user'], one['rootfs'], one['sessions'], one['cgroup']),
                         (wait_nspid(ROOT), 'alice', ROOT, 2, ''))
        self.assertTrue(0 <= one['uptime'] < 30)
        lines = nsinit('list').stdout.split('\n')
        self.assertRegex(lines[1], rf'^{one["id"]} +{one["pid1"]} running alice +\d+s +2 .* {ROOT}$')

    def test_list_waits_for_no_dead_supervisor(self):
        container('alice', SPEC)
        self.rule()
        self.session()
        supervisor = int(run(f'ps -o ppid= -p {wait_nspid(ROOT)}').stdout)
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: json.loads(nsinit('list', '--json').stdout) == [], 'an empty list')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_stats_says_why_there_are_none(self):
        self.assertIn('its container does not run', nsinit('stats', '-C', ROOT).stderr)
        container('alice', SPEC)
        self.rule()
        self.session()
        done = nsinit('stats', '-C', ROOT)
        self.assertEqual(done.returncode, 125)
        self.assertIn('its container has no cgroup; give it "resources", or the rule "limits"', done.stderr)


class Grouped(Case):
    """Version 2 mounted, as far as this machine's kernel has controllers to spare for it: the groups can be seen."""

    settings = ''

    def setUp(self):
        os.makedirs(MOUNT, exist_ok=True)
        run(['mount', '-t', 'cgroup2', 'none', MOUNT])
        self.addCleanup(run, ['umount', MOUNT])
        super().setUp()
        self.addCleanup(self.no_group)
        self.rule(f'resources = "best-effort"; {self.settings}')

    def group(self):
        st = os.stat(ROOT)
        return f'/nsinit/{st.st_dev:x}-{st.st_ino:x}'

    def members(self):
        try:
            with open(f'{MOUNT}{self.group()}/cgroup.procs') as f:
                return [int(pid) for pid in f]
        except FileNotFoundError:
            return []

    def no_group(self):
        until(lambda: not os.path.exists(MOUNT + self.group()), 'the removal of the group')

    @staticmethod
    def group_of(pid):
        with open(f'/proc/{pid}/cgroup') as f:
            return re.search(r'^0::(.*)$', f.read(), re.M).group(1)


class InTheGroup(Grouped):
    def test_pid_1_and_a_login_are_in_it(self):
        self.session('echo in; exec sleep 4242')
        self.assertEqual(self.group_of(wait_nspid(ROOT)), self.group())
        sleep, = [int(p) for p in run('pgrep -f "^sleep 4242"').stdout.split()]
        self.assertEqual(self.group_of(sleep), self.group())
        # sshd's process for the connection, which is the user's, too; its monitor and the supervisor are not.
        self.assertGreaterEqual(len(self.members()), 3)
        self.assertNotIn(int(run(f'ps -o ppid= -p {wait_nspid(ROOT)}').stdout), self.members())
        self.assertNotIn(host.THE.sshd.pid, self.members())

    def test_exec_is_in_it_when_it_joins(self):
        self.session()
        self.assertIn(self.group() + '\n', exec_in(ROOT, 'cat', '/proc/self/cgroup').stdout)

    def test_who_comes_without_privilege_is_moved(self):
        self.session()
        done = run(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--clear-groups', '--', 'nsinit-shell', '-c',
                    'cat /proc/self/cgroup; ls -l /proc/self/fd 2>/dev/null; true'])
        self.assertIn(f'0::{self.group()}\n', done.stdout)
        self.assertNotIn('/sys/fs', done.stdout)

    def test_a_session_has_no_handle_on_the_group(self):
        shown = ssh('alice', 'ls -l /proc/self/fd /proc/$PPID/fd').stdout
        self.assertNotIn('cgroup', shown)
        shown = self.session('echo in; sleep 1000')
        for pid in self.members():
            links = run(f'ls -l /proc/{pid}/fd', check=False).stdout
            self.assertNotIn('/nsinit/', links)

    def test_a_namespace_of_its_own_has_the_group_for_a_root(self):
        container('alice', {**LIMITED, 'namespaces': SPEC['namespaces'] + ['NEWCGROUP']})
        self.assertRegex(ssh('alice', 'cat /proc/self/cgroup /proc/1/cgroup').stdout, r'(?ms)^0::/$.*^0::/$')

    def test_without_limits_there_is_none(self):
        container('alice', SPEC)
        self.session()
        self.assertFalse(os.path.exists(MOUNT + self.group()))
        self.assertNotIn('nsinit', self.group_of(wait_nspid(ROOT)))

    def test_its_end_kills_what_is_in_it(self):
        self.session()
        outsider = subprocess.Popen(['sleep', '1000'])  # in the group, but in no namespace of the container
        self.addCleanup(outsider.wait)
        with open(f'{MOUNT}{self.group()}/cgroup.procs', 'w') as f:
            f.write(str(outsider.pid))
        os.kill(wait_nspid(ROOT), signal.SIGKILL)
        self.assertEqual(outsider.wait(5), -signal.SIGKILL)
        self.no_group()

    def test_a_killed_supervisor_s_group_is_swept(self):
        self.session()
        supervisor = int(run(f'ps -o ppid= -p {wait_nspid(ROOT)}').stdout)
        os.kill(supervisor, signal.SIGKILL)
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.no_group()

    def test_a_limit_without_its_controller_leaves_no_group(self):
        self.rule('resources = "required";')
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.assertEqual(exec_in(ROOT, 'true').returncode, 125)
        self.no_group()

    def test_stats(self):
        self.session()
        shown = json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)
        self.assertGreater(shown['cpu.usage_usec'], 0)
        self.assertRegex(nsinit('stats', '-C', ROOT).stdout, r'(?m)^cpu\.usage_usec +\d+$')
        one, = json.loads(nsinit('list', '--json').stdout)
        self.assertEqual(one['cgroup'], MOUNT + self.group())

    def test_many_at_a_time(self):
        # The directory above goes with the last container, while the next one is made.
        for _ in range(10):
            self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
