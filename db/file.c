#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "db/internal.h"
#include "db/schema.h"

bool
file_identify(const char *path, struct file_id *ret_file)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	*ret_file = (struct file_id){ st.st_dev, st.st_ino };
	return true;
}

bool
file_same(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

void
file_give_to_owner(int fd, const char *path)
{
	char folder[4200];
	char *slash;
	struct stat st;

	if (geteuid() != 0)
		return;
	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		slash[slash == folder] = '\0';
	if (stat(folder, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
		return; /* then it stays root's, as any file that root makes */
}

/* One writing process: an open file description lock, which dies with the
 * process and is not lost when another descriptor of the file is closed. */
int
file_lock(struct store *s, struct error *err)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	    0600);

	if (fd < 0)
		return error_set(err, -errno, "cannot open lock file \"%s\": %s",
		    s->lock_path, strerror(errno));
	file_give_to_owner(fd, s->path);
	if (fcntl(fd, F_OFD_SETLK, &fl) != 0) {
		int e = errno;

		close(fd);
		if (e == EAGAIN || e == EACCES)
			return error_set(err, -EBUSY,
			    "\"%s\" is in use by another process", s->path);
		return error_set(err, -e, "cannot lock \"%s\": %s", s->lock_path,
		    strerror(e));
	}
	s->lock_fd = fd;
	return 0;
}

static int
read_pragma(sqlite3 *db, const char *sql, int *ret_value)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		*ret_value = sqlite3_column_int(st, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(st);
	return rc;
}

/* A copy that is complete or not there: written beside, then renamed. */
int
file_backup(sqlite3 *db, const char *to)
{
	char *temporary = sqlite3_mprintf("%s.tmp", to);
	sqlite3 *copy = NULL;
	sqlite3_backup *b;
	int rc, fd;

	if (temporary == NULL)
		return SQLITE_NOMEM;
	unlink(temporary);
	/* made here so that its mode is ours and not the umask's */
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		sqlite3_free(temporary);
		return SQLITE_CANTOPEN;
	}
	rc = sqlite3_open_v2(temporary, &copy,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		b = sqlite3_backup_init(copy, "main", db, "main");
		if (b == NULL) {
			rc = sqlite3_errcode(copy);
		} else {
			do
				rc = sqlite3_backup_step(b, 1000);
			while (rc == SQLITE_OK);
			sqlite3_backup_finish(b);
			rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		}
	}
	/* the copy must stand alone, without a WAL beside it */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(copy, "PRAGMA journal_mode=DELETE", NULL, NULL,
		    NULL);
	if (sqlite3_close(copy) != SQLITE_OK && rc == SQLITE_OK)
		rc = SQLITE_BUSY;
	if (rc == SQLITE_OK && (fsync(fd) != 0 || rename(temporary, to) != 0))
		rc = SQLITE_IOERR;
	close(fd);
	if (rc != SQLITE_OK)
		unlink(temporary);
	sqlite3_free(temporary);
	return rc;
}

int
file_check(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const unsigned char *said = sqlite3_column_text(st, 0);

		rc = said != NULL && strcmp((const char *)said, "ok") == 0 ?
		    SQLITE_OK : SQLITE_CORRUPT;
	}
	sqlite3_finalize(st);
	return (rc & 0xFF) == SQLITE_CORRUPT || (rc & 0xFF) == SQLITE_NOTADB ?
	    SQLITE_CORRUPT : rc;
}

static int
migrate(struct store *s, sqlite3 *db, enum fault *ret_fault)
{
	int version = 0, rc;
	char *name, sql[64];

	rc = read_pragma(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK || version == schema_version)
		return rc;
	if (version > schema_version || version < 0) {
		*ret_fault = FAULT_VERSION;
		return SQLITE_ERROR;
	}
	if (version > 0) {
		name = sqlite3_mprintf("%s.v%d.bak", s->path, version);
		rc = name != NULL ? file_backup(db, name) : SQLITE_NOMEM;
		sqlite3_free(name);
		if (rc != SQLITE_OK)
			return rc;
	}
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (int v = version; rc == SQLITE_OK && v < schema_version; v++)
		rc = sqlite3_exec(db, schema_steps[v], NULL, NULL, NULL);
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", schema_version);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int
open_once(struct store *s, sqlite3 **ret_db, struct file_id *ret_file,
    enum fault *ret_fault)
{
	struct file_id before, after;
	sqlite3 *db = NULL;
	int fd, rc, mode = 0;

	*ret_db = NULL;
	*ret_fault = FAULT_IO;
	/* SQLite would make it with the umask's mode; WAL and SHM follow */
	fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		*ret_fault = errno == ENOSPC || errno == EDQUOT ? FAULT_FULL :
		    errno == EROFS || errno == EACCES || errno == EPERM ?
		    FAULT_READ_ONLY : FAULT_IO;
		return SQLITE_CANTOPEN;
	}
	file_give_to_owner(fd, s->path);
	close(fd);
	if (!file_identify(s->path, &before))
		return SQLITE_CANTOPEN;
	rc = sqlite3_open_v2(s->path, &db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		goto fail;
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 1000);
	/* A database is data from a file: nothing in it may run code. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	rc = read_pragma(db, "PRAGMA schema_version", &mode);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA synchronous=NORMAL;"
		    "PRAGMA wal_autocheckpoint=0;PRAGMA cache_size=-8192;"
		    "PRAGMA temp_store=MEMORY;PRAGMA journal_size_limit=67108864;"
		    "PRAGMA foreign_keys=ON", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		*ret_fault = FAULTS; /* set by migrate() if it knows better */
		rc = migrate(s, db, ret_fault);
		if (rc != SQLITE_OK && *ret_fault == FAULT_VERSION)
			goto out;
	}
	if (rc != SQLITE_OK)
		goto fail;
	/* the path must still name what was opened */
	if (!file_identify(s->path, &after) || !file_same(&before, &after)) {
		sqlite3_close(db);
		return SQLITE_CANTOPEN;
	}
	*ret_file = after;
	*ret_db = db;
	return SQLITE_OK;
fail:
	*ret_fault = fault_of(rc, db);
out:
	sqlite3_close(db);
	return rc;
}

int
file_move_aside(struct store *s, char *ret_name, size_t size)
{
	static const char *const tails[] = { "-wal", "-shm" };
	struct stat st;

	for (int n = 0; n < 1000; n++) {
		char from[4200], to[4200];

		/* two in one second must not overwrite each other */
		if (n == 0)
			snprintf(ret_name, size, "%s.corrupt-%lld", s->path,
			    (long long)time(NULL));
		else
			snprintf(ret_name, size, "%s.corrupt-%lld.%d", s->path,
			    (long long)time(NULL), n);
		if (lstat(ret_name, &st) == 0)
			continue;
		if (rename(s->path, ret_name) != 0)
			return -errno;
		for (size_t i = 0; i < 2; i++) {
			snprintf(from, sizeof(from), "%s%s", s->path, tails[i]);
			snprintf(to, sizeof(to), "%s%s", ret_name, tails[i]);
			rename(from, to); /* often not there */
		}
		return 0;
	}
	return -EEXIST;
}

int
file_open_writer(struct store *s, sqlite3 **ret_db, struct file_id *ret_file,
    enum fault *ret_fault)
{
	int rc = open_once(s, ret_db, ret_file, ret_fault);
	char name[4200], text[4300];

	if (rc == SQLITE_OK || *ret_fault != FAULT_CORRUPT)
		return rc;
	if (file_move_aside(s, name, sizeof(name)) != 0)
		return rc;
	snprintf(text, sizeof(text), "moved aside as \"%s\"", name);
	fault_raise(s, SIDE_WRITE, FAULT_CORRUPT, text);
	return open_once(s, ret_db, ret_file, ret_fault);
}

int
file_open_reader(struct store *s, sqlite3 **ret_db, struct file_id *ret_file)
{
	struct file_id after;
	sqlite3 *db = NULL;
	int rc, version = -1;

	*ret_db = NULL;
	if (!file_identify(s->path, ret_file))
		return SQLITE_CANTOPEN;
	rc = sqlite3_open_v2(s->path, &db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(db, 1);
		sqlite3_busy_timeout(db, s->busy_ms);
		sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		rc = sqlite3_exec(db, "PRAGMA query_only=1;"
		    "PRAGMA cache_size=-1024;PRAGMA temp_store=MEMORY",
		    NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		rc = read_pragma(db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK && version != schema_version)
		rc = SQLITE_SCHEMA;
	if (rc == SQLITE_OK && (!file_identify(s->path, &after) ||
	    !file_same(ret_file, &after)))
		rc = SQLITE_CANTOPEN;
	if (rc != SQLITE_OK) {
		sqlite3_close(db);
		return rc;
	}
	*ret_db = db;
	return SQLITE_OK;
}
