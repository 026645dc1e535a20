"""Limits of a container: memory, processors, processes and block devices."""
import json
import os
import re
import signal
import statistics
import subprocess
import time

from machine import GROUPS, HOG, LOOP, ROOT, SLOW, Case, until
import host
from host import ROOTS, SPEC, container, exec_in, nsinit, run, ssh


EVERY = {'memory': {'max': '64M', 'high': '48M', 'swap': '8M'}, 'cpu': {'max': '30000/60000', 'weight': 50},
         'pids': {'max': 60}, 'io': {'weight': 70}}
WRITTEN = {'memory.max': str(64 << 20), 'memory.high': str(48 << 20), 'memory.swap.max': str(8 << 20),
           'cpu.max': '30000 60000', 'cpu.weight': '50', 'pids.max': '60', 'io.weight': 'default 70'}


class Limits(Case):
    def read_back(self, *command):
        """What a process of the container finds of its own group, the hierarchy being mounted in /mnt."""
        return ['sh', '-c', 'cd /mnt$(sed -n s/^0:://p /proc/self/cgroup); pwd; ' + '; '.join(
            f'echo {name} $(head -n 1 {name})' for name in WRITTEN) + '; ' + ' '.join(command)]

    def test_every_key_in_a_spawn_and_in_a_join(self):
        container('alice', {**SPEC, 'resources': EVERY,
                            'mounts': [{'type': 'bind', 'source': GROUPS, 'target': '/mnt', 'readonly': True}]})
        expected = [f'/mnt{self.group()}'] + [f'{name} {value}' for name, value in WRITTEN.items()]
        spawned = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, '--', *self.read_back('echo in;', 'read x')],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(spawned.communicate)
        self.assertEqual([spawned.stdout.readline().strip() for _ in expected], expected)
        self.assertEqual(spawned.stdout.readline(), 'in\n')
        self.assertEqual(exec_in(ROOT, *self.read_back('true')).stdout.strip().split('\n'), expected)
        # And of a login, whose pid 1 is another.
        spawned.communicate()
        self.rules(f'limits: {{ mounts = [ "{GROUPS}" ]; }};')
        self.assertEqual(ssh('alice', self.read_back('true')[-1]).stdout.strip().split('\n'), expected)

    def test_they_are_set_and_hold_for_every_process(self):
        self.session('alice', 'echo in; exec sleep 4242')
        self.assertEqual([self.value(f) for f in ('memory.max', 'memory.swap.max', 'cpu.max', 'cpu.weight', 'pids.max')],
                         [str(64 << 20), '0', '50000 100000', '50', '60'])
        self.assertIn('default 50', self.value('io.weight'))
        for pid in (host.wait_nspid(ROOT), run('pgrep -f "^sleep 4242"').stdout.strip()):
            self.assertEqual(self.group_of(pid), self.group())

    def test_stats(self):
        self.session('alice', 'dd if=/dev/zero of=/tmp/file bs=64k count=20 2>/dev/null; sync; echo in; exec sleep 1000')
        shown = json.loads(nsinit('stats', '-C', ROOT, '--json').stdout)
        print(f'# {shown}', flush=True)
        for name in ('memory.current', 'memory.max', 'cpu.usage_usec', 'pids.current', 'pids.max', 'io.wbytes',
                     'pressure.cpu', 'pressure.memory', 'pressure.io'):
            self.assertIn(name, shown)
        self.assertEqual(shown['pids.max'], 60)
        self.assertGreaterEqual(shown['io.wbytes'], 20 * 65536)
        lines = nsinit('stats', '-C', ROOT).stdout
        for name in shown:
            self.assertRegex(lines, rf'(?m)^{name} +[0-9.]+$')

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
        hog = ssh('alice', f'{HOG}; echo "status $?"', timeout=180)
        self.assertIn('status 137', hog.stdout)
        other.stdin.write('still here\n')
        other.stdin.flush()
        self.assertEqual(other.stdout.readline(), 'still here\n')
        self.logged(r'reason=limit out of memory: processes killed: 1 \(memory\.max=64M\): awk\[\d+\]')
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
