/*
 * edits - what is to be changed in the header of one message, as a plan that
 * is made first and carried out at end of message.
 *
 * While the fields arrive, edits_see_field() notes every field that only a
 * filter of this host may write: X-Spam-* (from outside, they would be our
 * verdict in a stranger's hand) and Authentication-Results that claim our
 * authserv-id (RFC 8601 5). Case, number and order do not matter.
 *
 * Deletions are ordered from the highest index of a name down, since each
 * deletion shifts the indices above it, and they all come before the first
 * insertion, after which Postfix counts its own Received as well.
 *
 * Everything belongs to the arena. Not shared between threads. -ENOMEM is the
 * only failure.
 */
#ifndef MILTER_EDITS_H
#define MILTER_EDITS_H

#include "base/arena.h"
#include "base/span.h"

struct edit_removal {
	const char *name; /* as it was first written */
	int index;	  /* 1 is the first field of that name */
};

struct edit_insertion {
	const char *name, *value; /* the value with its leading space */
};

enum { EDITS_MAX_INSERTIONS = 8 };

struct edits {
	struct arena *arena;
	struct edit_name **names; /* private: hash of names seen */
	size_t name_alloc, name_count;
	struct edit_removal *removals; /* in order of appearance */
	size_t removal_count, removal_alloc;
	/* to be inserted at the top so that [0] ends up first */
	struct edit_insertion insertions[EDITS_MAX_INSERTIONS];
	size_t insertion_count;
};

void edits_init(struct edits *e, struct arena *a);
int edits_see_field(struct edits *e, struct span name, struct span value,
    const char *authserv_id);
/* value without leading space; LF TAB inside are folds. Copied. */
int edits_insert(struct edits *e, const char *name, struct span value);

/* remove and insert give 0, or non-zero to stop; that is returned. */
int edits_apply(const struct edits *e,
    int (*remove)(void *context, const char *name, int index),
    int (*insert)(void *context, const char *name, const char *value),
    void *context);

#endif
