"""nsinit exec by an ordinary user: no root, nothing set-uid of ours."""
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


class Rootless(unittest.TestCase):
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
        self.assertEqual(os.listdir(self.run_dir()), [])
        self.assertFalse(os.path.exists(f'{BOX}/.nspid'))

    def exec(self, *command, **kwargs):
        kwargs.setdefault('stdin', subprocess.DEVNULL)
        return run([*AS_BOB, 'nsinit', 'exec', '-C', BOX, *command], check=False, **kwargs)

    def without_helpers(self):
        for helper in HELPERS:
            os.rename(helper, f'{helper}.away')
            self.addCleanup(os.rename, f'{helper}.away', helper)

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

    def test_what_needs_root_is_refused(self):
        import json
        spec = dict(SPEC, network={'ip': '10.1.1.2/24', 'bridge': 'br0'})
        host.write(f'{BOX}/container.json', json.dumps(spec))
        done = self.exec('--', 'id')
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn('without root there is no bridge', done.stderr)
