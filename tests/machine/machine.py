"""What the tests in the machine share: its users, its sshd, its containers."""
import functools
import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
from host import KEY, PORT, ROOTS, SPEC, SSH_OPTIONS, container, policy, run, write  # noqa: E402

GROUPS = '/sys/fs/cgroup'
ROOT = f'{ROOTS}/alice'
LIMITS = {'memory': {'max': '64M', 'swap': 0}, 'cpu': {'max': '50%', 'weight': 50}, 'pids': {'max': 60},
          'io': {'weight': 50}}
SLOW = 60  # seconds that anything may take in software emulation
LOOP = 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'
HOG = 'awk "BEGIN { for (i = 0; ; i++) a[i] = i }"'


def until(condition, what, seconds=SLOW):
    return host.until(condition, what, seconds)


def journal(*options):
    return run(['journalctl', '-q', '--no-pager', '-o', 'short', *options]).stdout


@functools.cache
def set_up():
    """Once, before the first test that needs it: those before have the machine as it comes."""
    started = time.monotonic()
    run('dpkg -i /nsinit-packages/*.deb && pam-auth-update --enable nsinit', timeout=600)
    print(f'# installed in {time.monotonic() - started:.0f} s', flush=True)
    os.makedirs(ROOTS, mode=0o700, exist_ok=True)
    run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', KEY])
    for name in ('alice', 'bob', 'carol'):
        run(['useradd', '-m', '-s', '/bin/sh', name])
        ssh_dir = f'/home/{name}/.ssh'
        os.makedirs(ssh_dir, mode=0o700)
        run(f'cp {KEY}.pub {ssh_dir}/authorized_keys && chown -R {name}: {ssh_dir}')
    write('/etc/ssh/sshd_config.d/test.conf', f'Port {PORT}\n')
    run('systemctl restart ssh.service && systemctl enable --now nsinitd.socket')
    until(lambda: host.Host.listening(PORT), 'sshd listening')


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        set_up()

    def setUp(self):
        container('alice', {**SPEC, 'resources': LIMITS})
        container('bob')
        self.rules()
        self.addCleanup(self.ended)
        self.since = run(['date', '+%Y-%m-%d %H:%M:%S']).stdout.strip()

    def rules(self, alice=''):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; {alice} }}',
                f'{{ user = "bob"; rootfs = "{ROOTS}/bob"; }}', f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; }}'])

    def ended(self):
        """Every container's end, and with the last one that of the directory above their groups."""
        until(host.nothing_left, 'the end of every container: ' + run('ps -eo pid,ppid,stat,args').stdout[-3000:])
        until(lambda: next(os.walk(f'{GROUPS}/nsinit'), ('', [], []))[1] in ([], ['supervisors']), 'the removal of the groups')

    def session(self, user, command):
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', command],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), 'in\n')
        return client

    def group(self, name='alice'):
        st = os.stat(f'{ROOTS}/{name}')
        return f'/nsinit/{st.st_dev:x}-{st.st_ino:x}'

    def value(self, file, below=''):
        with open(f'{GROUPS}{self.group()}{below and "/" + below}/{file}') as f:
            return f.read().strip()

    def logged(self, pattern):
        return until(lambda: re.search(pattern, journal('--since', self.since)),
                     f'{pattern} in the journal: ' + journal('-n', '30'))

    @staticmethod
    def group_of(pid):
        with open(f'/proc/{pid}/cgroup') as f:
            return f.read().strip().removeprefix('0::')
