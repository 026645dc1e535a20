"""machinectl shows the containers of rules with `machined = true`."""
import json

import host
from host import run, ssh
from machine import ROOT, SLOW, Case, until


class Machined(Case):
    def setUp(self):
        super().setUp()
        self.name = 'nsinit-' + self.group().split('/')[-1]

    @staticmethod
    def listed():
        shown = run('machinectl list --output=json', check=False, timeout=SLOW).stdout
        return [m['machine'] for m in json.loads(shown or '[]')]

    def supervisor(self):
        return int(run(f'ps -o ppid= -p {host.wait_nspid(ROOT)}').stdout)

    def test_a_container_is_listed_while_it_lives(self):
        self.rules('machined = true;')
        client = self.session('alice', 'echo in; read x; echo the end in order')
        until(lambda: self.name in self.listed(), 'the machine')
        shown = dict(line.split('=', 1) for line in run(['machinectl', 'show', self.name]).stdout.splitlines())
        self.assertEqual((shown['Service'], shown['Class'], shown['RootDirectory'], shown['Leader']),
                         ('nsinit', 'container', ROOT, str(self.supervisor())))
        self.assertEqual(self.group_of(self.supervisor()), f'/machine.slice/{shown["Unit"]}')
        # What is inside stays where its limits are, pid 1 and whoever comes later.
        self.assertTrue(self.group_of(host.wait_nspid(ROOT)).startswith(self.group()))
        self.assertEqual(ssh('alice', 'cat /proc/self/cgroup').stdout, f'0::{self.group()}\n')
        self.assertEqual(client.communicate('\n', timeout=SLOW)[0], 'the end in order\n')
        until(lambda: self.name not in self.listed(), 'its end')

    def test_machinectl_ends_it(self):
        self.rules('machined = true;')
        for how in ('terminate', 'poweroff'):
            client = self.session('alice', 'echo in; sleep 1000')
            until(lambda: self.name in self.listed(), 'the machine')
            run(['machinectl', how, self.name])
            client.communicate(timeout=SLOW)
            until(host.nothing_left, 'the end of the container')
            self.logged('ended: a signal has come')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_not_by_default(self):
        client = self.session('alice', 'echo in; read x')
        self.assertNotIn(self.name, self.listed())
        self.assertTrue(self.group_of(self.supervisor()).startswith('/nsinit/'))
        client.communicate('\n', timeout=SLOW)

    def test_no_login_depends_on_it(self):
        self.rules('machined = true;')
        run('systemctl mask --runtime --now systemd-machined.service')
        self.addCleanup(run, 'systemctl unmask --runtime systemd-machined.service')
        client = self.session('alice', 'echo in; read x; echo the end in order')
        self.logged(r'reason=machined registering at org.freedesktop.machine1: ')
        self.assertEqual(client.communicate('\n', timeout=SLOW)[0], 'the end in order\n')
