#include <errno.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"

/* The letters stand in the database: never change one. */
static const struct {
	const char *name;
	char letter;
} kinds[IDENTITY_KINDS] = {
	[IDENTITY_DKIM_ALIGNED] = { "dkim", 'd' },
	[IDENTITY_DKIM] = { "dkim-other", 'o' },
	[IDENTITY_SPF] = { "spf", 's' },
	[IDENTITY_HELO] = { "helo", 'h' },
	[IDENTITY_ADDRESS] = { "address", 'a' },
	[IDENTITY_IP] = { "ip", 'i' },
	[IDENTITY_NET] = { "net", 'n' },
};

const char *
identity_kind_name(enum identity_kind k)
{
	return k < IDENTITY_KINDS ? kinds[k].name : "?";
}

/* 0: not a key that is kept (empty or too long) */
size_t
identity_store_key(struct store *s, const struct identity *id,
    char out[STORE_STORED_KEY])
{
	size_t n = strnlen(id->key, IDENTITY_KEY_BYTES);

	if (n == 0 || n >= IDENTITY_KEY_BYTES || id->kind >= IDENTITY_KINDS)
		return 0;
	out[0] = kinds[id->kind].letter;
	memcpy(out + 1, id->key, n);
	return identity_keyed(s, out, n + 1, out);
}

static bool
kind_of(char letter, enum identity_kind *ret_kind)
{
	for (int k = 0; k < IDENTITY_KINDS; k++)
		if (kinds[k].letter == letter) {
			*ret_kind = (enum identity_kind)k;
			return true;
		}
	return false;
}

int
reputation_apply(struct writer *w, const struct op *op,
    const struct counts *counts)
{
	unsigned char value[COUNTS_MAX_BYTES];
	size_t n = counts_encode(counts, value);
	int rc, again;

	sqlite3_bind_blob(w->reputation_put, 1, op->key, (int)op->key_len,
	    SQLITE_STATIC);
	sqlite3_bind_blob(w->reputation_put, 2, value, (int)n, SQLITE_STATIC);
	rc = sqlite3_step(w->reputation_put);
	again = sqlite3_reset(w->reputation_put);
	return rc == SQLITE_DONE ? SQLITE_OK : again != SQLITE_OK ? again : rc;
}

void
store_reputation_add(struct store *s, const struct identity *ids,
    size_t count, double ham, double spam, const char *author, int64_t now)
{
	uint64_t spread = author != NULL && author[0] != '\0' ?
	    spread_bit(author) : 0;

	if (s->mode != STORE_WRITE || !isfinite(ham) || !isfinite(spam) ||
	    ham < 0 || spam < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->clock = now;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < count; i++) {
		char key[STORE_STORED_KEY];
		size_t n = identity_store_key(s, &ids[i], key);
		struct op *op;

		if (n == 0 || (op = op_new(OP_REPUTATION, n)) == NULL)
			continue;
		memcpy(op->key, key, n);
		tally_add(&op->counts.seen, ham, spam, now);
		/* an address and a single client are one author by themselves */
		if (ids[i].kind != IDENTITY_ADDRESS)
			op->counts.spread = spread;
		writer_queue(s, op);
	}
}

static void
fill_row(struct reputation_row *row, const struct counts *c, int64_t now)
{
	struct counts_now n;

	counts_at(c, now, &n);
	row->ham = n.ham;
	row->spam = n.spam;
	row->recent_ham = n.recent_ham;
	row->recent_spam = n.recent_spam;
	row->spread = n.spread;
	row->last_seen = n.last_seen;
}

static int
get_rows(struct store *s, struct reader *r, const struct identity *ids, size_t count,
    int64_t now, struct reputation_row *rows)
{
	sqlite3_stmt *st = r->reputation_get;
	int rc;

	/* one snapshot for all, and the shared lock is taken once */
	rc = sqlite3_step(r->begin);
	sqlite3_reset(r->begin);
	if (rc != SQLITE_DONE)
		return rc;
	for (size_t i = 0; i < count; i++) {
		char key[STORE_STORED_KEY];
		size_t n = identity_store_key(s, &ids[i], key);
		struct counts c;

		if (n == 0)
			continue;
		sqlite3_bind_blob(st, 1, key, (int)n, SQLITE_STATIC);
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			counts_decode(sqlite3_column_blob(st, 0),
			    (size_t)sqlite3_column_bytes(st, 0), &c);
			if (!counts_expired(&c, now))
				fill_row(&rows[i], &c, now);
		}
		sqlite3_reset(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			break;
	}
	sqlite3_step(r->end);
	sqlite3_reset(r->end);
	return rc;
}

int
store_reputation_get(struct store *s, const struct identity *ids,
    size_t count, int64_t now, struct arena *a,
    struct reputation_row **ret_rows, struct error *err)
{
	struct reputation_row *rows = ARENA_ARRAY(a, count, struct reputation_row);
	struct reader *r;
	int rc;

	if (rows == NULL)
		return error_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		rows[i].kind = ids[i].kind;
		rows[i].key = arena_strdup(a, ids[i].key);
		if (rows[i].key == NULL)
			return error_set(err, -ENOMEM, "no memory");
	}
	rc = reader_acquire(s, &r, err);
	if (rc != 0)
		return rc;
	rc = get_rows(s, r, ids, count, now, rows);
	rc = reader_release(s, r, rc, err);
	if (rc == 0)
		*ret_rows = rows;
	return rc;
}

/* The newest rows so far, in a heap whose root is the oldest of them */
struct newest {
	struct reputation_row *rows;
	size_t count, limit;
};

static bool
older(const struct reputation_row *a, const struct reputation_row *b)
{
	if (a->last_seen != b->last_seen)
		return a->last_seen < b->last_seen;
	return a->kind != b->kind ? a->kind > b->kind : strcmp(a->key, b->key) > 0;
}

static void
sift(struct newest *h, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1;

		for (size_t k = l; k < l + 2 && k < h->count; k++)
			if (older(&h->rows[k], &h->rows[least]))
				least = k;
		if (least == i)
			return;
		struct reputation_row t = h->rows[i];
		h->rows[i] = h->rows[least];
		h->rows[least] = t;
		i = least;
	}
}

static int
newest_add(struct newest *h, const struct reputation_row *row)
{
	struct reputation_row copy = *row;

	if (h->count == h->limit && !older(&h->rows[0], row))
		return 0;
	copy.key = strdup(row->key);
	if (copy.key == NULL)
		return -ENOMEM;
	if (h->count == h->limit) {
		free((char *)h->rows[0].key);
		h->rows[0] = copy;
		sift(h, 0);
		return 0;
	}
	h->rows[h->count++] = copy;
	for (size_t i = h->count - 1; i > 0 &&
	    older(&h->rows[i], &h->rows[(i - 1) / 2]); i = (i - 1) / 2) {
		struct reputation_row t = h->rows[i];

		h->rows[i] = h->rows[(i - 1) / 2];
		h->rows[(i - 1) / 2] = t;
	}
	return 0;
}

static int
newest_compare(const void *a, const void *b)
{
	return older(a, b) ? 1 : older(b, a) ? -1 : 0;
}

/* One stretch of the table behind cursor. *ret_more: there is another. */
static int
scan_stretch(struct reader *r, char *cursor, size_t *cursor_len,
    const char *pattern, int64_t now, struct newest *h, bool *ret_more,
    bool *ret_no_memory)
{
	enum { STRETCH = 4096 };
	sqlite3_stmt *st = r->reputation_scan;
	int rc, seen = 0;

	sqlite3_bind_blob(st, 1, cursor, (int)*cursor_len, SQLITE_TRANSIENT);
	sqlite3_bind_int(st, 2, STRETCH);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *key = sqlite3_column_blob(st, 0);
		size_t n = (size_t)sqlite3_column_bytes(st, 0);
		char text[STORE_STORED_KEY + 16];
		struct reputation_row row = { 0 };
		struct counts c;

		seen++;
		if (n == 0 || n >= STORE_STORED_KEY)
			continue;
		memcpy(cursor, key, n);
		*cursor_len = n;
		if (!kind_of(key[0], &row.kind))
			continue;
		snprintf(text, sizeof(text), "%s:%.*s", kinds[row.kind].name,
		    (int)n - 1, key + 1);
		if (pattern != NULL && strstr(text, pattern) == NULL)
			continue;
		row.key = text + strlen(kinds[row.kind].name) + 1;
		counts_decode(sqlite3_column_blob(st, 1),
		    (size_t)sqlite3_column_bytes(st, 1), &c);
		if (counts_expired(&c, now))
			continue;
		fill_row(&row, &c, now);
		if (newest_add(h, &row) != 0) {
			*ret_no_memory = true;
			rc = SQLITE_DONE;
			break;
		}
	}
	sqlite3_reset(st);
	*ret_more = rc == SQLITE_DONE && seen == STRETCH && !*ret_no_memory;
	return rc;
}

int
store_reputation_list(struct store *s, const char *pattern, size_t limit,
    int64_t now, store_reputation_fn *fn, void *context, struct error *err)
{
	enum { MAX_LIMIT = 100000, DEFAULT_LIMIT = 1000 };
	struct newest h = { .limit = limit == 0 ? DEFAULT_LIMIT :
	    limit > MAX_LIMIT ? MAX_LIMIT : limit };
	char cursor[STORE_STORED_KEY] = "";
	size_t cursor_len = 0;
	bool more = true, no_memory = false;
	int rc = 0;

	h.rows = calloc(h.limit, sizeof(h.rows[0]));
	if (h.rows == NULL)
		return error_set(err, -ENOMEM, "no memory");
	/* in stretches, so that a long list does not keep the WAL growing */
	while (more && rc == 0) {
		struct reader *r;

		rc = reader_acquire(s, &r, err);
		if (rc != 0)
			break;
		rc = reader_release(s, r, scan_stretch(r, cursor, &cursor_len,
		    pattern, now, &h, &more, &no_memory), err);
		if (no_memory)
			rc = error_set(err, -ENOMEM, "no memory");
	}
	qsort(h.rows, h.count, sizeof(h.rows[0]), newest_compare);
	for (size_t i = 0; i < h.count; i++) {
		if (rc == 0)
			rc = fn(context, &h.rows[i]);
		free((char *)h.rows[i].key);
	}
	free(h.rows);
	return rc;
}
