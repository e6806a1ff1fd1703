/*
 * What is remembered of the sender, as points: a pure function of evidence.
 *
 * Each identity gives log-odds of spam from its decayed counts. They are not
 * added as if they were independent, since all of them saw the same mail:
 * the most specific and hardest to forge speaks first, with the weight of
 * its data; what weight is left goes to the next. Thin data so backs off to
 * the domain, then to the network.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "scoring/decide.h"
#include "scoring/judge.h"

/* Who speaks first, and how much of good credit its kind can carry: a domain
 * key is hard to forge, a neighbour in a network is easy to become. Bad
 * credit always counts in full. */
static const struct {
	enum identity_kind kind;
	double good;
} order[] = {
	{ IDENTITY_ADDRESS, 1.0 },
	{ IDENTITY_DKIM_ALIGNED, 1.0 },
	{ IDENTITY_SPF, 0.8 },
	{ IDENTITY_DKIM, 0.5 },
	{ IDENTITY_HELO, 0.5 },
	{ IDENTITY_IP, 0.5 },
	{ IDENTITY_NET, 0.25 },
};

/* Mail that must be seen before the counts are believed. More for good than
 * for bad, so that twenty good messages buy a spammer next to nothing. */
#define PRIOR_GOOD 5.0
#define PRIOR_BAD 2.0
/* How many messages of the last hour outweigh all that went before. */
#define PRIOR_RECENT 6.0
/* Counts at which an identity speaks with half of the weight. */
#define HALF_WEIGHT 5.0
/* Up to so many authors a domain is one organisation. Above, good credit is
 * the members' and not the domain's. It does not excuse bad credit: a
 * spammer invents authors at will. */
#define PRIVATE_AUTHORS 8.0
/* One of ours wrote to this author, who authenticated. */
#define CORRESPONDENT_POINTS -2.5

/* Good mail after which a sender is not greylisted, and how little bad. */
#define CONFIRMED_HAM 10.0
#define CONFIRMED_RATIO 20.0
#define CONFIRMED_RECENT_SPAM 1.0

/* The filter's own verdict is an opinion: it weighs a fifth of a person's. */
#define VERDICT_WEIGHT 0.2
#define VERDICT_HAM_BELOW 0.2 /* of tag_score */
#define VERDICT_SPAM_ABOVE 2.0

static double
log_odds(const struct reputation_row *r)
{
	double prior = r->spam >= r->ham ? PRIOR_BAD : PRIOR_GOOD;
	double odds = log((r->spam + prior) / (r->ham + prior)), recent, p;

	if (r->recent_spam <= 0)
		return odds;
	/* A sender that was hijacked an hour ago: the long record is what is
	 * expected, the last hour corrects it. Only towards bad, or else a
	 * quick burst of good mail would wash off a bad record. */
	p = 1 / (1 + exp(-odds));
	recent = log((r->recent_spam + PRIOR_RECENT * p) /
	    (r->recent_ham + PRIOR_RECENT * (1 - p)));
	return fmax(odds, recent);
}

static double
good_share(double good, double spread)
{
	return spread > PRIVATE_AUTHORS ? good * PRIVATE_AUTHORS / spread : good;
}

static struct reputation_term *
term_add(struct reputation_term *terms, size_t *count, struct arena *a,
    const struct reputation_row *r, double score)
{
	struct reputation_term *t = &terms[(*count)++];

	t->identity = arena_printf(a, "%s:%s", identity_kind_name(r->kind), r->key);
	t->ham = points_round(r->ham);
	t->spam = points_round(r->spam);
	t->last_seen = r->last_seen;
	t->score = score;
	return t->identity != NULL ? t : NULL;
}

/* Rounds each term and brings their sum into +-max, so that what is listed
 * is exactly what is added. */
static void
clamp_terms(struct reputation_term *terms, size_t count, double max)
{
	double sum = 0, scale, rest;
	size_t largest = 0;

	for (size_t i = 0; i < count; i++)
		sum += terms[i].score;
	scale = fabs(sum) > max ? max / fabs(sum) : 1;
	rest = points_round(sum * scale);
	for (size_t i = 0; i < count; i++) {
		terms[i].score = points_round(terms[i].score * scale);
		rest -= terms[i].score;
		if (fabs(terms[i].score) > fabs(terms[largest].score))
			largest = i;
	}
	if (count > 0)
		terms[largest].score = points_round(terms[largest].score + rest);
}

int
reputation_judge(const struct scoring_settings *settings,
    const struct evidence *e, struct arena *a,
    struct reputation_term **ret_terms, size_t *ret_count)
{
	struct reputation_term *terms = ARENA_ARRAY(a, e->reputation_count + 1,
	    struct reputation_term);
	double left = 1;
	size_t count = 0;

	if (terms == NULL)
		return -ENOMEM;
	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		for (size_t i = 0; i < e->reputation_count; i++) {
			const struct reputation_row *r = &e->reputation[i];
			double odds, seen, share;

			if (r->kind != order[k].kind || r->last_seen == 0)
				continue;
			seen = r->ham + r->spam;
			odds = log_odds(r);
			share = seen / (seen + HALF_WEIGHT);
			if (odds < 0)
				share *= good_share(order[k].good, r->spread);
			share *= left;
			left -= share;
			if (term_add(terms, &count, a, r, share * odds) == NULL)
				return -ENOMEM;
		}
	}
	if (e->correspondent)
		terms[count++] = (struct reputation_term){
			.identity = "correspondent",
			.score = CORRESPONDENT_POINTS,
			.last_seen = e->now,
		};
	clamp_terms(terms, count, settings->reputation_max);
	*ret_terms = terms;
	*ret_count = count;
	return 0;
}

double
verdict_opinions(const struct verdict *v, double *ret_learned)
{
	double learned = 0, reputation = 0;

	for (size_t i = 0; i < v->hit_count; i++)
		if (strcmp(v->hits[i].type, "learned") == 0)
			learned += v->hits[i].score;
	for (size_t i = 0; i < v->reputation_count; i++)
		reputation += v->reputation[i].score;
	if (ret_learned != NULL)
		*ret_learned = learned;
	return learned + reputation;
}

void
reputation_weigh(const struct verdict *v, double *ret_ham, double *ret_spam)
{
	/* both would confirm themselves */
	double opinions = verdict_opinions(v, NULL), tag = v->thresholds.tag;

	*ret_ham = *ret_spam = 0;
	if (tag <= 0)
		return;
	/* whatever an open test would have said */
	if (v->score_high - opinions <= tag * VERDICT_HAM_BELOW)
		*ret_ham = VERDICT_WEIGHT;
	else if (v->score_low - opinions >= tag * VERDICT_SPAM_ABOVE)
		*ret_spam = VERDICT_WEIGHT;
}

bool
reputation_dnswl(const struct evidence *e)
{
	/* 127.0.x.0 is listed without any trust */
	for (size_t i = 0; i < e->dnsxl_count; i++) {
		const struct dnsxl_evidence *d = &e->dnsxl[i];
		size_t n = d->result != NULL ? strlen(d->result) : 0;

		if (strstr(d->list, "dnswl") != NULL && n > 2 &&
		    strncmp(d->result, "127.0.", 6) == 0 &&
		    strncmp(d->result, "127.0.0.", 8) != 0 &&
		    strcmp(d->result + n - 2, ".0") != 0)
			return true;
	}
	return false;
}

bool
reputation_is_confirmed(const struct reputation_row *r)
{
	return r->ham >= CONFIRMED_HAM && r->ham >= CONFIRMED_RATIO * r->spam &&
	    r->recent_spam < CONFIRMED_RECENT_SPAM;
}

bool
reputation_excuses_greylist(const struct evidence *e, const char **ret_why)
{
	if (e->correspondent) {
		*ret_why = "one of ours wrote to this author: not deferred";
		return true;
	}
	for (size_t i = 0; i < e->reputation_count; i++) {
		const struct reputation_row *r = &e->reputation[i];

		/* what a neighbour or a host name earned is not enough */
		if ((r->kind == IDENTITY_ADDRESS ||
		    r->kind == IDENTITY_DKIM_ALIGNED ||
		    r->kind == IDENTITY_SPF) && reputation_is_confirmed(r) &&
		    r->spread <= PRIVATE_AUTHORS) {
			*ret_why = "a confirmed sender: not deferred";
			return true;
		}
	}
	if (reputation_dnswl(e)) {
		*ret_why = "listed by DNSWL: not deferred";
		return true;
	}
	return false;
}
