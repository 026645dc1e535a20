"""Many live containers of one image on one machine: what each takes, and whether the next ones get slower.

    tests/bench/scale [N...]        1, 10, 100 and 1000 without numbers; writes docs/bench/scale.json

Each is a login container of another user, idle. At each number: the latency of joining one of them (nsinit exec
into a container of its own, a login into a live one), of the first login of a user who had none, and the memory.

    tests/bench/scale --break       more and more, until a login is refused: what breaks first
"""
import json
import os
import re
import subprocess
import sys
import time

import places
from measure import Series, in_turns
from places import ROOTS, host


RESULTS = 'docs/bench/scale.json'


def pss(name):
    """Kibibytes of proportional set size of all processes of that name, and how many there are."""
    total = n = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/comm') as f:
                if f.read().strip() != name:
                    continue
            with open(f'/proc/{pid}/smaps_rollup') as f:
                total += int(re.search(r'Pss:\s*(\d+)', f.read()).group(1))
            n += 1
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total, n


def meminfo():
    with open('/proc/meminfo') as f:
        return {k: int(v) for k, v in re.findall(r'(\w+):\s*(\d+)', f.read())}


def kernel_memory(m):
    """Kibibytes that the kernel has for itself, page cache left out; what it gives per CPU is counted once."""
    return m['Slab'] + m['KernelStack'] + m['PageTables'] + m.get('Percpu', 0) + m['VmallocUsed']


def first_logins(users):
    """Milliseconds of open_session for each; their containers stay."""
    times = []
    for user in users:
        argv = ['chrt', '-r', '1', 'build/bench/login', places.PAM, 'sshd', user, '1']
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f'{user}: {done.stderr}')
        times.append(float(done.stdout.split()[1]) / 1000)
    return times


def probe(command, live_user, fresh_users):
    """The latencies now; the last of them makes as many containers more as there are fresh users."""
    join = in_turns({'join': command}, 60)['join']
    login = [sum(r[1:4]) for r in places.login(live_user, 60)]
    first = first_logins(fresh_users)
    return {'join': join.median, 'login, live': Series(login).median, 'first login': Series(first).median}


def run(numbers, say=print):
    fresh = 25  # first logins measured at each number
    users = places.shared_image(max(numbers) + fresh * len(numbers) + 1)
    places.pam()
    root = places.root_directory(f'{ROOTS}/live')
    pid = places.live_exec(root)
    command = ['/usr/bin/nsinit', 'exec', '-C', root, '/bin/true']
    first_logins(users[:1])  # what is only done once (modules, directories)
    end_all(pid)
    pid = places.live_exec(root)
    before, found, made = meminfo(), {}, 0
    try:
        for number in sorted(numbers):
            first_logins(users[made:number])
            made = max(made, number)
            time.sleep(2)
            now = meminfo()
            found[number] = probe(command, users[0], users[made:made + fresh])
            made += fresh
            supervisors, n = pss('nsinit')
            inits, _ = pss('nsinit-init')
            lives = number
            found[number].update({
                'pss': (supervisors + inits) / max(n, 1), 'supervisor': supervisors / max(n, 1), 'pid 1': inits / max(n, 1),
                'kernel': (kernel_memory(now) - kernel_memory(before)) / lives,
                'all': (before['MemAvailable'] - now['MemAvailable']) / lives})
            say(f'{number:5} live: ' + ', '.join(f'{k} {v:.2f}' for k, v in found[number].items()))
    finally:
        end_all(pid)
    return found


def end_all(front):
    """All at once; a thousand take a while."""
    if front:
        os.kill(front, 9)
    for pid in host.supervisors():
        try:
            with open(f'/proc/{pid}/comm') as f:
                if f.read() == 'nsinit\n':
                    os.kill(pid, 15)
        except (FileNotFoundError, ProcessLookupError):
            pass
    host.until(host.nothing_left, 'the end of every container', 300)


def until_it_breaks(say):
    """First logins of one user after the other, until one is refused: how many were let in, and why that one was not."""
    users = places.shared_image(5000)
    places.pam()
    before = len(host.log_text())
    last = 0
    try:
        for last in range(0, len(users), 100):
            first_logins(users[last:last + 100])
    except RuntimeError as e:
        refused = re.findall(r'reason=.*', host.log_text()[before:])
        say(f'refused: {e}; {refused[-1] if refused else "nothing in the log"}')
    finally:
        say(f'memory left: {meminfo()["MemAvailable"] >> 10} MiB')
        end_all(None)


def main():
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    host.THE = host.Host()
    try:
        if '--break' in sys.argv:
            return until_it_breaks(lambda text: print(text, flush=True))
        found = run(numbers or [1, 10, 100, 1000], lambda text: print(text, flush=True))
    finally:
        host.THE.stop()
    if not numbers:
        with open(RESULTS, 'w') as f:
            json.dump({'scale': found}, f, indent=1)


if __name__ == '__main__':
    main()
