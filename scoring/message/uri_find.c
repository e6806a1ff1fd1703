/*
 * URIs in plain text: what a mail program would make a link of, and what a
 * reader would copy. Where programs differ, what finds more is taken: a URI
 * too many costs a look, one too few may be the one that matters.
 */
#include <stdint.h>

#include "scoring/message/views.h"

enum {
	MAX_URI = 2048,	  /* characters behind a scheme, or of a path */
	MAX_MAIL = 251,	  /* characters on either side of "@" */
	MAX_NAME = 252,	  /* characters of a schemeless host */
};

enum {
	START = 1,	 /* a URI may begin behind it */
	SC_START = 2,	 /* so may one without a scheme */
	END = 4,	 /* ends any URI */
	MAIL_END = 8,	 /* ends an address */
	WORD = 16,
	NAME = 32,	 /* of a host name */
	LABEL = 64,	 /* of a label: letters, digits, "-" */
};

static unsigned char class[256];

static void __attribute__((constructor))
class_fill(void)
{
	static const struct {
		const char *chars;
		unsigned char bits;
	} sets[] = {
		{ "><\"'`,{[(| \t\n\r\f\v\x1b\xa0", START },
		{ "!\"#$&'()*+,/:;<=>?@[\\]^`{|}~ \t\n\r\f\v\x1b\xa0", SC_START },
		{ "><\"`}]{[| \t\n\r\f\v\x1b\xa0", END | MAIL_END },
		{ ",('", MAIL_END },
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		for (const char *p = sets[i].chars; *p != '\0'; p++)
			class[(unsigned char)*p] |= sets[i].bits;
	for (int c = 0x80; c < 256; c++)
		class[c] |= MAIL_END;
	for (int c = 0; c < 128; c++) {
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
		bool digit = c >= '0' && c <= '9';

		if (letter || digit)
			class[c] |= WORD | NAME | LABEL;
		if (c == '_')
			class[c] |= WORD | NAME;
		if (c == '-')
			class[c] |= NAME | LABEL;
		if (c == '.')
			class[c] |= NAME;
	}
}

static bool
is(char c, unsigned bits)
{
	return (class[(unsigned char)c] & bits) != 0;
}

static bool
ends(struct span s, size_t at, unsigned bits)
{
	return at >= s.len || is(s.ptr[at], bits);
}

/* Characters from `at` on that are none of bits */
static size_t
run(struct span s, size_t at, unsigned bits)
{
	size_t i = at;

	while (i < s.len && !is(s.ptr[i], bits))
		i++;
	return i - at;
}

/* "http://", "www.", "www12." ... at `at`: its length, or 0 */
static size_t
known_start(struct span s, size_t at)
{
	struct span t = span_from(s, at);
	size_t n;

	switch (t.len != 0 ? t.ptr[0] | 0x20 : 0) {
	case 'h':
		if (span_istarts(t, "http://"))
			return 7;
		return span_istarts(t, "https://") ? 8 : 0;
	case 'f':
		if (span_istarts(t, "ftp://"))
			return 6;
		return span_istarts(t, "ftp.") ? 4 : 0;
	case 'w':
		if (!span_istarts(t, "www"))
			return 0;
		n = 3;
		while (n < 5 && n < t.len && t.ptr[n] >= '0' && t.ptr[n] <= '9')
			n++;
		return n < t.len && t.ptr[n] == '.' ? n + 1 : 0;
	default:
		return 0;
	}
}

static size_t
match_known(struct span s, size_t at)
{
	size_t n = known_start(s, at), len;

	if (n == 0)
		return 0;
	len = run(s, at + n, END);
	return len >= 1 && len <= MAX_URI ? n + len : 0;
}

static size_t
match_mail(struct span s, size_t at, size_t next_at)
{
	size_t len;

	if ((s.ptr[at] | 0x20) == 'm' &&
	    span_istarts(span_from(s, at), "mailto:")) {
		len = run(s, at + 7, MAIL_END);
		if (len >= 1 && len <= MAX_URI)
			return 7 + len;
	}
	if (next_at <= at || next_at - at > MAX_MAIL ||
	    run(span_of(s.ptr, next_at), at, MAIL_END) != next_at - at)
		return 0;
	len = run(s, next_at + 1, MAIL_END);
	if (len < 1 || len > MAX_MAIL)
		return 0;
	return next_at - at + 1 + len;
}

/* Optional "." ":port" "/path" behind a host, then the end; 0: no match,
 * else one more than the length */
static size_t
match_tail(struct span s, size_t at)
{
	for (int dot = at < s.len && s.ptr[at] == '.'; dot >= 0; dot--) {
		size_t i = at + (size_t)dot, port = i, path;

		if (i < s.len && s.ptr[i] == ':') {
			port = i + 1;
			while (port < s.len && port - i <= 5 &&
			    s.ptr[port] >= '0' && s.ptr[port] <= '9')
				port++;
			if (port == i + 1)
				port = i;
		}
		if (port < s.len && s.ptr[port] == '/') {
			path = run(s, port + 1, END);
			if (path >= 1 && path <= MAX_URI)
				return port + 1 + path - at + 1;
		}
		if (ends(s, port, END))
			return port - at + 1;
	}
	return 0;
}

static size_t
match_bare(struct span s, size_t at, const struct uri_rules *rules,
    struct span *ret_host)
{
	size_t end = at, most;

	if (!is(s.ptr[at], LABEL) || s.ptr[at] == '-')
		return 0;
	while (end < s.len && is(s.ptr[end], NAME))
		end++;
	/* the last "." that a known top level domain follows */
	most = end - at > MAX_NAME + 1 ? at + MAX_NAME + 1 : end;
	for (size_t dot = most; dot-- > at + 1;) {
		size_t t = dot + 1, tail;

		if (s.ptr[dot] != '.')
			continue;
		while (t < s.len && is(s.ptr[t], LABEL))
			t++;
		if (t == dot + 1 || (t + 1 < s.len && s.ptr[t] == '.' &&
		    is(s.ptr[t + 1], LABEL) && s.ptr[t + 1] != '-'))
			continue;
		tail = match_tail(s, t);
		if (tail == 0 || !uri_tld_is_valid(rules,
			span_of(s.ptr + dot + 1, t - dot - 1)))
			continue;
		*ret_host = span_of(s.ptr + at, t - at);
		return t + tail - 1 - at;
	}
	return 0;
}

static bool
may_start(struct span s, size_t at)
{
	bool before = at > 0 && is(s.ptr[at - 1], WORD);

	if (before != is(s.ptr[at], WORD))
		return true;
	if (at > 0 && is(s.ptr[at - 1], START))
		return true;
	/* behind a shift of ISO 2022 */
	return at >= 3 && s.ptr[at - 3] == '\x1b' && s.ptr[at - 2] == '(';
}

bool
text_uri_next(struct span line, size_t *at, const struct uri_rules *rules,
    struct text_uri *ret_uri)
{
	size_t next_at = 0, next_dot = 0;
	bool colon = *at < line.len &&
	    memchr(line.ptr + *at, ':', line.len - *at) != NULL;

	for (size_t i = *at; i < line.len; i++) {
		size_t n;

		if (next_at <= i && next_at != SIZE_MAX) {
			n = i + span_find(span_from(line, i), '@');
			next_at = n < line.len ? n : SIZE_MAX;
		}
		if (next_dot < i && next_dot != SIZE_MAX) {
			n = i + span_find(span_from(line, i), '.');
			next_dot = n < line.len ? n : SIZE_MAX;
		}
		if (next_at == SIZE_MAX && next_dot == SIZE_MAX && !colon)
			break; /* every form has one of them */
		if (!may_start(line, i))
			continue;
		ret_uri->host = (struct span){ NULL, 0 };
		if ((n = match_known(line, i)) != 0)
			ret_uri->kind = TEXT_URI_SCHEME;
		else if ((n = match_mail(line, i, next_at)) != 0)
			ret_uri->kind = TEXT_URI_MAIL;
		else if (next_dot != SIZE_MAX &&
		    (i == 0 || is(line.ptr[i - 1], SC_START)) &&
		    (n = match_bare(line, i, rules, &ret_uri->host)) != 0)
			ret_uri->kind = TEXT_URI_SCHEMELESS;
		else
			continue;
		ret_uri->raw = span_of(line.ptr + i, n);
		*at = i + n;
		return true;
	}
	*at = line.len;
	return false;
}
