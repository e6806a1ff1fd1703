/*
 * store - the state database: reputation, greylist, labels, verdict log.
 *
 * One SQLite file in WAL mode. One writer thread inside the store batches
 * updates; readers use connections of their own and are never blocked by it.
 * All functions are safe from any thread.
 *
 * The store never stops mail: a locked, full, read-only or corrupt database
 * makes reads answer -EAGAIN (the caller's evidence is then NOT_RUN with a
 * reason) and drops automatic updates; the first occurrence of each fault is
 * handed to the `fault` callback, once until it has healed. A corrupt file
 * is moved aside (NAME.corrupt-TIME), never deleted, and a new one begun.
 * Migrations run by PRAGMA user_version, after a backup NAME.vN.bak.
 */
#ifndef DB_STORE_H
#define DB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "db/reputation.h"

struct store;

enum store_mode {
	STORE_READ,  /* no writer; the file must exist */
	STORE_WRITE, /* takes the lock; only one process at a time */
};

struct store_options {
	const char *path;
	enum store_mode mode;
	size_t max_queue;	/* automatic updates waiting; more are dropped */
	int64_t busy_ms;	/* how long a read waits for a lock */
	/* Called on the writer's or a reader's thread; text is one line. */
	void (*fault)(void *context, const char *text);
	void *fault_context;
};

/* 0; -ENOENT (STORE_READ, no file); -EBUSY (another writer); -errno. */
int store_open(const struct store_options *options, struct store **ret_store,
    struct error *err);
/* Writes what is queued, then closes. NULL is allowed. */
void store_close(struct store *s);
/* Waits until all that was queued before is on disk. 0 or -errno. */
int store_flush(struct store *s, struct error *err);

/* One row an identity, in their order; unknown ones have last_seen 0.
 * 0, -EAGAIN (not available now), -ENOMEM. Strings belong to a. */
int store_reputation_get(struct store *s, const struct identity *ids,
    size_t count, int64_t now, struct arena *a,
    struct reputation_row **ret_rows, struct error *err);

/* Mail addresses among the identities stand in the database as keyed hashes
 * from now on, those that are there too (the file remembers it); or as they
 * are. What was keyed stays so, and is not found any more: those addresses
 * begin anew. 0, -EAGAIN (not available now), -EROFS. */
int store_key_addresses(struct store *s, bool keyed, struct error *err);

/* Queues one observation: weights of good and bad mail for each identity.
 * author (may be NULL) feeds the spread. Copies. Never blocks. */
void store_reputation_add(struct store *s, const struct identity *ids,
    size_t count, double ham, double spam, const char *author, int64_t now);

typedef int store_reputation_fn(void *context, const struct reputation_row *row);
/* Rows whose "kind:key" contains pattern (NULL: all), newest first. The
 * callback's non-zero return ends it and is returned. */
int store_reputation_list(struct store *s, const char *pattern, size_t limit,
    int64_t now, store_reputation_fn *fn, void *context, struct error *err);

/* Greylisting (RFC 6647). key is opaque. Sets *ret_first_seen to 0 when the
 * key is new; -EAGAIN when it is new and new keys cannot be written now;
 * *ret_passed when it came back after its delay before. */
int store_greylist_get(struct store *s, const char *key, int64_t now,
    int64_t *ret_first_seen, bool *ret_passed, struct error *err);
/* Queues: seen now (first sight is kept), or passed. */
void store_greylist_put(struct store *s, const char *key, bool passed,
    int64_t now);

#endif
