#include "ban/lease.h"

#include <stdlib.h>
#include <string.h>

struct lease {
	struct netaddr addr;
	int64_t expires[2]; /* for mail, for the host; 0 never was */
};

/* In the order of addresses, so that those of a network stand together. */
struct ban_leases {
	struct lease *leases;
	size_t count, alloc;
};

struct ban_leases *
ban_leases_new(void)
{
	return calloc(1, sizeof(struct ban_leases));
}

void
ban_leases_free(struct ban_leases *l)
{
	if (l == NULL)
		return;
	free(l->leases);
	free(l);
}

static int
compare(const struct netaddr *a, const struct netaddr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 16);
}

/* The first that is not before addr. */
static size_t
find(const struct ban_leases *l, const struct netaddr *addr)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&l->leases[middle].addr, addr) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
drop_ended(struct ban_leases *l, int64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (l->leases[i].expires[0] > now ||
		    l->leases[i].expires[1] > now)
			l->leases[kept++] = l->leases[i];
	l->count = kept;
}

static bool
make_room(struct ban_leases *l, int64_t now)
{
	size_t alloc = l->alloc == 0 ? 64 : l->alloc * 2;
	struct lease *more;

	if (l->count < l->alloc)
		return true;
	drop_ended(l, now);
	if (l->count < l->alloc)
		return true;
	if (l->alloc >= BAN_LEASES_MAX)
		return false;
	more = reallocarray(l->leases, alloc, sizeof(*more));
	if (more == NULL)
		return false;
	l->leases = more;
	l->alloc = alloc;
	return true;
}

bool
ban_leases_put(struct ban_leases *l, const struct netaddr *addr,
    unsigned scopes, int64_t expires, int64_t now, unsigned *ret_fresh)
{
	struct netaddr key = network_of(addr, addr->family == 4 ? 32 : 64).addr;
	size_t i = find(l, &key);

	if (i == l->count || compare(&l->leases[i].addr, &key) != 0) {
		if (!make_room(l, now))
			return false;
		i = find(l, &key);
		memmove(&l->leases[i + 1], &l->leases[i],
		    (l->count - i) * sizeof(*l->leases));
		l->leases[i] = (struct lease){ .addr = key };
		l->count++;
	}
	*ret_fresh = 0;
	for (unsigned bit = 0; bit < 2; bit++) {
		int64_t *at = &l->leases[i].expires[bit];

		if (!(scopes & 1u << bit))
			continue;
		if (*at <= now)
			*ret_fresh |= 1u << bit;
		if (*at < expires)
			*at = expires;
	}
	return true;
}

void
ban_leases_shift(struct ban_leases *l, int64_t sec)
{
	for (size_t i = 0; i < l->count; i++)
		for (unsigned bit = 0; bit < 2; bit++)
			if (l->leases[i].expires[bit] != 0)
				l->leases[i].expires[bit] += sec;
}

bool
ban_leases_overlap(const struct ban_leases *l, const struct network *net,
    unsigned scope, int64_t now)
{
	for (size_t i = find(l, &net->addr); i < l->count &&
	     network_contains(net, &l->leases[i].addr); i++)
		if (l->leases[i].expires[scope == BAN_HOST] > now)
			return true;
	return false;
}
