"""An LDAP directory for the throw-away host: OpenLDAP's slapd with people of its own, and nslcd, by which the host knows them.

nslcd for most tests: it keeps nothing and is never offline, so that a test says exactly what is answered and what is not. SSSD,
and nscd, where just that matters.
"""
import glob
import os
import re
import shutil
import signal
import subprocess

from host import KEY, PASSWORD, run, until, write

PORT = 3389
BASE = 'dc=example,dc=org'
DATA = '/var/lib/ldap-of-the-test'
PACKAGES = '/var/cache/nsinit-tests'  # tests/host/deps
HOME = '/home/directory'
SWITCH = '/etc/nsswitch.conf'
MAIN_GROUP = ('people', 20000)

SLAPD_CONF = f'''
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
pidfile {DATA}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "{BASE}"
directory {DATA}
maxsize 10485760
'''
# A login is not to wait for long in the tests of an outage.
NSLCD_CONF = f'''
uid nobody
gid nogroup
uri ldap://127.0.0.1:{PORT}/
base {BASE}
bind_timelimit 2
timelimit 5
reconnect_sleeptime 1
reconnect_retrytime 1
'''

SSSD_CONF = f'''
[sssd]
services = nss
domains = example
config_file_version = 2
[domain/example]
id_provider = ldap
auth_provider = none
ldap_uri = ldap://127.0.0.1:{PORT}
ldap_search_base = {BASE}
ldap_schema = rfc2307
ldap_network_timeout = 1
ldap_opt_timeout = 1
'''
SSSD_FILES = '/var/lib/sss'


def entry(dn, *attributes):
    return '\n'.join([f'dn: {dn}', *attributes]) + '\n\n'


def person(name, uid, gid, shell='/bin/sh'):
    return entry(f'uid={name},{BASE}', 'objectClass: account', 'objectClass: posixAccount', f'uid: {name}', f'cn: {name}',
                 f'uidNumber: {uid}', f'gidNumber: {gid}', f'homeDirectory: {HOME}/{name}', f'loginShell: {shell}',
                 f'userPassword: {PASSWORD}')


def group(name, gid, members=()):
    return entry(f'cn={name},{BASE}', 'objectClass: posixGroup', f'cn: {name}', f'gidNumber: {gid}',
                 *[f'memberUid: {m}' for m in members])


def unpack(name):
    """The files of packages alone: what installing them would configure is for the test to say."""
    for package in glob.glob(f'{PACKAGES}/{name}_*.deb'):
        run(f'dpkg-deb --fsys-tarfile {package} | tar -x --keep-directory-symlink -C /')


class Directory:
    """`people`: name to (uid, gid, ...) as of person(); `groups`: name to (gid, members)."""

    def __init__(self, people, groups):
        unpack('*')
        self.people = people
        with open(SWITCH) as f:
            self.switch = f.read()
        os.makedirs(DATA, mode=0o700)
        os.makedirs('/run/nslcd', exist_ok=True)
        shutil.chown('/run/nslcd', 'nobody', 'nogroup')
        write('/root/slapd.conf', SLAPD_CONF)
        write('/etc/nslcd.conf', NSLCD_CONF)
        ldif = entry(BASE, 'objectClass: domain', 'dc: example') + group(*MAIN_GROUP) \
            + ''.join(person(name, *rest) for name, rest in people.items()) \
            + ''.join(group(name, *rest) for name, rest in groups.items())
        run(['slapadd', '-f', '/root/slapd.conf'], input=ldif)
        self.processes = {}
        self.start()
        self.ask('ldap')

    def ask(self, service):
        """The host's name services: its files, and this one."""
        write(SWITCH, re.sub(r'(?m)^(passwd|group|shadow):(.*)', rf'\1:\2 {service}', self.switch))

    def start(self):
        """slapd, and nslcd once it answers; what runs already is left."""
        self.spawn('slapd', 'slapd', '-f', '/root/slapd.conf', '-h', f'ldap://127.0.0.1:{PORT}', '-d', '0')
        until(lambda: os.path.exists(f'{DATA}/slapd.pid'), "slapd's pid")
        self.spawn('nslcd', 'nslcd', '-n')
        until(lambda: run('getent -s ldap passwd ' + next(iter(self.people)), check=False).returncode == 0,
              'a user of the directory', 20)

    def start_sssd(self):
        """In place of nslcd, with nothing in its cache but a user."""
        self.stop('nslcd', 'sssd')
        shutil.rmtree(SSSD_FILES, ignore_errors=True)
        for path in ('db', 'mc', 'pipes/private', 'pubconf', 'gpo_cache', 'deskprofile', 'keytabs'):
            os.makedirs(f'{SSSD_FILES}/{path}')
        for path in ('/var/log/sssd', '/etc/sssd'):
            os.makedirs(path, exist_ok=True)
        write('/etc/sssd/sssd.conf', SSSD_CONF, 0o600)
        self.spawn('sssd', 'sssd', '-i')
        until(lambda: run('getent -s sss passwd ' + next(iter(self.people)), check=False).returncode == 0, 'SSSD', 20)
        self.ask('sss')

    def stop_sssd(self):
        self.stop('sssd')
        self.ask('ldap')

    def spawn(self, name, *command):
        if name not in self.processes or self.processes[name].poll() is not None:
            self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, *names):
        for name in names or list(self.processes):
            process = self.processes.pop(name, None)
            if process:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def homes(self, *names):
        """Made by the administrator: readable by their owner, with a key."""
        for name in names:
            ssh = f'{HOME}/{name}/.ssh'
            os.makedirs(ssh, exist_ok=True)
            shutil.copy(f'{KEY}.pub', f'{ssh}/authorized_keys')
            os.chmod(f'{HOME}/{name}', 0o700)
            run(['chown', '-R', f'{self.people[name][0]}:{self.people[name][1]}', f'{HOME}/{name}'])

    def close(self):
        self.stop()
        write(SWITCH, self.switch)
        for path in (DATA, HOME):
            shutil.rmtree(path, ignore_errors=True)
