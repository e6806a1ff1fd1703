/*
 * Tags of HTML 4.01 and a few others: which are known, what they do to the
 * text, which links they carry.
 */
#include <stdint.h>
#include <stdlib.h>

#include "scoring/message/charset.h"
#include "scoring/message/html_state.h"
#include "scoring/message/html_uri.h"
#include "scoring/message/regex.h"

static const struct known_tag {
	const char *name; /* sorted */
	bool element;
	enum styled_tag styled;
	enum html_gap gap;
	unsigned uri;
} known[] = {
	{ "a", true, STYLED_A, GAP_NONE, URI_A },
	{ "abbr", true, STYLED_NONE, GAP_NONE, 0 },
	{ "acronym", true, STYLED_NONE, GAP_NONE, 0 },
	{ "address", true, STYLED_NONE, GAP_NONE, 0 },
	{ "applet", true, STYLED_NONE, GAP_NONE, 0 },
	{ "area", true, STYLED_NONE, GAP_NONE, URI_AREA },
	{ "b", true, STYLED_NONE, GAP_NONE, 0 },
	{ "base", true, STYLED_NONE, GAP_NONE, URI_BASE },
	{ "basefont", true, STYLED_BASEFONT, GAP_NONE, 0 },
	{ "bdo", true, STYLED_NONE, GAP_NONE, 0 },
	{ "bgsound", false, STYLED_NONE, GAP_NONE, URI_BGSOUND },
	{ "big", true, STYLED_BIG, GAP_NONE, 0 },
	{ "blockquote", true, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "body", true, STYLED_BODY, GAP_NONE, URI_BODY },
	{ "br", true, STYLED_NONE, GAP_LINE, 0 },
	{ "button", true, STYLED_NONE, GAP_NONE, 0 },
	{ "caption", true, STYLED_NONE, GAP_NONE, 0 },
	{ "center", true, STYLED_NONE, GAP_NONE, 0 },
	{ "cite", true, STYLED_NONE, GAP_NONE, 0 },
	{ "code", true, STYLED_NONE, GAP_NONE, 0 },
	{ "col", true, STYLED_NONE, GAP_NONE, 0 },
	{ "colgroup", true, STYLED_NONE, GAP_NONE, 0 },
	{ "dd", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "del", true, STYLED_NONE, GAP_NONE, 0 },
	{ "dfn", true, STYLED_NONE, GAP_NONE, 0 },
	{ "dir", true, STYLED_NONE, GAP_NONE, 0 },
	{ "div", true, STYLED_DIV, GAP_LINE, 0 },
	{ "dl", true, STYLED_NONE, GAP_NONE, 0 },
	{ "dt", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "em", true, STYLED_NONE, GAP_NONE, 0 },
	{ "embed", false, STYLED_NONE, GAP_SPACE, URI_EMBED },
	{ "fieldset", true, STYLED_NONE, GAP_NONE, 0 },
	{ "font", true, STYLED_FONT, GAP_NONE, 0 },
	{ "form", true, STYLED_NONE, GAP_NONE, URI_FORM },
	{ "frame", true, STYLED_NONE, GAP_NONE, URI_FRAME },
	{ "frameset", true, STYLED_NONE, GAP_NONE, 0 },
	{ "h1", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "h2", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "h3", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "h4", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "h5", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "h6", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "head", true, STYLED_NONE, GAP_NONE, 0 },
	{ "hr", true, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "html", true, STYLED_NONE, GAP_NONE, 0 },
	{ "i", true, STYLED_NONE, GAP_NONE, 0 },
	{ "iframe", true, STYLED_NONE, GAP_NONE, URI_IFRAME },
	{ "img", true, STYLED_NONE, GAP_NONE, URI_IMG },
	{ "input", true, STYLED_NONE, GAP_NONE, 0 },
	{ "ins", true, STYLED_NONE, GAP_NONE, 0 },
	{ "isindex", true, STYLED_NONE, GAP_NONE, 0 },
	{ "kbd", true, STYLED_NONE, GAP_NONE, 0 },
	{ "label", true, STYLED_NONE, GAP_NONE, 0 },
	{ "legend", true, STYLED_NONE, GAP_NONE, 0 },
	{ "li", true, STYLED_NONE, GAP_SPACE, 0 },
	{ "link", true, STYLED_NONE, GAP_NONE, URI_LINK },
	{ "listing", false, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "map", true, STYLED_NONE, GAP_NONE, 0 },
	{ "menu", true, STYLED_NONE, GAP_NONE, 0 },
	{ "meta", true, STYLED_NONE, GAP_NONE, URI_META },
	{ "nobr", true, STYLED_NONE, GAP_NONE, 0 },
	{ "noframes", true, STYLED_NONE, GAP_NONE, 0 },
	{ "noscript", true, STYLED_NONE, GAP_NONE, 0 },
	{ "object", true, STYLED_NONE, GAP_NONE, 0 },
	{ "ol", true, STYLED_NONE, GAP_NONE, 0 },
	{ "optgroup", true, STYLED_NONE, GAP_NONE, 0 },
	{ "option", true, STYLED_NONE, GAP_NONE, 0 },
	{ "p", true, STYLED_P, GAP_PARAGRAPH, 0 },
	{ "param", true, STYLED_NONE, GAP_NONE, 0 },
	{ "plaintext", false, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "pre", true, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "q", true, STYLED_NONE, GAP_NONE, 0 },
	{ "s", true, STYLED_NONE, GAP_NONE, 0 },
	{ "samp", true, STYLED_NONE, GAP_NONE, 0 },
	{ "script", true, STYLED_NONE, GAP_NONE, URI_SCRIPT },
	{ "select", true, STYLED_NONE, GAP_NONE, 0 },
	{ "small", true, STYLED_SMALL, GAP_NONE, 0 },
	{ "span", true, STYLED_SPAN, GAP_NONE, 0 },
	{ "strike", true, STYLED_NONE, GAP_NONE, 0 },
	{ "strong", true, STYLED_NONE, GAP_NONE, 0 },
	{ "style", true, STYLED_NONE, GAP_NONE, 0 },
	{ "sub", true, STYLED_NONE, GAP_NONE, 0 },
	{ "sup", true, STYLED_NONE, GAP_NONE, 0 },
	{ "table", true, STYLED_TABLE, GAP_NONE, URI_TABLE },
	{ "tbody", true, STYLED_NONE, GAP_NONE, 0 },
	{ "td", true, STYLED_TD, GAP_SPACE, URI_TD },
	{ "textarea", true, STYLED_NONE, GAP_NONE, 0 },
	{ "tfoot", true, STYLED_NONE, GAP_NONE, 0 },
	{ "th", true, STYLED_TD, GAP_SPACE, 0 },
	{ "thead", true, STYLED_NONE, GAP_NONE, 0 },
	{ "title", true, STYLED_NONE, GAP_PARAGRAPH, 0 },
	{ "tr", true, STYLED_TR, GAP_NONE, URI_TR },
	{ "tt", true, STYLED_NONE, GAP_NONE, 0 },
	{ "u", true, STYLED_NONE, GAP_NONE, 0 },
	{ "ul", true, STYLED_NONE, GAP_NONE, 0 },
	{ "var", true, STYLED_NONE, GAP_NONE, 0 },
	{ "x-sigsep", true, STYLED_NONE, GAP_NONE, 0 },
	{ "x-tab", true, STYLED_NONE, GAP_NONE, 0 },
	{ "xmp", false, STYLED_NONE, GAP_PARAGRAPH, 0 },
};

static int
known_compare(const void *key, const void *row)
{
	return strcmp(key, ((const struct known_tag *)row)->name);
}

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Microsoft's "o:p", "st1:city" */
static bool
is_namespaced(struct span n)
{
	size_t i = 0;

	if (n.len > 2 && n.ptr[0] == 'o' && n.ptr[1] == ':')
		i = 2;
	else if (n.len > 4 && n.ptr[0] == 's' && n.ptr[1] == 't' &&
	    n.ptr[2] >= '0' && n.ptr[2] <= '9' && n.ptr[3] == ':')
		i = 4;
	if (i == 0 || n.ptr[i] == '/')
		return false;
	while (i < n.len && (is_word(n.ptr[i]) || n.ptr[i] == '-'))
		i++;
	return i == n.len || (i + 1 == n.len && n.ptr[i] == '/');
}

static uint32_t
hash_of(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
	return h ^ (h >> 15);
}

static struct span
lower(struct arena *a, struct span s)
{
	char *out = NULL;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') {
			if (out == NULL) {
				out = arena_memdup(a, s.ptr, s.len);
				if (out == NULL)
					return (struct span){ NULL, 0 };
			}
			out[i] = (char)(s.ptr[i] | 0x20);
		}
	return out != NULL ? span_of(out, s.len) : s;
}

static bool
tags_grow(struct html_state *h)
{
	size_t slots = h->tag_slots != 0 ? h->tag_slots * 2 : 64;
	struct html_tag_entry **t = ARENA_ARRAY(h->arena, slots,
	    struct html_tag_entry *);

	if (t == NULL)
		return false;
	for (size_t i = 0; i < h->tag_slots; i++) {
		struct html_tag_entry *e = h->tags[i];
		size_t k;

		if (e == NULL)
			continue;
		for (k = e->hash & (slots - 1); t[k] != NULL;)
			k = (k + 1) & (slots - 1);
		t[k] = e;
	}
	h->tags = t;
	h->tag_slots = slots;
	return true;
}

static void
tag_describe(struct html_state *h, struct html_tag_entry *e)
{
	const struct known_tag *k = NULL;
	char name[16];

	if (e->name.len < sizeof(name) &&
	    memchr(e->name.ptr, '\0', e->name.len) == NULL) {
		memcpy(name, e->name.ptr, e->name.len);
		name[e->name.len] = '\0';
		k = bsearch(name, known, sizeof(known) / sizeof(known[0]),
		    sizeof(known[0]), known_compare);
	}
	if (k != NULL) {
		e->element = k->element;
		e->rendered = true;
		e->styled = k->styled;
		e->gap = k->gap;
		e->uri = k->uri;
		if (strcmp(name, "script") == 0)
			h->script = e;
		else if (strcmp(name, "style") == 0)
			h->style = e;
		else if (strcmp(name, "a") == 0)
			h->a = e;
		else if (strcmp(name, "title") == 0)
			h->title_tag = e;
	} else {
		e->element = is_namespaced(e->name);
	}
}

struct html_tag_entry *
html_tag_enter(struct html_state *h, struct span name)
{
	struct html_tag_entry *e;
	uint32_t hash;
	size_t k;

	name = lower(h->arena, name);
	if (name.ptr == NULL || (h->tag_count * 2 >= h->tag_slots &&
	    !tags_grow(h)))
		return NULL;
	hash = hash_of(name);
	for (k = hash & (h->tag_slots - 1); h->tags[k] != NULL;
	     k = (k + 1) & (h->tag_slots - 1))
		if (h->tags[k]->hash == hash && span_eq(h->tags[k]->name, name))
			return h->tags[k];
	e = ARENA_NEW(h->arena, struct html_tag_entry);
	if (e == NULL)
		return NULL;
	/* the source text is as long-lived as the arena, so no copy */
	e->name = name;
	e->hash = hash;
	tag_describe(h, e);
	h->tags[k] = e;
	h->tag_count++;
	return e;
}

/* Decoded, as bytes when every character fits in one */
static struct span
attr_value(struct html_state *h, struct span v, bool *ret_wide)
{
	struct wtext t;

	*ret_wide = h->wide;
	if (memchr(v.ptr, '&', v.len) == NULL)
		return v;
	buf_reset(&h->attr_text);
	*ret_wide = html_decode_entities(&h->attr_text, v, false) || h->wide;
	t = (struct wtext){ h->attr_text, *ret_wide };
	return wtext_take(h->arena, &t);
}

bool
html_attrs_decode(struct html_state *h, const struct html_token *t,
    struct html_attrs *ret_attrs)
{
	size_t n = 0;

	for (size_t i = 0; i < t->attr_count; i++) {
		struct html_style_attr *at = &ret_attrs->items[n];
		size_t k = 0;

		at->name = lower(h->arena, t->attrs[i].name);
		if (at->name.ptr == NULL)
			return false;
		while (k < n && !span_eq(ret_attrs->items[k].name, at->name))
			k++;
		if (k < n)
			continue; /* the first one counts */
		ret_attrs->wide[n] = h->wide;
		at->value = t->attrs[i].value.len == 0 ? SPAN_LIT("") :
		    attr_value(h, t->attrs[i].value, &ret_attrs->wide[n]);
		if (at->value.ptr == NULL)
			return false;
		n++;
	}
	ret_attrs->count = n;
	return true;
}

static struct html_style_attr *
attr_find(struct html_attrs *attrs, const char *name, bool *ret_wide)
{
	for (size_t i = 0; i < attrs->count; i++)
		if (span_is(attrs->items[i].name, name)) {
			*ret_wide = attrs->wide[i];
			return &attrs->items[i];
		}
	return NULL;
}

/* "x/href" where a space was forgotten is href, too. */
static void
attr_mend(struct html_attrs *attrs, const char *suffix)
{
	size_t n = strlen(suffix);

	for (size_t i = 0; i < attrs->count; i++) {
		struct span name = attrs->items[i].name;
		const char *p = memmem(name.ptr, name.len, suffix, n);

		if (p == NULL || p == name.ptr || !is_word(p[-1]))
			continue;
		for (size_t k = 0; k < attrs->count; k++)
			if (span_is(attrs->items[k].name, suffix + 1))
				attrs->items[k].name = SPAN_LIT("");
		attrs->items[i].name = span_cstr(suffix + 1);
	}
}

bool
html_list_add(struct html_state *h, struct texts *list, size_t *alloc,
    struct span s, bool wide)
{
	struct wtext t = { { .ptr = (char *)(uintptr_t)s.ptr, .len = s.len },
		wide };

	if (list->count == *alloc) {
		size_t n = *alloc != 0 ? *alloc * 2 : 8;
		struct span *bigger = ARENA_ARRAY(h->arena, n, struct span);

		if (bigger == NULL)
			return false;
		if (list->count != 0)
			memcpy(bigger, list->items,
			    list->count * sizeof(*bigger));
		list->items = bigger;
		*alloc = n;
	}
	s = wtext_take(h->arena, &t);
	list->items[list->count++] = s;
	return s.ptr != NULL;
}

static bool
links_grow(struct html_state *h)
{
	if (h->link_count == h->link_alloc) {
		size_t n = h->link_alloc != 0 ? h->link_alloc * 2 : 16;
		struct html_link *bigger = ARENA_ARRAY(h->arena, n,
		    struct html_link);

		if (bigger == NULL)
			return false;
		if (h->link_count != 0)
			memcpy(bigger, h->links,
			    h->link_count * sizeof(*bigger));
		h->links = bigger;
		h->link_alloc = n;
	}
	if (h->link_count * 2 >= h->link_slots) {
		size_t slots = h->link_slots != 0 ? h->link_slots * 2 : 64;
		uint32_t *t = ARENA_ARRAY(h->arena, slots, uint32_t);

		if (t == NULL)
			return false;
		for (size_t i = 0; i < h->link_count; i++) {
			size_t k = h->links[i].hash & (slots - 1);

			while (t[k] != 0)
				k = (k + 1) & (slots - 1);
			t[k] = (uint32_t)i + 1;
		}
		h->link_index = t;
		h->link_slots = slots;
	}
	return true;
}

/* Index of the link of that text, added if need be; SIZE_MAX: no memory */
static size_t
link_enter(struct html_state *h, struct span uri)
{
	uint32_t hash = hash_of(uri);
	size_t k;

	if (!links_grow(h))
		return SIZE_MAX;
	for (k = hash & (h->link_slots - 1); h->link_index[k] != 0;
	     k = (k + 1) & (h->link_slots - 1)) {
		struct html_link *l = &h->links[h->link_index[k] - 1];

		if (l->hash == hash && span_eq(l->raw, uri))
			return h->link_index[k] - 1;
	}
	h->links[h->link_count] = (struct html_link){ .raw = uri, .hash = hash };
	h->link_index[k] = (uint32_t)++h->link_count;
	return h->link_count - 1;
}

/* Schemes whose links are no places relative to a base */
static bool
is_opaque(struct span uri)
{
	return span_istarts(uri, "data:") || span_istarts(uri, "mailto:") ||
	    span_istarts(uri, "file:") || span_istarts(uri, "cid:") ||
	    span_istarts(uri, "tel:");
}

static struct span
trim(struct html_state *h, struct span uri, bool wide)
{
	bool cut;

	uri = html_uri_trim(uri, wide, &cut);
	if (cut)
		html_set(h->out, HTML_URI_TRUNCATED, 1);
	return uri;
}

static bool
push_link(struct html_state *h, const struct html_tag_entry *e, struct span uri,
    bool wide)
{
	size_t i;

	uri = trim(h, uri, wide);
	if (uri.len == 0)
		return true;
	if (!is_opaque(uri)) {
		uri = html_uri_target(h->arena, h->base, uri);
		if (uri.ptr == NULL)
			return false;
		if (uri.len == 0)
			return true;
	}
	i = link_enter(h, uri);
	if (i == SIZE_MAX)
		return false;
	h->links[i].types |= e->uri;
	return true;
}

/* U+FEFF inside a link hides it from filters, not from readers. */
static struct span
without_bom(struct arena *a, struct span v)
{
	char *out;
	size_t n = 0;

	if (memmem(v.ptr, v.len, "\xEF\xBB\xBF", 3) == NULL)
		return v;
	out = arena_bytes(a, v.len);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < v.len;) {
		if (v.len - i >= 3 && memcmp(v.ptr + i, "\xEF\xBB\xBF", 3) == 0)
			i += 3;
		else
			out[n++] = v.ptr[i++];
	}
	return span_of(out, n);
}

static struct regex refresh = { "^.*\\burl\\s*=\\s*", REGEX_ICASE, NULL };
static struct regex refresh_end = { "\\s*;", 0, NULL };

static bool
contains(struct span s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.len; i++)
		if (strncasecmp(s.ptr + i, word, n) == 0)
			return true;
	return false;
}

static bool
push_meta(struct html_state *h, const struct html_tag_entry *e,
    struct html_attrs *attrs)
{
	bool wide;
	struct html_style_attr *equiv = attr_find(attrs, "http-equiv", &wide);
	struct html_style_attr *content = attr_find(attrs, "content", &wide);
	struct span uri, g[1];

	if (equiv == NULL || content == NULL ||
	    !contains(equiv->value, "refresh") ||
	    !regex_match(&refresh, content->value, 0, g, 1))
		return true;
	uri = span_from(content->value, g[0].len);
	if (regex_match(&refresh_end, uri, 0, g, 1))
		uri.len = (size_t)(g[0].ptr - uri.ptr);
	return push_link(h, e, uri, wide);
}

static bool
push_base(struct html_state *h, const struct html_tag_entry *e,
    struct span href, bool wide)
{
	struct span uri = trim(h, href, wide), base;

	if (href.len == 0 || span_is(href, "0"))
		return true;
	if (!push_link(h, e, uri, wide))
		return false;
	base = html_uri_base(h->arena, uri);
	if (base.len != 0)
		h->base = base;
	return base.ptr != NULL;
}

static bool
push_named(struct html_state *h, const struct html_tag_entry *e,
    struct html_attrs *attrs, const char *name)
{
	bool wide;
	struct html_style_attr *at = attr_find(attrs, name, &wide);

	return at == NULL || push_link(h, e, at->value, wide);
}

static bool
push_links(struct html_state *h, const struct html_tag_entry *e,
    struct html_attrs *attrs)
{
	struct html_style_attr *at;
	bool wide;

	switch (e->uri) {
	case URI_BODY:
	case URI_TABLE:
	case URI_TR:
	case URI_TD:
		return push_named(h, e, attrs, "background");
	case URI_A:
	case URI_AREA:
	case URI_LINK:
		attr_mend(attrs, "/href");
		at = attr_find(attrs, "href", &wide);
		if (at != NULL) {
			at->value = without_bom(h->arena, at->value);
			if (at->value.ptr == NULL ||
			    !push_link(h, e, at->value, wide))
				return false;
		}
		return push_named(h, e, attrs, "data-saferedirecturl");
	case URI_FORM:
		return push_named(h, e, attrs, "action");
	case URI_BASE:
		at = attr_find(attrs, "href", &wide);
		return at == NULL || push_base(h, e, at->value, wide);
	case URI_META:
		return push_meta(h, e, attrs);
	default:
		attr_mend(attrs, "/src");
		return push_named(h, e, attrs, "src");
	}
}

static struct regex good_face = {
	"^\\s*[\"'.]?[a-z ][a-z -]*[a-z]\\d?[\"']?"
	"(?:,\\s*[\"']?[a-z][a-z -]*[a-z]\\d?[\"']?)*;?$", REGEX_ICASE, NULL };

/* "120" or "50%" of a screen; 200 when it cannot be told */
static double
pixels(struct span v, double percent)
{
	double n = 0;
	size_t i = 0;

	while (i < v.len && v.ptr[i] >= '0' && v.ptr[i] <= '9')
		n = n * 10 + (v.ptr[i++] - '0');
	if (i == 0 || v.len - i > 1 || (v.len - i == 1 && v.ptr[i] != '%'))
		n = 0;
	else if (v.len - i == 1)
		n *= percent;
	return n > 0 ? n : 200;
}

static bool
begin_anchor(struct html_state *h, struct html_attrs *attrs)
{
	bool wide = false;
	struct html_style_attr *at = attr_find(attrs, "href", &wide);

	if (!html_anchor_end(h))
		return false;
	h->anchor_link = link_enter(h, at != NULL ? trim(h, at->value, wide)
	    : SPAN_LIT(""));
	h->anchor_open = true;
	return h->anchor_link != SIZE_MAX;
}

bool
html_on_start(struct html_state *h, const struct html_tag_entry *e,
    struct html_attrs *attrs)
{
	struct html_style_attr *x, *y;
	bool wide;

	if (e->uri != 0 && !push_links(h, e, attrs))
		return false;
	if (e->styled == STYLED_FONT &&
	    (x = attr_find(attrs, "face", &wide)) != NULL &&
	    !regex_match(&good_face, x->value, 0, NULL, 0))
		html_set(h->out, HTML_FONT_FACE_BAD, 1);
	if (e->uri == URI_IMG) {
		if (h->anchor_open && html_is_open(h->a))
			buf_add_str(&h->anchor.buf, "<img>\n");
		x = attr_find(attrs, "width", &wide);
		y = attr_find(attrs, "height", &wide);
		if (x != NULL && y != NULL)
			h->image_area += pixels(x->value, 8) *
			    pixels(y->value, 6);
	}
	if (e->uri == URI_FORM &&
	    (x = attr_find(attrs, "action", &wide)) != NULL &&
	    contains(x->value, "mailto:"))
		html_set(h->out, HTML_FORM_ACTION_MAILTO, 1);
	if (e->uri == URI_EMBED || span_is(e->name, "object"))
		html_set(h->out, HTML_EMBEDS, 1);
	if (e == h->a)
		return begin_anchor(h, attrs);
	if (e == h->title_tag) {
		if (!html_title_end(h))
			return false;
		h->title_open = true;
	}
	return true;
}
