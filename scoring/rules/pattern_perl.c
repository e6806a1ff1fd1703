/*
 * Perl's regular expressions as SpamAssassin writes them, put into PCRE2's
 * words (Mail::SpamAssassin::Util, compile_regexp).
 */
#include <stdio.h>

#include "scoring/rules/pattern.h"

static bool
is_lower_mod(char c)
{
	/* e would run code in Perl: not a modifier, as there */
	return c >= 'a' && c <= 'z' && c != 'e';
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

static bool
has_unescaped(struct span s, char delimiter)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == delimiter)
			return true;
	}
	return false;
}

const char *
pattern_strip(struct arena *a, struct span s, struct span *ret_text)
{
	static const char open[] = "{(<[", shut[] = "})>]";
	char end, mods[16];
	size_t n = 0, at;
	const char *pair;
	char *text;

	if (s.len > 0 && s.ptr[0] == '/')
		end = '/';
	else {
		if (span_istarts(s, "qr") && s.ptr[0] == 'q' && s.ptr[1] == 'r')
			s = span_from(s, 1);
		else if (s.len == 0 || s.ptr[0] != 'm')
			return "missing regexp delimiters";
		s = span_from(s, 1);
		if (s.len == 0 || is_word(s.ptr[0]))
			return "missing regexp delimiters";
		if (s.ptr[0] == '\\')
			return "backslash delimiter not allowed";
		pair = strchr(open, s.ptr[0]);
		end = pair != NULL ? shut[pair - open] : s.ptr[0];
	}
	s = span_from(s, 1);
	for (at = s.len; at > 0 && is_lower_mod(s.ptr[at - 1]); at--)
		;
	if (at == 0 || s.ptr[at - 1] != end)
		return "invalid end delimiter or modifiers";
	for (size_t i = at; i < s.len; i++) {
		if (strchr("msixn", s.ptr[i]) != NULL) {
			if (n + 1 < sizeof(mods))
				mods[n++] = s.ptr[i];
		} else if (strchr("gaopudlc", s.ptr[i]) == NULL)
			return "unknown regexp modifier";
	}
	mods[n] = '\0';
	s.len = at - 1;
	if (strchr(shut, end) == NULL && has_unescaped(s, end))
		return "unquoted delimiter found";
	for (size_t i = 0; i + 2 < s.len; i++)
		if (memcmp(s.ptr + i, "(?{", 3) == 0 ||
		    (i + 3 < s.len && memcmp(s.ptr + i, "(??{", 4) == 0))
			return "code in a pattern is not allowed";
	text = arena_printf(a, "%s%s%s%.*s", n > 0 ? "(?" : "", mods,
	    n > 0 ? ")" : "", SPAN_ARG(s));
	if (text == NULL)
		return "out of memory";
	*ret_text = span_cstr(text);
	return NULL;
}

/* Length of a "(?flags)" or "(?flags:" at s, whose flags go to out without
 * those that PCRE2 does not know (they change nothing for bytes); 0: other */
static size_t
translate_flags(struct span s, struct buf *out)
{
	size_t i = 2;
	bool drop = false;

	for (; i < s.len && (strchr("^-imsxnaludp", s.ptr[i]) != NULL); i++)
		if (s.ptr[i] == '\0')
			return 0;
		else if (strchr("audlp", s.ptr[i]) != NULL)
			drop = true;
	if (!drop || i >= s.len || (s.ptr[i] != ')' && s.ptr[i] != ':'))
		return 0;
	for (size_t k = 0; k <= i; k++)
		if (k < 2 || strchr("audlp", s.ptr[k]) == NULL)
			buf_add_char(out, s.ptr[k]);
	return i + 1;
}

/* Length of "{,n}", a quantifier since Perl 5.34 and text to PCRE2; or 0 */
static size_t
upper_bound_only(struct span s)
{
	size_t i = 2;

	if (s.len < 4 || s.ptr[1] != ',')
		return 0;
	while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
		i++;
	return i > 2 && i < s.len && s.ptr[i] == '}' ? i + 1 : 0;
}

/* How many bytes from i on mean nothing special there */
static size_t
plain_run(struct span p, size_t i, bool in_class)
{
	size_t n = 0;

	for (; i + n < p.len; n++) {
		char c = p.ptr[i + n];

		if (c == '\\' || c == '[' || c == (in_class ? ']' : '(') ||
		    (!in_class && c == '{'))
			break;
	}
	return n;
}

void
pattern_translate(struct span p, struct buf *out)
{
	bool in_class = false;
	size_t class_start = 0, n;

	for (size_t i = 0; i < p.len; i += n) {
		char c;

		n = plain_run(p, i, in_class);
		buf_add(out, p.ptr + i, n);
		i += n;
		if (i == p.len)
			break;
		c = p.ptr[i];
		n = 1;
		if (c == '\\') {
			n = i + 1 < p.len ? 2 : 1;
			buf_add(out, p.ptr + i, n);
		} else if (in_class) {
			const char *posix = c == '[' && i + 1 < p.len &&
				p.ptr[i + 1] == ':' ?
			    memmem(p.ptr + i + 2, p.len - i - 2, ":]", 2) :
			    NULL;

			if (posix != NULL)
				n = (size_t)(posix - p.ptr) + 2 - i;
			else if (c == ']' && i > class_start)
				in_class = false;
			buf_add(out, p.ptr + i, n);
		} else if (c == '[') {
			in_class = true;
			/* "]" right behind "[" or "[^" is a member */
			class_start = i + 1;
			if (class_start < p.len && p.ptr[class_start] == '^')
				class_start++;
			buf_add_char(out, c);
		} else if (c == '(' && i + 1 < p.len && p.ptr[i + 1] == '?' &&
		    (n = translate_flags(span_from(p, i), out)) != 0) {
			continue;
		} else if (c == '{' &&
		    (n = upper_bound_only(span_from(p, i))) != 0) {
			buf_add_str(out, "{0");
			buf_add(out, p.ptr + i + 1, n - 1);
		} else {
			n = 1;
			buf_add_char(out, c);
		}
	}
}
