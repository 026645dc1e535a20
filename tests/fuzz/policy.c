/* The policy file, and what it decides for a user. */
#include "fuzz.h"

#include "../../libcore/parse/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nsi_user user = {
		.name = "alice", .uid = 1000, .gid = 1000, .home = "/home/alice", .shell = "/bin/sh"};
	char *text = fuzz_text(data, size);
	struct nsi_policy *policy;
	struct nsi_decision decision;
	struct nsi_error err = {0};

	if (nsi_policy_parse("nsinit.conf", text, size, &policy, &err) == 0) {
		if (nsi_policy_decide(policy, &user, &decision, &err) < 0 && err.code <= 0)
			abort();
		nsi_policy_service(policy, "sshd");
		nsi_policy_free(policy);
	} else if (err.code <= 0 || !err.cause[0]) {
		abort();
	}
	free(text);
	return 0;
}
