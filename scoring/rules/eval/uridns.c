/*
 * URIDNSBL: lists asked about the domains of links (urirhsbl, urirhssub).
 *
 * uridnsbl needs the addresses of the hosts' name servers before it can ask:
 * a chain, which is not followed; see DEPARTURES.md. With `tflags a` the
 * hosts' own addresses would be a chain too.
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/dnsq.h"

enum { MAX_DOMAINS = 20 }; /* uridnsbl_max_domains' default */

struct rhs {
	const char *zone;
	uint16_t type;
	struct dns_filter filter;
	bool domains_only, ips_only, notrim;
};

struct uridns {
	struct addrlist skip; /* uridnsbl_skip_domain: no wildcards */
	size_t max_domains;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	struct uridns *s = ARENA_NEW(eval_arena(l), struct uridns);
	const struct eval_line *lines;
	size_t count;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	s->max_domains = MAX_DOMAINS;
	eval_lines(l, "uridnsbl_max_domains", &lines, &count);
	for (size_t i = 0; i < count; i++) {
		int64_t v;

		if (conf_parse_int(lines[i].value, &v) && v >= 0)
			s->max_domains = (size_t)v;
		else
			eval_error(l, lines[i].file, lines[i].line,
			    "uridnsbl_max_domains: not a number");
	}
	eval_lines(l, "uridnsbl_skip_domain", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span v = lines[i].value; v.len > 0;)
			if (addrlist_add(eval_arena(l), &s->skip,
				conf_next_word(&v), span_of("", 0)) != 0)
				return -ENOMEM;
	return 0;
}

static bool
is_skipped(const struct uridns *s, struct span domain)
{
	/* a listed domain covers what is below it */
	for (; domain.len > 0; domain = span_from(domain, span_find(domain, '.') + 1))
		for (size_t i = 0; i < s->skip.count; i++)
			if (span_ieq(s->skip.entries[i].glob, domain))
				return true;
	return false;
}

/* Links first, then bare text, as there: at most max_domains domains */
static void
domains_of(struct eval_context *ctx, const struct rhs *q, struct dnsq_names *n)
{
	const struct uridns *s = eval_state(ctx);
	struct span seen[DNSQ_MAX_NAMES];
	const struct uris *uris;
	size_t used = 0;

	*n = (struct dnsq_names){ .count = 0 };
	if (body_uris(eval_input(ctx)->message, NULL, &uris) != 0) {
		n->error = -ENOMEM;
		return;
	}
	for (int linked = 1; linked >= 0; linked--)
		for (size_t i = 0; i < uris->count; i++) {
			const struct uri *u = &uris->items[i];

			if (((u->types & ~(unsigned)(URI_PARSED | URI_UNLINKED |
				  URI_SCHEMELESS)) != 0) != linked ||
			    span_istarts(u->raw, "mailto:"))
				continue;
			for (size_t k = 0; k < u->host_count; k++) {
				struct netaddr ip;
				bool address = netaddr_parse(u->hosts[k], &ip);
				struct span key = address ? u->hosts[k] : u->domains[k];
				size_t known = 0;

				if (address ? q->domains_only : q->ips_only)
					continue;
				if (is_skipped(s, key))
					continue;
				while (known < used && !span_ieq(seen[known], key))
					known++;
				if (known == used) {
					if (used == s->max_domains ||
					    used == DNSQ_MAX_NAMES)
						continue;
					seen[used++] = key;
				}
				if (address)
					dnsq_add_ip(ctx, n, &ip, q->zone);
				else
					dnsq_add(ctx, n, q->notrim ? u->hosts[k] : key,
					    q->zone);
			}
		}
}

/* The line `urirhssub NAME zone. A filter` that a rule's call names; the
 * rule itself is the `body NAME eval:check_uridnsbl('NAME')` beside it. */
static const struct eval_line *
find_line(struct eval_loader *l, struct span name, bool *ret_chained)
{
	static const struct {
		const char *directive;
		bool chained;
	} kinds[] = { { "urirhsbl", false }, { "urirhssub", false },
		{ "uridnsbl", true }, { "uridnssub", true },
		{ "urinsrhsbl", true }, { "urinsrhssub", true },
		{ "urifullnsrhsbl", true }, { "urifullnsrhssub", true } };
	const struct eval_line *found = NULL, *lines;
	size_t count;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		eval_lines(l, kinds[i].directive, &lines, &count);
		for (size_t k = 0; k < count; k++) {
			struct span rest = lines[k].value;

			if (!span_eq(conf_next_word(&rest), name))
				continue;
			found = &lines[k];
			*ret_chained = kinds[i].chained;
		}
	}
	return found;
}

static int
prepare_rhs(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct rhs *q = ARENA_NEW(eval_arena(l), struct rhs);
	const struct eval_line *line;
	struct span rest, zone, type;
	bool chained = false;
	char *copy;

	(void)state;
	line = find_line(l, call->args[0], &chained);
	if (line == NULL || chained) {
		if (line == NULL)
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
	*q = (struct rhs){ .zone = copy, .type = dnsq_type(type),
		.domains_only = (call->tflags & RULE_DOMAINS_ONLY) != 0,
		.ips_only = (call->tflags & RULE_IPS_ONLY) != 0,
		.notrim = (call->tflags & RULE_NOTRIM) != 0 };
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
ask_rhs(struct eval_context *ctx, const struct eval_call *call)
{
	const struct rhs *q = call->prepared;
	struct dnsq_names n;

	if (q == NULL)
		return 0;
	domains_of(ctx, q, &n);
	return dnsq_ask(ctx, &n, q->type, q->zone);
}

static int
run_rhs(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct rhs *q = call->prepared;
	struct dnsq_names n;

	if (q == NULL) {
		r->state = EVAL_NOT_RUN;
		r->why = "name servers are not looked up for lists";
		return 0;
	}
	domains_of(ctx, q, &n);
	return dnsq_answer(ctx, &n, q->type, &q->filter, r);
}

static const struct eval_function functions[] = {
	{ "check_uridnsbl", EVAL_ANY, "s", run_rhs, prepare_rhs, ask_rhs },
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
	{ "uridnsbl_max_domains", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_uridns = {
	"Mail::SpamAssassin::Plugin::URIDNSBL", functions, directives, NULL, load,
};
