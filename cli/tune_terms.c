/*
 * What a model and a reputation say of labelled mail before they have seen
 * its label: what has seen it would look better than it is.
 *
 * In use they have learned all mail that came before; a message of the
 * folders that was judged by what had been learned until then, beginning with
 * nothing, would tell of a filter without a model. So the mail that scores
 * are fitted to is judged as the mail to come will be: by models that were
 * taught all of it but the part that the message's own mailing is in. What is
 * held out is judged in order of time, by a model that was taught the mail
 * fitted to and what was held out before it, and it teaches none of the
 * others: no score rests on it. A reputation grows as the messages are judged,
 * those fitted to before those held out: each sees what came before it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/mail.h"
#include "cli/scratch.h"
#include "cli/tune.h"
#include "scoring/learn/model.h"

/* A model takes learned_size of memory. */
enum { PARTS = 3 };

struct turn {
	double place; /* among its class, 0 to 1 */
	uint32_t message;
};

struct terms {
	struct runtime *rt;
	const struct collection *from;
	struct tune_set *set;
	uint64_t seed;
	struct model_writer *without[PARTS], *all;
	struct scratch scratch;
	struct gather_sources sources;
	struct message_limits limits;
	struct arena *arena;
	struct buf raw;
	size_t done; /* for the eye */
	bool progress;
};

static int
turn_cmp(const void *pa, const void *pb)
{
	const struct turn *a = pa, *b = pb;

	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	return (a->message > b->message) - (a->message < b->message);
}

/* In order of time, but ham and spam side by side even where they are of
 * different years: a model forgets none of what it learned, but a thousand
 * lessons of one class in a row are not what it will meet. */
static struct turn *
turns_order(const struct tune_set *s, size_t *ret_count)
{
	struct turn *list = calloc(s->count + 1, sizeof(*list));
	size_t of[2] = { 0, 0 }, seen[2] = { 0, 0 }, n = 0;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < s->count; i++)
		of[s->messages[i].spam] += !s->messages[i].newer;
	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];

		if (!m->newer)
			list[n++] = (struct turn){ (double)seen[m->spam]++ /
				(double)of[m->spam], (uint32_t)i };
	}
	qsort(list, n, sizeof(*list), turn_cmp);
	*ret_count = n;
	return list;
}

static void
show(struct terms *t)
{
	if (t->progress && ++t->done % 100 == 0)
		fprintf(stderr, "\r%zu of %zu", t->done, 2 * t->set->count);
}

/* false: it went away meanwhile */
static bool
message_read(struct terms *t, const struct tune_message *m,
    size_t *ret_full_size)
{
	struct error err;

	arena_reset(t->arena);
	return mail_read(tune_collection_mail(t->from, m), t->limits.scan_bytes,
	    &t->raw, ret_full_size, NULL, NULL, &err) == EX_OK;
}

static enum model_label
label_of(const struct tune_message *m)
{
	return m->spam ? MODEL_SPAM : MODEL_HAM;
}

static int
lesson_teach(struct terms *t, uint32_t i, struct error *err)
{
	const struct tune_message *m = &t->set->messages[i];
	unsigned part = tune_set_fold(t->set, i, t->seed, PARTS);
	struct sample_source source = { .delivered = true };
	struct sample s;
	size_t size;
	int r;

	show(t);
	if (!message_read(t, m, &size))
		return 0;
	r = message_parse(t->arena, buf_span(&t->raw), size, &t->limits,
	    &source.message, err);
	if (r != 0)
		return r == -ENOMEM ? r : 0;
	if (sample_make(&source, t->arena, &s) != 0)
		return error_set(err, -ENOMEM, "out of memory");
	for (unsigned k = 0; k < PARTS; k++)
		if (k != part)
			model_writer_learn(t->without[k], &s, label_of(m), 1, 0);
	model_writer_learn(t->all, &s, label_of(m), 1, 0);
	return 0;
}

/* The message's verdict becomes a lesson: to the reputation, and of mail that
 * is held out to the model that judges what comes behind it. */
static int
verdict_teach(struct terms *t, const struct tune_message *m,
    const struct engine_run *run, struct error *err)
{
	struct sample_source source = { .message = run->message,
		.delivered = true };
	struct identity *ids;
	struct sample s;
	size_t count;

	if (m->newer) {
		if (sample_make(&source, t->arena, &s) != 0)
			return error_set(err, -ENOMEM, "out of memory");
		model_writer_learn(t->all, &s, label_of(m), 1, 0);
	}
	if (gather_identities(t->rt->auth, run->evidence, run->envelope,
		run->message, t->arena, &ids, &count) != 0)
		return error_set(err, -ENOMEM, "out of memory");
	if (count == 0)
		return 0;
	store_reputation_add(t->scratch.store, ids, count, m->spam ? 0 : 1,
	    m->spam ? 1 : 0, NULL, m->time);
	/* the next verdict must see it, or the result would depend on how fast
	 * the disk is */
	return store_flush(t->scratch.store, err);
}

static int
message_judge(struct terms *t, size_t i, struct error *err)
{
	const struct tune_message *m = &t->set->messages[i];
	struct engine_request rq = { .sources = &t->sources, .now = m->time,
		.arena = t->arena, .model = model_writer_model(m->newer ? t->all :
			t->without[tune_set_fold(t->set, i, t->seed, PARTS)]) };
	struct engine_run run;
	uint32_t *hits;
	double sum = 0;
	size_t count;
	int r;

	show(t);
	if (!message_read(t, m, &rq.full_size_bytes))
		return 0; /* no terms, as for a stranger */
	rq.raw = buf_span(&t->raw);
	r = engine_judge(t->rt->engine, &rq, &run, err);
	if (r != 0)
		return r == -ENOMEM ? r : 0;
	for (size_t k = 0; k < run.verdict->hit_count; k++)
		if (strcmp(run.verdict->hits[k].type, "learned") == 0)
			sum += run.verdict->hits[k].score;
	for (size_t k = 0; k < run.verdict->reputation_count; k++)
		sum += run.verdict->reputation[k].score;
	r = tune_hits(t->rt, run.verdict, t->arena, &hits, &count);
	if (r == 0)
		r = tune_set_rejudge(t->set, i, sum, hits, count);
	return r == 0 ? verdict_teach(t, m, &run, err) :
	    error_set(err, r, "out of memory");
}

static int
run(struct terms *t, struct error *err)
{
	size_t n = 0;
	struct turn *turns = turns_order(t->set, &n);
	int r = turns != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");

	for (size_t i = 0; i < n && r == 0; i++)
		r = lesson_teach(t, turns[i].message, err);
	free(turns);
	for (int newer = 0; newer <= 1; newer++)
		for (size_t i = 0; i < t->set->count && r == 0; i++)
			if (t->set->messages[i].newer == (newer != 0))
				r = message_judge(t, i, err);
	return r;
}

int
tune_terms(const struct tune_options *o, struct runtime *rt,
    const struct collection *c, struct tune_set *set)
{
	/* the model in use has learned enough; these need not begin as it did */
	struct model_options mo = {
		(size_t)engine_settings(rt->engine)->learned_size, 1 };
	struct terms t = { .rt = rt, .from = c, .set = set, .seed = o->seed,
		.sources = rt->sources, .progress = isatty(STDERR_FILENO) };
	struct error err = { "out of memory" };
	int r, code = scratch_open(&t.scratch, "tune");

	if (code != EX_OK)
		return code;
	engine_limits(rt->engine, &t.limits);
	t.sources.store = t.scratch.store;
	t.sources.store_why = NULL;
	t.arena = arena_new(cli_arena_bytes(rt->engine));
	buf_init(&t.raw, t.limits.scan_bytes);
	r = t.arena == NULL ? -ENOMEM : model_writer_new(&mo, &t.all, &err);
	for (unsigned k = 0; k < PARTS && r == 0; k++)
		r = model_writer_new(&mo, &t.without[k], &err);
	if (r == 0)
		r = run(&t, &err);
	if (t.progress)
		fprintf(stderr, "\r%*s\r", 40, "");
	for (unsigned k = 0; k < PARTS; k++)
		model_writer_free(t.without[k]);
	model_writer_free(t.all);
	buf_done(&t.raw);
	arena_free(t.arena);
	scratch_close(&t.scratch);
	if (r == 0)
		return EX_OK;
	return r == -ENOMEM ? cli_fail(EX_OSERR, "%s", err.text) :
	    cli_fail(EX_IOERR, "%s: is there room in its directory?", err.text);
}
