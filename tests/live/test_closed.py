"""Fails closed: whatever is broken, a mapped user gets nothing on the host; and the ways out that root has."""
import glob
import json
import os
import pwd
import re
import time
import unittest

import host
from host import ROOTS, RUN_DIR, container, log_text, nsinit, policy, run, ssh, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
CONF = '/etc/nsinit/nsinit.conf'
DISABLED = f'{RUN_DIR}/disabled'
MARK = '/tmp/a-host-process-ran'
SENTENCE = 'Your container could not be opened; the administrator finds the reason in the log.\n'
RULES = ['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; }}',
         f'{{ group = "students"; rootfs = "{ROOTS}/%u"; }}']


HALF = r"""
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <string.h>
#include <unistd.h>

static int down(int *e) { *e = ENOENT; return access("/tmp/half-down", F_OK) == 0; }

enum nss_status _nss_half_getgrnam_r(const char *name, struct group *g, char *buf, size_t n, int *e)
{
    static char *nobody[] = {0};
    if (strcmp(name, "pupils") != 0)
        return down(e) ? NSS_STATUS_UNAVAIL : NSS_STATUS_NOTFOUND;
    *g = (struct group){.gr_name = strcpy(buf, name), .gr_passwd = "x", .gr_gid = 4711, .gr_mem = nobody};
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_half_initgroups_dyn(const char *user, gid_t gid, long *start, long *size, gid_t **groups, long limit, int *e)
{
    if (down(e))
        return NSS_STATUS_UNAVAIL;
    if (strcmp(user, "alice") != 0)
        return NSS_STATUS_NOTFOUND;
    (*groups)[(*start)++] = 4711;
    return NSS_STATUS_SUCCESS;
}
"""


def good_policy():
    run('rm -rf /etc/nsinit; mkdir -m 0755 /etc/nsinit')
    policy(RULES)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run('groupadd -f operators; usermod -aG operators dave')
        os.makedirs('/root/.ssh', exist_ok=True)
        run(f'cp {host.KEY}.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chown root /root')

    def setUp(self):
        container('alice')
        container('carol')
        good_policy()
        self.addCleanup(wait_nothing_left)
        self.addCleanup(good_policy)

    def login(self, user):
        if os.path.exists(MARK):
            os.unlink(MARK)
        return ssh(user, f'echo reached; hostname; touch {MARK}')

    def refused(self, user, reason):
        """No output, no process on the host, and one line in the log that says why."""
        before = len(log_text())
        done = self.login(user)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(done.stdout, ('', SENTENCE))  # nothing of the command's
        self.assertFalse(os.path.exists(MARK))
        until(lambda: f'user={user} refused' in log_text()[before:], 'a refusal in the log')
        self.assertEqual(re.findall(rf'reason=(\w+) user={user}\b', log_text()[before:]), [reason])

    def on_host(self, user):
        done = self.login(user)
        self.assertEqual(done.stdout, 'reached\nthrowaway\n', done.stderr)
        self.assertTrue(os.path.exists(MARK))

    def inside(self, user):
        done = self.login(user)
        self.assertEqual(done.stdout, 'reached\ninside\n', done.stderr)
        self.assertFalse(os.path.exists(MARK))


class Policy(Case):
    FAULTS = {
        'missing': lambda: os.unlink(CONF),
        'directory missing': lambda: os.rename('/etc/nsinit', '/etc/nsinit.away'),
        'writable by all': lambda: os.chmod(CONF, 0o666),
        'directory writable by its group': lambda: os.chmod('/etc/nsinit', 0o775),
        'parse error': lambda: write(CONF, 'version = 1;\nunmapped = "host";\nrules = oops\n'),
        'empty': lambda: write(CONF, ''),
        "not root's": lambda: os.chown(CONF, 1, 0),
        'a symbolic link': lambda: (os.rename(CONF, f'{CONF}.real'), os.symlink(f'{CONF}.real', CONF)),
        'a directory': lambda: (os.unlink(CONF), os.mkdir(CONF)),
    }

    def matrix(self, refused, on_host):
        for name, fault in self.FAULTS.items():
            good_policy()
            fault()
            for user in refused:
                with self.subTest(fault=name, refused=user):
                    self.refused(user, 'policy')
            for user in on_host:
                with self.subTest(fault=name, on_host=user):
                    before = len(log_text())
                    self.on_host(user)
                    self.assertIn('<81>', log_text()[before:])  # authpriv.alert
                    self.assertIn(f'reason=exempt user={user} ', log_text()[before:])
        run('rm -rf /etc/nsinit.away')

    def test_everybody_is_refused(self):
        self.matrix(refused=['alice', 'bob', 'root', 'dave'], on_host=[])

    def test_exempt_are_root_and_the_group(self):
        host.Host.pam(session='session required pam_nsinit.so exempt=operators')
        self.addCleanup(host.Host.pam)
        self.matrix(refused=['alice', 'bob'], on_host=['root', 'dave'])

    def test_exempt_is_nothing_where_the_policy_holds(self):
        host.Host.pam(session='session required pam_nsinit.so exempt=students')
        self.addCleanup(host.Host.pam)
        self.inside('carol')
        policy([f'{{ user = "*"; rootfs = "{ROOT}"; }}'])
        self.refused('root', 'policy')

    def test_exempt_group_that_does_not_exist(self):
        host.Host.pam(session='session required pam_nsinit.so exempt=nobodys-group')
        self.addCleanup(host.Host.pam)
        os.unlink(CONF)
        self.refused('dave', 'policy')
        self.on_host('root')


class Container(Case):
    def moved(self, path):
        os.rename(path, f'{path}.away')
        self.addCleanup(os.rename, f'{path}.away', path)

    def closed(self, reason, user='alice', unmapped='bob'):
        self.refused(user, reason)
        if unmapped:
            self.on_host(unmapped)
        self.on_host('root')

    def test_container_json_invalid(self):
        write(f'{ROOT}/container.json', '{')
        self.closed('spec')

    def test_container_json_missing(self):
        os.unlink(f'{ROOT}/container.json')
        self.closed('spec')

    def test_rootfs_missing(self):
        run(f'rm -r {ROOT}')
        self.closed('rootfs')

    def test_rootfs_s_parent_is_not_safe(self):
        self.addCleanup(os.chmod, ROOTS, 0o700)
        for mode in (0o755, 0o770, 0o777):
            os.chmod(ROOTS, mode)
            self.closed('rootfs')

    def test_rootfs_belongs_to_the_user(self):
        run(f'chown alice {ROOT}')
        self.closed('rootfs')

    def test_a_start_that_fails_leaves_the_door_of_another_container(self):
        """The user's, which lives: what they open next there comes by it."""
        door = f'{RUN_DIR}/doors/{pwd.getpwnam("alice").pw_uid}'
        living = host.Terminal(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'echo held; exec sleep 1000'])
        self.addCleanup(living.end)
        living.expect('held')
        before = os.stat(door).st_ino
        other = container('other')
        os.symlink('/tmp', f'{other}/dev')
        policy([RULES[0], f'{{ user = "alice"; rootfs = "{other}"; }}'])
        self.refused('alice', 'spawn')
        self.assertEqual(os.stat(door).st_ino, before)

    def test_program_missing(self):
        self.moved('/usr/libexec/nsinit/nsinit')
        self.closed('session')

    def test_init_missing(self):
        self.moved('/usr/libexec/nsinit/nsinit-init')
        self.closed('session')

    def changed(self, path, change):
        """A file of the host with other content until the test's end."""
        with open(path) as f:
            before = f.read()
        self.addCleanup(write, path, before)
        write(path, change(before))

    def test_group_lookup_fails(self):
        # A name service that does not answer: whether bob is a member cannot be told. That is no "no".
        policy(RULES + [f'{{ group = "of-the-directory"; rootfs = "{ROOT}"; }}'])
        self.on_host('bob')  # no such group: nobody is a member
        self.changed('/etc/nsswitch.conf', lambda text: re.sub(r'(?m)^group:.*', 'group: files hesiod', text))
        self.refused('bob', 'group')
        self.inside('carol')
        self.on_host('root')

    def test_groups_of_a_user_are_not_all_told(self):
        """A name service that knows the group, without members, from a cache, and does not answer to anything else."""
        write('/tmp/half.c', HALF)
        library = glob.glob('/usr/lib/*-linux-gnu*')[0] + '/libnss_half.so.2'
        run(['gcc', '-shared', '-fPIC', '-o', library, '/tmp/half.c'])
        self.addCleanup(os.unlink, library)
        self.changed('/etc/nsswitch.conf', lambda text: re.sub(r'(?m)^group:.*', 'group: files half', text))
        policy([RULES[0], f'{{ group = "pupils"; rootfs = "{ROOTS}/%u"; }}'])
        self.inside('alice')
        self.on_host('bob')
        write('/tmp/half-down', '')
        self.addCleanup(os.unlink, '/tmp/half-down')
        self.assertNotIn('4711', run(['id', '-G', 'alice']).stdout)  # the control: nobody is told that it is not all
        self.refused('alice', 'group')
        self.refused('bob', 'group')
        self.on_host('root')

    def test_user_s_groups_are_too_many_to_tell(self):
        self.changed('/etc/group', lambda text: text + ''.join(f'g{i}:x:{5000 + i}:alice\n' for i in range(300)))
        self.closed('user')

    def test_group_of_thousands(self):
        many = ','.join(f'student-number-{i}' for i in range(5000))
        self.changed('/etc/group', lambda text: re.sub(r'(?m)^(students:.*:)', rf'\g<1>{many},', text))
        self.inside('carol')
        self.on_host('bob')


class Disabled(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(nsinit, 'enable')

    def disable(self, duration):
        done = nsinit('disable', '--for', duration)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_everybody_is_the_host_s_until_it_expires(self):
        os.unlink(CONF)
        self.disable('4s')
        before = len(log_text())
        for user in ('alice', 'bob', 'root', 'dave'):
            self.on_host(user)
            # authpriv.warning
            self.assertRegex(log_text()[before:], rf'<84>.*reason=disabled user={user} .*disabled for another \d s')
        self.assertLess(len(re.findall('reason=', log_text()[before:])), 5)
        time.sleep(4.1)
        self.refused('alice', 'policy')
        good_policy()
        self.inside('alice')

    def test_enable_ends_it(self):
        before = len(log_text())
        done = run(['nsinit', 'disable', '--for', '15m'], env=dict(os.environ, SUDO_USER='bob\nforged'))
        self.assertIn('900 s', done.stdout)
        self.assertIn('disabled for 900 s, every login is the host\'s: sudo_user=bob?forged loginuid=',
                      log_text()[before:])
        self.assertEqual(os.stat(DISABLED).st_mode & 0o7777, 0o600)
        self.on_host('alice')
        nsinit('enable')
        self.assertIn('enabled: sudo_user=none', log_text()[before:])
        self.inside('alice')
        self.assertIn('was not disabled', nsinit('enable').stdout)

    def test_duration_is_required_and_bounded(self):
        for arguments in ([], ['--for'], ['--for', '15'], ['--for', '0s'], ['--for', '25h'], ['--for', '1d'],
                          ['--for', '-5m'], ['--for', '5m', 'x'], ['--for', 's'], ['--for', '86401s'], ['15m'],
                          ['--for', '99999999999999999999s']):
            done = nsinit('disable', *arguments)
            self.assertEqual(done.returncode, 125, arguments)
            self.assertFalse(os.path.exists(DISABLED))
        self.disable('24h')

    def test_json(self):
        for command, told in ((['disable', '--for', '15m'], (900, False)), (['disable', '--for', '2h'], (7200, True)),
                              (['enable'], (0, True)), (['enable'], (0, False))):
            self.assertEqual(json.loads(nsinit(*command, '--json').stdout), {'disabled': told[0], 'was_disabled': told[1]})

    def test_root_only(self):
        for command in (['disable', '--for', '1h'], ['enable']):
            done = run(['setpriv', '--reuid=alice', '--clear-groups', 'nsinit', *command], check=False)
            self.assertEqual(done.returncode, 125)
            self.assertIn('root', done.stderr)

    def test_a_file_that_is_not_whole_means_nothing(self):
        self.disable('1h')
        with open(DISABLED) as f:
            good = f.read()
        until_ = int(re.search(r'until (\d+)', good)[1])

        def faulty(text=good, mode=0o600, uid=0):
            return lambda: (write(DISABLED, text, mode), os.chown(DISABLED, uid, 0))
        faults = {
            'expired': faulty(good.replace(str(until_), str(until_ - 3601))),
            'further off than 24 h': faulty(good.replace(str(until_), str(until_ + 24 * 3600))),
            'beyond any number': faulty(good.replace(str(until_), '9' * 30)),
            'another boot': faulty(re.sub(r'boot .', 'boot x', good)),
            'no boot': faulty(re.sub(r'boot .*\n', '', good)),
            'another version': faulty(good.replace('disabled 1', 'disabled 2')),
            'cut': faulty(good[:-1]), 'more': faulty(good + '\n'), 'empty': faulty(''), 'NUL': faulty(good + '\0'),
            'writable by the group': faulty(mode=0o620), 'writable by all': faulty(mode=0o602),
            "alice's": faulty(uid=1001),
            'a link': lambda: (write('/run/elsewhere', good, 0o600), os.unlink(DISABLED),
                               os.symlink('/run/elsewhere', DISABLED)),
            'a directory': lambda: (os.unlink(DISABLED), os.mkdir(DISABLED)),
        }
        self.addCleanup(run, f'rm -rf {DISABLED}')
        self.on_host('alice')
        for name, fault in faults.items():
            with self.subTest(fault=name):
                run(f'rm -rf {DISABLED}')
                write(DISABLED, good, 0o600)
                fault()
                self.inside('alice')

    def test_run_directory_that_others_can_write(self):
        self.disable('1h')
        self.addCleanup(os.chmod, RUN_DIR, 0o711)
        os.chmod(RUN_DIR, 0o777)
        self.refused('alice', 'session')
        os.chmod(RUN_DIR, 0o711)
        self.on_host('alice')


del Case
