"""Recorded sessions: what is in the recordings, and that a session does not go on without."""
import datetime
import glob
import json
import os
import re
import signal
import subprocess
import time
import unittest

import host
from host import KEY, PORT, ROOTS, SSH_OPTIONS, Terminal, container, nsinit, policy, run, ssh, until, wait_nothing_left

ROOT = f'{ROOTS}/alice'
RECORDS = '/var/log/nsinit/records'
RULE = '{ user = "alice"; rootfs = "%s"; record = "tty"; %s }'


def metadata(user='alice'):
    found = []
    for path in sorted(glob.glob(f'{RECORDS}/{user}/*.json')):
        with open(path) as f:
            found.append(json.load(f))
    return found


def cast(path):
    """The header and the events of a recording; every line has to be what it should."""
    with open(path, newline='\n', encoding='utf-8') as f:
        lines = f.read().split('\n')
    assert lines.pop() == '', 'the last line has no end'
    header, *events = [json.loads(line) for line in lines]
    times = [e[0] for e in events]
    assert times == sorted(times), 'time goes backwards'
    return header, events


def shown(path):
    return ''.join(data for _, kind, data in cast(path)[1] if kind == 'o')


def recorders(verb='record'):
    """Pids of the keepers and of the processes of terminals: those whose parent is one, too."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline') as f:
                if f.read().split('\0')[1:2] == [verb]:
                    with open(f'/proc/{pid}/stat') as s:
                        found[int(pid)] = int(s.read().rpartition(')')[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def keepers():
    found = recorders()
    return [pid for pid, parent in found.items() if parent not in found]


class Case(unittest.TestCase):
    options = ''

    def setUp(self):
        run(['rm', '-rf', '/var/log/nsinit'])
        container('alice', full=True)
        policy([RULE % (ROOT, self.options)])
        self.addCleanup(wait_nothing_left)

    def terminal(self, *command, user='alice', options=(), rows=24, columns=80):
        t = Terminal(['ssh', *SSH_OPTIONS, '-tt', '-p', str(PORT), *options, f'{user}@127.0.0.1', *command],
                     rows=rows, columns=columns)
        self.addCleanup(t.end)
        return t

    def one(self, name='*.cast', user='alice'):
        """The one recording there is."""
        found = until(lambda: glob.glob(f'{RECORDS}/{user}/{name}'), f'a file {name}')
        self.assertEqual(len(found), 1, found)
        return found[0]

    def over(self):
        until(lambda: not recorders(), 'the end of the recorders')
        until(lambda: not any(s['live'] for s in json.loads(nsinit('records', '--json').stdout)), 'the end of their locks')


class Login(Case):
    def test_a_login_is_recorded(self):
        t = self.terminal(rows=33, columns=101)
        t.type('echo one-$((20 + 3)); stty size; tty; echo $SSH_TTY\n')
        t.expect(r'one-23\r\n33 101\r\n(/dev/pts/\d+)\r\n(/dev/pts/\d+)\r\n')
        path = self.one()
        self.assertIn('one-23', shown(path))  # before the end
        t.resize(40, 120)
        t.type('sleep 0.2; stty size; exit 7\n')
        t.expect('40 120')
        self.assertEqual(t.finish(), 7)
        self.over()
        header, events = cast(path)
        self.assertEqual((header['version'], header['width'], header['height']), (2, 101, 33))
        self.assertLess(abs(header['timestamp'] - time.time()), 60)
        self.assertIn([e[1:] for e in events if e[1] == 'r'], [[['r', '120x40']]])
        self.assertFalse([e for e in events if e[1] == 'i'])
        text = shown(path)
        for wanted in ('one-23', '33 101', '40 120'):
            self.assertIn(wanted, text)
        for directory in ('', '/records', '/records/alice'):
            st = os.stat(f'/var/log/nsinit{directory}')
            self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o7777), (0, 0, 0o700))
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_mode & 0o7777), (0, 0o600))
        (record,) = metadata()
        self.assertEqual((record['user'], record['service'], record['from'], record['rule']),
                         ('alice', 'sshd', '127.0.0.1', 5))
        self.assertEqual(record['terminals'][0]['file'], os.path.basename(path))
        self.assertIsNone(record['terminals'][0]['lost'])
        self.assertGreater(record['terminals'][0]['output_bytes'], len('one-23'))
        start, end = (datetime.datetime.fromisoformat(record[k].replace('Z', '+00:00')) for k in ('start', 'end'))
        self.assertLessEqual(start, end)
        self.assertTrue(re.search(f'session={record["session"]} ', host.log_text()))

    def test_it_has_the_terminal_s_own_name(self):
        t = self.terminal('tty; echo $SSH_TTY; ls -l $(tty) | cut -c1-30; id -un')
        found = t.expect(r'(/dev/pts/\d+)\r\n(/dev/pts/\d+)\r\ncrw--w----\s+1 alice')
        self.assertEqual(found[1], found[2])
        self.assertEqual(t.finish(), 0)

    def test_a_command_without_a_terminal_leaves_its_fact(self):
        done = ssh('alice', 'tty; cat; exit 3', input='through\n')
        self.assertEqual((done.returncode, done.stdout), (3, 'not a tty\nthrough\n'))
        self.over()
        (record,) = metadata()
        self.assertEqual((record['terminals'], record['command']), ([], None))
        self.assertIsNotNone(record['end'])
        self.assertEqual(glob.glob(f'{RECORDS}/alice/*.cast'), [])



    def test_much_output_is_whole_and_in_order(self):
        run(['sh', '-c', f'seq 1 1200000 >{ROOT}/numbers'])
        size = os.path.getsize(f'{ROOT}/numbers')
        self.assertGreater(size, 8 << 20)
        done = ssh('alice', 'cat /numbers', options=['-tt'], timeout=240)
        self.assertEqual(done.returncode, 0)
        with open(f'{ROOT}/numbers') as f:
            wanted = f.read()
        # What ssh has passed on is text with the line ends of a terminal.
        self.assertTrue(done.stdout.replace('\r\n', '\n') == wanted, 'the client has got something else')
        self.over()
        self.assertTrue(shown(self.one()).replace('\r\n', '\n') == wanted, 'the recording has something else')

    def test_no_end_of_output_is_lost(self):
        for i in range(20):
            done = ssh('alice', f'seq 1 3000; echo last-{i}; exit 9', options=['-tt'])
            self.assertEqual(done.returncode, 9)
            self.assertTrue(done.stdout.endswith(f'2999\n3000\nlast-{i}\n'), done.stdout[-80:])
        self.over()
        self.assertEqual(len(glob.glob(f'{RECORDS}/alice/*.cast')), 20)
        for path in glob.glob(f'{RECORDS}/alice/*.cast'):
            self.assertRegex(shown(path), r'3000\r\nlast-\d+\r\n$')

    def test_what_is_not_echoed_is_not_recorded(self):
        t = self.terminal('bash', '-c', "'read -rsp Password: secret; echo; echo got ${#secret}'")
        t.expect('Password:')
        t.type('hunter-two\n')
        t.expect('got 10')
        self.assertEqual(t.finish(), 0)
        self.over()
        with open(self.one()) as f:
            text = f.read()
        self.assertIn('got 10', text)
        self.assertNotIn('hunter', text)

    def test_jobs_and_keys(self):
        t = self.terminal('bash', '--norc', '-i')
        t.type('PS1=\'ready> \'\n')
        t.expect('ready> $')
        t.type('sleep 100\n')
        time.sleep(0.5)
        t.type('\x1a')
        t.expect('Stopped')
        t.type('fg\n')
        t.expect('sleep 100')
        time.sleep(0.3)
        t.type('\x03')
        t.expect('ready> $')
        t.type('echo caught-$?; kill -KILL $$\n')
        t.expect('caught-130')
        self.assertEqual(t.finish(), 255)  # as without a recording: it was a signal
        self.over()
        self.assertIn('caught-130', shown(self.one()))

    def test_several_terminals_of_one_connection(self):
        control = '/root/control'
        self.addCleanup(lambda: os.path.exists(control) and os.unlink(control))
        options = ['-o', f'ControlPath={control}']
        master = self.terminal('echo first-$SSH_TTY; read x; tty', options=[*options, '-M'])
        master.expect('first-/dev/pts/')
        others = [self.terminal(f'echo other-{i}-$(tty); read x; echo end-{i}', options=options) for i in range(4)]
        names = {t.expect(rf'other-{i}-(/dev/pts/\d+)\r')[1] for i, t in enumerate(others)}
        self.assertEqual(len(names), 4)
        for i, t in enumerate(others):
            t.type('\n')
            t.expect(f'end-{i}')
            self.assertEqual(t.finish(), 0)
        again = self.terminal('echo again-$((40 + 2))', options=options)
        again.expect('again-42')
        self.assertEqual(again.finish(), 0)
        master.type('\n')
        self.assertEqual(master.finish(), 0)
        self.over()
        (record,) = metadata()
        self.assertEqual(sorted(t['number'] for t in record['terminals']), [1, 2, 3, 4, 5, 6])
        texts = [shown(path) for path in sorted(glob.glob(f'{RECORDS}/alice/*.cast'))]
        self.assertEqual(len(texts), 6)
        for i in range(4):
            (text,) = [t for t in texts if f'other-{i}-' in t]
            self.assertIn(f'end-{i}', text)

    def test_the_files_of_a_transfer_do_not_pass_by(self):
        done = ssh('alice', 'head -c 3000000 /dev/zero | tr "\\0" x', timeout=120)
        self.assertEqual(len(done.stdout), 3000000)
        self.over()
        (record,) = metadata()
        self.assertEqual(record['terminals'], [])

    def test_bytes_that_are_no_text(self):
        done = ssh('alice', r"printf 'a\377b\303\244\033[1m\000c\302'", options=['-tt'], text=False)
        self.assertEqual(done.stdout, b'a\xffb\xc3\xa4\x1b[1m\x00c\xc2')
        self.over()
        self.assertEqual(shown(self.one()), 'a\ufffdb\u00e4\x1b[1m\x00c\ufffd')


class Hostile(Case):
    """From inside nobody sees, stops or writes it; and nothing goes on without."""

    def test_the_end_of_the_recorder_is_that_of_the_terminal(self):
        for which in ('keeper', 'process'):
            t = self.terminal()
            t.type('trap "" HUP; echo ready-$((1 + 1)); while :; do sleep 0.1; echo still; done\n')
            t.expect('ready-2')
            found = recorders()
            self.assertEqual(len(found), 2)
            (keeper,) = keepers()
            os.kill(keeper if which == 'keeper' else next(p for p in found if p != keeper), signal.SIGKILL)
            self.assertNotEqual(t.finish(), 0)
            self.over()
            wait_nothing_left()
        self.assertEqual([r['end'] is None for r in metadata()].count(True), 1)
        self.assertIn('killed', nsinit('records', 'list').stdout)

    def test_no_new_terminal_without_a_recorder(self):
        control = '/root/control'
        self.addCleanup(lambda: os.path.exists(control) and os.unlink(control))
        options = ['-o', f'ControlPath={control}']
        # Without a terminal the connection lives on in sshd's monitor alone: its child is held by the recorder.
        master = self.terminal('echo up; read x', options=[*options, '-M'])
        master.expect('up')
        (keeper,) = keepers()
        os.kill(keeper, signal.SIGSTOP)
        second = self.terminal('echo second; id', options=options)
        time.sleep(1)
        self.assertNotIn('uid=', second.text)
        os.kill(keeper, signal.SIGKILL)
        self.assertNotEqual(master.finish(), 0)
        second.finish()
        self.assertNotIn('uid=', second.text)

    def test_root_inside_sees_and_reaches_nothing_of_it(self):
        t = self.terminal()
        t.type('echo up-$((1 + 1))\n')
        t.expect('up-2')
        (keeper,) = keepers()
        path = self.one()
        script = r'''
            echo processes $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -c 'nsinit [r]ecord')
            ls -l /proc/[0-9]*/fd 2>/dev/null | grep 'ptmx\|cast\|nsinit/records'
            ls -d /var/log/nsinit 2>/dev/null
            kill -0 KEEPER 2>/dev/null && echo signalled
            cat /proc/[0-9]*/mountinfo | grep -c 'nsinit/records'
            '''.replace('KEEPER', str(keeper))
        done = nsinit('exec', '-C', ROOT, '--', 'sh', '-c', script)
        self.assertEqual(done.stdout, 'processes 0\n0\n', done.stderr)
        t.type('exit\n')
        t.finish()
        self.over()
        self.assertIn('up-2', shown(path))

    def test_the_user_s_own_terminals_are_not_the_recorded_one(self):
        t = self.terminal('ls /dev/pts; for f in /dev/pts/[0-9]*; do (echo x >$f) 2>&1; done; echo end-$((1 + 1))')
        t.expect('end-2')
        # Those that are ready for the next terminals are root's, of the host, which nobody is inside.
        self.assertIn('denied', t.text + shown(self.one()))
        t.finish()

    def test_processes_that_stay_have_no_terminal(self):
        t = self.terminal('bash', '-c', '\'trap "" HUP; (while sleep 0.1; do echo late || exit; done) & echo left\'')
        t.expect('left')
        t.finish()
        self.over()


class Limits(Case):
    def full(self, size='256k'):
        """The directory of the recordings on a small disk."""
        os.makedirs('/var/log/nsinit/records', mode=0o700)
        os.chmod('/var/log/nsinit', 0o700)
        run(['mount', '-t', 'tmpfs', '-o', f'size={size},mode=0700', 'none', RECORDS])
        self.addCleanup(run, ['umount', '-l', RECORDS])

    def test_a_full_disk_keeps_nobody_out(self):
        self.full()
        run(f'head -c 300k /dev/zero >{RECORDS}/filler', check=False)
        done = ssh('alice', 'echo in; exit 4', options=['-tt'])
        self.assertEqual((done.returncode, done.stdout), (4, 'in\n'))
        until(lambda: re.search('reason=record user=alice session=.* goes on without a recording', host.log_text()), 'a word')

    def test_a_disk_that_becomes_full(self):
        self.full()
        done = ssh('alice', 'seq 1 100000; exit 4', options=['-tt'], timeout=60)
        self.assertEqual(done.returncode, 4)
        self.assertTrue(done.stdout.endswith('\n100000\n'))
        self.over()
        text = shown(self.one())
        self.assertTrue(text.startswith('1\r\n2\r\n'))
        self.assertLess(len(text), 256 << 10)
        (record,) = metadata()
        self.assertEqual(record['terminals'][0]['lost'], 'No space left on device')
        self.assertIn('cut', nsinit('records').stdout)

    def test_a_required_recording(self):
        policy([RULE % (ROOT, 'record_required = true;')])
        self.full()
        t = self.terminal('seq 1 1000000; echo beyond')
        self.assertNotEqual(t.finish(), 0)
        self.assertNotIn('beyond', t.text)
        self.over()
        until(lambda: 'the terminal is hung up' in host.log_text(), 'the reason')
        run(f'head -c 300k /dev/zero >{RECORDS}/filler', check=False)
        done = ssh('alice', 'echo in')
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn('in\n', done.stdout)
        self.assertIn('recorded, which is not possible here', done.stdout)

    def test_one_that_becomes_too_large(self):
        policy([RULE % (ROOT, 'record_size = "64K";')])
        done = ssh('alice', 'seq 1 100000; exit 4', options=['-tt'], timeout=60)
        self.assertEqual(done.returncode, 4)
        self.over()
        path = self.one()
        self.assertLessEqual(os.path.getsize(path), 64 << 10)
        self.assertEqual(cast(path)[1][-1][1:], ['m', 'record_size is reached: the rest is missing'])
        self.assertEqual(metadata()[0]['terminals'][0]['lost'], 'File too large')

    def test_input_if_it_is_wanted(self):
        policy([RULE % (ROOT, 'record_input = true;')])
        t = self.terminal('read -r x; echo got-$x')
        t.type('typed\n')
        t.expect('got-typed')
        t.finish()
        self.over()
        events = cast(self.one())[1]
        self.assertEqual(''.join(e[2] for e in events if e[1] == 'i'), 'typed\n')

    def test_a_directory_that_others_can_write(self):
        os.makedirs('/var/log/nsinit/records')
        os.chmod('/var/log/nsinit', 0o777)
        done = ssh('alice', 'echo in')
        self.assertNotIn('in\n', done.stdout)
        self.assertIn('[record-dir]', nsinit('check', '/etc/nsinit/nsinit.conf').stdout)


class Ways(Case):
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
        until(lambda: os.path.exists('/run/nsinit/doors/nsinitd'), 'nsinitd')

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


class Records(Case):
    def setUp(self):
        super().setUp()
        for i in range(3):
            self.assertEqual(ssh('alice', f'echo number-{i}', options=['-tt']).returncode, 0)
        self.over()
        self.sessions = json.loads(nsinit('records', 'list', '--json').stdout)

    def test_list_show_play(self):
        self.assertEqual(len(self.sessions), 3)
        self.assertEqual(json.loads(nsinit('records', '--json', 'bob').stdout), [])
        first = next(s for s in self.sessions if 'number-1' in shown(f'{RECORDS}/alice/{s["terminals"][0]["file"]}'))
        self.assertEqual((first['user'], first['live'], first['service']), ('alice', False, 'sshd'))
        self.assertRegex(nsinit('records').stdout, rf'(?m)^{first["session"]} .* whole +1 .* alice sshd from 127.0.0.1$')
        done = nsinit('records', 'show', first['session'])
        self.assertIn(first['terminals'][0]['file'], done.stdout)
        done = nsinit('records', 'play', '--speed', '0', first['session'][:12])
        self.assertEqual((done.returncode, done.stdout), (0, 'number-1\n'))
        self.assertEqual(nsinit('records', 'play', f'{first["session"]}.2').returncode, 125)
        self.assertEqual(nsinit('records', 'play', 'none').returncode, 125)
        self.assertEqual(nsinit('records', 'pla').stdout, nsinit('records', 'list', 'pla').stdout)

    def test_the_speed(self):
        first = self.sessions[0]
        path = f'{RECORDS}/alice/{first["terminals"][0]["file"]}'
        with open(path, 'w') as f:
            f.write('{"version": 2, "width": 80, "height": 24}\n[0.0, "o", "a"]\n[3.0, "o", "b"]\n[60.0, "o", "c"]\n')
        begin = time.monotonic()
        done = nsinit('records', 'play', '--speed', '4', '--idle', '4', first['session'])
        self.assertEqual(done.stdout, 'abc')
        self.assertTrue(1.7 <= time.monotonic() - begin < 5, time.monotonic() - begin)

    def test_prune(self):
        self.assertEqual(nsinit('records', 'prune').returncode, 125)
        policy([RULE % (ROOT, '')], extra='record_age = 10;')
        for path in glob.glob(f'{RECORDS}/alice/{self.names()[0]}*'):
            os.utime(path, (time.time() - 11 * 86400,) * 2)
        self.assertIn('1 session would be removed', nsinit('records', 'prune', '--dry-run').stdout)
        self.assertEqual(len(self.names()), 3)
        self.assertIn('1 session removed', nsinit('records', 'prune').stdout)
        self.assertEqual(len(self.names()), 2)
        self.assertEqual(len(glob.glob(f'{RECORDS}/alice/*')), 4)
        policy([RULE % (ROOT, '')], extra='record_total = "64K";')
        big, small = self.names()
        with open(f'{RECORDS}/alice/{big}.1.cast', 'a') as f:
            f.write('x' * (64 << 10))
        for path in glob.glob(f'{RECORDS}/alice/{big}*'):
            os.utime(path, (time.time() - 86400,) * 2)
        nsinit('records', 'prune')
        self.assertEqual(self.names(), [small])

    def names(self):
        return sorted(os.path.basename(p)[:-5] for p in glob.glob(f'{RECORDS}/alice/*.json'))

    def test_one_that_goes_on_is_left_alone(self):
        t = self.terminal()
        t.type('echo up-$((1 + 1))\n')
        t.expect('up-2')
        policy([RULE % (ROOT, '')], extra='record_age = 10;')
        for path in glob.glob(f'{RECORDS}/alice/*'):
            os.utime(path, (time.time() - 11 * 86400,) * 2)
        self.assertIn('3 sessions removed', nsinit('records', 'prune').stdout)
        self.assertEqual(len(self.names()), 1)
        self.assertIn(' live ', nsinit('records').stdout)
