"""The suites of tests/live that say where a login lands, with this machine's kernel, OpenSSH, PAM, cron and su."""
import subprocess
import unittest

PATIENCE = 8  # software emulation
# The throw-away host begins as this one, which has its users by now.
FRESH = 'for user in alice bob carol; do userdel -r "$user" 2>/dev/null; done; rm -f /root/key*; exec python3 tests/live/run.py "$@"'


class Bare(unittest.TestCase):
    """Before anything is installed."""

    def test_the_demo_of_the_readme(self):
        done = subprocess.run(['tests/demo'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done)
        for shown in ('alices-container\nuid=', 'sent by sftp\n', 'hello from inside\n', '# it works'):
            self.assertIn(shown, done.stdout)
        self.assertNotEqual(subprocess.run(['id', 'alice'], capture_output=True).returncode, 0)  # it has vanished


class Suites(unittest.TestCase):
    too_long = 1500

    def suite(self, *names):
        done = subprocess.Popen(['tests/host/enter', 'env', f'NSINIT_PATIENCE={PATIENCE}', 'sh', '-c', FRESH, 'sh', *names],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(done.kill)
        print(flush=True)
        last = ''
        for line in done.stdout:
            print('#', line, end='', flush=True)
            last = line
        self.assertRegex(last, r'^[1-9]\d* passed, 0 failed, 0 skipped$')
        self.assertEqual(done.wait(), 0)

    def test_ssh(self):
        self.suite('test_ssh.')

    def test_services(self):
        self.suite('test_services.')

    def test_want_of_processes(self):
        """In a control group v2: hosts of the live tests may have version 1."""
        self.suite('--faults', 'Processes')
