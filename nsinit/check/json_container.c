/* nsinit check --json: a container. The names of keys are documented in nsinit(1) and do not change. */
#include "../../libcore/base/compat.h"
#include "../../libcore/parse/names.h"
#include "../../libcore/parse/resources.h"
#include "json.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* ------------------------------------------------------------------ process */

static json_object *namespaces(uint64_t own)
{
	json_object *object = json_new_object();
	const char *const *names = nsi_namespace_names();

	for (size_t i = 0; names[i]; i++)
		json_put(object, names[i], json_text(own & nsi_namespace_flag(names[i]) ? "own" : "host"));
	return object;
}

static json_object *capabilities(uint64_t set)
{
	json_object *list = json_new_array();
	const char *const *names = nsi_capability_names();

	for (size_t i = 0; names[i]; i++)
		if (set & UINT64_C(1) << nsi_capability_number(names[i]))
			json_append(list, json_text(names[i]));
	return list;
}

static json_object *user(const struct check_container *c)
{
	const struct nsi_confinement *who = &c->plan->confine;
	json_object *object = json_new_object(), *groups = json_new_array();

	json_put(object, "name", json_text(c->login ? c->login->user.name : c->spec->user));
	/* A login's are the host's, not decided here. */
	bool known = !c->login && !c->user_unknown;
	json_put(object, "uid", known ? json_number(who->uid) : NULL);
	json_put(object, "gid", known ? json_number(who->gid) : NULL);
	for (int i = 0; known && i < who->n_groups; i++)
		json_append(groups, json_number(who->groups[i]));
	json_put(object, "groups", groups);
	return object;
}

static json_object *amount(uint64_t value)
{
	return value == RLIM_INFINITY ? json_text("unlimited") : json_number((int64_t)value);
}

static json_object *rlimits(const struct nsi_limits *limits)
{
	json_object *list = json_new_array();

	for (int i = 0; i < limits->n; i++) {
		json_object *one = json_new_object();

		json_put(one, "type", json_text(nsi_rlimit_names()[limits->list[i].resource]));
		json_put(one, "soft", amount(limits->list[i].soft));
		json_put(one, "hard", amount(limits->list[i].hard));
		json_append(list, one);
	}
	return list;
}

/* As cgroup v2 names and writes them. */
static json_object *resources(const struct nsi_resources *res)
{
	json_object *object = json_new_object();
	char value[48];

	for (int i = 0; i < NSI_LIMITS; i++) {
		enum nsi_limit limit = (enum nsi_limit)i;

		if (!nsi_limit_set(res, limit))
			continue;
		nsi_limit_value(res, limit, value, sizeof(value));
		json_put(object, nsi_limit_file(limit), json_text(value));
	}
	return object;
}

static void put_process(json_object *object, const struct nsi_process_spec *p)
{
	json_object *sysctl = json_new_object(), *labels = json_new_object();

	json_put(object, "no_new_privs", json_truth(p->no_new_privs));
	json_put(object, "seccomp",
		json_text(p->seccomp_off          ? "off"
			  : p->seccomp_profile[0] ? p->seccomp_profile
						  : "default"));
	json_put(object, "rlimits", rlimits(&p->limits));
	json_put(object, "oom_score_adj", p->limits.oom_given ? json_number(p->limits.oom_score_adj) : NULL);
	for (int i = 0; i < p->n_sysctls; i++)
		json_put(sysctl, p->sysctls[i].name, json_text(p->sysctls[i].value));
	json_put(object, "sysctl", sysctl);
	json_put(object, "timezone", json_text(p->timezone));
	for (int i = 0; i < p->n_labels; i++)
		json_put(labels, p->labels[i].name, json_text(p->labels[i].value));
	json_put(object, "labels", labels);
}

/* ------------------------------------------------------------------ files */

/* Lines, each ended by '\n'. */
static json_object *lines(const char *text)
{
	json_object *list = json_new_array();

	for (; *text; text += strcspn(text, "\n") + 1)
		json_append(list, json_made(json_object_new_string_len(text, (int)strcspn(text, "\n"))));
	return list;
}

static void put_asked(json_object *one, const struct nsi_mount *m)
{
	json_put(one, "recursive", json_truth(m->recursive));
	json_put(one, "propagation", json_text(m->slave ? "slave" : "private"));
	json_put(one, "idmap", json_truth(m->idmap));
	json_put(one, "optional", json_truth(m->optional));
	json_put(one, "lower", lines(m->lower));
	json_put(one, "upper", json_text(m->upper));
	json_put(one, "work", json_text(m->work));
}

static json_object *mounts(const struct check_container *c)
{
	static const struct {
		unsigned flag;
		const char *name;
	} attributes[] = {
		{MOUNT_ATTR_NOSUID, "nosuid"}, {MOUNT_ATTR_NODEV, "nodev"}, {MOUNT_ATTR_NOEXEC, "noexec"}};
	json_object *list = json_new_array();
	struct check_mount m;

	for (int at = 0; check_next_mount(c, &at, &m);) {
		json_object *one = json_new_object(), *names = json_new_array();

		json_put(one, "target", json_text(m.target));
		json_put(one, "type", json_text(m.type));
		json_put(one, "source", json_text(m.source));
		json_put(one, "options", json_text(m.options));
		json_append(names, json_text(m.attributes & MOUNT_ATTR_RDONLY ? "ro" : "rw"));
		for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
			if (m.attributes & attributes[i].flag)
				json_append(names, json_text(attributes[i].name));
		json_put(one, "attributes", names);
		json_put(one, "standard", json_truth(!m.asked));
		if (m.asked)
			put_asked(one, m.asked);
		json_append(list, one);
	}
	return list;
}

static json_object *targets(const struct check_container *c, enum nsi_op_kind kind)
{
	char list[CHECK_MAX_TARGETS][258];
	int n = check_targets(c, kind, list);
	json_object *array = json_new_array();

	for (int i = 0; i < n; i++)
		json_append(array, json_text(list[i]));
	return array;
}

/* ------------------------------------------------------------------ network */

static json_object *address(const struct nsi_address *a)
{
	char text[NSI_CIDR_SIZE];

	return a->family ? json_text(nsi_cidr_text(a, text)) : NULL;
}

static json_object *addresses(const struct nsi_address *list, int n)
{
	json_object *array = json_new_array();

	for (int i = 0; i < n; i++)
		json_append(array, address(&list[i]));
	return array;
}

static json_object *interface(const struct nsi_interface *i)
{
	json_object *one = json_new_object(), *routes = json_new_array();
	char mac[18] = "";

	if (i->has_mac)
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", i->mac[0], i->mac[1], i->mac[2],
			i->mac[3], i->mac[4], i->mac[5]);
	json_put(one, "name", json_text(i->name));
	json_put(one, "bridge", json_text(i->bridge));
	json_put(one, "addresses", addresses(i->addresses, i->n_addresses));
	json_put(one, "lease", json_truth(i->lease));
	json_put(one, "gateways", addresses(i->gateways, i->n_gateways));
	for (int n = 0; n < i->n_routes; n++) {
		json_object *route = json_new_object();

		json_put(route, "destination", address(&i->routes[n].to));
		json_put(route, "gateway", address(&i->routes[n].gateway));
		json_put(route, "metric", json_number(i->routes[n].metric));
		json_append(routes, route);
	}
	json_put(one, "routes", routes);
	json_put(one, "mac", json_text(mac));
	json_put(one, "mtu", json_number(i->mtu));
	return one;
}

static json_object *network(const struct nsi_spec *spec)
{
	static const char *const types[] = {"veth", "loopback", "none", "host", "pasta"};
	enum nsi_network_type type = spec->network.type;
	json_object *object = json_new_object(), *list = json_new_array();

	if (!(spec->namespaces & CLONE_NEWNET))
		type = NSI_NET_HOST;
	else if (type == NSI_NET_VETH && !spec->network.n_interfaces)
		type = NSI_NET_LOOPBACK;
	json_put(object, "type", json_text(types[type]));
	for (int i = 0; i < spec->network.n_interfaces; i++)
		json_append(list, interface(&spec->network.interfaces[i]));
	json_put(object, "interfaces", list);
	json_put(object, "nameservers",
		addresses(spec->network.nameservers.list, spec->network.nameservers.n));
	return object;
}

/* ------------------------------------------------------------------ the whole */

json_object *check_json_container(const struct check_container *c)
{
	json_object *object = json_new_object(), *environment = json_new_array();
	const struct nsi_spec *spec = c->spec;

	json_put(object, "file", json_text(c->file));
	json_put(object, "hostname", json_text(spec->hostname));
	json_put(object, "domainname", json_text(spec->process.domainname));
	json_put(object, "namespaces", namespaces(c->plan->confine.namespaces));
	json_put(object, "user", user(c));
	json_put(object, "capabilities", capabilities(spec->capabilities));
	json_put(object, "ambient", capabilities(spec->process.ambient));
	json_put(object, "working_dir", json_text(spec->working_dir));
	json_put(object, "readonly_fs", json_truth(spec->readonly_fs));
	json_put(object, "mounts", mounts(c));
	json_put(object, "devices", targets(c, NSI_OP_DEVICE));
	json_put(object, "masked_paths", targets(c, NSI_OP_MASK));
	json_put(object, "readonly_paths", targets(c, NSI_OP_READONLY));
	json_put(object, "network", network(spec));
	json_put(object, "resources", resources(&c->plan->resources));
	json_put(object, "session_resources", resources(&c->plan->session_resources));
	put_process(object, &spec->process);
	for (size_t i = 0; spec->environment[i]; i++)
		json_append(environment, json_text(spec->environment[i]));
	json_put(object, "environment", environment);
	return object;
}
