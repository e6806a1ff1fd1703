/*
 * DNSEval: DNS lists asked about the relays' addresses, the authors' and
 * envelope sender's domains (RFC 5782).
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/dnsq.h"

enum subject { OF_RELAYS, OF_FROM_HOSTS, OF_FROM_DOMAINS, OF_ENVFROM,
	OF_LAST_RELAY, OF_HEADERS, OF_SERVERS };

enum hops { PART_ALL, PART_NOT_FIRST_HOP, PART_LAST_EXTERNAL,
	PART_FIRST_TRUSTED, PART_UNTRUSTED };

/* One check_rbl…() call as prepared; check_rbl_sub() shares its lookups */
struct lookup {
	enum subject subject;
	enum hops part;
	struct span set;
	const char *zone;
	const char *headers;    /* OF_HEADERS; NULL: rbl_headers */
	struct span accreditor; /* ptr NULL: need not be named in the mail */
	uint16_t type;
	bool nice, ips_only, domains_only;
	struct dns_filter filter;
};

enum { MAX_IPS = 64, CHECK_LAST = 9 };

struct dnseval {
	bool off;		/* skip_rbl_checks */
	const char *headers;	/* rbl_headers */
	struct strings originating;
};

struct ips {
	struct netaddr list[MAX_IPS];
	size_t count;
};

static void
ips_add(struct ips *s, const struct netaddr *ip)
{
	if (ip->family == 0 || netaddr_is_private(ip) || s->count == MAX_IPS)
		return;
	for (size_t i = 0; i < s->count; i++)
		if (netaddr_eq(&s->list[i], ip))
			return;
	s->list[s->count++] = *ip;
}

static bool
ends_with(struct span s, const char *tail)
{
	size_t n = strlen(tail);

	return s.len >= n && span_is(span_from(s, s.len - n), tail);
}

static enum hops
part_of(struct span set)
{
	return ends_with(set, "-notfirsthop") ? PART_NOT_FIRST_HOP :
	    ends_with(set, "-lastexternal")   ? PART_LAST_EXTERNAL :
	    ends_with(set, "-firsttrusted")   ? PART_FIRST_TRUSTED :
	    ends_with(set, "-untrusted")      ? PART_UNTRUSTED :
						PART_ALL;
}

/* Addresses that webmail writes down for its user */
static int
originating(struct eval_context *ctx, struct ips *out)
{
	const struct dnseval *state = eval_state(ctx);

	for (size_t i = 0; i < state->originating.count; i++) {
		struct span v;

		if (!eval_get(ctx, state->originating.items[i], &v)) {
			if (v.ptr == NULL)
				return -ENOMEM;
			continue;
		}
		while (v.len > 0) {
			static const char in_address[] =
			    "0123456789abcdefABCDEF:.";
			struct netaddr a;
			size_t n = 0;

			while (n < v.len && v.ptr[n] != '\0' &&
			    strchr(in_address, v.ptr[n]) != NULL)
				n++;
			if (n > 0 && netaddr_parse(span_of(v.ptr, n), &a) &&
			    !netset_contains(&eval_input(ctx)->settings->
				trusted_networks, &a))
				ips_add(out, &a);
			v = span_from(v, n > 0 ? n : 1);
		}
	}
	return 0;
}

static int
relay_ips(struct eval_context *ctx, const struct lookup *l, struct ips *out)
{
	const struct scoring_settings *settings = eval_input(ctx)->settings;
	const struct relays *relays = eval_input(ctx)->relays;
	bool external = l->part == PART_NOT_FIRST_HOP ||
	    l->part == PART_LAST_EXTERNAL;
	size_t from = 0, n;
	int r = 0;

	*out = (struct ips){ .count = 0 };
	for (size_t i = 0; relays != NULL && i < relays->count; i++) {
		const struct received_hop *hop = &relays->hops[i];

		if (!hop->ignored && hop->parsed &&
		    (external ? !hop->internal : !hop->trusted))
			ips_add(out, &hop->ip);
	}
	if (!external)
		r = originating(ctx, out);
	switch (l->part) {
	case PART_NOT_FIRST_HOP:
		/* the author's own address, unless it is all there is */
		if (out->count > 1)
			out->count--;
		break;
	case PART_LAST_EXTERNAL:
	case PART_FIRST_TRUSTED:
		out->count = out->count > 0;
		break;
	case PART_UNTRUSTED:
		from = out->count > 0;
		break;
	case PART_ALL:
		for (size_t i = 0; i < out->count / 2; i++) {
			struct netaddr t = out->list[i];

			out->list[i] = out->list[out->count - 1 - i];
			out->list[out->count - 1 - i] = t;
		}
		break;
	}
	if (out->count > from + CHECK_LAST)
		out->count = from + CHECK_LAST;
	/* allow lists may vouch for trusted hosts, block lists not condemn */
	for (n = from; !l->nice && n < out->count &&
	     netset_contains(&settings->trusted_networks, &out->list[n]); n++)
		;
	from = n;
	memmove(out->list, out->list + from, (out->count - from) * sizeof(out->list[0]));
	out->count -= from;
	return r;
}

/* A host; addresses are asked reversed */
static void
add_host(struct eval_context *ctx, const struct lookup *l,
    struct dnsq_names *n, struct span host)
{
	struct netaddr a;

	if (host.len > 0 && host.ptr[0] != '[' && netaddr_parse(host, &a)) {
		if (!l->domains_only)
			dnsq_add_ip(ctx, n, &a, l->zone);
	} else if (!l->ips_only && host_is_fqdn(host, false) &&
	    domain_is_valid(host, eval_uri_rules(ctx)))
		dnsq_add(ctx, n, host, l->zone);
}

/* The host of an address, runs of dots as one; empty: none with a dot */
static struct span
host_of(struct eval_context *ctx, struct span address)
{
	size_t at = span_find(address, '@'), n = 0, dots = 0;
	struct span rest = span_from(address, at + 1);
	char *p;

	rest.len = span_find(rest, '@');
	for (size_t i = 0; i < rest.len; i++)
		if (span_is_wsp(rest.ptr[i]))
			rest.len = i;
	while (rest.len > 0 && rest.ptr[0] == '.')
		rest = span_from(rest, 1);
	while (rest.len > 0 && rest.ptr[rest.len - 1] == '.')
		rest.len--;
	p = arena_memdup(eval_input(ctx)->arena, rest.ptr, rest.len);
	if (p == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] == '.' && n > 0 && p[n - 1] == '.')
			continue;
		dots += rest.ptr[i] == '.';
		p[n++] = rest.ptr[i];
	}
	return span_of(p, dots > 0 ? n : 0);
}

static void
add_address(struct eval_context *ctx, const struct lookup *l,
    struct dnsq_names *n, struct span address)
{
	struct span host = host_of(ctx, address);

	if (host.ptr == NULL)
		n->error = -ENOMEM;
	else if (host.len > 0)
		add_host(ctx, l, n, host);
}

static void
names_of_headers(struct eval_context *ctx, const struct lookup *l,
    struct dnsq_names *n)
{
	const struct dnseval *state = eval_state(ctx);
	struct span rest = span_cstr(l->headers != NULL ? l->headers :
							  state->headers);

	while (rest.len > 0 && n->error == 0) {
		struct span name = span_of(rest.ptr, span_find(rest, ','));
		char *request = arena_printf(eval_input(ctx)->arena, "%.*s:addr",
		    SPAN_ARG(span_trim(name)));
		char *plain = arena_printf(eval_input(ctx)->arena, "%.*s",
		    SPAN_ARG(span_trim(name)));
		struct span v;

		rest = span_from(rest, name.len + 1);
		if (request == NULL || plain == NULL) {
			n->error = -ENOMEM;
			return;
		}
		if (eval_get(ctx, request, &v) && span_find(v, '@') < v.len)
			add_address(ctx, l, n, v);
		else if (eval_get(ctx, plain, &v))
			for (; v.len > 0; v = span_from(v, span_find(v, '\n') + 1))
				add_host(ctx, l, n, span_of(v.ptr,
					span_find(v, '\n')));
	}
}

/* "a--NAME." in the envelope sender's host, or NAME in an Accreditor field */
static bool
is_accredited(struct eval_context *ctx, struct span name)
{
	struct span v;

	if (eval_get(ctx, "EnvelopeFrom:addr", &v))
		for (size_t i = 0; i + 4 + name.len < v.len; i++)
			if ((v.ptr[i] == '@' || v.ptr[i] == '.') &&
			    span_istarts(span_from(v, i + 1), "a--") &&
			    span_ieq(span_of(v.ptr + i + 4, name.len), name) &&
			    v.ptr[i + 4 + name.len] == '.')
				return true;
	if (!eval_get(ctx, "Accreditor", &v))
		return false;
	while (v.len > 0) {
		struct span item = span_trim(span_of(v.ptr, span_find(v, ',')));
		size_t n = 0;

		v = span_from(v, span_find(v, ',') + 1);
		while (n < item.len && !span_is_wsp(item.ptr[n]))
			n++;
		if (span_ieq(span_of(item.ptr, n), name))
			return true;
	}
	return false;
}

/* check_rbl_ns_from: the names of the name servers of the envelope sender's
 * domain. A host of that domain has none of its own. */
static void
add_servers(struct dnsq_chain *c, const struct lookup *l)
{
	struct span v, host, names[DNSQ_MAX_RECORDS], ask[2];
	size_t n = 0;

	if (!eval_get(c->ctx, "EnvelopeFrom:addr", &v)) {
		c->names.error = v.ptr != NULL ? 0 : -ENOMEM;
		return;
	}
	host = host_of(c->ctx, v);
	if (host.ptr == NULL)
		c->names.error = -ENOMEM;
	if (host.len == 0)
		return;
	ask[0] = host;
	ask[1] = domain_registered(host, eval_uri_rules(c->ctx));
	for (size_t i = 0; i < 2 && n == 0; i++) {
		const struct dns_evidence *d = dnsq_follow(c, ask[i], DNS_NS,
		    l->zone);

		if (d == NULL)
			return;
		n = dnsq_sorted(d, names);
	}
	for (size_t i = 0; i < n; i++)
		if (host_is_fqdn(names[i], false))
			dnsq_add(c->ctx, &c->names, names[i], l->zone);
}

static void
names_of(struct dnsq_chain *c, const struct lookup *l)
{
	struct eval_context *ctx = c->ctx;
	const struct relays *relays = eval_input(ctx)->relays;
	struct dnsq_names *n = &c->names;
	struct span *list, v;
	struct ips ips;
	size_t count;

	if (l->accreditor.ptr != NULL && !is_accredited(ctx, l->accreditor))
		return;
	switch (l->subject) {
	case OF_RELAYS:
		n->error = relay_ips(ctx, l, &ips);
		for (size_t i = 0; i < ips.count; i++)
			dnsq_add_ip(ctx, n, &ips.list[i], l->zone);
		break;
	case OF_FROM_HOSTS:
	case OF_FROM_DOMAINS:
		n->error = addr_all_from(ctx, &list, &count);
		for (size_t i = 0; n->error == 0 && i < count; i++) {
			v = host_of(ctx, list[i]);
			if (v.ptr == NULL)
				n->error = -ENOMEM;
			else if (v.len > 0)
				add_host(ctx, l, n,
				    l->subject == OF_FROM_HOSTS ? v :
				    domain_registered(v, eval_uri_rules(ctx)));
		}
		break;
	case OF_ENVFROM:
		if (eval_get(ctx, "EnvelopeFrom:addr", &v))
			add_address(ctx, l, n, v);
		else if (v.ptr == NULL)
			n->error = -ENOMEM;
		break;
	case OF_LAST_RELAY:
		for (size_t i = relays != NULL ? relays->count : 0; i > 0; i--) {
			const struct received_hop *hop = &relays->hops[i - 1];

			if (hop->ignored || !hop->parsed || hop->trusted)
				continue;
			if (!l->domains_only)
				dnsq_add_ip(ctx, n, &hop->ip, l->zone);
			add_host(ctx, l, n, span_cstr(hop->by));
			add_host(ctx, l, n, span_cstr(hop->helo));
			add_host(ctx, l, n, span_cstr(hop->rdns));
			break;
		}
		break;
	case OF_HEADERS:
		names_of_headers(ctx, l, n);
		break;
	case OF_SERVERS:
		add_servers(c, l);
		break;
	}
}

static bool
is_off(const struct eval_context *ctx, struct eval_result *r)
{
	const struct dnseval *state = eval_state(ctx);

	if (state->off) {
		r->state = EVAL_NOT_RUN;
		r->why = "skip_rbl_checks";
	}
	return state->off;
}

static int
run_lookup(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct lookup *l = call->prepared;
	struct dnsq_chain c;

	if (is_off(ctx, r))
		return 0;
	dnsq_chain_init(&c, ctx, false);
	names_of(&c, l);
	return dnsq_chain_answer(&c, l->type, &l->filter, r);
}

static int
ask_lookup(struct eval_context *ctx, const struct eval_call *call)
{
	const struct lookup *l = call->prepared;
	struct eval_result off;
	struct dnsq_chain c;

	if (is_off(ctx, &off))
		return 0;
	dnsq_chain_init(&c, ctx, true);
	names_of(&c, l);
	return dnsq_ask(ctx, &c.names, l->type, l->zone);
}

static int
prepare(struct eval_loader *loader, struct eval_call *call,
    enum subject subject, uint16_t type)
{
	struct arena *a = eval_arena(loader);
	struct lookup *l = ARENA_NEW(a, struct lookup);
	struct span zone = call->args[1];
	char *copy;

	while (zone.len > 0 && zone.ptr[zone.len - 1] == '.')
		zone.len--;
	copy = arena_memdup(a, zone.ptr, zone.len);
	if (l == NULL || copy == NULL)
		return -ENOMEM;
	*l = (struct lookup){ .subject = subject, .part = part_of(call->args[0]),
		.set = call->args[0], .zone = copy, .type = type,
		.nice = (call->tflags & RULE_NICE) != 0,
		.ips_only = (call->tflags & RULE_IPS_ONLY) != 0,
		.domains_only = (call->tflags & RULE_DOMAINS_ONLY) != 0 };
	if (call->arg_count > 3 && subject == OF_HEADERS)
		l->headers = call->args[3].ptr;
	else if (call->arg_count > 3)
		l->accreditor = call->args[3];
	if (call->arg_count > 2)
		dns_filter_parse_rbl(loader, call->args[2], &l->filter, call->file,
		    call->line);
	call->prepared = l;
	return 0;
}

#define PREPARE(name, subject, type)                                        \
	static int name(struct eval_loader *l, void *state,                 \
	    struct eval_call *call)                                         \
	{                                                                   \
		(void)state;                                                \
		return prepare(l, call, subject, type);                     \
	}

PREPARE(prepare_rbl, OF_RELAYS, DNS_A)
PREPARE(prepare_rbl_txt, OF_RELAYS, DNS_TXT)
PREPARE(prepare_from_host, OF_FROM_HOSTS, DNS_A)
PREPARE(prepare_from_domain, OF_FROM_DOMAINS, DNS_A)
PREPARE(prepare_envfrom, OF_ENVFROM, DNS_A)
PREPARE(prepare_rcvd, OF_LAST_RELAY, DNS_A)
PREPARE(prepare_headers, OF_HEADERS, DNS_A)
PREPARE(prepare_servers, OF_SERVERS, DNS_A)

static const char *const lookup_functions[] = { "check_rbl", "check_rbl_txt",
	"check_rbl_from_host", "check_rbl_from_domain", "check_rbl_envfrom",
	"check_rbl_rcvd", "check_rbl_headers", "check_rbl_ns_from",
	"check_rbl_accreditor" };

/* check_rbl_sub('set', 'subtest'): the answers of all calls of that set.
 * What those prepared is read when the rule runs: the order of rules in the
 * files does not matter. */
struct sub_calls {
	struct eval_call *const *calls[sizeof(lookup_functions) /
	    sizeof(lookup_functions[0])];
	size_t counts[sizeof(lookup_functions) / sizeof(lookup_functions[0])];
	struct dns_filter filter;
};

static int
prepare_sub(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct sub_calls *s = ARENA_NEW(eval_arena(l), struct sub_calls);

	(void)state;
	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(lookup_functions) / sizeof(lookup_functions[0]); i++)
		eval_calls(l, lookup_functions[i], &s->calls[i], &s->counts[i]);
	dns_filter_parse_rbl(l, call->args[1], &s->filter, call->file, call->line);
	call->prepared = s;
	return 0;
}

static int
run_sub(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct sub_calls *s = call->prepared;
	struct eval_result open = { .state = EVAL_NOT_RUN,
		.why = "no rule asks this set of lists" };
	bool any = false;

	if (is_off(ctx, r))
		return 0;
	for (size_t i = 0; i < sizeof(s->counts) / sizeof(s->counts[0]); i++)
		for (size_t k = 0; k < s->counts[i]; k++) {
			const struct lookup *l = s->calls[i][k]->prepared;
			struct eval_result one = { .offset = r->offset };
			struct dnsq_chain c;
			int rc;

			if (l == NULL || !span_eq(l->set, call->args[0]))
				continue;
			dnsq_chain_init(&c, ctx, false);
			names_of(&c, l);
			rc = dnsq_chain_answer(&c, l->type, &s->filter, &one);
			if (rc != 0)
				return rc;
			if (one.count > 0) {
				*r = one;
				return 0;
			}
			if (!any || one.state > open.state)
				open = one;
			any = true;
		}
	r->state = open.state;
	r->why = open.why;
	return 0;
}

/* The envelope sender's domain: neither A nor MX. Auth has looked that up. */
static int
run_sender(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct sender_domain_evidence *e =
	    &eval_input(ctx)->evidence->sender_domain;

	(void)call;
	if (!is_off(ctx, r) && !eval_check_open(&e->check, r))
		r->count = e->domain != NULL && !e->exists;
	return 0;
}

static const struct eval_function functions[] = {
	{ "check_rbl", EVAL_HEADER, "ss|s", run_lookup, prepare_rbl, ask_lookup },
	{ "check_rbl_txt", EVAL_HEADER, "ss|s", run_lookup, prepare_rbl_txt, ask_lookup },
	{ "check_rbl_sub", EVAL_HEADER, "ss", run_sub, prepare_sub, NULL },
	{ "check_rbl_from_host", EVAL_HEADER, "ss|s", run_lookup, prepare_from_host, ask_lookup },
	{ "check_rbl_from_domain", EVAL_HEADER, "ss|s", run_lookup, prepare_from_domain, ask_lookup },
	{ "check_rbl_envfrom", EVAL_HEADER, "ss|s", run_lookup, prepare_envfrom, ask_lookup },
	{ "check_rbl_rcvd", EVAL_HEADER, "ss|s", run_lookup, prepare_rcvd, ask_lookup },
	{ "check_rbl_headers", EVAL_HEADER, "ss|ss", run_lookup, prepare_headers, ask_lookup },
	{ "check_rbl_ns_from", EVAL_HEADER, "ss|s", run_lookup, prepare_servers, ask_lookup },
	{ "check_rbl_accreditor", EVAL_HEADER, "ssss", run_lookup, prepare_rbl, ask_lookup },
	{ "check_dns_sender", EVAL_HEADER, "", run_sender, NULL, NULL },
	{ 0 },
};

static int
load_originating(struct eval_loader *l, struct dnseval *s)
{
	const struct eval_line *lines;
	size_t count, cleared = 0;

	eval_lines(l, "clear_originating_ip_headers", &lines, &count);
	if (count > 0)
		cleared = lines[count - 1].order + 1;
	eval_lines(l, "originating_ip_headers", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value;
		     rest.len > 0 && lines[i].order >= cleared;)
			if (strings_add(&s->originating, eval_arena(l),
				conf_next_word(&rest)) != 0)
				return -ENOMEM;
	return 0;
}

static int
load(struct eval_loader *l, void **ret_state)
{
	struct dnseval *s = ARENA_NEW(eval_arena(l), struct dnseval);
	const struct eval_line *lines;
	size_t count;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	s->headers = "EnvelopeFrom,Reply-To,Disposition-Notification-To,"
	    "X-WebmailclientIP,X-Source-IP";
	dnsq_flag(l, "skip_rbl_checks", &s->off);
	eval_lines(l, "rbl_headers", &lines, &count);
	if (count > 0)
		s->headers = arena_memdup(eval_arena(l),
		    lines[count - 1].value.ptr, lines[count - 1].value.len);
	if (s->headers == NULL)
		return -ENOMEM;
	return load_originating(l, s);
}

static const struct eval_directive directives[] = {
	{ "skip_rbl_checks", DIRECTIVE_LINES, NULL },
	{ "rbl_headers", DIRECTIVE_LINES, NULL },
	{ "originating_ip_headers", DIRECTIVE_LINES, NULL },
	{ "clear_originating_ip_headers", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_dnseval = {
	"Mail::SpamAssassin::Plugin::DNSEval", functions, directives, NULL, load,
};
