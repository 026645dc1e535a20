/*
 * nsinitd: the broker for logins that come without PAM (dropbear, sshd with UsePAM no) through nsinit-shell.
 *
 * Connecting is the request, the kernel says who connects, the policy decides; nothing is read from the peer.
 * Each request is a process of its own with a deadline, so that none delays another. Containers and sessions
 * belong to their supervisors: nsinitd may be killed and started at any time.
 *
 * Started by systemd (nsinitd.socket), or by hand: then it makes its socket itself.
 */
#include "../libcore/act/loop.h"
#include "../libcore/base/cleanup.h"
#include "../libcore/base/compat.h"
#include "../libcore/base/io.h"
#include "../libcore/base/log.h"
#include "../libcore/base/str.h"
#include "../libcore/whole/ensure.h"
#include "../libcore/whole/record.h"
#include "../libcore/whole/state.h"

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>

enum { MAX_WORKERS = 128, MAX_PER_USER = 16, DEADLINE_S = 35, BATCH = 16, FROM_SYSTEMD = 3 };

struct broker {
	struct loop *loop;
	const char *policy;
	int listen;
	bool busy; /* said so in the log, since a worker last ended */
	struct {
		pid_t pid; /* 0: free */
		uid_t uid;
	} workers[MAX_WORKERS];
};

/* ------------------------------------------------------------------ one request, in its own process */

static int decide(const char *path, uid_t uid, struct nsi_login *who, struct nsi_error *err)
{
	struct nsi_policy *policy = NULL;
	struct passwd pw, *found = NULL;
	char buf[16384];
	int r = nsi_policy_load(path, &policy, err);

	if (r == 0 && (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) != 0 || !found)) {
		nsi_failf(err, ENOENT, "looking up", "the caller", NULL, "uid %u has no name", (unsigned)uid);
		r = nsi_error_reason(err, "user");
	}
	if (r == 0)
		r = nsi_policy_user(policy, pw.pw_name, &who->user, err);
	if (r == 0)
		r = nsi_policy_decide(policy, &who->user, &who->decision, err);
	nsi_policy_free(policy);
	if (r < 0 || who->decision.verdict == NSI_CONTAINER)
		return r;
	if (who->decision.verdict == NSI_DENY) {
		nsi_failf(err, EACCES, "admitting", who->user.name, NULL, "%s", who->decision.text);
		return nsi_error_reason(err, "denied");
	}
	nsi_failf(err, EACCES, "admitting", who->user.name, "give the user a rule, or another shell",
		"the policy leaves this user on the host, where nsinit-shell is no shell");
	return nsi_error_reason(err, "policy");
}

/* Adds the terminal to the answer: its master, and next to it the other end. */
static int record(
	const struct nsi_login *who, int leader, struct nsi_reply *reply, int fds[], struct nsi_error *err)
{
	static const struct nsi_origin origin = {.service = "nsinit-shell"};
	int pair[NSI_MAX_FDS];
	int r = nsi_record_pair(who, &origin, NULL, true, leader, reply, fds[NSI_FD_DEVPTS], pair, err);

	if (r < 0)
		return r;
	reply->terminal = NSI_FD_DEVPTS + 1;
	fds[NSI_FD_DEVPTS + 1] = pair[0];
	fds[NSI_FD_DEVPTS + 2] = pair[1];
	return 0;
}

static int open_session(const char *policy, int client, struct nsi_reply *reply, struct nsi_error *err)
{
	struct nsi_question q = {.ask = NSI_ASK_SHELL, .leader = -1};
	cleanup_free struct nsi_login *who = calloc(1, sizeof(*who));
	cleanup_fd int leader = -1, sock = -1;
	int fds[NSI_MAX_FDS];

	if (!who)
		return nsi_fail(err, ENOMEM, "opening", "a session", NULL);
	int r = nsi_door_peer(client, &q.uid, &leader, err);
	if (r == 0)
		r = decide(policy, q.uid, who, err);
	q.leader = leader;
	q.recorded = who->decision.recording.tty;
	if (r == 0)
		r = nsi_ensure(who, &q, &sock, reply, fds, err);
	if (r == 0 && who->decision.recording.tty)
		r = record(who, leader, reply, fds, err);
	if (r < 0)
		return r;
	/* The session stays with the peer, whose pidfd the supervisor has; our connection ends here. */
	r = nsi_send(client, reply, NSI_REPLY_HEAD + reply->env_len, fds, reply->terminal ? 4 : 2);
	nsi_log("nsinitd", LOG_INFO, "user=%s rule=%d rootfs=%s session opened", who->user.name,
		who->decision.line, who->decision.rootfs);
	return r < 0 ? nsi_fail(err, -r, "answering", who->user.name, NULL) : 0;
}

static void log_refusal(uid_t uid, const struct nsi_error *err)
{
	char text[2048];

	nsi_log("nsinitd", LOG_ERR, "reason=%s uid=%u refused: %s", err->reason[0] ? err->reason : "internal",
		(unsigned)uid, nsi_error_text(err, text, sizeof(text)));
}

/* The peer learns that it is refused; why, the log says, but for what users are told: the chain names paths.
 */
static void refuse(int client, uid_t uid, const struct nsi_error *err)
{
	struct nsi_error shown = {0};

	log_refusal(uid, err);
	bool denied = strcmp(err->reason, "denied") == 0;
	bool told = denied || strcmp(err->reason, "sessions") == 0 || strcmp(err->reason, "paused") == 0;
	nsi_failf(&shown, EACCES, "opening", "your container", NULL, "%s",
		denied ? err->cause : "nsinitd refused; its log says why");
	nsi_error_reason(&shown, told ? err->reason : "nsinitd");
	nsi_control_refuse(client, &shown);
}

_Noreturn static void work(const char *policy, int client, uid_t uid)
{
	static struct nsi_reply reply;
	struct nsi_error err = {0};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(DEADLINE_S); /* whatever hangs (a name service, a file system) ends with this process */
	int r = open_session(policy, client, &reply, &err);
	if (r < 0)
		refuse(client, uid, &err);
	_exit(r < 0 ? 1 : 0);
}

/* ------------------------------------------------------------------ the broker */

static void reap(struct loop *loop, int fd, void *data)
{
	struct broker *b = data;
	struct signalfd_siginfo info;
	pid_t pid;

	if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) && info.ssi_signo != SIGCHLD)
		return loop_stop(loop);
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_WORKERS; i++) {
			if (b->workers[i].pid == pid) {
				b->workers[i].pid = 0;
				b->busy = false;
			}
		}
	}
}

static int find_place(const struct broker *b, uid_t uid)
{
	int place = -1, same = 0;

	for (int i = 0; i < MAX_WORKERS; i++) {
		if (b->workers[i].pid == 0)
			place = i;
		else
			same += b->workers[i].uid == uid;
	}
	return same < MAX_PER_USER ? place : -1;
}

/* Anybody may connect as often as they like: that is no way to fill the log, or to wait for it. */
static void refuse_busy(struct broker *b, int client, uid_t uid)
{
	struct nsi_error busy = {0};

	nsi_failf(&busy, EAGAIN, "opening", "a session", NULL, "too many requests wait");
	nsi_error_reason(&busy, "busy");
	if (!b->busy)
		log_refusal(uid, &busy);
	b->busy = true;
	nsi_control_refuse(client, &busy);
}

static void serve(struct broker *b, int client)
{
	struct nsi_error err = {0};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	int place = find_place(b, peer.uid);
	if (place < 0)
		return refuse_busy(b, client, peer.uid);
	pid_t pid = fork();
	if (pid == 0)
		work(b->policy, client, peer.uid);
	if (pid < 0) {
		nsi_fail(&err, errno, "forking", "a worker", NULL);
		return refuse(client, peer.uid, &err);
	}
	b->workers[place].pid = pid;
	b->workers[place].uid = peer.uid;
}

static void accept_waiting(struct loop *loop, int fd, void *data)
{
	int client;

	(void)loop;
	/* A few at a time: under a flood, too, workers must be reaped. */
	for (int i = 0; i < BATCH && (client = loop_accept(fd)) >= 0; i++) {
		serve(data, client);
		close(client);
	}
}

/* sd_listen_fds(3), without its library: one socket, as descriptor 3, meant for this very process. */
static int systemd_socket(char *const *env)
{
	unsigned long long pid = 0, n = 0;

	for (; *env; env++) {
		if (strncmp(*env, "LISTEN_PID=", 11) == 0)
			nsi_parse_number(*env + 11, 1, INT32_MAX, &pid);
		if (strncmp(*env, "LISTEN_FDS=", 11) == 0)
			nsi_parse_number(*env + 11, 1, 1, &n);
	}
	if (n != 1 || pid != (unsigned long long)getpid())
		return -1;
	fcntl(FROM_SYSTEMD, F_SETFD, FD_CLOEXEC);
	fcntl(FROM_SYSTEMD, F_SETFL, O_NONBLOCK);
	return FROM_SYSTEMD;
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int fail(const struct nsi_error *err)
{
	char text[2048];

	fprintf(stderr, "nsinitd: %s\n", nsi_error_text(err, text, sizeof(text)));
	return NSI_EXIT_FAILED;
}

static int run(struct broker *b, bool by_hand)
{
	struct nsi_error err = {0};
	int signals = watch_signals();

	b->loop = loop_new();
	if (!b->loop || signals < 0 || !loop_watch(b->loop, signals, POLLIN, reap, b) ||
		!loop_watch(b->loop, b->listen, POLLIN, accept_waiting, b)) {
		nsi_fail(&err, ENOMEM, "starting", "nsinitd", NULL);
		return fail(&err);
	}
	loop_run(b->loop);
	if (by_hand)
		nsi_door_close(NSI_BROKER, b->listen);
	loop_free(b->loop);
	return 0;
}

int main(int argc, char **argv, char **env)
{
	static struct broker b = {.policy = NSINIT_POLICY, .listen = -1};
	struct nsi_error err = {0};

	if (argc == 3 && strcmp(argv[1], "--policy") == 0) {
		b.policy = argv[2];
	} else if (argc != 1) {
		fputs("usage: nsinitd [--policy FILE]\n", stderr);
		return NSI_EXIT_FAILED;
	}
	if (geteuid() != 0) {
		nsi_failf(&err, EPERM, "starting", "nsinitd", "run it as root", "it makes namespaces");
		return fail(&err);
	}
	openlog("nsinitd", LOG_PID, LOG_AUTHPRIV);
	b.listen = systemd_socket(env);
	bool by_hand = b.listen < 0;
	int r = nsi_run_dir(&err);
	if (r == 0 && by_hand)
		r = nsi_door_open(NSI_BROKER, 0, 0666, &b.listen, &err);
	return r < 0 ? fail(&err) : run(&b, by_hand);
}
