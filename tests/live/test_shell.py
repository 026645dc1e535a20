"""nsinit-shell and nsinitd: logins that come without PAM, through a second and a third kind of server."""
import os
import signal
import subprocess
import time
import unittest

import host
from host import ROOTS, SSH_OPTIONS, Terminal, container, policy, run, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
DROPBEAR, NOPAM = 2322, 2422
SHELL = '/usr/bin/nsinit-shell'


class Shell(unittest.TestCase):
    """alice's shell is nsinit-shell; dropbear, and an sshd without PAM, serve her."""

    @classmethod
    def setUpClass(cls):
        container('alice', full=True)
        container('carol')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}',
                f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; userns = "off"; }}',
                '{ user = "dave"; deny = "No container is set up for %u."; }'])
        for name in ('alice', 'bob', 'carol', 'dave'):
            run(['usermod', '-s', SHELL, name])
        run(['add-shell', SHELL])
        cls.broker = subprocess.Popen(['nsinitd'])
        host.wait_nsinitd()
        run('rm -f /root/dropbear_key; dropbearkey -t ed25519 -f /root/dropbear_key')
        cls.servers = [subprocess.Popen(
            ['dropbear', '-F', '-E', '-r', '/root/dropbear_key', '-p', f'127.0.0.1:{DROPBEAR}'],
            stderr=open('/tmp/dropbear.log', 'a'))]
        with open('/root/sshd_config') as f:
            config = f.read().replace(f'Port {host.PORT}', f'Port {NOPAM}').replace('UsePAM yes', 'UsePAM no')
        with open('/usr/share/doc/nsinit/sshd.conf') as f:
            config += f.read().replace('Match Group students', 'Match User alice')
        write('/root/sshd_nopam', config)
        cls.servers.append(subprocess.Popen(['/usr/sbin/sshd', '-D', '-e', '-f', '/root/sshd_nopam'],
                                            stderr=open(host.SSHD_LOG, 'a')))
        for port in (DROPBEAR, NOPAM):
            until(lambda: host.Host.listening(port), f'a server on {port}')

    @classmethod
    def tearDownClass(cls):
        for process in (*cls.servers, cls.broker):
            process.terminate()
            process.wait()
        for name in ('alice', 'carol'):
            run(['usermod', '-s', '/bin/sh', name])
        for name in ('bob', 'dave'):
            run(['usermod', '-s', '/bin/bash', name])

    def setUp(self):
        self.addCleanup(wait_nothing_left)

    def ssh(self, port, user, *command, options=(), **kwargs):
        kwargs.setdefault('check', False)
        kwargs.setdefault('stdin', subprocess.DEVNULL) if 'input' not in kwargs else None
        return run(['ssh', *SSH_OPTIONS, '-p', str(port), *options, f'{user}@127.0.0.1', *command], **kwargs)

    def terminal(self, port, user='alice', command=(), options=()):
        t = Terminal(['ssh', *SSH_OPTIONS, '-p', str(port), *options, f'{user}@127.0.0.1', *command],
                     rows=33, columns=99)
        self.addCleanup(t.end)
        return t


class Servers(Shell):
    def test_lands_inside(self):
        for port in (DROPBEAR, NOPAM, host.PORT):
            with self.subTest(port=port):
                done = self.ssh(port, 'alice', 'hostname; id -un; head -c 11 /proc/1/cmdline; echo; pwd; echo $SHELL $HOME; id -G')
                uid = run('id -u alice').stdout.strip()
                self.assertEqual(done.stdout.split('\n'),
                                 ['inside', 'alice', 'nsinit-init', '/home/alice', '/bin/sh /home/alice', uid, ''],
                                 done.stderr)

    def test_confinement_is_that_of_a_pam_login(self):
        command = 'for n in mnt pid ipc uts net user; do readlink /proc/self/ns/$n; done; grep -E ' \
                  '"^(Cap|Uid|Gid|Groups|NoNewPrivs|Seccomp)" /proc/self/status; umask'
        # A session of the first holds the container for the second.
        holder = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'sleep 30'],
                                  stdin=subprocess.DEVNULL)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        until(lambda: os.path.exists(f'{ROOT}/.nspid'), 'the container')
        by_pam = self.ssh(host.PORT, 'alice', command).stdout
        self.assertIn('CapEff:\t0000000000000000', by_pam)
        for port in (DROPBEAR, NOPAM):
            done = self.ssh(port, 'alice', command)
            self.assertEqual(done.stdout, by_pam, f'{port} {done}')

    def test_exit_status_and_streams(self):
        for port in (DROPBEAR, NOPAM):
            for status in (0, 1, 42):
                self.assertEqual(self.ssh(port, 'alice', f'exit {status}').returncode, status)
            self.assertEqual(self.ssh(port, 'alice', 'no-such-program').returncode, 127)
            done = self.ssh(port, 'alice', 'echo out; echo err >&2; kill -9 $$')
            self.assertEqual((done.stdout, done.stderr.split('\n')[0]), ('out\n', 'err'))
            self.assertNotEqual(done.returncode, 0)
            data = os.urandom(3 << 20)
            self.assertEqual(self.ssh(port, 'alice', 'cat', input=data, text=False).stdout, data)

    def test_command_is_verbatim(self):
        word = '''printf '%s|' "$HOME" 'a  b' "c'd" \\$x `echo e` *.none; echo'''
        for port in (DROPBEAR, NOPAM):
            done = self.ssh(port, 'alice', word)
            self.assertEqual(done.stdout, "/home/alice|a  b|c'd|$x|e|*.none|\n", f'{port} {done}')

    def test_terminal(self):
        for port in (DROPBEAR, NOPAM):
            t = self.terminal(port)
            t.expect(r'\$ ')
            t.type('tty; stty size; echo $0; ls -l $(tty)\n')
            t.expect(r'/dev/pts/0\r\n33 99\r\n')
            t.expect(r'-sh\r\n')
            t.expect('alice +tty ')
            t.resize(50, 130)
            t.type('sleep 0.3; stty size\n')
            t.expect('50 130')
            t.type('sleep 100\n')
            time.sleep(0.3)
            t.type('\x03')
            t.type('echo status=$?\n')
            t.expect('status=130')
            t.type('sleep 99\n')
            time.sleep(0.3)
            t.type('\x1a')
            t.expect('Stopped')
            t.type('kill -9 %1\n')
            time.sleep(0.2)
            t.type('\n')
            t.expect('Killed')
            t.type('exit 6\n')
            self.assertEqual(t.finish(), 6)

    def test_relayed_terminal_of_a_pam_login_is_the_host_s_in_its_records(self):
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; tty = "relay"; }}'])
        self.addCleanup(self.setUpPolicy)
        # The test's own terminal is the host's pts/0: sshd gets another.
        t = self.terminal(host.PORT)
        t.expect(r'\$ ')
        t.type('tty; stty size; sleep 100\n')
        t.expect(r'/dev/pts/0\r\n33 99\r\n')
        time.sleep(0.3)
        t.type('\x03')
        t.expect(r'\$ ')
        who = run('who').stdout
        if 'alice' in who:  # Debian 13's sshd writes no utmp
            self.assertRegex(who, r'alice +pts/[1-9]')
        t.type('exit 4\n')
        self.assertEqual(t.finish(), 4)

    def test_output_is_drained_before_the_status(self):
        t = self.terminal(DROPBEAR, command=['seq 20000; exit 7'], options=['-tt'])
        self.assertEqual(t.finish(), 7)
        self.assertIn('19999\r\n20000\r\n', t.text)

    def test_hangup_ends_the_session(self):
        for port in (DROPBEAR, NOPAM):
            t = self.terminal(port)
            t.expect(r'\$ ')
            os.kill(t.pid, signal.SIGKILL)
            wait_nothing_left()

    def test_files(self):
        data = os.urandom(200_000)
        with open('/tmp/payload', 'wb') as f:
            f.write(data)
        shell = f'ssh {" ".join(SSH_OPTIONS)} -p {DROPBEAR}'
        run(['rsync', '-e', shell, '/tmp/payload', 'alice@127.0.0.1:/tmp/by-rsync'])
        for port in (DROPBEAR, NOPAM):
            run(['scp', '-O', *SSH_OPTIONS, '-P', str(port), '/tmp/payload', f'alice@127.0.0.1:/tmp/by-scp-{port}'])
        for name in ('by-rsync', f'by-scp-{DROPBEAR}', f'by-scp-{NOPAM}'):
            with open(f'{ROOT}/tmp/{name}', 'rb') as f:
                self.assertEqual(f.read(), data)

    def test_sftp_server_is_the_image_s_or_missed_clearly(self):
        sftp = ['sftp', *SSH_OPTIONS, '-P', str(NOPAM), '-b', '-', 'alice@127.0.0.1']
        done = run(sftp, check=False, input='ls /\n')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('this container has no sftp server', done.stderr)
        self.assertNotIn('srv', done.stdout)
        host.add_programs(ROOT, ['/usr/lib/openssh/sftp-server'])
        self.addCleanup(os.unlink, f'{ROOT}/usr/lib/openssh/sftp-server')
        done = run(sftp, input='ls /\nput /root/key.pub /tmp/by-sftp\n')
        self.assertIn('container.json', done.stdout)
        self.assertTrue(os.path.exists(f'{ROOT}/tmp/by-sftp'))
        # dropbear asks the user's shell for the server's path on the host.
        done = run(['sftp', *SSH_OPTIONS, '-P', str(DROPBEAR), '-b', '-', 'alice@127.0.0.1'], input='ls /\n')
        self.assertIn('container.json', done.stdout)

    def test_forwards_are_closed_where_pam_is_not_used(self):
        outside = host.Server('outside', ('127.0.0.1', 7301))
        self.addCleanup(outside.close)
        done = self.ssh(NOPAM, 'alice', options=['-W', '127.0.0.1:7301'], timeout=20)
        self.assertNotIn('outside', done.stdout)

    def test_policy_shell(self):
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; shell = "/usr/bin/bash"; }}'])
        self.addCleanup(self.setUpPolicy)
        self.assertEqual(self.ssh(DROPBEAR, 'alice', 'echo $SHELL ${BASH_VERSION%%.*}').stdout[:15], '/usr/bin/bash 5')
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; shell = "/bin/absent"; }}'])
        wait_nothing_left()
        done = self.ssh(DROPBEAR, 'alice', 'echo $SHELL')
        self.assertEqual((done.returncode, done.stdout), (127, ''))
        self.assertIn('/bin/absent', done.stderr)

    @classmethod
    def setUpPolicy(cls):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}',
                f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; userns = "off"; }}',
                '{ user = "dave"; deny = "No container is set up for %u."; }'])


class Refusals(Shell):
    def test_denied_unmapped_and_without_user_namespace(self):
        for user, told in (('dave', 'No container is set up for dave.'),
                           ('bob', 'Your container could not be opened'),
                           ('carol', 'Your container could not be opened')):
            done = self.ssh(DROPBEAR, user, 'hostname')
            self.assertEqual((done.returncode, done.stdout), (254, ''), user)
            self.assertIn(told, done.stderr)

    def test_without_nsinitd(self):
        os.kill(self.broker.pid, signal.SIGSTOP)
        os.rename('/run/nsinit/doors/nsinitd', '/run/nsinit/doors/away')
        done = self.ssh(DROPBEAR, 'alice', 'hostname')
        os.rename('/run/nsinit/doors/away', '/run/nsinit/doors/nsinitd')
        os.kill(self.broker.pid, signal.SIGCONT)
        self.assertEqual((done.returncode, done.stdout), (254, ''))
        until(lambda: 'nsinitd does not run' in host.log_text(), 'the reason in the log')


del Shell
