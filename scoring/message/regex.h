/*
 * regex - a fixed pattern of this room, compiled at its first use and kept
 * for the life of the process. Any number of threads may use one. A match
 * that reaches its step limit counts as no match: text from mail must never
 * cost more than that.
 */
#ifndef SCORING_MESSAGE_REGEX_H
#define SCORING_MESSAGE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum {
	REGEX_MAX_GROUPS = 12,
	REGEX_ICASE = 1,
	REGEX_UTF = 2, /* characters; the text must be valid UTF-8 */
};

struct regex {
	const char *text; /* PCRE2 syntax, bytes, not UTF */
	unsigned flags;
	void *code; /* private, atomic */
};

/* Captures: group 0 is the whole; an unset one has ptr NULL. Text before
 * `from` is seen by lookbehind. groups may be NULL with count 0. */
bool regex_match(struct regex *p, struct span s, size_t from,
    struct span *groups, size_t count);

#endif
