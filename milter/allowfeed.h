/*
 * allowfeed - tells the ban helper where the names of ban_allow lead.
 *
 * A thread of its own looks them up (A and AAAA, CNAMEs followed) as often
 * as their TTL says, within bounds, and renews each address at the helper
 * long before its lease there ends. A lookup that failed (timeout, SERVFAIL)
 * leaves the last good answer in force; an address that a name gave up, and
 * a name that is gone, are not renewed, so that their leases run out. All of
 * it is logged. No message ever waits for it.
 */
#ifndef MILTER_ALLOWFEED_H
#define MILTER_ALLOWFEED_H

#include "base/error.h"
#include "milter/snapshot.h"

enum {
	ALLOWFEED_ADDRESSES = 32,    /* of one name and family, no more */
	ALLOWFEED_LEASE = 10,	     /* times ban_allow_refresh */
	ALLOWFEED_LATEST_MS = 3600000, /* a longer TTL is not believed */
	ALLOWFEED_LOOKUP_MS = 10000, /* time for one round of lookups */
};

struct allowfeed;

/* 0 or -errno. Begins with the names of that snapshot; the helper need not
 * run yet. Lives as long as the process. */
int allowfeed_new(const char *socket_path, struct snapshot *snapshot,
    struct allowfeed **ret_feed, struct error *err);
/* Other names, or another resolver, from now on. NULL feed is allowed. */
void allowfeed_set(struct allowfeed *f, struct snapshot *snapshot);

#endif
