/*
 * nftables by netlink: two chains a bridge in a table of our own, written anew in one transaction, so that it
 * does not matter who does it and how often. What it amounts to:
 *
 *     table inet nsinit {
 *         chain nsbr0-forward {
 *             type filter hook forward priority filter;
 *             iifname "nsbr0" oifname "nsbr0" drop                            # isolate
 *             iifname != "nsbr0" oifname "nsbr0" ct state & (established|related) == 0
 *                 ct status & dnat == 0 drop                                  # nat: nobody calls in
 *         }
 *         chain nsbr0-nat {
 *             type nat hook postrouting priority srcnat;
 *             oifname != "nsbr0" ip saddr 10.77.0.0/24 masquerade             # nat
 *         }
 *     }
 */
#include "bridge.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { BATCH_BYTES = 8192, PRIORITY_FILTER = 0, PRIORITY_SRCNAT = 100 };

static const char table[] = "nsinit";

struct batch {
	char buf[BATCH_BYTES] __attribute__((aligned(8)));
	size_t used;
	int acks;
	const char *bridge;
};

/* ------------------------------------------------------------------ messages */

static struct nlmsghdr *message(struct batch *b, unsigned type, unsigned flags, unsigned family, unsigned res)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(b->buf + b->used);
	struct nfgenmsg *g;

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = (uint8_t)family;
	g->version = NFNETLINK_V0;
	g->res_id = htons((uint16_t)res);
	return h;
}

static void end_message(struct batch *b, const struct nlmsghdr *h)
{
	b->used += MNL_ALIGN(h->nlmsg_len);
	b->acks += (h->nlmsg_flags & NLM_F_ACK) != 0;
}

static void frame(struct batch *b, unsigned type)
{
	end_message(b, message(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static struct nlmsghdr *command(struct batch *b, unsigned type, unsigned flags)
{
	return message(b, (NFNL_SUBSYS_NFTABLES << 8) | type, NLM_F_ACK | flags, NFPROTO_INET, 0);
}

static void put_number(struct nlmsghdr *h, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(h, type, htonl(value));
}

static void put_chain_name(struct nlmsghdr *h, uint16_t type, const struct batch *b, const char *what)
{
	char name[IFNAMSIZ + 16];

	snprintf(name, sizeof(name), "%s-%s", b->bridge, what);
	mnl_attr_put_strz(h, type, name);
}

static void add_table(struct batch *b)
{
	struct nlmsghdr *h = command(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	end_message(b, h);
}

static void add_chain(struct batch *b, const char *what, const char *type, unsigned hook, uint32_t priority)
{
	struct nlmsghdr *h = command(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, table);
	put_chain_name(h, NFTA_CHAIN_NAME, b, what);
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, type);
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	put_number(h, NFTA_HOOK_HOOKNUM, hook);
	put_number(h, NFTA_HOOK_PRIORITY, priority);
	mnl_attr_nest_end(h, nest);
	end_message(b, h);
}

static void flush_chain(struct batch *b, const char *what)
{
	struct nlmsghdr *h = command(b, NFT_MSG_DELRULE, 0);

	mnl_attr_put_strz(h, NFTA_RULE_TABLE, table);
	put_chain_name(h, NFTA_RULE_CHAIN, b, what);
	end_message(b, h);
}

static void delete_chain(struct batch *b, const char *what)
{
	struct nlmsghdr *h;

	flush_chain(b, what);
	h = command(b, NFT_MSG_DELCHAIN, 0);
	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, table);
	put_chain_name(h, NFTA_CHAIN_NAME, b, what);
	end_message(b, h);
}

/* ------------------------------------------------------------------ expressions */

struct rule {
	struct nlmsghdr *h;
	struct nlattr *list;
};

static struct rule begin_rule(struct batch *b, const char *what)
{
	struct rule rule = {.h = command(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)};

	mnl_attr_put_strz(rule.h, NFTA_RULE_TABLE, table);
	put_chain_name(rule.h, NFTA_RULE_CHAIN, b, what);
	rule.list = mnl_attr_nest_start(rule.h, NFTA_RULE_EXPRESSIONS);
	return rule;
}

static void end_rule(struct batch *b, struct rule *rule)
{
	mnl_attr_nest_end(rule->h, rule->list);
	end_message(b, rule->h);
}

struct expression {
	struct nlattr *element, *data;
};

static struct expression begin(struct nlmsghdr *h, const char *name)
{
	struct expression e = {.element = mnl_attr_nest_start(h, NFTA_LIST_ELEM)};

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
	return e;
}

static void end(struct nlmsghdr *h, struct expression e)
{
	mnl_attr_nest_end(h, e.data);
	mnl_attr_nest_end(h, e.element);
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(h, nest);
}

static void compare(struct nlmsghdr *h, uint32_t op, const void *value, size_t size)
{
	struct expression e = begin(h, "cmp");

	put_number(h, NFTA_CMP_SREG, NFT_REG_1);
	put_number(h, NFTA_CMP_OP, op);
	put_value(h, NFTA_CMP_DATA, value, size);
	end(h, e);
}

static void mask(struct nlmsghdr *h, const void *bits, size_t size)
{
	static const uint8_t zero[16];
	struct expression e = begin(h, "bitwise");

	put_number(h, NFTA_BITWISE_SREG, NFT_REG_1);
	put_number(h, NFTA_BITWISE_DREG, NFT_REG_1);
	put_number(h, NFTA_BITWISE_LEN, (uint32_t)size);
	put_value(h, NFTA_BITWISE_MASK, bits, size);
	put_value(h, NFTA_BITWISE_XOR, zero, size);
	end(h, e);
}

static void load_meta(struct nlmsghdr *h, uint32_t key)
{
	struct expression e = begin(h, "meta");

	put_number(h, NFTA_META_KEY, key);
	put_number(h, NFTA_META_DREG, NFT_REG_1);
	end(h, e);
}

static void match_interface(struct nlmsghdr *h, uint32_t key, uint32_t op, const char *name)
{
	char padded[IFNAMSIZ] = "";

	snprintf(padded, sizeof(padded), "%s", name);
	load_meta(h, key);
	compare(h, op, padded, sizeof(padded));
}

/* None of `bits` of the connection's state or status. */
static void match_no_bit(struct nlmsghdr *h, uint32_t key, uint32_t bits)
{
	static const uint32_t none;
	struct expression e = begin(h, "ct");

	put_number(h, NFTA_CT_KEY, key);
	put_number(h, NFTA_CT_DREG, NFT_REG_1);
	end(h, e);
	mask(h, &bits, sizeof(bits));
	compare(h, NFT_CMP_EQ, &none, sizeof(none));
}

static void match_source(struct nlmsghdr *h, const struct nsi_address *net)
{
	uint8_t family = net->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
	size_t size = nsi_address_size(net);
	uint8_t bits[16] = {0}, base[16];

	for (unsigned i = 0; i < net->prefix; i++)
		bits[i / 8] = (uint8_t)(bits[i / 8] | 0x80 >> (i % 8));
	for (size_t i = 0; i < size; i++)
		base[i] = net->bytes[i] & bits[i];
	load_meta(h, NFT_META_NFPROTO);
	compare(h, NFT_CMP_EQ, &family, 1);
	struct expression e = begin(h, "payload");
	put_number(h, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_number(h, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_number(h, NFTA_PAYLOAD_OFFSET, net->family == AF_INET ? 12 : 8);
	put_number(h, NFTA_PAYLOAD_LEN, (uint32_t)size);
	end(h, e);
	mask(h, bits, size);
	compare(h, NFT_CMP_EQ, base, size);
}

static void drop(struct nlmsghdr *h)
{
	struct expression e = begin(h, "immediate");

	put_number(h, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	struct nlattr *data = mnl_attr_nest_start(h, NFTA_IMMEDIATE_DATA);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
	put_number(h, NFTA_VERDICT_CODE, NF_DROP);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, data);
	end(h, e);
}

/* ------------------------------------------------------------------ rules */

/* By the bridge's own address, too: isolated ports could otherwise talk through the host. */
static void isolate(struct batch *b)
{
	struct rule rule = begin_rule(b, "forward");

	match_interface(rule.h, NFT_META_IIFNAME, NFT_CMP_EQ, b->bridge);
	match_interface(rule.h, NFT_META_OIFNAME, NFT_CMP_EQ, b->bridge);
	drop(rule.h);
	end_rule(b, &rule);
}

static void let_nobody_in(struct batch *b)
{
	struct rule rule = begin_rule(b, "forward");

	match_interface(rule.h, NFT_META_IIFNAME, NFT_CMP_NEQ, b->bridge);
	match_interface(rule.h, NFT_META_OIFNAME, NFT_CMP_EQ, b->bridge);
	match_no_bit(
		rule.h, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	match_no_bit(rule.h, NFT_CT_STATUS, IPS_DST_NAT);
	drop(rule.h);
	end_rule(b, &rule);
}

static void masquerade(struct batch *b, const struct nsi_address *net)
{
	struct rule rule = begin_rule(b, "nat");

	match_interface(rule.h, NFT_META_OIFNAME, NFT_CMP_NEQ, b->bridge);
	match_source(rule.h, net);
	end(rule.h, begin(rule.h, "masq"));
	end_rule(b, &rule);
}

static void fill(struct batch *b, const struct nsi_bridge *bridge)
{
	if (!bridge->nat && !bridge->isolate) {
		delete_chain(b, "forward");
		delete_chain(b, "nat");
		return;
	}
	add_table(b);
	add_chain(b, "forward", "filter", NF_INET_FORWARD, PRIORITY_FILTER);
	add_chain(b, "nat", "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT);
	flush_chain(b, "forward");
	flush_chain(b, "nat");
	if (bridge->isolate)
		isolate(b);
	if (!bridge->nat)
		return;
	let_nobody_in(b);
	for (int i = 0; i < bridge->n_addresses; i++)
		masquerade(b, &bridge->addresses[i]);
}

int nsi_nft_bridge(const struct nsi_bridge *bridge, struct nsi_error *err)
{
	struct nsi_netlink nl cleanup_netlink = {.sock = -1};
	struct batch b = {.bridge = bridge->name};
	bool wanted = bridge->nat || bridge->isolate;
	int r = nsi_netlink_open(&nl, NETLINK_NETFILTER, wanted ? err : NULL);

	if (r < 0) /* a kernel without it has no rules of ours to be removed */
		return wanted ? r : 0;
	frame(&b, NFNL_MSG_BATCH_BEGIN);
	fill(&b, bridge);
	frame(&b, NFNL_MSG_BATCH_END);
	r = nsi_netlink_talk(&nl, b.buf, b.used, b.acks);
	return r < 0 && wanted ? nsi_netlink_fail(&nl, r, "setting nftables rules for bridge", bridge->name,
					 "does this kernel have nf_tables with NAT?", err)
			       : 0;
}
