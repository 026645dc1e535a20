"""Hostile callers of nsinit-shell: a session in the container, or a refusal; never a command on the host."""
import ctypes
import os
import pwd
import resource
import select
import shutil
import signal
import subprocess
import time
import unittest

import host
from host import ROOTS, Terminal, container, policy, run, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
SHELL = '/usr/bin/nsinit-shell'
MARK = '/tmp/ran-here'  # in the container, or on the host
COMMAND = f'hostname; touch {MARK}; exit 7'
SENTENCE = 'Your container could not be opened'
ENVIRONMENT = {'HOME': '/home/alice', 'USER': 'alice', 'LOGNAME': 'alice', 'SHELL': SHELL, 'PATH': '/usr/bin:/bin'}
LIBC = ctypes.CDLL(None, use_errno=True)


def as_alice(name='alice'):
    user = pwd.getpwnam(name)
    return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}


def caller(args=('-c', COMMAND), before=None, name='-nsinit-shell', program=SHELL, env=None, **kwargs):
    """The program as alice executes it; `before` runs in her process right before that."""
    for stream in ('stdout', 'stderr'):
        kwargs.setdefault(stream, subprocess.PIPE)
    kwargs.setdefault('stdin', subprocess.DEVNULL)
    kwargs.setdefault('cwd', '/')
    return subprocess.Popen([name, *args], executable=program, preexec_fn=before, text=True,
                            env=ENVIRONMENT if env is None else env, **{**as_alice(), **kwargs})


def call(*args, **kwargs):
    process = caller(*args, **kwargs)
    try:
        process.out, process.err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process


def limit(which, value):
    return lambda: resource.setrlimit(which, (value, value))


def raw_exec(argv, env):
    """execve(2) with what Python does not let through."""
    def run_it():
        def strings(items):
            return (ctypes.c_char_p * (len(items) + 1))(*items, None)
        LIBC.execve(SHELL.encode(), strings(argv), strings(env))
    return run_it


class Callers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])
        run(['usermod', '-s', SHELL, 'alice'])
        cls.broker = subprocess.Popen(['nsinitd'])
        host.wait_nsinitd()

    @classmethod
    def tearDownClass(cls):
        cls.broker.terminate()
        cls.broker.wait()
        run(['usermod', '-s', '/bin/sh', 'alice'])

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.addCleanup(self.check_ordinary)
        self.remove_marks()

    @staticmethod
    def remove_marks():
        for path in (MARK, ROOT + MARK):
            if os.path.lexists(path):
                os.unlink(path)

    def check_ordinary(self):
        done = call(('-c', 'hostname; exit 3'))
        self.assertEqual((done.returncode, done.out), (3, 'inside\n'), done.err)

    def session(self, done, status=7, out='inside\n'):
        """It was a session: the command has run, in the container."""
        self.assertEqual(done.returncode, status, (done.out, done.err))
        if done.out is not None and out is not None:
            self.assertEqual(done.out, out, done.err)
        self.assertTrue(os.path.lexists(ROOT + MARK), 'nothing ran in the container')
        self.assertFalse(os.path.lexists(MARK), 'it ran on the host')
        self.remove_marks()

    def refused(self, done, told=SENTENCE):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(told, done.err)
        for path in (MARK, ROOT + MARK):
            self.assertFalse(os.path.lexists(path), path)


class Arguments(Callers):
    def test_no_name(self):
        for argv in ([], [b'']):
            done = call(before=raw_exec(argv, []))
            self.refused(done)
        until(lambda: 'called without its name' in host.log_text(), 'the reason in the log')

    def test_odd_words(self):
        # What a shell does with them is the shell's business: /bin/sh of the container answers.
        for args, status in ((('-c', '--'), None), (('-c',), 2), (('-c', f'touch {MARK}', 'name', 'more'), 0),
                             (('--',), None), (('--version',), None), (('-x', '-c', f'touch {MARK}'), 0),
                             (('/no/such/script',), None)):
            with self.subTest(args=args):
                done = call(args)
                if MARK in ' '.join(args):
                    self.session(done, status, '')
                elif status is not None:
                    self.assertEqual(done.returncode, status, done.err)
                self.assertFalse(os.path.exists(MARK))
                self.assertNotIn(SENTENCE, done.err)

    def test_names_of_any_kind(self):
        for name in ('-', 'sh', '/etc/passwd', '-' * 5000, '\x1b[2J\n', 'nsinit-shell'):
            self.session(call(name=name))

    def test_long_command(self):
        longest = 128 * 1024 - 1
        fill = f'{COMMAND} #'
        self.session(call(('-c', fill + 'x' * (longest - len(fill)))))
        with self.assertRaises(OSError):  # the kernel's own limit, MAX_ARG_STRLEN
            call(('-c', fill + 'x' * (longest + 1 - len(fill))))

    def test_many_arguments(self):
        many = ['x' * 64] * (1024 * 1024 // 65)
        self.session(call(('-c', f'echo $#; touch {MARK}; exit 7', 'name', *many)), out=f'{len(many)}\n')

    def test_bytes_that_are_no_text(self):
        command = b"touch " + MARK.encode() + b"; printf '\xff\xfe\x01' | wc -c; exit 7"
        self.session(call(before=raw_exec([b'-\xff', b'-c', command], [])), out='3\n')


class Descriptors(Callers):
    def test_closed(self):
        for closed in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
            with self.subTest(closed=closed):
                done = call(before=lambda closed=closed: [os.close(fd) for fd in closed])
                self.session(done, out='' if 1 in closed else 'inside\n')

    def test_handles_on_the_host(self):
        os.system('test -b /tmp/block || mknod -m 666 /tmp/block b 7 99')
        for path, flags in (('/', os.O_RDONLY), ('/', os.O_PATH), ('/dev/null', os.O_PATH),
                            ('/etc/passwd', os.O_PATH), ('/tmp/block', os.O_PATH)):
            for fd in (0, 1):
                with self.subTest(path=path, flags=flags, fd=fd):
                    handle = os.open(path, flags)
                    try:
                        done = call(before=lambda fd=fd, handle=handle: os.dup2(handle, fd))
                    finally:
                        os.close(handle)
                    self.refused(done)
            handle = os.open(path, flags)
            self.refused(call(before=lambda handle=handle: os.dup2(handle, 2)), '')
            os.close(handle)
        until(lambda: "is a handle on the host's file system" in host.log_text(), 'the reason in the log')

    def test_block_device(self):
        handle = self.block_device()
        self.addCleanup(os.close, handle)
        self.refused(call(before=lambda: os.dup2(handle, 0)))

    @staticmethod
    def block_device():
        for name in os.listdir('/sys/block'):
            with open(f'/sys/block/{name}/dev') as f:
                major, minor = map(int, f.read().split(':'))
            os.system('rm -f /tmp/block')
            os.mknod('/tmp/block', 0o600 | 0o060000, os.makedev(major, minor))
            try:
                return os.open('/tmp/block', os.O_RDONLY)
            except OSError:
                pass
        raise AssertionError('no block device can be opened')

    def test_others_do_not_get_in(self):
        handles = [os.open('/', os.O_RDONLY), os.open('/etc/shadow', os.O_RDONLY)]

        def leave_open():
            for i, fd in enumerate(handles):
                os.dup2(fd, 50 + i, inheritable=True)
        done = call(('-c', 'ls /proc/self/fd; ls -l /proc/$PPID/fd /proc/$$/fd'), before=leave_open, close_fds=False)
        for fd in handles:
            os.close(fd)
        self.assertEqual(done.out.split()[:4], ['0', '1', '2', '3'], done)
        self.assertNotIn('50', done.out.split())

    def test_reader_that_has_gone_or_stands_still(self):
        process = caller(('-c', 'yes; exit 7'))
        process.stdout.read(10)
        process.stdout.close()
        self.assertNotEqual(process.wait(timeout=10), 0)
        process.stderr.close()
        process = caller(('-c', 'yes'))
        time.sleep(0.3)
        process.terminate()
        self.assertEqual(process.wait(timeout=10), -signal.SIGTERM)
        process.stdout.close()
        process.stderr.close()


class Limits(Callers):
    def test_harmless(self):
        for which, value in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CPU, 1), (resource.RLIMIT_CORE, 0),
                             (resource.RLIMIT_MEMLOCK, 0), (resource.RLIMIT_STACK, 256 * 1024)):
            with self.subTest(which=which):
                self.session(call(before=limit(which, value)))

    def test_descriptors(self):
        self.refused(call(before=limit(resource.RLIMIT_NOFILE, 3)))
        for n in range(4, 24):
            with self.subTest(n=n):
                done = call(before=limit(resource.RLIMIT_NOFILE, n))
                if done.returncode == 7:
                    self.session(done)
                else:
                    self.refused(done)
        self.session(call(before=limit(resource.RLIMIT_NOFILE, 24)))

    def test_processes(self):
        self.refused(call(before=limit(resource.RLIMIT_NPROC, 1)))

    def test_memory(self):
        """The kernel may kill it before it comes to a word."""
        sessions = 0
        for kib in (64, 512, 1024, 1280, 1408, 1536, 1792, 2048, 2560, 4096, 16384, 65536):
            with self.subTest(kib=kib):
                try:
                    done = call(before=limit(resource.RLIMIT_AS, kib * 1024))
                except (OSError, subprocess.SubprocessError):
                    continue
                if done.returncode == 7:
                    self.session(done)
                    sessions += 1
                elif done.returncode < 0:
                    self.refused(done, '')
                else:
                    self.refused(done, 'nsinit-shell: ' if 'nsinit-shell: ' in done.err else SENTENCE)
        self.assertGreater(sessions, 0)

    def test_cpu_time_ends_it(self):
        done = call(('-c', f'touch {MARK}; while :; do :; done'), before=limit(resource.RLIMIT_CPU, 1))
        self.assertIn(done.returncode, (-signal.SIGKILL, -signal.SIGXCPU, 128 + signal.SIGXCPU))
        self.remove_marks()


class Process(Callers):
    def test_signals_ignored_and_blocked(self):
        def ignore():
            for sig in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM, signal.SIGALRM):
                signal.signal(sig, signal.SIG_IGN)

        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        for before in (ignore, block, lambda: (ignore(), block())):
            self.session(call(before=before))
        command = 'grep -E "^Sig(Blk|Ign)" /proc/self/status'
        self.assertEqual(call(('-c', command), before=lambda: (ignore(), block())).out, call(('-c', command)).out)

    def test_pending_timers(self):
        for which in (signal.ITIMER_REAL, signal.ITIMER_PROF, signal.ITIMER_VIRTUAL):
            self.session(call(('-c', f'sleep 0.3; {COMMAND}'), before=lambda w=which: signal.setitimer(w, 0.01, 0.01)))
        self.session(call(('-c', f'sleep 1.3; {COMMAND}'), before=lambda: signal.alarm(1)))

    def test_pending_signal(self):
        """One that was blocked and is pending hits as soon as it is unblocked: an end, not a command."""
        def pend():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.kill(os.getpid(), signal.SIGTERM)
        done = call(before=pend)
        self.assertEqual(done.returncode, -signal.SIGTERM)
        self.assertFalse(os.path.exists(MARK) or os.path.exists(ROOT + MARK))

    def test_umask(self):
        self.session(call(before=lambda: os.umask(0o777)))
        done = call(('-c', 'umask'), before=lambda: os.umask(0o777))
        self.assertEqual(done.out, '0777\n')

    def test_directory_that_is_gone_or_closed(self):
        def gone():
            path = f'/tmp/gone-{os.getpid()}'
            os.mkdir(path)
            os.chdir(path)
            os.rmdir(path)
        self.session(call(before=gone))
        os.makedirs('/tmp/closed', exist_ok=True)
        os.chmod('/tmp/closed', 0o777)

        def closed():
            os.mkdir(f'/tmp/closed/{os.getpid()}')
            os.chdir(f'/tmp/closed/{os.getpid()}')
            os.chmod('.', 0)
        self.session(call(before=closed))
        done = call(('-c', 'pwd; ls ..'), before=gone)
        self.assertEqual(done.out.split('\n')[0], '/')
        self.assertIn('container.json', done.out)

    def test_working_directory_is_not_the_host_s(self):
        os.makedirs('/opt/on-the-host', exist_ok=True)
        done = call(('-c', 'pwd; ls ..; ls /proc/self/cwd/..'), cwd='/opt/on-the-host')
        self.assertEqual(done.out.split('\n')[0], '/')
        self.assertNotIn('nsinit-source', done.out)

    def test_parent_that_dies(self):
        """The command ends with nsinit-shell, whichever way that goes."""
        process = caller(('-c', f'touch {MARK}; sleep 300'))
        until(lambda: os.path.exists(ROOT + MARK), 'the command')
        process.kill()
        process.communicate()
        wait_nothing_left()


class Environment(Callers):
    HOSTILE = {
        'LD_PRELOAD': '/tmp/preload.so', 'LD_LIBRARY_PATH': '/tmp', 'LD_AUDIT': '/tmp/preload.so', 'LD_DEBUG': 'all',
        'LD_DEBUG_OUTPUT': '/tmp/ran-here', 'GCONV_PATH': '/tmp', 'LOCPATH': '/tmp', 'NLSPATH': '/tmp/%N',
        'LANGUAGE': '../../tmp', 'LC_ALL': 'C.UTF-8', 'TZ': ':/tmp/ran-here', 'GLIBC_TUNABLES':
        'glibc.malloc.check=3:glibc.rtld.optional_static_tls=0:' * 100, 'MALLOC_TRACE': '/tmp/ran-here',
        'ENV': '/tmp/startup', 'BASH_ENV': '/tmp/startup', 'IFS': '/s', 'PATH': '.:/tmp', 'SHELLOPTS': 'xtrace',
        'PS4': '$(touch /tmp/ran-here)', 'RES_OPTIONS': 'x', 'LOCALDOMAIN': 'x', 'HOSTALIASES': '/tmp/x',
        'TMPDIR': '/nowhere', 'LISTEN_FDS': '1', 'NSINIT_SHELL': '/bin/bash', 'XDG_RUNTIME_DIR': '/run',
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write('/tmp/preload.c', '''#include <stdio.h>
#include <fcntl.h>
__attribute__((constructor)) static void ran(void) { open("/tmp/ran-here", O_CREAT | O_WRONLY, 0666); }
unsigned la_version(unsigned v) { ran(); return v; }
''')
        run(['gcc', '-shared', '-fPIC', '-o', '/tmp/preload.so', '/tmp/preload.c'])
        write('/tmp/startup', f'touch {MARK}\n')
        write('/tmp/hostname', f'#!/bin/sh\ntouch {MARK}\n', 0o755)

    def test_preloading_a_program_of_the_host_would_work(self):
        """The control: the library does leave its mark, from a program that is linked dynamically."""
        for variable in ('LD_PRELOAD', 'LD_AUDIT'):
            call((), program='/usr/bin/true', env={variable: '/tmp/preload.so'})
            self.assertTrue(os.path.exists(MARK), variable)
            self.remove_marks()

    def test_hostile_variables(self):
        for name, value in self.HOSTILE.items():
            with self.subTest(name=name):
                self.session(call(('-c', f'export PATH=/bin; unset IFS; {COMMAND}'), env={**ENVIRONMENT, name: value}))
        self.session(call(('-c', f'export PATH=/bin; unset IFS; {COMMAND}'), env={**ENVIRONMENT, **self.HOSTILE}))

    def test_they_do_no_harm_where_it_refuses(self):
        for args in ({'name': ''}, {'before': limit(resource.RLIMIT_NPROC, 1)}):
            self.refused(call(env={**ENVIRONMENT, **self.HOSTILE}, **args))

    def test_forced_command(self):
        """ForceCommand: no arguments, the request in a variable; the shell takes it as it is."""
        request = f'echo "a\nb"\n# $(touch /tmp/x)\n{COMMAND}'
        env = {**ENVIRONMENT, 'SSH_ORIGINAL_COMMAND': request}
        self.session(call((), name='nsinit-shell', env=env), out='a\nb\ninside\n')
        # With arguments it is not meant.
        self.session(call(('-c', COMMAND), env={**ENVIRONMENT, 'SSH_ORIGINAL_COMMAND': 'echo not this'}))
        for request in ('', '\n', '-c', '--', ';', 'x' * 100000, 'internal-sftp; hostname', '/sftp-server -x'):
            done = call((), name='nsinit-shell', env={**ENVIRONMENT, 'SSH_ORIGINAL_COMMAND': request})
            self.assertNotIn(SENTENCE, done.err)
            self.assertNotIn('throwaway', done.out)

    def test_odd_environments(self):
        entries = [b'HOME=/home/alice']
        for env in ([], [b''], [b'no-equals-sign', *entries], [b'=', b'=x', *entries], [b'HOME', b'PATH', b'SHELL'],
                    [b'SHELL=a', b'SHELL=b', *entries], [b'A\xff=\xfe', *entries], [b'PATH='],
                    [b'V%d=%d' % (i, i) for i in range(2000)], [b'V=' + b'x' * (128 * 1024 - 3)]):
            with self.subTest(env=env[:2]):
                self.session(call(before=raw_exec([b'-sh', b'-c', COMMAND.encode()], env)))

    def test_home_that_is_missing(self):
        for home in ('', '/no/such', 'relative', '/root', '/' * 5000):
            self.session(call(env={**ENVIRONMENT, 'HOME': home}))


class Identity(Callers):
    def test_root(self):
        self.refused(call(user=0, group=0))

    def test_set_uid_copies(self):
        copy = '/usr/local/bin/copy'
        self.addCleanup(os.unlink, copy)
        for owner, mode in (('root:root', '4755'), ('bob:bob', '4755'), ('root:bob', '2755'), ('root:root', '6755')):
            shutil.copy(SHELL, copy)
            run(f'chown {owner} {copy} && chmod {mode} {copy}')
            self.refused(call(program=copy))
        until(lambda: 'must not be set-uid' in host.log_text(), 'the reason in the log')

    def test_mixed_ids(self):
        """Real and effective ids that differ, as a careless service leaves them."""
        uid, bob = pwd.getpwnam('alice').pw_uid, pwd.getpwnam('bob').pw_uid
        for ids in ((uid, 0, 0), (0, uid, 0), (uid, bob, uid)):
            process = call(before=lambda ids=ids: os.setresuid(*ids), user=None, group=None, extra_groups=None)
            self.refused(process)

    def test_groups_of_the_host_stay_outside(self):
        done = call(('-c', 'id -G'), extra_groups=[0, 4, 42, 27])
        self.assertEqual(done.out.split(), [str(pwd.getpwnam('alice').pw_gid)])
        done = call(('-c', 'id -G; grep Cap /proc/self/status'), group=0)
        self.assertNotIn('0', done.out.split('Cap')[0].split())

    def test_other_namespaces(self):
        uid = pwd.getpwnam('alice').pw_uid
        drop = ['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups']
        for live in (False, True):  # nsinitd's door, and the supervisor's
            holder = None
            if live:
                holder = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'sleep 60'],
                                          stdin=subprocess.DEVNULL)
                until(lambda: os.path.exists(f'/run/nsinit/doors/{uid}'), "the supervisor's door")
                time.sleep(0.3)
                self.session(call())
            for command in ([*drop, 'unshare', '-U'], [*drop, 'unshare', '-Ur'],
                            [*drop, 'unshare', '-U', f'--map-user={uid}', f'--map-group={uid}'],
                            ['unshare', '-pf', '--mount-proc', *drop], ['unshare', '-pf', *drop]):
                with self.subTest(live=live, command=command):
                    done = run([*command, SHELL, '-c', COMMAND], check=False, env=ENVIRONMENT)
                    done.out, done.err = done.stdout, done.stderr
                    self.refused(done)
            if holder:
                holder.kill()
                holder.wait()
        until(lambda: 'it has ended or is no process of the host' in host.log_text(), 'the reason in the log')


class OnTerminal(Callers):
    def bash(self):
        t = Terminal(['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups', 'env', 'HOME=/tmp', 'PS1=host> ',
                      'TERM=dumb', 'bash', '--norc', '-i'])
        self.addCleanup(t.end)
        t.expect('host> ')
        return t

    def test_background(self):
        t = self.bash()
        t.type(f'stty -g >/tmp/before; {SHELL} -c "{COMMAND}" & wait %1; echo "status=$?"; stty -g | cmp /tmp/before -'
               ' && echo same\n')
        t.expect('inside')
        t.expect('status=7')
        t.expect('\nsame')
        self.assertTrue(os.path.exists(ROOT + MARK))
        # While it runs, the terminal is the foreground's: lines are edited, keys are echoed.
        t.type(f'{SHELL} -c "touch {MARK}2; sleep 2" & sleep 1; stty -g | cmp /tmp/before - && echo unchanged;'
               ' wait; echo over\n')
        t.expect('\nunchanged', 5)
        t.expect('\nover')
        os.unlink(f'{ROOT}{MARK}2')
        # Brought to the foreground it gets what is typed, and gives the terminal back as it was.
        t.type(f'{SHELL} -c "stty; read x; echo got=\\$x" & sleep 0.5\n')
        t.expect('host> ')
        t.type('fg\n')
        time.sleep(0.5)
        t.type('typed\n')
        t.expect('got=typed')
        t.expect('host> ')
        t.type('stty -g | cmp /tmp/before - && echo unchanged\n')
        t.expect('\nunchanged', 5)
        t.type('exit\n')
        t.finish()

    def test_stopped_reader(self):
        """A terminal that nobody reads: signals still end the session."""
        pid, fd = os.forkpty()
        if pid == 0:
            user = pwd.getpwnam('alice')
            os.setgroups([])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            os.execve(SHELL, ['-sh', '-c', f'touch {MARK}; exec yes'], ENVIRONMENT)
        self.addCleanup(os.close, fd)
        until(lambda: os.path.exists(ROOT + MARK), 'the command')
        time.sleep(0.5)
        os.kill(pid, signal.SIGTERM)
        ended = []
        until(lambda: ended.append(os.waitpid(pid, os.WNOHANG)) or ended[-1][0] or
              (select.select([fd], [], [], 0)[0] and len(ended) > 100 and os.read(fd, 4096) and False),
              'the end of nsinit-shell', 10)
        self.assertEqual(os.waitstatus_to_exitcode(ended[-1][1]), -signal.SIGTERM)


del Callers
