/* Figures against values worked out by hand or by other programs (sums
 * of binomial probabilities for the intervals). */
#include "scoring/learn/metrics.h"
#include "t/tap.h"

static void
test_roca(void)
{
	struct metrics_item perfect[] = { { -1, false }, { 1, true },
		{ -2, false }, { 2, true } };
	struct metrics_item ties[] = { { 0, false }, { 0, true } };
	/* pairs: (3,2) wrong, (3,5) right, (1,2) and (1,5) right */
	struct metrics_item one[] = { { 3, false }, { 1, false }, { 2, true },
		{ 5, true } };
	struct metrics_item ham[] = { { 3, false } };

	tap_is_double(metrics_roca_pct(perfect, 4), 0, "perfect order");
	tap_is_double(metrics_roca_pct(ties, 2), 50, "ties count half");
	tap_is_double(metrics_roca_pct(one, 4), 25, "one of four pairs");
	tap_is_double(metrics_roca_pct(ham, 1), 0, "one class alone");
	tap_is_double(metrics_roca_pct(ham, 0), 0, "nothing");
}

static void
test_compute(void)
{
	static struct metrics_item items[3000];
	struct metrics m;

	/* 2000 ham at 0, but two at 10 and one at 20; 1000 spam at 15, ten
	 * of them at -5 */
	for (int i = 0; i < 3000; i++) {
		items[i].spam = i % 3 == 0;
		items[i].score = items[i].spam ? (i < 30 ? -5 : 15) : 0;
	}
	items[1].score = items[4].score = 10;
	items[7].score = 20;
	metrics_compute(items, 3000, 5, &m);
	tap_ok(m.ham == 2000 && m.spam == 1000, "classes are counted");
	tap_is_int((long long)m.ham_lost, 3, "ham lost at the threshold");
	tap_is_int((long long)m.spam_missed, 10, "spam missed at the threshold");
	tap_is_double(m.missed_pct[0], 100,
	    "at 0.01 %: no ham may be lost, and one stands above all spam");
	tap_is_double(m.missed_pct[1], 1, "at 0.1 %: two may");
	tap_is_double(m.missed_pct[2], 1, "at 1 %: twenty may");
	/* lam: logit-average of 0.15 % and 1 % */
	tap_ok(fabs(m.lam_pct - 0.38801) < 1e-4, "lam");
	/* wrong pairs: ten spam below all ham; 990 spam below the one at 20 */
	tap_is_double(m.roca_pct, 100 * (10.0 * 2000 + 990) / 2e6, "1-ROCA");
}

static void
test_interval(void)
{
	static const struct {
		size_t k, n;
		double confidence, low, high;
	} rows[] = {
		{ 0, 10, 0.95, 0, 0.3084971 },
		{ 10, 10, 0.95, 0.6915029, 1 },
		{ 3, 10, 0.95, 0.06673951, 0.6524529 },
		{ 5, 1000, 0.99, 0.001079507, 0.014085148 },
		{ 0, 0, 0.95, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		double low, high;
		bool ok;

		metrics_interval(rows[i].k, rows[i].n, rows[i].confidence, &low,
		    &high);
		ok = tap_ok(fabs(low - rows[i].low) < 1e-6 &&
		    fabs(high - rows[i].high) < 1e-6, "interval of %zu in %zu",
		    rows[i].k, rows[i].n);
		if (!ok)
			printf("#  got: %.9f %.9f\n# want: %.9f %.9f\n", low, high,
			    rows[i].low, rows[i].high);
	}
}

static void
test_bands(void)
{
	struct metrics_band bands[METRICS_BANDS];
	static struct metrics_item items[1000];
	size_t n = 0;

	for (int i = 0; i < 1000; i++)
		items[i] = (struct metrics_item){ log(0.3 / 0.7), i % 10 < 3 };
	metrics_calibration(items, 1000, bands);
	for (int b = 0; b < METRICS_BANDS; b++)
		n += bands[b].count;
	tap_is_int((long long)n, 1000, "each message in one band");
	tap_ok(bands[4].count == 1000 && fabs(bands[4].mean - 0.3) < 1e-9,
	    "the right one");
	tap_ok(bands[4].low < 0.3 && bands[4].high > 0.3 &&
	    bands[4].high - bands[4].low < 0.08, "with its interval");
}

int
main(void)
{
	test_roca();
	test_compute();
	test_interval();
	test_bands();
	return tap_done();
}
