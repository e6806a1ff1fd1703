#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "scoring/rules/ruleset.h"
#include "tune/set.h"

enum { SET_ARENA_BYTES = 512 << 20 };

/* Exceptions to "no single hit rejects" and what the administrator or the
 * learned model says by rules of its own: not the tuner's. */
static const char *
why_fixed(const struct rule *r)
{
	if (r->sub_rule)
		return "carries no score";
	if ((r->tflags & RULE_REJECT) != 0)
		return "may reject by itself";
	if ((r->tflags & RULE_USERCONF) != 0)
		return "the administrator's own list";
	if ((r->tflags & RULE_LEARN) != 0)
		return "speaks for what was learned";
	return NULL;
}

int
tune_set_init(struct tune_set *s, const struct ruleset *rs, int score_set)
{
	*s = (struct tune_set){ .rule_count = ruleset_count(rs) };
	s->arena = arena_new(SET_ARENA_BYTES);
	s->rules = calloc(s->rule_count + 1, sizeof(*s->rules));
	if (s->arena == NULL || s->rules == NULL) {
		tune_set_done(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct rule *r = ruleset_rule(rs, i);
		struct tune_rule *t = &s->rules[i];

		t->name = arena_strdup(s->arena, r->name);
		if (t->name == NULL) {
			tune_set_done(s);
			return -ENOMEM;
		}
		t->current = r->sub_rule ? 0 : r->scores[score_set];
		t->shipped = r->sub_rule ? 0 : r->base_scores[score_set];
		t->alone = (r->tflags & (RULE_REJECT | RULE_USERCONF)) != 0;
		t->nice = (r->tflags & RULE_NICE) != 0;
		t->fixed = why_fixed(r);
		/* 0 is how an administrator turns a rule off */
		if (t->fixed == NULL && t->shipped == 0)
			t->fixed = "turned off";
	}
	return 0;
}

void
tune_set_done(struct tune_set *s)
{
	free(s->rules);
	free(s->messages);
	free(s->hits);
	arena_free(s->arena);
	*s = (struct tune_set){ 0 };
}

static int
number_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
hit_room_make(struct tune_set *s, size_t hits)
{
	if (hits > s->hit_alloc - s->hit_count) {
		size_t alloc = s->hit_alloc * 2 + hits + 4096;
		void *p = reallocarray(s->hits, alloc, sizeof(*s->hits));

		if (p == NULL)
			return -ENOMEM;
		s->hits = p;
		s->hit_alloc = alloc;
	}
	/* rows of the fit are counted in 32 bits */
	return s->hit_count + hits < UINT32_MAX ? 0 : -E2BIG;
}

static int
room_make(struct tune_set *s, size_t hits)
{
	if (s->count >= TUNE_MAX_MESSAGES)
		return -E2BIG;
	if (s->count == s->alloc) {
		size_t alloc = s->alloc == 0 ? 1024 : s->alloc * 2;
		void *p = reallocarray(s->messages, alloc, sizeof(*s->messages));

		if (p == NULL)
			return -ENOMEM;
		s->messages = p;
		s->alloc = alloc;
	}
	return hit_room_make(s, hits);
}

/* Copies them behind all others, in order and each once */
static void
hits_add(struct tune_set *s, struct tune_message *m, const uint32_t *hits,
    size_t hit_count)
{
	uint32_t *own = s->hits + s->hit_count;
	size_t kept = 0;

	if (hit_count > 0) {
		memcpy(own, hits, hit_count * sizeof(*own));
		qsort(own, hit_count, sizeof(*own), number_cmp);
	}
	for (size_t i = 0; i < hit_count; i++)
		if (i == 0 || own[i] != own[i - 1])
			own[kept++] = own[i];
	m->first_hit = s->hit_count;
	m->hit_count = (uint32_t)kept;
	s->hit_count += kept;
}

static bool
hits_are_known(const struct tune_set *s, const uint32_t *hits, size_t hit_count)
{
	for (size_t i = 0; i < hit_count; i++)
		if (hits[i] >= s->rule_count)
			return false;
	return true;
}

int
tune_set_add(struct tune_set *s, const struct tune_message *m,
    const uint32_t *hits, size_t hit_count)
{
	struct tune_message *new;
	int r;

	if (!hits_are_known(s, hits, hit_count))
		return -EINVAL;
	r = room_make(s, hit_count);
	if (r != 0)
		return r;
	new = &s->messages[s->count];
	*new = *m;
	new->name = arena_strdup(s->arena, m->name);
	if (new->name == NULL)
		return -ENOMEM;
	hits_add(s, new, hits, hit_count);
	new->weight = 1;
	new->use = TUNE_FIT;
	s->count++;
	return 0;
}

int
tune_set_rejudge(struct tune_set *s, size_t i, double fixed,
    const uint32_t *hits, size_t hit_count)
{
	int r;

	if (!hits_are_known(s, hits, hit_count))
		return -EINVAL;
	r = hit_room_make(s, hit_count);
	if (r != 0)
		return r;
	hits_add(s, &s->messages[i], hits, hit_count);
	s->messages[i].fixed = fixed;
	return 0;
}

static int
message_cmp(const void *pa, const void *pb)
{
	const struct tune_message *a = pa, *b = pb;
	int c;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	c = memcmp(a->identity, b->identity, TUNE_IDENTITY);
	if (c == 0)
		c = strcmp(a->name, b->name);
	return c != 0 ? c : (int)a->spam - (int)b->spam;
}

void
tune_set_order(struct tune_set *s)
{
	if (s->count > 0)
		qsort(s->messages, s->count, sizeof(*s->messages), message_cmp);
}

double
tune_set_score(const struct tune_set *s, const struct tune_message *m,
    const double *scores)
{
	double sum = m->fixed;

	for (uint32_t k = 0; k < m->hit_count; k++)
		sum += scores[s->hits[m->first_hit + k]];
	return round(sum * 1000) / 1000;
}

unsigned
tune_set_fold(const struct tune_set *s, size_t i, uint64_t seed,
    unsigned folds)
{
	const struct tune_message *m = &s->messages[s->messages[i].campaign];
	uint64_t h[TUNE_IDENTITY / 8];

	memcpy(h, m->identity, sizeof(h));
	return (unsigned)(random_mix(random_mix(h[0]) + h[1] +
		seed * RANDOM_STEP) % folds);
}
