"""nsinit logs: what a real log has of nsinit."""
import json
import os
import re
import socket
import subprocess
import unittest

import host
from host import ROOTS, container, nsinit, policy, run, ssh, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
LOG = '/var/log/auth.log'
SOCKET = '/run/rsyslog-test'
CONF = f'''
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{SOCKET}")
auth,authpriv.* action(type="omfile" file="{LOG}" template="%s" fileCreateMode="0640")
'''
# Said by somebody who wants to be taken for nsinit, or for a user of it; and what only looks like it.
NOISE = ['<86>Nov 24 10:00:00 sshd[77]: Accepted publickey for alice from 192.0.2.1', '<86>Nov 24 10:00:00 sudo: alice : x',
         '<86>Nov 24 10:00:01 other[7]: nsinit[1]: container=1-2 user=alice started',
         '<86>Nov 24 10:00:01 other[7]: x\nNov 24 10:00:01 throwaway nsinit[1]: container=1-2 user=alice forged',
         '<86>Nov 24 10:00:02 nsinit[5]: container=1-2 user=alicette rootfs=/srv/nsinit/alicette\033[31m started']


class Logs(unittest.TestCase):
    def setUp(self):
        container('alice')
        container('bob')
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ user = [ "alice", "bob" ]; rootfs = "{ROOTS}/%u"; }}', '{ user = "carol"; deny = "No."; }'])
        self.addCleanup(wait_nothing_left)
        self.log_from = len(host.log_text())
        for user in ('alice', 'bob', 'carol'):
            ssh(user, 'true')
        wait_nothing_left()
        until(lambda: host.log_text()[self.log_from:].count('ended:') == 2, 'both ends in the log')

    def keep(self, template='RSYSLOG_TraditionalFileFormat', more=()):
        """Have rsyslog write what came to the log meanwhile."""
        if os.path.exists(LOG):
            os.unlink(LOG)
        write('/tmp/rsyslog.conf', CONF % template)
        daemon = subprocess.Popen(['rsyslogd', '-n', '-f', '/tmp/rsyslog.conf', '-i', '/run/rsyslog-test.pid'])
        self.addCleanup(lambda: os.path.exists(LOG) and os.unlink(LOG))
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        until(lambda: os.path.exists(SOCKET), 'rsyslog')
        self.say(*re.split(r'(?<=.)(?=<\d+>[A-Z])', host.log_text()[self.log_from:].replace('\n', '')), *more)
        self.say('<86>Nov 24 11:00:00 last[1]: line')
        until(lambda: os.path.exists(LOG) and 'last[1]: line' in self.text(), 'the last line')

    @staticmethod
    def text():
        with open(LOG) as f:
            return f.read()

    @staticmethod
    def say(*lines):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(SOCKET)
            for line in lines:
                s.send(line.encode())

    def objects(self, *args):
        done = nsinit('logs', '--json', *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_both_formats_of_the_file(self):
        for template in ('RSYSLOG_TraditionalFileFormat', 'RSYSLOG_FileFormat'):
            self.keep(template, NOISE)
            done = nsinit('logs')
            self.assertEqual(done.returncode, 0)
            self.assertEqual(done.stderr, f'# tail --lines=+1 {LOG}, and of that what is of nsinit\n')
            lines = done.stdout.rstrip('\n').split('\n')
            self.assertEqual([line for line in lines if 'nsinit' not in line], [])
            self.assertRegex(done.stdout, r'nsinit\[\d+\]: container=\S+ pid=\d+ user=alice rootfs=/srv/nsinit/alice started')
            self.assertRegex(done.stdout, r'pam_nsinit\(sshd:session\): user=bob rule=\d+ rootfs=/srv/nsinit/bob '
                             r'container=[0-9a-f]+-[0-9a-f]+ session=\d+ session opened')
            self.assertRegex(done.stdout, r'reason=denied user=carol')
            for word in ('Accepted', 'other[7]', 'forged', '\033'):
                self.assertNotIn(word, done.stdout)
            self.assertIn('alicette#033[31m started', done.stdout)
            self.doCleanups_of_rsyslog()

    def doCleanups_of_rsyslog(self):
        """Another one can follow."""
        with open('/run/rsyslog-test.pid') as f:
            os.kill(int(f.read()), 15)
        until(lambda: not os.path.exists('/run/rsyslog-test.pid'), 'the end of rsyslog')
        os.path.exists(SOCKET) and os.unlink(SOCKET)

    def test_of_a_user_and_of_a_container(self):
        self.keep(more=NOISE)
        st = os.stat(ROOT)
        ident = f'{st.st_dev:x}-{st.st_ino:x}'
        found = self.objects('alice')
        self.assertEqual({e['user'] for e in found}, {'alice'})
        self.assertTrue({'nsinit', 'sshd'} & {e['program'] for e in found})
        opened, = [e for e in found if 'session opened' in e['message']]
        self.assertEqual({k: opened[k] for k in ('host', 'reason', 'container')},
                         {'host': 'throwaway', 'reason': None, 'container': ident})
        started, = [e for e in found if e['message'].endswith('started')]
        self.assertRegex(started['pid'], r'^\d+$')
        self.assertRegex(opened['time'], r'^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d$')
        denied, = self.objects('carol')
        self.assertEqual((denied['reason'], denied['user']), ('denied', 'carol'))
        found = self.objects('-C', ROOT)
        self.assertEqual({e['container'] for e in found}, {ident})
        self.assertTrue([e for e in found if e['message'].endswith('ended: no session is left')])
        self.assertEqual([e for e in found if 'bob' in e['message'] or 'carol' in e['message']], [])
        self.assertEqual(self.objects('dave'), [])

    def test_the_last_lines(self):
        self.keep()
        everything = nsinit('logs').stdout.split('\n')
        self.assertGreater(len(everything), 6)
        self.assertEqual(nsinit('logs', '-n', '3').stdout.split('\n'), everything[-4:])

    def test_follow(self):
        self.keep()
        process = subprocess.Popen(['nsinit', 'logs', '-f', 'alice'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        until(lambda: 'session opened' in process.stdout.readline(), 'what was there')
        self.say('<86>Nov 24 12:00:00 nsinit[1]: container=1-2 user=bob came later',
                 '<86>Nov 24 12:00:00 nsinit[1]: container=1-2 user=alice came later')
        while 'came later' not in (line := process.stdout.readline()):
            pass
        self.assertIn('user=alice came later', line)

    def test_errors(self):
        done = nsinit('logs')
        self.assertEqual(done.returncode, 125)
        self.assertIn(f'there is no journal, no {LOG} and no /var/log/secure', done.stderr)
        done = run(['setpriv', '--reuid', 'bob', '--regid', 'bob', '--clear-groups', '--', 'nsinit', 'logs'], check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn("the log is root's to read", done.stderr)
        for arguments in (['--nonsense'], ['a', 'b'], ['-C', ROOT, 'alice'], ['-n', '0'], ['-n', 'x']):
            done = nsinit('logs', *arguments)
            self.assertEqual(done.returncode, 125)
            self.assertIn('usage: nsinit logs', done.stderr)
