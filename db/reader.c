/* The pool of reading connections. Each is used by one thread at a time and
 * keeps its prepared statements; it is closed when it met an error or when
 * the path names another file than the one it has open. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "db/internal.h"

static const char reputation_get_sql[] =
    "SELECT counts FROM reputation WHERE identity=?1";
static const char reputation_scan_sql[] =
    "SELECT identity,counts FROM reputation WHERE identity>?1"
    " ORDER BY identity LIMIT ?2";
static const char greylist_get_sql[] =
    "SELECT first_seen,last_seen,passed FROM greylist WHERE key=?1";
static const char correspondent_get_sql[] =
    "SELECT 1 FROM correspondent WHERE address=?1 AND time>=?2 LIMIT 1";

static void
reader_close(struct reader *r)
{
	sqlite3_finalize(r->begin);
	sqlite3_finalize(r->end);
	sqlite3_finalize(r->reputation_get);
	sqlite3_finalize(r->reputation_scan);
	sqlite3_finalize(r->greylist_get);
	sqlite3_finalize(r->correspondent_get);
	sqlite3_close(r->db);
	free(r);
}

static int
reader_open(struct store *s, struct reader **ret_reader)
{
	struct reader *r = calloc(1, sizeof(*r));
	const struct {
		const char *sql;
		sqlite3_stmt **st;
	} statements[] = {
		{ "BEGIN", &r->begin },
		{ "ROLLBACK", &r->end },
		{ reputation_get_sql, &r->reputation_get },
		{ reputation_scan_sql, &r->reputation_scan },
		{ greylist_get_sql, &r->greylist_get },
		{ correspondent_get_sql, &r->correspondent_get },
	};
	int rc;

	if (r == NULL)
		return SQLITE_NOMEM;
	rc = file_open_reader(s, &r->db, &r->file);
	if (rc == SQLITE_OK && s->mode == STORE_READ)
		keyed_read(s, r->db);
	for (size_t i = 0; rc == SQLITE_OK &&
	    i < sizeof(statements) / sizeof(statements[0]); i++)
		rc = sqlite3_prepare_v3(r->db, statements[i].sql, -1,
		    SQLITE_PREPARE_PERSISTENT, statements[i].st, NULL);
	if (rc != SQLITE_OK) {
		reader_close(r);
		return rc;
	}
	*ret_reader = r;
	return SQLITE_OK;
}

/* Something the writer has to look at: it wakes and checks the file. */
static void
tell_writer(struct store *s, bool gone, bool corrupt)
{
	pthread_mutex_lock(&s->lock);
	s->file_gone |= gone;
	s->saw_corrupt |= corrupt;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static int
read_failed(struct store *s, int code, struct error *err, const char *detail)
{
	enum fault f = fault_of(code, NULL);

	if ((code & 0xFF) == SQLITE_SCHEMA)
		detail = "it is of another version; the daemon, or any command "
		    "that writes, brings up an older one";
	if (f == FAULT_CORRUPT && s->mode == STORE_WRITE) {
		/* the writer says it, with the name the file gets */
		tell_writer(s, false, true);
	} else if ((code & 0xFF) == SQLITE_CANTOPEN) {
		tell_writer(s, true, false);
	} else if ((code & 0xFF) != SQLITE_SCHEMA &&
	    (code & 0xFF) != SQLITE_ERROR) {
		fault_raise(s, SIDE_READ, f, detail);
	}
	return error_set(err, -EAGAIN, "state database \"%s\" is not available: %s",
	    s->path, detail);
}

static void
give_back(struct store *s, struct reader *r)
{
	pthread_mutex_lock(&s->lock);
	if (r != NULL) {
		r->next = s->idle;
		s->idle = r;
	} else {
		s->readers--;
	}
	pthread_cond_signal(&s->reader_free);
	pthread_mutex_unlock(&s->lock);
}

int
reader_acquire(struct store *s, struct reader **ret_reader, struct error *err)
{
	struct reader *r;
	struct file_id file;
	struct timespec until = clock_deadline(s->busy_ms);
	int rc;

	pthread_mutex_lock(&s->lock);
	while (s->idle == NULL && s->readers >= STORE_MAX_READERS) {
		if (pthread_cond_timedwait(&s->reader_free, &s->lock, &until) != 0) {
			pthread_mutex_unlock(&s->lock);
			return error_set(err, -EAGAIN,
			    "state database \"%s\" is not available: "
			    "all readers are busy", s->path);
		}
	}
	r = s->idle;
	if (r != NULL)
		s->idle = r->next;
	else
		s->readers++;
	pthread_mutex_unlock(&s->lock);

	/* a file that was removed or replaced must not be read on for ever */
	if (r != NULL && (!file_identify(s->path, &file) ||
	    !file_same(&file, &r->file))) {
		reader_close(r);
		r = NULL;
	}
	if (r == NULL && (rc = reader_open(s, &r)) != SQLITE_OK) {
		give_back(s, NULL);
		return read_failed(s, rc, err, sqlite3_errstr(rc));
	}
	*ret_reader = r;
	return 0;
}

int
reader_release(struct store *s, struct reader *r, int code, struct error *err)
{
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
		bool ill;

		give_back(s, r);
		pthread_mutex_lock(&s->lock);
		ill = s->faults[SIDE_READ] != 0;
		pthread_mutex_unlock(&s->lock);
		if (ill)
			fault_heal(s, SIDE_READ);
		return 0;
	}
	reader_close(r);
	give_back(s, NULL);
	return read_failed(s, code, err, sqlite3_errstr(code));
}

void
reader_close_all(struct store *s)
{
	while (s->idle != NULL) {
		struct reader *r = s->idle;

		s->idle = r->next;
		reader_close(r);
		s->readers--;
	}
}
