#include "ban/protect.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ban/policy.h"

struct place {
	struct netaddr addr; /* family 0: empty */
	/* newest first; 0 none */
	uint32_t days[BAN_PROTECT_DAYS_MAX];
};

struct ban_protect {
	struct place *places;
	size_t size, count, max; /* size: a power of two */
	unsigned need;
	int64_t within;
	uint64_t seed;
};

struct ban_protect *
ban_protect_new(size_t max)
{
	struct ban_protect *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->size = 64;
	p->max = max;
	p->need = 3;
	p->within = 90;
	p->places = calloc(p->size, sizeof(*p->places));
	if (p->places == NULL ||
	    getrandom(&p->seed, sizeof(p->seed), 0) != sizeof(p->seed)) {
		ban_protect_free(p);
		return NULL;
	}
	return p;
}

void
ban_protect_free(struct ban_protect *p)
{
	if (p == NULL)
		return;
	free(p->places);
	free(p);
}

void
ban_protect_limits(struct ban_protect *p, unsigned days, int64_t within_days)
{
	p->need = days;
	p->within = within_days;
}

static struct netaddr
key_of(const struct netaddr *addr)
{
	return network_of(addr, addr->family == 4 ? 32 : 64).addr;
}

static size_t
find(const struct ban_protect *p, const struct netaddr *key)
{
	uint64_t a, h;
	size_t i;

	memcpy(&a, key->bytes, 8);
	h = (a ^ p->seed ^ key->family) * 0x9E3779B97F4A7C15u;
	h = (h ^ (h >> 32)) * 0xBF58476D1CE4E5B9u;
	i = (size_t)(h ^ (h >> 29)) & (p->size - 1);
	while (p->places[i].addr.family != 0 &&
	    !netaddr_eq(&p->places[i].addr, key))
		i = (i + 1) & (p->size - 1);
	return i;
}

static bool
stale(const struct ban_protect *p, const struct place *at, int64_t today)
{
	return (int64_t)at->days[0] + p->within < today;
}

/* A new array of that size, without what is too old. */
static bool
rebuild(struct ban_protect *p, size_t size, int64_t today)
{
	struct place *old = p->places;
	size_t old_size = p->size;

	p->places = calloc(size, sizeof(*p->places));
	if (p->places == NULL) {
		p->places = old;
		return false;
	}
	p->size = size;
	p->count = 0;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].addr.family != 0 && !stale(p, &old[i], today)) {
			p->places[find(p, &old[i].addr)] = old[i];
			p->count++;
		}
	free(old);
	return true;
}

bool
ban_protect_confirm(struct ban_protect *p, const struct netaddr *addr,
    int64_t day, int64_t today)
{
	struct netaddr key = key_of(addr);
	struct place *at;
	unsigned i;

	/* a day that is not yet, or too long ago, says nothing */
	if (day < 1 || day > today || day + p->within < today)
		return false;
	at = &p->places[find(p, &key)];
	if (at->addr.family == 0) {
		if (p->count >= p->max && (!rebuild(p, p->size, today) ||
		    p->count >= p->max))
			return false;
		if ((p->count + 1) * 3 > p->size * 2 &&
		    !rebuild(p, p->size * 2, today))
			return false;
		at = &p->places[find(p, &key)];
		at->addr = key;
		p->count++;
	}
	for (i = 0; i < BAN_PROTECT_DAYS_MAX && at->days[i] > day; i++)
		;
	if (i == BAN_PROTECT_DAYS_MAX || at->days[i] == day)
		return false;
	memmove(&at->days[i + 1], &at->days[i],
	    (BAN_PROTECT_DAYS_MAX - 1 - i) * sizeof(at->days[0]));
	at->days[i] = (uint32_t)day;
	return true;
}

int
ban_protect_each(const struct ban_protect *p,
    int (*fn)(void *context, const struct netaddr *addr, int64_t day),
    void *context)
{
	int code = 0;

	for (size_t i = 0; i < p->size && code == 0; i++)
		for (unsigned k = 0; k < BAN_PROTECT_DAYS_MAX && code == 0 &&
		     p->places[i].days[k] != 0; k++)
			code = fn(context, &p->places[i].addr, p->places[i].days[k]);
	return code;
}

static bool
is_protected(const struct ban_protect *p, const struct place *at,
    int64_t today)
{
	int64_t day = at->days[p->need - 1];

	return at->addr.family != 0 && day != 0 && day + p->within >= today;
}

bool
ban_protect_overlaps(const struct ban_protect *p, const struct network *net,
    int64_t today, struct netaddr *ret_addr)
{
	const struct place *at = NULL;

	if (net->prefix_len == (net->addr.family == 4 ? 32 : 64)) {
		at = &p->places[find(p, &net->addr)];
		if (!is_protected(p, at, today))
			at = NULL;
	} else
		for (size_t i = 0; i < p->size && at == NULL; i++)
			if (is_protected(p, &p->places[i], today) &&
			    network_contains(net, &p->places[i].addr))
				at = &p->places[i];
	if (at != NULL && ret_addr != NULL)
		*ret_addr = at->addr;
	return at != NULL;
}
