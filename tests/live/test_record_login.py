"""Recorded sessions of sshd: what is in the recordings."""
import datetime
import glob
import os
import re
import time

import host
from host import policy, run, ssh, until
from recording import RECORDS, ROOT, RULE, Recorded, cast, metadata, shown


class Login(Recorded):
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
            st = os.stat(f'/var/lib/nsinit{directory}')
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


class Names(Recorded):
    """A program's terminal is the one that SSH_TTY names."""

    def open(self, options):
        t = self.terminal('echo names $SSH_TTY $(tty) end; read x', options=options)
        found = t.expect(r'names (\S+) (\S+) end')
        self.assertEqual(found[1], found[2])
        return t

    def close(self, terminals):
        for t in terminals:
            t.type('\n')
            self.assertEqual(t.finish(), 0)

    def test_with_many_at_once_and_again(self):
        first = self.open(())
        options = self.multiplexer()  # another connection to the same container
        terminals = [self.open(options) for _ in range(15)]
        self.close(terminals[2:11][::-1])
        terminals = terminals[:2] + terminals[11:] + [self.open(options) for _ in range(6)]
        self.close([first, *terminals])
        self.doCleanups()
        self.over()
        self.assertEqual(sorted(len(r['terminals']) for r in metadata()), [1, 21])

    def test_others_have_no_terminal_of_that_name(self):
        policy([RULE % (ROOT, 'userns = "off";'), '{ user = "carol"; rootfs = "%s"; userns = "off"; }' % ROOT])
        options = self.multiplexer()
        carol = self.terminal('exec 3<>/dev/ptmx 4<>/dev/ptmx 5<>/dev/ptmx; echo taken; read x', user='carol')
        carol.expect('taken')
        terminals = [self.open(options) for _ in range(10)]
        done = ssh('alice', 'tty', options=[*options, '-tt'])
        self.assertEqual(done.stdout, 'not a tty\n')  # sshd could not allocate one
        until(lambda: re.search('number 1. is in use in the container', host.log_text()), 'the reason')
        carol.type('\n')
        carol.finish()
        self.close(terminals[:1])
        terminals = terminals[1:] + [self.open(options) for _ in range(4)]
        self.close(terminals)
