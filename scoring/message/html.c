/*
 * HTML to text, and what SpamAssassin notes of it on the way. Which text is
 * hidden is decided in html_style.c, tokens come from html_parse.c.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "scoring/message/charset.h"
#include "scoring/message/html_parse.h"
#include "scoring/message/html_state.h"
#include "scoring/message/regex.h"

struct wtext
wtext_new(void)
{
	struct wtext t;

	buf_init(&t.buf, (size_t)1 << 30);
	t.wide = false;
	return t;
}

/* Text whose characters all fit in a byte ends as bytes. */
struct span
wtext_take(struct arena *a, const struct wtext *t)
{
	struct span s = arena_span(a, buf_span(&t->buf));
	char *out = (char *)(uintptr_t)s.ptr;
	size_t n = 0;

	if (s.ptr == NULL || t->wide || text_is_ascii(s))
		return s;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c == 0xC2 || c == 0xC3) && i + 1 < s.len)
			out[n++] = (char)((c & 3) << 6 | (s.ptr[++i] & 0x3F));
		else
			out[n++] = (char)c;
	}
	return span_of(out, n);
}

static bool
is_gap(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What words are made of: neither white space nor ASCII punctuation */
static bool
is_wordy(const char *p, const char *end, bool wide)
{
	unsigned char c = (unsigned char)*p;

	if (c >= 0x80)
		return !wide || utf8_space(p, end) == 0;
	return !is_gap(*p) && (c < 0x21 || c > 0x7E || (c >= '0' && c <= '9') ||
	    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
}

/* Appends one piece of text or of white space to what was rendered. */
static void
display(struct html_state *h, struct span s, bool whitespace, bool hidden,
    bool wide)
{
	struct wtext *side = hidden ? &h->invisible : &h->visible;
	size_t before = h->text.buf.len, n;
	char *start;

	if (whitespace) {
		if (h->last == LAST_VISIBLE && h->last_len != 0 &&
		    h->text.buf.ptr[before - 1] == ' ') {
			h->text.buf.len = --before;
			h->visible.buf.len--;
			h->last_len--;
		}
		buf_add_span(&h->text.buf, s);
		buf_add_span(&h->visible.buf, s);
		h->last = LAST_WHITESPACE;
		h->last_len = s.len;
		h->last_wide = false;
		return;
	}
	for (size_t i = 0; i < s.len;) {
		size_t k = i;

		if (is_gap(s.ptr[i])) {
			while (i < s.len && is_gap(s.ptr[i]))
				i++;
		} else if (s.len - i >= 4 &&
		    memcmp(s.ptr + i, "\xC3\x82\xC2\xA0", 4) == 0) {
			i += 4;
		} else {
			while (i < s.len && !is_gap(s.ptr[i]) &&
			    !(s.ptr[i] == '\xC3' && s.len - i >= 4 &&
			    memcmp(s.ptr + i, "\xC3\x82\xC2\xA0", 4) == 0))
				i++;
			buf_add(&h->text.buf, s.ptr + k, i - k);
			continue;
		}
		/* behind white space no more of it */
		if (k != 0 || hidden || h->last != LAST_WHITESPACE)
			buf_add_char(&h->text.buf, ' ');
	}
	start = h->text.buf.ptr + before;
	n = h->text.buf.len - before;
	buf_add(&side->buf, start, n);
	if (wide) {
		h->text.wide = true;
		side->wide = true;
	}
	h->last = hidden ? LAST_HIDDEN : LAST_VISIBLE;
	h->last_len = n;
	h->last_wide = wide;
}

#define WORDY "([^\\s\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e]{1,7})"
/* [0] for bytes, [1] for characters */
static struct regex word_ends[] = { { "\\b" WORDY "\\z", 0, NULL },
	{ "\\b" WORDY "\\z", REGEX_UTF, NULL } };
static struct regex word_begins[] = { { "^" WORDY "\\b", 0, NULL },
	{ "^" WORDY "\\b", REGEX_UTF, NULL } };

static size_t
count_chars(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += (s.ptr[i] & 0xC0) != 0x80;
	return n;
}

/* Text cut in two by tags: V<x>iagra */
static void
note_split_words(struct html_state *h, struct span s, bool wide)
{
	enum { LOOK = 9 }; /* more characters than a pattern takes */
	const char *end = h->text.buf.ptr + h->text.buf.len, *t = end;
	struct span left, right = s, g[2];
	size_t n = 0;

	if (h->last == LAST_NONE || h->last_len == 0 || s.len == 0 ||
	    !is_wordy(s.ptr, s.ptr + s.len, wide))
		return;
	do
		t--;
	while (t > end - h->last_len && (*t & 0xC0) == 0x80);
	if (!is_wordy(t, end, h->last_wide))
		return;
	h->obfuscation++;
	for (t = end; n < LOOK && t > end - h->last_len;)
		n += (*--t & 0xC0) != 0x80;
	left = span_of(t, (size_t)(end - t));
	for (n = 0; n < right.len && n < LOOK * 4; n++)
		if (n >= LOOK && (right.ptr[n] & 0xC0) != 0x80)
			break;
	right.len = n;
	/* text that is not wide holds one byte of two for U+0080..U+00FF: too
	 * rare to matter for a count */
	if (!regex_match(&word_ends[h->last_wide], left, 0, g, 2) ||
	    (g[1].ptr == left.ptr && t > end - h->last_len))
		return;
	n = h->last_wide ? count_chars(g[1]) : g[1].len;
	if (!regex_match(&word_begins[wide], right, 0, g, 2))
		return;
	h->backhair |= (uint64_t)1 << ((n - 1) * 7 +
	    (wide ? count_chars(g[1]) : g[1].len) - 1);
}

static bool
is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (is_gap(s.ptr[i]))
			continue;
		if (s.len - i < 4 || memcmp(s.ptr + i, "\xC3\x82\xC2\xA0", 4) != 0)
			return false;
		i += 3;
	}
	return true;
}

static bool
is_hidden(struct html_state *h)
{
	const struct html_style *s = html_styles_top(&h->styles);

	if (html_color_low_contrast(&s->fg, &s->bg)) {
		html_set(h->out, HTML_FONT_LOW_CONTRAST, 1);
		return true;
	}
	if (html_color_is_invalid(&s->fg) || html_color_is_invalid(&s->bg)) {
		html_set(h->out, HTML_FONT_INVALID_COLOR, 1);
		return true;
	}
	return s->size <= 1 || s->display_none || s->hidden;
}

static void
wtext_add(struct wtext *t, struct span s, bool wide)
{
	buf_add_span(&t->buf, s);
	t->wide = t->wide || wide;
}

static bool
on_text(struct html_state *h, const struct html_token *t)
{
	struct span s = t->text;
	bool wide = h->wide, hidden = false;

	if (!t->cdata && memchr(s.ptr, '&', s.len) != NULL) {
		buf_reset(&h->scratch);
		wide = html_decode_entities(&h->scratch, s, true) || wide;
		s = buf_span(&h->scratch);
	}
	if (html_is_open(h->script))
		return html_list_add(h, &h->out->scripts, &h->scripts_alloc, s,
		    wide);
	if (html_is_open(h->style))
		return true;
	if (h->anchor_open && html_is_open(h->a))
		wtext_add(&h->anchor, s, wide);
	if (h->title_open && html_is_open(h->title_tag))
		wtext_add(&h->title, s, wide);
	if (!is_blank(s))
		hidden = is_hidden(h);
	note_split_words(h, s, wide);
	display(h, s, false, hidden, wide);
	return !h->text.buf.failed;
}

static void
on_whitespace(struct html_state *h, enum html_gap gap)
{
	switch (gap) {
	case GAP_LINE:
		display(h, SPAN_LIT("\n"), true, false, false);
		break;
	case GAP_SPACE:
		display(h, SPAN_LIT(" "), true, false, false);
		break;
	case GAP_PARAGRAPH:
		display(h, SPAN_LIT("\n\n"), true, false, false);
		break;
	case GAP_NONE:
		break;
	}
}

static bool
on_tag(struct html_state *h, const struct html_token *t)
{
	bool start = t->event == HTML_START;
	struct html_tag_entry *e = html_tag_enter(h, t->name);
	struct html_attrs attrs;

	if (e == NULL)
		return false;
	if (e->element) {
		h->elements++;
		h->elements_seen += !e->seen;
	}
	h->tag_total++;
	h->tags_seen += !e->seen;
	e->seen = true;
	if (start) {
		e->inside++;
	} else if (e->inside > 0) {
		e->inside--;
	} else {
		h->closed_extra++;
	}
	if (!e->rendered)
		return true;
	attrs.count = 0;
	if (start && t->attr_count != 0 && !html_attrs_decode(h, t, &attrs))
		return false;
	if (e->styled != STYLED_NONE) {
		if (!start)
			html_styles_close(&h->styles, e->styled);
		else if (html_styles_open(&h->styles, e->styled, attrs.items,
		    attrs.count) != 0)
			return false;
	}
	on_whitespace(h, e->gap);
	return !start || html_on_start(h, e, &attrs);
}

static bool
on_token(void *ctx, const struct html_token *t)
{
	struct html_state *h = ctx;

	switch (t->event) {
	case HTML_TEXT:
		return on_text(h, t);
	case HTML_START:
	case HTML_END:
		return on_tag(h, t);
	case HTML_COMMENT:
		return html_list_add(h, &h->out->comments, &h->comments_alloc,
		    t->text, h->wide);
	case HTML_DECLARATION:
		if (span_istarts(t->text, "<!doctype")) {
			struct html_tag_entry *e = html_tag_enter(h,
			    SPAN_LIT("!doctype"));

			if (e == NULL)
				return false;
			e->seen = true;
			e->inside = 0;
			h->elements++;
			h->tag_total++;
		}
		return true;
	}
	return true;
}

/* &nbsp; is a space, <br/> is <br>, and typographic quotes are quotes, so
 * that attributes inside them are found. */
static struct span
clean(struct arena *a, struct span in, bool wide)
{
	const char *p = in.ptr, *end = in.ptr + in.len;
	char *out = arena_bytes(a, in.len);
	size_t n = 0;

	if (out == NULL)
		return (struct span){ NULL, 0 };
	while (p < end) {
		if (*p == '&' && end - p >= 6 && memcmp(p, "&nbsp;", 6) == 0) {
			out[n++] = ' ';
			p += 6;
		} else if (wide && *p == '\xE2' && end - p >= 3 &&
		    p[1] == '\x80' && (p[2] == '\x9C' || p[2] == '\x9D')) {
			out[n++] = '"';
			p += 3;
		} else if (*p == '<') {
			const char *s = p + 1, *name_end;

			while (s < end && (*s == '_' || (*s >= '0' && *s <= '9') ||
			    ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z')))
				s++;
			name_end = s;
			while (s < end && is_gap(*s))
				s++;
			if (name_end > p + 1 && end - s >= 2 && s[0] == '/' &&
			    s[1] == '>') {
				memcpy(out + n, p, (size_t)(name_end - p));
				n += (size_t)(name_end - p);
				out[n++] = '>';
				p = s + 2;
			} else {
				out[n++] = *p++;
			}
		} else {
			out[n++] = *p++;
		}
	}
	return span_of(out, n);
}

static size_t
chars_count(struct span s, bool as_chars)
{
	size_t n = s.len;

	for (size_t i = 0; as_chars && i < s.len; i++)
		n -= (s.ptr[i] & 0xC0) == 0x80;
	return n;
}

static size_t
spaces_count(struct span s, bool wide)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	size_t n = 0;

	while (p < end) {
		size_t k = wide || !(*p & 0x80) ? utf8_space(p, end) : 0;

		/* form feed is none of those counted in bytes */
		n += k != 0 && (wide || *p != '\f');
		p += k != 0 ? k : 1;
	}
	return n;
}

static void
totals(struct html_state *h, size_t part_bytes, size_t source_chars)
{
	struct html *o = h->out;
	struct span text = buf_span(&h->text.buf);
	size_t chars = chars_count(text, true);

	html_set(o, HTML_HTML, 1);
	html_set(o, HTML_LENGTH, (double)source_chars);
	html_set(o, HTML_IMAGE_AREA, h->image_area);
	html_set(o, HTML_MIN_SIZE, h->styles.min_size);
	html_set(o, HTML_MAX_SIZE, h->styles.max_size);
	html_set(o, HTML_HTML_LENGTH, (double)chars);
	html_set(o, HTML_NON_SPACE_LEN, (double)(chars -
	    spaces_count(text, h->text.wide)));
	html_set(o, HTML_RATIO, ((double)part_bytes - (double)chars) /
	    (double)part_bytes);
	if (h->tag_total != 0) {
		double tags = h->tag_total;

		html_set(o, HTML_CLOSED_EXTRA_RATIO, h->closed_extra / tags);
		if (h->elements != 0)
			html_set(o, HTML_BAD_TAG_RATIO,
			    (tags - h->elements) / tags);
		if (h->obfuscation != 0)
			html_set(o, HTML_OBFUSCATION_RATIO,
			    h->obfuscation / tags);
	}
	if (h->elements_seen != 0 && h->tags_seen != 0)
		html_set(o, HTML_NON_ELEMENT_RATIO, (double)(h->tags_seen -
		    h->elements_seen) / h->tags_seen);
	if (h->backhair != 0)
		html_set(o, HTML_BACKHAIR_COUNT,
		    __builtin_popcountll(h->backhair));
}

int
html_render(struct arena *a, struct span text, bool wide, size_t part_bytes,
    struct rendering *ret_rendering, struct html **ret_html)
{
	struct html_state h = { .arena = a, .wide = wide };
	struct rendering *r = ret_rendering;
	size_t source_chars = chars_count(text, wide);
	bool ok;

	h.out = ARENA_NEW(a, struct html);
	text = clean(a, text, wide);
	if (h.out == NULL || text.ptr == NULL || html_styles_init(&h.styles) != 0)
		return -ENOMEM;
	h.text = wtext_new();
	h.visible = wtext_new();
	h.invisible = wtext_new();
	h.anchor = wtext_new();
	h.title = wtext_new();
	buf_init(&h.scratch, (size_t)1 << 30);
	buf_init(&h.attr_text, (size_t)1 << 30);
	html_parse(text, on_token, &h);
	ok = !h.failed && html_anchor_end(&h) && html_title_end(&h) &&
	    html_finish(&h);
	if (ok) {
		totals(&h, part_bytes, source_chars);
		r->text = arena_span(a, buf_span(&h.text.buf));
		r->visible = arena_span(a, buf_span(&h.visible.buf));
		r->invisible = arena_span(a, buf_span(&h.invisible.buf));
		r->wide = h.text.wide;
		r->visible_wide = h.visible.wide;
		r->invisible_wide = h.invisible.wide;
		ok = r->text.ptr != NULL && r->visible.ptr != NULL &&
		    r->invisible.ptr != NULL && !h.text.buf.failed &&
		    !h.visible.buf.failed && !h.invisible.buf.failed &&
		    !h.scratch.failed && !h.attr_text.failed;
	}
	*ret_html = h.out;
	html_styles_done(&h.styles);
	buf_done(&h.text.buf);
	buf_done(&h.visible.buf);
	buf_done(&h.invisible.buf);
	buf_done(&h.anchor.buf);
	buf_done(&h.title.buf);
	buf_done(&h.scratch);
	buf_done(&h.attr_text);
	return ok ? 0 : -ENOMEM;
}
