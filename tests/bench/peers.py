"""The other programs that make or enter a container of a root directory, each asked for what nsinit gives by default:
mount, pid, ipc, uts and network namespaces of its own, and /bin/true."""
import json
import os
import re
import shutil
import subprocess

# Why one that is installed is not measured.
MISSING = {'jailkit': 'jk_chrootsh changes the root directory and makes no namespace: nothing to compare'}
BUNDLE = '/tmp/bundle'
PODMAN = ['--cgroup-manager', 'cgroupfs', '--runtime', 'runc', '--root', '/tmp/podman', '--runroot', '/tmp/podman-run']
# What the engines would set by themselves takes CAP_SYS_RESOURCE, which not every machine's root has.
PODMAN_RUN = ['--network', 'none', '--pids-limit=-1', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1000:1000']
# Without a cgroup: crun wants a device filter in it, for which it raises RLIMIT_MEMLOCK.
CRUN = ['--cgroup-manager=disabled']


def path(name):
    found = shutil.which(name)
    return os.path.realpath(found) if found and name != 'jk_chrootsh' else found


def version(*argv):
    """The first number that a program says of itself."""
    try:
        text = subprocess.run(argv, capture_output=True, text=True).stdout
    except OSError:
        return None
    found = re.search(r'\d+(\.\d+)+\S*', text)
    return found.group() if found else None


def versions():
    asked = {'bwrap': ['bwrap', '--version'], 'crun': ['crun', '--version'], 'runc': ['runc', '--version'],
             'nsenter': ['nsenter', '--version'], 'podman': ['podman', '--version'], 'script': ['script', '--version'],
             'systemd-nspawn': ['systemd-nspawn', '--version'], 'firejail': ['firejail', '--version']}
    found = {name: version(*argv) for name, argv in asked.items() if shutil.which(name)}
    if 'systemd-nspawn' in found and not found['systemd-nspawn']:
        text = subprocess.run(['systemd-nspawn', '--version'], capture_output=True, text=True).stdout
        found['systemd-nspawn'] = re.search(r'\d+', text).group()
    return found


def bundle(directory, root, *command):
    os.makedirs(directory)
    subprocess.run(['runc' if path('runc') else 'crun', 'spec'], cwd=directory, check=True)
    with open(f'{directory}/config.json') as f:
        config = json.load(f)
    config['root'] = {'path': root, 'readonly': False}
    config['process'].update(terminal=False, args=list(command))
    with open(f'{directory}/config.json', 'w') as f:
        json.dump(config, f)
    return directory


def mount_cgroups():
    """The engines look for version 2 there; this mount namespace is ours."""
    if not os.path.exists('/sys/fs/cgroup/cgroup.procs'):
        subprocess.run(['mount', '-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup'], check=True)


def spawns(root):
    """{name: argv}; None for those that are not installed, or have nothing of the kind."""
    commands = dict.fromkeys(['bwrap', 'unshare', 'crun run', 'runc run', 'systemd-nspawn', 'firejail', 'podman run', 'jailkit'])
    if path('bwrap'):
        commands['bwrap'] = [path('bwrap'), '--unshare-all', '--bind', root, '/', '--proc', '/proc', '--dev', '/dev', '/bin/true']
    if path('unshare'):
        commands['unshare'] = [path('unshare'), '-mpiunf', '--mount-proc', f'--root={root}', '/bin/true']
    if path('runc') or path('crun'):
        bundle(BUNDLE, root, '/bin/true')
    if path('crun'):
        commands['crun run'] = [path('crun'), *CRUN, 'run', '-b', BUNDLE, 'bench-crun']
    if path('runc'):
        commands['runc run'] = [path('runc'), 'run', '-b', BUNDLE, 'bench-runc']
    if path('systemd-nspawn'):
        commands['systemd-nspawn'] = [path('systemd-nspawn'), '-q', '-D', root, '--private-network', '--register=no',
                                      '--keep-unit', '--pipe', '/bin/true']
    if path('firejail'):
        commands['firejail'] = [path('firejail'), '--quiet', '--noprofile', f'--chroot={root}', '--net=none', '/bin/true']
    if path('podman'):
        commands['podman run'] = [path('podman'), *PODMAN, 'run', '--rm', *PODMAN_RUN, '--rootfs', root, '/bin/true']
    return commands


class Live:
    """Containers of the engines that live meanwhile, to be entered; nsenter goes to that of nsinit."""

    def __init__(self, root, nsinit_pid):
        self.commands = dict.fromkeys(['crun exec', 'runc exec', 'podman exec'])
        self.commands['nsenter'] = [path('nsenter'), '-t', nsinit_pid, '-a', '/bin/true']
        self.ends = []
        quiet = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        for engine, options in (('crun', CRUN), ('runc', [])):
            if path(engine):
                where = bundle(f'/tmp/live-{engine}', root, 'sleep', '100000')
                subprocess.run([engine, *options, 'run', '-d', '-b', where, f'live-{engine}'], check=True, **quiet)
                self.commands[f'{engine} exec'] = [path(engine), *options, 'exec', f'live-{engine}', '/bin/true']
                self.ends.append([engine, *options, 'delete', '-f', f'live-{engine}'])
        if path('podman'):
            subprocess.run(['podman', *PODMAN, 'run', '-d', '--name', 'live', *PODMAN_RUN, '--rootfs', root, 'sleep', '100000'],
                           check=True, **quiet)
            self.commands['podman exec'] = [path('podman'), *PODMAN, 'exec', 'live', '/bin/true']
            self.ends.append(['podman', *PODMAN, 'rm', '-f', '-t', '0', 'live'])

    def end(self):
        for argv in self.ends:
            subprocess.run(argv, capture_output=True)
