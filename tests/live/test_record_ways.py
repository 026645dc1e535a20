"""Recordings of what comes in other ways than by sshd."""
import glob
import json
import os
import pwd
import re
import signal
import subprocess
import time

import host
from host import ROOTS, Terminal, nsinit, policy, run, ssh, until, wait_nothing_left
from recording import RECORDS, ROOT, RULE, Recorded, cast, keepers, metadata, shown


class Ways(Recorded):
    """The ways in that are not sshd's."""

    def test_su_at_a_terminal_is_refused(self):
        self.pam('su')
        t = Terminal(['su', 'alice', '-c', 'echo reached; id'])
        self.addCleanup(t.end)
        self.assertNotEqual(t.finish(), 0)
        self.assertIn('would have to be recorded', t.text)
        self.assertNotIn('uid=', t.text)
        until(lambda: re.search('reason=record user=alice refused: .*cannot be recorded', host.log_text()), 'the reason')
        self.assertIn('refused at a terminal', nsinit('explain', 'alice', '--service', 'su').stdout)
        found = json.loads(nsinit('explain', 'alice', '--service', 'su', '--json').stdout)['container']
        self.assertEqual((found['record'], found['record_dir'], found['service']['refused'], found['service']['refused_at_terminal']),
                         ('tty', RECORDS, None, True))
        found = json.loads(nsinit('explain', 'alice', '--json').stdout)['container']
        self.assertFalse(found['service']['refused_at_terminal'])
        # A pipe for input and output is not enough: the terminal still controls the process.
        t = Terminal(['sh', '-c', 'su alice -c "echo rea\'\'ched" </dev/null 2>&1 | cat'])
        self.addCleanup(t.end)
        t.finish()
        self.assertNotIn('reached', t.text)

    def pam(self, service):
        old = open(f'/etc/pam.d/{service}').read()
        self.addCleanup(host.write, f'/etc/pam.d/{service}', old)
        host.write(f'/etc/pam.d/{service}', 'auth sufficient pam_rootok.so\naccount required pam_permit.so\n'
                   'session required pam_nsinit.so\n')

    def test_su_without_a_terminal(self):
        self.pam('su')
        done = run(['setsid', 'su', 'alice', '-c', 'cat; hostname'], input='through\n')
        self.assertEqual(done.stdout, 'through\ninside\n')
        self.over()
        (record,) = metadata()
        self.assertEqual((record['service'], record['command']), ('su', ['su', 'alice', '-c', 'cat; hostname']))
        self.assertEqual(record['terminals'], [])
        self.assertIsNotNone(record['end'])

    def test_exec_for_a_user(self):
        t = Terminal(['nsinit', 'exec', '--for', 'alice', '-u', 'alice', '--', 'sh', '-c',
                      'stty size; id -un; read x; echo got-$x; seq 1 2000; exit 6'], rows=31, columns=99)
        self.addCleanup(t.end)
        t.expect('31 99\r\nalice\r\n')
        t.resize(35, 90)
        t.type('word\n')
        t.expect('got-word')
        self.assertEqual(t.finish(), 6)
        self.assertTrue(t.text.endswith('2000\r\n'), t.text[-40:])
        self.over()
        (record,) = metadata()
        self.assertEqual((record['service'], record['command'][:2]), ('nsinit exec', ['sh', '-c']))
        header, events = cast(self.one())
        self.assertEqual((header['width'], header['height']), (99, 31))
        self.assertIn('90x35', [e[2] for e in events if e[1] == 'r'])
        self.assertTrue(shown(self.one()).endswith('2000\r\n'))
        done = nsinit('exec', '--for', 'alice', '--', 'sh', '-c', 'exit 3')
        self.assertEqual(done.returncode, 3)
        self.over()
        self.assertEqual(sorted(len(r['terminals']) for r in metadata()), [0, 1])

    def test_the_end_of_the_recorder_ends_exec(self):
        t = Terminal(['nsinit', 'exec', '--for', 'alice', '--', 'sh', '-c', 'trap "" HUP; echo up; sleep 30; echo late'])
        self.addCleanup(t.end)
        t.expect('up')
        (keeper,) = keepers()
        os.kill(keeper, signal.SIGKILL)
        self.over()
        time.sleep(0.3)
        t.drain()
        self.assertNotIn('late', t.text)

    def broker(self):
        broker = subprocess.Popen(['nsinitd'])
        self.addCleanup(broker.wait)
        self.addCleanup(broker.terminate)
        host.wait_nsinitd()

    def test_nsinit_shell(self):
        run(['usermod', '-s', '/usr/bin/nsinit-shell', 'alice'])
        self.addCleanup(run, ['usermod', '-s', '/bin/sh', 'alice'])
        self.broker()
        t = Terminal(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', '--reset-env',
                      'nsinit-shell', '-c', 'stty size; read x; echo got-$x-$(hostname); tty; seq 1 2000; exit 5'],
                     rows=28, columns=77)
        self.addCleanup(t.end)
        t.expect('28 77')
        t.type('word\n')
        t.expect('got-word-inside\r\n/dev/pts/')
        self.assertEqual(t.finish(), 5)
        self.assertTrue(t.text.endswith('2000\r\n'), t.text[-40:])
        self.over()
        (record,) = metadata()
        self.assertEqual((record['service'], record['user'], len(record['terminals'])), ('nsinit-shell', 'alice', 1))
        self.assertIn('got-word-inside', shown(self.one()))

    def shell_of_alice(self, command):
        run(['usermod', '-s', '/usr/bin/nsinit-shell', 'alice'])
        self.addCleanup(run, ['usermod', '-s', '/bin/sh', 'alice'])
        t = Terminal(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', '--reset-env', 'nsinit-shell', '-c', command])
        self.addCleanup(t.end)
        return t

    def test_no_way_in_beside_a_session_of_an_unrecorded_time(self):
        policy(['{ user = "alice"; rootfs = "%s"; }' % ROOT, '{ user = "bob"; rootfs = "%s"; record = "tty"; }' % f'{ROOTS}/bob'])
        old = self.terminal('echo up; read x')
        old.expect('up')
        # It has just been decided that alice is not recorded.
        t = self.shell_of_alice('echo beside')
        self.assertEqual(t.finish(), 0)
        self.assertIn('beside', t.text)
        policy([RULE % (ROOT, '')])
        t = self.shell_of_alice('echo reached; id')
        self.assertNotEqual(t.finish(), 0)
        self.assertNotIn('uid=', t.text)
        self.assertEqual(glob.glob(f'{RECORDS}/*'), [])
        self.broker()
        t = self.shell_of_alice('echo by-$((1 + 1))')
        self.assertEqual(t.finish(), 0)
        self.assertIn('by-2', t.text)
        old.type('\n')
        old.finish()
        self.over()
        self.assertIn('by-2', shown(self.one()))

    def test_one_process_has_one_recorder(self):
        self.broker()
        script = ('import os, socket, time\nos.setresgid(%d, %d, %d); os.setresuid(%d, %d, %d)\nall = []\n'
                  'for i in range(5):\n    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect("/run/nsinit/doors/nsinitd")\n'
                  '    all.append(s); s.recv(200000)\nprint("asked", flush=True); input()')
        ids = pwd.getpwnam('alice')
        asker = subprocess.Popen(['python3', '-c', script % (*3 * [ids.pw_gid], *3 * [ids.pw_uid])],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(asker.communicate)
        self.addCleanup(asker.kill)
        self.assertEqual(asker.stdout.readline(), 'asked\n')
        self.assertEqual(len(keepers()), 1)
        self.assertEqual(host.log_text().count('has a recorded one already'), 4)

    def test_login(self):
        """PAM opens the session, but nobody comes in by the door of a supervisor, who does not record."""
        run(['usermod', '-s', '/usr/bin/nsinit-shell', 'alice'])
        self.addCleanup(run, ['usermod', '-s', '/bin/sh', 'alice'])
        self.pam('login')
        t = Terminal(['login', '-f', 'alice'])
        self.addCleanup(t.end)
        t.finish()
        self.assertNotIn('$ ', t.text)
        until(lambda: 'no PAM session is open and nsinitd does not run' in host.log_text(), 'the reason')
        wait_nothing_left()
        self.broker()
        t = Terminal(['login', '-f', 'alice'])
        self.addCleanup(t.end)
        t.expect(r'\$ ')
        t.type('echo on-$(tty)\n')
        t.expect('on-/dev/pts/')
        t.type('exit\n')
        t.finish()
        self.over()
        self.assertIn('on-/dev/pts/', shown(self.one()))
        wait_nothing_left()
        # The session of PAM is one, the shell's another.
        policy([RULE % (ROOT, 'max_sessions = 1;')])
        t = Terminal(['login', '-f', 'alice'])
        self.addCleanup(t.end)
        t.finish()
        self.assertIn('too many sessions', t.text)

    def test_a_live_container_of_an_unrecorded_time(self):
        policy(['{ user = "alice"; rootfs = "%s"; lifetime = "forever"; }' % ROOT])
        self.addCleanup(nsinit, 'kill', '-C', ROOT)
        self.assertEqual(ssh('alice', 'echo before', options=['-tt']).stdout, 'before\n')
        self.assertEqual(glob.glob(f'{RECORDS}/*'), [])
        policy([RULE % (ROOT, '')])
        self.assertEqual(ssh('alice', 'echo after', options=['-tt']).stdout, 'after\n')
        self.over()
        self.assertEqual(shown(self.one()), 'after\r\n')
