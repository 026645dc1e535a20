"""What the administrator sees of live containers, and does to them."""
import datetime
import json
import os
import re
import signal
import subprocess
import time
import unittest

import host
from host import (PORT, ROOTS, SPEC, SSH_OPTIONS, add_programs, container, nsinit, policy, run, ssh, until,
                  wait_nothing_left, wait_nspid)

ROOT = f'{ROOTS}/alice'
MOUNT = '/sys/fs/cgroup'
UNPRIVILEGED = ['setpriv', '--reuid', 'bob', '--regid', 'bob', '--clear-groups', '--']


def objects(*args, status=0):
    done = nsinit(*args, '--json')
    if done.returncode != status:
        raise AssertionError(f'{args}: {done.returncode}\n{done.stdout}\n{done.stderr}')
    return json.loads(done.stdout)


class Case(unittest.TestCase):
    spec = SPEC

    def setUp(self):
        container('alice', self.spec)
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; resources = "best-effort"; }}'])
        self.addCleanup(wait_nothing_left)

    def session(self, command='echo in; exec sleep 1000', options=()):
        """A login that stays."""
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), *options, 'alice@127.0.0.1', command],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline().strip(), 'in')
        return client

    def background(self, *command, root=ROOT):
        """nsinit exec -d. The pid that it prints."""
        done = run(['nsinit', 'exec', '-C', root, '-d', '--', *command])
        self.addCleanup(nsinit, 'kill', '-C', root)
        return int(done.stdout)


class Show(Case):
    def test_status_of_none(self):
        done = nsinit('status', '-C', ROOT)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, f'{ROOT}: not running\n', ''))
        self.assertEqual(objects('status', '-C', ROOT, status=3), {'state': 'none', 'rootfs': ROOT})
        done = nsinit('status', '-C', '/nowhere')
        self.assertEqual(done.returncode, 125)
        self.assertIn('opening the rootfs directory /nowhere: No such file', done.stderr)

    def test_status_of_a_login_container(self):
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = "alice"; rootfs = "{ROOT}"; lifetime = 60; max_age = 7200; max_sessions = 7; }}'])
        self.session()
        self.session()
        found = objects('status', '-C', ROOT)
        pid = wait_nspid(ROOT)
        parent = int(run(f'ps -o ppid= -p {pid}').stdout)
        self.assertEqual({k: found[k] for k in ('state', 'rootfs', 'user', 'pid1', 'supervisor', 'sessions',
                                                'max_sessions', 'ends', 'limits', 'session_limits',
                                                'limits_not_kept', 'cgroup')},
                         {'state': 'running', 'rootfs': ROOT, 'user': 'alice', 'pid1': pid, 'supervisor': parent,
                          'sessions': 2, 'max_sessions': 7, 'limits': {}, 'session_limits': {}, 'limits_not_kept': None,
                          'cgroup': None, 'ends': '60 s after the last session, at the latest at the age of 2h0m'})
        self.assertEqual(found['namespaces'], {'mount': 'own', 'pid': 'own', 'ipc': 'own', 'uts': 'own', 'network': 'own',
                                               'user': 'own', 'cgroup': 'host'})
        self.assertEqual(found['rule'], 6)
        self.assertTrue(found['memory'] > 0 and not found['memory_exact'])
        started = datetime.datetime.fromisoformat(found['since'].replace('Z', '+00:00'))
        self.assertTrue(-2 < time.time() - started.timestamp() - found['uptime'] < 3, found)
        shown = nsinit('status', '-C', ROOT).stdout
        nsinit('kill', '-C', ROOT)
        self.assertTrue(shown.startswith(f'{ROOT}: running\nid:          {found["id"]}\nuser:        alice\n'), shown)
        self.assertIn('\nsessions:    2 of at most 7\n', shown)
        self.assertIn('\nnamespaces:  mount pid ipc uts network user\nthe host\'s:  cgroup\n', shown)

    def test_status_of_a_command(self):
        pid = self.background('sleep', '1000')
        found = objects('status', '-C', ROOT)
        self.assertEqual((found['supervisor'], found['user'], found['ends'], found['sessions']),
                         (pid, None, 'with its command', 0))
        self.assertEqual(found['namespaces']['user'], 'host')

    def test_list(self):
        self.session()
        one, = objects('list')
        self.assertEqual((one['state'], one['user'], one['sessions'], one['rootfs'], one['memory_exact']),
                         ('running', 'alice', 1, ROOT, False))
        self.assertTrue(100_000 < one['memory'] < 500_000_000, one)
        lines = nsinit('list').stdout.split('\n')
        self.assertRegex(lines[0], r'^ID +PID +STATE +USER +AGE +SESSIONS +MEMORY +ROOTFS$')
        self.assertRegex(lines[1], rf'^{one["id"]} +{one["pid1"]} running alice +\d+s +1 +~\d+\.\d[KM] {ROOT}$')

    def test_sessions(self):
        self.assertEqual(objects('sessions'), [])
        self.session('echo in; exec sleep 1000', options=['-tt'])
        ssh('alice', 'true')  # one that has ended
        joined = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, '-T', '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)
        self.addCleanup(joined.wait)
        self.addCleanup(joined.kill)
        shell = subprocess.Popen(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--clear-groups', '--',
                                  'nsinit-shell', '-c', 'exec sleep 1000'], stdin=subprocess.DEVNULL)
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)
        found = until(lambda: (s := objects('sessions')) and len(s) == 3 and {o['way']: o for o in s}, 'three sessions')
        login = found['login']
        self.assertEqual({k: login[k] for k in ('rootfs', 'user', 'service', 'from')},
                         {'rootfs': ROOT, 'user': 'alice', 'service': 'sshd', 'from': '127.0.0.1'})
        self.assertEqual(login['container'], objects('list')[0]['id'])
        self.assertIn('sshd', run(f'ps -o args= -p {login["leader"]}').stdout)
        self.assertTrue(0 <= login['age'] < 30)
        self.assertRegex(login['since'], r'^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.assertEqual((found['exec']['user'], found['exec']['service'], found['exec']['leader'], found['exec']['from']),
                         ('root', 'nsinit exec', joined.pid, None))
        self.assertEqual((found['shell']['user'], found['shell']['service']), ('alice', 'nsinit-shell'))
        self.assertEqual(objects('sessions', '-C', ROOT), objects('sessions'))
        lines = nsinit('sessions').stdout.split('\n')
        self.assertRegex(lines[0], r'^USER +SERVICE +LEADER +SINCE +AGE +FROM +ROOTFS$')
        self.assertRegex('\n'.join(lines), rf'(?m)^alice +sshd +{login["leader"]} 20\S+ \S+ +\d+s 127\.0\.0\.1 +{ROOT}$')
        run(['su', 'alice', '-c', 'true'])

    def test_ps(self):
        full = container('alice', full=True)
        add_programs(full, ['/usr/bin/sleep'])
        run(['cp', f'{full}/usr/bin/sleep', f'{full}/tmp/) Z 1 1'])
        # A terminal would obey the first, a line-wise reader believe the second, a parser of stat stumble on the third.
        for name in (r'evil\033[31m', r'two\n    1        1 root', 'plain'):
            self.session(f'''echo in; exec bash -c "exec -a \\$'{name}' '/tmp/) Z 1 1' 1000"''')
        names = {'evil\033[31m 1000', 'two\n    1        1 root 1000', 'plain 1000'}
        found = until(lambda: (f := {p['command']: p for p in objects('ps', '-C', ROOT)}).keys() >= names and f, names)
        plain, first = found['plain 1000'], found['nsinit-init']
        self.assertEqual((first['inside'], first['inside_uid'], first['user'], first['tty']), (1, 0, None, None))
        self.assertEqual(first['pid'], wait_nspid(ROOT))
        self.assertEqual((plain['user'], plain['uid'], plain['inside_uid'], plain['state']), ('alice', 1001, 1001, 'S'))
        with open(f'/proc/{plain["pid"]}/status') as f:
            self.assertIn(f'NSpid:\t{plain["pid"]}\t{plain["inside"]}\n', f.read())
        shown = nsinit('ps', '-C', ROOT).stdout
        self.assertEqual(len(shown.split('\n')), len(found) + 2)
        self.assertRegex(shown, r'(?m)^ +\d+ +\d+ alice +S - +\S+ \S+ \S+ evil\?\[31m 1000$')
        self.assertRegex(shown, r'(?m)^ +\d+ +\d+ alice +S - +\S+ \S+ \S+ two\?    1        1 root 1000$')
        self.assertRegex(shown, rf'(?m)^ +{first["pid"]} +1 :0 ')
        self.assertNotIn('\033', shown)

    def test_ps_names_the_terminal_and_cuts_lines_on_one(self):
        self.session(f'echo in; exec sh -c "sleep 1000; : {"x" * 300}"', options=['-tt'])
        sleep = until(lambda: [p for p in objects('ps', '-C', ROOT) if p['command'].startswith('sh -c sleep')], 'it')[0]
        self.assertEqual(sleep['tty'], 'pts/0')
        self.assertTrue(sleep['command'].endswith('x' * 300))
        terminal = host.Terminal(['nsinit', 'ps', '-C', ROOT], columns=100)
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(max(len(line) for line in terminal.text.split('\r\n')), 100)

    def test_ps_of_all(self):
        self.session()
        other = container('other')
        self.background('sleep', '1000', root=other)
        found = objects('ps', '--all')
        self.assertEqual({p['rootfs'] for p in found}, {ROOT, other})
        self.assertRegex(nsinit('ps', '--all').stdout, rf'(?m)^{other}:\n +PID +INSIDE .*\n.* sleep 1000$')
        self.assertIn('usage: nsinit ps', nsinit('ps', '--all', '-C', ROOT).stderr)

    def test_ps_without_a_pid_namespace_goes_by_mounts(self):
        container('alice', {'namespaces': ['NEWNS']})
        self.background('sleep', '1234')
        self.assertEqual([p['command'] for p in objects('ps', '-C', ROOT)], ['sleep 1234'])

    def test_a_nested_pid_namespace_hides_nothing(self):
        # With SYS_ADMIN kept, root inside can make one.
        full = container('alice', {**SPEC, 'capabilities': {'keep': ['SYS_ADMIN']}, 'seccomp': 'off'}, full=True)
        add_programs(full, ['/usr/bin/unshare', '/usr/bin/sleep'])
        self.background('/usr/bin/unshare', '--pid', '--fork', '/usr/bin/sleep', '4321')
        found = until(lambda: [p for p in objects('ps', '-C', ROOT) if p['command'] == '/usr/bin/sleep 4321'], 'it')
        self.assertEqual(found[0]['inside'], 2)

    def test_who_is_not_root(self):
        self.session()
        for command, said in ((['list'], "what lives is root's to see"), (['ps', '--all'], "shows everybody's"),
                              (['sessions'], "shows everybody's")):
            done = run([*UNPRIVILEGED, 'nsinit', *command], check=False)
            self.assertEqual((done.returncode, done.stdout), (125, ''))
            self.assertIn(said, done.stderr)
            self.assertIn('run it as root', done.stderr)
        os.chmod(ROOTS, 0o755)  # or they could not even name it
        self.addCleanup(os.chmod, ROOTS, 0o700)
        for command in ('ps', 'sessions', 'kill', 'wait', 'pause', 'resume', 'stats'):
            done = run([*UNPRIVILEGED, 'nsinit', command, '-C', ROOT], check=False)
            self.assertEqual((done.returncode, done.stdout), (125, ''))
            self.assertIn('run it as root, if root has started it', done.stderr)
        done = run([*UNPRIVILEGED, 'nsinit', 'status', '-C', ROOT], check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn('as far as others than root can see', done.stdout)

    def test_usage(self):
        for command in ('list', 'status', 'sessions', 'ps', 'stats', 'kill', 'wait', 'pause', 'resume'):
            for arguments in (['--nonsense'], ['surplus'], ['-X'], ['-C']):
                done = nsinit(command, *arguments)
                self.assertEqual((done.returncode, done.stdout), (125, ''), (command, arguments))
                self.assertIn(f'usage: nsinit {command} ', done.stderr)


class End(Case):
    def test_kill(self):
        client = self.session()
        write_nspid(ROOT)
        same = {key: objects('status', '-C', ROOT)[key] for key in ('id', 'rootfs')}
        self.assertEqual(objects('kill', '-C', ROOT, '-s', 'CONT'), {**same, 'signal': signal.SIGCONT})
        self.assertEqual(nsinit('kill', '-C', ROOT).returncode, 0)
        self.assertNotEqual(client.wait(10), 0)
        done = until(lambda: (d := nsinit('kill', '-C', ROOT)).returncode == 125 and d, 'its end')
        self.assertIn('its container does not run', done.stderr)

    def test_kill_with_a_signal(self):
        container('alice', full=True)
        self.background('sh', '-c', 'trap "echo term >/tmp/got" TERM; trap "echo usr1 >/tmp/got" USR1; '
                                    'touch /tmp/ready; while :; do sleep 0.1; done')
        until(lambda: os.path.exists(f'{ROOT}/tmp/ready'), 'the traps')
        for name, word in (('TERM', 'term'), ('SIGUSR1', 'usr1'), ('15', 'term'), ('usr1', 'usr1')):
            self.assertEqual(nsinit('kill', '-s', name, '-C', ROOT).returncode, 0)
            until(lambda: os.path.exists(f'{ROOT}/tmp/got') and open(f'{ROOT}/tmp/got').read() == word + '\n', word)
        for name in ('NONSENSE', '0', '99', '-1', ''):
            done = nsinit('kill', '-s', name, '-C', ROOT)
            self.assertEqual(done.returncode, 125)
            self.assertIn('no signal has this name', done.stderr)
        self.assertEqual(nsinit('status', '-C', ROOT).returncode, 0)

    def wait(self, *options):
        process = subprocess.Popen(['nsinit', 'wait', '-C', ROOT, *options], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        return process

    def test_wait_has_the_command_s_status(self):
        for script, status in (('exit 7', 7), ('exit 0', 0), ('sleep 1000', 137)):
            self.background('sh', '-c', f'while ! [ -e /tmp/go ]; do sleep 0.05; done; rm /tmp/go; {script}')
            plain, json_too = self.wait(), self.wait('--json')
            open(f'{ROOT}/tmp/go', 'w').close()
            if status == 137:
                nsinit('kill', '-C', ROOT)
            self.assertEqual(plain.wait(10), status)
            self.assertEqual(json_too.wait(10), status)
            found = json.loads(json_too.stdout.read())
            self.assertEqual((found['rootfs'], found['status']), (ROOT, status))
            self.assertEqual(nsinit('status', '-C', ROOT).returncode, 3)  # all of it is gone by then

    def test_wait_for_a_login_container(self):
        client = self.session()
        waiting = self.wait('--json')
        self.assertEqual(objects('status', '-C', ROOT)['sessions'], 1)  # who waits is no session
        client.kill()
        self.assertEqual(waiting.wait(10), 0)
        self.assertIsNone(json.loads(waiting.stdout.read())['status'])

    def test_who_waits_does_not_keep_it(self):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOT}"; lifetime = 1; max_age = 3; }}'])
        self.session()
        start = time.monotonic()
        self.assertEqual(self.wait().wait(15), 0)
        self.assertTrue(2 < time.monotonic() - start < 10)

    def test_wait_when_the_supervisor_is_killed(self):
        pid = self.background('sleep', '1000')
        waiting = self.wait()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(waiting.wait(10), 0)
        nsinit('exec', '-C', ROOT, '--', 'true')  # sweeps what is left

    def test_wait_for_none(self):
        done = nsinit('wait', '-C', ROOT)
        self.assertEqual(done.returncode, 125)
        self.assertIn('its container does not run', done.stderr)


def write_nspid(root):
    """What root inside may do: name another process, the throw-away host's pid 1."""
    wait_nspid(root)
    os.unlink(f'{root}/.nspid')
    with open(f'{root}/.nspid', 'w') as f:
        f.write('1')


class Pause(Case):
    spec = {**SPEC, 'resources': {'pids': {'max': 50}}}

    def setUp(self):
        os.makedirs(MOUNT, exist_ok=True)
        run(['mount', '-t', 'cgroup2', 'none', MOUNT])
        self.addCleanup(run, ['umount', MOUNT])
        super().setUp()
        self.log_from = len(host.log_text())

    def count(self):
        with open(f'{ROOT}/tmp/count') as f:
            return len(f.read())

    def resumed(self):
        nsinit('resume', '-C', ROOT)

    def test_pause_and_resume(self):
        self.session('echo in; while :; do printf x >>/tmp/count; sleep 0.05; done')
        until(lambda: os.path.exists(f'{ROOT}/tmp/count') and self.count() > 2, 'work')
        self.addCleanup(self.resumed)
        done = nsinit('pause', '-C', ROOT)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))
        before = self.count()
        time.sleep(0.5)
        self.assertEqual(self.count(), before)
        self.assertEqual(objects('status', '-C', ROOT)['state'], 'paused')
        self.assertEqual(objects('list')[0]['state'], 'paused')
        self.assertIn(' paused ', nsinit('list').stdout)
        self.assertTrue(nsinit('status', '-C', ROOT).stdout.startswith(f'{ROOT}: paused\n'))
        self.assertEqual(nsinit('pause', '-C', ROOT).returncode, 0)  # once more changes nothing
        self.assertEqual(nsinit('resume', '-C', ROOT).returncode, 0)
        until(lambda: self.count() > before, 'work')
        self.assertEqual(objects('status', '-C', ROOT)['state'], 'running')
        self.assertEqual(nsinit('resume', '-C', ROOT).returncode, 0)
        same = {key: objects('status', '-C', ROOT)[key] for key in ('id', 'rootfs')}
        for command, paused in (('pause', True), ('resume', False)):
            self.assertEqual(objects(command, '-C', ROOT), {**same, 'paused': paused})

    def test_who_comes_while_it_is_paused_is_refused_at_once(self):
        self.session()
        self.addCleanup(self.resumed)
        nsinit('pause', '-C', ROOT)
        start = time.monotonic()
        refused = ssh('alice', 'hostname')
        self.assertNotEqual(refused.returncode, 0)
        self.assertNotIn('inside', refused.stdout)
        until(lambda: re.search(r'reason=paused user=alice refused: .*the container is paused; "nsinit resume" ends that',
                                host.log_text()[self.log_from:]), 'the reason in the log')
        done = nsinit('exec', '-C', ROOT, '--', 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('the container is paused', done.stderr)
        done = run(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--clear-groups', '--', 'nsinit-shell', '-c', 'true'],
                   check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('paused', done.stderr)
        self.assertLess(time.monotonic() - start, 8)
        nsinit('resume', '-C', ROOT)
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_a_paused_container_can_be_ended(self):
        client = self.session()
        nsinit('pause', '-C', ROOT)
        self.assertEqual(nsinit('kill', '-C', ROOT).returncode, 0)
        client.wait(10)
        until(lambda: nsinit('status', '-C', ROOT).returncode == 3, 'its end')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_a_paused_container_whose_supervisor_is_killed_is_swept(self):
        client = self.session()
        nsinit('pause', '-C', ROOT)
        os.kill(objects('status', '-C', ROOT)['supervisor'], signal.SIGKILL)
        start = time.monotonic()
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')
        self.assertLess(time.monotonic() - start, 5)
        client.wait(10)

    def test_the_end_of_the_last_session_ends_it_paused_or_not(self):
        client = self.session()
        nsinit('pause', '-C', ROOT)
        run(f'kill {objects("sessions")[0]["leader"]}')
        client.wait(10)
        until(lambda: nsinit('status', '-C', ROOT).returncode == 3, 'its end')

    def test_without_a_group_it_is_refused(self):
        container('alice', SPEC)
        self.session()
        for command in ('pause', 'resume'):
            done = nsinit(command, '-C', ROOT)
            self.assertEqual(done.returncode, 125)
            self.assertIn('it has no control group to be frozen with; give it "resources", or the rule "limits"', done.stderr)
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_limits_in_status(self):
        self.session()
        found = objects('status', '-C', ROOT)
        self.assertEqual((found['limits'], found['limits_not_kept']), ({'pids.max': '50'}, 'pids.max'))
        self.assertTrue(found['cgroup'].startswith(f'{MOUNT}/nsinit/'))
        self.assertIn('\nlimits:      pids.max=50\nnot kept:    pids.max, for lack of a controller\n',
                      nsinit('status', '-C', ROOT).stdout)

    def test_stats_again_and_again(self):
        client = self.session('echo in; while :; do :; done')
        watching = subprocess.Popen(['nsinit', 'stats', '-C', ROOT, '--watch=1', '--json'], stdout=subprocess.PIPE, text=True)
        self.addCleanup(watching.communicate)
        self.addCleanup(watching.kill)
        lines = subprocess.Popen(['nsinit', 'stats', '-C', ROOT, '--watch=1'], stdout=subprocess.PIPE, text=True)
        self.addCleanup(lines.communicate)
        self.addCleanup(lines.kill)
        text, decoder, found = '', json.JSONDecoder(), []
        while len(found) < 3:
            text += watching.stdout.readline()
            try:
                one, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                continue
            found.append(one)
            text = text[end:].lstrip()
        self.assertNotIn('cpu.percent', found[0])
        self.assertTrue(1 < found[2]['cpu.percent'] < 250, found)
        self.assertGreater(found[2]['cpu.usage_usec'], found[1]['cpu.usage_usec'])
        client.kill()
        self.assertEqual(watching.wait(15), 0)  # with the container
        self.assertEqual(lines.wait(15), 0)
        self.assertRegex(lines.stdout.read(), r'(?s)cpu\.usage_usec +\d+\n.*\n\n.*cpu\.percent +\d+\.\d\d\n')
        self.assertEqual(nsinit('stats', '--watch=0').returncode, 125)
