/*
 * shadow - what sets that run as shadow said of logged verdicts: kept beside
 * them, erased and expired with them.
 */
#ifndef DB_SHADOW_H
#define DB_SHADOW_H

#include "db/labels.h"

struct shadow_said {
	const char *set, *hash; /* 64 hex digits */
	int judged, action;	/* the caller's numbers, as in the log */
	double score;
};
/* Queued behind the verdict of that id, copied; never blocks. A verdict that
 * is not in the log (log_keep 0) leaves nothing. */
void store_shadow_put(struct store *s, const char *verdict_id,
    const struct shadow_said *said, size_t count, int64_t now);

struct shadow_query {
	const char *set;  /* NULL: all */
	const char *hash; /* NULL: all that had this name */
	int64_t since, until;
	bool differing;	  /* only where the action is another */
	bool labelled;	  /* only what people have spoken of */
	size_t limit;	  /* 0: 1000 */
};

struct shadow_row {
	struct shadow_said said;
	const char *id;	 /* of the verdict */
	const char *mail_from;
	unsigned char message[MESSAGE_IDENTITY_BYTES];
	int64_t time;
	double score;	 /* the verdict's own */
	enum label_class label; /* of all users together */
};
typedef int store_shadow_fn(void *context, const struct shadow_row *row);
/* Newest first; strings are valid during the call. The callback's non-zero
 * return ends it and is returned. */
int store_shadow_search(struct store *s, const struct shadow_query *query,
    store_shadow_fn *fn, void *context, struct error *err);

/* How often each pair of actions came together, by set and label. */
struct shadow_count {
	const char *set, *hash;
	int judged, action;
	enum label_class label;
	int64_t count, first, last;
};
typedef int store_shadow_count_fn(void *context,
    const struct shadow_count *count);
/* query: set, hash, since and until count. By set, then hash. */
int store_shadow_counts(struct store *s, const struct shadow_query *query,
    store_shadow_count_fn *fn, void *context, struct error *err);

#endif
