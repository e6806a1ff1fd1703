/*
 * The picture of a tuning: where ham and spam lie before and after, the ROC
 * curve of both, and the rules that moved most.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/svg.h"
#include "cli/tune.h"

enum { POINTS = 140, SHOWN = 30 };

static size_t
items_make(const struct tuning *t, const double *scores,
    struct metrics_item *items)
{
	size_t n = 0;

	for (size_t i = 0; i < t->set.count; i++) {
		const struct tune_message *m = &t->set.messages[i];

		if (m->use == TUNE_HELD_OUT)
			items[n++] = (struct metrics_item){
				tune_set_score(&t->set, m, scores), m->spam };
	}
	return n;
}

/* What would be lost of ham, missed of spam, were the threshold at x: the
 * share of ham at or above it, of spam below it */
static void
draw_shares(FILE *f, double x0, const struct metrics_item *items, size_t n,
    bool spam, double low, double high, char class)
{
	double total = 0;

	for (size_t i = 0; i < n; i++)
		total += items[i].spam == spam;
	fprintf(f, "<path class='%c' d='", class);
	for (int b = 0; b <= POINTS && total > 0; b++) {
		double at = low + (high - low) * b / POINTS, share = 0;

		for (size_t i = 0; i < n; i++)
			share += items[i].spam == spam &&
			    (items[i].score >= at) != spam;
		fprintf(f, "%c%.1f %.1f", b == 0 ? 'M' : 'L',
		    x0 + SVG_SIZE * (double)b / POINTS,
		    SVG_TOP + SVG_SIZE * (1 - svg_at_log(share / total)));
	}
	fprintf(f, "'/>\n");
}

static void
draw_threshold(FILE *f, double x0, double at, double low, double high)
{
	if (at > low && at < high)
		fprintf(f, "<path d='M%.1f %dv%d' class='d'/>\n",
		    x0 + SVG_SIZE * (at - low) / (high - low), SVG_TOP, SVG_SIZE);
}

static void
draw_distributions(FILE *f, double x0, const struct tuning *t,
    struct metrics_item *items)
{
	const double low = -10, high = t->thresholds_after.reject + 5;
	static const char *const names[] = { "ham before", "ham after",
		"spam before", "spam after" };
	static const char classes[] = "hcpr";

	svg_frame(f, x0, "Scores", "points", "ham at or above, spam below");
	svg_grid_y(f, x0);
	for (int p = (int)low; p <= high; p += 5) {
		double x = x0 + SVG_SIZE * (p - low) / (high - low);

		fprintf(f, "<path d='M%.1f %dv%d' class='g'/>"
			   "<text x='%.1f' y='%d' class='m'>%d</text>\n", x,
		    SVG_TOP, SVG_SIZE, x, SVG_TOP + SVG_SIZE + 18, p);
	}
	for (int k = 0; k < 4; k++) {
		size_t n = items_make(t, k % 2 == 0 ? t->before : t->after,
		    items);

		draw_shares(f, x0, items, n, k >= 2, low, high, classes[k]);
		fprintf(f, "<path class='%c' d='M%.1f %dh24'/><text x='%.1f' "
			   "y='%d'>%s</text>\n", classes[k],
		    x0 + SVG_SIZE - 120, SVG_TOP + SVG_SIZE - 70 + 16 * k,
		    x0 + SVG_SIZE - 90, SVG_TOP + SVG_SIZE - 66 + 16 * k, names[k]);
	}
	draw_threshold(f, x0, t->thresholds_after.tag, low, high);
	draw_threshold(f, x0, t->thresholds_after.reject, low, high);
}

static void
draw_roc(FILE *f, double x0, const struct tuning *t,
    struct metrics_item *items)
{
	svg_frame(f, x0, "ROC", "ham lost", "spam missed");
	svg_grid_y(f, x0);
	svg_grid_x(f, x0);
	svg_roc(f, x0, items, items_make(t, t->before, items), 'b');
	svg_roc(f, x0, items, items_make(t, t->after, items), 'c');
	fprintf(f, "<path class='b' d='M%.1f %dh24'/><text x='%.1f' y='%d'>"
		   "before</text><path class='c' d='M%.1f %dh24'/>"
		   "<text x='%.1f' y='%d'>after</text>\n",
	    x0 + SVG_SIZE - 90, SVG_TOP + 16, x0 + SVG_SIZE - 60, SVG_TOP + 20,
	    x0 + SVG_SIZE - 90, SVG_TOP + 32, x0 + SVG_SIZE - 60, SVG_TOP + 36);
}

static int
by_move(const void *pa, const void *pb)
{
	const struct result_entry *const *a = pa, *const *b = pb;
	double x = fabs((*a)->score - (*a)->old);
	double y = fabs((*b)->score - (*b)->old);

	return x > y ? -1 : x < y ? 1 : strcmp((*a)->name, (*b)->name);
}

static void
draw_rules(FILE *f, double x0, const struct tuning *t,
    const struct result_entry **moved)
{
	double least = 0, most = 0, row = (double)SVG_SIZE / SHOWN;
	size_t n = 0;
	const double bars = 170; /* width; names stand on the left of it */

	svg_frame(f, x0, "Rules that moved most", "points: old to new", "");
	for (size_t i = 0; i < t->result.count; i++)
		if (t->result.entries[i].score != t->result.entries[i].old)
			moved[n++] = &t->result.entries[i];
	qsort(moved, n, sizeof(*moved), by_move);
	n = n < SHOWN ? n : SHOWN;
	for (size_t i = 0; i < n; i++) {
		least = fmin(least, fmin(moved[i]->old, moved[i]->score));
		most = fmax(most, fmax(moved[i]->old, moved[i]->score));
	}
	for (size_t i = 0; i < n && most > least; i++) {
		double y = SVG_TOP + row * (double)i;
		double from = x0 + SVG_SIZE - bars - 44 +
		    bars * (moved[i]->old - least) / (most - least);
		double to = x0 + SVG_SIZE - bars - 44 +
		    bars * (moved[i]->score - least) / (most - least);

		/* a rule's name is of letters, digits and "_" */
		fprintf(f, "<text x='%.1f' y='%.1f' class='s'>%.34s</text>"
			   "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' "
			   "class='%c'/><text x='%.1f' y='%.1f' class='e s'>"
			   "%.2f</text>\n",
		    x0 + 4, y + row - 3, moved[i]->name, fmin(from, to), y + 2,
		    fmax(1, fabs(to - from)), row - 4, to >= from ? 'u' : 'w',
		    x0 + SVG_SIZE - 4, y + row - 3, moved[i]->score);
	}
}

int
tune_plot(const struct tuning *t, const char *path, struct error *err)
{
	struct metrics_item *items = calloc(t->set.count + 1, sizeof(*items));
	const struct result_entry **moved = calloc(t->result.count + 1,
	    sizeof(*moved));
	FILE *f;
	int r = items == NULL || moved == NULL ?
	    error_set(err, -ENOMEM, "out of memory") :
	    svg_open(path, 3, "spamscore tune", &f, err);

	if (r == 0) {
		draw_distributions(f, svg_x(0), t, items);
		draw_roc(f, svg_x(1), t, items);
		draw_rules(f, svg_x(2), t, moved);
		r = svg_close(f, path, err);
	}
	free(items);
	free(moved);
	return r;
}
