"""Starts while a mount target, or a directory on the way to it, changes places with a link to the host."""
import collections
import ctypes
import os
import re
import signal
import subprocess

import machine
from host import ROOTS, SPEC, container, log_text, policy, run, wait_nothing_left, write
from logins import MARK, Login, by_exec, by_pam, must

CANARY = f'{MARK}/canary'
SHARE = f'{ROOTS}/share'
EXCHANGE, NAIVE = '/root/exchange', '/root/nsinit-naive'
# Also what is mounted on a file system of the container's own: what lies below it in the root directory is another.
HIDDEN = ('dev/pts', 'dev/shm', 'dev/mqueue', 'dev/null', 'dev/ptmx', 'proc/sys', 'sys/firmware')

# Root inside tries what is read-only; the real directory may be at any of these places.
PROBE = 'for i in 1 2 3 4 5 6 7 8; do for p in /proc /.race/*; do (: >>$p/sys/kernel/core_pattern) 2>/dev/null && ' \
    'echo at:UNMASKED; done; done'


def spec(**more):
    binds = [{'type': 'bind', 'source': SHARE, 'target': '/data/bound'}, {'type': 'bind', 'source': f'{SHARE}/file', 'target': '/data/file'},
             {'type': 'tmpfs', 'target': '/run'}, {'type': 'tmpfs', 'target': '/var/lib/deep/memory'},
             {'type': 'proc', 'target': '/again/proc'},
             {'type': 'overlay', 'target': '/data/over', 'lower': [f'{SHARE}/a', f'{SHARE}/b']}]
    return {**SPEC, 'mounts': binds, 'timezone': 'Europe/Berlin', 'masked_paths': ['/secret', '/etc/secret', '/proc/kcore', '/proc/keys'],
            'readonly_paths': ['/fixed', '/etc/fixed', '/proc/sys', '/again/proc/sys', '/proc/irq'],
            'network': {'type': 'loopback', 'nameservers': ['192.0.2.1']}, **more}


def root(name, **more):
    path = container(name, spec(**more))
    for directory in ('secret', 'fixed'):
        os.makedirs(f'{path}/{directory}')
    for file in ('etc/secret', 'etc/fixed', 'etc/localtime'):
        write(f'{path}/{file}', '')
    return path


def targets(path, login, state=None):
    """Where a container of it has mounts, and every directory on the way there, as far as they are in the root directory."""
    front = subprocess.Popen(login.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    line = front.stdout.readline()
    while line and line != 'at:inside\n':
        line = front.stdout.readline()
    assert line, f'{login.argv} {log_text()[-2000:]}'
    with open(f'{state or path}/.nspid') as f, open(f'/proc/{f.read()}/mountinfo') as mounts:
        found = {re.sub(r'\\(\d{3})', lambda m: chr(int(m.group(1), 8)), line.split()[4])[1:] for line in mounts}
    front.communicate()
    wait_nothing_left()
    found |= {p[:m.start()] for p in found for m in re.finditer('/', p)}
    for name in HIDDEN:
        if not os.path.lexists(f'{path}/{name}'):
            os.makedirs(f'{path}/{name}')
    write(f'{path}/.nspid', '')
    return sorted(p for p in found | set(HIDDEN) if p and os.path.lexists(f'{path}/{p}'))


def canary():
    """What is in the directory to which the links lead, and what is mounted on this host."""
    listing = run(f'cd {MARK} && find . -printf "%p %m %y %u %T@ %C@\n" | sort; cat canary').stdout
    with open('/proc/self/mountinfo') as f:
        return listing, sorted(line.split(' ', 2)[2] for line in f)


def renameat2(a, b):
    """RENAME_EXCHANGE"""
    assert ctypes.CDLL(None).renameat2(-100, a.encode(), -100, b.encode(), 2) == 0, (a, b)


class Race:
    def __init__(self, path, target):
        self.place, self.stock = f'{path}/{target}', f'{path}/.race'
        os.makedirs(self.stock)
        pairs = []
        for n, to in enumerate((CANARY if os.path.isfile(self.place) else MARK, f'{MARK}/made', '../' * 12 + MARK[1:])):
            os.symlink(to, f'{self.stock}/{n}')
            pairs += [self.place, f'{self.stock}/{n}']
        self.real = os.stat(self.place).st_ino
        if os.path.isdir(self.place):
            os.mkdir(f'{self.stock}/plain')
            pairs += [self.place, f'{self.stock}/plain']
        self.process = subprocess.Popen([EXCHANGE, *pairs])

    def end(self):
        self.process.kill()
        self.process.wait()
        # The real one goes back.
        for name in os.listdir(self.stock):
            if os.lstat(f'{self.stock}/{name}').st_ino == self.real:
                if os.path.lexists(self.place):
                    renameat2(f'{self.stock}/{name}', self.place)
                else:
                    os.rename(f'{self.stock}/{name}', self.place)
        run(['rm', '-rf', '--one-file-system', self.stock])


def prepare():
    run(['gcc', '-O1', '-o', EXCHANGE, 'tests/soak/exchange.c'])
    run(['gcc', '-O1', '-D_GNU_SOURCE', '-o', NAIVE, 'tests/attacks/naive/nsinit-naive.c'])
    for name in 'ab':
        os.makedirs(f'{SHARE}/{name}', exist_ok=True)
    write(f'{SHARE}/file', 'shared\n')
    write(CANARY, 'whole\n')
    rule(f'rootfs = "{ROOTS}/raced-0";')


def rule(text):
    policy([f'{{ user = "alice"; {text} limits: {{ mounts = [ "{SHARE}" ]; }}; }}'])


def control():
    """The naive program follows the links: after how many starts the same race has written to the host."""
    path, before = root('naive'), canary()
    write(f'{path}/container.json', '{"namespaces": ["NEWNS", "NEWPID"]}')
    for n in range(200):
        r = Race(path, 'etc')
        run([NAIVE, '--follow-links', path, 'true'], check=False, timeout=20)
        r.end()
        if canary() != before:
            run(f'cd {MARK} && find . -mindepth 1 ! -name canary -delete')
            write(CANARY, 'whole\n')
            return n + 1
    raise AssertionError('this race cannot be lost: the naive program withstands too')


def places():
    """Each with the login that starts from there."""
    alice = Login(by_pam, 'alice', then=PROBE)
    path = root('raced-0')
    yield path, alice, targets(path, Login(by_pam, 'alice', 1))
    for name, more in (('raced-1', {}), ('raced-2', {'namespaces': SPEC['namespaces'] + ['NEWUSER']})):
        path = root(name, **more)
        yield path, Login(by_exec, name, then=PROBE), targets(path, Login(by_exec, name, 1))
    # One image for many: the root is an overlay of it, and of a directory for each user.
    path, users = root('raced-3'), f'{ROOTS}/raced-users'
    os.makedirs(users, mode=0o700)
    rule(f'image = "{path}"; rootfs = "{users}/%u";')
    yield path, alice, targets(path, Login(by_pam, 'alice', 1), f'{users}/alice')
    yield f'{users}/alice', alice, ['upper', 'work']


def supervisor_s_proc(tries):
    """What a supervisor takes for its container's /proc, in which it signals everybody, is not the host's."""
    rule(f'rootfs = "{ROOTS}/raced-0"; lifetime = "forever";')
    path, opened = root('raced-0'), 0
    os.makedirs(f'{path}/proc', exist_ok=True)
    for _ in range(tries):
        os.symlink('/proc', f'{path}/link')
        process = subprocess.Popen([EXCHANGE, f'{path}/proc', f'{path}/link'])
        login = Login(by_pam, 'alice').run()
        process.kill()
        process.wait()
        if os.path.islink(f'{path}/proc'):
            renameat2(f'{path}/proc', f'{path}/link')
        os.unlink(f'{path}/link')
        assert login.outcome in ('inside', 'refused'), login
        for p in machine.processes():
            if p.name == 'nsinit' and p.arguments.endswith(' supervise'):
                held = [os.stat(f'/proc/{p.pid}/fd/{fd}').st_dev for fd in os.listdir(f'/proc/{p.pid}/fd')]
                assert os.stat('/proc').st_dev not in held, 'it holds the /proc of the host'
                opened += 1
                os.kill(p.pid, signal.SIGTERM)
        wait_nothing_left()
    return opened


def race(rounds):
    """What has been raced, how the starts ended, and after how many the naive program lost."""
    prepare()
    ended, raced, lost_after = collections.Counter(), set(), control()
    for path, login, names in places():
        for name in names:
            before, r = canary(), Race(path, name)
            try:
                for _ in range(rounds):
                    ended[login.run().outcome] += 1
                    assert login.outcome in ('inside', 'refused'), (path, name, login)
            finally:
                r.end()
            assert canary() == before, (path, name)
            raced.add(name)
        must(login)
        wait_nothing_left()
    assert ended['inside'] and ended['refused'], ended
    opened = supervisor_s_proc(20 * rounds)
    run(f'rm -rf --one-file-system {ROOTS}/raced-* {ROOTS}/naive')
    return sorted(raced), ended, lost_after, opened
