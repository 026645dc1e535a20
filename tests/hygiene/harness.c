/*
 * A program with PAM sessions, told step by step what to do: harness STEP... Each step that calls PAM prints
 * its result; "snap" and "compare=LABEL" print what has changed of the process in between, state.h.
 */
#define _GNU_SOURCE
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 4, THREADS = 16 };

static pam_handle_t *handles[SLOTS];
static const char *users[SLOTS];
static __thread int slot, last_result = PAM_SUCCESS;
static const char *service = "sshd";
static struct state *kept;
static pthread_t background[THREADS];
static int n_background;
static atomic_bool stopping;
static volatile sig_atomic_t children_heard_of;
static atomic_int children_waited_for;
/* Nobody forks while a thread allocates: the C library's own allocator has handlers for that,
 * AddressSanitizer's of gcc 12 has none, and stays locked in the child. What the module itself starts does
 * not ask for this lock. */
static pthread_rwlock_t allocating = PTHREAD_RWLOCK_INITIALIZER;

static char **run(char **at);

/* ------------------------------------------------------------------ PAM */

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *data)
{
	(void)data;
	for (int i = 0; i < n; i++)
		printf("told %s\n", messages[i]->msg);
	*ret = calloc((size_t)n, sizeof(**ret));
	return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int converse_not(int n, const struct pam_message **messages, struct pam_response **ret, void *data)
{
	(void)n, (void)messages, (void)ret, (void)data;
	return PAM_CONV_ERR;
}

static void result(const char *what, int r)
{
	last_result = r;
	printf("%s %d\n", what, r);
}

static void start(bool hears)
{
	const struct pam_conv conv = {.conv = hears ? converse : converse_not};

	result("start", pam_start(service, users[slot], &conv, &handles[slot]));
}

static void end(int flags)
{
	int r = pam_end(handles[slot], last_result | flags);

	handles[slot] = NULL;
	result("end", r);
}

/* A refusal is the end, as it is for any service. */
static void or_end(void)
{
	if (last_result == PAM_SUCCESS)
		return;
	end(0);
	fflush(NULL);
	_exit(1);
}

static const struct passwd *user_of_slot(void)
{
	const struct passwd *pw = getpwnam(users[slot]);

	if (!pw)
		abort();
	return pw;
}

/* As sshd does it: real, effective and saved ids, with a look whether there is a way back. */
static void drop(void)
{
	const struct passwd *pw = user_of_slot();
	uid_t uid = pw->pw_uid;

	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 || setresuid(uid, uid, uid) < 0)
		printf("drop refused: %s\n", strerror(errno));
	else
		printf("drop %d\n", setuid(0) == 0 ? -1 : 0);
}

static void execute(const char *command)
{
	char **env = pam_getenvlist(handles[slot]);

	fflush(NULL);
	execle("/bin/sh", "sh", "-c", command, NULL, env);
	printf("execute: %s\n", strerror(errno));
	fflush(NULL);
	_exit(127);
}

/* ------------------------------------------------------------------ blocks */

static char **skip(char **at)
{
	for (int depth = 1; *at && depth > 0; at++) {
		if (strcmp(*at, "fork") == 0 || strcmp(*at, "thread") == 0 || strcmp(*at, "threads") == 0 ||
			strncmp(*at, "repeat=", 7) == 0)
			depth++;
		else if (strcmp(*at, "done") == 0)
			depth--;
	}
	return at;
}

static char **in_child(char **at)
{
	int status;

	fflush(NULL);
	pthread_rwlock_wrlock(&allocating);
	pid_t pid = fork();
	if (pid == 0) {
		/* Those who wait for it are not here. */
		allocating = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
		run(at);
		fflush(NULL);
		_exit(0);
	}
	pthread_rwlock_unlock(&allocating);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			abort();
	if (WIFEXITED(status))
		printf("child %d\n", WEXITSTATUS(status));
	else
		printf("child killed by %d\n", WTERMSIG(status));
	return skip(at);
}

struct thread {
	pthread_t id;
	int slot;
	char **at;
};

static void *thread_steps(void *data)
{
	const struct thread *t = data;

	slot = t->slot;
	run(t->at);
	return NULL;
}

static char **in_threads(char **at, int first, int n)
{
	struct thread threads[SLOTS];

	for (int i = 0; i < n; i++) {
		threads[i] = (struct thread){.slot = first + i, .at = at};
		if (pthread_create(&threads[i].id, NULL, thread_steps, &threads[i]) != 0)
			abort();
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i].id, NULL);
	return skip(at);
}

static char **repeatedly(char **at, int n)
{
	for (int i = 0; i < n; i++)
		run(at);
	return skip(at);
}

/* ------------------------------------------------------------------ the process itself */

/* What the other threads of a program do: hold the C library's locks now and then. */
static void *work(void *unused)
{
	(void)unused;
	while (!stopping) {
		char *piece[16];

		pthread_rwlock_rdlock(&allocating);
		for (size_t i = 0; i < 16; i++)
			piece[i] = malloc(64 + i * 1000);
		for (size_t i = 0; i < 16; i++)
			free(piece[i]);
		pthread_rwlock_unlock(&allocating);
		usleep(100);
	}
	return NULL;
}

/* Takes every child of the process that ends. */
static void *wait_for_any(void *unused)
{
	(void)unused;
	while (!stopping)
		if (waitpid(-1, NULL, 0) > 0)
			children_waited_for++;
		else
			usleep(50);
	return NULL;
}

static void add_thread(void *(*what)(void *))
{
	if (n_background == THREADS || pthread_create(&background[n_background++], NULL, what, NULL) != 0)
		abort();
}

static void set_threads(int n)
{
	stopping = true;
	for (; n_background > 0; n_background--)
		pthread_join(background[n_background - 1], NULL);
	stopping = false;
	while (n_background < n)
		add_thread(work);
}

static void on_signal(int sig)
{
	children_heard_of += sig == SIGCHLD;
}

/* Nothing as it is by default: what the module sets back to a default is seen. */
static void be_strange(void)
{
	struct itimerval timer = {.it_value.tv_sec = 1000};
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct rlimit limit = {.rlim_cur = 777, .rlim_max = 888};
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	timer_t unused;
	sigset_t set;

	for (int sig = SIGUSR1; sig < SIGRTMAX; sig++)
		if (sig != SIGSTOP && sig != SIGKILL && sig != SIGSEGV)
			sigaction(sig, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	kill(getpid(), SIGRTMIN + 3);
	setrlimit(RLIMIT_NOFILE, &limit);
	setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = 8192});
	setitimer(ITIMER_REAL, &timer, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &unused);
	umask(0137);
	setenv("LD_LIBRARY_PATH", "/nowhere", 1);
	setenv("STRANGE", "yes", 1);
	setlocale(LC_ALL, "C.UTF-8");
	setpriority(PRIO_PROCESS, 0, 3);
	prctl(PR_SET_TIMERSLACK, 77777);
	prctl(PR_SET_NAME, "strange");
	open("/etc/passwd", O_RDONLY);
	dup2(open("/", O_PATH | O_CLOEXEC), 700);
	if (chdir("/var/tmp") < 0)
		abort();
}

static void forget_state(void)
{
	if (kept)
		state_free(kept);
	kept = NULL;
}

static void compare(const char *label)
{
	struct state *now = state_take();

	state_compare(kept, now, label);
	printf("%s compared\n", label);
	state_free(now);
}

/* What a tool that looks for errors has to find. */
static void spoil(void)
{
	char *volatile lost = malloc(100);

	if (lost[7] == 'x')
		puts("x");
	lost = NULL;
}

static void block_children_s_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* ------------------------------------------------------------------ steps */

static const char *value(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static bool step_with_value(const char *word)
{
	const char *v;

	if ((v = value(word, "user")))
		users[slot] = v;
	else if ((v = value(word, "slot")))
		slot = atoi(v);
	else if ((v = value(word, "service")))
		service = v;
	else if ((v = value(word, "threads")))
		set_threads(atoi(v));
	else if ((v = value(word, "compare")))
		compare(v);
	else if ((v = value(word, "exec")))
		execute(v);
	else if ((v = value(word, "log")))
		syslog(LOG_INFO, "%s", v);
	else if ((v = value(word, "rename")))
		result("rename", pam_set_item(handles[slot], PAM_USER, v));
	else if ((v = value(word, "chdir")))
		printf("chdir %d\n", chdir(v));
	else if ((v = value(word, "chroot")))
		printf("chroot %d\n", chroot(v));
	else if ((v = value(word, "rmdir")))
		printf("rmdir %d\n", rmdir(v));
	else if ((v = value(word, "say")))
		printf("%s\n", v);
	else
		return false;
	return true;
}

static bool pam_step(const char *word)
{
	pam_handle_t *pamh = handles[slot];

	if (strcmp(word, "start") == 0 || strcmp(word, "start-deaf") == 0)
		start(word[5] == '\0');
	else if (strcmp(word, "setcred") == 0)
		result(word, pam_setcred(pamh, PAM_ESTABLISH_CRED));
	else if (strcmp(word, "delcred") == 0)
		result(word, pam_setcred(pamh, PAM_DELETE_CRED | PAM_SILENT));
	else if (strcmp(word, "open") == 0)
		result(word, pam_open_session(pamh, 0));
	else if (strcmp(word, "open-silent") == 0)
		result(word, pam_open_session(pamh, PAM_SILENT));
	else if (strcmp(word, "close") == 0)
		result(word, pam_close_session(pamh, 0));
	else if (strcmp(word, "end") == 0)
		end(0);
	else if (strcmp(word, "or-end") == 0)
		or_end();
	else if (strcmp(word, "end-copy") == 0)
		end(PAM_DATA_SILENT);
	else
		return false;
	return true;
}

static void step(const char *word)
{
	if (step_with_value(word) || pam_step(word))
		return;
	if (strcmp(word, "groups") == 0)
		printf("groups %d\n", initgroups(users[slot], user_of_slot()->pw_gid));
	else if (strcmp(word, "drop") == 0)
		drop();
	else if (strcmp(word, "strange") == 0)
		be_strange();
	else if (strcmp(word, "block-chld") == 0)
		block_children_s_signal();
	else if (strcmp(word, "ignore-chld") == 0)
		signal(SIGCHLD, SIG_IGN);
	else if (strcmp(word, "heard") == 0)
		printf("heard of %d children\n", (int)children_heard_of);
	else if (strcmp(word, "spoil") == 0)
		spoil();
	else if (strcmp(word, "waiter") == 0)
		add_thread(wait_for_any);
	else if (strcmp(word, "waited") == 0)
		printf("waited for %d children\n", children_waited_for);
	else if (strcmp(word, "heap") == 0)
		printf("heap %zu\n", mallinfo2().uordblks);
	else if (strcmp(word, "snap") == 0)
		forget_state(), kept = state_take();
	else if (strcmp(word, "read") == 0)
		fflush(NULL), (void)getchar();
	else
		fprintf(stderr, "unknown step %s\n", word), exit(2);
}

static char **run(char **at)
{
	while (*at && strcmp(*at, "done") != 0) {
		const char *word = *at++;

		if (strcmp(word, "fork") == 0)
			at = in_child(at);
		else if (strcmp(word, "thread") == 0)
			at = in_threads(at, slot, 1);
		else if (strcmp(word, "threads") == 0) /* one for each slot, at the same time */
			at = in_threads(at, 0, SLOTS);
		else if (value(word, "repeat"))
			at = repeatedly(at, atoi(value(word, "repeat")));
		else
			step(word);
	}
	return *at ? at + 1 : at;
}

int main(int argc, char **argv)
{
	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* What any program has done by the time it opens a session: a log, and a look at the accounts. */
	openlog("hygiene", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
	syslog(LOG_DEBUG, "begins");
	for (int i = 0; i < SLOTS; i++)
		users[i] = "alice";
	if (!getpwnam("root") || !getpwnam("alice") || initgroups("root", 0) < 0 || !getgrnam("root"))
		abort();
	state_begin();
	run(argv + 1);
	set_threads(0);
	forget_state();
	return 0;
}
