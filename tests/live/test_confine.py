"""What container.json says of processes holds in every way in: spawn, join, ssh, su and nsinit-shell."""
import os
import re
import subprocess

import confined
from confined import ROOT, SHELL
from host import SPEC, exec_in, nsinit, run, ssh

BASE = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
        'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE']
DENIED = ['unshare', 'clone', 'mount', 'keyctl', 'bpf', 'kexec_load', 'init_module', 'io_uring_setup',
          'open_by_handle_at', 'tiocsti', 'tiocsti-64', 'tioclinux', 'alg']


class Filter(confined.Confine):
    def test_default(self):
        expected = ''.join(f'{name} EPERM\n' for name in DENIED) + 'clone3 ENOSYS\nnewer ENOSYS\nsocket ok\n'
        self.expect('probe; grep Seccomp: /proc/self/status', expected + 'Seccomp:\t2\n')

    def test_off(self):
        for way, text in self.everywhere('probe; grep Seccomp: /proc/self/status', seccomp='off').items():
            with self.subTest(way=way):
                results = dict(line.split(None, 1) for line in text.splitlines())
                for name in ('unshare', 'clone', 'clone3', 'keyctl', 'socket'):
                    self.assertEqual(results[name], 'ok', name)
                self.assertEqual(results['newer'], 'ENOSYS')
                # su may hold a terminal of the host's, and is guarded against typing into it at any rate.
                self.assertEqual(results['Seccomp:'], '2' if way == 'su' else '0')
                self.assertEqual(results['tiocsti'], 'EPERM' if way == 'su' else 'EBADF')

    def test_programs_of_the_image(self):
        self.expect('unshare -U true 2>&1; mount -t tmpfs x /tmp 2>&1; dmesg 2>&1; chroot / true && echo chroot',
                    "unshare: unshare(0x10000000): Operation not permitted\n")

    def test_a_kept_capability_lets_its_calls_pass(self):
        self.make(capabilities={'keep': BASE + ['SYS_ADMIN']})
        for _ in self.spawn_and_join():
            done = exec_in(ROOT, 'sh', '-c', 'probe; mount -t tmpfs x /tmp && echo mounted')
            for line in ('unshare ok', 'clone ok', 'clone3 ok', 'mount ENOENT', 'keyctl EPERM', 'kexec_load EPERM',
                         'tiocsti EPERM', 'mounted'):
                self.assertIn(line + '\n', done.stdout)

    def test_in_a_user_namespace_for_another_user(self):
        self.make(namespaces=SPEC['namespaces'] + ['NEWUSER'], user='guest')
        for _ in self.spawn_and_join():
            done = exec_in(ROOT, 'sh', '-c', 'probe; grep -E "Seccomp:|NoNewPrivs|CapPrm" /proc/self/status')
            for line in ('unshare EPERM', 'Seccomp:\t2', 'NoNewPrivs:\t0', f'CapPrm:\t{0:016x}'):
                self.assertIn(line + '\n', done.stdout)

    def test_pid_1_is_filtered_too(self):
        self.make()
        self.assertIn('Seccomp:\t2\n', ssh('alice', 'cat /proc/1/status').stdout)

    def test_no_new_privs(self):
        for wanted in (True, False):
            self.expect('grep NoNewPrivs: /proc/self/status', f'NoNewPrivs:\t{wanted:d}\n', no_new_privs=wanted)


class Limits(confined.Confine):
    def test_rlimits(self):
        limits = [{'type': 'RLIMIT_NOFILE', 'soft': 100, 'hard': 200}, {'type': 'CORE', 'soft': 0, 'hard': 0},
                  {'type': 'MEMLOCK', 'soft': 65536, 'hard': 131072}, {'type': 'CPU', 'soft': 77, 'hard': 'unlimited'}]
        self.expect("tr -s ' ' ' ' < /proc/self/limits | sed 's/ *$//'",
                    'Max open files 100 200 files\nMax core file size 0 0 bytes\n'
                    'Max locked memory 65536 131072 bytes\nMax cpu time 77 unlimited seconds\n', rlimits=limits)

    def test_raising_needs_the_right_on_the_host(self):
        """Also where root has it (CAP_SYS_RESOURCE) a user namespace takes it away: the limit is raised before."""
        self.make(namespaces=SPEC['namespaces'] + ['NEWUSER'],
                  rlimits=[{'type': 'NPROC', 'soft': 'unlimited', 'hard': 'unlimited'}])
        with open('/proc/self/status') as f:
            mighty = int(re.search(r'CapEff:\s*(\w+)', f.read()).group(1), 16) >> 24 & 1
        lowered = ['prlimit', '--nproc=9000:9000', 'nsinit', 'exec', '-C', ROOT]
        if mighty:
            for _ in self.spawn_and_join():
                self.assertEqual(run([*lowered, 'sh', '-c', 'ulimit -p; true']).stdout, 'unlimited\n')
            return
        done = run([*lowered, 'true'], check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn('setting RLIMIT_NPROC: Operation not permitted; it is above what this host allows', done.stderr)

    def test_nsinit_shell_gets_no_more_than_it_has(self):
        self.everywhere('true', rlimits=[{'type': 'NOFILE', 'soft': 300, 'hard': 400}])
        done = run(['setpriv', '--reuid=alice', '--regid=alice', '--clear-groups', 'prlimit', '--nofile=120:350',
                    SHELL, '-c', 'ulimit -Sn; ulimit -Hn'], stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, '300\n350\n')

    def test_too_high_is_an_error(self):
        self.fails('setting RLIMIT_NOFILE: Operation not permitted; it is above what this host allows',
                   rlimits=[{'type': 'NOFILE', 'soft': 10, 'hard': 'unlimited'}])

    def test_oom_score_adj(self):
        self.expect('cat /proc/self/oom_score_adj', '321\n', oom_score_adj=321)


class Kernel(confined.Confine):
    def test_sysctl(self):
        settings = {'net.ipv4.ip_forward': 1, 'net/ipv4/conf/lo/rp_filter': '2', 'kernel.msgmax': '12345',
                    'kernel.sem': '250 32000 100 200', 'kernel.shmmni': 77, 'fs.mqueue.msg_max': 11}
        self.expect('cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/rp_filter kernel/msgmax kernel/shmmni '
                    'fs/mqueue/msg_max; tr "\\t" " " < kernel/sem; echo 0 2>&1 > net/ipv4/ip_forward || echo refused',
                    '1\n2\n12345\n77\n11\n250 32000 100 200\n', sysctl=settings)
        with open('/proc/sys/kernel/msgmax') as f:
            self.assertNotEqual(f.read(), '12345\n')
        self.assertIn('Read-only file system', exec_in(
            ROOT, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward').stderr)

    def test_a_setting_that_does_not_exist_is_an_error(self):
        self.fails('setting proc/sys/net/no/such: No such file or directory; this kernel has no such setting',
                   sysctl={'net.no.such': '1'})

    def test_domainname(self):
        self.expect('cat /proc/sys/kernel/domainname; hostname', 'example.org\ninside\n', domainname='example.org')

    def test_paths_replace_the_defaults(self):
        shown = self.everywhere(
            'grep -cE " /proc/(sys|kcore|keys) " /proc/self/mountinfo; wc -c < /bin/probe; touch /root/x /var/x 2>&1; '
            'touch /etc/x 2>&1; grep -c . /etc/passwd; echo $HOME; [ "$HOME" = / ] || touch ~/x',
            masked_paths=['/bin/probe', '/root', '/not/there'], readonly_paths=['/var', '/etc', '/home'])
        for way, text in shown.items():
            with self.subTest(way=way):
                lines = text.splitlines()
                self.assertEqual(lines[:2], ['0', '0'])
                for path in ('/root/x', '/var/x', '/etc/x'):
                    self.assertIn(f'touch: {path}: Read-only file system', lines)
                # What is mounted on files and directories below, the account and the home directory, is still there.
                self.assertEqual(lines[5], '2' if way in ('spawn', 'join') else '3')
        self.assertTrue(os.path.exists('/home/alice/x'))
        for path in ('.nspid', 'container.json'):  # these are not the list's
            self.assertIn('Read-only', exec_in(ROOT, 'sh', '-c', f'echo > /{path}').stderr)

    def test_device_nodes_made_inside_do_not_work(self):
        self.make()
        for directory in ('/', '/dev', '/dev/shm'):
            node = f'{directory}/zero-2'
            done = exec_in(ROOT, 'sh', '-c', f'mknod {node} c 1 5 && head -c 1 {node}; rm {node}')
            self.assertIn('Permission denied', done.stderr, directory)
        self.assertEqual(exec_in(ROOT, 'head', '-c', '1', '/dev/zero').stdout, '\0')

    def test_no_masked_paths(self):
        self.expect('grep -c " /proc/[a-z]* ro" /proc/self/mountinfo; [ -e /proc/kcore ] && head -c 0 /proc/kcore; '
                    'echo done', '0\ndone\n', masked_paths=[], readonly_paths=[])

    def test_timezone(self):
        self.expect('date -d @1700000000 +%Z:%H', 'CET:23\n', timezone='Europe/Berlin')

    def test_timezone_that_the_host_does_not_know(self):
        self.fails('No such file or directory', timezone='No/Where')


class User(confined.Confine):
    STATUS = 'grep -E "^(Cap(Amb|Eff|Prm|Inh)|Groups)" /proc/self/status'

    def test_ambient_capabilities_are_for_other_users_than_root(self):
        self.make(capabilities={'keep': BASE, 'ambient': ['NET_BIND_SERVICE', 'KILL']}, user='guest')
        for _ in self.spawn_and_join():
            for command in (['sh', '-c', self.STATUS], ['sh', '-c', f'sh -c \'{self.STATUS}\'']):
                done = exec_in(ROOT, *command)
                for name in ('CapAmb', 'CapEff', 'CapPrm', 'CapInh'):
                    self.assertIn(f'{name}:\t{1 << 10 | 1 << 5:016x}\n', done.stdout)
            done = nsinit('exec', '-C', ROOT, '-u', '0', 'sh', '-c', self.STATUS)
            self.assertIn(f'CapAmb:\t{0:016x}\n', done.stdout)
            self.assertIn('CapEff:\t00000000a80425fb\n', done.stdout)

    def test_logins_get_none(self):
        shown = self.everywhere(self.STATUS, capabilities={'ambient': ['KILL']})
        for way in ('ssh', 'su', 'shell'):
            self.assertEqual(shown[way].count(f'\t{0:016x}\n'), 4, way)

    def test_groups_of_the_image(self):
        self.make(namespaces=SPEC['namespaces'] + ['NEWUSER'])
        with open(f'{ROOT}/etc/group', 'a') as f:
            f.write('staff:x:50:root,guest\nbroken:x:x:guest\nvideo:x:44:guest\naudio:x:29:guestx\n')
        for _ in self.spawn_and_join():
            for user, groups in (('guest', '50 44'), ('2000', '50 44'), ('guest:guest', ''), ('2000:7', ''),
                                 ('guest:guest,audio,video,9', '29 44 9'), ('0', '50'), ('12345', '')):
                done = nsinit('exec', '-C', ROOT, '-u', user, 'sh', '-c', 'grep Groups /proc/self/status')
                self.assertEqual(sorted(done.stdout.split()[1:]), sorted(groups.split()), user)
            self.assertEqual(nsinit('exec', '-C', ROOT, 'sh', '-c', 'grep Groups /proc/self/status').stdout.split(),
                             ['Groups:'])
            self.assertIn('resolving group none', nsinit('exec', '-C', ROOT, '-u', 'guest:guest,none', 'true').stderr)


class Check(confined.Confine):
    def test_prints_what_would_take_effect(self):
        self.make(seccomp='off', no_new_privs=True, oom_score_adj=-5, domainname='d.org', timezone='Asia/Tokyo',
                  rlimits=[{'type': 'CPU', 'soft': 1, 'hard': 'unlimited'}], sysctl={'kernel.msgmax': 5},
                  masked_paths=[], readonly_paths=['/proc/sys', '/x'], labels={'owner': 'a b'},
                  capabilities={'ambient': ['KILL']})
        done = nsinit('check', ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in ('ambient:      KILL', 'seccomp:      off', 'no_new_privs: true', 'oom score:    -5',
                     'domainname:   d.org', 'timezone:     Asia/Tokyo', 'rlimit:       CPU 1 unlimited',
                     'sysctl:       kernel.msgmax = 5', 'masked:       (none)', 'read-only:    /.nspid /container.json /proc/sys /x',
                     'label:        owner=a b'):
            self.assertIn(line + '\n', done.stdout)
        self.make()
        self.assertIn('seccomp:      default\n', nsinit('check', ROOT).stdout)
