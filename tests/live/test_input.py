"""Malformed container.json and policy files: one error that names the place and the remedy, and no container."""
import ctypes
import os
import stat
import unittest

from host import container, exec_in, nothing_left, nsinit, run, write

def mounts(text):
    return '{"namespaces": ["NEWNS"],\n"mounts": [' + text + ']}'


NS = '"namespaces": ["NEWNS", "NEWNET", "NEWUTS"]'

NET = '{' + NS + ', "network": {"bridge": "b", %s}}'

# text of container.json, what the error must contain
SPECS = [
    ('', ':1:1: unexpected end of data'),
    ('{', ':1:2: unexpected end of data'),
    ('[]', ':1:1: the top level must be an object'),
    ('"x"', 'the top level must be an object'),
    ('{"hostname": "x",}', ':1:18: '),
    ("{'hostname': 'x'}", ':1:14: '),
    ("{'hostname': \"x\"}", ':1:2: a key must stand in double quotes'),
    ('{"hostname": "x"} trailing', ':1:19: '),
    ('{"hostname" "x"}', ':1:13: '),
    ('{\n  "hostname": 7\n}', ':2:3: "hostname" must be a string, not int'),
    ('{"hostname": null}', 'must be a string, not null'),
    ('{"hostname": "a b"}', ':1:2: "hostname" may hold letters'),
    ('{"hostname": "' + 'x' * 65 + '"}', 'longer than 64'),
    ('{"hostname": "x"}', 'without NEWNS'),
    ('{"hostnmae": "x"}', ':1:2: unknown key "hostnmae"; did you mean "hostname"?'),
    ('{"Hostname": "x"}', 'did you mean "hostname"?'),
    ('{"hostname": "x", "hostname": "y"}', ':1:19: the key stands here a second time'),
    ('{"network": {"ip": "1.2.3.4/8",\n "ip": "1.2.3.5/8"}}', ':2:2: the key stands here a second time'),
    ('{"host\\u006eame": "x"}', 'escape sequence'),
    ('{"hostname": "a\\u0000b"}', 'NUL character'),
    ('{"environment": "A=1"}', '"environment" must be a list of strings, not string'),
    ('{"environment": ["A=1", 2]}', ':1:25: entry 2 of "environment" must be a string'),
    ('{"environment": ["NOVALUE"]}', ':1:18: "NOVALUE" is not of the form NAME=value'),
    ('{"environment": ["=x"]}', 'not of the form NAME=value'),
    ('{"environment": [' + ','.join(['"A=1"'] * 513) + ']}', 'more than 512 variables'),
    ('{"namespaces": ["NEWNS", "NEWPIDS"]}', ':1:26: unknown namespace "NEWPIDS"; did you mean "NEWPID"?'),
    ('{"namespaces": ["newns"]}', 'did you mean "NEWNS"?'),
    ('{"namespaces": {"NEWNS": true}}', 'must be a list of strings, not object'),
    ('{"namespaces": []}', ':1:2: without NEWNS'),
    ('{}', 'without NEWNS'),
    ('{"capabilities": ["SYS_ADMN"]}', ':1:19: unknown capability "SYS_ADMN"; did you mean "SYS_ADMIN"?'),
    ('{"capabilities": ["sys_admin"]}', 'did you mean "SYS_ADMIN"?'),
    ('{"capabilities": ["0"]}', 'unknown capability "0"'),
    ('{"capabilities": "all"}', 'must be a list of names to drop'),
    ('{"capabilities": {"keep": ["KILL"], "drop": ["KILL"]}}', 'both "keep" and "drop"'),
    ('{"capabilities": {"kepp": []}}', ':1:19: unknown key "kepp"; did you mean "keep"?'),
    ('{"capabilities": {"keep": [1]}}', 'entry 1 of "keep" must be a string'),
    ('{' + NS + ', "network": []}', ':1:47: "network" is an empty list'),
    ('{' + NS + ', "network": "eth0"}', '"network" must be an object or a list of objects'),
    ('{' + NS + ', "network": {}}', '"network" lacks "ip"'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8"}}', '"network" lacks "bridge"'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4", "bridge": "b"}}', 'must be an address with a prefix length'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "address": "1.2.3.4/8"}}', 'are the same key'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "docker0;touch /x"}}', 'interface name'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "sixteen_letters_"}}', 'interface name'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "mtu": "1500"}}', 'must be a whole number'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "mtu": 1.5}}', 'must be a whole number'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "mtu": 10}}', 'between 68 and 65535'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "gateway": "x"}}', '"gateway" must be an address'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "gateway": "2.2.3.4"}}', 'not in the network'),
    ('{' + NS + ', "network": {"ip": "1.2.3.4/8", "bridge": "b", "gatway": "x"}}', 'did you mean "gateway"?'),
    ('{' + NS + ', "network": ["eth0"]}', ':1:59: entry 1 of "network" must be an object'),
    (NET % '"ip": 7', '"ip" must be a string or a list of strings, not int'),
    (NET % '"ip": ["1.2.3.4/8",\n 7]', ':2:2: entry 2 of "ip" must be a string'),
    (NET % '"ip": ["1.2.3.4/8",\n "fd00::2"]', ':2:2: "ip" must be an address with a prefix length'),
    (NET % '"ip": ["1.2.3.4/33"]', 'must be an address with a prefix length'),
    (NET % '"ip": ["auto"], "address": "1.2.3.4/8"', 'are the same key'),
    (NET % ('"ip": [' + ','.join(['"1.2.3.4/8"'] * 9) + ']'), 'more than 8 addresses'),
    (NET % '"ip": "auto",\n"gateway": ["1.2.3.4", "1.2.3.5"]', ':2:24: a second gateway for IPv4'),
    (NET % '"ip": "auto", "gateway6": "1.2.3.4"', '"gateway6" must be an IPv6 address'),
    (NET % '"ip": "fd00::2/64", "gateway6": "fd01::1"', '"gateway" is not in the network of "ip"'),
    (NET % '"ip": "auto",\n"mac": "01:00:5e:00:00:01"', ':2:1: "mac" must be the hardware address'),
    (NET % '"ip": "auto", "mac": "02:00:5e:00:00"', '"mac" must be the hardware address'),
    (NET % '"ip": "auto",\n"name": "lo"', ':2:1: "name" must be an interface name'),
    (NET % '"ip": "auto", "name": "sixteen_letters_"', '"name" must be an interface name'),
    (NET % '"ip": "auto",\n"type": "vth"', ':2:1: unknown type of network "vth"; did you mean "veth"?'),
    (NET % '"ip": "auto", "type": "none"', 'this "type" takes no other key'),
    ('{' + NS + ', "network": {"type": "host", "mtu": 1500}}', 'this "type" takes no other key'),
    ('{' + NS + ', "network": [{"type": "loopback"}, {"type": "none"}]}', 'must all be of the type "veth"'),
    (NET % '"ip": "auto", "routes": {}', '"routes" must be a list of objects'),
    (NET % '"ip": "auto", "routes": [{"gateway": "1.2.3.4"}]', ':1:99: the route lacks "destination"'),
    (NET % '"ip": "auto", "routes": [\n{"destination": "10.0.0.1/8"}]', ':2:2: "destination" has bits set'),
    (NET % '"ip": "auto", "routes": [{"destination": "10.0.0.0"}]', '"destination" must be a network'),
    (NET % '"ip": "auto", "routes": [{"destination": "10.0.0.0/8", "gateway": "fd00::1"}]', 'different families'),
    (NET % '"ip": "auto", "routes": [{"destination": "10.0.0.0/8", "metric": -1}]', '"metric" must be between'),
    (NET % '"ip": "auto", "routes": [{"dst": "10.0.0.0/8"}]', 'unknown key "dst"'),
    (NET % ('"ip": "auto", "routes": [' + ','.join(['{"destination": "10.0.0.0/8"}'] * 17) + ']'), 'more than 16 routes'),
    (NET % '"ip": "auto", "nameservers": ["dns.example"]', '"nameservers" must be a list of addresses'),
    (NET % '"ip": "auto", "nameservers": "192.0.2.1"', '"nameservers" must be a list of strings'),
    (NET % '"ip": "auto", "nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]', 'more than 3 name servers'),
    ('{' + NS + ', "network": [{"ip": "auto", "bridge": "b"},\n {"ip": "auto"}]}', ':2:2: "network" lacks "bridge"'),
    ('{' + NS + ', "network": [{"ip": "auto", "bridge": "b", "mtu": 1500},\n {"mtu": 1}]}', ':2:3: "mtu" must be'),
    ('{' + NS + ', "network": [{"ip": "auto", "bridge": "b", "name": "eth1"},\n {"ip": "auto", "bridge": "b"}]}',
     ':2:2: a second interface of the name "eth1"'),
    ('{' + NS + ', "network": [' + ','.join(['{"ip": "auto", "bridge": "b"}'] * 9) + ']}', 'more than 8 interfaces'),
    ('{"namespaces": ["NEWNS"], "network": {"ip": "1.2.3.4/8", "bridge": "b"}}', 'needs a network namespace'),
    ('{"namespaces": ["NEWNS"], "hostname": "x"}', 'would rename the host'),
    ('{"namespaces": ["NEWNS", "NEWUSER"], "gid_mappings": [],\n"uid_mappings": [{"container_id": 0, "size": 1}]}',
     ':2:18: the mapping lacks "host_id"'),
    ('{' + NS + ', "devices": ["/dev/fuse",\n{"target": "/dev/x"}]}', ':2:1: the device lacks "path"'),
    ('{' + NS + ', "devices": [{"path": "/dev/fuse",\n"permissions": "m"}]}', ':2:1: "permissions" must be "r"'),
    ('{"resources": []}', '"resources" must be an object, not array'),
    ('{"resources": {"memry": {}}}', ':1:16: unknown key "memry"; did you mean "memory"?'),
    ('{"resources": {"memory": 7}}', ':1:16: "memory" must be an object, not int'),
    ('{"resources": {"memory": {"max": "512X"}}}', ':1:27: "max" must be a size in bytes, K, M, G or T'),
    ('{"resources": {"memory": {\n"max": -1}}}', ':2:1: "max" must be a size'),
    ('{"resources": {"memory": {"max": 1.5}}}', '"max" must be a size'),
    ('{"resources": {"memory": {"max": "M"}}}', '"max" must be a size'),
    ('{"resources": {"memory": {"max": "99999999T"}}}', '"max" must be a size'),
    ('{"resources": {"memory": {"max": "512K"}}}', '"max" must be at least 1M'),
    ('{"resources": {"memory": {"high": true}}}', '"high" must be a size'),
    ('{"resources": {"memory": {"swop": "0"}}}', 'did you mean "swap"?'),
    ('{"resources": {"memory": {"max": "1G", "max": "2G"}}}', 'a second time'),
    ('{"resources": {"cpu": {"weight": 0}}}', ':1:24: "weight" must be between 1 and 10000'),
    ('{"resources": {"cpu": {"weight": "5"}}}', '"weight" must be a whole number, not string'),
    ('{"resources": {"cpu": {"max": "50"}}}', ':1:24: "max" must be a percentage of one CPU'),
    ('{"resources": {"cpu": {"max": "0%"}}}', 'must be a percentage'),
    ('{"resources": {"cpu": {"max": "100/100000"}}}', 'must be a percentage'),
    ('{"resources": {"cpu": {"max": "100000/2000000"}}}', 'must be a percentage'),
    ('{"resources": {"pids": {"max": 0}}}', '"max" must be between 1 and 4194304'),
    ('{"resources": {"pids": {"max": "many"}}}', '"max" must be a whole number, not string'),
    ('{"resources": {"io": {"weight": 10001}}}', '"weight" must be between 1 and 10000'),
    ('{"readonly_fs": "yes"}', '"readonly_fs" must be true or false, not string'),
    ('{"user": 0}', '"user" must be a string, not int'),
    ('{"user": "a/b"}', '"user" must be a name or number'),
    ('{"working_dir": "relative"}', 'must be an absolute path'),
    ('{"mounts": {}}', '"mounts" must be a list of objects, not object'),
    (mounts('"x"'), ':2:12: entry 1 of "mounts" must be an object'),
    (mounts('{}'), ':2:12: entry 1 of "mounts" lacks "type"'),
    (mounts('{"type": "tmpfs", "target": "/a"}, {"type": "tmpfs"}'), 'entry 2 of "mounts" lacks "target"'),
    (mounts('{"type": "bind", "target": "/a"}'), 'lacks "source"'),
    (mounts('{"type": "overlay", "target": "/a"}'), 'lacks "lower"'),
    (mounts('{"type": "bnd"}'), ':2:13: unknown type "bnd"; did you mean "bind"?'),
    (mounts('{"type": 7}'), '"type" must be a string, not int'),
    (mounts('{"type": "tmpfs", "target": "/a", "soruce": "/x"}'), 'unknown key "soruce"; did you mean "source"?'),
    (mounts('{"type": "tmpfs", "target": "a"}'), '"target" must be an absolute path'),
    (mounts('{"type": "tmpfs", "target": "/a/../b"}'), '"target" must be an absolute path'),
    (mounts('{"type": "tmpfs", "target": "/' + 'x' * 300 + '"}'), '"target" must be an absolute path'),
] + [
    (mounts('{"type": "tmpfs", "target": "%s"}' % target), 'nothing can be mounted on /')
    for target in ('/', '//', '/dev', '/dev/', '//proc', '/proc/sys', '/sys', '/dev/pts', '/dev/pts/x', '/dev/null',
                   '/dev/.nsinit/x', '/container.json', '/.nspid', '/sys/firmware')
] + [
    (mounts('{"type": "tmpfs", "target": "/./"}'), '"target" must be an absolute path'),
    (mounts('{"type": "bind", "target": "/a", "source": "b"}'), '"source" must be an absolute path of the host'),
    (mounts('{"type": "bind", "target": "/a", "source": "/x/../b"}'), '"source" must be an absolute path of the host'),
    (mounts('{"type": "bind", "target": "/a", "source": "/"}'), 'not "/"'),
    (mounts('{"type": "tmpfs", "target": "/a", "source": "/b"}'), '"source" means nothing for a mount of type "tmpfs"'),
    (mounts('{"size": "1m", "type": "bind", "target": "/a", "source": "/b"}'), '"size" means nothing for a mount of type'),
    (mounts('{"type": "proc", "target": "/a", "idmap": true}'), '"idmap" means nothing'),
    (mounts('{"type": "tmpfs", "target": "/a", "size": "lots"}'), '"size" must be a number of bytes, or of k, m or g'),
    (mounts('{"type": "tmpfs", "target": "/a", "size": "50%"}'), '"size" must be'),
    (mounts('{"type": "tmpfs", "target": "/a", "size": "1m,uid=0"}'), '"size" must be'),
    (mounts('{"type": "tmpfs", "target": "/a", "size": 5}'), '"size" must be a string'),
    (mounts('{"type": "tmpfs", "target": "/a", "mode": "0888"}'), '"mode" must be an octal number'),
    (mounts('{"type": "tmpfs", "target": "/a", "mode": 755}'), '"mode" must be a string'),
    (mounts('{"type": "tmpfs", "target": "/a", "readonly": "yes"}'), '"readonly" must be true or false'),
    (mounts('{"type": "tmpfs", "target": "/a", "readonly": true, "writable": true}'), 'say the same'),
    (mounts('{"type": "tmpfs", "target": "/a", "options": ["nosiud"]}'), 'unknown option "nosiud"; did you mean "nosuid"?'),
    (mounts('{"type": "tmpfs", "target": "/a", "options": "nosuid"}'), '"options" must be a list of strings'),
    (mounts('{"type": "bind", "target": "/a", "source": "/b", "propagation": "shared"}'), 'unknown propagation "shared"'),
    (mounts('{"type": "bind", "target": "/a", "source": "/b", "optional": 1}'), '"optional" must be true or false'),
    (mounts('{"type": "overlay", "target": "/a", "lower": ["x"]}'), '"lower" must hold absolute paths of the host'),
    (mounts('{"type": "overlay", "target": "/a", "lower": "/x"}'), '"lower" must be a list of strings'),
    (mounts('{"type": "overlay", "target": "/a", "lower": [' + ','.join(['"/x"'] * 9) + ']}'), 'more than can be mounted'),
    (mounts('{"type": "overlay", "target": "/a", "lower": ["/x"]}'), 'needs "upper" and "work", or a second directory'),
    (mounts('{"type": "overlay", "target": "/a", "lower": ["/x"], "upper": "/y/u"}'), 'lacks "work"'),
    (mounts('{"type": "overlay", "target": "/a", "lower": ["/x"], "work": "/y/w"}'), 'lacks "upper"'),
    (mounts('{"type": "overlay", "target": "/a", "lower": ["/x"], "upper": "/y/u", "work": "/z/w"}'), 'in the same one'),
    (mounts(','.join(['{"type": "tmpfs", "target": "/a"}'] * 33)), 'more than 32 mounts'),
    ('{"working_dir": 1e999}', '"working_dir" must be a string'),
    ('{"rlimits": {}}', ':1:2: "rlimits" must be a list of objects, not object'),
    ('{"rlimits": ["NOFILE"]}', ':1:14: entry 1 of "rlimits" must be an object'),
    ('{"rlimits": [{"type": "NOFILES", "soft": 1, "hard": 1}]}', ':1:15: unknown limit "NOFILES"; did you mean "NOFILE"?'),
    ('{"rlimits": [{"type": "RLIMIT_nofile", "soft": 1, "hard": 1}]}', 'did you mean "NOFILE"?'),
    ('{"rlimits": [{"type": "NOFILE", "soft": 1}]}', ':1:14: a limit needs "type", "soft" and "hard"'),
    ('{"rlimits": [{"type": "CPU", "soft": 2, "hard": 1}]}', ':1:14: "soft" is above "hard"'),
    ('{"rlimits": [{"type": "CPU", "soft": "unlimited", "hard": 1}]}', '"soft" is above "hard"'),
    ('{"rlimits": [{"type": "CPU", "soft": -1, "hard": 1}]}', ':1:30: "soft" must be a number from 0 on'),
    ('{"rlimits": [{"type": "CPU", "soft": 1, "hard": "max"}]}', ':1:41: "hard" must be a number from 0 on, or "unlimited"'),
    ('{"rlimits": [{"type": "CPU", "soft": 1, "hard": 1.5}]}', '"hard" must be a number'),
    ('{"rlimits": [{"type": "CPU", "soft": 1, "hard": 99999999999999999999}]}', '"hard" must be a number'),
    ('{"rlimits": [{"type": "CPU", "soft": 1, "hard": 1},\n {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]}',
     ':2:3: a second limit of type "RLIMIT_CPU"'),
    ('{"rlimits": [{"typ": "CPU"}]}', ':1:15: unknown key "typ"; did you mean "type"?'),
    ('{"no_new_privs": 1}', '"no_new_privs" must be true or false, not int'),
    ('{"seccomp": "unconfined"}', ':1:2: "seccomp" must be "default", "off", or the path'),
    ('{"seccomp": false}', '"seccomp" must be "default", "off" or a path, not boolean'),
    ('{"seccomp": "profile.json"}', '"seccomp" must be "default", "off", or the path'),
    ('{"oom_score_adj": 1001}', ':1:2: "oom_score_adj" must be between -1000 and 1000'),
    ('{"oom_score_adj": "5"}', '"oom_score_adj" must be a whole number'),
    ('{"sysctl": {"kernel.hostname": "x"}}', ':1:13: use the key "hostname" instead'),
    ('{"sysctl": {"kernel/domainname": "x"}}', 'use the key "domainname" instead'),
    ('{"sysctl": {"kernel.core_pattern": "|/x"}}', ':1:13: "kernel.core_pattern" would be set for the whole host; possible'),
    ('{"sysctl": {"vm.swappiness": 1}}', 'would be set for the whole host'),
    ('{"sysctl": {"net/../kernel/core_pattern": "x"}}', 'is no name of a setting'),
    ('{"sysctl": {"net...kernel.core_pattern": "x"}}', 'is no name of a setting'),
    ('{"sysctl": {"net": "x"}}', 'would be set for the whole host'),
    ('{"sysctl": {"net.ipv4.ip_forward": true}}', ':1:13: "net.ipv4.ip_forward" must be a string or a whole number'),
    ('{"sysctl": {"net.ipv4.ip_forward": "1\\n2"}}', 'must be one line'),
    ('{"sysctl": {"net.ipv4.ip_forward": ""}}', 'must be one line'),
    ('{"namespaces": ["NEWNS"],\n "sysctl": {"net.ipv4.ip_forward": "1"}}',
     ':2:13: "net.ipv4.ip_forward" would be set for the whole host; add "NEWNET"'),
    ('{"namespaces": ["NEWNS"], "sysctl": {"kernel.shmmax": "1"}}', 'add "NEWIPC"'),
    ('{"namespaces": ["NEWNS"], "domainname": "x"}', '"domainname" would be set for the whole host; add "NEWUTS"'),
    ('{"domainname": "a b"}', '"domainname" may hold letters'),
    ('{"masked_paths": "/proc"}', '"masked_paths" must be a list of strings'),
    ('{"masked_paths": ["proc/kcore"]}', ':1:19: "proc/kcore" is not an absolute path'),
    ('{"masked_paths": ["/"]}', '"/" is not an absolute path below /'),
    ('{"readonly_paths": ["/proc/../etc"]}', '"/proc/../etc" is not an absolute path'),
    ('{"readonly_paths": [' + ','.join(['"/x"'] * 33) + ']}', 'more than 32 paths'),
    ('{"timezone": "../../etc/shadow"}', ':1:2: "timezone" must be a name below /usr/share/zoneinfo'),
    ('{"timezone": "Europe/../x"}', '"timezone" must be a name'),
    ('{"timezone": ""}', '"timezone" must be a name'),
    ('{"labels": {"a": 1}}', ':1:13: label "a" must be a string'),
    ('{"labels": {"a=b": "c"}}', 'a label is one line'),
    ('{"labels": []}', '"labels" must be an object'),
    ('{"capabilities": {"keep": ["KILL"], "ambient": ["CHOWN"]}}', ':1:2: "ambient" names a capability that'),
    ('{"capabilities": {"ambient": ["SYS_ADMIN"]}}', '"ambient" names a capability that the container does not keep'),
    ('{"capabilities": {"ambient": ["KIL"]}}', ':1:31: unknown capability "KIL"; did you mean "KILL"?'),
    ('{"x": ' + '[' * 40 + ']' * 40 + '}', 'nested deeper than 16'),
    ('{"hostname": NaN}', ':1:'),
    ('{"hostname": "x" /* comment */}', ':1:18: '),
    ('{"hostname": "\tx"}', ':1:'),
    ('{"environment": ["A=' + 'x' * 70000 + '"]}', 'larger than 64 KiB'),
    (b'{"hostname": "\xff\xfe"}', ':1:'),
    (b'{"hostname": "x\x00y"}', 'NUL byte'),
]

TOP = 'version = 1;\nunmapped = "host";\n'

# text of nsinit.conf, what the error must contain
POLICIES = [
    ('', '"version = 1;" is required'),
    ('version = 2;', ':1: "version = 1;" is required'),
    ('version = "1";', '"version = 1;" is required'),
    ('version = 1;', '"unmapped" is required: "host" or "deny"'),
    ('version = 1;\nunmapped = "deni";', ':2: "unmapped" must be "host" or "deny"; did you mean "deny"?'),
    ('version = 1;\nunmapped = true;', ':2: "unmapped" must be'),
    (TOP, '"rules" is required'),
    (TOP + 'services: { sshd = "shell"; };\nrules = ();', ':3: "sshd" can only be "split" or "deny"'),
    (TOP + 'services: { su = "shell"; };\nrules = ();', '"su" can only be "join" or "deny"'),
    (TOP + 'services: { login = "join"; };\nrules = ();', '"login" can only be "shell" or "deny"'),
    (TOP + 'services: { su = "jion"; };\nrules = ();', 'did you mean "join"?'),
    (TOP + 'services: ( "su" );\nrules = ();', '"services" must be a group'),
    (TOP + 'rules: ( { user = "x"; rootfs = "/r"; shell = "bash"; } );', '"shell" must be an absolute path'),
    (TOP + 'rules: ( { user = "x"; rootfs = "/r"; max_sessions = 0; } );', '"max_sessions" must be a whole number'),
    (TOP + 'rules: ( { user = "x"; rootfs = "/r"; tty = "host"; } );', '"tty" must be "container" or "relay"'),
    (TOP + 'rules = { };', ':3: "rules" must be a list'),
    (TOP + 'rules = [ ];', '"rules" must be a list'),
    (TOP + 'rules: ( "x" );', 'a rule must be a group'),
    (TOP + 'rule: ( );', ':3: unknown setting "rule"; did you mean "rules"?'),
    (TOP + 'rules: ( { } );', 'a rule needs "user" or "group"'),
    (TOP + 'rules: ( { user = "a"; } );', 'exactly one of "rootfs", "stay" and "deny"'),
    (TOP + 'rules: ( { user = "a"; stay = "host"; deny = "x"; } );', 'exactly one of'),
    (TOP + 'rules: ( { user = "a"; stay = "container"; } );', '"stay" must be "host"'),
    (TOP + 'rules: ( { user = "a"; stay = true; } );', '"stay" must be "host"'),
    (TOP + 'rules: ( { user = "a"; deny = true; } );', '"deny" must be a sentence'),
    (TOP + 'rules: (\n{ user = "a"; rootfs = 7; } );', ':4: "rootfs" must be a path'),
    (TOP + 'rules: (\n{ user = "a"; rootfs = "srv/%u"; } );', ':4: "rootfs" must be an absolute path'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv/%x"; } );', '"%x" in "rootfs" is unknown'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv/%"; } );', 'in "rootfs" is unknown'),
    (TOP + 'rules: ( { user = 7; rootfs = "/srv"; } );', 'must be a name or a list of names'),
    (TOP + 'rules: ( { user = ( 1 ); rootfs = "/srv"; } );', 'must be a name or a list of names'),
    (TOP + 'rules: ( { user = [ ]; rootfs = "/srv"; } );', 'must be a name or a list of names'),
    (TOP + 'rules: ( { usr = "a"; rootfs = "/srv"; } );', 'unknown setting "usr"; did you mean "user"?'),
    (TOP + 'rules: ( { user = "a"; rootsf = "/srv"; } );', 'did you mean "rootfs"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; userns = "on"; } );', '"userns" must be "auto" or "off"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; userns = 1; } );', '"userns" must be'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; home = "bnd"; } );', 'did you mean "bind"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; tty = "host"; } );', '"tty" must be "container"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; dns = "no"; } );', '"dns" must be "image" or "host"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; accounts = "x"; } );', '"accounts" must be'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; lifetime = -1; } );', '"lifetime" must be'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; lifetime = "ever"; } );', '"lifetime" must be'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv";\nlimits: { memry = "1G"; }; } );',
     ':4: unknown setting "memry"; did you mean "memory"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv";\nlimits: { capabilities = "KILL"; }; } );',
     ':4: "capabilities" must be a list of strings'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { capabilities = [ "KIL" ]; }; } );',
     'unknown capability "KIL" in "capabilities"; did you mean "KILL"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { host_namespaces = [ "NEWPID" ]; }; } );', 'unknown namespace "NEWPID"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { host_namespaces = [ 1 ]; }; } );', 'must be a list of strings'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { devices = [ "/etc/x" ]; }; } );', '"devices" must hold paths below /dev'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { devices = [ "/dev/../x" ]; }; } );', '"devices" must hold paths below /dev'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { sysctl = [ "" ]; }; } );', '"sysctl" must hold names'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { memory = "1X"; }; } );', '"memory" must be a size'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { memory = 4096; }; } );', 'at least 1M'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { swap = -1; }; } );', '"swap" must be a size'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { pids = 0; }; } );', '"pids" must be between 1 and 4194304'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { cpu = 50; }; } );', '"cpu" must be a percentage'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { clamp = 1; }; } );', '"clamp" must be true or false'),
    (TOP + 'defaults: { limits = 7; };\nrules: ( );', ':3: "limits" must be a group'),
    (TOP + 'defaults: {\nsession_limits = 7; };\nrules: ( );', ':4: "session_limits" must be a group: { ... }'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits = ( ); } );', ':3: "session_limits" must be a group: { ... }'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limit: { pids = 1; }; } );',
     ':3: unknown setting "session_limit"; did you mean "session_limits"?'),
    (TOP + 'defaults: { session_limits: {\nmemry = "1G"; }; };\nrules: ( );', ':4: unknown setting "memry"; did you mean "memory"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { clamp = true; }; } );', ':3: unknown setting "clamp"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { memory = "1X"; }; } );',
     ':3: "memory" must be a size in bytes, K, M, G or T, at least 1M; for example "512M"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { memory = 4096; }; } );', ':3: "memory" must be a size in bytes'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { swap = -1; }; } );',
     ':3: "swap" must be a size in bytes, K, M, G or T; for example "512M"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { pids = 0; }; } );', ':3: "pids" must be between 1 and 4194304'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; session_limits: { cpu = 50; }; } );',
     ':3: "cpu" must be a percentage of one CPU, or QUOTA/PERIOD in microseconds; for example "100%"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; resources = "best"; } );', '"resources" must be "required" or'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; } );', 'an "image" needs a "rootfs"'),
    (TOP + 'rules: ( { user = "a"; image = 1; rootfs = "/r"; } );', '"image" must be a path'),
    (TOP + 'rules: ( { user = "a"; image = "i"; rootfs = "/r"; } );', '"image" must be an absolute path'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; ephemeral = true; } );', '"ephemeral" needs an "image"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; machined = "yes"; } );', '"machined" must be true or false'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; ephemeral = 1; } );', '"ephemeral" must be true or false'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; ephemeral = true; ephemeral_size = "x"; } );', 'must be a size like'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; rootfs = "/r"; ephemeral_size = "1m"; } );', 'needs "ephemeral = true"'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; stay = "host"; } );', 'exactly one of'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; size = "2G"; } );', '"size" needs an "image"'),
    (TOP + 'rules: ( { user = "a"; deny = "x"; size = "2G"; } );', '"size" are for containers'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; rootfs = "/r"; size = "2X"; } );', '"size" must be a size'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; rootfs = "/r"; size = 2; } );', '"size" must be a size'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; rootfs = "/r"; size = "1023K"; } );', 'at least 1M'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; ephemeral = true; size = "2G"; } );', 'use "ephemeral_size"'),
    (TOP + 'rules: ( { user = "a"; image = "/i"; rootfs = "/r"; userns = "off"; size = "2G"; } );', '"size" needs a user namespace'),
    (TOP + 'defaults: { size = "2G"; };\nrules: ( );', 'unknown setting "size"'),
    (TOP + 'rules: ( { user = "a"; stay = "host"; config = "/x"; } );', '"config", "ephemeral" and "size" are for containers'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; config = "x"; } );', '"config" must be an absolute path'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; config = "/%n"; } );', '"%n" in "config" is unknown'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; ownership = "shift"; } );', '"ownership" must be "host" or "shifted"'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; image = "/i"; ownership = "shifted"; } );', 'an "image" belongs to root'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; userns = "off"; ownership = "shifted"; } );', 'needs a user namespace'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits = "x"; } );', '"limits" must be a group'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits: { mount = [ ]; }; } );', 'did you mean "mounts"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits: { mounts = "/x"; }; } );', '"mounts" must be a list of paths'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits: { mounts = [ 1 ]; }; } );', '"mounts" must be a list of paths'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits: { mounts = [ "x" ]; }; } );', '"mounts" must be an absolute path'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/r"; limits: { mounts = [ "/x/.." ]; }; } );', 'paths without ".."'),
    (TOP + 'defaults: { image = "/x"; };\nrules: ( );', 'unknown setting "image"'),
    (TOP + 'defaults = 1;\nrules: ( );', ':3: "defaults" must be a group'),
    (TOP + 'defaults: { user = "a"; };\nrules: ( );', ':3: unknown setting "user"'),
    (TOP + 'defaults: { lifetim = 1; };\nrules: ( );', 'did you mean "lifetime"?'),
    (TOP + 'networks = { };', ':3: "networks" must be a list'),
    (TOP + 'networks: ( "nsbr0" );', 'an entry of "networks" must be a group'),
    (TOP + 'networks: ( { create = true; } );', 'lacks "bridge"'),
    (TOP + 'networks: ( { bridge = "a/b"; } );', 'a bridge must be an interface name'),
    (TOP + 'networks: ( { bridge = "b"; },\n{ bridge = "b"; } );', ':4: the bridge stands here a second time'),
    (TOP + 'networks: ( { bridge = "b"; isolated = true; } );', 'did you mean "isolate"?'),
    (TOP + 'networks: ( { bridge = "b";\ncreate = 1; } );', ':4: "create" must be true or false'),
    (TOP + 'networks: ( { bridge = "b"; nat = true; } );', '"nat" needs "address"'),
    (TOP + 'networks: ( { bridge = "b"; address = "10.0.0.1"; } );', '"address" must be an IPv4 address'),
    (TOP + 'networks: ( { bridge = "b"; address = [ "10.0.0.1/8", "11.0.0.1/8" ]; } );', '"address" must be an IPv4'),
    (TOP + 'networks: ( { bridge = "b"; pool = "10.0.0.0/24"; } );', '"pool" is not in the network of "address"'),
    (TOP + 'networks: ( { bridge = "b"; address = "10.0.0.1/24"; pool = "10.0.0.0/16"; } );', '"pool" is not in'),
    (TOP + 'networks: ( { bridge = "b"; address = "10.0.0.1/24"; pool = "10.0.0.1/24"; } );', '"pool" must be a network'),
    (TOP + 'networks: ( { bridge = "b"; address = "10.0.0.1/24"; pool = "10.0.0.4/31"; } );', 'at least four'),
    (TOP + 'networks: ( { bridge = "b"; nameservers = [ "x" ]; } );', '"nameservers" must be a list'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits = 1; } );', '"limits" must be a group'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { host_netwrk = true; }; } );', 'did you mean "host_network"?'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { host_network = 1; }; } );', 'must be true or false'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { bridges = [ 1 ]; }; } );', '"bridges" must be a list'),
    (TOP + 'rules: ( { user = "a"; rootfs = "/srv"; limits: { bridges = [ "a b" ]; }; } );', 'interface name'),
    (TOP + '@include "/etc/passwd"\nrules: ( );', ':3: @include is not supported'),
    (TOP + 'rules: ( { user = "a" rootfs } );', ':3: syntax error'),
    (TOP + 'rules: ( {', 'syntax error'),
    ('version = 1;\nversion = 1;', ':2: duplicate setting name'),
    (b'version = 1;\x00', 'NUL byte'),
    (TOP + '#' * 300000, 'larger than 256 KiB'),
]


def put(path, text):
    with open(path, 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())


class Input(unittest.TestCase):
    def test_container_json(self):
        self.assertGreaterEqual(len(SPECS), 60)
        path = f'{container("input")}/container.json'
        for text, expected in SPECS:
            with self.subTest(text=text[:80]):
                put(path, text)
                done = nsinit('check', path)
                self.assertEqual(done.returncode, 125, done.stdout)
                first, *more = done.stderr.splitlines()
                self.assertIn(expected, first)
                self.assertIn(path, first)
                for line in more:
                    self.assertRegex(line, r'^  (key:  \S.*|help: see container\.json\(5\))$')

    def test_nothing_is_started(self):
        root = container('input')
        for text, expected in SPECS[::7]:
            put(f'{root}/container.json', text)
            done = exec_in(root, 'true')
            self.assertEqual(done.returncode, 125)
            self.assertIn(expected, done.stderr)
            self.assertTrue(nothing_left())
            self.assertFalse(os.path.exists(f'{root}/.nspid'))

    def test_container_json_of_other_types(self):
        root = container('input', spec=None)
        for make in (lambda p: os.mkfifo(p), lambda p: os.mkdir(p), lambda p: os.symlink('/etc/shadow', p)):
            make(f'{root}/container.json')
            done = exec_in(root, 'true', timeout=5)
            self.assertEqual(done.returncode, 125)
            self.assertNotIn('root:', done.stderr)
            run(['rm', '-rf', f'{root}/container.json'])

    def test_policy(self):
        self.assertGreaterEqual(len(POLICIES), 40)
        os.makedirs('/etc/nsinit', exist_ok=True)
        for text, expected in POLICIES:
            with self.subTest(text=text[:120]):
                put('/etc/nsinit/broken.conf', text)
                done = nsinit('check', '/etc/nsinit/broken.conf')
                self.assertEqual(done.returncode, 125, done.stdout)
                self.assertIn(expected, done.stderr)
                self.assertIn('/etc/nsinit/broken.conf', done.stderr)

    def test_examples_are_valid(self):
        os.makedirs('/etc/nsinit', exist_ok=True)
        with open('etc/nsinit.conf.example') as f:
            write('/etc/nsinit/example.conf', f.read())
        self.assertEqual(nsinit('check', '/etc/nsinit/example.conf').returncode, 0)
        self.assertEqual(nsinit('check', 'etc/container.json').returncode, 0)


class Opened:
    """Whether somebody has opened a file, be it only for a moment."""

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self.fd, path.encode(), 0x20) < 0:  # IN_OPEN
            raise OSError(ctypes.get_errno(), path)

    def was(self):
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False
        finally:
            os.close(self.fd)


class Device(unittest.TestCase):
    """To open some devices is to use them: a watchdog restarts the machine if nobody goes on."""

    def setUp(self):
        self.device = '/root/device'
        os.mknod(self.device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        self.addCleanup(os.unlink, self.device)
        self.root = container('device')

    def opened(self, path, act):
        watch = Opened(path)
        act()
        return watch.was()

    def test_the_watch_sees_it(self):
        self.assertTrue(self.opened(self.device, lambda: run(['cat', self.device])))
        self.assertFalse(self.opened(self.device, lambda: run(['stat', self.device])))

    def test_named_as_a_system_call_filter(self):
        write(f'{self.root}/container.json', '{"namespaces": ["NEWNS"], "seccomp": "%s"}' % self.device)
        for command in (['check', f'{self.root}/container.json'], ['check', self.root], ['exec', '-C', self.root, 'true']):
            with self.subTest(command=command):
                said = []
                self.assertFalse(self.opened(self.device, lambda: said.append(nsinit(*command))))
                self.assertIn('not a regular file', said[0].stdout + said[0].stderr)

    def test_in_the_root_directory(self):
        for name in ('etc/passwd', 'etc/hosts', 'container.json'):
            path = f'{self.root}/{name}'
            os.path.lexists(path) and os.unlink(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            with self.subTest(name=name):
                self.assertFalse(self.opened(path, lambda: nsinit('exec', '-C', self.root, 'true')))
                self.assertFalse(self.opened(path, lambda: nsinit('check', self.root)))
