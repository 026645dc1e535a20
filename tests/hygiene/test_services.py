"""As su, login and display managers do it."""
from calls import *


class Join(Case):
    """As su does it: the process that opens the session is inside from then on."""

    def test_what_changes(self):
        told = self.steps('service=su start setcred snap open compare=ENTER fork groups drop exec=hostname done snap setcred',
                          'close compare=CLOSED delcred end')
        self.assertIn('inside', told.lines)
        fresh = [rest for _, topic, rest in told.changes('ENTER') if topic == 'fd']
        self.assertEqual(len(fresh), 1, told)
        self.assertRegex(fresh[0], r'^\d+ flags=1/2 socket:')
        self.assertEqual(told.topics('ENTER') - {'map', 'keyring'}, {
            'fd', 'cwd', 'root', 'mount', *(f'namespace {n}' for n in ('mnt', 'pid', 'net', 'ipc', 'uts', 'user')), 'attribute dumpable',
            *(f'status {n}' for n in ('CapBnd', 'CapEff', 'CapPrm', 'Groups', 'Seccomp', 'Seccomp_filters'))}, told)
        # The container ends with the session, and takes its .nspid along: sooner or later.
        self.assertEqual([rest for _, topic, rest in told.changes('CLOSED') if '/.nspid ' not in rest], fresh, told)

    def test_strange_process(self):
        told = self.steps('service=su strange start setcred open heard fork groups drop exec=hostname done close end')
        self.assertIn('inside', told.lines)
        self.assertIn('heard of 0 children', told.lines)

    def test_twice_and_without_close(self):
        told = self.steps('service=su start setcred snap open open fork groups drop exec=hostname done close close end')
        self.assertEqual(told.results('open'), [0, 0], told)
        self.assertIn('inside', told.lines)
        wait_nothing_left()
        self.assertIn('inside', self.steps('service=su start setcred open fork groups drop exec=hostname done end').lines)

    def test_without_a_user_namespace(self):
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; userns = "off"; }}'])
        told = self.steps('service=su start setcred open end start setcred snap open compare=REFUSED end')
        self.assertEqual(told.results('open'), [14, 14], told)
        self.same(told, 'REFUSED')


class Shell(Case):
    """As login does it."""

    def test_login(self):
        told = self.steps('service=login start setcred open end start setcred snap open compare=REFUSED end')
        self.assertEqual(told.results('open'), [14, 14], told)
        self.same(told, 'REFUSED')
        run(['usermod', '-s', '/usr/bin/nsinit-shell', 'alice'])
        self.addCleanup(run, ['usermod', '-s', '/bin/sh', 'alice'])
        told = self.steps('service=login start setcred open close end snap start setcred open',
                          'fork groups drop exec=nsinit-shell${IFS}-c${IFS}hostname done close end compare=AFTER')
        self.assertIn('inside', told.lines)
        self.same(told, 'AFTER')


class Threads(Case):
    """As a display manager does it, several of whose threads are alive."""

    def test_terminals_are_refused(self):
        before = len(host.log_text())
        told = self.steps(LOGIN, 'threads=4 snap thread start setcred open close end done compare=AFTER')
        self.assertEqual(told.results('open'), [0, 14], told)
        self.same(told, 'AFTER')
        self.logged(before, 'reason=terminal user=alice refused: unsharing the mount namespace: this process has threads; with tty')

    def test_entering_is_refused(self):
        before = len(host.log_text())
        told = self.steps('service=desktop start setcred end threads=4 snap thread start setcred open close end done',
                          'thread user=carol start setcred open end done compare=AFTER')
        self.assertEqual(told.results('open'), [14, 14], told)
        self.same(told, 'AFTER')
        self.logged(before, 'reason=join user=carol refused: entering the container: the kernel keeps a process that has threads out')

    def test_processes_of_their_own(self):
        """What such a service has to do, and what the display managers do."""
        worker = 'fork start setcred open fork groups drop exec=hostname done close end done'
        told = self.steps('service=desktop start setcred end threads=4 snap', f'thread {worker} done user=carol thread {worker} done',
                          'user=alice', worker, 'compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 3, told)
        self.same(told, 'AFTER')

    def test_sessions_of_different_users_in_turn(self):
        """Without terminals of the container's it works: in any thread, one after the other and side by side."""
        policy([f'{{ user = "{n}"; rootfs = "{ROOTS}/{n}"; tty = "relay"; }}' for n in ('alice', 'carol', 'dave')])
        told = self.steps(LOGIN, 'threads=4 snap', *(f'thread user={n} {LOGIN} done' for n in ('alice', 'carol', 'dave', 'alice')),
                          'thread slot=0 user=alice start setcred open slot=1 user=carol start setcred open done',
                          'thread slot=0', CHILD, 'close end done thread slot=1', CHILD, 'close end done compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 7, told)
        self.same(told, 'AFTER')

    def test_sessions_at_the_same_time(self):
        policy([f'{{ user = "{n}"; rootfs = "{ROOTS}/{n}"; tty = "relay"; }}' for n in ('alice', 'carol', 'dave')])
        told = self.steps(LOGIN, 'user=alice slot=1 user=carol slot=2 user=dave slot=3 user=alice threads=1 snap threads repeat=5', LOGIN, 'done done',
                          'compare=AFTER fork drop done')
        self.assertEqual(told.lines.count('inside'), 21, told)
        self.assertEqual(told.results('drop')[-1], 0, told)
        self.same(told, 'AFTER')

    def test_one_that_waits_for_any_child(self):
        """It gets its own children alone."""
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; tty = "relay"; }}'])
        told = self.steps('threads=4 waiter repeat=20 start setcred open close end done waited')
        self.assertEqual(told.results('open'), [0] * 20)
        self.assertIn('waited for 0 children', told.lines)


class SanitizedJoin(Sanitized, Join):
    # The search for leaks wants to trace this process, which the container's filter and its /proc do not let it.
    environment = {'ASAN_OPTIONS': 'detect_leaks=0'}


class SanitizedThreads(Sanitized, Threads):
    # Threads that are in the module while another one forks: the sanitizer's allocator stays locked in the child.
    test_sessions_at_the_same_time = None


del Case
