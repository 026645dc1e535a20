"""Where it is measured: the throw-away host of the live tests, with root directories, users and a second sshd."""
import json
import os
import subprocess
import sys

sys.path.insert(0, 'tests/live')
import host  # noqa: E402
from host import ROOTS, policy, run, until, write  # noqa: E402

SPEC = {'hostname': 'inside', 'environment': ['PATH=/bin:/usr/bin'],
        'namespaces': ['NEWNS', 'NEWPID', 'NEWIPC', 'NEWUTS', 'NEWNET']}
PLAIN_PORT = 2223
PAM = '/tmp/bench-pam.d'


def root_directory(path, **more):
    run(['tests/host/rootfs', path])
    write(f'{path}/container.json', json.dumps({**SPEC, **more}))
    return path


def live_exec(path):
    """A container of `nsinit exec` that stays; the host's pid of its pid 1."""
    run(['nsinit', 'exec', '-C', path, '-d', 'sleep', '1000000'])
    return host.wait_nspid(path)


def end_containers():
    """All that have a supervisor."""
    for pid in host.supervisors():
        try:
            os.kill(pid, 15)
        except ProcessLookupError:
            pass
    host.wait_nothing_left()


def pam():
    """A directory of PAM services with nothing but our module, for login.c."""
    os.makedirs(PAM, exist_ok=True)
    for service in ('sshd', 'other'):
        write(f'{PAM}/{service}', 'auth required pam_permit.so\nauth optional pam_nsinit.so\n'
              'account required pam_permit.so\nsession required pam_nsinit.so\n')


def login(user, times, pause_ms=2):
    """Milliseconds of the parts of a login, as rows: load, open_session, setcred, close_session, all; the first left out."""
    argv = ['chrt', '-r', '1', 'build/bench/login', PAM, 'sshd', user, str(times + 1), str(pause_ms)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    rows = [[float(n) / 1000 for n in line.split()] for line in done.stdout.splitlines()]
    return rows[1:]


class PlainSshd:
    """An sshd whose PAM service does not know nsinit: it is named after the program (before OpenSSH 9.8)."""

    def __enter__(self):
        os.symlink('/usr/sbin/sshd', '/usr/sbin/sshd-plain')
        with open('/etc/pam.d/sshd') as f:
            write('/etc/pam.d/sshd-plain', ''.join(line for line in f if 'nsinit' not in line))
        with open('/root/sshd_config') as f:
            write('/root/sshd_plain_config', f.read().replace(f'Port {host.PORT}', f'Port {PLAIN_PORT}'))
        self.sshd = subprocess.Popen(['/usr/sbin/sshd-plain', '-D', '-e', '-f', '/root/sshd_plain_config'],
                                     stderr=open('/tmp/sshd-plain.log', 'a'))
        until(lambda: host.Host.listening(PLAIN_PORT), 'the plain sshd')
        return self

    def __exit__(self, *_):
        self.sshd.terminate()
        self.sshd.wait()
        os.unlink('/usr/sbin/sshd-plain')


def ssh_argv(user, port, *command):
    return ['/usr/bin/ssh', *host.SSH_OPTIONS, '-p', str(port), f'{user}@127.0.0.1', *command]


def many_users(n):
    """Accounts u0001..., made all at once: useradd(8) takes too long for a thousand."""
    names = [f'u{i:04}' for i in range(1, n + 1)]
    with open('/etc/passwd', 'a') as passwd, open('/etc/group', 'a') as group, open('/etc/shadow', 'a') as shadow:
        for i, name in enumerate(names):
            passwd.write(f'{name}:x:{20000 + i}:20000::/home/{name}:/bin/sh\n')
            shadow.write(f'{name}:*:19000:0:99999:7:::\n')
        group.write('bench:x:20000:\n')
    for i, name in enumerate(names):
        os.makedirs(f'/home/{name}')
        os.chown(f'/home/{name}', 20000 + i, 20000)
    return names


def shared_image(n):
    """One image, and a rule by which each of n users has a container of it that stays."""
    root_directory(f'{ROOTS}/image')
    os.makedirs(f'{ROOTS}/users', mode=0o700, exist_ok=True)
    policy([f'{{ group = "bench"; rootfs = "{ROOTS}/users/%u"; image = "{ROOTS}/image"; lifetime = "forever"; }}'])
    return many_users(n)
