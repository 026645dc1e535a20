"""From inside nobody sees, stops or writes a recording; and nothing goes on without."""
import json
import os
import signal
import subprocess
import time

import host
from host import PORT, SPEC, SSH_OPTIONS, container, nsinit, policy, run, ssh, until, wait_nothing_left
from test_doctor import WITHOUT
from recording import RECORDS, ROOT, RULE, Recorded, keepers, metadata, recorders, shown

PTRACE = 101  # on x86_64


class Hostile(Recorded):
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
            ls -d /var/lib/nsinit 2>/dev/null
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

    def test_more_terminals_than_are_listed(self):
        """None can be hidden behind many, and prune leaves none behind."""
        options = ' '.join(self.multiplexer())
        script = f'for i in $(seq 1 290); do timeout 30 ssh {" ".join(SSH_OPTIONS)} -p {PORT} {options} -tt alice@127.0.0.1 "echo number-$i" || exit; done'
        done = run(script, timeout=200, stdin=subprocess.DEVNULL)
        self.assertIn('number-290', done.stdout)
        self.doCleanups()
        self.over()
        (session,) = json.loads(nsinit('records', '--json').stdout)
        self.assertEqual([t['number'] for t in session['terminals']], list(range(1, 291)))
        self.assertIn('number-290', nsinit('records', 'play', '--speed', '0', f'{session["session"]}.290').stdout)
        policy([RULE % (ROOT, '')], extra='record_total = "64K";')
        self.assertIn('1 session removed', nsinit('records', 'prune').stdout)
        self.assertEqual(os.listdir(f'{RECORDS}/alice'), [])

    def test_many_sessions_take_nothing_that_root_has_few_of(self):
        """Instances of inotify are 128 for all of root's processes, and the limit is the whole machine's."""
        terminals = [self.terminal(f'echo in-{i}; read x') for i in range(3)]
        for i, t in enumerate(terminals):
            t.expect(f'in-{i}')
        found = [os.readlink(f'/proc/{pid}/fd/{fd}') for pid in recorders() for fd in os.listdir(f'/proc/{pid}/fd')]
        self.assertGreater(sum(f.startswith('/dev/pts') for f in found), 30)
        self.assertEqual([f for f in found if 'notify' in f], [])
        for t in terminals:
            t.type('\n')
            self.assertEqual(t.finish(), 0)

    def test_what_a_terminal_shows_is_no_work_for_the_host_s_first(self):
        t = self.terminal('tr "\\0" "\\1" </dev/zero')
        self.one()
        (keeper,) = keepers()
        for pid in recorders():
            with open(f'/proc/{pid}/stat') as f:
                nice = int(f.read().rpartition(')')[2].split()[16])
            self.assertGreaterEqual(nice, 0 if pid == keeper else 5)
        t.end()

    def test_a_client_that_takes_nothing(self):
        """Neither does the recorder turn, nor do the other terminals of the connection wait for it."""
        options = self.multiplexer()
        # More input than goes through, more output than is taken, and a shell that ends by itself.
        command = 'stty raw -echo; echo ready; sleep 1; seq 1 1000000 & sleep 3; kill -9 $!'
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, *options, '-tt', '-p', str(PORT), 'alice@127.0.0.1', command],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), b'ready\n')
        client.stdin.write(b'x' * 40000)
        client.stdin.flush()
        time.sleep(4.5)
        busy = {pid: cpu_ticks(pid) for pid in recorders()}
        time.sleep(2)
        for pid, ticks in busy.items():
            self.assertLess(cpu_ticks(pid) - ticks, 20)
        begin = time.monotonic()
        self.assertEqual(ssh('alice', 'echo other', options=[*options, '-tt'], timeout=20).stdout, 'other\n')
        self.assertLess(time.monotonic() - begin, 8)

    def test_what_root_inside_mounts_on_its_terminals(self):
        container('alice', {**SPEC, 'capabilities': {'keep': ['SYS_ADMIN', 'DAC_OVERRIDE', 'SETUID', 'SETGID', 'KILL', 'CHOWN']}}, full=True)
        old = self.terminal()
        old.type('echo up-$((1 + 1))\n')
        old.expect('up-2')

        def inside(script):
            return nsinit('exec', '-C', ROOT, '--', 'sh', '-ec', script)
        # No descriptor of a file of theirs is taken for a terminal.
        done = inside('touch /tmp/x; mount --make-shared /dev/pts; mount --bind /tmp/x /dev/pts/ptmx; grep -c /tmp/x /proc/self/mountinfo')
        self.assertEqual((done.returncode, done.stdout), (0, '1\n'), done.stderr)
        done = ssh('alice', 'echo reached', options=['-tt'])
        self.assertNotIn('reached\n', done.stdout)
        self.assertIn('would have to be recorded', done.stdout)
        until(lambda: 'ptmx: Invalid cross-device link' in host.log_text(), 'the reason')
        done = inside('umount /dev/pts/ptmx')
        self.assertEqual(done.returncode, 0, done.stderr)
        # Nothing is mounted in sshd's namespace.
        new = self.terminal('echo again; read x')
        new.expect('again')
        done = inside('for i in $(seq 0 30); do ! [ -e /dev/pts/$i ] || mount --bind /tmp/x /dev/pts/$i; done; grep -c /tmp/x /proc/self/mountinfo')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(int(done.stdout), 15)
        for record in metadata():
            if record['end'] is None:
                with open(f'/proc/{record["leader"]}/mountinfo') as f:
                    self.assertEqual([line for line in f if '/tmp/x' in line], [])
        # Terminals that were ready before are still what they were.
        for t in (new, old):
            t.type('exit\n')
            t.finish()


    def test_a_kernel_that_lets_nobody_be_held(self):
        sshd = subprocess.Popen(['python3', '-c', WITHOUT, str(PTRACE), '/usr/sbin/sshd', '-D', '-e', '-f', '/root/sshd_config',
                                 '-o', f'Port={PORT + 7}', '-o', 'PidFile=none'], stderr=subprocess.DEVNULL)
        self.addCleanup(sshd.wait)
        self.addCleanup(sshd.terminate)
        until(lambda: host.Host.listening(PORT + 7), 'sshd listening')
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT + 7), 'alice@127.0.0.1', 'echo in; read x; echo on'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(client.stdout.readline(), 'in\n')
        for pid in keepers():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(client.communicate('x\n')[0], 'on\n')  # there is no terminal, and nothing ends it
        for required in (False, True):
            policy([RULE % (ROOT, 'record_required = true;' if required else '')])
            done = run(['ssh', *SSH_OPTIONS, '-tt', '-p', str(PORT + 7), 'alice@127.0.0.1', 'echo in; sleep 0.5'], check=False, stdin=subprocess.DEVNULL)
            self.assertEqual('in\n' in done.stdout, not required, done.stdout)
            self.over()
            until(lambda: ' refused: holding ' in host.log_text() if required else ' holding sshd' in host.log_text(), 'a word')


def cpu_ticks(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rpartition(')')[2].split()
    return int(fields[11]) + int(fields[12])
