/*
 * strmap - names to small numbers, case-sensitive, in an arena. Filled on one
 * thread, then read by any number.
 */
#ifndef SCORING_RULES_STRMAP_H
#define SCORING_RULES_STRMAP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

struct strmap_slot {
	struct span key; /* ptr NULL: free */
	size_t value;
};

struct strmap {
	struct arena *arena;
	struct strmap_slot *slots;
	size_t count, size; /* size is a power of two, or 0 */
};

void strmap_init(struct strmap *m, struct arena *a);
/* NULL when the key is not there; may be written through */
size_t *strmap_find(const struct strmap *m, struct span key);
/* Adds or replaces; the key is copied. 0 or -ENOMEM */
int strmap_set(struct strmap *m, struct span key, size_t value);

#endif
