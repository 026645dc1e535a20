"""The benchmark: python3 tests/bench/bench.py [--quick] [SECTION...], on the throw-away host (`make bench`).

Prints a table with what was to be reached and writes build/bench/results.json; with all sections also the table, the
figures and the plots in docs/bench/. Everything that is compared runs in turns in one go: the ratios are what counts.
docs/performance.md says what each row means.
"""
import json
import os
import platform
import re
import subprocess
import sys
import time

import budget as budgets
import peers
import places
import plots
import scale
from measure import Series, in_turns, works
from places import ROOTS, host

QUICK = '--quick' in sys.argv
RESULTS = 'build/bench/results.json'
rows = []  # of the table
results = {'series': {}, 'notes': []}


def rounds(n):
    return max(5, n // 10) if QUICK else n


def say(text):
    print(text, flush=True)


def keep(section, series):
    results['series'][section] = {name: s.summary() for name, s in series.items()}
    say(f'\n{section}')
    for name, s in sorted(series.items(), key=lambda item: item[1].median):
        say(f'  {name:34}{s}')


def row(what, against, measured, bar, unit='x', spread=None):
    """One line of the table; `measured` None: it could not be measured here. `spread`: its 10th and 90th percentile."""
    rows.append({'what': what, 'against': against, 'measured': measured, 'spread': spread, 'at most': bar, 'unit': unit,
                 'reached': None if measured is None else measured <= bar})


def compare(what, series, ours, others):
    """The ratio of the medians; its spread is that of the ratios of the single rounds."""
    for name, bar in others.items():
        if name not in series:
            row(what, name, None, bar)
            continue
        a, b = series[ours], series[name]
        single = Series([x / y for x, y in zip(a.rounds, b.rounds)])
        row(what, name, a.median / b.median, bar, spread=[single.at(0.1), single.at(0.9)])


# ------------------------------------------------------------------ spawn and join

def usable(commands):
    """Those that work here; why the others do not is noted."""
    good = {}
    for name in [n for n, argv in commands.items() if not argv]:
        results['notes'].append(f'{name}: left out: {peers.MISSING.get(name, "not installed")}')
        del commands[name]
    for name, argv in commands.items():
        why = works(argv)
        if name == 'firejail' and not why:
            check = subprocess.run([a for a in map(str, argv) if a != '--quiet'], capture_output=True, text=True)
            why = 'does nothing inside a pid namespace' if 'existing sandbox' in check.stdout + check.stderr else ''
        if why:
            results['notes'].append(f'{name}: left out: {why}')
        else:
            good[name] = argv
    return good


def spawn():
    root = places.root_directory(f'{ROOTS}/spawn')
    memory = places.root_directory('/tmp/spawn')
    mapped = places.root_directory(f'{ROOTS}/mapped', namespaces=[*places.SPEC['namespaces'], 'NEWUSER'])
    commands = {
        'floor': ['build/bench/floor', root, '/bin/true'],
        'nsinit exec': ['/usr/bin/nsinit', 'exec', '-C', root, '/bin/true'],
        'nsinit exec, root in memory': ['/usr/bin/nsinit', 'exec', '-C', memory, '/bin/true'],
        'nsinit exec, user namespace': ['/usr/bin/nsinit', 'exec', '-C', mapped, '/bin/true'],
        **peers.spawns(root)}
    commands = usable(commands)
    slow = {n: c for n, c in commands.items() if n.split()[0] in ('podman', 'systemd-nspawn', 'runc', 'crun')}
    series = in_turns({n: c for n, c in commands.items() if n not in slow}, rounds(400))
    # Two lots: an engine's leftovers (a cgroup, a daemon) would disturb the next one for long.
    both = in_turns({'nsinit exec': commands['nsinit exec'], **slow}, rounds(40))
    keep('spawn', series)
    keep('spawn, engines', both)
    compare('spawn', series, 'nsinit exec', {'floor': 1.5, 'bwrap': 1.0})
    compare('spawn', both, 'nsinit exec', {'crun run': 0.25, 'runc run': 0.25})


def join():
    root = places.root_directory(f'{ROOTS}/live')
    pid = places.live_exec(root)
    others = peers.Live(places.root_directory(f'{ROOTS}/others'), pid)
    try:
        ours = {'nsinit exec': ['/usr/bin/nsinit', 'exec', '-C', root, '/bin/true']}
        fast = usable({**ours, 'nsenter': others.commands.pop('nsenter')})
        slow = usable({**ours, **others.commands})
        series, both = in_turns(fast, rounds(400)), in_turns(slow, rounds(40))
    finally:
        others.end()
        os.kill(pid, 9)
    keep('join', series)
    keep('join, engines', both)
    compare('join, live, confined', series, 'nsinit exec', {'nsenter': 1.2})
    compare('join, live, confined', both, 'nsinit exec', {'crun exec': 0.75, 'runc exec': 0.25, 'podman exec': 0.05})


def budget():
    """Where the time goes."""
    if not budgets.installed():
        results['notes'].append('the budget is left out: perf is not installed')
        return
    spawned, joined = places.root_directory(f'{ROOTS}/spawn-budget'), places.root_directory(f'{ROOTS}/join-budget')
    pid = places.live_exec(joined)
    try:
        found = budgets.measure({
            'spawn': ['/usr/bin/nsinit', 'exec', '-C', spawned, '/bin/true'], 'floor': ['build/bench/floor', spawned, '/bin/true'],
            'join': ['/usr/bin/nsinit', 'exec', '-C', joined, '/bin/true'],
            'nsenter': [peers.path('nsenter'), '-t', str(pid), '-a', '/bin/true']}, rounds(300))
    finally:
        os.kill(pid, 9)
    results['budget'] = budgets.table(found)
    say('')
    for line in results['budget']:
        say('  {:62}{:>8}{:>8}{:>8}{:>8}'.format(*line))


# ------------------------------------------------------------------ logins

def columns(found):
    names = ['load', 'open_session', 'setcred', 'close_session', 'all']
    return {name: Series([r[i] for r in found]) for i, name in enumerate(names)}


HOOKS = ('open_session', 'setcred', 'close_session')


def hooks(series):
    """What a login takes more than without us."""
    return sum(series[name].median for name in HOOKS)


def with_lifetime(lifetime, **more):
    extra = ''.join(f' {k} = {v};' for k, v in more.items())
    places.policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; lifetime = {lifetime};{extra} }}'])


def login():
    places.root_directory(f'{ROOTS}/alice')
    with_lifetime('"linger"')
    live = columns(places.login('alice', rounds(300)))
    with places.PlainSshd():
        shells = in_turns({'ssh host true, plain sshd': places.ssh_argv('bob', places.PLAIN_PORT, 'true'),
                           'ssh host true, into the container': places.ssh_argv('alice', host.PORT, 'true')}, rounds(60))
    places.end_containers()
    with_lifetime(0)
    first = columns(places.login('alice', rounds(60), 80))
    places.end_containers()
    keep('login, container live', live)
    keep('login, first', first)
    keep('ssh', shells)
    plain = shells['ssh host true, plain sshd'].median
    for what, found, bar, share in (('login, container live', live, 1.0, 2.0), ('login, first', first, 6.0, 5.0)):
        sums = Series([sum(of) for of in zip(*(found[name].rounds for name in HOOKS))])
        spread = [sums.at(0.1), sums.at(0.9)]
        row(what, '-', hooks(found), bar, 'ms', spread)
        row(what, 'ssh host true, plain', 100 * hooks(found) / plain, share, '%', [100 * s / plain for s in spread])


def bare_write(group):
    """A process that moves itself: the milliseconds of its write."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        start = time.monotonic()
        with open(f'{group}/cgroup.procs', 'w') as f:
            f.write('0')
        os.write(write, str((time.monotonic() - start) * 1000).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    took = float(os.read(read, 64))
    os.close(read)
    os.close(write)
    return took


def cgroup():
    base = '/sys/fs/cgroup/bench'
    os.mkdir(base)
    with open('/proc/mounts') as f:
        favored = any('cgroup2' in line and 'favordynmods' in line for line in f)
    bare = []
    try:
        for _ in range(rounds(60)):
            bare.append(bare_write(base))
            time.sleep(0.03)
    finally:
        os.rmdir(base)
    found = {'bare write of cgroup.procs': Series(bare)}
    for name, resources in (('setcred', None), ('setcred, with a cgroup', {'pids': {'max': 100}})):
        places.root_directory(f'{ROOTS}/alice', **({'resources': resources} if resources else {}))
        with_lifetime('"linger"', **({'resources': '"best-effort"'} if resources else {}))
        found[name] = columns(places.login('alice', rounds(60), 30))['setcred']
        places.end_containers()
    keep('cgroup attach', found)
    if not favored:
        results['notes'].append('cgroup attach: this kernel waits for a grace period with each; see docs/performance.md')
    attach = found['setcred, with a cgroup'].median - found['setcred'].median
    row('cgroup attach on the login path', 'bare write', attach / found['bare write of cgroup.procs'].median, 0.1)


def storm():
    places.root_directory(f'{ROOTS}/alice')
    with_lifetime('"linger"')
    names = {'plain sshd': ('bob', places.PLAIN_PORT), 'into the container': ('alice', host.PORT)}
    walls = {name: [] for name in names}

    def all_at_once(argv, n=50):
        start = time.monotonic()
        running = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(n)]
        if any([p.wait() for p in running]):
            raise RuntimeError('a login failed')
        return (time.monotonic() - start) * 1000

    with places.PlainSshd():
        for _ in range(rounds(12) + 1):
            for name, (user, port) in names.items():
                walls[name].append(all_at_once(places.ssh_argv(user, port, 'true')))
    places.end_containers()
    series = {name: Series(times[1:]) for name, times in walls.items()}
    keep('50 logins at once', series)
    compare('50 concurrent logins', series, 'into the container', {'plain sshd': 1.1})


# ------------------------------------------------------------------ the rest

def relay():
    """Through a terminal of the container that nsinit-shell relays to the host's, on which it was started."""
    root = places.root_directory(f'{ROOTS}/alice')
    with_lifetime('"linger"')
    size = (64 if QUICK else 1024) << 20
    text = b'The quick brown fox jumps over the lazy dog, again and again.\n'
    with open(f'{root}/big', 'wb') as f:
        f.write(text * (size // len(text)))
    broker = subprocess.Popen(['nsinitd'])
    host.wait_nsinitd()
    as_alice = ['/usr/bin/setpriv', '--reuid=alice', '--regid=alice', '--init-groups']
    try:
        series = in_turns({
            'nsinit-shell': ['build/bench/sink', *as_alice, '/usr/bin/nsinit-shell', '-c', 'cat /big'],
            'script': ['build/bench/sink', '/usr/bin/script', '-qc', f'cat {root}/big', '/dev/null']}, rounds(10))
    finally:
        broker.terminate()
        broker.wait()
        os.unlink(f'{root}/big')
        places.end_containers()
    keep(f'relay of {size >> 20} MiB', series)
    compare('relay through a pty', series, 'nsinit-shell', {'script': 0.9})


def growth():
    found = scale.run([1, 10] if QUICK else [1, 10, 100], say)
    results['scale'] = found
    last = max(found)
    row(f'join with {last} live', 'with 1', found[last]['join'] / found[1]['join'], 1.2)
    row('memory per idle login container', 'PSS', found[last]['pss'], 400, 'KiB')
    row(f'first login of user {last} of one image', 'of the 1st', found[last]['first login'] / found[1]['first login'], 1.2)


SECTIONS = {f.__name__: f for f in (spawn, join, budget, login, cgroup, storm, relay, growth)}


def machine():
    with open('/proc/cpuinfo') as f:
        cpu = re.search(r'model name\s*: (.*)', f.read()).group(1)
    with open('/proc/meminfo') as f:
        memory = int(re.search(r'MemTotal:\s*(\d+)', f.read()).group(1))
    with open('/etc/os-release') as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read()).group(1)
    with open('/proc/cpuinfo') as f:
        virtual = ' hypervisor ' in f.read()
    return {'cpu': cpu, 'cpus': os.cpu_count(), 'memory GiB': round(memory / 2**20, 1), 'system': system,
            'small programs': 'musl' if os.path.exists('build/small-by-musl-gcc') else 'the libc',
            'kernel': platform.release().split('-')[0], 'virtual machine': virtual,
            'libc': ' '.join(platform.libc_ver())}


def cells(r):
    """The words of a line of the table."""
    unit = {'x': '×'}.get(r['unit'], r['unit'])
    measured = '-' if r['measured'] is None else f'{r["measured"]:.2f} {unit}'
    spread = ' to '.join(f'{s:.2f}' for s in r['spread'] or [])
    return [r['what'], r['against'], measured, spread, f'{r["at most"]} {unit}',
            {None: 'not measured here', True: 'yes', False: 'no'}[r['reached']]]


HEAD = ['what', 'against', 'median', '10 % to 90 %', 'at most', 'reached']


def table():
    say('\n' + '-' * 118)
    for line in [HEAD, *map(cells, rows)]:
        say('{:40}{:22}{:>12}{:>18}{:>12}   {}'.format(*line))
    for note in results['notes']:
        say(f'  {note}')


def as_page(lines):
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in [lines[0], ['---'] * len(lines[0]), *lines[1:]])


def write_table(path):
    """The same as a page, with what it was measured on."""
    m = results['machine']
    text = '# The last run of `make bench`\n\n' + ', '.join(f'{k}: {v}' for k, v in m.items()) + '.\n\n'
    text += ', '.join(f'{k} {v}' for k, v in results['versions'].items()) + '.\n\n'
    text += as_page([HEAD, *map(cells, rows)]) + '\n'
    text += ''.join(f'- {note}\n' for note in results['notes'])
    if 'budget' in results:
        text += '\n## Where the time goes\n\n' + as_page(results['budget'])
    with open(path, 'w') as f:
        f.write(text)


def latest_growth():
    """That of tests/bench/scale, if it was run, else this run's."""
    try:
        with open(scale.RESULTS) as f:
            return {int(n): at for n, at in json.load(f)['scale'].items()}
    except FileNotFoundError:
        return results['scale']


def draw():
    m = results['machine']
    note = (f'{m["cpu"]}, {m["cpus"]} CPUs{", virtual" if m["virtual machine"] else ""}, Linux {m["kernel"]}, {m["system"]}; '
            'medians, lines from the 10th to the 90th percentile')

    def both(a, b):
        joined = {**results['series'][b], **results['series'][a]}
        return [(name, s, name.startswith('nsinit')) for name, s in sorted(joined.items(), key=lambda i: i[1]['median'])]

    found = {'spawn': plots.bars('A container, /bin/true in it, and its end', note, both('spawn', 'spawn, engines')),
             'join': plots.bars('/bin/true in a live container', note, both('join', 'join, engines')),
             'storm': plots.bars('50 ssh logins at once', note, [
                 (n, s, n != 'plain sshd') for n, s in results['series']['50 logins at once'].items()])}
    at = latest_growth()
    lines = {name: {n: at[n][name] for n in at} for name in ('join', 'login, live', 'first login')}
    found['growth'] = plots.lines('Latency with live containers of one image', note, lines, 'live containers', 'ms')
    for name, svg in found.items():
        with open(f'docs/bench/{name}.svg', 'w') as f:
            f.write(svg)


def main():
    wanted = [a for a in sys.argv[1:] if not a.startswith('-')] or list(SECTIONS)
    os.makedirs('build/bench', exist_ok=True)
    host.THE = host.Host()
    peers.mount_cgroups()
    places.pam()
    results['machine'] = machine()
    results['versions'] = {'openssh': peers.version('sh', '-c', 'ssh -V 2>&1'), **peers.versions()}
    try:
        for name in wanted:
            SECTIONS[name]()
    finally:
        host.THE.stop()
    results['table'] = rows
    whole = wanted == list(SECTIONS) and not QUICK
    for path in [RESULTS, *(['docs/bench/results.json'] if whole else [])]:
        with open(path, 'w') as f:
            json.dump(results, f, indent=1)
    table()
    if whole:
        write_table('docs/bench/table.md')
        draw()


if __name__ == '__main__':
    main()
