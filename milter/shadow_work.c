#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "db/shadow.h"
#include "milter/log.h"
#include "milter/shadow_work.h"

struct job {
	struct job *next;
	struct snapshot *snapshot;
	struct transaction *t;
	size_t bytes;
};

struct shadow_work {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct job *first, **last;
	size_t jobs, bytes; /* waiting or in work */
	bool stop;
};

static void
job_free(struct job *j)
{
	transaction_free(j->t);
	snapshot_unref(j->snapshot);
	free(j);
}

static void
run(struct shadow_work *w, struct job *j)
{
	struct transaction *t = j->t;
	struct verdict *v = t->run.verdict;
	size_t before = v->shadow_count;

	if (engine_judge_shadow_rules(j->snapshot->engine, &t->run, t->arena) != 0)
		log_fault("shadow-memory", "fault=shadow verdict=%s "
		    "error=\"out of memory\"", t->verdict_id);
	for (size_t i = before; i < v->shadow_count; i++)
		if (v->shadows[i].fault != NULL)
			log_fault("shadow-budget", "fault=shadow name=%s "
			    "verdict=%s error=\"%s\"", v->shadows[i].name,
			    t->verdict_id, v->shadows[i].fault);
	session_put_shadows(w->store, t, before);
}

static void *
work_main(void *arg)
{
	struct shadow_work *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		struct job *j = w->first;

		if (j == NULL) {
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		w->first = j->next;
		if (w->first == NULL)
			w->last = &w->first;
		pthread_mutex_unlock(&w->lock);
		run(w, j);
		pthread_mutex_lock(&w->lock);
		w->jobs--;
		w->bytes -= j->bytes;
		pthread_mutex_unlock(&w->lock);
		job_free(j);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int
shadow_work_start(struct store *store, struct shadow_work **ret_work,
    struct error *err)
{
	struct shadow_work *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	w->store = store;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	r = pthread_create(&w->thread, NULL, work_main, w);
	if (r != 0) {
		free(w);
		return error_set(err, -r, "cannot start a thread");
	}
	*ret_work = w;
	return 0;
}

void
shadow_work_stop(struct shadow_work *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	while (w->first != NULL) {
		struct job *j = w->first;

		w->first = j->next;
		job_free(j);
	}
}

bool
shadow_work_add(struct shadow_work *w, struct snapshot *snapshot,
    struct transaction *t)
{
	struct job *j;
	bool room, stopped;

	/* without a verdict log there is nowhere to keep what they say */
	if (w == NULL || t->run.verdict == NULL ||
	    snapshot->settings.log_keep == 0 ||
	    !shadow_list_has(engine_shadows(snapshot->engine), SHADOW_RULES) ||
	    (j = malloc(sizeof(*j))) == NULL)
		return false;
	*j = (struct job){ NULL, snapshot_ref(snapshot), t,
		arena_used(t->arena) + t->raw.alloc };
	pthread_mutex_lock(&w->lock);
	stopped = w->stop;
	room = !stopped && w->jobs < SHADOW_WORK_JOBS &&
	    (w->jobs == 0 || w->bytes + j->bytes <= SHADOW_WORK_BYTES);
	if (room) {
		*w->last = j;
		w->last = &j->next;
		w->jobs++;
		w->bytes += j->bytes;
		pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	if (room)
		return true;
	snapshot_unref(j->snapshot);
	free(j);
	if (!stopped)
		log_fault("shadow-behind", "fault=shadow verdict=%s "
		    "error=\"the shadow's rules are slower than mail comes\"",
		    t->verdict_id);
	return false;
}
