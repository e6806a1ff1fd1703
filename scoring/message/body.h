/*
 * body - what SpamAssassin's rules see of a message below its header: MIME
 * parts, rendered text, raw text, links, HTML properties.
 *
 * Each view is made when it is first asked for and then kept in the message;
 * all memory is the message's arena, all strings may be borrowed from the
 * raw bytes. A struct message is used by one thread at a time. Every function
 * returns 0 or -ENOMEM; limits (message_limits: MIME depth, parts, URIs) are
 * noted in the message's faults and the rest is not looked at. The HTML is
 * only read when text, links or HTML properties are asked for.
 *
 * Texts are UTF-8 where the charset could be told, else the bytes as they
 * are; they may hold any byte. The reading follows SpamAssassin 4.0, whose
 * rules were written against it, also where RFC 2045-2046 say otherwise.
 */
#ifndef SCORING_MESSAGE_BODY_H
#define SCORING_MESSAGE_BODY_H

#include "scoring/message/message.h"

/* SpamAssassin's MAX_BODY_LINE_LENGTH and MAX_URI_LENGTH */
enum { BODY_LINE_BYTES = 2048, URI_MAX_BYTES = 8192 };

struct texts {
	struct span *items;
	size_t count;
};

/* `body`: [0] is the Subject (for tflags nosubject: begin at 1), then the
 * rendered text of all text parts, a paragraph an item, at most
 * BODY_LINE_BYTES each, each with its "\n". */
int body_rendered(struct message *m, const struct texts **ret_texts);
/* The same without what HTML hides, and only what it hides (no Subject). */
int body_visible(struct message *m, const struct texts **ret_texts);
int body_invisible(struct message *m, const struct texts **ret_texts);
/* `rawbody`: decoded, not rendered text in pieces of 2-4 kB. */
int body_raw(struct message *m, const struct texts **ret_texts);
/* `full`: the pristine message (without an mbox "From " line). */
struct span body_full(const struct message *m);
/* The pristine body below the header. */
struct span body_pristine(const struct message *m);

struct part {
	struct part *parent, *child, *next; /* child: first; next: sibling */
	struct part *in_order; /* next in depth-first order, all parts */
	/* The part's own header (for the root: the message's), values with
	 * folds; empty name never. As SpamAssassin splits them: the white
	 * space behind the colon is gone except in the root. */
	struct field *fields;
	size_t field_count;
	struct message *message; /* for field_decoded() and the like: of the
				    root, or of the embedded message */
	struct span type;    /* effective, lower case, "text/plain" ... */
	struct span charset; /* as written; ptr NULL: none */
	/* what its Content-Type says, whatever it was taken for; SpamAssassin
	 * has text/plain and us-ascii where there is none */
	struct span declared_type, declared_charset;
	struct span name;    /* file name; ptr NULL: none */
	struct span boundary;
	struct span raw;     /* undecoded; of multiparts: empty */
	unsigned depth;      /* root: 0 */
	bool leaf;	     /* a part with content of its own */
	/* private, see part_decoded() and part_rendered() */
	struct span decoded, rendered, visible, invisible;
	bool rendered_wide, visible_wide, invisible_wide;
	bool is_decoded, is_rendered, is_text;
	struct html *html;
};

/* The root; walk with in_order. */
int body_parts(struct message *m, struct part **ret_root);
/* The last field of that name, decoded; ptr NULL: none. */
struct span part_header(struct part *p, const char *name);
/* Transfer encoding undone; empty for what is no leaf. */
int part_decoded(struct part *p, struct span *ret_bytes);
/* What SpamAssassin notes of the MIME structure while reading it */
enum mime_note {
	MIME_MISSING_HEADERS = 1 << 0,	  /* no field behind a boundary */
	MIME_MISSING_SEPARATOR = 1 << 1,  /* no empty line below a part's header */
	MIME_EPILOGUE = 1 << 2,		  /* text behind the last boundary */
	MIME_TOO_MANY_PARTS = 1 << 3,
	MIME_MISSING_BOUNDARY = 1 << 4,	  /* opened and never closed, or reverse */
};
int body_mime_notes(struct message *m, unsigned *ret_notes);

enum uri_type { /* where a URI was seen */
	URI_PARSED = 1 << 0,	 /* in text */
	URI_UNLINKED = 1 << 1,	 /* a mail program would not make a link of it */
	URI_SCHEMELESS = 1 << 2,
	URI_A = 1 << 3,
	URI_AREA = 1 << 4,
	URI_LINK = 1 << 5,
	URI_IMG = 1 << 6,
	URI_FRAME = 1 << 7,
	URI_IFRAME = 1 << 8,
	URI_EMBED = 1 << 9,
	URI_SCRIPT = 1 << 10,
	URI_BGSOUND = 1 << 11,
	URI_FORM = 1 << 12,
	URI_BASE = 1 << 13,
	URI_META = 1 << 14,
	URI_BODY = 1 << 15,
	URI_TABLE = 1 << 16,
	URI_TR = 1 << 17,
	URI_TD = 1 << 18,
	URI_DOMAINKEYS = 1 << 19, /* "domainkeys:D", D of a DKIM signature:
				     counts for hosts, has no cleaned form */
};
const char *uri_type_name(enum uri_type t); /* "parsed", "a", ... */

struct uri {
	struct span raw;	/* key in SpamAssassin's uri_detail_list */
	unsigned types;		/* enum uri_type */
	struct span *cleaned;	/* raw and canonical forms */
	size_t cleaned_count;
	struct span *anchors;	/* texts of <a>…</a>, unique */
	size_t anchor_count;
	struct span *hosts, *domains; /* pairwise, unique by host */
	size_t host_count;
};

/* What rule files say about domains and redirectors; a NULL function takes
 * what libpsl's public suffix list says (or no redirectors). Names are lower
 * case, without dots at the ends. */
struct uri_rules {
	bool (*tld_is_valid)(const void *ctx, struct span tld);
	bool (*is_two_level)(const void *ctx, struct span domain);
	bool (*is_three_level)(const void *ctx, struct span domain);
	/* first group of the first redirector_pattern that matches */
	bool (*redirect)(const void *ctx, struct span uri, struct span *ret);
	const void *ctx;
	bool parse_dkim; /* parse_dkim_uris: add URI_DOMAINKEYS entries */
};

struct uris {
	struct uri *items;
	size_t count;
	struct span *list;	/* `uri` rules: all cleaned forms, unique */
	size_t list_count;
};

/* rules is used at the first call for a message only (NULL: all defaults). */
int body_uris(struct message *m, const struct uri_rules *rules,
    const struct uris **ret_uris);

/* Host name and registered domain of a URI, as above; false: it has none. */
bool uri_to_domain(struct arena *a, struct span uri,
    const struct uri_rules *rules, struct span *ret_host,
    struct span *ret_domain);
/* The registered domain of a host ("www.foo.co.uk": "foo.co.uk"). */
struct span domain_registered(struct span host, const struct uri_rules *rules);
bool domain_is_valid(struct span host, const struct uri_rules *rules);
/* At least two labels of letters, digits, hyphens (SpamAssassin's
 * is_fqdn_valid); utf8: bytes above ASCII are letters too, of a name that is
 * not in its ACE form yet. */
bool host_is_fqdn(struct span host, bool utf8);

/* One rendered text/html part */
struct html_uri {
	struct span raw;
	unsigned types;
	struct span *anchors;
	size_t anchor_count;
	bool wide; /* of characters, not bytes */
};
struct html_tag {
	struct span name; /* lower case; "!doctype" too */
	int inside;	  /* open ones left at the end, never negative */
};
struct html {
	struct html_tag *tags; /* every tag that was seen */
	size_t tag_count;
	struct texts titles, comments, scripts, anchors;
	struct html_uri *uris;
	size_t uri_count;
	struct html *next;	    /* of the next part */
	double numbers[24];	    /* private, see html_number() */
	uint32_t has;
};
/* The results of all rendered text/html parts, in order; NULL: none. */
int body_html(struct message *m, const struct html **ret_first);
/* A property by SpamAssassin's name: html, length, html_length,
 * non_space_len, ratio, image_area, min_size, max_size, closed_extra_ratio,
 * bad_tag_ratio, non_element_ratio, obfuscation_ratio, backhair_count,
 * font_low_contrast, font_invalid_color, font_face_bad, form_action_mailto,
 * embeds, uri_truncated. false: not set. */
bool html_number(const struct html *h, const char *name, double *ret_value);
/* title, comment, script, anchor; NULL: no such list */
const struct texts *html_texts(const struct html *h, const char *name);
/* -1: the tag was never seen, else what is left open */
int html_inside(const struct html *h, struct span tag);

#endif
