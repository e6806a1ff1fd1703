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
	Q_EACH_DAY, Q_EVENT, Q_EVENT_NEXT, Q_EVENT_BELOW, Q_EVENT_NEXT_NET,
	Q_PRUNE_END, Q_PRUNE_BAN, Q_PRUNE_EVENT, Q_PRUNE_EVENT_MAX, Q_PRUNE_DAY,
	Q_NEWEST, Q_SHIFT, Q_SHIFT_CLAIM, Q_COUNT
};

/* A network as a key that sorts by family: family, prefix, address. */
enum { KEY_SIZE = 18 };

struct ban_copier;

struct ban_journal {
	sqlite3 *db;
	sqlite3_stmt *stmt[Q_COUNT];
	char *path;
	int lock; /* of the file beside it: one helper only */
	bool pending, corrupt;
	/* where the search for bans that can be forgotten goes on */
	unsigned char prune_key[KEY_SIZE];
	int prune_size;
	int64_t pruned_day;
	struct ban_copier *copier; /* NULL: copies are made by the writer */
	int log_pages, log_copied;
	unsigned log_generation;
};

extern const char *const ban_journal_queries[Q_COUNT];

int ban_journal_exec(sqlite3 *db, const char *sql); /* SQLite's code */
/* SQLite's code as a negative errno. */
int ban_journal_code(int rc);

/* journal_log.c */

/* SQLite calls it after each commit. */
int ban_journal_log_grew(void *context, sqlite3 *db, const char *name,
    int pages);
/* Copies the log when so many of its pages wait for it. */
void ban_journal_copy_log(struct ban_journal *j, int at_least);
void ban_journal_committed(struct ban_journal *j);
/* The copier's connection, opened after the journal's own and closed before. */
void ban_journal_open_copier(struct ban_journal *j);
void ban_journal_close_copier(struct ban_journal *j);
void ban_journal_stop_copier(struct ban_journal *j);

#endif
