/* What is handed out of an HTML part, by SpamAssassin's names */
#include <stdint.h>

#include "scoring/message/html_state.h"

static const char *const number_names[HTML_NUMBER_COUNT] = {
	[HTML_HTML] = "html", [HTML_LENGTH] = "length",
	[HTML_HTML_LENGTH] = "html_length",
	[HTML_NON_SPACE_LEN] = "non_space_len", [HTML_RATIO] = "ratio",
	[HTML_IMAGE_AREA] = "image_area", [HTML_MIN_SIZE] = "min_size",
	[HTML_MAX_SIZE] = "max_size",
	[HTML_CLOSED_EXTRA_RATIO] = "closed_extra_ratio",
	[HTML_BAD_TAG_RATIO] = "bad_tag_ratio",
	[HTML_NON_ELEMENT_RATIO] = "non_element_ratio",
	[HTML_OBFUSCATION_RATIO] = "obfuscation_ratio",
	[HTML_BACKHAIR_COUNT] = "backhair_count",
	[HTML_FONT_LOW_CONTRAST] = "font_low_contrast",
	[HTML_FONT_INVALID_COLOR] = "font_invalid_color",
	[HTML_FONT_FACE_BAD] = "font_face_bad",
	[HTML_FORM_ACTION_MAILTO] = "form_action_mailto",
	[HTML_EMBEDS] = "embeds", [HTML_URI_TRUNCATED] = "uri_truncated",
};

_Static_assert(HTML_NUMBER_COUNT <= sizeof(((struct html *)0)->numbers) /
    sizeof(double), "struct html has room for every number");

bool
html_number(const struct html *h, const char *name, double *ret_value)
{
	for (unsigned i = 0; i < HTML_NUMBER_COUNT; i++)
		if (strcmp(name, number_names[i]) == 0) {
			*ret_value = h->numbers[i];
			return (h->has & 1u << i) != 0;
		}
	return false;
}

const struct texts *
html_texts(const struct html *h, const char *name)
{
	if (strcmp(name, "title") == 0)
		return &h->titles;
	if (strcmp(name, "comment") == 0)
		return &h->comments;
	if (strcmp(name, "script") == 0)
		return &h->scripts;
	if (strcmp(name, "anchor") == 0)
		return &h->anchors;
	return NULL;
}

int
html_inside(const struct html *h, struct span tag)
{
	for (size_t i = 0; i < h->tag_count; i++)
		if (span_eq(h->tags[i].name, tag))
			return h->tags[i].inside;
	return -1;
}

/* The text of the last <a> is complete. */
bool
html_anchor_end(struct html_state *h)
{
	struct html_link *l;
	struct span s = buf_span(&h->anchor.buf);
	bool ok;

	if (!h->anchor_open)
		return true;
	l = &h->links[h->anchor_link];
	ok = html_list_add(h, &l->anchors, &l->anchors_alloc, s,
		h->anchor.wide) &&
	    html_list_add(h, &h->out->anchors, &h->anchors_alloc, s,
		h->anchor.wide) && !h->anchor.buf.failed;
	buf_reset(&h->anchor.buf);
	h->anchor.wide = h->anchor_open = false;
	return ok;
}

bool
html_title_end(struct html_state *h)
{
	bool ok;

	if (!h->title_open)
		return true;
	ok = html_list_add(h, &h->out->titles, &h->titles_alloc,
	    buf_span(&h->title.buf), h->title.wide) && !h->title.buf.failed;
	buf_reset(&h->title.buf);
	h->title.wide = h->title_open = false;
	return ok;
}

bool
html_finish(struct html_state *h)
{
	struct html *o = h->out;

	o->tags = ARENA_ARRAY(h->arena, h->tag_count, struct html_tag);
	o->uris = ARENA_ARRAY(h->arena, h->link_count, struct html_uri);
	if (o->tags == NULL || o->uris == NULL)
		return false;
	for (size_t i = 0; i < h->tag_slots; i++)
		if (h->tags[i] != NULL)
			o->tags[o->tag_count++] = (struct html_tag){
				h->tags[i]->name, h->tags[i]->inside };
	for (size_t i = 0; i < h->link_count; i++)
		o->uris[o->uri_count++] = (struct html_uri){ h->links[i].raw,
			h->links[i].types, h->links[i].anchors.items,
			h->links[i].anchors.count, h->wide };
	return true;
}
