/*
 * allowfeed - tells the ban helper where the names of ban_allow lead.
 *
 * A thread of its own looks them up (A and AAAA, as often as their TTL says,
 * within bounds) and renews each address at the helper long before its lease
 * there ends. An answer that failed (timeout, SERVFAIL) leaves the last good
 * one in force; a name that is gone is no longer renewed, so that its
 * addresses lose their lease. Both are logged. No message ever waits for it.
 */
#ifndef MILTER_ALLOWFEED_H
#define MILTER_ALLOWFEED_H

#include "base/error.h"
#include "milter/snapshot.h"

enum {
	ALLOWFEED_NAMES = 256,	    /* names of ban_allow */
	ALLOWFEED_ADDRESSES = 64,   /* of one name, the rest is left out */
	ALLOWFEED_LEASE = 10,	    /* times ban_allow_refresh */
	ALLOWFEED_LATEST_SEC = 3600, /* a longer TTL is not believed */
	ALLOWFEED_LOOKUP_MS = 10000, /* time for one round of lookups */
};

struct allowfeed;

/* 0 or -errno. The snapshot's names, with its resolver; the helper need not
 * run yet. Takes a reference of its own. */
int allowfeed_new(const char *socket_path, struct snapshot *snapshot,
    struct allowfeed **ret_feed, struct error *err);
/* Other names from now on. */
void allowfeed_set(struct allowfeed *f, struct snapshot *snapshot);
/* Ends the thread; what was allowed ends with its lease. NULL is allowed. */
void allowfeed_free(struct allowfeed *f);

#endif
