/*
 * From a sample to features: n-grams of bytes and words, hashed to places in
 * the table of weights. Each feature counts once a segment (binary features), and
 * all of a segment have the same value, so that a long view and a short one
 * can move a prediction alike.
 */
#include <errno.h>
#include <math.h>

#include "scoring/learn/internal.h"

enum {
	/* Bits of the filter that keeps a feature from counting twice. Two
	 * features that meet in a bit count as one: a loss of one in a
	 * hundred, the same in learning and predicting, for a filter that
	 * stays in the first-level cache. */
	SEEN_BITS = 1 << 17,
	/* a segment of so many features has value 1 */
	NEUTRAL_FEATURES = 1500,
	/* fewer count as so many: three words must not outweigh a page */
	FEWEST_FEATURES = 40,
};

_Static_assert(SAMPLE_TEXT_BYTES >= SAMPLE_RAW_BYTES &&
    SAMPLE_TEXT_BYTES >= SAMPLE_HEAD_BYTES &&
    SAMPLE_TEXT_BYTES >= SAMPLE_TOKENS_BYTES, "text is the largest view");

const uint8_t segment_group[SEGMENTS] = {
	[SEGMENT_RAW] = GROUP_RAW,
	[SEGMENT_HEAD] = GROUP_TEXT,
	[SEGMENT_TEXT] = GROUP_TEXT,
	[SEGMENT_HEAD_WORDS] = GROUP_WORDS,
	[SEGMENT_TEXT_WORDS] = GROUP_WORDS,
	[SEGMENT_TOKENS] = GROUP_WORDS,
};

const uint8_t segment_view[SEGMENTS] = {
	[SEGMENT_RAW] = SAMPLE_RAW,
	[SEGMENT_HEAD] = SAMPLE_HEAD,
	[SEGMENT_TEXT] = SAMPLE_TEXT,
	[SEGMENT_HEAD_WORDS] = SAMPLE_HEAD,
	[SEGMENT_TEXT_WORDS] = SAMPLE_TEXT,
	[SEGMENT_TOKENS] = SAMPLE_TOKENS,
};

struct collect {
	uint64_t *seen; /* SEEN_BITS */
	uint32_t *out;
	uint16_t *start, *len; /* NULL: not asked for */
	size_t count, most;
	uint64_t salt;
	uint32_t pairs;
	const struct weight *weights; /* soon to be looked at */
};

static inline void
collect_add(struct collect *c, uint64_t x, size_t start, size_t len)
{
	uint64_t hash = (x ^ c->salt) * 0x9E3779B97F4A7C15u;
	uint32_t bit = (uint32_t)(hash >> 40) & (SEEN_BITS - 1);
	uint64_t mask = 1ull << (bit & 63), before = c->seen[bit >> 6];
	uint32_t pair;

	if (c->count == c->most)
		return;
	c->seen[bit >> 6] = before | mask;
	pair = (uint32_t)((hash >> 32) * c->pairs >> 32);
	c->out[c->count] = pair << TAG_BITS | ((uint32_t)(hash >> 20) & TAG_MASK);
	/* the table is far larger than any cache: ask now, use later (and
	 * ask again in group_log_odds, where some have gone) */
	__builtin_prefetch(&c->weights[(size_t)pair * 2]);
	if (c->start != NULL) {
		c->start[c->count] = (uint16_t)start;
		c->len[c->count] = (uint16_t)len;
	}
	/* without a branch: half of all features are repetitions, and no
	 * processor guesses which */
	c->count += (before & mask) == 0;
}

static void
collect_bytes(struct collect *c, struct span v, unsigned n)
{
	uint64_t mask = (1ull << (8 * n)) - 1, x = 0;

	for (size_t i = 0; i < v.len; i++) {
		x = (x << 8 | (uint8_t)v.ptr[i]) & mask;
		if (i + 1 >= n)
			collect_add(c, x, i + 1 - n, n);
	}
}

/* What ends a word, by byte */
static const bool space[256] = { [' '] = true, ['\t'] = true, ['\r'] = true,
	['\n'] = true };

/* Words between white space; pairs of neighbours too when asked */
static void
collect_words(struct collect *c, struct span v, bool pairs)
{
	const uint8_t *p = (const uint8_t *)v.ptr;
	uint64_t before = 0;
	size_t i = 0, before_start = 0;

	for (;;) {
		uint64_t x = 0xCBF29CE484222325u, eight = 0;
		size_t start;

		while (i < v.len && space[p[i]])
			i++;
		if (i == v.len)
			return;
		for (start = i; i < v.len && !space[p[i]]; i++) {
			eight = eight << 8 | p[i];
			if (((i - start) & 7) == 7) {
				x = (x ^ eight) * 0x100000001B3u;
				x ^= x >> 32;
			}
		}
		x = (x ^ eight ^ (uint64_t)(i - start) << 56) *
		    0x9FB21C651E98DF25u;
		x ^= x >> 29;
		collect_add(c, x, start, i - start);
		if (pairs && before != 0)
			collect_add(c, x * 31 + before * 7 + 1, before_start,
			    i - before_start);
		before = x;
		before_start = start;
	}
}

static int
make(const struct sample *s, const struct model *m, struct arena *a,
    struct features *f, struct feature_places *places)
{
	uint64_t *seen = arena_bytes(a, SEEN_BITS / 8);

	if (seen == NULL)
		return -ENOMEM;
	for (int k = 0; k < SEGMENTS; k++) {
		struct span v = s->view[segment_view[k]];
		/* a byte begins one n-gram, or half a word and a pair */
		size_t most = v.len + 2;
		struct collect c = { .seen = seen,
			.salt = (uint64_t)(k + 1) << 56 |
			    (uint64_t)(k + 1) * 0x51D7348Bu,
			.pairs = m->header->count / 2, .weights = m->weights };

		if (most > SEGMENT_MAX_FEATURES)
			most = SEGMENT_MAX_FEATURES;
		c.out = arena_bytes(a, most * sizeof(*c.out));
		if (c.out == NULL)
			return -ENOMEM;
		if (places != NULL) {
			c.start = arena_bytes(a, most * sizeof(*c.start));
			c.len = arena_bytes(a, most * sizeof(*c.len));
			if (c.start == NULL || c.len == NULL)
				return -ENOMEM;
			places->start[k] = c.start;
			places->len[k] = c.len;
		}
		memset(seen, 0, SEEN_BITS / 8);
		c.most = most - 1; /* one is written ahead */
		switch (k) {
		case SEGMENT_RAW:
			collect_bytes(&c, v, 5);
			break;
		case SEGMENT_HEAD:
		case SEGMENT_TEXT:
			collect_bytes(&c, v, 4);
			break;
		case SEGMENT_TOKENS:
			collect_words(&c, v, false);
			break;
		default:
			collect_words(&c, v, true);
		}
		f->list[k] = c.out;
		f->count[k] = c.count;
		f->value[k] = sqrtf((float)NEUTRAL_FEATURES /
		    (float)(c.count > FEWEST_FEATURES ? c.count : FEWEST_FEATURES));
	}
	return 0;
}

int
features_make(const struct sample *s, const struct model *m, struct arena *a,
    struct features *ret_features)
{
	return make(s, m, a, ret_features, NULL);
}

int
features_make_places(const struct sample *s, const struct model *m, struct arena *a,
    struct features *ret_features, struct feature_places *ret_places)
{
	return make(s, m, a, ret_features, ret_places);
}
