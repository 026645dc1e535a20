"""Networks: bridges of the policy, addresses leased from their pools, NAT, several interfaces, dual stack."""
import json
import os
import re
import signal
import subprocess
import unittest

from host import (ROOTS, RUN_DIR, SPEC, container, exec_in, nsinit, policy, run, ssh, until, wait_nothing_left,
                  wait_nspid, write)

POOL = 'pool = [ "10.77.0.0/24", "fd77::/64" ];'
ADDRESS = 'address = [ "10.77.0.1/24", "fd77::1/64" ];'


def networks(*entries, limits=''):
    policy(['{ user = "root"; stay = "host"; }',
            f'{{ user = "alice"; rootfs = "{ROOTS}/net"; limits: {{ {limits} }}; }}'],
           extra='networks: ( ' + ', '.join(f'{{ {e} }}' for e in entries) + ' );')


def root_with(name, network, **more):
    spec = dict(SPEC, **more)
    if network is not None:
        spec["network"] = network
    return container(name, spec)


def addresses(text, family='inet'):
    return re.findall(family + r' ([0-9a-f.:]+/\d+) scope global', text)


class Net(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.check_end)  # the first of the cleanups is the last to run

    def check_end(self):
        wait_nothing_left()
        for name in ('nsbr0', 'nsbr1'):
            run(f'ip link delete {name}', check=False)
        run(f'rm -rf {RUN_DIR}/leases')
        policy(['{ user = "root"; stay = "host"; }'])

    def start(self, root):
        """A container that lives until the test ends."""
        front = subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)
        pid = wait_nspid(root)
        self.addCleanup(self.end, front, pid)
        return front, pid

    @staticmethod
    def end(front, pid):
        if front.poll() is None:
            os.kill(pid, signal.SIGKILL)
        front.wait()

    def held(self):
        """The leased addresses that are in use."""
        found = []
        for name in os.listdir(f'{RUN_DIR}/leases'):
            if name != 'lock' and not name.startswith('of-'):
                if run(['flock', '-n', f'{RUN_DIR}/leases/{name}', 'true'], check=False).returncode:
                    found.append(name)
        return sorted(found)

    def address_of(self, root, family='inet'):
        return addresses(exec_in(root, 'ip', 'addr', 'show', 'eth0').stdout, family)[0].split('/')[0]


ROUTER = r"""
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <unistd.h>

int main(void)
{
    struct { struct nd_router_advert ra; struct nd_opt_prefix_info prefix; } m = {
        .ra.nd_ra_type = ND_ROUTER_ADVERT, .ra.nd_ra_curhoplimit = 64, .ra.nd_ra_router_lifetime = htons(1800),
        .prefix = {ND_OPT_PREFIX_INFORMATION, 4, 64, 0xc0, htonl(86400), htonl(14400)}};
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex("eth0")};
    int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), hops = 255;
    inet_pton(AF_INET6, "2001:db8:bad::", &m.prefix.nd_opt_pi_prefix);
    inet_pton(AF_INET6, "ff02::1", &to.sin6_addr);
    setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
    setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &to.sin6_scope_id, sizeof(to.sin6_scope_id));
    for (int i = 0, sent = 0; i < 100 && sent < 10; i++, usleep(50000)) /* until its address is usable */
        sent += sendto(s, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)) == sizeof(m);
    return 0;
}
"""


class Bridge(Net):
    def pair(self, isolate):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL} isolate = {isolate}; nat = true;')
        roots = [root_with(f'net{i}', {'bridge': 'nsbr0', 'ip': 'auto'}) for i in range(2)]
        for root in roots:
            self.start(root)
        return roots

    def ping(self, root, to):
        return exec_in(root, 'ping', '-c', '1', '-w', '2', to).returncode == 0

    def test_containers_reach_each_other(self):
        one, two = self.pair('false')
        for family, host in (('inet', '10.77.0.1'), ('inet6', 'fd77::1')):
            self.assertTrue(self.ping(one, host))
            self.assertTrue(self.ping(one, self.address_of(two, family)))
            self.assertTrue(self.ping(two, self.address_of(one, family)))

    def test_isolated_containers_do_not(self):
        one, two = self.pair('true')
        for family, host in (('inet', '10.77.0.1'), ('inet6', 'fd77::1')):
            self.assertTrue(self.ping(one, host))
            self.assertFalse(self.ping(one, self.address_of(two, family)))
        # Nor by the host, which forwards: each takes the other for one behind the gateway.
        for this, that in ((one, two), (two, one)):
            other = self.address_of(that)
            run(f'nsenter -t {wait_nspid(this)} -n ip route add {other}/32 via 10.77.0.1')
        self.assertFalse(self.ping(one, self.address_of(two)))

    def test_containers_are_no_routers_for_the_host(self):
        """Router advertisements of root inside: a default route of the host's through the container."""
        write('/tmp/router.c', ROUTER)
        run(['gcc', '-static', '-o', '/tmp/router', '/tmp/router.c'])

        def advertise(entry):
            networks(entry)
            root = root_with('net', {'bridge': 'nsbr0', 'ip': '10.77.0.9/24'})
            run(['cp', '/tmp/router', f'{root}/bin/router'])
            exec_in(root, '/bin/router', check=True)
            shown = run('ip -6 route show default; ip -6 addr show nsbr0').stdout
            run('ip link delete nsbr0')
            return re.findall('proto ra|2001:db8:bad', shown)
        for nat in ('false', 'true'):  # which switches forwarding on for IPv6 as a whole
            self.assertEqual(advertise(f'bridge = "nsbr0"; create = true; {ADDRESS} nat = {nat};'), [])
            run('sysctl -q net.ipv6.conf.all.forwarding=0')
        # A bridge of somebody else's is as he has made it; that the host forwards means as ever that it hears no router.
        run('ip link add nsbr0 type bridge && ip link set nsbr0 up; sysctl -q net.ipv6.conf.all.forwarding=1')
        self.assertEqual(advertise('bridge = "nsbr0";'), [])
        run('ip link add nsbr0 type bridge && ip link set nsbr0 up; sysctl -q net.ipv6.conf.all.forwarding=0')
        self.assertEqual(set(advertise('bridge = "nsbr0";')), {'proto ra', '2001:db8:bad'})

    def test_bridge_is_made_once(self):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL} nat = true;')
        roots = [root_with(f'net{i}', {'bridge': 'nsbr0', 'ip': 'auto'}) for i in range(4)]
        fronts = [subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'ip', 'addr'], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for root in roots]
        for front in fronts:
            out, error = front.communicate(timeout=20)
            self.assertEqual((front.returncode, error), (0, ''), error)
            self.assertEqual(len(addresses(out)), 1)
        shown = run('ip addr show nsbr0').stdout
        self.assertEqual(addresses(shown), ['10.77.0.1/24'])
        self.assertEqual(addresses(shown, 'inet6'), ['fd77::1/64'])
        mac = re.search(r'link/ether (\S+)', shown)[1]
        exec_in(roots[0], 'true')
        self.assertIn(mac, run('ip link show nsbr0').stdout)

    def test_bridge_that_is_not_to_be_made(self):
        networks(f'bridge = "nsbr0"; {ADDRESS} {POOL} nat = true;')
        done = exec_in(root_with('net', {'bridge': 'nsbr0', 'ip': 'auto'}), 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('ip link add name nsbr0 type bridge', done.stderr)

    def test_what_is_no_bridge(self):
        run('ip link add nsbr0 type veth peer name nsbr9')
        networks('bridge = "nsbr0";')
        done = exec_in(root_with('net', {'bridge': 'nsbr0', 'ip': '10.9.0.2/24'}), 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('connecting to bridge nsbr0', done.stderr)


class Outside(Net):
    """A server in another network namespace, as if it were somewhere on the Internet."""

    def setUp(self):
        super().setUp()
        run('ip netns add away && ip link add up0 type veth peer name up1 netns away && '
            'ip addr add 192.0.2.1/24 dev up0 && ip addr add 2001:db8::1/64 dev up0 nodad && ip link set up0 up && '
            'ip -n away addr add 192.0.2.2/24 dev up1 && ip -n away addr add 2001:db8::2/64 dev up1 nodad && '
            'ip -n away link set up1 up && ip route add default via 192.0.2.2')
        self.addCleanup(run, 'ip netns del away; ip link del up0', check=False)
        self.server = subprocess.Popen(
            ['ip', 'netns', 'exec', 'away', 'socat', 'TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=0',
             'SYSTEM:echo $SOCAT_PEERADDR'])
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        until(lambda: run('ip netns exec away ss -ltn').stdout.count(':7000'), 'the server')

    def ask(self, root, address):
        return exec_in(root, 'nc', '-w', '3', address, '7000', stdin=subprocess.DEVNULL).stdout.strip()

    def test_nat(self):
        for name, value in (('ipv4/ip_forward', 0), ('ipv6/conf/all/forwarding', 0), ('ipv6/conf/up0/accept_ra', 1)):
            with open(f'/proc/sys/net/{name}', 'w') as f:
                f.write(str(value))
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL} nat = true;')
        root = root_with('net', {'bridge': 'nsbr0', 'ip': 'auto'})
        self.start(root)
        # The host's addresses, not the container's. 192.0.2.1 in the words of an IPv6 socket:
        self.assertIn('ffff:c000:0201]', self.ask(root, '192.0.2.2'))
        self.assertIn('2001:0db8:0000:0000:0000:0000:0000:0001', self.ask(root, '2001:db8::2'))
        with open('/proc/sys/net/ipv4/ip_forward') as f:
            self.assertEqual(f.read(), '0\n')
        with open('/proc/sys/net/ipv6/conf/up0/accept_ra') as f:
            self.assertEqual(f.read(), '2\n')
        # Nobody calls in, even who knows the way.
        run('ip -n away route add 10.77.0.0/24 via 192.0.2.1')
        inside = self.address_of(root)
        self.assertEqual(run(f'ip netns exec away ping -c 1 -w 2 {inside}', check=False).returncode, 1)  # no answer
        self.assertEqual(run(f'ping -c 1 -w 2 {inside}', check=False).returncode, 0)

    def test_no_nat_by_default(self):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL}')
        root = root_with('net', {'bridge': 'nsbr0', 'ip': 'auto'})
        self.start(root)
        self.assertEqual(self.ask(root, '192.0.2.2'), '')


class Pool(Net):
    def setUp(self):
        super().setUp()
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL}',
                 'bridge = "nsbr1"; create = true; address = "10.78.0.1/29"; pool = "10.78.0.0/29";')

    def test_parallel_starts_get_distinct_addresses(self):
        roots = [root_with(f'pool{i}', {'bridge': 'nsbr0', 'ip': 'auto'}) for i in range(10)]
        fronts = [self.start_later(root) for root in roots]
        for root, front in zip(roots, fronts):
            self.addCleanup(self.end, front, wait_nspid(root))
        found = {family: {self.address_of(root, family) for root in roots} for family in ('inet', 'inet6')}
        self.assertEqual([len(found[f]) for f in found], [10, 10], found)
        self.assertFalse(found['inet'] & {'10.77.0.0', '10.77.0.1', '10.77.0.255'})
        self.assertEqual(self.held(), sorted(found['inet'] | found['inet6']))
        for name in os.listdir(f'{RUN_DIR}/leases'):
            self.assertEqual(os.stat(f'{RUN_DIR}/leases/{name}').st_mode & 0o7777, 0o600)
        for root, front in zip(roots, fronts):
            self.end(front, wait_nspid(root))
        self.assertEqual(self.held(), [])

    @staticmethod
    def start_later(root):
        return subprocess.Popen(['nsinit', 'exec', '-C', root, '--', 'sleep', '1000'], stdin=subprocess.DEVNULL)

    def test_the_same_container_gets_the_same_address(self):
        roots = [root_with(f'pool{i}', {'bridge': 'nsbr1', 'ip': 'auto'}) for i in range(3)]
        starts = [self.start(root) for root in roots]
        first = [self.address_of(root) for root in roots]
        for front, pid in starts:
            self.end(front, pid)
        for i in (2, 0, 1):  # in another order
            self.start(roots[i])
        self.assertEqual([self.address_of(root) for root in roots], first)

    def test_a_full_pool(self):
        roots = [root_with(f'pool{i}', {'bridge': 'nsbr1', 'ip': 'auto'}) for i in range(6)]
        starts = [self.start(root) for root in roots[:5]]
        done = exec_in(roots[5], 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('leasing an address from 10.78.0.0/29: all are in use', done.stderr)
        freed = self.address_of(roots[3])
        self.end(*starts[3])
        self.start(roots[5])
        self.assertEqual(self.address_of(roots[5]), freed)

    def test_a_fixed_address_in_the_pool_is_reserved(self):
        self.start(root_with('pool0', {'bridge': 'nsbr0', 'ip': '10.77.0.9/24'}))
        self.assertIn('10.77.0.9', self.held())
        done = exec_in(root_with('pool1', {'bridge': 'nsbr0', 'ip': '10.77.0.9/24'}), 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('reserving address 10.77.0.9/24: in use', done.stderr)
        done = exec_in(root_with('pool1', {'bridge': 'nsbr0', 'ip': '10.77.0.1/24'}), 'true')
        self.assertIn("it is the host's on bridge nsbr0", done.stderr)

    def test_a_lease_needs_a_pool(self):
        run('ip link add nsbr2 type bridge')
        self.addCleanup(run, 'ip link del nsbr2')
        done = exec_in(root_with('pool0', {'bridge': 'nsbr2', 'ip': 'auto'}), 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('bridge nsbr2 has no pool', done.stderr)


class Interfaces(Net):
    def test_several(self):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL}', 'bridge = "nsbr1"; create = true;')
        network = [
            {'bridge': 'nsbr0', 'ip': 'auto', 'mac': '02:00:00:00:00:77', 'mtu': 1400},
            {'bridge': 'nsbr1', 'name': 'inner', 'ip': ['10.9.0.2/24', 'fd09::2/64'],
             'gateway6': '', 'routes': [{'destination': '10.10.0.0/16', 'gateway': '10.9.0.1', 'metric': 7},
                                         {'destination': '10.11.0.0/16'},
                                         {'destination': 'fd10::/32', 'gateway': 'fd09::1'}]}]
        root = root_with('net', network)
        self.assertEqual(nsinit('check', root).returncode, 0)
        shown = nsinit('check', root).stdout
        for line in ('eth0 on bridge nsbr0, MTU 1400, MAC 02:00:00:00:00:77', 'address:    fd09::2/64',
                     'route:      10.10.0.0/16 via 10.9.0.1 metric 7', "leased from the bridge's pool"):
            self.assertIn(line, shown)
        _, pid = self.start(root)
        inside = run(['nsenter', '-t', str(pid), '-n', 'ip', '-j', 'addr']).stdout
        links = {link['ifname']: link for link in json.loads(inside)}
        self.assertEqual(set(links), {'lo', 'eth0', 'inner'})
        self.assertEqual((links['eth0']['mtu'], links['eth0']['address']), (1400, '02:00:00:00:00:77'))
        of_inner = {a['local']: a for a in links['inner']['addr_info']}
        self.assertIn('10.9.0.2', of_inner)
        self.assertNotIn('tentative', of_inner['fd09::2'])
        routes = exec_in(root, 'ip', 'route').stdout
        self.assertIn('default via 10.77.0.1 dev eth0', routes)
        self.assertRegex(routes, r'10\.10\.0\.0/16 via 10\.9\.0\.1 dev inner.* metric 7')
        self.assertRegex(routes, r'10\.11\.0\.0/16 dev inner scope link')
        routes = exec_in(root, 'ip', '-6', 'route').stdout
        self.assertIn('fd10::/32 via fd09::1 dev inner', routes)
        self.assertIn('default via fd77::1 dev eth0', routes)
        self.assertEqual(len(run('ip -o link show type veth').stdout.splitlines()), 2)

    def test_in_a_user_namespace(self):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL} isolate = true;')
        root = root_with('net', [{'bridge': 'nsbr0', 'ip': 'auto'}, {'bridge': 'nsbr0', 'ip': 'auto'}],
                         namespaces=SPEC['namespaces'] + ['NEWUSER'])
        done = exec_in(root, 'ip', 'addr')
        self.assertEqual(len(set(addresses(done.stdout))), 2, done.stderr)

    def test_errors_name_interface_and_address(self):
        networks('bridge = "nsbr0"; create = true;')
        network = {'bridge': 'nsbr0', 'ip': '10.9.0.2/24', 'routes': [
            {'destination': '10.10.0.0/16', 'gateway': '10.44.0.1'}]}
        done = exec_in(root_with('net', network), 'true')
        self.assertEqual(done.returncode, 125)
        self.assertIn('adding route 10.10.0.0/16 via 10.44.0.1 on eth0: Network is unreachable (', done.stderr)
        network = {'bridge': 'nsbr0', 'ip': ['10.9.0.2/24', '10.9.0.2/24']}
        done = exec_in(root_with('net', network), 'true')
        self.assertIn('giving address 10.9.0.2/24 to eth0: File exists', done.stderr)

    def test_types(self):
        for kind, links, up in (('loopback', 1, True), ('none', 1, False)):
            done = exec_in(root_with('net', {'type': kind}), 'ip', '-o', 'link')
            self.assertEqual(len(done.stdout.splitlines()), links)
            self.assertEqual('LOOPBACK,UP' in done.stdout, up, done.stdout)
        done = exec_in(root_with('net', {'type': 'host'}), 'readlink', '/proc/self/ns/net')
        self.assertEqual(done.stdout.strip(), os.readlink('/proc/self/ns/net'))
        self.assertIn("network:      the host's", nsinit('check', f'{ROOTS}/net').stdout)

    def test_name_servers(self):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL} nameservers = [ "192.0.2.53", "fd77::53" ];')
        root = root_with('net', {'bridge': 'nsbr0', 'ip': 'auto'})
        self.assertEqual(exec_in(root, 'cat', '/etc/resolv.conf').stdout, 'nameserver 192.0.2.53\nnameserver fd77::53\n')
        root = root_with('net', {'bridge': 'nsbr0', 'ip': 'auto', 'nameservers': ['192.0.2.54']})
        self.assertEqual(exec_in(root, 'cat', '/etc/resolv.conf').stdout, 'nameserver 192.0.2.54\n')


class Login(Net):
    def login(self, network, limits='', **more):
        networks(f'bridge = "nsbr0"; create = true; {ADDRESS} {POOL}', 'bridge = "nsbr1"; create = true;', limits=limits)
        root_with('net', network, **more)
        return ssh('alice', 'ip addr; readlink /proc/self/ns/net')

    def test_login_with_a_network(self):
        done = self.login({'bridge': 'nsbr0', 'ip': 'auto'})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(addresses(done.stdout)), 1)
        self.assertEqual(len(addresses(done.stdout, 'inet6')), 1)
        wait_nothing_left()
        self.assertEqual(self.held(), [])

    def refused(self, *args, **kwargs):
        done = self.login(*args, **kwargs)
        wait_nothing_left()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('could not be opened', done.stdout)

    def test_bridges_of_the_rule(self):
        fixed = {'bridge': 'nsbr1', 'ip': '10.9.0.2/24'}
        self.assertEqual(self.login(fixed).returncode, 0)
        wait_nothing_left()
        self.assertEqual(self.login(fixed, 'bridges = [ "nsbr1" ];').returncode, 0)
        wait_nothing_left()
        self.refused(fixed, 'bridges = [ "nsbr0" ];')
        self.refused(fixed, 'bridges = [ ];')
        run('ip link add nsbr2 type bridge')
        self.addCleanup(run, 'ip link del nsbr2')
        self.refused({'bridge': 'nsbr2', 'ip': '10.9.0.2/24'})

    def test_the_host_s_network_is_refused_unless_allowed(self):
        self.refused({'type': 'host'})
        self.refused(None, namespaces=['NEWNS', 'NEWPID', 'NEWUTS'])
        done = self.login({'type': 'host'}, 'host_network = true;')
        self.assertIn(os.readlink('/proc/self/ns/net'), done.stdout)


del Net
