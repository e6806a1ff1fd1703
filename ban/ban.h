/*
 * ban - client of the ban helper, and the wire format they share.
 *
 * One SOCK_SEQPACKET Unix socket a source; one fixed-size request a packet,
 * answered by one fixed-size reply (list: several). All integers in host
 * order: both ends are on one host. The client never blocks longer than its
 * timeout. A struct ban_client belongs to one thread at a time.
 */
#ifndef BAN_BAN_H
#define BAN_BAN_H

#include <stdint.h>

#include "base/error.h"
#include "base/netaddr.h"

struct ban_client;

enum ban_scope { BAN_MAIL = 1, BAN_HOST = 2, BAN_BOTH = 3 };

enum ban_result { /* answers, not errors */
	BAN_OK,
	BAN_NOT_BANNED,
	BAN_REFUSED_ALLOWED,   /* allow-listed, loopback, own address */
	BAN_REFUSED_PROTECTED, /* earned protection (mail scope) */
	BAN_REFUSED_LIMIT,     /* too many entries, too long, too fast */
	BAN_REFUSED_RIGHTS,    /* this source may not */
	BAN_REFUSED_INVALID,
	BAN_FAILED,	       /* the kernel said no; tried again later */
};

const char *ban_result_name(enum ban_result r);

struct ban_entry {
	struct network net;
	enum ban_scope scope;
	int64_t remaining_sec;
	int64_t first_time, last_time; /* unix seconds */
	uint64_t packets;	       /* stopped so far */
	uint32_t count;		       /* times it was banned */
	char source[32];
	char reason[128];
};

/* 0 or -errno; connects lazily and again after a lost connection */
int ban_client_new(const char *socket_path, int64_t timeout_ms,
    struct ban_client **ret_client, struct error *err);
void ban_client_free(struct ban_client *c);

/* 0 with *ret_result set, or -errno (no helper, timeout). ttl_sec 0: the
 * helper's choice. reason may hold anything; it is cut and escaped there. */
int ban_add(struct ban_client *c, const struct network *net,
    enum ban_scope scope, int64_t ttl_sec, const char *reason,
    enum ban_result *ret_result, struct error *err);
int ban_del(struct ban_client *c, const struct network *net,
    enum ban_scope scope, enum ban_result *ret_result, struct error *err);
/* BAN_OK: banned, *ret_entry (may be NULL) filled; BAN_NOT_BANNED. */
int ban_check(struct ban_client *c, const struct netaddr *addr,
    enum ban_scope scope, struct ban_entry *ret_entry,
    enum ban_result *ret_result, struct error *err);
int ban_ping(struct ban_client *c, struct error *err);
/* fn's non-zero return ends it and is returned. */
int ban_list(struct ban_client *c, enum ban_scope scope,
    int (*fn)(void *context, const struct ban_entry *e), void *context,
    struct error *err);

#endif
