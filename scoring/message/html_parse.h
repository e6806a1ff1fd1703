/*
 * html_parse - HTML cut into tags, text, comments and declarations, with the
 * tolerance of the mail programs of its time (and of Perl's HTML::Parser).
 *
 * libxml2's SAX parser repairs: it opens and closes elements that were not
 * written, and a handler cannot tell them from written ones. Rules count
 * what was written (unbalanced tags, tags that are none, words cut in two by
 * a tag), so the tokens here are exactly those of the text. Only its table
 * of entities is libxml2's. Private to scoring/message/.
 */
#ifndef SCORING_MESSAGE_HTML_PARSE_H
#define SCORING_MESSAGE_HTML_PARSE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

enum { HTML_MAX_ATTRS = 128 }; /* of one tag; more are not looked at */

enum html_event {
	HTML_TEXT,
	HTML_START,
	HTML_END,
	HTML_COMMENT,	  /* text: all of it, "<!--" included */
	HTML_DECLARATION, /* the same: "<!doctype ...>" */
};

struct html_attr {
	struct span name;  /* as written */
	struct span value; /* without quotes, entities not decoded; an
			      attribute without a value is its own value */
};

struct html_token {
	enum html_event event;
	struct span text;  /* HTML_TEXT, HTML_COMMENT, HTML_DECLARATION */
	struct span name;  /* tag name as written */
	bool cdata;	   /* text without entities (script, style) */
	const struct html_attr *attrs;
	size_t attr_count;
};

/* handle returns false to stop (memory ended). */
void html_parse(struct span text,
    bool (*handle)(void *ctx, const struct html_token *token), void *ctx);

/* Appends text with its entities decoded, as UTF-8. prefix: also "&ampx".
 * true when a character above U+00FF came from an entity. */
bool html_decode_entities(struct buf *out, struct span text, bool prefix);

#endif
