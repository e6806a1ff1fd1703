/*
 * What is known before anything is learned. An empty model would give every
 * message the same score until the first labels come; the shape of the
 * header says a little, in any year and language: a reply that names what it
 * answers is seldom spam. Weights are rough on purpose, they fade with the
 * first hundred messages learned (joint.c) and stand for nothing but order.
 */
#include "scoring/learn/internal.h"

static const struct {
	const char *token;
	double log_odds;
} hints[] = {
	{ "p:thread", -1 }, { "p:re-without-thread", 0.5 },
	{ "h=user-agent", -0.5 }, { "h=cc", -0.35 },
	{ "p:reply-to-elsewhere", 0.35 }, { "h=x-priority", 0.35 },
	{ "h=x-msmail-priority", 0.2 }, { "p:no-message-id", 0.5 },
	{ "p:no-recipient", 0.5 }, { "ct=text/html", 0.75 },
	{ "ct=multipart/alternative", 0.25 }, { "ct=multipart/related", 0.35 },
	{ "ct=multipart/signed", -1 }, { "ct=text/plain", -0.25 },
	{ "p:subject-shouts", 0.35 }, { "p:digits-in-author", 0.35 },
	{ "h=organization", -0.25 }, { "h=list-id", -0.15 },
	{ "p:tagged-subject", -0.25 },
};

double
prior_log_odds(const struct sample *s)
{
	struct span v = s->view[SAMPLE_TOKENS];
	double sum = 0;
	size_t i = 0;

	while (i < v.len) {
		size_t start;

		while (i < v.len && v.ptr[i] == ' ')
			i++;
		for (start = i; i < v.len && v.ptr[i] != ' '; i++)
			;
		for (size_t k = 0; k < sizeof(hints) / sizeof(*hints); k++)
			if (span_is(span_of(v.ptr + start, i - start),
				hints[k].token))
				sum += hints[k].log_odds;
	}
	return sum;
}
