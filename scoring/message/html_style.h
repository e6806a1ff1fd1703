/*
 * html_style - which text of an HTML part can be seen: colours, sizes and
 * the few CSS properties that SpamAssassin looks at. Private to
 * scoring/message/.
 */
#ifndef SCORING_MESSAGE_HTML_STYLE_H
#define SCORING_MESSAGE_HTML_STYLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* "#rrggbb", "#" (an empty one) or "invalid" */
struct html_color {
	char text[8];
};

void html_color_invalid(struct html_color *c);
bool html_color_is_invalid(const struct html_color *c);
/* A name, "#rgb", "#rrggbb", "rgb(...)", with SpamAssassin's tolerance */
void html_color_parse(struct span s, struct html_color *ret);
/* The first three numbers between commas, whatever else there is */
void html_color_rgb_list(struct span s, struct html_color *ret);
/* The same colour, or nearly */
bool html_color_low_contrast(const struct html_color *a,
    const struct html_color *b);

/* Tags that may change how text looks */
enum styled_tag {
	STYLED_NONE, STYLED_BODY, STYLED_FONT, STYLED_TABLE, STYLED_TR,
	STYLED_TD, STYLED_BIG, STYLED_SMALL, STYLED_BASEFONT, STYLED_MARQUEE,
	STYLED_SPAN, STYLED_P, STYLED_DIV, STYLED_A, STYLED_COUNT,
};

struct html_style {
	enum styled_tag tag;
	struct html_color fg, bg;
	int size;
	bool display_none, hidden;
};

struct html_styles {
	struct html_style *stack; /* malloc'd; [0] is the default */
	size_t count, alloc;
	size_t open[STYLED_COUNT];
	int basefont, min_size, max_size;
};

struct html_style_attr {
	struct span name, value; /* name lower case, value decoded */
};

int html_styles_init(struct html_styles *s); /* 0 or -ENOMEM */
void html_styles_done(struct html_styles *s);
int html_styles_open(struct html_styles *s, enum styled_tag tag,
    const struct html_style_attr *attrs, size_t count);
void html_styles_close(struct html_styles *s, enum styled_tag tag);
static inline const struct html_style *
html_styles_top(const struct html_styles *s)
{
	return &s->stack[s->count - 1];
}

#endif
