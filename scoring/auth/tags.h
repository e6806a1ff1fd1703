/*
 * tags - tag=value lists (RFC 6376 3.2), the form of DKIM and ARC fields, of
 * their keys and, nearly, of DMARC records.
 *
 * Spans point into the text. Any thread. A list with a fault in its syntax
 * or with a tag twice is no list.
 */
#ifndef SCORING_AUTH_TAGS_H
#define SCORING_AUTH_TAGS_H

#include "base/arena.h"
#include "base/span.h"

enum { TAGS_MAX = 64 };

struct tag {
	struct span name, value; /* trimmed; folds inside are kept */
};

struct tags {
	struct tag list[TAGS_MAX];
	size_t count;
};

bool tags_parse(struct span text, struct tags *ret_tags);
/* ptr NULL: the tag is not there. */
struct span tags_get(const struct tags *t, const char *name);
/* The value without any space (b=, bh=, p=). ptr NULL: no memory. */
struct span tags_squeeze(struct arena *a, struct span value);
/* Decimal digits only, at most 12 of them (t=, x=, l=). */
bool tags_number(struct span value, int64_t *ret_number);

#endif
