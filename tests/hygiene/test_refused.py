"""Nothing changes of a process whose session is refused, whatever the reason, with words and without."""
import socket
import threading

from calls import *

SENTENCE = 'told Your container could not be opened; the administrator finds the reason in the log.'


class Refused(Case):
    def refused(self, reason, steps='', sentence=SENTENCE, service='sshd', user='alice'):
        for silent in ('', '-silent'):
            with self.subTest(reason=reason, silent=silent):
                before = len(host.log_text())
                told = self.steps(f'service={service} user={user} chdir=/var/tmp', 'start setcred open end snap start setcred',
                                  f'open{silent} say=now fork drop done {steps} end compare=AFTER')
                self.assertEqual(told.results('open')[:1] + told.results(f'open{silent}')[-1:], [14, 14], told)
                heard = [line for line in told.lines if line.startswith('told ')]
                self.assertEqual(heard, [sentence] * (2 - len(silent) // 7) if sentence else [], told)
                self.logged(before, reason)
                self.same(told, 'AFTER')

    def test_policy(self):
        write('/etc/nsinit/nsinit.conf', 'version = 1; unmapped = ')
        self.refused('reason=policy')
        os.unlink('/etc/nsinit/nsinit.conf')
        self.refused('reason=policy')

    def test_denied(self):
        policy(['{ user = "alice"; deny = "Not you, %u."; }'])
        self.refused('reason=denied', sentence='told Not you, alice.')
        rules()
        write('/etc/pam.d/elsewhere', f'auth required pam_permit.so\nsession required {LINE}\n')
        self.refused('reason=service', sentence='told This service does not lead into your container.', service='elsewhere')

    def test_container_json(self):
        self.addCleanup(container, 'alice')
        write(f'{ROOTS}/alice/container.json', '{"hostname": [}')
        self.refused('reason=spec')

    def test_root_directory(self):
        self.addCleanup(container, 'alice')
        shutil.rmtree(f'{ROOTS}/alice')
        self.refused('reason=rootfs')

    def test_no_such_user(self):
        self.refused('reason=user', user='nobody-of-that-name')

    def test_supervisor(self):
        os.rename('/usr/libexec/nsinit/nsinit', '/usr/libexec/nsinit/nsinit.away')
        self.addCleanup(os.rename, '/usr/libexec/nsinit/nsinit.away', '/usr/libexec/nsinit/nsinit')
        self.refused('reason=session')

    def test_supervisor_of_another_version(self):
        """It answers, with descriptors, what is not understood."""
        directory = self.fake_supervisor()
        self.refused("reason=session.*its answer is of another version")
        shutil.rmtree(directory)

    def fake_supervisor(self):
        st = os.stat(f'{ROOTS}/alice')
        directory = f'{host.RUN_DIR}/{st.st_dev:x}-{st.st_ino:x}'
        os.makedirs(directory)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(f'{directory}/control')
        sock.listen()

        def answer():
            while True:
                try:
                    client, _ = sock.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    socket.send_fds(client, [b'not what you think'], [0, 1, 2])
        threading.Thread(target=answer, daemon=True).start()
        self.addCleanup(sock.close)
        self.addCleanup(sock.shutdown, socket.SHUT_RDWR)
        return directory

    def test_auth_line_is_missing(self):
        with open('/etc/pam.d/sshd') as f:
            text = f.read()
        self.addCleanup(write, '/etc/pam.d/sshd', text)
        write('/etc/pam.d/sshd', text.replace(f'auth optional {LINE}\n', ''))
        self.refused('reason=setup')

    def test_argument(self):
        with open('/etc/pam.d/sshd') as f:
            text = f.read()
        self.addCleanup(write, '/etc/pam.d/sshd', text)
        write('/etc/pam.d/sshd', text.replace(f'session required {LINE}', f'session required {LINE} what=ever'))
        self.refused('reason=argument', sentence=None)

    def test_terminals(self):
        """After the private mount namespace is made."""
        self.hold('start setcred open')  # its supervisor has found all it wants
        self.before = [*self.before, 'unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev && ln -s /run/log /dev/log && exec "$@"', '-']
        self.refused('reason=terminal.*mounting on /dev/pts')

    def test_conversation_that_fails(self):
        policy(['{ user = "alice"; deny = "Not you."; }'])
        told = self.steps('snap start-deaf setcred open end compare=AFTER')
        self.assertEqual(told.results('open'), [14])
        self.same(told, 'AFTER')


class SanitizedRefused(Sanitized, Refused):
    pass


del Case
