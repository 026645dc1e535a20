"""The packages on Debian's own sshd and PAM stacks: nobody is locked out at any step, and nothing is left behind.

The steps are those of an administrator, in their order; each begins where the one before has ended.
"""
import glob
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
from host import KEY, PASSWORD, ROOTS, container, policy, run, ssh, until, wait_nothing_left, write  # noqa: E402

BUILD = '/tmp/package'
COMMON = ['common-auth', 'common-account', 'common-password', 'common-session', 'common-session-noninteractive']
DEFAULT_POLICY = '/etc/nsinit/nsinit.conf'
# The project has no address of its own yet.
ADDRESS_TAGS = 'bogus-mail-host,bogus-mail-host-in-debian-changelog'


def build(version=None):
    """The two packages of this source, made as a user would; their files."""
    source = f'{BUILD}/{version or "first"}/nsinit'
    os.makedirs(source)
    run(f'git -c safe.directory=* ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C {source}')
    if version:
        with open(f'{source}/debian/changelog') as f:
            old = f.read()
        write(f'{source}/debian/changelog', re.sub(r'\(.*?\)', f'({version})', old, count=1))
    run(['dpkg-buildpackage', '-b', '-us', '-uc', '-j2'], cwd=source, timeout=600)
    return sorted(f for f in glob.glob(f'{source}/../*.deb') if '-dbgsym' not in f)


def unpacked():
    """Files that a package, or its scripts, could leave behind."""
    names = run('find /etc /usr /lib /var/lib/dpkg/info /var/lib/pam /run/nsinit /srv -xdev -name "*nsinit*" '
                '-not -path "/usr/src/*" -not -path "/srv/nsinit*" -not -path "/srv" 2>/dev/null', check=False).stdout
    return sorted(names.split())


def stacks():
    texts = {}
    for name in COMMON:
        with open(f'/etc/pam.d/{name}') as f:
            texts[name] = f.read()
    return texts


def where(user='alice'):
    return ssh(user, 'hostname').stdout.strip()


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs('/run/sshd', exist_ok=True)
        write('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755)
        run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', KEY])
        run(['ssh-keygen', '-A'])
        for name in ('alice', 'bob'):
            run(['useradd', '-m', '-s', '/bin/sh', name])
            run(['chpasswd'], input=f'{name}:{PASSWORD}')
        for name, home in (('alice', '/home/alice'), ('bob', '/home/bob'), ('root', '/root')):
            os.makedirs(f'{home}/.ssh', mode=0o700, exist_ok=True)
            run(f'cp {KEY}.pub {home}/.ssh/authorized_keys && chown -R {name}: {home}/.ssh && chmod 755 {home}')
        cls.stacks, cls.files = stacks(), unpacked()
        cls.sshd = subprocess.Popen(['/usr/sbin/sshd', '-D', '-p', str(host.PORT)], stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.sshd.wait)
        cls.addClassCleanup(cls.sshd.terminate)
        until(lambda: host.Host.listening(host.PORT), 'sshd listening')
        cls.debs = build()

    def nobody_is_locked_out(self, alice='throwaway', bob='throwaway'):
        """Whatever the step: root by ssh and su, one user by key, another by password."""
        self.assertEqual(where('root'), 'throwaway')
        self.assertEqual(where('alice'), alice)
        self.assertEqual(run(['sshpass', '-p', PASSWORD, *self.by_password('bob'), 'hostname']).stdout.strip(), bob)
        self.assertEqual(run(['su', 'root', '-c', 'hostname']).stdout.strip(), 'throwaway')
        self.assertEqual(run(['su', 'alice', '-c', 'hostname']).stdout.strip(), alice)

    @staticmethod
    def by_password(user):
        return ['ssh', '-F', 'none', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o',
                'LogLevel=ERROR', '-o', 'PreferredAuthentications=password', '-p', str(host.PORT), f'{user}@127.0.0.1']

    def test_0_the_build_is_clean(self):
        self.assertEqual([os.path.basename(f).split('_')[0] for f in self.debs], ['libpam-nsinit', 'nsinit'])
        changes = glob.glob(f'{BUILD}/first/*.changes')
        done = run(['lintian', '--allow-root', '--suppress-tags', ADDRESS_TAGS, '--fail-on', 'error,warning', *changes], check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ''))
        self.assertEqual(where(), 'throwaway')

    def test_1_installed_it_changes_nobody_s_login(self):
        run(['dpkg', '-i', *self.debs])
        self.assertEqual(stacks(), self.stacks)
        self.assertEqual(run(['nsinit', 'check', DEFAULT_POLICY], check=False).returncode, 0)
        self.nobody_is_locked_out()

    def test_2_enabled_it_maps_nobody(self):
        run(['pam-auth-update', '--enable', 'nsinit'])
        for name, text in stacks().items():
            lines = [line for line in text.splitlines() if line and not line.startswith('#')]
            if name in ('common-auth', 'common-session', 'common-session-noninteractive'):
                self.assertIn('pam_nsinit.so', lines[-1], name)  # the last one
            else:
                self.assertNotIn('pam_nsinit', text)
        self.nobody_is_locked_out()

    def test_3_with_a_rule_logins_land_inside(self):
        container('alice')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}'])
        self.nobody_is_locked_out(alice='inside')

    def test_4_a_broken_policy_leaves_root_the_way_in(self):
        with open(DEFAULT_POLICY) as f:
            good = f.read()
        write(DEFAULT_POLICY, good + 'nonsense')
        try:
            for user in ('alice', 'bob'):
                done = ssh(user, 'hostname')
                self.assertEqual(done.returncode, 254)
                self.assertNotIn('throwaway', done.stdout.split('\n'))  # the message of the day has it too
            self.assertEqual(where('root'), 'throwaway')
            self.assertEqual(run(['su', 'root', '-c', 'hostname']).stdout, 'throwaway\n')
        finally:
            write(DEFAULT_POLICY, good)
        self.nobody_is_locked_out(alice='inside')

    def test_5_an_upgrade_leaves_sessions_alone(self):
        session = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1',
                                    'readlink /proc/self/ns/pid; read x; echo "$x"'], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(session.kill)
        namespace = session.stdout.readline()
        stack = stacks()
        run(['dpkg', '-i', *build('0.1+1')])
        self.assertEqual(run(['dpkg-query', '-W', '-f', '${Version}', 'nsinit']).stdout, '0.1+1')
        self.assertEqual(stacks(), stack)
        self.assertEqual(ssh('alice', 'readlink /proc/self/ns/pid').stdout, namespace)
        self.nobody_is_locked_out(alice='inside')
        self.assertEqual(session.communicate('still here\n', timeout=20)[0], 'still here\n')
        wait_nothing_left()

    def test_6_it_is_not_removed_from_below_a_service(self):
        write('/etc/pam.d/other-service', 'session required pam_nsinit.so\n')
        done = run(['dpkg', '-r', 'libpam-nsinit'], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('/etc/pam.d/other-service', done.stderr)
        os.unlink('/etc/pam.d/other-service')
        run(['usermod', '-s', '/usr/bin/nsinit-shell', 'bob'])
        done = run(['dpkg', '-r', 'libpam-nsinit', 'nsinit'], check=False)
        self.assertIn('bob', done.stderr)
        run(['usermod', '-s', '/bin/sh', 'bob'])
        run(['dpkg', '-i', *glob.glob(f'{BUILD}/0.1+1/libpam-nsinit_*.deb')])

    def test_7_disabled_every_login_is_the_host_s(self):
        run(['pam-auth-update', '--enable', 'nsinit'])
        self.nobody_is_locked_out(alice='inside')
        run(['pam-auth-update', '--remove', 'nsinit'])
        self.assertEqual(stacks(), self.stacks)
        self.nobody_is_locked_out()

    def test_8_purged_it_leaves_nothing_behind(self):
        run(['pam-auth-update', '--enable', 'nsinit'])
        self.assertEqual(where(), 'inside')
        wait_nothing_left()
        run(['dpkg', '-P', 'libpam-nsinit', 'nsinit'])
        self.nobody_is_locked_out()
        self.assertEqual(stacks(), self.stacks)
        self.assertEqual(unpacked(), self.files)
        self.assertFalse(os.path.exists('/run/nsinit'))
        self.assertTrue(os.path.exists(f'{ROOTS}/alice'))  # users' files are theirs

    def test_9_the_rpm_spec_builds(self):
        """By rpmbuild of Debian: its file lists are right, of an RPM system's packages nothing is shown."""
        top = f'{BUILD}/rpm'
        os.makedirs(f'{top}/SOURCES')
        run(f'git -c safe.directory=* ls-files -z --cached --others --exclude-standard | '
            f'tar -cz --null -T - --transform "s,^,nsinit-0.1/," -f {top}/SOURCES/nsinit-0.1.tar.gz')
        run(['rpmbuild', '-bb', '--nodeps', '--define', f'_topdir {top}', 'rpm/nsinit.spec'], timeout=600)
        files = run(f'rpm -qlp {top}/RPMS/*/*.rpm').stdout.split()
        self.assertIn('/usr/bin/nsinit', files)
        self.assertIn('/usr/share/man/man8/pam_nsinit.8', files)
        self.assertTrue([f for f in files if f.endswith('/security/pam_nsinit.so')], files)


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


if __name__ == '__main__':
    result = unittest.TextTestRunner(resultclass=Result, verbosity=2, stream=sys.stdout).run(
        unittest.defaultTestLoader.loadTestsFromTestCase(Package))
    failures = len(result.failures) + len(result.errors)
    print(f'{result.passed} passed, {failures} failed, {len(result.skipped)} skipped')
    sys.exit(1 if failures or result.skipped or not result.passed else 0)
