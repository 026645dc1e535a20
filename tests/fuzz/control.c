/*
 * What nsinit-shell, `nsinit exec` and the PAM module take from a socket that says it is the supervisor's.
 * The first byte says how many descriptors come with it, and whether it comes over a socket at all or as
 * bytes that have come; the next two how long the environment is; then patches onto an answer in order,
 * {offset, length, bytes}, and the environment's bytes.
 */
#include "fuzz.h"

#include "../../libcore/base/io.h"
#include "../../libcore/whole/control.h"

#include <sys/socket.h>

static size_t make(struct fuzz_input *in, struct nsi_reply *reply)
{
	unsigned env = fuzz_word(in) % (NSI_ENV_BYTES + 1), patches = fuzz_byte(in) % 8;

	memset(reply, 0, NSI_REPLY_HEAD);
	memset(reply->env, 'x', env); /* one long entry, until the input has its say */
	if (env)
		reply->env[env - 1] = '\0';
	reply->magic = NSI_CONTROL_MAGIC;
	reply->env_len = env;
	nsi_failf(&reply->err, EBUSY, "opening", "a session", "wait", "too many are open");
	reply->confine.working_dir[0] = '/';
	for (unsigned i = 0; i < patches && in->left; i++) {
		size_t at = fuzz_word(in) % NSI_REPLY_HEAD, len = fuzz_byte(in);

		fuzz_block(in, (uint8_t *)reply + at, len > NSI_REPLY_HEAD - at ? NSI_REPLY_HEAD - at : len);
	}
	fuzz_block(in, reply->env, env);
	return NSI_REPLY_HEAD + env;
}

/* What the programs do with it next. */
static void use(struct nsi_reply *reply)
{
	const struct nsi_confinement *c = &reply->confine;
	char **list = nsi_reply_environment(reply);

	fuzz_check(reply->env_len <= NSI_ENV_BYTES && list);
	for (size_t i = 0; list[i]; i++)
		fuzz_check(list[i] + strlen(list[i]) < reply->env + NSI_ENV_BYTES);
	free(list);
	fuzz_check(c->n_groups >= 0 && c->n_groups <= NSI_MAX_GROUPS);
	fuzz_check(c->limits.n >= 0 && c->limits.n <= NSI_MAX_RLIMITS);
	fuzz_check(c->filter.n[0] + c->filter.n[1] + c->filter.n[2] <= NSI_FILTER_MAX);
	fuzz_check(memchr(c->working_dir, 0, sizeof(c->working_dir)) != NULL);
	fuzz_check(memchr(reply->id, 0, sizeof(reply->id)) && reply->terminal < NSI_MAX_FDS - 1);
}

static void check(int r, struct nsi_reply *reply, const struct nsi_error *err)
{
	fuzz_check(r <= 0);
	if (r == 0)
		use(reply);
	else /* what has failed for who answers does not read as its end */
		fuzz_check_error(r == -EREMOTEIO && nsi_supervisor_gone(-err->code) ? -err->code : r, err);
}

static void over_a_socket(const struct nsi_reply *sent, size_t len, unsigned n_fds)
{
	static struct nsi_reply got;
	const int some[NSI_MAX_FDS] = {2, 2, 2, 2, 2, 2, 2, 2};
	uint64_t before = fuzz_open_fds();
	struct nsi_error err = {0};
	int pair[2], fds[NSI_MAX_FDS];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	memset(&got, 'x', sizeof(got));
	nsi_send(pair[1], sent, len, some, (int)n_fds);
	close(pair[1]);
	int r = nsi_control_answer(pair[0], 0, &got, fds, &err);
	check(r, &got, &err);
	for (int i = 0; r == 0 && i < NSI_MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	close(pair[0]);
	fuzz_check(fuzz_open_fds() == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nsi_reply sent;
	struct fuzz_input in = {data, size};
	unsigned how = fuzz_byte(&in);
	struct nsi_error err = {0};
	size_t len = make(&in, &sent);

	if (how & 16)
		len = fuzz_word(&in) % sizeof(sent);
	if (how >= 224)
		over_a_socket(&sent, len, how % (NSI_MAX_FDS + 1));
	check(nsi_reply_check(&sent, (ssize_t)len, &err), &sent, &err);
	return 0;
}
