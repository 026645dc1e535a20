#include "../libcore/base/error.h"
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
	const char *name, *arguments, *summary;
	int (*run)(int argc, char **argv);
	bool sealed;
} commands[] = {
	{"exec", "[OPTIONS] [--] COMMAND...", "run a command in the container of this directory", cmd_exec,
		true},
	{"list", "[--json]", "which containers live", cmd_list, false},
	{"status", "[-C DIR] [--json]", "whether a container lives, and how", cmd_status, false},
	{"sessions", "[-C DIR] [--json]", "who is logged in to containers", cmd_sessions, false},
	{"ps", "[-C DIR | --all] [--json]", "the processes of a container", cmd_ps, false},
	{"stats", "[-C DIR] [--json] [--watch[=SECONDS]]", "what a container uses", cmd_stats, false},
	{"logs", "[-C DIR | USER] [-n LINES] [-f] [--json]", "what the log has of nsinit", cmd_logs, false},
	{"records", "[list|show|play|prune] [OPTIONS] [USER | SESSION]", "the recordings of sessions",
		cmd_records, false},
	{"kill", "[-C DIR] [-s SIGNAL] [--json]", "end a container, or signal its process 1", cmd_kill,
		false},
	{"wait", "[-C DIR] [--json]", "until a container ends", cmd_wait, false},
	{"pause", "[-C DIR] [--json]", "stop all that runs in a container", cmd_pause, false},
	{"resume", "[-C DIR] [--json]", "let it go on", cmd_resume, false},
	{"init", "(--debian SUITE | --tar FILE | --oci DIR[:TAG] | --image DIR) USER | DIR",
		"make a root directory", cmd_init, false},
	{"check", "[--json] [--strict] [PATH]", "check a container.json, rootfs directory or policy",
		cmd_check, false},
	{"explain", "[--service S] [--json] USER [POLICY]", "what the policy decides for a user", cmd_explain,
		false},
	{"doctor", "[--json] [USER]", "what would break logins, or lead around containers", cmd_doctor,
		false},
	{"activate", "[--dry-run] [--json] FILE", "put a policy in force, if it locks nobody out",
		cmd_activate, false},
	{"disable", "--for DURATION [--json]",
		"every login is the host's for a while, as 90s, 15m, 2h; at most 24h", cmd_disable, false},
	{"enable", "[--json]", "not any more", cmd_enable, false},
	{"version", "", "print the version", cmd_version, false},
	{"help", "", "print this", cmd_help, false},
	{"supervise", NULL, NULL, cmd_supervise, false},
	{"record", NULL, NULL, cmd_record, false},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]), WIDTH = 40 };

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void print_usage(const char *name)
{
	const struct command *c = find(name);

	fprintf(stderr, "usage: nsinit %s %s\n", name, c ? c->arguments : "");
}

int need_root(const char *name, const char *what)
{
	struct nsi_error err = {0};
	char object[64];

	if (geteuid() == 0)
		return 0;
	snprintf(object, sizeof(object), "nsinit %s", name);
	nsi_failf(&err, EPERM, "running", object, "run it as root", "%s", what);
	return report(&err);
}

static int help(FILE *out, int status)
{
	for (size_t i = 0; i < N_COMMANDS && commands[i].summary; i++) {
		fprintf(out, "%s nsinit %-8s %-*s", i == 0 ? "usage:" : "      ", commands[i].name, WIDTH,
			commands[i].arguments);
		if (strlen(commands[i].arguments) > WIDTH)
			fprintf(out, "\n%*s", (int)strlen("usage: nsinit          ") + WIDTH, "");
		fprintf(out, " %s\n", commands[i].summary);
	}
	return status;
}

static int cmd_help(int argc, char **argv)
{
	(void)argc, (void)argv;
	return help(stdout, 0);
}

static int cmd_version(int argc, char **argv)
{
	(void)argc, (void)argv;
	return puts("nsinit " NSINIT_VERSION) < 0;
}

int main(int argc, char **argv)
{
	struct nsi_error err = {0};

	if (argc < 2)
		return help(stderr, NSI_EXIT_FAILED);
	const char *name = strcmp(argv[1], "--version") == 0                              ? "version"
			   : strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? "help"
											  : argv[1];
	const struct command *c = find(name);
	if (!c) {
		fprintf(stderr, "nsinit: unknown command \"%s\"\n", argv[1]);
		return help(stderr, NSI_EXIT_FAILED);
	}
	/* As an ordinary user it is root's file, which nobody inside can write to anyway. */
	if (c->sealed && geteuid() == 0 && run_sealed(argv, &err) < 0)
		return report(&err);
	return c->run(argc - 1, argv + 1);
}
