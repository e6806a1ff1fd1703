/*
 * journal_impl - what the files of the journal share; nobody else's business.
 */
#ifndef BAN_JOURNAL_IMPL_H
#define BAN_JOURNAL_IMPL_H

#include <sqlite3.h>

#include "ban/journal.h"

enum query {
	Q_BEGIN, Q_COMMIT, Q_GET, Q_PUT, Q_REMOVE, Q_PACKETS, Q_CLAIM,
	Q_UNCLAIM, Q_MARK, Q_DROP_MARKED, Q_EACH, Q_EACH_CLAIM, Q_DAY,
	Q_EACH_DAY, Q_EVENT, Q_EVENT_NEXT, Q_EVENT_NEXT_NET, Q_PRUNE_BAN,
	Q_PRUNE_EVENT, Q_PRUNE_EVENT_MAX, Q_PRUNE_DAY, Q_NEWEST, Q_SHIFT,
	Q_SHIFT_CLAIM, Q_COUNT
};

struct ban_journal {
	sqlite3 *db;
	sqlite3_stmt *stmt[Q_COUNT];
	char *path;
	bool pending, corrupt;
	int wal_pages;
};

extern const char *const ban_journal_queries[Q_COUNT];

int ban_journal_exec(sqlite3 *db, const char *sql); /* SQLite's code */
/* SQLite's code as a negative errno. */
int ban_journal_code(int rc);

#endif
