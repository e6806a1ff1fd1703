/*
 * URIDNSBL: lists asked about the domains of links (urirhsbl, urirhssub),
 * about the names of their name servers (urinsrhs*, urifullnsrhs*), and about
 * the addresses of their name servers or, with `tflags a`, of the hosts
 * themselves (uridnsbl, uridnssub).
 *
 * Which hosts: links before what stands in text, at most
 * uridnsbl_max_domains; SpamAssassin draws lots where there are more, here
 * the first of each kind are taken.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/dnsq.h"
#include "scoring/rules/eval/urihosts.h"
#include "scoring/rules/strmap.h"

enum subject { OF_DOMAIN, OF_SERVER_DOMAINS, OF_SERVER_NAMES, OF_ADDRESSES };

struct uri_list {
	enum subject subject;
	const char *zone;
	uint16_t type;
	struct dns_filter filter;
	bool domains_only, ips_only, notrim;
	bool by_host, by_servers; /* OF_ADDRESSES: tflags a, ns */
};

/* Once a message */
struct hosts {
	const struct uri_host *list;
	size_t count;
};

extern const struct eval_family eval_uridns;

struct uridns {
	struct strmap skip; /* uridnsbl_skip_domain */
	size_t max_hosts;
	bool off, mailto;
};

static int
load_skip(struct eval_loader *l, struct uridns *s)
{
	static const char *const words[2] = { "uridnsbl_skip_domain",
		"clear_uridnsbl_skip_domain" };
	const struct eval_line *lines[2];
	size_t count[2], at[2] = { 0, 0 };

	strmap_init(&s->skip, eval_arena(l));
	for (size_t i = 0; i < 2; i++)
		eval_lines(l, words[i], &lines[i], &count[i]);
	while (at[0] < count[0] || at[1] < count[1]) {
		size_t which = at[0] == count[0] || (at[1] < count[1] &&
		    lines[1][at[1]].order < lines[0][at[0]].order);
		const struct eval_line *line = &lines[which][at[which]++];
		struct span rest = line->value;

		if (which == 1 && rest.len == 0)
			strmap_init(&s->skip, eval_arena(l));
		while (rest.len > 0) {
			struct span w = addr_lower(eval_arena(l),
			    conf_next_word(&rest));

			if (w.ptr == NULL ||
			    strmap_set(&s->skip, w, which == 0) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int
load(struct eval_loader *l, void **ret_state)
{
	struct uridns *s = ARENA_NEW(eval_arena(l), struct uridns);
	const struct eval_line *lines;
	bool skip_mailto = true;
	size_t count;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	s->max_hosts = URI_HOSTS;
	eval_lines(l, "uridnsbl_max_domains", &lines, &count);
	for (size_t i = 0; i < count; i++) {
		int64_t v;

		if (conf_parse_int(lines[i].value, &v) && v >= 0)
			s->max_hosts = (size_t)v;
		else
			eval_error(l, lines[i].file, lines[i].line,
			    "uridnsbl_max_domains: not a number");
	}
	dnsq_flag(l, "skip_uribl_checks", &s->off);
	dnsq_flag(l, "uridnsbl_skip_mailto", &skip_mailto);
	s->mailto = !skip_mailto;
	return load_skip(l, s);
}

static bool
is_skipped(const struct uridns *s, struct span name)
{
	const size_t *found = strmap_find(&s->skip, name);

	return found != NULL && *found != 0;
}

/* Links that a reader sees first, then what is fetched, then text */
enum { RANKS = 6 };
static unsigned
rank(const struct uri *u)
{
	if (u->types & URI_A) {
		for (size_t i = 0; i < u->anchor_count; i++)
			if (u->anchors[i].len > 0)
				return 0;
		return 5;
	}
	return (u->types & URI_FORM) ? 1 : (u->types & URI_IMG) ? 2 :
	    u->types == URI_PARSED ? 4 : 3;
}

static int
collect_hosts(struct eval_context *ctx, const struct uridns *s,
    struct hosts *ret)
{
	struct arena *a = eval_input(ctx)->arena;
	size_t max = s->max_hosts < DNSQ_MAX_NAMES ? s->max_hosts :
						     DNSQ_MAX_NAMES;
	const struct uris *uris;
	struct uri_host *list = ARENA_ARRAY(a, max, struct uri_host);
	size_t used = 0;

	if (list == NULL || eval_uris(ctx, &uris) != 0)
		return -ENOMEM;
	for (unsigned pass = 0; pass < RANKS && used < max; pass++)
		for (size_t i = 0; i < uris->count && used < max; i++) {
			const struct uri *u = &uris->items[i];

			if (rank(u) != pass ||
			    (!s->mailto && span_istarts(u->raw, "mailto:")))
				continue;
			for (size_t k = 0; k < u->host_count && used < max; k++) {
				struct uri_host h = {
					.host = addr_lower(a, u->hosts[k]),
					.domain = addr_lower(a, u->domains[k]),
				};
				size_t known = 0;

				if (h.host.ptr == NULL || h.domain.ptr == NULL)
					return -ENOMEM;
				h.is_address = netaddr_parse(h.host, &h.ip);
				while (known < used &&
				    !span_eq(list[known].host, h.host))
					known++;
				if (known == used && !is_skipped(s, h.domain) &&
				    !is_skipped(s, h.host))
					list[used++] = h;
			}
		}
	*ret = (struct hosts){ list, used };
	return 0;
}

int
uri_hosts(struct eval_context *ctx, const struct uri_host **ret_hosts,
    size_t *ret_count)
{
	void **cache = eval_cache_of(ctx, &eval_uridns);
	struct hosts *h = *cache;

	if (h == NULL) {
		h = ARENA_NEW(eval_input(ctx)->arena, struct hosts);
		if (h == NULL || collect_hosts(ctx, eval_state_of(ctx,
		    &eval_uridns), h) != 0)
			return -ENOMEM;
		*cache = h;
	}
	*ret_hosts = h->list;
	*ret_count = h->count;
	return 0;
}

bool
uri_host_skipped(const struct eval_context *ctx, struct span name)
{
	return is_skipped(eval_state_of(ctx, &eval_uridns), name);
}

/* The addresses of a host, asked for and then made names of the list */
static void
add_addresses(struct dnsq_chain *c, const struct uri_list *q,
    struct span host)
{
	const struct dns_evidence *d = dnsq_follow(c, host, DNS_A, q->zone);
	struct span sorted[DNSQ_MAX_RECORDS];
	size_t n = dnsq_sorted(d, sorted);

	for (size_t i = 0; i < n; i++) {
		struct netaddr ip;

		if (netaddr_parse(sorted[i], &ip))
			dnsq_add_ip(c->ctx, &c->names, &ip, q->zone);
	}
}

static void
add_servers(struct dnsq_chain *c, const struct uri_list *q,
    struct span domain)
{
	const struct dns_evidence *d = dnsq_follow(c, domain, DNS_NS, q->zone);
	struct span sorted[DNSQ_MAX_RECORDS];
	size_t n = dnsq_sorted(d, sorted);

	for (size_t i = 0; i < n; i++) {
		struct span server = sorted[i];
		struct netaddr ip;
		bool address = netaddr_parse(server, &ip);

		/* an address where a name belongs is seen in the wild */
		if (address && (ip.family != 4 || netaddr_is_private(&ip)))
			continue;
		if (q->subject == OF_ADDRESSES) {
			if (!address)
				add_addresses(c, q, server);
			continue;
		}
		if (address)
			dnsq_add_ip(c->ctx, &c->names, &ip, q->zone);
		else if (q->subject == OF_SERVER_NAMES)
			dnsq_add(c->ctx, &c->names, server, q->zone);
		else
			dnsq_add(c->ctx, &c->names, domain_registered(server,
			    eval_uri_rules(c->ctx)), q->zone);
	}
}

/* The list's questions as far as they are known */
static void
chain_of(struct eval_context *ctx, const struct uri_list *q, bool asking,
    struct dnsq_chain *c)
{
	const struct uri_host *hosts;
	size_t count;

	dnsq_chain_init(c, ctx, asking);
	c->names.error = uri_hosts(ctx, &hosts, &count);
	for (size_t i = 0; c->names.error == 0 && i < count; i++) {
		const struct uri_host *h = &hosts[i];

		if (h->is_address) {
			/* links to addresses are for lists of domains */
			if (q->subject == OF_DOMAIN && !q->domains_only &&
			    h->ip.family == 4 && !netaddr_is_private(&h->ip))
				dnsq_add_ip(ctx, &c->names, &h->ip, q->zone);
		} else if (q->subject != OF_DOMAIN) {
			if (q->subject != OF_ADDRESSES || q->by_servers)
				add_servers(c, q, h->domain);
			if (q->by_host)
				add_addresses(c, q, h->host);
		} else if (!q->ips_only) {
			dnsq_add(ctx, &c->names, q->notrim ? h->host : h->domain,
			    q->zone);
		}
	}
}

/* The line `urirhssub NAME zone. A filter` that a rule's call names; the
 * rule itself is the `body NAME eval:check_uridnsbl('NAME')` beside it. */
static const struct eval_line *
find_line(struct eval_loader *l, struct span name, enum subject *ret_subject)
{
	static const struct {
		const char *directive;
		enum subject subject;
	} kinds[] = { { "urirhsbl", OF_DOMAIN }, { "urirhssub", OF_DOMAIN },
		{ "uridnsbl", OF_ADDRESSES }, { "uridnssub", OF_ADDRESSES },
		{ "urinsrhsbl", OF_SERVER_DOMAINS },
		{ "urinsrhssub", OF_SERVER_DOMAINS },
		{ "urifullnsrhsbl", OF_SERVER_NAMES },
		{ "urifullnsrhssub", OF_SERVER_NAMES } };
	const struct eval_line *found = NULL, *lines;
	size_t count;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		eval_lines(l, kinds[i].directive, &lines, &count);
		for (size_t k = 0; k < count; k++) {
			struct span rest = lines[k].value;

			if (!span_eq(conf_next_word(&rest), name) ||
			    (found != NULL && lines[k].order < found->order))
				continue;
			found = &lines[k];
			*ret_subject = kinds[i].subject;
		}
	}
	return found;
}

static int
prepare_list(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct uri_list *q = ARENA_NEW(eval_arena(l), struct uri_list);
	enum subject subject = OF_DOMAIN;
	const struct eval_line *line;
	struct span rest, zone, type;
	char *copy;

	(void)state;
	line = find_line(l, call->args[0], &subject);
	if (line == NULL) {
		eval_error(l, call->file, call->line,
		    "%s: no uridnsbl line is named \"%s\"", call->rule,
		    call->args[0].ptr);
		return 0;
	}
	rest = line->value;
	conf_next_word(&rest);
	zone = conf_next_word(&rest);
	type = conf_next_word(&rest);
	while (zone.len > 0 && zone.ptr[zone.len - 1] == '.')
		zone.len--;
	copy = arena_memdup(eval_arena(l), zone.ptr, zone.len);
	if (q == NULL || copy == NULL)
		return -ENOMEM;
	*q = (struct uri_list){ .subject = subject, .zone = copy,
		.type = dnsq_type(type),
		.domains_only = (call->tflags & RULE_DOMAINS_ONLY) != 0,
		.ips_only = (call->tflags & RULE_IPS_ONLY) != 0,
		.notrim = (call->tflags & RULE_NOTRIM) != 0 };
	q->by_host = subject == OF_ADDRESSES && dnsq_tflag(call, "a");
	q->by_servers = !q->by_host || dnsq_tflag(call, "ns");
	if (zone.len == 0 || (q->type != DNS_A && q->type != DNS_TXT)) {
		eval_error(l, line->file, line->line,
		    "%s: not a zone and A or TXT: \"%.*s\"", call->rule,
		    SPAN_ARG(line->value));
		return 0;
	}
	if (dns_filter_parse(l, rest, &q->filter, line->file, line->line))
		call->prepared = q;
	return 0;
}

static int
ask_list(struct eval_context *ctx, const struct eval_call *call)
{
	const struct uridns *s = eval_state(ctx);
	const struct uri_list *q = call->prepared;
	struct dnsq_chain c;

	if (q == NULL || s->off)
		return 0;
	chain_of(ctx, q, true, &c);
	return dnsq_ask(ctx, &c.names, q->type, q->zone);
}

static int
run_list(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct uridns *s = eval_state(ctx);
	const struct uri_list *q = call->prepared;
	struct dnsq_chain c;

	if (s->off || q == NULL) {
		r->state = EVAL_NOT_RUN;
		r->why = "skip_uribl_checks";
		return 0;
	}
	chain_of(ctx, q, false, &c);
	return dnsq_chain_answer(&c, q->type, &q->filter, r);
}

static const struct eval_function functions[] = {
	{ "check_uridnsbl", EVAL_ANY, "s", run_list, prepare_list, ask_list },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "urirhsbl", DIRECTIVE_LINES, NULL },
	{ "urirhssub", DIRECTIVE_LINES, NULL },
	{ "uridnsbl", DIRECTIVE_LINES, NULL },
	{ "uridnssub", DIRECTIVE_LINES, NULL },
	{ "urinsrhsbl", DIRECTIVE_LINES, NULL },
	{ "urinsrhssub", DIRECTIVE_LINES, NULL },
	{ "urifullnsrhsbl", DIRECTIVE_LINES, NULL },
	{ "urifullnsrhssub", DIRECTIVE_LINES, NULL },
	{ "uridnsbl_skip_domain", DIRECTIVE_LINES, NULL },
	{ "clear_uridnsbl_skip_domain", DIRECTIVE_LINES, NULL },
	{ "uridnsbl_max_domains", DIRECTIVE_LINES, NULL },
	{ "uridnsbl_skip_mailto", DIRECTIVE_LINES, NULL },
	{ "skip_uribl_checks", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_uridns = {
	"Mail::SpamAssassin::Plugin::URIDNSBL", functions, directives, NULL, load,
};
