"""What the tests of recordings share."""
import glob
import json
import os
import subprocess
import unittest

from host import PORT, ROOTS, SSH_OPTIONS, Terminal, container, nsinit, policy, run, until, wait_nothing_left

ROOT = f'{ROOTS}/alice'
RECORDS = '/var/lib/nsinit/records'
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


class Recorded(unittest.TestCase):
    options = ''

    def setUp(self):
        run(['rm', '-rf', '/var/lib/nsinit'])
        container('alice', full=True)
        policy([RULE % (ROOT, self.options)])
        self.addCleanup(wait_nothing_left)

    def terminal(self, *command, user='alice', options=(), rows=24, columns=80):
        t = Terminal(['ssh', *SSH_OPTIONS, '-tt', '-p', str(PORT), *options, f'{user}@127.0.0.1', *command],
                     rows=rows, columns=columns)
        self.addCleanup(t.end)
        return t

    def multiplexer(self, user='alice'):
        """A connection without a terminal; the options for those that go through it."""
        control = '/root/control'
        command = ['ssh', *SSH_OPTIONS, '-N', '-M', '-S', control, '-p', str(PORT), f'{user}@127.0.0.1']
        master = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(master.wait)
        self.addCleanup(master.terminate)  # which removes the socket
        until(lambda: os.path.exists(control), 'the connection')
        return ['-S', control]

    def one(self, name='*.cast', user='alice'):
        """The one recording there is."""
        found = until(lambda: glob.glob(f'{RECORDS}/{user}/{name}'), f'a file {name}')
        self.assertEqual(len(found), 1, found)
        return found[0]

    def over(self):
        until(lambda: not recorders(), 'the end of the recorders')
        until(lambda: not any(s['live'] for s in json.loads(nsinit('records', '--json').stdout)), 'the end of their locks')
