/*
 * views - text being collected for one view of a sample, and the views that
 * come from the body. Private to this room.
 */
#ifndef SCORING_LEARN_VIEWS_H
#define SCORING_LEARN_VIEWS_H

#include "scoring/message/message.h"

/* Silently full at cap; the bytes are the arena's */
struct view {
	char *ptr;
	size_t len, cap;
};

bool view_init(struct view *v, struct arena *a, size_t cap);
void view_add(struct view *v, struct span s);
/* With CR LF as LF: the same message from SMTP and from a file is one. */
void view_add_lines(struct view *v, struct span s);
/* White space collapsed to one space, line ends kept as LF */
void view_add_text(struct view *v, struct span s);
/* prefix, s, join and t as one word in lower case, and a space; nothing when
 * there is no room for all of it */
void view_token(struct view *v, const char *prefix, struct span s,
    const char *join, struct span t);

/* Decoded visible text; tokens of structure, links, charsets and scripts.
 * 0 or -ENOMEM */
int views_body(struct message *m, struct view *text, struct view *tokens);

#endif
