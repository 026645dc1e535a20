"""In the machine, as a service of its systemd: what nsinit needs of a real host. python3 tests/machine/inside.py [NAME...]"""
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest

from machine import GROUPS, LIMITS, ROOT, SLOW, Case, journal, set_up, until
import host
from host import PORT, ROOTS, SPEC, SSH_OPTIONS, container, nsinit, policy, run, ssh, write
from images import Images
from limits import Limits
from logind import Logind
from machined import Machined
from session_limits import OutOfMemory, SessionLimits
from suites import Bare, Suites


TOO_LONG = 400  # seconds that no test takes: one that waits for what never comes must not take the others with it


class Host(Case):
    def test_it_is_the_host_that_was_meant(self):
        with open('/proc/1/comm') as f:
            self.assertEqual(f.read(), 'systemd\n')
        with open(f'{GROUPS}/cgroup.controllers') as f:
            self.assertLessEqual({'memory', 'cpu', 'pids', 'io'}, set(f.read().split()))
        self.assertIn('pam_systemd.so', run('cat /etc/pam.d/common-session').stdout)
        print('# ' + run('uname -r; systemctl --version | head -1').stdout.replace('\n', '; '), flush=True)

    def test_a_login_lands_inside_and_logind_knows_it(self):
        client = self.session('alice', 'echo in; hostname; cat /proc/1/comm; read x')
        self.assertEqual(client.stdout.readline() + client.stdout.readline(), 'inside\nnsinit-init\n')
        self.assertIn(' alice ', run('loginctl list-sessions').stdout)
        scopes = [self.group_of(pid) for pid in run('pgrep -f "^sshd(-session)?: alice"').stdout.split()]
        self.assertTrue(any(re.search(r'/session-\w+\.scope$', s) for s in scopes), scopes)
        self.assertIn(self.group(), scopes)
        client.communicate('\n', timeout=SLOW)

    def test_the_journal_has_what_happened(self):
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.logged(r'nsinit\[\d+\]: container=\S+ pid=\d+ user=alice rootfs=/srv/nsinit/alice started')
        self.logged(r'nsinit\[\d+\]: container=\S+ cgroup=/sys/fs/cgroup/nsinit/\S+ memory.max=64M ')
        self.logged(r'nsinit\[\d+\]: container=\S+ rootfs=\S+ ended: no session is left')
        self.assertIn('user=alice', journal('-t', 'sshd', '-t', 'sshd-session', '--since', self.since))
        found = [json.loads(line) for line in run(
            f'journalctl -o json NSINIT_USER=alice --since "{self.since}"').stdout.splitlines()]
        opened = next(e for e in found if e['MESSAGE'].endswith(' session opened'))
        self.assertEqual((opened['NSINIT_ROOTFS'], opened['NSINIT_RULE'].isdigit(), opened['_UID'], opened['PRIORITY']),
                         (ROOT, True, '0', '6'))
        self.assertRegex(opened['MESSAGE'], r'^pam_nsinit\(sshd\): user=alice rule=\d+ rootfs=')
        self.assertEqual((opened['NSINIT_CONTAINER'], opened['NSINIT_SESSION']), (self.group().split('/')[-1], opened['_PID']))
        started = next(e for e in found if e['MESSAGE'].endswith(' started'))
        self.assertEqual((started['NSINIT_CONTAINER'], started['SYSLOG_IDENTIFIER']), (self.group().split('/')[-1], 'nsinit'))

    def test_a_refusal_is_in_the_journal_with_its_reason(self):
        write(f'{ROOT}/container.json', '{ "hostname": 1 }')
        self.assertNotEqual(ssh('alice', 'hostname', timeout=SLOW).returncode, 0)
        found = until(lambda: run(f'journalctl -o json NSINIT_REASON=spec --since "{self.since}"').stdout.splitlines(), 'it')
        self.assertIn('alice', [json.loads(line).get('NSINIT_USER') for line in found])
        shown = json.loads(nsinit('logs', '--json', 'alice').stdout)
        self.assertEqual((shown[-1]['reason'], shown[-1]['user'], shown[-1]['program'].startswith('sshd')), ('spec', 'alice', True))

    def test_a_container_outlives_logind_s_session(self):
        self.rules('lifetime = 3600;')
        first = ssh('alice', 'readlink /proc/self/ns/pid').stdout
        time.sleep(2)
        self.assertEqual(ssh('alice', 'readlink /proc/self/ns/pid').stdout, first)
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout), signal.SIGTERM)


class Clock(Case):
    def test_the_wall_clock_jumps(self):
        """Years forth and back: no session ends of it, nobody is kept out, no time that was given is longer or shorter."""
        self.rules('lifetime = 20;')
        client = self.session('alice', 'echo in; read x; echo the end in order')
        pid = host.wait_nspid(ROOT)
        self.assertEqual(nsinit('disable', '--for', '1h').returncode, 0)
        self.addCleanup(nsinit, 'enable')
        for step in ('+400 days', '-800 days', '+400 days'):
            before = time.time()
            run(['date', '-s', step])
            self.assertGreater(abs(time.time() - before), 300 * 24 * 3600)  # the control
            self.assertEqual(ssh('bob', 'hostname').stdout, 'throwaway\n')  # disabled for an hour still
        nsinit('enable')
        for step in ('+400 days', '-800 days', '+400 days'):
            run(['date', '-s', step])
            for user in ('alice', 'bob'):
                self.assertEqual(ssh(user, 'hostname').stdout, 'inside\n')
            self.assertEqual(host.wait_nspid(ROOT), pid)
        self.assertEqual(client.communicate('\n', timeout=SLOW)[0], 'the end in order\n')
        started = time.monotonic()
        run(['date', '-s', '+400 days'])
        self.addCleanup(run, ['date', '-s', '-400 days'])
        until(host.nothing_left, 'the end of the container')
        self.assertGreater(time.monotonic() - started, 15)


class Units(Case):
    def setUp(self):
        super().setUp()
        container('carol', {**SPEC, 'resources': LIMITS})

    def enter(self, command):
        return run(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--clear-groups', '--', 'nsinit-shell', '-c', command],
                   check=False, timeout=SLOW)

    def test_the_socket_starts_nsinitd(self):
        run('systemctl stop nsinitd.service')
        done = self.enter('hostname; cat /proc/self/cgroup')
        self.assertEqual(done.stdout, f'inside\n0::{self.group("carol")}\n', done.stderr + journal('-n', '20'))
        self.assertEqual(run('systemctl is-active nsinitd.service').stdout, 'active\n')

    def test_nsinitd_starts_again_while_a_container_lives(self):
        shell = subprocess.Popen(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--clear-groups', '--', 'nsinit-shell',
                                  '-c', 'echo in; read x; echo "$x"'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(shell.kill)
        self.assertEqual(shell.stdout.readline(), 'in\n')
        run('systemctl restart nsinitd.service')
        self.assertEqual(self.enter('hostname').stdout, 'inside\n')
        self.assertEqual(shell.communicate('lives\n', timeout=SLOW)[0], 'lives\n')

    def test_groups_are_below_what_is_delegated(self):
        # What DelegateSubgroup= does, which this systemd lacks: the processes of the unit in a group below it.
        write('/run/delegated', 'cd /sys/fs/cgroup/system.slice/nsinit-delegated.service && mkdir sub && '
              f'echo $$ >sub/cgroup.procs && nsinit exec -C {ROOT} -- cat /proc/self/cgroup >/run/delegated.out 2>&1\n'
              'rmdir nsinit 2>/dev/null; ls >>/run/delegated.out')
        run('systemd-run --wait --unit=nsinit-delegated -p Delegate=yes sh /run/delegated', timeout=SLOW)
        with open('/run/delegated.out') as f:
            shown = f.read()
        self.assertIn(f'0::/system.slice/nsinit-delegated.service{self.group()}\n', shown)
        self.assertNotIn('nsinit\n', shown)

    def test_a_unit_that_hands_on_controllers_cannot_start_again(self):
        # Why the group of nsinitd itself, with systemd 252, is no place for containers.
        write('/etc/systemd/system/handed.service', '[Service]\nDelegate=yes\nKillMode=process\nRestart=no\nExecStart=sh -c '
              '"cd /sys/fs/cgroup/system.slice/handed.service && mkdir -p a b && echo $$$$ >a/cgroup.procs; '
              '[ -e /run/handed ] || { sleep 1000 & echo $! >b/cgroup.procs; echo +memory >cgroup.subtree_control; '
              'touch /run/handed; }; sleep 1000"\n')
        run('systemctl daemon-reload && systemctl start handed.service')
        until(lambda: os.path.exists('/run/handed'), 'the controllers handed on')
        run('systemctl restart handed.service', check=False)
        time.sleep(3)
        state = run('systemctl is-active handed.service', check=False).stdout
        run('echo 1 >/sys/fs/cgroup/system.slice/handed.service/cgroup.kill; systemctl stop handed.service', check=False)
        self.assertEqual(state, 'failed\n')


class Recording(Case):
    """The kernel, the C library and sshd of this release have to allocate terminals as the recorder takes for granted."""

    def test_a_terminal_is_recorded(self):
        self.rules('record = "tty"; record_required = true;')
        for i in range(3):
            done = ssh('alice', f'tty; echo $SSH_TTY; echo shown-$((40 + {i})); seq 1 2000; exit 7', options=['-tt'], timeout=SLOW)
            self.assertEqual(done.returncode, 7, journal('-n', '30'))
            name, same, shown, *numbers = done.stdout.split('\n')
            self.assertRegex(name, '^/dev/pts/[0-9]+$')
            self.assertEqual((same, shown, numbers), (name, f'shown-{40 + i}', [*map(str, range(1, 2001)), '']))
        sessions = json.loads(nsinit('records', '--json').stdout)
        self.assertEqual(len(sessions), 3)
        until(lambda: not any(s['live'] for s in json.loads(nsinit('records', '--json').stdout)), 'the end of the recorders')
        self.assertEqual(nsinit('records', 'play', '--speed', '0', sessions[0]['session']).stdout, ssh_output(name, 40))
        self.logged(f'session={sessions[0]["session"]} ')

    def test_without_a_recorder_the_terminal_ends(self):
        self.rules('record = "tty";')
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-tt', '-p', str(PORT), 'alice@127.0.0.1', 'echo in; sleep 100; echo on'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), 'in\n')
        for pid in run(['pgrep', '-f', '-o', '^/usr/bin/nsinit record$']).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        self.assertNotEqual(client.wait(timeout=SLOW), 0)
        self.assertNotIn('on\n', client.stdout.read())


def ssh_output(name, number):
    return '\n'.join([name, name, f'shown-{number}', *map(str, range(1, 2001)), ''])


class Rootless(Case):
    def test_limits_need_root(self):
        box = '/home/carol/box'
        run(f'rm -rf {box} && cp -a {container("carol", {**SPEC, "resources": LIMITS})} {box} && chown -R carol: {box}')
        done = run(['setpriv', '--reuid', 'carol', '--regid', 'carol', '--init-groups', 'nsinit', 'exec', '-C', box, '--', 'echo', 'reached'],
                   check=False, stdin=subprocess.DEVNULL, timeout=SLOW)
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        print(f'# {done.stderr.strip()}', flush=True)
        self.assertIn('Permission denied', done.stderr)


class Size(unittest.TestCase):
    """The size of changes to an image: project quotas, which take a file system that has them."""
    PLACE = '/srv/quota'
    LOOP = '/srv/quota.disk'
    FULL = 'Disk quota exceeded'  # of xfs: No space left on device

    @classmethod
    def setUpClass(cls):
        set_up()
        run(f'truncate -s 200M {cls.LOOP} && {cls.make_file_system()} && mkdir -p {cls.PLACE} && '
            f'mount -o loop,prjquota {cls.LOOP} {cls.PLACE}', timeout=SLOW)
        cls.image = container('image')
        run(f'cd {cls.image} && mkdir etc/d && ln -s passwd etc/link && echo base >etc/d/f && head -c 9437184 /dev/zero >big')
        run('gcc -static -o /root/project -x c -', timeout=SLOW, input="""
            #include <errno.h>
            #include <fcntl.h>
            #include <linux/fs.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            #include <sys/ioctl.h>
            int main(int argc, char **argv)
            {
                struct fsxattr a;
                int fd = open(argv[1], O_RDONLY);
                if (ioctl(fd, FS_IOC_FSGETXATTR, &a) < 0)
                    return printf("%s\\n", strerror(errno)), 1;
                printf("%u\\n", a.fsx_projid);
                if (argc == 2)
                    return 0;
                a.fsx_projid = (unsigned)atoi(argv[2]);
                puts(ioctl(fd, FS_IOC_FSSETXATTR, &a) < 0 ? strerror(errno) : "moved");
            }""")
        run(f'cp /root/project {cls.image}/bin/project')

    @classmethod
    def make_file_system(cls):
        return f'mkfs.ext4 -q -O quota,project {cls.LOOP}'

    @classmethod
    def tearDownClass(cls):
        run(f'umount {cls.PLACE} && rm {cls.LOOP}')

    def setUp(self):
        self.addCleanup(until, host.nothing_left, 'the end of every container')
        self.users = f'{self.PLACE}/users'
        run(f'rm -rf {self.users} && mkdir -m 0700 {self.users}')
        self.rule()
        self.since = run(['date', '+%Y-%m-%d %H:%M:%S']).stdout.strip()

    def rule(self, more='size = "8M";', users=None):
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = "*"; image = "{self.image}"; rootfs = "{users or self.users}/%u"; {more} }}'])

    def inside(self, command, user='alice', *options):
        return nsinit('exec', '--for', user, *options, '--', 'sh', '-c', command, stdin=subprocess.DEVNULL, timeout=SLOW)

    def write(self, megabytes, path='/tmp/file', user='alice'):
        done = self.inside(f'dd if=/dev/zero of={path} bs=1M count={megabytes} 2>&1; sync', user)
        self.assertNotEqual(done.returncode, 125, done.stderr)  # also one that is full can be entered
        return done

    def refused(self, why):
        done = self.inside('echo reached')
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn(why, done.stderr)

    def project(self, path):
        return int(run(['/root/project', path]).stdout)

    def test_what_is_more_than_it_does_not_fit(self):
        done = ssh('alice', 'df -k / | tail -n 1; dd if=/dev/zero of=/tmp/file bs=1M count=20 2>&1; ls -l /tmp/file', timeout=SLOW)
        self.assertRegex(done.stdout, r'^overlay +8192 ')
        self.assertIn(self.FULL, done.stdout)
        self.assertLess(int(re.search(r' (\d+) \S+ +\S+ \S+ /tmp/file', done.stdout)[1]), 8 << 20)
        self.assertIn(self.FULL, self.write(20, '/root/file').stdout)  # nor root inside
        self.assertNotIn(self.FULL, self.write(5, user='bob').stdout)             # nobody else's
        self.inside('rm /tmp/file /root/file')
        self.assertNotIn(self.FULL, self.write(5).stdout)

    def test_files_are_counted_too(self):
        done = self.inside('mkdir /tmp/d; cd /tmp/d; i=0; while [ $i -lt 1100 ]; do echo $i; i=$((i+1)); done | xargs touch; ls | wc -l')
        self.assertIn(self.FULL, done.stderr)
        self.assertLess(int(done.stdout), 1024)

    def test_the_image_s_files_are_counted_when_they_are_changed(self):
        self.assertEqual(self.inside('wc -c </big').stdout, f'{9 << 20}\n')
        self.assertIn(self.FULL, self.inside('echo x >>/big').stderr)
        self.assertEqual(self.inside('rm /big; ls /big 2>/dev/null; echo x >/big; cat /big').stdout, 'x\n')

    def test_each_user_keeps_a_project(self):
        for user in ('alice', 'bob'):
            self.assertEqual(self.inside('echo x >/tmp/x', user).returncode, 0)
        projects = [self.project(f'{self.users}/{user}/{name}')
                    for user in ('alice', 'bob') for name in ('', 'upper', 'upper/tmp/x', 'work')]
        self.assertEqual([len(set(projects[:4])), len(set(projects[4:])), len(set(projects))], [1, 1, 2])
        self.assertGreaterEqual(min(projects), 0x70000000)
        self.inside('true')
        self.assertEqual(self.project(f'{self.users}/alice'), projects[0])

    def test_another_size_holds_from_the_next_start(self):
        self.assertIn(self.FULL, self.write(12).stdout)
        self.rule('size = "16M";')
        self.assertNotIn(self.FULL, self.write(12).stdout)
        self.rule('size = "4M";')
        self.assertIn(self.FULL, self.write(1, '/tmp/more').stdout)
        self.rule('')
        self.assertNotIn(self.FULL, self.write(40).stdout)
        self.assertNotRegex(self.inside('df -k / | tail -n 1').stdout, r'^overlay +8192 ')

    def test_nobody_inside_lifts_it(self):
        self.assertEqual(self.inside('true').returncode, 0)
        own = self.project(f'{self.users}/alice/upper')
        for user in ('root', 'alice'):
            done = self.inside(f'cd /tmp; echo x >{user}; project {user} 0; project {user}; mkdir d-{user}; project d-{user} 7', 'alice', '-u', user)
            self.assertEqual(done.stdout.split('\n')[:3], [str(own), 'Invalid argument', str(own)], done.stderr)
            self.assertNotIn('moved', done.stdout)
        write(f'{self.users}/alice/upper/tmp/outside', 'x')
        self.assertIn('moved', run(['/root/project', f'{self.users}/alice/upper/tmp/outside', '0']).stdout)  # as root outside can

    def test_replacing_and_removing_works_as_ever(self):
        done = self.inside('cd /etc; rm -r d; mkdir d; echo new >d/f; mv d e; ln -sf group link; echo x >p; mv p q; '
                           'ln q q2; cat e/f q q2; readlink link; rm link; ls link')
        self.assertEqual((done.stdout, done.stderr), ('new\nx\nx\ngroup\n', 'ls: link: No such file or directory\n'))

    def test_changes_that_are_there_already(self):
        self.rule('')
        self.assertEqual(self.inside('echo kept >/etc/kept; ln -sf kept /etc/link; rm -r /etc/d').returncode, 0)
        self.rule()
        self.refused('"upper" is there already, and not counted')
        run(f'mv {self.users}/alice {self.users}/alice.old')
        self.assertEqual(self.inside('true').returncode, 0)
        until(host.nothing_left, 'its end')
        run(f'cp -a {self.users}/alice.old/upper {self.users}/alice/')
        done = self.inside('cat /etc/link; ls /etc/d; echo more >>/etc/kept; ln -sf other /etc/link; readlink /etc/link')
        self.assertEqual((done.stdout, 'No such file' in done.stderr), ('kept\nother\n', True), done.stderr)
        self.assertIn(self.FULL, self.write(20).stdout)

    def test_a_project_of_the_administrator_s_is_not_taken(self):
        run(['/root/project', self.users, '42'])
        run(['chattr', '+P', self.users])
        self.assertIn(self.FULL, self.write(20).stdout)
        self.assertGreaterEqual(self.project(f'{self.users}/alice'), 0x70000000)

    def test_a_file_system_without(self):
        os.makedirs(f'{ROOTS}/users', mode=0o700, exist_ok=True)
        self.rule(users=f'{ROOTS}/users')
        self.refused(f'limiting the size of {ROOTS}/users/alice: its file system holds no project to a limit')
        self.refused('tune2fs -O quota,project')
        shown = nsinit('check', '/etc/nsinit/nsinit.conf').stdout
        self.assertIn('[no-project-quota]', shown)
        self.rule('size = "8M"; resources = "best-effort";', f'{ROOTS}/users')
        self.assertEqual(self.inside('echo in').stdout, 'in\n')
        until(lambda: 'reason=quota size not limited: /srv/nsinit/users/alice' in journal('--since', self.since), 'the note in the journal')

    def test_not_switched_on(self):
        run(f'umount {self.PLACE} && mount -o loop {self.LOOP} {self.PLACE}')
        try:
            self.refused('its file system holds no project to a limit')
        finally:
            run(f'umount {self.PLACE} && mount -o loop,prjquota {self.LOOP} {self.PLACE}')


def too_long(*_):
    signal.alarm(SLOW)  # for what cleans up after it
    raise TimeoutError('it takes too long')


class Result(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = 0

    def startTest(self, test):
        super().startTest(test)
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(getattr(test, 'too_long', TOO_LONG))

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addError(self, test, err):
        super().addError(test, err)
        self.stream.writeln(self.errors[-1][1])  # at once: the machine may end before the last of its tests

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.stream.writeln(self.failures[-1][1])


def main():
    suite = unittest.TestSuite()
    for case in (Bare, Host, Images, Logind, Machined, Limits, SessionLimits, OutOfMemory, Units, Recording, Rootless, Size, Suites, Clock):
        suite.addTests(t for t in unittest.defaultTestLoader.loadTestsFromTestCase(case)
                       if not sys.argv[1:] or any(name in t.id() for name in sys.argv[1:]))
    result = unittest.TextTestRunner(resultclass=Result, verbosity=2, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f'{result.passed} passed, {failed} failed, {len(result.skipped)} skipped', flush=True)


main()
