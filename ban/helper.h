/*
 * helper - what the files of spamscore-banhelper share.
 */
#ifndef BAN_HELPER_H
#define BAN_HELPER_H

#include "ban/kernel.h"
#include "ban/service.h"

enum {
	HELPER_EVENTS = 128,
	HELPER_QUEUE = 64,	  /* answers a connection may have waiting */
	HELPER_ROUND = 64,	  /* requests in one round, all together */
	HELPER_ROWS = 128,	  /* rows of lists, all together */
	HELPER_TICK_BUDGET = 500, /* expiries in one round */
	HELPER_LINES_PER_MINUTE = 600,
};

enum helper_kind {
	WATCH_LISTEN,
	WATCH_CONN,
	WATCH_SIGNAL,
	WATCH_ADDRESSES,
	WATCH_DUMP,
};

struct helper_watch {
	enum helper_kind kind;
	int fd;
};

struct helper_conn {
	struct helper_watch watch; /* first: epoll points here */
	struct helper_conn *next;
	unsigned source;
	uint32_t events; /* that epoll is asked for */
	int64_t used_ms;
	bool dead;
	struct ban_cursor cursor;
	unsigned head, count; /* of the queue */
	unsigned char queue[HELPER_QUEUE][BAN_REPLY_SIZE];
};

struct helper_policy {
	struct arena *arena;
	struct ban_policy policy;
};

struct helper {
	const char *config;
	bool journald, stop;
	struct helper_policy policy;
	struct ban_service *service;
	struct ban_journal *journal;
	struct ban_kernel *kernel; /* NULL: simulate */
	int epoll;
	struct helper_watch signals, addresses, dump;
	struct helper_watch listeners[BAN_SOURCES_MAX];
	struct helper_conn *conns;
	unsigned per_source[BAN_SOURCES_MAX];
	unsigned ready; /* descriptors in this round */
	int64_t mono, due_sec;
	int64_t look_ms, counters_ms; /* when next */
	bool broken[BAN_SETS];	      /* was logged */
	bool compare_wanted[BAN_SETS];
	unsigned dump_set;
	bool dump_ended; /* it was read, what is missing is looked for */
	bool more; /* somebody's list goes on */
	struct ban_rate log_rate, lost_rate, illegal_rate;
	unsigned long lines_lost;
};

void helper_log(struct helper *h, enum ban_log level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* conns.c */
void helper_accept(struct helper *h, unsigned source);
void helper_conn_ready(struct helper *h, struct helper_conn *c,
    uint32_t events);
void helper_conns_flush(struct helper *h);
void helper_conns_reap(struct helper *h);
void helper_conns_close(struct helper *h);

/* sets.c */
int helper_sink_add(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec);
int helper_sink_del(void *context, unsigned set, const struct network *net);
int helper_read_own(struct helper *h);
int helper_restore_sets(struct helper *h);
void helper_dump_ready(struct helper *h);
void helper_upkeep(struct helper *h, bool idle);
int64_t helper_next_ms(struct helper *h);

#endif
