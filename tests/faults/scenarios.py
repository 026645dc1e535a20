"""What is swept: logins and commands. Each is a command that shows in what it has been run."""
import os
import shlex

import host
from host import ROOTS, SPEC, SSH_OPTIONS, container, policy, run, write

LOGIN = '/usr/bin/login-like-sshd'
# Everything that a process is confined by, as it sees it itself.
LOOK = ('touch /tmp/ran; hostname; pwd; id; umask; env | sort; grep -E "^(Uid|Gid|Groups|Cap|NoNew|Seccomp)" /proc/self/status; '
        'cat /proc/self/limits; cut -d" " -f4- /proc/self/mountinfo; cat /proc/self/oom_score_adj; ls /proc/self/fd; '
        'for n in /proc/self/ns/*; do readlink $n; done')
SETTINGS = {**SPEC, 'namespaces': SPEC['namespaces'] + ['NEWUSER', 'NEWCGROUP'], 'rlimits': [{'type': 'NOFILE', 'soft': 512, 'hard': 600}],
            'oom_score_adj': 100, 'sysctl': {'net.ipv4.ip_unprivileged_port_start': 0}, 'no_new_privs': True,
            'domainname': 'of.the.inside', 'readonly_fs': False, 'timezone': 'Europe/Berlin'}
# One session holds the container while another one comes. The first line of the rest is the fault's.
BESIDE = '''
exec 3<>{root}/tmp/in 4<>{root}/tmp/out
{{ {first} 3>&- 4>&-; echo >&3; }} &
read x <&3
{second} 3>&- 4>&-
status=$?
echo >&4
wait
exit $status
'''
HOLD = 'echo >/tmp/in; read x </tmp/out; echo the first has ended in order'


class Scenario:
    """A first login, by what sshd does."""
    user = 'carol'
    spec = SPEC
    options = ()     # of inject
    since = '0'      # faults begin with the first call of this process
    only = None      # processes in which they are, of all
    orderly = ''     # a line that is missing only where a fault has ended more than the session
    relays = False   # what the command prints passes through processes that fail
    extra = ''

    @property
    def root(self):
        return f'{ROOTS}/{self.user}'

    @property
    def command(self):
        return [LOGIN, self.user, LOOK]

    def prepare(self):
        container(self.user, self.spec)
        for name in ('in', 'out'):
            os.mkfifo(f'{self.root}/tmp/{name}')
            os.chmod(f'{self.root}/tmp/{name}', 0o666)
        self.policy()

    def policy(self):
        # By its group: that takes more of the name services, whose word "no" would mean the host.
        policy(['{ user = "root"; stay = "host"; }', f'{{ group = "students"; rootfs = "{ROOTS}/%u"; }}'], extra=self.extra)

    def finish(self):
        pass


class Beside(Scenario):
    """A login to a container that lives: what the supervisor does for it, too."""
    since, orderly = '0.2', 'the first has ended in order\n'
    first, second = [LOGIN, Scenario.user, HOLD], [LOGIN, Scenario.user, LOOK]

    @property
    def command(self):
        return ['sh', '-c', BESIDE.format(root=self.root, first=shlex.join(self.first), second=shlex.join(self.second))]


class Full(Scenario):
    """With everything that takes system calls: an image, mounts, a bridge, a cgroup, devices, settings."""
    extra = ('networks: ( { bridge = "nsbr0"; create = true; address = [ "10.77.0.1/24", "fd77::1/64" ]; '
             'pool = [ "10.77.0.0/24", "fd77::/64" ]; nat = true; isolate = true; } );')
    spec = {**SETTINGS, 'network': {'bridge': 'nsbr0', 'ip': 'auto'}, 'devices': [{'path': '/dev/fuse', 'optional': True}],
            'mounts': [{'type': 'tmpfs', 'target': '/mnt/tmpfs'}, {'type': 'bind', 'source': '/srv/nsinit/data', 'target': '/mnt/data'},
                       {'type': 'overlay', 'target': '/mnt/overlay', 'lower': ['/srv/nsinit/data'],
                        'upper': '/srv/nsinit/changes/upper', 'work': '/srv/nsinit/changes/work'}]}

    def prepare(self):
        super().prepare()
        run(f'mkdir -p {ROOTS}/data {ROOTS}/changes-of {ROOTS}/changes/upper {ROOTS}/changes/work && mount -t cgroup2 none /sys/fs/cgroup')

    def policy(self):
        policy(['{ user = "root"; stay = "host"; }',
                f'{{ group = "students"; image = "{self.root}"; rootfs = "{ROOTS}/changes-of/%u"; dns = "host"; '
                f'limits: {{ devices = [ "/dev/*" ]; mounts = [ "{ROOTS}" ]; }}; }}'], extra=self.extra)


class Su(Scenario):
    """A service whose process enters itself."""
    command = [LOGIN, '-s', 'su', Scenario.user, LOOK]


class Exec(Scenario):
    """nsinit exec spawns, with a descriptor of the host's that nobody has asked for."""
    options, relays = ('-w',), True

    @property
    def command(self):
        return ['bash', '-c', f'exec 77</; exec nsinit exec -C {self.root} -- sh -c "$0"', LOOK]


class ExecMapped(Exec):
    spec = SETTINGS


class ExecInit(Exec):
    """With an init as pid 1, and a terminal."""

    @property
    def command(self):
        return ['nsinit', 'exec', '-t', '--init', '-C', self.root, '--', 'sh', '-c', LOOK]


class ExecBeside(Beside):
    """nsinit exec joins."""
    options, relays = ('-w',), True
    spec = SETTINGS

    @property
    def first(self):
        return ['nsinit', 'exec', '-C', self.root, '--', 'sh', '-c', HOLD]

    @property
    def second(self):
        return ['bash', '-c', f'exec 77</; exec nsinit exec -C {self.root} -- sh -c "$0"', LOOK]


class Shell(Scenario):
    """nsinit-shell asks nsinitd for the container."""
    options, relays, since = ('-w',), True, '0.3'

    @property
    def command(self):
        enter = shlex.join(['setpriv', '--reuid', self.user, '--regid', self.user, '--init-groups', '--reset-env',
                            'nsinit-shell', '-c', LOOK])
        # Its socket is there a moment before it listens, which its flags tell. No process is started for the look: they are counted.
        listens = ('listens() { while read -r line; do [[ $line == *" 00010000 "*/doors/nsinitd ]] && return; done </proc/net/unix; '
                   'return 1; }; ')
        return ['bash', '-c', listens + 'rm -f /run/nsinit/doors/nsinitd; exec 3<>/run/wait; nsinitd 3>&- & broker=$!; until '
                f'listens || ! kill -0 $broker 2>&-; do read -t 0.01 -u 3; done; ( {enter} ) 3>&-; status=$?; kill $broker; '
                'wait $broker; exit $status']

    def prepare(self):
        super().prepare()
        os.mkfifo('/run/wait')


class Sshd(Scenario):
    """The real one, with a real client. Its monitor and the child; the rest is the same as after the first."""
    only = r'0\.1(\.\d)?'

    @property
    def command(self):
        return ['ssh', *SSH_OPTIONS, '-o', 'ProxyCommand=/usr/sbin/sshd -i -f /root/sshd_config', f'{self.user}@throwaway', LOOK]


SCENARIOS = {'first': Scenario(), 'beside': Beside(), 'full': Full(), 'su': Su(), 'exec': Exec(), 'exec-mapped': ExecMapped(),
             'exec-init': ExecInit(), 'exec-beside': ExecBeside(), 'shell': Shell(), 'sshd': Sshd()}


def build():
    """The programs, and PAM's files."""
    run(['gcc', '-O1', '-D_GNU_SOURCE', '-o', '/usr/bin/inject', 'tests/faults/inject.c', '-lseccomp'])
    run(['gcc', '-O1', '-D_GNU_SOURCE', '-o', LOGIN, 'tests/faults/login.c', '-lpam'])
    run(['gcc', '-O1', '-D_GNU_SOURCE', '-shared', '-fPIC', '-o', '/root/pam_mark.so', 'tests/faults/pam_mark.c'])
    host.Host.pam(marked('auth optional'), marked('session required'))
    write('/etc/pam.d/su', marked('session required') + '\nsession required pam_permit.so\n')


def marked(line):
    return '\n'.join([f'{line} /root/pam_mark.so on', f'{line} pam_nsinit.so', f'{line} /root/pam_mark.so off'])
