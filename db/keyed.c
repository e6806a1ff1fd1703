/* keyed - mail addresses among the identities as keyed hashes, so that a copy
 * of the database tells nobody's address. The file itself says whether that
 * is so (application_id), since command and daemon must agree on it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"
#include "db/log.h"
#include "db/query.h"

/* "SSK1"; any other: addresses stand there as they are */
enum { KEYED_ID = 0x53534B31, KEYED_STEP = 1000 };

/* Identities of kind 'a' that are not "akey:..." */
#define PLAIN "(identity > X'61' AND identity < X'616B65793A') OR " \
	"(identity >= X'616B65793B' AND identity < X'62')"
static const char plain_sql[] = "SELECT identity FROM reputation WHERE " PLAIN
    " UNION SELECT identity FROM label_identity WHERE " PLAIN " LIMIT ?1";

size_t
identity_keyed(struct store *s, const char *stored, size_t n,
    char out[STORE_STORED_KEY])
{
	char word[STORE_WORD_BYTES], text[STORE_STORED_KEY + 1];

	if (stored != out)
		memcpy(out, stored, n);
	if (!atomic_load(&s->keyed) || n < 2 || n > STORE_STORED_KEY ||
	    out[0] != 'a' || (n > 5 && memcmp(out + 1, "key:", 4) == 0))
		return n;
	memcpy(text, out + 1, n - 1);
	text[n - 1] = '\0';
	store_address_word(s, text, word);
	memcpy(out + 1, word, strlen(word));
	return strlen(word) + 1;
}

void
keyed_read(struct store *s, sqlite3 *db)
{
	struct query q = query_begin(db, "PRAGMA application_id");

	if (query_row(&q))
		atomic_store(&s->keyed, sqlite3_column_int(q.st, 0) == KEYED_ID);
	query_end(&q);
}

int
keyed_write(struct store *s, sqlite3 *db)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA application_id=%d",
	    atomic_load(&s->keyed) ? KEYED_ID : 0);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* One statement of the conversion: ?1 the new key, ?2 the old one, which is
 * all that a deletion wants. */
static int
convert(sqlite3 *db, const char *sql, const char *to, size_t to_len,
    const char *from, size_t from_len)
{
	struct query q = query_begin(db, sql);

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, to, (int)to_len, SQLITE_STATIC);
		sqlite3_bind_blob(q.st, 2, from, (int)from_len, SQLITE_STATIC);
	}
	query_row(&q);
	return query_end(&q);
}

struct conversion {
	bool done;
};

static int
convert_step(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct conversion *c = context;
	struct query q;
	int rc = keyed_write(s, db);
	size_t n = 0;
	struct {
		char key[STORE_STORED_KEY];
		size_t len;
	} *rows = NULL;

	c->done = true;
	if (rc != SQLITE_OK || !atomic_load(&s->keyed))
		return rc == SQLITE_OK ? 0 :
		    store_error(err, db, rc, "cannot key addresses");
	rows = calloc(KEYED_STEP, sizeof(*rows));
	if (rows == NULL)
		return error_set(err, -ENOMEM, "no memory");
	/* what is deleted must not be left in free pages */
	sqlite3_exec(db, "PRAGMA secure_delete=1", NULL, NULL, NULL);
	q = query_begin(db, plain_sql);
	if (q.rc == SQLITE_OK)
		sqlite3_bind_int(q.st, 1, KEYED_STEP);
	while (n < KEYED_STEP && query_row(&q)) {
		size_t len = (size_t)sqlite3_column_bytes(q.st, 0);

		if (len > STORE_STORED_KEY)
			len = STORE_STORED_KEY;
		rows[n].len = len;
		memcpy(rows[n++].key, sqlite3_column_blob(q.st, 0), len);
	}
	rc = query_end(&q);
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
		char to[STORE_STORED_KEY];
		size_t len = identity_keyed(s, rows[i].key, rows[i].len, to);

		rc = convert(db, "INSERT INTO reputation (identity, counts) "
		    "SELECT ?1, counts FROM reputation WHERE identity=?2 "
		    "ON CONFLICT (identity) DO UPDATE SET "
		    "counts=merge_counts(counts, excluded.counts)", to, len,
		    rows[i].key, rows[i].len);
		if (rc == SQLITE_OK)
			rc = convert(db, "UPDATE OR REPLACE label_identity SET "
			    "identity=?1 WHERE identity=?2", to, len, rows[i].key,
			    rows[i].len);
		if (rc == SQLITE_OK)
			rc = convert(db, "DELETE FROM reputation WHERE "
			    "identity=?2", to, len, rows[i].key, rows[i].len);
	}
	sqlite3_exec(db, "PRAGMA secure_delete=0", NULL, NULL, NULL);
	free(rows);
	s->writer.wants_truncate |= n > 0;
	c->done = n < KEYED_STEP;
	return rc == SQLITE_OK ? 0 :
	    store_error(err, db, rc, "cannot key addresses");
}

int
store_key_addresses(struct store *s, bool keyed, struct error *err)
{
	struct conversion c = { false };
	int rc = 0;

	if (s->mode != STORE_WRITE)
		return error_set(err, -EROFS, "the database is open for reading");
	/* what is queued from now on is keyed; what waits is converted after it */
	atomic_store(&s->keyed, keyed);
	while (rc == 0 && !c.done)
		rc = store_call(s, convert_step, &c, err);
	return rc;
}
