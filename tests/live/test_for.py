"""nsinit exec --for USER: the container of a login user, from the command line."""
import json
import os
import shutil
import signal
import subprocess
import unittest

import host
from host import (PORT, ROOTS, SSH_OPTIONS, Terminal, container, exec_in, nsinit, policy, run, ssh, until,
                  wait_nothing_left)

USERS = f'{ROOTS}/users'
ALICE = f'{USERS}/alice'


def exec_for(user, *command, options=(), **kwargs):
    kwargs.setdefault('stdin', subprocess.DEVNULL)
    return nsinit('exec', '--for', user, *options, '--', *command, **kwargs)


class Case(unittest.TestCase):
    def setUp(self):
        self.image = container('image')
        shutil.rmtree(USERS, ignore_errors=True)
        os.makedirs(USERS, mode=0o700)
        self.rule()
        self.addCleanup(wait_nothing_left)

    def rule(self, more='', root=f'rootfs = "{USERS}/%u";'):
        policy(['{ user = "root"; stay = "host"; }', '{ user = "dave"; deny = "No container is set up for %u."; }',
                f'{{ user = ["alice", "carol"]; image = "{self.image}"; {root} {more} }}'])

    def session(self, *argv):
        """A process that says "in" and stays until its input ends; its end is waited for."""
        process = subprocess.Popen([*argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), 'in\n')
        return process

    @staticmethod
    def end(process):
        if not process.stdin.closed:
            process.communicate(timeout=10)

    def exec_session(self):
        return self.session('nsinit', 'exec', '--for', 'alice', '--', 'sh', '-c', 'echo in; read x')

    def login(self):
        return self.session('ssh', *SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', 'echo in; read x')

    @staticmethod
    def sessions():
        """Of alice's container, as `nsinit list` has them; None when it does not live."""
        return next((c['sessions'] for c in json.loads(nsinit('list', '--json').stdout) if c['user'] == 'alice'), None)


class Start(Case):
    def test_it_is_started_as_a_login_starts_it(self):
        """The same mounts, maps, confinement and process 1; what differs is who it is run as."""
        script = ('cat /proc/1/comm /proc/self/uid_map /proc/self/gid_map; hostname; cut -d" " -f5,6 /proc/self/mountinfo; '
                  'grep -E "CapBnd|Seccomp|NoNewPrivs|Groups" /proc/self/status; cat /etc/passwd')
        mine = exec_for('alice', 'sh', '-c', script)
        self.assertEqual((mine.returncode, mine.stderr), (0, ''))
        self.assertTrue(mine.stdout.startswith('nsinit-init\n'), mine.stdout)
        wait_nothing_left()
        theirs = ssh('alice', script)
        same = [[line for line in out.splitlines() if not line.startswith('Groups')] for out in (mine.stdout, theirs.stdout)]
        self.assertEqual(*same)
        self.assertIn('\n/home/alice ', mine.stdout)
        self.assertIn('Groups:\t \n', mine.stdout)
        log = host.log_text()
        self.assertRegex(log, r'pid=\d+ user=alice rootfs=/srv/nsinit/users/alice started')

    def test_root_inside_unless_said_otherwise(self):
        uid = run('id -u alice').stdout.strip()
        self.assertEqual(exec_for('alice', 'id').stdout, 'uid=0(root) gid=0(root)\n')
        for user, shown in (('alice', f'uid={uid}(alice)'), ('guest', 'uid=2000(guest)'), (uid, f'uid={uid}(alice)')):
            done = exec_for('alice', 'id', options=['-u', user])
            self.assertTrue(done.stdout.startswith(shown), done.stdout + done.stderr)
        self.assertIn("not in the container's /etc/passwd", exec_for('alice', 'id', options=['-u', 'bob']).stderr)

    def test_options_and_statuses(self):
        done = exec_for('alice', 'sh', '-c', 'pwd; echo $LETTERS $MORE', options=['-w', '/tmp', '-e', 'MORE=more'])
        self.assertEqual(done.stdout, '/tmp\na b$c more\n', done.stderr)
        for command, status in ((['sh', '-c', 'exit 42'], 42), (['no-such'], 127), (['/etc/passwd'], 126),
                                (['sh', '-c', 'kill -9 $$'], 137)):
            self.assertEqual(exec_for('alice', *command).returncode, status)

    def test_terminal(self):
        t = Terminal(['nsinit', 'exec', '--for', 'alice', '--', 'sh'])
        self.addCleanup(t.end)
        t.expect('# ')
        t.type('tty; exit 3\n')
        t.expect('/dev/pts/0\r\n')
        self.assertEqual(t.finish(), 3)

    def test_detached(self):
        done = exec_for('alice', 'sleep', '1000', options=['-d'])
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(self.sessions(), 1)
        os.kill(int(done.stdout), signal.SIGTERM)
        wait_nothing_left()
        done = exec_for('alice', 'no-such', options=['-d'])
        self.assertEqual((done.returncode, done.stdout), (127, ''))
        self.assertIn('no-such', done.stderr)

    def test_a_plain_root_directory_and_changes_in_memory(self):
        self.rule(root='ephemeral = true;')
        first = self.exec_session()
        self.assertEqual(exec_for('alice', 'sh', '-c', 'echo x >/tmp/x').returncode, 0)
        self.assertEqual(ssh('alice', 'cat /tmp/x').stdout, 'x\n')
        first.communicate('\n')
        wait_nothing_left()
        container('alice')
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/%u"; }}'])
        self.assertEqual(exec_for('alice', 'cat', '/proc/1/comm', options=['-u', 'alice']).stdout, 'nsinit-init\n')

    def test_the_rule_s_ceilings_hold(self):
        self.rule('limits: { capabilities = [ "KILL" ]; };')
        done = exec_for('alice', 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('which the policy does not allow', done.stderr)


class Sessions(Case):
    def test_its_end_ends_the_container(self):
        process = self.exec_session()
        self.assertEqual(self.sessions(), 1)
        process.communicate('\n')
        wait_nothing_left()

    def test_lifetime_of_the_rule(self):
        self.rule('lifetime = 60;')
        first = exec_for('alice', 'readlink', '/proc/self/ns/pid').stdout
        self.assertEqual(self.sessions(), 0)
        self.assertEqual(ssh('alice', 'readlink /proc/self/ns/pid').stdout, first)
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ALICE)}').stdout), signal.SIGTERM)

    def test_it_keeps_the_container_that_a_login_has_left(self):
        login = self.login()
        process = self.exec_session()
        self.assertEqual(self.sessions(), 2)
        login.communicate('\n')
        until(lambda: self.sessions() == 1, 'the end of the login')
        self.assertIsNone(process.poll())
        process.communicate('\n')
        self.assertEqual(process.returncode, 0)

    def test_a_login_keeps_the_container_that_it_has_left(self):
        process = self.exec_session()
        login = self.login()
        pid = host.wait_nspid(ALICE)
        process.communicate('\n')
        until(lambda: self.sessions() == 1, 'the end of the command')
        self.assertEqual(host.wait_nspid(ALICE), pid)
        login.communicate('\n')

    def test_kill_of_the_front_ends_the_command_and_the_session(self):
        self.rule('lifetime = 60;')
        process = self.exec_session()
        process.kill()
        process.communicate()
        until(lambda: self.sessions() == 0, 'the end of the session')
        self.assertNotIn('read x', run('ps -eo args').stdout)
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ALICE)}').stdout), signal.SIGTERM)

    def test_the_end_of_the_container_ends_the_command(self):
        process = self.exec_session()
        os.kill(int(run(f'ps -o ppid= -p {host.wait_nspid(ALICE)}').stdout), signal.SIGTERM)
        self.assertEqual(process.wait(10), 137)
        process.communicate()

    def test_max_sessions_is_for_logins(self):
        self.rule('max_sessions = 1;')
        self.login()
        self.assertEqual(exec_for('alice', 'true').returncode, 0)
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)

    def test_by_the_directory_of_a_live_one(self):
        self.assertIn('nsinit exec --for USER', self.by_directory_when_none_lives())
        self.exec_session()
        for user, shown in (('alice', 'alice\n'), ('guest', 'guest\n')):
            self.assertEqual(nsinit('exec', '-C', ALICE, '-u', user, 'whoami').stdout, shown)

    @staticmethod
    def by_directory_when_none_lives():
        exec_for('alice', 'true')
        wait_nothing_left()
        return exec_in(ALICE, 'true').stderr


class Refusal(Case):
    def refused(self, user, why, **kwargs):
        done = exec_for(user, 'echo', 'reached', **kwargs)
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn(why, done.stderr)

    def test_users_without_a_container(self):
        self.refused('root', 'the policy leaves this user on the host')
        self.refused('bob', 'the policy leaves this user on the host')
        self.refused('dave', 'the policy refuses this user')
        self.refused('nobody-of-this-name', 'no such user')

    def test_no_policy(self):
        os.unlink('/etc/nsinit/nsinit.conf')
        self.refused('alice', '/etc/nsinit/nsinit.conf: No such file')

    def test_by_an_ordinary_user(self):
        done = run(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', 'nsinit', 'exec', '--for', 'alice', 'id'],
                   check=False, stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn('run it as root', done.stderr)

    def test_together_with_a_directory(self):
        done = nsinit('exec', '--for', 'alice', '-C', ALICE, 'id')
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn('usage:', done.stderr)

    def test_another_user_s(self):
        """Of the same directory, by a policy that has changed while it lives."""
        root = container('alice')
        policy([f'{{ user = "alice"; rootfs = "{root}"; }}'])
        self.exec_session()
        policy([f'{{ user = "carol"; rootfs = "{root}"; }}'])
        self.refused('carol', "the running container is another user's")

    def test_one_that_is_not_confined_for_logins(self):
        root = container('alice')
        policy([f'{{ user = "alice"; rootfs = "{root}"; }}'])
        self.session('nsinit', 'exec', '-C', root, '--', 'sh', '-c', 'echo in; read x')
        self.refused('alice', 'in use by nsinit exec')


del Case
