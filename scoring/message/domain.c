/* Hosts, their registered domains, and whether they can exist */
#include <idn2.h>
#include <libpsl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/netaddr.h"
#include "scoring/message/views.h"

enum { MAX_HOST = 253 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const psl_ctx_t *psl;

static void
psl_open(void)
{
	psl = psl_latest(NULL);
	if (psl == NULL)
		psl = psl_builtin();
}

static struct span
trim_dots(struct span s)
{
	while (s.len > 0 && s.ptr[0] == '.')
		s = span_from(s, 1);
	while (s.len > 0 && s.ptr[s.len - 1] == '.')
		s.len--;
	return s;
}

bool
host_is_fqdn(struct span h, bool utf8)
{
	unsigned labels = 0;
	size_t end;

	while (h.len > 0 && h.ptr[h.len - 1] == '.')
		h.len--;
	if (h.len == 0 || h.len > MAX_HOST)
		return false;
	for (end = h.len;; labels++) {
		size_t start = end;

		while (start > 0 && h.ptr[start - 1] != '.')
			start--;
		if (end == start || end - start > 63)
			return false;
		for (size_t i = start; i < end; i++) {
			char c = h.ptr[i];
			bool edge = i == start || i + 1 == end;

			/* "_" is good for hosts, not for domains */
			if (!(ascii_is_alnum(c) || (utf8 && (c & 0x80) != 0) ||
			    (c == '_' && labels >= 2) || (c == '-' && !edge)))
				return false;
		}
		if (start == 0)
			break;
		end = start - 1;
	}
	return labels >= 1;
}

static bool
psl_is_tld(struct span tld)
{
	char name[64];

	if (tld.len == 0 || tld.len >= sizeof(name) ||
	    memchr(tld.ptr, '\0', tld.len) != NULL)
		return false;
	memcpy(name, tld.ptr, tld.len);
	name[tld.len] = '\0';
	pthread_once(&once, psl_open);
	return psl != NULL && psl_is_public_suffix2(psl, name,
	    PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE) == 1;
}

bool
uri_tld_is_valid(const struct uri_rules *rules, struct span tld)
{
	char low[64];

	if (tld.len == 0 || tld.len >= sizeof(low))
		return false;
	for (size_t i = 0; i < tld.len; i++)
		low[i] = tld.ptr[i] >= 'A' && tld.ptr[i] <= 'Z' ?
		    (char)(tld.ptr[i] | 0x20) : tld.ptr[i];
	tld.ptr = low;
	if (rules != NULL && rules->tld_is_valid != NULL)
		return rules->tld_is_valid(rules->ctx, tld);
	return psl_is_tld(tld);
}

bool
domain_is_valid(struct span host, const struct uri_rules *rules)
{
	size_t n = host.len;

	for (size_t i = 0; i < host.len; i++)
		if (host.ptr[i] == ' ' ||
		    (host.ptr[i] >= '\t' && host.ptr[i] <= '\r'))
			return false;
	while (n > 0 && host.ptr[n - 1] != '.')
		n--;
	return n > 0 && uri_tld_is_valid(rules, span_from(host, n));
}

static bool
is_us_state(struct span s)
{
	static const char states[] = "akalarazcacoctdcdeflgagu"
	    "hiiaidilinkskylamamdmemimnmomsmtncndnenhnjnmnvny"
	    "ohokorpaprriscsdtntxutvavivtwawiwvwy";

	if (s.len != 2)
		return false;
	for (size_t i = 0; i + 1 < sizeof(states); i += 2)
		if (memcmp(states + i, s.ptr, 2) == 0)
			return true;
	return false;
}

static struct span
label(struct span s, unsigned n)
{
	while (n-- > 0)
		s = span_from(s, span_find(s, '.') + 1);
	s.len = span_find(s, '.');
	return s;
}

/* s is a registry: names below it belong to different people. */
static bool
is_registry(struct span s, unsigned labels, const struct uri_rules *rules)
{
	switch (labels) {
	case 2:
		return rules->is_two_level != NULL &&
		    rules->is_two_level(rules->ctx, s);
	case 3:
		/* RFC 1480: locality.STATE.us */
		if (span_is(label(s, 2), "us"))
			return is_us_state(label(s, 1));
		return rules->is_three_level != NULL &&
		    rules->is_three_level(rules->ctx, s);
	case 4:
		return span_is(label(s, 3), "us") && is_us_state(label(s, 2)) &&
		    ((span_is(label(s, 0), "pvt") && span_is(label(s, 1), "k12")) ||
		    (label(s, 0).len >= 2 && label(s, 0).ptr[0] == 'c' &&
		    (label(s, 0).ptr[1] == 'i' || label(s, 0).ptr[1] == 'o')));
	default:
		return false;
	}
}

static struct span
psl_registered(struct span host)
{
	char name[MAX_HOST + 1];
	const char *found;

	if (host.len >= sizeof(name) || memchr(host.ptr, '\0', host.len) != NULL)
		return host;
	memcpy(name, host.ptr, host.len);
	name[host.len] = '\0';
	pthread_once(&once, psl_open);
	found = psl != NULL ? psl_registrable_domain(psl, name) : NULL;
	return found != NULL ? span_from(host, (size_t)(found - name)) : host;
}

struct span
domain_registered(struct span host, const struct uri_rules *rules)
{
	struct span s, last;
	unsigned labels = 1;

	host = trim_dots(host);
	if (rules == NULL || (rules->is_two_level == NULL &&
	    rules->is_three_level == NULL))
		return psl_registered(host);
	for (size_t i = 0; i < host.len; i++)
		labels += host.ptr[i] == '.';
	s = last = host;
	while (labels > 1 && !is_registry(s, labels, rules)) {
		last = s;
		s = span_from(s, span_find(s, '.') + 1);
		labels--;
	}
	return last;
}

static bool
is_ip(struct span h)
{
	struct netaddr ip;

	return h.len > 0 && h.ptr[0] != '[' && netaddr_parse(h, &ip);
}

/* %21..%7e would have been decoded in the canonical form. */
static bool
has_encoded(struct span s)
{
	for (size_t i = 0; i + 2 < s.len; i++) {
		char a = s.ptr[i + 1], b = s.ptr[i + 2];

		if (s.ptr[i] != '%' || a < '2' || a > '7')
			continue;
		if (((b >= '0' && b <= '9') || (b >= 'a' && b <= 'f')) &&
		    !(a == '2' && b == '0') && !(a == '7' && b == 'f'))
			return true;
	}
	return false;
}

bool
host_to_ascii(struct arena *a, struct span *s)
{
	static const char *const dots[] = { "\xe3\x80\x82", "\xef\xbc\x8e",
		"\xef\xbd\xa1" };
	char text[4 * MAX_HOST], *ascii = NULL;
	bool plain = true;
	size_t n = 0;

	for (size_t i = 0; i < s->len; i++)
		plain &= (unsigned char)s->ptr[i] < 0x80;
	if (plain || s->len >= sizeof(text) ||
	    memchr(s->ptr, '\0', s->len) != NULL)
		return true;
	for (size_t i = 0; i < s->len;) {
		size_t k = 0;

		while (k < 3 && (s->len - i < 3 ||
			memcmp(s->ptr + i, dots[k], 3) != 0))
			k++;
		text[n++] = k < 3 ? '.' : s->ptr[i];
		i += k < 3 ? 3 : 1;
	}
	text[n] = '\0';
	if (idn2_to_ascii_8z(text, &ascii,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
		*s = arena_span(a, span_cstr(ascii));
	idn2_free(ascii);
	return s->ptr != NULL;
}

bool
uri_to_domain(struct arena *a, struct span uri, const struct uri_rules *rules,
    struct span *ret_host, struct span *ret_domain)
{
	char *low = arena_bytes(a, uri.len);
	struct span s = { low, uri.len };
	size_t n;

	if (low == NULL)
		return false;
	for (size_t i = 0; i < uri.len; i++)
		low[i] = uri.ptr[i] >= 'A' && uri.ptr[i] <= 'Z' ?
		    (char)(uri.ptr[i] | 0x20) : uri.ptr[i];
	if (span_istarts(s, "javascript:") || span_istarts(s, "cid:") ||
	    span_istarts(s, "file:"))
		return false;
	if (span_istarts(s, "mailto:")) {
		s = span_from(s, 7);
		s.len = span_find(s, '?');
		n = span_find(s, '@');
		if (n == s.len)
			return false;
		s = span_from(s, n + 1);
		if (span_find(s, '@') < s.len)
			return false;
	} else {
		n = 0;
		while (n < s.len && s.ptr[n] >= 'a' && s.ptr[n] <= 'z')
			n++;
		if (n > 0 && n < s.len && s.ptr[n] == ':') {
			n++;
			for (int i = 0; i < 2 && n < s.len && s.ptr[n] == '/'; i++)
				n++;
			s = span_from(s, n);
		}
		for (n = 0; n < s.len && s.ptr[n] != '/' && s.ptr[n] != '?' &&
		     s.ptr[n] != '#';)
			n++;
		s.len = n;
		while ((n = span_find(s, '@')) < s.len)
			s = span_from(s, n + 1);
		n = s.len;
		while (n > 0 && s.ptr[n - 1] >= '0' && s.ptr[n - 1] <= '9')
			n--;
		if (n > 0 && s.ptr[n - 1] == ':')
			s.len = n - 1;
	}
	if (has_encoded(s))
		return false;
	/* what a browser would look up; a name left in UTF-8 would be a link
	 * that no list is asked about */
	if (!host_to_ascii(a, &s))
		return false;
	*ret_host = *ret_domain = s;
	if (is_ip(s))
		return true;
	if (!host_is_fqdn(s, false) || !domain_is_valid(s, rules))
		return false;
	*ret_domain = domain_registered(s, rules);
	return true;
}
