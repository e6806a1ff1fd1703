/*
 * rig - a ruleset from text, a message from text, and a run: what the tests
 * of this room share. Everything is freed by rig_done().
 */
#ifndef T_RULES_RIG_H
#define T_RULES_RIG_H

#include "base/diag.h"
#include "scoring/message/message.h"
#include "scoring/rules/ruleset.h"
#include "t/tap.h"

struct rig {
	struct arena *arena;
	struct diags diags;
	struct ruleset *rs;
	struct error err;
	int load_result;
	struct scoring_settings settings;
	struct envelope envelope;
	struct evidence evidence;
	struct message *message;
	struct rule_run run;
	int score_set;
	double learned;
};

static inline void
rig_load(struct rig *g, const char *rules, bool keep_going)
{
	struct ruleset_options o = { .text = span_cstr(rules),
		.text_name = "test", .keep_going = keep_going };

	memset(g, 0, sizeof(*g));
	g->arena = arena_new(256 << 20);
	diags_init(&g->diags, g->arena);
	scoring_settings_init(&g->settings, g->arena);
	g->evidence.now = 1700000000;
	g->evidence.dns = (struct check){ CHECK_NOT_RUN, "offline" };
	g->learned = -1;
	g->load_result = ruleset_load(&o, &g->diags, &g->rs, &g->err);
	if (g->load_result != 0)
		g->rs = NULL;
}

static inline bool
rig_run_span(struct rig *g, struct span raw)
{
	struct message_limits limits = { 1 << 20, 1000, 20, 100, 200 };
	struct rule_input in = { .settings = &g->settings,
		.envelope = &g->envelope, .evidence = &g->evidence,
		.arena = g->arena, .score_set = g->score_set,
		.learned = g->learned };
	struct relays *relays = NULL;

	if (g->rs == NULL ||
	    message_parse(g->arena, raw, raw.len, &limits, &in.message,
		&g->err) != 0 ||
	    relays_parse(in.message, &g->settings.trusted_networks,
		&g->settings.internal_networks, NULL, &relays) != 0)
		return false;
	in.relays = relays;
	g->message = in.message;
	return ruleset_run(g->rs, &in, &g->run) == 0;
}

static inline bool
rig_run(struct rig *g, const char *message)
{
	return rig_run_span(g, span_cstr(message));
}

static inline const struct rule_result *
rig_result(struct rig *g, const char *name)
{
	static const struct rule_result none;
	long i = g->rs != NULL ? ruleset_find(g->rs, name) : -1;

	return i >= 0 && g->run.results != NULL ? &g->run.results[i] : &none;
}

static inline size_t
rig_offset(struct rig *g, const char *name)
{
	return ruleset_offset(g->rs, g->message, &g->run,
	    (size_t)ruleset_find(g->rs, name));
}

static inline void
rig_done(struct rig *g)
{
	ruleset_free(g->rs);
	scoring_settings_done(&g->settings);
	arena_free(g->arena);
}

/* "file:line: text\n..." of all that was reported at that level or above */
static inline const char *
rig_diags(struct rig *g, enum diag_level level)
{
	struct buf b;
	char *p;

	buf_init(&b, 1 << 20);
	diags_format(&g->diags, level, &b);
	p = arena_memdup(g->arena, b.ptr, b.len);
	buf_done(&b);
	return p;
}

#endif
