#include <stdlib.h>
#include <string.h>

#include "db/internal.h"
#include "db/labels.h"

void
store_correspondent_add(struct store *s, const char *account,
    const char *address, int64_t now)
{
	struct op *op;

	if (s->mode != STORE_WRITE || address[0] == '\0')
		return;
	op = op_new(OP_CORRESPONDENT, 2 * ADDRESS_KEY_BYTES);
	if (op == NULL)
		return;
	op->now = now;
	secret_hash(s, address, (unsigned char *)op->key);
	secret_hash(s, account, (unsigned char *)op->key + ADDRESS_KEY_BYTES);
	pthread_mutex_lock(&s->lock);
	s->clock = now;
	pthread_mutex_unlock(&s->lock);
	writer_queue(s, op);
}

static int
run(sqlite3 *db, const char *sql, const struct op *op, int64_t number,
    int64_t *ret_value)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(st, 1, op->key, ADDRESS_KEY_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, op->key + ADDRESS_KEY_BYTES, ADDRESS_KEY_BYTES,
	    SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, number);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && ret_value != NULL)
		*ret_value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
correspondent_apply(struct writer *w, const struct op *op)
{
	int64_t today = 0, all = 0;
	int rc = run(w->db, "UPDATE correspondent SET time=max(time,?3)"
	    " WHERE address=?1 AND account=?2", op, op->now, NULL);

	if (rc != SQLITE_OK || sqlite3_changes(w->db) > 0)
		return rc;
	rc = run(w->db, "SELECT count(*) FROM correspondent WHERE account=?2"
	    " AND time>?3 AND first>?3 AND ?1 IS NOT NULL", op,
	    op->now - 86400, &today);
	if (rc != SQLITE_OK || today >= CORRESPONDENT_DAY)
		return rc;
	rc = run(w->db, "SELECT count(*) FROM correspondent WHERE account=?2"
	    " AND ?1 IS NOT NULL AND ?3=0", op, 0, &all);
	if (rc == SQLITE_OK && all >= CORRESPONDENT_ACCOUNT)
		rc = run(w->db, "DELETE FROM correspondent WHERE account=?2 AND"
		    " address IN (SELECT address FROM correspondent WHERE"
		    " account=?2 AND ?1 IS NOT NULL ORDER BY time LIMIT ?3)", op,
		    all - CORRESPONDENT_ACCOUNT + 1, NULL);
	if (rc == SQLITE_OK)
		rc = run(w->db, "INSERT INTO"
		    " correspondent(address,account,first,time)"
		    " VALUES(?1,?2,?3,?3)", op, op->now, NULL);
	return rc;
}

int
store_correspondent_get(struct store *s, const char *address, int64_t now,
    bool *ret_known, struct error *err)
{
	unsigned char key[ADDRESS_KEY_BYTES];
	struct reader *r;
	sqlite3_stmt *st;
	int code, rc = reader_acquire(s, &r, err);
	bool known;

	if (rc != 0)
		return rc;
	secret_hash(s, address, key);
	st = r->correspondent_get;
	sqlite3_bind_blob(st, 1, key, sizeof(key), SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, now - CORRESPONDENT_SEC);
	code = sqlite3_step(st);
	known = code == SQLITE_ROW;
	sqlite3_reset(st);
	rc = reader_release(s, r, code, err);
	if (rc == 0)
		*ret_known = known;
	return rc;
}
