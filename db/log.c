#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "db/internal.h"
#include "db/labels.h"
#include "db/lesson.h"

static const char columns[] =
    "id,time,action,score,mail_from,queue_id,message,ham,spam,bytes,record";

void
store_log_limit(struct store *s, int64_t age_sec, int64_t size_bytes)
{
	pthread_mutex_lock(&s->lock);
	s->log_age = age_sec;
	s->log_size = size_bytes;
	pthread_mutex_unlock(&s->lock);
}

/* One allocation that holds everything the writer binds. */
struct log_op {
	struct op op;
	double score, ham, spam;
	int action;
	const char *id, *mail_from, *queue_id;
	unsigned char message[MESSAGE_IDENTITY_BYTES];
	unsigned char *identities, *record, *addresses;
	size_t identities_len, record_len, address_count;
	unsigned char data[];
};

static char *
put_string(unsigned char **at, const char *s)
{
	char *copy = (char *)*at;
	size_t n = strlen(s) + 1;

	memcpy(copy, s, n);
	*at += n;
	return copy;
}

/* zlib's bound for any window and memory level */
static size_t
deflate_room(size_t n)
{
	return n + n / 8 + n / 64 + 64;
}

/* A record has a few kilobytes: with a window of that size the compressor
 * needs 40 kB of scratch instead of 270, which cost more than the deflating. */
static bool
deflate_record(struct span record, unsigned char *out, size_t *len)
{
	enum { FASTEST = 1, WINDOW_BITS = 12, MEMORY_LEVEL = 5 };
	z_stream z = { .next_in = (Bytef *)(uintptr_t)record.ptr,
		.avail_in = (uInt)record.len,
		.next_out = out,
		.avail_out = (uInt)*len };
	bool done;

	if (deflateInit2(&z, FASTEST, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	done = deflate(&z, Z_FINISH) == Z_STREAM_END;
	*len = z.total_out;
	deflateEnd(&z);
	return done;
}

void
store_log_put(struct store *s, const struct log_entry *e)
{
	size_t addresses = e->address_count < LOG_MAX_ADDRESSES ?
	    e->address_count : LOG_MAX_ADDRESSES;
	struct span record = e->record.len <= LOG_MAX_RECORD ? e->record :
	    SPAN_LIT("{}");
	size_t deflated = deflate_room(record.len);
	char word[STORE_WORD_BYTES];
	const char *from = e->mail_from != NULL ? e->mail_from : "";
	const char *queue_id = e->queue_id != NULL ? e->queue_id : "";
	struct log_op *l;
	unsigned char *at;

	if (s->mode != STORE_WRITE || e->id == NULL || e->id[0] == '\0')
		return;
	if (e->keyed && from[0] != '\0') {
		store_address_word(s, from, word);
		from = word;
	}
	/* deflated length first: the record is 4 bytes of its inflated length
	 * and then what zlib made of it */
	l = calloc(1, sizeof(*l) + strlen(e->id) + strlen(from) +
	    strlen(queue_id) + 3 + e->id_count * (STORE_STORED_KEY + 1) +
	    addresses * ADDRESS_KEY_BYTES + 4 + deflated);
	if (l == NULL)
		return;
	at = l->data;
	l->op.kind = OP_LOG;
	l->op.now = e->time;
	l->score = e->score;
	l->ham = e->ham;
	l->spam = e->spam;
	l->action = e->action;
	memcpy(l->message, e->message, sizeof(l->message));
	l->id = put_string(&at, e->id);
	l->mail_from = put_string(&at, from);
	l->queue_id = put_string(&at, queue_id);
	l->identities = at;
	for (size_t i = 0; i < e->id_count; i++) {
		char key[STORE_STORED_KEY];
		size_t n = identity_store_key(s, &e->ids[i], key);

		/* an address would stand here in plain sight */
		if (n == 0 || (e->keyed && e->ids[i].kind == IDENTITY_ADDRESS &&
		    !atomic_load(&s->keyed)))
			continue;
		memcpy(at, key, n);
		at[n] = '\0';
		at += n + 1;
	}
	l->identities_len = (size_t)(at - l->identities);
	l->addresses = at;
	for (size_t i = 0; i < addresses; i++, at += ADDRESS_KEY_BYTES)
		secret_hash(s, e->addresses[i], at);
	l->address_count = addresses;
	l->record = at;
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(record.len >> (8 * i));
	if (!deflate_record(record, at + 4, &deflated)) {
		free(l);
		return;
	}
	l->record_len = 4 + deflated;
	pthread_mutex_lock(&s->lock);
	s->clock = e->time;
	pthread_mutex_unlock(&s->lock);
	writer_queue(s, &l->op);
}

static int
put_addresses(struct writer *w, const struct log_op *l, sqlite3_int64 number)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < l->address_count && rc == SQLITE_OK; i++) {
		sqlite3_bind_blob(w->log_address_put, 1,
		    l->addresses + i * ADDRESS_KEY_BYTES, ADDRESS_KEY_BYTES,
		    SQLITE_STATIC);
		sqlite3_bind_int64(w->log_address_put, 2, number);
		rc = writer_step(w->log_address_put);
	}
	return rc;
}

int
log_apply(struct writer *w, const struct op *op)
{
	const struct log_op *l = (const struct log_op *)op;
	sqlite3_stmt *st = w->log_put;
	/* the row, its two index entries and its addresses, about */
	int64_t bytes = (int64_t)(l->record_len + l->identities_len + 160 +
	    l->address_count * 40);
	int rc;

	sqlite3_bind_text(st, 1, l->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, op->now);
	sqlite3_bind_int(st, 3, l->action);
	sqlite3_bind_double(st, 4, l->score);
	sqlite3_bind_text(st, 5, l->mail_from, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, l->queue_id, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 7, l->message, sizeof(l->message), SQLITE_STATIC);
	sqlite3_bind_blob(st, 8, l->identities, (int)l->identities_len,
	    SQLITE_STATIC);
	sqlite3_bind_double(st, 9, l->ham);
	sqlite3_bind_double(st, 10, l->spam);
	sqlite3_bind_int64(st, 11, bytes);
	sqlite3_bind_blob(st, 12, l->record, (int)l->record_len, SQLITE_STATIC);
	rc = writer_step(st);
	if (rc != SQLITE_OK || sqlite3_changes(w->db) == 0)
		return rc;
	if (w->log_counted)
		w->log_bytes += bytes;
	return put_addresses(w, l, sqlite3_last_insert_rowid(w->db));
}

static int
inflate_record(struct arena *a, const unsigned char *p, size_t n,
    struct span *ret_record)
{
	uLongf len;
	char *out;

	*ret_record = SPAN_LIT("{}");
	if (n < 4)
		return 0;
	len = (uLongf)p[0] | (uLongf)p[1] << 8 | (uLongf)p[2] << 16 |
	    (uLongf)p[3] << 24;
	if (len > LOG_MAX_RECORD)
		return 0;
	out = arena_bytes(a, len + 1);
	if (out == NULL)
		return -ENOMEM;
	if (uncompress((Bytef *)out, &len, p + 4, n - 4) != Z_OK)
		return 0;
	out[len] = '\0';
	*ret_record = span_of(out, len);
	return 0;
}

static const char *
column_string(struct arena *a, sqlite3_stmt *st, int column)
{
	return arena_memdup(a, sqlite3_column_text(st, column),
	    (size_t)sqlite3_column_bytes(st, column));
}

static int
read_entry(struct arena *a, sqlite3_stmt *st, struct log_entry *e)
{
	const void *message;

	memset(e, 0, sizeof(*e));
	e->id = column_string(a, st, 0);
	e->time = sqlite3_column_int64(st, 1);
	e->action = sqlite3_column_int(st, 2);
	e->score = sqlite3_column_double(st, 3);
	e->mail_from = column_string(a, st, 4);
	e->queue_id = column_string(a, st, 5);
	message = sqlite3_column_blob(st, 6);
	if (message != NULL &&
	    sqlite3_column_bytes(st, 6) == MESSAGE_IDENTITY_BYTES)
		memcpy(e->message, message, MESSAGE_IDENTITY_BYTES);
	e->ham = sqlite3_column_double(st, 7);
	e->spam = sqlite3_column_double(st, 8);
	e->keyed = e->mail_from != NULL && strncmp(e->mail_from, "key:", 4) == 0;
	if (e->id == NULL || e->mail_from == NULL || e->queue_id == NULL)
		return -ENOMEM;
	return inflate_record(a, sqlite3_column_blob(st, 10),
	    (size_t)sqlite3_column_bytes(st, 10), &e->record);
}

int
store_log_get(struct store *s, const char *id, struct arena *a,
    struct log_entry *ret_entry, struct error *err)
{
	struct reader *r;
	sqlite3_stmt *st = NULL;
	char sql[256];
	int code, rc = reader_acquire(s, &r, err);

	if (rc != 0)
		return rc;
	snprintf(sql, sizeof(sql), "SELECT %s FROM verdict WHERE id=?1", columns);
	code = sqlite3_prepare_v2(r->db, sql, -1, &st, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
		code = sqlite3_step(st);
		if (code == SQLITE_ROW)
			rc = read_entry(a, st, ret_entry);
		else if (code == SQLITE_DONE)
			rc = -ENOENT;
	}
	sqlite3_finalize(st);
	code = reader_release(s, r, code, err);
	if (code != 0)
		return code;
	if (rc == -ENOENT)
		return error_set(err, rc, "no verdict \"%s\" in the log", id);
	return rc == 0 ? 0 : error_set(err, rc, "no memory");
}

static int
search_entries(sqlite3_stmt *st, store_log_fn *fn, void *context,
    int *ret_code, struct error *err)
{
	struct arena *a = arena_new(8 << 20);
	struct log_entry e;
	int rc = a != NULL ? 0 : error_set(err, -ENOMEM, "no memory");

	while (rc == 0 && (*ret_code = sqlite3_step(st)) == SQLITE_ROW) {
		arena_reset(a);
		rc = read_entry(a, st, &e);
		if (rc != 0)
			error_set(err, rc, "no memory");
		else
			rc = fn(context, &e);
	}
	arena_free(a);
	return rc;
}

int
store_log_search(struct store *s, const struct log_query *q,
    store_log_fn *fn, void *context, struct error *err)
{
	char sql[512], word[STORE_WORD_BYTES];
	struct reader *r;
	sqlite3_stmt *st = NULL;
	int code, rc = reader_acquire(s, &r, err), released;

	if (rc != 0)
		return rc;
	snprintf(sql, sizeof(sql), "SELECT %s FROM verdict"
	    " WHERE time BETWEEN ?1 AND ?2 AND (?3<0 OR action=?3)"
	    " AND (?4 IS NULL OR mail_from=?4 COLLATE NOCASE OR mail_from=?5)"
	    " ORDER BY time DESC,number DESC LIMIT ?6", columns);
	code = sqlite3_prepare_v2(r->db, sql, -1, &st, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, q->since);
		sqlite3_bind_int64(st, 2, q->until != 0 ? q->until : INT64_MAX);
		sqlite3_bind_int(st, 3, q->action);
		if (q->from != NULL) {
			store_address_word(s, q->from, word);
			sqlite3_bind_text(st, 4, q->from, -1, SQLITE_STATIC);
			sqlite3_bind_text(st, 5, word, -1, SQLITE_STATIC);
		}
		sqlite3_bind_int64(st, 6, q->limit != 0 ? (int64_t)q->limit : 1000);
		rc = search_entries(st, fn, context, &code, err);
	}
	sqlite3_finalize(st);
	released = reader_release(s, r, code, rc == 0 ? err : NULL);
	return rc != 0 ? rc : released;
}

static int
labelled_entries(sqlite3_stmt *st, store_labelled_fn *fn, void *context,
    int *ret_code, struct error *err)
{
	unsigned char *sample = malloc(LESSON_MAX_SAMPLE);
	struct arena *a = arena_new(8 << 20);
	int rc = a != NULL && sample != NULL ? 0 :
	    error_set(err, -ENOMEM, "no memory");

	while (rc == 0 && (*ret_code = sqlite3_step(st)) == SQLITE_ROW) {
		struct labelled l = { .sample = { NULL, 0 } };
		int balance = sqlite3_column_int(st, 11);
		unsigned long n;

		arena_reset(a);
		rc = read_entry(a, st, &l.entry);
		if (rc != 0) {
			error_set(err, rc, "no memory");
			break;
		}
		l.spam = balance > 0 ||
		    (balance == 0 && sqlite3_column_int(st, 12) != 0);
		if (lesson_unpack(sqlite3_column_blob(st, 13),
			(size_t)sqlite3_column_bytes(st, 13), sample, &n))
			l.sample = span_of((const char *)sample, n);
		rc = fn(context, &l);
	}
	arena_free(a);
	free(sample);
	return rc;
}

int
store_labelled(struct store *s, int64_t since, store_labelled_fn *fn,
    void *context, struct error *err)
{
	struct reader *r;
	sqlite3_stmt *st = NULL;
	char sql[768];
	int code, rc = reader_acquire(s, &r, err), released;

	if (rc != 0)
		return rc;
	/* the majority, and the last who spoke where there is none */
	snprintf(sql, sizeof(sql), "SELECT %s,"
	    "(SELECT sum(2*(spam!=0)-1) FROM label WHERE message=v.message),"
	    "(SELECT spam FROM label WHERE message=v.message"
	    " ORDER BY time DESC,user DESC LIMIT 1),"
	    "(SELECT sample FROM lesson WHERE message=v.message)"
	    " FROM verdict v WHERE time>=?1 AND EXISTS"
	    " (SELECT 1 FROM label WHERE message=v.message)"
	    " ORDER BY time,number", columns);
	code = sqlite3_prepare_v2(r->db, sql, -1, &st, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, since);
		rc = labelled_entries(st, fn, context, &code, err);
	}
	sqlite3_finalize(st);
	released = reader_release(s, r, code, rc == 0 ? err : NULL);
	return rc != 0 ? rc : released;
}

struct erasure {
	unsigned char address[ADDRESS_KEY_BYTES];
	size_t count;
};

static int
erase(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct erasure *e = context;
	/* the freed bytes are overwritten, and the log of writes emptied */
	static const char *const statements[] = {
		"DELETE FROM message_sample WHERE message IN"
		" (SELECT v.message FROM verdict v JOIN verdict_address a"
		" ON a.number=v.number WHERE a.address=?1)",
		"DELETE FROM shadow WHERE verdict IN"
		" (SELECT number FROM verdict_address WHERE address=?1)",
		"DELETE FROM verdict WHERE number IN"
		" (SELECT number FROM verdict_address WHERE address=?1)",
		"DELETE FROM verdict_address WHERE number IN"
		" (SELECT number FROM verdict_address WHERE address=?1)",
	};

	sqlite3_exec(db, "PRAGMA secure_delete=1", NULL, NULL, NULL);
	for (int i = 0; i < 4; i++) {
		sqlite3_stmt *st = NULL;
		int rc = sqlite3_prepare_v2(db, statements[i], -1, &st, NULL);

		if (rc == SQLITE_OK) {
			sqlite3_bind_blob(st, 1, e->address, sizeof(e->address),
			    SQLITE_STATIC);
			rc = writer_step(st);
		}
		sqlite3_finalize(st);
		if (rc != SQLITE_OK)
			return store_error(err, db, rc, "cannot erase");
		if (i == 2)
			e->count = (size_t)sqlite3_changes(db);
	}
	sqlite3_exec(db, "PRAGMA secure_delete=0", NULL, NULL, NULL);
	s->writer.wants_truncate = true;
	s->writer.log_counted = false;
	return 0;
}

int
store_log_erase(struct store *s, const char *address, size_t *ret_count,
    struct error *err)
{
	struct erasure e = { .count = 0 };
	int rc;

	secret_hash(s, address, e.address);
	rc = store_call(s, erase, &e, err);
	if (rc == 0)
		*ret_count = e.count;
	return rc;
}

/* Deletes the oldest entries that are too old or too much, some at a time. */
int
log_expire(struct writer *w, int64_t now, int64_t age, int64_t size)
{
	enum { AT_A_TIME = 500 };
	static const char *const deletions[] = {
		"DELETE FROM verdict WHERE number=?1",
		"DELETE FROM verdict_address WHERE number=?1",
		"DELETE FROM shadow WHERE verdict=?1",
	};
	enum { DELETIONS = sizeof(deletions) / sizeof(deletions[0]) };
	sqlite3_stmt *st = NULL, *del[DELETIONS] = { NULL };
	int rc;

	if (!w->log_counted) {
		/* counted once, then kept up by hand */
		rc = sqlite3_prepare_v2(w->db,
		    "SELECT coalesce(sum(bytes),0) FROM verdict", -1, &st, NULL);
		if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
			w->log_bytes = sqlite3_column_int64(st, 0);
			w->log_counted = true;
			rc = SQLITE_OK;
		}
		sqlite3_finalize(st);
		if (rc != SQLITE_OK)
			return rc;
	}
	rc = sqlite3_prepare_v2(w->db, "SELECT number,time,bytes FROM verdict"
	    " ORDER BY time,number LIMIT ?1", -1, &st, NULL);
	for (int i = 0; rc == SQLITE_OK && i < DELETIONS; i++)
		rc = sqlite3_prepare_v2(w->db, deletions[i], -1, &del[i], NULL);
	if (rc == SQLITE_OK)
		sqlite3_bind_int(st, 1, AT_A_TIME);
	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t bytes = sqlite3_column_int64(st, 2);

		rc = SQLITE_OK;
		if ((age <= 0 || sqlite3_column_int64(st, 1) >= now - age) &&
		    (size <= 0 || w->log_bytes <= size))
			break;
		for (int i = 0; rc == SQLITE_OK && i < DELETIONS; i++) {
			sqlite3_bind_int64(del[i], 1, sqlite3_column_int64(st, 0));
			rc = writer_step(del[i]);
		}
		w->log_bytes -= bytes;
	}
	sqlite3_finalize(st);
	for (int i = 0; i < DELETIONS; i++)
		sqlite3_finalize(del[i]);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}
