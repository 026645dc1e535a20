"""E. Privileged entry: what the caller of nsinit-shell, of its broker or of the supervisor says and brings."""
import glob
import stat

from attack import *


class Entry(Attack):
    def attack_48_arguments(self):
        """No arguments at all, options for somebody else, words of a megabyte."""
        self.holds('test_callers.Arguments.test_no_name', 'test_callers.Arguments.test_odd_words', 'test_callers.Arguments.test_names_of_any_kind',
                   'test_callers.Arguments.test_long_command', 'test_callers.Arguments.test_many_arguments',
                   'test_callers.Arguments.test_bytes_that_are_no_text', 'test_shell.Servers.test_command_is_verbatim')

    def attack_49_environment(self):
        """Variables for the loader and the C library of whatever is privileged: but nothing of ours is set-uid."""
        installed = [p for pattern in ('/usr/bin/nsinit*', '/usr/sbin/nsinit*', '/usr/libexec/nsinit*', '/usr/lib/nsinit*/*')
                     for p in glob.glob(pattern)]
        self.assertIn('/usr/bin/nsinit-shell', installed)
        for path in installed:
            self.assertFalse(os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID), path)
            self.assertEqual(run(['getcap', path]).stdout, '')
        self.assertTrue(os.stat('/usr/bin/su').st_mode & stat.S_ISUID)  # the control: it would be seen
        self.holds('test_callers.Environment.test_preloading_a_program_of_the_host_would_work',
                   'test_callers.Environment.test_hostile_variables', 'test_callers.Environment.test_odd_environments',
                   'test_callers.Environment.test_they_do_no_harm_where_it_refuses')

    def attack_50_process_attributes(self):
        """Closed descriptors, limits, signals, timers, masks and directories of the caller's."""
        self.holds('test_callers.Descriptors.test_closed', 'test_callers.Descriptors.test_others_do_not_get_in', 'test_callers.Limits.test_harmless',
                   'test_callers.Limits.test_descriptors', 'test_callers.Limits.test_processes', 'test_callers.Limits.test_memory',
                   'test_callers.Process.test_signals_ignored_and_blocked', 'test_callers.Process.test_pending_timers',
                   'test_callers.Process.test_umask', 'test_callers.Process.test_directory_that_is_gone_or_closed',
                   'test_callers.Identity.test_set_uid_copies', 'test_callers.Identity.test_mixed_ids')

    def attack_51_confused_broker(self):
        """Root inside, uid 0 for who asks the kernel, speaks to a socket of nsinit's."""
        self.holds('test_shell_kill.Lies.test_nothing_that_is_sent_is_read', 'test_shell_kill.Lies.test_doors_of_others',
                   'test_callers.Identity.test_other_namespaces', 'test_callers.Identity.test_root')
