#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "scoring/learn/metrics.h"
#include "tune/compare.h"

enum { RESAMPLES = 1000 };

/* What one campaign adds to the figures */
struct part {
	uint32_t campaign;
	unsigned spam, lost[2], missed[2];
};

static double
tcr_of(double spam, double lost, double missed, double ham_cost)
{
	double cost = ham_cost * lost + missed;

	return cost > 0 ? spam / cost : spam > 0 ? INFINITY : 0;
}

static int
double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
part_cmp(const void *a, const void *b)
{
	uint32_t x = ((const struct part *)a)->campaign;
	uint32_t y = ((const struct part *)b)->campaign;

	return (x > y) - (x < y);
}

/* One part a campaign, in order; how many */
static size_t
parts_make(const struct tune_set *s, const struct compare_options *o,
    const struct compare_side *sides[2], struct part *parts)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];
		struct part p = { .campaign = m->campaign, .spam = m->spam };

		if (m->use != o->use)
			continue;
		for (int k = 0; k < 2; k++) {
			bool over = tune_set_score(s, m, sides[k]->scores) >=
			    sides[k]->tag;

			p.lost[k] = !m->spam && over;
			p.missed[k] = m->spam && !over;
		}
		parts[n++] = p;
	}
	qsort(parts, n, sizeof(*parts), part_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || parts[kept - 1].campaign != parts[i].campaign) {
			parts[kept++] = parts[i];
			continue;
		}
		parts[kept - 1].spam += parts[i].spam;
		for (int k = 0; k < 2; k++) {
			parts[kept - 1].lost[k] += parts[i].lost[k];
			parts[kept - 1].missed[k] += parts[i].missed[k];
		}
	}
	return kept;
}

static struct compare_share
share_make(size_t k, size_t n, double confidence)
{
	struct compare_share s = { .count = k, .of = n,
		.share = n > 0 ? (double)k / (double)n : 0 };

	metrics_interval(k, n, confidence, &s.low, &s.high);
	return s;
}

static void
resample(const struct part *parts, size_t n, const struct compare_options *o,
    double (*tcr)[RESAMPLES], struct compare_report *r)
{
	uint64_t state = o->seed;
	size_t better = 0;

	for (int run = 0; run < RESAMPLES; run++) {
		double spam = 0, lost[2] = { 0 }, missed[2] = { 0 };

		for (size_t i = 0; i < n; i++) {
			const struct part *p = &parts[random_next(&state) % n];

			spam += p->spam;
			for (int k = 0; k < 2; k++) {
				lost[k] += p->lost[k];
				missed[k] += p->missed[k];
			}
		}
		for (int k = 0; k < 2; k++)
			tcr[k][run] = tcr_of(spam, lost[k], missed[k],
			    o->ham_cost);
		better += o->ham_cost * lost[1] + missed[1] <
		    o->ham_cost * lost[0] + missed[0];
	}
	r->better = (double)better / RESAMPLES;
}

int
compare_run(const struct tune_set *s, const struct compare_options *o,
    const struct compare_side *before, const struct compare_side *after,
    struct compare_report *ret_report)
{
	const struct compare_side *sides[2] = { before, after };
	struct part *parts = calloc(s->count + 1, sizeof(*parts));
	double (*tcr)[RESAMPLES] = calloc(2, sizeof(*tcr));
	struct compare_report r = { .better = 0 };
	size_t ham = 0, spam = 0, n;

	if (parts == NULL || tcr == NULL) {
		free(parts);
		free(tcr);
		return -ENOMEM;
	}
	n = parts_make(s, o, sides, parts);
	for (size_t i = 0; i < s->count; i++)
		if (s->messages[i].use == o->use)
			(*(s->messages[i].spam ? &spam : &ham))++;
	if (n > 0)
		resample(parts, n, o, tcr, &r);
	for (int k = 0; k < 2; k++) {
		struct compare_figures *f = k == 0 ? &r.before : &r.after;
		size_t lost = 0, missed = 0;
		size_t tail = (size_t)(RESAMPLES * (1 - o->confidence) / 2);

		for (size_t i = 0; i < n; i++) {
			lost += parts[i].lost[k];
			missed += parts[i].missed[k];
		}
		f->lost = share_make(lost, ham, o->confidence);
		f->missed = share_make(missed, spam, o->confidence);
		f->tcr = tcr_of((double)spam, (double)lost, (double)missed,
		    o->ham_cost);
		qsort(tcr[k], RESAMPLES, sizeof(tcr[k][0]), double_cmp);
		f->tcr_low = tcr[k][tail];
		f->tcr_high = tcr[k][RESAMPLES - 1 - tail];
	}
	free(parts);
	free(tcr);
	*ret_report = r;
	return 0;
}

int
compare_held_ham(const struct tune_set *s, const double *scores,
    double **ret_list, size_t *ret_count)
{
	double *list = calloc(s->count + 1, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		if (s->messages[i].use == TUNE_HELD_OUT && !s->messages[i].spam)
			list[n++] = tune_set_score(s, &s->messages[i], scores);
	qsort(list, n, sizeof(*list), double_cmp);
	*ret_list = list;
	*ret_count = n;
	return 0;
}

/* 2995 as "2,995" */
static const char *
grouped(size_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%zu", n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

const char *
compare_percent(double share, char out[16])
{
	/* two digits; 100 is not 1e+02 */
	snprintf(out, 16, 100 * share >= 10 ? "%.0f" : "%.2g", 100 * share);
	return out;
}

void
compare_certificate_text(const struct certificate *c, double loss,
    double confidence, char *out, size_t size)
{
	char needed[32], given[32], bound[16];

	grouped(c->needed, needed);
	grouped(c->given, given);
	if (c->holds)
		snprintf(out, size, "at most %.4g %% of good mail reaches %.12g "
		    "(confidence %.4g %%, %s messages)", 100 * loss,
		    c->threshold, 100 * confidence, given);
	else
		snprintf(out, size, "not certifiable: %s needed, %s given; the "
		    "bound that holds is %s %%", needed, given,
		    compare_percent(c->bound, bound));
}
