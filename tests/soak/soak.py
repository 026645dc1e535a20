"""See tests/soak/run."""
import json
import os
import random
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
import kills  # noqa: E402
import logins  # noqa: E402
import machine  # noqa: E402
import places  # noqa: E402
from host import ROOTS, RUN_DIR, SPEC, container, policy, run, until, wait_nothing_left, write  # noqa: E402
from logins import (Login, Tally, by_exec, by_pam, by_shell, by_ssh, by_ssh_with_terminal, by_su, must)  # noqa: E402

SHORT = '--short' in sys.argv
SEED = int(os.environ.get('NSINIT_SOAK_SEED') or random.SystemRandom().randrange(10 ** 9))


def setting(name, long, short):
    return float(os.environ.get(f'NSINIT_SOAK_{name}') or (short if SHORT else long))


MINUTES = setting('MINUTES', 10, 0.4)
LOGINS = int(setting('LOGINS', 5000, 200))
BY_SSH = int(setting('SSH', 200, 8))
BURST = int(setting('BURST', 50, 50))
ROUNDS = int(setting('ROUNDS', 10, 1))
PARTS = [a for a in sys.argv[1:] if not a.startswith('-')]
GROWTH = 128  # KiB that a process may have grown at the end

USERS = ('alice', 'carol', 'dave')
COMMANDS = ('one', 'two')  # root directories of nsinit exec
# alice's container ends with her last session, carol's a second later; dave's lives on and is spared by whoever kills.
RULES = [f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; resources = "best-effort"; limits: {{ bridges = [ "soakbr0" ]; }}; }}',
         f'{{ user = "carol"; rootfs = "{ROOTS}/carol"; lifetime = 1; }}',
         f'{{ user = "dave"; rootfs = "{ROOTS}/dave"; lifetime = "forever"; }}',
         f'{{ user = "bob"; rootfs = "{ROOTS}/bob"; }}']
NETWORKS = 'networks: ( { bridge = "soakbr0"; create = true; address = [ "10.78.0.1/24" ]; pool = [ "10.78.0.0/24" ]; nat = true; } );'
KINDS = [(by_ssh, 'alice', 4), (by_ssh, 'carol', 4), (by_ssh_with_terminal, 'alice', 2), (by_ssh, 'dave', 1), (by_pam, 'alice', 4),
         (by_pam, 'carol', 4), (by_pam, 'dave', 1), (by_su, 'alice', 2), (by_su, 'carol', 2), (by_shell, 'bob', 3), (by_ssh, 'bob', 1),
         (by_exec, 'one', 4), (by_exec, 'two', 3), (by_exec, 'carol', 1)]


class Soak:
    def __init__(self):
        os.makedirs(machine.GROUPS, exist_ok=True)
        run(['mount', '-t', 'cgroup2', 'none', machine.GROUPS])
        logins.prepare()
        container('alice', {**SPEC, 'resources': {'pids': {'max': 500}}, 'network': {'bridge': 'soakbr0', 'ip': 'auto'}})
        for name in ('carol', 'dave', 'bob', *COMMANDS):
            container(name)
        for name in os.listdir(ROOTS):
            write(f'{ROOTS}/{name}{logins.RAN}', '', mode=0o666)
        run('usermod -s /usr/bin/nsinit-shell bob; usermod -s /bin/sh dave')
        with open('/etc/pam.d/su', 'a') as f:
            f.write('session required pam_nsinit.so\n')
        policy(RULES, extra=NETWORKS)
        self.broker = None
        self.kept_space, self.lasting = None, {}

    # ------------------------------------------------------------ those that live on

    def settle(self):
        """The processes whose memory is compared, after one login of each kind."""
        self.broker = subprocess.Popen(['nsinitd'])
        host.wait_nsinitd()
        self.one_of_each()
        with open(f'{ROOTS}/dave/.nspid') as f:
            pid1 = int(f.read())
        self.kept_space = machine.link(f'/proc/{pid1}/ns/pid')
        supervisor = next(p.parent for p in machine.processes() if p.pid == pid1)
        self.lasting = {'sshd': host.THE.sshd.pid, 'nsinitd': self.broker.pid, "dave's supervisor": supervisor, "dave's pid 1": pid1}
        self.quiet()
        self.before, self.held = machine.state(), {name: machine.holding(pid) for name, pid in self.lasting.items()}

    def one_of_each(self):
        """A login of each kind works, and so what was killed is swept."""
        for way, user, _ in KINDS:
            must(Login(way, user))

    def quiet(self):
        """Only dave's container is left."""
        spared = self.kept_space

        def left():
            return [p for p in machine.processes() if p.space != spared and p.pid != self.lasting.get("dave's supervisor")
                    and p.name in ('nsinit', 'nsinit-init', 'nsinit-shell', 'harness', 'sshd-session', 'ssh')]
        if spared:
            until(lambda: not left(), 'the end of all containers but one', 20)
        else:
            until(lambda: len([p for p in machine.processes() if p.name == 'nsinit-init']) == 1, 'the end of all containers but one', 20)
        until(lambda: not [p for p in machine.processes() if p.arguments.startswith('sshd') and ': ' in p.arguments and 'listener' not in p.arguments],
              'the end of all connections', 20)

    def spare(self, p):
        return p.space == self.kept_space or p.pid in self.lasting.values()

    def nothing_left(self):
        self.quiet()
        try:
            until(lambda: not machine.difference(self.before, machine.state()), 'the state before', 10)
        except AssertionError:
            left = machine.difference(self.before, machine.state())
            raise AssertionError('left behind:\n' + '\n'.join(left) + '\n' + host.log_text()[-4000:])

    # ------------------------------------------------------------ the parts

    def first_logins_at_once(self):
        """As after a boot: nothing of nsinit's in /run yet. By sshd, and by all that need no second container."""
        for ways in ([by_ssh], [by_ssh, by_pam, by_su, by_pam], [by_pam]):
            run(['rm', '-rf', RUN_DIR, f'{ROOTS}/alice/tmp/here'])
            log_from = len(host.log_text())
            # They wait for each other, so that nobody is late.
            wait = f'readlink /proc/self/ns/pid | tee -a /tmp/here; n=0; while [ $(wc -l </tmp/here) -lt {BURST} ] && ' \
                '[ $n -lt 60 ]; do sleep 0.5; n=$((n+1)); done'
            crowd = [Login(ways[i % len(ways)], 'alice', then=wait) for i in range(BURST)]
            write(f'{ROOTS}/alice/tmp/here', '', mode=0o666)
            threads = [threading.Thread(target=login.run) for login in crowd]
            started = time.monotonic()
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert {login.outcome for login in crowd} == {'inside'}, [x for x in crowd if x.outcome != 'inside']
            spaces = {line for login in crowd for line in login.out.split() if line.startswith('pid:')}
            n = host.log_text()[log_from:].count(f'user=alice rootfs={ROOTS}/alice started')
            print(f'    {BURST} at once by {", ".join(w.__name__[3:] for w in ways)}: {time.monotonic() - started:.1f} s, '
                  f'{n} started, pid namespaces: {len(spaces)}')
            assert n == len(spaces) == 1, (n, spaces)
            wait_nothing_left()

    def one_after_the_other(self):
        tally, started = Tally(), time.monotonic()
        rest = LOGINS - BY_SSH
        for n in range(BY_SSH):
            tally.add(must(Login(by_ssh, USERS[n % 3])))
        ssh_took = time.monotonic() - started
        for n in range(rest):
            tally.add(must(Login(by_pam, USERS[n % 3])))
        tally.check()
        print(f'{tally}\n    {BY_SSH} by sshd in {ssh_took:.0f} s, {rest} by the module in {time.monotonic() - started - ssh_took:.0f} s')
        assert tally.total() == tally.total('inside') == LOGINS
        self.nothing_left()

    def storm(self):
        """Everything at once, and somebody who kills; then everything has to be in order again."""
        tally, end = Tally(), time.monotonic() + MINUTES * 60
        killer = kills.Killer(random.Random(f'{SEED} killer'), self.spare, (0.02, 0.3))

        def come_and_go(number):
            chance = random.Random(f'{SEED} {number}')
            while time.monotonic() < end:
                way, user, _ = chance.choices(KINDS, [weight for _, _, weight in KINDS])[0]
                tally.add(Login(way, user, round(chance.uniform(0, 0.4), 2)).run())
        seen, broken = [], []

        def look():
            while time.monotonic() < end:
                done = host.nsinit('list', '--json')
                try:
                    seen.append(len(json.loads(done.stdout)))
                except ValueError:
                    broken.append(done)
                time.sleep(0.3)
        threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(10)] + [threading.Thread(target=look)]
        killer.start()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        killer.stop()
        print(f'{tally}\n    killed: ' + ', '.join(f'{n} {kind}' for kind, n in sorted(killer.counts.items())))
        self.one_of_each()
        self.nothing_left()
        tally.check()
        assert max(seen) > 2 and not broken, (seen, broken)
        missing = set(kills.kinds('')) - set(killer.counts)
        assert not missing, f'never killed: {missing}'
        assert tally.total('inside') and tally.total('refused') and tally.total('inside, cut short'), tally

    def places(self):
        try:
            raced, ended, lost_after, opened = places.race(ROUNDS)
        finally:
            policy(RULES, extra=NETWORKS)
        print(f'    {len(raced)} targets: {" ".join(raced)}\n    starts: ' + ', '.join(f'{n} {o}' for o, n in sorted(ended.items()))
              + f'\n    the naive program lost after {lost_after}; {opened} containers were live while proc was a link to /proc in turn')

    def memory(self):
        """Of the processes that have lived all the time."""
        print(f'    {"":20}' + ''.join(f'{what:>24}' for what in self.held['sshd']))
        grown = []
        for name, pid in self.lasting.items():
            now = machine.holding(pid)
            print(f'    {name:20}' + ''.join(f'{self.held[name][what]:>12} -> {now[what]:>8}' for what in now))
            if now['fds'] != self.held[name]['fds'] or now['private dirty'] - self.held[name]['private dirty'] > GROWTH:
                grown.append(name)
        assert not grown, grown
        after = machine.state()
        print('    ' + ', '.join(f'{what}: {len(before)} -> {len(after[what])}' for what, before in self.before.items()))
        self.nothing_left()

    def end(self):
        if self.broker:
            self.broker.terminate()
            self.broker.wait()
        for p in machine.processes():
            if p.name == 'nsinit' and p.arguments.endswith(' supervise'):
                os.kill(p.pid, 15)
        try:
            wait_nothing_left()
        finally:
            for name in machine.own_groups():
                os.rmdir(f'{machine.GROUPS}/nsinit/{name}')
            run(['umount', machine.GROUPS])


def main():
    print(f'seed {SEED}; {"short" if SHORT else "long"}: {MINUTES} minutes of storm, {LOGINS} logins, {BY_SSH} of them by sshd, '
          f'{BURST} at once, {ROUNDS} rounds for each mount target', flush=True)
    host.THE = host.Host()
    soak, passed, failed = Soak(), 0, 0
    try:
        for part in (soak.places, soak.first_logins_at_once, soak.settle, soak.one_after_the_other, soak.storm, soak.memory):
            if PARTS and part.__name__ not in PARTS:
                continue
            started = time.monotonic()
            try:
                part()
            except Exception:  # whatever it is: the next part is to run
                traceback.print_exc(file=sys.stdout)
                failed += 1
                print(f'FAIL  {part.__name__} ({time.monotonic() - started:.0f} s)', flush=True)
                continue
            passed += 1
            print(f'ok    {part.__name__} ({time.monotonic() - started:.0f} s)', flush=True)
    finally:
        soak.end()
        host.THE.stop()
    print(f'{passed} passed, {failed} failed, 0 skipped')
    sys.exit(1 if failed or not passed else 0)


main()
