#include "show.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int printable(char c)
{
	return c < 0x20 || c >= 0x7f ? '?' : c;
}

void print_text(const char *text)
{
	for (; *text; text++)
		putchar(printable(*text));
}

void print_words(const char *lines)
{
	char path[1024];

	for (const char *p = lines; *p; p += strcspn(p, "\n") + 1) {
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(p, "\n"), p);
		putchar(' ');
		print_text(path);
	}
}

void make_printable(char *text)
{
	for (; *text; text++)
		*text = (char)printable(*text);
}

const char *size_text(unsigned long long bytes, char *buf, size_t size)
{
	static const char units[] = "KMGTPE";
	double n = (double)bytes;
	int unit = -1;

	while (n >= 1024 && units[unit + 1]) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, size, "%llu", bytes);
	else
		snprintf(buf, size, "%.1f%c", n, units[unit]);
	return buf;
}

const char *duration_text(long long seconds, char *buf, size_t size)
{
	static const struct {
		long long seconds;
		char unit;
	} units[] = {{24LL * 3600, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};

	for (size_t i = 0; i < 3; i++) {
		long long n = seconds / units[i].seconds;

		if (n == 0)
			continue;
		snprintf(buf, size, "%lld%c%lld%c", n, units[i].unit,
			seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].unit);
		return buf;
	}
	snprintf(buf, size, "%llds", seconds);
	return buf;
}

const char *since_text(long long seconds, char *buf, size_t size)
{
	time_t then = time(NULL) - (time_t)seconds;
	struct tm tm;

	strftime(buf, size, "%Y-%m-%d %H:%M:%S", localtime_r(&then, &tm));
	return buf;
}

const char *since_utc(long long seconds, char *buf, size_t size)
{
	time_t then = time(NULL) - (time_t)seconds;
	struct tm tm;

	strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
	return buf;
}

int terminal_columns(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 1 << 20;
}
