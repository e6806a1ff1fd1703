#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/svg.h"

int
svg_open(const char *path, unsigned frames, const char *title,
    FILE **ret_file, struct error *err)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		return error_set(err, -errno, "cannot write \"%s\": %s", path,
		    strerror(errno));
	fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' "
		   "height='%d' font-family='sans-serif' font-size='12'>\n"
		   "<title>%s</title>\n"
		   "<style>.f{fill:none;stroke:#444}.g{stroke:#ddd}"
		   ".c{fill:none;stroke:#0050b0;stroke-width:1.6}"
		   ".b{fill:none;stroke:#999;stroke-width:1.6}"
		   ".r{fill:none;stroke:#c03000;stroke-width:1.6}"
		   ".p{fill:none;stroke:#e0a890;stroke-width:1.6}"
		   ".h{fill:none;stroke:#90b0d8;stroke-width:1.6}"
		   ".d{stroke-dasharray:4 3;stroke:#444}"
		   ".u{fill:#c03000}.w{fill:#0050b0}.s{font-size:10px}"
		   ".t{text-anchor:middle;font-size:15px}"
		   ".m{text-anchor:middle}.e{text-anchor:end}</style>\n"
		   "<rect width='100%%' height='100%%' fill='#fff'/>\n",
	    svg_x(frames) - SVG_GAP + 40, SVG_TOP + SVG_SIZE + 60, title);
	*ret_file = f;
	return 0;
}

int
svg_close(FILE *f, const char *path, struct error *err)
{
	int r = 0;

	fprintf(f, "</svg>\n");
	/* what is left meets the same fault as what could not be written */
	if (fflush(f) != 0)
		r = -errno;
	else if (ferror(f))
		r = -EIO;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	return r == 0 ? 0 : error_set(err, r, "cannot write \"%s\": %s", path,
	    strerror(-r));
}

double
svg_x(unsigned n)
{
	return SVG_LEFT + n * (double)(SVG_SIZE + SVG_GAP);
}

double
svg_at_log(double share)
{
	share = fmax(SVG_LEAST, fmin(1, share));
	return log10(share / SVG_LEAST) / log10(1 / SVG_LEAST);
}

void
svg_frame(FILE *f, double x0, const char *title, const char *x_label,
    const char *y_label)
{
	fprintf(f, "<rect x='%.0f' y='%d' width='%d' height='%d' class='f'/>\n",
	    x0, SVG_TOP, SVG_SIZE, SVG_SIZE);
	fprintf(f, "<text x='%.0f' y='%d' class='t'>%s</text>\n",
	    x0 + SVG_SIZE / 2.0, SVG_TOP - 14, title);
	fprintf(f, "<text x='%.0f' y='%d' class='m'>%s</text>\n",
	    x0 + SVG_SIZE / 2.0, SVG_TOP + SVG_SIZE + 40, x_label);
	fprintf(f, "<text transform='translate(%.0f,%.0f) rotate(-90)' "
		   "class='m'>%s</text>\n", x0 - 52, SVG_TOP + SVG_SIZE / 2.0,
	    y_label);
}

static const char *
percent(double share, char out[32])
{
	snprintf(out, 32, "%g%%", 100 * share);
	return out;
}

void
svg_grid_y(FILE *f, double x0)
{
	char text[32];

	for (double s = SVG_LEAST; s < 1.5; s *= 10) {
		double y = SVG_TOP + SVG_SIZE * (1 - svg_at_log(s));

		fprintf(f, "<path d='M%.1f %.1fh%d' class='g'/>"
			   "<text x='%.1f' y='%.1f' class='e'>%s</text>\n",
		    x0, y, SVG_SIZE, x0 - 6, y + 4, percent(s, text));
	}
}

void
svg_grid_x(FILE *f, double x0)
{
	char text[32];

	for (double s = SVG_LEAST; s < 1.5; s *= 10)
		fprintf(f, "<path d='M%.1f %dv%d' class='g'/>"
			   "<text x='%.1f' y='%d' class='m'>%s</text>\n",
		    x0 + SVG_SIZE * svg_at_log(s), SVG_TOP, SVG_SIZE,
		    x0 + SVG_SIZE * svg_at_log(s), SVG_TOP + SVG_SIZE + 18,
		    percent(s, text));
}

static int
by_score_falling(const void *a, const void *b)
{
	const struct metrics_item *x = a, *y = b;

	return x->score > y->score ? -1 : x->score < y->score;
}

void
svg_roc(FILE *f, double x0, struct metrics_item *items, size_t count,
    char class)
{
	double ham = 0, spam = 0, lost = 0, missed;

	for (size_t i = 0; i < count; i++) {
		ham += !items[i].spam;
		spam += items[i].spam;
	}
	missed = spam;
	if (count != 0)
		qsort(items, count, sizeof(*items), by_score_falling);
	fprintf(f, "<path class='%c' d='M%.1f %.1f", class, x0, (double)SVG_TOP);
	for (size_t i = 0; i < count;) {
		double x, y;
		size_t j = i;

		for (; j < count && items[j].score == items[i].score; j++) {
			if (items[j].spam)
				missed--;
			else
				lost++;
		}
		x = x0 + SVG_SIZE * svg_at_log(ham > 0 ? lost / ham : 0);
		y = SVG_TOP + SVG_SIZE *
		    (1 - svg_at_log(spam > 0 ? missed / spam : 0));
		fprintf(f, "L%.1f %.1f", x, y);
		/* steps that nobody can see would make the file large */
		while (j < count && items[j].spam && missed / spam > 0.02)
			missed--, j++;
		i = j;
	}
	fprintf(f, "'/>\n");
}
