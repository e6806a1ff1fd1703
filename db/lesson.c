#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "db/internal.h"
#include "db/lesson.h"
#include "db/query.h"

static int
note_gone(sqlite3 *db, sqlite3_int64 event)
{
	struct query q = query_begin(db,
	    "INSERT INTO lesson_gone(event) VALUES(?1)");

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

unsigned char *
lesson_pack(struct span s, size_t *ret_len)
{
	uLongf n = compressBound(s.len);
	unsigned char *p = s.len <= LESSON_MAX_SAMPLE ? malloc(n + 4) : NULL;

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

struct row {
	const unsigned char *message;
	bool spam;
	double weight;
	int64_t time;
	const char *source;
	const unsigned char *sample;
	size_t len;
};

static int
insert_lesson(sqlite3 *db, const struct row *row)
{
	struct query q = query_begin(db, "INSERT INTO"
	    " lesson(message,spam,weight,sample,time,source)"
	    " VALUES(?1,?2,?3,?4,?5,?6)");

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, row->message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
		sqlite3_bind_int(q.st, 2, row->spam);
		sqlite3_bind_double(q.st, 3, row->weight);
		sqlite3_bind_blob(q.st, 4, row->sample, (int)row->len,
		    SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 5, row->time);
		sqlite3_bind_text(q.st, 6, row->source, -1, SQLITE_STATIC);
	}
	return query_run(&q);
}

int
lesson_change(sqlite3 *db, const struct label_request *r,
    enum label_class all, bool *ret_folded, bool *ret_lesson)
{
	unsigned char *sample;
	sqlite3_int64 event;
	struct query q;
	size_t len;
	int rc = take_lesson(db, r, &sample, &len, &event);

	*ret_folded = event != 0 && len == 0;
	*ret_lesson = event != 0 && len != 0;
	if (rc == SQLITE_OK && event != 0) {
		q = query_begin(db, "DELETE FROM lesson WHERE event=?1");
		if (q.rc == SQLITE_OK)
			sqlite3_bind_int64(q.st, 1, event);
		rc = query_run(&q);
		if (rc == SQLITE_OK && !*ret_folded)
			rc = note_gone(db, event);
	}
	if (rc == SQLITE_OK && len == 0 && r->sample.len > 0 &&
	    r->sample.len <= LESSON_MAX_SAMPLE && all != LABEL_NONE) {
		free(sample);
		sample = lesson_pack(r->sample, &len);
		if (sample == NULL)
			rc = SQLITE_NOMEM;
	}
	/* a label by the verdict's id */
	if (rc == SQLITE_OK && len == 0 && r->sample.len == 0 &&
	    all != LABEL_NONE) {
		free(sample);
		sample = NULL;
		rc = sample_take(db, r->message, &sample, &len);
	}
	*ret_lesson |= len != 0 && all != LABEL_NONE;
	if (rc == SQLITE_OK && len != 0 && all != LABEL_NONE)
		rc = insert_lesson(db, &(struct row){ r->message,
			all == LABEL_SPAM, r->weight > 0 ? r->weight : 1, r->now,
			r->source, sample, len });
	free(sample);
	return rc;
}

int
lesson_is_auto(sqlite3 *db, const struct label_request *r, bool *ret_auto)
{
	struct query q = query_begin(db, "SELECT 1 FROM lesson"
	    " WHERE message=?1 AND source='" LABEL_AUTO "'");

	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, r->message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
	*ret_auto = query_row(&q);
	return query_end(&q);
}

bool
lesson_unpack(const unsigned char *p, size_t n, unsigned char *out,
    unsigned long *ret_len)
{
	if (p == NULL || n < 4)
		return false;
	*ret_len = (uLongf)p[0] | (uLongf)p[1] << 8 | (uLongf)p[2] << 16 |
	    (uLongf)p[3] << 24;
	return *ret_len <= LESSON_MAX_SAMPLE &&
	    uncompress(out, ret_len, p + 4, n - 4) == Z_OK;
}

int
store_lessons(struct store *s, int64_t after, store_lesson_fn *fn,
    void *context, struct error *err)
{
	unsigned char *out = malloc(LESSON_MAX_SAMPLE);
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
	    " WHERE event>?1 AND length(sample)>0 ORDER BY event");
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, after);
	while (result == 0 && query_row(&q)) {
		struct lesson l = {
			.event = sqlite3_column_int64(q.st, 0),
			.spam = sqlite3_column_int(q.st, 1) != 0,
			.weight = sqlite3_column_double(q.st, 2),
		};
		uLongf len;

		if (!lesson_unpack(sqlite3_column_blob(q.st, 3),
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

/* One row of numbers */
static int
ask(struct store *s, const char *sql, const int64_t *args, size_t arg_count,
    int64_t *ret, size_t count, struct error *err)
{
	struct reader *r;
	struct query q;
	int rc = reader_acquire(s, &r, err);

	if (rc != 0)
		return rc;
	q = query_begin(r->db, sql);
	for (size_t i = 0; i < arg_count && q.rc == SQLITE_OK; i++)
		q.rc = sqlite3_bind_int64(q.st, (int)i + 1, args[i]);
	if (query_row(&q))
		for (size_t i = 0; i < count; i++)
			ret[i] = sqlite3_column_int64(q.st, (int)i);
	return reader_release(s, r, query_end(&q), err);
}

int
store_lessons_state(struct store *s, struct lessons_state *ret_state,
    struct error *err)
{
	int64_t row[4] = { 0 };
	int rc = ask(s, "SELECT"
	    " (SELECT coalesce(min(event),0) FROM lesson_gone),"
	    " (SELECT coalesce(max(number),0) FROM lesson_gone),"
	    " (SELECT coalesce(max(event),0) FROM lesson),"
	    " (SELECT coalesce(max(event),0) FROM lesson_folded)", NULL, 0, row,
	    4, err);

	*ret_state = (struct lessons_state){ row[0], row[1], row[2], row[3] };
	return rc;
}

int
store_lessons_count(struct store *s, int64_t after, int64_t upto,
    int64_t *ret_count, struct error *err)
{
	const int64_t args[2] = { after, upto };

	*ret_count = 0;
	return ask(s, "SELECT count(*) FROM lesson WHERE event>?1 AND event<=?2"
	    " AND length(sample)>0", args, 2, ret_count, 1, err);
}

int
store_lessons_foldable(struct store *s, int64_t before, int64_t *ret_event,
    struct error *err)
{
	const int64_t args[2] = { before, LESSONS_MAX };

	*ret_event = 0;
	return ask(s, "SELECT max("
	    /* before the first that is young, or all */
	    "coalesce((SELECT min(event)-1 FROM lesson WHERE time>=?1 AND"
	    " length(sample)>0),(SELECT max(event) FROM lesson),0),"
	    "coalesce((SELECT event FROM lesson WHERE length(sample)>0"
	    " ORDER BY event DESC LIMIT 1 OFFSET ?2),0))", args, 2, ret_event, 1,
	    err);
}

/* Two statements that know one event */
static int
both(sqlite3 *db, const char *first, const char *second, int64_t event)
{
	struct query q = query_begin(db, first);
	int rc;

	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, event);
	rc = query_run(&q);
	if (rc != SQLITE_OK || second == NULL)
		return rc;
	q = query_begin(db, second);
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, event);
	return query_run(&q);
}

static int
settled_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	int rc = both(db, "DELETE FROM lesson_gone WHERE number<=?1", NULL,
	    *(int64_t *)context);

	(void)s;
	return rc == SQLITE_OK ? 0 : store_error(err, db, rc, "cannot note");
}

int
store_lessons_settled(struct store *s, int64_t settle, struct error *err)
{
	return store_call(s, settled_call, &settle, err);
}

static int
fold_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	int rc = both(db, "UPDATE lesson SET sample=x'' WHERE event<=?1 AND"
	    " length(sample)>0", "INSERT INTO lesson_folded VALUES(1,?1)"
	    " ON CONFLICT(one) DO UPDATE SET event=max(event,excluded.event)",
	    *(int64_t *)context);

	(void)s;
	return rc == SQLITE_OK ? 0 : store_error(err, db, rc, "cannot fold");
}

int
store_lessons_fold(struct store *s, int64_t event, struct error *err)
{
	return store_call(s, fold_call, &event, err);
}

static int
adopt_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	int64_t event = *(int64_t *)context;
	int rc = both(db, "UPDATE lesson SET event=event+?1",
	    "INSERT INTO lesson_folded VALUES(1,?1)"
	    " ON CONFLICT(one) DO UPDATE SET event=excluded.event", event);

	(void)s;
	/* AUTOINCREMENT's memory; a table without rows yet has none */
	if (rc == SQLITE_OK)
		rc = both(db, "DELETE FROM sqlite_sequence WHERE name='lesson' AND"
		    " ?1 IS NOT NULL", "INSERT INTO sqlite_sequence(name,seq)"
		    " SELECT 'lesson',coalesce((SELECT max(event) FROM lesson),?1)",
		    event);
	return rc == SQLITE_OK ? 0 : store_error(err, db, rc, "cannot adopt");
}

int
store_lessons_adopt(struct store *s, int64_t event, struct error *err)
{
	return store_call(s, adopt_call, &event, err);
}

/* What the filter teaches itself: the struct, its sample behind it. */
void
store_lesson_auto(struct store *s, const struct lesson_auto *lesson)
{
	struct lesson_auto copy = *lesson;
	unsigned char *sample;
	struct op *op;
	size_t len;

	if (s->mode != STORE_WRITE || lesson->sample.len == 0 ||
	    lesson->sample.len > LESSON_MAX_SAMPLE)
		return;
	sample = lesson_pack(lesson->sample, &len);
	op = sample != NULL ? op_new(OP_LESSON, sizeof(copy) + len) : NULL;
	if (op != NULL) {
		copy.sample = span_of(NULL, 0); /* the caller's, gone by then */
		memcpy(op->key, &copy, sizeof(copy));
		memcpy(op->key + sizeof(copy), sample, len);
		writer_queue(s, op);
	}
	free(sample);
}

/* The filter's own lessons of the last hour: cheap, and mostly the answer */
static int
within_hour(sqlite3 *db, const struct lesson_auto *l, bool *ret_within)
{
	struct query q = query_begin(db, "SELECT count(*) FROM lesson"
	    " WHERE source='" LABEL_AUTO "' AND time>?1");

	if (q.rc == SQLITE_OK)
		sqlite3_bind_int64(q.st, 1, l->now - 3600);
	*ret_within = query_row(&q) && (l->max_per_hour == 0 ||
		sqlite3_column_int64(q.st, 0) < l->max_per_hour);
	return query_end(&q);
}

/* Lessons of this class, people's and the filter's own, and of the other */
static int
within_bounds(sqlite3 *db, const struct lesson_auto *l, bool *ret_within)
{
	struct query q = query_begin(db, "SELECT"
	    " coalesce(sum(source<>'" LABEL_AUTO "' AND spam=?1),0),"
	    " coalesce(sum(source='" LABEL_AUTO "' AND spam=?1),0),"
	    " coalesce(sum(spam<>?1),0) FROM lesson");

	*ret_within = false;
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int(q.st, 1, l->spam);
	if (query_row(&q)) {
		double people = sqlite3_column_double(q.st, 0);
		double own = sqlite3_column_double(q.st, 1);
		double other = sqlite3_column_double(q.st, 2);

		*ret_within = own + 1 <= l->share * people &&
		    people + own + 1 <= l->balance * other;
	}
	return query_end(&q);
}

int
lesson_apply(struct writer *w, const struct op *op)
{
	struct lesson_auto l;
	struct query q;
	bool within = false;
	int rc;

	memcpy(&l, op->key, sizeof(l));
	/* a person has spoken of it, or it came twice */
	q = query_begin(w->db, "SELECT 1 FROM label WHERE message=?1"
	    " UNION ALL SELECT 1 FROM lesson WHERE message=?1");
	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, l.message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
	if (query_row(&q))
		return query_end(&q);
	rc = query_end(&q);
	if (rc == SQLITE_OK)
		rc = within_hour(w->db, &l, &within);
	if (rc == SQLITE_OK && within)
		rc = within_bounds(w->db, &l, &within);
	if (rc == SQLITE_OK && within) {
		rc = insert_lesson(w->db, &(struct row){ l.message, l.spam,
			l.weight, l.now, LABEL_AUTO,
			(const unsigned char *)op->key + sizeof(l),
			op->key_len - sizeof(l) });
		if (rc == SQLITE_OK)
			rc = learning_note(w->db, LABEL_AUTO, l.now);
	}
	return rc;
}
