"""Three kinds of images: a whole Debian, busybox alone, and none of a program at all."""
import json
import os

import host
from host import PORT, ROOTS, SPEC, SSH_OPTIONS, policy, run, ssh, write
from machine import SLOW, Case

DEBIAN, EMPTY = '/srv/images/debian', f'{ROOTS}/empty'
MATCH = '/etc/ssh/sshd_config.d/empty.conf'


class Images(Case):
    def sftp(self, user, script, **kwargs):
        return run(['sftp', *SSH_OPTIONS, '-P', str(PORT), '-b', '-', f'{user}@127.0.0.1'], input=script, timeout=SLOW, **kwargs)

    def comes_back(self, user, path):
        """By sftp, there and back; the host has no such file."""
        write('/root/there', os.urandom(100_000).hex())
        self.sftp(user, f'put /root/there {path}\nget {path} /root/back\n')
        run('cmp /root/there /root/back && rm /root/back')
        self.assertFalse(os.path.exists(path))

    def test_debian(self):
        """As small as Debian goes; one layer for what the user changes."""
        changes = f'{ROOTS}/changes'
        self.addCleanup(run, ['rm', '-rf', '--one-file-system', changes])
        write('/etc/nsinit/debian.json', json.dumps(SPEC))
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; image = "{DEBIAN}"; rootfs = "{changes}"; '
                'config = "/etc/nsinit/debian.json"; }'])
        done = ssh('alice', 'hostname; id -un; . /etc/os-release; echo $ID; bash -c "kill -9 \\$\\$"')
        self.assertEqual(done.stdout.splitlines(), ['inside', 'alice', 'debian'], done.stderr)
        self.assertEqual(done.returncode, 137)
        self.comes_back('alice', '/tmp/there')  # by the image's sftp-server, as Debian's sshd_config has it
        shell = ' '.join(['ssh', *SSH_OPTIONS, '-p', str(PORT)])
        run(['rsync', '-e', shell, '/root/there', 'alice@127.0.0.1:/tmp/by-rsync'], timeout=SLOW)
        run(['scp', *SSH_OPTIONS, '-P', str(PORT), 'alice@127.0.0.1:/tmp/by-rsync', '/root/back'], timeout=SLOW)
        run('cmp /root/there /root/back')
        self.assertFalse(os.path.exists('/tmp/by-rsync'))
        t = host.Terminal(['ssh', *SSH_OPTIONS, '-p', str(PORT), '-t', 'alice@127.0.0.1', 'bash --norc'])
        self.addCleanup(t.end)
        t.expect(r'\$ ', SLOW)
        t.type('tty; exit 9\n')
        t.expect('/dev/pts/0', SLOW)
        self.assertEqual(t.finish(), 9)

    def test_busybox(self):
        self.assertEqual(ssh('bob', 'hostname; ls -l /bin/sh | grep -o "busybox$"; exit 7').stdout, 'inside\nbusybox\n')
        self.sftp_of_sshd('bob')
        self.comes_back('bob', '/tmp/there')

    def test_without_any_program(self):
        """No shell, no library: sshd's own server enters, and nothing else is to be had."""
        os.makedirs(f'{EMPTY}/etc')
        os.makedirs(f'{EMPTY}/upload')
        os.chmod(f'{EMPTY}/upload', 0o1777)
        self.addCleanup(run, ['rm', '-rf', '--one-file-system', EMPTY])
        write(f'{EMPTY}/container.json', json.dumps(dict(SPEC, capabilities={'keep': []}, no_new_privs=True)))
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "carol"; rootfs = "{EMPTY}"; home = "none"; }}'])
        done = ssh('carol', 'hostname')
        self.assertEqual((done.returncode, done.stdout), (1, ''), done)
        self.assertIn('/bin/sh: No such file or directory', done.stderr)
        self.sftp_of_sshd('carol')
        self.comes_back('carol', '/upload/there')
        self.assertEqual(self.sftp('carol', 'ls -1 /upload\n').stdout, 'sftp> ls -1 /upload\n/upload/there\n')

    def sftp_of_sshd(self, user):
        """Debian's sshd_config has the host's sftp-server; this is in the process that has entered."""
        write(MATCH, f'Match User {user}\n    ForceCommand internal-sftp\n')
        self.addCleanup(run, 'systemctl reload ssh')
        self.addCleanup(os.unlink, MATCH)
        run('systemctl reload ssh')
        host.until(lambda: 'sftp>' in self.sftp(user, 'pwd\n', check=False).stdout, 'sftp', SLOW)
