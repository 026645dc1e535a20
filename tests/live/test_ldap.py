"""Users and groups of an LDAP directory: nothing of them in /etc/passwd, /etc/group or /etc/subuid, on either side."""
import os
import re
import shutil
import subprocess
import unittest

import directory
import host
from directory import HOME, MAIN_GROUP
from host import (PASSWORD, PORT, ROOTS, SSH_OPTIONS, Terminal, container, log_text, nsinit, policy, run, ssh, until,
                  wait_nothing_left, write)

IMAGE = f'{ROOTS}/image'
SHELL = '/usr/bin/nsinit-shell'
MARK = '/tmp/a-host-process-ran'
PEOPLE = {'lara': (20001, 20000), 'luis': (20002, 20000), 'gina': (20003, 20000), 'pia': (20004, 20200),
          'nick': (20005, 20000), 'dora': (20006, 20000), 'nora': (20007, 20000, SHELL), 'mia': (20008, 20000)}
GROUPS = {'ldap-students': (20100, ['lara', 'luis', 'nora', 'mia', 'carol']), 'ldap-lab': (20200, []),
          'ldap-guests': (20300, ['gina']), 'ldap-barred': (20400, ['dora'])}
RULES = ['{ user = "root"; stay = "host"; }', '{ group = "ldap-barred"; deny = "No container is set up for %u."; }',
         f'{{ group = [ "ldap-students", "ldap-lab" ]; rootfs = "{ROOTS}/%u"; }}',
         f'{{ group = "ldap-guests"; image = "{IMAGE}"; rootfs = "{ROOTS}/guests/%u"; }}']
# Debian's common-auth and common-account, as pam-auth-update writes them with libpam-ldapd.
FIRST = ('auth [success=2 default=ignore] pam_unix.so nullok\n'
         'auth [success=1 default=ignore] pam_ldap.so minimum_uid=1000 use_first_pass\n'
         'auth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_nsinit.so\n'
         'account [success=2 new_authtok_reqd=done default=ignore] pam_unix.so\n'
         'account [success=1 default=ignore] pam_ldap.so minimum_uid=1000\n'
         'account requisite pam_deny.so\naccount required pam_permit.so\n')
SESSION = ('session required pam_limits.so\nsession required pam_unix.so\nsession optional pam_ldap.so\n'
           'session required pam_mkhomedir.so\n')
OURS = 'session required pam_nsinit.so\n'
SERVICES = ('sshd', 'su', 'sudo', 'login')
OUTAGE = '/root/outage'


SAVED = {}


def setUpModule():
    SAVED.update({s: open(f'/etc/pam.d/{s}').read() for s in SERVICES if os.path.exists(f'/etc/pam.d/{s}')})
    Case.directory = directory.Directory(PEOPLE, GROUPS)
    Case.directory.homes(*(name for name in PEOPLE if name != 'mia'))
    for name in ('lara', 'luis', 'pia', 'nora', 'mia', 'carol', 'image'):
        container(name)
    os.makedirs(f'{ROOTS}/guests', mode=0o700)


def tearDownModule():
    Case.directory.close()
    for service, text in SAVED.items():
        write(f'/etc/pam.d/{service}', text)
    shutil.rmtree(f'{ROOTS}/guests')


class Case(unittest.TestCase):
    def setUp(self):
        self.stacks()
        self.directory.start()
        policy(RULES)
        if os.path.exists(MARK):
            os.unlink(MARK)
        self.addCleanup(wait_nothing_left)

    @staticmethod
    def stacks(between=''):
        for service in SERVICES:
            write(f'/etc/pam.d/{service}', ('' if service == 'sshd' else 'auth sufficient pam_rootok.so\n')
                  + FIRST + SESSION + between + OURS)

    def inside(self, user, group=MAIN_GROUP):
        uid, (name, gid) = PEOPLE[user][0], group
        done = ssh(user, 'hostname; id; pwd')
        self.assertEqual(done.stdout, f'inside\nuid={uid}({user}) gid={gid}({name}) groups={gid}({name})\n{HOME}/{user}\n', done.stderr)

    def on_host(self, user):
        self.assertEqual(ssh(user, f'hostname; touch {MARK}').stdout, 'throwaway\n')
        self.assertTrue(os.path.exists(MARK))
        os.unlink(MARK)

    def refused(self, user, logged):
        before = len(log_text())
        done = ssh(user, f'touch {MARK}; echo reached', timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn('reached', done.stdout)
        self.assertFalse(os.path.exists(MARK), 'it ran on the host')
        if logged:
            until(lambda: re.search(logged, log_text()[before:]), f'{logged!r} in the log: ' + log_text()[before:])

    def hold(self, user):
        """A session that stays."""
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', 'cat /proc/self/uid_map; echo in; cat'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        lines = []
        while not lines or lines[-1] not in ('in', ''):
            lines.append(client.stdout.readline().strip())
        self.assertEqual(lines[-1], 'in')
        return [tuple(map(int, line.split())) for line in lines[:-1]]


class Landing(Case):
    def test_the_directory_s_users_are_in_no_file(self):
        for path in ('/etc/passwd', '/etc/shadow', '/etc/group', '/etc/subuid', '/etc/subgid', f'{ROOTS}/lara/etc/passwd'):
            with open(path) as f:
                self.assertNotRegex(f.read(), '(?m)^(lara|luis|gina|pia|nick|people|ldap-students):')

    def test_by_supplementary_group(self):
        self.inside('lara')
        self.inside('luis')

    def test_by_primary_group(self):
        self.inside('pia', ('ldap-lab', 20200))

    def test_by_group_into_an_image(self):
        self.inside('gina')
        self.assertTrue(os.path.isdir(f'{ROOTS}/guests/gina/upper'))

    def test_local_user_in_a_group_of_the_directory(self):
        self.assertEqual(ssh('carol', 'hostname; id -un').stdout, 'inside\ncarol\n')

    def test_of_no_mapped_group(self):
        self.on_host('nick')
        self.refused('dora', 'reason=denied user=dora')
        policy(RULES, unmapped='deny')
        self.refused('nick', 'reason=denied user=nick')
        self.inside('lara')

    def test_home_directory_is_the_host_s(self):
        self.assertEqual(ssh('lara', 'echo hers >file; ls -ln file').stdout.split()[2:4], ['20001', '20000'])
        with open(f'{HOME}/lara/file') as f:
            self.assertEqual(f.read(), 'hers\n')
        self.assertEqual(os.stat(f'{HOME}/lara/file').st_uid, 20001)

    def test_password_and_a_home_that_is_made_by_the_login(self):
        self.assertFalse(os.path.exists(f'{HOME}/mia'))
        command = ['sshpass', '-p', PASSWORD, 'ssh', *SSH_OPTIONS[:-2], '-o', 'PubkeyAuthentication=no', '-p', str(PORT)]
        done = run([*command, 'mia@127.0.0.1', 'hostname; id -un; pwd'], check=False)
        self.assertEqual(done.stdout, f'inside\nmia\n{HOME}/mia\n', done.stderr)
        command[2] = 'wrong'
        self.assertNotEqual(run([*command, 'mia@127.0.0.1', 'hostname'], check=False).returncode, 0)

    def test_ranges_without_subuid(self):
        ranges = []
        for user in ('lara', 'luis', 'gina'):
            uid = PEOPLE[user][0]
            maps = self.hold(user)
            self.assertIn((uid, uid, 1), maps)
            first = next(outside for inside, outside, _ in maps if inside == 0)
            self.assertGreaterEqual(first, 1879048192)
            ranges += [(outside, outside + count) for inside, outside, count in maps if inside == outside or outside >= first]
            ranges.remove((uid, uid + 1))
        for i, one in enumerate(ranges):
            for other in ranges[:i]:
                self.assertFalse(one[0] < other[1] and other[0] < one[1] and one != (5, 6), (one, other))
        shown = nsinit('list').stdout
        for user in ('lara', 'luis', 'gina'):
            self.assertIn(f' {user} ', shown)


class Services(Case):
    def test_su_and_sudo(self):
        for command in ('su lara -c', 'su - lara -c', 'sudo -u lara /bin/sh -c', 'su nora -c'):
            user = 'nora' if 'nora' in command else 'lara'
            done = run([*command.split(), 'hostname; id -un; id -gn'], check=False, stdin=subprocess.DEVNULL)
            self.assertEqual(done.stdout, f'inside\n{user}\npeople\n', (command, done.stderr))
        self.assertEqual(run(['su', 'nick', '-c', 'hostname; id -un']).stdout, 'throwaway\nnick\n')

    def test_login_and_nsinit_shell(self):
        terminal = Terminal(['login', '-f', 'nora'])
        self.addCleanup(terminal.end)
        terminal.expect(r'\$ ')
        terminal.type('hostname; id -un\n')
        terminal.expect('inside\r\nnora\r\n')
        terminal.type('exit\n')
        terminal.finish()

    def test_nsinitd(self):
        broker = subprocess.Popen(['nsinitd'])
        self.addCleanup(broker.wait)
        self.addCleanup(broker.terminate)
        host.wait_nsinitd()
        ask = ['setpriv', '--reuid', '20007', '--regid', '20000', '--clear-groups', SHELL, '-c', f'hostname; id -un; touch {MARK}']
        done = run(ask, check=False, cwd='/')
        self.assertEqual((done.stdout, os.path.exists(MARK)), ('inside\nnora\n', False), done.stderr)
        wait_nothing_left()
        self.directory.stop('nslcd')
        done = run(ask, check=False, cwd='/')
        self.assertEqual((done.stdout, os.path.exists(MARK)), ('', False))
        until(lambda: 'reason=user uid=20007 refused' in log_text(), 'the reason')


class Shown(Case):
    def test_explain(self):
        done = nsinit('explain', 'lara')
        self.assertIn('lara (uid 20001) lands in a container\n', done.stdout)
        self.assertIn(f'rootfs:    {ROOTS}/lara\n', done.stdout)
        self.assertIn('gina (uid 20003) lands in a container\n', nsinit('explain', 'gina').stdout)
        self.assertIn('nick (uid 20005) stays on the host\n', nsinit('explain', 'nick').stdout)
        self.assertIn('dora (uid 20006) is refused\n', nsinit('explain', 'dora').stdout)
        self.directory.stop('nslcd')
        self.assertIn('looking up user lara', nsinit('explain', 'lara').stderr)
        self.assertIn('looking up group ldap-barred', nsinit('explain', 'carol').stderr)

    def test_check(self):
        done = nsinit('check', '/etc/nsinit/nsinit.conf')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn('group-unknown', done.stdout + done.stderr)
        self.directory.stop('nslcd')
        self.assertIn('group ldap-students: one of them does not answer', nsinit('check', '/etc/nsinit/nsinit.conf').stdout)


class Down(Case):
    def down_during_the_login(self, *names):
        """After the user is authenticated and before the session is opened, in the order of the stack."""
        pids = ' '.join(str(self.directory.processes[name].pid) for name in names)
        write(OUTAGE, f'#!/bin/sh\nkill {pids}\nfor pid in {pids}; do\n'
                      '    while [ -e /proc/$pid ] && ! grep -q "^State:.Z" /proc/$pid/status; do sleep 0.05; done\ndone\n', 0o755)
        self.stacks(f'session required pam_exec.so {OUTAGE}\n')

    def again(self, *names):
        self.stacks()
        self.directory.stop(*names)
        self.directory.start()


class Outage(Down):
    """The directory goes away: who is mapped by it is never on the host."""

    def test_before_the_login(self):
        for names in (['slapd'], ['slapd', 'nslcd'], ['nslcd']):
            self.directory.stop(*names)
            self.refused('lara', None)  # sshd: no such user
            self.refused('carol', 'reason=group user=carol')  # a local user, mapped by a group of the directory
            self.refused('dave', 'reason=group user=dave')    # who of the local users is mapped cannot be told
            self.directory.start()
            self.inside('lara')

    def test_during_the_login(self):
        for names in (['slapd'], ['slapd', 'nslcd']):
            for user, reason in (('lara', 'user'), ('carol', 'group'), ('nick', 'user')):
                self.down_during_the_login(*names)
                self.refused(user, f'reason={reason} user={user} refused')
                self.again(*names)
        self.inside('lara')
        self.on_host('nick')

    def test_root_is_let_in(self):
        self.directory.stop()
        os.makedirs('/root/.ssh', exist_ok=True)
        run(f'cp {host.KEY}.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chown root /root')
        self.on_host('root')

    def test_su_and_sudo(self):
        self.down_during_the_login('slapd', 'nslcd')
        for command in (['su', 'carol', '-c'], ['sudo', '-u', 'carol', '/bin/sh', '-c']):
            done = run([*command, f'touch {MARK}; echo reached'], check=False)
            self.assertNotIn('reached', done.stdout)
            self.assertFalse(os.path.exists(MARK))
        self.assertIn('reason=group user=carol refused', log_text())


class Cache(Down):
    """The same with nscd, which says "no such group" of a name service that is down, and of some "here it is"."""

    def setUp(self):
        super().setUp()
        os.makedirs('/run/nscd', exist_ok=True)
        self.nscd = subprocess.Popen(['nscd', '-F'])
        self.addCleanup(self.nscd.wait)
        self.addCleanup(self.nscd.terminate)
        until(lambda: os.path.exists('/run/nscd/socket'), "nscd's socket")

    @staticmethod
    def fill(*names):
        for name in names:
            run(['id', name])

    def test_before_the_login(self):
        """The user comes from the cache, the groups do not: the control, and the login."""
        for names in (['slapd'], ['slapd', 'nslcd'], ['nslcd']):
            self.fill('lara', 'carol', 'nick')
            run('getent group ldap-barred ldap-students')
            self.directory.stop(*names)
            run(['nscd', '-i', 'group'])
            self.assertEqual(run('getent passwd lara').returncode, 0)
            self.assertEqual(run('getent group ldap-students', check=False).returncode, 2)  # no such group, it says
            for user in ('lara', 'carol', 'nick'):
                self.refused(user, f'reason=(group|user) user={user} refused')
            self.directory.start()
            run(['nscd', '-i', 'group'])
            run(['nscd', '-i', 'passwd'])
            self.inside('lara')
            self.on_host('nick')

    def test_during_the_login(self):
        for names in (['slapd'], ['slapd', 'nslcd']):
            for user in ('lara', 'carol', 'nick'):
                self.fill(user)
                run(['nscd', '-i', 'group'])
                self.down_during_the_login(*names)
                self.refused(user, f'reason=(group|user) user={user} refused')
                self.again(*names)
                run(['nscd', '-i', 'group'])
        self.inside('lara')
        self.on_host('nick')

    def test_groups_of_the_cache_lead_inside_only(self):
        self.fill('lara', 'nick')
        run('getent group ldap-barred ldap-students ldap-lab ldap-guests')
        self.directory.stop()
        self.inside('lara')
        self.refused('nick', 'reason=(group|user) user=nick refused')


class Offline(Case):
    """SSSD without its server says "no such group" of what it has not kept."""

    def setUp(self):
        super().setUp()
        self.directory.start_sssd()
        self.addCleanup(self.directory.stop_sssd)

    def test_online(self):
        self.inside('lara')
        self.inside('pia', ('ldap-lab', 20200))
        self.assertEqual(ssh('carol', 'hostname').stdout, 'inside\n')
        self.on_host('nick')
        self.refused('dora', 'reason=denied user=dora')

    def test_user_in_the_cache_and_groups_not(self):
        for user in ('lara', 'nick'):
            run(['getent', 'passwd', user])
        self.directory.stop('slapd')
        self.assertEqual(run('getent passwd lara').returncode, 0)  # the control: a user without groups
        self.assertEqual(run('id -G lara').stdout, '20000\n')
        self.assertEqual(run('getent group ldap-students', check=False).returncode, 2)
        for user in ('lara', 'carol', 'nick', 'dave'):
            self.refused(user, f'reason=group user={user} refused')
        policy(RULES, unmapped='deny')
        self.refused('lara', 'reason=denied user=lara')

    def test_groups_of_the_cache_lead_inside(self):
        self.inside('lara')
        self.directory.stop('slapd')
        self.inside('lara')

    def test_sssd_is_down(self):
        self.inside('lara')
        self.directory.stop('sssd')
        self.refused('lara', None)
        self.refused('carol', 'reason=group user=carol refused')
        self.refused('dave', 'reason=group user=dave refused')

    def test_a_group_that_does_not_exist(self):
        """With such services it keeps those off the host whom only that group could map; explain says why."""
        policy(RULES + [f'{{ group = "nowhere"; rootfs = "{ROOTS}/%u"; }}'])
        self.refused('nick', 'reason=group user=nick refused: looking up group nowhere')
        self.assertIn('make it, or take it out of the policy', nsinit('explain', 'nick').stderr)
        self.inside('lara')


del Down
