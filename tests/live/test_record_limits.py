"""Recordings that there is no room for."""
import glob
import json
import os
import re
import subprocess
import time

import host
from host import nsinit, policy, run, ssh, until
from recording import RECORDS, ROOT, RULE, Recorded, cast, metadata, shown


class Limits(Recorded):
    def full(self, size='256k'):
        """The directory of the recordings on a small disk."""
        os.makedirs('/var/lib/nsinit/records', mode=0o700)
        os.chmod('/var/lib/nsinit', 0o700)
        run(['mount', '-t', 'tmpfs', '-o', f'size={size},mode=0700', 'none', RECORDS])
        self.addCleanup(run, ['umount', '-l', RECORDS])

    def test_a_full_disk_keeps_nobody_out(self):
        self.full()
        run(f'head -c 300k /dev/zero >{RECORDS}/filler', check=False)
        done = ssh('alice', 'echo in; exit 4', options=['-tt'])
        self.assertEqual((done.returncode, done.stdout), (4, 'in\n'))
        until(lambda: re.search('reason=record user=alice .*session=.* goes on without a recording', host.log_text()), 'a word')

    def test_a_disk_that_becomes_full(self):
        """And has room again: the recording goes on, and says what it lacks."""
        self.full()
        t = self.terminal('seq 1 100000; read x; echo after-$x; read x; exit 4')
        t.expect('\n100000\r\n', seconds=60)
        path = self.one()
        self.assertLess(os.path.getsize(path), 256 << 10)
        (record,) = metadata()  # is whole, and there is room for what is known at the end
        until(lambda: re.search('reason=record user=alice .* terminal=1 the recording stops: No space left', host.log_text()), 'a word')
        run(['mount', '-o', 'remount,size=4m', RECORDS])
        time.sleep(1.1)
        t.type('room\n')
        t.expect('after-room')
        t.type('\n')
        self.assertEqual(t.finish(), 4)
        self.over()
        text = shown(path)
        self.assertTrue(text.startswith('1\r\n2\r\n'))
        self.assertNotIn('\n100000\r\n', text)
        self.assertIn('after-room', text)
        (marker,) = [e[2] for e in cast(path)[1] if e[1] == 'm']
        missing = int(re.fullmatch(r'no room: (\d+) bytes are missing', marker)[1])
        wanted = ''.join(f'{i}\r\n' for i in range(1, 100001))
        self.assertEqual(missing, len(wanted) - len(text.split('room')[0]))
        (record,) = metadata()
        self.assertEqual(record['terminals'][0]['lost'], 'No space left on device')
        self.assertIsNotNone(record['end'])
        self.assertIn('cut', nsinit('records').stdout)

    def test_the_rest_of_the_disk_is_the_host_s(self):
        self.full('40m')
        for least in (0.045, 0.022):  # of which small ones have the half
            done = ssh('alice', 'seq 1 100000000 | head -c 40m', options=['-tt'], stdout=subprocess.DEVNULL, capture_output=False, timeout=120)
            self.assertEqual(done.returncode, 0)
            self.over()
            st = os.statvfs(RECORDS)
            self.assertGreater(st.f_bavail / st.f_blocks, least)
        sizes = sorted(map(os.path.getsize, glob.glob(f'{RECORDS}/alice/*.cast')))
        self.assertTrue(500 << 10 < sizes[0] < 1100 << 10 and sizes[1] > 30 << 20, sizes)

    def test_all_terminals_of_a_session_have_one_size(self):
        policy([RULE % (ROOT, 'record_size = "128K";')])
        options = self.multiplexer()
        for _ in range(4):
            self.assertEqual(ssh('alice', 'seq 1 20000', options=[*options, '-tt']).returncode, 0)
        self.doCleanups()
        self.over()
        paths = glob.glob(f'{RECORDS}/alice/*.cast')
        self.assertEqual(len(paths), 4)
        self.assertLessEqual(sum(map(os.path.getsize, paths)), 130 << 10)

    def test_a_disk_that_was_full_at_the_login(self):
        """What is known of the session is written down as soon as that is possible."""
        self.full('40k')
        run(f'head -c 60k /dev/zero >{RECORDS}/filler', check=False)
        t = self.terminal('echo in; read x; echo on; read x')
        t.expect('in')
        self.assertEqual(metadata(), [])
        os.unlink(f'{RECORDS}/filler')
        time.sleep(1.1)
        t.type('\n')
        t.expect('on')
        # Its terminal is in no list of terminals yet, and is found all the same.
        (session,) = json.loads(nsinit('records', '--json').stdout)
        self.assertEqual((session['damaged'], session['live'], session['user'], len(session['terminals'])), (True, True, 'alice', 1))
        self.assertIn('on', nsinit('records', 'play', '--speed', '0', session['session']).stdout)
        t.type('\n')
        t.finish()
        self.over()
        (record,) = metadata()
        self.assertEqual((record['user'], record['terminals'][0]['lost']), ('alice', 'No space left on device'))

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
        os.makedirs('/var/lib/nsinit/records')
        os.chmod('/var/lib/nsinit', 0o777)
        done = ssh('alice', 'echo in')
        self.assertNotIn('in\n', done.stdout)
        self.assertIn('[record-dir]', nsinit('check', '/etc/nsinit/nsinit.conf').stdout)
