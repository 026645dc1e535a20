"""The ssh landing suite: everything of a stock OpenSSH login lands inside."""
import hashlib
import os
import re
import signal
import socket
import subprocess
import unittest

import host
from host import (KEY, PASSWORD, PATIENCE, PORT, ROOTS, SSH_OPTIONS, Server, Terminal, ask, container, exec_in, nothing_left,
                  pause, policy, run, ssh, until, wait_nothing_left, write)

ROOT = f'{ROOTS}/alice'
TARGET = 'alice@127.0.0.1'


class Landing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        container('carol')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}',
                f'{{ group = "students"; rootfs = "{ROOTS}/%u"; lifetime = {PATIENCE:.0f}; }}',
                '{ user = "dave"; deny = "No container is set up for %u."; }'])

    def setUp(self):
        self.addCleanup(wait_nothing_left)

    def background(self, *arguments, stdin=subprocess.DEVNULL, **kwargs):
        process = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), *arguments], stdin=stdin, **kwargs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def serve_inside(self, port):
        """A server in the container, held by a session of its own."""
        self.background(TARGET, f'socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork SYSTEM:"echo inside"')
        until(lambda: f':{port:04X} ' in ssh('alice', 'cat /proc/net/tcp').stdout, 'a server inside')


class Command(Landing):
    def test_lands_inside(self):
        done = ssh('alice', 'hostname; id -un; head -c 11 /proc/1/cmdline; echo; ls /; pwd; tty')
        lines = done.stdout.split('\n')
        self.assertEqual(lines[:3], ['inside', 'alice', 'nsinit-init'])
        self.assertIn('container.json', lines)
        self.assertIn('/home/alice', lines)
        self.assertIn('not a tty', lines)

    def test_exit_status(self):
        for status in (0, 1, 42, 255):
            self.assertEqual(ssh('alice', f'exit {status}').returncode, status)
        self.assertEqual(ssh('alice', 'kill -9 $$').returncode, 255)
        self.assertEqual(ssh('alice', 'no-such-program').returncode, 127)

    def test_streams_are_separate(self):
        done = ssh('alice', 'echo out; echo err >&2')
        self.assertEqual((done.stdout, done.stderr), ('out\n', 'err\n'))

    def test_8_megabytes_both_ways(self):
        data = os.urandom(8 << 20)
        self.assertEqual(ssh('alice', 'cat', input=data, text=False).stdout, data)
        digest = ssh('alice', 'sha256sum', input=data, text=False).stdout.split()[0].decode()
        self.assertEqual(digest, hashlib.sha256(data).hexdigest())

    def test_password(self):
        done = run(['sshpass', '-p', PASSWORD, 'ssh', *SSH_OPTIONS[:-2], '-o', 'PubkeyAuthentication=no', '-p',
                    str(PORT), TARGET, 'hostname; head -c 11 /proc/1/cmdline; echo'], stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, 'inside\nnsinit-init\n')

    def test_environment(self):
        done = ssh('alice', 'echo "$HOME|$USER|$LOGNAME|$SHELL|$container|$LETTERS|$PATH|$GIFT"',
                   options=['-o', 'SetEnv=GIFT=wrapped'])
        self.assertEqual(done.stdout,
                         '/home/alice|alice|alice|/bin/sh|nsinit|a b$c|/bin:/usr/bin|wrapped\n')

    def test_confinement_is_pid_1_s(self):
        done = ssh('alice', 'for n in mnt pid ipc uts net user; do readlink /proc/self/ns/$n; done; '
                            'grep -E "^(CapBnd|CapEff|CapPrm|CapInh|Uid|Gid|Groups)" /proc/self/status; '
                            'ls -l /proc/self/fd; cat /proc/1/status')
        self.assertIn('CapBnd:\t00000000a80425fb', done.stdout)
        for empty in ('CapEff', 'CapPrm', 'CapInh'):
            self.assertIn(f'{empty}:\t0000000000000000', done.stdout)
        uid = run('id -u alice').stdout.strip()
        self.assertIn(f'Uid:\t{uid}\t{uid}\t{uid}\t{uid}', done.stdout)
        for link in done.stdout.split('\n')[:6]:
            self.assertNotEqual(os.readlink('/proc/self/ns/' + link.split(':')[0]), link)
        self.assertNotIn('nsinit-source', done.stdout)

    def test_root_inside_is_nobody_outside(self):
        self.background(TARGET, 'sleep 1000')
        until(lambda: 'nsinit-init' in run('ps -eo comm').stdout, 'the container')
        pid = until(lambda: host.wait_nspid(ROOT), 'pid 1')
        self.assertGreater(os.stat(f'/proc/{pid}').st_uid, 0x6fffffff)
        done = exec_in(ROOT, 'sh', '-c', 'id -u; echo 1 > /proc/sys/kernel/core_pattern; dmesg; touch /owned')
        self.assertEqual(done.stdout.split('\n')[0], '0')
        self.assertEqual(os.stat(f'{ROOT}/owned').st_uid, 0)

    def test_sessions_share_a_container(self):
        first = self.background(TARGET, 'readlink /proc/self/ns/pid; read x', stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        namespace = first.stdout.readline()
        second = self.background(TARGET, 'readlink /proc/self/ns/pid; read x; echo still here',
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(second.stdout.readline(), namespace)
        first.communicate('\n', timeout=60)
        self.assertFalse(nothing_left())
        self.assertEqual(second.communicate('\n', timeout=60)[0], 'still here\n')

    def test_fifteen_first_logins_at_once(self):
        clients = [self.background(TARGET, f'readlink /proc/self/ns/pid; sleep {5 * PATIENCE}', stdout=subprocess.PIPE, text=True)
                   for _ in range(15)]
        self.assertEqual(len({c.communicate(timeout=60 * PATIENCE)[0] for c in clients}), 1)

    def test_nothing_runs_on_after_the_last_session(self):
        done = ssh('alice', 'setsid sleep 4321 >/dev/null 2>&1 & sleep 0.3; ps -o args')
        self.assertIn('sleep 4321\n', done.stdout)
        wait_nothing_left()
        self.assertNotIn('sleep 4321', run('ps -eo args').stdout)

    def test_grace(self):
        one = ssh('carol', 'readlink /proc/self/ns/pid').stdout
        self.assertFalse(nothing_left())
        self.assertEqual(ssh('carol', 'readlink /proc/self/ns/pid').stdout, one)
        pause(1.3)
        wait_nothing_left()

    def test_group_rule_uses_supplementary_groups(self):
        self.assertEqual(ssh('carol', 'hostname; id').stdout.split('\n')[0], 'inside')

    def test_x11_socket_is_inside(self):
        write('/root/.Xauthority', '')
        env = dict(os.environ, DISPLAY=':77', HOME='/root')
        run('xauth add :77 . 00112233445566778899aabbccddeeff', env=env)
        done = ssh('alice', 'echo $DISPLAY; cat /proc/net/tcp; ls -a $HOME/.Xauthority', options=['-Y'], env=env)
        self.assertRegex(done.stdout, r'localhost:\d+\.0', done.stderr)
        self.assertRegex(done.stdout, r'0100007F:177[A-F]')
        self.assertNotRegex(open('/proc/net/tcp').read(), r'0100007F:177[A-F]')


class Interactive(Landing):
    def test_terminal(self):
        t = Terminal(['ssh', *SSH_OPTIONS, '-p', str(PORT), TARGET], rows=35, columns=111)
        self.addCleanup(t.end)
        t.expect(r'\$ ')
        t.type('tty; stty size; ls -l $(tty); echo $SSH_TTY-\n')
        t.expect(r'/dev/pts/0\r\n35 111\r\n')
        t.expect(r'alice +tty ')
        t.expect(r'/dev/pts/0-')
        t.resize(50, 130)
        t.type('sleep 0.3; stty size\n')
        t.expect('50 130')
        t.type('sleep 100\n')
        pause(0.3)
        t.type('\x03')
        t.type('echo status=$?\n')
        t.expect('status=130')
        t.type('sleep 99\n')
        pause(0.3)
        t.type('\x1a')
        t.expect('Stopped')
        t.type('kill -9 %1\n')
        pause(0.2)
        t.type('\n')
        t.expect('Killed')
        recorded = self.host_records_logins()
        if recorded:
            self.assertRegex(run('who').stdout, r'alice\s+pts/0')
        t.type('exit 6\n')
        self.assertEqual(t.finish(), 6)
        if recorded:
            self.assertNotIn('alice', run('who').stdout)
            self.assertRegex(run('last -w').stdout, r'alice\s+pts/0\s+127\.0\.0\.1')

    def host_records_logins(self):
        """Whether this host's sshd writes utmp at all: seen by an unmapped user's login. Debian 12's does."""
        t = Terminal(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'bob@127.0.0.1'])
        self.addCleanup(t.end)
        t.expect(r'\$ ')
        recorded = 'bob' in run('who').stdout
        t.type('exit\n')
        t.finish()
        with open('/etc/os-release') as f:
            self.assertTrue(recorded or 'bookworm' not in f.read())
        return recorded

    def test_hangup_ends_the_shell(self):
        t = Terminal(['ssh', *SSH_OPTIONS, '-p', str(PORT), TARGET])
        self.addCleanup(t.end)
        t.expect(r'\$ ')
        os.kill(t.pid, signal.SIGKILL)
        t.finish()
        wait_nothing_left()

    def test_session_is_closed_on_the_host(self):
        ssh('alice', 'true')
        log = until(lambda: re.search(r'pam_nsinit\(sshd:session\): user=alice session closed', host.log_text()),
                    'the log line')
        self.assertTrue(log)


class Transfer(Landing):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(300_000)
        with open('/tmp/payload', 'wb') as f:
            f.write(self.data)
        for path in ('/tmp/back', f'{ROOT}/tmp/payload'):
            if os.path.exists(path):
                os.unlink(path)

    def there(self):
        """The file is in the container's /tmp, and the host's holds only ours."""
        with open(f'{ROOT}/tmp/payload', 'rb') as f:
            return f.read() == self.data

    def back(self):
        with open('/tmp/back', 'rb') as f:
            return f.read() == self.data

    def test_sftp_without_a_server_in_the_image(self):
        run('find ' + ROOT + ' -name "*sftp*" | grep . && exit 1; true')
        run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', TARGET],
            input='put /tmp/payload /tmp/payload\nget /tmp/payload /tmp/back\nls /\n')
        self.assertTrue(self.there() and self.back())

    def test_scp_both_protocols(self):
        for protocol in ([], ['-O']):
            self.setUp()
            run(['scp', *protocol, *SSH_OPTIONS, '-P', str(PORT), '/tmp/payload', f'{TARGET}:/tmp/payload'])
            run(['scp', *protocol, *SSH_OPTIONS, '-P', str(PORT), f'{TARGET}:/tmp/payload', '/tmp/back'])
            self.assertTrue(self.there() and self.back())

    def test_rsync(self):
        shell = ' '.join(['ssh', *SSH_OPTIONS, '-p', str(PORT)])
        run(['rsync', '-e', shell, '/tmp/payload', f'{TARGET}:/tmp/payload'])
        run(['rsync', '-e', shell, f'{TARGET}:/tmp/payload', '/tmp/back'])
        self.assertTrue(self.there() and self.back())

    def test_git_clone(self):
        run('rm -rf /tmp/clone /tmp/made; git init -q /tmp/made && cd /tmp/made && echo text > file && git add file && '
            'git -c user.name=a -c user.email=a@b commit -qm first && rm -rf ' + f'{ROOT}/tmp/repo.git && '
            f'git clone -q --bare /tmp/made {ROOT}/tmp/repo.git && chmod -R a+rX {ROOT}/tmp/repo.git && '
            f'chown -R alice {ROOT}/tmp/repo.git')
        # Files made on the host by the login user belong to another id inside: made readable for all, owned by
        # nobody, which git has to be told.
        run('printf "[safe]\\n\\tdirectory = *\\n" > /home/alice/.gitconfig; chown alice /home/alice/.gitconfig')
        shell = ' '.join(['ssh', *SSH_OPTIONS, '-p', str(PORT)])
        run(['git', 'clone', '-q', f'{TARGET}:/tmp/repo.git', '/tmp/clone'], env=dict(os.environ, GIT_SSH_COMMAND=shell))
        with open('/tmp/clone/file') as f:
            self.assertEqual(f.read(), 'text\n')


class Forward(Landing):
    def setUp(self):
        super().setUp()
        self.outside = Server('outside', ('127.0.0.1', 7001))
        self.addCleanup(self.outside.close)

    def test_local_reaches_the_container_only(self):
        self.serve_inside(7001)
        self.background('-N', '-L', '7100:127.0.0.1:7001', '-L', '7101:127.0.0.1:7002', TARGET)
        until(lambda: host.Host.listening(7100), 'the forward')
        self.assertEqual(ask(('127.0.0.1', 7100)), 'inside')
        hidden = Server('outside', ('127.0.0.1', 7002))
        self.addCleanup(hidden.close)
        self.assertEqual(ask(('127.0.0.1', 7101)), '')

    def test_local_resolves_localhost_inside(self):
        self.serve_inside(7001)
        self.background('-N', '-L', '7102:localhost:7001', TARGET)
        until(lambda: host.Host.listening(7102), 'the forward')
        self.assertEqual(ask(('127.0.0.1', 7102)), 'inside')

    def test_no_shell_at_all_is_inside_too(self):
        # -N never starts a shell: where does its forward come out with nothing else running?
        self.background('-N', '-L', '7103:127.0.0.1:7001', TARGET)
        until(lambda: host.Host.listening(7103), 'the forward')
        self.assertEqual(ask(('127.0.0.1', 7103)), '')

    def test_stdio_forward(self):
        self.serve_inside(7001)
        done = ssh('alice', options=['-W', '127.0.0.1:7001'], timeout=60)
        self.assertEqual(done.stdout.strip(), 'inside')

    def test_dynamic(self):
        self.serve_inside(7001)
        self.background('-N', '-D', '7104', TARGET)
        until(lambda: host.Host.listening(7104), 'the proxy')
        with socket.create_connection(('127.0.0.1', 7104), 5) as s:
            s.sendall(b'\x05\x01\x00')
            self.assertEqual(s.recv(2), b'\x05\x00')
            s.sendall(b'\x05\x01\x00\x01\x7f\x00\x00\x01' + (7001).to_bytes(2, 'big'))
            self.assertEqual(s.recv(10)[1], 0)
            self.assertEqual(s.makefile().readline(), 'inside\n')

    def test_remote_listens_in_the_container_only(self):
        self.background('-N', '-R', '7200:127.0.0.1:7001', TARGET)
        until(lambda: ':1C20 ' in ssh('alice', 'cat /proc/net/tcp').stdout, 'the listener inside')
        self.assertFalse(host.Host.listening(7200))
        self.assertEqual(ssh('alice', 'socat -u TCP:127.0.0.1:7200 -').stdout, 'outside\n')

    def test_unix_sockets(self):
        for path in ('/tmp/host.sock', '/tmp/far.sock', f'{ROOT}/tmp/listen.sock'):
            if os.path.lexists(path):
                os.unlink(path)
        on_host = Server('outside', '/tmp/host.sock')
        self.addCleanup(on_host.close)
        # -L to a path: the container's, which has none of that name.
        self.background('-N', '-L', '/tmp/far.sock:/tmp/host.sock', '-R', '/tmp/listen.sock:/tmp/host.sock', TARGET)
        until(lambda: os.path.exists('/tmp/far.sock'), 'the near end')
        self.assertEqual(ask('/tmp/far.sock'), '')
        # -R of a path: a socket in the container.
        until(lambda: os.path.exists(f'{ROOT}/tmp/listen.sock'), 'the far end')
        self.assertFalse(os.path.exists('/tmp/listen.sock'))
        self.assertEqual(ssh('alice', 'socat -u UNIX-CONNECT:/tmp/listen.sock -').stdout, 'outside\n')

    def test_agent(self):
        agent = re.findall(r'=([^;]+);', run('ssh-agent -s').stdout)
        env = dict(os.environ, SSH_AUTH_SOCK=agent[0])
        self.addCleanup(os.kill, int(agent[1]), signal.SIGTERM)
        run(['ssh-add', '-q', KEY], env=env)
        done = ssh('alice', 'echo $SSH_AUTH_SOCK; [ -S $SSH_AUTH_SOCK ] && ssh-add -l', options=['-A'], env=env)
        self.assertIn('(ED25519)', done.stdout, done.stderr)
        self.assertFalse(os.path.exists(done.stdout.split('\n')[0]))

    def test_control_master_with_5_sessions(self):
        path = '/tmp/master.sock'
        master = self.background('-N', '-M', '-S', path, TARGET)
        until(lambda: os.path.exists(path), 'the master')
        sessions = [subprocess.Popen(['ssh', '-S', path, TARGET, 'readlink /proc/self/ns/pid; sleep 0.5; exit 3'],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(5)]
        out = {s.communicate(timeout=60)[0] for s in sessions}
        self.assertEqual(len(out), 1)
        self.assertEqual([s.returncode for s in sessions], [3] * 5)
        self.assertNotEqual(out.pop().strip(), os.readlink('/proc/self/ns/pid'))
        master.terminate()


class Kill(Landing):
    """Whatever is killed: the session ends, nothing stays, the next login works."""

    def session(self):
        client = self.background(TARGET, 'echo in; sleep 1000', stdout=subprocess.PIPE, text=True)
        self.assertEqual(client.stdout.readline(), 'in\n')
        return client

    def sshd_processes(self):
        """Monitor and child of alice's connection."""
        found = {}
        for line in run('ps -eo pid,ruid,args').stdout.split('\n'):
            match = re.match(r'\s*(\d+)\s+(\d+)\s+sshd(?:-session)?: alice(.*)', line)
            if match:
                found['child' if '@' in match[3] else 'monitor'] = int(match[1])
        return found

    def next_login_works(self):
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def kill(self, pid):
        client = self.session()
        os.kill(pid(), signal.SIGKILL)
        client.wait(10)
        wait_nothing_left()
        until(lambda: not self.sshd_processes(), "the end of sshd's processes")
        self.next_login_works()

    def test_monitor(self):
        self.kill(lambda: self.sshd_processes()['monitor'])

    def test_child(self):
        self.kill(lambda: self.sshd_processes()['child'])

    def test_pid_1(self):
        self.kill(lambda: host.wait_nspid(ROOT))

    def test_supervisor(self):
        client = self.session()
        pid = int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout)
        os.kill(pid, signal.SIGKILL)
        until(lambda: client.poll() is not None or 'sleep 1000' not in run('ps -eo args').stdout, 'the end')
        self.next_login_works()
        client.kill()

    def test_forged_nspid(self):
        write(f'{ROOT}/.nspid', '1')
        self.assertEqual(ssh('alice', 'head -c 11 /proc/1/cmdline; echo').stdout, 'nsinit-init\n')


del Landing
