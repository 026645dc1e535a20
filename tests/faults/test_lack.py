"""What the host lacks: room on the disk, the right to write, processes, descriptors. See README.md."""
import collections
import contextlib
import os
import resource

from cause import EVERYTHING, PROBE, Cause, exec_, ssh, su
from host import ROOTS, RUN_DIR, run, until, wait_nothing_left, write

PAGE = resource.getpagesize()
PIDS = '/root/pids'
GROUP = f'{PIDS}/nsinit-faults'


class Disk(Cause):
    """/run/nsinit on a file system of its own, of which so much is free: files, then bytes."""

    def setUp(self):
        super().setUp()
        self.lands()  # the directory is there
        wait_nothing_left()
        run(['mount', '-t', 'tmpfs', '-o', 'mode=0711', 'tmpfs', RUN_DIR])
        self.addCleanup(run, ['umount', '-l', RUN_DIR])
        self.lands()
        self.addCleanup(wait_nothing_left)

    @contextlib.contextmanager
    def files(self, free):
        used = os.statvfs(RUN_DIR)
        run(['mount', '-o', f'remount,nr_inodes={used.f_files - used.f_ffree + free}', RUN_DIR])
        try:
            yield
        finally:
            run(['mount', '-o', 'remount,nr_inodes=10000', RUN_DIR])

    @contextlib.contextmanager
    def pages(self, free):
        """The rest is taken by a file."""
        write(f'{RUN_DIR}/taken', 'x' * PAGE)
        used = os.statvfs(RUN_DIR)
        run(['mount', '-o', f'remount,size={(used.f_blocks - used.f_bfree + free) * PAGE}', RUN_DIR])
        try:
            yield
        finally:
            run(['mount', '-o', 'remount,size=10m', RUN_DIR])
            os.unlink(f'{RUN_DIR}/taken')

    @contextlib.contextmanager
    def readonly(self, _=None):
        """By a mount of its own: the kernel does not take the right to write from who has a file open for that, as a supervisor has."""
        run(f'mount --bind {RUN_DIR} {RUN_DIR} && mount -o remount,bind,ro {RUN_DIR}')
        try:
            yield
        finally:
            run(['umount', '-l', RUN_DIR])

    @contextlib.contextmanager
    def afresh(self, cause, value):
        """As after a boot: not even the directories are there."""
        run(f'rm -rf {RUN_DIR}/*')
        with cause(value):
            yield

    def test_no_files_are_left(self):
        self.each(range(0, 12), self.files)

    def test_no_files_are_left_after_a_boot(self):
        self.each(range(0, 14), lambda n: self.afresh(self.files, n))

    def test_no_files_are_left_for_su(self):
        self.each(range(0, 8), self.files, su('alice', PROBE))

    def test_no_files_are_left_for_exec(self):
        self.each(range(0, 6), self.files, exec_('alice', PROBE))

    def test_no_bytes_are_left(self):
        self.each(range(0, 4), self.pages)

    def test_no_room_while_a_session_is_open(self):
        """Who joins needs none, nor what is removed at the end."""
        for cause in (self.files, self.pages):
            first = self.held()
            with cause(0):
                self.assertEqual(self.attempt(), 'in')
                self.ends_in_order(first)
                wait_nothing_left()
            with cause(0):
                self.assertEqual(self.attempt(), 'refused')  # the control
            self.lands()
            wait_nothing_left()

    def test_run_is_read_only(self):
        self.each([0], self.readonly, both=False)
        self.each([0], lambda n: self.afresh(self.readonly, n), both=False)
        self.each([0], self.readonly, su('alice', PROBE), both=False)
        self.each([0], self.readonly, exec_('alice', PROBE), both=False)

    def test_run_becomes_read_only_while_a_session_is_open(self):
        """It ends all the same; what cannot be removed is no obstacle to the next."""
        first = self.held()
        with self.readonly():
            self.assertEqual(self.attempt(), 'refused')
            self.ends_in_order(first)
            until(lambda: not run(['pgrep', '-x', 'nsinit'], check=False).stdout, 'the end of the supervisor', 10)
            self.assertEqual(self.attempt(), 'refused')
        self.lands()


class Image(Cause):
    """The file system of the root directory: what is written there are .nspid and mount points."""
    rule = f'{{ user = "alice"; rootfs = "{ROOTS}/full/alice"; }}'

    def setUp(self):
        super().setUp()
        full = f'{ROOTS}/full'
        os.mkdir(full, 0o700)
        self.addCleanup(os.rmdir, full)
        run(['mount', '-t', 'tmpfs', '-o', 'mode=0700', 'tmpfs', full])
        self.addCleanup(run, ['umount', '-l', full])
        self.addCleanup(wait_nothing_left)
        run(['cp', '-a', self.root, full])
        self.root = f'{full}/alice'
        self.lands()  # with its mount points made
        wait_nothing_left()

    @contextlib.contextmanager
    def files(self, free):
        used = os.statvfs(self.root)
        run(['mount', '-o', f'remount,nr_inodes={used.f_files - used.f_ffree + free}', os.path.dirname(self.root)])
        try:
            yield
        finally:
            run(['mount', '-o', 'remount,nr_inodes=100000', os.path.dirname(self.root)])

    @contextlib.contextmanager
    def pages(self, free):
        used = os.statvfs(self.root)
        run(['mount', '-o', f'remount,size={(used.f_blocks - used.f_bfree + free) * PAGE}', os.path.dirname(self.root)])
        try:
            yield
        finally:
            run(['mount', '-o', 'remount,size=100m', os.path.dirname(self.root)])

    @contextlib.contextmanager
    def readonly(self, _):
        run(['mount', '-o', 'remount,ro', os.path.dirname(self.root)])
        try:
            yield
        finally:
            run(['mount', '-o', 'remount,rw', os.path.dirname(self.root)])

    def test_no_files_are_left(self):
        self.each(range(0, 4), self.files)

    def test_no_bytes_are_left(self):
        self.each(range(0, 4), self.pages)

    def test_it_is_read_only(self):
        self.each([0], self.readonly, both=False)


class Processes(Cause):
    """A control group that sshd and all that it starts are in, and that so many processes fit into."""

    def setUp(self):
        super().setUp()
        os.makedirs(PIDS, exist_ok=True)
        # Version 1 where the kernel has the controller there, else version 2.
        if run(['mount', '-t', 'cgroup', '-o', 'pids', 'pids', PIDS], check=False).returncode != 0:
            run(['mount', '-t', 'cgroup2', 'none', PIDS])
            write(f'{PIDS}/cgroup.subtree_control', '+pids')
        self.addCleanup(run, ['umount', '-l', PIDS])
        os.makedirs(GROUP, exist_ok=True)
        self.addCleanup(until, self.removed, 'the removal of the group')

    @staticmethod
    def removed():
        with contextlib.suppress(OSError):
            os.rmdir(GROUP)
        return not os.path.exists(GROUP)

    @contextlib.contextmanager
    def at_most(self, n):
        write(f'{GROUP}/pids.max', str(n))
        yield
        write(f'{GROUP}/pids.max', 'max')

    def within(self, command):
        """This process's shell goes into the group, and becomes the command there."""
        return ['sh', '-c', f'echo $$ >{GROUP}/cgroup.procs && exec "$@"', '-', *command]

    def test_none_are_left(self):
        argv = [a if not a.startswith('ProxyCommand=') else
                f'ProxyCommand=sh -c "echo 0 >{GROUP}/cgroup.procs; exec {a.split("=")[1]}"' for a in ssh('alice', PROBE)]
        self.each(range(1, 14), self.at_most, argv)

    def test_none_are_left_for_exec(self):
        self.each(range(1, 8), self.at_most, self.within(exec_('alice', PROBE)))

    def test_none_are_left_for_su(self):
        self.each(range(1, 9), self.at_most, self.within(su('alice', PROBE)))


class Descriptors(Cause):
    def limited(self, numbers, attempt):
        counts = collections.Counter()
        for n in numbers:
            with self.subTest(n=n):
                counts[attempt(n)] += 1
        print(f'{dict(sorted(counts.items()))} ... ', end='', flush=True)
        self.assertGreater(counts['refused'], 0)
        self.assertGreater(counts['in'], 0)

    def test_of_sshd(self):
        def attempt(n):
            result = self.attempt(ssh('alice', PROBE, [f'--nofile={n}:{n}']))
            self.lands()
            wait_nothing_left()
            return result
        self.limited(range(4, 44, 1 if EVERYTHING else 3), attempt)

    def test_of_a_supervisor_that_starts(self):
        """It takes the limits of the host's pid 1, whatever its starter's are."""
        before = run(['prlimit', '--pid', '1', '--nofile', '--raw', '--noheadings', '-o', 'SOFT,HARD']).stdout.split()
        self.addCleanup(run, ['prlimit', '--pid', '1', f'--nofile={":".join(before)}'])

        def attempt(n):
            run(['prlimit', '--pid', '1', f'--nofile={n}:{before[1]}'])
            result = self.attempt()
            run(['prlimit', '--pid', '1', f'--nofile={":".join(before)}'])
            self.lands()
            wait_nothing_left()
            return result
        self.limited(range(4, 36, 1 if EVERYTHING else 4), attempt)

    def test_of_a_supervisor_that_has_a_session(self):
        """Its sessions go on; who comes waits until there is one to be had, or until the deadline."""
        first = self.held()
        supervisor = self.supervisor()
        used = max(map(int, os.listdir(f'/proc/{supervisor}/fd'))) + 1

        def attempt(n):
            run(['prlimit', '--pid', str(supervisor), f'--nofile={used + n}:20000'])
            result = self.attempt()
            run(['prlimit', '--pid', str(supervisor), '--nofile=1024:20000'])
            self.lands()
            return result
        self.limited(range(0, 8, 1 if EVERYTHING else 2), attempt)
        self.ends_in_order(first)
