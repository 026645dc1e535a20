"""Root directories and images that are, or lie in, each other: refused, by the policy or at the start."""
import json
import os
import shutil
import subprocess
import unittest

import host
from host import ROOTS, container, exec_in, nsinit, policy, run, ssh, wait_nothing_left, write

BASE = f'{ROOTS}/base'


class Case(unittest.TestCase):
    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.live = []

    def start(self, root):
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)
        self.live.append((front, host.wait_nspid(root)))
        self.addCleanup(self.stop)

    def stop(self):
        while self.live:
            front, pid = self.live.pop()
            os.kill(pid, 9)
            front.wait()

    def refused(self, done, why):
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertRegex(done.stderr, why)


class Start(Case):
    """Which of two can be started while the other lives."""

    def setUp(self):
        super().setUp()
        self.outer = container('base')
        self.inner = f'{BASE}/opt/inner'
        shutil.copytree(container('beside'), self.inner, symlinks=True)
        self.users = f'{ROOTS}/users'
        shutil.rmtree(self.users, ignore_errors=True)
        os.makedirs(self.users, mode=0o700)

    def image(self, image, rootfs, user='alice'):
        policy([f'{{ user = "{user}"; image = "{image}"; rootfs = "{rootfs}"; }}'])
        return nsinit('exec', '--for', user, '--', 'hostname')

    def hold_image(self, image, rootfs):
        policy([f'{{ user = "carol"; image = "{image}"; rootfs = "{rootfs}"; }}'])
        front = subprocess.Popen(['nsinit', 'exec', '--for', 'carol', '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)
        self.live.append((front, host.wait_nspid(rootfs)))
        self.addCleanup(self.stop)

    def test_beside_each_other(self):
        self.start(self.outer)
        self.assertEqual(exec_in(f'{ROOTS}/beside', 'hostname').stdout, 'inside\n')

    def test_one_that_lies_in_a_live_one(self):
        self.start(self.outer)
        self.refused(exec_in(self.inner, 'id'), f'claiming {self.inner}: it lies in {BASE}, the root directory of a live container')
        self.stop()
        self.assertEqual(exec_in(self.inner, 'hostname').stdout, 'inside\n')

    def test_one_that_holds_a_live_one(self):
        self.start(self.inner)
        self.refused(exec_in(self.outer, 'id'), f'claiming {BASE}: the root directory of a live container.* lies in it')
        self.stop()
        self.assertEqual(exec_in(self.outer, 'hostname').stdout, 'inside\n')

    def test_by_another_name_of_it(self):
        link = f'{ROOTS}/link'
        os.symlink(self.inner, link)
        self.addCleanup(os.unlink, link)
        self.start(self.outer)
        self.refused(exec_in(link, 'id'), f'it lies in {BASE}')
        self.refused(exec_in(f'{self.outer}/opt/../opt/inner', 'id'), f'it lies in {BASE}')

    def test_a_login_s(self):
        policy([f'{{ user = "alice"; rootfs = "{self.inner}"; }}', f'{{ user = "carol"; rootfs = "{self.outer}"; }}'])
        self.start(self.outer)
        before = len(host.log_text())
        self.assertNotIn('inside', ssh('alice', 'hostname').stdout)
        host.until(lambda: 'reason=rootfs' in host.log_text()[before:] and f'it lies in {BASE}' in host.log_text()[before:],
                   'the reason in the log')

    def test_changes_to_an_image(self):
        self.refused(self.image(BASE, BASE), 'it is the image itself')
        self.refused(self.image(BASE, f'{BASE}/opt'), f'it lies in {BASE}, which it goes with')
        self.refused(self.image(self.inner, BASE), f'claiming {self.inner}: it lies in {BASE}, which it goes with')
        self.assertEqual(self.image(BASE, f'{self.users}/alice').stdout, 'inside\n')

    def test_an_image_is_shared(self):
        self.hold_image(BASE, f'{self.users}/carol')
        self.assertEqual(self.image(BASE, f'{self.users}/alice').stdout, 'inside\n')

    def test_an_image_that_is_a_live_root_directory_or_lies_in_one(self):
        self.start(self.outer)
        self.refused(self.image(BASE, f'{self.users}/alice'), f'claiming {BASE}: the root directory of a live container is this image')
        self.refused(self.image(self.inner, f'{self.users}/alice'), f'claiming {self.inner}: it lies in {BASE}, the root')

    def test_an_image_in_which_a_live_root_directory_lies(self):
        self.start(self.inner)
        self.refused(self.image(BASE, f'{self.users}/alice'), f'claiming {BASE}: the root directory of a live container is this image, or lies in it')

    def test_a_root_directory_that_is_an_image_in_use_or_lies_in_one(self):
        self.hold_image(BASE, f'{self.users}/carol')
        self.refused(exec_in(BASE, 'id'), 'it is an image that is in use')
        self.refused(exec_in(self.inner, 'id'), f'it lies in {BASE}, an image that is in use')
        self.stop()
        wait_nothing_left()  # its supervisor is another process
        self.assertEqual(exec_in(BASE, 'hostname').stdout, 'inside\n')

    def test_a_root_directory_that_holds_an_image_in_use(self):
        self.hold_image(self.inner, f'{self.users}/carol')
        self.refused(exec_in(BASE, 'id'), 'an image in use, lies in it')

    def test_the_next_start_comes_at_once(self):
        """What ends has let go before another start can find it gone."""
        for _ in range(30):
            self.assertEqual(exec_in(self.outer, 'true').returncode, 0)
            self.assertEqual(exec_in(self.inner, 'true').returncode, 0)

    def test_both_at_once(self):
        """Never both; and what is refused leaves nothing behind."""
        policy(['{ user = "root"; stay = "host"; }'])
        for _ in range(15):
            both = [subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sh', '-c', 'echo in; sleep 0.2'], text=True,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for root in (self.outer, self.inner)]
            out = [process.communicate(timeout=20) for process in both]
            self.assertEqual(sorted(o for o, _ in out), ['', 'in\n'], out)
        wait_nothing_left()


class Policy(Case):
    """Whose a root directory is, as far as the rules tell."""

    def decides(self, *rules):
        write('/etc/nsinit/try.conf', 'version = 1; unmapped = "host"; rules: (' + ', '.join(rules) + ');')

        def of(user):
            done = nsinit('explain', user, '/etc/nsinit/try.conf')
            return None if done.returncode == 0 else done.stderr
        return of

    def test_the_same_for_several_users(self):
        for who in ('user = ["alice", "bob"];', 'user = "*";', 'group = "students";'):
            refusal = self.decides(f'{{ {who} rootfs = "/srv/x"; }}')('carol' if 'students' in who else 'alice')
            self.assertIn('try.conf:1: the rootfs /srv/x is the same for several users; put "%u" into it', refusal)
        for rule in ('user = "alice"; rootfs = "/srv/x";', 'user = ["alice", "bob"]; rootfs = "/srv/%u";',
                     'user = "*"; rootfs = "/srv/%U";', 'user = "alice"; group = "alice"; rootfs = "/srv/x";',
                     'user = "*"; image = "/srv/i"; ephemeral = true;', 'user = "*"; image = "/srv/i"; rootfs = "/srv/%u";',
                     'user = "*"; rootfs = "/srv/x"; userns = "off";'):
            self.assertIsNone(self.decides(f'{{ {rule} }}')('alice'), rule)
        self.assertIn('several users', self.decides('{ user = "*"; image = "/srv/i"; rootfs = "/srv/x"; }')('alice'))

    def test_of_two_rules(self):
        of = self.decides('{ user = "alice"; rootfs = "/srv/x"; }', '{ user = "bob"; rootfs = "//srv/x/"; }')
        self.assertIn('the rootfs /srv/x is the same for other users, by the rule in line 1', of('alice'))
        self.assertIn('the rootfs /srv/x is the same for other users', of('bob'))
        self.assertIsNone(of('carol'))
        of = self.decides('{ user = "alice"; group = "x"; rootfs = "/srv/x"; }', '{ user = "alice"; rootfs = "/srv/x"; }')
        self.assertIsNone(of('alice'))

    def test_of_a_pattern_and_another_rule(self):
        for pattern in ('/srv/%u', '/srv/%u/', '/srv//%u'):
            of = self.decides('{ user = "bob"; rootfs = "/srv/alice"; }', f'{{ user = "*"; rootfs = "{pattern}"; }}')
            self.assertIn('the rootfs /srv/alice is the same for other users', of('alice'))
            self.assertIn('the rootfs /srv/alice is the same for other users', of('bob'))
            self.assertIsNone(of('carol'))
        uid = run('id -u alice').stdout.strip()
        for pattern, path in (('/srv/%U/x', f'/srv/{uid}/x'), ('/srv/of-%u-box', '/srv/of-alice-box')):
            of = self.decides(f'{{ user = "bob"; rootfs = "{path}"; }}', f'{{ user = "*"; rootfs = "{pattern}"; }}')
            self.assertIn('is the same for other users', of('bob'), pattern)
            self.assertIn('is the same for other users', of('alice'), pattern)

    def test_of_a_pattern_that_nobody_else_fills_in_so(self):
        for rules in (('{ user = "bob"; rootfs = "/srv/nobody-of-this-name"; }', '{ user = "*"; rootfs = "/srv/%u"; }'),
                      ('{ user = "bob"; rootfs = "/srv/alice"; }', '{ user = "alice"; deny = "x"; }', '{ user = "*"; rootfs = "/srv/%u"; }'),
                      ('{ user = "bob"; rootfs = "/srv/alice"; }', '{ user = "carol"; rootfs = "/srv/%u"; }'),
                      ('{ user = "bob"; rootfs = "/srv/alice/x"; }', '{ user = "*"; rootfs = "/srv/%u"; }'),
                      ('{ user = "bob"; rootfs = "/srv/bob"; }', '{ user = "*"; rootfs = "/srv/%u"; }')):
            self.assertIsNone(self.decides(*rules)('bob'), rules)

    def test_a_login_is_refused(self):
        root = container('alice')
        policy([f'{{ user = ["alice", "carol"]; rootfs = "{root}"; }}'])
        before = len(host.log_text())
        self.assertNotIn('inside', ssh('alice', 'hostname').stdout)
        host.until(lambda: 'reason=policy user=alice refused' in host.log_text()[before:], 'the reason in the log')
        self.refused(nsinit('exec', '--for', 'alice', 'id'), 'the same for several users')


class Check(Case):
    def codes(self, *rules):
        write('/etc/nsinit/try.conf', 'version = 1; unmapped = "deny"; rules: ( { user = "root"; stay = "host"; },\n'
              + ',\n'.join(rules) + ');')
        done = nsinit('check', '--json', '/etc/nsinit/try.conf')
        return [(w['code'], w['line']) for w in json.loads(done.stdout)['warnings'] if w['code'].startswith('rootfs-')]

    def test_a_table(self):
        alone = '{ user = "alice"; rootfs = "/srv/x"; }'
        for rules, found in (
                ([alone], []),
                ([alone, '{ user = "bob"; rootfs = "/srv/xy"; }'], []),
                ([alone, '{ user = "bob"; rootfs = "/srv/x"; }'], [('rootfs-of-two-rules', 3)]),
                ([alone, '{ user = "alice"; group = "g"; rootfs = "/srv/x"; }'], []),
                (['{ user = "*"; rootfs = "/srv/x"; }'], [('rootfs-of-several-users', 2)]),
                (['{ user = "*"; rootfs = "/srv/x"; userns = "off"; }'], []),
                ([alone, '{ user = "bob"; rootfs = "/srv/x/y/z"; }'], [('rootfs-in-another', 3)]),
                (['{ user = "bob"; rootfs = "/srv/x/y"; }', alone], [('rootfs-in-another', 2)]),
                (['{ group = "g"; rootfs = "/srv/%u"; }', '{ group = "s"; rootfs = "/srv/students/%u"; }'], []),
                (['{ group = "g"; rootfs = "/srv/%u"; }', '{ group = "s"; rootfs = "/srv/alice/%u"; }'], [('rootfs-in-another', 3)]),
                (['{ user = "*"; image = "/srv/i"; rootfs = "/srv/%u"; }'], []),
                (['{ user = "*"; image = "/srv/i"; rootfs = "/srv/i/%u"; }'], [('rootfs-in-another', 2)]),
                (['{ user = "alice"; image = "/srv/i"; rootfs = "/srv/i"; }'], [('rootfs-in-another', 2), ('rootfs-in-another', 2)]),
                ([alone, '{ user = "*"; image = "/srv/x"; ephemeral = true; }'], [('rootfs-in-another', 3), ('rootfs-in-another', 2)]),
                ([alone, '{ user = "*"; image = "/srv/x/i"; ephemeral = true; }'], [('rootfs-in-another', 3)]),
                (['{ user = "a"; image = "/srv/i"; ephemeral = true; }', '{ user = "*"; image = "/srv/i"; ephemeral = true; }'], [])):
            self.assertEqual(sorted(self.codes(*rules)), sorted(found), rules)


del Case
