"""Logins of every kind, and what became of them."""
import collections
import os
import re
import subprocess
import threading
import time

import host
from host import PORT, ROOTS, SSH_OPTIONS, run

HARNESS = '/root/harness'
MARK = '/opt/only-on-the-host'
RAN = '/tmp/ran-here'  # of the host, or of the container
DEADLINE = 60          # seconds in which a login has to end, one way or the other
STATUS = 7


def prepare():
    run(['gcc', '-O1', '-o', HARNESS, 'tests/hygiene/harness.c', 'tests/hygiene/state.c', '-lpam'])
    os.makedirs(MARK, exist_ok=True)


def command(then):
    # Without a process of its own for it, which could be killed alone, where there is a /proc.
    return f'echo x >>{RAN} 2>/dev/null; read name 2>/dev/null </proc/sys/kernel/hostname || name=$(hostname); echo at:$name; test -e {MARK} && echo at:HOST; ' \
        f'{then}; exit {STATUS}'


def by_ssh(user, text):
    return ['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', text]


def by_ssh_with_terminal(user, text):
    return ['ssh', '-tt', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', text]


def by_pam(user, text):
    """What sshd does with PAM, without the rest of it."""
    return [HARNESS, f'user={user}', *'start setcred open or-end fork groups setcred drop fork'.split(), f'exec={text}',
            *'done done close delcred end'.split()]


def by_su(user, text):
    return ['su', user, '-c', text]


def by_shell(user, text):
    """nsinit-shell, as dropbear runs it."""
    return ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', 'nsinit-shell', '-c', text]


def by_exec(name, text):
    return ['nsinit', 'exec', '-C', f'{ROOTS}/{name}', 'sh', '-c', text]


class Login:
    def __init__(self, way, user, seconds=0.0, then=None):
        self.way, self.user = way.__name__, user
        self.argv = way(user, command(then or f'sleep {seconds}'))

    def run(self):
        started = time.monotonic()
        process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors='replace', start_new_session=True)
        try:
            self.out, _ = process.communicate(timeout=DEADLINE)
            self.hung = False
        except subprocess.TimeoutExpired:
            self.hung = True
            process.kill()
            self.out, _ = process.communicate()
        self.status, self.took = process.returncode, time.monotonic() - started
        return self

    @property
    def whole(self):
        return self.status == STATUS or self.way == 'by_pam' and f'child {STATUS}\n' in self.out

    @property
    def outcome(self):
        """'inside' with 'cut short' where it did not end by itself, 'refused', or what must not be."""
        where = set(re.findall(r'at:([\w.-]*)', self.out))
        if where - {'inside'}:
            return 'ON THE HOST'
        if self.hung:
            return 'HUNG'
        if not where:
            return 'refused'
        return 'inside' if self.whole else 'inside, cut short'

    def __repr__(self):
        return f'{self.way} {self.user}' if not hasattr(self, 'out') else f'{self.way} {self.user} {self.outcome} status={self.status} {self.took:.1f} s: {self.out[-800:]!r}'


class Tally:
    """How many logins ended how; safe for threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.bad, self.longest = [], 0.0

    def add(self, login):
        with self.lock:
            self.counts[login.way.removeprefix('by_'), login.outcome] += 1
            self.longest = max(self.longest, login.took)
            if login.outcome in ('ON THE HOST', 'HUNG'):
                self.bad.append(login)
        return login

    def total(self, outcome=None):
        return sum(n for (_, o), n in self.counts.items() if outcome in (None, o))

    def __str__(self):
        return '\n'.join(f'    {way:18} {outcome:18} {n:6}' for (way, outcome), n in sorted(self.counts.items())) + \
            f'\n    {self.total()} logins, the longest took {self.longest:.1f} s'

    def check(self):
        assert not self.bad, self.bad
        assert not os.path.exists(RAN), 'something ran on the host: ' + run(['stat', RAN]).stdout


def must(login):
    login.run()
    assert login.outcome == 'inside', f'{login}\n{host.log_text()[-3000:]}'
    return login
