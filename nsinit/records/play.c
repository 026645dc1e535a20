#include "records.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* How long the terminal may take to answer, and to go on answering; and no more of that than so often. */
enum { ANSWER_MS = 1000, SILENCE_MS = 200, MAX_ANSWERS = 1000 };

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

/*
 * Orders that are texts (OSC, DCS, APC, PM, SOS) are dropped: they set clipboards and titles, and have
 * terminals answer with what they were given. One may go on from event to event.
 */
enum state { PLAIN, AFTER_ESC, AFTER_C2, TEXT, TEXT_ESC, TEXT_C2 };

static enum state show_byte(enum state state, char c)
{
	switch (state) {
	case PLAIN:
		if (c == '\033' || c == '\xc2')
			return c == '\033' ? AFTER_ESC : AFTER_C2;
		break;
	case AFTER_ESC:
	case TEXT_ESC: /* what is no end of the text begins anew */
		if (state == TEXT_ESC && c == '\\')
			return PLAIN;
		if (c == '\033' || strchr("P]X^_", c ? c : 'x'))
			return c == '\033' ? AFTER_ESC : TEXT;
		putchar('\033');
		break;
	case AFTER_C2: /* the same in one character, U+0080 and what follows */
		if (strchr("\x90\x98\x9d\x9e\x9f", c ? c : 'x'))
			return TEXT;
		putchar(0xc2);
		break;
	case TEXT:
	case TEXT_C2:
		if (c == '\033' || c == '\xc2')
			return c == '\033' ? TEXT_ESC : TEXT_C2;
		return c == '\a' || c == '\030' || c == '\032' || (state == TEXT_C2 && c == '\x9c') ? PLAIN
												    : TEXT;
	}
	putchar((unsigned char)c);
	return PLAIN;
}

static int play_all(FILE *f, const struct records_way *way)
{
	double at = 0, before = 0;
	enum state state = PLAIN;
	char *text, kind;
	size_t len;
	int r = 0;

	while (!stop && (r = records_event(f, &at, &kind, &text, &len)) > 0) {
		double wait = at - before > way->idle ? way->idle : at - before;

		before = at;
		if (way->speed > 0)
			pause_for(wait / way->speed);
		if (kind == 'o' && way->raw)
			fwrite(text, 1, len, stdout);
		for (size_t i = 0; kind == 'o' && !way->raw && i < len; i++)
			state = show_byte(state, text[i]);
		fflush(stdout);
		free(text);
	}
	return r;
}

/* It answers in the order in which it was asked, at the other end of whatever line: we ask last. */
static void drop_answers(void)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};
	char text[256];
	ssize_t n = 0;
	int wait = ANSWER_MS;

	fputs("\033[c", stdout);
	fflush(stdout);
	for (int i = 0; i < MAX_ANSWERS && n >= 0 && poll(&in, 1, wait) > 0; i++) {
		n = read(0, text, sizeof(text));
		if (n > 0 && memchr(text, 'c', (size_t)n))
			wait = SILENCE_MS;
		if (n == 0)
			break;
	}
}

/*
 * What was recorded may ask the terminal to answer, and leave it in whatever state: answers are not to be
 * taken for what the administrator types.
 */
int records_play(FILE *f, const struct records_way *way)
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
	int r = play_all(f, way);
	if (isatty(1))
		fputs("\033[?1049l\033[!p\033[0m\033[?25h\r\n", stdout);
	if (terminal && isatty(1))
		drop_answers();
	fflush(stdout);
	if (terminal)
		tcsetattr(0, TCSAFLUSH, &before);
	return r;
}
