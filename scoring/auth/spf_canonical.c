/* What libspf2 is given of a record: words, prefix lengths and addresses that
 * we write, and aliases for names. */
#include "scoring/auth/spf_internal.h"

enum {
	/* Terms that libspf2 may see of one record: its counters are bytes.
	 * Address terms that do not match are left out beyond. */
	MAX_CANONICAL_TERMS = 200,
};

void
spf_fail(struct spf_evaluation *ev, enum auth_result error, const char *why)
{
	if (ev->error == AUTH_NONE) {
		ev->error = error;
		ev->why = why;
	}
}

struct spf_alias *
spf_alias_new(struct spf_evaluation *ev, struct spf_source *r, enum spf_alias_kind kind,
    struct span domain, size_t *ret_number)
{
	struct spf_alias *al;

	if (ev->alias_count >= SPF_MAX_ALIASES) {
		spf_fail(ev, AUTH_PERMERROR, "too many terms");
		return NULL;
	}
	*ret_number = ev->alias_count;
	al = &ev->aliases[ev->alias_count++];
	*al = (struct spf_alias){ .kind = kind, .record = r, .domain = domain };
	return al;
}

static void
put_qualifier(struct buf *out, char qualifier)
{
	buf_add_char(out, ' ');
	if (qualifier != '+')
		buf_add_char(out, qualifier);
}

static struct spf_alias *
put_alias(struct spf_evaluation *ev, struct spf_source *r, struct buf *out,
    const struct spf_term *t, const char *word, enum spf_alias_kind kind)
{
	size_t number;
	struct spf_alias *al = spf_alias_new(ev, r, kind, t->domain, &number);

	if (al == NULL)
		return NULL;
	put_qualifier(out, t->qualifier);
	buf_printf(out, "%s:t%zu." SPF_ALIAS_ZONE, word, number);
	return al;
}

/* False: the rest of the record can not be reached. */
static bool
put_term(struct spf_evaluation *ev, struct spf_source *r, struct buf *out,
    const struct spf_term *t, bool crowded)
{
	const struct netaddr *ip = &ev->query->ip;
	unsigned cidr = ip->family == 6 ? t->cidr6 : t->cidr4;
	char text[NETADDR_TEXT];
	struct spf_alias *al;

	switch (t->mechanism) {
	case SPF_ALL:
		put_qualifier(out, t->qualifier);
		buf_add_str(out, "all");
		return false;
	case SPF_IP4:
	case SPF_IP6:
		/* the other family can not match (5.6) */
		if (ip->family != (t->mechanism == SPF_IP6 ? 6 : 4) ||
		    (crowded && !network_contains(&t->net, ip)))
			return true;
		put_qualifier(out, t->qualifier);
		if (t->net.prefix_len == 0) { /* libspf2 refuses /0 */
			buf_add_str(out, "all");
			return false;
		}
		buf_printf(out, "%s:%s/%u",
		    t->mechanism == SPF_IP6 ? "ip6" : "ip4",
		    netaddr_format(&t->net.addr, text), t->net.prefix_len);
		/* behind one that matches nothing is reached */
		return !network_contains(&t->net, ip);
	case SPF_A:
	case SPF_MX:
		al = put_alias(ev, r, out, t,
		    t->mechanism == SPF_A ? "a" : "mx", ALIAS_TERM);
		if (al == NULL)
			return false;
		al->any_address = cidr == 0;
		if (cidr != 0)
			buf_printf(out, "%s/%u",
			    ip->family == 6 ? "/" : "", cidr);
		return true;
	case SPF_INCLUDE:
		return put_alias(ev, r, out, t, "include", ALIAS_TERM) != NULL;
	case SPF_EXISTS:
		return put_alias(ev, r, out, t, "exists", ALIAS_TERM) != NULL;
	case SPF_PTR:
		/* libspf2 would compare the names with the alias, and gives
		 * permerror for more than ten: we answer an exists instead */
		return put_alias(ev, r, out, t, "exists", ALIAS_PTR) != NULL;
	}
	return false;
}

static bool
is_lookup(enum spf_mechanism m)
{
	return m != SPF_ALL && m != SPF_IP4 && m != SPF_IP6;
}

void
spf_put_record(struct spf_evaluation *ev, struct spf_source *r, struct buf *out)
{
	unsigned lookups = 0, addresses = 0;
	bool open = true;

	buf_add_str(out, "v=spf1");
	for (size_t i = 0; open && i < r->parsed.count; i++) {
		const struct spf_term *t = &r->parsed.terms[i];

		/* the eleventh is an error when it is reached */
		if (is_lookup(t->mechanism) &&
		    lookups++ > SPF_MAX_LOOKUPS)
			break;
		if (!is_lookup(t->mechanism))
			addresses++;
		open = put_term(ev, r, out, t, addresses > MAX_CANONICAL_TERMS);
	}
	if (open && r->parsed.redirect.ptr != NULL &&
	    lookups <= SPF_MAX_LOOKUPS) {
		size_t number;
		struct spf_alias *al = spf_alias_new(ev, r, ALIAS_TERM,
		    r->parsed.redirect, &number);

		if (al == NULL)
			return;
		al->redirect = true;
		buf_printf(out, " redirect=t%zu." SPF_ALIAS_ZONE, number);
	}
}

