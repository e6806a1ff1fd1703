/*
 * random - numbers that look random and are the same on every machine
 * (splitmix64): for hashes, folds and resampling. Never for secrets.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

#define RANDOM_STEP UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t
random_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

/* The next of a sequence; any state begins one. */
static inline uint64_t
random_next(uint64_t *state)
{
	return random_mix(*state += RANDOM_STEP);
}

#endif
