"""C. Spawning: what a root directory, a container.json or somebody at the same time make of a start."""
import ctypes
import threading

from attack import *

CANARY = f'{MARK}/canary'
TARGETS = ('dev', 'proc', 'sys', 'etc', 'tmp', 'dev/pts', 'dev/shm', 'dev/null', 'etc/hosts', 'etc/hostname', 'etc/resolv.conf',
           '.nspid', 'container.json')
WRITTEN = ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sysrq-trigger', '/proc/sys/vm/panic_on_oom',
           '/sys/kernel/uevent_helper', '/sys/power/state')


def host_mounts():
    with open('/proc/self/mountinfo') as f:
        return {line.split()[4] for line in f}


class Spawning(Attack):
    def canary(self):
        """What is in the directory to which the links lead."""
        return run(f'cd {MARK} && find . -printf "%p %m %y\n" | sort && cat canary').stdout

    def link(self, root, name, to):
        path = f'{root}/{name}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        run(['rm', '-rf', '--one-file-system', path])
        os.symlink(to, path)

    def attack_26_mount_targets(self):
        """A link where something is mounted or written: what it leads to on the host is written, or covered."""
        write(CANARY, 'whole\n')
        self.addCleanup(run, ['rm', '-rf', '--one-file-system', CANARY])

        def plant(tool):
            gained, before, mounts = [], self.canary(), host_mounts()
            for name in TARGETS:
                for to in (CANARY, MARK, f'{MARK}/made', '../../../../../../../../../../..' + CANARY):
                    root = self.root(tool)
                    spec = f'{root}/container.json.saved'
                    run(['cp', f'{root}/container.json', spec])
                    self.link(root, name, to)
                    self.use(tool, root, 'true')
                    if self.canary() != before or host_mounts() != mounts:
                        gained.append((name, to))
                        run(['rm', '-rf', '--one-file-system', f'{MARK}/made'])
                        write(CANARY, 'whole\n')
            return gained
        self.fails(plant, Naive('--follow-links'), Nsinit(), Nsinit(MAPPED))
        self.holds('test_exec.Spawn.test_symbolic_link_as_mount_target_is_refused', 'test_mounts.Hostile.test_target_is_a_symbolic_link',
                   'test_mounts.Hostile.test_source_through_a_symbolic_link')

    def attack_26_exchanged_while_it_starts(self):
        """The same, with directory and link changing places all the time."""
        write(CANARY, 'whole\n')
        self.addCleanup(run, ['rm', '-rf', '--one-file-system', CANARY])
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

        def exchange(tool):
            root, stop, before, mounts = self.root(tool), threading.Event(), self.canary(), host_mounts()
            pairs = []
            for name, to in (('etc', MARK), ('dev', MARK), ('etc/hostname', CANARY)):
                os.makedirs(f'{root}/etc', exist_ok=True)
                if not os.path.exists(f'{root}/{name}'):
                    write(f'{root}/{name}', '') if '/' in name else os.mkdir(f'{root}/{name}')
                other = f'{root}/{name.replace("/", "-")}-link'
                os.symlink(to, other)
                pairs.append((f'{root}/{name}'.encode(), other.encode()))

            def racer():
                while not stop.is_set():
                    for a, b in pairs:
                        renameat2(-100, a, -100, b, 2)  # RENAME_EXCHANGE
            thread = threading.Thread(target=racer)
            thread.start()
            try:
                for _ in range(40):
                    self.use(tool, root, 'true')
            finally:
                stop.set()
                thread.join()
            gained = self.canary() != before or host_mounts() != mounts
            run(f'cd {MARK} && find . -mindepth 1 ! -name canary -delete')
            write(CANARY, 'whole\n')
            return gained
        self.fails(exchange, Naive('--follow-links'), Nsinit(), Nsinit(MAPPED))

    def attack_27_propagation(self):
        """What is mounted inside appears on a host whose mounts are shared, as systemd makes them."""
        run('mount --make-rshared /')
        self.addCleanup(run, 'mount --make-rprivate /')

        def appear(tool):
            before = host_mounts()
            root = self.root(tool)
            self.use(tool, root, 'sh', '-c', 'mkdir -p /tmp/m; mount -t tmpfs none /tmp/m')
            new = host_mounts() - before
            for path in sorted(new, key=len, reverse=True):
                run(['umount', '-l', path], check=False)
            return new
        self.fails(appear, Naive('--shared', '--chroot'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()), Nsinit(strongest(MAPPED)))
        self.holds('test_exec.Spawn.test_mounts_do_not_reach_the_host', 'test_mounts.Keys.test_propagation')

    def attack_28_kernel_files(self):
        """Files of /proc and /sys by which a program of the host can be named, or the machine be stopped."""
        def attempt(tool):
            root = self.root(tool)
            gained = self.use(tool, root, 'inside', 'open', *WRITTEN)
            self.live(tool, root)
            return gained + self.use(tool, root, 'inside', 'open', *WRITTEN)
        self.fails(attempt, Naive('--writable-proc'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest(MAPPED)))
        # Without a user namespace it is the list of what is read-only that keeps root inside from them.
        self.assertIn('core_pattern', self.attempt(attempt, Nsinit(strongest())))
        self.holds('test_confine.Kernel.test_paths_replace_the_defaults', 'test_mounts.Keys.test_proc_and_sysfs_are_as_masked_as_the_first')

    def attack_29_devices(self):
        """A device node that lies in the root directory already, or that root inside makes."""
        def use_nodes(tool):
            root = self.root(tool)
            run(['mknod', '-m', '0666', f'{root}/zero', 'c', '1', '5'])
            made = 'mknod /made c 1 5; mknod /dev/made c 1 5; mknod /tmp/made c 1 5;'
            return self.use(tool, root, 'sh', '-c', f'{made} inside read /zero /made /dev/made /tmp/made')
        self.fails(use_nodes, Naive('--dev'), Nsinit(), Nsinit(MAPPED), Nsinit(strongest(MAPPED)))
        self.holds('test_mounts.Keys.test_nodev_is_honoured', 'test_devices.Filter.test_another_device_does_not_work',
                   'test_devices.Allowed.test_nothing_without_the_policy_s_word')

    def attack_30_set_uid_files(self):
        """A set-uid file of root's, made inside, that another user of the host runs outside."""
        def bring_in(command):
            root = container('alice')
            run(['cp', '/usr/bin/id', f'{root}/bin/planted'])
            os.chmod(ROOTS, 0o755)
            self.addCleanup(os.chmod, ROOTS, 0o700)
            command(root, 'sh', '-c', 'chmod 4755 /bin/planted')
            return run(['setpriv', '--reuid=bob', '--clear-groups', f'{root}/bin/planted', '-u'], check=False).stdout == '0\n'
        naive = Naive()
        self.assertTrue(bring_in(lambda root, *command: self.use(naive, root, *command)))
        self.doCleanups()
        policy([f'{{ user = "alice"; rootfs = "{ROOTS}/alice"; userns = "off"; }}'])
        self.assertFalse(bring_in(lambda root, *command: self.assertNotEqual(host.ssh('alice', 'true').returncode, 0)))
        self.holds('test_policy.Refusal.test_rootfs_that_others_can_reach', 'test_mounts.Hostile.test_mapped_and_writable_where_others_reach',
                   'test_closed.Container.test_rootfs_s_parent_is_not_safe')

    def attack_30_set_gid_files(self):
        """Root inside leaves a program in the user's home that gives who runs it outside the host's group of terminals."""
        write('/tmp/group.c', '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d\\n", (int)getegid()); return 0; }\n')
        run(['gcc', '-static', '-o', '/tmp/group', '/tmp/group.c'])
        self.addCleanup(run, 'rm -f /home/alice/planted /home/alice/plain /home/alice/of-root')

        def plant():
            """The group that bob gets, and whose the files are that alice and root inside make."""
            container('alice')
            session = subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1',
                                        'touch plain; echo in; sleep 1000'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.addCleanup(session.communicate)
            self.addCleanup(session.kill)
            self.assertEqual(session.stdout.readline(), 'in\n')
            with open('/tmp/group', 'rb') as f:
                run(['nsinit', 'exec', '-T', '-C', f'{ROOTS}/alice', '--', 'sh', '-c', 'cd /home/alice; touch of-root; cat >planted; '
                     'chgrp 5 planted; chmod 2755 planted'], check=False, stdin=f, text=False)
            session.kill()
            session.wait()
            host.wait_nothing_left()
            gained = run(['setpriv', '--reuid=bob', '--regid=bob', '--clear-groups', '/home/alice/planted'], check=False).stdout
            owners = [os.stat(f'/home/alice/{name}') for name in ('plain', 'of-root')]
            run('rm -f /home/alice/planted /home/alice/plain /home/alice/of-root')
            return gained.strip(), owners[0].st_uid, owners[1].st_uid >= 0x70000000
        os.chmod('/home/alice', 0o755)
        alice = int(run(['id', '-u', 'alice']).stdout)
        # The control: a file system that takes no id mapping, as the manual says.
        self.assertEqual(plant(), ('5', alice, True))
        run(f'cp -a /home/alice {ROOTS}/home && mount --bind {ROOTS}/home /home/alice')
        self.addCleanup(run, ['rm', '-r', f'{ROOTS}/home'])
        self.addCleanup(run, ['umount', '/home/alice'])
        gained, *owners = plant()
        self.assertEqual(owners, [alice, True])
        self.assertGreaterEqual(int(gained), 0x70000000)  # the container's own group, which nothing of the host belongs to

    def attack_31_overlapping_roots(self):
        """The host's own root as a root directory; one directory by two names."""
        def root_itself(tool):
            write('/container.json', '{"namespaces": ["NEWNS", "NEWPID"]}')
            self.addCleanup(os.unlink, '/container.json')
            return self.use(tool, '/', 'ls', MARK + '/..')
        self.fails(root_itself, Naive('--chroot'), Nsinit())
        self.holds('test_exec.Spawn.test_host_root_is_refused', 'test_exec.State.test_two_paths_are_one_container',
                   'test_policy.Refusal.test_rootfs_is_a_symbolic_link', 'test_policy.Policy.test_user_in_another_s_container',
                   'test_overlap.Policy.test_a_login_is_refused', 'test_overlap.Policy.test_of_a_pattern_and_another_rule')

    def attack_31_nested_roots(self):
        """Root of one container writes what another is made of, or reads what is written in it."""
        def place(tool):
            outer, inner = self.root(tool), f'{ROOTS}/attacked/opt/inner'
            os.makedirs(os.path.dirname(inner))
            run(['mv', self.root(tool, 'alice'), inner])
            return outer, inner

        def nest(tool):
            outer, inner = place(tool)
            self.live(tool, outer, 'echo planted >/opt/inner/planted')
            return self.use(tool, inner, 'cat', '/planted')

        def contain(tool):
            outer, inner = place(tool)
            self.live(tool, inner, 'echo secret >/secret')
            return self.use(tool, outer, 'cat', '/opt/inner/secret')
        for attack in (nest, contain):
            self.fails(attack, Naive(), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()))
        self.holds('test_overlap.Start.test_one_that_lies_in_a_live_one', 'test_overlap.Start.test_one_that_holds_a_live_one',
                   'test_overlap.Start.test_by_another_name_of_it', 'test_overlap.Start.test_an_image_in_which_a_live_root_directory_lies',
                   'test_overlap.Start.test_a_root_directory_that_is_an_image_in_use_or_lies_in_one', 'test_overlap.Start.test_both_at_once')

    def attack_32_at_the_same_time(self):
        """Many first ones at once: each makes a container of its own, of one root directory."""
        def start_all(tool):
            root = self.root(tool)
            fronts = [self.start(tool, root, 'sh', '-c', 'readlink /proc/self/ns/pid; sleep 2') for _ in range(8)]
            spaces = {front.stdout.readline() for front in fronts}
            for front in fronts:
                front.wait(10)
            return len(spaces) > 1
        self.fails(start_all, Naive('--orphan'), Nsinit(), Nsinit(MAPPED))
        self.holds('test_ssh.Command.test_fifteen_first_logins_at_once', 'test_network.Pool.test_parallel_starts_get_distinct_addresses')

    def attack_33_killed_while_it_starts(self):
        """Who starts a container is killed: the container stays, with nobody who minds it."""
        def kill_early(tool):
            root, left = self.root(tool), []
            for after in (0.001, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.3):
                front = subprocess.Popen(tool.argv(root, 'sleep', '4343'), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    front.wait(after)
                except subprocess.TimeoutExpired:
                    front.kill()
                    front.wait()
                try:
                    until(lambda: 'sleep 4343' not in run('ps -eo args').stdout.split('\n'), 'its end', 1)
                except AssertionError:
                    left.append(after)
                    run('kill -9 $(pgrep -x -f "sleep 4343")')
            if tool.name == 'nsinit':
                self.assertEqual(self.use(tool, root, 'echo', 'alive'), 'alive\n')
            return left
        self.fails(kill_early, Naive('--orphan'), Nsinit(), Nsinit(MAPPED))
        self.holds('test_exec.State.test_kill_of_the_front_leaves_no_container', 'test_policy.Refusal.test_stale_state_and_nspid_are_no_obstacle')

    def attack_34_first_shell_is_pid_1(self):
        """The first one to come leaves, and takes the others along."""
        naive, root = Naive(), container('attacked')
        first, pid = self.live(naive, root)
        second = self.start(naive, root, 'sh', '-c', 'echo in; sleep 1000')
        self.assertEqual(second.stdout.readline(), 'in\n')
        os.kill(pid, signal.SIGKILL)
        second.wait(5)
        first.wait(5)
        container('alice')
        sessions = [subprocess.Popen(['ssh', *host.SSH_OPTIONS, '-p', str(host.PORT), 'alice@127.0.0.1', 'echo in; read x; echo out'],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for s in sessions:
            self.assertEqual(s.stdout.readline(), 'in\n')
        for s in sessions:
            self.assertEqual(s.communicate('\n', timeout=10)[0], 'out\n')

    def attack_35_names_of_bridges(self):
        """A name that a shell would take for more; a bridge that is another's."""
        evil = f'none; touch {MARK}/touched'

        def naive(name):
            run(f'ip link set dev lo master {name}', check=False)

        def ours(name):
            root = container('attacked', dict(SPEC, network={'bridge': name, 'ip': '10.9.0.2/24'}))
            self.assertEqual(host.exec_in(root, 'true').returncode, 125)
        for attacked, expected in ((naive, True), (ours, False)):
            attacked(evil)
            self.assertEqual(os.path.exists(f'{MARK}/touched'), expected)
            run(['rm', '-f', f'{MARK}/touched'])
        for name in ('sixteen_letters_', '../../etc', 'a b', '', '%s%n', 'a/b'):
            ours(name)
        self.holds('test_network.Login.test_bridges_of_the_rule', 'test_network.Bridge.test_what_is_no_bridge',
                   'test_network.Login.test_the_host_s_network_is_refused_unless_allowed')

    def attack_36_id_maps(self):
        """Two containers whose ids are the same on the host: root of one is root of the other."""
        def maps(tool):
            found = []
            for name in ('attacked', 'alice'):
                _, pid = self.live(tool, self.root(tool, name))
                with open(f'/proc/{pid}/uid_map') as f:
                    found.append([tuple(map(int, line.split()[1:])) for line in f])
            return [(a, b) for a in found[0] for b in found[1] if a[0] < b[0] + b[1] and b[0] < a[0] + a[1]]
        self.fails(maps, Naive(), Nsinit(MAPPED), Nsinit(strongest(MAPPED)))
        # Without a user namespace they are the same, which is why logins have one.
        self.assertTrue(self.attempt(maps, Nsinit()))
        self.holds('test_exec.Spawn.test_user_namespace', 'test_mounts.Shifted.test_range_is_used_once')
        self.user_among_the_containers()

    def user_among_the_containers(self):
        """A user whom a directory service has given an id that is a container's: its root has that user's files."""
        shared = f'{ROOTS}/shared'
        os.makedirs(shared, exist_ok=True)
        self.addCleanup(run, ['rm', '-r', shared])
        root = self.root(Nsinit(MAPPED), mounts=[{'type': 'bind', 'source': shared, 'target': '/shared'}])
        _, pid = self.live(Nsinit(MAPPED), root)
        with open(f'/proc/{pid}/uid_map') as f:
            first = int(f.read().split()[1])
        run(['useradd', '-m', '-u', str(first + 4711), '-s', '/bin/sh', 'far'])
        self.addCleanup(run, ['userdel', '-r', 'far'], check=False)
        run('cp -r /home/alice/.ssh /home/far/ && chown -R far /home/far')
        write(f'{shared}/secret', "far's", 0o600)
        os.chown(f'{shared}/secret', first + 4711, 0)
        # The control: it is that way. Nobody can tell all users of a directory service, but who logs in is told.
        self.assertEqual(self.use(Nsinit(MAPPED), root, 'cat', '/shared/secret', user='4711'), "far's")
        self.assertEqual(self.use(Nsinit(MAPPED), root, 'cat', '/shared/secret', user='4712'), '')
        container('far')
        policy(['{ user = "root"; stay = "host"; }', f'{{ user = "far"; rootfs = "{ROOTS}/%u"; }}'])
        run(['groupadd', '-g', str(first + 4711), 'far-group'])
        self.addCleanup(run, ['groupdel', 'far-group'], check=False)
        for ids, refused in (([], True), (['-u', '4711', '-g', 'far-group'], True), (['-g', 'alice'], False)):
            ids and run(['usermod', *ids, 'far'])
            before = len(host.log_text())
            done = host.ssh('far', 'hostname')
            self.assertEqual(INSIDE in done.stdout, not refused, done)
            self.assertEqual('is among the ids that nsinit gives to containers' in host.log_text()[before:], refused)

    def attack_37_nested_user_namespaces(self):
        """Another user namespace, in which to be root of: as root inside, and as a user."""
        def nest(tool):
            root, gained = self.root(tool), ''
            for user in (None, '1000'):
                gained += self.use(tool, root, 'sh', '-c', 'unshare -U echo nested', user=user)
            self.live(tool, root)
            return gained + self.use(tool, root, 'sh', '-c', 'unshare -U echo nested')
        self.fails(nest, Naive(), Nsinit(), Nsinit(MAPPED))
        # What asks for no filter gets none.
        self.assertIn('nested', self.attempt(nest, Nsinit(strongest(MAPPED))))
        self.holds('test_confine.Filter.test_default')

    def attack_38_abstract_sockets(self):
        """A socket of the host that is no file: it belongs to the network namespace."""
        server = host.Server('reached', '\0nsinit-attack')
        self.addCleanup(server.close)

        def connect(tool):
            return self.use(tool, self.root(tool), 'inside', 'abstract', 'nsinit-attack')
        self.fails(connect, Naive(), Nsinit(), Nsinit(MAPPED), Nsinit(strongest()), Nsinit(strongest(MAPPED)))
        self.holds('test_network.Login.test_the_host_s_network_is_refused_unless_allowed')
