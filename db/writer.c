/* The one thread that writes. Updates wait a moment for company and go to
 * disk in one transaction, sorted by key so that neighbours share pages. A
 * batch that failed is kept and tried again; the queue behind it is bounded,
 * and what does not fit is dropped and counted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "db/internal.h"
#include "db/schema.h"

static const char reputation_put_sql[] =
    "INSERT INTO reputation(identity,counts) VALUES(?1,?2)"
    " ON CONFLICT(identity) DO UPDATE"
    " SET counts=merge_counts(counts,excluded.counts)";
static const char greylist_put_sql[] =
    "INSERT INTO greylist(key,first_seen,last_seen,passed)"
    " VALUES(?1,?2,?2,?3) ON CONFLICT(key) DO UPDATE SET"
    /* an entry that has run out counts as never seen */
    " first_seen=CASE WHEN last_seen<?2-?4+passed*(?4-?5)"
    "  THEN excluded.first_seen ELSE first_seen END,"
    " passed=CASE WHEN last_seen<?2-?4+passed*(?4-?5)"
    "  THEN excluded.passed ELSE max(passed,excluded.passed) END,"
    " last_seen=max(last_seen,excluded.last_seen)";

static const char log_put_sql[] =
    "INSERT OR IGNORE INTO verdict(id,time,action,score,mail_from,queue_id,"
    "message,identities,ham,spam,bytes,record)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)";
static const char log_address_put_sql[] =
    "INSERT OR IGNORE INTO verdict_address(address,number) VALUES(?1,?2)";

static const char shadow_put_sql[] =
    "INSERT OR REPLACE INTO shadow(verdict,shadow_set,judged,action,score)"
    " SELECT v.number,s.number,?4,?5,?6 FROM verdict v,shadow_set s"
    " WHERE v.id=?1 AND s.name=?2 AND s.hash=?3";
static const char shadow_set_put_sql[] =
    "INSERT OR IGNORE INTO shadow_set(name,hash,first) VALUES(?1,?2,?3)";

struct op *
op_new(enum op_kind kind, size_t key_len)
{
	struct op *op = calloc(1, sizeof(*op) + key_len);

	if (op != NULL) {
		op->kind = kind;
		op->key = (char *)(op + 1);
		op->key_len = key_len;
	}
	return op;
}

static void
merge_counts(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	struct counts have, add;
	unsigned char out[COUNTS_MAX_BYTES];

	(void)argc;
	/* a record that is none starts anew */
	counts_decode(sqlite3_value_blob(argv[0]),
	    (size_t)sqlite3_value_bytes(argv[0]), &have);
	counts_decode(sqlite3_value_blob(argv[1]),
	    (size_t)sqlite3_value_bytes(argv[1]), &add);
	counts_merge(&have, &add);
	sqlite3_result_blob(context, out, (int)counts_encode(&have, out),
	    SQLITE_TRANSIENT);
}

static int
note_wal(void *writer, sqlite3 *db, const char *name, int pages)
{
	struct writer *w = writer;

	(void)db;
	(void)name;
	w->wal_pages = pages;
	return SQLITE_OK;
}

void
writer_close(struct store *s)
{
	struct writer *w = &s->writer;

	sqlite3_finalize(w->begin);
	sqlite3_finalize(w->commit);
	sqlite3_finalize(w->rollback);
	sqlite3_finalize(w->reputation_put);
	sqlite3_finalize(w->greylist_put);
	sqlite3_finalize(w->log_put);
	sqlite3_finalize(w->log_address_put);
	sqlite3_finalize(w->shadow_put);
	sqlite3_finalize(w->shadow_set_put);
	sqlite3_close(w->db);
	w->db = NULL;
	w->begin = w->commit = w->rollback = NULL;
	w->reputation_put = w->greylist_put = NULL;
	w->log_put = w->log_address_put = NULL;
	w->shadow_put = w->shadow_set_put = NULL;
	w->wal_pages = 0;
	w->log_counted = false;
	w->cursor_len = 0;
}

bool
writer_open(struct store *s)
{
	struct writer *w = &s->writer;
	const struct {
		const char *sql;
		sqlite3_stmt **st;
	} statements[] = {
		{ "BEGIN IMMEDIATE", &w->begin },
		{ "COMMIT", &w->commit },
		{ "ROLLBACK", &w->rollback },
		{ reputation_put_sql, &w->reputation_put },
		{ greylist_put_sql, &w->greylist_put },
		{ log_put_sql, &w->log_put },
		{ log_address_put_sql, &w->log_address_put },
		{ shadow_put_sql, &w->shadow_put },
		{ shadow_set_put_sql, &w->shadow_set_put },
	};
	enum fault f;
	int rc = file_open_writer(s, &w->db, &w->file, &f);

	if (rc != SQLITE_OK) {
		fault_raise(s, SIDE_WRITE, f, NULL);
		return false;
	}
	sqlite3_wal_hook(w->db, note_wal, w);
	/* a file that takes the place of a corrupt one is as that was */
	if (atomic_load(&s->keyed))
		keyed_write(s, w->db);
	else
		keyed_read(s, w->db);
	rc = sqlite3_create_function(w->db, "merge_counts", 2,
	    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
	    merge_counts, NULL, NULL);
	for (size_t i = 0; rc == SQLITE_OK &&
	    i < sizeof(statements) / sizeof(statements[0]); i++)
		rc = sqlite3_prepare_v3(w->db, statements[i].sql, -1,
		    SQLITE_PREPARE_PERSISTENT, statements[i].st, NULL);
	if (rc != SQLITE_OK) {
		fault_raise(s, SIDE_WRITE, fault_of(rc, w->db),
		    sqlite3_errmsg(w->db));
		writer_close(s);
		return false;
	}
	return true;
}

int
writer_step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st), again = sqlite3_reset(st);

	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK :
	    again != SQLITE_OK ? again : rc;
}

static int
op_compare(const void *a, const void *b)
{
	const struct op *x = *(struct op *const *)a, *y = *(struct op *const *)b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int order;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	/* neighbours share pages; where the order in time matters it stays */
	if (x->kind != OP_REPUTATION)
		return x->seq < y->seq ? -1 : x->seq > y->seq;
	order = memcmp(x->key, y->key, n);
	if (order == 0 && x->key_len != y->key_len)
		order = x->key_len < y->key_len ? -1 : 1;
	if (order == 0)
		order = x->seq < y->seq ? -1 : x->seq > y->seq;
	return order;
}

static int
apply_sorted(struct writer *w, struct op **ops, size_t n)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < n && rc == SQLITE_OK;) {
		struct op *o = ops[i++];

		if (o->kind != OP_REPUTATION) {
			rc = o->kind == OP_GREYLIST ? greylist_apply(w, o) :
			    o->kind == OP_LOG ? log_apply(w, o) :
			    o->kind == OP_SHADOW ? shadow_apply(w, o) :
			    o->kind == OP_LESSON ? lesson_apply(w, o) :
			    o->kind == OP_SAMPLE ? sample_apply(w, o) :
			    correspondent_apply(w, o);
			continue;
		}
		if (i < n && ops[i]->kind == o->kind &&
		    ops[i]->key_len == o->key_len &&
		    memcmp(ops[i]->key, o->key, o->key_len) == 0) {
			struct counts sum = o->counts;

			do
				counts_merge(&sum, &ops[i++]->counts);
			while (i < n && ops[i]->kind == o->kind &&
			    ops[i]->key_len == o->key_len &&
			    memcmp(ops[i]->key, o->key, o->key_len) == 0);
			rc = reputation_apply(w, o, &sum);
		} else {
			rc = reputation_apply(w, o, &o->counts);
		}
	}
	return rc;
}

/* Is the file that is open still the one that the path names? */
static void
check_file(struct store *s)
{
	struct writer *w = &s->writer;
	struct file_id now;
	bool gone, corrupt;

	pthread_mutex_lock(&s->lock);
	gone = s->file_gone;
	corrupt = s->saw_corrupt;
	s->file_gone = s->saw_corrupt = false;
	pthread_mutex_unlock(&s->lock);
	(void)gone; /* only a reason to look at once */
	if (w->db != NULL && (!file_identify(s->path, &now) ||
	    !file_same(&now, &w->file))) {
		fault_raise(s, SIDE_WRITE, FAULT_GONE, "begun anew");
		writer_close(s);
	}
	if (corrupt && w->db != NULL && file_check(w->db) == SQLITE_CORRUPT)
		writer_corrupt(s);
}

/* The database is broken: out of the way with it, and begin a new one. */
void
writer_corrupt(struct store *s)
{
	char name[4200], text[4300];
	int rc;

	writer_close(s);
	rc = file_move_aside(s, name, sizeof(name));
	snprintf(text, sizeof(text), rc == 0 ? "moved aside as \"%s\"" :
	    "and cannot be moved aside to \"%s\"", name);
	fault_raise(s, SIDE_WRITE, FAULT_CORRUPT, text);
}

static int
run_batch(struct store *s, struct op **ops, size_t n)
{
	struct writer *w = &s->writer;
	int rc;

	rc = writer_step(w->begin);
	if (rc != SQLITE_OK)
		return rc;
	rc = apply_sorted(w, ops, n);
	if (rc == SQLITE_OK)
		rc = writer_step(w->commit);
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(w->db))
		writer_step(w->rollback);
	return rc;
}

/* What a person said must be on disk before it is acknowledged: this
 * transaction alone is synced at its commit. */
static int
run_call(struct store *s, struct call *c)
{
	struct writer *w = &s->writer;
	int rc;

	rc = sqlite3_exec(w->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = writer_step(w->begin);
	if (rc == SQLITE_OK) {
		c->rc = c->fn(s, w->db, c->context, c->err);
		if (c->rc >= 0)
			rc = writer_step(w->commit);
		else if (sqlite3_errcode(w->db) != SQLITE_OK)
			rc = sqlite3_errcode(w->db);
		if (!sqlite3_get_autocommit(w->db))
			writer_step(w->rollback);
	}
	sqlite3_exec(w->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE &&
	    c->rc >= 0)
		c->rc = store_error(c->err, w->db, rc, "cannot write");
	/* a mistake of the caller's is no fault of the database */
	return (rc & 0xFF) == SQLITE_CONSTRAINT || (rc & 0xFF) == SQLITE_ERROR ||
	    rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void
checkpoint(struct writer *w)
{
	int left = 0, done = 0;

	if (w->wants_truncate) {
		w->wants_truncate = sqlite3_wal_checkpoint_v2(w->db, NULL,
		    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK;
		return;
	}
	if (w->wal_pages == 0)
		return;
	/* PASSIVE waits for nobody; when readers have kept the log from
	 * beginning anew for too long, RESTART waits for them (they do not
	 * wait for it) */
	if (sqlite3_wal_checkpoint_v2(w->db, NULL,
	    w->wal_pages > 2 * STORE_WAL_PAGES ? SQLITE_CHECKPOINT_RESTART :
	    SQLITE_CHECKPOINT_PASSIVE, &left, &done) == SQLITE_OK &&
	    left == done)
		w->wal_pages = 0;
}

static bool
has_faults(struct store *s)
{
	bool ill;

	pthread_mutex_lock(&s->lock);
	ill = s->faults[SIDE_WRITE] != 0;
	pthread_mutex_unlock(&s->lock);
	return ill;
}

/* With nothing to write, only a write tells whether writing works again. */
static int
probe(struct writer *w)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", schema_version);
	return sqlite3_exec(w->db, sql, NULL, NULL, NULL);
}

/* false: a fault, which was told; the work is to be tried again. A call is
 * not: *ret_called says whether it has run. Its caller must not be told
 * before the end, since the call lives on the caller's stack. */
static bool
writer_work(struct store *s, struct op **ops, size_t n, bool *ret_called)
{
	struct writer *w = &s->writer;
	int rc = SQLITE_OK;

	check_file(s);
	if (w->db == NULL && !writer_open(s))
		return false;
	if (n == 1 && ops[0]->kind == OP_CALL) {
		rc = run_call(s, ops[0]->call);
		*ret_called = true;
	} else if (n > 0) {
		qsort(ops, n, sizeof(ops[0]), op_compare);
		rc = run_batch(s, ops, n);
	} else {
		rc = probe(w);
	}
	if (rc == SQLITE_OK) {
		fault_heal(s, SIDE_WRITE);
		if (w->wal_pages > STORE_WAL_PAGES || w->wants_truncate)
			checkpoint(w);
		return true;
	}
	if (fault_of(rc, w->db) == FAULT_CORRUPT) {
		writer_corrupt(s);
		return false;
	}
	fault_raise(s, SIDE_WRITE, fault_of(rc, w->db), sqlite3_errmsg(w->db));
	/* a connection may hold on to what was wrong (read-only, a lost lock) */
	if ((rc & 0xFF) != SQLITE_BUSY)
		writer_close(s);
	return false;
}

static void
upkeep(struct store *s)
{
	struct writer *w = &s->writer;
	int64_t now;
	int rc;

	check_file(s);
	if (w->db == NULL && !writer_open(s))
		return;
	pthread_mutex_lock(&s->lock);
	now = s->clock;
	pthread_mutex_unlock(&s->lock);
	if (now == 0)
		return;
	rc = expire_step(s, now);
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(w->db))
		writer_step(w->rollback);
	if (rc != SQLITE_OK && fault_of(rc, w->db) == FAULT_CORRUPT)
		writer_corrupt(s);
	else if (rc == SQLITE_OK)
		checkpoint(w);
}

/* Called and returns with the lock. false: the time has come for upkeep. */
static bool
wait_for_work(struct store *s, bool failing)
{
	struct timespec t;

	if (failing) {
		/* nobody hurries it but a flush, a call, or the end */
		t = clock_deadline(STORE_RETRY_MS);
		while (!s->stop && !s->urgent &&
		    pthread_cond_timedwait(&s->wake, &s->lock, &t) == 0)
			;
		return s->first != NULL;
	}
	t = clock_deadline(STORE_TICK_MS);
	while (!s->stop && s->first == NULL && !s->file_gone && !s->saw_corrupt)
		if (pthread_cond_timedwait(&s->wake, &s->lock, &t) != 0)
			return false;
	t = clock_deadline(STORE_LINGER_MS);
	while (!s->stop && !s->urgent && s->queued < STORE_BATCH_OPS &&
	    s->first != NULL)
		if (pthread_cond_timedwait(&s->wake, &s->lock, &t) != 0)
			break;
	return s->first != NULL;
}

/* The next operations that belong into one transaction. */
static size_t
take(struct store *s, struct op **ops)
{
	size_t n = 0;

	while (s->first != NULL && n < STORE_BATCH_OPS) {
		struct op *o = s->first;

		if (o->kind == OP_CALL && n > 0)
			break;
		s->first = o->next;
		if (s->first == NULL)
			s->last = &s->first;
		ops[n++] = o;
		if (o->kind == OP_CALL)
			break;
	}
	return n;
}

/* Nobody shall wait for a database that does not work: calls fail now, only
 * updates wait for better times. */
static void
fail_calls(struct store *s)
{
	struct op **at = &s->first;

	while (*at != NULL) {
		struct op *o = *at;

		if (o->kind != OP_CALL) {
			at = &o->next;
			continue;
		}
		o->call->rc = error_set(o->call->err, -EAGAIN,
		    "state database \"%s\" is not available", s->path);
		o->call->done = true;
		*at = o->next;
		s->queued--;
		free(o);
	}
	s->last = at;
}

static void
put_back(struct store *s, struct op **ops, size_t n)
{
	/* in whatever order: they are sorted again before the next attempt */
	for (size_t i = n; i-- > 0;) {
		ops[i]->next = s->first;
		if (s->first == NULL)
			s->last = &ops[i]->next;
		s->first = ops[i];
	}
}

void *
writer_main(void *arg)
{
	struct store *s = arg;
	struct op **ops = s->batch;
	int64_t upkeep_due = clock_ms() + STORE_TICK_MS;
	bool failing = s->writer.db == NULL, ok, called;
	uint64_t last_seq;
	size_t n;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		wait_for_work(s, failing);
		if (s->stop && s->first == NULL)
			break;
		n = take(s, ops);
		last_seq = 0;
		for (size_t i = 0; i < n; i++)
			if (ops[i]->seq > last_seq)
				last_seq = ops[i]->seq;
		if (s->first == NULL)
			s->urgent = false;
		pthread_mutex_unlock(&s->lock);

		called = false;
		ok = n > 0 || failing ? writer_work(s, ops, n, &called) : true;
		if (clock_ms() >= upkeep_due && ok) {
			upkeep(s);
			upkeep_due = clock_ms() + STORE_TICK_MS;
		} else if (n == 0 && ok) {
			/* a reader asked to look at the file */
			check_file(s);
			ok = s->writer.db != NULL || writer_open(s);
		}

		/* as long as something is wrong it is looked at again soon,
		 * whether there is anything to write or not */
		failing = !ok || has_faults(s);
		pthread_mutex_lock(&s->lock);
		if (n == 1 && ops[0]->kind == OP_CALL) {
			/* the caller waits and is told; it may ask again */
			if (!called)
				ops[0]->call->rc = error_set(ops[0]->call->err,
				    -EAGAIN,
				    "state database \"%s\" is not available",
				    s->path);
			ops[0]->call->done = true;
			ok = true;
		}
		if (ok) {
			s->queued -= n;
			if (last_seq > s->seq_done)
				s->seq_done = last_seq;
			for (size_t i = 0; i < n; i++)
				free(ops[i]);
		} else {
			put_back(s, ops, n);
			fail_calls(s);
			s->attempts_failed++;
			s->urgent = false;
			if (s->stop)
				break;
		}
		/* a call that was failed took its number with it */
		if (s->first == NULL)
			s->seq_done = s->seq;
		pthread_cond_broadcast(&s->done);
	}
	while (s->first != NULL) {
		struct op *o = s->first;

		s->first = o->next;
		if (o->kind == OP_CALL) {
			o->call->rc = -EAGAIN;
			o->call->done = true;
		}
		s->dropped++;
		free(o);
	}
	s->last = &s->first;
	pthread_cond_broadcast(&s->done);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void
writer_queue(struct store *s, struct op *op)
{
	bool full;

	pthread_mutex_lock(&s->lock);
	full = op->kind != OP_CALL && (s->queued >= s->max_queue || s->stop);
	if (full) {
		s->dropped++;
	} else {
		op->seq = ++s->seq;
		op->next = NULL;
		*s->last = op;
		s->last = &op->next;
		s->queued++;
		if (op->kind == OP_CALL)
			s->urgent = true;
		/* the writer sleeps only when it has nothing, or lingers
		 * until there is a full batch */
		if (s->queued == 1 || s->queued == STORE_BATCH_OPS || s->urgent)
			pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (full) {
		free(op);
		fault_raise(s, SIDE_WRITE, FAULT_QUEUE, NULL);
	}
}

int
store_call(struct store *s, store_call_fn *fn, void *context,
    struct error *err)
{
	struct call call = { .fn = fn, .context = context, .err = err };
	struct op *op;

	if (s->mode != STORE_WRITE)
		return error_set(err, -EROFS, "\"%s\" is open for reading only",
		    s->path);
	op = op_new(OP_CALL, 0);
	if (op == NULL)
		return error_set(err, -ENOMEM, "no memory");
	op->call = &call;
	writer_queue(s, op);
	pthread_mutex_lock(&s->lock);
	while (!call.done)
		pthread_cond_wait(&s->done, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return call.rc;
}
