"""B. Joining: what the one who enters brings along, shows to those inside, or believes of them."""
import hashlib
import resource
import shutil

from attack import *

WITHOUT_MODULES = {'capabilities': {'keep': [c for c in ALL if c != 'SYS_MODULE']}, 'seccomp': 'off'}


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


class Joining(Attack):
    def attack_10_weaker_confinement(self):
        """A limit of pid 1's that the one who enters is free of."""
        def compare(tool):
            self.live(tool, root := self.root(tool))
            lines = [self.use(tool, root, 'sh', '-c', 'cd /proc/$P; grep -E "^(Cap|NoNew|Seccomp:|Uid|Gid|Groups)" status; '
                                                      'cat limits oom_score_adj; readlink ns/*'.replace('$P', which))
                     for which in ('1', 'self')]
            self.assertGreater(len(lines[0].split('\n')), 20)
            return [pair for pair in zip(*(text.split('\n') for text in lines)) if pair[0] != pair[1]]
        strict = {'no_new_privs': True, 'capabilities': {'keep': ['CHOWN']}, 'oom_score_adj': 500,
                  'rlimits': [{'type': 'RLIMIT_NOFILE', 'soft': 77, 'hard': 77}]}
        self.fails(compare, Naive('--keep-caps'), Nsinit(), Nsinit(MAPPED), Nsinit(dict(SPEC, **strict)),
                   Nsinit(dict(MAPPED, **strict)))
        self.holds('test_ssh.Command.test_confinement_is_pid_1_s', 'test_services.Su.test_confinement',
                   'test_shell.Servers.test_confinement_is_that_of_a_pam_login')

    def attack_11_overwriting_the_program(self):
        """A script whose interpreter is /proc/self/exe makes the program of the host run inside (CVE-2019-5736), where it
        loads C's library: the file is held open, and written to when nobody runs it any more."""
        compile_once('tests/attacks/hold.c', '/tmp/hold.so', '-shared', '-fPIC')
        programs = ['/usr/bin/nsinit', Nsinit.main, '/usr/libexec/nsinit/nsinit-enter',
                    '/usr/sbin/nsinitd', '/usr/bin/nsinit-shell', '/usr/sbin/sshd', Naive.program]

        def strike(tool):
            root = self.root(tool)
            host.add_programs(root, [tool.main])
            shutil.copy('/tmp/hold.so', f'{root}/hold.so')
            write(f'{root}/etc/ld.so.preload', '/hold.so\n')
            write(f'{root}/bin/evil', '#!/proc/self/exe\n', 0o755)
            for program in programs:
                shutil.copy(program, self.saved(program))
                self.addCleanup(self.put_back, program)
            before = [digest(p) for p in programs]
            front, pid = self.live(tool, root)
            for _ in range(5):
                self.use(tool, root, '/bin/evil', timeout=3)
            front.kill()
            front.wait()
            self.assertTrue(os.path.exists(f'{root}/held'))  # its file is held open inside
            if isinstance(tool, Nsinit):
                self.use(tool, root, 'true')  # sweeps what a killed one left
            else:
                self.addCleanup(os.kill, pid, signal.SIGKILL)
                try:
                    until(lambda: digest(programs[-1]) != before[-1], 'the blow', 3)
                except AssertionError:
                    pass
            return [p for p, was in zip(programs, before) if digest(p) != was]
        self.fails(strike, Naive('--orphan', spawner=('--orphan',)), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()),
                   Nsinit(strongest(MAPPED)))

    @staticmethod
    def saved(program):
        return '/tmp/saved' + program.replace('/', '-')

    def put_back(self, program):
        run(['mv', self.saved(program), f'{program}.new'])
        os.rename(f'{program}.new', program)

    def attack_12_taking_from_who_enters(self):
        """C looks into every process that enters, traces it, copies its descriptors, enters its root directory."""
        compile_once('tests/live/racer.c', '/usr/bin/racer', '-static')

        def race(tool):
            root = self.root(tool)
            shutil.copy('/usr/bin/racer', f'{root}/bin/racer')
            _, pid = self.live(tool, root)
            racer = self.start(tool.spawner, root, 'racer', '5', MARK, 'take')
            n = 0
            while racer.poll() is None:
                self.assertEqual(self.use(tool, root, 'hostname'), INSIDE + '\n')
                n += 1
            seen = set(racer.stdout.read().strip().split('\n'))
            self.assertIn('looks many', seen)
            self.assertGreater(n, 10)
            harmless = ['looks', ' mem opened', ' seized', ' fd /dev/null', ' fd /dev/pts', ' fd pipe:',
                        ' entered container']
            if tool.spec == strongest():
                # With SYS_PTRACE and no user namespace, that by which the process tells its caller how it went.
                harmless.append(' fd socket:')
            return [line for line in seen if not any(h in line for h in harmless)]
        self.fails(race, Naive('--ptraceable', '--keep-fds'), Nsinit(strongest()), Nsinit(strongest(MAPPED)))
        self.holds('test_shell_race.Race.test_root_inside')

    def attack_12_stopping_who_enters(self):
        """C stops every process as soon as it can be seen, before it has executed anything: nobody waits for it."""
        def stop(tool):
            root = self.root(tool)
            _, pid = self.live(tool, root)
            self.start(tool.spawner, root, 'inside', 'stop')
            caught = []
            for _ in range(20):
                joining = subprocess.Popen(tool.argv(root, 'hostname'), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                self.addCleanup(joining.wait)
                self.addCleanup(joining.kill)
                try:
                    status = joining.wait(45)
                except subprocess.TimeoutExpired:
                    return ['hung']
                caught += [status] if status else []
                if caught:
                    break
            if isinstance(tool, Nsinit):
                self.assertEqual(caught, [125])
            return []
        self.fails(stop, Naive(), Nsinit(), Nsinit(MAPPED))

    def attack_13_descriptors_and_directory(self):
        """Descriptors of the caller's, high ones too when the limit was lowered since; a working directory by way of one."""
        def lower():
            here = os.open('/', os.O_RDONLY)
            for fd in (3, 300, 777):
                os.dup2(here, fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        def bring(tool):
            root, gained = self.root(tool), []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                for workdir in (None, *(f'/proc/self/fd/{n}' for n in range(3, 12)), '/proc/self/cwd', '/proc/1/cwd'):
                    shown = self.use(tool, root, 'inside', 'descriptors', MARK, workdir=workdir, close_fds=False,
                                     preexec_fn=lower, cwd='/')
                    gained += [(running, workdir, shown)] if shown else []
            return gained
        self.fails(bring, Naive('--keep-fds'), Nsinit(), Nsinit(MAPPED))
        self.fails(bring, Naive(), Nsinit(strongest()))  # careful but for the directory
        self.holds('test_callers.Descriptors.test_handles_on_the_host', 'test_services.Su.test_descriptors_of_the_caller_stay_outside',
                   'test_guard.Descriptors.test_sshd_s_processes_hold_what_they_need')

    def attack_14_standard_input(self):
        """A directory of the host as standard input, to change to; a file that was opened to be read, to be written."""
        def redirect(tool):
            root, gained = self.root(tool), []
            write('/tmp/read-only', 'alive')
            for running in (False, True):
                if running:
                    self.live(tool, root)
                for path in ('/', '/tmp/read-only'):
                    source = os.open(path, os.O_RDONLY)
                    shown = self.use(tool, root, 'inside', 'stdin', MARK, stdin=source)
                    os.close(source)
                    gained += [(running, path)] if shown.strip() in ('directory', 'file') else []
            with open('/tmp/read-only') as f:
                return gained + ([] if f.read() == 'alive' else ['changed'])
        self.fails(redirect, Naive(), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()), Nsinit(strongest(MAPPED)))

    def attack_15_typing(self):
        """TIOCSTI: what is inside types a command for the shell of the host that called it."""
        def push(tool):
            root, gained = self.root(tool), []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                run(['rm', '-f', '/tmp/typed'])
                t = host.Terminal(['env', 'PS1=host> ', 'bash', '--norc', '-i'])
                self.addCleanup(t.end)
                t.expect('host> ')
                t.type(' '.join(tool.argv(root, 'inside', 'type', '"touch /tmp/typed"', terminal=True)) + '; echo "ba"ck\n')
                t.expect(r'typed \d+')
                t.expect('back')
                t.type('echo "o"ver\n')
                t.expect('over')
                gained += [running] if os.path.exists('/tmp/typed') else []
            return gained
        self.fails(push, Naive('--keep-caps'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()), Nsinit(strongest(MAPPED)))
        self.holds('test_shell_terminal.OnTerminal.test_typing_for_the_host',
                   'test_services.Su.test_no_input_is_put_into_the_caller_s_terminal')

    def attack_16_false_proc(self):
        """C mounts a /proc of its own making, which says that pid 1 has every capability and is somewhere else."""
        fake = ('mount -t tmpfs fake /proc && mkdir -p /proc/1/ns /proc/self/fd /proc/self/ns /proc/self/attr && '
                'echo "CapBnd: ffffffffffffffff" | tee /proc/1/status >/proc/self/status && '
                'ln -s / /proc/1/root && ln -s / /proc/1/cwd && ln -s /bin/evil /proc/self/exe')

        def lie(tool):
            root = self.root(tool)
            before = self.use(tool, root, 'inside', 'caps')
            self.live(tool, root, fake)
            shown = self.use(tool, root, 'sh', '-c', 'inside caps; hostname; ls /proc/1/status')
            self.assertIn('/proc/1/status', shown)  # the lie stands there
            return [shown] if shown.split()[:2] != [before.strip(), INSIDE] else []
        self.fails(lie, Naive('--trust-proc', spawner=('--keep-caps',)), Nsinit(dict(SPEC, **WITHOUT_MODULES)),
                   Nsinit(dict(MAPPED, **WITHOUT_MODULES)))

    def attack_17_half_joined(self):
        """One of the calls that enter fails: nobody runs anything in between."""
        def fault(tool):
            root, gained = self.root(tool), []
            self.live(tool, root)
            for n in range(1, 6):
                done = run(['strace', '-f', '-o', '/dev/null', '-e', f'inject=setns:error=EPERM:when={n}',
                            *tool.argv(root, 'sh', '-c', f'hostname; ls -d {MARK}; readlink /proc/self/ns/pid')],
                           check=False, stdin=subprocess.DEVNULL)
                whole = done.returncode == 0 and done.stdout.startswith(f'{INSIDE}\npid:')
                gained += [(n, done.stdout)] if done.stdout and not whole else []
                if n == 1 and isinstance(tool, Nsinit):
                    self.assertEqual(done.returncode, 125)
            return gained
        self.fails(fault, Naive('--one-by-one'), Nsinit(), Nsinit(MAPPED))
        container('alice')
        for n in (1, 2):
            tracer = subprocess.Popen(['strace', '-f', '-o', '/tmp/attack-17', '-e', 'trace=setns', '-e',
                                       f'inject=setns:error=EPERM:when={n}+', '-p', str(host.THE.sshd.pid)],
                                      stderr=subprocess.PIPE, text=True)
            try:
                self.assertIn('attached', tracer.stderr.readline())
                shown = host.ssh('alice', f'hostname; ls -d {MARK}').stdout
            finally:
                tracer.terminate()
                tracer.communicate()
            with open('/tmp/attack-17') as f:
                trace = f.read()
            self.assertIn('INJECTED' if n == 1 else 'setns', trace)
            self.assertNotIn(MARK, shown)
            self.assertNotIn(HOST, shown)
            self.assertFalse(n == 1 and INSIDE in shown)

    def attack_18_root_directory(self):
        """A root directory that is no more than chroot(2): who joins lands beside it, and root inside climbs out."""
        def climb(tool):
            root, gained = self.root(tool), []
            gained.append(self.use(tool, root, 'inside', 'chroot', MARK))
            self.live(tool, root)
            gained.append(self.use(tool, root, 'inside', 'chroot', MARK))
            gained.append(self.use(tool, root, 'ls', '-d', MARK))
            if isinstance(tool, Nsinit):
                inode = self.use(tool, root, 'stat', '-c', '%i', '/').strip()
                self.assertEqual(inode, str(os.stat(root).st_ino))
                mounts = [line.split()[3:5] for line in self.use(tool, root, 'cat', '/proc/self/mountinfo').splitlines()]
                below = os.path.basename(root)
                gained += [m for m in mounts if m[0] != '/' and below not in m[0] and not m[1].startswith(('/dev', '/proc', '/sys'))]
            return [g for g in gained if g]
        naive = Naive('--chroot', spawner=('--chroot',))
        self.fails(climb, naive, Nsinit(strongest()), Nsinit(strongest(MAPPED)), Nsinit())


del Attack
