"""Filters of an earlier start: what is used again, and what never is."""
import json
import os
import re
import struct
import unittest

from host import RUN_DIR, SPEC, container, exec_in, run, write

FILTERS = f'{RUN_DIR}/filters'
ALLOW = struct.pack('<HBBI', 0x06, 0, 0, 0x7fff0000)  # one instruction: every call is allowed
HEAD = '<QIHHHxxxxxx'


def fnv(*parts):
    value = 0xcbf29ce484222325
    for data in parts:
        for i in range(0, len(data), 8):
            value = (value ^ int.from_bytes(data[i:i + 8], 'little')) * 0x100000001b3 % 2**64
            value ^= value >> 32
    return value


def forged(kept):
    """What was kept, with another filter for the same key."""
    _, key_len, *_ = struct.unpack_from(HEAD, kept)
    key = kept[struct.calcsize(HEAD):][:key_len]
    counts = struct.pack('<HHH', 1, 0, 0)
    total = fnv(struct.pack('<I', key_len), counts, key, ALLOW)
    return struct.pack(HEAD, total, key_len, 1, 0, 0) + key + ALLOW


class Filters(unittest.TestCase):
    def setUp(self):
        run(['rm', '-rf', FILTERS])
        self.root = container('filters', {**SPEC, 'capabilities': ['MKNOD']})
        self.assertEqual(self.loaded(), 2)
        [name] = os.listdir(FILTERS)
        self.path = f'{FILTERS}/{name}'
        self.kept = self.read()
        self.addCleanup(run, ['rm', '-rf', FILTERS])

    def read(self):
        with open(self.path, 'rb') as f:
            return f.read()

    def plant(self, data, mode=0o600, owner=0):
        os.unlink(self.path)
        with open(self.path, 'wb') as f:
            f.write(data)
        os.chmod(self.path, mode)
        os.chown(self.path, owner, owner)

    def loaded(self, **environment):
        """How many filters the container's process has."""
        done = exec_in(self.root, 'sh', '-c', 'grep Seccomp_filters /proc/self/status', env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout.split()[1])

    def test_it_is_roots_alone(self):
        for path, mode in ((FILTERS, 0o40700), (self.path, 0o100600)):
            st = os.stat(path)
            self.assertEqual((st.st_uid, st.st_mode), (0, mode))

    def test_it_is_used_again(self):
        """The control of the tests below: what root put there would be loaded."""
        self.plant(forged(self.kept))
        self.assertEqual(self.loaded(), 1)

    def test_one_that_others_could_change_is_made_anew(self):
        for mode, owner in ((0o620, 0), (0o602, 0), (0o644, 0), (0o600, 1001)):
            with self.subTest(mode=oct(mode), owner=owner):
                self.plant(forged(self.kept), mode, owner)
                self.assertEqual(self.loaded(), 2)
                self.assertEqual(self.read(), self.kept)

    def test_no_link_is_followed(self):
        elsewhere = '/tmp/forged'
        with open(elsewhere, 'wb') as f:
            f.write(forged(self.kept))
        os.chmod(elsewhere, 0o600)
        os.unlink(self.path)
        os.symlink(elsewhere, self.path)
        self.assertEqual(self.loaded(), 2)
        self.assertEqual(self.read(), self.kept)

    def test_one_that_is_damaged_is_made_anew(self):
        middle = len(self.kept) // 2
        damaged = {'cut': self.kept[:-8], 'longer': self.kept + bytes(8), 'empty': b'', 'a head': self.kept[:24],
                   'a bit': self.kept[:middle] + bytes([self.kept[middle] ^ 1]) + self.kept[middle + 1:],
                   'two highest bits': self.kept[:-9] + bytes([self.kept[-9] ^ 0x80]) + self.kept[-8:-1]
                   + bytes([self.kept[-1] ^ 0x80])}
        for what, data in damaged.items():
            with self.subTest(what):
                self.plant(data)
                self.assertEqual(self.loaded(), 2)
                self.assertEqual(self.read(), self.kept)

    def test_another_container_has_another(self):
        write(f'{self.root}/container.json', json.dumps({**SPEC, 'capabilities': {'keep': ['CHOWN']}}))
        self.plant(forged(self.kept))
        self.assertEqual(self.loaded(), 2)
        self.assertEqual(len(os.listdir(FILTERS)), 2)

    def test_of_another_libseccomp_with_the_same_version(self):
        [library] = re.findall(r'libseccomp.* => (/\S+)', run(['ldd', '/usr/libexec/nsinit/nsinit']).stdout)
        build_id = bytes.fromhex(re.search('Build ID: ([0-9a-f]+)', run(['readelf', '-n', library]).stdout).group(1))
        with open(library, 'rb') as f:
            data = f.read()
        self.assertEqual(data.count(build_id), 1)
        os.makedirs('/tmp/repaired', exist_ok=True)
        with open(f'/tmp/repaired/{os.path.basename(library)}', 'wb') as f:
            f.write(data.replace(build_id, build_id[::-1]))
        self.addCleanup(run, ['rm', '-rf', '/tmp/repaired'])
        self.plant(forged(self.kept))
        self.assertEqual(self.loaded(LD_LIBRARY_PATH='/tmp/repaired'), 2)
        self.assertEqual(len(os.listdir(FILTERS)), 2)
        self.assertEqual(self.loaded(), 1)

    def test_there_are_not_too_many(self):
        for i in range(100):
            write(f'{FILTERS}/{i}', '')
        write(f'{self.root}/container.json', json.dumps({**SPEC, 'capabilities': {'keep': ['CHOWN']}}))
        self.assertEqual(self.loaded(), 2)
        self.assertEqual(len(os.listdir(FILTERS)), 1)

    def test_a_profile_that_changed(self):
        profile = '/root/profile.json'
        rules = [{'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO'}]
        for syscalls, status in (([], 0), (rules, 1), (rules, 1), ([], 0)):
            write(profile, json.dumps({'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': syscalls}))
            write(f'{self.root}/container.json', json.dumps({**SPEC, 'seccomp': profile}))
            run(['rm', '-rf', f'{self.root}/tmp/made'])
            self.assertEqual(exec_in(self.root, 'mkdir', '/tmp/made').returncode, status)
        self.assertEqual(len(os.listdir(FILTERS)), 3)


if __name__ == '__main__':
    unittest.main()
