/*
 * Rates of wrong labels are found, and what is right is not doubted.
 */
#include <math.h>

#include "t/tune/rig.h"
#include "tune/doubt.h"

enum { MANY = 4000 };

static double score[MANY];
static int8_t label[MANY];
static bool flipped[MANY];

/* A score between two humps; shares of ham and of spam labelled as the other */
static void
make(size_t n, double spam_share, double ham_flips, double spam_flips)
{
	rig_state = 77;
	for (size_t i = 0; i < n; i++) {
		bool spam = rig_uniform() < spam_share;
		double bell = 0;

		for (int k = 0; k < 12; k++)
			bell += rig_uniform() - 0.5;
		score[i] = (spam ? 2.5 : -2.5) + bell * 1.2;
		flipped[i] = rig_uniform() < (spam ? spam_flips : ham_flips);
		label[i] = spam != flipped[i] ? 1 : -1;
	}
}

static void
test_rates(void)
{
	static const struct {
		double spam_share, ham_flips, spam_flips;
	} cases[] = {
		{ 0.5, 0, 0 }, { 0.5, 0.05, 0.05 }, { 0.5, 0.02, 0.1 },
		{ 0.8, 0.05, 0.05 }, { 0.1, 0.05, 0.05 }, { 0.5, 0.2, 0.2 },
	};

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		double ham = cases[k].ham_flips, spam = cases[k].spam_flips;
		size_t doubted = 0, right = 0, wrong = 0;
		struct doubt d;

		make(MANY, cases[k].spam_share, ham, spam);
		doubt_find(score, label, MANY, &d);
		tap_ok(fabs(d.rate[0] - ham) < 0.03 &&
			fabs(d.rate[1] - spam) < 0.03,
		    "rates %.3f and %.3f found as %.3f and %.3f", ham, spam,
		    d.rate[0], d.rate[1]);
		for (size_t i = 0; i < MANY; i++) {
			bool doubt = doubt_wrong(&d, score[i], label[i] > 0) >= 0.5;

			doubted += doubt;
			right += doubt && flipped[i];
			wrong += flipped[i];
		}
		tap_ok(right * 10 >= doubted * 9 && right * 10 >= wrong * 8,
		    "%zu doubted, %zu of them of the %zu that are wrong", doubted,
		    right, wrong);
	}
}

static bool
is_sane(const struct doubt *d)
{
	bool sane = isfinite(d->slope) && isfinite(d->offset) &&
	    isfinite(d->prior) && d->slope >= 0;

	for (double x = -1e6; x <= 1e6; x += 1e5)
		for (int spam = 0; spam <= 1; spam++) {
			double p = doubt_wrong(d, x, spam != 0);

			sane = sane && p >= 0 && p <= 1;
		}
	return sane;
}

static void
test_odd(void)
{
	struct doubt d;

	doubt_find(score, label, 0, &d);
	tap_ok(is_sane(&d), "nothing at all");
	make(200, 1, 0, 0);
	doubt_find(score, label, 200, &d);
	tap_ok(is_sane(&d), "one class only");
	make(200, 0.5, 0, 0);
	for (int i = 0; i < 200; i++)
		score[i] = 3;
	doubt_find(score, label, 200, &d);
	tap_ok(is_sane(&d) && doubt_wrong(&d, 3, true) < 0.5 &&
		doubt_wrong(&d, 3, false) < 0.5, "a score that says nothing");
	make(200, 0.5, 0, 0);
	for (int i = 0; i < 200; i++)
		score[i] = label[i] > 0 ? 1e5 : -1e5;
	doubt_find(score, label, 200, &d);
	tap_ok(is_sane(&d) && doubt_wrong(&d, 1e5, true) < 0.5, "far apart");
	for (int i = 0; i < 200; i++)
		score[i] = -score[i];
	doubt_find(score, label, 200, &d);
	tap_ok(is_sane(&d) && doubt_wrong(&d, 1e5, false) < 0.5 &&
		doubt_wrong(&d, -1e5, true) < 0.5,
	    "a score that speaks the other way accuses nobody");
}

int
main(void)
{
	test_rates();
	test_odd();
	return tap_done();
}
