#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/learn/metrics.h"
#include "tune/doubt.h"
#include "tune/fit.h"
#include "tune/scores.h"
#include "tune/twins.h"

enum {
	FOLDS = 5,
	/* Folds are drawn anew so often in a small set: where a few messages
	 * decide, what is chosen must not hang on which fold they are in. */
	MAX_REPEATS = 10,
	REPEATED_ROWS = 5000,
	LEAST_OF_CLASS = 20, /* messages, after duplicates went */
	NONE = TWINS_NONE,
};

/* A label is doubted as far as both doubt it, a fit that stays near the scores
 * in force and one that is free to leave them: good mail of a kind that they
 * always took for spam is no wrong label, and the free fit sees that it is a
 * kind. What is found changes what is fitted to, so it is looked for again. */
static const double WEIGHTLESS = 0.5; /* such a label says nothing */
static const double DOUBT_PULLS[] = { 2, 32 };
enum {
	DOUBT_PULL_COUNT = sizeof(DOUBT_PULLS) / sizeof(DOUBT_PULLS[0]),
	DOUBT_ROUNDS = 2,
};
/* Ham within so many points of the threshold costs all of ham_cost in the
 * second pass, ham further below this part of it. */
static const double NEAR = 3, FAR_COST = 0.5;
/* Pulls that are tried, weakest first */
static const double PULLS[] = { 0.5, 2, 8, 32 };
enum { PULL_COUNT = sizeof(PULLS) / sizeof(PULLS[0]) };
/* A choice must be cheaper by this part to be preferred to a safer one. */
static const double CLEARLY = 0.02;
/* Lower thresholds that are tried, and how far down: no rule that keeps its
 * score may reach one alone, and half of what is configured is the end. */
enum { TAG_STEPS = 6 };
static const double LEAST_TAG = 0.5, TAG_GAP = 0.01;
/* Ham so close below the threshold counts as partly lost when a lower one is
 * tried: there is more ham in the world than was seen, and the less was seen
 * the further it reaches. */
static const double RAMP = 1, RAMP_HAM = 200;

struct work {
	struct tune_set *s;
	const struct scores_options *o;
	struct scores_rule *rules;
	double tag; /* the threshold that is tried */
	double ramp;
	/* messages that are fitted to, their fold and score out of it */
	uint32_t *rows;
	size_t row_count;
	uint8_t *fold;
	double *out;
	/* rules that move */
	long *column_of; /* of each rule, NONE */
	uint32_t *moving;
	size_t moving_count;
	/* the problem over all of them; a fold takes some of its rows */
	uint32_t *row_start, *columns;
	int8_t *label;
	double *price; /* of a row on the wrong side of the threshold */
	double *weight, *fixed, *current, *lower, *upper, *l2, *solution;
	/* room for a fold's problem */
	uint32_t *sub_start, *sub_columns;
	int8_t *sub_label;
	double *sub_weight, *sub_fixed;
};

static const struct tune_message *
row_message(const struct work *w, size_t i)
{
	return &w->s->messages[w->rows[i]];
}

static int
rows_choose(struct work *w, struct scores_report *r, struct error *err)
{
	w->row_count = 0;
	r->ham = r->spam = 0;
	for (size_t i = 0; i < w->s->count; i++) {
		const struct tune_message *m = &w->s->messages[i];

		if (m->use != TUNE_FIT || m->wrong >= WEIGHTLESS)
			continue;
		w->rows[w->row_count++] = (uint32_t)i;
		(*(m->spam ? &r->spam : &r->ham))++;
	}
	w->ramp = RAMP * fmax(1, sqrt(RAMP_HAM / fmax(1, (double)r->ham)));
	if (r->ham >= LEAST_OF_CLASS && r->spam >= LEAST_OF_CLASS)
		return 0;
	return error_set(err, -ENODATA, "not enough mail to fit scores to: %zu "
	    "ham and %zu spam are left%s, %d of each are needed", r->ham,
	    r->spam, r->suspects > 0 ? " whose labels are not doubted" : "",
	    LEAST_OF_CLASS);
}

static void
hits_count(struct work *w)
{
	const struct tune_set *s = w->s;

	for (size_t j = 0; j < s->rule_count; j++)
		w->rules[j].ham = w->rules[j].spam = 0;
	for (size_t i = 0; i < w->row_count; i++) {
		const struct tune_message *m = row_message(w, i);

		for (uint32_t k = 0; k < m->hit_count; k++) {
			struct scores_rule *r =
			    &w->rules[s->hits[m->first_hit + k]];

			(*(m->spam ? &r->spam : &r->ham))++;
		}
	}
}

/* Spam's share of what a rule hits if both classes were of one size. */
static double
share_of(double spam, double ham)
{
	return spam + ham > 0 ? spam / (spam + ham) : 0.5;
}

static void
evidence_make(struct work *w, const struct scores_report *r)
{
	for (size_t j = 0; j < w->s->rule_count; j++) {
		struct scores_rule *x = &w->rules[j];
		double odds = (double)r->ham / (double)r->spam, low, high;

		x->so = share_of((double)x->spam * odds, (double)x->ham);
		if (x->spam + x->ham == 0)
			continue;
		metrics_interval(x->spam, x->spam + x->ham, 0.95, &low, &high);
		x->so_low = share_of(low * odds, 1 - low);
		x->so_high = share_of(high * odds, 1 - high);
	}
}

/* Twins of twins: the one that moves is the same for all. */
static uint32_t
leader_of(const struct work *w, uint32_t j)
{
	while (w->rules[j].why == SCORES_TWIN)
		j = w->rules[j].twin;
	return j;
}

static void
moving_list(struct work *w)
{
	w->moving_count = 0;
	for (size_t j = 0; j < w->s->rule_count; j++) {
		w->column_of[j] = NONE;
		if (w->rules[j].why != SCORES_FITTED)
			continue;
		w->column_of[j] = (long)w->moving_count;
		w->moving[w->moving_count++] = (uint32_t)j;
	}
}

static int
moving_choose(struct work *w)
{
	for (size_t j = 0; j < w->s->rule_count; j++) {
		struct scores_rule *r = &w->rules[j];

		r->why = w->s->rules[j].fixed != NULL || r->ham + r->spam == 0 ?
		    SCORES_KEPT : r->ham + r->spam < w->o->min_hits ?
		    SCORES_FEW_HITS : SCORES_FITTED;
	}
	moving_list(w);
	if (twins_find(w->s, w->rows, w->row_count, w->column_of, w->moving,
		w->moving_count, w->rules) != 0)
		return -ENOMEM;
	moving_list(w);
	return 0;
}

static void
boxes_make(struct work *w)
{
	const struct tune_set *s = w->s;
	double limit = w->tag - w->o->margin;

	for (size_t c = 0; c < w->moving_count; c++) {
		const struct tune_rule *r = &s->rules[w->moving[c]];

		w->current[c] = r->current;
		/* a bonus stays one, and may be taken away, not turned */
		w->lower[c] = r->nice ? -limit : r->current < 0 ? r->current : 0;
		w->upper[c] = r->nice || r->current < 0 ? 0 : limit;
	}
	for (size_t j = 0; j < s->rule_count; j++)
		if (w->rules[j].why == SCORES_TWIN) {
			long c = w->column_of[leader_of(w, (uint32_t)j)];

			if (s->rules[j].current > 0)
				w->upper[c] = fmax(w->lower[c], w->upper[c] -
				    s->rules[j].current);
		}
}

static void
matrix_make(struct work *w)
{
	const struct tune_set *s = w->s;
	uint32_t n = 0;

	for (size_t i = 0; i < w->row_count; i++) {
		const struct tune_message *m = row_message(w, i);

		w->row_start[i] = n;
		w->label[i] = m->spam ? 1 : -1;
		w->fixed[i] = m->fixed;
		for (uint32_t k = 0; k < m->hit_count; k++) {
			uint32_t j = s->hits[m->first_hit + k];

			if (w->column_of[j] != NONE)
				w->columns[n++] = (uint32_t)w->column_of[j];
			else
				w->fixed[i] += s->rules[j].current;
		}
	}
	w->row_start[w->row_count] = n;
}

/* Fits to the rows outside `without` (FOLDS: to all). */
static int
fold_fit(struct work *w, unsigned without, double pull,
    struct fit_report *ret_report, struct error *err)
{
	/* what only chooses between pulls and thresholds need not be exact, and
	 * is near to what the fold before it gave */
	const struct fit_options options = { 400,
		without == FOLDS ? 1e-6 : 1e-2, without != FOLDS };
	struct fit_problem p = { 0, w->moving_count, w->sub_start,
		w->sub_columns, w->sub_label, w->sub_weight, w->sub_fixed,
		w->tag, w->current, w->lower, w->upper, w->l2 };
	uint32_t n = 0;

	for (size_t c = 0; c < w->moving_count; c++)
		w->l2[c] = pull;
	for (size_t i = 0; i < w->row_count; i++) {
		if (w->fold[i] == without)
			continue;
		w->sub_start[p.messages] = n;
		for (uint32_t k = w->row_start[i]; k < w->row_start[i + 1]; k++)
			w->sub_columns[n++] = w->columns[k];
		w->sub_label[p.messages] = w->label[i];
		w->sub_weight[p.messages] = w->weight[i];
		w->sub_fixed[p.messages++] = w->fixed[i];
	}
	w->sub_start[p.messages] = n;
	return fit_run(&p, &options, w->solution, ret_report, err);
}

static double
row_score(const struct work *w, size_t i, const double *solution)
{
	double sum = w->fixed[i];

	for (uint32_t k = w->row_start[i]; k < w->row_start[i + 1]; k++)
		sum += solution[w->columns[k]];
	return sum;
}

/* false: all is in one of them */
static bool
folds_draw(struct work *w, unsigned k)
{
	bool several = false;

	for (size_t i = 0; i < w->row_count; i++) {
		w->fold[i] = (uint8_t)tune_set_fold(w->s, w->rows[i],
		    w->o->seed * MAX_REPEATS + k, FOLDS);
		several |= w->fold[i] != w->fold[0];
	}
	return several;
}

static int
folds_fit(struct work *w, double pull, struct error *err)
{
	struct fit_report report;

	for (unsigned f = 0; f < FOLDS; f++) {
		int r = fold_fit(w, f, pull, &report, err);

		if (r != 0)
			return r;
		for (size_t i = 0; i < w->row_count; i++)
			if (w->fold[i] == f)
				w->out[i] += row_score(w, i, w->solution);
	}
	return 0;
}

/* out: each row's score by a fit that did not see its campaign, the mean of
 * all repeats. Leaves the solution of the last fit. */
static int
cross_validate(struct work *w, double pull, struct error *err)
{
	size_t fits = REPEATED_ROWS / (w->row_count + 1);
	unsigned repeats = fits < 1 ? 1 : fits > MAX_REPEATS ? MAX_REPEATS :
	    (unsigned)fits, drawn = 0;
	int r = 0;

	for (size_t i = 0; i < w->row_count; i++)
		w->out[i] = 0;
	/* of two mailings both may be drawn into one fold */
	for (unsigned k = 0; k < repeats + MAX_REPEATS && drawn < repeats &&
	     r == 0; k++)
		if (folds_draw(w, k)) {
			drawn++;
			r = folds_fit(w, pull, err);
		}
	if (drawn == 0)
		return error_set(err, -ENODATA, "not enough mail to fit scores "
		    "to: it is all of one mailing");
	for (size_t i = 0; i < w->row_count; i++)
		w->out[i] /= drawn;
	return r;
}

/* What a label may weigh: a message that is of the other class with
 * probability p pulls to its label with 1 - p and away from it with p. Not 0:
 * until the rows are chosen anew such a message is in the problem. */
static double
trust_in(const struct tune_message *m)
{
	return fmax(1e-6, 1 - m->wrong / WEIGHTLESS);
}

/* Classes weigh the same, whatever their sizes. */
static void
weights_even(struct work *w)
{
	double size[2] = { 0, 0 };

	for (size_t i = 0; i < w->row_count; i++)
		size[w->label[i] > 0] += trust_in(row_message(w, i));
	for (size_t i = 0; i < w->row_count; i++) {
		const struct tune_message *m = row_message(w, i);

		w->price[i] = trust_in(m) *
		    (m->spam ? 1 : size[1] / fmax(1, size[0]));
		w->weight[i] = m->weight * w->price[i];
	}
}

/* Points of any message, fitted to or not, above the threshold */
static double
message_over(const struct work *w, const struct tune_message *m)
{
	double sum = m->fixed - w->tag;

	for (uint32_t k = 0; k < m->hit_count; k++) {
		uint32_t j = w->s->hits[m->first_hit + k];

		sum += w->column_of[j] != NONE ?
		    w->solution[w->column_of[j]] : w->s->rules[j].current;
	}
	return sum;
}

static bool
is_judged(const struct tune_message *m)
{
	return m->use == TUNE_FIT || m->use == TUNE_HELD_OUT;
}

/* After a cross-validation: how likely each label is wrong, at most as it was
 * by the pull before. Held-out mail, which no fit has seen, is judged by the
 * last one: it changes nothing, but its labels may be wrong too. */
static void
doubt_take(struct work *w, bool first)
{
	struct doubt d;

	for (size_t i = 0; i < w->row_count; i++)
		w->out[i] -= w->tag;
	doubt_find(w->out, w->label, w->row_count, &d);
	for (size_t i = 0, row = 0; i < w->s->count; i++) {
		struct tune_message *m = &w->s->messages[i];
		double over, p;

		if (!is_judged(m))
			continue;
		over = m->use == TUNE_FIT ? w->out[row++] : message_over(w, m);
		/* that nothing hits a spam does not speak for it */
		p = m->spam && over >= -w->tag ? 0 :
		    doubt_wrong(&d, over, m->spam);
		m->wrong = first ? p : fmin(m->wrong, p);
	}
}

/* At even cost, so that a wrong label pulls no harder than a right one. What
 * is doubted is marked, for the rows to be chosen anew. */
static int
doubt_run(struct work *w, struct scores_report *r, struct error *err)
{
	int rc = 0;

	for (int round = 0; round < DOUBT_ROUNDS && rc == 0; round++) {
		weights_even(w);
		for (int k = 0; k < DOUBT_PULL_COUNT && rc == 0; k++) {
			rc = cross_validate(w, DOUBT_PULLS[k], err);
			if (rc == 0)
				doubt_take(w, k == 0);
		}
	}
	for (size_t i = 0; i < w->s->count && rc == 0; i++) {
		struct tune_message *m = &w->s->messages[i];

		if (!is_judged(m) || m->wrong < SCORES_DOUBTED)
			continue;
		(*(m->use == TUNE_FIT ? &r->suspects : &r->held_suspects))++;
		if (m->use == TUNE_FIT)
			m->use = TUNE_SUSPECT;
	}
	return rc;
}

/* The second pass: ham far below the threshold costs little whatever it
 * does; what is near it or above has its full price. */
static void
weights_refine(struct work *w)
{
	for (size_t i = 0; i < w->row_count; i++) {
		const struct tune_message *m = row_message(w, i);

		w->price[i] = trust_in(m) * (m->spam ? 1 : w->o->ham_cost);
		w->weight[i] = m->weight * w->price[i] *
		    (m->spam || w->out[i] > w->tag - NEAR ? 1 : FAR_COST);
	}
}

/* Cost a message at the threshold, of scores out of fold. */
static double
cost_of(const struct work *w, double ramp)
{
	double cost = 0;

	for (size_t i = 0; i < w->row_count; i++) {
		double over = w->out[i] - w->tag;

		if (w->label[i] > 0)
			cost += over < 0 ? w->price[i] : 0;
		else if (over >= 0)
			cost += w->price[i];
		else if (over > -ramp)
			cost += w->price[i] * (1 + over / ramp);
	}
	return cost / (double)w->row_count;
}

/* What the scores in force cost, by the same measure */
static double
cost_now(struct work *w)
{
	for (size_t i = 0; i < w->row_count; i++)
		w->out[i] = row_score(w, i, w->current);
	return cost_of(w, 0);
}

static int
problem_make(struct work *w, struct scores_report *r, struct error *err)
{
	int rc = rows_choose(w, r, err);

	if (rc != 0)
		return rc;
	hits_count(w);
	evidence_make(w, r);
	if (moving_choose(w) != 0)
		return error_set(err, -ENOMEM, "out of memory");
	boxes_make(w);
	matrix_make(w);
	memcpy(w->solution, w->current, w->moving_count * sizeof(*w->solution));
	return 0;
}

static int
pull_choose(struct work *w, struct scores_report *r, double *ret_cost,
    struct error *err)
{
	double best = INFINITY;

	for (int k = PULL_COUNT - 1; k >= 0; k--) {
		double cost;
		int rc = cross_validate(w, PULLS[k], err);

		if (rc != 0)
			return rc;
		cost = cost_of(w, 0);
		/* the stronger pull unless the weaker is clearly better */
		if (cost < best * (1 - CLEARLY)) {
			best = r->cv_after = cost;
			*ret_cost = cost_of(w, w->ramp);
			r->pull = PULLS[k];
		}
	}
	return 0;
}

/* Above every rule that keeps its score */
static double
least_tag(const struct work *w)
{
	double least = LEAST_TAG * w->o->tag;

	for (size_t j = 0; j < w->s->rule_count; j++)
		if (w->column_of[j] == NONE && !w->s->rules[j].alone)
			least = fmax(least, w->s->rules[j].current + TAG_GAP);
	return least;
}

/* Where the scores in force are low for the mail that comes, a lower
 * threshold does what no score may do alone. */
static int
tag_choose(struct work *w, struct scores_report *r, double best,
    struct error *err)
{
	double least = least_tag(w), chosen = w->o->tag;

	for (int k = 1; k <= TAG_STEPS && least < w->o->tag; k++) {
		double cost;
		int rc;

		w->tag = round(100 * (w->o->tag + (least - w->o->tag) * k /
			TAG_STEPS)) / 100;
		boxes_make(w);
		rc = cross_validate(w, r->pull, err);
		if (rc != 0)
			return rc;
		cost = cost_of(w, w->ramp);
		if (cost < best * (1 - CLEARLY)) {
			best = cost;
			chosen = w->tag;
			r->cv_after = cost_of(w, 0);
		}
	}
	w->tag = r->tag = chosen;
	boxes_make(w);
	return 0;
}

static void
solution_take(struct work *w, double *scores, struct scores_report *r)
{
	const struct tune_set *s = w->s;

	for (size_t j = 0; j < s->rule_count; j++)
		scores[j] = s->rules[j].current;
	for (size_t c = 0; c < w->moving_count; c++) {
		uint32_t j = w->moving[c];
		double v = round(w->solution[c] * 1000) / 1000;

		/* -0 would be written as it is */
		scores[j] = v == 0 ? 0 : v;
		if (scores[j] >= w->upper[c] && w->upper[c] > 0)
			w->rules[j].why = SCORES_AT_LIMIT;
		else if (scores[j] == 0)
			w->rules[j].why = SCORES_AT_ZERO;
		r->moved += scores[j] != s->rules[j].current;
	}
	r->rules = w->moving_count;
}

static bool
work_init(struct work *w)
{
	size_t n = w->s->count + 1, rules = w->s->rule_count + 1;
	size_t hits = w->s->hit_count + 1;

	w->rows = calloc(n, sizeof(*w->rows));
	w->fold = calloc(n, sizeof(*w->fold));
	w->out = calloc(n, sizeof(*w->out));
	w->column_of = calloc(rules, sizeof(*w->column_of));
	w->moving = calloc(rules, sizeof(*w->moving));
	w->row_start = calloc(n, sizeof(*w->row_start));
	w->columns = calloc(hits, sizeof(*w->columns));
	w->label = calloc(n, sizeof(*w->label));
	w->price = calloc(n, sizeof(*w->price));
	w->weight = calloc(n, sizeof(*w->weight));
	w->fixed = calloc(n, sizeof(*w->fixed));
	w->current = calloc(rules, sizeof(*w->current));
	w->lower = calloc(rules, sizeof(*w->lower));
	w->upper = calloc(rules, sizeof(*w->upper));
	w->l2 = calloc(rules, sizeof(*w->l2));
	w->solution = calloc(rules, sizeof(*w->solution));
	w->sub_start = calloc(n, sizeof(*w->sub_start));
	w->sub_columns = calloc(hits, sizeof(*w->sub_columns));
	w->sub_label = calloc(n, sizeof(*w->sub_label));
	w->sub_weight = calloc(n, sizeof(*w->sub_weight));
	w->sub_fixed = calloc(n, sizeof(*w->sub_fixed));
	return w->rows != NULL && w->fold != NULL && w->out != NULL &&
	    w->column_of != NULL && w->moving != NULL && w->row_start != NULL &&
	    w->columns != NULL && w->label != NULL && w->price != NULL && w->weight != NULL &&
	    w->fixed != NULL && w->current != NULL && w->lower != NULL &&
	    w->upper != NULL && w->l2 != NULL && w->solution != NULL &&
	    w->sub_start != NULL && w->sub_columns != NULL &&
	    w->sub_label != NULL && w->sub_weight != NULL &&
	    w->sub_fixed != NULL;
}

static void
work_done(struct work *w)
{
	free(w->rows);
	free(w->fold);
	free(w->out);
	free(w->column_of);
	free(w->moving);
	free(w->row_start);
	free(w->columns);
	free(w->label);
	free(w->price);
	free(w->weight);
	free(w->fixed);
	free(w->current);
	free(w->lower);
	free(w->upper);
	free(w->l2);
	free(w->solution);
	free(w->sub_start);
	free(w->sub_columns);
	free(w->sub_label);
	free(w->sub_weight);
	free(w->sub_fixed);
}

static int
run(struct work *w, double *scores, struct scores_report *r,
    struct error *err)
{
	struct fit_report fit;
	double cost = 0;
	int rc;

	for (size_t i = 0; i < w->s->count; i++)
		w->s->messages[i].wrong = 0;
	rc = problem_make(w, r, err);
	if (rc == 0)
		rc = doubt_run(w, r, err);
	if (rc == 0)
		rc = problem_make(w, r, err);
	if (rc == 0) {
		weights_even(w);
		rc = cross_validate(w, DOUBT_PULLS[0], err);
	}
	if (rc == 0) {
		weights_refine(w);
		r->cv_before = cost_now(w);
		rc = pull_choose(w, r, &cost, err);
	}
	if (rc == 0)
		rc = tag_choose(w, r, cost, err);
	if (rc == 0)
		rc = fold_fit(w, FOLDS, r->pull, &fit, err);
	if (rc == 0) {
		r->sweeps = fit.sweeps;
		r->residual = fit.residual;
		solution_take(w, scores, r);
	}
	return rc;
}

int
scores_fit(struct tune_set *s, const struct scores_options *o,
    double *scores, struct scores_rule *rules, struct scores_report *ret_report,
    struct error *err)
{
	struct work w = { .s = s, .o = o, .rules = rules, .tag = o->tag };
	struct scores_report r = { 0 };
	int rc;

	rc = work_init(&w) ? run(&w, scores, &r, err) :
	    error_set(err, -ENOMEM, "out of memory");
	work_done(&w);
	*ret_report = r;
	return rc;
}
