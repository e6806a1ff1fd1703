/*
 * mbox - where the messages of an mbox begin (RFC 4155), byte by byte:
 * nothing is kept of what went by, so a mailbox may be of any size.
 *
 * A line "From somebody Mon Jan  1 12:34:56 2024" begins a message if it is
 * the first of the file or stands behind an empty one; the time of day tells
 * it from a sentence that begins so.
 */
#ifndef BASE_MBOX_H
#define BASE_MBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbox {
	bool none;	/* its first line is none of these: no mbox */
	size_t begin;	/* of the message that began last */
	size_t at;	/* bytes so far */
	/* the line that is being read */
	size_t line_at;
	bool from, time, text, blank_before;
	uint64_t last;	/* five bytes of it */
};

void mbox_init(struct mbox *m);

/* The next byte, or EOF: then the last line ends. True when the line that
 * ends here, at m->begin, begins another message than the first. */
bool mbox_next(struct mbox *m, int c);

#endif
