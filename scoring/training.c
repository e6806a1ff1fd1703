/*
 * The model follows the lessons: forward by learning those that are new, back
 * by starting from a snapshot that is older than what was taken back.
 *
 * The order of writing makes every moment safe to be killed at. Snapshots
 * that have learned what was taken back go first; the model is replaced; only
 * then is the taking back settled. Whoever is killed in between finds it
 * unsettled and does it again. Lessons are folded only when a snapshot that
 * has learned them is on disk.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scoring/feedback.h"

/* Room beside the base and for one more before thinning */
enum { SNAPSHOT_ROOM = FEEDBACK_MAX_SNAPSHOTS + 2 };

struct training {
	struct store *store;
	const struct feedback_model *m;
	struct lessons_state state;
	struct model_writer *writer;
	int64_t events[SNAPSHOT_ROOM]; /* of the snapshots, ascending */
	size_t count;
	int64_t since;	  /* lessons learned after the last of them */
	int64_t interval; /* lessons from one to the next */
};

static char *
snapshot_path(const struct training *t, int64_t event)
{
	char *path;

	return asprintf(&path, "%s.at-%lld", t->m->path, (long long)event) == -1 ?
	    NULL : path;
}

static void
snapshot_remove(struct training *t, size_t i)
{
	char *path = snapshot_path(t, t->events[i]);

	/* one that stays behind is found again next time */
	if (path != NULL)
		unlink(path);
	free(path);
	t->count--;
	memmove(t->events + i, t->events + i + 1,
	    (t->count - i) * sizeof(*t->events));
}

/* The event in the name of a snapshot of `base`, 0: another file */
static int64_t
snapshot_event(const char *name, const char *base, size_t len)
{
	const char *digits = name + len + 4;
	char *end;
	long long event;

	if (strncmp(name, base, len) != 0 || strncmp(name + len, ".at-", 4) != 0 ||
	    *digits < '1' || *digits > '9')
		return 0;
	errno = 0;
	event = strtoll(digits, &end, 10);
	return *end == '\0' && errno == 0 ? event : 0;
}

static void
snapshots_insert(struct training *t, int64_t event)
{
	size_t i = t->count;

	if (t->count == SNAPSHOT_ROOM)
		return;
	for (; i > 0 && t->events[i - 1] > event; i--)
		t->events[i] = t->events[i - 1];
	t->events[i] = event;
	t->count++;
}

/* Which one to do without, so that those that stay lie closer together the
 * younger they are: most of what is taken back was said lately. */
static void
snapshots_thin(struct training *t)
{
	size_t base = t->count > 0 && t->events[0] == t->state.folded ? 1 : 0;

	while (t->count > base + t->m->snapshots) {
		int64_t newest = t->events[t->count - 1];
		double least = 0;
		size_t best = base;

		for (size_t i = base; i + 1 < t->count; i++) {
			int64_t before = i > 0 ? t->events[i - 1] : 0;
			double gap = (double)(t->events[i + 1] - before) /
			    (double)(newest - t->events[i] + 1);

			if (i == base || gap < least) {
				least = gap;
				best = i;
			}
		}
		snapshot_remove(t, best);
	}
}

static int
snapshots_find(struct training *t, struct error *err)
{
	const char *slash = strrchr(t->m->path, '/');
	const char *base = slash != NULL ? slash + 1 : t->m->path;
	char *dir = slash == NULL ? strdup(".") : strndup(t->m->path,
	    slash == t->m->path ? 1 : (size_t)(slash - t->m->path));
	DIR *d = dir != NULL ? opendir(dir) : NULL;
	struct dirent *e;
	int64_t last;

	free(dir);
	if (dir == NULL)
		return error_set(err, -ENOMEM, "no memory");
	if (d == NULL)
		return errno == ENOENT ? 0 : error_set(err, -errno,
		    "cannot look beside \"%s\": %s", t->m->path, strerror(errno));
	while ((e = readdir(d)) != NULL) {
		int64_t event = snapshot_event(e->d_name, base, strlen(base));

		if (event != 0)
			snapshots_insert(t, event);
	}
	closedir(d);
	/* what was folded may have no row any more */
	last = t->state.last > t->state.folded ? t->state.last : t->state.folded;
	/* what has learned a lesson that does not stand any more, or comes from
	 * another past, is of no use */
	while (t->count > 0 && ((t->state.gone != 0 &&
	    t->events[t->count - 1] >= t->state.gone) ||
	    t->events[t->count - 1] > last))
		snapshot_remove(t, t->count - 1);
	/* and what is older than the one that lessons were folded in */
	while (t->count > 0 && t->events[0] < t->state.folded)
		snapshot_remove(t, 0);
	snapshots_thin(t);
	return 0;
}

/* A snapshot saves time later and no more: one that cannot be written, for
 * want of room, is done without. */
static void
snapshot_take(struct training *t, int64_t event)
{
	char *path = snapshot_path(t, event);
	struct error ignored;

	t->since = 0;
	if (path != NULL && model_writer_save(t->writer, path, &ignored) == 0) {
		snapshots_insert(t, event);
		snapshots_thin(t);
	}
	free(path);
}

/* The youngest snapshot that opens, else an empty model. Damaged ones go. */
static int
start_again(struct training *t, struct error *err)
{
	while (t->count > 0) {
		int64_t event = t->events[t->count - 1];
		struct model_info info;
		char *path = snapshot_path(t, event);
		int rc = path == NULL ? error_set(err, -ENOMEM, "no memory") :
		    model_writer_open(path, &t->writer, err);

		free(path);
		if (rc == 0) {
			model_info(model_writer_model(t->writer), &info);
			if (info.last_event == event)
				return 0;
			model_writer_free(t->writer);
			t->writer = NULL;
		} else if (rc != -ENOENT && rc != -EBADMSG &&
		    rc != -EPROTONOSUPPORT)
			return rc;
		snapshot_remove(t, t->count - 1);
	}
	return model_writer_new(&t->m->options, &t->writer, err);
}

static int
train_one(void *context, const struct lesson *l)
{
	struct training *t = context;
	struct sample sample;

	/* what a damaged database says is not learned */
	if (sample_unpack(l->sample, &sample) == 0 && l->weight > 0 &&
	    l->weight <= 1)
		model_writer_learn(t->writer, &sample,
		    l->spam ? MODEL_SPAM : MODEL_HAM, l->weight, l->event);
	if (++t->since >= t->interval && t->interval > 0 && t->m->snapshots > 0)
		snapshot_take(t, l->event);
	return 0;
}

/* Lessons that are old enough and that a snapshot has learned */
static int
fold(struct training *t, int64_t now, struct error *err)
{
	int64_t upto = 0, event = 0;
	int rc;

	if (t->m->keep_sec <= 0)
		return 0;
	rc = store_lessons_foldable(t->store, now - t->m->keep_sec, &upto, err);
	for (size_t i = 0; i < t->count && t->events[i] <= upto; i++)
		event = t->events[i];
	if (rc != 0 || event <= t->state.folded)
		return rc;
	rc = store_lessons_fold(t->store, event, err);
	while (rc == 0 && t->count > 0 && t->events[0] < event)
		snapshot_remove(t, 0);
	return rc;
}

/* What new lessons there are, onto the writer and into the file */
static int
learn_rest(struct training *t, struct error *err)
{
	int64_t newest = t->count > 0 ? t->events[t->count - 1] : 0;
	int64_t rest, spread;
	struct model_info info;
	int rc;

	model_info(model_writer_model(t->writer), &info);
	rc = store_lessons_count(t->store, newest, info.last_event, &t->since,
	    err);
	if (rc == 0)
		rc = store_lessons_count(t->store, info.last_event, INT64_MAX,
		    &rest, err);
	if (rc != 0)
		return rc;
	/* of many lessons at once most snapshots would be thinned out again */
	spread = rest / (2 * ((int64_t)t->m->snapshots + 1));
	t->interval = t->m->snapshot_lessons;
	if (t->interval > 0 && t->interval < spread)
		t->interval = spread;
	rc = store_lessons(t->store, info.last_event, train_one, t, err);
	return rc == 0 ? model_writer_save(t->writer, t->m->path, err) : rc;
}

struct feedback_model
feedback_model_of(const struct scoring_settings *s, const char *path)
{
	return (struct feedback_model){
		.path = path,
		.options = { (size_t)s->learned_size, (unsigned)s->learned_need },
		.keep_sec = s->learned_keep / 1000,
		.snapshots = (unsigned)s->learned_snapshots,
		.snapshot_lessons = (unsigned)s->learned_snapshot_lessons,
	};
}

/* The database is not the one that the model was built from (it was lost, or
 * moved aside as damaged): what the model knows is kept, as if all of it were
 * folded, and the new lessons come after it. */
static int
adopt(struct training *t, int64_t event, struct error *err)
{
	int rc = store_lessons_adopt(t->store, event, err);

	if (rc == 0)
		rc = store_lessons_state(t->store, &t->state, err);
	if (rc == 0)
		snapshot_take(t, event);
	return rc;
}

int
feedback_train(struct store *s, const struct feedback_model *m, int64_t now,
    bool *ret_changed, struct error *err)
{
	struct training t = { .store = s, .m = m };
	struct model_info info = { 0 };
	bool stands;
	int rc = store_lessons_state(s, &t.state, err);

	*ret_changed = false;
	if (rc == 0)
		rc = snapshots_find(&t, err);
	if (rc != 0)
		return rc;
	rc = model_writer_open(m->path, &t.writer, err);
	if (rc == 0)
		model_info(model_writer_model(t.writer), &info);
	else if (rc == -ENOENT && t.state.last == 0 && t.state.folded == 0)
		return 0; /* nothing was ever learned */
	else if (rc != -ENOENT && rc != -EBADMSG && rc != -EPROTONOSUPPORT)
		return rc;
	if (rc == 0 && t.state.gone == 0 && info.last_event > t.state.last &&
	    info.last_event > t.state.folded) {
		rc = adopt(&t, info.last_event, err);
		if (rc != 0) {
			model_writer_free(t.writer);
			return rc;
		}
	}
	stands = rc == 0 &&
	    (t.state.gone == 0 || info.last_event < t.state.gone);
	if (!stands) {
		model_writer_free(t.writer);
		t.writer = NULL;
		rc = start_again(&t, err);
	}
	if (rc == 0 && (!stands || info.last_event < t.state.last)) {
		rc = learn_rest(&t, err);
		*ret_changed = rc == 0;
	}
	if (rc == 0 && t.state.settle != 0)
		rc = store_lessons_settled(s, t.state.settle, err);
	if (rc == 0)
		rc = fold(&t, now, err);
	model_writer_free(t.writer);
	return rc;
}
