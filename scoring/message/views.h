/*
 * views - private to scoring/message/: what is kept of a message's views,
 * and the steps that one file does for another.
 */
#ifndef SCORING_MESSAGE_VIEWS_H
#define SCORING_MESSAGE_VIEWS_H

#include "scoring/message/body.h"

struct message_views {
	struct part *root;
	unsigned mime_notes;
	struct texts rendered, visible, invisible, raw;
	bool has_rendered, has_visible, has_invisible, has_raw;
	bool html_done; /* all parts were rendered */
	struct html *html;
	struct uris uris;
	bool has_uris;
};

/* The message's views, made at the first call; NULL: no memory. */
struct message_views *message_views(struct message *m);

/* As message_parse(), but anything is a message: for message/rfc822. */
int message_parse_embedded(struct arena *a, struct span raw,
    const struct message_limits *limits, struct message **ret_message);

/*
 * Rendered text while it is put together. It is UTF-8; `wide` tells whether
 * Perl would hold it as characters. What is not wide is ASCII with perhaps
 * some U+0080..U+00FF from entities; such text ends up as single bytes, as
 * it does in SpamAssassin.
 */
struct rendering {
	struct span text, visible, invisible;
	bool wide, visible_wide, invisible_wide;
};

/* Reads UTF-8 (or ASCII: wide false) HTML. 0 or -ENOMEM. */
int html_render(struct arena *a, struct span text, bool wide,
    size_t part_bytes, struct rendering *ret_rendering,
    struct html **ret_html);

/* Renders a text part once; see struct rendering for what the spans are.
 * Sets p->is_text when the part is text at all. */
int part_render(struct part *p);

/* What of the parts goes into rawbody */
bool part_is_text(const struct part *p);

/* Parameters of a Content-Type as SpamAssassin reads them */
struct content_type {
	struct span type, boundary, charset, name; /* ptr NULL: none */
	bool missing;
};
int content_type_parse(struct arena *a, struct span value,
    struct content_type *ret_type);

/* filename="x" or name=x of a Content-Disposition; ptr NULL: none */
struct span content_disposition_name(struct span value);

/* Canonical and decoded forms of one URI, itself first. wide: it comes from
 * text that was characters, so that U+00E4 becomes %e4, else %c3%a4. */
int uri_canonicalize(struct arena *a, struct span uri, bool wide,
    const struct uri_rules *rules, struct span **ret_list,
    size_t *ret_count);

/* %XX decoded as far as it may be */
struct span uri_percent_decoded(struct arena *a, struct span s);

/* One URI found in a line of text */
struct text_uri {
	struct span raw;
	enum { TEXT_URI_SCHEME, TEXT_URI_MAIL, TEXT_URI_SCHEMELESS } kind;
	struct span host; /* of a schemeless one */
};
/* The next one at or behind *at, which is moved; false: no more. */
bool text_uri_next(struct span line, size_t *at, const struct uri_rules *rules,
    struct text_uri *ret_uri);

/* RFC 5891 A-labels, in lower case; dots of other scripts are dots (RFC 3490
 * 3.1). What can not be converted stays. false: no memory */
bool host_to_ascii(struct arena *a, struct span *host);

bool uri_tld_is_valid(const struct uri_rules *rules, struct span tld);

#endif
