"""nsinit records: what it lists, shows, and removes."""
import glob
import json
import os
import time

from host import Terminal, nsinit, policy, ssh
from recording import RECORDS, ROOT, RULE, Recorded, shown


class Records(Recorded):
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

    def test_what_is_shown_does_nothing_to_who_looks(self):
        first = self.sessions[0]
        orders = ('\x1b]52;c;aGVyZQ==\x07', '\x1b]0;title\x1b\\', '\x1bP$qm\x1b\\', '\x9d0;title\x9c', '\x1b_x\x18', '\x1b]\x1b\x1b]x\x07')
        events = [part for order in orders for part in (order[:2], order[2:] + 'plain ')] + ['\x1b[1mbold\x1b[m \u00e4\u0100']
        with open(f'{RECORDS}/alice/{first["terminals"][0]["file"]}', 'w') as f:
            f.write('{"version": 2, "width": 80, "height": 24}\n')
            f.writelines(json.dumps([0.0, 'o', event]) + '\n' for event in events)
        play = ['records', 'play', '--speed', '0', first['session']]
        self.assertEqual(nsinit(*play).stdout, 'plain ' * len(orders) + events[-1])
        self.assertEqual(nsinit(*play, '--raw').stdout, ''.join(events))
        # What a terminal answers, and be it late, is not taken for what is typed.
        t = Terminal(['sh', '-c', f'nsinit {" ".join(play)}; read x; echo got-$x'])
        self.addCleanup(t.end)
        t.expect('\x1b\\[c')
        time.sleep(0.4)
        t.type('id\n')
        t.type('\x1b[?62c')
        time.sleep(0.1)
        t.type('late\n')
        time.sleep(0.5)
        t.type('mine\n')
        t.expect('got-mine')

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

    def test_prune_takes_from_who_has_most(self):
        """Neither by a large recording that goes on nor by many does a user have those of others removed."""
        names = self.names()
        os.rename(f'{RECORDS}/alice', f'{RECORDS}/zoe')
        for path in glob.glob(f'{RECORDS}/zoe/*'):
            os.utime(path, (time.time() - 86400,) * 2)
        policy([RULE % (ROOT, '')], extra='record_total = "64K";')
        t = self.terminal('seq 1 30000; read x; exit 3')
        t.expect('\n30000\r\n')
        self.assertGreater(os.path.getsize(glob.glob(f'{RECORDS}/alice/*.cast')[0]), 64 << 10)
        self.assertIn('0 sessions removed', nsinit('records', 'prune').stdout)
        t.type('\n')
        t.finish()
        self.over()
        self.assertIn('1 session removed', nsinit('records', 'prune').stdout)
        self.assertEqual((self.names(), self.names('zoe')), ([], names))

    def test_a_text_that_is_torn(self):
        """Its recordings are there all the same, and go with all others."""
        name = self.names()[1]
        path = f'{RECORDS}/alice/{name}.json'
        with open(path) as f:
            text = f.read()
        said = shown(f'{RECORDS}/alice/{name}.1.cast').replace('\r', '')
        for torn in (text[:100], None):
            os.unlink(path)
            if torn:
                open(path, 'w').write(torn)
            (found,) = [s for s in json.loads(nsinit('records', '--json').stdout) if s['damaged']]
            self.assertEqual((found['session'], found['live'], [t['number'] for t in found['terminals']]), (name[-16:], False, [1]))
            self.assertRegex(nsinit('records').stdout, rf'(?m)^{name[-16:]} - +damaged +1 .* alice')
            self.assertEqual(nsinit('records', 'play', '--speed', '0', name[-16:]).stdout, said)
        policy([RULE % (ROOT, '')], extra='record_age = 10;')
        for path in glob.glob(f'{RECORDS}/alice/*'):
            os.utime(path, (time.time() - 11 * 86400,) * 2)
        self.assertIn('3 sessions removed', nsinit('records', 'prune').stdout)
        self.assertEqual(os.listdir(f'{RECORDS}/alice'), [])

    def names(self, user='alice'):
        return sorted(os.path.basename(p)[:-5] for p in glob.glob(f'{RECORDS}/{user}/*.json'))

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
