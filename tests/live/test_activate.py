"""nsinit activate: a new policy takes effect whole, and locks neither root nor the administrator out."""
import json
import os
import unittest

import host
from host import ROOTS, container, log_text, nsinit, policy, run, ssh, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
CONF = '/etc/nsinit/nsinit.conf'
NEW = '/tmp/new.conf'
HOST = '{ user = "root"; stay = "host"; }'
MAPPED = f'{{ user = "alice"; rootfs = "{ROOT}"; }}'


def new(*rules, unmapped='host'):
    write(NEW, f'version = 1;\nunmapped = "{unmapped}";\nrules: (\n' + ',\n'.join(rules) + '\n);\n')


class Activate(unittest.TestCase):
    def setUp(self):
        container('alice')
        policy([HOST])
        os.path.exists(f'{CONF}.old') and os.unlink(f'{CONF}.old')
        self.before = self.text()
        self.addCleanup(wait_nothing_left)

    @staticmethod
    def text(path=CONF):
        with open(path) as f:
            return f.read()

    def activate(self, *options, sudo=None):
        env = {k: v for k, v in os.environ.items() if k != 'SUDO_USER'}
        return run(['nsinit', 'activate', *options, NEW], check=False, env=dict(env, SUDO_USER=sudo) if sudo else env)

    def refused(self, said, sudo=None):
        done = self.activate(sudo=sudo)
        self.assertEqual(done.returncode, 125)
        self.assertIn(said, done.stderr)
        self.assertEqual(self.text(), self.before)
        self.assertEqual(os.listdir('/etc/nsinit'), ['nsinit.conf'])

    def test_installs_and_keeps_the_one_before(self):
        new(HOST, MAPPED)
        os.chown(NEW, 1001, 1001)  # an administrator's own file: what counts is the copy
        log = len(log_text())
        done = self.activate(sudo='alice')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('root: host, as before\n', done.stdout)
        self.assertIn(f'alice: container {ROOT} (before: host)\n', done.stdout)
        other = [line for line in done.stderr.split('\n') if 'mapped users stay on the host there' not in line]
        self.assertEqual(other, [''])
        self.assertIn('/etc/pam.d/su: no line', done.stderr)
        self.assertEqual((self.text(), self.text(f'{CONF}.old')), (self.text(NEW), self.before))
        st = os.stat(CONF)
        self.assertEqual((st.st_mode & 0o7777, st.st_uid, st.st_gid), (0o644, 0, 0))
        until(lambda: 'policy activated: sudo_user=alice' in log_text()[log:], 'the line in the log')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_json(self):
        new(HOST, MAPPED)
        users = [{'user': 'root', 'before': 'host', 'after': 'host'},
                 {'user': 'alice', 'before': 'host', 'after': f'container {ROOT}'}]
        told = {'users': users, 'policy': CONF, 'previous': None, 'activated': False}
        self.assertEqual(json.loads(self.activate('--json', '--dry-run', sudo='alice').stdout), told)
        self.assertEqual(self.text(), self.before)
        self.assertEqual(json.loads(self.activate('--json', sudo='alice').stdout),
                         {**told, 'previous': f'{CONF}.old', 'activated': True})
        self.assertEqual(self.text(), self.text(NEW))
        write(NEW, 'oops')
        done = self.activate('--json')
        self.assertEqual((done.returncode, json.loads(done.stdout)), (125, {**told, 'users': []}))

    def test_dry_run_changes_nothing(self):
        new(HOST, MAPPED)
        done = self.activate('--dry-run', sudo='alice')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f'alice: container {ROOT} (before: host)\n', done.stdout)
        self.assertEqual(self.text(), self.before)
        self.assertEqual(os.listdir('/etc/nsinit'), ['nsinit.conf'])

    def test_without_a_policy_before(self):
        os.unlink(CONF)
        new(HOST)
        done = self.activate()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('root: host (before: refused, there is no policy', done.stdout)
        self.assertEqual(os.listdir('/etc/nsinit'), ['nsinit.conf'])

    def test_root_would_be_locked_out(self):
        new(MAPPED, unmapped='deny')
        self.refused('it would refuse root')
        new('{ user = "*"; deny = "Closed."; }')
        self.refused('it would refuse root')
        new(f'{{ user = "*"; rootfs = "{ROOT}"; }}')
        self.refused('uid 0')

    def test_administrator_would_be_locked_out(self):
        new(HOST, '{ user = "alice"; deny = "No."; }')
        self.refused('it would refuse alice', sudo='alice')
        new(HOST, unmapped='deny')
        self.refused('it would refuse alice', sudo='alice')
        new(HOST, MAPPED)
        write(f'{ROOT}/container.json', '{"hostnam": "x"}')
        self.refused(f'{ROOT}/container.json:1:2: unknown key', sudo='alice')
        run(f'rm -r {ROOT}')
        self.refused(f'opening {ROOT}: No such file', sudo='alice')
        self.assertEqual(self.activate('--dry-run').returncode, 0)  # root alone is not concerned

    def test_policy_that_does_not_parse(self):
        write(NEW, 'version = 1;\nunmapped = "host";\nrules = oops\n')
        self.refused(f'{NEW}:3: syntax error')
        os.unlink(NEW)
        self.refused(f'{NEW}: No such file')

    def test_directory_that_a_login_would_not_trust(self):
        new(HOST)
        os.chmod('/etc/nsinit', 0o775)
        self.addCleanup(os.chmod, '/etc/nsinit', 0o755)
        self.refused('lets others than root write')

    def test_warns_of_missing_pam_lines(self):
        new(HOST)
        host.Host.pam(auth='# auth optional pam_nsinit.so', session='session optional pam_permit.so # pam_nsinit.so')
        self.addCleanup(host.Host.pam)
        done = self.activate('--dry-run')
        self.assertEqual(done.returncode, 0)
        self.assertIn('no line "auth optional pam_nsinit.so"', done.stderr)
        self.assertIn('/etc/pam.d/sshd: no line "session required pam_nsinit.so"', done.stderr)
        for control, warned in (('optional', True), ('sufficient', True), ('requisite', False), ('[default=die]', False)):
            host.Host.pam(session=f'session {control} pam_nsinit.so')
            self.assertEqual('warning: /etc/pam.d/sshd:' in self.activate('--dry-run').stderr, warned, control)

    def test_usage(self):
        for arguments in ([], ['a', 'b'], ['--force', NEW]):
            done = nsinit('activate', *arguments)
            self.assertEqual(done.returncode, 125)
            self.assertIn('usage: nsinit activate', done.stderr)
