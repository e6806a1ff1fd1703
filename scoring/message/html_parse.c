#include <libxml/HTMLparser.h>

#include "base/ascii.h"
#include "base/escape.h"
#include "scoring/message/html_parse.h"

/* Elements whose content is text up to their end tag */
static const struct {
	const char *name;
	bool cdata;
} literal[] = {
	{ "script", true }, { "style", true }, { "xmp", true },
	{ "iframe", true }, { "plaintext", true }, { "title", false },
	{ "textarea", false },
};
enum { STYLE = 1, PLAINTEXT = 4, TITLE = 5 }; /* indices */

/* What a marked section makes of its content, the stronger the higher */
enum mark { MARK_NONE, MARK_INCLUDE, MARK_RCDATA, MARK_CDATA, MARK_IGNORE };
enum { MAX_SECTIONS = 32 }; /* within each other */

struct parse {
	const char *p, *end; /* behind what was handed out */
	bool (*handle)(void *ctx, const struct html_token *token);
	void *ctx;
	bool stop;
	const char *late_end; /* end tag to report before the next tag */
	bool short_comments; /* "<!--" ends at the next ">" */
	int literal;	     /* index, or -1 */
	/* open "<![CDATA[" sections, each with its mark, and the highest */
	unsigned char sections[MAX_SECTIONS];
	unsigned section_count;
	enum mark mark;
	const char *close;   /* the next "]]>" while one is open */
	/* searched to the end in vain once: not again for each that opens */
	bool no_close, no_title_end;
	struct html_attr attrs[HTML_MAX_ATTRS];
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
is_name_char(char c)
{
	return ascii_is_alpha(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
	    c == '_' || c == ':';
}

static const char *
skip_space(const char *s, const char *end)
{
	while (s < end && is_space(*s))
		s++;
	return s;
}

static void
emit(struct parse *z, enum html_event event, const char *from, const char *to,
    bool cdata)
{
	struct html_token t = { .event = event, .cdata = cdata,
		.text = span_of(from, (size_t)(to - from)) };

	if (!z->stop && z->mark != MARK_IGNORE)
		z->stop = !z->handle(z->ctx, &t);
}

static void
emit_tag(struct parse *z, enum html_event event, struct span name, size_t attrs)
{
	struct html_token t = { .event = event, .name = name, .attrs = z->attrs,
		.attr_count = attrs };
	const char *late = z->late_end;

	if (late != NULL) {
		z->late_end = NULL;
		emit_tag(z, HTML_END, span_cstr(late), 0);
	}
	if (!z->stop && z->mark != MARK_IGNORE)
		z->stop = !z->handle(z->ctx, &t);
}

/*
 * Each of the functions below gets the place of a "<" and returns the place
 * behind the token, NULL when it is none (then "<" is text), or the "<"
 * itself when the end of the text came first.
 */

/* A value or word at *s, which moves behind it; false: the text ended */
static bool
attr_value(const char **s, const char *end, struct span *ret_value)
{
	const char *p = *s;

	if (*p == '"' || *p == '\'') {
		const char *q = memchr(p + 1, *p, (size_t)(end - p - 1));

		if (q == NULL)
			return false;
		*ret_value = span_of(p + 1, (size_t)(q - p - 1));
		*s = q + 1;
		return true;
	}
	while (p < end && !is_space(*p) && *p != '>')
		p++;
	*ret_value = span_of(*s, (size_t)(p - *s));
	*s = p;
	return p < end;
}

static const char *
start_tag(struct parse *z, const char *beg)
{
	const char *s = beg + 2, *end = z->end;
	struct span name;
	size_t n = 0;

	while (s < end && !is_space(*s) && *s != '>')
		s++;
	name = span_of(beg + 1, (size_t)(s - beg - 1));
	s = skip_space(s, end);
	while (s < end && *s != '>') {
		struct html_attr a = { span_of(s, 0), { NULL, 0 } };

		s++;
		while (s < end && !is_space(*s) && *s != '>' && *s != '=')
			s++;
		a.name.len = (size_t)(s - a.name.ptr);
		a.value = a.name;
		s = skip_space(s, end);
		if (s == end)
			return beg;
		if (*s == '=') {
			s = skip_space(s + 1, end);
			if (s == end)
				return beg;
			if (*s == '>') {
				a.value = span_of(s, 0);
			} else {
				if (!attr_value(&s, end, &a.value))
					return beg;
				s = skip_space(s, end);
			}
		}
		if (n < HTML_MAX_ATTRS)
			z->attrs[n++] = a;
	}
	if (s == end)
		return beg;
	emit_tag(z, HTML_START, name, n);
	for (size_t i = 0; i < sizeof(literal) / sizeof(literal[0]); i++)
		if (span_iis(name, literal[i].name))
			z->literal = (int)i;
	return s + 1;
}

/* To the next ">" that is not quoted; a quote counts behind " " and "=" */
static const char *
skip_to_gt(const char *s, const char *end)
{
	char quote = '\0', prev = ' ';

	for (; s < end; prev = *s++) {
		if (quote == '\0' && *s == '>')
			return s;
		if (*s != '"' && *s != '\'')
			continue;
		if (*s == quote)
			quote = '\0';
		else if (quote == '\0' && (prev == ' ' || prev == '='))
			quote = *s;
	}
	return end;
}

static const char *
end_tag(struct parse *z, const char *beg)
{
	const char *s = beg + 2, *end = z->end;
	struct span name = span_of(s, 0);

	if (s == end)
		return beg;
	while (s < end && !is_space(*s) && *s != '>')
		s++;
	name.len = (size_t)(s - name.ptr);
	s = skip_to_gt(s, end);
	if (s == end)
		return beg;
	if (name.len == 0)
		emit(z, HTML_COMMENT, beg, s + 1, false);
	else
		emit_tag(z, HTML_END, name, 0);
	return s + 1;
}

static const char *
comment(struct parse *z, const char *beg)
{
	const char *s = beg + 4, *end = z->end;

	if (z->short_comments) {
		s = s < end ? memchr(s, '>', (size_t)(end - s)) : NULL;
		if (s == NULL)
			return beg;
		emit(z, HTML_COMMENT, beg, s + 1, false);
		return s + 1;
	}
	while (s < end && (s = memchr(s, '-', (size_t)(end - s))) != NULL) {
		const char *t = s + 1;

		if (t < end && *t == '-') {
			t = skip_space(t + 1, end);
			if (t < end && *t == '>') {
				emit(z, HTML_COMMENT, beg, t + 1, false);
				return t + 1;
			}
		}
		s++;
	}
	return beg;
}

/* "<!DOCTYPE ...>" or "<!ENTITY ...>": NULL when it is malformed */
static const char *
declaration(struct parse *z, const char *beg)
{
	const char *s = beg + 2, *end = z->end;
	struct span word, ignored;

	while (s < end && is_name_char(*s))
		s++;
	if (s == end)
		return beg;
	word = span_of(beg + 2, (size_t)(s - beg - 2));
	if (!span_iis(word, "doctype") && !span_iis(word, "entity"))
		return NULL;
	for (;;) {
		s = skip_space(s, end);
		if (s == end)
			return beg;
		if (*s == '>')
			break;
		if (*s == '-') {
			if (s + 1 == end)
				return beg;
			if (s[1] != '-')
				return NULL;
			s = memmem(s + 2, (size_t)(end - s - 2), "--", 2);
			if (s == NULL)
				return beg;
			s += 2;
		} else if (!attr_value(&s, end, &ignored)) {
			return beg;
		}
	}
	emit(z, HTML_DECLARATION, beg, s + 1, false);
	return s + 1;
}

static void
section_top(struct parse *z)
{
	z->mark = MARK_NONE;
	for (unsigned i = 0; i < z->section_count; i++)
		if (z->sections[i] > z->mark)
			z->mark = z->sections[i];
}

static enum mark
mark_named(struct span name)
{
	return span_iis(name, "include") ? MARK_INCLUDE :
	    span_iis(name, "rcdata") ? MARK_RCDATA :
	    span_iis(name, "cdata") ? MARK_CDATA :
	    span_iis(name, "ignore") ? MARK_IGNORE : MARK_NONE;
}

/* "<![CDATA[" and its like; NULL: no marked section */
static const char *
marked_section(struct parse *z, const char *beg)
{
	const char *s = skip_space(beg + 3, z->end);
	enum mark mark = MARK_NONE;
	bool named = false;

	while (s < z->end && (ascii_is_alpha(*s) || *s == '_' || *s == ':')) {
		const char *name = s;
		enum mark m;

		while (s < z->end && is_name_char(*s))
			s++;
		m = mark_named(span_of(name, (size_t)(s - name)));
		mark = m > mark ? m : mark;
		named = true;
		s = skip_space(s, z->end);
		if (s == z->end)
			return beg;
	}
	if (s == z->end || *s != '[')
		return NULL;
	if (z->section_count < MAX_SECTIONS) {
		z->sections[z->section_count++] = named ? mark : MARK_INCLUDE;
		section_top(z);
	}
	return s + 1;
}

/* Text of a marked section, or its end, at z->p. false: neither, a token
 * may begin at lt */
static bool
section_text(struct parse *z, const char *lt)
{
	bool verbatim = z->mark == MARK_CDATA || z->mark == MARK_RCDATA;

	if (z->mark == MARK_NONE)
		return false;
	if ((z->close == NULL || z->close < z->p) && !z->no_close) {
		z->close = memmem(z->p, (size_t)(z->end - z->p), "]]>", 3);
		z->no_close = z->close == NULL;
	}
	if (z->no_close) {
		if (verbatim && z->p < z->end) {
			emit(z, HTML_TEXT, z->p, z->end, z->mark == MARK_CDATA);
			z->p = z->end;
		}
		return verbatim;
	}
	if (!verbatim && z->close > lt)
		return false;
	if (z->close > z->p)
		emit(z, HTML_TEXT, z->p, z->close, z->mark == MARK_CDATA);
	z->p = z->close + 3;
	z->section_count--;
	section_top(z);
	return true;
}

static const char *
bang(struct parse *z, const char *beg)
{
	const char *s = beg + 2, *end = z->end, *t = NULL;

	if (s == end)
		return beg;
	if (*s == '-') {
		if (s + 1 == end)
			return beg;
		if (s[1] == '-')
			return comment(z, beg);
		s++;
	} else if (*s == '[') {
		t = marked_section(z, beg);
	} else if (ascii_is_alpha(*s)) {
		t = declaration(z, beg);
	}
	if (t != NULL)
		return t;
	/* anything else is a comment up to the next ">" */
	s = memchr(s, '>', (size_t)(end - s));
	if (s == NULL)
		return beg;
	emit(z, HTML_COMMENT, beg, s + 1, false);
	return s + 1;
}

static const char *
process(struct parse *z, const char *beg)
{
	const char *s = memchr(beg + 2, '>', (size_t)(z->end - beg - 2));

	return s != NULL ? s + 1 : beg;
}

/* The content of script, style and the like. false: no end tag in sight */
static bool
literal_text(struct parse *z)
{
	const char *name = literal[z->literal].name, *s = z->p;
	size_t n = strlen(name);

	if (z->literal == PLAINTEXT || (z->literal == TITLE && z->no_title_end))
		return false;
	while ((s = memchr(s, '<', (size_t)(z->end - s))) != NULL) {
		const char *t = s + 2 + n;

		if (t < z->end && s[1] == '/' && strncasecmp(s + 2, name, n) == 0) {
			t = skip_space(t, z->end);
			if (t < z->end && *t == '>') {
				if (s > z->p)
					emit(z, HTML_TEXT, z->p, s,
					    literal[z->literal].cdata);
				emit_tag(z, HTML_END, span_of(s + 2, n), 0);
				z->p = t + 1;
				z->literal = -1;
				return true;
			}
		}
		s++;
	}
	return false;
}

static const char *
token(struct parse *z, const char *s)
{
	if (z->end - s < 3)
		return s;
	if (ascii_is_alpha(s[1]) || s[1] == '_' || s[1] == ':')
		return start_tag(z, s);
	switch (s[1]) {
	case '/':
		return end_tag(z, s);
	case '!':
		return bang(z, s);
	case '?':
		return process(z, s);
	default:
		return NULL;
	}
}

/* Text up to the end comes in two pieces, since a parser that could be given
 * more would wait with the white space or the word at its end. What is white
 * space alone is never hidden text. */
static void
last_text(struct parse *z)
{
	bool cdata = z->literal >= 0 && literal[z->literal].cdata;
	const char *s = z->end;

	if (z->literal < 0) {
		if (!is_space(s[-1]))
			while (s > z->p && !is_space(s[-1]))
				s--;
		while (s > z->p && is_space(s[-1]))
			s--;
		if (s > z->p)
			emit(z, HTML_TEXT, z->p, s, false);
		else
			s = z->p;
	} else {
		s = z->p;
	}
	if (s < z->end)
		emit(z, HTML_TEXT, s, z->end, cdata);
	z->p = z->end;
}

/* What is left when no more tokens can be told */
static bool
finish(struct parse *z)
{
	if (z->literal >= 0) {
		const char *name = literal[z->literal].name;

		/* its end tag never came */
		if (z->literal <= STYLE) {
			if (z->p < z->end)
				emit(z, HTML_TEXT, z->p, z->end, true);
			z->p = z->end;
			z->literal = -1;
			emit_tag(z, HTML_END, span_cstr(name), 0);
			return false;
		}
		if (z->literal == TITLE) {
			z->no_title_end = true;
			/* then it ends at the next tag, whatever that is */
			z->late_end = name;
			z->literal = -1;
			return z->p < z->end;
		}
	} else if (z->p < z->end && *z->p == '<') {
		const char *s = z->p + 1;

		if (!z->short_comments) {
			z->short_comments = true;
			return true;
		}
		if (s == z->end || ascii_is_alpha(*s) || *s == '/' || *s == '!' ||
		    *s == '?') {
			/* markup that never ends hides the rest */
			emit(z, HTML_COMMENT, z->p, z->end, false);
			z->p = z->end;
		}
	}
	if (z->p < z->end)
		last_text(z);
	if (z->late_end != NULL) {
		const char *late = z->late_end;

		z->late_end = NULL;
		emit_tag(z, HTML_END, span_cstr(late), 0);
	}
	return false;
}

void
html_parse(struct span text,
    bool (*handle)(void *ctx, const struct html_token *token), void *ctx)
{
	struct parse z = { .p = text.ptr, .end = text.ptr + text.len,
		.handle = handle, .ctx = ctx, .literal = -1 };

	do {
		const char *s = z.p;

		while (s < z.end && !z.stop) {
			const char *lt, *next;

			if (z.literal >= 0) {
				if (!literal_text(&z))
					break;
				s = z.p;
				continue;
			}
			lt = memchr(s, '<', (size_t)(z.end - s));
			if (lt == NULL)
				lt = z.end;
			if (section_text(&z, lt)) {
				s = z.p;
				continue;
			}
			if (lt == z.end)
				break;
			if (lt > z.p) {
				emit(&z, HTML_TEXT, z.p, lt, false);
				z.p = lt;
			}
			next = token(&z, lt);
			if (next == lt)
				break;
			if (next != NULL)
				z.p = s = next;
			else
				s = lt + 1;
		}
	} while (!z.stop && finish(&z));
}

/* The character of &name; 0: none. ISO 8859-1's need no ";". */
static uint32_t
entity_value(const char *name, size_t len, bool semicolon)
{
	char buf[16];
	const htmlEntityDesc *e;

	if (len == 0 || len >= sizeof(buf))
		return 0;
	memcpy(buf, name, len);
	buf[len] = '\0';
	/* the table is searched from end to end; these are most of all */
	if (strcmp(buf, "amp") == 0)
		return '&';
	if (strcmp(buf, "lt") == 0)
		return '<';
	if (strcmp(buf, "gt") == 0)
		return '>';
	if (strcmp(buf, "quot") == 0)
		return '"';
	e = htmlEntityLookup((const xmlChar *)buf);
	if (e == NULL || (e->value > 0xFF && !semicolon))
		return 0;
	return e->value;
}

/* "&#65" or "&#x41" at s (behind "&#"); *ret_end behind the digits */
static uint32_t
numeric_value(const char *s, const char *end, const char **ret_end)
{
	uint32_t n = 0;
	bool hex = s < end && (*s | 0x20) == 'x', any = false;

	for (s += hex; s < end; s++) {
		unsigned d;

		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (hex && (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			d = (unsigned)((*s | 0x20) - 'a') + 10;
		else
			break;
		n = n * (hex ? 16 : 10) + d;
		any = true;
		if (n > 0x10FFFF)
			return 0;
	}
	*ret_end = s;
	if (!any || n == 0)
		return 0;
	if ((n >= 0xFDD0 && n <= 0xFDEF) || ((n & 0xFFFE) == 0xFFFE && n > 0xFFFF))
		return 0xFFFD;
	return (n & 0xFFFE) == 0xFFFE ? 0 : n;
}

/* Some software writes the halves of UTF-16 as two references. *high is the
 * first half when it stands right before, else 0. */
static uint32_t
join_surrogates(struct buf *out, uint32_t cp, uint32_t *high)
{
	uint32_t before = *high;

	*high = 0;
	if (cp < 0xD800 || cp > 0xDFFF)
		return cp;
	if (cp < 0xDC00) {
		*high = cp;
		return 0xFFFD;
	}
	if (before == 0 || out->len < 3)
		return 0xFFFD;
	out->len -= 3; /* the U+FFFD that stood for it */
	return ((before - 0xD800) << 10) + (cp - 0xDC00) + 0x10000;
}

bool
html_decode_entities(struct buf *out, struct span text, bool prefix)
{
	const char *p = text.ptr, *end = text.ptr + text.len, *amp;
	uint32_t high = 0;
	bool wide = false;

	while (p < end &&
	    (amp = memchr(p, '&', (size_t)(end - p))) != NULL) {
		const char *s = amp + 1, *stop = s;
		uint32_t cp = 0;
		char utf8[4];

		if (amp > p) {
			buf_add(out, p, (size_t)(amp - p));
			high = 0;
		}
		p = amp;
		if (s < end && *s == '#') {
			cp = numeric_value(s + 1, end, &stop);
		} else {
			while (stop < end && (ascii_is_alpha(*stop) ||
			    (*stop >= '0' && *stop <= '9')))
				stop++;
			cp = entity_value(s, (size_t)(stop - s),
			    stop < end && *stop == ';');
			/* no name of ISO 8859-1 is longer */
			for (const char *t = stop - s > 6 ? s + 6 : stop - 1;
			     cp == 0 && prefix && t > s; t--) {
				cp = entity_value(s, (size_t)(t - s), false);
				if (cp != 0)
					stop = t;
			}
		}
		if (cp == 0) {
			buf_add_char(out, '&');
			p = amp + 1;
			high = 0;
			continue;
		}
		cp = join_surrogates(out, cp, &high);
		p = stop < end && *stop == ';' ? stop + 1 : stop;
		wide = wide || cp > 0xFF;
		buf_add(out, utf8, utf8_encode(cp, utf8));
	}
	if (p < end)
		buf_add(out, p, (size_t)(end - p));
	return wide;
}
