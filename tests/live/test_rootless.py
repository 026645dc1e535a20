"""nsinit exec by an ordinary user: no root, nothing set-uid of ours."""
import json
import os
import shutil
import signal
import subprocess
import unittest

import host
from host import SPEC, Terminal, container, run, until

HOME = '/home/bob'
BOX = f'{HOME}/box'
AS_BOB = ['setpriv', '--reuid', 'bob', '--regid', 'bob', '--init-groups', 'env', f'HOME={HOME}']
HELPERS = ('/usr/bin/newuidmap', '/usr/bin/newgidmap')


class Box(unittest.TestCase):
    """A root directory of bob's own."""

    def setUp(self):
        shutil.rmtree(BOX, ignore_errors=True)
        made = container('rootless', SPEC)
        run(['cp', '-a', made, BOX])
        run(['chown', '-R', 'bob:', BOX])
        shutil.rmtree(made)
        self.addCleanup(self.nothing_left)

    @staticmethod
    def run_dir():
        uid = run('id -u bob').stdout.strip()
        return f'/tmp/.nsinit-{uid}'

    def nothing_left(self):
        until(lambda: not host.supervisors(), 'the end of every process')
        if os.path.isdir(self.run_dir()):
            self.assertLessEqual(set(os.listdir(self.run_dir())), {'filters'})
        self.assertFalse(os.path.exists(f'{BOX}/.nspid'))

    def hold(self, script='sleep 1000', options=()):
        """A container that says "in" and lives until the test ends."""
        front = subprocess.Popen([*AS_BOB, 'nsinit', 'exec', '-C', BOX, *options, '--', 'sh', '-c', f'echo in; {script}'],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, front)
        self.assertEqual(front.stdout.readline(), 'in\n')
        return front

    @staticmethod
    def end(front):
        if front.poll() is None:
            os.kill(host.wait_nspid(BOX), signal.SIGKILL)
        front.communicate(timeout=10)

    def exec(self, *command, **kwargs):
        kwargs.setdefault('stdin', subprocess.DEVNULL)
        return run([*AS_BOB, 'nsinit', 'exec', '-C', BOX, *command], check=False, **kwargs)

    def without_helpers(self):
        for helper in HELPERS:
            os.rename(helper, f'{helper}.away')
            self.addCleanup(os.rename, f'{helper}.away', helper)


class Rootless(Box):
    def test_spawn(self):
        done = self.exec('--', 'sh', '-c', 'id -u; hostname; cat /proc/1/comm; pwd; cat /proc/self/uid_map; ls -ln /etc/passwd; '
                                           'grep CapBnd /proc/self/status; ip -o link | wc -l')
        lines = done.stdout.split('\n')
        self.assertEqual(lines[:4], ['0', 'inside', 'sh', '/'], done.stderr)
        uid = int(run('id -u bob').stdout)
        self.assertEqual(lines[4].split(), ['0', str(uid), '1'])
        self.assertEqual(lines[5].split()[0], '1')  # and the subordinate ones
        self.assertRegex(lines[6], r'\S+ +1 +0 +0 ')
        self.assertEqual(lines[7], 'CapBnd:\t00000000a80425fb')
        self.assertEqual(lines[8], '1')  # loopback alone
        self.assertEqual(os.stat(f'{BOX}/etc/passwd').st_uid, uid)

    def test_one_id_where_there_are_no_subordinate_ones(self):
        self.without_helpers()
        done = self.exec('--', 'sh', '-c', 'id -u; cat /proc/self/uid_map /proc/self/setgroups; touch /made')
        self.assertEqual(done.stdout.split(), ['0', '0', run('id -u bob').stdout.strip(), '1', 'deny'], done.stderr)
        self.assertEqual(os.stat(f'{BOX}/made').st_uid, int(run('id -u bob').stdout))
        done = self.exec('-u', '7', '--', 'id')
        self.assertEqual(done.returncode, 125)
        self.assertIn('not mapped in the user namespace', done.stderr)

    def test_exit_status(self):
        for command, status in (('exit 0', 0), ('exit 42', 42), ('no-such-thing', 127)):
            self.assertEqual(self.exec('--', 'sh', '-c', command).returncode, status)
        self.assertEqual(self.exec('--', '/no/such').returncode, 127)
        self.assertEqual(self.exec('--', '/etc/passwd').returncode, 126)

    def test_join(self):
        front = subprocess.Popen([*AS_BOB, 'nsinit', 'exec', '-C', BOX, '--', 'sh', '-c', 'echo up; sleep 4441'],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(front.wait)
        self.addCleanup(front.kill)
        self.assertEqual(front.stdout.readline(), 'up\n')
        done = self.exec('--', 'sh', '-c', 'for n in mnt pid ipc uts net user; do [ $(readlink /proc/1/ns/$n) = '
                                           '$(readlink /proc/self/ns/$n) ] && echo same; done; '
                                           'grep CapBnd /proc/self/status; id -u')
        self.assertEqual(done.stdout, 'same\n' * 6 + 'CapBnd:\t00000000a80425fb\n0\n', done.stderr)
        # Another user cannot come in.
        other = run(['setpriv', '--reuid', 'dave', '--regid', 'dave', '--init-groups', 'nsinit', 'exec', '-C', BOX, '--', 'id'],
                    check=False, stdin=subprocess.DEVNULL)
        self.assertEqual((other.returncode, other.stdout), (125, ''))
        os.kill(front.pid, signal.SIGKILL)
        until(lambda: not host.supervisors() and 'sleep 4441' not in run('ps -eo args').stdout, 'the end')
        self.assertEqual(self.exec('--', 'hostname').stdout, 'inside\n')  # the next start sweeps

    def test_terminal(self):
        t = Terminal([*AS_BOB, 'nsinit', 'exec', '-C', BOX, '--', 'sh'])
        self.addCleanup(t.end)
        t.expect('# ')
        t.type('tty; stty size; exit 3\n')
        t.expect('/dev/pts/0\r\n24 80\r\n')
        self.assertEqual(t.finish(), 3)

    def with_spec(self, *command, **keys):
        host.write(f'{BOX}/container.json', json.dumps(dict(SPEC, **keys)))
        return self.exec('--', *command)

    def test_what_needs_root_is_refused(self):
        for keys, why in (({'network': {'ip': '10.1.1.2/24', 'bridge': 'br0'}}, 'without root there is no bridge'),
                          ({'mounts': [{'type': 'bind', 'source': HOME, 'target': '/mnt'}]}, 'mounting directories of the host needs root'),
                          ({'namespaces': SPEC['namespaces'] + ['NEWUSER'],
                            'uid_mappings': [{'container_id': 0, 'host_id': 1, 'size': 10}],
                            'gid_mappings': [{'container_id': 0, 'host_id': 1, 'size': 10}]}, 'has the ids of subuid'),
                          ({'resources': {'memory': {'max': '64M'}}}, 'limiting memory.max'),
                          ({'oom_score_adj': -500}, 'to lower it needs CAP_SYS_RESOURCE')):
            done = self.with_spec('id', **keys)
            self.assertEqual((done.returncode, done.stdout), (125, ''), keys)
            self.assertIn(why, done.stderr)

    def test_what_does_not_need_it(self):
        for keys, command, shown in (
                ({'sysctl': {'net.ipv4.ip_forward': '1'}}, ['cat', '/proc/sys/net/ipv4/ip_forward'], '1\n'),
                ({'rlimits': [{'type': 'NOFILE', 'soft': 200, 'hard': 200}]}, ['sh', '-c', 'ulimit -n'], '200\n'),
                ({'timezone': 'Europe/Berlin'}, ['sh', '-c', 'date -d 2026-07-01 +%Z'], 'CEST\n'),
                ({'user': 'guest'}, ['id'], 'uid=2000(guest) gid=2000(guest)\n'),
                ({'mounts': [{'type': 'tmpfs', 'target': '/mnt', 'size': '1m'}]}, ['sh', '-c', 'df -k /mnt | tail -n 1 | tr -s " " | cut -d" " -f2'], '1024\n'),
                ({'devices': ['/dev/kmsg']}, ['sh', '-c', '[ -c /dev/kmsg ] && echo there'], 'there\n'),
                ({'capabilities': {'keep': ['KILL']}}, ['grep', 'CapEff', '/proc/self/status'], 'CapEff:\t0000000000000020\n')):
            done = self.with_spec(*command, **keys)
            self.assertEqual((done.returncode, done.stdout), (0, shown), (keys, done.stderr))

    def test_oom_score(self):
        self.assertEqual(self.with_spec('cat', '/proc/self/oom_score_adj', oom_score_adj=500).stdout, '500\n')
        self.hold()
        self.assertEqual(self.exec('--', 'cat', '/proc/self/oom_score_adj').stdout, '500\n')

    def test_names_of_a_live_one(self):
        self.hold(options=['-u', 'guest'])
        for user in ('guest', 'root'):
            done = self.exec('-u', user, '--', 'whoami')
            self.assertEqual(done.stdout, f'{user}\n', done.stderr)

    def test_check_tells_what_it_would_be(self):
        def check(**keys):
            host.write(f'{BOX}/container.json', json.dumps(dict(SPEC, **keys)))
            done = run([*AS_BOB, 'nsinit', 'check', '--json', BOX], check=False)
            return json.loads(done.stdout)
        found = check()
        self.assertEqual(found['container']['namespaces']['NEWUSER'], 'own')
        codes = [w['code'] for w in found['warnings']]
        self.assertNotIn('needs-root', codes)
        self.assertNotIn('no-user-namespace', codes)
        found = check(network={'ip': '10.1.1.2/24', 'bridge': 'br0'})
        self.assertIn('without root there is no bridge', [w['message'] for w in found['warnings'] if w['code'] == 'needs-root'][0])
        self.assertEqual(check(network={'type': 'pasta'})['container']['network']['type'], 'pasta')

