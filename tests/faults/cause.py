"""What the tests share that break the host, not a call: a login that shows where it has landed, and a cause that goes away again."""
import collections
import contextlib
import os
import re
import signal
import subprocess
import time
import unittest

import host
from host import ROOTS, SSH_OPTIONS, container, log_text, policy, run, until, wait_nothing_left

MARK = '/tmp/ran'
HOST, INSIDE = 'throwaway', 'inside'
# Whatever a shell does without another process, or there would be no word where there are no processes to be had.
PROBE = f'read name </proc/sys/kernel/hostname; echo $name; echo mark >{MARK}'
HOLD = PROBE + '; read x; echo the end in order'
SENTENCE = 'Your container could not be opened; the administrator finds the reason in the log.\n'
DEADLINE = 25  # seconds, in which a login is let in or refused, however busy the machine that this runs on
EVERYTHING = os.environ.get('NSINIT_FAULTS') == 'all'


def ssh(user, command, limits=()):
    """A real sshd with a real client. The limits, prlimit(1)'s, are that sshd's alone: no other one could refuse the client before."""
    sshd = ' '.join([*(['prlimit', *limits] if limits else []), '/usr/sbin/sshd -i -f /root/sshd_config'])
    return ['ssh', *SSH_OPTIONS, '-o', f'ProxyCommand={sshd}', f'{user}@{HOST}', command]


def su(user, command):
    return ['runuser', '-u', 'root', '--', 'su', '-s', '/bin/sh', user, '-c', command]


def exec_(user, command):
    return ['nsinit', 'exec', '-T', '-C', f'{ROOTS}/{user}', '--', 'sh', '-c', command]


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        return True
    return False


class Cause(unittest.TestCase):
    maxDiff = 3000
    rule = f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}'

    @classmethod
    def setUpClass(cls):
        host.Host.pam()
        host.write('/etc/pam.d/su', 'auth sufficient pam_rootok.so\naccount sufficient pam_rootok.so\nsession required pam_unix.so\n'
                   'session required pam_nsinit.so\n')

    def setUp(self):
        self.addCleanup(wait_nothing_left)
        self.root = container('alice')
        container('carol')
        policy(['{ user = "root"; stay = "host"; }', self.rule, f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; }}'])
        remove(MARK)

    # ---------------------------------------------------------------- logins

    def attempt(self, command=None, refused_by=(SENTENCE,)):
        """One login: "in" or "refused", in time, and never on the host."""
        start = time.monotonic()
        done = run(command or ssh('alice', PROBE), check=False, timeout=DEADLINE + 60, stdin=subprocess.DEVNULL)
        self.assertFalse(remove(MARK), f'ON THE HOST: {done}')
        self.assertLess(time.monotonic() - start, DEADLINE)
        if done.stdout == f'{INSIDE}\n':
            return 'in'
        self.assertIn(done.stdout, ('', *refused_by), done)
        self.assertNotEqual(done.returncode, 0)
        return 'refused'

    def lands(self, command=None):
        """The next login, when the cause is gone."""
        done = run(command or ssh('alice', PROBE), check=False, stdin=subprocess.DEVNULL)
        self.assertEqual((done.stdout, done.returncode), (f'{INSIDE}\n', 0), f'{done.stderr}\n{log_text()[-1500:]}')

    def held(self, command=None):
        """A session that holds the container until the test ends or until `ends_in_order`."""
        process = subprocess.Popen(command or ssh('alice', HOLD), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), f'{INSIDE}\n')
        return process

    def ends_in_order(self, process):
        """Nothing has happened to it, whatever has happened to others."""
        self.assertEqual(process.communicate('\n', timeout=30)[0], 'the end in order\n')
        self.assertEqual(process.returncode, 0)

    def supervisor(self):
        return int(run(['ps', '-o', 'ppid=', '-p', str(host.wait_nspid(self.root))]).stdout)

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(run, ['kill', '-CONT', str(pid)], check=False)

    # ---------------------------------------------------------------- causes

    def each(self, values, cause, command=None, both=True):
        """
        A login under `cause(value)`, a context, for each value; then the next one without. Where the cause is only tight, some come
        in and some are refused: were it not so, the cause would not be one, or the sweep would end too early.
        """
        results = collections.Counter()
        for value in values:
            with self.subTest(value=value):
                wait_nothing_left()  # what the end of a container before gives back counts as taken
                with cause(value):
                    result = self.attempt(command)
                    results[result] += 1
                self.lands(command)
                wait_nothing_left()
        print(f'{dict(sorted(results.items()))} ... ', end='', flush=True)
        if both:
            self.assertGreater(results['refused'], 0)
            self.assertGreater(results['in'], 0)
        return results

    def logged(self, pattern, since):
        until(lambda: re.search(pattern, log_text()[since:]), f'{pattern} in the log: {log_text()[since:]}')
