"""Where the time of a spawn and a join goes, beside that of the floor and of nsenter: sampled by perf(1), by system call."""
import collections
import re
import shutil
import subprocess

from measure import PACE, in_turns

# Between two samples: 50 us of one processor.
FREQUENCY = 20000
# What a sample was for: the innermost of these in its stack.
PARTS = [('making namespaces', 'create_new_namespaces copy_net_ns'),
         ('page faults', 'asm_exc_page_fault'),
         ('loading the filter', 'do_seccomp'),
         ('ends of processes', 'do_exit do_group_exit'),
         ('the sealed copy', 'do_sendfile __do_sys_memfd_create'),
         ('messages, netlink, waiting', '__sys_sendmsg __sys_recvmsg __sys_sendto __sys_recvfrom do_sys_poll kernel_wait4 __sys_socketpair '
                                        '__sys_connect __sys_accept4 ep_poll do_sigtimedwait'),
         ('reading and writing', 'ksys_read ksys_write ksys_pread64'),
         ('mapping memory', 'ksys_mmap_pgoff vm_mmap_pgoff'),
         ('closing', 'task_work_run')]
PART_OF = {symbol: part for part, symbols in PARTS for symbol in symbols.split()}
# Of what is none of them, the system call.
CALLS = [('executing programs', 'execve execveat'), ('opening files', 'openat openat2 open'),
         ('mounts', 'mount umount fsopen fsconfig fsmount move_mount open_tree mount_setattr pivot_root statfs fstatfs'),
         ('starting processes', 'clone clone3 fork vfork'), ('joining', 'setns unshare'), ('closing', 'close close_range'),
         ('mapping memory', 'mmap munmap mprotect brk'),
         ('messages, netlink, waiting', 'wait4 waitid poll ppoll sendmsg recvmsg socket socketpair bind connect rt_sigtimedwait'),
         ('directories, links', 'mkdir mkdirat unlink unlinkat symlinkat readlink readlinkat rename renameat rmdir getdents64 access '
                                'faccessat newfstatat newfstat newlstat newstat statx')]
PART_OF_CALL = {call: part for part, calls in CALLS for call in calls.split()}
STARTING, COMMAND = 'starting the command, waiting for it', '/bin/true'


def of_user_space(frames):
    where = frames[0][1]
    if 'ld-linux' in where:
        return 'user space: the loader, with the start of the C library'
    return 'user space: C library' if 'libc.so' in where else 'user space: the program (a static one: with the C library)'


def part_of(command, frames):
    """What a sample was for: frames from the innermost, as (symbol, object)."""
    if command == 'pace':
        return STARTING
    if command == 'true':
        return COMMAND
    if 'kernel' not in frames[0][1]:
        return of_user_space(frames)
    for symbol, _ in frames:
        if symbol in PART_OF:
            return PART_OF[symbol]
        call = re.match(r'__(?:x64|do|se|arm64)_sys_(\w+?)(?:\.|$)', symbol)
        if call:
            return PART_OF_CALL.get(call.group(1), 'other system calls')
    return 'the kernel else'


def samples(text):
    """(command, frames) of what perf script prints."""
    for block in text.split('\n\n'):
        lines = block.strip('\n').splitlines()
        frames = [m.groups() for m in (re.match(r'\s+[0-9a-f]+ (\S.*?) \((.*)\)$', line) for line in lines[1:]) if m]
        if frames:
            yield lines[0].split()[0], [(re.sub(r'\+0x[0-9a-f]+$', '', symbol), where) for symbol, where in frames]


def shares(name, argv, rounds):
    """Of all samples, by what they were for."""
    data = f'/tmp/perf.{name.replace(" ", "-")}'
    subprocess.run(['perf', 'record', '-q', '-o', data, '-e', 'cpu-clock', '-F', str(FREQUENCY), '-g', PACE, str(rounds)], check=True,
                   input='\t'.join(argv) + '\n', text=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(['perf', 'script', '-i', data, '-F', 'comm,ip,sym,dso'], check=True, text=True, capture_output=True)
    found = collections.Counter(part_of(*sample) for sample in samples(done.stdout))
    return {part: n / sum(found.values()) for part, n in found.items()}


def installed():
    return bool(shutil.which('perf'))


def measure(commands, rounds):
    """{name: {part: milliseconds}}: the shares, of the medians of runs that perf did not slow down."""
    series = in_turns(commands, rounds)
    found = {}
    for name, argv in commands.items():
        median = series[name].median
        found[name] = {part: share * median for part, share in shares(name, argv, rounds).items()}
    return found


def table(found):
    """Lines of cells, the first one the head; what is nowhere 20 us is one line."""
    names = list(found)
    parts = sorted({p for f in found.values() for p in f}, key=lambda p: (p in (COMMAND, STARTING), -max(found[n].get(p, 0) for n in names)))
    small = [p for p in parts if max(found[n].get(p, 0) for n in names) < 0.02]

    def line(label, of):
        return [label, *(f'{sum(found[n].get(p, 0) for p in of):.2f}' for n in names)]
    return [['milliseconds of', *names], line('all', parts), *(line(p, [p]) for p in parts if p not in small),
            *([line('smaller ones', small)] if small else [])]
