/*
 * html_uri - links as they stand in HTML attributes, made absolute as
 * SpamAssassin does it (RFC 2396 5.2 with its later drafts). Private.
 */
#ifndef SCORING_MESSAGE_HTML_URI_H
#define SCORING_MESSAGE_HTML_URI_H

#include "base/arena.h"
#include "base/span.h"

/* White space and no-break spaces at both ends gone, at most URI_MAX_BYTES;
 * *ret_cut tells whether it was longer. */
struct span html_uri_trim(struct span uri, bool wide, bool *ret_cut);
/* uri seen from base (empty: none). ptr NULL: no memory. */
struct span html_uri_target(struct arena *a, struct span base, struct span uri);
/* What <base href=...> makes the base; empty: it is none. */
struct span html_uri_base(struct arena *a, struct span uri);

#endif
