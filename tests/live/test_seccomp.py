"""container.json's "seccomp" with a profile in the format of container engines."""
import json
import os
import re

import confined
from confined import ROOT
import host
from host import ROOTS, container, exec_in, nsinit, run, ssh, write
from test_confine import BASE

PROFILE = '/etc/nsinit/profile.json'
MKDIR = 'mkdir /tmp/made 2>&1; rmdir /tmp/made 2>/dev/null; probe'


def rule(names, action='ALLOW', **more):
    return {'names': names, 'action': f'SCMP_ACT_{action}', **more}


def every_call():
    with open('/usr/include/x86_64-linux-gnu/asm/unistd_64.h') as f:
        return re.findall(r'__NR_(\w+) ', f.read())


def profile(*rules, default='ERRNO', **more):
    write(PROFILE, json.dumps({'defaultAction': f'SCMP_ACT_{default}', 'syscalls': list(rules), **more}, indent=1))


class Profile(confined.Confine):
    def test_what_it_withholds(self):
        profile(rule(['mkdir', 'mkdirat', 'no_such_call'], 'ERRNO', errnoRet=95), default='ALLOW')
        self.expect(MKDIR, "mkdir: can't create directory '/tmp/made': Operation not supported\ntiocsti EPERM\ntiocsti-64 EPERM\n"
                           'tioclinux EPERM\nunshare ok\n', seccomp=PROFILE)

    def test_what_it_allows(self):
        """As Docker's: what is not named gives an error, what is newer than all of it does not exist."""
        profile(rule([c for c in every_call() if c not in ('mkdir', 'mkdirat', 'unshare', 'keyctl')]),
                rule(['unshare'], includes={'caps': ['CAP_SYS_ADMIN']}), rule(['keyctl'], excludes={'caps': ['CAP_SYS_ADMIN']}),
                archMap=[{'architecture': 'SCMP_ARCH_X86_64', 'subArchitectures': ['SCMP_ARCH_X86', 'SCMP_ARCH_X32']}],
                defaultErrnoRet=1)
        common = "mkdir: can't create directory '/tmp/made': Operation not permitted\nnewer ENOSYS\ntiocsti EPERM\n"
        self.expect(MKDIR, common + 'unshare EPERM\n', seccomp=PROFILE)
        without = exec_in(ROOT, 'probe').stdout
        self.make(seccomp=PROFILE, capabilities={'keep': BASE + ['SYS_ADMIN']})
        with_it = exec_in(ROOT, 'sh', '-c', MKDIR).stdout
        self.assertIn(common.split('\n')[0], with_it)
        self.assertIn('unshare ok\n', with_it)
        self.assertIn('keyctl EPERM\n', with_it)
        self.assertNotIn('keyctl EPERM\n', without)

    def test_arguments(self):
        equal, masked = {'op': 'SCMP_CMP_EQ'}, {'op': 'SCMP_CMP_MASKED_EQ'}
        profile(rule(['personality'], 'ERRNO', errnoRet=38, args=[{'index': 0, 'value': 8, **equal}]),
                rule(['kill'], 'ERRNO', errnoRet=95, args=[{'index': 1, 'value': 0xff, 'valueTwo': 10, **masked}]),
                # two conditions on one argument: either
                rule(['umask'], 'ERRNO', errnoRet=95, args=[{'index': 0, 'value': 1, **equal}, {'index': 0, 'value': 2, **equal}]),
                default='ALLOW')
        self.expect('kill -10 $$ 2>&1; kill -0 $$ && echo zero', 'zero\n', seccomp=PROFILE)
        shown = exec_in(ROOT, 'sh', '-c', 'kill -10 $$; for m in 1 2 4; do umask $m; umask 022; umask; done')
        self.assertIn('Operation not supported', shown.stderr)

    def test_conditions_on_kernel_and_architecture(self):
        for more, holds in (({'includes': {'minKernel': '4.8'}}, True), ({'includes': {'minKernel': '99.0'}}, False),
                            ({'excludes': {'minKernel': '4.8'}}, False), ({'includes': {'arches': ['s390x']}}, False),
                            ({'includes': {'arches': ['arm64', 'amd64']}}, True), ({'excludes': {'arches': ['amd64']}}, False)):
            profile(rule(['mkdir'], 'ERRNO', errnoRet=95, **more), default='ALLOW')
            self.make(seccomp=PROFILE)
            with self.subTest(**more):
                self.assertEqual('Operation not supported' in exec_in(ROOT, 'mkdir', '/tmp/made').stderr, holds)
                exec_in(ROOT, 'rmdir', '/tmp/made')

    def test_the_other_word_size(self):
        """What nsinit-security(7) says of 32-bit x86: its socketcall(2) passes, and a profile can close that."""
        self.make()
        run(['gcc', '-O1', '-D_GNU_SOURCE', '-static', '-o', f'{ROOT}/bin/i386', 'tests/live/i386.c'])
        alg = run([f'{ROOT}/bin/i386']).stdout.splitlines()[2]  # the kernel may be built without it
        self.assertEqual(exec_in(ROOT, 'i386').stdout, f'getpid ok\nmount EPERM\n{alg}\n')
        for subs, out in ((['SCMP_ARCH_X86', 'SCMP_ARCH_X32'], f'getpid ok\nmount EFAULT\n{alg}\n'),
                          ([], 'getpid ENOSYS\nmount ENOSYS\nalg ENOSYS\n'), (None, 'getpid ENOSYS\nmount ENOSYS\nalg ENOSYS\n')):
            profile(rule(['mkdir'], 'ERRNO'), default='ALLOW', archMap=[{'architecture': 'SCMP_ARCH_X86_64', 'subArchitectures': subs}])
            write(f'{ROOT}/container.json', json.dumps(dict(host.SPEC, seccomp=PROFILE)))
            self.assertEqual(exec_in(ROOT, 'i386').stdout, out)

    def test_who_may_write_it(self):
        profile(default='ALLOW')
        os.chmod(PROFILE, 0o666)
        self.fails(PROFILE, seccomp=PROFILE)
        os.chmod(PROFILE, 0o644)
        os.chown(PROFILE, 1001, 0)
        self.fails(PROFILE, seccomp=PROFILE)
        os.unlink(PROFILE)
        self.fails(f'{PROFILE}: No such file', seccomp=PROFILE)

    def test_what_is_wrong(self):
        rules = '{"defaultAction": "SCMP_ACT_ALLOW",\n"syscalls": [%s]}'
        for text, said in (
                ('{}', ':1:1: the profile lacks "defaultAction"'),
                ('[]', 'the top level must be an object'),
                ('{"defaultAction": "SCMP_ACT_ALOW"}', ':1:2: unknown action "SCMP_ACT_ALOW"; did you mean "SCMP_ACT_ALLOW"?'),
                ('{"defaultAction": "SCMP_ACT_NOTIFY"}', 'needs somebody outside who answers'),
                ('{"defaultAction": 1}', '"defaultAction" must be a string, not int'),
                ('{"defaultActon": "SCMP_ACT_ALLOW"}', 'unknown key "defaultActon"; did you mean "defaultAction"?'),
                ('{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}', '"defaultErrnoRet" must be between 0 and 4095'),
                ('{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}', "not for this machine's architecture"),
                ('{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["amd64"]}', 'must be a name such as "SCMP_ARCH_X86_64"'),
                ('{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}', 'unknown flag'),
                (rules % '7', ':2:14: entry 1 of "syscalls" must be an object'),
                (rules % '{"names": ["kill"]}', ':2:14: a rule needs "names" and "action"'),
                (rules % '{"names": ["a"], "name": "b", "action": "SCMP_ACT_ERRNO"}', '"name" and "names" do not go together'),
                (rules % '{"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6}]}', '"index" must be between 0 and 5'),
                (rules % '{"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1}]}', 'a condition needs "index" and "op"'),
                (rules % '{"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [{"op": "SCMP_CMP_EG"}]}', 'did you mean "SCMP_CMP_EQ"?'),
                (rules % '{"names": ["a"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_KIL"]}}', 'unknown capability "CAP_KIL"'),
                (rules % '{"names": ["a"], "action": "SCMP_ACT_ERRNO", "excludes": {"minKernel": "new"}}', '"minKernel" must be a version'),
                ('{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_LOG"}', 'a second time'),
                (' ' * (256 * 1024) + '{}', 'larger')):
            write(PROFILE, text)
            self.make(seccomp=PROFILE)
            with self.subTest(text=text[:80]):
                done = exec_in(ROOT, 'true')
                self.assertEqual(done.returncode, 125)
                self.assertIn(said, done.stderr)
        self.assertNotEqual(ssh('alice', 'true').returncode, 0)

    def test_check(self):
        profile(default='ALLOW')
        root = container('confine', {'namespaces': ['NEWNS'], 'seccomp': PROFILE})
        self.assertIn(f'seccomp:      {PROFILE}', nsinit('check', root).stdout)
        self.assertNotIn('seccomp-profile', nsinit('check', '--json', root).stdout)
        write(PROFILE, '{}')
        self.assertIn('lacks \\"defaultAction\\"', nsinit('check', '--json', root).stdout)
        self.assertTrue(root.startswith(ROOTS))
