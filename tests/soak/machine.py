"""What the machine has: processes, mounts, cgroups, interfaces, files; and what those hold that live on."""
import collections
import os
import re

from host import ROOTS, RUN_DIR

GROUPS = '/sys/fs/cgroup'


def read(path):
    try:
        with open(path, errors='replace') as f:
            return f.read()
    except OSError:
        return ''


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ''


Process = collections.namedtuple('Process', 'pid parent name arguments space first')


def processes():
    """All that live and are no zombies; `space` is the pid namespace, `first` says that it is pid 1 there."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        stat = read(f'/proc/{pid}/stat')
        rest = stat.rpartition(')')[2].split()
        if not rest or rest[0] == 'Z':
            continue
        numbers = re.search(r'^NSpid:\s+(.*)$', read(f'/proc/{pid}/status'), re.M)
        found.append(Process(int(pid), int(rest[1]), stat[stat.index('(') + 1:stat.rindex(')')],
                             read(f'/proc/{pid}/cmdline').replace('\0', ' ').strip(), link(f'/proc/{pid}/ns/pid'),
                             bool(numbers) and len(numbers.group(1).split()) > 1 and numbers.group(1).split()[-1] == '1'))
    return found


def own_groups():
    """Groups of our root directories: others of this machine's are not ours to judge."""
    ids = set()
    for name in os.listdir(ROOTS):
        st = os.stat(f'{ROOTS}/{name}')
        ids.add(f'{st.st_dev:x}-{st.st_ino:x}')
    return sorted(name for name in (os.listdir(f'{GROUPS}/nsinit') if os.path.isdir(f'{GROUPS}/nsinit') else []) if name in ids)


def files():
    """Of nsinit's state: all but the names that are made once for each range and address."""
    found = []
    for directory, _, names in os.walk(RUN_DIR):
        if directory in (f'{RUN_DIR}/ranges', f'{RUN_DIR}/leases', f'{RUN_DIR}/filters'):
            continue
        found += [os.path.relpath(f'{directory}/{name}', RUN_DIR) for name in names]
    return sorted(found)


def state():
    """Lists that have to be the same again."""
    mine = os.getpid()
    own = [p for p in processes() if p.pid != mine]
    return {
        'processes': sorted(f'{p.name} {p.arguments}'[:100] for p in own),
        'zombies of this program': sorted(n for n in read(f'/proc/self/task/{mine}/children').split()
                                          if re.search(r'^State:\s+Z', read(f'/proc/{n}/status'), re.M)),
        'mounts': sorted(re.sub(r'^\d+ \d+ ', '', line) for line in read('/proc/self/mountinfo').splitlines()),
        'namespaces': sorted({f'{kind} {link(f"/proc/{p.pid}/ns/{kind}")}' for p in own
                              for kind in ('mnt', 'pid', 'net', 'user', 'ipc', 'uts')}),
        'interfaces': sorted(os.listdir('/sys/class/net')),
        'cgroups': own_groups(),
        'state files': files(),
        '.nspid files': sorted(n for n in os.listdir(ROOTS) if os.path.exists(f'{ROOTS}/{n}/.nspid')),
        'terminals': sorted(os.listdir('/dev/pts')),
    }


def difference(before, after):
    lines = []
    for what, old in before.items():
        old, new = collections.Counter(old), collections.Counter(after[what])
        lines += [f'{what} - {x}' for x in (old - new).elements()] + [f'{what} + {x}' for x in (new - old).elements()]
    return lines


def holding(pid):
    """What one process holds: descriptors, and memory in KiB."""
    sizes = dict(re.findall(r'^(Rss|Pss|Private_Dirty):\s+(\d+)', read(f'/proc/{pid}/smaps_rollup'), re.M))
    return {'fds': len(os.listdir(f'/proc/{pid}/fd')), 'rss': int(sizes['Rss']), 'pss': int(sizes['Pss']),
            'private dirty': int(sizes['Private_Dirty'])}
