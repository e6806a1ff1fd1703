/*
 * Hosts and addresses in a header value, for the modifiers :host, :domain,
 * :ip and :revip. What counts as one follows PerMsgStatus::_get, whose regular
 * expressions are taken as they are: a host may begin in odd places, and what
 * they find first decides.
 */
#include "base/ascii.h"
#include "base/netaddr.h"
#include "scoring/rules/internal.h"

enum { MAX_HOST_START = 251 }; /* bytes before the last dot */

static bool
is_label(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

static bool
is_word(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

static bool
is_joint(char c)
{
	return c == '.' || c == '_' || c == '-';
}

/* Where the host ends whose last dot is at dot: behind a top-level domain
 * that nothing continues. 0: it is none. */
static size_t
host_end(struct eval_context *c, struct span s, size_t dot)
{
	size_t n = dot + 1;

	while (n < s.len && is_label(s.ptr[n]))
		n++;
	if (n == dot + 1 || (n < s.len && is_joint(s.ptr[n])))
		return 0;
	return domain_is_valid(span_of(s.ptr + dot, n - dot), c->uri_rules) ? n :
									     0;
}

/* The longest text from `at` on that could be a host; 0: none. Dots below
 * *checked are known to end none, so that a long value is read once. */
static size_t
host_at(struct eval_context *c, struct span s, size_t at, size_t *checked)
{
	size_t dot = at, end;

	if (at > 0 && is_joint(s.ptr[at - 1]))
		return 0;
	while (dot < s.len && dot - at < MAX_HOST_START && !ascii_is_space(s.ptr[dot]))
		dot++;
	for (size_t i = dot; i > at && i >= *checked; i--)
		if (i < s.len && s.ptr[i] == '.' && (end = host_end(c, s, i)) > 0)
			return end;
	if (dot + 1 > *checked)
		*checked = dot + 1;
	return 0;
}

struct span
header_find_host(struct eval_context *c, struct span s)
{
	size_t end, checked = 0;

	if (eval_uri_rules(c) == NULL)
		return (struct span){ NULL, 0 };
	/* behind an @ first, the last one: the user may look like a host */
	for (size_t at = s.len; at-- > 0;) {
		size_t fresh = 0;

		if (s.ptr[at] != '@')
			continue;
		end = host_at(c, s, at + 1, &fresh);
		if (end > 0 && host_is_fqdn(span_of(s.ptr + at + 1,
				end - at - 1), true))
			return span_of(s.ptr + at + 1, end - at - 1);
		if (end > 0)
			break;
	}
	for (size_t i = 0; i < s.len; i++) {
		end = host_at(c, s, i, &checked);
		if (end == 0)
			continue;
		if (host_is_fqdn(span_of(s.ptr + i, end - i), true))
			return span_of(s.ptr + i, end - i);
		i = end - 1;
	}
	return (struct span){ NULL, 0 };
}

struct span
header_find_address_host(struct span s)
{
	size_t at = s.len, n;

	while (at > 0 && s.ptr[at - 1] != '@')
		at--;
	if (at == 0)
		return (struct span){ NULL, 0 };
	s = span_from(s, at);
	for (n = 0; n < s.len && !ascii_is_space(s.ptr[n]); n++)
		;
	return n > 0 ? span_of(s.ptr, n) : (struct span){ NULL, 0 };
}

/* Length of a dotted quad at s, without leading zeros; 0: none */
static size_t
quad_length(struct span s)
{
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		unsigned value = 0;
		size_t start;

		if (i > 0 && (n == s.len || s.ptr[n++] != '.'))
			return 0;
		start = n;
		while (n < s.len && n - start < 3 && ascii_is_digit(s.ptr[n]))
			value = value * 10 + (unsigned)(s.ptr[n++] - '0');
		if (n == start || value > 255 ||
		    (n - start > 1 && s.ptr[start] == '0'))
			return 0;
	}
	return n;
}

static bool
is_v6(char c)
{
	return ascii_hex_value(c) >= 0 || c == ':';
}

/* The same for an IPv6 address, which "IPv6:" may introduce */
static size_t
v6_length(struct span s, bool inside)
{
	enum { LONGEST = 46 };
	size_t start = span_istarts(s, "IPv6:") ? 5 : 0, n = start, quad;
	struct netaddr addr;

	if (start == 0 && inside)
		return 0;
	while (n < s.len && n - start < LONGEST && is_v6(s.ptr[n]))
		n++;
	if (n < s.len && s.ptr[n] == '.') {
		while (n > start && s.ptr[n - 1] != ':')
			n--;
		quad = quad_length(span_from(s, n));
		n = quad > 0 ? n + quad : start;
	}
	if (memchr(s.ptr + start, ':', n - start) == NULL ||
	    (n < s.len && is_v6(s.ptr[n])))
		return 0;
	return netaddr_parse(span_of(s.ptr + start, n - start), &addr) ? n : 0;
}

struct span
header_find_ip(struct arena *a, struct span s, bool reversed)
{
	for (size_t i = 0; i < s.len; i++) {
		char before = i > 0 ? s.ptr[i - 1] : ' ';
		size_t n = 0;
		struct netaddr addr;
		char text[80], *p;

		if (before == '.' || is_word(before) == is_word(s.ptr[i]) ||
		    !(is_v6(s.ptr[i]) || (s.ptr[i] | 0x20) == 'i'))
			continue;
		if (before != ':')
			n = quad_length(span_from(s, i));
		if (n > 0 && i + n < s.len &&
		    (is_word(s.ptr[i + n]) || s.ptr[i + n] == '.'))
			n = 0;
		if (n == 0) {
			n = v6_length(span_from(s, i), is_v6(before));
			if (n > 0 && (is_word(s.ptr[i + n - 1]) ==
				(i + n < s.len && is_word(s.ptr[i + n])) ||
			    (i + n < s.len && s.ptr[i + n] == '.')))
				n = 0;
		}
		if (n == 0 || !netaddr_parse(span_of(s.ptr + i, n), &addr))
			continue;
		if (!reversed)
			return span_of(s.ptr + i, n);
		p = arena_strdup(a, netaddr_reverse(&addr, false, text));
		return span_of(p, p != NULL ? strlen(p) : 0);
	}
	return (struct span){ NULL, 0 };
}
