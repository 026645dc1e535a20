"""What the attacks share: the program that is attacked, and the naive one that the same attack must defeat."""
import os
import signal
import subprocess
import unittest

import host
from host import ROOTS, SPEC, container, policy, run, until, wait_nothing_left, write

MARK = '/opt/only-on-the-host'
HOST, INSIDE = 'throwaway', 'inside'
ALL = ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP',
       'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
       'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE',
       'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
       'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF',
       'CHECKPOINT_RESTORE']
MAPPED = dict(SPEC, namespaces=SPEC['namespaces'] + ['NEWUSER'])


def strongest(spec=SPEC, **keys):
    """Root inside with every right that a container.json can leave it."""
    return dict(spec, capabilities={'keep': ALL}, seccomp='off', masked_paths=[], readonly_paths=[], **keys)


class Nsinit:
    """What is attacked. A tool spawns the container of a root directory, or joins it where it lives."""
    name, program = 'nsinit', '/usr/bin/nsinit'
    main = '/usr/libexec/nsinit/nsinit'  # what `program` executes

    def __init__(self, spec=SPEC):
        self.spec = spec
        self.spawner = self  # whose container it is that `live` has

    def argv(self, root, *command, user=None, workdir=None, terminal=False):
        options = [*(['-u', user] if user is not None else []), *(['-w', workdir] if workdir else []),
                   *([] if terminal else ['-T'])]
        return [self.program, 'exec', *options, '-C', root, '--', *command]


class Naive:
    """The control: tests/attacks/naive/nsinit-naive.c, with one precaution or several left out."""
    name, program, spec = 'naive', '/usr/bin/nsinit-naive', SPEC
    main = program

    def __init__(self, *switches, spawner=()):
        self.switches = switches
        self.spawner = Naive(*spawner) if spawner or switches else self

    def argv(self, root, *command, user=None, workdir=None, terminal=False):
        return [self.program, *self.switches, *(['-u', user] if user is not None else []),
                *(['-w', workdir] if workdir else []), root, *command]


def compile_once(source, output, *flags):
    if not os.path.exists(output):
        run(['gcc', '-O1', '-D_GNU_SOURCE', '-o', output, source, *flags])
    return output


class Attack(unittest.TestCase):
    """One number of the list each. `self.fails(attack, naive)` is the usual form."""
    maxDiff = None

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        compile_once('tests/attacks/naive/nsinit-naive.c', Naive.program)
        compile_once('tests/attacks/inside.c', '/usr/bin/inside', '-static')
        os.makedirs(MARK, exist_ok=True)
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])

    def fails(self, attack, naive, *programs):
        """`attack(tool)` returns what it has gained. It must gain from the naive program, and nothing from ours."""
        with self.subTest(against='naive'):
            self.assertTrue(self.attempt(attack, naive), 'this test cannot fail: the naive program withstands too')
        for n, tool in enumerate(programs or (Nsinit(), Nsinit(MAPPED))):
            with self.subTest(against=f'nsinit {n}'):
                gained = self.attempt(attack, tool)
                self.assertFalse(gained, f'gained: {gained}')

    def attempt(self, attack, tool):
        """With its own cleanups, so that the next attempt begins afresh."""
        outer, self._cleanups = self._cleanups, []
        try:
            return attack(tool)
        finally:
            self.doCleanups()
            wait_nothing_left()
            self._cleanups = outer

    def root(self, tool, name='attacked', **keys):
        """A fresh root directory for it, with the attacker's program in it."""
        path = container(name, dict(tool.spec, **keys))
        run(['cp', '/usr/bin/inside', f'{path}/bin/inside'])
        return path

    def start(self, tool, root, *command, **kwargs):
        """Run in the background until the test ends."""
        process = subprocess.Popen(tool.argv(root, *command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, **kwargs)
        self.addCleanup(process.stdout.close)  # not to its end: what a naive program leaves may hold it open
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def live(self, tool, root, script='', **kwargs):
        """A container whose pid 1 has run the script; its front process, and the host's pid of pid 1."""
        front = self.start(tool.spawner, root, 'sh', '-c', f'{script}\necho ready; sleep 1000', **kwargs)
        line = until(front.stdout.readline, 'a line of the container')
        while line and line != 'ready\n':
            line = front.stdout.readline()
        self.assertEqual(line, 'ready\n')
        pid = host.wait_nspid(root)
        self.addCleanup(self.kill, pid, front)
        return front, pid

    @staticmethod
    def kill(pid, front):
        if front.poll() is None:  # else the number may be another's already
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            front.wait(10)

    @staticmethod
    def use(tool, root, *command, timeout=10, user=None, workdir=None, **kwargs):
        """What a command prints that the tool brings inside; 'hung' when it does not end."""
        kwargs.setdefault('stdin', subprocess.DEVNULL)
        try:
            return run(tool.argv(root, *command, user=user, workdir=workdir), check=False, timeout=timeout, **kwargs).stdout
        except subprocess.TimeoutExpired:
            return 'hung'

    def holds(self, *names):
        """Live tests that cover the number, or a part of it, with controls of their own: MODULE.CLASS.TEST."""
        for name in names:
            with self.subTest(live=name):
                result = unittest.TestResult()
                unittest.defaultTestLoader.loadTestsFromName(name).run(result)
                self.assertEqual(result.failures + result.errors + result.skipped, [])
                self.assertEqual(result.testsRun, 1)


__all__ = ['ALL', 'Attack', 'HOST', 'INSIDE', 'MAPPED', 'MARK', 'Naive', 'Nsinit', 'ROOTS', 'SPEC', 'compile_once',
           'container', 'host', 'os', 'policy', 'run', 'signal', 'strongest', 'subprocess', 'until', 'write']
