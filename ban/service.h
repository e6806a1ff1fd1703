/*
 * service - the ban helper's decisions: one request in, its replies out.
 *
 * Joins policy, table, protection and journal, and tells the kernel through
 * a struct ban_sink; it neither reads sockets nor the clock, so the same
 * code runs in tests and under the fuzzer. After a burst of requests call
 * ban_service_commit(), and only then send the replies. A journal that fails
 * is logged once, bans go on without it, and it is written anew when it
 * works again. Not shared between threads.
 */
#ifndef BAN_SERVICE_H
#define BAN_SERVICE_H

#include "ban/journal.h"
#include "ban/kernel.h"
#include "ban/policy.h"
#include "ban/protect.h"
#include "ban/table.h"
#include "ban/wire.h"

/* The kernel's sets, or a test's. 0 or a negative errno. */
struct ban_sink {
	void *context;
	int (*add)(void *context, unsigned set, const struct network *net,
	    uint32_t timeout_sec);
	int (*del)(void *context, unsigned set, const struct network *net);
};

enum ban_log { BAN_LOG_INFO, BAN_LOG_WARNING, BAN_LOG_ERROR };
typedef void ban_log_fn(void *context, enum ban_log level, const char *text);

struct ban_service;

/* policy and journal stay the caller's; journal may be NULL. */
int ban_service_new(const struct ban_policy *policy,
    struct ban_journal *journal, const struct ban_sink *sink,
    ban_log_fn *log, void *log_context, struct ban_service **ret_service,
    struct error *err);
void ban_service_free(struct ban_service *s);
/* Unix seconds and a clock that never jumps; before anything else. Where the
 * two part the clock was set, and bans keep the time that they have left. */
void ban_service_set_time(struct ban_service *s, int64_t now_sec,
    int64_t mono_ms);
/* A new policy, or new own addresses: bans that it forbids are lifted. The
 * sources of a new policy must be the same, in the same order. */
void ban_service_set_policy(struct ban_service *s,
    const struct ban_policy *policy);
void ban_service_set_own(struct ban_service *s, const struct netset *own);
/* Bans and protection from the journal into the table, not the kernel. */
int ban_service_restore(struct ban_service *s, size_t *ret_bans,
    struct error *err);

/* What is left of a request with several replies, or of long work. */
struct ban_cursor {
	enum ban_op op; /* 0: nothing is left */
	uint64_t id;
	unsigned scope;
	struct network net;
	unsigned source; /* flush: whose claims, and of which label */
	char label[BAN_NAME_SIZE];
	uint64_t flushed;
	uint32_t place;
	int64_t event_id;
	uint32_t left; /* events that may still come; UINT32_MAX: any */
};

/* Answers one legal request of source number `source`. If cursor->op is set
 * afterwards, *reply is void and ban_service_next() gives the replies. */
void ban_service_handle(struct ban_service *s, unsigned source,
    const struct ban_request *q, struct ban_reply *reply,
    struct ban_cursor *cursor);
/* 1: *reply is the next (the last when cursor->op became 0); 0: not now,
 * ask again (much was looked at). */
int ban_service_next(struct ban_service *s, struct ban_cursor *cursor,
    struct ban_reply *reply);
void ban_service_commit(struct ban_service *s);

/* Expiry and refreshes that are due, at most budget; seconds until the next
 * (0: more is due now, -1: nothing at all). */
int64_t ban_service_tick(struct ban_service *s, unsigned budget);
/* Housekeeping after each round: retries, pruning, and when there is nothing
 * else to do what may take some milliseconds. */
void ban_service_idle(struct ban_service *s, bool nothing_else);

/* Comparing a kernel set with the table, one at a time: start, every entry that
 * the kernel has, end, again and again until it says true. Strangers are
 * deleted, missing ones added again, counters read. */
void ban_service_compare_start(struct ban_service *s, unsigned set);
void ban_service_compare_entry(struct ban_service *s, unsigned set,
    const struct ban_kernel_entry *e);
/* *ret_missing were missing, *ret_strangers deleted */
bool ban_service_compare_end(struct ban_service *s, unsigned set,
    size_t *ret_missing, size_t *ret_strangers);
/* All bans of a set once more through fn (its timeout is ready). */
int ban_service_each(struct ban_service *s, unsigned set,
    int (*fn)(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec), void *context);

size_t ban_service_count(const struct ban_service *s, unsigned set);
/* What status tells about a set; problem "" is fine. */
void ban_service_set_health(struct ban_service *s, unsigned set,
    uint64_t kernel_entries, const char *problem);
/* true once when a change failed and the sets should be looked at soon */
bool ban_service_wants_look(struct ban_service *s);

#endif
