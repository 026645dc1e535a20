/* What of container.json's network the policy lets pass. */
#ifndef NSINIT_DECIDE_NETWORK_H
#define NSINIT_DECIDE_NETWORK_H

#include "../parse/spec.h"

/*
 * For containers that root starts. Refuse what a login may not have (`login`; root's own `nsinit exec` may
 * have any but what is for ordinary users), and fill in what
 * the policy knows of the bridges: their settings, gateways for leased addresses, name servers (unless
 * `own_dns`: they come from elsewhere).
 */
int nsi_network_decide(struct nsi_spec *spec, const struct nsi_network_policy *policy, bool login,
	bool own_dns, struct nsi_error *err);

/* resolv.conf(5) in `buf`; false when there are no name servers to put into it. */
bool nsi_resolv_conf(const struct nsi_nameservers *ns, char *buf, size_t size);

#endif
