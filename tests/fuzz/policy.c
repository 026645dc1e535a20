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
	int r = nsi_policy_parse("nsinit.conf", text, size, &policy, &err);

	if (r < 0) {
		fuzz_check_error(r, &err);
	} else {
		r = nsi_policy_decide(policy, &user, &decision, &err);
		if (r < 0)
			fuzz_check_error(r, &err);
		else if (decision.verdict == NSI_CONTAINER)
			fuzz_check(decision.rootfs[0] == '/');
		nsi_policy_service(policy, "sshd");
		nsi_policy_free(policy);
	}
	free(text);
	return 0;
}
