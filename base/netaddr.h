/*
 * netaddr - IP addresses, networks and sets of networks (RFC 4291, 4632).
 *
 * An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is the IPv4 address: the same
 * client must not have two identities. Values, no ownership; a netset is
 * read-only after it was filled and may then be shared between threads.
 */
#ifndef BASE_NETADDR_H
#define BASE_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/span.h"

enum { NETADDR_TEXT = 64 }; /* room for any address or network as text */

struct netaddr {
	uint8_t family; /* 0 none, 4, 6 */
	uint8_t bytes[16]; /* network order; IPv4 uses the first four */
};

struct network {
	struct netaddr addr; /* host bits are zero */
	uint8_t prefix_len;  /* 0..32 or 0..128 */
	bool excluded;       /* "!net" in a set: inside it means not in the set */
};

struct netset {
	struct network *nets;
	size_t count, alloc;
};

/* Accepts dotted quads, RFC 4291 text, "IPv6:..." (RFC 5321 4.1.3) and
 * brackets around either; nothing else, no names. */
bool netaddr_parse(struct span text, struct netaddr *ret_addr);
bool netaddr_from_sockaddr(const struct sockaddr *sa, struct netaddr *ret_addr);
/* "192.0.2.1", "2001:db8::1" (RFC 5952); returns out */
const char *netaddr_format(const struct netaddr *a, char out[NETADDR_TEXT]);
bool netaddr_eq(const struct netaddr *a, const struct netaddr *b);
bool netaddr_is_loopback(const struct netaddr *a);
/* Loopback, private, link-local, unique-local, CGN (RFC 6890). */
bool netaddr_is_private(const struct netaddr *a);
/* "4.3.2.1.in-addr.arpa" or the ip6.arpa nibbles, without a final dot */
const char *netaddr_reverse(const struct netaddr *a, bool with_suffix,
    char out[80]);

struct network network_of(const struct netaddr *a, unsigned prefix_len);
/* "a.b.c.d/n", "a.b.c" or "a.b.c." (SpamAssassin's short form: a /24),
 * "v6/n", "[v6]/n"; a bare address is a host. */
bool network_parse(struct span text, struct network *ret_net);
bool network_contains(const struct network *n, const struct netaddr *a);
bool network_overlaps(const struct network *a, const struct network *b);
const char *network_format(const struct network *n, char out[NETADDR_TEXT]);

/* 0, or -ENOMEM */
int netset_add(struct netset *set, const struct network *n);
/* The first network that holds a decides, as in SpamAssassin. */
bool netset_contains(const struct netset *set, const struct netaddr *a);
bool netset_overlaps(const struct netset *set, const struct network *n);
void netset_done(struct netset *set);

#endif
