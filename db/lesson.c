#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "db/internal.h"
#include "db/lesson.h"
#include "db/query.h"

enum { MAX_SAMPLE = 64 * 1024 };

static int
note_gone(sqlite3 *db, sqlite3_int64 event)
{
	struct query q = query_begin(db, "INSERT INTO lesson_gone VALUES(1,?1)"
	    " ON CONFLICT(one) DO UPDATE SET event=max(event,excluded.event)");

	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, event);
	return query_run(&q);
}

/* The sample that stands, if the label came without one. Caller frees. */
static int
take_lesson(sqlite3 *db, const struct label_request *r, unsigned char **sample,
    size_t *len, sqlite3_int64 *event)
{
	struct query q = query_begin(db,
	    "SELECT event,sample FROM lesson WHERE message=?1");

	*sample = NULL;
	*len = 0;
	*event = 0;
	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, r->message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
	if (query_row(&q)) {
		*event = sqlite3_column_int64(q.st, 0);
		*len = (size_t)sqlite3_column_bytes(q.st, 1);
		*sample = malloc(*len + 1);
		if (*sample == NULL)
			q.rc = SQLITE_NOMEM;
		else if (*len > 0)
			memcpy(*sample, sqlite3_column_blob(q.st, 1), *len);
	}
	return query_end(&q);
}

/* Four bytes of length, then deflated. Caller frees; NULL: no memory. */
static unsigned char *
pack(struct span s, size_t *ret_len)
{
	uLongf n = compressBound(s.len);
	unsigned char *p = malloc(n + 4);

	if (p == NULL)
		return NULL;
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(s.len >> (8 * i));
	if (compress2(p + 4, &n, (const Bytef *)s.ptr, s.len, 6) != Z_OK) {
		free(p);
		return NULL;
	}
	*ret_len = n + 4;
	return p;
}

static int
insert_lesson(sqlite3 *db, const struct label_request *r, bool spam,
    const unsigned char *sample, size_t len)
{
	struct query q = query_begin(db, "INSERT INTO"
	    " lesson(message,spam,weight,sample) VALUES(?1,?2,?3,?4)");

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, r->message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
		sqlite3_bind_int(q.st, 2, spam);
		sqlite3_bind_double(q.st, 3, r->weight > 0 ? r->weight : 1);
		sqlite3_bind_blob(q.st, 4, sample, (int)len, SQLITE_STATIC);
	}
	return query_run(&q);
}

int
lesson_change(sqlite3 *db, const struct label_request *r,
    enum label_class all)
{
	unsigned char *sample;
	sqlite3_int64 event;
	struct query q;
	size_t len;
	int rc = take_lesson(db, r, &sample, &len, &event);

	if (rc == SQLITE_OK && event != 0) {
		q = query_begin(db, "DELETE FROM lesson WHERE event=?1");
		if (q.rc == SQLITE_OK)
			sqlite3_bind_int64(q.st, 1, event);
		rc = query_run(&q);
		if (rc == SQLITE_OK)
			rc = note_gone(db, event);
	}
	if (rc == SQLITE_OK && sample == NULL && r->sample.len > 0 &&
	    r->sample.len <= MAX_SAMPLE && all != LABEL_NONE) {
		sample = pack(r->sample, &len);
		if (sample == NULL)
			rc = SQLITE_NOMEM;
	}
	if (rc == SQLITE_OK && sample != NULL && all != LABEL_NONE)
		rc = insert_lesson(db, r, all == LABEL_SPAM, sample, len);
	free(sample);
	return rc;
}

/* false: not a sample */
static bool
unpack(const unsigned char *p, size_t n, unsigned char *out, uLongf *ret_len)
{
	if (n < 4)
		return false;
	*ret_len = (uLongf)p[0] | (uLongf)p[1] << 8 | (uLongf)p[2] << 16 |
	    (uLongf)p[3] << 24;
	return *ret_len <= MAX_SAMPLE &&
	    uncompress(out, ret_len, p + 4, n - 4) == Z_OK;
}

int
store_lessons(struct store *s, int64_t after, store_lesson_fn *fn,
    void *context, struct error *err)
{
	unsigned char *out = malloc(MAX_SAMPLE);
	struct reader *r;
	struct query q;
	int result = 0, code, rc;

	if (out == NULL)
		return error_set(err, -ENOMEM, "no memory");
	rc = reader_acquire(s, &r, err);
	if (rc != 0) {
		free(out);
		return rc;
	}
	q = query_begin(r->db, "SELECT event,spam,weight,sample FROM lesson"
	    " WHERE event>?1 ORDER BY event");
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, after);
	while (result == 0 && query_row(&q)) {
		struct lesson l = {
			.event = sqlite3_column_int64(q.st, 0),
			.spam = sqlite3_column_int(q.st, 1) != 0,
			.weight = sqlite3_column_double(q.st, 2),
		};
		uLongf len;

		if (!unpack(sqlite3_column_blob(q.st, 3),
		    (size_t)sqlite3_column_bytes(q.st, 3), out, &len))
			continue;
		l.sample = span_of((char *)out, len);
		result = fn(context, &l);
	}
	code = query_end(&q);
	free(out);
	rc = reader_release(s, r, code, result == 0 ? err : NULL);
	return result != 0 ? result : rc;
}

int
store_lessons_state(struct store *s, int64_t *ret_gone, int64_t *ret_last,
    struct error *err)
{
	struct reader *r;
	struct query q;
	int64_t gone = 0, last = 0;
	int rc = reader_acquire(s, &r, err);

	if (rc != 0)
		return rc;
	q = query_begin(r->db, "SELECT"
	    " (SELECT coalesce(max(event),0) FROM lesson_gone),"
	    " (SELECT coalesce(max(event),0) FROM lesson)");
	if (query_row(&q)) {
		gone = sqlite3_column_int64(q.st, 0);
		last = sqlite3_column_int64(q.st, 1);
	}
	rc = reader_release(s, r, query_end(&q), err);
	if (rc == 0) {
		*ret_gone = gone;
		*ret_last = last;
	}
	return rc;
}

static int
settled_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct query q = query_begin(db, "DELETE FROM lesson_gone WHERE event=?1");
	int rc;

	(void)s;
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, *(int64_t *)context);
	rc = query_run(&q);
	return rc == SQLITE_OK ? 0 : store_error(err, db, rc, "cannot note");
}

int
store_lessons_settled(struct store *s, int64_t gone, struct error *err)
{
	return store_call(s, settled_call, &gone, err);
}
