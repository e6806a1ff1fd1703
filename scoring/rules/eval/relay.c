/*
 * RelayEval: what the Received path says (trusted and untrusted relays).
 */
#include "scoring/rules/eval/probe.h"

enum { DOTCOM, LOCALHOST, HOSTNAME, PATTERNS };

static const char *const texts[PATTERNS] = {
	[DOTCOM] = "/(?:\\.|^)(?:lycos\\.com|lycos\\.co\\.uk|hotmail\\.com|localhost\\.com|excite\\.com|caramail\\.com|cs\\.com|aol\\.com|msn\\.com|yahoo\\.com|drizzle\\.com)$/i",
	[LOCALHOST] = "/^localhost(?:\\.localdomain)?$/",
	[HOSTNAME] = "/^\\w+(?:[\\w.-]+\\.)+\\w+$/",
};

/* Hops that count as relays, split where trust ends */
struct path {
	const struct received_hop *const *untrusted;
	size_t untrusted_count, trusted_count, unparseable;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	return probe_load(l, texts, PATTERNS, ret_state);
}

static struct path
path_of(struct probe *p)
{
	const struct relays *relays = eval_input(p->ctx)->relays;
	struct path path = { 0 };
	const struct received_hop **list;

	if (relays == NULL)
		return path;
	list = ARENA_ARRAY(eval_input(p->ctx)->arena, relays->count,
	    const struct received_hop *);
	if (list == NULL) {
		p->error = -ENOMEM;
		return path;
	}
	for (size_t i = 0; i < relays->count; i++) {
		const struct received_hop *hop = &relays->hops[i];

		if (hop->ignored || !hop->parsed)
			continue;
		if (hop->trusted)
			path.trusted_count++;
		else
			list[path.untrusted_count++] = hop;
	}
	path.untrusted = list;
	path.unparseable = relays->unparseable_count;
	return path;
}

static bool
literal(const char *text, struct netaddr *ret)
{
	return text != NULL && netaddr_parse(span_cstr(text), ret) &&
	    ret->family == 4 && strchr(text, ':') == NULL;
}

static int
run_numeric_helo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);
	struct netaddr a;
	bool hit = false;

	(void)call;
	/* only the first literal counts, as the pattern there finds it */
	for (size_t i = 0; i < path.untrusted_count; i++)
		if (literal(path.untrusted[i]->helo, &a)) {
			hit = !received_ip_is_private(&a);
			break;
		}
	return probe_end(&p, r, hit);
}

static int
run_ip_mismatch(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);
	bool hit = false;

	(void)call;
	for (size_t i = 0; i < path.untrusted_count && !hit; i++) {
		const struct netaddr *ip = &path.untrusted[i]->ip;
		struct netaddr helo;

		hit = literal(path.untrusted[i]->helo, &helo) &&
		    !received_ip_is_private(&helo) && ip->family == 4 &&
		    !received_ip_is_private(ip) && memcmp(helo.bytes, ip->bytes, 3) != 0;
	}
	return probe_end(&p, r, hit);
}

static int
run_all_trusted(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);

	(void)call;
	return probe_end(&p, r, path.trusted_count > 0 &&
		path.untrusted_count == 0 && path.unparseable == 0);
}

static int
run_no_relays(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);

	(void)call;
	return probe_end(&p, r, path.trusted_count == 0 &&
		path.untrusted_count == 0 && path.unparseable == 0);
}

static int
run_unparseable(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);

	(void)call;
	return probe_end(&p, r, path.unparseable > 0);
}

static int
run_no_reverse(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);
	const struct received_hop *last = path.untrusted_count > 0 ?
	    path.untrusted[path.untrusted_count - 1] : NULL;

	(void)call;
	return probe_end(&p, r, last != NULL && last->rdns != NULL &&
		strchr(last->rdns, '.') != NULL && !received_ip_is_private(&last->ip));
}

/* name ends in domain behind a word boundary, or holds it anywhere with one */
static bool
has_domain(const char *name, struct span domain)
{
	struct span s = span_cstr(name != NULL ? name : "");

	for (size_t i = 0; domain.len > 0 && i + domain.len <= s.len; i++) {
		char before = i > 0 ? s.ptr[i - 1] : '.';

		if (span_ieq(span_of(s.ptr + i, domain.len), domain) &&
		    (before == '.' || before == '-' || before == '@') &&
		    i + domain.len == s.len)
			return true;
	}
	return false;
}

static int
run_from_domain(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct relays *relays = eval_input(ctx)->relays;
	struct span from = probe_get(&p, "From:addr");
	bool in_from, in_path = false, want = span_is(call->args[1], "true");
	char *address = arena_memdup(eval_input(ctx)->arena, from.ptr, from.len);

	if (address == NULL)
		return -ENOMEM;
	in_from = has_domain(address, call->args[0]);
	for (size_t i = 0; relays != NULL && i < relays->count; i++)
		in_path |= relays->hops[i].parsed &&
		    has_domain(relays->hops[i].rdns, call->args[0]) &&
		    has_domain(relays->hops[i].by, call->args[0]);
	return probe_end(&p, r, in_from && in_path == want);
}

static int
run_dotcom_helo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct path path = path_of(&p);
	bool hit = false;

	(void)call;
	/* the oldest public relay decides, as there */
	for (size_t i = 0; i < path.untrusted_count; i++) {
		const struct received_hop *hop = path.untrusted[i];

		if (hop->ip_private || hop->helo == NULL)
			continue;
		/* that no name is told does not mean that there is none */
		hit = hop->no_reverse_dns &&
		    probe_hit(&p, DOTCOM, span_cstr(hop->helo));
	}
	return probe_end(&p, r, hit);
}

/* SpamAssassin's own idea of a registered domain in these checks */
static struct span
short_domain(const char *host)
{
	struct span s = span_cstr(host != NULL ? host : "");
	size_t dots[3] = { 0 }, n = 0, i;
	bool letters = false, wide;

	for (i = s.len; i > 0; i--) {
		char c = s.ptr[i - 1];

		letters |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (c == '.' && n < 3)
			dots[n++] = i;
	}
	if (!letters || n == 0)
		return s;
	wide = s.len - dots[0] >= 3 || span_is(span_from(s, dots[0]), "ie") ||
	    span_is(span_from(s, dots[0]), "fr") ||
	    span_is(span_from(s, dots[0]), "de");
	if (wide)
		return n >= 2 ? span_from(s, dots[1]) : s;
	return n >= 3 ? span_from(s, dots[2]) : s;
}

static void
forged(struct probe *p, unsigned *ret_from, unsigned *ret_helo)
{
	struct path path = path_of(p);
	struct span from_before = span_of("", 0);
	bool has_before = false;

	*ret_from = *ret_helo = 0;
	for (size_t i = 0; i < path.untrusted_count && p->error == 0; i++) {
		const struct received_hop *hop = path.untrusted[i];
		struct span by = short_domain(hop->by), from = short_domain(hop->rdns);
		struct netaddr helo;
		bool has_from = true;

		if (!probe_hit(p, HOSTNAME, by)) {
			from_before = from;
			has_before = true;
			continue;
		}
		if (netaddr_is_loopback(&hop->ip) && probe_hit(p, LOCALHOST, from))
			has_from = false;
		if (literal(hop->helo, &helo) && hop->ip.family == 4 &&
		    memcmp(helo.bytes, hop->ip.bytes, 2) != 0 &&
		    !received_ip_is_private(&helo))
			++*ret_helo;
		if (has_before && probe_hit(p, HOSTNAME, from_before) &&
		    !span_ieq(by, from_before) &&
		    !(span_iis(by, "msn.com") && span_iis(from_before, "hotmail.com")))
			++*ret_from;
		from_before = from;
		has_before = has_from;
	}
}

static int
run_forged_trail(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	unsigned from, helo;

	(void)call;
	forged(&p, &from, &helo);
	return probe_end(&p, r, from > 1);
}

static int
run_forged_helo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	unsigned from, helo;

	(void)call;
	forged(&p, &from, &helo);
	return probe_end(&p, r, helo > 0);
}

static const struct eval_function functions[] = {
	{ "check_for_numeric_helo", EVAL_ANY, "", run_numeric_helo, NULL, NULL },
	{ "check_for_illegal_ip", EVAL_ANY, "", probe_never, NULL, NULL },
	{ "check_all_trusted", EVAL_ANY, "", run_all_trusted, NULL, NULL },
	{ "check_no_relays", EVAL_ANY, "", run_no_relays, NULL, NULL },
	{ "check_relays_unparseable", EVAL_ANY, "", run_unparseable, NULL, NULL },
	{ "check_for_sender_no_reverse", EVAL_ANY, "", run_no_reverse, NULL, NULL },
	{ "check_for_from_domain_in_received_headers", EVAL_HEADER, "ss", run_from_domain, NULL, NULL },
	{ "check_for_forged_received_trail", EVAL_ANY, "", run_forged_trail, NULL, NULL },
	{ "check_for_forged_received_ip_helo", EVAL_ANY, "", run_forged_helo, NULL, NULL },
	{ "helo_ip_mismatch", EVAL_ANY, "", run_ip_mismatch, NULL, NULL },
	{ "check_for_no_rdns_dotcom_helo", EVAL_ANY, "", run_dotcom_helo, NULL, NULL },
	{ 0 },
};

const struct eval_family eval_relay = {
	"Mail::SpamAssassin::Plugin::RelayEval", functions, NULL, NULL, load,
};
