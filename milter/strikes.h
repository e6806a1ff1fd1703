/*
 * strikes - counts rejected messages a client and says when one is to be
 * reported for a ban.
 *
 * A client is an IPv4 address or an IPv6 /64, as the ban helper bans. The
 * table is bounded: when it is full the client that was struck longest ago
 * makes room. Safe from any thread; nothing here blocks or talks to anyone.
 */
#ifndef MILTER_STRIKES_H
#define MILTER_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/netaddr.h"
#include "scoring/envelope.h"
#include "scoring/verdict.h"

enum { STRIKES_MAX_CLIENTS = 16384, STRIKES_MAX = 64 };

struct strikes;

struct strikes *strikes_new(void); /* NULL: no memory */
void strikes_free(struct strikes *s);

/*
 * One more reject of this client at now_ms. true when it was the last of
 * `limit` within window_ms: *ret_net is what to ban, and the count begins
 * anew. limit 0: never. Loopback and an unknown address are never counted.
 */
bool strikes_add(struct strikes *s, const struct netaddr *client,
    int64_t limit, int64_t window_ms, int64_t now_ms,
    struct network *ret_net);
/* Why this reject says nothing against the client, or NULL. Whoever can make
 * another host hand us something that we reject could have it banned:
 *  - a bounce: its text and our address in it are somebody else's;
 *  - a reject by the author domain's DMARC policy: a mailing list's, too;
 *  - a client that much more good than bad mail comes from, or that DNSWL
 *    trusts: a provider whose users are many, a forwarder nobody told us of. */
const char *strikes_excuse(const struct verdict *v, const struct evidence *e,
    const struct envelope *envelope);
size_t strikes_count(struct strikes *s); /* clients in the table */

#endif
