/*
 * Runs commands in turns and tells how long each took, from posix_spawn(3) to the end of wait4(2):
 * interleaved, so that what else the machine does meets all of them alike, and each round in another order,
 * so that none always comes behind the same one.
 *
 *     pace ROUNDS <FILE        one command a line, words separated by tabs
 *
 * All at a real-time priority where that is allowed: other work on the machine then costs little. Writes a
 * line for each run: number of the command, nanoseconds, user and system microseconds. The commands' output
 * goes nowhere. A command that fails ends it: nothing is measured that does not work.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_COMMANDS = 64, MAX_WORDS = 64, WARM_UP = 3, PAUSE_NS = 1000000 };

extern char **environ;

struct command {
	char *words[MAX_WORDS];
};

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int read_commands(struct command commands[])
{
	char *line = NULL, *save;
	size_t size = 0;
	int n = 0;

	while (n < MAX_COMMANDS && getline(&line, &size, stdin) > 0) {
		int words = 0;

		line[strcspn(line, "\n")] = '\0';
		for (char *w = strtok_r(strdup(line), "\t", &save); w && words < MAX_WORDS - 1;
			w = strtok_r(NULL, "\t", &save))
			commands[n].words[words++] = w;
		n += words > 0;
	}
	return n;
}

static void run(const struct command *c, int i, const posix_spawn_file_actions_t *quiet, bool shown)
{
	struct rusage used;
	int status;
	pid_t pid;
	long long start = now();

	if (posix_spawn(&pid, c->words[0], quiet, NULL, c->words, environ) != 0 ||
		wait4(pid, &status, 0, &used) < 0 || status != 0) {
		fprintf(stderr, "pace: %s %s ... failed\n", c->words[0], c->words[1] ? c->words[1] : "");
		exit(1);
	}
	long long took = now() - start;
	if (shown)
		printf("%d %lld %lld %lld\n", i, took,
			used.ru_utime.tv_sec * 1000000LL + used.ru_utime.tv_usec,
			used.ru_stime.tv_sec * 1000000LL + used.ru_stime.tv_usec);
}

static void shuffle(int order[], int n)
{
	for (int i = n - 1; i > 0; i--) {
		int other = (int)(random() % (i + 1)), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

int main(int argc, char **argv)
{
	static struct command commands[MAX_COMMANDS];
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	posix_spawn_file_actions_t quiet;
	int order[MAX_COMMANDS], rounds = argc == 2 ? atoi(argv[1]) : 0, n = read_commands(commands);

	if (rounds <= 0 || n == 0) {
		fputs("usage: pace ROUNDS <FILE\n", stderr);
		return 2;
	}
	sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	for (int i = 0; i < n; i++)
		order[i] = i;
	for (int round = -WARM_UP; round < rounds; round++) {
		shuffle(order, n);
		for (int i = 0; i < n; i++) {
			run(&commands[order[i]], order[i], &quiet, round >= 0);
			/* What the kernel does behind an end (network namespaces) is not the next one's. */
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}
