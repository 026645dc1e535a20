"""nsinit exec: what seed and manual say of it, on live containers."""
import fcntl
import json
import os
import re
import signal
import subprocess
import time
import unittest

import host
from host import (ROOTS, SOURCE, SPEC, Terminal, container, exec_in, nsinit, policy, run, ssh, until, wait_nothing_left,
                  wait_nspid, write)

ROOT = f'{ROOTS}/exec'
LIBEXEC = '/usr/libexec/nsinit'
BASE = 0xa80425fb  # the 14 capabilities of a container that drops none


class Exec(unittest.TestCase):
    def setUp(self):
        container('exec')
        self.addCleanup(self.check_end)  # the first of the cleanups is the last to run

    def check_end(self):
        wait_nothing_left()
        self.assertFalse(os.path.lexists(f'{ROOT}/.nspid'))

    def start(self, *command, root=ROOT, options=()):
        """A container that lives until it is killed, its front process and its pid 1."""
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, *options, '--', *(command or ('sleep', '1000'))],
                                 stdin=subprocess.DEVNULL)
        pid = wait_nspid(root)
        self.addCleanup(self.end, front, pid)
        return front, pid

    @staticmethod
    def end(front, pid1):
        if front.poll() is None:
            os.kill(pid1, signal.SIGKILL)
        elif front.returncode == -signal.SIGKILL:
            exec_in(ROOT, 'true')  # whoever starts next sweeps what a killed one left
        front.wait()


class Spawn(Exec):
    def test_exit_status(self):
        for status in (0, 1, 42, 255):
            self.assertEqual(exec_in(ROOT, 'sh', '-c', f'exit {status}').returncode, status)

    def test_not_found_is_127(self):
        done = exec_in(ROOT, 'no-such-program')
        self.assertEqual(done.returncode, 127)
        self.assertIn('executing no-such-program: No such file or directory', done.stderr)
        self.assertEqual(exec_in(ROOT, '/no/such/program').returncode, 127)

    def test_not_executable_is_126(self):
        write(f'{ROOT}/bin/plain', 'text\n', 0o644)
        write(f'{ROOT}/bin/garbage', '\x01\x02\n', 0o755)
        self.assertEqual(exec_in(ROOT, 'plain').returncode, 126)
        self.assertEqual(exec_in(ROOT, '/bin/garbage').returncode, 126)
        self.assertEqual(exec_in(ROOT, '/etc').returncode, 126)

    def test_failure_is_125(self):
        os.unlink(f'{ROOT}/container.json')
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn(f'{ROOT}/container.json: No such file or directory', done.stderr)

    def test_signal_is_128_plus_n(self):
        front, pid = self.start()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(front.wait(5), 128 + 9)

    def test_command_is_pid_1(self):
        done = exec_in(ROOT, 'sh', '-c', 'echo $$; cat /proc/1/comm; true')
        self.assertEqual(done.stdout, '1\nsh\n')

    def test_init_reaps_and_passes_status_and_signals_on(self):
        done = nsinit('exec', '-C', ROOT, '--init', '--', 'sh', '-c',
                      'cat /proc/1/comm; (sleep 0.1 & ); exit 42')
        self.assertEqual((done.stdout, done.returncode), ('nsinit-init\n', 42))
        front, _ = self.start('sleep', '1000', options=['--init'])
        time.sleep(0.2)
        front.send_signal(signal.SIGTERM)
        self.assertEqual(front.wait(5), 128 + 15)

    def test_init_finds_the_command_with_both_c_libraries(self):
        program = f'{LIBEXEC}/nsinit-init'
        write(f'{ROOT}/bin/script', 'echo "$0 $1"\n', 0o755)
        write(f'{ROOT}/bin/plain', 'text\n', 0o644)
        os.makedirs(f'{ROOT}/usr/local/bin', exist_ok=True)
        write(f'{ROOT}/usr/local/bin/hidden', '#!/bin/sh\n', 0o755)
        write(f'{ROOT}/bin/in-bin', '#!/bin/sh\necho found\n', 0o755)
        self.addCleanup(run, ['install', '-m', '0755', 'build/bin/nsinit-init', program])
        for musl in ('', 'musl-gcc'):
            built = f'/tmp/init-{musl}/bin/nsinit-init'
            run(['make', f'MUSL={musl}', f'BUILD=/tmp/init-{musl}', built])
            run(['install', '-m', '0755', built, program])
            for spec, command, wanted in (
                    (SPEC, ['script', 'x'], ('/bin/script x\n', 0)),
                    (SPEC, ['/bin/script', 'y'], ('/bin/script y\n', 0)),
                    (SPEC, ['plain'], ('', 126)), (SPEC, ['/bin/plain'], ('', 126)),
                    (SPEC, ['none'], ('', 127)), (SPEC, [''], ('', 127)), (SPEC, ['/none'], ('', 127)),
                    (dict(SPEC, environment=[]), ['in-bin'], ('found\n', 0)),
                    (dict(SPEC, environment=[]), ['hidden'], ('', 127))):
                with self.subTest(musl=musl, command=command):
                    write(f'{ROOT}/container.json', json.dumps(spec))
                    done = nsinit('exec', '-C', ROOT, '--init', '--', *command)
                    self.assertEqual((done.stdout, done.returncode), wanted, done.stderr)

    def test_hostname_and_environment(self):
        done = exec_in(ROOT, 'env', env={'PATH': os.environ['PATH'], 'SECRET': 'x'})
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(SPEC['environment']))
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'inside\n')
        self.assertEqual(run('hostname').stdout, 'throwaway\n')

    def test_options_set_environment_user_and_directory(self):
        done = nsinit('exec', '-C', ROOT, '-e', 'container=mine', '-e', 'NEW=1', '-u', 'guest', '-w', '/tmp',
                      'sh', '-c', 'echo $container $NEW $(id -u):$(id -g) $(pwd); grep -E "Cap(Prm|Eff)" /proc/self/status')
        self.assertEqual(done.stdout, 'mine 1 2000:2000 /tmp\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n')
        self.assertEqual(nsinit('exec', '-C', ROOT, '-u', '7:8', 'id').stdout, 'uid=7 gid=8\n')
        self.assertEqual(nsinit('exec', '-C', ROOT, '-u', 'nobody-here', 'id').returncode, 125)
        self.assertEqual(nsinit('exec', '-C', ROOT, '-u', '-1', 'id').returncode, 125)

    def test_current_directory_is_the_default(self):
        self.assertEqual(nsinit('exec', '/bin/hostname', cwd=ROOT).stdout, 'inside\n')

    def test_namespaces_are_new(self):
        done = exec_in(ROOT, 'sh', '-c', 'for n in mnt pid ipc uts net user cgroup; do readlink /proc/self/ns/$n; done')
        for link in done.stdout.split():
            kind = link.split(':')[0]
            same = os.readlink(f'/proc/self/ns/{kind}') == link
            self.assertEqual(same, kind in ('user', 'cgroup'), kind)

    def test_root_directory_is_all_there_is(self):
        done = exec_in(ROOT, 'sh', '-c', 'ls -a /; grep -c . /proc/self/mountinfo; cat /proc/self/mountinfo')
        self.assertIn('container.json', done.stdout)
        self.assertNotIn('nsinit-source', done.stdout)
        self.assertNotIn(' overlay ', done.stdout)

    def test_devices_and_filesystems(self):
        done = exec_in(ROOT, 'sh', '-c', '''
            for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done
            for d in pts shm mqueue; do [ -d /dev/$d ] || echo no $d; done
            [ -e /dev/ptmx ] || echo no ptmx
            head -c 4 /dev/zero | wc -c
            touch /sys/x 2>&1; echo y > /proc/sys/kernel/domainname; [ ! -e /proc/sysrq-trigger ] || echo z > /proc/sysrq-trigger
            echo h > /.nspid; echo h > /container.json; cat /.nspid''')
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], '4')
        self.assertIn('Read-only file system', lines[1])
        self.assertEqual(done.stderr.count('Read-only file system'), 3 + os.path.exists('/proc/sysrq-trigger'), done.stderr)
        self.assertTrue(lines[-1].isdigit())

    def test_mounts_do_not_reach_the_host(self):
        before = run('cat /proc/self/mountinfo').stdout
        front, _ = self.start()
        self.assertEqual(run('cat /proc/self/mountinfo').stdout, before)
        front.kill()
        front.wait()
        exec_in(ROOT, 'true')
        self.assertEqual(run('cat /proc/self/mountinfo').stdout, before)

    def test_symbolic_link_as_mount_target_is_refused(self):
        os.makedirs('/tmp/victim', exist_ok=True)
        os.symlink('/tmp/victim', f'{ROOT}/dev')
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('symbolic link', done.stderr)
        self.assertEqual(os.listdir('/tmp/victim'), [])

    def test_read_only_root(self):
        container('exec', dict(SPEC, readonly_fs=True, working_dir='/tmp'))
        done = exec_in(ROOT, 'sh', '-c', 'pwd; touch /tmp/x; touch /dev/shm/y && echo ok')
        self.assertEqual(done.stdout, '/tmp\nok\n')
        self.assertIn('Read-only', done.stderr)

    def test_user_namespace(self):
        container('exec', dict(SPEC, namespaces=SPEC['namespaces'] + ['NEWUSER']))
        done = exec_in(ROOT, 'sh', '-c', 'id -u; stat -c %u /bin/busybox; touch /made; cat /proc/self/uid_map; '
                                         'grep CapBnd /proc/self/status')
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:2], ['0', '0'])
        self.assertRegex(lines[2], r'^\s*0\s+(18\d+|19\d+|2\d{9})\s+65536$')
        self.assertEqual(os.stat(f'{ROOT}/made').st_uid, 0)

    def test_host_root_is_refused(self):
        write('/container.json', '{"namespaces": ["NEWNS"]}')
        self.addCleanup(os.unlink, '/container.json')
        done = exec_in('/', 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn("host's own /", done.stderr)

    def test_bad_usage(self):
        for arguments in (['exec'], ['exec', '-Z', 'true'], ['exec', '-e', 'x', 'true'], ['frobnicate'], []):
            self.assertEqual(nsinit(*arguments).returncode, 125)


class Streams(Exec):
    def test_stdout_and_stderr_are_separate(self):
        done = exec_in(ROOT, 'sh', '-c', 'echo out; echo err >&2')
        self.assertEqual((done.stdout, done.stderr), ('out\n', 'err\n'))

    def test_binary_data_both_ways(self):
        data = os.urandom(3_000_000)
        done = exec_in(ROOT, 'cat', input=data, text=False)
        self.assertEqual(done.stdout, data)

    def test_files_work_but_do_not_cross(self):
        data = os.urandom(200_000)
        with open('/tmp/in', 'wb') as f:
            f.write(data)
        with open('/tmp/in', 'rb') as source, open('/tmp/out', 'wb') as target:
            run(['nsinit', 'exec', '-C', ROOT, 'sh', '-c', 'readlink /proc/self/fd/0 /proc/self/fd/1 >&2; cat'],
                stdin=source, stdout=target, stderr=subprocess.PIPE, capture_output=False)
        with open('/tmp/out', 'rb') as f:
            self.assertEqual(f.read(), data)
        with open('/tmp/in', 'rb') as source:
            links = exec_in(ROOT, 'sh', '-c', 'readlink /proc/self/fd/0', stdin=source).stdout
        self.assertRegex(links, r'^pipe:')

    def test_directory_as_input_gives_nothing_of_the_host(self):
        fd = os.open('/', os.O_RDONLY)
        done = exec_in(ROOT, 'sh', '-c', 'readlink /proc/self/fd/0; ls /proc/self/fd/0/ 2>&1; cat', stdin=fd)
        os.close(fd)
        self.assertRegex(done.stdout, r'^pipe:')
        self.assertNotIn('nsinit-source', done.stdout)

    def test_closed_stdio(self):
        for fd in range(3):
            done = run(f'nsinit exec -C {ROOT} sh -c "exit 7" {fd}>&-', check=False)
            self.assertEqual(done.returncode, 7)

    def test_other_descriptors_do_not_cross(self):
        done = run(f'nsinit exec -C {ROOT} ls /proc/self/fd 3</ 300</etc/shadow 777</', executable='/bin/bash')
        self.assertEqual([n for n in done.stdout.split() if int(n) > 3], [])

    def test_broken_pipe(self):
        done = run(f'nsinit exec -C {ROOT} yes | head -n 1')
        self.assertEqual(done.stdout, 'y\n')

    def test_terminal(self):
        t = Terminal(['nsinit', 'exec', '-C', ROOT, 'sh'], rows=31, columns=97)
        self.addCleanup(exec_in, ROOT, 'true')  # sweeps what the next line may leave
        self.addCleanup(t.end)
        t.type('tty; stty size; echo $((6*7))-\n')
        t.expect(r'/dev/pts/0\r\n31 97\r\n42-')
        t.resize(40, 120)
        t.type('sleep 0.2; stty size\n')
        t.expect(r'40 120')
        t.type('sleep 100\n')
        time.sleep(0.3)
        t.type('\x03')
        t.type('echo status=$?\n')
        t.expect('status=130')
        t.type('sleep 77\n')
        time.sleep(0.3)
        t.type('\x1a')
        t.expect('Stopped')
        t.type('jobs; kill -9 %1\n')
        time.sleep(0.2)
        t.type('\n')
        t.expect('Killed')
        t.type('exit 5\n')
        self.assertEqual(t.finish(), 5)

    def test_terminal_drains_before_the_status(self):
        for _ in range(5):
            t = Terminal(['nsinit', 'exec', '-C', ROOT, 'seq', '1', '3000'])
            self.addCleanup(exec_in, ROOT, 'true')  # sweeps what the next line may leave
            self.addCleanup(t.end)
            self.assertEqual(t.finish(), 0)
            self.assertRegex(t.text, r'\b3000\r\n$')

    def test_output_that_somebody_made_non_blocking(self):
        ours, theirs = os.openpty()
        os.set_blocking(theirs, False)
        front = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, '-t', '--', 'seq', '3500'], stdin=theirs, stdout=theirs)
        os.close(theirs)
        time.sleep(1)  # the command has ended, and what it wrote fills the terminal
        text = b''
        try:
            while data := os.read(ours, 65536):
                text += data
        except OSError:  # the terminal has ended
            pass
        os.close(ours)
        self.assertEqual(front.wait(10), 0)
        self.assertEqual(text.split(), [b'%d' % n for n in range(1, 3501)])

    def test_no_terminal_when_asked(self):
        t = Terminal(['nsinit', 'exec', '-C', ROOT, '-T', 'sh', '-c', 'tty; readlink /proc/self/fd/1'])
        self.addCleanup(exec_in, ROOT, 'true')  # sweeps what the next line may leave
        self.addCleanup(t.end)
        t.expect('not a tty')
        t.expect('pipe:')
        self.assertEqual(t.finish(), 0)


class Join(Exec):
    def test_same_namespaces_same_confinement(self):
        _, pid = self.start()
        show = ('for n in mnt pid ipc uts net user; do readlink /proc/$P/ns/$n; done; '
                'grep -E "^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)" /proc/$P/status')
        of_pid1 = exec_in(ROOT, 'sh', '-c', f'P=1; {show}').stdout
        of_join = exec_in(ROOT, 'sh', '-c', f'P=$$; {show}').stdout
        self.assertEqual(of_pid1, of_join)
        self.assertIn(f'CapBnd:\t{BASE:016x}', of_join)
        self.assertIn(f'CapEff:\t{BASE:016x}', of_join)
        self.assertNotEqual(os.readlink(f'/proc/{pid}/ns/mnt'), os.readlink('/proc/self/ns/mnt'))
        self.assertEqual(len(of_join.splitlines()), 6 + 5 + 5)

    def test_dropped_capabilities(self):
        container('exec', dict(SPEC, capabilities=['CHOWN', 'NET_RAW', 'SYS_ADMIN']))
        self.start()
        expected = f'CapBnd:\t{BASE & ~(1 << 0) & ~(1 << 13):016x}'
        for _ in range(2):
            self.assertIn(expected, exec_in(ROOT, 'cat', '/proc/1/status').stdout)
            self.assertIn(expected, exec_in(ROOT, 'cat', '/proc/self/status').stdout)

    def test_kept_capabilities(self):
        container('exec', dict(SPEC, capabilities={'keep': ['CHOWN', 'CAP_KILL']}))
        self.start()
        self.assertIn(f'CapBnd:\t{0x21:016x}', exec_in(ROOT, 'cat', '/proc/self/status').stdout)

    def test_environment_exit_status_and_streams(self):
        self.start()
        self.assertEqual(sorted(exec_in(ROOT, 'env').stdout.splitlines()), sorted(SPEC['environment']))
        self.assertEqual(exec_in(ROOT, 'sh', '-c', 'exit 42').returncode, 42)
        self.assertEqual(exec_in(ROOT, 'nothing-here').returncode, 127)
        self.assertEqual(exec_in(ROOT, '/etc/passwd').returncode, 126)
        data = os.urandom(1_000_000)
        self.assertEqual(exec_in(ROOT, 'cat', input=data, text=False).stdout, data)
        done = nsinit('exec', '-C', ROOT, '-u', 'guest', 'id')
        self.assertEqual(done.stdout, 'uid=2000(guest) gid=2000(guest)\n')

    def test_terminal(self):
        self.start()
        t = Terminal(['nsinit', 'exec', '-C', ROOT, 'sh'], rows=33, columns=99)
        self.addCleanup(exec_in, ROOT, 'true')  # sweeps what the next line may leave
        self.addCleanup(t.end)
        t.type('tty; stty size\n')
        t.expect(r'/dev/pts/0\r\n33 99')
        t.type('exit 3\n')
        self.assertEqual(t.finish(), 3)

    def program_of(self, *options):
        """Which one `nsinit exec` with these has become; sealed copies have no path."""
        front = subprocess.Popen(['nsinit', 'exec', *options, 'sh', '-c', 'echo runs; cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(front.stdout.readline(), b'runs\n')
        with open(f'/proc/{front.pid}/exe', 'rb') as exe:
            image = exe.read()
        front.communicate()
        for name in ('nsinit-enter', 'nsinit'):
            with open(f'{LIBEXEC}/{name}', 'rb') as f:
                if f.read() == image:
                    return name
        return None

    def test_which_program_enters(self):
        self.start()
        for options in (['-C', ROOT], ['-C' + ROOT], ['-T', '-u', 'guest', '-w', '/tmp', '-e', 'A=b', '-C', ROOT, '--']):
            self.assertEqual(self.program_of(*options), 'nsinit-enter', options)
        self.assertEqual(self.program_of('--init', '-C', ROOT), 'nsinit')
        done = run([f'{LIBEXEC}/nsinit-enter', 'exec', '-C', ROOT, 'hostname'])
        self.assertEqual(done.stdout, 'inside\n')
        done = run([f'{LIBEXEC}/nsinit-enter', 'list', '--json'])
        self.assertEqual(json.loads(done.stdout), json.loads(nsinit('list', '--json').stdout))

    def test_what_enters_becomes_nsinit_where_the_supervisor_was_killed(self):
        def killed():
            front, _ = self.start()
            front.kill()
            front.wait()
            self.assertTrue(os.path.exists(control))
        st = os.stat(ROOT)
        control = f'{host.RUN_DIR}/{st.st_dev:x}-{st.st_ino:x}/control'
        killed()
        done = nsinit('exec', '-C', ROOT, '-u', 'guest', '-e', 'A=b', '-w', '/tmp', '--', 'sh', '-c', 'id -u; echo $A; pwd; cat',
                      input='piped\n')
        self.assertEqual((done.stdout, done.returncode), ('2000\nb\n/tmp\npiped\n', 0), done.stderr)
        killed()
        self.assertEqual(self.program_of('-C', ROOT), 'nsinit')
        killed()
        t = Terminal(['nsinit', 'exec', '-C', ROOT, '-t', 'sh', '-c', 'tty; stty size; exit 3'], rows=33, columns=99)
        self.addCleanup(t.end)
        t.expect(r'/dev/(pts/0|console)\r\n33 99')
        self.assertEqual(t.finish(), 3)

    def test_in_a_user_namespace(self):
        container('exec', dict(SPEC, namespaces=SPEC['namespaces'] + ['NEWUSER']))
        self.start()
        done = exec_in(ROOT, 'sh', '-c', 'id -u; readlink /proc/1/ns/user; readlink /proc/self/ns/user; touch /joined')
        lines = done.stdout.split()
        self.assertEqual(len(lines), 3, done.stderr)
        self.assertEqual((lines[0], lines[1]), ('0', lines[2]))
        self.assertEqual(os.stat(f'{ROOT}/joined').st_uid, 0)

    def test_end_of_pid_1_ends_all(self):
        front, pid = self.start()
        joined = [subprocess.Popen(['nsinit', 'exec', '-C', ROOT, 'sleep', '1000'], stdin=subprocess.DEVNULL)
                  for _ in range(3)]
        # One that has not executed yet still has the words of its front: nsinit exec ... sleep 1000.
        until(lambda: len(re.findall(r'root +sleep 1000$', exec_in(ROOT, 'ps').stdout, re.M)) == 4, 'three joined processes')
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        for process in joined:
            self.assertEqual(process.wait(5), 128 + 9)
        front.wait(5)
        self.assertLess(time.monotonic() - began, 1)
        self.assertFalse(os.path.exists(f'{ROOT}/.nspid'))

    def test_kill_of_a_joined_front_kills_what_joined(self):
        self.start()
        joined = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, 'sleep', '2000'], stdin=subprocess.DEVNULL)
        until(lambda: 'sleep 2000' in exec_in(ROOT, 'ps').stdout, 'the joined process')
        joined.kill()
        joined.wait()
        until(lambda: 'sleep 2000' not in exec_in(ROOT, 'ps').stdout, 'its end')

    def test_signals_are_forwarded(self):
        front, _ = self.start('sh', '-c', 'trap "exit 9" TERM; while :; do sleep 0.05; done')
        joined = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, 'sleep', '3000'], stdin=subprocess.DEVNULL)
        until(lambda: 'sleep 3000' in exec_in(ROOT, 'ps').stdout, 'the joined process')
        joined.send_signal(signal.SIGTERM)
        self.assertEqual(joined.wait(5), 128 + 15)
        front.send_signal(signal.SIGTERM)
        self.assertEqual(front.wait(5), 9)


class Trust(Exec):
    """A directory of another user's, in which root is asked to have a look: its container.json says what root does."""

    def test_container_json_of_another_user(self):
        spec = dict(SPEC, mounts=[{'type': 'bind', 'source': '/etc', 'target': '/of-the-host', 'writable': True}])
        write(f'{ROOT}/container.json', json.dumps(spec))
        look = ['cat', '/of-the-host/hostname']
        self.assertEqual(exec_in(ROOT, *look).returncode, 0)  # the control: root's own does as it says
        for owner, mode, cause in ((1001, 0o644, 'it belongs to uid 1001 and not to root; chown it to root'),
                                   (0, 0o664, 'its mode 0664 lets others than root write'), (0, 0o646, 'its mode 0646')):
            os.chown(f'{ROOT}/container.json', owner, 0)
            os.chmod(f'{ROOT}/container.json', mode)
            done = exec_in(ROOT, *look)
            self.assertEqual((done.returncode, done.stdout), (125, ''))
            self.assertIn(f'{ROOT}/container.json: {cause}', done.stderr)


class State(Exec):
    def test_nspid_is_pid_1(self):
        front, pid = self.start()
        with open(f'{ROOT}/.nspid', 'rb') as f:
            self.assertEqual(f.read(), str(pid).encode())
        self.assertEqual(int(run(f'ps -o ppid= -p {pid}').stdout), front.pid)
        self.assertRegex(run(f'grep NSpid /proc/{pid}/status').stdout, r'\t1$')

    def test_stale_and_forged_nspid(self):
        for forged in ('1', str(os.getpid()), '0', '-1', '4294967297', '12 34', '', 'x' * 100000):
            write(f'{ROOT}/.nspid', forged)
            done = exec_in(ROOT, 'sh', '-c', 'hostname; cat /proc/1/comm; true')
            self.assertEqual(done.stdout, 'inside\nsh\n', forged)

    def test_nspid_of_other_types(self):
        write('/tmp/canary', 'alive')
        for make in (lambda: os.symlink('/tmp/canary', f'{ROOT}/.nspid'), lambda: os.mkfifo(f'{ROOT}/.nspid'),
                     lambda: os.link('/srv/nsinit/exec/etc/group', f'{ROOT}/.nspid')):
            make()
            self.assertEqual(exec_in(ROOT, 'hostname', timeout=5).stdout, 'inside\n')
        os.mkdir(f'{ROOT}/.nspid')
        self.assertEqual(exec_in(ROOT, 'true').returncode, 125)
        os.rmdir(f'{ROOT}/.nspid')
        with open('/tmp/canary') as f:
            self.assertEqual(f.read(), 'alive')

    def test_kill_of_the_front_leaves_no_container(self):
        front, pid = self.start()
        front.kill()
        front.wait()
        until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of pid 1', 1)
        done = exec_in(ROOT, 'sh', '-c', 'cat /proc/1/comm; true')
        self.assertEqual(done.stdout, 'sh\n')

    def test_parallel_starts_race_to_one_pid_1(self):
        fronts = [subprocess.Popen(['nsinit', 'exec', '-C', ROOT, 'sh', '-c', 'readlink /proc/self/ns/pid; sleep 4'],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                  for _ in range(20)]
        namespaces = {f.stdout.readline() for f in fronts}
        self.assertEqual(len(namespaces), 1, namespaces)
        self.assertTrue(namespaces.pop().startswith('pid:'))
        for front in fronts:
            front.wait(20)
            front.stdout.close()
            front.stderr.close()

    def test_detached(self):
        done = nsinit('exec', '-d', '-C', ROOT, 'sleep', '1000')
        self.assertEqual(done.returncode, 0)
        pid = wait_nspid(ROOT)
        self.assertEqual(exec_in(ROOT, 'cat', '/proc/1/comm').stdout, 'sleep\n')
        os.kill(pid, signal.SIGKILL)

    def test_detached_failure_is_told(self):
        done = nsinit('exec', '-d', '-C', ROOT, 'no-such-program')
        self.assertEqual(done.returncode, 127)
        self.assertIn('no-such-program', done.stderr)

    def test_two_paths_are_one_container(self):
        os.symlink(ROOT, '/tmp/alias')
        self.addCleanup(os.unlink, '/tmp/alias')
        self.start()
        self.assertEqual(exec_in('/tmp/alias', 'cat', '/proc/1/comm').stdout, 'sleep\n')

    def test_locks_inside_the_rootfs_do_nothing(self):
        with open(f'{ROOT}/container.json') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.assertEqual(exec_in(ROOT, 'hostname', timeout=5).stdout, 'inside\n')
            self.start()
            self.assertEqual(exec_in(ROOT, 'hostname', timeout=5).stdout, 'inside\n')


class Mappings(unittest.TestCase):
    MAPS = {'uid_mappings': [{'container_id': 0, 'host_id': 300000, 'size': 10}, {'container_id': 1000, 'host_id': 400000, 'size': 1}],
            'gid_mappings': [{'container_id': 0, 'host_id': 500000, 'size': 10}]}
    SHOW = ('sh', '-c', 'cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u:%g /bin/busybox')

    def setUp(self):
        self.addCleanup(wait_nothing_left)

    def test_given_ids(self):
        spec = {**SPEC, 'namespaces': SPEC['namespaces'] + ['NEWUSER'], **self.MAPS}
        root = container('mapped', spec)
        expected = ['0', '300000', '10', '1000', '400000', '1', '0', '500000', '10', '0', '0:0']
        self.assertEqual(exec_in(root, *self.SHOW).stdout.split(), expected)
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)
        pid = wait_nspid(root)
        self.assertEqual((os.stat(f'/proc/{pid}').st_uid, os.stat(f'/proc/{pid}').st_gid), (300000, 500000))
        self.assertEqual(exec_in(root, *self.SHOW).stdout.split(), expected)
        os.kill(pid, signal.SIGKILL)
        front.wait()

    def test_a_login_is_refused(self):
        container('alice', {**SPEC, 'namespaces': SPEC['namespaces'] + ['NEWUSER'], **self.MAPS})
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}'])
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.assertIn('the ids of a login container are mapped by nsinit', host.log_text())


class Network(Exec):
    def bridge(self):
        run('ip link add name docker0 type bridge && ip address add 172.17.42.1/16 dev docker0 && '
            'ip link set docker0 up')
        self.addCleanup(run, 'ip link delete docker0')

    def sample(self):
        with open(f'{SOURCE}/etc/container.json') as f:
            return f.read()

    def test_sample_runs_unmodified(self):
        self.bridge()
        container('exec', self.sample())
        done = exec_in(ROOT, 'sh', '-c', 'ip -o address; ip route; ip link show eth0; hostname; '
                                         'ping -c 1 -w 3 172.17.42.1; cat /proc/1/comm; env')
        self.assertRegex(done.stdout, r'eth0\s+inet 172\.17\.0\.100/16')
        self.assertRegex(done.stdout, r'lo\s+inet 127\.0\.0\.1/8')
        self.assertIn('default via 172.17.42.1 dev eth0', done.stdout)
        self.assertRegex(done.stdout, r'eth0.*mtu 1500')
        self.assertIn('koye\n', done.stdout)
        self.assertIn('1 packets received', done.stdout)
        self.assertIn('PATH=PATH=$PATH:/bin:/usr/bin:/sbin:/usr/sbin', done.stdout)
        self.assertEqual(done.returncode, 0)

    def test_sample_is_the_seed_s(self):
        done = nsinit('check', f'{SOURCE}/etc/container.json')
        self.assertEqual(done.returncode, 0)
        for dropped in ('SYS_ADMIN', 'MKNOD', 'SETPCAP', 'AUDIT_WRITE'):
            self.assertNotIn(dropped, done.stdout)

    def test_missing_bridge_says_how_to_make_it(self):
        container('exec', self.sample())
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('ip link add name docker0 type bridge', done.stderr)

    def test_interface_is_gone_after_a_kill(self):
        self.bridge()
        container('exec', self.sample())
        front, _ = self.start()
        self.assertIn('docker0', run('ip -o link show master docker0').stdout)
        front.kill()
        front.wait()
        until(lambda: run('ip -o link show master docker0').stdout == '', 'the end of the interface')

    def test_loopback_without_network(self):
        done = exec_in(ROOT, 'sh', '-c', 'ip -o link; ping -c 1 -w 3 127.0.0.1')
        self.assertIn('1 packets received', done.stdout)
        self.assertNotIn('eth0', done.stdout)

    def test_user_namespace_with_network(self):
        self.bridge()
        spec = self.sample().replace('"NEWNET"', '"NEWNET", "NEWUSER"')
        container('exec', spec)
        self.assertIn('1 packets received', exec_in(ROOT, 'ping', '-c', '1', '-w', '3', '172.17.42.1').stdout)


del Exec
