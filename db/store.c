#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/internal.h"

static void
store_free(struct store *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->done);
	pthread_cond_destroy(&s->reader_free);
	free(s->batch);
	free(s->path);
	free(s->lock_path);
	free(s);
}

static struct store *
store_alloc(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	s->mode = o->mode;
	s->max_queue = o->max_queue != 0 ? o->max_queue : STORE_DEFAULT_QUEUE;
	s->busy_ms = o->busy_ms <= 0 ? STORE_DEFAULT_BUSY_MS :
	    o->busy_ms > 60000 ? 60000 : (int)o->busy_ms;
	s->fault = o->fault;
	s->fault_context = o->fault_context;
	s->lock_fd = -1;
	s->last = &s->first;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, &attr);
	pthread_cond_init(&s->done, &attr);
	pthread_cond_init(&s->reader_free, &attr);
	pthread_condattr_destroy(&attr);
	s->path = strdup(o->path);
	if (asprintf(&s->lock_path, "%s.lock", o->path) < 0)
		s->lock_path = NULL;
	s->batch = calloc(STORE_BATCH_OPS, sizeof(struct op *));
	if (s->path == NULL || s->lock_path == NULL || s->batch == NULL) {
		store_free(s);
		return NULL;
	}
	return s;
}

static int
open_read(struct store *s, struct error *err)
{
	struct reader *r;
	struct stat st;
	int rc;

	if (stat(s->path, &st) != 0)
		return error_set(err, -errno, "cannot open \"%s\": %s", s->path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "\"%s\" is not a regular file",
		    s->path);
	rc = reader_acquire(s, &r, err);
	if (rc == 0)
		rc = reader_release(s, r, SQLITE_OK, err);
	return rc;
}

int
store_open(const struct store_options *o, struct store **ret_store,
    struct error *err)
{
	struct store *s = store_alloc(o);
	struct stat st;
	int rc = 0;

	if (s == NULL)
		return error_set(err, -ENOMEM, "no memory");
	if (o->mode == STORE_READ) {
		rc = open_read(s, err);
		if (rc == 0)
			secret_load(s);
	} else {
		rc = stat(s->path, &st) == 0 && !S_ISREG(st.st_mode) ?
		    error_set(err, -EINVAL, "\"%s\" is not a regular file",
		    s->path) : file_lock(s, err);
		/* Whatever is wrong with the file now may be over in a minute:
		 * the fault is told, the writer goes on trying, and mail is
		 * scored without it. */
		if (rc == 0) {
			secret_load(s);
			writer_open(s);
		}
		if (rc == 0)
			rc = -pthread_create(&s->thread, NULL, writer_main, s);
		if (rc == 0)
			s->thread_runs = true;
	}
	if (rc != 0) {
		reader_close_all(s);
		writer_close(s);
		store_free(s);
		return rc;
	}
	*ret_store = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->thread_runs) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_broadcast(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	reader_close_all(s);
	/* the last connection to close empties the WAL */
	writer_close(s);
	store_free(s);
}

int
store_flush(struct store *s, struct error *err)
{
	uint64_t want, failed;
	int rc = 0;

	if (s->mode != STORE_WRITE)
		return 0;
	pthread_mutex_lock(&s->lock);
	want = s->seq;
	failed = s->attempts_failed;
	while (s->seq_done < want) {
		if (s->attempts_failed != failed) {
			rc = error_set(err, -EAGAIN,
			    "state database \"%s\" is not available", s->path);
			break;
		}
		s->urgent = true;
		pthread_cond_signal(&s->wake);
		pthread_cond_wait(&s->done, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
