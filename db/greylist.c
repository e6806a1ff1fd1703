#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"

void
greylist_store_key(const char *key, unsigned char out[GREYLIST_KEY_BYTES])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)key, strlen(key), digest);
	memcpy(out, digest, GREYLIST_KEY_BYTES);
}

int
greylist_apply(struct writer *w, const struct op *op)
{
	sqlite3_stmt *st = w->greylist_put;
	int rc, again;

	sqlite3_bind_blob(st, 1, op->key, (int)op->key_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, op->now);
	sqlite3_bind_int(st, 3, op->passed);
	sqlite3_bind_int64(st, 4, GREYLIST_PENDING_SEC);
	sqlite3_bind_int64(st, 5, GREYLIST_PASSED_SEC);
	rc = sqlite3_step(st);
	again = sqlite3_reset(st);
	return rc == SQLITE_DONE ? SQLITE_OK : again != SQLITE_OK ? again : rc;
}

void
store_greylist_put(struct store *s, const char *key, bool passed, int64_t now)
{
	struct op *op;

	if (s->mode != STORE_WRITE)
		return;
	op = op_new(OP_GREYLIST, GREYLIST_KEY_BYTES);
	if (op == NULL)
		return;
	op->now = now;
	op->passed = passed;
	greylist_store_key(key, (unsigned char *)op->key);
	pthread_mutex_lock(&s->lock);
	s->clock = now;
	pthread_mutex_unlock(&s->lock);
	writer_queue(s, op);
}

int
store_greylist_get(struct store *s, const char *key, int64_t now,
    int64_t *ret_first_seen, bool *ret_passed, struct error *err)
{
	unsigned char stored[GREYLIST_KEY_BYTES];
	int64_t first = 0;
	bool passed = false;
	struct reader *r;
	int rc;

	greylist_store_key(key, stored);
	rc = reader_acquire(s, &r, err);
	if (rc != 0)
		return rc;
	sqlite3_bind_blob(r->greylist_get, 1, stored, sizeof(stored),
	    SQLITE_STATIC);
	rc = sqlite3_step(r->greylist_get);
	if (rc == SQLITE_ROW) {
		int64_t last = sqlite3_column_int64(r->greylist_get, 1);

		passed = sqlite3_column_int(r->greylist_get, 2) != 0;
		/* whether upkeep has been here yet must not show */
		if (last >= now - (passed ? GREYLIST_PASSED_SEC :
		    GREYLIST_PENDING_SEC))
			first = sqlite3_column_int64(r->greylist_get, 0);
		else
			passed = false;
	}
	sqlite3_reset(r->greylist_get);
	rc = reader_release(s, r, rc, err);
	if (rc != 0)
		return rc;
	if (first == 0 && s->mode == STORE_WRITE) {
		bool failing;

		/* "not seen yet" means nothing while nothing can be
		 * remembered: a caller that defers upon it defers for ever */
		pthread_mutex_lock(&s->lock);
		failing = s->faults[SIDE_WRITE] != 0;
		pthread_mutex_unlock(&s->lock);
		if (failing)
			return error_set(err, -EAGAIN,
			    "state database cannot be written");
	}
	*ret_first_seen = first;
	*ret_passed = passed;
	return 0;
}
