/*
 * Filling views, and what the body gives to them.
 */
#include <ctype.h>
#include <errno.h>

#include "scoring/learn/views.h"
#include "scoring/message/body.h"

bool
view_init(struct view *v, struct arena *a, size_t cap)
{
	*v = (struct view){ arena_bytes(a, cap), 0, cap };
	return v->ptr != NULL;
}

void
view_add(struct view *v, struct span s)
{
	size_t n = s.len < v->cap - v->len ? s.len : v->cap - v->len;

	memcpy(v->ptr + v->len, s.ptr != NULL ? s.ptr : "", n);
	v->len += n;
}

void
view_add_lines(struct view *v, struct span s)
{
	size_t len = v->len;

	if (s.len == 0 || memchr(s.ptr, '\r', s.len < v->cap - len + 1 ? s.len :
	    v->cap - len + 1) == NULL) {
		view_add(v, s);
		return;
	}
	for (size_t i = 0; i < s.len && len < v->cap; i++)
		if (s.ptr[i] != '\r' ||
		    (i + 1 < s.len && s.ptr[i + 1] != '\n'))
			v->ptr[len++] = s.ptr[i];
	v->len = len;
}

void
view_add_text(struct view *v, struct span s)
{
	static const bool blank[256] = { [' '] = true, ['\t'] = true,
		['\r'] = true };
	char *out = v->ptr + v->len, *end = v->ptr + v->cap;
	const char *p = s.ptr, *stop = s.ptr + s.len;

	while (p < stop && out < end) {
		while (p < stop && out < end && !blank[(unsigned char)*p])
			*out++ = *p++;
		if (p == stop || out == end)
			break;
		while (p < stop && blank[(unsigned char)*p])
			p++;
		if (p < stop && *p != '\n')
			*out++ = ' ';
	}
	v->len = (size_t)(out - v->ptr);
}

void
view_token(struct view *v, const char *prefix, struct span s, const char *join,
    struct span t)
{
	size_t before = v->len;

	if (v->len + strlen(prefix) + s.len + t.len + 4 > v->cap)
		return; /* no half words */
	view_add(v, span_cstr(prefix));
	for (size_t i = 0; i < s.len; i++)
		v->ptr[v->len++] = span_is_wsp(s.ptr[i]) ? '_' :
		    (char)tolower((unsigned char)s.ptr[i]);
	view_add(v, span_cstr(join));
	for (size_t i = 0; i < t.len; i++)
		v->ptr[v->len++] = span_is_wsp(t.ptr[i]) ? '_' :
		    (char)tolower((unsigned char)t.ptr[i]);
	if (v->len > before)
		v->ptr[v->len++] = ' ';
}

static const struct span none = { "", 0 };

/* Links beyond these bring nothing new, only time */
enum { MOST_LINKS = 40, MOST_PARTS = 30, HOST_BYTES = 100 };

/* The last two and three labels of a host as tokens */
static void
host_tokens(struct view *tokens, struct span host)
{
	size_t dots = 0;

	while (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	for (size_t i = host.len; i > 0; i--) {
		if (host.ptr[i - 1] != '.' || ++dots < 2)
			continue;
		view_token(tokens, "u=", span_from(host, i), "", none);
		if (dots == 3)
			return;
	}
	view_token(tokens, "u=", host, "", none);
}

static bool
is_host_byte(unsigned char c)
{
	return isalnum(c) || c == '.' || c == '-' || c == '_' || c >= 0x80;
}

/* The host of a URI, user and port left out; empty: none */
static struct span
uri_host(struct span s)
{
	const char *p = s.len != 0 ? memmem(s.ptr, s.len, "://", 3) : NULL;
	size_t n = 0;

	if (p == NULL && !span_istarts(s, "www."))
		return none;
	if (p != NULL)
		s = span_from(s, (size_t)(p - s.ptr) + 3);
	for (; n < s.len && n < HOST_BYTES; n++) {
		if (s.ptr[n] == '@') {
			s = span_from(s, n + 1);
			n = (size_t)-1;
		} else if (!is_host_byte((unsigned char)s.ptr[n]) &&
		    s.ptr[n] != ':')
			break;
	}
	for (size_t i = 0; i < n; i++)
		if (s.ptr[i] == ':')
			return span_of(s.ptr, i);
	return span_of(s.ptr, n);
}

static void
link_token(struct view *tokens, struct span uri, size_t *links,
    struct span *last)
{
	struct span host = uri_host(uri);

	if (*links >= MOST_LINKS || host.len == 0)
		return;
	++*links;
	if (span_ieq(host, *last))
		return; /* ten images of one server */
	*last = host;
	host_tokens(tokens, host);
}

/* What looks like a link in the text that the reader sees */
static void
text_links(struct view *tokens, struct span text, size_t *links,
    struct span *last)
{
	static const bool begins[256] = { ['h'] = true, ['H'] = true,
		['w'] = true, ['W'] = true };

	for (size_t i = 0; i + 8 < text.len; i++) {
		char c = text.ptr[i] | 32;
		struct span s;

		if (!begins[(unsigned char)text.ptr[i]] ||
		    (i > 0 && isalnum((unsigned char)text.ptr[i - 1])))
			continue;
		s = span_from(text, i);
		if (c == 'h' ? span_istarts(s, "http://") ||
			span_istarts(s, "https://") : span_istarts(s, "www."))
			link_token(tokens, s, links, last);
	}
}

/* In which scripts is it written? By the lead bytes of UTF-8. */
enum script { NO_LETTER, LATIN, ACCENTS, GREEK, CYRILLIC, HEBREW, ARABIC, ASIA,
	CJK, SYMBOLS, BAD, SCRIPTS };

static const uint8_t scripts[256] = {
	['A' ... 'Z'] = LATIN, ['a' ... 'z'] = LATIN,
	/* 0x80 to 0xBF belong to a lead byte */
	[0xC0 ... 0xCC] = ACCENTS, [0xCD ... 0xCF] = GREEK,
	[0xD0 ... 0xD4] = CYRILLIC, [0xD5 ... 0xD7] = HEBREW,
	[0xD8 ... 0xDD] = ARABIC, [0xDE ... 0xDF] = ASIA,
	[0xE0 ... 0xE1] = ASIA, [0xE2] = SYMBOLS, [0xE3 ... 0xEE] = CJK,
	[0xEF ... 0xF4] = SYMBOLS, [0xF5 ... 0xFF] = BAD,
};

static bool
is_ascii(struct span s)
{
	uint64_t high = 0, x;
	size_t i = 0;

	for (; i + sizeof(x) <= s.len; i += sizeof(x)) {
		memcpy(&x, s.ptr + i, sizeof(x));
		high |= x;
	}
	for (; i < s.len; i++)
		high |= (uint64_t)(s.ptr[i] & 0x80);
	return (high & 0x8080808080808080u) == 0;
}

static bool
has_letter(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (isalpha((unsigned char)s.ptr[i]))
			return true;
	return false;
}

static void
script_tokens(struct view *tokens, struct span text)
{
	static const char *const names[SCRIPTS] = { "", "latin", "accents",
		"greek", "cyrillic", "hebrew", "arabic", "asia", "cjk", "symbols",
		"bad" };
	size_t four[4][SCRIPTS] = { 0 }, counts[SCRIPTS], letters;

	if (is_ascii(text)) {
		if (has_letter(text))
			view_token(tokens, "script-mostly=", SPAN_LIT("latin"), "",
			    none);
		return;
	}
	/* most letters are of one script: by turns, so that no count waits for
	 * the one before */
	for (size_t i = 0; i < text.len; i++)
		four[i & 3][scripts[(unsigned char)text.ptr[i]]]++;
	for (int i = 0; i < SCRIPTS; i++)
		counts[i] = four[0][i] + four[1][i] + four[2][i] + four[3][i];
	letters = text.len - counts[NO_LETTER];
	for (int i = LATIN; i < SCRIPTS; i++)
		/* a foreign name is no script */
		if (counts[i] > 0 && counts[i] * 50 >= letters)
			view_token(tokens, counts[i] * 2 > letters ?
			    "script-mostly=" : "script=", span_cstr(names[i]), "",
			    none);
}

static void
part_tokens(struct view *tokens, struct part *p, struct span *before)
{
	struct span encoding = part_header(p, "Content-Transfer-Encoding");
	size_t dot;

	view_token(tokens, "part=", p->type, "", none);
	if (before->len != 0)
		view_token(tokens, "parts=", *before, "+", p->type);
	*before = p->type;
	if (!p->leaf)
		return;
	if (encoding.ptr != NULL && encoding.len > 0 && encoding.len < 20)
		view_token(tokens, "encoding=", span_trim(encoding), "", none);
	if (p->charset.ptr != NULL && p->charset.len < 30)
		view_token(tokens, "charset=", p->charset, "", none);
	for (dot = p->name.len; p->name.ptr != NULL && dot > 0; dot--)
		if (p->name.ptr[dot - 1] == '.')
			break;
	if (p->name.ptr != NULL && p->name.len > 0)
		view_token(tokens, "file=", dot > 0 && p->name.len - dot < 10 ?
		    span_from(p->name, dot) : none, "", none);
}

int
views_body(struct message *m, struct view *text, struct view *tokens)
{
	const struct texts *visible;
	const struct html *html;
	struct part *root;
	struct span before = none, last = none;
	size_t links = 0, parts = 0;

	if (body_parts(m, &root) != 0 || body_visible(m, &visible) != 0 ||
	    body_html(m, &html) != 0)
		return -ENOMEM;
	/* [0] is the Subject, which stands among the fields already */
	for (size_t i = 1; i < visible->count && text->len < text->cap; i++) {
		view_add_text(text, visible->items[i]);
		if (text->len > 0 && text->ptr[text->len - 1] != '\n')
			view_add(text, SPAN_LIT("\n"));
	}
	for (struct part *p = root; p != NULL && parts < MOST_PARTS;
	    p = p->in_order, parts++)
		part_tokens(tokens, p, &before);
	script_tokens(tokens, span_of(text->ptr, text->len));
	for (; html != NULL; html = html->next)
		for (size_t i = 0; i < html->uri_count; i++)
			link_token(tokens, html->uris[i].raw, &links, &last);
	text_links(tokens, span_of(text->ptr, text->len), &links, &last);
	return 0;
}
