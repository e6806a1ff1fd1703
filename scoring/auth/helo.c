/*
 * What the HELO name and the domain of MAIL FROM are worth (RFC 5321 4.1.1.1,
 * 4.1.3, 5.1; RFC 7505): the facts behind Postfix's reject_..._helo_hostname
 * and reject_unknown_sender_domain.
 */
#include <ctype.h>
#include <errno.h>

#include "scoring/auth/auth_internal.h"

/* RFC 5321 Domain, with the underscore that Postfix allows too; all digits
 * and dots is an address without its brackets */
static bool
hostname_valid(struct span s)
{
	bool alpha = false;
	size_t label = 0;

	if (s.len > 0 && s.ptr[s.len - 1] == '.')
		s.len--;
	if (s.len == 0 || s.len > 255)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '.') {
			if (label == 0 || s.ptr[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!isalnum(c) && c != '-' && c != '_' && c < 0x80)
			return false;
		if ((c == '-' && label == 0) || ++label > 63)
			return false;
		alpha |= !isdigit(c);
	}
	return alpha && label != 0 && s.ptr[s.len - 1] != '-';
}

static bool
has_dot(struct span s)
{
	if (s.len > 0 && s.ptr[s.len - 1] == '.')
		s.len--;
	return memchr(s.ptr, '.', s.len) != NULL;
}

static bool
is_literal(struct span s)
{
	return s.len > 0 && s.ptr[0] == '[';
}

static void
host_begin(struct auth *x, const char *name)
{
	dns_start(x->dns, name, DNS_A);
	dns_start(x->dns, name, DNS_AAAA);
	dns_start(x->dns, name, DNS_MX);
}

void
helo_begin(struct auth *x)
{
	struct span helo = span_cstr(x->helo);
	char name[DNS_NAME_TEXT];

	if (!is_literal(helo) && hostname_valid(helo) && has_dot(helo) &&
	    auth_domain_ascii(helo, name))
		host_begin(x, name);
}

static bool
names_us(struct auth *x, const char *name)
{
	const struct scoring_settings *s = x->settings;
	char ours[DNS_NAME_TEXT];

	if (auth_domain_ascii(span_cstr(x->context->hostname), ours) &&
	    strcmp(ours, name) == 0)
		return true;
	if (s->authserv_id != NULL &&
	    auth_domain_ascii(span_cstr(s->authserv_id), ours) &&
	    strcmp(ours, name) == 0)
		return true;
	for (size_t i = 0; i < s->local_domains.count; i++)
		if (auth_domain_ascii(span_cstr(s->local_domains.items[i]),
		    ours) && strcmp(ours, name) == 0)
			return true;
	return false;
}

int
helo_finish(struct auth *x, struct evidence *e)
{
	struct helo_evidence *h = &e->helo;
	struct span helo = span_cstr(x->helo);
	const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_MX };
	char name[DNS_NAME_TEXT];
	struct check trouble = { CHECK_DONE, NULL };

	if (x->helo == NULL) {
		h->check = (struct check){ CHECK_NOT_RUN, "no HELO" };
		return 0;
	}
	h->check = (struct check){ CHECK_NOT_RUN, "not a host name" };
	if (is_literal(helo)) {
		struct netaddr a;

		h->literal = true;
		h->invalid = !netaddr_parse(helo, &a);
		h->literal_mismatch = !h->invalid && x->client.family != 0 &&
		    !netaddr_eq(&a, &x->client);
		h->matches_client = !h->invalid && x->client.family != 0 &&
		    !h->literal_mismatch;
		h->check.why = "address literal";
		return 0;
	}
	h->invalid = !hostname_valid(helo);
	h->non_fqdn = !h->invalid && !has_dot(helo);
	if (h->invalid || !auth_domain_ascii(helo, name))
		return 0;
	h->is_us = names_us(x, name);
	if (h->non_fqdn)
		return 0;
	h->check = (struct check){ CHECK_DONE, NULL };
	for (size_t i = 0; i < 3; i++) {
		const struct dns_answer *ans = dns_lookup(x->dns, name,
		    types[i]);
		struct check c = auth_check_of(ans->status);

		if (ans->status == DNS_FOUND) {
			h->resolves = true;
			if (types[i] != DNS_MX &&
			    auth_answer_has_address(ans, &x->client))
				h->matches_client = true;
		} else if (c.state != CHECK_DONE) {
			trouble = c;
		}
	}
	/* one answer is enough to resolve; without one, "no" needs them all */
	if (!h->resolves && trouble.state != CHECK_DONE)
		h->check = trouble;
	return 0;
}

/* Domain of MAIL FROM, ptr NULL when there is none */
static struct span
mail_from_domain(const char *mail_from)
{
	const char *at = mail_from != NULL ? strrchr(mail_from, '@') : NULL;

	return at != NULL ? span_cstr(at + 1) : span_of(NULL, 0);
}

void
sender_domain_begin(struct auth *x)
{
	struct span domain = mail_from_domain(x->mail_from);
	char name[DNS_NAME_TEXT];

	if (domain.len != 0 && !is_literal(domain) && has_dot(domain) &&
	    auth_domain_ascii(domain, name))
		host_begin(x, name);
}

int
sender_domain_finish(struct auth *x, struct evidence *e)
{
	struct sender_domain_evidence *s = &e->sender_domain;
	struct span domain = mail_from_domain(x->mail_from);
	const struct dns_answer *mx, *a, *aaaa;
	char name[DNS_NAME_TEXT];

	if (x->mail_from == NULL || x->mail_from[0] == '\0') {
		s->check = (struct check){ CHECK_NOT_RUN,
			x->mail_from == NULL ? "no envelope sender" :
					       "null sender" };
		return 0;
	}
	s->domain = arena_memdup(x->arena, domain.ptr != NULL ? domain.ptr : "",
	    domain.len);
	if (s->domain == NULL)
		return -ENOMEM;
	s->check = (struct check){ CHECK_NOT_RUN, "not a domain name" };
	if (is_literal(domain)) {
		s->check.why = "address literal";
		return 0;
	}
	s->non_fqdn = domain.len == 0 || !has_dot(domain);
	if (s->non_fqdn || !auth_domain_ascii(domain, name))
		return 0;
	mx = dns_lookup(x->dns, name, DNS_MX);
	a = dns_lookup(x->dns, name, DNS_A);
	aaaa = dns_lookup(x->dns, name, DNS_AAAA);
	s->check = (struct check){ CHECK_DONE, NULL };
	s->null_mx = mx->status == DNS_FOUND && mx->count == 1 &&
	    mx->records[0].data.len == 0;
	if (s->null_mx) /* RFC 7505: it says itself that it takes no mail */
		return 0;
	s->exists = mx->status == DNS_FOUND || a->status == DNS_FOUND ||
	    aaaa->status == DNS_FOUND;
	/* a null MX might hide behind an MX query that failed */
	s->check = auth_check_of(mx->status);
	if (s->check.state == CHECK_DONE && !s->exists) {
		s->check = auth_check_of(a->status);
		if (s->check.state == CHECK_DONE)
			s->check = auth_check_of(aaaa->status);
	}
	return 0;
}
