#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/decide.h"
#include "scoring/shadow.h"

enum { SHADOW_ARENA_BYTES = 16 << 20 };

#define T(field) SETTING_POINTS, offsetof(struct tuned_thresholds, field)

const struct setting tuned_thresholds_table[] = {
	{ "tag_score", T(tag), 0, 0, NULL, NULL },
	{ "required_score", T(tag), 0, 0, NULL, NULL },
	{ "tempfail_score", T(tempfail), 0, 0, NULL, NULL },
	{ "reject_score", T(reject), 0, 0, NULL, NULL },
	{ 0 },
};

void
tuned_thresholds_init(struct tuned_thresholds *t)
{
	*t = (struct tuned_thresholds){ NAN, NAN, NAN };
}

void
tuned_thresholds_apply(const struct tuned_thresholds *t,
    struct scoring_settings *s)
{
	if (!isnan(t->tag))
		s->tag_score = t->tag;
	if (!isnan(t->reject))
		s->reject_score = t->reject;
	if (!isnan(t->tempfail))
		s->tempfail_score = t->tempfail;
	else if (!isnan(t->tag) || !isnan(t->reject))
		s->tempfail_score = fmax(s->tag_score,
		    fmin(s->tempfail_score, s->reject_score));
}

struct shadow {
	struct arena *arena;
	const char *name, *path;
	enum shadow_kind kind;
	const struct ruleset *base;
	struct ruleset *ruleset;	  /* of the file */
	struct scoring_settings settings; /* with its thresholds and budget */
	double (*points)[4];		  /* of each rule of base */
	size_t score_count, rule_count;
};

bool
shadow_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strlen(name);

	return n > 0 && n <= SHADOW_MAX_NAME && strspn(name, allowed) == n;
}

/* Not one that the file only may refer to */
static bool
is_own(const struct rule *r)
{
	return strcmp(r->type, "known") != 0;
}

static bool
rule_is_off(const struct rule *r)
{
	for (size_t i = 0; i < 4; i++)
		if (r->scores[i] != 0 || r->base_scores[i] != 0)
			return false;
	return true;
}

/* What each rule of the running set counts here. */
static int
bind_points(struct shadow *s, bool untuned, struct diags *diags)
{
	size_t count = ruleset_count(s->base);

	s->points = arena_array(s->arena, count, sizeof(*s->points));
	if (s->points == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct rule *r = ruleset_rule(s->base, i);

		memcpy(s->points[i], untuned ? r->base_scores : r->scores,
		    sizeof(s->points[i]));
	}
	for (size_t i = 0; i < ruleset_foreign_count(s->ruleset); i++) {
		const struct ruleset_score *f = ruleset_foreign(s->ruleset, i);
		long k = ruleset_find(s->base, f->name);

		if (k < 0 || ruleset_rule(s->base, (size_t)k)->sub_rule) {
			diag_add(diags, DIAG_WARNING, f->file, f->line,
			    "score: %s \"%s\"", k < 0 ? "there is no rule" :
			    "no points are given for", f->name);
			continue;
		}
		if (rule_is_off(ruleset_rule(s->base, (size_t)k)))
			diag_add(diags, DIAG_WARNING, f->file, f->line,
			    "\"%s\" is off in the running rules: a shadow "
			    "does not see it", f->name);
		memcpy(s->points[k], f->scores, sizeof(f->scores));
		s->score_count++;
	}
	/* defined here: the running one of that name does not count */
	for (size_t i = 0; i < ruleset_count(s->ruleset); i++) {
		const struct rule *r = ruleset_rule(s->ruleset, i);
		long k = is_own(r) ? ruleset_find(s->base, r->name) : -1;

		if (k >= 0)
			memset(s->points[k], 0, sizeof(s->points[k]));
	}
	return 0;
}

static int
load(struct shadow *s, const struct shadow_options *o, struct diags *diags,
    struct error *err)
{
	struct tuned_thresholds thresholds;
	struct settings_room room = { tuned_thresholds_table, &thresholds };
	size_t before = diags->errors;
	struct ruleset_options ro = { .rooms = &room, .room_count = 1 };
	int r;

	tuned_thresholds_init(&thresholds);
	if (o->untuned != NULL) {
		ro.tuned = s->path;
		ro.tuned_rooms = &room;
		ro.tuned_room_count = 1;
		s->settings.tag_score = o->untuned->tag;
		s->settings.tempfail_score = o->untuned->tempfail;
		s->settings.reject_score = o->untuned->reject;
	} else {
		ro.paths = &s->path;
		ro.path_count = 1;
		ro.known = o->ruleset;
	}
	r = ruleset_load(&ro, diags, &s->ruleset, err);
	if (r != 0)
		return r;
	for (size_t i = 0; i < ruleset_count(s->ruleset); i++)
		s->rule_count += is_own(ruleset_rule(s->ruleset, i));
	s->kind = s->rule_count == 0 ? SHADOW_SCORES : SHADOW_RULES;
	tuned_thresholds_apply(&thresholds, &s->settings);
	s->settings.message_steps = o->settings->shadow_steps;
	scoring_settings_check(&s->settings, s->path, diags);
	if (diags->errors != before)
		return error_set(err, -EINVAL, "%zu errors in \"%s\"",
		    diags->errors - before, s->path);
	return bind_points(s, o->untuned != NULL, diags) == 0 ? 0 :
	    error_set(err, -ENOMEM, "out of memory");
}

int
shadow_load(const struct shadow_options *o, struct diags *diags,
    struct shadow **ret_shadow, struct error *err)
{
	struct arena *a = arena_new(SHADOW_ARENA_BYTES);
	struct shadow *s = a != NULL ? ARENA_NEW(a, struct shadow) : NULL;
	int r = -ENOMEM;

	if (s == NULL) {
		arena_free(a);
		return error_set(err, -ENOMEM, "out of memory");
	}
	s->arena = a;
	s->base = o->ruleset;
	s->settings = *o->settings;
	s->name = arena_strdup(a, o->name);
	s->path = arena_strdup(a, o->path);
	if (s->name != NULL && s->path != NULL)
		r = load(s, o, diags, err);
	else
		error_set(err, r, "out of memory");
	if (r == 0)
		*ret_shadow = s;
	else
		shadow_free(s);
	return r;
}

void
shadow_free(struct shadow *s)
{
	if (s == NULL)
		return;
	if (s->ruleset != NULL)
		ruleset_free(s->ruleset);
	arena_free(s->arena); /* s lives in it */
}

const char *
shadow_name(const struct shadow *s)
{
	return s->name;
}

const char *
shadow_path(const struct shadow *s)
{
	return s->path;
}

const char *
shadow_hash(const struct shadow *s)
{
	return ruleset_hash(s->ruleset);
}

enum shadow_kind
shadow_kind(const struct shadow *s)
{
	return s->kind;
}

size_t
shadow_score_count(const struct shadow *s)
{
	return s->score_count;
}

size_t
shadow_rule_count(const struct shadow *s)
{
	return s->rule_count;
}

/* The sum as it grows */
struct tallying {
	const struct scoring_settings *settings;
	double sum, low, high, largest;
	bool single;
};

static void
tally_hit(struct tallying *t, const struct rule *rule, double points)
{
	t->sum += points;
	t->largest = fmax(t->largest, points);
	if (rule != NULL && (rule->tflags & (RULE_REJECT | RULE_USERCONF)) != 0 &&
	    points >= t->settings->reject_score)
		t->single = true;
}

static void
tally_unknown(struct tallying *t, double points)
{
	t->low += fmin(points, 0);
	t->high += fmax(points, 0);
}

static void
tally_verdict(const struct shadow *s, const struct verdict *v,
    struct tallying *t)
{
	for (size_t i = 0; i < v->hit_count; i++) {
		const struct hit *h = &v->hits[i];

		if (h->index == NO_OFFSET)
			tally_hit(t, NULL, h->score);
		else
			tally_hit(t, ruleset_rule(s->base, h->index),
			    points_round(s->points[h->index][v->score_set]));
	}
	for (size_t i = 0; i < v->reputation_count; i++)
		tally_hit(t, NULL, v->reputation[i].score);
	for (size_t i = 0; i < v->open_count; i++)
		if (v->open[i].unknown && v->open[i].index != NO_OFFSET)
			tally_unknown(t, points_round(
			    s->points[v->open[i].index][v->score_set]));
}

static int
tally_own_rules(const struct shadow *s, const struct judge_input *in,
    const struct verdict *v, struct tallying *t, const char **ret_fault)
{
	struct rule_input rule_input = judge_rule_input(in, v->learned);
	struct rule_run run;

	rule_input.settings = &s->settings;
	rule_input.known = v->results;
	if (ruleset_run(s->ruleset, &rule_input, &run) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < ruleset_count(s->ruleset); i++) {
		const struct rule *rule = ruleset_rule(s->ruleset, i);
		double points = points_round(rule->scores[v->score_set]);

		if (rule->sub_rule || points == 0)
			continue;
		if (run.results[i].low > 0)
			tally_hit(t, rule, points);
		else if (run.results[i].high > 0)
			tally_unknown(t, points);
	}
	if (run.budget_spent)
		*ret_fault = "shadow_steps were spent";
	return 0;
}

int
shadow_judge(const struct shadow *s, const struct judge_input *in,
    const struct verdict *v, struct shadow_verdict *ret_verdict)
{
	struct tallying t = { .settings = &s->settings };
	struct shadow_verdict sv = { .name = s->name,
		.hash = ruleset_hash(s->ruleset) };
	struct deciding d;
	const char *reason;

	tally_verdict(s, v, &t);
	if (s->kind == SHADOW_RULES &&
	    tally_own_rules(s, in, v, &t, &sv.fault) != 0)
		return -ENOMEM;
	sv.score = points_round(t.sum);
	sv.score_low = points_round(t.sum + t.low);
	sv.score_high = points_round(t.sum + t.high);
	deciding_init(&d, &s->settings, in->evidence, in->envelope);
	d.single_rejects = t.single;
	sv.action = decide(&d, sv.score_low, t.largest, &reason);
	*ret_verdict = sv;
	return 0;
}
