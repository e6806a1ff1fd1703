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
	[SEGMENT_HEAD] = GROUP_HEAD,
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

/* Bytes that may be read behind a view: n-grams are loaded as eight */
enum { PAD = 8, BLOCK = 64 };

/* What one segment is made with; all of it scratch */
struct collect {
	uint8_t *bytes;	   /* the view, PAD zeros behind it, whole blocks */
	size_t len;
	uint64_t *hash;	   /* of every n-gram or word, repetitions too */
	uint16_t *edge;	   /* where words begin and end, by turns */
	uint64_t *seen;	   /* SEEN_BITS */
	uint16_t *start, *width; /* of hash[i]; NULL: not asked for */
	size_t count;
};

static inline uint64_t
load(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

/* The first n bytes of a load, wherever they stand in the register */
static inline uint64_t
load_mask(size_t n)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ?
	    UINT64_MAX >> (64 - 8 * n) : UINT64_MAX << (64 - 8 * n);
}

static inline uint64_t
hash_make(uint64_t x, uint64_t salt)
{
	return (x ^ salt) * 0x9E3779B97F4A7C15u;
}

static void
collect_bytes(struct collect *c, size_t n, uint64_t salt)
{
	size_t count = c->len < n ? 0 : c->len - n + 1;
	uint64_t mask = load_mask(n), *hash = c->hash;
	const uint8_t *p = c->bytes;

	for (size_t i = 0; i < count; i++)
		hash[i] = hash_make(load(p + i) & mask, salt);
	for (size_t i = 0; c->start != NULL && i < count; i++) {
		c->start[i] = (uint16_t)i;
		c->width[i] = (uint16_t)n;
	}
	c->count = count;
}

/* Bit i: is byte i part of a word? White space and control characters are
 * not. Eight bytes at a time, and no branch on any of them. */
static inline uint64_t
block_words(const uint8_t *p)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < BLOCK / 8; i++) {
		uint64_t x = load(p + 8 * i);

		x = (((x & 0x7F7F7F7F7F7F7F7Fu) + 0x5F5F5F5F5F5F5F5Fu) | x) >> 7 &
		    0x0101010101010101u;
		if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
			x = __builtin_bswap64(x);
		bits |= (x * 0x0102040810204080u >> 56) << (8 * i);
	}
	return bits;
}

/* Two edges a word */
static size_t
word_edges(struct collect *c)
{
	uint64_t inside = 0;
	size_t n = 0;

	/* what stands behind the view is zero and ends the last word */
	for (size_t at = 0; at <= c->len; at += BLOCK) {
		uint64_t bits = block_words(c->bytes + at);
		uint64_t edges = bits ^ (bits << 1 | inside);

		inside = bits >> 63;
		for (; edges != 0; edges &= edges - 1)
			c->edge[n++] = (uint16_t)(at +
			    (size_t)__builtin_ctzll(edges));
	}
	return n;
}

static inline uint64_t
word_hash(const uint8_t *p, size_t len)
{
	uint64_t x = 0xCBF29CE484222325u ^ (uint64_t)len << 56;

	for (; len > 8; len -= 8, p += 8) {
		x = (x ^ load(p)) * 0x9FB21C651E98DF25u;
		x ^= x >> 32;
	}
	x = (x ^ (load(p) & load_mask(len))) * 0x9FB21C651E98DF25u;
	return x ^ x >> 29;
}

static void
collect_words(struct collect *c, bool pairs, uint64_t salt)
{
	size_t edges = word_edges(c), n = 0;
	uint64_t before = 0;

	for (size_t i = 0; i + 1 < edges; i += 2) {
		size_t start = c->edge[i], end = c->edge[i + 1];
		uint64_t x = word_hash(c->bytes + start, end - start);

		if (c->start != NULL) {
			c->start[n] = (uint16_t)start;
			c->width[n] = (uint16_t)(end - start);
		}
		c->hash[n++] = hash_make(x, salt);
		if (pairs && i > 0) {
			if (c->start != NULL) {
				c->start[n] = c->edge[i - 2];
				c->width[n] = (uint16_t)(end - c->edge[i - 2]);
			}
			c->hash[n++] = hash_make(x * 31 + before * 7 + 1, salt);
		}
		before = x;
	}
	c->count = n;
}

/* Each feature once, in the order of its first place. out and first have room
 * for one more than there are hashes. first: of which hash it was made, NULL:
 * not asked for; known where this is inlined. */
static inline __attribute__((always_inline)) size_t
keep_first(const struct collect *c, const struct model *m, uint32_t *out,
    uint16_t *first)
{
	const uint64_t *hash = c->hash;
	const struct weight *weights = m->weights;
	uint64_t *seen = c->seen, pairs = m->header->count / 2;
	size_t count = c->count, n = 0;

	memset(seen, 0, SEEN_BITS / 8);
	for (size_t i = 0; i < count; i++) {
		uint64_t h = hash[i], mask = 1ull << (h >> 40 & 63);
		uint64_t *word = &seen[h >> 46 & (SEEN_BITS / 64 - 1)];
		uint64_t before = *word, pair = (h >> 32) * pairs >> 32;

		*word = before | mask;
		out[n] = (uint32_t)pair << TAG_BITS |
		    ((uint32_t)h >> (32 - TAG_BITS));
		/* The table is far larger than any cache: ask now, for the
		 * second level. The first is too small for what one message
		 * asks for, and its queue drops what it cannot take. */
		__builtin_prefetch(&weights[pair * 2], 0, 2);
		if (first != NULL)
			first[n] = (uint16_t)i;
		/* without a branch: half of all features are repetitions,
		 * and no processor guesses which */
		n += (before & mask) == 0;
	}
	return n;
}

static float
sum_weights(const struct weight *weights, const uint32_t *list, size_t n)
{
	enum { AHEAD = 32 };
	float part[4] = { 0 };
	size_t i = 0;

	/* four sums, so that no addition waits for the one before */
	for (; i + AHEAD + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++) {
			__builtin_prefetch(pair_of(weights,
			    list[i + k + AHEAD]));
			part[k] += weight_of(weights, list[i + k]);
		}
	for (; i < n; i++)
		part[0] += weight_of(weights, list[i]);
	return (part[0] + part[1]) + (part[2] + part[3]);
}

static __attribute__((noinline)) size_t
keep_features(const struct collect *c, const struct model *m, uint32_t *out)
{
	return keep_first(c, m, out, NULL);
}

/* The same, and where each stands */
static int
keep_places(struct collect *c, const struct model *m, struct arena *a,
    uint32_t *out, struct feature_places *places, int segment,
    size_t *ret_count)
{
	size_t room = (c->count + 1) * sizeof(uint16_t);
	uint16_t *start = arena_bytes(a, room), *width = arena_bytes(a, room);
	uint16_t *first = arena_bytes(a, room);
	size_t n;

	if (start == NULL || width == NULL || first == NULL)
		return -ENOMEM;
	n = keep_first(c, m, out, first);
	for (size_t i = 0; i < n; i++) {
		start[i] = c->start[first[i]];
		width[i] = c->width[first[i]];
	}
	places->start[segment] = start;
	places->len[segment] = width;
	*ret_count = n;
	return 0;
}

static bool
collect_init(struct collect *c, struct arena *a, bool places)
{
	size_t blocks = (SAMPLE_TEXT_BYTES / BLOCK + 1) * BLOCK;

	*c = (struct collect){
		.bytes = arena_bytes(a, blocks + PAD),
		.hash = arena_bytes(a, SEGMENT_MAX_FEATURES * sizeof(*c->hash)),
		.edge = arena_bytes(a, (SAMPLE_TEXT_BYTES + 2) *
		    sizeof(*c->edge)),
		.seen = arena_bytes(a, SEEN_BITS / 8),
	};
	if (places) {
		c->start = arena_bytes(a, SEGMENT_MAX_FEATURES *
		    sizeof(*c->start));
		c->width = arena_bytes(a, SEGMENT_MAX_FEATURES *
		    sizeof(*c->width));
	}
	return c->bytes != NULL && c->hash != NULL && c->edge != NULL &&
	    c->seen != NULL &&
	    (!places || (c->start != NULL && c->width != NULL));
}

static void
collect_view(struct collect *c, struct span v)
{
	size_t end;

	c->len = v.len < SAMPLE_TEXT_BYTES ? v.len : (size_t)SAMPLE_TEXT_BYTES;
	end = (c->len / BLOCK + 1) * BLOCK + PAD;
	if (c->len > 0)
		memcpy(c->bytes, v.ptr, c->len);
	memset(c->bytes + c->len, 0, end - c->len);
}

static int
make(const struct sample *s, const struct model *m, struct arena *a,
    struct features *f, struct feature_places *places)
{
	struct collect c;

	if (!collect_init(&c, a, places != NULL))
		return -ENOMEM;
	for (int k = 0; k < SEGMENTS; k++) {
		uint64_t salt = (uint64_t)(k + 1) << 56 |
		    (uint64_t)(k + 1) * 0x51D7348Bu;

		collect_view(&c, s->view[segment_view[k]]);
		switch (k) {
		case SEGMENT_RAW:
			collect_bytes(&c, 5, salt);
			break;
		case SEGMENT_HEAD:
		case SEGMENT_TEXT:
			collect_bytes(&c, 4, salt);
			break;
		default:
			collect_words(&c, k != SEGMENT_TOKENS, salt);
		}
		f->list[k] = arena_bytes(a, (c.count + 1) * sizeof(*f->list[k]));
		if (f->list[k] == NULL)
			return -ENOMEM;
		if (places == NULL)
			f->count[k] = keep_features(&c, m, f->list[k]);
		else if (keep_places(&c, m, a, f->list[k], places, k,
			&f->count[k]) != 0)
			return -ENOMEM;
		f->sum[k] = sum_weights(m->weights, f->list[k], f->count[k]);
		f->value[k] = sqrtf((float)NEUTRAL_FEATURES /
		    (float)(f->count[k] > FEWEST_FEATURES ? f->count[k] :
			FEWEST_FEATURES));
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
