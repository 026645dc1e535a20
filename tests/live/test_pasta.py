"""The network of a container that an ordinary user starts: pasta, or loopback, or none."""
import json
import os
import shutil
import signal
import subprocess

import host
from host import SPEC, Server, ask, container, exec_in, nsinit, policy, run, until, write
from test_rootless import BOX, Box

PASTA, TUN = '/usr/bin/pasta', '/dev/net/tun'
HERE, AWAY = '10.99.0.1', '10.99.0.2'


def pastas():
    return run('pgrep -x "(pasta|passt)(.avx2)?"', check=False).stdout.split()


class Network(Box):
    def box(self, network, **more):
        write(f'{BOX}/container.json', json.dumps(dict(SPEC, network=network, **more)))

    def nothing_left(self):
        super().nothing_left()
        until(lambda: not pastas(), 'the end of pasta')


class Pasta(Network):
    """A server in another network namespace, as if it were somewhere on the Internet."""

    def setUp(self):
        super().setUp()
        # What udev makes of it: for everybody. That of this machine stays as it is.
        run(f'mknod -m 0666 /run/tun c 10 200 && mount --bind /run/tun {TUN}')
        self.addCleanup(run, f'umount {TUN}; rm -f /run/tun', check=False)
        run(f'ip netns add away && ip link add up0 type veth peer name up1 netns away && ip addr add {HERE}/24 dev up0 && '
            f'ip link set up0 up && ip -n away addr add {AWAY}/24 dev up1 && ip -n away link set up1 up && '
            f'ip route add default via {AWAY}')
        self.addCleanup(run, 'ip netns del away; ip link del up0', check=False)
        self.server = subprocess.Popen(['ip', 'netns', 'exec', 'away', 'socat', 'TCP-LISTEN:7000,fork,reuseaddr',
                                        'SYSTEM:echo from $SOCAT_PEERADDR'])
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        until(lambda: ':7000' in run('ip netns exec away ss -ltn').stdout, 'the server')
        self.box({'type': 'pasta'})

    def ask_inside(self, address, port=7000):
        """With an input that stays open: pasta of 2023 can lose the end of who is half closed already."""
        ends = os.pipe()
        try:
            return self.exec('--', 'nc', '-w', '3', address, str(port), stdin=ends[0])
        finally:
            for end in ends:
                os.close(end)

    def test_the_outside_is_reached_at_once(self):
        done = self.ask_inside(AWAY)
        self.assertEqual((done.stdout, done.stderr), (f'from {HERE}\n', ''))

    def test_the_interface(self):
        for network, name in (({'type': 'pasta'}, 'eth0'), ({'type': 'pasta', 'name': 'out0'}, 'out0'), ([{'type': 'pasta'}], 'eth0')):
            self.box(network)
            shown = self.exec('--', 'ip', '-o', 'addr').stdout
            self.assertRegex(shown, rf': {name} +inet {HERE}/24 ')
            self.assertRegex(shown, r': lo +inet 127.0.0.1/8 ')
            self.assertIn(f'default via {AWAY} dev {name}', self.exec('--', 'ip', 'route').stdout)

    def test_name_servers(self):
        self.box({'type': 'pasta', 'nameservers': ['192.0.2.53']})
        self.assertEqual(self.exec('--', 'cat', '/etc/resolv.conf').stdout, 'nameserver 192.0.2.53\n')

    def test_who_joins_has_the_same(self):
        self.hold()
        self.assertEqual(self.ask_inside(AWAY).stdout, f'from {HERE}\n')
        self.assertEqual(len(pastas()), 1)

    def test_with_one_id(self):
        self.without_helpers()
        self.assertEqual(self.ask_inside(AWAY).stdout, f'from {HERE}\n')

    def test_what_listens_on_the_host_s_loopback_is_not_reached(self):
        """pasta by itself would hand its ports on, and take the gateway's address for it."""
        server = Server('host', ('127.0.0.1', 7001))
        self.addCleanup(server.close)
        self.assertEqual(ask(('127.0.0.1', 7001)), 'host')
        for address in ('127.0.0.1', AWAY):
            self.assertEqual(self.ask_inside(address, 7001).stdout, '', address)

    def test_nothing_comes_in(self):
        """pasta by itself would listen on the host for what listens inside."""
        self.hold('nc -l -p 7002 -e echo inside; sleep 1000')
        until(lambda: ':7002' in self.exec('--', 'netstat', '-ltn').stdout, 'a listener inside')
        for address in ('127.0.0.1', HERE):
            self.assertEqual(ask((address, 7002)), '')
        self.assertEqual(self.ask_inside('127.0.0.1', 7002).stdout, 'inside\n')  # it does listen

    def live(self):
        front = self.hold('read x; exit 3')
        self.assertEqual(len(pastas()), 1)
        return front

    def test_it_ends_with_the_container(self):
        front = self.live()
        front.communicate('\n')
        self.assertEqual((front.returncode, pastas()), (3, []))
        front = self.live()
        os.kill(host.wait_nspid(BOX), signal.SIGKILL)
        front.wait(5)
        self.assertEqual(pastas(), [])

    def test_it_ends_with_a_front_that_is_killed(self):
        front = self.live()
        front.kill()
        front.wait()
        until(lambda: not pastas(), 'the end of pasta')
        self.assertEqual(self.exec('--', 'hostname').stdout, 'inside\n')  # the next start sweeps

    def test_a_command_that_cannot_be_executed_leaves_none(self):
        self.assertEqual(self.exec('--', '/no/such').returncode, 127)
        self.assertEqual(pastas(), [])

    def test_its_end_is_told(self):
        front = self.live()
        os.kill(int(pastas()[0]), signal.SIGKILL)
        self.assertEqual(front.stderr.readline(), 'nsinit: pasta has ended: the container has no network any more\n')
        front.communicate('\n')
        self.assertEqual(front.returncode, 3)

    def fails(self, *why):
        done = self.exec('--', 'echo', 'reached')
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        for text in why:
            self.assertIn(text, done.stderr)

    def test_it_is_not_installed(self):
        os.rename(PASTA, PASTA + '.away')
        self.addCleanup(os.rename, PASTA + '.away', PASTA)
        self.fails(f'starting {PASTA}: No such file or directory; install it (package passt), or use the "type" "loopback"')

    def test_the_device_is_closed(self):
        os.chmod('/run/tun', 0o600)
        self.fails(f'opening {TUN}: Permission denied', 'chmod 0666')

    def test_a_host_without_a_way_out(self):
        run('ip route del default')
        self.fails(f'connecting the network by {PASTA}: ', 'External interface not usable')

    def test_root_has_bridges(self):
        root = container('pasta', dict(SPEC, network={'type': 'pasta'}))
        done = exec_in(root, 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('the "type" "pasta" is for containers that an ordinary user starts', done.stderr)
        policy([f'{{ user = "alice"; rootfs = "{root}"; }}'])
        before = len(host.log_text())
        self.assertNotIn('inside', host.ssh('alice', 'hostname').stdout)
        until(lambda: 'the "type" "pasta" is for' in host.log_text()[before:], 'the reason in the log')
        self.assertIn('[network]', nsinit('check', root).stdout)
        shutil.rmtree(root)


class Without(Network):
    def test_loopback(self):
        for network in ({'type': 'loopback'}, {'type': 'loopback', 'nameservers': ['192.0.2.53']}):
            self.box(network)
            done = self.exec('--', 'sh', '-c', 'ip -o addr | cut -d" " -f2,7; cat /etc/resolv.conf')
            self.assertEqual(done.stdout.split('\n')[:2], ['lo 127.0.0.1/8', 'lo ::1/128'], done.stderr)
            self.assertEqual('nameserver 192.0.2.53' in done.stdout, 'nameservers' in network)

    def test_none(self):
        self.box({'type': 'none'})
        self.assertNotIn('UP', self.exec('--', 'ip', '-o', 'link').stdout)

    def test_the_host_s(self):
        self.box({'type': 'host'})
        self.assertEqual(self.exec('--', 'readlink', '/proc/self/ns/net').stdout.strip(), os.readlink('/proc/self/ns/net'))

    def test_bridges_are_root_s(self):
        self.box({'ip': '10.1.1.2/24', 'bridge': 'br0'})
        done = self.exec('--', 'id')
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn('without root there is no bridge to connect to; use the "type" "pasta" or "loopback"', done.stderr)


del Network
