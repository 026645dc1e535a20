"""bash completion: its function is called as bash does, and what it offers is what nsinit takes."""
import os
import re
import unittest

from host import nsinit, run

FILE = '/usr/share/bash-completion/completions/nsinit'
ASK = f'''
. {FILE}
complete -p nsinit >/dev/null || exit 1
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_nsinit nsinit "${{@: -1}}" "${{@: -2:1}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
'''


def offered(*words):
    return [w for w in run(['bash', '-c', ASK, 'bash', 'nsinit', *words]).stdout.split('\n') if w]


def commands():
    """Those that the program itself names."""
    return re.findall(r'(?m)^(?:usage:|      ) nsinit (\S+)', nsinit('help').stdout)


class Completion(unittest.TestCase):
    def test_subcommands(self):
        self.assertEqual(sorted(offered('')), sorted(commands()))
        self.assertEqual(offered('st'), ['status', 'stats'])
        self.assertEqual(offered('nonsense'), [])

    def test_options_are_those_of_the_program(self):
        for command in commands():
            for option in offered(command, '-'):
                if command in ('exec', 'version', 'help', 'enable'):
                    continue
                # An option that is not known is named by getopt; one that lacks its argument, or all else, is not.
                said = nsinit(command, option, check=False).stderr
                self.assertNotRegex(said, 'unrecognized option|invalid option', (command, option))
        self.assertIn('unrecognized option', nsinit('doctor', '--nonsense').stderr)  # as it would be
        self.assertEqual(sorted(offered('ps', '--')), ['--all', '--json'])
        self.assertEqual(offered('version', '-'), [])

    def test_records(self):
        self.assertEqual(offered('records', 'p'), ['play', 'prune'])
        self.assertEqual(offered('records', 'play', '--'), ['--dir', '--speed', '--idle', '--raw'])
        self.assertEqual(offered('records', 'list', 'ali'), ['alice'])
        self.assertEqual(offered('records', 'play', '--speed', ''), [])

    def test_users(self):
        for command in ('explain', 'doctor', 'logs', 'init'):
            self.assertEqual(offered(command, 'ali'), ['alice'], command)
        self.assertEqual(offered('exec', '-u', 'ali'), ['alice'])
        self.assertEqual(offered('doctor', '--json', 'ali'), ['alice'])

    def test_directories_and_files(self):
        path = '/tmp/completion'
        self.addCleanup(run, ['rm', '-rf', path])
        os.makedirs(f'{path}/a directory')
        open(f'{path}/a file.tar', 'w').close()
        for words in (('ps', '-C'), ('status', '-C'), ('init', '--image'), ('init', '--oci')):
            self.assertEqual(offered(*words, f'{path}/a'), [f'{path}/a directory'])
        for words in (('check',), ('activate',), ('init', '--tar')):
            self.assertEqual(sorted(offered(*words, f'{path}/a')), [f'{path}/a directory', f'{path}/a file.tar'])
        self.assertEqual(offered('init', '--tar', 'x', f'{path}/a'), [f'{path}/a directory'])

    def test_words_of_options(self):
        self.assertIn('SIGTERM', offered('kill', '-s', 'SIGT'))
        self.assertEqual(offered('explain', '--service', 'run'), ['runuser', 'runuser-l'])
        self.assertEqual(offered('disable', '--for', '1'), ['15m', '1h'])
        self.assertEqual(offered('init', '--debian', 'b'), ['bookworm'])
        self.assertEqual(offered('logs', '-n', ''), [])
