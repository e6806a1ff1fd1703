#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tune/clean.h"

enum {
	BAND_ROWS = 4,
	BANDS = SKETCH_SIZE / BAND_ROWS,
	SAME_CAMPAIGN = 20, /* of 32: about 60 % of the runs of words */
	DUPLICATE = 29,	    /* 90 % */
	COMPARED = 16,	    /* members of a bucket that others are held against */
	AGE_BINS = 10,
};

/* Messages whose ages are told apart less are not worth a warning */
static const double LEAST_OVERLAP = 0.6;

struct key {
	uint64_t hash;
	uint32_t message;
};

static int
key_cmp(const void *pa, const void *pb)
{
	const struct key *a = pa, *b = pb;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->message > b->message) - (a->message < b->message);
}

static bool
same_bytes(const struct tune_message *a, const struct tune_message *b)
{
	return memcmp(a->identity, b->identity, TUNE_IDENTITY) == 0;
}

/* The campaign's number is that of its first message. */
static uint32_t
root_of(struct tune_set *s, uint32_t i)
{
	while (s->messages[i].campaign != i) {
		uint32_t up = s->messages[i].campaign;

		s->messages[i].campaign = s->messages[up].campaign;
		i = up;
	}
	return i;
}

static void
join(struct tune_set *s, uint32_t a, uint32_t b)
{
	uint32_t x = root_of(s, a), y = root_of(s, b);

	if (x < y)
		s->messages[y].campaign = x;
	else
		s->messages[x].campaign = y;
}

static uint64_t
band_hash(const struct sketch *k, unsigned band)
{
	uint64_t h = 0x9E3779B97F4A7C15u * (band + 1);

	for (unsigned i = 0; i < BAND_ROWS; i++)
		h = (h ^ k->least[band * BAND_ROWS + i]) * 0xBF58476D1CE4E5B9u;
	return h ^ h >> 29;
}

static void
buckets_join(struct tune_set *s, struct key *keys, size_t n, bool identical)
{
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from; to < n && keys[to].hash == keys[from].hash; to++)
			;
		for (size_t i = from + 1; i < to; i++)
			for (size_t k = from; k < i && k < from + COMPARED; k++) {
				const struct tune_message *a =
				    &s->messages[keys[k].message];
				const struct tune_message *b =
				    &s->messages[keys[i].message];

				if (identical ? !same_bytes(a, b) :
				    sketch_alike(&a->sketch, &b->sketch) <
				    SAME_CAMPAIGN)
					continue;
				join(s, keys[k].message, keys[i].message);
				break;
			}
	}
}

static int
campaigns_find(struct tune_set *s)
{
	struct key *keys = calloc(s->count + 1, sizeof(*keys));
	size_t n = 0;

	if (keys == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		s->messages[i].campaign = (uint32_t)i;
	for (size_t i = 0; i < s->count; i++) {
		keys[i].message = (uint32_t)i;
		memcpy(&keys[i].hash, s->messages[i].identity,
		    sizeof(keys[i].hash));
	}
	qsort(keys, s->count, sizeof(*keys), key_cmp);
	buckets_join(s, keys, s->count, true);
	for (unsigned band = 0; band < BANDS; band++) {
		n = 0;
		for (size_t i = 0; i < s->count; i++)
			if (s->messages[i].sketch.has_text)
				keys[n++] = (struct key){ band_hash(
				    &s->messages[i].sketch, band), (uint32_t)i };
		qsort(keys, n, sizeof(*keys), key_cmp);
		buckets_join(s, keys, n, false);
	}
	for (size_t i = 0; i < s->count; i++)
		s->messages[i].campaign = root_of(s, (uint32_t)i);
	free(keys);
	return 0;
}

static bool
is_duplicate(const struct tune_message *a, const struct tune_message *b)
{
	return a->spam == b->spam && (same_bytes(a, b) ||
	    sketch_alike(&a->sketch, &b->sketch) >= DUPLICATE);
}

/* Within each campaign: labels that contradict, and near-duplicates, of which
 * the oldest stays. */
static int
campaigns_thin(struct tune_set *s, struct clean_report *r)
{
	struct key *by = calloc(s->count + 1, sizeof(*by));

	if (by == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		by[i] = (struct key){ s->messages[i].campaign, (uint32_t)i };
	qsort(by, s->count, sizeof(*by), key_cmp);
	for (size_t from = 0, to; from < s->count; from = to) {
		uint32_t kept[COMPARED];
		size_t n = 0;

		for (to = from; to < s->count && by[to].hash == by[from].hash;
		     to++) {
			struct tune_message *m = &s->messages[by[to].message];

			for (size_t k = from; k < to && k < from + 1000; k++) {
				struct tune_message *o =
				    &s->messages[by[k].message];

				if (o->spam != m->spam && same_bytes(o, m))
					o->use = m->use = TUNE_CONTRADICTED;
			}
		}
		for (size_t i = from; i < to; i++) {
			struct tune_message *m = &s->messages[by[i].message];
			size_t k = 0;

			if (m->use == TUNE_CONTRADICTED) {
				r->contradicted++;
				continue;
			}
			while (k < n && !is_duplicate(m, &s->messages[kept[k]]))
				k++;
			if (k < n) {
				m->use = TUNE_DUPLICATE;
				r->duplicates++;
			} else if (n < COMPARED)
				kept[n++] = by[i].message;
		}
		if (to - from > 1)
			r->campaigns++;
		if (to - from > r->largest)
			r->largest = to - from;
	}
	free(by);
	return 0;
}

static bool
counts(const struct tune_message *m)
{
	return m->use == TUNE_FIT || m->use == TUNE_HELD_OUT;
}

/* The time of the message of one class below which `share` of it lies; the
 * set is in order of time */
static int64_t
quantile(const struct tune_set *s, bool spam, size_t n, double share)
{
	size_t want = (size_t)(share * (double)(n - 1) + 0.5), seen = 0;

	for (size_t i = 0; i < s->count; i++)
		if (counts(&s->messages[i]) && s->messages[i].time != 0 &&
		    s->messages[i].spam == spam && seen++ == want)
			return s->messages[i].time;
	return 0;
}

struct ages {
	int64_t edge[AGE_BINS]; /* where the bin ends */
	double share[2][AGE_BINS];
};

static unsigned
bin_of(const struct ages *a, int64_t t)
{
	unsigned b = 0;

	while (b + 1 < AGE_BINS && t >= a->edge[b])
		b++;
	return b;
}

/* Bins that hold a tenth of ham and spam together, each class counting half:
 * the edges are means of both classes' quantiles. */
static void
ages_measure(const struct tune_set *s, const size_t n[2], struct ages *a)
{
	*a = (struct ages){ 0 };
	/* the pooled order, weights 1/n of the class */
	double passed = 0;
	unsigned b = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];

		if (!counts(m) || m->time == 0)
			continue;
		passed += 0.5 / (double)n[m->spam];
		while (b < AGE_BINS && passed > (double)(b + 1) / AGE_BINS - 1e-9)
			a->edge[b++] = m->time;
	}
	while (b < AGE_BINS)
		a->edge[b++] = INT64_MAX;
	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];

		if (counts(m) && m->time != 0)
			a->share[m->spam][bin_of(a, m->time)] +=
			    1 / (double)n[m->spam];
	}
}

/* Both classes are brought to the lesser of the two shares of each bin. What
 * has no counterpart keeps a little: it still says which rules hit. */
static double
age_weight(const struct ages *a, const struct tune_message *m)
{
	static const double LEAST = 0.25;
	unsigned b = bin_of(a, m->time);
	double own = a->share[m->spam][b], other = a->share[!m->spam][b];
	double w = own > 0 ? (own < other ? own : other) / own : 1;

	return w > LEAST ? w : LEAST;
}

static void
ages_compare(struct tune_set *s, struct clean_report *r)
{
	size_t n[2] = { 0, 0 }, counted[2] = { 0, 0 };
	double total[2] = { 0, 0 };
	struct ages a;

	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];

		if (!counts(m))
			continue;
		counted[m->spam]++;
		if (m->time != 0)
			n[m->spam]++;
		else
			r->no_time++;
	}
	if (n[0] == 0 || n[1] == 0)
		return;
	r->ham_from = quantile(s, false, n[0], 0.05);
	r->ham_to = quantile(s, false, n[0], 0.95);
	r->spam_from = quantile(s, true, n[1], 0.05);
	r->spam_to = quantile(s, true, n[1], 0.95);
	ages_measure(s, n, &a);
	for (unsigned b = 0; b < AGE_BINS; b++)
		r->overlap += a.share[0][b] < a.share[1][b] ? a.share[0][b] :
							      a.share[1][b];
	r->ages_differ = r->overlap < LEAST_OVERLAP;
	for (size_t i = 0; i < s->count; i++) {
		struct tune_message *m = &s->messages[i];

		if (!counts(m))
			continue;
		m->weight = m->time != 0 ? age_weight(&a, m) : 1;
		total[m->spam] += m->weight;
	}
	/* the classes keep their sizes: what an error costs is another matter */
	for (size_t i = 0; i < s->count; i++) {
		struct tune_message *m = &s->messages[i];

		if (counts(m))
			m->weight *= (double)counted[m->spam] / total[m->spam];
	}
}

/* Where the newest `want` messages of a class begin; INT64_MAX: want is 0 */
static int64_t
newest_begin(const struct tune_set *s, bool spam, size_t want)
{
	int64_t begin = INT64_MAX;

	for (size_t i = s->count; i > 0 && want > 0; i--) {
		const struct tune_message *m = &s->messages[i - 1];

		if (counts(m) && m->spam == spam) {
			begin = m->time;
			want--;
		}
	}
	return begin;
}

/* A mailing of which some came before the boundary is no new mail, whatever
 * its label. How many spam are new. */
static size_t
newer_mark(struct tune_set *s, const struct clean_report *r)
{
	size_t spam = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct tune_message *m = &s->messages[i];

		m->newer = m->time != 0 && m->time >= (m->spam ?
		    r->spam_boundary : r->boundary);
	}
	for (size_t i = 0; i < s->count; i++)
		if (!s->messages[i].newer)
			s->messages[s->messages[i].campaign].newer = false;
	for (size_t i = 0; i < s->count; i++) {
		struct tune_message *m = &s->messages[i];

		m->newer = s->messages[m->campaign].newer;
		spam += m->newer && m->spam && counts(m);
	}
	return spam;
}

/* Held out is the newest ham, from a boundary in time on, and the spam that
 * came with it. Where the two were kept in different years, or next to no spam
 * is on one side of it, spam has a boundary of its own: else scores would be
 * fitted to, or judged on, the few wrong labels that share the other's years. */
static void
split(struct tune_set *s, const struct clean_options *o,
    struct clean_report *r)
{
	enum { LEAST = 20 }; /* fewer say nothing */
	size_t n[2] = { 0, 0 }, new_spam, want;

	for (size_t i = 0; i < s->count; i++)
		if (counts(&s->messages[i]))
			n[s->messages[i].spam]++;
	want = (size_t)(o->held_out * (double)n[0]);
	/* what cannot be certified at all need not cost the fit its mail */
	if (want < o->want_ham && o->want_ham <= n[0] / 2)
		want = o->want_ham;
	r->boundary = r->spam_boundary = newest_begin(s, false, want);
	new_spam = newer_mark(s, r);
	if (want > 0 && (r->ages_differ || new_spam < LEAST ||
	    n[1] - new_spam < LEAST)) {
		r->spam_boundary = newest_begin(s, true,
		    (size_t)((double)want / (double)n[0] * (double)n[1]));
		newer_mark(s, r);
	}
	for (size_t i = 0; i < s->count; i++) {
		struct tune_message *m = &s->messages[i];

		if (!counts(m))
			continue;
		m->use = m->newer ? TUNE_HELD_OUT : TUNE_FIT;
		if (m->use == TUNE_HELD_OUT)
			(*(m->spam ? &r->held_spam : &r->held_ham))++;
		else
			(*(m->spam ? &r->fit_spam : &r->fit_ham))++;
	}
}

int
clean_run(struct tune_set *s, const struct clean_options *o,
    struct clean_report *ret_report)
{
	struct clean_report r = { 0 };

	for (size_t i = 0; i < s->count; i++)
		(*(s->messages[i].spam ? &r.spam : &r.ham))++;
	if (campaigns_find(s) != 0 || campaigns_thin(s, &r) != 0)
		return -ENOMEM;
	ages_compare(s, &r);
	split(s, o, &r);
	*ret_report = r;
	return 0;
}
