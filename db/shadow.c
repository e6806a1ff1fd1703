#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"
#include "db/query.h"
#include "db/shadow.h"

enum { MAX_SAID = 64, HASH_TEXT = 65 };

struct said {
	char hash[HASH_TEXT];
	int judged, action;
	double score;
	size_t name; /* where it stands in the operation's text */
};

struct shadow_op {
	struct op op;
	size_t count;
	const char *id, *text;
	struct said said[];
};

void
store_shadow_put(struct store *s, const char *verdict_id,
    const struct shadow_said *said, size_t count, int64_t now)
{
	size_t text = strlen(verdict_id) + 1, head;
	struct shadow_op *o;
	char *at;

	if (s->mode != STORE_WRITE || count == 0 || count > MAX_SAID)
		return;
	for (size_t i = 0; i < count; i++)
		text += strlen(said[i].set) + 1;
	head = sizeof(*o) + count * sizeof(o->said[0]);
	o = calloc(1, head + text);
	if (o == NULL)
		return;
	at = (char *)o + head;
	o->op.kind = OP_SHADOW;
	o->op.now = now;
	o->count = count;
	o->id = o->text = at;
	memcpy(at, verdict_id, strlen(verdict_id) + 1);
	at += strlen(verdict_id) + 1;
	for (size_t i = 0; i < count; i++) {
		struct said *d = &o->said[i];

		d->judged = said[i].judged;
		d->action = said[i].action;
		d->score = said[i].score;
		d->name = (size_t)(at - o->text);
		memcpy(at, said[i].set, strlen(said[i].set) + 1);
		at += strlen(said[i].set) + 1;
		strncpy(d->hash, said[i].hash, HASH_TEXT - 1);
	}
	writer_queue(s, &o->op);
}

static int
put_said(struct writer *w, const struct shadow_op *o, const struct said *d)
{
	sqlite3_stmt *st = w->shadow_put;

	sqlite3_bind_text(st, 1, o->id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, o->text + d->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, d->hash, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 4, d->judged);
	sqlite3_bind_int(st, 5, d->action);
	sqlite3_bind_double(st, 6, d->score);
	return writer_step(st);
}

int
shadow_apply(struct writer *w, const struct op *op)
{
	const struct shadow_op *o = (const struct shadow_op *)op;
	sqlite3_stmt *st = w->shadow_set_put;
	int rc = SQLITE_OK;

	for (size_t i = 0; i < o->count && rc == SQLITE_OK; i++) {
		rc = put_said(w, o, &o->said[i]);
		if (rc != SQLITE_OK || sqlite3_changes(w->db) != 0)
			continue;
		/* a set that is new, or a verdict that was not kept */
		sqlite3_bind_text(st, 1, o->text + o->said[i].name, -1,
		    SQLITE_STATIC);
		sqlite3_bind_text(st, 2, o->said[i].hash, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 3, op->now);
		rc = writer_step(st);
		if (rc == SQLITE_OK)
			rc = put_said(w, o, &o->said[i]);
	}
	return rc;
}

/* What all users together say: as db/label.c, the majority, and the last who
 * spoke where there is none. 0, or enum label_class. */
#define LABEL_SQL "coalesce((SELECT CASE WHEN sum(2*l.spam-1)>0 THEN 2" \
    " WHEN sum(2*l.spam-1)<0 THEN 1 ELSE (SELECT 1+m.spam FROM label m" \
    " WHERE m.message=v.message ORDER BY m.time DESC,m.user DESC LIMIT 1)" \
    " END FROM label l WHERE l.message=v.message),0)"

/* ?1 set, ?2 hash, ?3 since, ?4 until */
#define FROM_SQL " FROM verdict v JOIN shadow x ON x.verdict=v.number" \
    " JOIN shadow_set s ON s.number=x.shadow_set" \
    " WHERE (?1 IS NULL OR s.name=?1) AND (?2 IS NULL OR s.hash=?2)" \
    " AND v.time BETWEEN ?3 AND ?4"

static const char *
text_of(sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	return text != NULL ? (const char *)text : "";
}

static enum label_class
label_of(int value)
{
	return value == LABEL_SPAM || value == LABEL_HAM ?
	    (enum label_class)value : LABEL_NONE;
}

/* One of the two questions; `read` calls fn for each row. */
struct asking {
	const char *sql;
	const struct shadow_query *query;
	int (*read)(const struct asking *a, sqlite3_stmt *st);
	store_shadow_fn *row;
	store_shadow_count_fn *count;
	void *context;
};

static int
ask(struct store *s, const struct asking *a, struct error *err)
{
	const struct shadow_query *q = a->query;
	struct reader *r;
	struct query query;
	int rc = reader_acquire(s, &r, err), released;

	if (rc != 0)
		return rc;
	query = query_begin(r->db, a->sql);
	if (query.rc == SQLITE_OK) {
		sqlite3_bind_text(query.st, 1, q->set, -1, SQLITE_STATIC);
		sqlite3_bind_text(query.st, 2, q->hash, -1, SQLITE_STATIC);
		sqlite3_bind_int64(query.st, 3, q->since);
		sqlite3_bind_int64(query.st, 4,
		    q->until != 0 ? q->until : INT64_MAX);
		/* not in the statement that counts, which does not mind */
		sqlite3_bind_int(query.st, 5, q->differing);
		sqlite3_bind_int(query.st, 6, q->labelled);
		sqlite3_bind_int64(query.st, 7,
		    q->limit != 0 ? (int64_t)q->limit : 1000);
	}
	while (rc == 0 && query_row(&query))
		rc = a->read(a, query.st);
	released = reader_release(s, r, query_end(&query), rc == 0 ? err : NULL);
	return rc != 0 ? rc : released;
}

static int
read_row(const struct asking *a, sqlite3_stmt *st)
{
	const void *message = sqlite3_column_blob(st, 7);
	struct shadow_row row = {
		.said = { text_of(st, 0), text_of(st, 1),
		    sqlite3_column_int(st, 2), sqlite3_column_int(st, 3),
		    sqlite3_column_double(st, 4) },
		.id = text_of(st, 5),
		.mail_from = text_of(st, 6),
		.time = sqlite3_column_int64(st, 8),
		.score = sqlite3_column_double(st, 9),
		.label = label_of(sqlite3_column_int(st, 10)),
	};

	if (message != NULL &&
	    sqlite3_column_bytes(st, 7) == MESSAGE_IDENTITY_BYTES)
		memcpy(row.message, message, MESSAGE_IDENTITY_BYTES);
	return a->row(a->context, &row);
}

int
store_shadow_search(struct store *s, const struct shadow_query *q,
    store_shadow_fn *fn, void *context, struct error *err)
{
	static const char sql[] = "SELECT s.name,s.hash,x.judged,x.action,"
	    "x.score,v.id,v.mail_from,v.message,v.time,v.score," LABEL_SQL
	    FROM_SQL " AND (?5=0 OR x.judged<>x.action)"
	    " AND (?6=0 OR EXISTS(SELECT 1 FROM label WHERE message=v.message))"
	    " ORDER BY v.time DESC,v.number DESC,s.number LIMIT ?7";
	const struct asking a = { .sql = sql, .query = q, .read = read_row,
		.row = fn, .context = context };

	return ask(s, &a, err);
}

static int
read_count(const struct asking *a, sqlite3_stmt *st)
{
	const struct shadow_count c = {
		.set = text_of(st, 0),
		.hash = text_of(st, 1),
		.judged = sqlite3_column_int(st, 2),
		.action = sqlite3_column_int(st, 3),
		.label = label_of(sqlite3_column_int(st, 4)),
		.count = sqlite3_column_int64(st, 5),
		.first = sqlite3_column_int64(st, 6),
		.last = sqlite3_column_int64(st, 7),
	};

	return a->count(a->context, &c);
}

int
store_shadow_counts(struct store *s, const struct shadow_query *q,
    store_shadow_count_fn *fn, void *context, struct error *err)
{
	static const char sql[] = "SELECT s.name,s.hash,x.judged,x.action,"
	    LABEL_SQL " AS label,count(*),min(v.time),max(v.time)" FROM_SQL
	    " GROUP BY 1,2,3,4,5 ORDER BY s.name,s.hash,3,4,5";
	const struct asking a = { .sql = sql, .query = q, .read = read_count,
		.count = fn, .context = context };

	return ask(s, &a, err);
}
