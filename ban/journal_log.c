/*
 * journal_log - the write-ahead log: when it is copied into the file, and by
 * whom. The copy ends with waiting for the disk, on a slow or busy one for
 * most of a second, and whoever waits answers nobody. So the helper has a
 * thread and a connection that do nothing else. SQLite lets the log begin
 * anew only when all of it is copied; under load there is always more, so a
 * log that has become large gets its last pages copied by the writer itself.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ban/journal_impl.h"

/* pages of log that are not in the file: worth a copy in an idle moment ... */
#define LOG_IDLE_PAGES 256
/* ... and at any; without the thread 64 MB at a time were felt for a second */
#define LOG_PAGES 2048
/* pages of log in all (64 MB): copied again and again, and when so few are left
 * the writer does it ... */
#define LOG_LARGE_PAGES 16384
#define LOG_LAST_PAGES 512
/* ... and rather waits for a disk that never keeps up than fills it */
#define LOG_MAX_PAGES 65536

struct ban_copier {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	sqlite3 *db; /* the thread's while there is work, then the journal's */
	bool up, work, stop;
	int copied;		 /* pages of the log, at the last copy */
	unsigned generation; /* of the log that it was */
};

static int
copy(sqlite3 *db)
{
	int log = -1, copied = -1;

	/* if it fails the log grows until the next attempt */
	sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log,
	    &copied);
	return copied;
}

static void *
run_copier(void *context)
{
	struct ban_copier *c = context;

	pthread_mutex_lock(&c->lock);
	c->up = true;
	pthread_cond_broadcast(&c->changed);
	while (!c->stop) {
		int copied;

		if (!c->work) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		copied = copy(c->db);
		pthread_mutex_lock(&c->lock);
		c->copied = copied;
		c->work = false;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int
ban_journal_start_copier(struct ban_journal *j, struct error *err)
{
	struct ban_copier *c = calloc(1, sizeof(*c));
	int code;

	if (c == NULL)
		return error_set(err, -ENOMEM, "ban journal: out of memory");
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	j->copier = c;
	code = pthread_create(&c->thread, NULL, run_copier, c);
	if (code != 0) {
		j->copier = NULL;
		free(c);
		return error_set(err, -code, "ban journal: thread: %s",
		    strerror(code));
	}
	/* what a thread does as it begins is more than the sandbox allows */
	pthread_mutex_lock(&c->lock);
	while (!c->up)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	if (j->db != NULL)
		ban_journal_open_copier(j);
	return 0;
}

/* Without its connection the journal copies by itself: no failure. */
void
ban_journal_open_copier(struct ban_journal *j)
{
	sqlite3 *db = NULL;

	if (j->copier == NULL)
		return;
	/* to ask for the mode opens the log; the end of a connection is no
	 * time for a copy, which the other one does */
	if (sqlite3_open_v2(j->path, &db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) !=
	    SQLITE_OK || ban_journal_exec(db, "PRAGMA mmap_size=0;"
	    "PRAGMA synchronous=NORMAL;PRAGMA journal_mode=WAL") != SQLITE_OK) {
		sqlite3_close(db);
		db = NULL;
	}
	j->copier->db = db;
}

static void
wait_for_copier(struct ban_copier *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->work)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void
ban_journal_close_copier(struct ban_journal *j)
{
	struct ban_copier *c = j->copier;

	if (c == NULL)
		return;
	wait_for_copier(c);
	sqlite3_close(c->db);
	c->db = NULL;
}

void
ban_journal_stop_copier(struct ban_journal *j)
{
	struct ban_copier *c = j->copier;

	if (c == NULL)
		return;
	ban_journal_close_copier(j);
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
	j->copier = NULL;
}

int
ban_journal_log_grew(void *context, sqlite3 *db, const char *name, int pages)
{
	struct ban_journal *j = context;

	(void)db;
	(void)name;
	if (pages < j->log_pages) { /* it began anew */
		j->log_generation++;
		j->log_copied = 0;
	}
	j->log_pages = pages;
	return SQLITE_OK;
}

static void
copy_here(struct ban_journal *j)
{
	int copied = copy(j->db);

	if (copied > j->log_copied)
		j->log_copied = copied;
}

/* Is the copier at work? If not, what its last work came to is noted. */
static bool
copier_works(struct ban_journal *j)
{
	struct ban_copier *c = j->copier;
	bool work;

	pthread_mutex_lock(&c->lock);
	work = c->work;
	if (!work && c->generation == j->log_generation &&
	    c->copied > j->log_copied)
		j->log_copied = c->copied;
	pthread_mutex_unlock(&c->lock);
	return work;
}

static void
start_copy(struct ban_journal *j)
{
	struct ban_copier *c = j->copier;

	pthread_mutex_lock(&c->lock);
	c->work = true;
	c->copied = 0;
	c->generation = j->log_generation;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void
ban_journal_copy_log(struct ban_journal *j, int at_least)
{
	int left;

	if (j->pending || j->log_pages - j->log_copied < at_least)
		return;
	if (j->copier == NULL || j->copier->db == NULL) {
		copy_here(j);
		return;
	}
	if (copier_works(j)) {
		if (j->log_pages <= LOG_MAX_PAGES)
			return;
		wait_for_copier(j->copier);
		copier_works(j);
	}
	left = j->log_pages - j->log_copied;
	if (left < at_least)
		return;
	if (j->log_pages > LOG_MAX_PAGES ||
	    (j->log_pages > LOG_LARGE_PAGES && left <= LOG_LAST_PAGES))
		copy_here(j);
	else
		start_copy(j);
}

void
ban_journal_checkpoint(struct ban_journal *j, bool even_if_small)
{
	ban_journal_copy_log(j, even_if_small ? 1 : LOG_IDLE_PAGES);
}

void
ban_journal_committed(struct ban_journal *j)
{
	ban_journal_copy_log(j, j->log_pages > LOG_LARGE_PAGES ?
	    LOG_IDLE_PAGES : LOG_PAGES);
}
