/*
 * The solver against a reference optimum found by another method (plain
 * projected gradient with tiny steps), the KKT conditions, bounds, bad
 * problems, and determinism.
 */
#include <errno.h>

#include "t/tap.h"
#include "tune/fit.h"

enum { M = 400, R = 12 };

static uint64_t seed = 7;

static double
uniform(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(seed >> 11) / 9007199254740992.0;
}

static uint32_t row_start[M + 1], columns[M * R];
static int8_t label[M];
static double weight[M], fixed[M], current[R], lower[R], upper[R], l2[R];

static struct fit_problem
make(void)
{
	uint32_t n = 0;

	for (size_t i = 0; i < M; i++) {
		label[i] = uniform() < 0.5 ? 1 : -1;
		weight[i] = label[i] > 0 ? 1 : 10;
		fixed[i] = uniform() - 0.5;
		row_start[i] = n;
		for (uint32_t j = 0; j < R; j++)
			if (uniform() < (label[i] > 0 ? 0.1 + 0.06 * j : 0.5 - 0.03 * j))
				columns[n++] = j;
	}
	row_start[M] = n;
	for (size_t j = 0; j < R; j++) {
		current[j] = (double)j / 4 - 1;
		lower[j] = j % 3 == 0 ? 0 : -4;
		upper[j] = 3.5;
		l2[j] = 2;
	}
	return (struct fit_problem){ M, R, row_start, columns, label, weight,
		fixed, 5, current, lower, upper, l2 };
}

static void
reference(const struct fit_problem *p, double *s)
{
	double g[R];

	for (size_t j = 0; j < R; j++)
		s[j] = 0;
	for (int step = 0; step < 60000; step++) {
		for (size_t j = 0; j < R; j++)
			g[j] = p->l2[j] * (s[j] - p->current[j]);
		for (size_t i = 0; i < M; i++) {
			double m = p->fixed[i] - p->threshold;

			for (uint32_t k = row_start[i]; k < row_start[i + 1]; k++)
				m += s[columns[k]];
			m *= label[i];
			for (uint32_t k = row_start[i]; k < row_start[i + 1]; k++)
				g[columns[k]] -= p->weight[i] * label[i] / (1 + exp(m));
		}
		for (size_t j = 0; j < R; j++) {
			s[j] -= g[j] / 2000;
			s[j] = s[j] < lower[j] ? lower[j] : s[j] > upper[j] ? upper[j] : s[j];
		}
	}
}

int
main(void)
{
	struct fit_problem p = make();
	struct fit_options o = { 1000, 1e-10 };
	struct fit_report report, again;
	double s[R], s2[R], want[R];
	bool same = true, bounded = true;

	tap_is_int(fit_run(&p, &o, s, &report, NULL), 0, "fit_run");
	tap_ok(report.converged, "converged after %u sweeps", report.sweeps);
	tap_ok(report.residual < 1e-8, "KKT residual %g", report.residual);
	reference(&p, want);
	tap_ok(fabs(fit_objective(&p, want) - report.objective) <
		1e-7 * report.objective, "objective %.9f, reference %.9f",
	    report.objective, fit_objective(&p, want));
	for (size_t j = 0; j < R; j++) {
		same &= fabs(s[j] - want[j]) < 1e-4;
		bounded &= s[j] >= lower[j] && s[j] <= upper[j];
	}
	tap_ok(same, "the same scores as the reference");
	tap_ok(bounded, "inside the box");
	memset(s2, 0x55, sizeof(s2));
	fit_run(&p, &o, s2, &again, NULL);
	tap_ok(memcmp(s, s2, sizeof(s)) == 0, "the same to the last digit again");

	l2[0] = 0;
	tap_is_int(fit_run(&p, &o, s2, &again, NULL), -EINVAL, "l2 of 0 is refused");
	l2[0] = 2;
	lower[1] = 5;
	tap_is_int(fit_run(&p, &o, s2, &again, NULL), -EINVAL, "an empty box is refused");
	lower[1] = -4;
	label[3] = 0;
	tap_is_int(fit_run(&p, &o, s2, &again, NULL), -EINVAL, "a label of 0 is refused");
	label[3] = 1;
	columns[0] = R;
	tap_is_int(fit_run(&p, &o, s2, &again, NULL), -EINVAL, "a rule out of range is refused");
	return tap_done();
}
