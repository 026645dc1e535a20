"""Errors of memory and what is lost, that of the libraries too, in what the module does for sshd and su."""
from calls import *


class Valgrind(Case):
    before = ['valgrind', '-q', '--vgdb=no', '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite',
              '--keep-debuginfo=yes', '--error-exitcode=99', '--suppressions=tests/hygiene/valgrind.supp']
    environment = {'LD_PRELOAD': '/root/unknown_calls.so'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run(['gcc', '-Wall', '-Wextra', '-Werror', '-O1', '-fPIC', '-shared', '-o', '/root/unknown_calls.so',
             'tests/hygiene/unknown_calls.c'])

    def clean(self, *words, **kwargs):
        told = self.steps(*words, **kwargs)
        self.assertEqual(told.err, '', told)
        self.assertNotIn('child 99', told.lines)
        return told

    def test_errors_would_be_seen(self):
        told = self.steps('spoil', code=99)
        self.assertIn('uninitialised', told.err)
        self.assertIn('definitely lost', told.err)

    def test_split(self):
        told = self.clean(LOGIN, 'start setcred open open', CHILD, 'fork end-copy done end user=dave', LOGIN)
        self.assertEqual(told.lines.count('inside'), 3, told)

    def test_join(self):
        told = self.clean('service=su start setcred open fork groups drop exec=hostname done close end')
        self.assertIn('inside', told.lines)

    def test_refused(self):
        self.addCleanup(container, 'alice')
        write(f'{ROOTS}/alice/container.json', '{"hostname": [}')
        self.assertEqual(self.clean('start setcred open end').results('open'), [14])
        for text, expected in (('version = 1;\nunmapped = "host";\nrules: ( { user = "alice"; deny = "No."; } );\n', [14]),
                               ('version = 1;\nunmapped = "host";\nrules: ( { usre = "alice"; } );\n', [14]), ('', [14]),
                               ('version = 1;\nunmapped = "host";\nrules: ( );\n', [0])):
            write('/etc/nsinit/nsinit.conf', text)
            self.assertEqual(self.clean('start setcred open end').results('open'), expected)


del Case
