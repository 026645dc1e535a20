"""Every system call of a scenario fails, or its process is killed at it. See README.md."""
import collections
import json
import os
import subprocess
import unittest

import scenarios

SHARDS = os.cpu_count() or 2
WHICH = 'all' if os.environ.get('NSINIT_FAULTS') == 'all' else 'some'


class Sweep(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        scenarios.build()

    def sweep(self, name):
        """In as many hosts of their own as there are processors."""
        argv = ['unshare', '--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child', 'sh', '-c', '"$@"; exit $?', 'sh',
                'python3', 'tests/faults/sweep.py', name]
        shards = [subprocess.Popen([*argv, str(n), str(SHARDS), WHICH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                  for n in range(SHARDS)]
        counts, slowest = collections.Counter(), 0
        for shard in shards:
            out, error = shard.communicate()
            self.assertEqual(shard.returncode, 0, error)
            for line in out.splitlines()[1:]:
                result = json.loads(line)
                counts[result['result']] += 1
                slowest = max(slowest, result['seconds'])
                with self.subTest(at=result['at'], what=result['what']):
                    self.assertEqual(result['wrong'], [], result)
        print(f'{name}: {sum(counts.values())} faults, {dict(sorted(counts.items()))}, the slowest took {slowest} s ... ',
              end='', flush=True)
        # A sweep whose faults do not happen shows nothing.
        self.assertGreater(counts['refused'], 20)
        self.assertGreater(counts['in'], 5)
        self.assertLess(counts['not reached'], sum(counts.values()) / 20)


def add(name):
    method = f'test_{name.replace("-", "_")}'
    setattr(Sweep, method, lambda self: self.sweep(name))
    getattr(Sweep, method).__doc__ = None


for scenario in scenarios.SCENARIOS:
    add(scenario)
