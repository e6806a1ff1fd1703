/* Samples of messages that were judged lately, so that a label by the
 * verdict's id can teach the model. Kept only when the administrator asks. */
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"
#include "db/lesson.h"
#include "db/query.h"

void
store_sample_limit(struct store *s, int64_t age_sec)
{
	pthread_mutex_lock(&s->lock);
	s->sample_age = age_sec;
	s->sample_limited = true;
	pthread_mutex_unlock(&s->lock);
}

void
store_sample_put(struct store *s, const unsigned char *message,
    struct span packed, int64_t now)
{
	unsigned char *sample;
	struct op *op;
	size_t len;

	if (s->mode != STORE_WRITE || packed.len == 0)
		return;
	sample = lesson_pack(packed, &len);
	op = sample != NULL ? op_new(OP_SAMPLE, MESSAGE_IDENTITY_BYTES + len) :
	    NULL;
	if (op != NULL) {
		op->now = now;
		memcpy(op->key, message, MESSAGE_IDENTITY_BYTES);
		memcpy(op->key + MESSAGE_IDENTITY_BYTES, sample, len);
		writer_queue(s, op);
	}
	free(sample);
}

int
sample_apply(struct writer *w, const struct op *op)
{
	struct query q = query_begin(w->db, "INSERT OR REPLACE INTO"
	    " message_sample(message,time,sample) VALUES(?1,?2,?3)");

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, op->key, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 2, op->now);
		sqlite3_bind_blob(q.st, 3, op->key + MESSAGE_IDENTITY_BYTES,
		    (int)(op->key_len - MESSAGE_IDENTITY_BYTES), SQLITE_STATIC);
	}
	return query_run(&q);
}

int
sample_expire(struct store *s, int64_t now)
{
	struct query q;
	int64_t age;
	bool limited;

	pthread_mutex_lock(&s->lock);
	age = s->sample_age;
	limited = s->sample_limited;
	pthread_mutex_unlock(&s->lock);
	/* the command has not been told what to keep */
	if (!limited)
		return SQLITE_OK;
	q = query_begin(s->writer.db, "DELETE FROM message_sample WHERE"
	    " time<?1 OR number<=(SELECT max(number) FROM message_sample)-?2");
	if (q.rc == SQLITE_OK) {
		sqlite3_bind_int64(q.st, 1, age > 0 ? now - age : INT64_MAX);
		sqlite3_bind_int64(q.st, 2, STORE_SAMPLES);
	}
	return query_run(&q);
}

int
sample_take(sqlite3 *db, const unsigned char *message,
    unsigned char **ret_sample, size_t *ret_len)
{
	struct query q = query_begin(db,
	    "SELECT sample FROM message_sample WHERE message=?1");

	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
	if (query_row(&q)) {
		*ret_len = (size_t)sqlite3_column_bytes(q.st, 0);
		*ret_sample = malloc(*ret_len + 1);
		if (*ret_sample == NULL)
			q.rc = SQLITE_NOMEM;
		else if (*ret_len > 0)
			memcpy(*ret_sample, sqlite3_column_blob(q.st, 0),
			    *ret_len);
	}
	return query_end(&q);
}
