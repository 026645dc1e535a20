"""Each allocation fails in turn, alone or with all that follow it. See README.md."""
import collections
import glob
import os
import re
import subprocess
import unittest

import scenarios
from host import ROOTS, container, run, wait_nothing_left, write
from sweep import plain

FAULTS = os.environ.get('NSINIT_FAULTS', 'some')
STEPS = {'some': 10, 'more': 100}  # so many allocations of all, evenly; else each
FAIL_AT, MADE, FAILED, MARK = '/tmp/fail-at', '/tmp/allocations', '/tmp/failed', '/tmp/ran'
SANITIZED = 'CFLAGS=-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all'
LIBRARIES = '$(pkg-config --libs libconfig json-c libcap libmnl libseccomp)'


NO_MEMORY = 'Cannot allocate memory'


def ended_by(done):
    """README.md. libconfig, or what it calls of the C library's strings; the C library's name services. Nothing else may end a process."""
    if re.search(r'Sanitizer: SEGV [^#]*(#0 .*multiarch/str.*\n +)?#[01] .*/libconfig\.so', done.stderr) or \
            (done.returncode == 2 and 'out of dynamic memory in' in done.stderr):
        return 'ended by libconfig'
    if re.search(r'Sanitizer: SEGV [^#]*#0 .* nss/nss_\w+\.c', done.stderr) or \
            (done.returncode == 127 and 'cannot allocate memory for thread-local data: ABORT' in done.stderr) or \
            (done.returncode == -6 and re.search(r'nss_database\.c:\d+: |^Unexpected error\.$', done.stderr)):
        return 'ended by the C library'
    return None


def remove(path):
    if os.path.exists(path):
        os.unlink(path)
        return True
    return False


class Memory(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        scenarios.build()

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.addCleanup(remove, FAIL_AT)

    def link(self, build, program, *flags):
        """nsinit, with its own malloc(3)."""
        objects = ' '.join(f'{build}/obj/{name[:-2]}.o' for name in glob.glob('nsinit/*.c') + glob.glob('nsinit/*/*.c'))
        run(f'gcc {" ".join(flags)} -O1 -fno-builtin -D_GNU_SOURCE -c -o {build}/memory.o tests/faults/memory.c && '
            f'gcc {" ".join(flags)} -rdynamic -o {program} {objects} {build}/memory.o '
            f'{build}/libcore.a {LIBRARIES}')

    def number(self, name, once):
        """How many allocations there are without a fault."""
        write(FAIL_AT, f'{name} 0 once')
        remove(MADE)
        once()
        with open(MADE) as f:
            return int(f.read())

    def each(self, name, attempt):
        """`attempt(n)` with each of them failing, or with so many of them."""
        total = self.number(name, lambda: attempt(0))
        self.assertGreater(total, 3)
        results, numbers = collections.Counter(), range(1, total + 1, max(1, total // STEPS.get(FAULTS, total)))
        for how in ('once', 'on'):
            for n in numbers:
                write(FAIL_AT, f'{name} {n} {how}')
                remove(FAILED)
                with self.subTest(allocation=n, how=how):
                    result = attempt(n)
                    if not os.path.exists(FAILED):
                        result = 'not reached'
                    results[result] += 1
        print(f'{total} allocations, {dict(sorted(results.items()))} ... ', end='', flush=True)
        self.assertGreater(results['refused'], 2)
        self.assertLess(results['not reached'], 1 + sum(results.values()) / 20)


class Command(Memory):
    """Policy, container.json, plan and report, under sanitizers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run(['make', '-j2', 'BUILD=build/asan', SANITIZED, 'build/asan/bin/nsinit'], timeout=600)

    def setUp(self):
        super().setUp()
        self.scenario = scenarios.Full()
        container('carol', self.scenario.spec)
        run(f'mkdir -p {ROOTS}/data {ROOTS}/changes-of {ROOTS}/changes/upper {ROOTS}/changes/work')
        self.scenario.policy()
        self.link('build/asan', '/usr/bin/nsinit-memory', '-fsanitize=address,undefined')

    def same_or_refused(self, *argv):
        command = ['env', 'ASAN_OPTIONS=detect_leaks=0', '/usr/bin/nsinit-memory', *argv]
        expected = run(command).stdout

        def attempt(n):
            done = run(command, check=False)
            if ended_by(done):
                return ended_by(done)
            self.assertNotIn('Sanitizer', done.stderr)
            self.assertNotIn('runtime error', done.stderr)
            if done.returncode == 0 and '[group-unknown]' in done.stdout and '[group-unknown]' not in expected:
                return 'without a name service'  # one that could not be loaded has no answer; check warns of no more than that
            if done.returncode == 0 and NO_MEMORY not in done.stdout:
                self.assertEqual(done.stdout, expected)
                return 'the same'
            if done.returncode != 0:
                self.assertEqual(done.returncode, 125)
                self.assertNotEqual(done.stdout + done.stderr, '')  # with --json, there
            return 'refused'
        self.each(argv[0], attempt)

    def test_check_of_a_container(self):
        self.same_or_refused('check', f'{self.scenario.root}/container.json')

    def test_check_of_a_root_directory(self):
        self.same_or_refused('check', self.scenario.root)

    def test_check_as_json(self):
        self.same_or_refused('check', '--json', self.scenario.root)

    def test_check_of_a_policy(self):
        self.same_or_refused('check', '/etc/nsinit/nsinit.conf')

    def test_explain(self):
        self.same_or_refused('explain', 'carol')

    def test_explain_one_who_stays(self):
        self.same_or_refused('explain', 'bob')


class Login(Memory):
    def setUp(self):
        super().setUp()
        self.scenario = scenarios.Scenario()
        self.scenario.prepare()
        self.command = self.scenario.command
        self.expected = plain(run(self.command).stdout)
        wait_nothing_left()

    def in_or_refused(self, command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        self.assertFalse(remove(MARK), 'on the host')
        self.assertNotEqual(done.returncode, 99, done.stderr)
        write(FAIL_AT, 'nothing 0 once')
        wait_nothing_left()  # a supervisor that has come to its end without memory has none for others
        self.assertEqual(plain(run(self.command).stdout), self.expected, 'the next login')
        wait_nothing_left()
        out = plain(done.stdout)
        if out == self.expected:
            return 'in'
        self.assertEqual(out, '')
        return 'refused'

    def test_in_the_process_that_logs_in(self):
        run('gcc -O1 -fno-builtin -D_GNU_SOURCE -rdynamic -o /usr/bin/login-memory tests/faults/login.c tests/faults/memory.c -lpam')
        self.each('-', lambda n: self.in_or_refused(['/usr/bin/login-memory', *self.command[1:]]))

    def instrument(self):
        self.link('build', '/usr/libexec/nsinit/nsinit')
        self.addCleanup(run, ['make', 'install'])

    def test_in_the_supervisor(self):
        self.instrument()
        self.each('supervise', lambda n: self.in_or_refused(self.command))

    def test_in_nsinit_exec(self):
        self.instrument()
        command = scenarios.Exec().command
        self.command, self.expected = command, plain(run(command).stdout)
        self.each('exec', lambda n: self.in_or_refused(command))


del Memory
