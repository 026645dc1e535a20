"""The guard of what a spawn, a join and a login cost: tests/perf/run.py [--record], on the throw-away host (`make check-perf`).
With --known it only says, by its exit status, whether there is a baseline for this machine.

Counted, not timed: the instructions of our own programs and module in user space (count.c), and the system calls of
`nsinit exec` (strace). Neither depends on the machine's speed or load. Both depend on the compiler and the C library: the
baseline has a part for each pair of them. Where there is none for this one, it says so, ends with 2, and writes what it has
counted to build/perf/baseline.json, to be looked at and added.
"""
import json
import os
import platform
import re
import statistics
import subprocess
import sys

sys.path.insert(0, 'tests/bench')
import places  # noqa: E402
from places import ROOTS, host  # noqa: E402

BASELINE = 'tests/perf/baseline.json'
FRESH = 'build/perf/baseline.json'
COUNT = 'build/perf/count'
# The sealed copy; the program itself, as a supervisor. Not /usr/bin/nsinit, which is static: a C library's start is in it.
ENTERING, SUPERVISING = 'memfd:nsinit', 'nsinit'
TOLERANCE = 0.05
EXEC = ['/usr/bin/nsinit', 'exec', '-C']


def key():
    compiler = subprocess.run([os.environ.get('CC', 'cc'), '--version'], check=True, capture_output=True, text=True).stdout
    name = 'clang' if 'clang' in compiler else 'gcc'
    return f'{platform.machine()}, {name} {re.search(r"[0-9]+(?:[.][0-9]+)+", compiler).group()}, {" ".join(platform.libc_ver())}'


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f'{command}: {done.returncode}: {done.stderr}')
    return done.stdout


def instructions(files, command):
    run([COUNT, '/tmp/count', ','.join(files), *command])
    with open('/tmp/count') as f:
        return sum(int(line.split()[0]) for line in f)


def calls(command):
    run(['strace', '-f', '-c', '-o', '/tmp/calls', *command])
    with open('/tmp/calls') as f:
        return int(re.search(r'^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)(?:\s+\d+)? total$', f.read(), re.M).group(1))


def login():
    return ['build/bench/login', places.PAM, 'sshd', 'alice', '1']


class Live:
    """A container of `nsinit exec` that lives meanwhile."""

    def __init__(self, root):
        self.pid = places.live_exec(root)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, 9)


def first_login(count):
    places.end_containers()
    try:
        return count(login())
    finally:
        places.end_containers()


def live_login(count):
    run(login())  # whose container stays
    return count(login())


def counters():
    """{name: function that counts once}. What is made once for all (a filter, directories) is there already."""
    spawned, joined = places.root_directory(f'{ROOTS}/spawn'), places.root_directory(f'{ROOTS}/live')
    places.root_directory(f'{ROOTS}/alice')
    places.pam()
    places.policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; lifetime = "forever"; }}'])
    spawn, join = [*EXEC, spawned, '/bin/true'], [*EXEC, joined, '/bin/true']

    def module(command):
        return instructions(['pam_nsinit.so', ENTERING, SUPERVISING], command)

    def live(count, command):
        with Live(joined):
            return count(command)
    for warm in (spawn, login()):
        run(warm)
    return {'spawn, instructions': lambda: instructions([ENTERING], spawn),
            'spawn, system calls': lambda: calls(spawn),
            'join, instructions': lambda: live(lambda command: instructions([ENTERING], command), join),
            'join, system calls': lambda: live(calls, join),
            'login into a live container, instructions': lambda: live_login(module),
            'first login, instructions': lambda: first_login(module)}


def differs(found, wanted):
    return abs(found - wanted) > TOLERANCE * wanted


def measure(count, wanted):
    """Once; the median of three where that is not as wanted: who waits for whom changes a little."""
    found = count()
    if wanted is not None and differs(found, wanted):
        found = statistics.median([found, count(), count()])
    return found


def compare(baseline):
    found, wrong = {}, []
    for name, count in counters().items():
        wanted = baseline.get(name)
        found[name] = measure(count, wanted)
        change = '' if wanted is None else f'{100 * (found[name] / wanted - 1):+.1f} %'
        print(f'{name:44}{found[name]:>10}{wanted if wanted is not None else "-":>10}  {change}', flush=True)
        if wanted is None or differs(found[name], wanted):
            wrong.append(name)
    return found, wrong


def main():
    if '--known' in sys.argv:
        with open(BASELINE) as f:
            return 0 if key() in json.load(f) else 2
    if platform.machine() != 'x86_64':
        print(f'nothing is counted on {platform.machine()}: tests/perf/count.c knows x86_64 alone')
        return 2
    here, record = key(), '--record' in sys.argv
    with open(BASELINE) as f:
        baselines = json.load(f)
    known = here in baselines
    host.THE = host.Host()
    try:
        found, wrong = compare(baselines.get(here, {}))
    finally:
        places.end_containers()
        host.THE.stop()
    baselines[here] = found
    os.makedirs(os.path.dirname(FRESH), exist_ok=True)
    with open(BASELINE if record else FRESH, 'w') as f:
        json.dump(baselines, f, indent=1)
        f.write('\n')
    if record:
        print(f'recorded for {here}')
    elif not known:
        print(f'NOTHING WAS COMPARED: there is no baseline for {here}. What was counted is in {FRESH}.')
        return 2
    elif wrong:
        print(f'more than {100 * TOLERANCE:.0f} % from the baseline: {"; ".join(wrong)}\n'
              'Less is an occasion, too: make check-perf PERF=--record, and commit the baseline with what changed it.')
        return 1
    return 0


sys.exit(main())
