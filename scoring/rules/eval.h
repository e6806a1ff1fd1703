/*
 * eval - the table of eval functions: `header NAME eval:function(args)`.
 *
 * A family is one file in eval/: the functions of one SpamAssassin plugin
 * (or of ours), the directives that belong to it, and what it prepares from
 * both when rules are loaded. families[] in eval/table.c lists them.
 *
 * Loading, once a ruleset, on one thread: the parser collects the lines of
 * the family's directives; then load() builds the family's state from them,
 * then prepare() looks at each rule's arguments. What they allocate belongs
 * to the ruleset's arena and is immutable afterwards; patterns are compiled
 * with eval_pattern() and freed with the ruleset. Errors go to
 * eval_error(), with the file and line of the line or rule they are about.
 *
 * Running, once a rule and message, from any number of threads: run() reads
 * the message's views, the envelope, relays and evidence through struct
 * eval_context and fills struct eval_result. It does no I/O, knows no clock
 * but ctx->in->evidence->now, and allocates from ctx->in->arena. What
 * several functions of a family need is computed once a message and kept in
 * *eval_cache(ctx). Work that grows with the message beyond one pass is
 * counted with eval_steps(); regular expressions go through eval_match(),
 * which counts by itself. Out of memory is returned as -ENOMEM; nothing
 * else is an error: what cannot be said is EVAL_NOT_RUN (it was chosen not
 * to be looked up; counts 0) or EVAL_UNKNOWN (begun and not finished).
 */
#ifndef SCORING_RULES_EVAL_H
#define SCORING_RULES_EVAL_H

#include "scoring/rules/ruleset.h"

struct eval_context; /* one run over one message; private but for eval_*() */
struct eval_loader;  /* one ruleset being loaded */
struct pattern;

/* Rule types under which a function may be called (bits) */
enum eval_kind {
	EVAL_HEADER = 1 << 0,
	EVAL_BODY = 1 << 1, /* rawbody is allowed where body is */
	EVAL_RAWBODY = 1 << 2,
	EVAL_FULL = 1 << 3,
	EVAL_URI = 1 << 4,  /* only for directives that make rules */
	EVAL_ANY = 31,
};

enum eval_state {
	EVAL_DONE,
	EVAL_NOT_RUN, /* counts 0; why says why */
	EVAL_UNKNOWN, /* begun and not finished; why says why */
};

struct eval_result {
	enum eval_state state;
	const char *why;     /* static or in the message's arena */
	unsigned count;	     /* hits: 0 is no hit. More than 1 only matters
				with tflags multiple */
	struct span matched; /* what to show; empty when nothing textual */
	size_t offset;	     /* in the raw message; preset to NO_OFFSET */
	const char *target;  /* where, e.g. a header name; NULL: the call */
};

/* A line of a directive, as written (comment cut, trimmed) */
struct eval_line {
	const char *key; /* the directive's name in the table */
	struct span value;
	size_t order; /* counts through all directives, for un... lines */
	const char *file;
	unsigned line;
};

/* One rule that calls a function */
struct eval_call {
	const struct eval_function *function;
	const char *rule; /* name */
	enum eval_kind kind;
	/* For `eval:f('a', 2)`: "a", "2". For a rule that a directive made:
	 * one argument, the rest of its line. NUL behind each. */
	const struct span *args;
	size_t arg_count;
	const char *file;
	unsigned line;
	unsigned tflags, max_hits;
	const char *tflags_text; /* all of it, words of plugins too */
	void *prepared; /* set by prepare(), read by run() */
};

typedef int eval_run_fn(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r);
typedef int eval_ask_fn(struct eval_context *ctx,
    const struct eval_call *call);
typedef int eval_prepare_fn(struct eval_loader *l, void *state,
    struct eval_call *call);

struct eval_function {
	const char *name; /* NULL ends the table */
	unsigned kinds;	  /* bits of enum eval_kind */
	/* One letter an argument: s string, n number, p Perl pattern with
	 * delimiters (checked when loading). Letters behind "|" may be left
	 * out; "*" at the end: any further strings. */
	const char *arguments;
	eval_run_fn *run;
	eval_prepare_fn *prepare; /* NULL: nothing to do */
	eval_ask_fn *ask;	  /* names DNS questions with eval_ask() */
};

enum eval_directive_kind {
	DIRECTIVE_LINES, /* kept for the family, every line in order */
	/* `uri_detail NAME ...`: the line defines rule NAME, which calls
	 * `function` with the rest of the line as its argument */
	DIRECTIVE_RULE,
};

/* Old spellings are folded before looking here: whitelist is welcomelist,
 * blacklist is blocklist. Several families may name the same directive. */
struct eval_directive {
	const char *name; /* lower case; NULL ends the table */
	enum eval_directive_kind kind;
	const char *function; /* DIRECTIVE_RULE */
};

struct eval_family {
	const char *plugin; /* "Mail::SpamAssassin::Plugin::FreeMail" */
	const struct eval_function *functions;
	const struct eval_directive *directives; /* NULL: none */
	/* "has_..." of the plugin's can()/has(), NULL-terminated; NULL: none */
	const char *const *features;
	/* NULL, or builds *ret_state. 0 or -ENOMEM */
	int (*load)(struct eval_loader *l, void **ret_state);
};

extern const struct eval_family *const eval_families[]; /* ends with NULL */

/* ---- while loading */

struct arena *eval_arena(struct eval_loader *l);
/* All lines of one directive (of any family), in the order of the files. */
void eval_lines(struct eval_loader *l, const char *directive,
    const struct eval_line **ret_lines, size_t *ret_count);
/* A Perl pattern "/.../i" or "m{...}x"; or, delimiters == false, its bare
 * text. NULL was reported against file:line (or memory ended). */
struct pattern *eval_pattern(struct eval_loader *l, struct span text,
    bool delimiters, const char *file, unsigned line);
/* Reports DIAG_ERROR; the rule or line is then not used. */
void eval_error(struct eval_loader *l, const char *file, unsigned line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Reports DIAG_WARNING: what SpamAssassin passes over too. */
void eval_warning(struct eval_loader *l, const char *file, unsigned line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The calls of one function in all rules, for families that must know them
 * (check_rbl_sub's set). Valid from the first prepare() on. */
void eval_calls(struct eval_loader *l, const char *function,
    struct eval_call *const **ret_calls, size_t *ret_count);

/* A question of this rule will hold what other rules captured: those run
 * before questions are named. */
void eval_asks_with_captures(struct eval_loader *l);

/* ---- while running */

/* What is judged. Never NULL: message, envelope, evidence, settings, arena.
 * relays may be NULL. */
const struct rule_input *eval_input(const struct eval_context *ctx);
/* What the family's load() made */
void *eval_state(const struct eval_context *ctx);
/* A slot of the family, NULL at the beginning of each message */
void **eval_cache(struct eval_context *ctx);
/* The same of another family, by its own functions that others call */
void *eval_state_of(const struct eval_context *ctx,
    const struct eval_family *family);
void **eval_cache_of(struct eval_context *ctx,
    const struct eval_family *family);
/* Counts work against the message's budget. false: it is spent, answer
 * EVAL_UNKNOWN with why "step budget". */
bool eval_steps(struct eval_context *ctx, uint64_t steps);

/*
 * A header as SpamAssassin's get() gives it: "Subject", "From:addr",
 * "To:raw", "ALL", "ToCc", "MESSAGEID", "EnvelopeFrom",
 * "X-Spam-Relays-Untrusted", ... with the same modifiers. Several fields
 * join (each ends with "\n", but for :addr, :name, :host, :domain and
 * EnvelopeFrom, where the first is taken, without line end). false: there is none (*ret_value is
 * then empty) or memory ended (*ret_value.ptr is NULL).
 */
bool eval_get(struct eval_context *ctx, const char *request,
    struct span *ret_value);
/* The same as a list, one element a value (get() in list context). */
int eval_get_list(struct eval_context *ctx, const char *request,
    const struct span **ret_values, size_t *ret_count);
/* Named captures of earlier rules, all values. false: there are none */
bool eval_captured(struct eval_context *ctx, struct span name,
    const struct span **ret_values, size_t *ret_count);

/*
 * Matches p from *from on. 1 hit (groups filled, unset ones have ptr NULL),
 * 0 none, -ENOMEM; -EAGAIN: a limit was reached: answer EVAL_UNKNOWN with
 * why "match limit". groups[0] is the whole match; may be NULL.
 */
int eval_match(struct eval_context *ctx, const struct pattern *p,
    struct span subject, size_t from, struct span *groups,
    size_t group_count);

/* The organisational (registered) domain of a host name, lower case, by the
 * public suffix list; empty when it has none. Borrowed or in the arena. */
struct span eval_org_domain(struct eval_context *ctx, struct span host);

/* The registered domain of a host name as SpamAssassin cuts it: by the rule
 * files' util_rb_2tld and util_rb_3tld where they have any, else by the public
 * suffix list; lower case. eval_trim_domain() does so whatever the top-level
 * domain is, eval_valid_domain() is empty when there is none of that name. */
struct span eval_trim_domain(struct eval_context *ctx, struct span host);
struct span eval_valid_domain(struct eval_context *ctx, struct span host);

/* The URIs of the message, read with the rule files' own lists of domains and
 * redirectors: families call this, never body_uris() itself. 0 or -ENOMEM */
struct uris;
struct uri_rules;
int eval_uris(struct eval_context *ctx, const struct uris **ret_uris);
/* These lists, for uri_to_domain() and domain_registered(). NULL: no memory */
const struct uri_rules *eval_uri_rules(struct eval_context *ctx);

/* In ask(): a DNS question. name is copied. 0 or -ENOMEM */
int eval_ask(struct eval_context *ctx, const char *name, uint16_t type,
    const char *list);
/* The same for a name made of somebody's address, hashed or not: it is left
 * out of logs that name nobody. */
int eval_ask_personal(struct eval_context *ctx, const char *name,
    uint16_t type, const char *list);
/* The same for a question from whose answer others follow: ask() is called
 * again when the answer is there and finds it with eval_answer(). list: what
 * will be asked in the end. */
int eval_lead(struct eval_context *ctx, const char *name, uint16_t type,
    const char *list);
/* Does dns_query_restriction forbid this name? */
bool eval_ask_denied(const struct eval_context *ctx, const char *name);
/* In run(): its answer. NULL: it was not asked; then answer EVAL_NOT_RUN
 * with evidence->dns.why or "offline". A CHECK_UNKNOWN answer makes
 * EVAL_UNKNOWN, a CHECK_NOT_RUN one EVAL_NOT_RUN: eval_answer_open() fills r
 * so and returns true. */
const struct dns_evidence *eval_answer(struct eval_context *ctx,
    const char *name, uint16_t type);
bool eval_answer_open(struct eval_context *ctx,
    const struct dns_evidence *answer, struct eval_result *r);
/* The same for the check of any evidence */
bool eval_check_open(const struct check *c, struct eval_result *r);

#endif
