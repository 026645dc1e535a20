"""As sshd does it: open_session in the monitor, and the second setcred, where the join is, in its child."""
from calls import *


class Split(Case):
    def test_login(self):
        told = self.steps(LOGIN, 'snap', LOGIN, 'compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.assertEqual(told.results('drop'), [0, 0])
        self.same(told, 'AFTER')

    def test_what_changes_while_the_session_is_open(self):
        told = self.steps(LOGIN, 'start setcred snap open compare=OPEN fork groups snap setcred compare=JOIN done',
                          'close compare=CLOSED end')
        fresh = sorted(rest for _, topic, rest in told.changes('OPEN') if topic == 'fd')
        self.assertEqual(len(fresh), 5, told)
        for pattern in (r'mnt:\[\d+\]', '/', '/nsinit-source', r'socket:\[\d+\]', r'anon_inode:\[pidfd\]'):
            # Close-on-exec, all of them.
            self.assertEqual(len([f for f in fresh if re.fullmatch(rf'\d+ flags=1/\w+ {pattern}', f)]), 1, (pattern, told))
        self.assertEqual(told.topics('OPEN'), {'fd', 'cwd', 'root', 'namespace mnt', 'mount'}, told)
        gone = sorted(rest for sign, topic, rest in told.changes('JOIN') if topic == 'fd' and sign == '-')
        self.assertEqual(gone, fresh, told)
        self.assertEqual(told.topics('JOIN') - {'map', 'keyring'}, {
            'fd', 'cwd', 'root', 'mount', *(f'namespace {n}' for n in ('mnt', 'pid', 'net', 'ipc', 'uts', 'user')),
            'attribute dumpable', *(f'status {n}' for n in ('CapBnd', 'CapEff', 'CapPrm', 'Seccomp', 'Seccomp_filters'))}, told)
        self.assertNotIn('+', [sign for sign, topic, _ in told.changes('JOIN') if topic in ('fd', 'map')], told)
        self.same(told, 'CLOSED')

    def test_what_is_mapped_is_the_module_s(self):
        """From the dlopen on: its libraries and the other modules of the stack, no more; and after the end nothing."""
        told = self.steps('snap start setcred compare=LOADED open compare=OPEN', CHILD, 'close end compare=AFTER')
        modules = [f'{os.path.dirname(glob.glob("/usr/lib/*/security/pam_nsinit.so")[0])}/pam_{n}.so' for n in ('nsinit', 'permit', 'deny')]
        allowed = {*modules, *(os.path.realpath(p) for m in modules for p in re.findall(r'(/\S+) \(0x', run(['ldd', m]).stdout))}
        for label in ('LOADED', 'OPEN'):
            maps = {rest for sign, topic, rest in told.changes(label) if topic == 'map'}
            self.assertIn(modules[0], maps)
            self.assertEqual(maps - allowed, set(), told)
        self.same(told, 'AFTER')

    def test_strange_process(self):
        """Handlers, masks, pending signals, timers, limits, umask and what else could be set to something."""
        told = self.steps('strange', LOGIN, 'chdir=/var/tmp snap', LOGIN, 'compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'AFTER')

    def test_children_s_signal(self):
        """The process that starts the supervisor is nobody's business."""
        for how in ('strange', 'block-chld', 'ignore-chld'):
            told = self.steps('start setcred open close end', how, 'chdir=/ snap start setcred open close end compare=AFTER heard')
            self.assertIn('heard of 0 children', told.lines)
            self.assertEqual(told.results('open'), [0, 0])
            self.same(told, 'AFTER')

    def test_directories(self):
        session = 'start setcred open close end'
        told = self.steps(LOGIN, 'chdir=/var/tmp snap', session, 'compare=KEPT chdir=/var/log start setcred open chdir=/var/tmp',
                          'close end compare=MOVED')
        self.same(told, 'KEPT', 'MOVED')
        for place in ('/var/tmp/gone', '/srv/nsinit/gone'):
            os.mkdir(place)
            told = self.steps(LOGIN, f'chdir={place} rmdir={place} snap', session, 'compare=GONE')
            self.same(told, 'GONE')

    def test_root(self):
        """A service that lives in a chroot does not get out of it by the end of a session."""
        run('mkdir -p /mnt/again && mount --rbind / /mnt/again && mount --make-rprivate /mnt/again')
        self.addCleanup(run, 'umount -R /mnt/again')
        # In a chroot nobody makes a user namespace: the container lives already.
        holder = self.hold('start setcred open')
        told = self.steps('chroot=/mnt/again chdir=/var/tmp', LOGIN, 'snap', LOGIN, 'compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'AFTER')
        holder()

    def test_relay(self):
        told = self.steps('user=dave', LOGIN, 'start setcred snap open compare=OPEN', CHILD, 'close compare=CLOSED end')
        self.assertEqual(told.topics('OPEN'), {'fd'}, told)
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'CLOSED')

    def test_end_without_close(self):
        told = self.steps(LOGIN, 'snap start setcred open', CHILD, 'end compare=AFTER')
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'AFTER')
        wait_nothing_left()

    def test_close_without_open_and_twice(self):
        told = self.steps(LOGIN, 'start setcred snap close compare=NEVER open', CHILD, 'close compare=ONCE close compare=TWICE',
                          'delcred end')
        self.same(told, 'NEVER', 'ONCE', 'TWICE')
        # pam_permit's word: ours is PAM_IGNORE.
        self.assertEqual(told.results('close'), [0, 0, 0, 0], told)

    def test_open_twice(self):
        told = self.steps(LOGIN, 'start setcred snap open open fork drop done', CHILD, 'close compare=CLOSED close compare=AGAIN',
                          'end')
        self.assertEqual(told.results('open'), [0, 0, 0])
        self.assertIn('drop refused: Operation not permitted', told.lines)
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'CLOSED', 'AGAIN')
        before = len(host.log_text())
        told = self.steps(LOGIN, 'start setcred snap open rename=carol open rename=alice fork drop done', CHILD,
                          'close compare=CLOSED end')
        self.assertEqual(told.results('open'), [0, 0, 14])
        self.logged(before, "reason=session user=carol refused: opening the session: another user's is open")
        self.assertIn('drop refused: Operation not permitted', told.lines)
        self.same(told, 'CLOSED')

    def test_line_stands_twice(self):
        with open('/etc/pam.d/sshd') as f:
            text = f.read()
        self.addCleanup(write, '/etc/pam.d/sshd', text)
        write('/etc/pam.d/sshd', f'{text}session required {LINE}\n')
        told = self.steps(LOGIN, 'start setcred snap open fork drop done', CHILD, 'close compare=CLOSED end')
        self.assertIn('drop refused: Operation not permitted', told.lines)
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'CLOSED')

    def test_copies_of_the_process(self):
        """A forked copy that ends, with and without a word, closes nothing of the session."""
        told = self.steps('start setcred open fork end-copy done fork end done fork close done', CHILD, 'fork say=left done',
                          'snap fork end-copy done compare=SAME', CHILD, 'close end')
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.same(told, 'SAME')

    def test_guard_lasts_until_the_last_session_has_ended(self):
        told = self.steps('user=dave start setcred open slot=1 user=dave start setcred open slot=0 close',
                          'say=one fork drop done fork slot=1 groups setcred drop done end slot=1 close say=none fork drop done end')
        rest = told.lines[told.lines.index('one'):]
        self.assertEqual([line for line in rest if line.startswith('drop')],
                         ['drop refused: Operation not permitted', 'drop 0', 'drop 0'], told)

    def test_terminals_of_one_session_at_a_time(self):
        before = len(host.log_text())
        told = self.steps(LOGIN, 'snap start setcred open slot=1 user=carol start setcred open slot=2 user=dave start setcred open',
                          CHILD, 'slot=0 close slot=1 open', CHILD, 'slot=2 close end slot=0 end slot=1 close end compare=AFTER')
        self.assertEqual(told.results('open'), [0, 0, 14, 0, 0], told)
        self.logged(before, 'reason=terminal user=carol refused: opening the session: another session of this process')
        self.assertEqual(told.lines.count('inside'), 3, told)
        self.same(told, 'AFTER')

    def test_log_stays_the_program_s(self):
        before = len(host.log_text())
        self.steps(LOGIN, 'log=still-me')
        self.logged(before, r'hygiene\[\d+\]: still-me')

    def test_nothing_grows(self):
        # Without the C library's own caches, which count as in use.
        self.environment = {**self.environment, 'GLIBC_TUNABLES': 'glibc.malloc.tcache_count=0'}
        told = self.steps(LOGIN, 'repeat=5 start setcred open close delcred end done snap heap',
                          'repeat=40 start setcred open close delcred end done heap compare=AFTER')
        first, last = told.results('heap')
        self.assertEqual(first, last, told)
        self.same(told, 'AFTER')

    def test_after_it_is_unloaded(self):
        """No handler of fork(2), no destructor of a thread that has used it points to where it was."""
        told = self.steps('user=dave threads=2 thread', LOGIN, 'fork drop done say=thread-ends done', 'fork drop done', LOGIN)
        self.assertEqual(told.lines.count('inside'), 2, told)
        self.assertEqual(told.results('drop'), [0, 0, 0, 0], told)


class SanitizedSplit(Sanitized, Split):
    pass


del Case
