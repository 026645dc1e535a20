#include "log.h"

#include "cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

enum { DATAGRAM_BYTES = 8192 };

struct fields {
	char text[DATAGRAM_BYTES];
	size_t used;
	bool full;
};

/* A line end would be the end of the field. */
static void add_byte(struct fields *f, char c)
{
	if (f->used == sizeof(f->text))
		f->full = true;
	else
		f->text[f->used++] = c;
}

static void add_text(struct fields *f, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			add_byte(f, ' ');
		else
			add_byte(f, text[i]);
}

static void add(struct fields *f, const char *name, const char *value)
{
	add_text(f, name, strlen(name));
	add_byte(f, '=');
	add_text(f, value, strlen(value));
	add_byte(f, '\n');
}

static void add_number(struct fields *f, const char *name, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	add(f, name, text);
}

/* The length of a name before '='; 0: there is none. */
static size_t name_length(const char *word)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz_");

	return word[n] == '=' ? n : 0;
}

static void add_words(struct fields *f, const char *message)
{
	size_t len, name;

	for (; (name = name_length(message)) > 0; message += len + (message[len] == ' ')) {
		len = strcspn(message, " \n");
		add_text(f, "NSINIT_", strlen("NSINIT_"));
		for (size_t i = 0; i < name; i++)
			add_byte(f, (char)(message[i] == '_' ? '_' : message[i] - 'a' + 'A'));
		add_text(f, message + name, len - name);
		add_byte(f, '\n');
	}
}

bool nsi_journal(const char *identifier, int priority, const char *prefix, const char *message)
{
	static const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct fields f = {.used = 0};

	if (fd < 0)
		return false;
	add_number(&f, "PRIORITY", LOG_PRI(priority));
	add_number(&f, "SYSLOG_FACILITY", LOG_FAC(LOG_AUTHPRIV));
	add_number(&f, "SYSLOG_PID", (int)getpid());
	add(&f, "SYSLOG_IDENTIFIER", identifier);
	add_words(&f, message);
	add_text(&f, "MESSAGE=", strlen("MESSAGE="));
	if (prefix)
		add_text(&f, prefix, strlen(prefix));
	add_text(&f, message, strlen(message));
	add_byte(&f, '\n');
	return !f.full && sendto(fd, f.text, f.used, MSG_DONTWAIT | MSG_NOSIGNAL,
				  (const struct sockaddr *)&address, sizeof(address)) == (ssize_t)f.used;
}

void nsi_log(const char *identifier, int priority, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!nsi_journal(identifier, priority, NULL, text))
		syslog(LOG_AUTHPRIV | priority, "%s", text);
}
