"""nsinit init: root directories of archives and images, which may be hostile, and of Debian packages."""
import gzip
import hashlib
import io
import json
import os
import platform
import stat
import tarfile
import unittest

import host
from host import ROOTS, exec_in, nsinit, policy, run, ssh, wait_nothing_left, write

ROOT = f'{ROOTS}/alice'
WORK = '/tmp/init'
SENTINEL = '/srv/sentinel'
REF = 'org.opencontainers.image.ref.name'
ARCH = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine())


def entry(name, kind=tarfile.REGTYPE, text='', **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.size = len(text)
    for key, value in more.items():
        setattr(info, key, value)
    return info, text.encode()


def directory(name, **more):
    return entry(name, tarfile.DIRTYPE, **more)


def link(name, target):
    return entry(name, tarfile.SYMTYPE, linkname=target)


def archive(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Layout:
    """An OCI image layout."""

    def __init__(self, path=f'{WORK}/layout'):
        self.path, self.manifests = path, []
        os.makedirs(f'{path}/blobs/sha256')
        write(f'{path}/oci-layout', '{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data, media='application/octet-stream'):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = hashlib.sha256(data).hexdigest()
        with open(f'{self.path}/blobs/sha256/{digest}', 'wb') as f:
            f.write(data)
        return {'mediaType': media, 'digest': f'sha256:{digest}', 'size': len(data)}

    def manifest(self, *layers, config=None):
        return self.blob({'schemaVersion': 2, 'config': self.blob(config or {'config': {}}),
                          'layers': [self.blob(layer) for layer in layers]}, 'application/vnd.oci.image.manifest.v1+json')

    def image(self, tag, *layers, config=None):
        self.add(self.manifest(*layers, config=config), tag)
        return f'{self.path}:{tag}'

    def add(self, descriptor, tag=None):
        self.manifests.append({**descriptor, **({'annotations': {REF: tag}} if tag else {})})
        write(f'{self.path}/index.json', json.dumps({'schemaVersion': 2, 'manifests': self.manifests}))


class Case(unittest.TestCase):
    def setUp(self):
        run(['rm', '-rf', ROOT, WORK, SENTINEL])
        os.makedirs(WORK)
        os.makedirs(SENTINEL)
        write(f'{SENTINEL}/file', 'as it was')
        self.addCleanup(run, ['rm', '-rf', ROOT, WORK, SENTINEL])
        self.addCleanup(wait_nothing_left)
        self.before = self.outside()

    @staticmethod
    def outside():
        """What an archive could want to change."""
        return run(f'find {SENTINEL} /etc /srv -path {ROOTS}/alice -prune -o -printf "%p %m %U %l\\n" | sort; '
                   f'cat {SENTINEL}/* /etc/passwd /etc/shadow; ls -a {ROOTS} | grep -v "^alice$"').stdout

    def unchanged(self):
        self.assertEqual(self.outside(), self.before)

    def init(self, *args, status=0):
        done = nsinit('init', *args)
        self.assertEqual(done.returncode, status, (args, done.stdout, done.stderr))
        return done

    def tar(self, *entries, pack=None, name='a.tar'):
        data = archive(*entries)
        with open(f'{WORK}/{name}', 'wb') as f:
            f.write(pack(data) if pack else data)
        return f'{WORK}/{name}'

    def refused(self, *args, said=''):
        done = self.init(*args, status=125)
        self.assertIn(said, done.stderr)
        self.assertFalse(os.path.lexists(ROOT))
        self.unchanged()  # no directory that was begun, either

    @staticmethod
    def read(name):
        with open(f'{ROOT}/{name}') as f:
            return f.read()


class Tarball(Case):
    def test_a_login_lands_in_it(self):
        run(['tests/host/rootfs', f'{WORK}/source'])
        for option in ('-c', '-cz', '-cJ', '-cj', '-c --zstd'):
            run(f'tar -C {WORK}/source {option} -f {WORK}/a.tar .')
            done = self.init('--tar', f'{WORK}/a.tar', '--policy', 'alice')
            self.assertEqual(done.stdout, f'{{ user = "alice"; rootfs = "{ROOT}"; }},\n')
            policy(['{ user = "root"; stay = "host"; }', done.stdout.rstrip(',\n')])
            self.assertEqual(ssh('alice', 'hostname').stdout, 'alice\n')
            wait_nothing_left()
            run(['rm', '-rf', ROOT])

    def test_owners_and_modes_are_kept_but_for_the_top(self):
        path = self.tar(directory('./', mode=0o777, uid=1000, gid=1000),
                        entry('./tool', text='x', mode=0o4755, uid=33, gid=44), entry('./own', text='y', uid=70000))
        self.init('--tar', path, 'alice')
        st = os.stat(ROOT)
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (0, 0, 0o755))
        st = os.stat(f'{ROOT}/tool')
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (33, 44, 0o4755))
        self.assertEqual(os.stat(f'{ROOT}/own').st_uid, 70000)

    def test_its_container_json_is_not_believed(self):
        for prefix in ('', './', '/'):
            path = self.tar(entry(f'{prefix}container.json', text='{"namespaces": []}'), entry(f'{prefix}.nspid', text='1'),
                            entry('file', text='x'))
            self.init('--tar', path, 'alice')
            self.assertIn('NEWPID', json.loads(self.read('container.json'))['namespaces'])
            self.assertFalse(os.path.exists(f'{ROOT}/.nspid'))
            run(['rm', '-rf', ROOT])
        path = self.tar(link('.//container.json', f'{SENTINEL}/file'), entry('file', text='x'))
        self.init('--tar', path, 'alice')
        self.assertFalse(os.path.islink(f'{ROOT}/container.json'))
        self.unchanged()

    def test_nothing_gets_outside(self):
        out = 'written by the archive'
        for entries in ([entry('../../sentinel/new', text=out)], [entry(f'{SENTINEL}/file', text=out)],
                        [entry('../bob/evil', text=out)],
                        [link('way', SENTINEL), entry('way/file', text=out)],
                        [link('way', '../../sentinel'), entry('way/new', text=out)],
                        [link('way', '/etc'), entry('way/passwd', text=out)],
                        [link('way', '/'), link('way2', 'way/srv'), entry('way2/sentinel/new', text=out)],
                        [entry('hard', tarfile.LNKTYPE, linkname='/etc/shadow'), entry('hard', text=out)],
                        [entry('hard', tarfile.LNKTYPE, linkname=f'{SENTINEL}/file')]):
            nsinit('init', '--tar', self.tar(*entries), 'alice')
            self.unchanged()
            run(['rm', '-rf', ROOT])

    def test_devices(self):
        self.init('--tar', self.tar(entry('./dev/sda', tarfile.BLKTYPE, devmajor=8), entry('f', text='x')), 'alice')
        self.assertFalse(os.path.exists(f'{ROOT}/dev/sda'))
        run(['rm', '-rf', ROOT])
        self.refused('--tar', self.tar(entry('x/sda', tarfile.BLKTYPE, devmajor=8)), 'alice', said='tar has failed')

    def test_what_is_no_archive(self):
        write(f'{WORK}/text', 'no archive' * 1000)
        self.refused('--tar', f'{WORK}/text', 'alice', said='tar has failed')
        self.refused('--tar', f'{WORK}/nowhere', 'alice', said='No such file')
        self.refused('--tar', WORK, 'alice', said='not a regular file')
        with open(self.tar(entry('file', text='x' * 100000)), 'r+b') as f:
            f.truncate(50000)
        self.refused('--tar', f'{WORK}/a.tar', 'alice', said='tar has failed')

    def test_a_deep_tree_is_removed_as_well(self):
        name = 'd/' * 1500
        entries = [directory(name[:2 * i]) for i in range(1, 1501, 300)] + [directory(name)]
        self.refused('--tar', self.tar(*entries, entry('x/sda', tarfile.BLKTYPE, devmajor=8)), 'alice')

    def test_progress_and_interruption(self):
        path = self.tar(entry('file', text='x' * 1000000))
        terminal = host.Terminal(['nsinit', 'init', '--tar', path, 'alice'])
        self.assertEqual(terminal.finish(), 0)
        self.assertRegex(terminal.text, r'unpacking \[#{30}\] 100% \S+K? of ')
        run(['rm', '-rf', ROOT])
        self.assertEqual(self.init('--tar', path, 'alice').stderr, '')
        run(['rm', '-rf', ROOT])
        info, _ = entry('large')
        info.size = 8 << 30
        with open(path, 'wb') as f:  # as much as takes its time; a hole
            f.write(info.tobuf())
            f.truncate((8 << 30) + 10240)
        terminal = host.Terminal(['nsinit', 'init', '--tar', path, 'alice'])
        terminal.expect(r' [1-9]%')
        terminal.type('\x03')
        self.assertEqual(terminal.finish(), 125)
        self.assertFalse(os.path.lexists(ROOT))
        self.unchanged()


class Oci(Case):
    def oci(self, name, **kwargs):
        return self.init('--oci', name, 'alice', **kwargs)

    def test_layers_configuration_and_whiteouts(self):
        run(['tests/host/rootfs', f'{WORK}/source'])
        base = run(f'tar -C {WORK}/source -c .', text=False).stdout
        first = archive(directory('data'), entry('data/kept', text='1'), entry('data/gone', text='1'),
                        entry('data/replaced', text='1'), directory('closed'), entry('closed/old', text='1'),
                        directory('tree'), entry('tree/a', text='1'), entry('odd\nname', text='1'), link('turns', 'data'))
        second = archive(entry('data/.wh.gone'), entry('data/replaced', text='2'), directory('closed'),
                         entry('closed/.wh..wh..opq'), entry('closed/new', text='2'), entry('.wh.tree'),
                         entry('.wh.odd\nname'), directory('turns'), entry('turns/real', text='2'))
        name = Layout().image('v1', gzip.compress(base), first, gzip.compress(second), config={
            'config': {'Env': ['PATH=/bin', 'GREETING=hello world'], 'WorkingDir': '/data', 'User': '2000'}})
        self.oci(name)
        self.assertEqual(sorted(os.listdir(f'{ROOT}/data')), ['kept', 'replaced'])
        self.assertEqual((self.read('data/replaced'), self.read('closed/new'), os.listdir(f'{ROOT}/closed')), ('2', '2', ['new']))
        self.assertFalse(os.path.exists(f'{ROOT}/tree') or os.path.exists(f'{ROOT}/odd\nname'))
        self.assertEqual(os.listdir(f'{ROOT}/turns'), ['real'])
        self.assertEqual(run(f'find {ROOT} -name ".wh.*"').stdout, '')
        self.assertEqual(exec_in(ROOT, 'sh', '-c', 'echo $GREETING; pwd; id -u').stdout, 'hello world\n/data\n2000\n')

    def test_tags_and_architectures(self):
        layout = Layout()
        one = layout.image('one', archive(entry('f', text='one')))
        self.oci(layout.path)  # the only one
        self.assertEqual(self.read('f'), 'one')
        run(['rm', '-rf', ROOT])
        layout.image('two', archive(entry('f', text='two')))
        self.refused('--oci', layout.path, 'alice', said='it has more than one image of that name')
        self.refused('--oci', f'{layout.path}:three', 'alice', said='it has no image of that name')
        self.oci(one)
        self.assertEqual(self.read('f'), 'one')
        run(['rm', '-rf', ROOT])
        index = {'schemaVersion': 2, 'manifests': [
            {**layout.manifest(archive(entry('f', text=arch))), 'platform': {'os': 'linux', 'architecture': arch}}
            for arch in ('vax', ARCH, 'pdp11')]}
        layout.add(layout.blob(index, 'application/vnd.oci.image.index.v1+json'), 'many')
        self.oci(f'{layout.path}:many')
        self.assertEqual(self.read('f'), ARCH)

    def test_no_layer_leads_outside(self):
        out = 'written by a layer'
        for layers in ([[link('way', SENTINEL)], [entry('way/file', text=out)]],
                       [[link('way', SENTINEL)], [entry('way/.wh.file')]],
                       [[link('way', SENTINEL)], [entry('way/.wh..wh..opq')]],
                       [[link('way', '../../sentinel')], [entry('way/new', text=out)]],
                       [[link('way', '/etc')], [entry('way/passwd', text=out)]],
                       [[entry('f')], [entry('../../sentinel/.wh.file')]],
                       [[entry('f')], [entry('../.wh.bob')]],
                       [[entry('f')], [entry('a/.wh...')]], [[entry('f')], [entry('.wh..')]]):
            run(['rm', '-rf', ROOT, f'{WORK}/layout'])
            nsinit('init', '--oci', Layout().image('x', *[archive(*layer) for layer in layers]), 'alice')
            self.unchanged()

    def test_what_the_naive_way_does(self):
        """The first of these layers, one after the other by tar: this is what the test above would see."""
        os.mkdir(f'{WORK}/naive')
        for layer in ([link('way', SENTINEL)], [entry('way/file', text='written by a layer')]):
            run(['tar', '-C', f'{WORK}/naive', '-xf', self.tar(*layer)])
        self.assertNotEqual(self.outside(), self.before)

    def test_sums_are_checked(self):
        for which in ('layer', 'config', 'manifest'):
            run(['rm', '-rf', f'{WORK}/layout'])
            layout = Layout()
            name = layout.image('x', archive(entry('f', text='x')))
            manifest = layout.manifests[0]['digest'][7:]
            with open(f'{layout.path}/blobs/sha256/{manifest}') as f:
                parts = json.load(f)
            digest = {'layer': parts['layers'][0]['digest'][7:], 'config': parts['config']['digest'][7:],
                      'manifest': manifest}[which]
            with open(f'{layout.path}/blobs/sha256/{digest}', 'ab') as f:
                f.write(b'\0' * 512 if which == 'layer' else b' ')
            self.refused('--oci', name, 'alice', said='its sum is not the one that the image says')

    def test_names_of_blobs(self):
        for digest in ('sha256:../../../../etc/shadow', 'sha256:' + 'A' * 64, 'sha256:abc', 'md5:' + 'a' * 64, '', 7, None):
            run(['rm', '-rf', f'{WORK}/layout'])
            layout = Layout()
            layout.add({'digest': digest}, 'x')
            self.refused('--oci', f'{layout.path}:x', 'alice', said='not of the form sha256:HEX')
        run(['rm', '-rf', f'{WORK}/layout'])
        layout = Layout()
        with open('/etc/shadow', 'rb') as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        os.symlink('/etc/shadow', f'{layout.path}/blobs/sha256/{digest}')
        layout.add({'digest': f'sha256:{digest}'}, 'x')
        self.refused('--oci', f'{layout.path}:x', 'alice', said='No such file')  # the link leads nowhere in the layout

    def test_json_that_is_wrong(self):
        layout = Layout()
        for text, said in (('', 'no JSON object'), ('[]', 'no JSON object'), ('{}', 'no list "manifests"'),
                           ('{"manifests": {}}', 'no list "manifests"'), ('{"manifests": [7]}', 'no image of that name'),
                           ('[' * 100000, 'no JSON object')):
            write(f'{layout.path}/index.json', text)
            self.refused('--oci', layout.path, 'alice', said=said)
        os.unlink(f'{layout.path}/index.json')
        self.refused('--oci', layout.path, 'alice', said='No such file')
        run(['rm', '-rf', layout.path])
        layout = Layout()
        self.refused('--oci', layout.image('env', archive(entry('f')), config={'config': {'Env': ['NOVALUE']}}), 'alice',
                     said='not of the form NAME=value')


class Debian(Case):
    def test_by_mmdebstrap(self):
        """The real one, of a repository that is small enough."""
        repo = f'{WORK}/repo'
        os.makedirs(f'{repo}/tiny/DEBIAN')
        run(['tests/host/rootfs', f'{repo}/tiny'])
        arch = run(['dpkg', '--print-architecture']).stdout.strip()
        control = f'Package: tiny\nVersion: 1\nArchitecture: {arch}\nMaintainer: a <a@example.org>\nDescription: x\n'
        write(f'{repo}/tiny/DEBIAN/control', control)
        run(['dpkg-deb', '-b', f'{repo}/tiny', f'{repo}/tiny.deb'])
        with open(f'{repo}/tiny.deb', 'rb') as f:
            data = f.read()
        write(f'{repo}/Packages', f'{control}Filename: ./tiny.deb\nSize: {len(data)}\n'
                                  f'SHA256: {hashlib.sha256(data).hexdigest()}\n')
        options = ('--debian', 'local', '--variant', 'extract', '--mirror', f'deb [trusted=yes] copy://{repo} ./')
        self.init(*options, '--include', 'tiny', ROOT)
        self.assertEqual(exec_in(ROOT, 'hostname').stdout, 'alice\n')
        run(['rm', '-rf', ROOT])
        self.refused(*options, '--include', 'no-such-package', 'alice', said='mmdebstrap has failed')


class Command(Case):
    def test_what_is_told(self):
        path = self.tar(entry('f', text='x'))
        self.assertEqual(self.init('--tar', path, 'alice').stdout, f'{ROOT} is made, with a container.json\n')
        run(['rm', '-rf', ROOT])
        found = json.loads(self.init('--tar', path, '--json', f'{ROOT}/').stdout)
        self.assertEqual(found, {'rootfs': ROOT, 'image': None, 'user': None, 'logins_refused': None,
                                 'rule': f'{{ user = "USER"; rootfs = "{ROOT}"; }},'})

    def test_an_image(self):
        path = self.tar(entry('f', text='x'))
        image = f'{ROOTS}/image'
        self.init('--tar', path, image)
        self.addCleanup(run, ['rm', '-rf', image])
        rule = f'{{ user = "alice"; image = "{image}"; rootfs = "{ROOT}"; }},'
        done = self.init('--image', image, 'alice')
        self.assertEqual((done.stdout, done.stderr), (f'{rule}\n', ''))
        self.assertFalse(os.path.exists(ROOT))
        os.unlink(f'{image}/container.json')
        self.assertIn('it has no container.json', self.init('--image', image, 'alice').stderr)

    def test_where_it_is_not_made(self):
        path = self.tar(entry('f', text='x'))
        os.mkdir(ROOT)
        self.init('--tar', path, 'alice')  # an empty one is as good as none
        done = self.init('--tar', path, 'alice', status=125)
        self.assertIn('it is there already', done.stderr)
        run(['rm', '-rf', ROOT])
        os.symlink(SENTINEL, ROOT)
        self.assertIn('it is there already', self.init('--tar', path, 'alice', status=125).stderr)
        os.unlink(ROOT)
        self.refused('--tar', path, 'nobody-of-this-name', said='there is no such user')
        self.refused('--tar', path, '/tmp/by-others', said='lets others than root write')
        os.mkdir('/srv/open', 0o755)
        self.addCleanup(run, ['rm', '-rf', '/srv/open'])
        self.assertIn('logins would be refused: ', self.init('--tar', path, '/srv/open/x').stderr)

    def test_who_is_not_root(self):
        done = run(['setpriv', '--reuid', 'bob', '--regid', 'bob', '--clear-groups', '--', 'nsinit', 'init', '--tar', 'x', 'bob'],
                   check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn('run it as root', done.stderr)

    def test_usage(self):
        for arguments in ([], ['alice'], ['--tar', 'x'], ['--tar', 'x', 'a', 'b'], ['--tar', 'x', '--oci', 'y', 'a'],
                          ['--tar', 'x', '--mirror', 'y', 'a'], ['--debian', '--hook=x', 'a'], ['--nonsense', 'a'],
                          ['--debian', 'x', '--mirror', '--hook=x', 'a']):
            self.assertIn('usage: nsinit init', self.init(*arguments, status=125).stderr)
