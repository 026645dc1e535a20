"""D. PAM and ssh: what goes around the container, or keeps others from entering theirs."""
import re
import time

from attack import *


class Logins(Attack):
    def attack_39_fail_open(self):
        """Whatever is missing or broken, a user who belongs in a container has no process on the host."""
        container('alice')
        for break_it in ('chmod 0666 /etc/nsinit/nsinit.conf', 'mv /usr/libexec/nsinit/nsinit /usr/libexec/nsinit/nsinit.away',
                         f'rm {ROOTS}/alice/container.json'):
            run(f'cp -a /etc/nsinit/nsinit.conf /etc/nsinit/nsinit.conf.saved; cp -a {ROOTS}/alice/container.json /tmp/saved.json')
            run(break_it)
            try:
                done = host.ssh('alice', f'ls -d {MARK}; hostname')
            finally:
                run('[ ! -e /usr/libexec/nsinit/nsinit.away ] || mv /usr/libexec/nsinit/nsinit.away /usr/libexec/nsinit/nsinit')
                run(f'mv /etc/nsinit/nsinit.conf.saved /etc/nsinit/nsinit.conf; mv /tmp/saved.json {ROOTS}/alice/container.json')
            with self.subTest(break_it):
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn(MARK, done.stdout)
                self.assertNotIn(HOST, done.stdout)
        # The control: a module that is only `optional`, whose failure nobody minds.
        with open('/etc/pam.d/sshd') as f:
            stack = f.read()
        self.addCleanup(write, '/etc/pam.d/sshd', stack)
        write('/etc/pam.d/sshd', re.sub(r'(?m)^(session|auth)\s+\S+(\s+pam_nsinit)', r'\1 optional pam_deny.so #\2', stack))
        self.assertEqual(host.ssh('alice', f'ls -d {MARK}').stdout, MARK + '\n')
        write('/etc/pam.d/sshd', stack)
        self.holds('test_closed.Policy.test_everybody_is_refused', 'test_closed.Container.test_container_json_invalid',
                   'test_closed.Container.test_group_lookup_fails',
                   'test_closed.Container.test_groups_of_a_user_are_not_all_told', 'test_guard.Hook.test_child_that_is_not_let_in_runs_nothing',
                   'test_guard.Hook.test_session_line_that_stands_there_twice', 'test_guard.Control.test_sshd',
                   'test_guard.Control.test_other_services')

    def attack_40_around_the_shell(self):
        """What sshd does besides the shell: files, forwards, ~/.ssh/rc."""
        self.holds('test_ssh.Transfer.test_sftp_without_a_server_in_the_image', 'test_ssh.Forward.test_local_reaches_the_container_only',
                   'test_ssh.Forward.test_remote_listens_in_the_container_only', 'test_ssh.Forward.test_dynamic',
                   'test_ssh.Forward.test_stdio_forward', 'test_ssh.Forward.test_unix_sockets', 'test_bypass.Bypass.test_rc',
                   'test_bypass.Bypass.test_environment_file', 'test_units.Files.test_match_block',
                   'test_shell.Servers.test_forwards_are_closed_where_pam_is_not_used')

    def attack_41_other_ways_in(self):
        """cron, at, the user's systemd, su to a shell of one's own choice."""
        # The control: a program that becomes the user without PAM lands outside, as the manual says.
        done = run(['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups', 'ls', '-d', MARK])
        self.assertEqual(done.stdout, MARK + '\n')
        self.holds('test_services.Su.test_commands', 'test_services.Timed.test_cron', 'test_services.Timed.test_at',
                   'test_services.Unknown.test_systemd_user_and_unknown_services_are_refused', 'test_services.Login.test_plain_shell_is_refused')

    def attack_42_records_of_the_host(self):
        """A container whose utmp and log files are to take what sshd writes."""
        self.holds('test_ssh.Interactive.test_session_is_closed_on_the_host',
                   'test_shell.Servers.test_relayed_terminal_of_a_pam_login_is_the_host_s_in_its_records')

    def attack_43_sshd_in_the_container(self):
        """Processes of sshd that root inside could look into."""
        container('alice')
        session = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'echo in; sleep 1000'],
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(session.communicate)
        self.addCleanup(session.kill)
        self.assertEqual(session.stdout.readline(), 'in\n')
        self.assertIn('sshd: alice', run('ps -eo args').stdout)  # the control: there are such processes
        self.assertNotIn('sshd', host.ssh('alice', 'ps; cat /proc/[0-9]*/comm').stdout)
        session.kill()
        host.wait_nothing_left()
        self.holds('test_guard.Descriptors.test_sshd_s_processes_hold_what_they_need', 'test_shell_race.Race.test_root_inside')

    def attack_44_what_the_module_leaves(self):
        """Descriptors, environment, directory and signals of the program that has loaded the module."""
        self.holds('test_guard.Descriptors.test_sshd_s_processes_hold_what_they_need',
                   'test_guard.Hook.test_programs_that_other_modules_execute_keep_root_s_rights',
                   'test_services.Su.test_working_directory_and_environment',
                   'test_policy.Refusal.test_session_line_alone_exports_only_pam_functions')

    def attack_45_sessions_that_never_close(self):
        """sshd is killed, so that nobody says that the session is over."""
        self.holds('test_ssh.Kill.test_monitor', 'test_ssh.Kill.test_child', 'test_ssh.Kill.test_pid_1', 'test_ssh.Kill.test_supervisor',
                   'test_ssh.Command.test_nothing_runs_on_after_the_last_session')

    def attack_46_hang(self):
        """A supervisor that stands still: the next login must not wait for it for ever."""
        container('alice')
        first = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'echo in; sleep 1000'],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(first.communicate)
        self.addCleanup(first.kill)
        self.assertEqual(first.stdout.readline(), 'in\n')
        supervisor = int(run(['ps', '-o', 'ppid=', '-p', str(host.wait_nspid(f'{ROOTS}/alice'))]).stdout)
        os.kill(supervisor, signal.SIGSTOP)
        self.addCleanup(run, ['kill', '-CONT', str(supervisor)], check=False)
        started = time.monotonic()
        done = host.ssh('alice', 'hostname')
        self.assertNotEqual(done.returncode, 0)
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(host.ssh('carol', 'hostname').stdout, HOST + '\n')  # nobody else waits
        os.kill(supervisor, signal.SIGCONT)
        first.kill()
        host.wait_nothing_left()
        self.holds('test_shell_kill.Stopped.test_worker', 'test_shell_kill.Stopped.test_flood_of_nsinitd')

    def attack_47_what_is_shown(self):
        """Names with line ends and orders to terminals, in what is printed and in the log."""
        root = f'{ROOTS}/a\nb\x1b[31m\x9b2Jc'
        os.makedirs(root)
        self.addCleanup(run, ['rm', '-r', root])
        write(f'{root}/container.json', '{"hos\\tname\x7f": "\\u001b[2J"}')

        def control_characters(text):
            return re.findall('[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]', text)
        self.assertTrue(control_characters(run(Naive().argv(root + '/none', 'true'), check=False).stderr))
        for command in (['exec', '-C', root, 'true'], ['exec', '-C', root + '/none', 'true'], ['check', root], ['stats', '-C', root],
                        ['explain', 'al\x1b[31mice'], ['exec', '-u', '\x1b[31m', '-C', f'{ROOTS}/alice', 'true']):
            container('alice')
            done = host.nsinit(*command)
            with self.subTest(command=command):
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(control_characters(done.stdout + done.stderr), [])
        self.assertEqual(control_characters(host.log_text().replace('\t', ' ')), [])
