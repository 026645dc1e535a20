"""Runs in turns, and what is told of them."""
import statistics
import subprocess

PACE = 'build/bench/pace'


class Series:
    """Times of one command, in milliseconds; `rounds` in the order in which they were measured."""

    def __init__(self, times):
        self.rounds = list(times)
        self.times = sorted(times)

    def at(self, share):
        return self.times[min(len(self.times) - 1, int(len(self.times) * share))]

    @property
    def median(self):
        return statistics.median(self.times)

    def summary(self):
        return {'runs': len(self.times), 'p10': round(self.at(0.1), 4), 'median': round(self.median, 4),
                'p90': round(self.at(0.9), 4)}

    def __str__(self):
        return f'{self.median:8.3f} ms  (p10 {self.at(0.1):.3f}, p90 {self.at(0.9):.3f}, {len(self.times)} runs)'


def in_turns(commands, rounds):
    """Run each of {name: argv} once a round, in an order that changes; {name: Series}."""
    names = list(commands)
    text = ''.join('\t'.join(map(str, commands[name])) + '\n' for name in names)
    done = subprocess.run([PACE, str(rounds)], input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    times = {name: [] for name in names}
    for line in done.stdout.splitlines():
        number, ns, _, _ = line.split()
        times[names[int(number)]].append(int(ns) / 1e6)
    return {name: Series(t) for name, t in times.items()}


def works(argv):
    """Whether it succeeds here at all; else the last line it says."""
    try:
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    return '' if done.returncode == 0 else (done.stderr.strip() or f'status {done.returncode}').splitlines()[-1]
