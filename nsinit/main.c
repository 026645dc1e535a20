#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int report(const struct nsi_error *err)
{
	char text[2048];

	fprintf(stderr, "nsinit: %s\n", nsi_error_text(err, text, sizeof(text)));
	return err->exit_status ? err->exit_status : NSI_EXIT_FAILED;
}

static int help(FILE *out, int status)
{
	fputs("usage: nsinit exec [OPTIONS] [--] COMMAND...   run a command in the container of this "
	      "directory\n"
	      "       nsinit check [--json] [--strict] [PATH] check a container.json, rootfs directory or "
	      "policy\n"
	      "       nsinit explain [--service S] USER       what the policy decides for a user\n"
	      "       nsinit activate [--dry-run] FILE        put a policy in force, if it locks nobody out\n"
	      "       nsinit disable --for DURATION           every login is the host's for a while\n"
	      "       nsinit enable                           not any more\n"
	      "       nsinit list [--json]                    which containers live\n"
	      "       nsinit stats [-C DIR] [--json]          what a container uses\n"
	      "       nsinit version\n",
		out);
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return help(stderr, NSI_EXIT_FAILED);
	if (strcmp(argv[1], "exec") == 0) {
		struct nsi_error err = {0};

		/* As an ordinary user it is root's file, which nobody inside can write to anyway. */
		if (geteuid() == 0 && run_sealed(argv, &err) < 0)
			return report(&err);
		return cmd_exec(argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "check") == 0)
		return cmd_check(argc - 1, argv + 1);
	if (strcmp(argv[1], "explain") == 0)
		return cmd_explain(argc - 1, argv + 1);
	if (strcmp(argv[1], "activate") == 0)
		return cmd_activate(argc - 1, argv + 1);
	if (strcmp(argv[1], "disable") == 0)
		return cmd_disable(argc - 1, argv + 1);
	if (strcmp(argv[1], "enable") == 0)
		return cmd_enable(argc - 1, argv + 1);
	if (strcmp(argv[1], "stats") == 0)
		return cmd_stats(argc - 1, argv + 1);
	if (strcmp(argv[1], "list") == 0)
		return cmd_list(argc - 1, argv + 1);
	if (strcmp(argv[1], "supervise") == 0)
		return cmd_supervise();
	if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)
		return puts("nsinit " NSINIT_VERSION) < 0;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(stdout, 0);
	fprintf(stderr, "nsinit: unknown command \"%s\"\n", argv[1]);
	return help(stderr, NSI_EXIT_FAILED);
}
