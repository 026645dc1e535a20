"""What the live tests share: the throw-away host they run on, its users, its sshd, its containers."""
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

SOURCE = os.getcwd()
ROOTS = '/srv/nsinit'
KEY = '/root/key'
PORT = 2222
PASSWORD = 'secret-of-the-test'
RUN_DIR = '/run/nsinit'
LOG = '/tmp/syslog'
SSHD_LOG = '/tmp/sshd.log'
SSH_OPTIONS = ['-F', 'none', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
               '-o', 'LogLevel=ERROR', '-i', KEY]

SPEC = {
    'hostname': 'inside',
    'environment': ['PATH=/bin:/usr/bin', 'container=nsinit', 'LETTERS=a b$c'],
    'namespaces': ['NEWNS', 'NEWPID', 'NEWIPC', 'NEWUTS', 'NEWNET'],
}

# By how much slower than a usual machine this one is: one in software emulation, of which tests/machine has some.
PATIENCE = float(os.environ.get('NSINIT_PATIENCE', 1))


def run(command, check=True, timeout=60, **kwargs):
    """Run, and return the completed process with text or bytes captured."""
    timeout *= PATIENCE
    kwargs.setdefault('capture_output', True)
    kwargs.setdefault('text', True)
    done = subprocess.run(command, shell=isinstance(command, str), timeout=timeout, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f'{command}: {done.returncode}\n{done.stdout}\n{done.stderr}')
    return done


def write(path, text, mode=0o644):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


def until(condition, what, seconds=5.0):
    """Wait for a condition; its value, or a failure that says what did not happen."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'{seconds} s passed without: {what}')


def pause(seconds):
    time.sleep(seconds * PATIENCE)


def container(name, spec=SPEC, full=False):
    """A fresh rootfs directory below ROOTS. `full`: with the host's programs for what busybox lacks."""
    path = f'{ROOTS}/{name}'
    run(['rm', '-rf', '--one-file-system', path])  # whose container may just be removing its .nspid
    run(['tests/host/rootfs', path])
    if full:
        add_programs(path, ['/usr/bin/bash', '/usr/bin/rsync', '/usr/bin/git', '/usr/bin/socat', '/usr/bin/scp',
                            '/usr/bin/ssh-add', '/usr/bin/python3', '/usr/bin/xauth'])
    if spec is not None:
        write(f'{path}/container.json', spec if isinstance(spec, str) else json.dumps(spec, indent=1))
    return path


def add_programs(root, programs):
    """Copy programs and the libraries they need into a rootfs directory."""
    files = set()
    for program in programs:
        real = os.path.realpath(shutil.which(program) or program)
        files.add((program, real))
        for library in re.findall(r'(/\S+) \(0x', run(['ldd', real]).stdout):
            files.add((library, os.path.realpath(library)))
    for name, real in files:
        if name.startswith('/lib') and not os.path.islink(f'{root}/lib'):
            name = name.replace('/lib', '/usr/lib', 1)
        target = root + name
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(real, target)
    for directory in ('lib', 'lib64'):
        if os.path.isdir(f'{root}/usr/{directory}') and not os.path.lexists(f'{root}/{directory}'):
            os.symlink(f'usr/{directory}', f'{root}/{directory}')
    # git finds its transport helpers under their own names beside it.
    for helper in ('git-upload-pack', 'git-receive-pack'):
        if '/usr/bin/git' in programs and not os.path.lexists(f'{root}/usr/bin/{helper}'):
            os.symlink('git', f'{root}/usr/bin/{helper}')


def nsinit(*args, **kwargs):
    kwargs.setdefault('check', False)
    return run(['nsinit', *args], **kwargs)


def exec_in(root, *command, **kwargs):
    return nsinit('exec', '-C', root, '--', *command, **kwargs)


def wait_nspid(root):
    def there():
        try:
            with open(f'{root}/.nspid') as f:
                return int(f.read() or 0)
        except FileNotFoundError:
            return 0
    return until(there, f'a pid in {root}/.nspid')


def supervisors():
    """Pids of the processes that run nsinit, its pid 1 included."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as f:
                if re.match(r'\d+ \(nsinit(?!d\))[^)]*\) [^Z]', f.read()):
                    found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def in_namespace(pid, namespace, name='pid'):
    """Whether that process lives, in that namespace."""
    try:
        return os.readlink(f'/proc/{pid}/ns/{name}') == namespace
    except (FileNotFoundError, ProcessLookupError):
        return False


def nothing_left():
    """Whether no process, state, interface or mount of a container exists."""
    live = [d for d in os.listdir(RUN_DIR) if os.path.isdir(f'{RUN_DIR}/{d}') and d not in ('ranges', 'doors', 'leases', 'ephemeral', 'filters')] \
        + [d for d in os.listdir(f'{RUN_DIR}/doors') if d != 'nsinitd'] if os.path.isdir(RUN_DIR) else []
    veths = [name for name in os.listdir('/sys/class/net') if re.fullmatch(r'ns\d+(-\d)?', name)]
    return not supervisors() and not live and not veths


def wait_nothing_left():
    try:
        until(nothing_left, 'the end of every container')
    except AssertionError as e:
        shown = run('ps -eo pid,ppid,stat,args; ls -R /run/nsinit').stdout
        for pid in supervisors():  # one failure is not to make all that follow fail
            os.kill(pid, signal.SIGKILL)
        run(f'cd {RUN_DIR} && find . -mindepth 1 ! -name nsinitd ! -name doors ! -name ephemeral -delete')
        raise AssertionError(f'{e}; {shown}')


def policy(rules, unmapped='host', extra=''):
    os.makedirs('/etc/nsinit', exist_ok=True)
    write('/etc/nsinit/nsinit.conf', f'version = 1;\nunmapped = "{unmapped}";\n{extra}\nrules: (\n'
          + ',\n'.join(rules) + '\n);\n')


def wait_nsinitd():
    """Its socket is there a moment before it listens, which its flags tell."""
    def listens():
        with open('/proc/net/unix') as f:
            return any(re.search(r' 00010000 .*/doors/nsinitd$', line) for line in f)
    until(listens, "nsinitd's socket")


def log_text():
    with open(LOG, errors='replace') as f:
        return f.read()


class Host:
    """The throw-away host, set up once for the whole run."""

    def __init__(self):
        run(['make', 'install'])
        os.makedirs('/run/sshd', exist_ok=True)
        self.syslog = subprocess.Popen(
            ['socat', '-u', 'UNIX-RECV:/run/log,mode=666', f'OPEN:{LOG},creat,append'])
        os.symlink('/run/log', '/dev/log')
        until(lambda: os.path.exists('/run/log'), 'the log socket')
        run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', KEY])
        run(['ssh-keygen', '-A'])
        for name in ('alice', 'bob', 'carol', 'dave'):
            self.user(name)
        run('groupadd students && usermod -aG students carol')
        for record in ('/var/log/wtmp', '/var/run/utmp', '/var/log/lastlog'):
            open(record, 'a').close()
        self.pam()
        self.sshd = None
        self.start_sshd()

    def user(self, name):
        run(['useradd', '-m', '-s', '/bin/bash' if name in ('bob', 'dave') else '/bin/sh', name])
        run(['chpasswd'], input=f'{name}:{PASSWORD}\n')
        ssh = f'/home/{name}/.ssh'
        os.makedirs(ssh, mode=0o700)
        shutil.copy(f'{KEY}.pub', f'{ssh}/authorized_keys')
        run(['chown', '-R', f'{name}:', ssh])

    @staticmethod
    def pam(auth='auth optional pam_nsinit.so', session='session required pam_nsinit.so', after=''):
        """sshd's stack; `after` are lines below all others."""
        write('/etc/pam.d/sshd', '\n'.join([
            'auth required pam_unix.so', auth, 'account required pam_unix.so', 'session required pam_loginuid.so',
            'session required pam_limits.so', 'session required pam_unix.so', session, after, '']))

    def start_sshd(self):
        write('/root/sshd_config', '\n'.join([
            f'Port {PORT}', 'ListenAddress 127.0.0.1', 'HostKey /etc/ssh/ssh_host_ed25519_key', 'UsePAM yes',
            'PermitRootLogin yes', 'PasswordAuthentication yes', 'KbdInteractiveAuthentication no',
            'Subsystem sftp internal-sftp', 'X11Forwarding yes', 'X11UseLocalhost yes', 'AcceptEnv LC_* GIFT',
            'MaxStartups 200', 'MaxSessions 20', 'LogLevel VERBOSE', '']))
        self.sshd = subprocess.Popen(['/usr/sbin/sshd', '-D', '-e', '-f', '/root/sshd_config'],
                                     stderr=open(SSHD_LOG, 'a'))
        until(lambda: self.listening(PORT), 'sshd listening')

    @staticmethod
    def listening(port):
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', port)) == 0

    def stop(self):
        for process in (self.sshd, self.syslog):
            process.terminate()
            process.wait()


def ssh(user, *command, options=(), **kwargs):
    kwargs.setdefault('check', False)
    kwargs.setdefault('stdin', subprocess.DEVNULL) if 'input' not in kwargs else None
    return run(['ssh', *SSH_OPTIONS, '-p', str(PORT), *options, f'{user}@127.0.0.1', *command], **kwargs)


class Server:
    """Answers every connection with one word: who reaches which one tells where a forward came out."""

    def __init__(self, word, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(address)
        self.socket.listen()
        self.word = word
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self.word.encode() + b'\n')

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def ask(address):
    """What a server says, '' when nobody answers."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(5)
        try:
            s.connect(address)
            return s.makefile().readline().strip()
        except OSError:
            return ''


class Terminal:
    """A program on a terminal of ours, typed at and read from."""

    def __init__(self, command, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # As at a terminal: a shell that has started the tests in the background has them ignored.
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)
        self.text = ''
        self.resize(rows, columns)

    def resize(self, rows, columns):
        import fcntl
        import struct
        import termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, seconds=10):
        """Read until the pattern stands in what came since the last match."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            if time.monotonic() > end:
                raise AssertionError(f'{pattern!r} did not come; the terminal shows: {self.text!r}')
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b''
                if not data and not re.search(pattern, self.text):
                    raise AssertionError(f'{pattern!r} did not come before the end: {self.text!r}')
                self.text += data.decode(errors='replace')

    def end(self):
        """Whatever state it is in."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def drain(self):
        """What was written before the end may not all be read yet."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode(errors='replace')

    def finish(self):
        """Its exit status, and in `text` all that it has shown."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            while select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.text += os.read(self.fd, 65536).decode(errors='replace')
                except OSError:  # nobody has it open any more
                    break
            if pid:
                self.drain()
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(f'it does not end; the terminal shows: {self.text!r}')
