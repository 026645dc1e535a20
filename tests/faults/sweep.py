"""Every system call of a scenario fails in turn, on hosts of their own below the throw-away host.

    python3 tests/faults/sweep.py SCENARIO SHARD SHARDS all|some      what test_sweep.py runs, under unshare(1)

Writes one line of JSON for each fault: where, what came of it, and what is wrong with that.
"""
import collections
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
from host import RUN_DIR, ROOTS, run, until  # noqa: E402

from scenarios import SCENARIOS  # noqa: E402

LIST = '/tmp/list'
MARK = '/tmp/ran'
DEADLINE = 20  # seconds in which a login is let in or refused, whatever has happened

# What a call fails with, in the whole sweep each in turn, otherwise the first.
ERRORS = {
    'mmap': ['ENOMEM'], 'mprotect': ['ENOMEM'], 'brk': ['ENOMEM'], 'munmap': ['EINVAL'],
    'clone': ['EAGAIN', 'ENOMEM'], 'clone3': ['EAGAIN', 'ENOSYS'],
    'openat': ['EMFILE', 'ENOENT', 'EACCES', 'EIO'], 'openat2': ['EMFILE', 'ENOENT', 'EAGAIN', 'ENOSYS'],
    'read': ['EIO', 'EINTR', '=0'], 'write': ['ENOSPC', 'EINTR', 'EIO'], 'pread64': ['EIO', '=0'], 'pwrite64': ['ENOSPC'],
    'newfstatat': ['EIO', 'ENOENT'], 'readlink': ['ENOENT'], 'access': ['EACCES'],
    'mkdir': ['ENOSPC', 'EROFS', 'EEXIST'], 'mkdirat': ['ENOSPC', 'EEXIST'], 'unlink': ['EROFS', 'ENOENT'],
    'unlinkat': ['EROFS', 'EBUSY'], 'rmdir': ['EBUSY'], 'rename': ['ENOSPC'], 'flock': ['EWOULDBLOCK', 'EINTR', 'ENOLCK'],
    'socket': ['EMFILE'], 'socketpair': ['EMFILE'], 'bind': ['EADDRINUSE'], 'listen': ['EADDRINUSE'],
    'connect': ['ECONNREFUSED', 'ENOENT', 'EAGAIN'], 'accept4': ['EMFILE', 'ECONNABORTED'],
    'sendmsg': ['ENOBUFS', 'EPIPE', 'EINTR'], 'sendto': ['ENOBUFS', 'ECONNREFUSED'],
    'recvmsg': ['ENOMEM', 'ECONNRESET', 'EINTR', '=0'], 'recvfrom': ['ENOBUFS', 'EINTR'],
    'poll': ['ENOMEM', 'EINTR', '=0'], 'wait4': ['ECHILD', 'EINTR'], 'pidfd_open': ['EMFILE', 'ESRCH'],
    'pidfd_send_signal': ['ESRCH', 'EPERM'], 'memfd_create': ['EMFILE', 'EINVAL'], 'sendfile': ['EIO', '=0'],
    'execve': ['ENOMEM', 'EACCES'], 'execveat': ['ENOENT', 'ENOMEM'], 'setns': ['EPERM', 'ENOMEM'],
    'unshare': ['EPERM', 'ENOSPC'], 'mount': ['EPERM', 'EBUSY'], 'umount2': ['EBUSY'], 'pivot_root': ['EINVAL'],
    'move_mount': ['EINVAL', 'EBUSY'], 'open_tree': ['EMFILE', 'EPERM'], 'mount_setattr': ['EINVAL', 'EPERM'],
    'fsopen': ['ENODEV', 'EPERM'], 'fsconfig': ['EINVAL', 'EBUSY'], 'fsmount': ['EMFILE', 'EPERM'],
    'seccomp': ['EINVAL', 'EFAULT'], 'prctl': ['EPERM', 'EINVAL'], 'capset': ['EPERM'], 'capget': ['EPERM'],
    'setresuid': ['EAGAIN', 'EPERM'], 'setresgid': ['EPERM'], 'setgroups': ['EPERM', 'ENOMEM'], 'getgroups': ['EINVAL'],
    'keyctl': ['EDQUOT', 'ENOSYS', 'EPERM'], 'setsid': ['EPERM'], 'close_range': ['EINVAL', 'ENOSYS'], 'close': ['EINTR', 'EIO'],
    'fcntl': ['EMFILE', 'EBUSY'], 'dup2': ['EBUSY', 'EMFILE'], 'prlimit64': ['EPERM'], 'sethostname': ['EPERM'],
    'bpf': ['EPERM', 'EINVAL'],
}
# They do not come back, say nothing that could be wrong, or fail for wrong arguments alone.
NO_ERROR = {'rt_sigprocmask', 'exit_group', 'exit', 'rt_sigreturn', 'restart_syscall', 'getpid', 'getppid', 'getuid', 'geteuid', 'getgid',
            'getegid', 'gettid', 'umask'}
# The C library, or libconfig in want of memory, ends the process: a refusal too.
ENDS_OF_ITSELF = {'mmap', 'mprotect', 'brk', 'munmap', 'futex', 'arch_prctl'}
# As on a file system that takes no mapping: what is bound of the host is without it, libcore/process/trees.c.
TAKES_NO_MAPPING = {('mount_setattr', 'EINVAL'), ('mount_setattr', 'EPERM'), ('open_tree', 'EPERM')}
# As where there is no such path: nothing is hidden there, or bound from there, libcore/act/mount.c. container.json and .nspid are
# elsewhere with an image.
IS_NOT_THERE = {('openat2', 'ENOENT'), ('openat', 'ENOENT'), ('newfstatat', 'ENOENT')}
# As where the kernel refuses a sysfs: the host's is shown, and what is mounted below it.
HOST_SYSFS = {('fsopen', 'EPERM'), ('fsmount', 'EPERM')}
# Which faults leave something in the process that opened the session: the call was to undo it.
LEAVES = {'setns': 'another mount namespace', 'wait4': 'a child is left'}


def own_host(scenario, shard):
    """In namespaces of our own: the directories that a container's state is in, and a log."""
    place = f'{ROOTS}/shard-{shard}'
    os.makedirs(place, 0o700, exist_ok=True)
    run(f'rm -rf --one-file-system {place}/*')
    run(f'mount --make-rprivate / && mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount --bind {place} {ROOTS} && '
        'mount -t tmpfs -o mode=0755 tmpfs /run && mount -t tmpfs -o mode=1777 tmpfs /tmp && ip link set lo up')
    syslog = subprocess.Popen(['socat', '-u', 'UNIX-RECV:/run/log,mode=666', f'OPEN:{host.LOG},creat,append'])
    until(lambda: os.path.exists('/run/log'), 'the log socket')
    os.makedirs('/run/sshd', exist_ok=True)
    scenario.prepare()
    return syslog


# ------------------------------------------------------------------ what is there

def ids_of_namespaces():
    return {name: os.readlink(f'/proc/self/ns/{name}') for name in os.listdir('/proc/self/ns')}


def plain(text, ours=ids_of_namespaces()):
    """What the look-around printed, without what differs from one login to the next."""
    text = re.sub(r'/proc/self/fd/\d+', '/proc/self/fd/N', text)
    text = re.sub(r'id=(18|19|20|21)\d{8}\b', 'id=mapped', text)
    return re.sub(r'(\w+):\[\d+\]', lambda m: m[1] + (' of the host' if m[0] in ours.values() else ' of its own'), text)


def traces(roots):
    """Whatever a container has outside."""
    ids = {'{0.st_dev:x}-{0.st_ino:x}'.format(os.stat(root)) for root in roots if os.path.exists(root)}
    with open('/proc/self/mountinfo') as f:
        mounts = sorted(line.split(' ', 3)[3] for line in f)
    state = [f'{d}/{name}' for d, dirs, files in os.walk(RUN_DIR) for name in dirs + files]
    groups = [d for d, _, _ in os.walk('/sys/fs/cgroup') if os.path.basename(d) in ids]
    return {'processes': run('ps -eo pid,ppid,stat,args | grep -E "[n]sinit|[l]ogin-like|[i]nside"', check=False).stdout.splitlines(),
            'state': sorted(s for s in state if not re.search(r'/(leases|ranges)/', s)),
            'marks': [root for root in roots if os.path.lexists(f'{root}/.nspid')], 'mounts': mounts,
            'interfaces': sorted(os.listdir('/sys/class/net')), 'groups': groups}


class Sweep:
    def __init__(self, scenario):
        self.scenario = scenario
        self.roots = [scenario.root, f'{ROOTS}/changes-of/{scenario.user}']
        self.expected = None
        for _ in range(2):  # a file system may be another when it is used again
            self.expected = plain(self.clean().stdout)
        until(lambda: not host.supervisors(), 'the end of the first login')
        self.before = traces(self.roots)

    def clean(self):
        return subprocess.run(self.scenario.command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def inject(self, *options):
        start = time.monotonic()
        done = subprocess.run(['inject', '-s', '60', '-l', LIST, *options, *self.scenario.options, *self.scenario.command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
        with open(LIST) as f:
            return done, f.read().splitlines(), time.monotonic() - start

    def points(self):
        """Which calls could fail: those that two runs have in common."""
        found = []
        for _ in range(2):
            done, calls, _ = self.inject()
            if plain(done.stdout) != self.expected or done.returncode != 0:
                raise AssertionError(f'the login is another when it is traced: {done}')
            self.until_as_before()
            found.append(self.of_interest([tuple(line.split(' ', 3)) for line in calls]))
        common = {p[:3] for p in found[1]}
        points = sorted({p for p in found[0] if p[:3] in common}, key=lambda p: (p[0], p[1], int(p[2])))
        return points

    def of_interest(self, calls):
        first = [p[0] == self.scenario.since or p[0].startswith(self.scenario.since + '.') for p in calls].index(True)
        return {p for p in calls[first:] if not self.scenario.only or re.fullmatch(self.scenario.only, p[0])}

    def until_as_before(self, *kinds):
        """What is otherwise after some time, of these kinds or of all."""
        end = time.monotonic() + 15
        while True:
            now = traces(self.roots)
            other = {k: {'more': sorted(set(v) - set(self.before[k])), 'less': sorted(set(self.before[k]) - set(v))}
                     for k, v in now.items() if v != self.before[k] and (k in kinds or not kinds)}
            if not other or time.monotonic() > end:
                return other
            time.sleep(0.02)

    def attempt(self, point, what):
        process, call, n, path = point
        number = what if what == 'kill' or what[0] == '=' else str(getattr(errno, what))
        done, calls, seconds = self.inject('-a', f'{process}:{call}:{n}:{number}')
        wrong = []
        crashed = [line for line in calls if line.startswith('crash ')]
        out = plain(done.stdout)
        if self.scenario.orderly:
            if self.scenario.orderly not in out and not (what == 'kill' and not process.startswith(self.scenario.since)):
                wrong.append('the other session has ended')
            out = out.replace(self.scenario.orderly, '')
        if not any(line.startswith('hit ') for line in calls):
            result = 'not reached'
        elif out == self.expected.replace(self.scenario.orderly, ''):
            result = 'in'
        elif not set(out.splitlines()) & set(self.expected.splitlines()):
            result = 'refused'  # there may be a message
        else:
            result = 'other'
            same = self.is_known(call, what, path, out)
            if not (same or (what == 'kill' or crashed or self.scenario.relays) and self.expected.startswith(out)):
                wrong.append('another login: ' + difference(self.expected, out))
        if os.path.exists(MARK):
            os.unlink(MARK)
            wrong.append('ON THE HOST')
        if seconds > DEADLINE:
            wrong.append(f'took {seconds:.1f} s')
        if done.returncode in (99, 124) and not (what != 'kill' and LEAVES.get(call, '?') in done.stderr):
            wrong.append(f'status {done.returncode}: {done.stderr}')
        wrong += [line for line in calls if line.startswith('left ')]
        if crashed and call not in ENDS_OF_ITSELF:
            wrong.append(crashed[0])
        wrong += self.afterwards()
        return {'at': ' '.join(point), 'what': what, 'result': result, 'seconds': round(seconds, 2), 'wrong': wrong,
                'status': done.returncode, 'stderr': done.stderr}

    def is_known(self, call, what, name, out):
        """Whether the mounts, and nothing else, are what such a host would have."""
        if (call, what) in TAKES_NO_MAPPING:
            return out == re.sub(r'( /mnt/data .*),idmapped', r'\1', self.expected)
        found = collections.Counter(out.splitlines())
        found.subtract(self.expected.splitlines())
        others = [(line, n) for line, n in found.items() if n]
        if (call, what) in HOST_SYSFS:
            return len(others) == 1 and ' /sys/fs/cgroup ro,' in others[0][0]
        if (call, what) not in IS_NOT_THERE or len(others) != 1 or others[0][1] != -1:
            return False
        # Where a second layer is over the same path, the line is there still.
        line = others[0][0]
        return line in out.splitlines() or bool(re.search(rf'(/{re.escape(name)} ro| {re.escape(name)} r[ow]),', line))

    def afterwards(self):
        wrong = []
        try:
            until(lambda: not host.supervisors(), '', seconds=15)
        except AssertionError:
            wrong.append('processes are left: ' + traces(self.roots)['processes'])
            for pid in host.supervisors():
                os.kill(pid, signal.SIGKILL)
        left = self.until_as_before('mounts', 'interfaces')  # the rest of what was killed is swept later
        if left:
            wrong.append(f'left: {left}')
        told = len(host.log_text())
        try:
            done = self.clean()
        except subprocess.TimeoutExpired:
            return wrong + ['the next login hangs']
        if plain(done.stdout) != self.expected or done.returncode != 0:
            wrong.append(f'the next login: {done.returncode} {done.stderr} {difference(self.expected, plain(done.stdout))} '
                         f'log: {host.log_text()[told:]}')
        left = self.until_as_before()
        if left:
            wrong.append(f'traces: {left}')
            self.before = traces(self.roots)
        return wrong


def difference(a, b):
    a, b = a.splitlines(), b.splitlines()
    return f'- {[x for x in a if x not in b]} + {[x for x in b if x not in a]}'


def faults(points, everything):
    """The whole sweep, or the first call of each name in each process."""
    for p in points:
        if not everything and p[2] != '1':
            continue
        if p[1] not in NO_ERROR:
            errors = ERRORS.get(p[1], ['EIO'])
            for e in errors if everything else errors[:1]:
                yield p, e
        yield p, 'kill'


def main():
    name, shard, shards, which = sys.argv[1:5]
    scenario = SCENARIOS[name]
    syslog = own_host(scenario, shard)
    try:
        sweep = Sweep(scenario)
        todo = list(faults(sweep.points(), which == 'all'))
        print(json.dumps({'points': len(todo)}), flush=True)
        for i, (point, what) in enumerate(todo):
            if i % int(shards) == int(shard) and (len(sys.argv) < 6 or re.search(sys.argv[5], ' '.join((*point, what)))):
                print(json.dumps(sweep.attempt(point, what)), flush=True)
    finally:
        syslog.kill()


if __name__ == '__main__':
    main()
