/*
 * fake - a kernel for the tests of the ban service: remembers what is in
 * each set, refuses when told to, and checks what must never be banned.
 */
#ifndef T_BAN_FAKE_H
#define T_BAN_FAKE_H

#include <errno.h>
#include <stdlib.h>

#include "ban/service.h"

enum { FAKE_MAX = 4096 };

struct fake {
	struct {
		unsigned set;
		struct network net;
		uint32_t timeout;
	} entries[FAKE_MAX];
	size_t n;
	bool refuse;
	unsigned illegal; /* allow-listed networks, or endless timeouts */
	unsigned logs[3];
	struct netset forbidden;
};

static inline size_t
fake_find(const struct fake *f, unsigned set, const struct network *net)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->entries[i].set == set &&
		    f->entries[i].net.prefix_len == net->prefix_len &&
		    netaddr_eq(&f->entries[i].net.addr, &net->addr))
			break;
	return i;
}

static inline int
fake_add(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec)
{
	struct fake *f = context;
	size_t i = fake_find(f, set, net);

	if (netset_overlaps(&f->forbidden, net) || timeout_sec == 0 ||
	    timeout_sec > BAN_KERNEL_TIMEOUT_MAX || net->prefix_len == 0 ||
	    (set & 1 ? net->addr.family != 6 || net->prefix_len > 64 :
	    net->addr.family != 4))
		f->illegal++;
	if (f->refuse || i == FAKE_MAX)
		return -EIO;
	f->entries[i].set = set;
	f->entries[i].net = *net;
	f->entries[i].timeout = timeout_sec;
	if (i == f->n)
		f->n++;
	return 0;
}

static inline int
fake_del(void *context, unsigned set, const struct network *net)
{
	struct fake *f = context;
	size_t i = fake_find(f, set, net);

	if (f->refuse)
		return -EIO;
	if (i < f->n)
		f->entries[i] = f->entries[--f->n];
	return 0;
}

static inline void
fake_log(void *context, enum ban_log level, const char *text)
{
	struct fake *f = context;

	(void)text;
	f->logs[level]++;
}

#endif
