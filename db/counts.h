/*
 * counts - the compact form of what is remembered of one identity, and the
 * arithmetic on it. Pure; values from the database are treated as hostile.
 *
 * Stored little-endian: seconds u32, ham, spam, recent_ham, recent_spam as
 * binary32: 20 bytes. Behind them, where they are not all zero, the spread
 * sketch u64 (28 bytes), and the labels' own counts in the same form as the
 * first 20 bytes (48 bytes). Labels are kept apart because they must be
 * able to vanish without a trace: theirs are computed anew from the label
 * events each time, and never mixed into what the filter saw by itself.
 *
 * Counts are true at `seconds`; an older observation that is added later is
 * decayed to that time, so the order of adding does not matter.
 */
#ifndef DB_COUNTS_H
#define DB_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COUNTS_HALF_LIFE_SEC = 30 * 86400,
	COUNTS_RECENT_HALF_LIFE_SEC = 3600,
	COUNTS_MAX_BYTES = 48,
};

/* A record whose sums have decayed below this is expired. */
#define COUNTS_WORTHLESS 0.01

struct tally {
	uint32_t seconds; /* 0: nothing was ever counted */
	float ham, spam;
	float recent_ham, recent_spam;
};

struct counts {
	struct tally seen;   /* what the filter saw by itself */
	uint64_t spread;     /* a bit for each hash of an author */
	struct tally labels; /* what people said; may be below zero where a
				label takes back what the filter counted */
};

/* Returns the length used of out. */
size_t counts_encode(const struct counts *c, unsigned char out[COUNTS_MAX_BYTES]);
/* false: not such a record (then *ret_counts is all zero) */
bool counts_decode(const void *p, size_t n, struct counts *ret_counts);

/* Adds one observation made at `now`. */
void tally_add(struct tally *t, double ham, double spam, int64_t now);
/* The same where the last hour weighs otherwise than the month. */
void tally_add_both(struct tally *t, double ham, double spam,
    double recent_ham, double recent_spam, int64_t now);
/* Adds b to a, both decayed to the later of the two times. */
void tally_merge(struct tally *a, const struct tally *b);
/* c with d's observations added; spreads are joined. */
void counts_merge(struct counts *c, const struct counts *d);

/* The factor that remains after dt seconds; 1 for dt <= 0. */
double counts_decay(int64_t dt_sec, int64_t half_life_sec);

/* What the counts are at a time; all >= 0. */
struct counts_now {
	double ham, spam, recent_ham, recent_spam, spread;
	int64_t last_seen;
};
void counts_at(const struct counts *c, int64_t now, struct counts_now *ret_now);
bool counts_expired(const struct counts *c, int64_t now);

/* The sketch bit of an author's address (ASCII case does not count). */
uint64_t spread_bit(const char *author);
/* How many different authors set these bits, about (linear counting). */
double spread_estimate(uint64_t spread);

#endif
