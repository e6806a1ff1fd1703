#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tune/twins.h"

/* Rules whose messages agree in this share (of those that either hit) are
 * one fact with two names. */
static const double TWIN = 0.9;

/* Stronger first: of twins the one with the larger score moves. */
static bool
stronger(const struct tune_set *s, uint32_t a, uint32_t b)
{
	double x = fabs(s->rules[a].current), y = fabs(s->rules[b].current);

	return x != y ? x > y : strcmp(s->rules[a].name, s->rules[b].name) < 0;
}

int
twins_find(const struct tune_set *s, const uint32_t *rows, size_t row_count,
    const long *column_of, const uint32_t *moving, size_t n,
    struct scores_rule *rules)
{
	uint32_t *both; /* messages that two rules have in common, by pair */

	if (n == 0)
		return 0;
	/* n is at most some thousands: the triangle fits */
	both = calloc(n * (n + 1) / 2 + 1, sizeof(*both));
	if (both == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < row_count; i++) {
		const struct tune_message *m = &s->messages[rows[i]];

		for (uint32_t x = 0; x < m->hit_count; x++) {
			long a = column_of[s->hits[m->first_hit + x]];

			for (uint32_t y = 0; y < x && a != TWINS_NONE; y++) {
				long b = column_of[s->hits[m->first_hit + y]];

				if (b != TWINS_NONE) /* b < a: hits are in order */
					both[(size_t)a * ((size_t)a - 1) / 2 +
					    (size_t)b]++;
			}
		}
	}
	for (size_t a = 1; a < n; a++)
		for (size_t b = 0; b < a; b++) {
			uint32_t ra = moving[a], rb = moving[b];
			bool first = stronger(s, ra, rb);
			struct scores_rule *x = &rules[ra], *y = &rules[rb];
			struct scores_rule *weaker = first ? y : x;
			double common = both[a * (a - 1) / 2 + b];
			double either = (double)(x->ham + x->spam + y->ham +
			    y->spam) - common;

			if (common < TWIN * either || weaker->why == SCORES_TWIN)
				continue;
			weaker->why = SCORES_TWIN;
			weaker->twin = first ? ra : rb;
		}
	free(both);
	return 0;
}
