#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "tune/certify.h"
#include "tune/gate.h"

/* What the candidate saves on one sender's mail */
struct gain {
	uint64_t sender;
	double saved;
};

/* How often a sender is drawn when as many are drawn as there are: Poisson
 * with mean 1, for many senders. Those of whom nothing changes need not be
 * drawn at all. Whole numbers: no libm makes another decision of it. */
static unsigned
poisson_of(unsigned bits16)
{
	static const uint16_t sums[] = { 24109, 48219, 60273, 64292, 65296,
		65497, 65531, 65535 };
	unsigned k = 0;

	while (k < sizeof(sums) / sizeof(sums[0]) && bits16 >= sums[k])
		k++;
	return k;
}

static double
cost_of(const struct gate_message *m, bool stopped, double ham_cost)
{
	return m->spam ? !stopped : stopped ? ham_cost : 0;
}

static int
gain_cmp(const void *pa, const void *pb)
{
	const struct gain *a = pa, *b = pb;

	return a->sender < b->sender ? -1 : a->sender > b->sender;
}

/* Sums by sender; returns how many are not 0, and puts these first. */
static size_t
gains_join(struct gain *g, size_t n)
{
	size_t kept = 0;

	qsort(g, n, sizeof(*g), gain_cmp);
	for (size_t i = 0; i < n;) {
		struct gain sum = g[i++];

		while (i < n && g[i].sender == sum.sender)
			sum.saved += g[i++].saved;
		if (sum.saved != 0)
			g[kept++] = sum;
	}
	return kept;
}

static double
share_better(const struct gain *g, size_t n, uint64_t seed)
{
	uint64_t state = seed;
	unsigned better = 0;

	for (unsigned r = 0; r < GATE_RESAMPLES; r++) {
		double saved = 0;
		uint64_t bits = 0;

		for (size_t i = 0; i < n; i++, bits >>= 16) {
			if (i % 4 == 0)
				bits = random_next(&state);
			saved += poisson_of(bits & 0xFFFF) * g[i].saved;
		}
		better += saved > 0;
	}
	return (double)better / GATE_RESAMPLES;
}

static void
count(struct gate_report *r, const struct gate_message *m)
{
	if (m->spam) {
		r->spam++;
		r->spam_missed += !m->stopped;
		r->spam_would_miss += !m->would_stop;
	} else {
		r->ham++;
		r->ham_stopped += m->stopped;
		r->ham_would_stop += m->would_stop;
		r->ham_would_reject += m->would_reject;
	}
}

#define SAY(r, d, ...) \
	((r)->decision = (d), \
	    (void)snprintf((r)->why, sizeof((r)->why), __VA_ARGS__))

static void
decide(const struct gate_options *o, struct gate_report *r)
{
	const struct result_certified *c = &o->certified;
	size_t ham = c->given + r->ham, lost = c->lost + r->ham_would_reject;

	r->bound = certify_upper_bound(lost, ham, c->confidence);
	/* would so many be lost in so few, were the certificate true? */
	if (r->ham_would_reject > 0 && certify_binomial_tail(r->ham, c->loss,
		r->ham_would_reject) < 1 - c->confidence)
		SAY(r, GATE_WORSE, "it would have rejected %zu of %zu good "
		    "messages, more than its certificate allows",
		    r->ham_would_reject, r->ham);
	else if (r->ham < GATE_MIN_CLASS || r->spam < GATE_MIN_CLASS)
		SAY(r, GATE_WAIT, "too little labelled mail came since it was "
		    "made: %zu ham and %zu spam, %d of each are needed", r->ham,
		    r->spam, GATE_MIN_CLASS);
	else if (r->differing < GATE_MIN_DIFFERING)
		SAY(r, GATE_WAIT, "it differs on labelled mail of %zu senders, "
		    "%d are needed to tell", r->differing, GATE_MIN_DIFFERING);
	else if (r->better <= 1 - c->confidence)
		SAY(r, GATE_WORSE, "the scores in force do better on the mail "
		    "that came since");
	else if (r->better < c->confidence)
		SAY(r, GATE_WAIT, "it does better in %.1f %% of the resamples, "
		    "%.4g %% are needed", 100 * r->better, 100 * c->confidence);
	else if (!c->holds)
		SAY(r, GATE_WAIT, "it has no certificate: %zu good messages were "
		    "held out, %zu are needed", c->given,
		    certify_needed(c->loss, c->confidence));
	else if (r->bound > c->loss)
		SAY(r, GATE_WAIT, "it does not certify any more: up to %.3g %% of "
		    "good mail may be lost", 100 * r->bound);
	else
		SAY(r, GATE_ADOPT, "it does better in %.1f %% of the resamples "
		    "and certifies: at most %.3g %% of good mail is rejected",
		    100 * r->better, 100 * r->bound);
}

int
gate_decide(const struct gate_message *messages, size_t n,
    const struct gate_options *o, struct gate_report *ret_report,
    struct error *err)
{
	struct gain *gains = calloc(n + 1, sizeof(*gains));
	struct gate_report r = { .decision = GATE_WAIT };

	if (gains == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct gate_message *m = &messages[i];

		count(&r, m);
		gains[i] = (struct gain){ m->sender,
			cost_of(m, m->stopped, o->ham_cost) -
			cost_of(m, m->would_stop, o->ham_cost) };
	}
	r.differing = gains_join(gains, n);
	r.better = r.differing != 0 ? share_better(gains, r.differing, o->seed) :
	    0.5;
	free(gains);
	decide(o, &r);
	*ret_report = r;
	return 0;
}

const char *
gate_word(enum gate_decision d)
{
	static const char *const words[] = { "adopt", "wait", "worse" };

	return words[d];
}
