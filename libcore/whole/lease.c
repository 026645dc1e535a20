#include "lease.h"

#include "../base/cleanup.h"
#include "../base/io.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { POOL_MAX = 65536, KEY_SIZE = NSI_ID_SIZE + 24 };

#define LEASES NSI_RUN_DIR "/leases/"

struct claim {
	char key[KEY_SIZE]; /* the interface */
	const struct nsi_bridge *bridge;
	const struct nsi_address *pool;
	struct nsi_address address; /* found */
	int fd;
};

static void make_key(char key[KEY_SIZE], const char *id, const char *name, int family)
{
	snprintf(key, KEY_SIZE, "%s.%s.%d", id, name, family == AF_INET ? 4 : 6);
}

static void path_of(char path[PATH_MAX], const char *prefix, const char *name)
{
	snprintf(path, PATH_MAX, LEASES "%s%s", prefix, name);
}

static void path_of_address(char path[PATH_MAX], const struct nsi_address *a)
{
	struct nsi_address bare = *a;
	char text[NSI_CIDR_SIZE];

	bare.prefix = (uint8_t)(nsi_address_size(a) * 8);
	path_of(path, "", nsi_cidr_text(&bare, text));
}

static bool read_text(int fd, char *text, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int write_text(int fd, const char *text)
{
	return ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

static bool same_host(const struct nsi_address *a, const struct nsi_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, nsi_address_size(a)) == 0;
}

static bool is_the_hosts(const struct nsi_bridge *b, const struct nsi_address *a)
{
	for (int i = 0; i < b->n_addresses; i++)
		if (same_host(&b->addresses[i], a))
			return true;
	return false;
}

/* How many addresses of the pool are looked at; the last is IPv4's broadcast address. */
static uint32_t pool_size(const struct nsi_address *pool)
{
	unsigned bits = (unsigned)nsi_address_size(pool) * 8 - pool->prefix;

	return bits >= 16 ? POOL_MAX : 1U << bits;
}

static struct nsi_address pool_address(const struct nsi_address *pool, uint32_t offset)
{
	struct nsi_address a = *pool;
	size_t last = nsi_address_size(pool) - 1;

	a.bytes[last] = (uint8_t)(a.bytes[last] | (offset & 0xff));
	a.bytes[last - 1] = (uint8_t)(a.bytes[last - 1] | (offset >> 8));
	return a;
}

/* Lock the address's file. `fresh`: only if nobody has ever had the address. */
static int take(const struct nsi_address *a, bool fresh)
{
	char path[PATH_MAX];

	path_of_address(path, a);
	cleanup_fd int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_EXCL : 0), 0600);
	if (fd < 0)
		return fresh && errno == EEXIST ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -EAGAIN;
	return nsi_take_fd(&fd);
}

/* The one of the last time, if nobody else has had it since. */
static bool take_again(struct claim *c)
{
	char path[PATH_MAX], text[KEY_SIZE];

	path_of(path, "of-", c->key);
	cleanup_fd int memory = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (!read_text(memory, text, sizeof(text)) || !nsi_parse_ip(text, &c->address) ||
		!nsi_address_in(c->pool, &c->address) || is_the_hosts(c->bridge, &c->address))
		return false;
	cleanup_fd int fd = take(&c->address, false);
	if (!read_text(fd, text, sizeof(text)) || strcmp(text, c->key) != 0)
		return false;
	c->fd = nsi_take_fd(&fd);
	return true;
}

/* One that nobody has had, else one that nobody has: others are then to find theirs again. */
static int take_any(struct claim *c, bool fresh)
{
	uint32_t size = pool_size(c->pool), start = 5381;

	for (const char *p = c->key; *p; p++)
		start = start * 33 + (unsigned char)*p;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t offset = (start + i) % size;

		c->address = pool_address(c->pool, offset);
		if (offset == 0 || offset == size - 1 || is_the_hosts(c->bridge, &c->address))
			continue;
		c->fd = take(&c->address, fresh);
		if (c->fd != -EAGAIN)
			return c->fd < 0 ? c->fd : 0;
	}
	return -EAGAIN;
}

static int remember(const struct claim *c)
{
	char path[PATH_MAX], text[NSI_CIDR_SIZE];
	struct nsi_address bare = c->address;

	bare.prefix = (uint8_t)(nsi_address_size(&bare) * 8);
	path_of(path, "of-", c->key);
	cleanup_fd int memory = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (memory < 0)
		return -errno;
	int r = write_text(c->fd, c->key);
	return r < 0 ? r : write_text(memory, nsi_cidr_text(&bare, text));
}

static int claim(struct claim *c, struct nsi_error *err)
{
	char text[NSI_CIDR_SIZE];
	int r = 0;

	c->fd = -1;
	if (!take_again(c)) {
		r = take_any(c, true);
		if (r == -EAGAIN)
			r = take_any(c, false);
	}
	if (r == 0)
		r = remember(c);
	if (r == -EAGAIN)
		return nsi_failf(err, EAGAIN, "leasing an address from", nsi_cidr_text(c->pool, text),
			"make the pool larger", "all are in use");
	return r < 0 ? nsi_fail(err, -r, "leasing an address from", nsi_cidr_text(c->pool, text), NULL) : 0;
}

/* ------------------------------------------------------------------ a container's interfaces */

static int lease_from(const char *id, struct nsi_interface *i, const struct nsi_address *pool,
	struct nsi_leases *leases, struct nsi_error *err)
{
	struct claim c = {.bridge = &i->host, .pool = pool};

	if (i->n_addresses == NSI_MAX_ADDRESSES)
		return nsi_failf(err, E2BIG, "leasing an address for", i->name, NULL, "it has %d already",
			NSI_MAX_ADDRESSES);
	make_key(c.key, id, i->name, pool->family);
	int r = claim(&c, err);
	if (c.fd >= 0)
		leases->fds[leases->n++] = c.fd;
	if (r < 0)
		return r;
	for (int n = 0; n < i->host.n_addresses; n++) /* the pool may be a part of the bridge's network */
		if (i->host.addresses[n].family == pool->family)
			c.address.prefix = i->host.addresses[n].prefix;
	i->addresses[i->n_addresses++] = c.address;
	return 0;
}

/* Nobody else is to be leased an address that container.json names. */
static int reserve(const char *id, const struct nsi_interface *i, const struct nsi_address *a,
	struct nsi_leases *leases, struct nsi_error *err)
{
	char path[PATH_MAX], text[NSI_CIDR_SIZE], key[KEY_SIZE], holder[KEY_SIZE];

	if (is_the_hosts(&i->host, a))
		return nsi_failf(err, EADDRINUSE, "reserving address", nsi_cidr_text(a, text), NULL,
			"it is the host's on bridge %s", i->bridge);
	make_key(key, id, i->name, a->family);
	int fd = take(a, false);
	if (fd == -EAGAIN) {
		path_of_address(path, a);
		cleanup_fd int other = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		read_text(other, holder, sizeof(holder));
		return nsi_failf(err, EADDRINUSE, "reserving address", nsi_cidr_text(a, text), NULL,
			"in use by interface %s", holder);
	}
	if (fd >= 0)
		leases->fds[leases->n++] = fd;
	int r = fd < 0 ? fd : write_text(fd, key);
	return r < 0 ? nsi_fail(err, -r, "reserving address", nsi_cidr_text(a, text), NULL) : 0;
}

static int lease_interface(
	const char *id, struct nsi_interface *i, struct nsi_leases *leases, struct nsi_error *err)
{
	int fixed = i->n_addresses, r = 0;

	for (int p = 0; r == 0 && p < i->host.n_pools; p++)
		for (int n = 0; r == 0 && n < fixed; n++)
			if (nsi_address_in(&i->host.pools[p], &i->addresses[n]))
				r = reserve(id, i, &i->addresses[n], leases, err);
	for (int p = 0; r == 0 && i->lease && p < i->host.n_pools; p++)
		r = lease_from(id, i, &i->host.pools[p], leases, err);
	return r;
}

int nsi_lease(const char *id, struct nsi_network *net, struct nsi_leases *leases, struct nsi_error *err)
{
	bool pools = false;
	int r = 0;

	for (int i = 0; i < net->n_interfaces; i++)
		pools |= net->interfaces[i].host.n_pools > 0;
	if (!pools)
		return 0;
	cleanup_fd int lock = open(LEASES "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return nsi_fail(err, errno, "locking", LEASES "lock", NULL);
	for (int i = 0; r == 0 && i < net->n_interfaces; i++)
		r = lease_interface(id, &net->interfaces[i], leases, err);
	return r < 0 ? nsi_error_reason(err, "network") : 0;
}

void nsi_leases_release(struct nsi_leases *leases)
{
	while (leases->n > 0)
		close(leases->fds[--leases->n]);
}
