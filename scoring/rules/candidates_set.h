/*
 * candidates_set - what the makers and the readers of candidate databases
 * share; private to candidates*.c, which are built with libhs only.
 */
#ifndef SCORING_RULES_CANDIDATES_SET_H
#define SCORING_RULES_CANDIDATES_SET_H

#include <hs.h>

#include "scoring/rules/candidates.h"
#include "scoring/rules/internal.h"

enum { HS_HASH_BYTES = 32, HS_NAME_BYTES = 128 };

/* Changes with the layout of the files and with what libhs is told about a
 * pattern: the databases of before are then not used any more. */
#define HS_FILE_MAGIC "SPSHS006"

struct hs_file_head {
	char magic[8];
	unsigned char key[HS_HASH_BYTES];
	unsigned char check[HS_HASH_BYTES]; /* of all behind the head */
	uint64_t patterns; /* one byte each follows: enum hs_taken */
	uint64_t bytes;	   /* of the serialized database */
};

enum hs_taken {
	HS_LEFT_OUT, /* PCRE2 has to look every time */
	HS_TAKEN,
	HS_NEVER,     /* no text that the set is asked about can match */
	HS_ELSEWHERE, /* another set, asked about the same texts, has it */
};

/* The distinct patterns of a set and the rules that use each */
struct hs_users {
	size_t count;
	struct pattern **patterns;
	uint32_t *rules; /* users of pattern i: rules[start[i] .. start[i+1]) */
	size_t *start;
};

/*
 * Which patterns a set has, and as what. Body rules have three sets: what
 * libhs takes as it is, asked about every text; and outlines of the others,
 * once as they are for plain text and once for any other.
 */
enum hs_part { HS_EXACT_ONLY, HS_OUTLINES_PLAIN, HS_OUTLINES_OTHER, HS_ALL };

struct hs_set_about {
	enum rule_kind kind;
	enum hs_part part;
	const char *name;
};
extern const struct hs_set_about hs_sets[HS_SETS];

/* 0 or -ENOMEM */
int hs_users_find(const struct ruleset *rs, enum hs_set set,
    struct hs_users *ret_users);
void hs_users_done(struct hs_users *u);
/* The hash of all that a database depends on. 0 or -ENOMEM */
int hs_users_key(const struct hs_users *u, enum hs_set set,
    unsigned char ret_key[HS_HASH_BYTES]);
void hs_file_name(enum hs_set set, const unsigned char key[HS_HASH_BYTES],
    char ret_name[HS_NAME_BYTES]);
/* 0 or -ENOMEM */
int hs_file_hash(const unsigned char *taken, size_t patterns,
    const char *bytes, size_t len, unsigned char ret_hash[HS_HASH_BYTES]);

#define HS_PATTERN_FLAGS \
	(HS_FLAG_SINGLEMATCH | HS_FLAG_PREFILTER | HS_FLAG_ALLOWEMPTY)

/* What libhs is told of a pattern, to be freed; NULL: nothing, and
 * *ret_taken says what that means. */
char *hs_text_new(struct span pattern, enum hs_part part,
    enum hs_taken *ret_taken);

#endif
