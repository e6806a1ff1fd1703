/*
 * query - a prepared statement that lives as long as a function. rc is
 * sticky: after a fault nothing more happens, and query_end() tells it.
 * Private to db/.
 */
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include <sqlite3.h>
#include <stdbool.h>

struct query {
	sqlite3_stmt *st;
	int rc;
};

static inline struct query
query_begin(sqlite3 *db, const char *sql)
{
	struct query q = { NULL, SQLITE_OK };

	q.rc = sqlite3_prepare_v2(db, sql, -1, &q.st, NULL);
	return q;
}

/* true: there is a row */
static inline bool
query_row(struct query *q)
{
	if (q->rc != SQLITE_OK)
		return false;
	q->rc = sqlite3_step(q->st);
	if (q->rc == SQLITE_ROW) {
		q->rc = SQLITE_OK;
		return true;
	}
	if (q->rc == SQLITE_DONE)
		q->rc = SQLITE_OK;
	return false;
}

static inline int
query_end(struct query *q)
{
	int rc = q->rc;

	sqlite3_finalize(q->st);
	return rc;
}

static inline int
query_run(struct query *q)
{
	query_row(q);
	return query_end(q);
}

#endif
