"""Who lands where, and that a mapped user gets nothing when anything is wrong."""
import json
import os
import re
import unittest

import host
from host import PORT, ROOTS, RUN_DIR, SPEC, container, nsinit, policy, run, ssh, until, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
RULES = ['{ user = "root"; stay = "host"; }', f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}',
         '{ user = "dave"; deny = "No container is set up for %u."; }']
MARK = '/tmp/a-host-process-ran'


class Case(unittest.TestCase):
    def setUp(self):
        container('alice')
        policy(RULES)
        if os.path.exists(MARK):
            os.unlink(MARK)
        self.addCleanup(wait_nothing_left)

    def refused(self, logged, user='alice'):
        """The login ends with 254 and no process of the user ever ran on the host; the log says why."""
        before = len(host.log_text())
        done = ssh(user, f'touch {MARK}; echo reached')
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn('reached', done.stdout)
        self.assertFalse(os.path.exists(MARK))
        until(lambda: re.search(logged, host.log_text()[before:]), f'{logged!r} in the log: '
              + host.log_text()[before:])
        forward = ssh(user, options=['-W', f'127.0.0.1:{PORT}'], timeout=20)
        self.assertNotIn('SSH-2.0', forward.stdout)
        return done


class Policy(Case):
    def test_unmapped_users_log_in_to_the_host(self):
        done = ssh('bob', 'hostname; readlink /proc/self/ns/mnt; id -un')
        self.assertEqual(done.stdout.split('\n')[0], 'throwaway')
        self.assertEqual(done.stdout.split('\n')[1], os.readlink('/proc/self/ns/mnt'))

    def let_root_in(self):
        os.makedirs('/root/.ssh', exist_ok=True)
        run(f'cp {host.KEY}.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chown root /root')

    def test_root_stays(self):
        self.let_root_in()
        self.assertEqual(ssh('root', 'hostname').stdout, 'throwaway\n')

    def test_denied_with_the_policy_s_sentence(self):
        done = self.refused('reason=denied user=dave', user='dave')
        self.assertEqual(done.returncode, 254)

    def test_unmapped_can_be_denied(self):
        policy(RULES, unmapped='deny')
        self.refused('reason=denied user=bob', user='bob')

    def test_first_match_wins_and_names_expand(self):
        policy([f'{{ user = ["alice", "bob"]; rootfs = "{ROOTS}/%u"; }}', '{ user = "*"; stay = "host"; }'])
        self.assertIn(f'rootfs:    {ROOTS}/alice', nsinit('explain', 'alice').stdout)
        self.assertIn(f'rootfs:    {ROOTS}/bob', nsinit('explain', 'bob').stdout)
        self.assertIn('stays on the host', nsinit('explain', 'root').stdout)
        policy(['{ user = "alice"; rootfs = "/x/%U/%%%h"; }'])
        uid = run('id -u alice').stdout.strip()
        self.assertIn(f'rootfs:    /x/{uid}/%/home/alice\n', nsinit('explain', 'alice').stdout)

    def test_explain_tells_rule_by_rule(self):
        policy(['{ user = "root"; stay = "host"; }', '{ group = "games"; deny = "No games."; }',
                f'{{ user = ["alice", "bob"]; rootfs = "{ROOTS}/%u"; userns = "off"; }}'])
        lines = [rule['line'] for rule in json.loads(nsinit('explain', '--json', 'alice').stdout)['tried']]
        shown = nsinit('explain', 'alice').stdout
        for line, said in zip(lines, ('no, for user root', 'no, for group games', 'yes, for user alice, bob')):
            self.assertIn(f'\nline {line}:'.ljust(12) + said + '\n', shown)
        found = json.loads(nsinit('explain', '--json', '--service', 'su', 'alice').stdout)
        self.assertEqual([(t['matches'], t['other']) for t in found['tried']], [(False, 'user'), (False, 'group'), (True, None)])
        self.assertEqual((found['result'], found['line'], found['container']['rootfs']), ('container', lines[2], f'{ROOTS}/alice'))
        self.assertEqual(found['container']['service'], {'name': 'su', 'mode': 'join', 'refused': 'that needs a user namespace',
                                                         'refused_at_terminal': True})
        self.assertEqual(json.loads(nsinit('explain', '--json', 'root').stdout)['container'], None)
        with open('man/nsinit.1') as f:
            page = f.read().split('.Ss nsinit explain')[1].split('.Ss nsinit doctor')[0]
        for key in (*found, *found['container'], *found['container']['service'], *found['tried'][0]):
            self.assertRegex(page, rf'\b{key}\b')

    def test_root_in_a_container_is_refused(self):
        policy([f'{{ user = "*"; rootfs = "{ROOTS}/alice"; }}'])
        done = nsinit('explain', 'root')
        self.assertEqual(done.returncode, 125)
        self.assertIn('uid 0', done.stderr)
        # sshd does not fork for uid 0 before the session: there would be no child to move.
        self.let_root_in()
        run(['useradd', '-o', '-u', '0', '-d', '/root', '-s', '/bin/sh', 'toor'])
        self.addCleanup(run, ['sed', '-i', '/^toor:/d', '/etc/passwd', '/etc/shadow', '/etc/group', '/etc/gshadow'])
        for user in ('root', 'toor'):
            refused = self.refused(f'reason=policy user={user} refused: .*uid 0', user=user)
            self.assertEqual(refused.returncode, 254)

    def test_user_in_another_s_container(self):
        """By a policy that has changed while it lives: one that gives it to both refuses both."""
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; }}'])
        import subprocess
        first = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(PORT), 'alice@127.0.0.1', 'echo in; sleep 1000'],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(first.stdout.readline(), 'in\n')
        policy([f'{{ user = "bob"; rootfs = "{ROOTS}/alice"; }}'])
        self.refused("another user's", user='bob')
        first.kill()
        first.communicate()


    def test_without_a_user_namespace(self):
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; userns = "off"; }}'])
        done = ssh('alice', 'hostname; readlink /proc/self/ns/user; head -c 11 /proc/1/cmdline; echo; '
                            'grep -E "Cap(Eff|Bnd)" /proc/self/status')
        self.assertEqual(done.stdout.split('\n')[:5],
                         ['inside', os.readlink('/proc/self/ns/user'), 'nsinit-init',
                          'CapEff:\t0000000000000000', 'CapBnd:\t00000000a80425fb'], done.stderr)


class Ceilings(Case):
    ASKS = {'capabilities': {'keep': ['KILL', 'SYS_PTRACE']}, 'namespaces': ['NEWNS', 'NEWPID', 'NEWNET', 'NEWUTS'],
            'sysctl': {'net.ipv4.ip_forward': '1', 'net.ipv4.ip_default_ttl': '33'}}
    SHOW = ('grep CapBnd /proc/self/status; readlink /proc/self/ns/ipc; cat /proc/sys/net/ipv4/ip_forward '
            '/proc/sys/net/ipv4/ip_default_ttl')

    def rule(self, limits):
        container('alice', {**SPEC, **self.ASKS})
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; limits: {{ {limits} }}; }}'])

    def test_without_any_it_gets_what_it_asks_for(self):
        self.rule('')
        self.assertEqual(ssh('alice', self.SHOW).stdout.split('\n')[:4],
                         ['CapBnd:\t0000000000080020', os.readlink('/proc/self/ns/ipc'), '1', '33'])

    def test_asking_for_more_is_refused(self):
        for limits, said in (('capabilities = [ "KILL", "CHOWN" ];', 'it keeps the capability SYS_PTRACE'),
                             ('host_namespaces = [ "NEWCGROUP" ];', 'it leaves out NEWIPC'),
                             ('host_namespaces = [ ];', 'it leaves out NEWIPC'),
                             ('sysctl = [ "net.ipv4.ip_f*", "net/ipv6/*" ];', 'it sets net.ipv4.ip_default_ttl')):
            self.rule(limits)
            self.refused(rf'reason=limits user=alice .*{said}, which the policy does not allow')

    def test_as_much_as_allowed(self):
        self.rule('capabilities = [ "KILL", "CAP_SYS_PTRACE" ]; host_namespaces = [ "NEWIPC", "NEWCGROUP" ]; '
                  'sysctl = [ "net/ipv4/*" ];')
        self.assertEqual(ssh('alice', self.SHOW).stdout.split('\n')[:4],
                         ['CapBnd:\t0000000000080020', os.readlink('/proc/self/ns/ipc'), '1', '33'])

    def test_clamp(self):
        self.rule('capabilities = [ "KILL" ]; host_namespaces = [ "NEWCGROUP" ]; sysctl = [ "*.ip_forward" ]; clamp = true;')
        lines = ssh('alice', self.SHOW).stdout.split('\n')
        self.assertEqual((lines[0], lines[2], lines[3]), ('CapBnd:\t0000000000000020', '1', '64'))
        self.assertNotEqual(lines[1], os.readlink('/proc/self/ns/ipc'))
        self.assertRegex(host.log_text(), r'reason=limits it keeps the capability SYS_PTRACE: clamped, it leaves out NEWIPC: '
                                          r'clamped, it sets net\.ipv4\.ip_default_ttl: clamped')


class Refusal(Case):
    def test_bad_json(self):
        write(f'{ROOT}/container.json', '{\n  "hostname": "x",\n  "namespaces": ["NEWNS",]\n}')
        done = self.refused(rf'reason=spec user=alice refused: reading {ROOT}/container.json:3:\d+')
        self.assertEqual(done.returncode, 254)

    def test_unknown_key(self):
        write(f'{ROOT}/container.json', '{"hostnam": "x"}')
        self.refused(r'container.json:1:2: unknown key "hostnam"; did you mean "hostname"\?')

    def test_missing_container_json(self):
        container('alice', spec=None)
        self.refused('container.json: No such file or directory')

    def test_missing_rootfs(self):
        os.rename(ROOT, f'{ROOT}.away')
        self.addCleanup(run, f'rm -rf {ROOT}.away')
        self.refused(f'reason=rootfs user=alice refused: opening {ROOT}: No such file')

    def test_rootfs_is_a_symbolic_link(self):
        os.rename(ROOT, f'{ROOT}.away')
        os.symlink(f'{ROOT}.away', ROOT)
        self.addCleanup(run, f'rm -rf {ROOT} {ROOT}.away')
        self.refused('symbolic link')

    def test_rootfs_that_others_can_reach(self):
        os.chmod(ROOTS, 0o755)
        self.addCleanup(os.chmod, ROOTS, 0o700)
        self.refused('set-uid file')

    def test_policy_missing(self):
        os.unlink('/etc/nsinit/nsinit.conf')
        self.refused('reason=policy user=alice refused: opening /etc/nsinit/nsinit.conf: No such file')

    def test_policy_unparsable(self):
        write('/etc/nsinit/nsinit.conf', 'version = 1;\nunmapped = "host";\nrules = oops\n')
        self.refused(r'nsinit.conf:\d: syntax error')

    def test_policy_writable_by_others(self):
        os.chmod('/etc/nsinit/nsinit.conf', 0o666)
        self.refused('lets others than root write')
        os.chmod('/etc/nsinit/nsinit.conf', 0o644)
        os.chown('/etc/nsinit/nsinit.conf', 1, 0)
        self.refused('belongs to uid 1')
        os.chown('/etc/nsinit/nsinit.conf', 0, 0)
        os.chmod('/etc/nsinit', 0o777)
        self.refused('lets others than root write')
        os.chmod('/etc/nsinit', 0o755)

    def test_auth_line_missing(self):
        host.Host.pam(auth='auth required pam_permit.so')
        self.addCleanup(host.Host.pam)
        self.refused('auth optional pam_nsinit.so')

    def test_program_missing(self):
        os.rename('/usr/libexec/nsinit/nsinit', '/usr/libexec/nsinit/nsinit.away')
        self.addCleanup(os.rename, '/usr/libexec/nsinit/nsinit.away', '/usr/libexec/nsinit/nsinit')
        self.refused('supervisor|starting /usr/libexec/nsinit/nsinit')

    def test_init_missing(self):
        os.rename('/usr/libexec/nsinit/nsinit-init', '/usr/libexec/nsinit/away')
        self.addCleanup(os.rename, '/usr/libexec/nsinit/away', '/usr/libexec/nsinit/nsinit-init')
        self.refused('nsinit-init: No such file')

    def test_run_directory_of_somebody_else(self):
        run(f'rm -rf {RUN_DIR}; mkdir -m 0777 {RUN_DIR}; chown alice {RUN_DIR}')
        self.addCleanup(run, f'rm -rf {RUN_DIR}')
        self.refused("not root's with mode")

    def test_container_in_use_by_exec(self):
        import subprocess
        front = subprocess.Popen(['nsinit', 'exec', '-C', ROOT, 'sleep', '1000'], stdin=subprocess.DEVNULL)
        pid = host.wait_nspid(ROOT)
        self.refused('in use by nsinit exec')
        os.kill(pid, 9)
        front.wait()

    def test_stale_state_and_nspid_are_no_obstacle(self):
        write(f'{ROOT}/.nspid', '99999')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')

    def test_session_line_alone_exports_only_pam_functions(self):
        symbols = re.findall(r' T (\S+)', run('nm -D --defined-only /lib/*/security/pam_nsinit.so').stdout)
        self.assertEqual(sorted(symbols), ['pam_sm_authenticate', 'pam_sm_close_session', 'pam_sm_open_session',
                                           'pam_sm_setcred'])


del Case
