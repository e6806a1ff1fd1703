#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tune/fit.h"

/* By rule: which messages it hit. The transpose of the problem's rows. */
struct columns {
	uint32_t *start; /* rules + 1 */
	uint32_t *rows;
};

struct state {
	const struct fit_problem *p;
	struct columns c;
	double *margin; /* y (f + x.s - t) of each message */
	double *scores;
};

/* log(1 + exp(-m)) without overflow */
static double
loss(double m)
{
	return m > 0 ? log1p(exp(-m)) : -m + log1p(exp(m));
}

/* 1 / (1 + exp(m)) */
static double
error_probability(double m)
{
	return m > 0 ? exp(-m) / (1 + exp(-m)) : 1 / (1 + exp(m));
}

static int
columns_make(const struct fit_problem *p, struct columns *c)
{
	size_t hits = p->row_start[p->messages];
	uint32_t *fill;

	c->start = calloc(p->rules + 1, sizeof(*c->start));
	c->rows = malloc((hits + 1) * sizeof(*c->rows));
	fill = malloc((p->rules + 1) * sizeof(*fill));
	if (c->start == NULL || c->rows == NULL || fill == NULL) {
		free(fill);
		return -ENOMEM;
	}
	for (size_t k = 0; k < hits; k++)
		c->start[p->columns[k] + 1]++;
	for (size_t j = 0; j < p->rules; j++)
		c->start[j + 1] += c->start[j];
	for (size_t j = 0; j < p->rules; j++)
		fill[j] = c->start[j];
	for (size_t i = 0; i < p->messages; i++)
		for (uint32_t k = p->row_start[i]; k < p->row_start[i + 1]; k++)
			c->rows[fill[p->columns[k]]++] = (uint32_t)i;
	free(fill);
	return 0;
}

static double
clamp(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

static void
derivatives(const struct state *st, size_t j, double *ret_first,
    double *ret_second)
{
	const struct fit_problem *p = st->p;
	double g = p->l2[j] * (st->scores[j] - p->current[j]), h = p->l2[j];

	for (uint32_t k = st->c.start[j]; k < st->c.start[j + 1]; k++) {
		uint32_t i = st->c.rows[k];
		double q = error_probability(st->margin[i]);

		g -= p->weight[i] * p->label[i] * q;
		h += p->weight[i] * q * (1 - q);
	}
	*ret_first = g;
	*ret_second = h;
}

/* The gradient, but for what pushes against a bound */
static double
projected(const struct state *st, size_t j, double g)
{
	const struct fit_problem *p = st->p;

	if ((st->scores[j] <= p->lower[j] && g > 0) ||
	    (st->scores[j] >= p->upper[j] && g < 0))
		return 0;
	return g;
}

static double
column_objective(const struct state *st, size_t j, double step)
{
	const struct fit_problem *p = st->p;
	double d = st->scores[j] + step - p->current[j];
	double sum = p->l2[j] / 2 * d * d;

	for (uint32_t k = st->c.start[j]; k < st->c.start[j + 1]; k++) {
		uint32_t i = st->c.rows[k];

		sum += p->weight[i] * loss(st->margin[i] + p->label[i] * step);
	}
	return sum;
}

/* One Newton step along rule j, halved until the objective falls: a full
 * step can overshoot where the loss is nearly flat. A short one cannot: the
 * logistic loss has |f'''| <= f'', so a step d of at most -f'/f'' changes it by
 * no more than f' d + f'' (e^|d| - |d| - 1), and e^x - x - 1 < 0.97 x^2 up to
 * 1.7. */
static double
coordinate_step(struct state *st, size_t j)
{
	const struct fit_problem *p = st->p;
	static const double SAFE = 1.7;
	double g, h, step, before;

	derivatives(st, j, &g, &h);
	g = projected(st, j, g);
	if (g == 0)
		return 0;
	step = clamp(st->scores[j] - g / h, p->lower[j], p->upper[j]) -
	    st->scores[j];
	before = fabs(step) > SAFE ? column_objective(st, j, 0) : 0;
	for (int halvings = 0; halvings < 40 && fabs(step) > SAFE;
	     halvings++, step /= 2)
		if (column_objective(st, j, step) <= before + 1e-4 * g * step)
			break;
	st->scores[j] = clamp(st->scores[j] + step, p->lower[j], p->upper[j]);
	for (uint32_t k = st->c.start[j]; k < st->c.start[j + 1]; k++) {
		uint32_t i = st->c.rows[k];

		st->margin[i] += p->label[i] * step;
	}
	return fabs(g);
}

static void
margins_make(struct state *st)
{
	const struct fit_problem *p = st->p;

	for (size_t i = 0; i < p->messages; i++) {
		double sum = (p->fixed != NULL ? p->fixed[i] : 0) - p->threshold;

		for (uint32_t k = p->row_start[i]; k < p->row_start[i + 1]; k++)
			sum += st->scores[p->columns[k]];
		st->margin[i] = p->label[i] * sum;
	}
}

double
fit_objective(const struct fit_problem *p, const double *scores)
{
	double total = 0;

	for (size_t i = 0; i < p->messages; i++) {
		double sum = (p->fixed != NULL ? p->fixed[i] : 0) - p->threshold;

		for (uint32_t k = p->row_start[i]; k < p->row_start[i + 1]; k++)
			sum += scores[p->columns[k]];
		total += p->weight[i] * loss(p->label[i] * sum);
	}
	for (size_t j = 0; j < p->rules; j++) {
		double d = scores[j] - p->current[j];

		total += p->l2[j] / 2 * d * d;
	}
	return total;
}

static int
problem_check(const struct fit_problem *p, struct error *err)
{
	if (p->messages == 0 || p->messages >= UINT32_MAX || p->rules >= UINT32_MAX)
		return error_set(err, -EINVAL, "no messages, or too many");
	for (size_t i = 0; i < p->messages; i++) {
		if ((p->label[i] != 1 && p->label[i] != -1) || !(p->weight[i] > 0) ||
		    p->row_start[i] > p->row_start[i + 1])
			return error_set(err, -EINVAL, "message %zu is malformed", i);
		for (uint32_t k = p->row_start[i]; k < p->row_start[i + 1]; k++)
			if (p->columns[k] >= p->rules ||
			    (k > p->row_start[i] &&
				p->columns[k] <= p->columns[k - 1]))
				return error_set(err, -EINVAL,
				    "hits of message %zu are not in order", i);
	}
	for (size_t j = 0; j < p->rules; j++)
		if (!(p->l2[j] > 0) || !(p->lower[j] <= p->upper[j]) ||
		    !isfinite(p->current[j]))
			return error_set(err, -EINVAL, "rule %zu is malformed", j);
	return 0;
}

int
fit_run(const struct fit_problem *p, const struct fit_options *o,
    double *scores, struct fit_report *ret_report, struct error *err)
{
	enum { REFRESH = 20 }; /* sweeps between exact margins */
	struct state st = { .p = p, .scores = scores };
	struct fit_report report = { 0 };
	int r = problem_check(p, err);

	if (r != 0)
		return r;
	for (size_t j = 0; j < p->rules; j++)
		scores[j] = clamp(o->warm ? scores[j] : p->current[j],
		    p->lower[j], p->upper[j]);
	st.margin = malloc(p->messages * sizeof(*st.margin));
	r = columns_make(p, &st.c);
	if (st.margin == NULL || r != 0) {
		r = error_set(err, -ENOMEM, "out of memory while fitting");
		goto out;
	}
	for (; report.sweeps < o->max_sweeps && !report.converged;
	     report.sweeps++) {
		double largest = 0;

		if (report.sweeps % REFRESH == 0)
			margins_make(&st);
		for (size_t j = 0; j < p->rules; j++)
			largest = fmax(largest, coordinate_step(&st, j));
		report.converged = largest <= o->tolerance;
	}
	margins_make(&st);
	for (size_t j = 0; j < p->rules; j++) {
		double g, h;

		derivatives(&st, j, &g, &h);
		report.residual = fmax(report.residual, fabs(projected(&st, j, g)));
	}
	report.objective = fit_objective(p, scores);
	*ret_report = report;
out:
	free(st.c.start);
	free(st.c.rows);
	free(st.margin);
	return r;
}
