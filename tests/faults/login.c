/*
 * A PAM application that logs a user in by the calls of sshd's monitor and its child, without the network and
 * the cryptography: login [-s SERVICE] USER COMMAND
 *
 *     -s SERVICE  another service than sshd; for "su", a child that gets nothing but the uid, as su(1) has it
 *
 * Ends with the command's status; 254 as sshd when the session is refused; 99 with a word on standard error
 * when something is not as it was before: descriptors, mount namespace, capabilities, children.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

enum { FATAL = 255, NO_SESSION = 254, NOT_AS_BEFORE = 99 };

static void fatal(const char *what)
{
	perror(what);
	_exit(FATAL);
}

/* ------------------------------------------------------------------ what has to stay as it was */

struct own {
	int n_fds;
	ino_t mounts;
	char capabilities[32]; /* CapEff of proc(5) */
	mode_t umask;
};

static void look_at_self(struct own *own)
{
	struct stat st;
	char line[256];
	DIR *dir = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/status", "re");

	*own = (struct own){0};
	while (dir && readdir(dir))
		own->n_fds++;
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "CapEff: %31s", own->capabilities);
	if (!dir || !f || stat("/proc/self/ns/mnt", &st) < 0)
		fatal("/proc/self");
	own->mounts = st.st_ino;
	own->umask = umask(0);
	umask(own->umask);
	fclose(f);
	closedir(dir);
}

static bool is_as_before(const struct own *before)
{
	struct own now;
	bool same = true;

	look_at_self(&now);
	if (now.n_fds > before->n_fds)
		same = fprintf(stderr, "login: %d descriptors more\n", now.n_fds - before->n_fds) < 0;
	if (now.mounts != before->mounts)
		same = fputs("login: another mount namespace\n", stderr) < 0;
	if (strcmp(now.capabilities, before->capabilities) != 0)
		same = fputs("login: other capabilities\n", stderr) < 0;
	if (now.umask != before->umask)
		same = fputs("login: another umask\n", stderr) < 0;
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		same = fputs("login: a child is left\n", stderr) < 0;
	return same;
}

/* ------------------------------------------------------------------ the login */

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *data)
{
	(void)data;
	*ret = calloc((size_t)n, sizeof(**ret));
	for (int i = 0; i < n; i++)
		fprintf(stderr, "%s\n", messages[i]->msg);
	return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* OpenSSH's permanently_set_uid(), uidswap.c: it makes sure that there is no way back. */
static void drop(const struct passwd *pw)
{
	gid_t old_gid = getgid();
	uid_t old_uid = getuid();

	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		fatal("setresgid");
	if (setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		fatal("setresuid");
	if (old_gid != pw->pw_gid && (setgid(old_gid) != -1 || setegid(old_gid) != -1))
		fatal("the old gid can be had again");
	if (getgid() != pw->pw_gid || getegid() != pw->pw_gid)
		fatal("another gid");
	if (setuid(old_uid) != -1 || seteuid(old_uid) != -1)
		fatal("the old uid can be had again");
	if (getuid() != pw->pw_uid || geteuid() != pw->pw_uid)
		fatal("another uid");
}

static int wait_for(pid_t pid)
{
	int status = 0;

	if (pid < 0)
		fatal("fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_command(pam_handle_t *pamh, const struct passwd *pw, const char *command)
{
	char **env = pam_getenvlist(pamh);
	pid_t pid = fork();

	if (pid != 0)
		return wait_for(pid);
	(void)!chdir(pw->pw_dir);
	execle(pw->pw_shell, pw->pw_shell, "-c", command, NULL, env);
	fatal(pw->pw_shell);
	return FATAL;
}

/* sshd's second process, privsep_postauth() and do_setusercontext(): it becomes the user, and starts shells.
 */
static int run_as_user(pam_handle_t *pamh, const struct passwd *pw, bool split, const char *command)
{
	pid_t pid = fork();

	if (pid != 0)
		return wait_for(pid);
	if (split && (setgid(pw->pw_gid) < 0 || initgroups(pw->pw_name, pw->pw_gid) < 0))
		fatal("initgroups");
	if (split)
		pam_setcred(pamh, PAM_REINITIALIZE_CRED); /* its result counts for passwords alone */
	drop(pw);
	_exit(run_command(pamh, pw, command));
}

static int log_in(const char *service, const struct passwd *pw, const char *command, bool *ret_same)
{
	const struct pam_conv conv = {.conv = converse};
	bool split = strcmp(service, "su") != 0;
	pam_handle_t *pamh;
	struct own before;
	int status = NO_SESSION;

	/* Before the descriptors are counted: libpam opens it when it is needed, and keeps it. */
	openlog("login", LOG_NDELAY | LOG_PID, LOG_AUTHPRIV);
	if (pam_start(service, pw->pw_name, &conv, &pamh) != PAM_SUCCESS)
		fatal("pam_start");
	if (!split && initgroups(pw->pw_name, pw->pw_gid) < 0)
		fatal("initgroups");
	pam_setcred(pamh, PAM_ESTABLISH_CRED);
	look_at_self(&before);
	int opened = pam_open_session(pamh, 0);
	if (opened == PAM_SUCCESS) {
		status = run_as_user(pamh, pw, split, command);
		pam_close_session(pamh, 0);
		pam_setcred(pamh, PAM_DELETE_CRED);
	}
	/* Who has entered the container itself stays there. */
	bool stays = !split && status != NO_SESSION;
	/* Where libpam or another module has refused after ours had opened, its end is all that ours is told.
	 */
	if (opened == PAM_SUCCESS)
		*ret_same = stays || is_as_before(&before);
	pam_end(pamh, 0);
	if (opened != PAM_SUCCESS)
		*ret_same = stays || is_as_before(&before);
	return status;
}

int main(int argc, char **argv)
{
	const char *service = "sshd";
	bool same;
	int c;

	while ((c = getopt(argc, argv, "+s:")) != -1)
		if (c == 's')
			service = optarg;
	const struct passwd *found = argc - optind == 2 ? getpwnam(argv[optind]) : NULL;
	if (!found)
		return FATAL;
	struct passwd pw = *found;
	pw.pw_name = strdup(found->pw_name);
	pw.pw_dir = strdup(found->pw_dir);
	pw.pw_shell = strdup(found->pw_shell);
	int status = log_in(service, &pw, argv[optind + 1], &same);
	return same ? status : NOT_AS_BEFORE;
}
