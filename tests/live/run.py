"""Run tests on the throw-away host: python3 tests/live/run.py [-x] [--attacks|--hygiene|--faults] [NAME...]

The live tests, or those of tests/attacks, tests/hygiene or tests/faults.
"""
import sys
import unittest

import host


class Result(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def names(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from names(test)
        else:
            yield test


def main():
    stop_early = '-x' in sys.argv
    directory = next((f'tests/{name}' for name in ('attacks', 'hygiene', 'faults') if f'--{name}' in sys.argv), 'tests/live')
    wanted = [a for a in sys.argv[1:] if a not in ('-x', '--attacks', '--hygiene', '--faults')]
    loader = unittest.TestLoader()
    loader.testMethodPrefix = 'attack_' if directory == 'tests/attacks' else 'test_'
    suite = unittest.TestSuite(
        t for t in names(loader.discover(directory, pattern='test_*.py'))
        if not wanted or any(w in t.id() for w in wanted))
    host.THE = host.Host()
    try:
        result = unittest.TextTestRunner(resultclass=Result, verbosity=2, stream=sys.stdout, failfast=stop_early).run(suite)
    finally:
        host.THE.stop()
    failed = len(result.failures) + len(result.errors)
    print(f'{result.passed} passed, {failed} failed, {len(result.skipped)} skipped')
    # A skip hides what was to be shown: it counts as a failure.
    sys.exit(1 if failed or result.skipped or not result.passed else 0)


main()
