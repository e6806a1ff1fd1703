/*
 * dns_cache - finished answers, kept for their TTL in front of libunbound.
 *
 * libunbound has a cache of its own, but each question to it costs two
 * passages between threads; most of a message's questions are answered here
 * for a fraction of that. Negative answers are kept too, failures never.
 * Bounded in entries and bytes. Any number of threads.
 */
#ifndef SCORING_AUTH_DNS_CACHE_H
#define SCORING_AUTH_DNS_CACHE_H

#include "scoring/auth/dns_internal.h"

enum {
	DNS_CACHE_SETS = 2048, /* of four */
	DNS_CACHE_WAYS = 4,
	DNS_CACHE_ANSWER_BYTES = 8 * 1024, /* larger ones are not kept */
	DNS_CACHE_BYTES = 8 * 1024 * 1024,
	DNS_CACHE_MAX_TTL_SEC = 3600,
};

struct dns_cache;
struct dns_cache *dns_cache_new(void); /* NULL: no memory */
void dns_cache_free(struct dns_cache *c);

/* Session locked. Fills q->answer from the cache, or says false. */
bool dns_cache_get(struct dns_cache *c, struct dns_query *q, int64_t now_ms);
void dns_cache_put(struct dns_cache *c, const struct dns_answer *answer,
    int64_t now_ms);

#endif
