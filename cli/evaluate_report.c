/*
 * What an evaluation found, as text, JSON and files.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/evaluate.h"

static int
scores_write(const struct evaluate_report *r, const char *path)
{
	FILE *f = fopen(path, "we");
	int fault = 0;

	if (f == NULL)
		return cli_fail(EX_CANTCREAT, "cannot write \"%s\": %s",
		    path, strerror(errno));
	for (size_t i = 0; i < r->count; i++)
		fprintf(f, "%s\t%.6f\t%s\n", r->items[i].spam ? "spam" : "ham",
		    r->items[i].score, r->paths[i]);
	if (ferror(f))
		fault = EIO;
	if (fclose(f) != 0 && fault == 0)
		fault = errno;
	return fault == 0 ? EX_OK : cli_fail(EX_IOERR, "cannot write \"%s\": %s",
	    path, strerror(fault));
}

static json_t *
rounded(double v, double digits)
{
	return json_real(round(v * digits) / digits);
}

/* What tells ham from spam has no value where there is only one of them; the 0
 * of JSON, beside a count of 0, would read like no error at all. */
static bool
has_both(const struct metrics *m)
{
	return m->ham > 0 && m->spam > 0;
}

static int
print_json(const struct evaluate_report *r, const struct metrics *m)
{
	static const char *const names[] = { "0.01", "0.1", "1" };
	json_t *o = json_object(), *missed = json_object();

	json_object_set_new(o, "messages", json_integer((json_int_t)r->count));
	json_object_set_new(o, "ham", json_integer((json_int_t)m->ham));
	json_object_set_new(o, "spam", json_integer((json_int_t)m->spam));
	json_object_set_new(o, "ham_lost", json_integer((json_int_t)m->ham_lost));
	json_object_set_new(o, "spam_missed",
	    json_integer((json_int_t)m->spam_missed));
	json_object_set_new(o, "roca_pct", rounded(m->roca_pct, 1e6));
	json_object_set_new(o, "lam_pct", rounded(m->lam_pct, 1e6));
	for (int i = 0; i < 3; i++)
		json_object_set_new(missed, names[i],
		    rounded(m->missed_pct[i], 1e6));
	json_object_set_new(o, "spam_missed_pct", missed);
	json_object_set_new(o, "cpu_us_per_message", rounded(r->count > 0 ?
		(double)r->cpu_us / (double)r->count : 0, 10));
	json_object_set_new(o, "model_bytes",
	    json_integer((json_int_t)r->info.size_bytes));
	return cli_print_json(stdout, o);
}

static void
print_share(const char *label, size_t k, size_t n)
{
	double low, high;

	metrics_interval(k, n, 0.95, &low, &high);
	printf("%-22s %7zu of %-7zu %8.4f %%   95 %% interval %.4f .. %.4f %%\n",
	    label, k, n, n > 0 ? 100 * (double)k / (double)n : 0, 100 * low,
	    100 * high);
}

static void
print_order(const struct metrics *m)
{
	static const char *const labels[] = { "  at 0.01 %", "  at 0.1 %",
		"  at 1 %" };

	if (!has_both(m)) {
		printf("1-ROCA, lam and spam missed by ham lost: not to be had "
		    "without %s\n", m->ham == 0 ? "ham" : "spam");
		return;
	}
	printf("1-ROCA %.4f %%, lam %.4f %%\n", m->roca_pct, m->lam_pct);
	printf("spam missed when this much ham is lost:\n");
	for (int i = 0; i < 3; i++)
		print_share(labels[i], (size_t)(m->missed_pct[i] / 100 *
		    (double)m->spam + 0.5), m->spam);
}

static void
print_text(const struct evaluate_report *r, const struct metrics *m)
{
	struct metrics_band bands[METRICS_BANDS];

	printf("%zu messages: %zu ham, %zu spam; %zu labels learned\n", r->count,
	    m->ham, m->spam, r->labelled);
	if (r->not_messages > 0)
		printf("%zu of them are no messages and were judged by their bytes\n",
		    r->not_messages);
	printf("at a score of %g:\n", r->threshold);
	print_share("  ham lost", m->ham_lost, m->ham);
	print_share("  spam missed", m->spam_missed, m->spam);
	print_order(m);
	printf("cpu %.1f us a message, model %zu bytes, labels taken for "
	       "mistakes %.2f %%\n",
	    r->count > 0 ? (double)r->cpu_us / (double)r->count : 0,
	    r->info.size_bytes, 100 * r->info.noise);
	metrics_calibration(r->learned, r->count, bands);
	printf("calibration of LEARNED, as probability of spam:\n"
	       "        predicted   messages  mean predicted   spam seen   "
	       "99 %% interval\n");
	for (int b = 0; b < METRICS_BANDS; b++) {
		const struct metrics_band *x = &bands[b];

		if (x->count == 0)
			continue;
		printf("  %.4f .. %.4f %10zu      %.6f    %.6f   %.6f .. %.6f%s\n",
		    x->from, x->to, x->count, x->mean,
		    (double)x->spam / (double)x->count, x->low, x->high,
		    x->count < 200 || (x->mean >= x->low && x->mean <= x->high) ?
			"" : "  outside");
	}
}

int
evaluate_report(const struct evaluate_report *r, bool json,
    const char *scores_path, const char *plot_path)
{
	struct metrics_item *sorted = calloc(r->count + 1, sizeof(*sorted));
	struct metrics m;
	struct error err;
	char title[128];
	int code = EX_OK, also = EX_OK;

	if (sorted == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	if (r->count > 0)
		memcpy(sorted, r->items, r->count * sizeof(*sorted));
	metrics_compute(sorted, r->count, r->threshold, &m);
	free(sorted);
	/* first what took so long to find out: a file may fail */
	if (json)
		code = print_json(r, &m);
	else
		print_text(r, &m);
	if (scores_path != NULL)
		also = scores_write(r, scores_path);
	if (has_both(&m))
		snprintf(title, sizeof(title), "%zu messages, 1-ROCA %.4f %%",
		    r->count, m.roca_pct);
	else
		snprintf(title, sizeof(title), "%zu messages", r->count);
	if (plot_path != NULL &&
	    evaluate_plot(plot_path, title, r->items, r->count, &err) != 0)
		also = cli_fail(EX_CANTCREAT, "%s", err.text);
	return code != EX_OK ? code : also;
}
