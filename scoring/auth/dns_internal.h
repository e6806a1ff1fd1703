/*
 * dns_internal - what dns.c (sessions) and its three sources of answers
 * share. Private to scoring/auth/.
 *
 * A query is owned by its session. While a source works on it asynchronously
 * the source holds one reference on the session, so that a late answer finds
 * memory to be dropped in.
 */
#ifndef SCORING_AUTH_DNS_INTERNAL_H
#define SCORING_AUTH_DNS_INTERNAL_H

#include <pthread.h>

#include "base/arena.h"
#include "scoring/auth/dns.h"

/* Largest CNAME chain that is followed in a file (unbound: 11) */
enum { DNS_MAX_CNAMES = 11 };
/* Most records of one answer that are kept, and most bytes of one record */
enum { DNS_MAX_RECORDS = 512, DNS_MAX_RECORD_BYTES = 65535 };
/* Most bytes that all answers of one session may take */
#define DNS_SESSION_BYTES (8u * 1024 * 1024)

struct dns_flight;

struct dns_query {
	struct dns_query *next;	    /* all of the session */
	struct dns_query *next_bucket;
	struct dns_session *session;
	struct dns_answer answer;
	bool done;
	bool in_flight;		    /* the source holds a reference */
	/* dns_unbound.c, under its lock: the question it waits for */
	struct dns_flight *flight;
	struct dns_query *flight_next, *flight_prev;
};

struct dns_ops {
	/* Called with the session locked. Either fills q->answer and calls
	 * dns_query_done(), or sets in_flight and holds a reference. */
	void (*start)(struct dns *d, struct dns_query *q);
	/* Session locked. True: no answer will come, the reference is free */
	bool (*cancel)(struct dns *d, struct dns_query *q);
	void (*free)(struct dns *d);
};

struct dns {
	const struct dns_ops *ops;
};

struct dns_session {
	struct dns *dns;
	struct arena *arena;
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	unsigned refs;
	unsigned arrivals;	/* answers so far, for dns_session_wait */
	unsigned in_flight;
	bool abandoned;
	bool started;
	int64_t timeout_ms, deadline_ms; /* CLOCK_MONOTONIC */
	unsigned max_queries, queries;
	struct dns_query *first, *last;
	struct dns_query *buckets[64];
};

/* Session locked: the answer is complete. */
void dns_query_done(struct dns_query *q);
/* Drops one reference; the last one frees. Session not locked. */
void dns_session_unref(struct dns_session *s);

/* dns_wire.c: rdata as it came from the wire, into an arena. */

/* An uncompressed name at *pos, checked; moves *pos behind it. */
bool dns_wire_name(struct span rdata, size_t *pos, char out[DNS_NAME_TEXT]);
enum dns_wire { DNS_WIRE_OK, DNS_WIRE_BAD, DNS_WIRE_NO_MEMORY };
enum dns_wire dns_wire_record(struct arena *a, uint16_t type,
    struct span rdata, struct dns_record *ret_record);

#endif
