/*
 * log - every verdict, kept for log_days and log_size: for `spamscore log`,
 * for --explain --id, and so that a label finds whom a message came from.
 *
 * The record is the caller's text (JSON), stored deflated and given back as
 * it was. What is in it of addresses is the caller's decision; the columns
 * for searching follow `keyed`. Addresses for erasing are always kept as
 * keyed hashes (HMAC-SHA256, key in NAME.key beside the database, so that a
 * copy of the database alone tells nobody's address).
 */
#ifndef DB_LOG_H
#define DB_LOG_H

#include "base/span.h"
#include "db/store.h"

enum {
	MESSAGE_IDENTITY_BYTES = 16,
	LOG_MAX_ADDRESSES = 64,	      /* of one message; more are not findable */
	LOG_MAX_RECORD = 1024 * 1024, /* bytes; a longer record is left out */
	STORE_WORD_BYTES = 40,	      /* "key:" and 32 hex digits */
};

struct log_entry {
	const char *id; /* of the verdict; up to 64 characters */
	int64_t time;	/* unix seconds */
	int action;	/* the caller's number */
	double score;
	const char *mail_from, *queue_id;
	unsigned char message[MESSAGE_IDENTITY_BYTES];
	const struct identity *ids; /* not filled by reading */
	size_t id_count;
	double ham, spam; /* what was counted for these by the verdict */
	const char *const *addresses; /* not filled by reading */
	size_t address_count;
	bool keyed; /* mail_from is stored as its keyed hash, and address
		       identities not at all: labels do not reach them */
	struct span record;
};

/* How much is kept; the oldest goes first. 0: no limit of that kind. */
void store_log_limit(struct store *s, int64_t age_sec, int64_t size_bytes);

/* What the model may know of a message that was judged, packed (scoring/learn):
 * a label by verdict id then teaches the model too. Queued. Kept for age_sec,
 * STORE_SAMPLES at most; an age of 0 deletes what there is. */
enum { STORE_SAMPLES = 20000 };
void store_sample_put(struct store *s, const unsigned char *message,
    struct span packed, int64_t now);
void store_sample_limit(struct store *s, int64_t age_sec);
/* Queued, copied; never blocks. */
void store_log_put(struct store *s, const struct log_entry *entry);
/* 0, -ENOENT, -EAGAIN, -ENOMEM; strings belong to a. */
int store_log_get(struct store *s, const char *id, struct arena *a,
    struct log_entry *ret_entry, struct error *err);

struct log_query {
	int64_t since, until; /* unix seconds; 0: no bound */
	int action;	      /* -1: any */
	const char *from;     /* mail_from, ASCII case aside; NULL: any */
	size_t limit;	      /* 0: 1000 */
};
typedef int store_log_fn(void *context, const struct log_entry *entry);
/* Newest first; the callback's non-zero return ends it and is returned.
 * Entries come with their records. */
int store_log_search(struct store *s, const struct log_query *query,
    store_log_fn *fn, void *context, struct error *err);
/* Removes every verdict that this address had part in, from disk too. */
int store_log_erase(struct store *s, const char *address, size_t *ret_count,
    struct error *err);

/* "key:HEX": what stands for an address where addresses are keyed. */
void store_address_word(struct store *s, const char *address,
    char out[STORE_WORD_BYTES]);

#endif
