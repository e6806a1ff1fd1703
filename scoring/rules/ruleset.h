/*
 * ruleset - rule files compiled to an immutable set, and a run of that set
 * over one message.
 *
 * Loading reports every error with file and line and fails as a whole only
 * when there is one (or when memory ends); the caller keeps the old set. A
 * ruleset is safe for any number of threads. A run is pure: message, envelope,
 * relays, evidence in; results out. Work is counted in PCRE2 match steps
 * against settings' match_limit and message_steps; what did not finish is
 * unknown, never false.
 *
 * Language: Mail::SpamAssassin::Conf, version 4. See DEPARTURES.md.
 */
#ifndef SCORING_RULES_RULESET_H
#define SCORING_RULES_RULESET_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/diag.h"
#include "scoring/envelope.h"
#include "scoring/evidence.h"
#include "scoring/message/message.h"
#include "scoring/message/received.h"
#include "scoring/settings.h"
#include "scoring/verdict.h" /* NO_OFFSET */

struct ruleset;

struct ruleset_options {
	/* files, or directories whose *.cf are read in C-locale order */
	const char *const *paths;
	size_t path_count;
	/* where words go that are plain settings (scoring, milter, ban) */
	const struct settings_room *rooms;
	size_t room_count;
	/* lint: load everything that is right, whatever else is wrong */
	bool keep_going;
	/* directory of compiled databases; NULL: PCRE2 alone */
	const char *compiled_dir;
	/* A score file that is read after all others, NULL: none. Only `score`
	 * and the words of tuned_rooms may stand in it, and a rule that it gives
	 * 0 still runs: its hits add nothing, but stay visible. */
	const char *tuned;
	const struct settings_room *tuned_rooms;
	size_t tuned_room_count;
	/* Another set whose results each run is given (rule_input.known): metas
	 * may be over its rules. They stand in this set with type "known", as
	 * sub-rules, where the files do not define one of that name. It is not
	 * kept beyond the loading. */
	const struct ruleset *known;
	/* for tests and the fuzzer: no files are opened, this is the text */
	struct span text;
	const char *text_name;
};

/* 0; -EINVAL when diags holds errors (with keep_going only when nothing at
 * all could be loaded); -ENOMEM. */
int ruleset_load(const struct ruleset_options *options, struct diags *diags,
    struct ruleset **ret_ruleset, struct error *err);
void ruleset_free(struct ruleset *rs); /* NULL is allowed */

struct rule {
	unsigned tflags;      /* enum rule_tflag */
	unsigned max_hits;
	bool sub_rule;	      /* "__": carries no score */
	unsigned line;
	const char *name;
	const char *describe; /* "" when none */
	const char *type;     /* "header", "body", "rawbody", "uri", "full",
				 "mimeheader", "meta", "eval", "known" */
	const char *target;   /* header name as written, meta expression, eval
				 call */
	const char *file;
	double scores[4];     /* SpamAssassin's four score sets */
	double base_scores[4]; /* the same without the tuned file */
	const char *const *test_hit, *const *test_miss; /* `test` lines */
	size_t test_hit_count, test_miss_count;
};

enum rule_tflag {
	RULE_NET = 1 << 0,
	RULE_NICE = 1 << 1,
	RULE_LEARN = 1 << 2,
	RULE_USERCONF = 1 << 3,
	RULE_NOAUTOLEARN = 1 << 4,
	RULE_MULTIPLE = 1 << 5,
	RULE_NOSUBJECT = 1 << 6,
	RULE_PUBLISH = 1 << 7,
	RULE_REJECT = 1 << 8, /* spamscore_reject: may reject by itself */
	RULE_DOMAINS_ONLY = 1 << 9, /* DNS lists: no addresses */
	RULE_IPS_ONLY = 1 << 10,    /* DNS lists: no domains */
	RULE_NOTRIM = 1 << 11,	    /* DNS lists: whole host names */
};

size_t ruleset_count(const struct ruleset *rs);
const struct rule *ruleset_rule(const struct ruleset *rs, size_t index);
/* The rules that a meta is made of, as indices; *ret_count 0 for others.
 * Indices that are no rule's stand for conditions. */
const uint32_t *ruleset_parts(const struct ruleset *rs, size_t index,
    size_t *ret_count);
/* -1 when there is none of that name */
long ruleset_find(const struct ruleset *rs, const char *name);
/* What `score` lines say of rules that the files do not define: all that a
 * score file is made of. */
struct ruleset_score {
	const char *name, *file;
	unsigned line;
	double scores[4];
};
size_t ruleset_foreign_count(const struct ruleset *rs);
const struct ruleset_score *ruleset_foreign(const struct ruleset *rs,
    size_t index);
/* SHA-256 of what was loaded (files, order), 64 hex digits */
const char *ruleset_hash(const struct ruleset *rs);

/* Candidate databases (libhs) for `spamscore compile`: one file a type of
 * rule in dir, named by the hash of the patterns, written atomically. On jobs
 * threads; building takes hundreds of megabytes. */
enum { RULESET_COMPILED_KINDS = 7 };
struct ruleset_compiled {
	const char *type; /* "body", "plain-body", "other-body", "rawbody",
			     "uri", "full" */
	int result;	  /* 0; -ENOTSUP: no libhs, or no such rules; -errno */
	struct error err; /* when result is not 0 */
	char file[128];
	size_t patterns, left_out, bytes;
	bool kept; /* the file was there and is right */
};
void ruleset_compile(const struct ruleset *rs, const char *dir, unsigned jobs,
    struct ruleset_compiled ret_list[RULESET_COMPILED_KINDS]);

struct rule_result {
	/* how often it hit: known exactly when low == high */
	unsigned low, high;
	bool not_run;	     /* chosen not to run: counts 0 */
	const char *why;     /* not_run or unknown: the reason */
	struct span matched; /* of the first hit */
	size_t offset;	     /* of an eval's hit; of others see ruleset_offset() */
	const char *target;  /* NULL: as in struct rule */
};

struct rule_input {
	const struct scoring_settings *settings;
	struct message *message;
	const struct envelope *envelope;
	const struct relays *relays;
	const struct evidence *evidence;
	struct arena *arena; /* for the results */
	int score_set;	     /* 0 offline, 1 net, 2 and 3 with a model */
	/* the learned model's probability of spam, for rules on it; < 0 none */
	double learned;
	/* results of the set that was known at loading; NULL: none of them hit */
	const struct rule_result *known;
	/* NULL, or one a rule: the time that each took is added. Informative;
	 * nothing depends on it */
	uint64_t *nanoseconds;
	/* NULL, or RULE_PHASES: what each phase of a run took, added */
	uint64_t *phases;
};

enum rule_phase {
	PHASE_HEADER, PHASE_BODY, PHASE_URI, PHASE_RAWBODY, PHASE_FULL,
	PHASE_MIMEHEADER, PHASE_EVAL, PHASE_META, RULE_PHASES,
};

struct rule_run {
	struct rule_result *results; /* one a rule, in ruleset order */
	uint64_t steps;
	bool budget_spent; /* message_steps was reached */
};

/* 0 or -ENOMEM */
int ruleset_run(const struct ruleset *rs, const struct rule_input *in,
    struct rule_run *ret_run);

/* Where in the raw message the text of a hit stands; NO_OFFSET: nowhere so.
 * It is searched for, so only for what is shown. */
size_t ruleset_offset(const struct ruleset *rs, const struct message *m,
    const struct rule_run *run, size_t index);

/* A DNS question that some rule will want answered for this message. */
struct rule_question {
	const char *name;
	uint16_t type;
	const char *list; /* the list's zone, for dnsxl health; NULL: none */
	/* its answer is asked for to know what to ask next, not by itself */
	bool leads;
	/* the name is made of somebody's address, hashed or not */
	bool personal;
};

struct rule_questions {
	const struct rule_question *items;
	size_t count;
	/* zones of all lists that may be asked, later rounds included */
	const char *const *lists;
	size_t list_count;
};

/*
 * What to ask about one message, round by round: the name servers of a
 * domain, then their addresses, then the list. The first call of _next()
 * gives the questions that need no answer; each further one looks at
 * in->evidence->answers, where the answers to leading questions stand as far
 * as they are known, and appends what follows from them; no chain is longer
 * than three. Pure, but for the asker itself, which belongs to one thread;
 * in must outlive it, questions belong to in->arena.
 */
struct rule_asker;
/* NULL: no memory */
struct rule_asker *rule_asker_new(const struct ruleset *rs,
    const struct rule_input *in);
/* 0 or -ENOMEM; *ret_all has the earlier ones in front */
int rule_asker_next(struct rule_asker *k, struct rule_questions *ret_all);
/* `dns_block_rule RULE domain...`: domains that must not be asked for a
 * while (dns_block_time), because RULE hits on the evidence that is there
 * now. 0 or -ENOMEM */
int rule_asker_blocked(struct rule_asker *k, const char *const **ret_domains,
    size_t *ret_count, int64_t *ret_seconds);
void rule_asker_free(struct rule_asker *k); /* NULL allowed */

#endif
