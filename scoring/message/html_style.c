#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/message/html_style.h"

enum {
	DEFAULT_SIZE = 3,
	MAX_SIZE = 1000000, /* a font size is not larger */
	MAX_OPEN = 100000,  /* nesting; more changes nothing that is seen */
};

int
html_styles_init(struct html_styles *s)
{
	memset(s, 0, sizeof(*s));
	s->alloc = 32;
	s->stack = calloc(s->alloc, sizeof(*s->stack));
	if (s->stack == NULL)
		return -ENOMEM;
	s->basefont = s->min_size = s->max_size = DEFAULT_SIZE;
	s->stack[0].size = DEFAULT_SIZE;
	html_color_parse(SPAN_LIT("#000000"), &s->stack[0].fg);
	html_color_parse(SPAN_LIT("#ffffff"), &s->stack[0].bg);
	s->count = 1;
	return 0;
}

void
html_styles_done(struct html_styles *s)
{
	free(s->stack);
	s->stack = NULL;
}

static void
pop(struct html_styles *s)
{
	s->open[s->stack[--s->count].tag]--;
}

static int
push(struct html_styles *s, const struct html_style *style)
{
	if (s->count >= MAX_OPEN)
		return 0;
	if (s->count == s->alloc) {
		struct html_style *bigger = reallocarray(s->stack, s->alloc * 2,
		    sizeof(*bigger));

		if (bigger == NULL)
			return -ENOMEM;
		s->stack = bigger;
		s->alloc *= 2;
	}
	s->stack[s->count++] = *style;
	s->open[style->tag]++;
	return 0;
}

void
html_styles_close(struct html_styles *s, enum styled_tag tag)
{
	/* programs show what stands behind </body>, so it does not end */
	if (tag == STYLED_BODY || s->open[tag] == 0)
		return;
	while (s->stack[s->count - 1].tag != tag)
		pop(s);
	pop(s);
}

/* </td> and </tr> may be left out. */
static void
close_table(struct html_styles *s, enum styled_tag tag)
{
	if (s->open[tag] == 0)
		return;
	while (s->count > 1) {
		enum styled_tag top = s->stack[s->count - 1].tag;

		if (top != STYLED_FONT && top != STYLED_TD &&
		    (tag != STYLED_TR || top != STYLED_TR))
			return;
		pop(s);
	}
}

/* Digits with optional sign behind white space; false: none */
static bool
number(struct span v, bool sign, int *ret)
{
	size_t i = 0;
	bool minus;
	int n = 0;

	while (i < v.len && ascii_is_space(v.ptr[i]))
		i++;
	minus = i < v.len && v.ptr[i] == '-';
	if (sign != (i < v.len && (minus || v.ptr[i] == '+')))
		return false;
	i += sign;
	if (i >= v.len || v.ptr[i] < '0' || v.ptr[i] > '9')
		return false;
	for (; i < v.len && v.ptr[i] >= '0' && v.ptr[i] <= '9'; i++)
		if (n < MAX_SIZE)
			n = n * 10 + (v.ptr[i] - '0');
	*ret = minus ? -n : n;
	return true;
}

/* "name : value" with white space around; icase says how prop is compared,
 * loose allows white space before the colon but wants a value. The value may
 * not hold a line end. */
static bool
declares(struct span decl, const char *prop, bool icase, bool loose,
    struct span *ret_value)
{
	size_t n = strlen(prop);
	struct span v;

	while (decl.len > 0 && ascii_is_space(decl.ptr[0]))
		decl = span_from(decl, 1);
	if (decl.len < n || (icase ? strncasecmp(decl.ptr, prop, n)
	    : strncmp(decl.ptr, prop, n)) != 0)
		return false;
	decl = span_from(decl, n);
	while (loose && decl.len > 0 && ascii_is_space(decl.ptr[0]))
		decl = span_from(decl, 1);
	if (decl.len == 0 || decl.ptr[0] != ':')
		return false;
	v = span_from(decl, 1);
	*ret_value = span_trim(v);
	/* a blank is a value, though no colour; nothing is none */
	if (ret_value->len == 0)
		return icase && v.len != 0;
	return memchr(ret_value->ptr, '\n', ret_value->len) == NULL;
}

static struct span
without_important(struct span v)
{
	static const char word[] = "important";
	size_t n = sizeof(word) - 1;
	struct span w = v;

	if (w.len < n || strncasecmp(w.ptr + w.len - n, word, n) != 0)
		return v;
	w.len -= n;
	while (w.len > 0 && ascii_is_space(w.ptr[w.len - 1]))
		w.len--;
	if (w.len == 0 || w.ptr[w.len - 1] != '!')
		return v;
	w.len--;
	while (w.len > 0 && ascii_is_space(w.ptr[w.len - 1]))
		w.len--;
	return w;
}

enum color_kind { COLOR_SET, COLOR_KEEP, COLOR_TRANSPARENT };

static enum color_kind
css_color(struct span v, struct html_color *c)
{
	v = without_important(v);
	for (size_t i = 0; i + 3 <= v.len; i++)
		if (strncasecmp(v.ptr + i, "rgb", 3) == 0) {
			html_color_rgb_list(v, c);
			return COLOR_SET;
		}
	if (span_iis(v, "inherit"))
		return COLOR_KEEP;
	if (span_iis(v, "transparent"))
		return COLOR_TRANSPARENT;
	html_color_parse(v, c);
	return COLOR_SET;
}

/* The first colour of the bottom (last) layer of a CSS background */
static void
css_background(struct span v, struct html_color *c)
{
	struct span layer = v;
	char stack[32], in = '\0';
	size_t depth = 0, start = 0;

	/* where the last layer begins: behind the last comma that is neither
	 * quoted nor inside parentheses */
	for (size_t i = 0; i < v.len; i++) {
		char ch = v.ptr[i];

		if (in == '\0' && ch == ',' && i + 1 < v.len &&
		    span_trim(span_from(v, i + 1)).len != 0)
			layer = span_from(v, i + 1);
		if (in == '"' || in == '\'') {
			if (ch == in)
				in = depth != 0 ? stack[--depth] : '\0';
		} else if (in == '(' && ch == ')') {
			in = depth != 0 ? stack[--depth] : '\0';
		} else if ((ch == '"' || ch == '\'' ||
		    (ch == '(' && in == '\0')) && depth < sizeof(stack)) {
			stack[depth++] = in;
			in = ch;
		}
	}
	in = '\0';
	for (size_t i = 0; i <= layer.len; i++) {
		char ch = i < layer.len ? layer.ptr[i] : ' ';

		if (in != '\0') {
			if (ch == in)
				in = '\0';
			if (in != '\0' || ch != ')')
				continue;
			i++; /* "rgb(...)" is one word */
			ch = ' ';
		} else if (ch == '"' || ch == '\'') {
			in = ch;
		} else if (ch == '(') {
			in = ')';
		}
		if (in == '\0' && ch == ' ') {
			struct html_color got;
			size_t end = i < layer.len ? i : layer.len;

			html_color_parse(span_of(layer.ptr + start, end - start),
			    &got);
			if (end > start && !html_color_is_invalid(&got)) {
				*c = got;
				return;
			}
			start = i < layer.len && layer.ptr[i] == ' ' ? i + 1 : i;
		}
	}
}

static void
style_attr(const struct html_style *parent, struct html_style *new,
    struct span css)
{
	bool fg_clear = false, bg_clear = false;

	while (css.len != 0) {
		size_t n = span_find(css, ';');
		struct span decl = span_of(css.ptr, n), v;
		enum color_kind kind;

		css = span_from(css, n + 1);
		if (declares(decl, "background-color", true, false, &v)) {
			kind = css_color(v, &new->bg);
			if (kind != COLOR_KEEP)
				bg_clear = kind == COLOR_TRANSPARENT;
		} else if (declares(decl, "color", true, false, &v)) {
			kind = css_color(v, &new->fg);
			if (kind != COLOR_KEEP)
				fg_clear = kind == COLOR_TRANSPARENT;
		} else if (declares(decl, "background", false, false, &v)) {
			struct html_color before = new->bg;

			css_background(v, &new->bg);
			if (strcmp(before.text, new->bg.text) != 0)
				bg_clear = false;
		} else if (declares(decl, "display", false, true, &v)) {
			new->display_none = span_iis(v, "none");
		} else if (declares(decl, "visibility", false, true, &v)) {
			new->hidden = span_iis(v, "hidden");
		}
	}
	if (bg_clear)
		new->bg = parent->bg;
	if (fg_clear)
		new->fg = new->bg;
}

static bool
takes_style(enum styled_tag tag)
{
	return tag == STYLED_TABLE || tag == STYLED_TD || tag == STYLED_TR ||
	    tag == STYLED_SPAN || tag == STYLED_P || tag == STYLED_DIV ||
	    tag == STYLED_A;
}

static bool
is_other_known(enum styled_tag tag, struct span name)
{
	switch (tag) {
	case STYLED_BASEFONT:
	case STYLED_FONT:
		return span_is(name, "face");
	case STYLED_BODY:
		return span_is(name, "bgcolor") || span_is(name, "link") ||
		    span_is(name, "alink") || span_is(name, "vlink") ||
		    span_is(name, "background");
	case STYLED_MARQUEE:
		return span_is(name, "bgcolor") || span_is(name, "background");
	default:
		return takes_style(tag) && span_is(name, "bgcolor");
	}
}

int
html_styles_open(struct html_styles *s, enum styled_tag tag,
    const struct html_style_attr *attrs, size_t count)
{
	struct html_style new;
	int n;

	if (tag == STYLED_BASEFONT)
		for (size_t i = 0; i < count; i++)
			if (span_is(attrs[i].name, "size") &&
			    number(attrs[i].value, false, &n)) {
				s->basefont = n;
				return 0;
			}
	if (tag == STYLED_TD || tag == STYLED_TR)
		close_table(s, tag);
	new = *html_styles_top(s);
	new.tag = tag;
	if (tag == STYLED_BIG || tag == STYLED_SMALL) {
		new.size += tag == STYLED_BIG ? 1 : -1;
		return push(s, &new);
	}
	for (size_t i = 0; i < count; i++) {
		struct span name = attrs[i].name, v = attrs[i].value;
		bool font = tag == STYLED_FONT || tag == STYLED_BASEFONT;

		if ((font && span_is(name, "color")) ||
		    (tag == STYLED_BODY && span_is(name, "text"))) {
			html_color_parse(v, &new.fg);
		} else if (font && span_is(name, "size")) {
			if (number(v, true, &n))
				new.size = s->basefont + n;
			else if (number(v, false, &n))
				new.size = n;
		} else if (takes_style(tag) && span_is(name, "style")) {
			style_attr(html_styles_top(s), &new, v);
		} else if (!is_other_known(tag, name)) {
			continue;
		}
		if (new.size > s->max_size)
			s->max_size = new.size;
		else if (new.size < s->min_size)
			s->min_size = new.size;
	}
	return push(s, &new);
}
