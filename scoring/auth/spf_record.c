#include <arpa/inet.h>
#include <ctype.h>

#include "base/ascii.h"
#include "scoring/auth/spf_record.h"

bool
spf_record_is_spf(struct span text)
{
	return span_istarts(text, "v=spf1") &&
	    (text.len == 6 || text.ptr[6] == ' ');
}

/* "/" and digits without leading zero at the end of *s, removed from it.
 * 0: there is none; 1: done; -1: not valid */
static int
cut_cidr(struct span *s, unsigned max, uint8_t *ret_len)
{
	size_t i = s->len, digits;
	unsigned v = 0;

	while (i > 0 && ascii_is_digit(s->ptr[i - 1]))
		i--;
	digits = s->len - i;
	if (digits == 0 || i == 0 || s->ptr[i - 1] != '/')
		return 0;
	if (digits > 3 || (digits > 1 && s->ptr[i] == '0'))
		return -1;
	for (size_t k = i; k < s->len; k++)
		v = v * 10 + (unsigned)(s->ptr[k] - '0');
	if (v > max)
		return -1;
	*ret_len = (uint8_t)v;
	s->len = i - 1;
	return 1;
}

/* dual-cidr-length at the end of *rest (5.3) */
static bool
cut_dual_cidr(struct span *rest, struct spf_term *t)
{
	struct span s = *rest;
	size_t i = s.len;

	t->cidr4 = 32;
	t->cidr6 = 128;
	while (i > 0 && ascii_is_digit(s.ptr[i - 1]))
		i--;
	if (i >= 2 && i < s.len && s.ptr[i - 1] == '/' && s.ptr[i - 2] == '/') {
		if (cut_cidr(&s, 128, &t->cidr6) < 0)
			return false;
		s.len--; /* the other slash */
	}
	if (cut_cidr(&s, 32, &t->cidr4) < 0)
		return false;
	*rest = s;
	return true;
}

static const char *
parse_ip(struct span rest, struct spf_term *t)
{
	bool v4 = t->mechanism == SPF_IP4;
	uint8_t prefix_len = v4 ? 32 : 128;
	char text[INET6_ADDRSTRLEN + 1];
	struct netaddr addr = { .family = v4 ? 4 : 6 };

	if (rest.len < 2 || rest.ptr[0] != ':')
		return "ip mechanism without address";
	rest = span_from(rest, 1);
	if (cut_cidr(&rest, v4 ? 32 : 128, &prefix_len) < 0)
		return "bad prefix length";
	if (rest.len == 0 || rest.len >= sizeof(text) ||
	    memchr(rest.ptr, '\0', rest.len) != NULL)
		return "bad address";
	memcpy(text, rest.ptr, rest.len);
	text[rest.len] = '\0';
	if (inet_pton(v4 ? AF_INET : AF_INET6, text, addr.bytes) != 1)
		return "bad address";
	t->net = network_of(&addr, prefix_len);
	return NULL;
}

static const struct {
	const char *name;
	enum spf_mechanism mechanism;
	bool needs_domain, may_have_domain, cidr;
} mechanisms[] = {
	{ "all", SPF_ALL, false, false, false },
	{ "include", SPF_INCLUDE, true, true, false },
	{ "a", SPF_A, false, true, true },
	{ "mx", SPF_MX, false, true, true },
	{ "ptr", SPF_PTR, false, true, false },
	{ "ip4", SPF_IP4, false, false, false },
	{ "ip6", SPF_IP6, false, false, false },
	{ "exists", SPF_EXISTS, true, true, false },
};

static const char *
parse_mechanism(struct span term, struct spf_term *t)
{
	size_t name_len = 0;
	struct span name, rest;

	t->qualifier = '+';
	if (term.len > 0 && strchr("+-~?", term.ptr[0]) != NULL &&
	    term.ptr[0] != '\0') {
		t->qualifier = term.ptr[0];
		term = span_from(term, 1);
	}
	while (name_len < term.len && term.ptr[name_len] != ':' &&
	    term.ptr[name_len] != '/')
		name_len++;
	name = span_of(term.ptr, name_len);
	rest = span_from(term, name_len);
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]);
	     i++) {
		if (!span_iis(name, mechanisms[i].name))
			continue;
		t->mechanism = mechanisms[i].mechanism;
		if (t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6)
			return parse_ip(rest, t);
		if (mechanisms[i].cidr && !cut_dual_cidr(&rest, t))
			return "bad prefix length";
		if (rest.len == 0)
			return mechanisms[i].needs_domain ?
			    "mechanism without domain" : NULL;
		if (!mechanisms[i].may_have_domain || rest.ptr[0] != ':')
			return "text behind a mechanism";
		t->domain = span_from(rest, 1);
		if (!spf_macro_check(t->domain, SPF_DOMAIN_SPEC))
			return "bad domain-spec";
		return NULL;
	}
	return "unknown mechanism";
}

/* Length of a modifier's name when term is one (name "=" ...), else 0 */
static size_t
modifier_name(struct span term)
{
	size_t i = 0;

	if (term.len == 0 || !ascii_is_alpha(term.ptr[0]))
		return 0;
	while (i < term.len && (ascii_is_alnum(term.ptr[i]) || term.ptr[i] == '-' ||
	    term.ptr[i] == '_' || term.ptr[i] == '.'))
		i++;
	return i < term.len && term.ptr[i] == '=' ? i : 0;
}

static const char *
parse_modifier(struct span name, struct span value, struct spf_record *r)
{
	struct span *slot = span_iis(name, "redirect") ? &r->redirect :
	    span_iis(name, "exp") ? &r->exp : NULL;

	if (slot == NULL)
		return spf_macro_check(value, SPF_MACRO_STRING) ? NULL :
		    "bad macro in a modifier";
	if (slot->ptr != NULL)
		return "modifier appears twice";
	if (!spf_macro_check(value, SPF_DOMAIN_SPEC))
		return "bad domain-spec in a modifier";
	*slot = value;
	return NULL;
}

const char *
spf_record_parse(struct arena *a, struct span text,
    struct spf_record *ret_record)
{
	struct spf_record r = { 0 };
	size_t terms = 0;

	if (!spf_record_is_spf(text))
		return "not an SPF record";
	text = span_from(text, 6);
	for (size_t i = 0; i < text.len; i++)
		terms += text.ptr[i] == ' ';
	if (terms > SPF_MAX_TERMS)
		return "too many terms";
	r.terms = ARENA_ARRAY(a, terms, struct spf_term);
	if (r.terms == NULL)
		return "out of memory";
	while (text.len > 0) {
		size_t end;
		struct span term;
		const char *wrong;
		size_t name_len;

		if (text.ptr[0] == ' ') {
			text = span_from(text, 1);
			continue;
		}
		end = span_find(text, ' ');
		term = span_of(text.ptr, end);
		text = span_from(text, end);
		name_len = modifier_name(term);
		if (name_len != 0)
			wrong = parse_modifier(span_of(term.ptr, name_len),
			    span_from(term, name_len + 1), &r);
		else
			wrong = parse_mechanism(term, &r.terms[r.count++]);
		if (wrong != NULL)
			return wrong;
	}
	*ret_record = r;
	return NULL;
}
