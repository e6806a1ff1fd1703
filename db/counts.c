#include <math.h>
#include <string.h>

#include "db/counts.h"

enum { TALLY_BYTES = 20, SPREAD_BYTES = 8 };

static void
put_u32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t
get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static void
put_float(unsigned char *p, float f)
{
	uint32_t v;

	memcpy(&v, &f, sizeof(v));
	put_u32(p, v);
}

static float
get_float(const unsigned char *p)
{
	uint32_t v = get_u32(p);
	float f;

	memcpy(&f, &v, sizeof(f));
	/* a damaged or hostile file must not bring in NaN or infinity */
	return isfinite(f) ? f : 0;
}

static void
put_tally(unsigned char *p, const struct tally *t)
{
	put_u32(p, t->seconds);
	put_float(p + 4, t->ham);
	put_float(p + 8, t->spam);
	put_float(p + 12, t->recent_ham);
	put_float(p + 16, t->recent_spam);
}

static void
get_tally(const unsigned char *p, struct tally *t)
{
	t->seconds = get_u32(p);
	t->ham = get_float(p + 4);
	t->spam = get_float(p + 8);
	t->recent_ham = get_float(p + 12);
	t->recent_spam = get_float(p + 16);
}

size_t
counts_encode(const struct counts *c, unsigned char out[COUNTS_MAX_BYTES])
{
	size_t n = TALLY_BYTES;

	put_tally(out, &c->seen);
	if (c->spread == 0 && c->labels.seconds == 0)
		return n;
	put_u32(out + n, (uint32_t)c->spread);
	put_u32(out + n + 4, (uint32_t)(c->spread >> 32));
	n += SPREAD_BYTES;
	if (c->labels.seconds == 0)
		return n;
	put_tally(out + n, &c->labels);
	return n + TALLY_BYTES;
}

bool
counts_decode(const void *p, size_t n, struct counts *ret_counts)
{
	const unsigned char *b = p;

	memset(ret_counts, 0, sizeof(*ret_counts));
	if (n != TALLY_BYTES && n != TALLY_BYTES + SPREAD_BYTES &&
	    n != COUNTS_MAX_BYTES)
		return false;
	get_tally(b, &ret_counts->seen);
	if (n > TALLY_BYTES)
		ret_counts->spread = get_u32(b + TALLY_BYTES) |
		    (uint64_t)get_u32(b + TALLY_BYTES + 4) << 32;
	if (n == COUNTS_MAX_BYTES)
		get_tally(b + TALLY_BYTES + SPREAD_BYTES, &ret_counts->labels);
	return true;
}

double
counts_decay(int64_t dt_sec, int64_t half_life_sec)
{
	return dt_sec <= 0 ? 1 : exp2(-(double)dt_sec / (double)half_life_sec);
}

static uint32_t
clamp_time(int64_t now)
{
	if (now < 1)
		return 1;
	return now > UINT32_MAX ? UINT32_MAX : (uint32_t)now;
}

static void
tally_move(struct tally *t, uint32_t to)
{
	double slow, fast;

	if (t->seconds != 0 && to > t->seconds) {
		slow = counts_decay((int64_t)to - t->seconds, COUNTS_HALF_LIFE_SEC);
		fast = counts_decay((int64_t)to - t->seconds,
		    COUNTS_RECENT_HALF_LIFE_SEC);
		t->ham = (float)(t->ham * slow);
		t->spam = (float)(t->spam * slow);
		t->recent_ham = (float)(t->recent_ham * fast);
		t->recent_spam = (float)(t->recent_spam * fast);
	}
	if (to > t->seconds)
		t->seconds = to;
}

/* Never infinite, whatever is added. */
static float
bounded(float f)
{
	return f > 1e9f ? 1e9f : f < -1e9f ? -1e9f : f;
}

void
tally_merge(struct tally *a, const struct tally *b)
{
	struct tally other = *b;
	uint32_t to = a->seconds > b->seconds ? a->seconds : b->seconds;

	tally_move(a, to);
	tally_move(&other, to);
	a->ham = bounded(a->ham + other.ham);
	a->spam = bounded(a->spam + other.spam);
	a->recent_ham = bounded(a->recent_ham + other.recent_ham);
	a->recent_spam = bounded(a->recent_spam + other.recent_spam);
}

void
tally_add_both(struct tally *t, double ham, double spam, double recent_ham,
    double recent_spam, int64_t now)
{
	struct tally one = { .seconds = clamp_time(now),
		.ham = (float)ham, .spam = (float)spam,
		.recent_ham = (float)recent_ham,
		.recent_spam = (float)recent_spam };

	if (!isfinite(one.ham) || !isfinite(one.spam) ||
	    !isfinite(one.recent_ham) || !isfinite(one.recent_spam))
		return;
	tally_merge(t, &one);
}

void
tally_add(struct tally *t, double ham, double spam, int64_t now)
{
	tally_add_both(t, ham, spam, ham, spam, now);
}

void
counts_merge(struct counts *c, const struct counts *d)
{
	if (d->seen.seconds != 0)
		tally_merge(&c->seen, &d->seen);
	if (d->labels.seconds != 0)
		tally_merge(&c->labels, &d->labels);
	c->spread |= d->spread;
}

static double
positive(double x)
{
	return x > 0 ? x : 0;
}

void
counts_at(const struct counts *c, int64_t now, struct counts_now *ret_now)
{
	const struct tally *parts[2] = { &c->seen, &c->labels };

	memset(ret_now, 0, sizeof(*ret_now));
	for (int i = 0; i < 2; i++) {
		const struct tally *t = parts[i];
		double slow, fast;

		if (t->seconds == 0)
			continue;
		slow = counts_decay(now - t->seconds, COUNTS_HALF_LIFE_SEC);
		fast = counts_decay(now - t->seconds, COUNTS_RECENT_HALF_LIFE_SEC);
		ret_now->ham += t->ham * slow;
		ret_now->spam += t->spam * slow;
		ret_now->recent_ham += t->recent_ham * fast;
		ret_now->recent_spam += t->recent_spam * fast;
		if (t->seconds > ret_now->last_seen)
			ret_now->last_seen = t->seconds;
	}
	ret_now->ham = positive(ret_now->ham);
	ret_now->spam = positive(ret_now->spam);
	ret_now->recent_ham = positive(ret_now->recent_ham);
	ret_now->recent_spam = positive(ret_now->recent_spam);
	ret_now->spread = spread_estimate(c->spread);
}

bool
counts_expired(const struct counts *c, int64_t now)
{
	struct counts_now n;

	counts_at(c, now, &n);
	return n.ham + n.spam < COUNTS_WORTHLESS;
}

uint64_t
spread_bit(const char *author)
{
	/* FNV-1a, then mixed: only the distribution over 64 bits matters; who
	 * chooses addresses to collide makes itself look less shared, and
	 * gains nothing by that */
	uint64_t h = 0xCBF29CE484222325u;

	for (; *author != '\0'; author++) {
		unsigned char c = (unsigned char)*author;

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + 32);
		h = (h ^ c) * 0x100000001B3u;
	}
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15u;
	return (uint64_t)1 << (h >> 58);
}

double
spread_estimate(uint64_t spread)
{
	int set = __builtin_popcountll(spread);

	/* all bits set means "no less than about 300" */
	return set == 64 ? 64 * log(128) : 64 * log(64.0 / (64 - set));
}
