/*
 * cache - which rules a message hit, kept between two tunings: judging ten
 * thousand messages takes minutes, reading this takes none.
 *
 * One file, good for one key (the hash of ruleset, configuration and
 * program); another key, a damaged or a foreign file is an empty cache and
 * never an error. It may be deleted at any time. Only what was asked for or
 * added since the opening is written again, so it does not grow for ever. It
 * holds hashes and numbers, no text of mail. One thread at a time.
 */
#ifndef TUNE_CACHE_H
#define TUNE_CACHE_H

#include "base/error.h"
#include "tune/set.h"

enum { CACHE_KEY = 32, CACHE_MAX_BYTES = 1 << 30, CACHE_MAX_HITS = 10000 };

struct cache_entry {
	unsigned char identity[TUNE_IDENTITY];
	int64_t time;
	struct sketch sketch;
	bool tests_open;
	const uint32_t *hits; /* the cache's */
	uint32_t hit_count;
};

struct cache;

/* rules: rule numbers in the file must be below. 0, also when there is no
 * file; *ret_why (a phrase, or NULL) says why what there is was not taken.
 * -ENOMEM. */
int cache_open(const char *path, const unsigned char key[CACHE_KEY],
    size_t rules, struct cache **ret_cache, const char **ret_why);
void cache_free(struct cache *c);

/* NULL: not there. Valid until the next add. */
const struct cache_entry *cache_find(struct cache *c,
    const unsigned char identity[TUNE_IDENTITY]);
/* Copies. 0 or -ENOMEM; over the limits it is forgotten. */
int cache_add(struct cache *c, const struct cache_entry *e);

/* Replaces the file atomically if anything is new. 0 or -errno. */
int cache_save(struct cache *c, const char *path, struct error *err);

#endif
