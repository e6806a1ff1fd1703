/*
 * ban - client of the ban helper.
 *
 * One SOCK_SEQPACKET Unix socket a source; one fixed-size request a packet,
 * answered by one fixed-size reply (list and history: several). The packets
 * are described in ban/wire.h and spamscore-banhelper(8). The client never
 * blocks longer than its timeout. A struct ban_client belongs to one thread
 * at a time. What it hands to callbacks is valid only during the call.
 */
#ifndef BAN_BAN_H
#define BAN_BAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/netaddr.h"

/* Where the sockets stand unless ban_socket_dir says otherwise: NAME.sock */
#define BAN_SOCKET_DIR "/run/spamscore-ban"
#define BAN_SOCKET_MILTER BAN_SOCKET_DIR "/milter.sock"
#define BAN_SOCKET_ADMIN BAN_SOCKET_DIR "/admin.sock"
#define BAN_SOCKET_FAIL2BAN BAN_SOCKET_DIR "/fail2ban.sock"

enum { BAN_NAME_SIZE = 32, BAN_REASON_SIZE = 128 };

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

const char *ban_result_name(enum ban_result r); /* "ok", "not-banned", ... */
/* "mail", "host", "both"; "?" for anything else */
const char *ban_scope_name(enum ban_scope scope);
bool ban_scope_parse(const char *text, enum ban_scope *ret_scope);

struct ban_entry {
	struct network net;
	enum ban_scope scope;
	int64_t remaining_sec;
	int64_t first_time, last_time; /* unix seconds */
	uint64_t packets;	       /* stopped so far */
	uint32_t count;		       /* times it was banned */
	char source[BAN_NAME_SIZE];    /* the socket's name */
	char label[BAN_NAME_SIZE];     /* whose claim it is there: a jail */
	char reason[BAN_REASON_SIZE];
};

enum ban_event { /* what a line of the history tells */
	BAN_EVENT_BAN,
	BAN_EVENT_UNBAN,
	BAN_EVENT_REFUSED,
	BAN_EVENT_EXPIRED,
	BAN_EVENT_LIFTED, /* it came to be protected or allow-listed */
	BAN_EVENT_WOULD_BAN, /* ban_simulate */
};

const char *ban_event_name(enum ban_event e);

struct ban_history {
	enum ban_event event;
	enum ban_result result;
	int64_t time;
	struct ban_entry entry; /* remaining_sec: how long it was for */
};

struct ban_set_status {
	char name[BAN_NAME_SIZE]; /* the ipset's name */
	bool fine;
	uint64_t kernel_entries, entries; /* in the set; wanted there */
	char problem[BAN_REASON_SIZE];	  /* "" if fine */
};

struct ban_answer {
	enum ban_result result;
	enum ban_scope scope; /* where it is banned now; 0 nowhere */
	int64_t ttl_sec;      /* for how long */
	bool simulated;	      /* ban_simulate: nothing was touched */
	char why[BAN_REASON_SIZE]; /* not, or not in one of two scopes; "" */
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

/* ban_add with all that it can say: label (NULL or at most 31 of
 * [A-Za-z0-9_.-]) names the claim inside the source, so that one jail's
 * unban does not end another's ban. With BAN_BOTH, result is BAN_OK as soon
 * as one scope was banned, and ret_answer->scope says which. */
int ban_add_labelled(struct ban_client *c, const struct network *net,
    enum ban_scope scope, int64_t ttl_sec, const char *label,
    const char *reason, struct ban_answer *ret_answer, struct error *err);
/* Ends the source's own claim of that label; everything: all claims of all
 * sources and what is remembered of the offender (a right of its own). */
int ban_del_labelled(struct ban_client *c, const struct network *net,
    enum ban_scope scope, const char *label, bool everything,
    enum ban_result *ret_result, struct error *err);
/* Ends all claims of this source (label NULL) or of one label of it. */
int ban_flush(struct ban_client *c, const char *label, uint64_t *ret_ended,
    enum ban_result *ret_result, struct error *err);
/* People confirmed good, authenticated mail from addr on the day of `when`
 * (unix seconds). Enough such days and addr is protected from mail bans. */
int ban_confirm(struct ban_client *c, const struct netaddr *addr,
    int64_t when, enum ban_result *ret_result, struct error *err);
/* net, one address, is not banned for ttl_sec (at most ban_allow_time) in the
 * scopes that this source may ban for: how the daemon passes on what the names
 * in its configuration resolve to, renewed before it ends. */
int ban_allow(struct ban_client *c, const struct network *net,
    int64_t ttl_sec, enum ban_result *ret_result, struct error *err);
/* net NULL: of all addresses. Newest first, at most limit (0: all). */
int ban_history(struct ban_client *c, const struct network *net,
    uint32_t limit, int (*fn)(void *context, const struct ban_history *h),
    void *context, struct error *err);
int ban_status(struct ban_client *c,
    int (*fn)(void *context, const struct ban_set_status *s), void *context,
    struct error *err);

#endif
