/*
 * Which words moved the prediction. Every feature's log-odds are spread over
 * the bytes where it stands first; the bytes add up to words, and those can
 * be read. All groups that read a view speak through the same words.
 */
#include <errno.h>
#include <math.h>

#include "scoring/learn/internal.h"

enum { WORD_BYTES = 48, MOST_WORDS = 6000 };

static const char *const view_names[SAMPLE_VIEWS] = {
	[SAMPLE_RAW] = "raw", [SAMPLE_HEAD] = "header",
	[SAMPLE_TEXT] = "text", [SAMPLE_TOKENS] = "structure",
};

struct word {
	int view;
	struct span text;
	double share;
};

/* Is x to be named before y? Share first, then a fixed order. */
static bool
word_before(const struct word *x, const struct word *y)
{
	double a = fabs(x->share), b = fabs(y->share);
	size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
	int r;

	if (a != b)
		return a > b;
	if (x->view != y->view)
		return x->view < y->view;
	r = n != 0 ? memcmp(x->text.ptr, y->text.ptr, n) : 0;
	return r != 0 ? r < 0 : x->text.len < y->text.len;
}

static void
spread(const struct model *m, const struct features *f,
    const struct feature_places *p, int segment, double scale, double *bytes)
{
	for (size_t i = 0; i < f->count[segment]; i++) {
		double share = (double)weight_of(m->weights,
		    f->list[segment][i]) *
		    (double)f->value[segment] * scale /
		    p->len[segment][i];
		size_t start = p->start[segment][i];

		if (!isfinite(share))
			continue;
		for (size_t k = 0; k < p->len[segment][i]; k++)
			bytes[start + k] += share;
	}
}

/* Words found so far, each of a view once, with all that it adds */
struct words {
	struct word *items;
	size_t count;
	uint16_t *slots; /* index + 1; 0: free */
};

enum { SLOTS = 16384 };
_Static_assert(SLOTS > 2 * MOST_WORDS && MOST_WORDS < UINT16_MAX, "slots");

static void
words_add(struct words *words, int view, struct span text, double share)
{
	uint32_t hash = 2166136261u + (uint32_t)view;
	uint32_t slot;

	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619u;
	slot = (hash ^ hash >> 15) & (SLOTS - 1);
	for (; words->slots[slot] != 0; slot = (slot + 1) & (SLOTS - 1)) {
		struct word *w = &words->items[words->slots[slot] - 1];

		if (w->view == view && span_eq(w->text, text)) {
			w->share += share;
			return;
		}
	}
	if (words->count == MOST_WORDS)
		return;
	words->items[words->count++] = (struct word){ view, text, share };
	words->slots[slot] = (uint16_t)words->count;
}

static void
words_of(struct words *words, struct span v, int view, const double *bytes)
{
	size_t i = 0;

	for (;;) {
		size_t start;
		double share = 0;

		while (i < v.len && span_is_wsp(v.ptr[i]))
			i++;
		if (i == v.len)
			return;
		for (start = i; i < v.len && !span_is_wsp(v.ptr[i]) &&
		    i - start < WORD_BYTES; i++)
			share += bytes[i];
		words_add(words, view, span_of(v.ptr + start, i - start), share);
	}
}

int
explain_features(const struct model *m, const struct sample *s,
    const struct features *f, const struct feature_places *places,
    size_t count, double scale, struct arena *a, struct model_prediction *p)
{
	struct words words = { arena_bytes(a, MOST_WORDS * sizeof(struct word)),
		0, ARENA_ARRAY(a, SLOTS, uint16_t) };

	if (words.items == NULL || words.slots == NULL)
		return -ENOMEM;
	for (int view = 0; view < SAMPLE_VIEWS; view++) {
		double *bytes = ARENA_ARRAY(a, s->view[view].len + 1, double);

		if (bytes == NULL)
			return -ENOMEM;
		for (int k = 0; k < SEGMENTS; k++)
			if (segment_view[k] == view)
				spread(m, f, places, k, scale / GROUPS, bytes);
		words_of(&words, s->view[view], view, bytes);
	}
	if (count > words.count)
		count = words.count;
	p->features = ARENA_ARRAY(a, count, struct model_feature);
	if (p->features == NULL)
		return -ENOMEM;
	/* a few out of many: no need to sort them all */
	for (size_t i = 0; i < count; i++) {
		struct word *best = &words.items[i], swap;
		char *text;

		for (size_t k = i + 1; k < words.count; k++)
			if (word_before(&words.items[k], best))
				best = &words.items[k];
		swap = words.items[i];
		words.items[i] = *best;
		*best = swap;
		if (words.items[i].share == 0)
			break;
		/* a NUL of the mail ends it: C strings cannot hold one */
		text = arena_printf(a, "%s:%.*s", view_names[words.items[i].view],
		    SPAN_ARG(words.items[i].text));
		if (text == NULL)
			return -ENOMEM;
		p->features[p->feature_count++] = (struct model_feature){ text,
			words.items[i].share };
	}
	return 0;
}
