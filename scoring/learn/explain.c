/*
 * Which words moved the prediction. Every feature's log-odds are spread over
 * the bytes where it stands first; the bytes add up to words, and those can
 * be read. All groups that read a view speak through the same words.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
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

static int
word_by_text(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
	int r = x->view - y->view;

	if (r == 0 && n != 0)
		r = memcmp(x->text.ptr, y->text.ptr, n);
	if (r == 0)
		r = (x->text.len > y->text.len) - (x->text.len < y->text.len);
	return r;
}

static int
word_by_share(const void *a, const void *b)
{
	double x = fabs(((const struct word *)a)->share);
	double y = fabs(((const struct word *)b)->share);

	return x > y ? -1 : x < y ? 1 : word_by_text(a, b);
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

static size_t
words_of(struct span v, int view, const double *bytes, struct word *words,
    size_t n)
{
	size_t i = 0;

	while (n < MOST_WORDS) {
		size_t start;
		double share = 0;

		while (i < v.len && span_is_wsp(v.ptr[i]))
			i++;
		if (i == v.len)
			break;
		for (start = i; i < v.len && !span_is_wsp(v.ptr[i]) &&
		    i - start < WORD_BYTES; i++)
			share += bytes[i];
		words[n++] = (struct word){ view, span_of(v.ptr + start, i - start),
			share };
	}
	return n;
}

/* The same word of a view once, with all that it adds */
static size_t
words_merge(struct word *words, size_t n)
{
	size_t out = 0;

	qsort(words, n, sizeof(*words), word_by_text);
	for (size_t i = 0; i < n; i++) {
		if (out > 0 && words[out - 1].view == words[i].view &&
		    span_eq(words[out - 1].text, words[i].text))
			words[out - 1].share += words[i].share;
		else
			words[out++] = words[i];
	}
	qsort(words, out, sizeof(*words), word_by_share);
	return out;
}

int
explain_features(const struct model *m, const struct sample *s, size_t count,
    double scale, struct arena *a, struct model_prediction *p)
{
	struct word *words = arena_bytes(a, MOST_WORDS * sizeof(*words));
	struct feature_places places;
	struct features f;
	size_t n = 0;
	int r;

	r = words == NULL ? -ENOMEM :
	    features_make_places(s, m, a, &f, &places);
	if (r != 0)
		return r;
	for (int view = 0; view < SAMPLE_VIEWS; view++) {
		double *bytes = ARENA_ARRAY(a, s->view[view].len + 1, double);

		if (bytes == NULL)
			return -ENOMEM;
		for (int k = 0; k < SEGMENTS; k++)
			if (segment_view[k] == view)
				spread(m, &f, &places, k, scale / GROUPS, bytes);
		n = words_of(s->view[view], view, bytes, words, n);
	}
	n = words_merge(words, n);
	if (count > n)
		count = n;
	p->features = ARENA_ARRAY(a, count, struct model_feature);
	if (p->features == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		/* NUL cannot stand in a C string */
		char *text = arena_printf(a, "%s:%.*s", view_names[words[i].view],
		    SPAN_ARG(words[i].text));

		if (text == NULL)
			return -ENOMEM;
		if (words[i].share == 0)
			break;
		p->features[p->feature_count++] = (struct model_feature){ text,
			words[i].share };
	}
	return 0;
}
