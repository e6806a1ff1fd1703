/*
 * explain - print a verdict. The command's text and JSON, the daemon's log
 * line and the header fields all come from here, so they cannot disagree.
 */
#ifndef SCORING_EXPLAIN_H
#define SCORING_EXPLAIN_H

#include <jansson.h>

#include "base/buf.h"
#include "scoring/judge.h"

struct explain_input {
	const struct message *message;
	const struct envelope *envelope;
	const struct evidence *evidence;
	const struct verdict *verdict;
};

/* The contract of `spamscore --explain --json` (spamscore(1)). New
 * reference, NULL: no memory. */
json_t *explain_json(const struct explain_input *in);

struct explain_style {
	bool color;
	size_t columns; /* width of the terminal, 0: 80 */
};
void explain_text(const struct explain_input *in,
    const struct explain_style *style, struct buf *out);

/* "Yes, score=7.2 required=5.0 tests=A,B", folded with LF TAB at 78. */
void explain_status_header(const struct verdict *v, bool tagged,
    struct buf *out);
/* "7.2": one decimal, as in headers and logs */
void explain_points(double points, struct buf *out);

#endif
