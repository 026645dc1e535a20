"""A container and systemd: it is of no session and no service, while its sessions are."""
import os
import subprocess

from machine import SLOW, Case, until
import host
from host import PORT, ROOTS, SSH_OPTIONS, policy, run, ssh, write

LODGING = '/nsinit/supervisors'


class Logind(Case):
    def bob(self, options='lifetime = 3600;'):
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "bob"; rootfs = "{ROOTS}/bob"; {options} }}'])
        self.addCleanup(run, f'nsinit kill -C {ROOTS}/bob', check=False)

    @staticmethod
    def sessions():
        return run('loginctl list-sessions --no-legend').stdout

    def states(self):
        """Of bob's sessions."""
        numbers = [line.split()[0] for line in self.sessions().splitlines() if ' bob ' in line]
        return {run(f'loginctl show-session {n} -p State --value').stdout.strip() for n in numbers}

    def test_neither_supervisor_nor_pid_1_is_of_the_session(self):
        self.bob()
        client = self.session('bob', 'echo in; cat /proc/self/cgroup; read x')
        self.assertRegex(client.stdout.readline(), r'^0::/user.slice/.*/session-\w+\.scope$')
        pid1 = host.wait_nspid(f'{ROOTS}/bob')
        supervisor = run(f'ps -o ppid= -p {pid1}').stdout.strip()
        self.assertEqual((self.group_of(pid1), self.group_of(supervisor)), (LODGING, LODGING))
        self.assertIn(' bob ', self.sessions())
        client.communicate('\n', timeout=SLOW)
        until(lambda: ' bob ' not in self.sessions(), 'the end of the session')
        self.assertTrue(os.path.exists(f'/proc/{pid1}'))

    def test_kill_user_processes_is_honoured_and_spares_the_container(self):
        os.makedirs('/etc/systemd/logind.conf.d', exist_ok=True)
        write('/etc/systemd/logind.conf.d/kill.conf', '[Login]\nKillUserProcesses=yes\n')
        self.addCleanup(run, 'rm /etc/systemd/logind.conf.d/kill.conf && systemctl restart systemd-logind')
        run('systemctl restart systemd-logind')
        self.bob()
        command = 'readlink /proc/self/ns/pid; setsid sleep 4345 </dev/null >/dev/null 2>&1 & sleep 1'
        first = ssh('bob', command, timeout=SLOW).stdout
        until(lambda: not run('pgrep -f "^sleep 4345"', check=False).stdout, 'the end of what the session left behind')
        self.assertEqual(ssh('bob', 'readlink /proc/self/ns/pid', timeout=SLOW).stdout, first)

    def test_without_it_it_goes_on(self):
        """The control for the one above."""
        self.bob()
        self.assertEqual(ssh('bob', 'setsid sleep 4346 </dev/null >/dev/null 2>&1 & sleep 1; echo out', timeout=SLOW).stdout, 'out\n')
        until(lambda: self.states() == {'closing'}, 'its end')
        self.assertTrue(run('pgrep -f "^sleep 4346"').stdout)

    def echo(self, user):
        client = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', 'while read x; do hostname; done'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        return client

    def test_sessions_outlive_a_restart_of_ssh_and_an_upgrade(self):
        self.bob('')
        client = self.echo('bob')
        for command in ('true', 'systemctl restart ssh.service', 'dpkg -i /nsinit-packages/*.deb', 'systemctl restart nsinitd.socket'):
            run(command, timeout=300)
            client.stdin.write('\n')
            client.stdin.flush()
            self.assertEqual(client.stdout.readline(), 'inside\n', command)
        until(lambda: host.Host.listening(PORT), 'sshd listening')
        self.assertEqual(ssh('bob', 'hostname', timeout=SLOW).stdout, 'inside\n')

    def test_no_directory_of_logind_s_is_promised_inside(self):
        self.bob('')
        shown = ssh('bob', 'env', timeout=SLOW).stdout
        self.assertIn('XDG_SESSION_ID=', shown)  # the control: pam_systemd has set something
        self.assertNotIn('XDG_RUNTIME_DIR=', shown)
        self.assertNotIn('DBUS_SESSION_BUS_ADDRESS=', shown)

