/*
 * lease - addresses that are not to be banned for a while.
 *
 * The daemon resolves the names of ban_allow, tells the helper where they
 * lead, and renews that; what nobody renews ends by itself, so that neither
 * a daemon that died nor an address that a name gave up is spared for ever.
 * A lease counts in the scopes that its source may ban for and in no other:
 * the daemon, which reads mail, exempts nobody from a login ban.
 *
 * One address each: IPv4, or an IPv6 /64. Pure, no clock; bounded. Not
 * shared between threads.
 */
#ifndef BAN_LEASE_H
#define BAN_LEASE_H

#include "ban/ban.h"

enum { BAN_LEASES_MAX = 4096 };

struct ban_leases;

struct ban_leases *ban_leases_new(void); /* NULL: memory */
void ban_leases_free(struct ban_leases *l); /* NULL is allowed */
/* Never makes a lease shorter. *ret_fresh: the scopes in which addr had none
 * until now. false: too many, or no memory. */
bool ban_leases_put(struct ban_leases *l, const struct netaddr *addr,
    unsigned scopes, int64_t expires, int64_t now, unsigned *ret_fresh);
/* The clock was set. */
void ban_leases_shift(struct ban_leases *l, int64_t sec);
/* Does net hold an address with a lease in that scope? */
bool ban_leases_overlap(const struct ban_leases *l,
    const struct network *net, unsigned scope, int64_t now);

#endif
