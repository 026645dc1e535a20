/* When a container ends by itself: the policy's lifetime, idle and max_age. */
#include "../../libcore/base/cleanup.h"
#include "server_parts.h"

#include <signal.h>

enum { HANGUP_MS = 5000 }; /* between the hangup at max_age and the end */

static void grace_is_over(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	(void)fd;
	/* Whoever has connected meanwhile keeps the container: their request is only not read yet. */
	server_accept(server);
	for (struct session *s = server->sessions; s; s = s->next)
		if (s->leader < 0 && !s->waits)
			return loop_timer_set(loop, &server->end, 50, grace_is_over, server);
	if (server->counted == 0)
		server_end(server, "no session is left");
}

/*
 * With "linger", as long as there is no session. Nothing tells of the last process's end: its parent may be
 * pid 1, or outside, where sshd was. So this looks again and again, the less often the longer `idle` is.
 */
static void look_inside(struct loop *loop, int fd, void *data)
{
	struct server *server = data;
	long long now = loop_now(), idle = server->decision->idle * 1000LL, next = idle / 10;

	(void)fd;
	if (container_signal(server->c, 0) != 0)
		server->busy = now;
	long long left = server->busy + idle - now;
	if (left <= 0)
		return grace_is_over(loop, -1, server);
	next = next < 200 ? 200 : next > 5000 ? 5000 : next;
	loop_timer_set(loop, &server->end, left < next ? left : next, look_inside, server);
}

void server_counted_changed(struct server *server)
{
	if (!server->decision || server->hangup_end)
		return;
	if (server->counted > 0)
		return loop_timer_cancel(server->loop, &server->end);
	int lifetime = server->decision->lifetime;
	server->busy = loop_now();
	if (lifetime == NSI_LIFETIME_LINGER)
		loop_timer_set(server->loop, &server->end, 0, look_inside, server);
	else if (lifetime != NSI_LIFETIME_FOREVER)
		loop_timer_set(server->loop, &server->end, lifetime * 1000LL, grace_is_over, server);
}

static void await_hangup(struct loop *loop, int fd, void *data)
{
	struct server *server = data;

	(void)fd;
	if ((server->counted == 0 && container_signal(server->c, 0) == 0) || loop_now() >= server->hangup_end)
		server_end(server, "max_age is reached");
	else
		loop_timer_set(loop, &server->age, 100, await_hangup, server);
}

/*
 * max_age: hang up what runs, so that shells and editors can save, and end soon whatever is left. Without the
 * control socket a new login waits for this container's end and has the next one started.
 */
static void hang_up(struct loop *loop, int fd, void *data)
{
	struct server *server = data;
	struct session *s = server->sessions;

	server->hangup_end = loop_now() + HANGUP_MS;
	loop_timer_cancel(loop, &server->end);
	server_close(server, &server->c->listen);
	if (server->c->door >= 0) {
		loop_forget(loop, server->c->door);
		nsi_door_close(server->c->door_name, nsi_take_fd(&server->c->door));
	}
	while (s) {
		struct session *next = s->next;

		if (s->leader < 0 && !s->waits)
			session_end(s);
		s = next;
	}
	container_signal(server->c, SIGHUP);
	await_hangup(loop, fd, server);
}

void server_age_start(struct server *server)
{
	if (server->decision && server->decision->max_age > 0)
		loop_timer_set(
			server->loop, &server->age, server->decision->max_age * 1000LL, hang_up, server);
}
