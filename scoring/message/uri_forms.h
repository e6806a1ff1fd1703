/*
 * uri_forms - private to uri.c, uri_decode.c and uri_host.c: the forms of one
 * URI while they are collected.
 *
 * Spans are borrowed from the URI or in the arena. Lack of memory is noted in
 * `failed`, which uri_canonicalize() looks at in the end.
 */
#ifndef SCORING_MESSAGE_URI_FORMS_H
#define SCORING_MESSAGE_URI_FORMS_H

#include "base/buf.h"
#include "scoring/message/views.h"

struct forms {
	struct arena *arena;
	const struct uri_rules *rules;
	/* what is still to be read (and is itself a form), then the forms */
	struct span *uris, *forms;
	size_t uri_count, form_count;
	struct buf scratch;
	bool wide;
	bool failed;
};

/* "http://host:80/path" and its pieces */
struct web {
	struct span proto, auth, host, rest, port;
};

void forms_add(struct forms *f, struct span s);
void forms_add_joined(struct forms *f, struct span proto, struct span host,
    struct span rest);
/* Forms of a host that is a number or one word. named: the host in lower
 * case, as DNS knows it */
void forms_read_host(struct forms *f, const struct web *w, struct span named);

bool uri_has_percent(struct span s);
/* %XX of printable characters decoded; what must not stand in a URI as
 * itself becomes %xx. wide: s holds characters, see uri_canonicalize() */
void uri_percent_decode(struct buf *out, struct span s, bool wide);
/* "&#65;" and the like */
void uri_decode_references(struct buf *out, struct span s);

#endif
