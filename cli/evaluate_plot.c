/*
 * The plot of an evaluation: ROC curve with both errors on logarithmic axes,
 * as the TREC spam track drew it, and the learning curve beside it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/evaluate.h"

enum { SIZE = 420, LEFT = 70, TOP = 50, GAP = 110 };

/* Shares below are drawn on the edge */
static const double LEAST = 1e-5;

static double
at_log(double share)
{
	share = fmax(LEAST, fmin(1, share));
	return log10(share / LEAST) / log10(1 / LEAST);
}

static int
by_score_falling(const void *a, const void *b)
{
	const struct metrics_item *x = a, *y = b;

	return x->score > y->score ? -1 : x->score < y->score;
}

static void
frame(FILE *f, double x0, const char *title, const char *x_label,
    const char *y_label)
{
	fprintf(f, "<rect x='%.0f' y='%d' width='%d' height='%d' class='f'/>\n",
	    x0, TOP, SIZE, SIZE);
	fprintf(f, "<text x='%.0f' y='%d' class='t'>%s</text>\n", x0 + SIZE / 2.0,
	    TOP - 14, title);
	fprintf(f, "<text x='%.0f' y='%d' class='m'>%s</text>\n", x0 + SIZE / 2.0,
	    TOP + SIZE + 40, x_label);
	fprintf(f, "<text transform='translate(%.0f,%.0f) rotate(-90)' "
		   "class='m'>%s</text>\n", x0 - 52, TOP + SIZE / 2.0, y_label);
}

static const char *
percent(double share, char out[32])
{
	snprintf(out, 32, "%g%%", 100 * share);
	return out;
}

static void
grid_y(FILE *f, double x0)
{
	char text[32];

	for (double s = LEAST; s < 1.5; s *= 10) {
		double y = TOP + SIZE * (1 - at_log(s));

		fprintf(f, "<path d='M%.1f %.1fh%d' class='g'/>"
			   "<text x='%.1f' y='%.1f' class='e'>%s</text>\n",
		    x0, y, SIZE, x0 - 6, y + 4, percent(s, text));
	}
}

static void
draw_roc(FILE *f, double x0, struct metrics_item *items, size_t count,
    double ham, double spam)
{
	double lost = 0, missed = spam;
	char text[32];

	frame(f, x0, "ROC", "ham lost", "spam missed");
	grid_y(f, x0);
	for (double s = LEAST; s < 1.5; s *= 10)
		fprintf(f, "<path d='M%.1f %dv%d' class='g'/>"
			   "<text x='%.1f' y='%d' class='m'>%s</text>\n",
		    x0 + SIZE * at_log(s), TOP, SIZE, x0 + SIZE * at_log(s),
		    TOP + SIZE + 18, percent(s, text));
	if (count != 0)
		qsort(items, count, sizeof(*items), by_score_falling);
	fprintf(f, "<path class='c' d='M%.1f %.1f", x0, (double)TOP);
	for (size_t i = 0; i < count;) {
		double x, y;
		size_t j = i;

		for (; j < count && items[j].score == items[i].score; j++) {
			if (items[j].spam)
				missed--;
			else
				lost++;
		}
		x = x0 + SIZE * at_log(ham > 0 ? lost / ham : 0);
		y = TOP + SIZE * (1 - at_log(spam > 0 ? missed / spam : 0));
		fprintf(f, "L%.1f %.1f", x, y);
		/* steps that nobody can see would make the file large */
		while (j < count && items[j].spam && missed / spam > 0.02)
			missed--, j++;
		i = j;
	}
	fprintf(f, "'/>\n");
}

static void
draw_learning(FILE *f, double x0, const struct metrics_item *items,
    struct metrics_item *scratch, size_t count)
{
	double from = log10(20), to = log10(fmax(200, (double)count));
	bool first = true;

	frame(f, x0, "Learning", "messages", "1-ROCA so far");
	grid_y(f, x0);
	for (int k = 2; k <= 7; k++) {
		double x = x0 + SIZE * (k - from) / (to - from);

		if (k > to)
			break;
		fprintf(f, "<path d='M%.1f %dv%d' class='g'/>"
			   "<text x='%.1f' y='%d' class='m'>%.0f</text>\n",
		    x, TOP, SIZE, x, TOP + SIZE + 18, pow(10, k));
	}
	fprintf(f, "<path class='c' d='");
	for (int i = 0; i <= 48; i++) {
		size_t n = (size_t)(pow(10, from + (to - from) * i / 48) + 0.5);

		if (n > count)
			n = count;
		if (n != 0) /* an empty stream has no array at all */
			memcpy(scratch, items, n * sizeof(*items));
		fprintf(f, "%c%.1f %.1f", first ? 'M' : 'L',
		    x0 + SIZE * (log10(fmax(20, (double)n)) - from) / (to - from),
		    TOP + SIZE * (1 - at_log(metrics_roca_pct(scratch, n) / 100)));
		first = false;
	}
	fprintf(f, "'/>\n");
}

int
evaluate_plot(const char *path, const char *title,
    const struct metrics_item *items, size_t count, struct error *err)
{
	struct metrics_item *copy = calloc(count + 1, sizeof(*copy));
	double ham = 0, spam = 0;
	FILE *f;
	int r = 0;

	if (copy == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	f = fopen(path, "we");
	if (f == NULL) {
		r = error_set(err, -errno, "cannot write \"%s\": %s", path,
		    strerror(errno));
		free(copy);
		return r;
	}
	for (size_t i = 0; i < count; i++) {
		copy[i] = items[i];
		if (items[i].spam)
			spam++;
		else
			ham++;
	}
	fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
		   "height='%d' font-family='sans-serif' font-size='12'>\n"
		   "<title>%s</title>\n"
		   "<style>.f{fill:none;stroke:#444}.g{stroke:#ddd}"
		   ".c{fill:none;stroke:#0050b0;stroke-width:1.6}"
		   ".t{text-anchor:middle;font-size:15px}"
		   ".m{text-anchor:middle}.e{text-anchor:end}</style>\n"
		   "<rect width='100%%' height='100%%' fill='#fff'/>\n",
	    LEFT + 2 * SIZE + GAP + 40, TOP + SIZE + 60, title);
	draw_roc(f, LEFT, copy, count, ham, spam);
	draw_learning(f, LEFT + SIZE + GAP, items, copy, count);
	fprintf(f, "</svg>\n");
	if (ferror(f))
		r = -EIO;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	free(copy);
	return r == 0 ? 0 : error_set(err, r, "cannot write \"%s\": %s", path,
	    strerror(-r));
}
