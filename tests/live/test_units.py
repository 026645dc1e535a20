"""What is installed for systemd and sshd: that it is valid, and nsinitd as systemd starts it."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import unittest

from host import ROOTS, container, policy, run, until, wait_nothing_left, write

DOOR = '/run/nsinit/doors/nsinitd'
UNITS = '/usr/lib/systemd/system'
BLOCK = '/usr/share/doc/nsinit/sshd.conf'


class Files(unittest.TestCase):
    def test_units(self):
        for name in ('nsinitd.socket', 'nsinitd.service'):
            self.assertTrue(os.path.exists(f'{UNITS}/{name}'))
        with open(f'{UNITS}/nsinitd.socket') as f:
            text = f.read()
        for line in (f'ListenSequentialPacket={DOOR}', 'SocketMode=0666', 'DirectoryMode=0711'):
            self.assertIn(f'\n{line}\n', text)
        if not shutil.which('systemd-analyze'):
            return
        self.assertEqual(run(['systemd-analyze', 'verify', f'{UNITS}/nsinitd.socket', f'{UNITS}/nsinitd.service']).stderr, '')
        # The control: it would have said so.
        os.makedirs('/tmp/units', exist_ok=True)
        write('/tmp/units/wrong.service', '[Service]\nExecStart=/usr/sbin/nsinitd\nDelegat=yes\n')
        self.assertIn('Delegat', run(['systemd-analyze', 'verify', '/tmp/units/wrong.service'], check=False).stderr)

    def test_match_block(self):
        write('/root/sshd_block', f'HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nInclude {BLOCK}\n')
        shown = {}
        for user in ('carol', 'bob'):
            done = run(['/usr/sbin/sshd', '-T', '-f', '/root/sshd_block', '-C', f'user={user},host=x,addr=192.0.2.1'])
            shown[user] = done.stdout.split('\n')
        for line in ('forcecommand /usr/bin/nsinit-shell', 'disableforwarding yes', 'permituserrc no', 'permittty yes',
                     'permituserenvironment no'):
            self.assertIn(line, shown['carol'])
        self.assertIn('forcecommand none', shown['bob'])
        self.assertIn('disableforwarding no', shown['bob'])


class Activation(unittest.TestCase):
    """The socket is systemd's, nsinitd gets it as descriptor 3."""

    @classmethod
    def setUpClass(cls):
        container('alice')
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        for path in ('/run/nsinit', '/run/nsinit/doors'):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o711)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(DOOR):
            os.unlink(DOOR)
        self.socket.bind(DOOR)
        os.chmod(DOOR, 0o666)
        self.socket.listen(128)
        self.addCleanup(os.unlink, DOOR)
        self.addCleanup(self.socket.close)

    def activate(self, pid='$$', n=1):
        fd = self.socket.fileno()
        p = subprocess.Popen(['sh', '-c', f'export LISTEN_PID={pid} LISTEN_FDS={n} LISTEN_FDNAMES=x; exec nsinitd'],
                             preexec_fn=lambda: os.dup2(fd, 3), pass_fds=[3])
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def login(self):
        who = pwd.getpwnam('alice')
        p = subprocess.Popen(['nsinit-shell', '-c', 'hostname; exit 6'], user=who.pw_uid, group=who.pw_gid, extra_groups=[],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (p.kill(), p.communicate()))
        return p

    def lands(self, process):
        self.assertEqual((*process.communicate(timeout=10), process.returncode), ('inside\n', '', 6))

    def test_who_knocked_first_is_served(self):
        waiting = self.login()
        time.sleep(0.3)
        self.assertIsNone(waiting.poll())
        self.activate()
        self.lands(waiting)
        self.lands(self.login())

    def test_the_socket_stays_systemd_s(self):
        inode = os.stat(DOOR).st_ino
        for sig in (signal.SIGTERM, signal.SIGKILL):
            p = self.activate()
            self.lands(self.login())
            p.send_signal(sig)
            p.wait()
            self.assertEqual(os.stat(DOOR).st_ino, inode)
        waiting = self.login()
        self.activate()
        self.lands(waiting)

    def test_sessions_outlive_it(self):
        p = self.activate()
        who = pwd.getpwnam('alice')
        session = subprocess.Popen(['nsinit-shell', '-c', 'echo runs; read x; echo $x'], user=who.pw_uid, group=who.pw_gid,
                                   extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(session.stdout.readline(), 'runs\n')
        p.terminate()
        p.wait()
        self.assertEqual(session.communicate('still\n', timeout=5)[0], 'still\n')

    def test_variables_for_another_process(self):
        """Inherited, and not meant: nsinitd makes its own socket, in place of one that nobody serves."""
        inode = os.stat(DOOR).st_ino
        self.activate(pid=1)
        until(lambda: os.stat(DOOR).st_ino != inode, "nsinitd's own socket")
        self.lands(self.login())
