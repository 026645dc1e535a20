"""A. State and configuration: what the container's root writes is no authority."""
import json
import shutil

from attack import *

READER = ['python3', 'tests/attacks/naive/reader.py']


def recycle(pid):
    """A process of the host that has this pid, which is free again."""
    for _ in range(100):
        with open('/proc/sys/kernel/ns_last_pid', 'w') as f:
            f.write(str(pid - 1))
        process = subprocess.Popen(['sleep', '1000'])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f'pid {pid} does not come again')


def handle_of(path):
    """Its file handle, as open_by_handle_at(2) wants it: type and bytes."""
    import ctypes
    buffer = ctypes.create_string_buffer(136)
    buffer[0:4] = (128).to_bytes(4, 'little')
    mount = ctypes.c_int()
    if ctypes.CDLL(None, use_errno=True).name_to_handle_at(-100, path.encode(), buffer, ctypes.byref(mount), 0):
        raise OSError(ctypes.get_errno(), path)
    size, kind = (int.from_bytes(buffer.raw[n:n + 4], 'little') for n in (0, 4))
    return str(kind), buffer.raw[8:8 + size].hex()


class State(Attack):
    def attack_01_forged_nspid(self):
        """C writes another process's number into .nspid, and waits for the next who enters."""
        def forge(tool):
            other = self.root(tool, 'other')
            write(f'{other}/name', 'another')
            _, foreign = self.live(tool, other)
            root = self.root(tool)
            gained = []
            for running in (False, True):
                if running:
                    self.live(tool, root)
                for value in (os.getpid(), foreign, '0', '-1', 2**32 + 1, f'{os.getpid()} 34', ''):
                    write(f'{root}/.nspid', str(value))
                    shown = self.use(tool, root, 'sh', '-c', 'hostname; cat /name').split()
                    gained += [(value, shown)] if shown != [INSIDE] else []
                    if isinstance(tool, Naive):
                        os.unlink(f'{root}/.nspid')
            return gained
        self.fails(forge, Naive(), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()))

    def attack_02_pid_reuse(self):
        """The number of a container that was killed becomes that of a process of the host."""
        def reuse(tool):
            root = self.root(tool)
            front, pid = self.live(tool, root)
            front.kill()
            front.wait()
            until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of pid 1')
            stranger = recycle(pid)
            self.addCleanup(stranger.wait)
            self.addCleanup(stranger.kill)
            write(f'{root}/.nspid', str(pid))
            shown = self.use(tool, root, 'hostname').strip()
            return [] if shown == INSIDE else [shown]
        self.fails(reuse, Naive())

    def attack_03_join_while_dying(self):
        """Pid 1 is killed while somebody is about to enter its namespaces: the entry fails, and soon."""
        def die(tool):
            root = self.root(tool)
            front, pid = self.live(tool, root)
            trace = '/tmp/attack-03'
            run(['rm', '-f', trace])
            joining = subprocess.Popen(['strace', '-f', '-o', trace, '-e', 'trace=setns', '-e',
                                        'inject=setns:delay_exit=500000', *tool.argv(root, 'hostname')],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(joining.communicate)
            self.addCleanup(joining.kill)
            until(lambda: os.path.exists(trace) and 'setns' in open(trace).read(), 'setns')
            self.kill(pid, front)
            try:
                shown, told = joining.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                return ['hung']
            if isinstance(tool, Nsinit):
                self.assertEqual(joining.returncode, 125, told)
                self.assertEqual(self.use(tool, root, 'hostname'), INSIDE + '\n')
            return [shown] if shown else []
        self.fails(die, Naive('--one-by-one'))

    def attack_04_nspid_of_another_kind(self):
        """C puts something else in the place of .nspid: what it points to stays as it was, and nobody waits."""
        def plant(tool):
            root, gained = self.root(tool), []
            canary = f'{ROOTS}/canary'
            self.addCleanup(os.unlink, canary)
            self.addCleanup(run, f'rm -rf {root}/.nspid')
            for kind, make in (('symlink', lambda p: os.symlink(canary, p)), ('hardlink', lambda p: os.link(canary, p)),
                               ('fifo', os.mkfifo), ('directory', os.mkdir), ('socket', self.socket)):
                write(canary, 'alive')
                run(f'rm -rf {root}/.nspid')
                make(f'{root}/.nspid')
                shown = self.use(tool, root, 'hostname', timeout=2).strip()
                with open(canary) as f:
                    if f.read() != 'alive' or shown in ('hung', HOST):
                        gained.append(kind)
            return gained
        self.fails(plant, Naive('--follow-links'))

    @staticmethod
    def socket(path):
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)

    def attack_05_container_json(self):
        """C changes container.json, for more rights at the next start."""
        script = ('echo "{}" >/new; echo x >>/container.json; mv /new /container.json; rm -f /container.json; '
                  'umount /container.json; mount -o remount,rw,bind /container.json; echo x >>/container.json')

        def edit(tool):
            root = self.root(tool)
            write(f'{root}/container.json', json.dumps(tool.spec))
            self.live(tool, root, f'exec 2>/dev/null; {script}')
            with open(f'{root}/container.json') as f:
                return f.read() != json.dumps(tool.spec)
        self.fails(edit, Naive(), Nsinit(), Nsinit(MAPPED))
        # Who keeps SYS_ADMIN takes the mount away that hides the file: then it is the policy alone that holds.
        for spec in (strongest(), strongest(MAPPED)):
            self.assertTrue(self.attempt(edit, Nsinit(spec)))
        self.ceilings()

    def ceilings(self):
        """Whatever has come to stand there, a login gets what the policy allows."""
        asked = strongest(SPEC, namespaces=['NEWNS', 'NEWPID', 'NEWUTS'])
        root = container('alice', asked)
        self.assertNotIn(INSIDE, host.ssh('alice', 'hostname').stdout)  # the host's network, without the policy's word
        asked['namespaces'].append('NEWNET')
        write(f'{root}/container.json', json.dumps(asked))
        shown = host.ssh('alice', 'hostname; readlink /proc/self/ns/user; grep CapEff /proc/1/status').stdout.split()
        self.assertEqual((shown[0], shown[3]), (INSIDE, '000001ffffffffff'), shown)
        self.assertNotEqual(shown[1], os.readlink('/proc/self/ns/user'))
        host.wait_nothing_left()
        for refused in ({'namespaces': ['NEWNS', 'NEWNET']},
                        {'mounts': [{'type': 'bind', 'source': '/etc', 'target': '/data'}]},
                        {'network': {'bridge': 'another', 'ip': '10.0.0.2/24'}}):
            write(f'{root}/container.json', json.dumps(dict(asked, **refused)))
            self.assertNotIn(INSIDE, host.ssh('alice', 'hostname').stdout, refused)

    def attack_06_hostile_json(self):
        """What a parser may stumble over, or take for something else than the reader of the file."""
        spaces = '"namespaces": ["NEWNS", "NEWPID"]'
        texts = {
            'duplicate': '{%s, "capabilities": {"keep": []}, "capabilities": {"keep": ["SYS_ADMIN"]}}' % spaces,
            'escaped': '{%s, "hostname": "a", "host\\u006eame": "b"}' % spaces,
            'infinite': '{%s, "oom_score_adj": 1e999}' % spaces,
            'not a number': '{%s, "oom_score_adj": NaN}' % spaces,
            'nul': '{%s, "hostname": "a\\u0000b"}' % spaces,
            'deep': '[' * 100000, 'deep enough': '{"labels": ' * 300 + '{}' + '}' * 300,
            'huge': '{%s, "environment": ["A=%s"]}' % (spaces, 'x' * 10_000_000),
            'surrogate': '{%s, "hostname": "\\ud800"}' % spaces, 'unknown': '{%s, "privileged": true}' % spaces,
            'trailing': '{%s}\0{"x": 1}' % spaces,
        }

        def feed(judge):
            root = container('attacked', None)
            path, gained = f'{root}/container.json', []
            for name, text in texts.items():
                write(path, text)
                gained += [name] if judge(root).returncode not in (1, 125) else []
            os.unlink(path)
            for name, make in (('fifo', os.mkfifo), ('link', lambda p: os.symlink('/etc/shadow', p)),
                               ('endless', lambda p: os.symlink('/dev/zero', p))):
                make(path)
                try:
                    done = judge(root)
                    gained += [name] if done.returncode not in (1, 125) or 'root:' in done.stdout + done.stderr else []
                except subprocess.TimeoutExpired:
                    gained.append(name)
                os.unlink(path)
            return gained
        quickly = {'check': False, 'timeout': 3, 'stdin': subprocess.DEVNULL}
        self.fails(feed, lambda root: run(f'ulimit -v 1000000; exec {" ".join(READER)} spec {root}/container.json', **quickly),
                   lambda root: run(Nsinit().argv(root, 'true'), **quickly),
                   lambda root: run(['nsinit', 'check', root], **quickly))
        self.holds('test_input.Input.test_container_json')

    def attack_07_capabilities_the_wrong_way_round(self):
        """The list of capabilities of the seed's sample is one to drop. Read as one to keep, or with a base of all, it
        leaves DAC_READ_SEARCH, with which shocker.c opens any file of the file system by its handle."""
        canary = f'{ROOTS}/secret'
        write(canary, 'the secret', 0o600)
        self.addCleanup(os.unlink, canary)
        with open('etc/container.json') as f:
            listed = json.load(f)['capabilities']
        self.assertIn('SYS_ADMIN', listed)

        def shock(tool):
            root = self.root(tool)
            gained = [self.use(tool, root, 'inside', 'handle', *handle_of(canary)).strip()]
            self.live(tool, root)
            gained.append(self.use(tool, root, 'inside', 'handle', *handle_of(canary)).strip())
            bounding = int(self.use(tool, root, 'inside', 'caps'), 16)
            return [g for g in gained if g] + ([hex(bounding)] if bounding & ~0xa80425fb else [])
        without = dict(SPEC, capabilities=listed, seccomp='off')
        self.fails(shock, Naive('--keep-caps'), Nsinit(without), Nsinit(dict(MAPPED, capabilities=listed, seccomp='off')),
                   Nsinit(dict(without, capabilities=[])))

        def strong(tool):
            return self.use(tool, self.root(tool), 'inside', 'handle', *handle_of(canary)).strip()
        self.assertFalse(self.attempt(strong, Nsinit(strongest(MAPPED))))
        # Who keeps the capability without a user namespace has it.
        self.assertEqual(self.attempt(strong, Nsinit(strongest())), 'the secret')

    def attack_08_locks(self):
        """C locks every file it can open: others log in as before."""
        def block(tool):
            root = self.root(tool)
            holder = self.live(tool, root, 'inside lock & sleep 0.3')
            return self.use(tool, root, 'hostname', timeout=3) != INSIDE + '\n' and [holder]
        self.fails(block, Naive('--lock'))
        root = container('alice')
        shutil.copy('/usr/bin/inside', f'{root}/bin/inside')
        first = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'inside lock'],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(first.communicate)
        self.addCleanup(first.kill)
        self.assertEqual(first.stdout.readline(), 'locked\n')
        self.assertEqual(host.ssh('alice', 'hostname', timeout=5).stdout, INSIDE + '\n')

    def attack_09_policy(self):
        """L writes what the policy includes, or where it lies; names that are nearly those of a rule."""
        conf, rule = '/etc/nsinit/nsinit.conf', '{ user = "alice"; rootfs = "%s"; }'
        container('attacked')
        run(['useradd', 'alice2'])
        self.addCleanup(run, ['userdel', 'alice2'])
        os.makedirs('/tmp/open', exist_ok=True)
        write('/tmp/open/rules', rule % '/srv/nsinit/attacked', 0o666)
        self.addCleanup(shutil.rmtree, '/tmp/open')
        self.addCleanup(run, 'rm -rf /etc/nsinit && mkdir -m 0755 /etc/nsinit')
        ours = rule % f'{ROOTS}/attacked'

        def linked():
            shutil.move(conf, '/tmp/open/conf')
            os.symlink('/tmp/open/conf', conf)
        table = {  # the rule, a fault, who asks
            'writable': (ours, lambda: os.chmod(conf, 0o666), 'alice'),
            'by a group': (ours, lambda: os.chmod(conf, 0o664), 'alice'),
            'owner': (ours, lambda: os.chown(conf, 1, 0), 'alice'),
            'directory': (ours, lambda: os.chmod('/etc/nsinit', 0o777), 'alice'),
            'parent': (ours, lambda: os.chmod('/etc', 0o775), 'alice'),
            'link': (ours, linked, 'alice'),
            'include': ('@include "/tmp/open/rules"', lambda: None, 'alice'),
            'prefix': (ours, lambda: None, 'alice2'),
            'case': (ours.replace('alice', 'ALICE'), lambda: None, 'alice'),
            'above': (rule % f'{ROOTS}/../nsinit/attacked', lambda: None, 'alice'),
            'of the login user': (rule % '/home/%u', lambda: None, 'alice'),
        }

        def ask(decide):
            policy([ours])
            self.assertTrue(decide('alice'))
            gained = []
            for name, (text, fault, user) in table.items():
                run('rm -rf /etc/nsinit')
                policy([text])
                fault()
                gained += [name] if decide(user) else []
                os.chmod('/etc', 0o755)
            return gained

        def entered(user):
            """Into any container, or by a rule that is not believed."""
            shown = host.ssh('alice', 'hostname').stdout if user == 'alice' else host.nsinit('explain', user).stdout
            return INSIDE in shown or 'rootfs:' in shown
        self.fails(ask, lambda user: run([*READER, 'policy', conf, user], check=False).stdout, entered)
        self.holds('test_closed.Policy.test_everybody_is_refused')


del Attack
