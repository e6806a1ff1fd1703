/* Expiry: a little at a time, between batches, never in one long sweep. */
#include <string.h>

#include "base/clock.h"
#include "db/internal.h"
#include "db/labels.h"

static int
exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Deletes what has run out among the next rows; moves the cursor. */
static int
expire_reputation(struct writer *w, int64_t now)
{
	sqlite3_stmt *scan = NULL, *del = NULL;
	int rc, seen = 0;

	rc = sqlite3_prepare_v2(w->db, "SELECT identity,counts FROM reputation"
	    " WHERE identity>?1 ORDER BY identity LIMIT ?2", -1, &scan, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(w->db,
		    "DELETE FROM reputation WHERE identity=?1", -1, &del, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(scan, 1, w->cursor, (int)w->cursor_len,
		    SQLITE_TRANSIENT);
		sqlite3_bind_int(scan, 2, STORE_EXPIRE_ROWS);
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(scan)) == SQLITE_ROW) {
		const void *key = sqlite3_column_blob(scan, 0);
		size_t n = (size_t)sqlite3_column_bytes(scan, 0);
		struct counts c;

		seen++;
		rc = SQLITE_OK;
		counts_decode(sqlite3_column_blob(scan, 1),
		    (size_t)sqlite3_column_bytes(scan, 1), &c);
		if (n > 0 && n <= sizeof(w->cursor)) {
			memcpy(w->cursor, key, n);
			w->cursor_len = n;
		}
		if (counts_expired(&c, now)) {
			sqlite3_bind_blob(del, 1, key, (int)n, SQLITE_TRANSIENT);
			rc = sqlite3_step(del);
			sqlite3_reset(del);
			rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		}
	}
	if (rc == SQLITE_DONE)
		rc = SQLITE_OK;
	if (rc == SQLITE_OK && seen < STORE_EXPIRE_ROWS)
		w->cursor_len = 0;
	sqlite3_finalize(scan);
	sqlite3_finalize(del);
	return rc;
}

static int
expire_greylist(struct writer *w, int64_t now)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(w->db, "DELETE FROM greylist WHERE"
	    " last_seen<?1-CASE WHEN passed THEN ?2 ELSE ?3 END", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(st, 1, now);
	sqlite3_bind_int64(st, 2, GREYLIST_PASSED_SEC);
	sqlite3_bind_int64(st, 3, GREYLIST_PENDING_SEC);
	rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Labels and correspondents are few and long-lived: once a round. */
static int
expire_rest(struct writer *w, int64_t now)
{
	static const struct {
		const char *sql;
		int64_t age;
	} rest[] = {
		/* after thirteen half-lives a label weighs nothing; that the
		 * message was labelled stays known for as long */
		{ "DELETE FROM label_identity WHERE (message,user) IN"
		  " (SELECT message,user FROM label WHERE seen<?1)",
		    13 * (int64_t)COUNTS_HALF_LIFE_SEC },
		{ "DELETE FROM label WHERE seen<?1 AND time<?1",
		    13 * (int64_t)COUNTS_HALF_LIFE_SEC },
		{ "DELETE FROM correspondent WHERE time<?1", CORRESPONDENT_SEC },
		/* as long as the label */
		{ "DELETE FROM lesson WHERE length(sample)=0 AND time<?1",
		    13 * (int64_t)COUNTS_HALF_LIFE_SEC },
		/* LESSONS_HARD; ?1 is for form's sake */
		{ "DELETE FROM lesson WHERE ?1 IS NOT NULL AND event IN"
		  " (SELECT event FROM lesson ORDER BY event DESC"
		  " LIMIT -1 OFFSET 200000)", 0 },
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) &&
	    rc == SQLITE_OK; i++) {
		sqlite3_stmt *st = NULL;

		rc = sqlite3_prepare_v2(w->db, rest[i].sql, -1, &st, NULL);
		if (rc == SQLITE_OK) {
			sqlite3_bind_int64(st, 1, now - rest[i].age);
			rc = writer_step(st);
		}
		sqlite3_finalize(st);
	}
	return rc;
}

int
expire_step(struct store *s, int64_t now)
{
	struct writer *w = &s->writer;
	int64_t age, size;
	int rc = exec(w->db, "BEGIN IMMEDIATE");

	if (rc != SQLITE_OK)
		return rc;
	pthread_mutex_lock(&s->lock);
	age = s->log_age;
	size = s->log_size;
	pthread_mutex_unlock(&s->lock);
	rc = log_expire(w, now, age, size);
	if (rc == SQLITE_OK)
		rc = sample_expire(s, now);
	if (rc == SQLITE_OK && clock_ms() >= w->next_round_ms) {
		rc = expire_reputation(w, now);
		/* the rest once in each round over the large table */
		if (rc == SQLITE_OK && w->cursor_len == 0) {
			rc = expire_greylist(w, now);
			if (rc == SQLITE_OK)
				rc = expire_rest(w, now);
			w->next_round_ms = clock_ms() + STORE_ROUND_MS;
		}
	}
	if (rc == SQLITE_OK)
		rc = exec(w->db, "COMMIT");
	if (rc != SQLITE_OK)
		exec(w->db, "ROLLBACK");
	return rc;
}
