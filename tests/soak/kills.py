"""Who kills, and whom."""
import collections
import os
import re
import signal
import threading
import time

import machine


def kinds(space):
    """For each kind of process, whether one is of it. `space` is the host's pid namespace."""
    def here(p):
        return p.space == space

    return {
        'supervisor': lambda p: here(p) and p.name == 'nsinit' and p.arguments.endswith(' supervise'),
        'pid 1': lambda p: not here(p) and p.first,
        'sshd monitor': lambda p: here(p) and re.match(r'sshd(-session)?: \w+ \[priv\]$', p.arguments),
        'sshd child': lambda p: here(p) and re.match(r'sshd(-session)?: \w+@', p.arguments),
        'joined process': lambda p: not here(p) and not p.first,
        'front of nsinit exec': lambda p: here(p) and p.name == 'nsinit' and ' exec ' in p.arguments,
        'nsinit-shell': lambda p: here(p) and p.name == 'nsinit-shell',
        'su': lambda p: here(p) and p.name == 'su',
        'caller of PAM': lambda p: here(p) and p.name == 'harness',
    }


class Killer(threading.Thread):
    """Until it is stopped, kill a process of a random kind, wait a little, and again."""

    def __init__(self, random, spared, pause):
        super().__init__()
        self.random, self.spared, self.pause = random, spared, pause
        self.counts = collections.Counter()
        self.stopping = threading.Event()

    def run(self):
        space = machine.link('/proc/self/ns/pid')
        of_kind = kinds(space)
        while not self.stopping.is_set():
            living = [p for p in machine.processes() if p.space and not self.spared(p)]
            victims = {kind: found for kind, is_one in of_kind.items() if (found := [p for p in living if is_one(p)])}
            if not victims:
                continue
            # Of a kind that has been spared so far, if there is one.
            kind = self.random.choices(list(victims), [1 / (1 + self.counts[kind]) for kind in victims])[0]
            # One of them; now and then all.
            for p in victims[kind] if self.random.random() < 0.1 else [self.random.choice(victims[kind])]:
                try:
                    os.kill(p.pid, signal.SIGKILL)
                    self.counts[kind] += 1
                except ProcessLookupError:
                    pass
            time.sleep(self.random.uniform(*self.pause))

    def stop(self):
        self.stopping.set()
        self.join()
