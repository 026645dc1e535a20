"""nsinit check: what it says is what is, what is weak is named, and programs can read all of it."""
import glob
import json
import os
import re
import signal
import subprocess
import unittest

from host import ROOTS, SPEC, container, nsinit, policy, run, ssh, until, wait_nothing_left, wait_nspid, write

ROOT = f'{ROOTS}/check'
SHARE = '/srv/check-share'
CAPS = {name: number for number, name in enumerate(
    'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE '
    'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN '
    'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP'.split())}
SAFE = {'namespaces': SPEC['namespaces'] + ['NEWUSER'], 'rlimits': [{'type': 'NPROC', 'soft': 100, 'hard': 100}]}
BREAK_GLASS = '{ user = "root"; stay = "host"; }'


def check(*args, status=0):
    """The object that --json prints."""
    done = nsinit('check', '--json', *args)
    if done.returncode != status:
        raise AssertionError(f'{args}: {done.returncode}\n{done.stdout}\n{done.stderr}')
    return json.loads(done.stdout)


def codes(found):
    return [w['code'] for w in found['warnings']]


def make(**keys):
    return container('check', {**SAFE, **keys})


class Check(unittest.TestCase):
    def setUp(self):
        self.addCleanup(wait_nothing_left)
        policy([BREAK_GLASS])

    def start(self, root):
        """A container that lives until the test ends. Its pid 1, and the process that keeps it."""
        process = subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sleep', '1000'], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        try:
            pid = wait_nspid(root)
        except AssertionError as e:
            process.kill()
            raise AssertionError(f'{e}; {process.communicate()[1]}')
        self.addCleanup(lambda: process.poll() is None and os.kill(pid, signal.SIGKILL))
        return pid, process


class Live(Check):
    """Against a container that lives."""

    def read(self, pid, name):
        with open(f'/proc/{pid}/{name}') as f:
            return f.read()

    def compare(self, **keys):
        root = make(**keys)
        found = check(root)['container']
        pid, _ = self.start(root)
        status = dict(re.findall(r'^(\w+):\t(.*)$', self.read(pid, 'status'), re.M))
        bounding = sum(1 << CAPS[name] for name in found['capabilities'])
        self.assertEqual(int(status['CapBnd'], 16), bounding)
        self.assertEqual((int(status['Uid'].split()[0]) if found['namespaces']['NEWUSER'] == 'host' else 0),
                         found['user']['uid'])
        self.assertEqual(status['NoNewPrivs'] == '1', found['no_new_privs'])
        self.assertEqual(status['Seccomp'] == '2', found['seccomp'] == 'default')
        kinds = {'NEWNS': 'mnt', 'NEWPID': 'pid', 'NEWIPC': 'ipc', 'NEWUTS': 'uts', 'NEWNET': 'net', 'NEWUSER': 'user',
                 'NEWCGROUP': 'cgroup'}
        for name, file in kinds.items():
            own = os.readlink(f'/proc/{pid}/ns/{file}') != os.readlink(f'/proc/self/ns/{file}')
            self.assertEqual(found['namespaces'][name], 'own' if own else 'host', name)
        self.compare_mounts(pid, found)
        self.compare_limits(pid, found)
        return found, pid

    def compare_mounts(self, pid, found):
        shown = {}
        for line in self.read(pid, 'mountinfo').splitlines():
            fields = line.split()
            shown.setdefault(fields[4], []).append((fields[fields.index('-') + 1], set(fields[5].split(','))))
        self.assertGreater(len(found['mounts']), 5)
        for mount in found['mounts']:
            self.assertIn(mount['target'], shown, mount)
            kind, attributes = shown[mount['target']][0]
            if mount['type'] not in ('bind', 'file'):
                self.assertEqual(mount['type'], kind)
            self.assertLessEqual(set(mount['attributes']), attributes, mount)
        self.assertIn('ro' if found['readonly_fs'] else 'rw', shown['/'][-1][1])
        for device in found['devices']:
            self.assertIn(device, shown)
        inside = f'/proc/{pid}/root'
        for path in found['readonly_paths']:
            if os.path.exists(inside + path):
                self.assertTrue(any('ro' in a for _, a in shown[path]), path)
        for path in found['masked_paths']:
            self.assertTrue(not os.path.exists(inside + path) or path in shown, path)
        known = {m['target'] for m in found['mounts']} | set(found['devices']) | set(found['readonly_paths']) \
            | set(found['masked_paths']) | {'/'}
        self.assertLessEqual(set(shown), known)

    def compare_limits(self, pid, found):
        limits = self.read(pid, 'limits')
        titles = {'NOFILE': 'Max open files', 'NPROC': 'Max processes', 'CORE': 'Max core file size'}
        for limit in found['rlimits']:
            self.assertRegex(limits, rf'{titles[limit["type"]]} +{limit["soft"]} +{limit["hard"]} ')

    def test_default(self):
        found, _ = self.compare()
        self.assertEqual(len(found['capabilities']), 14)

    def test_everything(self):
        os.makedirs(SHARE, exist_ok=True)
        run('ip link add name ckbr0 type bridge && ip link set ckbr0 up')
        self.addCleanup(run, 'ip link del ckbr0')
        found, pid = self.compare(
            namespaces=SPEC['namespaces'], readonly_fs=True, user='guest', no_new_privs=True, seccomp='off',
            capabilities={'keep': ['KILL', 'NET_ADMIN', 'CHOWN']}, hostname='checked', masked_paths=['/etc/group'],
            rlimits=[{'type': 'NOFILE', 'soft': 64, 'hard': 128}, {'type': 'CORE', 'soft': 0, 'hard': 0}],
            sysctl={'net.ipv4.ip_forward': 1},
            mounts=[{'type': 'bind', 'source': SHARE, 'target': '/data', 'readonly': True, 'options': ['noexec']},
                    {'type': 'tmpfs', 'target': '/scratch', 'size': '1m'}],
            network={'bridge': 'ckbr0', 'ip': ['10.9.8.2/24', 'fd98::2/64'], 'gateway': '10.9.8.1', 'mtu': 1400,
                     'routes': [{'destination': '10.7.0.0/16', 'gateway': '10.9.8.1'}], 'nameservers': ['192.0.2.1']})
        self.assertEqual(found['capabilities'], ['CHOWN', 'KILL', 'NET_ADMIN'])
        self.assertEqual([m['target'] for m in found['mounts'] if not m['standard']], ['/data', '/scratch'])
        enter = ['nsenter', '-t', str(pid), '-n', 'ip', '-j']
        links = {i['ifname']: i for i in json.loads(run([*enter, 'addr']).stdout)}
        [wanted] = found['network']['interfaces']
        self.assertEqual(links[wanted['name']]['mtu'], wanted['mtu'])
        self.assertLessEqual(set(wanted['addresses']), {
            f'{a["local"]}/{a["prefixlen"]}' for a in links[wanted['name']]['addr_info']})
        routes = {(r['dst'], r.get('gateway')) for r in json.loads(run([*enter, 'route']).stdout)}
        self.assertIn(('default', wanted['gateways'][0]), routes)
        self.assertIn((wanted['routes'][0]['destination'], wanted['routes'][0]['gateway']), routes)
        self.assertEqual(run(['nsenter', '-t', str(pid), '-n', 'cat', '/proc/sys/net/ipv4/ip_forward']).stdout.strip(),
                         found['sysctl']['net.ipv4.ip_forward'])

    def test_table_and_json_agree(self):
        root = make(mounts=[{'type': 'tmpfs', 'target': '/t'}])
        found, table = check(root), nsinit('check', root).stdout
        [capabilities] = re.findall(r'^capabilities: (.*)$', table, re.M)
        self.assertEqual(capabilities.split(), found['container']['capabilities'])
        self.assertEqual(re.findall(r'^mount:        (\S+) ', table, re.M),
                         [m['target'] for m in found['container']['mounts']])
        self.assertEqual(re.findall(r'^warning: .*\[([a-z-]+)\]$', table, re.M), codes(found))
        for name, of in found['container']['namespaces'].items():
            self.assertRegex(table, rf'(?m)^{"namespaces" if of == "own" else "of the host"}:.* {name}\b')

    def test_networks_of_the_policy(self):
        policy([BREAK_GLASS], extra='networks: ( { bridge = "ckbr1"; create = true; address = [ "10.66.0.1/24" ]; '
               'pool = [ "10.66.0.0/24" ]; nameservers = [ "192.0.2.53" ]; } );')
        found = check(make(network={'bridge': 'ckbr1', 'ip': 'auto'}))['container']['network']
        self.assertEqual((found['type'], found['nameservers']), ('veth', ['192.0.2.53']))
        self.assertEqual((found['interfaces'][0]['lease'], found['interfaces'][0]['gateways']), (True, ['10.66.0.1']))
        policy([BREAK_GLASS])
        self.assertIn('network', codes(check(make(network={'bridge': 'ckbr1', 'ip': 'auto'}))))


class Weak(Check):
    def root_with(self, **keys):
        """The same directory for all: none of them is started."""
        root = f'{ROOTS}/weak'
        if not os.path.exists(root):
            container('weak', spec=None)
        write(f'{root}/container.json', json.dumps({**SAFE, **keys}))
        return root

    def warned(self, expected, **keys):
        """The warning of that code, which a safe container does not get."""
        found = check(self.root_with(**keys))
        matching = [w for w in found['warnings'] if w['code'] == expected]
        self.assertEqual(len(matching), 1, found['warnings'])
        self.assertTrue(matching[0]['remedy'])
        return matching[0]['message']

    def test_nothing_is_weak(self):
        root = self.root_with()
        self.assertEqual(check(root)['warnings'], [])
        done = nsinit('check', '--strict', root)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.endswith(f'{root}: no errors, 0 warnings\n'), done.stdout)

    def test_namespaces(self):
        every = SAFE['namespaces']
        for code, name in (('no-user-namespace', 'NEWUSER'), ('no-pid-namespace', 'NEWPID'),
                           ('no-ipc-namespace', 'NEWIPC'), ('host-network', 'NEWNET')):
            self.warned(code, namespaces=[n for n in every if n != name])
        self.warned('host-network', network={'type': 'host'})

    def test_process(self):
        self.warned('seccomp-off', seccomp='off')
        message = self.warned('more-capabilities', capabilities={'keep': ['KILL', 'SYS_ADMIN', 'SYS_PTRACE']})
        self.assertTrue(message.endswith(': SYS_PTRACE SYS_ADMIN'), message)
        self.warned('no-limits', rlimits=[])
        self.warned('nothing-masked', masked_paths=[])
        self.warned('nothing-readonly', readonly_paths=[])
        without = SPEC['namespaces']
        self.warned('writable-root', namespaces=without)
        for keys in ({'readonly_fs': True}, {'user': 'guest'}):
            self.assertNotIn('writable-root', codes(check(self.root_with(namespaces=without, **keys))))

    def test_mounts(self):
        def bind(source, **keys):
            return {'mounts': [{'type': 'bind', 'source': source, 'target': '/x', 'optional': True, **keys}]}
        for source in ('/etc', '/etc/cron.d', '/var/run', '/run', '/usr/bin', '/root', '/home', '/var/lib/dpkg'):
            self.assertIn(f'{source} of the host', self.warned('writable-host-directory', **bind(source)))
        for source in ('/var/run/docker.sock', '/run/podman/podman.sock', '/run/dbus/system_bus_socket', '/run', '/var/run',
                       '/run/dbus', '/var/run/docker'):
            self.warned('control-socket', **bind(source, readonly=True))
        self.warned('host-devices', **bind('/srv/x', options=['dev']))
        self.warned('writable-host-directory', mounts=[
            {'type': 'overlay', 'target': '/x', 'lower': ['/srv/a'], 'upper': '/etc/u', 'work': '/etc/w'}])
        for harmless in (bind('/etc', readonly=True), bind('/srv/share'), bind('/home/alice'), bind('/etcetera')):
            self.assertEqual(codes(check(self.root_with(**harmless))), [])

    def test_strict(self):
        root = self.root_with(seccomp='off')
        self.assertEqual(nsinit('check', root).returncode, 0)
        self.assertEqual(nsinit('check', '--strict', root).returncode, 1)
        check('--strict', root, status=1)


class Tree(Check):
    def test_a_good_one(self):
        found = check(make())['rootfs']
        self.assertEqual((found['owner'], found['file_owner']['mode']), ({'uid': 0, 'gid': 0, 'mode': '0755'}, '0644'))
        self.assertEqual((found['shell'], found['passwd'], found['container'], found['pid'], found['logins_refused']),
                         ('/bin/sh', True, 'none', None, None))
        self.assertIs(found['id_mapping'], True)

    def test_nothing_is_changed(self):
        root = make(mounts=[{'type': 'tmpfs', 'target': '/a/b'}])
        def listing():
            return run(f'find {root} -printf "%p %y %m %U %G %C@\\n" | sort; cat /proc/self/mountinfo').stdout
        before = listing()
        found = check(root)['rootfs']
        self.assertEqual(listing(), before)
        self.assertIn('/a/b', found['to_be_made'])
        self.assertNotIn('/dev/pts', found['to_be_made'])
        nsinit('exec', '-C', root, 'true', check=True)
        self.assertEqual(check(root)['rootfs']['to_be_made'], [])

    def test_owners(self):
        root = make()
        os.chmod(root, 0o777)
        self.assertIn('refused-to-logins', codes(check(root)))
        os.chmod(root, 0o755)
        os.chmod(ROOTS, 0o755)
        self.addCleanup(os.chmod, ROOTS, 0o700)
        found = check(root)
        self.assertIn('no directory above it keeps other users out', found['rootfs']['logins_refused'])
        self.assertIn('refused-to-logins', codes(found))
        os.chmod(ROOTS, 0o700)
        os.chown(f'{root}/container.json', 1000, 1000)
        self.assertEqual(codes(check(root)), ['container-json-owner'])

    def test_a_range_s_own(self):
        root = make()
        run(['chown', '-R', '-h', '1000000:1000000', root])
        self.assertIsNone(check(root)['rootfs']['logins_refused'])
        run(['chown', '1000:1000', root])
        self.assertIn('refused-to-logins', codes(check(root)))

    def test_contents(self):
        root = make()
        for path in ('bin/sh', 'bin/bash', 'bin/ash', 'etc/passwd'):
            run(['rm', '-f', f'{root}/{path}'])
        self.assertEqual(codes(check(root)), ['no-shell', 'no-passwd'])
        os.symlink('/bin/sh', f'{root}/bin/sh')  # inside it leads to itself
        self.assertIn('no-shell', codes(check(root)))

    def test_live_and_stale(self):
        root = make()
        pid, process = self.start(root)
        found = check(root)
        self.assertEqual((found['rootfs']['container'], found['rootfs']['pid']), ('live', pid))
        self.assertEqual(found['warnings'], [])
        process.kill()  # who would have removed .nspid
        until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of pid 1')
        process.wait()
        found = check(root)
        self.assertEqual((found['rootfs']['container'], codes(found)), ('stale', ['stale-nspid']))
        nsinit('exec', '-C', root, 'true', check=True)
        self.assertEqual(check(root)['rootfs']['container'], 'none')

    def test_a_filesystem_without_id_mappings(self):
        path = '/var/check-overlay'  # on the throw-away host's overlay
        self.addCleanup(run, ['rm', '-rf', path])
        run(['tests/host/rootfs', path])
        write(f'{path}/container.json', json.dumps(SAFE))
        found = check(path)
        self.assertIs(found['rootfs']['id_mapping'], False)
        self.assertIn('no-id-mapping', codes(found))
        self.assertEqual(nsinit('exec', '-C', path, 'true').returncode, 125)

    def test_container_json_is_a_link_to_the_host(self):
        root = container('check', spec=None)
        os.symlink('/etc/shadow', f'{root}/container.json')
        done = nsinit('check', root)
        self.assertEqual(done.returncode, 125)
        self.assertNotIn('root:', done.stderr)

    def test_a_user_that_the_image_lacks(self):
        done = nsinit('check', make(user='nobody-there'))
        self.assertEqual(done.returncode, 125)
        self.assertIn("not in the container's /etc/passwd", done.stderr)
        write('/tmp/elsewhere.json', json.dumps({**SAFE, 'user': 'nobody-there'}))
        self.assertIsNone(check('/tmp/elsewhere.json')['container']['user']['uid'])

    def test_text_of_the_file_gives_the_terminal_no_orders(self):
        root = make(environment=['A=\x1b[2J\nwarning: forged'], labels={'l': 'x\x1b]0;y'}, working_dir='/\x1bc')
        shown = nsinit('check', root).stdout
        self.assertNotIn('\x1b', shown)
        self.assertIn('environment:  A=?[2J?warning: forged\n', shown)
        self.assertEqual(check(root)['container']['environment'], ['A=\x1b[2J\nwarning: forged'])


class Policy(Check):
    FILE = '/etc/nsinit/nsinit.conf'

    def check(self, *rules, unmapped='deny', extra='', glass=True):
        policy([BREAK_GLASS, *rules] if glass else rules, unmapped, extra)
        return check(self.FILE)

    def test_a_good_one(self):
        make()
        found = self.check('{ user = "alice"; rootfs = "/srv/nsinit/check"; }', '{ group = "students"; rootfs = "/srv/x/%u"; }',
                           '{ user = "*"; deny = "No."; }')
        self.assertEqual(found['warnings'], [])
        rules = found['policy']['rules']
        self.assertEqual([r['result'] for r in rules], ['host', 'container', 'container', 'deny'])
        with open(self.FILE) as f:
            lines = f.read().splitlines()
        for rule in rules:
            self.assertTrue(lines[rule['line'] - 1].startswith('{'), rule)
        inside = rules[1]['container']
        self.assertEqual(inside['namespaces']['NEWUSER'], 'own')
        self.assertIn('/home/alice', [m['target'] for m in inside['mounts']])
        self.assertIsNone(rules[2]['container'])
        self.assertEqual(nsinit('check', '--strict', self.FILE).returncode, 0)
        self.assertIn(f'rule:         line {rules[1]["line"]}: user alice: rootfs /srv/nsinit/check',
                      nsinit('check', self.FILE).stdout)

    def test_it_is_what_a_login_gets(self):
        container('check', {**SAFE, 'namespaces': SPEC['namespaces']})
        found = self.check('{ user = "alice"; rootfs = "/srv/nsinit/check"; }')
        done = ssh('alice', 'cat /proc/self/mountinfo; grep CapBnd /proc/self/status')
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = {line.split()[4] for line in done.stdout.splitlines() if ' - ' in line}
        inside = found['policy']['rules'][1]['container']
        self.assertLessEqual({m['target'] for m in inside['mounts']}, shown)
        bounding = sum(1 << CAPS[name] for name in inside['capabilities'])
        self.assertIn(f'CapBnd:\t{bounding:016x}', done.stdout)

    def warned(self, found, code, line=None):
        matching = [w for w in found['warnings'] if w['code'] == code]
        self.assertTrue(matching, found['warnings'])
        if line:
            self.assertEqual([w['line'] for w in matching], [line])
        return matching[0]['message']

    def test_rules_that_are_never_reached(self):
        for earlier, later in (('user = "*"', 'user = "bob"'), ('user = "*"', 'group = "students"'),
                               ('user = [ "bob", "carol" ]', 'user = "carol"'), ('user = "bob"', 'user = "bob"; group = "x"'),
                               ('group = [ "a", "b" ]', 'group = "b"'), ('user = "*"; group = "a"', 'user = "bob"; group = "a"')):
            found = self.check('{ %s; deny = "1"; }' % earlier, '{ %s; deny = "2"; }' % later)
            first, second = found['policy']['rules'][1:]
            self.assertEqual(second['hidden_by'], first['line'], (earlier, later))
            self.warned(found, 'rule-never-reached', second['line'])
        for earlier, later in (('group = "a"', 'user = "bob"'), ('user = "bob"', 'user = [ "bob", "carol" ]'),
                               ('user = "bob"', 'user = "*"'), ('user = "bob"; group = "a"', 'user = "bob"')):
            found = self.check('{ %s; deny = "1"; }' % earlier, '{ %s; deny = "2"; }' % later)
            self.assertNotIn('rule-never-reached', codes(found), (earlier, later))

    def test_root(self):
        self.warned(self.check('{ user = "*"; deny = "No."; }', glass=False), 'no-way-for-root')
        self.warned(self.check('{ user = "alice"; deny = "No."; }', glass=False), 'no-way-for-root')
        self.warned(self.check('{ user = "*"; rootfs = "/srv/x/%u"; }', glass=False, unmapped='host'), 'no-way-for-root')
        self.assertNotIn('no-way-for-root', codes(self.check('{ user = "*"; deny = "No."; }')))

    def test_groups(self):
        found = self.check('{ group = [ "students", "of-nobody" ]; deny = "No."; }')
        self.assertIn('group of-nobody: no name service has it', self.warned(found, 'group-unknown', found['policy']['rules'][1]['line']))

    def test_top(self):
        found = self.check('{ user = "bob"; deny = "No."; }', unmapped='host', extra='services: { su = "deny"; cron = "join"; };')
        self.assertEqual(codes(found), ['unmapped-host', 'service-denied'])
        self.assertEqual((found['policy']['services'], found['policy']['unmapped']), ({'su': 'deny', 'cron': 'join'}, 'host'))

    def test_containers(self):
        make(seccomp='off')
        rule = '{ user = "bob"; rootfs = "/srv/nsinit/check"; %s }'
        found = self.check(rule % 'userns = "off"; lifetime = "forever"; limits: { host_network = true; };')
        line = found['policy']['rules'][1]['line']
        for code in ('seccomp-off', 'host-network-allowed', 'no-end', 'no-user-namespace'):
            self.warned(found, code, line)
        found = self.check(rule % '', '{ user = "carol"; rootfs = "/srv/nsinit/check"; }')
        self.warned(found, 'rootfs-of-two-rules', found['policy']['rules'][2]['line'])

    def test_containers_that_could_not_be(self):
        rule = '{ user = "bob"; rootfs = "/srv/nsinit/%s"; }'
        self.assertIn('No such file', self.warned(self.check(rule % 'nowhere'), 'no-container'))
        write(f'{container("check")}/container.json', '{"hostnmae": "x"}')
        self.assertIn('unknown key', self.warned(self.check(rule % 'check'), 'no-container'))
        make(mounts=[{'type': 'bind', 'source': SHARE, 'target': '/x'}])
        self.assertIn('limits.mounts', self.warned(self.check(rule % 'check'), 'no-container'))
        make(network={'type': 'host'})
        self.warned(self.check(rule % 'check'), 'no-container')
        make(namespaces=['NEWNS'])
        self.warned(self.check(rule % 'check'), 'no-container')

    def test_an_image(self):
        make()
        before = sorted(os.listdir(ROOTS))
        found = self.check('{ user = "bob"; image = "/srv/nsinit/check"; rootfs = "/srv/nsinit/bobs"; }')
        self.assertEqual(found['warnings'], [])
        self.assertEqual(found['policy']['rules'][1]['container']['file'], '/srv/nsinit/check/container.json')
        self.assertEqual(sorted(os.listdir(ROOTS)), before)


class Errors(Check):
    def test_of_a_key(self):
        root = container('check', '{"namespaces": ["NEWNS"],\n"mounts": [{"type": "tmpfs", "target": "/t", "sise": "1m"}]}')
        error = check(root, status=125)['error']
        self.assertEqual(error, {'file': f'{root}/container.json', 'line': 2, 'column': 46, 'key': 'mounts[0].sise',
                                 'message': 'unknown key "sise"', 'hint': 'did you mean "size"?', 'help': 'container.json(5)'})
        self.assertEqual(nsinit('check', root).stderr.splitlines()[1:],
                         ['  key:  mounts[0].sise', '  help: see container.json(5)'])

    def test_of_a_word_that_is_like_none(self):
        root = container('check', '{"namespaces": ["SOMETHING"]}')
        error = check(root, status=125)['error']
        self.assertEqual((error['key'], error['hint']),
                         ('namespaces[0]', 'known are NEWNS, NEWPID, NEWIPC, NEWUTS, NEWNET, NEWUSER, NEWCGROUP'))
        container('check', '{"capabilities": ["ALL_OF_THEM_PLEASE"]}')
        self.assertTrue(check(root, status=125)['error']['hint'].endswith(', and others'))

    def test_of_syntax(self):
        error = check(container('check', '{"namespaces": ["NEWNS"],}'), status=125)['error']
        self.assertEqual((error['line'], error['column'], error['key']), (1, 26, None))

    def test_of_a_policy(self):
        write('/etc/nsinit/broken.conf', 'version = 1;\nunmapped = "deni";\nrules: ();\n')
        error = check('/etc/nsinit/broken.conf', status=125)['error']
        self.assertEqual((error['file'], error['line'], error['help']), ('/etc/nsinit/broken.conf', 2, 'nsinit.conf(5)'))
        self.assertIn('help: see nsinit.conf(5)', nsinit('check', '/etc/nsinit/broken.conf').stderr)

    def test_of_a_file_that_is_not_there(self):
        error = check('/no:where:1', status=125)['error']
        self.assertEqual((error['file'], error['line'], error['help']), ('/no:where:1', None, None))

    def test_of_the_command_line(self):
        for arguments in (['--jsn'], ['a', 'b']):
            done = nsinit('check', *arguments)
            self.assertEqual(done.returncode, 125)
            self.assertIn('usage: nsinit check', done.stderr)

    def test_the_pages_named_exist(self):
        pages = [p.removeprefix('nsinit-') for p in os.listdir('man')]
        for page in ('container.json.5', 'nsinit.conf.5'):
            self.assertIn(page, pages)


class Documented(Check):
    """What programs rely on stands in nsinit(1)."""

    OF_USERS = ('namespaces', 'sysctl', 'labels', 'services')  # keys that are theirs

    def keys(self, value):
        if isinstance(value, list):
            for entry in value:
                yield from self.keys(entry)
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield key
                if key not in self.OF_USERS:
                    yield from self.keys(entry)

    def test_keys_and_codes(self):
        with open('man/nsinit.1') as f:
            words = set(re.findall(r'[\w-]+', f.read().split('.Ss nsinit check')[1].split('.Ss nsinit explain')[0]))
        root = make(mounts=[{'type': 'tmpfs', 'target': '/t'}], rlimits=[], network={
            'bridge': 'b', 'ip': '10.0.0.2/24', 'routes': [{'destination': '10.1.0.0/16'}]})
        policy([BREAK_GLASS, '{ user = "bob"; rootfs = "/srv/nsinit/check"; }'])
        keys = set(self.keys([check(root), check('/etc/nsinit/nsinit.conf'), check('/none', status=125)]))
        self.assertGreater(len(keys), 70)
        self.assertEqual(keys - words, set())
        codes = set()
        for name in glob.glob('nsinit/check/*.c'):
            with open(name) as f:
                codes.update(re.findall(r'check_warn(?:_error)?\(\s*w,\s*"([a-z-]+)"', f.read()))
        self.assertGreater(len(codes), 20)
        self.assertEqual(codes - words, set())
