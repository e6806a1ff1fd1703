/*
 * sketch - 32 numbers by which two texts are known to be alike: minima of
 * hashes over the runs of three words (Broder's resemblance). What share of
 * the numbers agree is about what share of the runs they have in common.
 *
 * Words are letters and digits in lower case, each digit a 0, since mailings
 * vary numbers; nothing of the text can be told from a sketch. Pure.
 */
#ifndef TUNE_SKETCH_H
#define TUNE_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { SKETCH_SIZE = 32, SKETCH_MAX_WORDS = 2000 };

struct sketch {
	uint32_t least[SKETCH_SIZE];
	bool has_text; /* false: too little of it to compare */
};

struct sketch_maker {
	uint64_t least[SKETCH_SIZE];
	uint64_t last[2];
	size_t words;
};

void sketch_begin(struct sketch_maker *k);
/* A word does not reach over the end of a piece. */
void sketch_add(struct sketch_maker *k, struct span text);
void sketch_end(const struct sketch_maker *k, struct sketch *ret_sketch);

/* How many of the numbers agree; 0 when either has no text */
unsigned sketch_alike(const struct sketch *a, const struct sketch *b);

#endif
