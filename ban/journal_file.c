/* journal_file - the file itself: schema, opening, and what becomes of one
 * that is damaged or gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ban/journal_impl.h"

enum { SCHEMA_VERSION = 2 };

/* Bans come in the order of nothing, so that each index of a large table costs
 * a page written for each: there is none but the keys. */
static const char schema[] =
    "CREATE TABLE ban (net BLOB NOT NULL, scope INTEGER NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, count INTEGER NOT NULL,"
    " packets INTEGER NOT NULL, source TEXT NOT NULL, label TEXT NOT NULL,"
    " claim_expires INTEGER NOT NULL, reason TEXT NOT NULL,"
    " PRIMARY KEY (net, scope)) WITHOUT ROWID;"
    "CREATE TABLE claim (net BLOB NOT NULL, scope INTEGER NOT NULL,"
    " source TEXT NOT NULL, label TEXT NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY (net, scope, source, label)) WITHOUT ROWID;"
    "CREATE TABLE good_day (addr BLOB NOT NULL, day INTEGER NOT NULL,"
    " PRIMARY KEY (addr, day)) WITHOUT ROWID;"
    "CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
    " net BLOB NOT NULL, scope INTEGER NOT NULL, event INTEGER NOT NULL,"
    " result INTEGER NOT NULL, ttl INTEGER NOT NULL, count INTEGER NOT NULL,"
    " source TEXT NOT NULL, label TEXT NOT NULL, reason TEXT NOT NULL);"
    "PRAGMA user_version=2";

/* from version 1, which had two */
static const char migration[] =
    "DROP INDEX IF EXISTS ban_expires;DROP INDEX IF EXISTS event_net;"
    "PRAGMA user_version=2";

int
ban_journal_code(int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

int
ban_journal_exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int
open_once(const char *path, struct ban_journal *j)
{
	sqlite3_stmt *st = NULL;
	int rc, version = 0;

	rc = sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK)
		return rc;
	/* The cache is bounded; checkpoints are ours to time. */
	rc = ban_journal_exec(j->db, "PRAGMA journal_mode=WAL;"
	    "PRAGMA synchronous=NORMAL;PRAGMA wal_autocheckpoint=0;"
	    "PRAGMA cache_size=-16384;PRAGMA temp_store=MEMORY;"
	    "PRAGMA mmap_size=0;PRAGMA trusted_schema=OFF;"
	    "PRAGMA journal_size_limit=67108864");
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_prepare_v2(j->db, "PRAGMA user_version", -1, &st, NULL);
	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	if (rc != SQLITE_OK)
		return rc;
	if (version > SCHEMA_VERSION)
		return SQLITE_MISMATCH; /* of a newer helper: not ours to touch */
	if (version < SCHEMA_VERSION) {
		rc = ban_journal_exec(j->db, "BEGIN IMMEDIATE");
		if (rc == SQLITE_OK)
			rc = ban_journal_exec(j->db, version == 0 ? schema :
			    migration);
		if (rc == SQLITE_OK)
			rc = ban_journal_exec(j->db, "COMMIT");
		if (rc != SQLITE_OK)
			return rc;
	}
	rc = sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			rc = strcmp((const char *)sqlite3_column_text(st, 0),
			    "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
	}
	sqlite3_finalize(st);
	if (rc != SQLITE_OK)
		return rc;
	for (int q = 0; q < Q_COUNT; q++) {
		rc = sqlite3_prepare_v3(j->db, ban_journal_queries[q], -1,
		    SQLITE_PREPARE_PERSISTENT, &j->stmt[q], NULL);
		if (rc != SQLITE_OK)
			return rc;
	}
	sqlite3_wal_hook(j->db, ban_journal_log_grew, j);
	return SQLITE_OK;
}

static void
close_db(struct ban_journal *j)
{
	ban_journal_close_copier(j);
	for (int q = 0; q < Q_COUNT; q++) {
		sqlite3_finalize(j->stmt[q]);
		j->stmt[q] = NULL;
	}
	sqlite3_close(j->db);
	j->db = NULL;
}

/* A corrupt file, or one whose log is: aside, never deleted. */
static bool
move_aside(const char *path, struct error *ret_note)
{
	char aside[4096], wal[4096 + 8];

	snprintf(aside, sizeof(aside) - 8, "%s.corrupt-%lld", path,
	    (long long)time(NULL));
	if (rename(path, aside) != 0 && errno != ENOENT)
		return false;
	error_set(ret_note, 0, "ban journal is corrupt: moved to \"%s\", "
	    "started a new one", aside);
	/* a log without its file would be played into the new one */
	snprintf(wal, sizeof(wal), "%s-wal", path);
	strcat(aside, "-wal");
	return rename(wal, aside) == 0 || errno == ENOENT;
}

static int
open_journal(struct ban_journal *j, struct error *ret_note, struct error *err)
{
	int rc = j->corrupt ? SQLITE_CORRUPT : open_once(j->path, j), code;

	if ((rc & 0xFF) == SQLITE_CORRUPT || (rc & 0xFF) == SQLITE_NOTADB ||
	    (rc & 0xFF) == SQLITE_ERROR) {
		close_db(j);
		if (move_aside(j->path, ret_note))
			rc = open_once(j->path, j);
	}
	if (rc == SQLITE_OK) {
		j->corrupt = j->pending = false;
		j->prune_size = 0;
		j->pruned_day = 0;
		j->log_pages = j->log_copied = 0;
		j->log_generation++;
		ban_journal_open_copier(j);
		return 0;
	}
	code = rc == SQLITE_MISMATCH ?
	    error_set(err, -EUCLEAN, "ban journal \"%s\": written by a newer "
	    "version", j->path) :
	    error_set(err, ban_journal_code(rc), "ban journal \"%s\": %s", j->path,
	    j->db != NULL ? sqlite3_errmsg(j->db) : sqlite3_errstr(rc));
	close_db(j);
	return code;
}

/* SQLite would let a second helper write into it. */
static int
take_lock(struct ban_journal *j, struct error *err)
{
	/* by fcntl: the unit's system calls have no flock */
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *path = NULL;
	int code = 0;

	if (asprintf(&path, "%s.lock", j->path) < 0)
		return error_set(err, -ENOMEM, "ban journal: out of memory");
	j->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock < 0)
		code = error_set(err, -errno, "ban journal \"%s\": %m", path);
	else if (fcntl(j->lock, F_OFD_SETLK, &whole) < 0)
		code = error_set(err, -errno, "ban journal \"%s\": %s", j->path,
		    errno == EAGAIN ? "another helper has it" :
		    strerror(errno));
	free(path);
	return code;
}

int
ban_journal_open(const char *path, struct ban_journal **ret_journal,
    struct error *ret_note, struct error *err)
{
	struct ban_journal *j = calloc(1, sizeof(*j));
	int code;

	if (ret_note != NULL)
		ret_note->text[0] = '\0';
	if (j == NULL || (j->path = strdup(path)) == NULL) {
		free(j);
		return error_set(err, -ENOMEM, "ban journal: out of memory");
	}
	code = take_lock(j, err);
	if (code == 0)
		code = open_journal(j, ret_note, err);
	if (code < 0)
		ban_journal_close(j);
	else
		*ret_journal = j;
	return code;
}

bool
ban_journal_is_lost(const struct ban_journal *j)
{
	int moved = 0;

	return j->db == NULL || j->corrupt || (sqlite3_file_control(j->db,
	    "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved);
}

int
ban_journal_reopen(struct ban_journal *j, struct error *ret_note,
    struct error *err)
{
	ret_note->text[0] = '\0';
	if (j->db != NULL)
		ban_journal_rollback(j);
	close_db(j);
	return open_journal(j, ret_note, err);
}

void
ban_journal_close(struct ban_journal *j)
{
	if (j == NULL)
		return;
	if (j->db != NULL)
		ban_journal_rollback(j);
	ban_journal_stop_copier(j);
	close_db(j);
	if (j->lock >= 0)
		close(j->lock);
	free(j->path);
	free(j);
}
