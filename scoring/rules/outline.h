/*
 * outline - a simpler pattern that matches wherever a given one does, for
 * finding candidates.
 *
 * Rules against look-alike letters name hundreds of bytes for each letter,
 * others repeat long alternatives: libhs takes minutes for them or refuses.
 * An outline forgets what is not needed to find the few texts worth a look.
 *
 * Plain text (bytes below 0x80, and no "&#") is most of all mail, and of
 * hundreds of look-alikes only two or three are plain: what plain text
 * cannot match is left out of its outlines, which are nearly exact.
 */
#ifndef SCORING_RULES_OUTLINE_H
#define SCORING_RULES_OUTLINE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

enum outline_mode {
	OUTLINE_PLAIN = 1,   /* what plain text cannot match is left out */
	OUTLINE_BLUR = 2,    /* bytes above 0x7f are all alike */
	OUTLINE_REPEATS = 4, /* repeats are counted to two only */
	OUTLINE_ENDS = 8,    /* "$" and its like match anywhere */
	OUTLINE_PAIR = 16,   /* of a repeat, what two in a row must have */
	OUTLINE_ONCE = 32,   /* repeats are counted to one only */
	OUTLINE_LONG = 64,   /* long repeats have no end */
	OUTLINE_ANY = 128,   /* twice or more is any number, none too */
};

enum outline_result {
	OUTLINE_MADE,
	OUTLINE_NEVER,	 /* plain text cannot match */
	OUTLINE_UNCLEAR, /* a construct that is not looked into; too long */
};

/* pattern: PCRE2's language, bytes. out: the outline. On plain text (in other
 * modes: on any) it matches at least where the pattern does, and matches of it
 * end in at least *ret_ends places there, which is 1 but for OUTLINE_PAIR and
 * OUTLINE_ONCE. Lookaround is left out. */
enum outline_result outline_make(struct span pattern, unsigned modes,
    struct buf *out, unsigned *ret_ends);

/* The outline without its head, if what it begins with is common and bytes
 * behind it are rare: matches of it end wherever matches of the outline do.
 * false: there is nothing to cut off, or something is not understood. */
bool outline_cut_head(struct span outline, struct buf *out);

bool outline_text_plain(struct span text);

#endif
