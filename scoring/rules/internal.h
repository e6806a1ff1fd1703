/*
 * internal - the shape of a loaded ruleset, shared by the files of this room
 * and nobody else.
 *
 * parse*.c and lists.c collect lines into a struct loader; compile.c turns
 * what was collected into the struct ruleset; run*.c and header_get.c read
 * it. After ruleset_load() returned nothing in it changes but the pool of
 * scratch memory, which has its own lock, and the machine code of patterns.
 */
#ifndef SCORING_RULES_INTERNAL_H
#define SCORING_RULES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <libpsl.h>

#include "scoring/message/body.h"
#include "scoring/rules/candidates.h"
#include "scoring/rules/eval.h"
#include "scoring/rules/expr.h"
#include "scoring/rules/pattern.h"
#include "scoring/rules/strmap.h"

#define NO_INDEX SIZE_MAX
/* "local_tests_only" among the parts of a meta */
#define PART_LOCAL_TESTS_ONLY UINT32_MAX

enum {
	RULESET_ARENA_BYTES = 512 * 1024 * 1024,
	FILE_ARENA_BYTES = 512 * 1024 * 1024,
	MAX_RULES = 200000,
	MAX_INCLUDE_DEPTH = 16,
	MAX_FILES = 2000,
	MAX_RULE_NAME = 100, /* as in SpamAssassin */
	MAX_HITS = 1000,     /* of one rule, whatever maxhits says */
};

enum rule_kind {
	RULE_NONE, /* named by score or describe only */
	RULE_HEADER,
	RULE_BODY,
	RULE_RAWBODY,
	RULE_URI,
	RULE_FULL,
	RULE_MIMEHEADER,
	RULE_META,
	RULE_EVAL,
	RULE_KNOWN, /* of another set, which has run already */
	RULE_KINDS,
};

struct rule_def {
	/* What runs ask of every rule comes first: of a few thousand rules each
	 * line of memory that is fetched counts. */
	enum rule_kind kind;
	bool enabled[4]; /* has a score in the set: it runs there */
	bool failed;
	bool exists, negated; /* RULE_HEADER, RULE_MIMEHEADER */
	bool has_templates, has_captures;
	size_t index;
	/* what matches; NULL with templates, which are filled a message */
	struct pattern *pattern;
	size_t slot;	/* RULE_HEADER: which header value */
	uint32_t *users; /* metas that this rule is a part of: their places in
			    the order of metas */
	size_t user_count;
	uint32_t *parts; /* RULE_META: rules, each once */
	size_t part_count;
	/* a bit a part, of the first 64: if one of these is 0 the meta is */
	uint64_t needed;
	struct expr expr; /* names are indices into parts */
	struct eval_call *call; /* RULE_EVAL */
	size_t family_index;

	struct rule pub;
	int priority;
	bool has_score;
	bool tuned, base_has_score; /* the tuned file gave it a score */
	size_t known; /* RULE_KNOWN: where it stands in its own set */
	const char *tflags_text;
	struct span request;  /* "From:addr" */
	struct span if_unset; /* ptr NULL: not given */
	struct span perl; /* bare Perl pattern, "(?i)..." */
	/* matches wherever the pattern does, whatever its templates are filled
	 * with; NULL: that cannot be said */
	struct pattern *shape;
	struct span meta_text;
	const struct eval_family *family;

	/* mimeheader's tflags range=, concat */
	unsigned range_min, range_max;
	bool concat;
};

struct run_scratch {
	struct run_scratch *next;
	struct matcher *matcher;
	void *hs; /* see hs_target_scan() */
};

struct domains;

/* The header rules that look at one value, none with captures */
struct header_group {
	size_t slot;
	const uint32_t *rules;
	size_t count;
	const uint32_t *absent; /* those to run when there is no such header */
	size_t absent_count;
	const uint32_t *alone; /* those that no database can know */
	size_t alone_count;
	size_t piece; /* of the databases (candidates.h); NO_INDEX: none */
};

struct ruleset {
	struct arena *arena;
	struct rule_def **rules;
	size_t rule_count;
	struct strmap names;
	struct pattern_pool *patterns;
	const char **slots; /* header requests that rules use */
	size_t slot_count;
	struct strmap slot_names;
	/* rule indices by kind, in the order in which they run */
	uint32_t *order[RULE_KINDS];
	size_t order_count[RULE_KINDS];
	uint64_t *always_due; /* metas to evaluate whatever hits */
	/* those of them that no database can know: !rule_is_listed() */
	uint32_t *alone[RULE_KINDS];
	size_t alone_count[RULE_KINDS];
	struct header_group *header_groups;
	size_t header_group_count, header_piece_count;
	uint32_t *capture_rules; /* run before all others */
	size_t capture_count;
	size_t max_expr_depth;
	void **family_states;
	size_t family_count;
	psl_ctx_t *psl; /* NULL: none installed */
	struct domains *domains; /* domains.c */
	struct dns_limits *dns_limits; /* ask.c */
	bool asks_with_captures; /* questions hold what rules captured */
	struct hs_target *targets[HS_SETS]; /* NULL: PCRE2 alone */
	const char *envelope_sender_header; /* NULL: guess */
	struct ruleset_score *foreign;
	size_t foreign_count;
	char hash[65];
	pthread_mutex_t scratch_lock;
	struct run_scratch *scratch;
};

/* ---- loading */

struct eval_loader {
	struct loader *loader;
};

struct loader {
	const struct ruleset_options *options;
	struct ruleset *rs;
	struct arena *arena; /* the ruleset's */
	struct diags *diags;
	struct error *err;
	size_t rule_alloc;
	struct strmap skipped; /* rules inside false conditionals */
	struct strmap directives; /* name to index into directive_list */
	struct directive_lines {
		const struct eval_directive *directive;
		struct eval_line *lines;
		size_t count, alloc;
	} *directive_list;
	size_t directive_count, line_count;
	struct strmap functions; /* name to index into function_list */
	struct function_ref {
		const struct eval_function *function;
		const struct eval_family *family;
		size_t family_index;
		struct eval_call **calls;
		size_t count;
	} *function_list;
	size_t function_count;
	struct strmap replace[4]; /* tag, pre, inter, post: to values[] */
	struct span *replace_values;
	size_t replace_count, replace_alloc;
	struct span replace_start, replace_end;
	struct strmap replace_rules; /* rule name to 1 */
	struct strmap if_cache;
	unsigned depth, files;
	const struct conf_line *line; /* that is read */
	bool too_many_rules;	      /* was reported */
	bool scores_only; /* inside the tuned file */
	void *sha; /* EVP_MD_CTX */
	bool oom;
	bool failed_call; /* eval_error() was called */
};

/* loader.c */
int loader_init(struct loader *l);
/* Finds the function and takes the arguments apart (whole: text is the one
 * argument). NULL was reported, or memory ended. */
struct eval_call *loader_new_call(struct loader *l,
    const struct conf_line *line, struct rule_def *d, struct span function,
    enum eval_kind kind, struct span text, bool whole);
/* After parsing: families' load() and every call's prepare(). 0, -ENOMEM */
int loader_prepare(struct loader *l);
/* parse.c */
/* from: the line that includes it; NULL: it was named by itself */
int parse_path(struct loader *l, const char *path,
    const struct conf_line *from);
int parse_text(struct loader *l, const char *name, struct span text);
int parse_tuned(struct loader *l, const char *path);
/* The rule of that name, made when it is new. NULL: no memory (l->oom), or
 * there are too many, which was reported */
struct rule_def *loader_rule(struct loader *l, struct span name);
void loader_error(struct loader *l, const struct conf_line *line,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void loader_note(struct loader *l, enum diag_level level,
    const struct conf_line *line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* parse_rule.c: CONF_UNKNOWN when the word makes no rule */
enum conf_result parse_rule_line(struct loader *l, const struct conf_line *line);
bool rule_name_valid(struct span name);
/* A line that defines a rule through a directive (uri_detail, askdns) */
void parse_directive_rule(struct loader *l, const struct conf_line *line,
    const char *function);
/* parse_cond.c: 1 true, 0 false, -1 reported */
int parse_condition(struct loader *l, const struct conf_line *line,
    struct span condition, bool is_plugin);
/* lists.c */
enum conf_result parse_list_line(struct loader *l, const struct conf_line *line);
/* replace.c */
enum conf_result parse_replace_line(struct loader *l,
    const struct conf_line *line);
int replace_apply(struct loader *l);
/* compile.c */
/* The rule is about its pattern and nothing else, so that a candidate
 * database can have it */
bool rule_is_listed(const struct rule_def *d);
int compile_ruleset(struct loader *l);
/* The rule is wrong and left out; text says why. */
void compile_error(struct loader *l, struct rule_def *d, const char *text);
/* compile_pattern.c */
/* "%{TAG}" at s: its length, or 0 */
size_t template_length(struct span s);
/* The pattern joins the others, which are compiled all at once; then what is
 * wrong with it is told. 0, also when it was reported; or -ENOMEM */
int add_pattern(struct loader *l, struct rule_def *d);
int check_pattern(struct loader *l, struct rule_def *d);

/* ---- running */

struct header_value {
	bool done, present;
	const struct span *items;
	size_t count;
	struct span joined; /* as SpamAssassin's header rules see it */
	struct header_value *next; /* dynamic ones */
	const char *request;
};

struct run_tag {
	struct span name, *values;
	size_t count;
	struct run_tag *next;
};

struct eval_context {
	const struct ruleset *rs;
	const struct rule_input *in;
	struct run_scratch *scratch;
	struct match_budget budget;
	struct header_value *headers; /* one a slot */
	struct header_value *more_headers;
	struct rule_result *results;
	struct expr_value *values; /* one a rule, set where its bit is */
	uint64_t *has_value;	   /* a bit a rule: its count is or may be above 0 */
	/* a bit a meta, by its place in the order: a part of it is not 0 */
	uint64_t *due;
	size_t due_from; /* those before have had their turn */
	bool *dead; /* SpamAssassin would never evaluate what depends on it */
	struct expr_value *stack;
	void **family_cache;
	size_t current_family;
	struct run_tag *tags;
	const struct texts *texts[RULE_KINDS];
	struct uri_rules *uri_rules;
	bool oom;
	struct asked *asked; /* in rule_asker_next() only */
};

/* header_get.c */
const struct header_value *run_header(struct eval_context *c, size_t slot);
const struct header_value *run_header_request(struct eval_context *c,
    const char *request);
/* What an earlier filter left is nobody's evidence: rules do not see it.
 * The texts about relays have names of that kind but are no fields. */
bool header_is_hidden(struct span name);
/* header_hosts.c: what :host and :ip find in a value; ptr NULL: nothing */
struct span header_find_host(struct eval_context *c, struct span s);
struct span header_find_address_host(struct span s);
struct span header_find_ip(struct arena *a, struct span s, bool reversed);
/* run.c */
extern const char run_why_limit[], run_why_budget[];
enum { RUN_STEP_BYTES = 16 }; /* what scanning costs of the step budget */
void scratch_free(struct run_scratch *s);
int context_init(struct eval_context *c, const struct ruleset *rs,
    const struct rule_input *in);
/* Gives back what other runs can use; after context_resume() it goes on. */
void context_done(struct eval_context *c);
int context_resume(struct eval_context *c);
/* The rules whose named captures others use */
void run_captures(struct eval_context *c);
void run_hit(struct eval_context *c, const struct rule_def *d, double count,
    struct span matched);
void run_unknown(struct eval_context *c, const struct rule_def *d,
    const char *why, unsigned at_most);
/* Counts the matches of a rule in one subject, up to its maxhits. true: go
 * on with the next subject */
bool run_pattern(struct eval_context *c, const struct rule_def *d,
    struct span subject);
/* The rule's pattern with this message's tags in it, to be freed with
 * pattern_free_alone(); NULL: a tag is not there and the rule does not run */
struct pattern *run_fill_templates(struct eval_context *c,
    const struct rule_def *d);
/* The clock for nanoseconds; 0 when nobody asked */
uint64_t run_clock(const struct eval_context *c);
void run_clock_add(struct eval_context *c, const struct rule_def *d,
    uint64_t since);
/* The part whose text says why a meta is true; NULL: none has one */
const struct rule_def *meta_shown_part(const struct ruleset *rs,
    const struct rule_result *results, const struct rule_def *d);
/* One rule of any kind but metas */
void run_rule(struct eval_context *c, const struct rule_def *d);
/* run_body.c */
void run_text_rules(struct eval_context *c, enum rule_kind kind);
void run_text_rule(struct eval_context *c, const struct rule_def *d);
void run_mime_rule(struct eval_context *c, const struct rule_def *d);
/* The first text that the rule looks at */
size_t run_first_text(const struct rule_def *d);
/* run_header.c */
void run_header_rules(struct eval_context *c);
void run_header_rule(struct eval_context *c, const struct rule_def *d);
/* run_candidates.c: the rules of a kind that a database knows. false: there
 * is no database */
bool run_text_candidates(struct eval_context *c, enum rule_kind kind,
    const struct texts *t);

#endif
