"""B. Joining: what the one who has entered still is, holds, or leaves behind."""
import glob
import pwd

from attack import *

EVIL = r'''
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
__attribute__((constructor)) static void loaded(void)
{
	char name[32] = "";
	int out = open("/tmp/loaded", O_WRONLY | O_CREAT | O_APPEND, 0666);
	prctl(PR_GET_NAME, name);
	dprintf(out, "%s\n", name);
}
'''
HOSTILE = {'LD_PRELOAD': '/none.so', 'LD_LIBRARY_PATH': '/none', 'BASH_ENV': '/none', 'ENV': '/none', 'SSH_AUTH_SOCK': '/none',
           'KRB5CCNAME': 'FILE:/none', 'SECRET_TOKEN': 'x', 'IFS': 'x', 'GCONV_PATH': '/none', 'DBUS_SESSION_BUS_ADDRESS': 'x'}


def gone_from_the_host(words):
    return words not in run('ps -eo args').stdout


class Joined(Attack):
    def name_services(self, root):
        """The container's say that a library of its own is to be loaded."""
        write('/tmp/evil-nss.c', EVIL)
        multiarch = os.path.basename(glob.glob('/usr/lib/*-linux-gnu*')[0])
        run(['ln', '-sfn', 'usr/lib', f'{root}/lib'])
        os.makedirs(f'{root}/usr/lib/{multiarch}')
        run(['gcc', '-shared', '-fPIC', '-o', f'{root}/usr/lib/{multiarch}/libnss_evil.so.2', '/tmp/evil-nss.c'])
        write(f'{root}/etc/nsswitch.conf', ''.join(f'{base}: evil files\n' for base in (
            'passwd', 'group', 'shadow', 'initgroups', 'hosts', 'services', 'netgroup')))

    @staticmethod
    def loaded(root):
        if not os.path.exists(f'{root}/tmp/loaded'):
            return []
        with open(f'{root}/tmp/loaded') as f:
            return f.read().split()

    def attack_19_name_services(self):
        """The container's nsswitch.conf names a library, which runs in the one who enters and looks up a name there."""
        def look_up(tool):
            self.name_services(root := self.root(tool))
            self.live(tool, root)
            self.use(tool, root, 'true')
            self.use(tool, root, 'true', user='guest')
            return self.loaded(root)
        self.fails(look_up, Naive('--nss'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()))
        self.name_services(root := container('alice'))
        self.assertEqual(host.ssh('alice', 'hostname').stdout, INSIDE + '\n')
        self.assertEqual(self.loaded(root), [])
        self.holds('test_services.Su.test_hostile_name_services_of_the_image_are_not_loaded')

    def attack_20_users(self):
        """Users that are no numbers, or more than one; and an image's passwd that says so."""
        bad = ['-1', '4294967295', '4294967296', '0x0', '00x1', '1 ', ' 1', '+1', '1e1', '-0', '1:-1', '1:4294967296', ':', '1:',
               '', 'no-such-user', 'root\n', '1;0', '99999999999999999999', '1.0']
        lines = {'-1': 'a', '4294967296': 'b', '0x0': 'c', ' 0': 'd', '': 'e', '4294967295': 'f', '1x': 'g'}

        def enter(tool):
            root, gained = self.root(tool), []
            with open(f'{root}/etc/passwd', 'a') as f:
                f.writelines(f'{name}:x:{value}:{value}::/:/bin/sh\n' for value, name in lines.items())
            for running in (False, True):
                if running:
                    self.live(tool, root)
                for user in [*bad, *lines.values()]:
                    shown = self.use(tool, root, 'id', '-u', user=user)
                    gained += [(user, shown)] if shown else []
                if isinstance(tool, Nsinit):
                    self.assertEqual(self.use(tool, root, 'id', '-u', user='7:8'), '7\n')
                    self.assertEqual(self.use(tool, root, 'id', '-u', user='guest'), '2000\n')
            return gained
        self.fails(enter, Naive(), Nsinit(), Nsinit(MAPPED))

    def attack_21_groups_and_capabilities(self):
        """Groups, inheritable and ambient capabilities that the caller happens to have."""
        def bring(tool):
            root, gained = self.root(tool), []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                shown = run(['setpriv', '--inh-caps=+chown,+net_raw,+sys_admin', '--ambient-caps=+chown,+net_raw,+sys_admin', '--groups=4,27',
                             *tool.argv(root, 'grep', '-E', '^(Groups|CapInh|CapAmb)', '/proc/self/status')],
                            stdin=subprocess.DEVNULL).stdout
                self.assertEqual(len(shown.split('\n')), 4)
                gained += [line for line in shown.splitlines() if line.split(':')[1].strip() not in ('', '0', f'{0:016x}')]
            return gained
        self.fails(bring, Naive('--keep-groups'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()))
        self.holds('test_services.Sudo.test_supplementary_groups_of_the_host',
                   'test_callers.Identity.test_groups_of_the_host_stay_outside')

    def attack_22_environment(self):
        """Variables of the caller's that make programs inside do something, or tell them secrets."""
        def pass_on(tool):
            root, gained = self.root(tool), []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                shown = self.use(tool, root, 'env', env=dict(os.environ, **HOSTILE))
                self.assertIn('PATH=', shown)
                gained += [name for name in HOSTILE if f'{name}=' in shown]
            return gained
        self.fails(pass_on, Naive('--full-env'), Nsinit(), Nsinit(MAPPED))
        self.holds('test_exec.Network.test_sample_runs_unmodified',  # PATH=PATH=$PATH: as it stands
                   'test_callers.Environment.test_hostile_variables')

    def attack_23_keyring_and_loginuid(self):
        """Keys of the caller's session; the name under which the audit system knows somebody."""
        def search(tool):
            root, gained = self.root(tool), []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                gained.append(run(['keyctl', 'session', '-', 'sh', '-c', 'keyctl add user stolen treasure @s >/dev/null && "$@"',
                                   'sh', *tool.argv(root, 'inside', 'key', 'stolen')], stdin=subprocess.DEVNULL).stdout)
            return [g for g in gained if 'treasure' in g]
        off = {'seccomp': 'off'}
        self.fails(search, Naive('--keep-keys'), Nsinit(dict(SPEC, **off)), Nsinit(dict(MAPPED, **off)), Nsinit(strongest()))
        policy([f'{{ user = ["alice", "carol"]; rootfs = "{ROOTS}/%u"; }}'])
        for name in ('alice', 'carol'):
            root = container(name)
            first = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), f'{name}@127.0.0.1',
                                      'cat /proc/self/loginuid; echo; sleep 1000'],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.addCleanup(first.communicate)
            self.addCleanup(first.kill)
            self.assertEqual(first.stdout.readline().strip(), str(pwd.getpwnam(name).pw_uid))
            with open(f'/proc/{host.wait_nspid(root)}/loginuid') as f:
                own = f.read()
            # Started by that user's login where there is no nsinitd; never another's.
            self.assertIn(own, ('4294967295', str(pwd.getpwnam(name).pw_uid)))

    def attack_24_fork_bomb(self):
        """Processes without end, by pid 1 and by one who has entered: together they have no more than the limit. There are
        no control groups yet: it is RLIMIT_NPROC that counts, for each user namespace."""
        bomb = 'i=0; while [ $i -lt 80 ]; do sleep 987 & i=$((i+1)); done 2>/dev/null'

        def explode(tool):
            root = self.root(tool)
            self.live(tool, root, '(while [ ! -e /go ]; do sleep 0.05; done; ' + bomb + ') >/dev/null 2>&1 &')
            write(f'{root}/go', '')
            joined = self.start(tool, root, 'sh', '-c', f'({bomb}) >/dev/null 2>&1; sleep 1')
            joined.wait(10)
            count = run('ps -eo args').stdout.count('sleep 987')
            self.assertEqual(run('echo alive').stdout, 'alive\n')
            return count if count > 40 else None
        limited = {'rlimits': [{'type': 'RLIMIT_NPROC', 'soft': 40, 'hard': 40}]}
        self.fails(explode, Naive(), Nsinit(dict(MAPPED, **limited)))
        # Root of the host has no such limit, setrlimit(2): without a user namespace this does not hold.
        self.assertTrue(self.attempt(explode, Nsinit(dict(SPEC, **limited))))

    def attack_25_orphans(self):
        """The client is killed with SIGKILL: what it ran inside ends, and nothing else does."""
        def orphan(tool):
            root = self.root(tool)
            self.live(tool, root)
            other, victim = (self.start(tool, root, 'sleep', seconds) for seconds in ('98765', '87654'))
            until(lambda: all(run('ps -eo args').stdout.count(f'sleep {s}') > 1 for s in ('98765', '87654')), 'both sessions')
            victim.kill()
            victim.wait()
            try:
                until(lambda: gone_from_the_host('sleep 87654'), 'its end', 2)
                left = False
            except AssertionError:
                left = True
            self.assertIsNone(other.poll())
            self.assertFalse(gone_from_the_host('sleep 98765'))
            return left
        self.fails(orphan, Naive('--orphan'))
        self.holds('test_shell_kill.Killed.test_outer_process', 'test_ssh.Kill.test_child', 'test_ssh.Kill.test_monitor')


del Attack
