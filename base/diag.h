/*
 * diag - what is wrong in configuration and rule files, all of it, in order.
 *
 * Parsers append and go on, so that one run reports every error. The texts
 * belong to the arena given to diags_init(). Not shared between threads.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum diag_level {
	DIAG_NOTE,    /* accepted, without effect here; listed on request */
	DIAG_WARNING, /* accepted, probably not meant */
	DIAG_ERROR,   /* the line, or the whole file, is not used */
};

struct diag {
	enum diag_level level;
	const char *file;
	unsigned line; /* 0: the file as a whole */
	const char *text;
	struct diag *next;
};

struct diags {
	struct arena *arena;
	struct diag *first, *last;
	size_t errors, warnings, notes;
	bool lost; /* out of memory: at least one is missing, counts as error */
};

void diags_init(struct diags *d, struct arena *a);
void diag_add(struct diags *d, enum diag_level level, const char *file,
    unsigned line, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* "file:line: message\n" for each of level at_least or above; the message of
 * a warning begins with "warning: ", of a note with "note: " */
void diags_format(const struct diags *d, enum diag_level at_least,
    struct buf *out);

#endif
