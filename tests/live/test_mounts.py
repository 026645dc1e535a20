"""What container.json mounts, and where root directories come from: images, changes in memory, shifted trees."""
import json
import os
import re
import shutil
import subprocess
import unittest

import host
from host import (PORT, ROOTS, RUN_DIR, SPEC, SSH_OPTIONS, add_programs, container, exec_in, nsinit, policy, run, ssh,
                  until, wait_nothing_left, write)

ROOT = f'{ROOTS}/alice'
SHARE = f'{ROOTS}/share'  # below a directory that is root's alone, on a real file system
OPEN = '/srv/open'        # for everybody, on an overlay
USERS = SPEC['namespaces'] + ['NEWUSER']


def spec(*mounts, **keys):
    return dict(SPEC, mounts=list(mounts), **keys)


def bind(source, target='/data', **keys):
    return {'type': 'bind', 'source': source, 'target': target, **keys}


def set_uid_program(path):
    """Prints its effective uid."""
    run(['gcc', '-static', '-x', 'c', '-o', path, '-'],
        input='#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d\\n", (int)geteuid()); }')
    os.chown(path, 0, 0)
    os.chmod(path, 0o4755)


def mount_options(mountinfo, target):
    """Of the topmost mount there: its own options, type, and the rest of the line."""
    found = [line for line in mountinfo.splitlines() if line.split()[4:5] == [target]]
    return found[-1].split()[5].split(',') if found else None


class Case(unittest.TestCase):
    def setUp(self):
        for path in (SHARE, OPEN):
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            os.chmod(path, 0o755)
        policy([f'{{ user = "alice"; rootfs = "{ROOT}"; limits: {{ mounts = [ "{SHARE}", "{OPEN}" ]; }}; }}'])
        self.addCleanup(wait_nothing_left)

    def everywhere(self, mounts, command, check, **keys):
        """A command in a spawn, a join and a login; `check` looks at each one's output."""
        root = container('alice', spec(*mounts, namespaces=USERS, **keys))
        done = exec_in(root, 'sh', '-c', command)
        self.assertEqual((done.returncode, done.stderr), (0, ''), 'spawn')
        check(done.stdout, 'spawn')
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, 'sleep', '1000'], stdin=subprocess.DEVNULL)
        pid = host.wait_nspid(root)
        done = exec_in(root, 'sh', '-c', command)
        os.kill(pid, 9)
        front.wait()
        self.assertEqual((done.returncode, done.stderr), (0, ''), 'join')
        check(done.stdout, 'join')
        done = ssh('alice', command)
        self.assertEqual((done.returncode, done.stderr), (0, ''), 'login')
        check(done.stdout, 'login')
        wait_nothing_left()

    def refused(self, logged):
        before = len(host.log_text())
        done = ssh('alice', 'echo reached')
        self.assertNotIn('reached', done.stdout)
        until(lambda: re.search(logged, host.log_text()[before:]),
              f'{logged!r} in the log: {host.log_text()[before:]}')


class Keys(Case):
    def test_bind_of_a_directory(self):
        write(f'{SHARE}/file', 'shared\n')
        os.makedirs(f'{SHARE}/drop', exist_ok=True)
        os.chmod(f'{SHARE}/drop', 0o777)

        def check(out, how):
            self.assertEqual(out.split('\n', 1)[0], 'shared', how)
            options = mount_options(out, '/data')
            self.assertTrue({'rw', 'nosuid', 'nodev'} <= set(options), options)
            self.assertNotIn('noexec', options)
            self.assertIn('made\n', open(f'{SHARE}/drop/made').read())
            os.unlink(f'{SHARE}/drop/made')
        self.everywhere([bind(SHARE)], 'cat /data/file; echo made >/data/drop/made; cat /proc/self/mountinfo', check)

    def test_bind_of_a_file(self):
        write(f'{SHARE}/motd', 'hello\n')
        self.everywhere([bind(f'{SHARE}/motd', '/motd'), bind(f'{SHARE}/motd', '/opt/deep/motd')],
                        'cat /motd /opt/deep/motd', lambda out, how: self.assertEqual(out, 'hello\n' * 2, how))

    def test_readonly_and_noexec(self):
        os.chmod(SHARE, 0o777)

        def check(out, how):
            self.assertEqual(out.split('\n', 1)[0], 'no', how)
            self.assertTrue({'ro', 'nosuid', 'nodev', 'noexec'} <= set(mount_options(out, '/data')), out)
        for access in ({'readonly': True}, {'writable': False}):
            self.everywhere([bind(SHARE, options=['noexec'], **access)],
                            'touch /data/x 2>/dev/null || echo no; cat /proc/self/mountinfo', check)

    def test_nosuid_is_honoured(self):
        set_uid_program(f'{SHARE}/euid')
        uid = run('id -u alice').stdout.strip()
        for options, expected in (([], uid), (['suid'], '0')):
            container('alice', spec(bind(SHARE, idmap=True, readonly=True, options=options)))
            done = ssh('alice', '/data/euid; id -u')
            self.assertEqual(done.stdout.split(), [expected, uid], done.stderr)
            wait_nothing_left()

    def test_nodev_is_honoured(self):
        run(['mknod', '-m', '666', f'{SHARE}/null', 'c', '1', '3'])
        for options, works in (([], False), (['dev'], True)):
            root = container('alice', spec(bind(SHARE, options=options)))
            self.assertEqual(exec_in(root, 'sh', '-c', 'echo x >/data/null').returncode == 0, works)

    def test_tmpfs(self):
        def check(out, how):
            lines = out.splitlines()
            self.assertEqual(lines[0:2], ['drwxr-x--x 0 0', 'drwxrwxrwt 0 0'], how)
            line = [ln for ln in lines if ' /scratch ' in ln][0]
            self.assertRegex(line, r'rw,nosuid,nodev\S* - tmpfs \S+ \S*size=2048k')
            self.assertRegex([ln for ln in lines if ' /dev/shm ' in ln][-1], 'size=65536k')
        self.everywhere([{'type': 'tmpfs', 'target': '/scratch', 'size': '2m', 'mode': '0751'},
                         {'type': 'tmpfs', 'target': '/dev/shm'}],
                        'stat -c "%A %u %g" /scratch /dev/shm; cat /proc/self/mountinfo', check)

    def test_proc_and_sysfs_are_as_masked_as_the_first(self):
        def check(out, how):
            self.assertEqual(out.splitlines()[0], 'no', how)
            self.assertIn('ro', mount_options(out, '/jail/proc/sys'))
            self.assertTrue(mount_options(out, '/jail/proc/kcore') or not os.path.exists('/proc/kcore'))
            self.assertIn('ro', mount_options(out, '/jail/sys'))
        self.everywhere([{'type': 'proc', 'target': '/jail/proc'}, {'type': 'sysfs', 'target': '/jail/sys'}],
                        'echo x 2>/dev/null >/jail/proc/sys/kernel/domainname || echo no; cat /proc/self/mountinfo',
                        check)

    def test_mqueue(self):
        self.everywhere([{'type': 'mqueue', 'target': '/queues'}], 'grep " /queues " /proc/self/mountinfo',
                        lambda out, how: self.assertIn(' - mqueue ', out, how))
        root = container('alice', spec({'type': 'mqueue', 'target': '/queues'}, namespaces=['NEWNS', 'NEWUTS', 'NEWPID']))
        self.assertIn('without NEWIPC', exec_in(root, 'true').stderr)

    def test_overlay(self):
        for name in ('one', 'two', 'upper', 'work'):
            os.makedirs(f'{SHARE}/{name}')
        write(f'{SHARE}/one/a', 'upmost\n')
        write(f'{SHARE}/two/a', 'hidden\n')
        write(f'{SHARE}/two/b', 'below\n')
        overlay = {'type': 'overlay', 'target': '/data', 'lower': [f'{SHARE}/one', f'{SHARE}/two']}
        self.everywhere([overlay], 'cat /data/a /data/b; touch /data/x 2>/dev/null || echo no',
                        lambda out, how: self.assertEqual(out, 'upmost\nbelow\nno\n', how))
        os.chmod(SHARE, 0o700)
        overlay.update(upper=f'{SHARE}/upper', work=f'{SHARE}/work', idmap=True)
        root = container('alice', spec(overlay, namespaces=USERS))
        done = exec_in(root, 'sh', '-c', 'stat -c %u:%g /data/b; echo new >/data/b; echo c >/data/c; stat -c %u /data/c')
        self.assertEqual((done.stdout, done.stderr), ('0:0\n0\n', ''))
        self.assertEqual(open(f'{SHARE}/two/b').read(), 'below\n')
        self.assertEqual(open(f'{SHARE}/upper/b').read(), 'new\n')
        self.assertEqual(os.stat(f'{SHARE}/upper/c').st_uid, 0)

    def test_recursive(self):
        os.makedirs(f'{SHARE}/below')
        run(['mount', '-t', 'tmpfs', 'tmpfs', f'{SHARE}/below'])
        self.addCleanup(run, ['umount', f'{SHARE}/below'])
        write(f'{SHARE}/below/file', '')
        for recursive in (False, True):
            self.everywhere([bind(SHARE, recursive=recursive)], 'ls /data/below',
                            lambda out, how: self.assertEqual(out, 'file\n' if recursive else '', how))

    def test_propagation(self):
        run(['mount', '--bind', SHARE, SHARE])
        self.addCleanup(run, ['umount', SHARE])
        run(['mount', '--make-shared', SHARE])
        os.makedirs(f'{SHARE}/later')
        os.chmod(SHARE, 0o777)
        for propagation, seen in (('private', ''), ('slave', 'file\n')):
            root = container('alice', spec(bind(SHARE, propagation=propagation), namespaces=USERS))
            front = subprocess.Popen(['nsinit', 'exec', '-C', root, 'sleep', '1000'], stdin=subprocess.DEVNULL)
            pid = host.wait_nspid(root)
            run(['mount', '-t', 'tmpfs', 'tmpfs', f'{SHARE}/later'])
            write(f'{SHARE}/later/file', '')
            self.assertEqual(exec_in(root, 'ls', '/data/later').stdout, seen, propagation)
            run(['umount', f'{SHARE}/later'])
            os.kill(pid, 9)
            front.wait()

    def test_idmap(self):
        write(f'{SHARE}/file', '')
        self.everywhere([bind(SHARE, '/mapped', idmap=True, readonly=True), bind(SHARE, '/plain')],
                        'stat -c %u /mapped/file /plain/file',
                        lambda out, how: self.assertEqual(out, '0\n65534\n', how))

    def test_optional(self):
        self.everywhere([bind(f'{SHARE}/none', '/data', optional=True)], 'ls -d /data 2>/dev/null || echo none',
                        lambda out, how: self.assertEqual(out, 'none\n', how))
        root = container('alice', spec(bind(f'{SHARE}/none')))
        done = exec_in(root, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn(f'opening the source of a mount {SHARE}/none: No such file', done.stderr)

    def test_mounts_around_the_home_directory(self):
        write(f'{SHARE}/file', 'x\n')
        container('alice', spec(bind(SHARE, '/home', readonly=True), bind(SHARE, '/home/alice/shared')))
        self.addCleanup(run, 'rmdir /home/alice/shared', check=False)
        os.makedirs(f'{SHARE}/alice')
        done = ssh('alice', 'ls -d ~/.ssh; cat ~/shared/file; ls /home')
        self.assertEqual(done.stdout, '/home/alice/.ssh\nx\nalice\nfile\n', done.stderr)

    def test_check_prints_them(self):
        root = container('alice', spec(bind(SHARE, readonly=True), {'type': 'tmpfs', 'target': '/t', 'size': '1g'}))
        shown = nsinit('check', root).stdout
        self.assertIn(f'mount:        /data bind of {SHARE} (read-only,nosuid,nodev)\n', shown)
        self.assertIn('mount:        /t tmpfs (writable,nosuid,nodev,size=1g)\n', shown)


class Hostile(Case):
    def failed(self, root, expected):
        done = exec_in(root, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn(expected, done.stderr)

    def test_target_is_a_symbolic_link(self):
        before = os.listdir('/etc')
        root = container('alice', spec(bind(SHARE, '/data')))
        os.symlink('/etc', f'{root}/data')
        self.failed(root, 'symbolic link')
        self.refused('symbolic link')
        os.unlink(f'{root}/data')
        os.symlink('../../../../etc', f'{root}/data')
        self.failed(root, 'symbolic link')
        for kind in (bind(SHARE, '/data/deep/er'), {'type': 'tmpfs', 'target': '/data/deep'},
                     {'type': 'proc', 'target': '/data/deep'}):
            write(f'{root}/container.json', json.dumps(spec(kind)))
            self.failed(root, 'symbolic link')
        self.assertEqual(os.listdir('/etc'), before)

    def test_file_target_is_a_symbolic_link(self):
        write(f'{SHARE}/file', 'x')
        root = container('alice', spec(bind(f'{SHARE}/file', '/data')))
        os.symlink('/etc/hostname', f'{root}/data')
        self.failed(root, 'symbolic link')
        os.unlink(f'{root}/data')
        os.symlink('/etc/new-file', f'{root}/data')
        self.failed(root, 'symbolic link')
        self.assertFalse(os.path.exists('/etc/new-file'))

    def test_target_of_the_other_kind(self):
        write(f'{SHARE}/file', 'x')
        root = container('alice', spec(bind(SHARE)))
        write(f'{root}/data', '')
        self.failed(root, 'Not a directory')
        write(f'{root}/container.json', json.dumps(spec(bind(f'{SHARE}/file', '/tmp'))))
        self.failed(root, 'one of source and target is a directory')

    def test_source_through_a_symbolic_link(self):
        os.makedirs(f'{OPEN}/theirs')
        os.chmod(f'{OPEN}/theirs', 0o777)
        os.symlink('/etc', f'{OPEN}/theirs/link')
        for source in (f'{OPEN}/theirs/link', f'{OPEN}/theirs/link/ssh'):
            for optional in (False, True):
                root = container('alice', spec(bind(source, optional=optional)))
                self.failed(root, 'symbolic links are not followed')
                self.refused('symbolic links are not followed')

    def test_nobody_inside_takes_attributes_back(self):
        """Not even with every capability over the container's namespaces, as their owner outside has."""
        os.chmod(SHARE, 0o777)
        write(f'{SHARE}/file', '', 0o666)
        root = container('alice', spec(
            bind(SHARE, readonly=True, options=['noexec']), bind(SHARE, '/mapped', readonly=True, idmap=True),
            namespaces=USERS, capabilities={'keep': ['SYS_ADMIN', 'DAC_OVERRIDE']}))
        add_programs(root, ['/usr/bin/mount'])
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, 'sleep', '1000'], stdin=subprocess.DEVNULL)
        self.addCleanup(front.wait)
        pid = host.wait_nspid(root)
        self.addCleanup(os.kill, pid, 9)
        attempts = ' '.join(f'/usr/bin/mount -o remount,bind,{o} {target} && echo {o};'
                            for target in ('/data', '/mapped')
                            for o in ('rw,nosuid,nodev,noexec', 'ro,suid,nodev,noexec', 'ro,nosuid,dev,noexec'))
        attempts += '/usr/bin/mount -o remount,bind,ro,nosuid,nodev,exec /data && echo exec; ' \
            'echo x >>/data/file; echo x >>/mapped/file; echo end'
        outside = ['nsenter', '-t', str(pid), '-U', '-m', '-S', '0', '-G', '0', 'sh', '-c', attempts]
        for done in (exec_in(root, 'sh', '-c', attempts), run(outside, check=False)):
            self.assertEqual(done.stdout, 'end\n', done.stderr)
            self.assertEqual(done.stderr.count('Read-only file system'), 2, done.stderr)
            self.assertEqual(done.stderr.count('permission denied'), 7, done.stderr)

    def test_mapped_and_writable_where_others_reach(self):
        root = container('alice', spec(bind(OPEN, idmap=True), namespaces=USERS))
        self.failed(root, 'set-uid file')

    def test_ceiling(self):
        os.makedirs('/srv/share-not', exist_ok=True)
        for source in ('/etc', '/srv', '/srv/share-not', '/', f'{ROOTS}/shared'):
            container('alice', spec(bind(source, optional=True)))
            self.refused('limits.mounts|not "/"')
        for rule in ('', 'limits: { };', 'limits: { mounts = [ ]; };'):
            policy([f'{{ user = "alice"; rootfs = "{ROOT}"; {rule} }}'])
            container('alice', spec(bind(SHARE)))
            self.refused(r'reason=spec user=alice refused: planning the mount of '
                         rf'{SHARE}: the policy has no "limits.mounts"')
        container('alice', spec({'type': 'tmpfs', 'target': '/t'}))
        self.assertEqual(ssh('alice', 'grep -c " /t " /proc/self/mountinfo').stdout, '1\n')

    def test_ceiling_of_defaults_and_with_names(self):
        os.makedirs(f'{SHARE}/alice')
        policy([f'{{ user = ["alice", "bob"]; rootfs = "{ROOTS}/%u"; }}'],
               extra=f'defaults: {{ limits: {{ mounts = [ "{SHARE}/%u/" ]; }}; }};')
        container('alice', spec(bind(f'{SHARE}/alice')))
        self.assertEqual(ssh('alice', 'echo in').stdout, 'in\n')
        wait_nothing_left()  # its end removes .nspid
        container('alice', spec(bind(f'{SHARE}/bob')))
        self.refused('limits.mounts')
        self.assertIn(f'mounts:    {SHARE}/alice\n', nsinit('explain', 'alice').stdout)

    def test_overlay_layers_have_the_ceiling_too(self):
        for name in ('upper', 'work'):
            os.makedirs(f'{SHARE}/{name}')
        for lower, upper in (('/etc', SHARE), (SHARE, '/srv/share-not')):
            container('alice', spec({'type': 'overlay', 'target': '/data', 'lower': [lower],
                                     'upper': f'{upper}/upper', 'work': f'{upper}/work'}))
            self.refused('limits.mounts')


class Image(Case):
    """One base for many users."""

    def setUp(self):
        super().setUp()
        self.image = container('image')
        write(f'{self.image}/etc/base', 'of the image\n')
        write(f'{self.image}/etc/unwanted', '')
        shutil.rmtree(f'{ROOTS}/users', ignore_errors=True)
        os.makedirs(f'{ROOTS}/users', mode=0o700)
        self.rule()

    def rule(self, more=f'rootfs = "{ROOTS}/users/%u";'):
        policy([f'{{ user = ["alice", "bob", "carol"]; image = "{self.image}"; {more} }}'])

    def listing(self, path):
        return run(f'cd {path} && find . | sort && find . -type f -exec sha256sum {{}} +').stdout

    def test_first_login_makes_the_directory_and_copies_nothing(self):
        before = self.listing(self.image)
        done = ssh('alice', 'hostname; cat /etc/base; stat -c "%u:%g %a" / /etc /etc/base /bin/busybox; id -u')
        uid = run('id -u alice').stdout
        self.assertEqual(done.stdout, 'inside\nof the image\n0:0 755\n0:0 755\n0:0 644\n0:0 755\n' + uid, done.stderr)
        self.assertEqual(oct(os.stat(f'{ROOTS}/users/alice').st_mode), '0o40700')
        wait_nothing_left()
        self.assertLess(int(run(['du', '-sk', f'{ROOTS}/users/alice']).stdout.split()[0]), 100)
        self.assertEqual(self.listing(self.image), before)

    def as_root(self, user, command):
        """Root inside, by nsinit exec into the live container of a login."""
        return exec_in(f'{ROOTS}/users/{user}', 'sh', '-c', command)

    def hold(self, user):
        session = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), f'{user}@127.0.0.1', 'echo in; sleep 1000'],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(session.stdout.readline(), 'in\n')
        self.addCleanup(session.communicate)
        self.addCleanup(session.kill)
        return session

    def test_two_users_at_once(self):
        before = self.listing(self.image)
        self.hold('alice'), self.hold('carol')
        for user in ('alice', 'carol'):
            done = self.as_root(user, f'ls -ln / | grep -Ev " 0 +0 .*|(proc|sys|total.*)$"; echo {user} >/etc/base; '
                                      f'echo {user} >/etc/mine; mkdir /root/{user}; rm /etc/unwanted; stat -c %u:%g /etc/mine')
            self.assertEqual((done.stdout, done.stderr), ('0:0\n', ''))
        for user in ('alice', 'carol'):
            done = ssh(user, 'cat /etc/base /etc/mine; ls -d /root/* /etc/unwanted 2>/dev/null')
            self.assertEqual(done.stdout, f'{user}\n{user}\n/root/{user}\n', done.stderr)
            upper = f'{ROOTS}/users/{user}/upper'
            self.assertEqual(open(f'{upper}/etc/mine').read(), f'{user}\n')
            self.assertEqual((os.stat(f'{upper}/etc/mine').st_uid, os.stat(f'{upper}/etc').st_uid), (0, 0))
        self.assertEqual(self.listing(self.image), before)
        self.assertNotEqual(*(self.as_root(u, 'cat /proc/self/uid_map').stdout for u in ('alice', 'carol')))

    def test_the_second_login_finds_what_the_first_wrote(self):
        self.assertEqual(ssh('alice', 'echo kept >/tmp/file; mkdir /tmp/d; chmod 700 /tmp/d').returncode, 0)
        wait_nothing_left()
        done = ssh('alice', 'cat /tmp/file; stat -c "%u %a" /tmp/d')
        self.assertEqual(done.stdout, f'kept\n{run("id -u alice").stdout.strip()} 700\n', done.stderr)
        wait_nothing_left()
        self.assertEqual(ssh('carol', 'ls /tmp').stdout, '')

    def test_accounts_come_from_what_the_user_has_changed(self):
        uid = run('id -u alice').stdout.strip()
        self.assertEqual(ssh('alice', 'tail -n 1 /etc/passwd').stdout, 'guest:x:2000:2000::/:/bin/sh\n')
        wait_nothing_left()
        os.makedirs(f'{ROOTS}/users/alice/upper/etc', exist_ok=True)
        write(f'{ROOTS}/users/alice/upper/etc/passwd', f'renamed:x:{uid}:{uid}::/:/bin/sh\n')
        done = ssh('alice', 'cat /etc/passwd')
        self.assertRegex(done.stdout, rf'^alice:x:{uid}:.*\nrenamed:x:{uid}:{uid}::/:/bin/sh\n$', done.stderr)

    def test_nspid_and_state_are_the_user_s(self):
        self.hold('alice')
        self.assertTrue(os.path.exists(f'{ROOTS}/users/alice/.nspid'))
        self.assertFalse(os.path.exists(f'{self.image}/.nspid'))
        self.assertEqual(ssh('alice', 'ls -a / | grep nspid').stdout, '')
        self.assertIn('Read-only', self.as_root('alice', 'echo x >/container.json').stderr)
        self.assertEqual(self.as_root('alice', 'hostname').stdout, 'inside\n')
        self.as_root('alice', 'mkdir -p /opt; echo x >/opt/x')
        self.assertTrue(os.path.exists(f'{ROOTS}/users/alice/upper/opt/x'))

    def test_set_uid_programs_of_the_image_work(self):
        set_uid_program(f'{self.image}/bin/euid')
        self.assertEqual(ssh('alice', 'euid').stdout, '0\n')

    def test_ephemeral(self):
        for more, directory in (('ephemeral = true;', f'{RUN_DIR}/ephemeral/'),
                                (f'rootfs = "{ROOTS}/users/%u"; ephemeral = true; ephemeral_size = "8m";',
                                 f'{ROOTS}/users/alice')):
            self.rule(more)
            session = self.hold('alice')
            done = ssh('alice', 'echo gone >/tmp/file; stat -c %u:%g / /etc/base; cat /tmp/file; '
                                'dd if=/dev/zero of=/tmp/big bs=1M count=20 2>&1 | grep -c "No space"; df -k / | tail -n 1')
            size = '0' if directory.startswith(RUN_DIR) else '1'
            self.assertEqual(done.stdout.split('\n')[:4], ['0:0', '0:0', 'gone', size], done.stderr)
            self.assertIn(directory.encode(), run('cat /run/nsinit/*/state', text=False).stdout)
            session.kill()
            wait_nothing_left()
            self.assertEqual(ssh('alice', 'ls /tmp').stdout, '')
            wait_nothing_left()
            self.assertEqual(os.listdir(f'{ROOTS}/users/alice') if 'rootfs' in more else [], [])
        self.assertFalse(os.path.exists(f'{self.image}/.nspid'))

    def test_ephemeral_of_two_users(self):
        self.rule('ephemeral = true;')
        self.hold('alice'), self.hold('carol')
        self.assertEqual(ssh('alice', 'echo a >/tmp/a; ls /tmp').stdout, 'a\n')
        self.assertEqual(ssh('carol', 'ls /tmp').stdout, '')
        self.assertEqual(ssh('alice', 'ls /tmp').stdout, 'a\n')

    def test_without_a_user_namespace(self):
        self.rule(f'rootfs = "{ROOTS}/users/%u"; userns = "off";')
        self.assertEqual(ssh('alice', 'echo x >/tmp/x; stat -c %u /etc/base').stdout, '0\n')

    def test_config(self):
        write('/etc/nsinit/alice.json', json.dumps(dict(SPEC, hostname='configured')))
        os.unlink(f'{self.image}/container.json')
        self.rule(f'rootfs = "{ROOTS}/users/%u"; config = "/etc/nsinit/%u.json";')
        self.assertEqual(ssh('alice', 'hostname').stdout, 'configured\n')
        wait_nothing_left()
        container('alice', spec=None)
        policy([f'{{ user = "alice"; rootfs = "{ROOT}"; config = "/etc/nsinit/%u.json"; }}'])
        self.assertEqual(ssh('alice', 'hostname').stdout, 'configured\n')
        wait_nothing_left()
        for spoil, undo, why in (
                (lambda: os.chmod('/etc/nsinit/alice.json', 0o666), lambda: os.chmod('/etc/nsinit/alice.json', 0o644),
                 'lets others than root write'),
                (lambda: os.rename('/etc/nsinit/alice.json', '/etc/nsinit/x'),
                 lambda: os.rename('/etc/nsinit/x', '/etc/nsinit/alice.json'), 'No such file'),
                (lambda: write('/etc/nsinit/alice.json', '{"x": 1}'), lambda: None, r'alice.json:1:2: unknown key "x"')):
            spoil()
            self.refused(f'reason=.*user=alice.*{why}')
            undo()

    def test_refused_images(self):
        for image, why in (('/', "host's own /"), (f'{ROOTS}/none', 'No such file'), ('/home/alice', 'not to root')):
            policy([f'{{ user = "alice"; image = "{image}"; rootfs = "{ROOTS}/users/%u"; }}'])
            self.refused(why)
        self.rule(f'rootfs = "{ROOTS}/none/%u";')
        self.refused(f'opening {ROOTS}/none: No such file')
        self.rule('rootfs = "/srv/open/%u";')
        self.refused('set-uid file')

    def test_explain(self):
        self.rule('ephemeral = true; ephemeral_size = "1g"; config = "/etc/nsinit/%u.json";')
        shown = nsinit('explain', 'alice').stdout
        uid = run('id -u alice').stdout.strip()
        self.assertIn(f'rootfs:    {RUN_DIR}/ephemeral/{uid}{self.image.replace("/", ":")}\n', shown)
        self.assertIn(f'image:     {self.image}\nchanges:   in memory, at most 1g, gone with the container\n'
                      'config:    /etc/nsinit/alice.json\nmounts:    nothing of the host\n', shown)


class Shifted(Case):
    """A file system without id-mapped mounts: the throw-away host's own overlay."""
    FIRST = 300000

    def setUp(self):
        super().setUp()
        shutil.rmtree('/srv/odd', ignore_errors=True)
        container('made')
        os.makedirs('/srv/odd', mode=0o700)
        shutil.copytree(f'{ROOTS}/made', '/srv/odd/alice', symlinks=True)
        self.rule()

    def rule(self, more='ownership = "shifted";'):
        policy([f'{{ user = "alice"; rootfs = "/srv/odd/alice"; {more} }}'])

    def test_refusal_names_the_ways_out(self):
        self.rule('')
        self.refused('takes no id mapping.*ext4, xfs or btrfs; or chown the tree.*ownership = "shifted"; or userns = "off"')

    def test_refusal_of_an_image_names_the_ways_out(self):
        out = 'takes no id mapping.*ext4, xfs or btrfs; or copy the image .*ownership = "shifted"; or userns = "off"'
        shutil.rmtree(f'{ROOTS}/users', ignore_errors=True)
        os.makedirs(f'{ROOTS}/users', mode=0o700)
        image = container('image')
        for rule in (f'image = "/srv/odd/alice"; rootfs = "{ROOTS}/users/%u";', 'image = "/srv/odd/alice"; ephemeral = true;',
                     f'image = "{image}"; rootfs = "/srv/odd/%u";'):
            policy([f'{{ user = "alice"; {rule} }}'])
            self.refused(out)
        policy(['{ user = "alice"; image = "/srv/odd/alice"; ephemeral = true; userns = "off"; }'])
        self.assertEqual(ssh('alice', 'hostname').stdout, 'inside\n')  # the last of them

    def test_refusal_of_a_command_names_the_ways_out(self):
        write('/srv/odd/alice/container.json', json.dumps(spec(namespaces=USERS)))
        self.assertRegex(exec_in('/srv/odd/alice', 'true').stderr, 'takes no id mapping.*; or leave NEWUSER out of "namespaces"')
        write('/srv/odd/alice/container.json', json.dumps(spec()))
        self.assertEqual(exec_in('/srv/odd/alice', 'hostname').stdout, 'inside\n')
        os.chmod(OPEN, 0o700)
        root = container('alice', spec(bind(OPEN, readonly=True, idmap=True), namespaces=USERS))
        self.assertRegex(exec_in(root, 'true').stderr, 'takes no id mapping.*; or leave "idmap" out')

    def test_a_tree_that_belongs_to_a_range(self):
        run(f'chown -Rh {self.FIRST}:{self.FIRST} /srv/odd/alice')
        done = ssh('alice', 'stat -c "%u:%g" / /etc /bin/busybox; head -n 1 /proc/self/uid_map; hostname; id -u')
        lines = done.stdout.split('\n')
        self.assertEqual(lines[:3], ['0:0'] * 3, done.stderr)
        self.assertEqual(lines[3].split()[:2], ['0', str(self.FIRST)])
        self.assertIn('ownership: shifted\n', nsinit('explain', 'alice').stdout)

    def test_range_is_used_once(self):
        shutil.copytree('/srv/odd/alice', '/srv/odd/carol', symlinks=True)
        self.addCleanup(run, ['rm', '-rf', '--one-file-system', '/srv/odd/carol'])  # whose .nspid may just go
        run(f'chown -Rh {self.FIRST}:{self.FIRST} /srv/odd/alice /srv/odd/carol')
        policy(['{ user = "*"; rootfs = "/srv/odd/%u"; ownership = "shifted"; }'])
        session = subprocess.Popen(['ssh', *SSH_OPTIONS, '-p', str(PORT), 'carol@127.0.0.1', 'echo in; sleep 1000'],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(session.stdout.readline(), 'in\n')
        self.refused('another live container has the ids')
        session.kill()
        session.communicate()

    def test_owners_that_are_no_range(self):
        uid = int(run('id -u alice').stdout)
        for owner, group, why in ((0, 0, 'not the first of a subordinate range'), (uid, uid, 'not the first of a sub'),
                                  (self.FIRST, 0, 'not the first of one range'),
                                  (0x70000000, 0x70000000, 'gives to containers itself')):
            os.chown('/srv/odd/alice', owner, group)
            self.refused(why)
        os.chown('/srv/odd/alice', self.FIRST, self.FIRST)
        os.chmod('/srv/odd/alice', 0o777)
        self.refused('lets others than its owner write')


del Case
