/*
 * DNSEval: DNS lists asked about the relays' addresses, the authors' and
 * envelope sender's domains (RFC 5782).
 */
#include <errno.h>

#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/dnsq.h"
#include "scoring/rules/eval/probe.h"

enum subject { OF_RELAYS, OF_FROM_HOSTS, OF_FROM_DOMAINS, OF_ENVFROM,
	OF_LAST_RELAY, OF_HEADERS };

enum part { PART_ALL, PART_NOT_FIRST_HOP, PART_LAST_EXTERNAL,
	PART_FIRST_TRUSTED, PART_UNTRUSTED };

/* One check_rbl…() call as prepared; check_rbl_sub() shares its lookups */
struct lookup {
	enum subject subject;
	enum part part;
	struct span set;
	const char *zone;
	const char *headers; /* OF_HEADERS */
	uint16_t type;
	bool nice;
	struct dns_filter filter;
};


enum { MAX_IPS = 64, CHECK_LAST = 9 };

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

static enum part
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
	static const char *const fields[] = { "X-Yahoo-Post-IP",
		"X-Originating-IP", "X-Apparently-From", "X-SenderIP" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct netaddr a;
		struct span v;

		if (!eval_get(ctx, fields[i], &v)) {
			if (v.ptr == NULL)
				return -ENOMEM;
			continue;
		}
		if (netaddr_parse(span_trim(v), &a) &&
		    !netset_contains(&eval_input(ctx)->settings->trusted_networks, &a))
			ips_add(out, &a);
	}
	return 0;
}

static int
relay_ips(struct eval_context *ctx, const struct lookup *l, struct ips *out)
{
	const struct relays *relays = eval_input(ctx)->relays;
	const struct scoring_settings *settings = eval_input(ctx)->settings;
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
	/* allow lists may vouch for trusted hosts, block lists not condemn */
	for (n = from; !l->nice && n < out->count &&
	     netset_contains(&settings->trusted_networks, &out->list[n]); n++)
		;
	from = n;
	memmove(out->list, out->list + from, (out->count - from) * sizeof(out->list[0]));
	out->count -= from;
	if (out->count > CHECK_LAST)
		out->count = CHECK_LAST;
	return r;
}

/* A host of an address or field; literals are asked reversed */
static void
add_host(struct eval_context *ctx, struct dnsq_names *n, struct span host,
    const char *zone)
{
	struct netaddr a;

	if (netaddr_parse(host, &a))
		dnsq_add_ip(ctx, n, &a, zone);
	else if (eval_org_domain(ctx, host).len != 0)
		dnsq_add(ctx, n, host, zone);
}

static struct span
host_of(struct span address)
{
	return span_from(address, span_find(address, '@') + 1);
}

static void
names_of_headers(struct eval_context *ctx, const struct lookup *l,
    struct dnsq_names *n)
{
	struct span rest = span_cstr(l->headers);

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
			add_host(ctx, n, host_of(v), l->zone);
		else if (eval_get(ctx, plain, &v))
			for (; v.len > 0; v = span_from(v, span_find(v, '\n') + 1))
				add_host(ctx, n, span_trim(span_of(v.ptr,
					span_find(v, '\n'))), l->zone);
	}
}

static void
names_of(struct eval_context *ctx, const struct lookup *l,
    struct dnsq_names *n)
{
	const struct relays *relays = eval_input(ctx)->relays;
	struct span *list, v;
	struct ips ips;
	size_t count;

	*n = (struct dnsq_names){ .count = 0 };
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
			v = host_of(list[i]);
			add_host(ctx, n, l->subject == OF_FROM_HOSTS ? v :
				eval_org_domain(ctx, v), l->zone);
		}
		break;
	case OF_ENVFROM:
		if (eval_get(ctx, "EnvelopeFrom:addr", &v))
			add_host(ctx, n, host_of(v), l->zone);
		else if (v.ptr == NULL)
			n->error = -ENOMEM;
		break;
	case OF_LAST_RELAY:
		for (size_t i = relays != NULL ? relays->count : 0; i > 0; i--) {
			const struct received_hop *hop = &relays->hops[i - 1];

			if (hop->ignored || !hop->parsed || hop->trusted)
				continue;
			dnsq_add_ip(ctx, n, &hop->ip, l->zone);
			add_host(ctx, n, span_cstr(hop->by), l->zone);
			add_host(ctx, n, span_cstr(hop->helo), l->zone);
			add_host(ctx, n, span_cstr(hop->rdns), l->zone);
			break;
		}
		break;
	case OF_HEADERS:
		names_of_headers(ctx, l, n);
		break;
	}
}

static int
run_lookup(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct lookup *l = call->prepared;
	struct dnsq_names n;

	names_of(ctx, l, &n);
	return dnsq_answer(ctx, &n, l->type, &l->filter, r);
}

static int
ask_lookup(struct eval_context *ctx, const struct eval_call *call)
{
	const struct lookup *l = call->prepared;
	struct dnsq_names n;

	names_of(ctx, l, &n);
	return dnsq_ask(ctx, &n, l->type, l->zone);
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
		.headers = call->arg_count > 3 ? call->args[3].ptr :
		    "EnvelopeFrom,Reply-To,Disposition-Notification-To,"
		    "X-WebmailclientIP,X-Source-IP" };
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

static const char *const lookup_functions[] = { "check_rbl", "check_rbl_txt",
	"check_rbl_from_host", "check_rbl_from_domain", "check_rbl_envfrom",
	"check_rbl_rcvd", "check_rbl_headers" };

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

	for (size_t i = 0; i < sizeof(s->counts) / sizeof(s->counts[0]); i++)
		for (size_t k = 0; k < s->counts[i]; k++) {
			const struct lookup *l = s->calls[i][k]->prepared;
			struct eval_result one = { .offset = r->offset };
			struct dnsq_names n;
			int rc;

			if (l == NULL || !span_eq(l->set, call->args[0]))
				continue;
			names_of(ctx, l, &n);
			rc = dnsq_answer(ctx, &n, l->type, &s->filter, &one);
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
	if (!eval_check_open(&e->check, r))
		r->count = e->domain != NULL && !e->exists;
	return 0;
}

/* Chains of questions (name servers of a domain, then a list about them)
 * cannot be named before the first answer is there; see DEPARTURES.md. */
static int
run_chained(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)ctx;
	(void)call;
	r->state = EVAL_NOT_RUN;
	r->why = "name servers are not looked up for lists";
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
	{ "check_rbl_ns_from", EVAL_HEADER, "ss|s", run_chained, NULL, NULL },
	{ "check_rbl_accreditor", EVAL_HEADER, "*", run_chained, NULL, NULL },
	{ "check_dns_sender", EVAL_HEADER, "", run_sender, NULL, NULL },
	{ 0 },
};

const struct eval_family eval_dnseval = {
	"Mail::SpamAssassin::Plugin::DNSEval", functions, NULL, NULL, NULL,
};
