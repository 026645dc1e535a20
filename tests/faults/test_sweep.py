"""Every system call of a scenario fails, or its process is killed at it. See README.md."""
import collections
import glob
import json
import os
import subprocess
import unittest

import scenarios
from host import run

SHARDS = os.cpu_count() or 2
FAULTS = os.environ.get('NSINIT_FAULTS', 'some')  # "some", "more", "all"
# The three that between them make every step: both ways in of a login, a spawn and a join, by the module, the shell and the command.
CRITICAL = ('sshd', 'shell', 'exec-beside')
RESULTS = 'build/faults'  # a line for each fault, while a sweep goes on
MODULE = 'pam_nsinit/pam_nsinit.c'
# What a careless module would be like: where it leaves out what, the scenario and the faults that must show it, and how.
REFUSES = ('login->user,\n\t\tnsi_error_text(&err, text, sizeof(text)));\n', '\t_exit(REFUSED);\n')
CLOSES = ('\tif (r < 0) {\n', '\t\tnsi_session_close(login->session);\n')
CARELESS = {
    'whose child goes on when it could not join': (REFUSES, 'first', r'^0\.2 setns .* EPERM', 'ON THE HOST'),
    'that keeps what it has opened when it refuses': (CLOSES, 'first', r'^0 (unshare|move_mount) ', 'descriptors more'),
}


class Sweep(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        scenarios.build()
        os.makedirs(RESULTS, exist_ok=True)

    def run_sweep(self, name, which, *only):
        """In as many hosts of their own as there are processors. The results."""
        argv = ['unshare', '--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child', 'sh', '-c', '"$@"; exit $?', 'sh',
                'python3', 'tests/faults/sweep.py', name]
        shards = []
        for n in range(SHARDS):
            with open(f'{RESULTS}/{name}.{n}', 'w') as out:
                shards.append(subprocess.Popen([*argv, str(n), str(SHARDS), which, *only], stdout=out, stderr=subprocess.PIPE, text=True))
        for n, shard in enumerate(shards):
            _, error = shard.communicate()
            self.assertEqual(shard.returncode, 0, error)
            with open(f'{RESULTS}/{name}.{n}') as out:
                for line in out.readlines()[1:]:
                    yield json.loads(line)

    def sweep(self, name):
        counts, slowest = collections.Counter(), 0
        for result in self.run_sweep(name, 'all' if FAULTS == 'all' else 'some'):
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

    def install(self, text):
        """The module of that source."""
        target = glob.glob('/lib/*/security/pam_nsinit.so')[0]
        self.addCleanup(run, ['make', 'install'])
        run('eval "gcc $(make -s flags) -fPIC -iquote pam_nsinit -c -x c - -o /root/careless.o"', input=text)
        run(f'rm -f {target} && gcc -shared -Wl,--version-script=pam_nsinit/pam_nsinit.map -o {target} /root/careless.o '
            '$(ls build/obj/pam_nsinit/*.o | grep -v /pam_nsinit.o) build/libcore.a -lpam $(pkg-config --libs libconfig json-c libcap libmnl libseccomp)')

    def test_control(self):
        """Careless modules, each with a precaution left out: the sweep finds them."""
        with open(MODULE) as f:
            source = f.read()
        for what, ((where, without), scenario, only, how) in CARELESS.items():
            with self.subTest(module=what):
                self.assertEqual(source.count(where + without), 1)
                self.install(source.replace(where + without, where))
                found = [r for r in self.run_sweep(scenario, 'all', only) if any(how in wrong for wrong in r['wrong'])]
                self.assertGreater(len(found), 0)


def add(name):
    method = f'test_{name.replace("-", "_")}'
    setattr(Sweep, method, lambda self: self.sweep(name))
    getattr(Sweep, method).__doc__ = None


for scenario in scenarios.SCENARIOS if FAULTS != 'some' else CRITICAL:
    add(scenario)
