"""Device nodes of the host in a container: container.json's "devices", and what the policy allows of them."""
import os
import re
import unittest

import host
from host import ROOTS, SPEC, container, exec_in, nsinit, policy, run, ssh, wait_nothing_left

ROOT = f'{ROOTS}/alice'
NODE = '/dev/net/node'  # of fuse(4): it can be opened in both ways
TRY = ('t() { if sh -c ": $1$2" 2>/tmp/why; then echo "$1 yes"; else sed "s/.*: /$1 /" /tmp/why; fi; }; '
       't "<" %s; t ">" %s')


class Case(unittest.TestCase):
    def setUp(self):
        run(['mount', '-t', 'tmpfs', 'none', '/dev/net'])
        self.addCleanup(run, ['umount', '/dev/net'])
        run(['mknod', '-m', '0666', NODE, 'c', '10', '229'])
        self.addCleanup(wait_nothing_left)

    def make(self, *devices, limits='', **keys):
        container('alice', {**SPEC, 'devices': list(devices), **keys})
        policy([f'{{ user = "alice"; rootfs = "{ROOT}"; limits: {{ {limits} }}; }}'])

    def opens(self, node=NODE):
        done = exec_in(ROOT, 'sh', '-c', TRY % (node, node))
        self.assertEqual(done.stderr, '')
        return done.stdout.splitlines()


class Given(Case):
    def test_exec(self):
        self.make()
        self.assertEqual(self.opens(), ['< no such file', '> nonexistent directory'])
        self.make(NODE)
        self.assertEqual(self.opens(), ['< yes', '> yes'])
        self.assertEqual(exec_in(ROOT, 'stat', '-c', '%F %t %T', NODE).stdout, 'character special file a e5\n')

    def test_by_another_name(self):
        self.make({'path': NODE, 'target': '/dev/deep/er/fuse', 'permissions': 'rw'})
        self.assertEqual(self.opens('/dev/deep/er/fuse'), ['< yes', '> yes'])

    def test_in_a_login_too(self):
        self.make(NODE, limits='devices = [ "/dev/net/*" ];')
        self.assertEqual(ssh('alice', TRY % (NODE, NODE)).stdout.splitlines(), ['< yes', '> yes'])

    def test_what_is_not_there(self):
        self.make('/dev/net/none')
        self.assertIn('giving the device /dev/net/none: No such file or directory; or say "optional": true',
                      exec_in(ROOT, 'true').stderr)
        self.make({'path': '/dev/net/none', 'optional': True}, NODE)
        self.assertEqual(exec_in(ROOT, 'ls', '/dev/net').stdout, 'node\n')
        host.write('/dev/net/file', '')
        self.make('/dev/net/file')
        self.assertIn('giving the device /dev/net/file: it is no device node', exec_in(ROOT, 'true').stderr)

    def test_less_than_all_takes_a_cgroup(self):
        self.make({'path': NODE, 'permissions': 'r'})
        done = exec_in(ROOT, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('less than reading and writing takes cgroup v2', done.stderr)

    def test_check_shows_it(self):
        self.make(NODE)
        self.assertRegex(nsinit('check', ROOT).stdout, rf'(?m)^devices: .*{NODE}')


class Allowed(Case):
    def refused(self, what):
        start = len(host.log_text())
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)
        self.assertRegex(host.log_text()[start:], rf'reason=limits user=alice .*it has the device {what}, which the policy '
                                                  r'does not allow')

    def test_nothing_without_the_policy_s_word(self):
        self.make(NODE)
        self.refused(NODE)
        self.make(NODE, limits='devices = [ "/dev/net/nod", "/dev/*", "/dev/net/node/x" ];')
        self.refused(NODE)
        self.make(NODE, '/dev/full2', limits=f'devices = [ "{NODE}" ];')
        self.refused('/dev/full2')

    def test_clamp(self):
        self.make(NODE, limits='clamp = true;')
        self.assertEqual(ssh('alice', f'ls {NODE}; echo in').stdout, 'in\n')


class Filter(Case):
    """With cgroup v2: whatever a container finds, it can use what it is given."""

    def setUp(self):
        os.makedirs('/sys/fs/cgroup', exist_ok=True)
        run(['mount', '-t', 'cgroup2', 'none', '/sys/fs/cgroup'])
        self.addCleanup(run, ['umount', '/sys/fs/cgroup'])
        super().setUp()

    def test_permissions(self):
        for permissions, expected in (('r', ['< yes', '> Operation not permitted']),
                                      ('w', ["< Operation not permitted", '> yes']), ('rw', ['< yes', '> yes'])):
            self.make({'path': NODE, 'permissions': permissions}, limits=f'devices = [ "{NODE}" ];')
            with self.subTest(permissions=permissions):
                shown = ssh('alice', TRY % (NODE, NODE)).stdout.splitlines()
                self.assertEqual([re.sub("can't open.*?: ", '', line) for line in shown], expected)

    def test_another_device_does_not_work(self):
        run(['mknod', '-m', '0666', '/dev/net/kmsg', 'c', '1', '11'])
        bind = {'type': 'bind', 'source': '/dev/net', 'target': '/host-devices', 'options': ['dev']}
        self.make(NODE, mounts=[bind])
        self.assertEqual(exec_in(ROOT, 'sh', '-c', ': >/host-devices/node').returncode, 0)
        self.assertIn('Operation not permitted', exec_in(ROOT, 'sh', '-c', ': >/host-devices/kmsg').stderr)
        self.make(mounts=[bind])  # without the filter
        self.assertEqual(exec_in(ROOT, 'sh', '-c', ': >/host-devices/kmsg').returncode, 0)

    def test_what_every_container_has_works(self):
        self.make(NODE, limits=f'devices = [ "{NODE}" ];')
        done = ssh('alice', 'for d in null zero full random urandom; do head -c 1 /dev/$d >/dev/null || echo $d; done; '
                            'tty; : </dev/tty; echo $?; : >/dev/ptmx; echo $?', options=['-tt'])
        self.assertEqual(done.stdout.split(), ['/dev/pts/0', '0', '0'])
