/*
 * Starts, as far ahead as the records that have come allow, the lookups that
 * an SPF evaluation will ask for one after the other. Only a saving of time:
 * libspf2 decides, and what it does not find here it asks itself.
 */
#include "scoring/auth/auth_internal.h"

struct prefetch {
	struct spf_macros macros;
	unsigned lookups; /* terms seen so far, over all records */
};

struct prefetch_record {
	struct prefetch *all;
	const char *domain;
};

static void record_begin(struct auth *x, struct prefetch *p,
    const char *domain);

static void
mx_then(struct auth *x, void *arg, const struct dns_answer *ans)
{
	struct prefetch *p = arg;

	if (ans->count > SPF_MAX_MX)
		return;
	for (size_t i = 0; i < ans->count; i++)
		if (ans->records[i].data.len != 0)
			dns_start(x->dns, ans->records[i].data.ptr,
			    p->macros.ip.family == 6 ? DNS_AAAA : DNS_A);
}

/* The name of a term; NULL: none, or only evaluation can tell */
static const char *
term_name(struct auth *x, struct prefetch_record *pr, struct span domain)
{
	char name[DNS_NAME_TEXT], *copy;
	bool invalid;

	if (domain.ptr == NULL)
		return pr->domain;
	pr->all->macros.domain = span_cstr(pr->domain);
	if (!spf_macro_expand_name(&pr->all->macros, domain, name, &invalid))
		return NULL;
	copy = arena_strdup(x->arena, name);
	x->no_memory |= copy == NULL;
	return copy;
}

static void
record_then(struct auth *x, void *arg, const struct dns_answer *ans)
{
	struct prefetch_record *pr = arg;
	struct prefetch *p = pr->all;
	const struct netaddr *ip = &p->macros.ip;
	uint16_t address = ip->family == 6 ? DNS_AAAA : DNS_A;
	struct spf_record r;
	struct span text;
	const char *name;

	if (spf_record_select(ans, &text) != 1 ||
	    spf_record_parse(x->arena, text, &r) != NULL)
		return;
	for (size_t i = 0; i < r.count; i++) {
		const struct spf_term *t = &r.terms[i];

		if (t->mechanism == SPF_ALL)
			return;
		if (t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6) {
			if (network_contains(&t->net, ip))
				return;
			continue;
		}
		if (++p->lookups > SPF_MAX_LOOKUPS)
			return;
		name = term_name(x, pr, t->domain);
		if (name == NULL)
			continue;
		switch (t->mechanism) {
		case SPF_INCLUDE:
			record_begin(x, p, name);
			break;
		case SPF_A:
			dns_start(x->dns, name, address);
			break;
		case SPF_EXISTS:
			dns_start(x->dns, name, DNS_A);
			break;
		case SPF_MX:
			auth_ask(x, name, DNS_MX, mx_then, p);
			break;
		default: /* PTR: iprev has asked that already */
			break;
		}
	}
	if (r.redirect.ptr != NULL && ++p->lookups <= SPF_MAX_LOOKUPS) {
		name = term_name(x, pr, r.redirect);
		if (name != NULL)
			record_begin(x, p, name);
	}
}

static void
record_begin(struct auth *x, struct prefetch *p, const char *domain)
{
	struct prefetch_record *pr = ARENA_NEW(x->arena,
	    struct prefetch_record);

	if (pr == NULL) {
		x->no_memory = true;
		return;
	}
	pr->all = p;
	pr->domain = domain;
	auth_ask(x, domain, DNS_TXT, record_then, pr);
}

void
spf_begin(struct auth *x, const struct spf_query *q)
{
	struct prefetch *p;
	char domain[DNS_NAME_TEXT];
	const char *name;

	if (q->ip.family == 0 || !spf_domain_valid(q->domain, domain))
		return;
	p = ARENA_NEW(x->arena, struct prefetch);
	name = arena_strdup(x->arena, domain);
	if (p == NULL || name == NULL) {
		x->no_memory = true;
		return;
	}
	p->macros = spf_query_macros(q);
	record_begin(x, p, name);
}
