/*
 * html_state - what is known while an HTML part is read; private to html.c
 * (text), html_tags.c (tags, attributes, links) and html_results.c.
 */
#ifndef SCORING_MESSAGE_HTML_STATE_H
#define SCORING_MESSAGE_HTML_STATE_H

#include "base/buf.h"
#include "scoring/message/html_parse.h"
#include "scoring/message/html_style.h"
#include "scoring/message/views.h"

/* Index into struct html's numbers; names in html_results.c */
enum html_number {
	HTML_HTML, HTML_LENGTH, HTML_HTML_LENGTH, HTML_NON_SPACE_LEN, HTML_RATIO,
	HTML_IMAGE_AREA, HTML_MIN_SIZE, HTML_MAX_SIZE, HTML_CLOSED_EXTRA_RATIO,
	HTML_BAD_TAG_RATIO, HTML_NON_ELEMENT_RATIO, HTML_OBFUSCATION_RATIO,
	HTML_BACKHAIR_COUNT, HTML_FONT_LOW_CONTRAST, HTML_FONT_INVALID_COLOR,
	HTML_FONT_FACE_BAD, HTML_FORM_ACTION_MAILTO, HTML_EMBEDS,
	HTML_URI_TRUNCATED, HTML_NUMBER_COUNT,
};

static inline void
html_set(struct html *o, enum html_number which, double value)
{
	o->numbers[which] = value;
	o->has |= 1u << which;
}

/* UTF-8, and whether it is text that Perl would hold as characters */
struct wtext {
	struct buf buf;
	bool wide;
};
struct wtext wtext_new(void);
struct span wtext_take(struct arena *a, const struct wtext *t);

enum html_gap { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_PARAGRAPH };

struct html_tag_entry {
	struct span name; /* lower case */
	uint32_t hash;
	int inside;
	bool seen;
	bool element;	  /* of HTML, or of Microsoft's name spaces */
	bool rendered;	  /* not ignored */
	enum styled_tag styled;
	enum html_gap gap;
	unsigned uri;	  /* enum uri_type, 0: carries no link */
};

struct html_attrs {
	struct html_style_attr items[HTML_MAX_ATTRS];
	bool wide[HTML_MAX_ATTRS];
	size_t count;
};

struct html_link {
	struct span raw;
	uint32_t hash;
	unsigned types;
	struct texts anchors;
	size_t anchors_alloc;
};

struct html_state {
	struct arena *arena;
	struct html *out;
	bool wide;   /* the source holds characters above ASCII */
	bool failed; /* out of memory */

	struct wtext text, visible, invisible;
	enum { LAST_NONE, LAST_WHITESPACE, LAST_VISIBLE, LAST_HIDDEN } last;
	size_t last_len; /* of the last piece of text */
	bool last_wide;
	struct html_styles styles;
	struct buf scratch, attr_text;

	struct html_tag_entry **tags; /* hash table; NULL: free */
	size_t tag_count, tag_slots;
	const struct html_tag_entry *script, *style, *a, *title_tag;

	double elements, tag_total, elements_seen, tags_seen, closed_extra;
	double obfuscation, image_area;
	uint64_t backhair; /* bit set of (left length, right length) */

	struct wtext anchor, title;
	bool anchor_open, title_open;
	size_t anchor_link; /* index of the link whose anchor is open */
	size_t anchors_alloc, titles_alloc, scripts_alloc, comments_alloc;

	struct html_link *links; /* in order of appearance */
	uint32_t *link_index;	 /* hash table of indices plus 1 */
	size_t link_count, link_alloc, link_slots;
	struct span base;
};

/* NULL: no memory */
struct html_tag_entry *html_tag_enter(struct html_state *h, struct span name);
static inline bool
html_is_open(const struct html_tag_entry *e)
{
	return e != NULL && e->inside > 0;
}
/* false: no memory */
bool html_attrs_decode(struct html_state *h, const struct html_token *t,
    struct html_attrs *ret_attrs);
bool html_on_start(struct html_state *h, const struct html_tag_entry *e,
    struct html_attrs *attrs);
bool html_list_add(struct html_state *h, struct texts *list, size_t *alloc,
    struct span s, bool wide);
bool html_anchor_end(struct html_state *h);
bool html_title_end(struct html_state *h);
bool html_finish(struct html_state *h);

#endif
