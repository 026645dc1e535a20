#include "records.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void pause_for(double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds};

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	if (seconds > 0)
		nanosleep(&t, NULL);
}

static int play_all(FILE *f, double speed, double idle)
{
	double at = 0, before = 0;
	char *text, kind;
	size_t len;
	int r = 0;

	while (!stop && (r = records_event(f, &at, &kind, &text, &len)) > 0) {
		double wait = at - before > idle ? idle : at - before;

		before = at;
		if (speed > 0)
			pause_for(wait / speed);
		if (kind == 'o')
			fwrite(text, 1, len, stdout);
		fflush(stdout);
		free(text);
	}
	return r;
}

/*
 * What was recorded may ask the terminal to answer, and leave it in whatever state: answers are not to be
 * taken for what the administrator types.
 */
int records_play(FILE *f, double speed, double idle)
{
	const struct sigaction act = {.sa_handler = on_signal};
	struct termios before, silent;
	bool terminal = isatty(0) && tcgetattr(0, &before) == 0;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (terminal) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
		tcsetattr(0, TCSANOW, &silent);
	}
	int r = play_all(f, speed, idle);
	if (isatty(1))
		fputs("\033[?1049l\033[!p\033[0m\033[?25h\r\n", stdout);
	fflush(stdout);
	if (terminal)
		tcsetattr(0, TCSAFLUSH, &before);
	return r;
}
