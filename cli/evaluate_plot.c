/*
 * The plot of an evaluation: ROC curve with both errors on logarithmic axes,
 * as the TREC spam track drew it, and the learning curve beside it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/evaluate.h"
#include "cli/svg.h"

static void
draw_learning(FILE *f, double x0, const struct metrics_item *items,
    struct metrics_item *scratch, size_t count)
{
	double from = log10(20), to = log10(fmax(200, (double)count));
	bool first = true;

	svg_frame(f, x0, "Learning", "messages", "1-ROCA so far");
	svg_grid_y(f, x0);
	for (int k = 2; k <= 7; k++) {
		double x = x0 + SVG_SIZE * (k - from) / (to - from);

		if (k > to)
			break;
		fprintf(f, "<path d='M%.1f %dv%d' class='g'/>"
			   "<text x='%.1f' y='%d' class='m'>%.0f</text>\n",
		    x, SVG_TOP, SVG_SIZE, x, SVG_TOP + SVG_SIZE + 18, pow(10, k));
	}
	fprintf(f, "<path class='c' d='");
	for (int i = 0; i <= 48; i++) {
		size_t n = (size_t)(pow(10, from + (to - from) * i / 48) + 0.5);

		if (n > count)
			n = count;
		if (n != 0) /* an empty stream has no array at all */
			memcpy(scratch, items, n * sizeof(*items));
		fprintf(f, "%c%.1f %.1f", first ? 'M' : 'L',
		    x0 + SVG_SIZE * (log10(fmax(20, (double)n)) - from) / (to - from),
		    SVG_TOP + SVG_SIZE * (1 - svg_at_log(metrics_roca_pct(scratch, n) / 100)));
		first = false;
	}
	fprintf(f, "'/>\n");
}

int
evaluate_plot(const char *path, const char *title,
    const struct metrics_item *items, size_t count, struct error *err)
{
	struct metrics_item *copy = calloc(count + 1, sizeof(*copy));
	FILE *f;
	int r;

	if (copy == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	r = svg_open(path, 2, title, &f, err);
	if (r == 0) {
		if (count != 0)
			memcpy(copy, items, count * sizeof(*copy));
		svg_frame(f, svg_x(0), "ROC", "ham lost", "spam missed");
		svg_grid_y(f, svg_x(0));
		svg_grid_x(f, svg_x(0));
		svg_roc(f, svg_x(0), copy, count, 'c');
		draw_learning(f, svg_x(1), items, copy, count);
		r = svg_close(f, path, err);
	}
	free(copy);
	return r;
}
