"""The guides in docs/: what they say to type is typed here, on the throw-away host, word by word.

A comment before an indented block says what becomes of it:
    <!-- run -->            root types it, in one go; every command has to succeed
    <!-- run: fails -->     its last command has to fail; any: its status is what it has found
    <!-- shows -->          these lines came of the last block, in this order, others between them; "..." is any
    <!-- not here: WHY -->  is not run
A block of a guide without a comment is a failure. Here stand in: a repository of one package for Debian's mirror, a signal
to sshd for `systemctl reload ssh`, and 127.0.0.1 for the host login.example.org. Nothing else.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import unittest

import host
from host import KEY, ROOTS, add_programs, nsinit, policy, run, until, wait_nothing_left, write

PORT = 2223
WORK = '/tmp/guides'
IMAGES = '/srv/images'
SOURCE = os.getcwd()
PROGRAMS = ['/usr/bin/bash', '/usr/bin/make', '/usr/bin/rsync', '/usr/bin/ssh', '/usr/bin/nohup']
SSHD = ['/usr/sbin/sshd', '-D', '-e', '-f', '/etc/ssh/sshd_config', '-o', f'Port={PORT}', '-o', 'ListenAddress=127.0.0.1',
        '-o', 'MaxStartups=200']


def blocks(text):
    """(mark, lines, number of the line) of each indented block."""
    mark, found, lines, start = None, [], [], 0
    for number, line in enumerate(text.split('\n') + ['end'], 1):
        if line.startswith('    ') or (lines and not line):
            start = start or number
            lines.append(line[4:])
            continue
        if lines:
            while not lines[-1]:
                lines.pop()
            found.append((mark, lines, start))
            mark, lines, start = None, [], 0
        comment = re.fullmatch(r'<!-- (.*) -->', line)
        if comment:
            mark = comment[1]
        elif line:
            mark = None
    return found


def debian_mirror():
    """mmdebstrap, the real one, of a repository that is small enough: busybox and some programs of this host."""
    repo = f'{WORK}/repo'
    os.makedirs(f'{repo}/tiny/DEBIAN')
    run([f'{SOURCE}/tests/host/rootfs', f'{repo}/tiny'])
    add_programs(f'{repo}/tiny', [p for p in PROGRAMS if os.path.exists(p)])
    os.symlink('/usr/bin/bash', f'{repo}/tiny/bin/bash')
    arch = run(['dpkg', '--print-architecture']).stdout.strip()
    control = f'Package: tiny\nVersion: 1\nArchitecture: {arch}\nMaintainer: a <a@example.org>\nDescription: x\n'
    write(f'{repo}/tiny/DEBIAN/control', control)
    run(['dpkg-deb', '-Znone', '-b', f'{repo}/tiny', f'{repo}/tiny.deb'])
    with open(f'{repo}/tiny.deb', 'rb') as f:
        data = f.read()
    write(f'{repo}/Packages', f'{control}Filename: ./tiny.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n')
    os.rename('/usr/bin/mmdebstrap', '/usr/bin/mmdebstrap.real')
    write('/usr/bin/mmdebstrap', f'''#!/bin/bash
for last; do :; done
exec mmdebstrap.real --mode=root --quiet --variant=extract --include=tiny local "$last" 'deb [trusted=yes] copy://{repo} ./'
''', 0o755)


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    debian_mirror()
    os.makedirs('/root/.ssh', mode=0o700, exist_ok=True)
    write('/root/.ssh/config', f'Host login.example.org\n    HostName 127.0.0.1\n    Port {PORT}\n    IdentityFile {KEY}\n'
                               '    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n    LogLevel ERROR\n')
    os.makedirs('/etc/skel/.ssh', mode=0o700, exist_ok=True)
    shutil.copy(f'{KEY}.pub', '/etc/skel/.ssh/authorized_keys')
    os.makedirs(f'{ROOTS}/of-the-guides', mode=0o755)
    os.makedirs(IMAGES, exist_ok=True)
    run(['mount', '--bind', f'{ROOTS}/of-the-guides', IMAGES])  # an overlay cannot be mapped


def tearDownModule():
    run(['umount', IMAGES])
    run(['rm', '-rf', f'{ROOTS}/of-the-guides', '/etc/skel/.ssh', '/root/.ssh/config', '/usr/local/sbin/systemctl'])
    os.rename('/usr/bin/mmdebstrap.real', '/usr/bin/mmdebstrap')


class Case(unittest.TestCase):
    def setUp(self):
        self.changed = {path: open(path).read() for path in ('/etc/passwd', '/etc/shadow', '/etc/group', '/etc/gshadow', '/etc/subuid', '/etc/subgid',
                                                             '/etc/shells', '/etc/ssh/sshd_config')}
        self.directories = set(os.listdir(ROOTS))
        self.homes = set(os.listdir('/home'))
        policy(['{ user = "root"; stay = "host"; }'])
        self.sshd = subprocess.Popen(SSHD, stderr=open('/tmp/guides-sshd.log', 'a'))
        write('/usr/local/sbin/systemctl', f'''#!/bin/bash
[ "$*" = "reload ssh" ] && /usr/sbin/sshd -t && kill -HUP {self.sshd.pid} && sleep 0.5
until : </dev/tcp/127.0.0.1/{PORT}; do sleep 0.1; done 2>/dev/null
''', 0o755)
        until(lambda: host.Host.listening(PORT), 'sshd listening')

    def tearDown(self):
        self.sshd.terminate()
        self.sshd.wait()
        for container in json.loads(run(['nsinit', 'list', '--json']).stdout):
            nsinit('kill', '-C', container['rootfs'])
        wait_nothing_left()
        for path, text in self.changed.items():
            with open(path, 'w') as f:
                f.write(text)
        for above, before in ((ROOTS, self.directories), ('/home', self.homes)):
            for name in set(os.listdir(above)) - before:
                run(['rm', '-rf', '--one-file-system', f'{above}/{name}'])
        run(f'rm -rf {IMAGES}/* /etc/ssh/sshd_config.d/*', timeout=300)

    def block(self, commands, fails):
        write(f'{WORK}/script', 'set -eu -o pipefail\ncd /root\n' + '\n'.join(commands) + '\n')
        self.log()
        done = run(['bash', f'{WORK}/script'], check=False, timeout=300, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                   stdout=subprocess.PIPE, capture_output=False)
        if fails is not None:
            self.assertEqual(done.returncode != 0, fails, f'{commands}\n{done.stdout}\n{host.log_text()[-2000:]}')
        until(lambda: host.Host.listening(PORT), 'sshd listening')
        return done.stdout.split('\n')

    @staticmethod
    def log():
        """What a syslog server would write."""
        entries = re.split(r'<\d+>(?=[A-Z][a-z][a-z] )', host.log_text())
        write('/var/log/auth.log', ''.join(re.sub(r'^(.{15}) ', r'\1 throwaway ', e).rstrip('\n') + '\n' for e in entries if e))

    def shown(self, wanted, lines):
        rest = iter(' '.join(line.split()) for line in lines)
        for line in wanted:
            pattern = '.*'.join(re.escape(piece) for piece in ' '.join(line.split()).split('...'))
            self.assertTrue(any(re.fullmatch(pattern, found) for found in rest), f'{line!r} is not shown, in this order: {lines}')

    def follow(self, name):
        with open(f'{SOURCE}/docs/{name}') as f:
            found = blocks(f.read())
        lines, ran = [], 0
        for mark, block, number in found:
            self.assertRegex(mark or '', r'run(: fails|: any)?|shows|not here: .+', f'docs/{name}:{number}: a block without a mark')
            if mark.startswith('run'):
                lines = self.block(block, {'run': False, 'run: fails': True, 'run: any': None}[mark])
                ran += 1
            elif mark == 'shows':
                self.shown(block, lines)
        self.assertGreater(ran, 0)

    @staticmethod
    def everybody(users, command):
        """What the command of each says, some at a time."""
        said, waiting = {}, list(users)
        while waiting:
            some, waiting = waiting[:8], waiting[8:]
            clients = {u: subprocess.Popen(['ssh', f'{u}@login.example.org', command], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for u in some}
            said.update({u: c.communicate(timeout=60)[0] for u, c in clients.items()})
        return said


class Guides(Case):
    def test_the_tests_own_eyes(self):
        """What is wrong with a guide is seen."""
        self.assertEqual(blocks('a\n\n<!-- run -->\n\n    b\n\n    c\nd\n    e\n'), [('run', ['b', '', 'c'], 5), (None, ['e'], 9)])
        self.shown(['a ... c', 'e'], ['x', 'a  b c', 'd', 'e'])
        for wanted, lines in ((['a'], ['ab']), (['b', 'a'], ['a', 'b'])):
            self.assertRaises(AssertionError, self.shown, wanted, lines)
        self.assertRaises(AssertionError, self.block, ['false', 'true'], False)
        self.assertRaises(AssertionError, self.block, ['true'], True)

    def test_troubleshooting(self):
        run(['rm', '-rf', f'{ROOTS}/alice'])
        run(['nsinit', 'init', '--debian', 'bookworm', 'alice'])
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}'])
        self.follow('troubleshooting.md')

    def test_classroom(self):
        self.follow('classroom.md')
        with open('/etc/group') as f:
            class_ = re.search(r'(?m)^students:.*:(.*)$', f.read())[1].split(',')
        students = [s for s in class_ if s.startswith('student')]
        self.assertEqual(len(students), 200)
        said = self.everybody(students, 'hostname; id -un; touch /root-was-here 2>/dev/null; echo mine >/tmp/mine; cat /tmp/mine')
        self.assertEqual(said, {s: f'class\n{s}\nmine\n' for s in students})

    def test_sftp_dropbox(self):
        self.follow('sftp-dropbox.md')
        self.assertEqual(os.listdir(f'{IMAGES}/dropbox/upload'), [])
        self.assertEqual(os.stat(f'{ROOTS}/partners/acme/upper/upload/report').st_uid, int(run('id -u acme').stdout))
        self.assertFalse(os.path.exists(f'{ROOTS}/partners/globex/upper/upload'))

    def test_migrating(self):
        """Of a jail and a docker as these leave them."""
        run(['nsinit', 'init', '--debian', 'bookworm', '/home/jail'])
        os.unlink('/home/jail/container.json')
        write('/usr/sbin/jk_chrootsh', '#!/bin/sh\nexit 1\n', 0o755)
        self.addCleanup(os.unlink, '/usr/sbin/jk_chrootsh')
        run('mkdir -p /home/jail/home; useradd -m -d /home/jail/home/jane jane; echo of the jail >/home/jail/home/jane/letter; '
            'usermod -d /home/jail/./home/jane -s /usr/sbin/jk_chrootsh jane')
        run('groupadd developers; useradd -m -G developers -s /bin/bash joe')
        write('/etc/ssh/sshd_config.d/docker.conf',
              'Match Group developers\n    ForceCommand sudo docker exec -it -u $USER dev-$USER bash -l\n')
        run('tar -cf /var/tmp/dev.tar -C /home/jail --exclude=./home .')
        self.addCleanup(os.unlink, '/var/tmp/dev.tar')
        self.follow('migrating.md')

    def server(self):
        """Behind the bastion: another network, in which an sshd is."""
        run('useradd -m -s /bin/sh -p x admin; ip netns add server; ip link add inside0 type veth peer name eth0 netns server; '
            'ip addr add 10.20.0.1/16 dev inside0; ip link set inside0 up; ip -n server addr add 10.20.0.5/16 dev eth0; '
            'ip -n server link set eth0 up; ip -n server link set lo up; ip -n server addr add 198.51.100.7 dev lo; '
            'ip route add default via 10.20.0.5')
        self.addCleanup(run, 'ip netns delete server; ip link delete nsbr0 || true')
        with open('/root/.ssh/config', 'a') as f:
            f.write(f'Host 10.20.0.5\n    IdentityFile {KEY}\n    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n'
                    '    LogLevel ERROR\n')
        sshd = subprocess.Popen(['ip', 'netns', 'exec', 'server', 'unshare', '--uts', 'sh', '-c',
                                 'hostname server; exec /usr/sbin/sshd -D -f none -o UsePAM=no -o HostKey=/etc/ssh/ssh_host_ed25519_key'])
        self.addCleanup(sshd.wait)
        self.addCleanup(sshd.terminate)
        until(lambda: ':22 ' in run('ip netns exec server ss -ltn').stdout, 'the sshd of the server')

    def test_bastion(self):
        self.server()
        self.assertEqual(run('ssh admin@10.20.0.5 hostname').stdout, 'server\n')
        here = host.Server('outside', ('127.0.0.1', 22))
        self.addCleanup(here.close)
        for address in ('127.0.0.1', '198.51.100.7'):  # the control: from the host there is an answer
            self.assertTrue(host.ask((address, 22)), address)
        self.addCleanup(run, ['rm', '-rf', '/var/lib/nsinit', '/etc/cron.d/nsinit-records'])
        self.follow('bastion.md')

    def test_build_host(self):
        self.addCleanup(run, ['rm', '-rf', '/srv/cache'])
        self.follow('build-host.md')
        self.assertEqual(os.listdir('/srv/cache/build-trixie'), ['entry'])

    def test_hpc_login(self):
        self.addCleanup(run, ['rm', '-rf', '/scratch', '/opt/modules'])
        self.follow('hpc-login.md')


del Case
