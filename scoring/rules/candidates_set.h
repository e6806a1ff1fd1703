/*
 * candidates_set - what the makers and the readers of candidate databases
 * share; private to candidates*.c, which are built with libhs only.
 */
#ifndef SCORING_RULES_CANDIDATES_SET_H
#define SCORING_RULES_CANDIDATES_SET_H

#include <hs.h>

#include "scoring/rules/candidates.h"
#include "scoring/rules/internal.h"

enum {
	HS_HASH_BYTES = 32,
	HS_NAME_BYTES = 128,
	MAX_DATABASE_BYTES = 256 * 1024 * 1024,
};

/* Changes with the layout of the files and with what libhs is told about a
 * pattern: the databases of before are then not used any more. */
#define HS_FILE_MAGIC "SPSHS017"

struct hs_file_head {
	char magic[8];
	unsigned char key[HS_HASH_BYTES];
	unsigned char check[HS_HASH_BYTES]; /* of all behind the head */
	uint64_t patterns; /* of all pieces; a struct hs_told each follows */
	uint64_t bytes;	   /* of the pieces: each its length (uint64_t), and the
			      serialized database, filled up to a multiple of 8 */
};

enum hs_taken {
	HS_LEFT_OUT, /* PCRE2 has to look every time */
	HS_TAKEN,
	HS_NEVER,     /* no text that the set is asked about can match */
	HS_ELSEWHERE, /* another set, asked about the same texts, has it */
};

/* What a set's database was told of a pattern */
struct hs_told {
	unsigned char taken; /* enum hs_taken */
	/* libhs tells of one match, wherever it is. What is slow to confirm is
	 * better looked for near all of them. */
	unsigned char once;
	unsigned char ends;  /* of matches that a text must have; at least 1 */
	unsigned char apart; /* these stand so many bytes apart; at least 1 */
};

/* The distinct patterns of a piece and the rules that use each */
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

struct hs_piece {
	struct hs_users users;
	struct hs_told *told; /* one a pattern */
	hs_database_t *db;    /* NULL: no pattern was taken */
};
struct hs_target {
	enum hs_set set;
	size_t count;
	struct hs_piece *pieces;
	size_t patterns, most_patterns; /* of all pieces, of one */
};
/* There are rules for it. */
bool hs_set_wanted(const struct ruleset *rs, enum hs_set set);
/* With the users and nothing else. NULL: no memory */
struct hs_target *hs_target_new(const struct ruleset *rs, enum hs_set set);
/* The hash of all that the databases depend on. 0 or -ENOMEM */
int hs_target_key(const struct hs_target *t,
    unsigned char ret_key[HS_HASH_BYTES]);
void hs_file_name(enum hs_set set, const unsigned char key[HS_HASH_BYTES],
    char ret_name[HS_NAME_BYTES]);
/* 0 or -ENOMEM */
int hs_file_hash(const struct hs_target *t, const char *bytes, size_t len,
    unsigned char ret_hash[HS_HASH_BYTES]);

/* Lines, since texts are joined by newlines to be scanned together */
#define HS_PATTERN_FLAGS \
	(HS_FLAG_MULTILINE | HS_FLAG_PREFILTER | HS_FLAG_ALLOWEMPTY)

/* What libhs is told of a pattern, to be freed; NULL: nothing, and *ret_told
 * says what that means. */
char *hs_text_new(struct span pattern, enum hs_part part,
    struct hs_told *ret_told);

#endif
