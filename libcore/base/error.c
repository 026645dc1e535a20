#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text that came from a file or a user goes into logs and terminals: nothing but printable bytes may pass. */
static void make_printable(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static void copy_printable(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; src && src[i] && i + 1 < size; i++)
		dst[i] = src[i];
	dst[i] = '\0';
	make_printable(dst, size);
}

static int fill(struct nsi_error *err, int code, const char *step, const char *object, const char *hint,
	const char *cause)
{
	if (code <= 0)
		code = EIO;
	if (!err)
		return -code;
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->exit_status = NSI_EXIT_FAILED;
	copy_printable(err->step, sizeof(err->step), step);
	copy_printable(err->object, sizeof(err->object), object);
	copy_printable(err->cause, sizeof(err->cause), cause);
	copy_printable(err->hint, sizeof(err->hint), hint);
	return -code;
}

int nsi_fail(struct nsi_error *err, int code, const char *step, const char *object, const char *hint)
{
	/* strerrordesc_np() looks nothing up in a locale: it is safe inside a container. */
	const char *cause = strerrordesc_np(code);

	return fill(err, code, step, object, hint, cause ? cause : "unknown error");
}

int nsi_failf(struct nsi_error *err, int code, const char *step, const char *object, const char *hint,
	const char *cause, ...)
{
	char text[sizeof(err->cause)];
	va_list ap;

	va_start(ap, cause);
	vsnprintf(text, sizeof(text), cause, ap);
	va_end(ap);
	return fill(err, code, step, object, hint, text);
}

int nsi_fail_at(struct nsi_error *err, const char *file, int line, int column, const char *hint,
	const char *cause, ...)
{
	char text[sizeof(err->cause)], where[sizeof(err->object)];
	va_list ap;

	va_start(ap, cause);
	vsnprintf(text, sizeof(text), cause, ap);
	va_end(ap);
	if (line > 0 && column > 0)
		snprintf(where, sizeof(where), "%s:%d:%d", file, line, column);
	else if (line > 0)
		snprintf(where, sizeof(where), "%s:%d", file, line);
	else
		snprintf(where, sizeof(where), "%s", file);
	int r = fill(err, EINVAL, "reading", where, hint, text);
	if (err) {
		err->line = line;
		err->column = column;
	}
	return r;
}

void nsi_error_key(struct nsi_error *err, const char *path, const char *key, int index)
{
	char text[sizeof(err->key)], entry[16] = "";

	if (!err)
		return;
	if (index >= 0)
		snprintf(entry, sizeof(entry), "[%d]", index);
	snprintf(text, sizeof(text), "%.60s%s%.48s%s", path, path[0] && key[0] ? "/" : "", key, entry);
	copy_printable(err->key, sizeof(err->key), text);
	for (char *p = err->key; *p && p < err->key + strnlen(path, 60) + 1; p++)
		if (*p == '/')
			*p = '.';
}

int nsi_error_accept(struct nsi_error *err)
{
	const struct {
		char *text;
		size_t size;
	} texts[] = {{err->reason, sizeof(err->reason)}, {err->step, sizeof(err->step)},
		{err->object, sizeof(err->object)}, {err->cause, sizeof(err->cause)},
		{err->hint, sizeof(err->hint)}, {err->key, sizeof(err->key)}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		make_printable(texts[i].text, texts[i].size);
	if (err->code <= 0 || err->code > NSI_MAX_ERRNO)
		err->code = EIO;
	if (err->exit_status != NSI_EXIT_NOT_EXECUTABLE && err->exit_status != NSI_EXIT_NOT_FOUND)
		err->exit_status = NSI_EXIT_FAILED;
	return -err->code;
}

int nsi_error_reason(struct nsi_error *err, const char *reason)
{
	if (!err)
		return -EIO;
	snprintf(err->reason, sizeof(err->reason), "%s", reason);
	return err->code > 0 ? -err->code : -EIO;
}

const char *nsi_error_text(const struct nsi_error *err, char *buf, size_t size)
{
	snprintf(buf, size, "%s %s: %s%s%s", err->step, err->object, err->cause, err->hint[0] ? "; " : "",
		err->hint);
	return buf;
}

const char *nsi_error_sentence(const struct nsi_error *err)
{
	if (strcmp(err->reason, "denied") == 0)
		return err->cause; /* the policy's own words */
	if (strcmp(err->reason, "sessions") == 0)
		return "You have too many sessions open: end one first.";
	if (strcmp(err->reason, "paused") == 0)
		return "Your container is paused by the administrator.";
	if (strcmp(err->reason, "record") == 0)
		return "Your session would have to be recorded, which is not possible here.";
	return "Your container could not be opened; the administrator finds the reason in the log.";
}
