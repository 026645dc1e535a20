"""In the machine, as a service of its systemd: what nsinit needs of a real host. python3 tests/machine/inside.py [NAME...]"""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
from host import KEY, PORT, ROOTS, SPEC, SSH_OPTIONS, container, exec_in, nsinit, policy, run, ssh, write  # noqa: E402

GROUPS = '/sys/fs/cgroup'
ROOT = f'{ROOTS}/alice'
LIMITS = {'memory': {'max': '64M', 'swap': 0}, 'cpu': {'max': '50%', 'weight': 50}, 'pids': {'max': 60},
          'io': {'weight': 50}}
SLOW = 60  # seconds that anything may take in software emulation
LOOP = 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'


def until(condition, what, seconds=SLOW):
    return host.until(condition, what, seconds)


def journal(*options):
    return run(['journalctl', '-q', '--no-pager', '-o', 'short', *options]).stdout


# For a source without units.
UNITS = {
    'nsinitd.socket': '[Socket]\nListenSequentialPacket=/run/nsinit/doors/nsinitd\nSocketMode=0666\n'
                      'DirectoryMode=0711\nRemoveOnStop=yes\n',
    'nsinitd.service': '[Service]\nExecStart=/usr/sbin/nsinitd\nKillMode=process\nDelegate=yes\n',
}


def set_up():
    started = time.monotonic()
    run('make -j2 && make install', timeout=600)
    print(f'# built and installed in {time.monotonic() - started:.0f} s', flush=True)
    os.makedirs(ROOTS, mode=0o700, exist_ok=True)
    run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', KEY])
    for name in ('alice', 'bob', 'carol'):
        run(['useradd', '-m', '-s', '/bin/sh', name])
        ssh_dir = f'/home/{name}/.ssh'
        os.makedirs(ssh_dir, mode=0o700)
        run(f'cp {KEY}.pub {ssh_dir}/authorized_keys && chown -R {name}: {ssh_dir}')
    with open('/etc/pam.d/sshd') as f:
        stack = f.read().replace('@include common-auth\n', '@include common-auth\nauth optional pam_nsinit.so\n')
    write('/etc/pam.d/sshd', stack + 'session required pam_nsinit.so\n')
    write('/etc/ssh/sshd_config.d/test.conf', f'Port {PORT}\n')
    for name, text in UNITS.items():
        if os.path.exists(f'etc/systemd/{name}'):
            with open(f'etc/systemd/{name}') as f:
                text = f.read()
        write(f'/etc/systemd/system/{name}', text)
    run('systemctl daemon-reload && systemctl restart ssh.service && systemctl start nsinitd.socket')
    until(lambda: host.Host.listening(PORT), 'sshd listening')


class Case(unittest.TestCase):
    def setUp(self):
        container('alice', {**SPEC, 'resources': LIMITS})
        container('bob')
        self.rules()
        self.addCleanup(self.ended)
        self.since = run(['date', '+%Y-%m-%d %H:%M:%S']).stdout.strip()

    def rules(self, alice=''):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; {alice} }}',
                f'{{ user = "bob"; rootfs = "{ROOTS}/bob"; }}', f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; }}'])

    def ended(self):
        """Every container's end, and with the last one that of the directory above their groups."""
        until(host.nothing_left, 'the end of every container: ' + run('ps -eo pid,ppid,stat,args').stdout[-3000:])
        until(lambda: not os.path.exists(f'{GROUPS}/nsinit'), 'the removal of the groups')

    def session(self, user, command):
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', command],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), 'in\n')
        return client

    def group(self, name='alice'):
        st = os.stat(f'{ROOTS}/{name}')
        return f'/nsinit/{st.st_dev:x}-{st.st_ino:x}'

    def value(self, file):
        with open(f'{GROUPS}{self.group()}/{file}') as f:
            return f.read().strip()

    def logged(self, pattern):
        return until(lambda: re.search(pattern, journal('--since', self.since)),
                     f'{pattern} in the journal: ' + journal('-n', '30'))

    @staticmethod
    def group_of(pid):
        with open(f'/proc/{pid}/cgroup') as f:
            return f.read().strip().removeprefix('0::')


class Host(Case):
    def test_it_is_the_host_that_was_meant(self):
        with open('/proc/1/comm') as f:
            self.assertEqual(f.read(), 'systemd\n')
        with open(f'{GROUPS}/cgroup.controllers') as f:
            self.assertLessEqual({'memory', 'cpu', 'pids', 'io'}, set(f.read().split()))
        self.assertIn('pam_systemd.so', run('cat /etc/pam.d/common-session').stdout)
        print('# ' + run('uname -r; systemctl --version | head -1').stdout.replace('\n', '; '), flush=True)

    def test_a_login_lands_inside_and_logind_knows_it(self):
        client = self.session('alice', 'echo in; hostname; cat /proc/1/comm; read x')
        self.assertEqual(client.stdout.readline() + client.stdout.readline(), 'inside\nnsinit-init\n')
        self.assertIn(' alice ', run('loginctl list-sessions').stdout)
        scopes = [self.group_of(pid) for pid in run('pgrep -f "^sshd(-session)?: alice"').stdout.split()]
        self.assertTrue(any(re.search(r'/session-\w+\.scope$', s) for s in scopes), scopes)
        self.assertIn(self.group(), scopes)
        client.communicate('\n', timeout=SLOW)

    def test_the_journal_has_what_happened(self):
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.logged(r'nsinit\[\d+\]: container=\S+ pid=\d+ user=alice rootfs=/srv/nsinit/alice started')
        self.logged(r'nsinit\[\d+\]: container=\S+ cgroup=/sys/fs/cgroup/nsinit/\S+ memory.max=64M ')
        self.logged(r'nsinit\[\d+\]: container=\S+ rootfs=\S+ ended: no session is left')
        self.assertIn('user=alice', journal('-t', 'sshd', '-t', 'sshd-session', '--since', self.since))

    def test_a_container_outlives_logind_s_session(self):
        self.rules('lifetime = 3600;')
        first = ssh('alice', 'readlink /proc/self/ns/pid').stdout
        time.sleep(2)
        self.assertEqual(ssh('alice', 'readlink /proc/self/ns/pid').stdout, first)
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout), signal.SIGTERM)


class Limits(Case):
    def test_they_are_set_and_hold_for_every_process(self):
        self.session('alice', 'echo in; exec sleep 4242')
        self.assertEqual([self.value(f) for f in ('memory.max', 'memory.swap.max', 'cpu.max', 'cpu.weight', 'pids.max')],
                         [str(64 << 20), '0', '50000 100000', '50', '60'])
        self.assertIn('default 50', self.value('io.weight'))
        for pid in (host.wait_nspid(ROOT), run('pgrep -f "^sleep 4242"').stdout.strip()):
            self.assertEqual(self.group_of(pid), self.group())

    def test_stats(self):
        self.session('alice', 'echo in; dd if=/dev/zero of=/tmp/file bs=64k count=20 2>/dev/null; sync; exec sleep 1000')
        shown = json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)
        print(f'# {shown}', flush=True)
        for name in ('memory.current', 'memory.max', 'cpu.usage_usec', 'pids.current', 'pids.max', 'io.wbytes',
                     'pressure.cpu', 'pressure.memory', 'pressure.io'):
            self.assertIn(name, shown)
        self.assertEqual(shown['pids.max'], 60)

    def test_a_fork_bomb_stops_at_pids_max(self):
        client = self.session('alice', 'echo in; bomb() { bomb | bomb & }; bomb; sleep 1000')
        until(lambda: 'max 0' not in self.value('pids.events'), 'a refused fork')
        for _ in range(10):
            self.assertLessEqual(int(self.value('pids.current')), 61)  # who joins is let in at the limit
            time.sleep(0.1)
        self.assertEqual(ssh('bob', 'hostname').stdout, 'inside\n')
        self.assertEqual(exec_in(ROOT, 'true').returncode, 125 if self.value('pids.current') == '60' else 0)
        self.logged(r'reason=limit too many processes: forks refused: \d+ \(pids.max=60\)')
        start = time.monotonic()
        os.kill(host.wait_nspid(ROOT), signal.SIGKILL)
        self.ended()
        print(f'# the end of a fork bomb took {time.monotonic() - start:.1f} s', flush=True)
        client.wait(SLOW)

    def test_a_memory_hog_is_killed_and_nobody_else(self):
        other = self.session('alice', 'echo in; while read line; do echo "$line"; done')
        hog = ssh('alice', 'awk "BEGIN { for (i = 0; ; i++) a[i] = i }"; echo "status $?"', timeout=180)
        self.assertIn('status 137', hog.stdout)
        other.stdin.write('still here\n')
        other.stdin.flush()
        self.assertEqual(other.stdout.readline(), 'still here\n')
        self.logged(r'reason=limit out of memory: processes killed: 1 \(memory.max=64M\)')
        self.assertEqual(nsinit('stats', '-C', ROOT).stdout.count('memory.oom_kill      1\n'), 1)

    def test_another_container_is_not_slowed_down(self):
        def seconds():
            start = time.monotonic()
            self.assertEqual(exec_in(f'{ROOTS}/bob', 'sh', '-c', LOOP).returncode, 0)
            return time.monotonic() - start

        self.session('bob', 'echo in; exec sleep 1000')
        alone = min(seconds() for _ in range(5))  # of the tries, the one with the least of other things
        self.session('alice', 'echo in; for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait')
        beside = min(seconds() for _ in range(5))
        print(f'# a loop in one container: {alone:.2f} s alone, {beside:.2f} s beside eight in another', flush=True)
        self.assertLess(beside, 2 * alone)
        self.assertGreater(int(re.search(r'nr_throttled (\d+)', self.value('cpu.stat')).group(1)), 0)

    def test_what_a_group_costs(self):
        def milliseconds(name):
            times = []
            for _ in range(7):
                start = time.monotonic()
                ssh(name, 'true')
                times.append(1000 * (time.monotonic() - start))
            return statistics.median(times)

        self.session('alice', 'echo in; exec sleep 1000')
        self.session('bob', 'echo in; exec sleep 1000')
        print(f'# a login to a live container: {milliseconds("alice"):.0f} ms with a group, '
              f'{milliseconds("bob"):.0f} ms without', flush=True)

    def test_a_ceiling_holds_without_container_json(self):
        container('alice')
        self.rules('limits: { memory = "1G"; pids = 200; cpu = "100%"; };')
        self.session('alice', 'echo in; exec sleep 1000')
        self.assertEqual([self.value(f) for f in ('memory.max', 'cpu.max', 'pids.max')],
                         [str(1 << 30), '100000 100000', '200'])


class Units(Case):
    def setUp(self):
        super().setUp()
        container('carol', {**SPEC, 'resources': LIMITS})

    def enter(self, command):
        return run(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--clear-groups', '--', 'nsinit-shell', '-c', command],
                   check=False, timeout=SLOW)

    def test_the_socket_starts_nsinitd(self):
        run('systemctl stop nsinitd.service')
        done = self.enter('hostname; cat /proc/self/cgroup')
        self.assertEqual(done.stdout, f'inside\n0::{self.group("carol")}\n', done.stderr + journal('-n', '20'))
        self.assertEqual(run('systemctl is-active nsinitd.service').stdout, 'active\n')

    def test_nsinitd_starts_again_while_a_container_lives(self):
        shell = subprocess.Popen(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--clear-groups', '--', 'nsinit-shell',
                                  '-c', 'echo in; read x; echo "$x"'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(shell.kill)
        self.assertEqual(shell.stdout.readline(), 'in\n')
        run('systemctl restart nsinitd.service')
        self.assertEqual(self.enter('hostname').stdout, 'inside\n')
        self.assertEqual(shell.communicate('lives\n', timeout=SLOW)[0], 'lives\n')

    def test_groups_are_below_what_is_delegated(self):
        # What DelegateSubgroup= does, which this systemd lacks: the processes of the unit in a group below it.
        write('/run/delegated', 'cd /sys/fs/cgroup/system.slice/nsinit-delegated.service && mkdir sub && '
              f'echo $$ >sub/cgroup.procs && nsinit exec -C {ROOT} -- cat /proc/self/cgroup >/run/delegated.out 2>&1\n'
              'rmdir nsinit 2>/dev/null; ls >>/run/delegated.out')
        run('systemd-run --wait --unit=nsinit-delegated -p Delegate=yes sh /run/delegated', timeout=SLOW)
        with open('/run/delegated.out') as f:
            shown = f.read()
        self.assertIn(f'0::/system.slice/nsinit-delegated.service{self.group()}\n', shown)
        self.assertNotIn('nsinit\n', shown)

    def test_a_unit_that_hands_on_controllers_cannot_start_again(self):
        # Why the group of nsinitd itself, with systemd 252, is no place for containers.
        write('/etc/systemd/system/handed.service', '[Service]\nDelegate=yes\nKillMode=process\nRestart=no\nExecStart=sh -c '
              '"cd /sys/fs/cgroup/system.slice/handed.service && mkdir -p a b && echo $$$$ >a/cgroup.procs; '
              '[ -e /run/handed ] || { sleep 1000 & echo $! >b/cgroup.procs; echo +memory >cgroup.subtree_control; '
              'touch /run/handed; }; sleep 1000"\n')
        run('systemctl daemon-reload && systemctl start handed.service')
        until(lambda: os.path.exists('/run/handed'), 'the controllers handed on')
        run('systemctl restart handed.service', check=False)
        time.sleep(3)
        state = run('systemctl is-active handed.service', check=False).stdout
        run('echo 1 >/sys/fs/cgroup/system.slice/handed.service/cgroup.kill; systemctl stop handed.service', check=False)
        self.assertEqual(state, 'failed\n')


class Result(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    set_up()
    suite = unittest.TestSuite()
    for case in (Host, Limits, Units):
        suite.addTests(t for t in unittest.defaultTestLoader.loadTestsFromTestCase(case)
                       if not sys.argv[1:] or any(name in t.id() for name in sys.argv[1:]))
    result = unittest.TextTestRunner(resultclass=Result, verbosity=2, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f'{result.passed} passed, {failed} failed, {len(result.skipped)} skipped', flush=True)


main()
