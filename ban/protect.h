/*
 * protect - addresses that earned protection from mail bans.
 *
 * People confirmed good, authenticated mail from an address on several
 * different days: then no number of strikes bans it for mail. IPv4 by
 * address, IPv6 by /64. Pure; the clock is a day number that comes in. At
 * most max addresses; a full table gives up those whose days are too old.
 */
#ifndef BAN_PROTECT_H
#define BAN_PROTECT_H

#include "ban/ban.h"

struct ban_protect;

/* within_days: how old a day may be; days: how many different are needed */
struct ban_protect *ban_protect_new(size_t max);
void ban_protect_free(struct ban_protect *p);
void ban_protect_limits(struct ban_protect *p, unsigned days,
    int64_t within_days);
/* true if the day is new for this address */
bool ban_protect_confirm(struct ban_protect *p, const struct netaddr *addr,
    int64_t day, int64_t today);
/* Every day of every address; fn's non-zero return ends it, is returned. */
int ban_protect_each(const struct ban_protect *p,
    int (*fn)(void *context, const struct netaddr *addr, int64_t day),
    void *context);
/* Does net hold a protected address? *ret_addr (may be NULL): which. */
bool ban_protect_overlaps(const struct ban_protect *p,
    const struct network *net, int64_t today, struct netaddr *ret_addr);

#endif
