/*
 * The certificate against known values, against a slow exact sum, and in
 * simulation: the true loss may exceed the bound in at most 6.6 % of 1,000
 * resamples when 5 % are promised (three standard errors).
 */
#include <stdint.h>

#include "t/tap.h"
#include "tune/certify.h"
#include "tune/compare.h"

static uint64_t seed = 42;

static double
uniform(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(seed >> 11) / 9007199254740992.0;
}

static int
cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
slow_tail(size_t n, double p, size_t k)
{
	double sum = 0;

	for (size_t i = k; i <= n; i++)
		sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
		    lgamma((double)(n - i) + 1) + (double)i * log(p) +
		    (double)(n - i) * log1p(-p));
	return sum;
}

static void
test_tail(void)
{
	static const struct {
		size_t n, k;
		double p;
	} rows[] = { { 10, 0, 0.5 }, { 10, 1, 0.5 }, { 10, 10, 0.5 },
		{ 10, 11, 0.5 }, { 3000, 3000, 0.999 }, { 3000, 2990, 0.999 },
		{ 1000, 5, 0.001 }, { 1000, 1, 0.001 }, { 50, 25, 0.5 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_ok(fabs(certify_binomial_tail(rows[i].n, rows[i].p, rows[i].k) -
			   slow_tail(rows[i].n, rows[i].p, rows[i].k)) < 1e-9,
		    "tail n=%zu k=%zu p=%g", rows[i].n, rows[i].k, rows[i].p);
}

static void
test_bounds(void)
{
	double scores[5000];
	struct certificate c;

	tap_is_int((long long)certify_needed(0.001, 0.95), 2995,
	    "2,995 messages of ham for 0.1 % at 95 %");
	tap_ok(certify_needed(1e-20, 0.95) > 1000000000,
	    "a loss that is too small to count");
	/* the rule of three, exact: 1 - 0.05^(1/n) */
	tap_ok(fabs(certify_upper_bound(0, 812, 0.95) -
		   (1 - pow(0.05, 1 / 812.0))) < 1e-9, "no loss among 812: 0.37 %%");
	tap_ok(fabs(certify_upper_bound(0, 812, 0.95) - 0.00368) < 1e-5, "that is 0.37 %%");
	for (size_t i = 0; i < 5000; i++)
		scores[i] = (double)i / 500;
	c = certify_threshold(scores, 812, 0.001, 0.95, 0);
	tap_ok(!c.holds && c.needed == 2995 && c.given == 812, "812 do not do");
	tap_ok(c.threshold > scores[811], "then nothing seen is lost");
	tap_ok(fabs(c.bound - 0.00368) < 1e-5, "and the bound that holds is said");
	c = certify_threshold(scores, 2995, 0.001, 0.95, 0);
	tap_ok(c.holds && c.threshold > scores[2994], "2,995: above the largest");
	c = certify_threshold(scores, 5000, 0.001, 0.95, 0);
	tap_ok(c.holds && c.threshold > scores[4990] && c.threshold <= scores[4999],
	    "5,000: an order statistic below the largest");
	c = certify_threshold(scores, 5000, 0.001, 0.95, 12);
	tap_ok(c.holds && c.threshold == 12 && c.bound <= 0.001,
	    "never below the floor");
	c = certify_threshold(scores, 0, 0.001, 0.95, 5);
	tap_ok(!c.holds && c.bound == 1, "no ham, no promise");
}

static void
test_simulation(void)
{
	enum { RUNS = 1000, N = 3500 };
	static double scores[N];
	unsigned exceeded = 0;

	for (int run = 0; run < RUNS; run++) {
		struct certificate c;

		for (size_t i = 0; i < N; i++)
			scores[i] = uniform();
		qsort(scores, N, sizeof(scores[0]), cmp);
		c = certify_threshold(scores, N, 0.001, 0.95, 0);
		/* scores are uniform: the true loss is 1 - threshold (the step
		 * above the order statistic would hide what is tested) */
		exceeded += !c.holds || 1 - (c.threshold - 0.001) > 0.001;
	}
	tap_ok(exceeded <= RUNS * 66 / 1000, "true loss above the bound in %u of %d",
	    exceeded, RUNS);
	tap_ok(exceeded > 0, "and not by being needlessly careful");
}

/* With too little ham the bound that is said must hold as often. */
static void
test_simulation_too_little(void)
{
	enum { RUNS = 1000, N = 812 };
	static double scores[N];
	unsigned exceeded = 0;

	for (int run = 0; run < RUNS; run++) {
		struct certificate c;

		for (size_t i = 0; i < N; i++)
			scores[i] = 1000 * uniform();
		qsort(scores, N, sizeof(scores[0]), cmp);
		c = certify_threshold(scores, N, 0.001, 0.95, 990);
		exceeded += c.holds || 1 - c.threshold / 1000 > c.bound;
	}
	tap_ok(exceeded <= RUNS * 66 / 1000, "too little ham: above the bound in "
	    "%u of %d", exceeded, RUNS);
}

static void
test_sentences(void)
{
	static const struct {
		struct certificate c;
		const char *want;
	} rows[] = {
		{ { false, 12, 0.003682, 812, 2995 }, "not certifiable: 2,995 "
		    "needed, 812 given; the bound that holds is 0.37 %" },
		{ { false, 12, 1, 0, 2995 }, "not certifiable: 2,995 needed, 0 "
		    "given; the bound that holds is 100 %" },
		{ { true, 12.5, 0.001, 3100, 2995 }, "at most 0.1 % of good mail "
		    "reaches 12.5 (confidence 95 %, 3,100 messages)" },
	};
	char text[200];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		compare_certificate_text(&rows[i].c, 0.001, 0.95, text,
		    sizeof(text));
		tap_ok(strcmp(text, rows[i].want) == 0, "%s", text);
	}
}

int
main(void)
{
	test_tail();
	test_bounds();
	test_sentences();
	test_simulation();
	test_simulation_too_little();
	return tap_done();
}
