/*
 * WLBLEval: the administrator's lists of addresses and URI hosts.
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"

enum fixed_list {
	WELCOME_FROM, BLOCK_FROM, WELCOME_TO, MORE_SPAM_TO, ALL_SPAM_TO, BLOCK_TO,
	WELCOME_RCVD, DEF_WELCOME_RCVD, ALLOWS_RELAYS, FIXED_LISTS
};

static const char *const fixed_names[FIXED_LISTS] = {
	[WELCOME_FROM] = "welcomelist_from",
	[BLOCK_FROM] = "blocklist_from",
	[WELCOME_TO] = "welcomelist_to",
	[MORE_SPAM_TO] = "more_spam_to",
	[ALL_SPAM_TO] = "all_spam_to",
	[BLOCK_TO] = "blocklist_to",
	[WELCOME_RCVD] = "welcomelist_from_rcvd",
	[DEF_WELCOME_RCVD] = "def_welcomelist_from_rcvd",
	[ALLOWS_RELAYS] = "welcomelist_allows_relays",
};

/* Hosts of one enlist_uri_host list; a "!" entry is an exception */
struct host_list {
	struct span name;
	struct addrlist hosts; /* no wildcards: exact names */
	struct host_list *next;
};

struct named_list {
	struct addrlist list;
	struct named_list *next;
};

struct lists {
	struct addrlist fixed[FIXED_LISTS];
	struct named_list *named; /* enlist_addrlist */
	struct host_list *hosts;
};

/* "(NAME) rest": the name, and *rest behind it. Empty: not of that form */
static struct span
take_name(struct span *rest)
{
	size_t close = span_find(*rest, ')');
	struct span name;

	if (rest->len == 0 || rest->ptr[0] != '(' || close >= rest->len)
		return span_of("", 0);
	name = span_trim(span_of(rest->ptr + 1, close - 1));
	*rest = span_trim(span_from(*rest, close + 1));
	return name;
}

static struct addrlist *
named_find(struct lists *s, struct span name, struct arena *create)
{
	struct named_list *n;

	for (int i = 0; i < FIXED_LISTS; i++)
		if (span_is(name, fixed_names[i]))
			return &s->fixed[i];
	for (n = s->named; n != NULL; n = n->next)
		if (span_eq(n->list.name, name))
			return &n->list;
	if (create == NULL || (n = ARENA_NEW(create, struct named_list)) == NULL)
		return NULL;
	n->list.name = name;
	n->next = s->named;
	s->named = n;
	return &n->list;
}

static struct host_list *
hosts_find(struct lists *s, struct span name, struct arena *a)
{
	struct host_list *h;

	for (h = s->hosts; h != NULL; h = h->next)
		if (span_eq(h->name, name))
			return h;
	h = ARENA_NEW(a, struct host_list);
	if (h == NULL)
		return NULL;
	h->name = name;
	h->next = s->hosts;
	s->hosts = h;
	return h;
}

static int
words_to_list(struct arena *a, struct addrlist *list, struct span words,
    bool remove)
{
	int r = 0;

	while (words.len > 0 && r == 0) {
		struct span w = conf_next_word(&words);

		if (remove)
			addrlist_remove(list, w, span_of("", 0));
		else
			r = addrlist_add(a, list, w, span_of("", 0));
	}
	return r;
}

/* welcomelist_from_rcvd ADDRESS RELAY */
static int
pair_to_list(struct eval_loader *l, struct addrlist *list,
    const struct eval_line *line, bool remove)
{
	struct span rest = line->value, address = conf_next_word(&rest),
		    relay = conf_next_word(&rest);

	if (remove) {
		addrlist_remove(list, address, relay);
		return 0;
	}
	if (relay.len == 0) {
		eval_error(l, line->file, line->line,
		    "%s: an address and a relay are needed", line->key);
		return 0;
	}
	return addrlist_add(eval_arena(l), list, address, relay);
}

struct source {
	const char *directive;
	enum fixed_list list;
	bool pair, remove;
};

static const struct source sources[] = {
	{ "welcomelist_from", WELCOME_FROM, false, false },
	{ "unwelcomelist_from", WELCOME_FROM, false, true },
	{ "blocklist_from", BLOCK_FROM, false, false },
	{ "unblocklist_from", BLOCK_FROM, false, true },
	{ "welcomelist_to", WELCOME_TO, false, false },
	{ "more_spam_to", MORE_SPAM_TO, false, false },
	{ "all_spam_to", ALL_SPAM_TO, false, false },
	{ "blocklist_to", BLOCK_TO, false, false },
	{ "welcomelist_from_rcvd", WELCOME_RCVD, true, false },
	{ "def_welcomelist_from_rcvd", DEF_WELCOME_RCVD, true, false },
	{ "unwelcomelist_from_rcvd", WELCOME_RCVD, false, true },
	{ "welcomelist_allows_relays", ALLOWS_RELAYS, false, false },
};

static int
load_fixed(struct eval_loader *l, struct lists *s)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct addrlist *list = &s->fixed[sources[i].list];

		eval_lines(l, sources[i].directive, &lines, &count);
		for (size_t k = 0; k < count && r == 0; k++) {
			r = sources[i].pair ?
			    pair_to_list(l, list, &lines[k], false) :
			    words_to_list(eval_arena(l), list, lines[k].value,
				sources[i].remove);
			/* unwelcomelist_from_rcvd is about both lists */
			if (r == 0 && sources[i].remove &&
			    sources[i].list == WELCOME_RCVD)
				r = words_to_list(eval_arena(l),
				    &s->fixed[DEF_WELCOME_RCVD], lines[k].value,
				    true);
		}
	}
	return r;
}

static int
load_named(struct eval_loader *l, struct lists *s, const char *directive,
    bool remove)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	eval_lines(l, directive, &lines, &count);
	for (size_t k = 0; k < count && r == 0; k++) {
		struct span rest = lines[k].value, name = take_name(&rest);
		struct addrlist *list;

		if (name.len == 0) {
			eval_error(l, lines[k].file, lines[k].line,
			    "%s: a name in parentheses is missing", directive);
			continue;
		}
		list = named_find(s, name, eval_arena(l));
		r = list == NULL ? -ENOMEM :
				   words_to_list(eval_arena(l), list, rest, remove);
	}
	return r;
}

static int
load_hosts(struct eval_loader *l, struct lists *s, const char *directive,
    const char *fixed_name, bool remove)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	eval_lines(l, directive, &lines, &count);
	for (size_t k = 0; k < count && r == 0; k++) {
		struct span rest = lines[k].value,
			    name = fixed_name != NULL ? span_cstr(fixed_name) :
							take_name(&rest);
		struct host_list *h;

		if (name.len == 0) {
			eval_error(l, lines[k].file, lines[k].line,
			    "%s: a name in parentheses is missing", directive);
			continue;
		}
		h = hosts_find(s, name, eval_arena(l));
		r = h == NULL ? -ENOMEM :
				words_to_list(eval_arena(l), &h->hosts, rest, remove);
	}
	return r;
}

static int
load(struct eval_loader *l, void **ret_state)
{
	struct lists *s = ARENA_NEW(eval_arena(l), struct lists);
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = load_fixed(l, s);
	if (r == 0)
		r = load_named(l, s, "enlist_addrlist", false);
	if (r == 0)
		r = load_hosts(l, s, "enlist_uri_host", NULL, false);
	if (r == 0)
		r = load_hosts(l, s, "delist_uri_host", NULL, true);
	if (r == 0)
		r = load_hosts(l, s, "blocklist_uri_host", "BLOCK", false);
	if (r == 0)
		r = load_hosts(l, s, "welcomelist_uri_host", "WELCOME", false);
	return r;
}

static int
any_in(struct eval_context *ctx, const struct addrlist *list,
    int (*addresses)(struct eval_context *, struct span **, size_t *),
    struct eval_result *r)
{
	struct span *list_of;
	size_t count;
	int rc;

	if (list == NULL || list->count == 0)
		return 0;
	rc = addresses(ctx, &list_of, &count);
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (addrlist_has(list, list_of[i])) {
			r->count = 1;
			r->matched = list_of[i];
			break;
		}
	return rc;
}

#define LISTED(name, list, addresses)                                       \
	static int name(struct eval_context *ctx,                           \
	    const struct eval_call *call, struct eval_result *r)            \
	{                                                                   \
		const struct lists *s = eval_state(ctx);                    \
									    \
		(void)call;                                                 \
		return any_in(ctx, &s->fixed[list], addresses, r);          \
	}

LISTED(run_block_from, BLOCK_FROM, addr_all_from)
LISTED(run_block_to, BLOCK_TO, addr_all_to)
LISTED(run_welcome_to, WELCOME_TO, addr_all_to)
LISTED(run_more_spam_to, MORE_SPAM_TO, addr_all_to)
LISTED(run_all_spam_to, ALL_SPAM_TO, addr_all_to)

static int
prepare_list(struct eval_loader *l, void *state, struct eval_call *call)
{
	call->prepared = named_find(state, call->args[0], NULL);
	if (call->prepared == NULL)
		eval_error(l, call->file, call->line, "%s: no list is named \"%s\"",
		    call->rule, call->args[0].ptr);
	return 0;
}

static int
run_from_in_list(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return any_in(ctx, call->prepared, addr_all_from, r);
}

static int
run_to_in_list(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return any_in(ctx, call->prepared, addr_all_to, r);
}

static int
run_replyto_in_list(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct span reply;

	if (call->prepared == NULL)
		return 0;
	if (!eval_get(ctx, "Reply-To:addr", &reply))
		return reply.ptr == NULL ? -ENOMEM : 0;
	reply = addr_lower(eval_input(ctx)->arena, reply);
	if (reply.ptr == NULL)
		return -ENOMEM;
	r->count = reply.len != 0 && addrlist_has(call->prepared, reply);
	return 0;
}

/* The relays that may vouch for an address: the first untrusted one, or all
 * trusted ones when there is no other (else forged fields would count). */
static size_t
vouching_relays(const struct relays *relays, const struct received_hop **out,
    size_t max)
{
	size_t n = 0;

	for (size_t i = 0; relays != NULL && i < relays->count; i++)
		if (!relays->hops[i].ignored && relays->hops[i].parsed &&
		    !relays->hops[i].trusted) {
			out[0] = &relays->hops[i];
			return 1;
		}
	for (size_t i = 0; relays != NULL && i < relays->count && n < max; i++)
		if (!relays->hops[i].ignored && relays->hops[i].parsed)
			out[n++] = &relays->hops[i];
	return n;
}

/* RELAY of welcomelist_from_rcvd: "[192.0.2.0/24]", "[192.0.2.0]/24",
 * "[192.0.2]" or a domain that ends the relay's confirmed name */
static bool
relay_matches(struct span relay, const struct received_hop *hop)
{
	struct span rdns = span_cstr(hop->rdns != NULL ? hop->rdns : "");
	size_t close = span_find(relay, ']');
	char text[NETADDR_TEXT];
	struct network net;

	if (relay.len > 2 && relay.ptr[0] == '[' && close < relay.len) {
		if (relay.len - 2 >= sizeof(text))
			return false;
		memcpy(text, relay.ptr + 1, close - 1);
		memcpy(text + close - 1, relay.ptr + close + 1,
		    relay.len - close - 1);
		return network_parse(span_of(text, relay.len - 2), &net) &&
		    network_contains(&net, &hop->ip);
	}
	if (rdns.len < relay.len || relay.len == 0)
		return false;
	return span_ieq(span_from(rdns, rdns.len - relay.len), relay) &&
	    (rdns.len == relay.len || rdns.ptr[rdns.len - relay.len - 1] == '.');
}

/* 1 listed and vouched for, -1 listed only: perhaps forged, 0 not listed */
static int
rcvd_check(struct eval_context *ctx, const struct addrlist *list,
    const struct addrlist *allows_relays, struct span address)
{
	enum { MAX_RELAYS = 64 };
	const struct received_hop *hops[MAX_RELAYS];
	size_t n = vouching_relays(eval_input(ctx)->relays, hops, MAX_RELAYS);
	bool listed = false;

	for (size_t i = 0; n > 0 && i < list->count; i++) {
		if (!addr_entry_matches(&list->entries[i], address))
			continue;
		for (size_t k = 0; k < n; k++)
			if (relay_matches(list->entries[i].relay, hops[k]))
				return 1;
		listed = true;
	}
	return listed && !addrlist_has(allows_relays, address) ? -1 : 0;
}

struct welcome {
	int configured, shipped; /* welcomelist_from(_rcvd), def_… */
};

static int
welcome_of(struct eval_context *ctx, const struct welcome **ret)
{
	const struct lists *s = eval_state(ctx);
	void **slot = eval_cache(ctx);
	struct welcome *w = *slot;
	struct span *from;
	size_t count;
	int rc;

	*ret = w;
	if (w != NULL)
		return 0;
	w = *slot = ARENA_NEW(eval_input(ctx)->arena, struct welcome);
	if (w == NULL)
		return -ENOMEM;
	*ret = w;
	rc = addr_all_from(ctx, &from, &count);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		int c = addrlist_has(&s->fixed[WELCOME_FROM], from[i]) ? 1 :
		    rcvd_check(ctx, &s->fixed[WELCOME_RCVD],
			&s->fixed[ALLOWS_RELAYS], from[i]);
		int d = rcvd_check(ctx, &s->fixed[DEF_WELCOME_RCVD],
		    &s->fixed[ALLOWS_RELAYS], from[i]);

		if (w->configured != 1 && c != 0)
			w->configured = c;
		if (w->shipped != 1 && d != 0)
			w->shipped = d;
	}
	return rc;
}

#define WELCOMED(name, condition)                                \
	static int name(struct eval_context *ctx,                \
	    const struct eval_call *call, struct eval_result *r) \
	{                                                        \
		const struct welcome *w;                         \
		int rc = welcome_of(ctx, &w);                    \
								 \
		(void)call;                                      \
		if (rc == 0)                                     \
			r->count = condition;                    \
		return rc;                                       \
	}

WELCOMED(run_welcome_from, w->configured > 0)
WELCOMED(run_welcome_forged, w->configured < 0 && w->shipped == 0)
WELCOMED(run_def_welcome_from, w->shipped > 0)
WELCOMED(run_def_welcome_forged, w->shipped < 0 && w->configured == 0)

static int
run_mailfrom_matches(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum { MAX_RELAYS = 64 };
	const struct received_hop *hops[MAX_RELAYS];
	size_t n = vouching_relays(eval_input(ctx)->relays, hops, MAX_RELAYS);
	struct span from, domain;
	const char *at;

	(void)call;
	if (!eval_get(ctx, "EnvelopeFrom:addr", &from))
		return from.ptr == NULL ? -ENOMEM : 0;
	at = memrchr(from.ptr, '@', from.len);
	if (at == NULL)
		return 0;
	domain = span_from(from, (size_t)(at - from.ptr) + 1);
	/* a dot within it, not at its ends */
	if (domain.len < 3 ||
	    memchr(domain.ptr + 1, '.', domain.len - 2) == NULL)
		return 0;
	domain = eval_trim_domain(ctx, domain);
	for (size_t i = 0; i < n; i++)
		if (hops[i]->rdns != NULL && hops[i]->rdns[0] != '\0' &&
		    span_eq(domain,
			eval_trim_domain(ctx, span_cstr(hops[i]->rdns))))
			r->count = 1;
	return 0;
}

/* Most specific first: sub.example.com, example.com, com */
static int
host_verdict(const struct host_list *list, struct span host)
{
	enum { MAX_LABELS = 12 };

	for (int labels = 0; labels < MAX_LABELS && host.len > 0; labels++) {
		for (size_t i = 0; i < list->hosts.count; i++) {
			struct span e = list->hosts.entries[i].glob;
			bool not = e.len > 0 && e.ptr[0] == '!';

			if (span_ieq(span_from(e, not), host))
				return not ? -1 : 1;
		}
		host = span_from(host, span_find(host, '.') + 1);
	}
	return 0;
}

static int
uri_host_listed(struct eval_context *ctx, struct span name,
    struct eval_result *r)
{
	const struct lists *s = eval_state(ctx);
	const struct host_list *list = s->hosts;
	const struct uris *uris;
	int rc;

	while (list != NULL && !span_eq(list->name, name))
		list = list->next;
	if (list == NULL)
		return 0;
	rc = eval_uris(ctx, &uris);
	for (size_t i = 0; rc == 0 && i < uris->count && r->count == 0; i++) {
		const struct uri *u = &uris->items[i];

		if (span_istarts(u->raw, "mailto:"))
			continue;
		if (!eval_steps(ctx, list->hosts.count)) {
			r->state = EVAL_UNKNOWN;
			r->why = "step budget";
			return 0;
		}
		for (size_t k = 0; k < u->host_count; k++)
			if (host_verdict(list, u->hosts[k]) > 0) {
				r->count = 1;
				r->matched = u->hosts[k];
				break;
			}
	}
	return rc;
}

static int
run_host_listed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return uri_host_listed(ctx, call->args[0], r);
}

static int
run_host_blocked(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return uri_host_listed(ctx, SPAN_LIT("BLOCK"), r);
}

static int
run_host_welcome(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return uri_host_listed(ctx, SPAN_LIT("WELCOME"), r);
}

static const struct eval_function functions[] = {
	{ "check_from_in_blocklist", EVAL_HEADER, "", run_block_from, NULL, NULL },
	{ "check_from_in_blacklist", EVAL_HEADER, "", run_block_from, NULL, NULL },
	{ "check_to_in_blocklist", EVAL_HEADER, "", run_block_to, NULL, NULL },
	{ "check_to_in_blacklist", EVAL_HEADER, "", run_block_to, NULL, NULL },
	{ "check_to_in_welcomelist", EVAL_HEADER, "", run_welcome_to, NULL, NULL },
	{ "check_to_in_whitelist", EVAL_HEADER, "", run_welcome_to, NULL, NULL },
	{ "check_to_in_more_spam", EVAL_HEADER, "", run_more_spam_to, NULL, NULL },
	{ "check_to_in_all_spam", EVAL_HEADER, "", run_all_spam_to, NULL, NULL },
	{ "check_from_in_list", EVAL_HEADER, "s", run_from_in_list, prepare_list, NULL },
	{ "check_to_in_list", EVAL_HEADER, "s", run_to_in_list, prepare_list, NULL },
	{ "check_replyto_in_list", EVAL_HEADER, "s", run_replyto_in_list, prepare_list, NULL },
	{ "check_from_in_welcomelist", EVAL_HEADER, "", run_welcome_from, NULL, NULL },
	{ "check_from_in_whitelist", EVAL_HEADER, "", run_welcome_from, NULL, NULL },
	{ "check_forged_in_welcomelist", EVAL_HEADER, "", run_welcome_forged, NULL, NULL },
	{ "check_forged_in_whitelist", EVAL_HEADER, "", run_welcome_forged, NULL, NULL },
	{ "check_from_in_default_welcomelist", EVAL_HEADER, "", run_def_welcome_from, NULL, NULL },
	{ "check_from_in_default_whitelist", EVAL_HEADER, "", run_def_welcome_from, NULL, NULL },
	{ "check_forged_in_default_welcomelist", EVAL_HEADER, "", run_def_welcome_forged, NULL, NULL },
	{ "check_forged_in_default_whitelist", EVAL_HEADER, "", run_def_welcome_forged, NULL, NULL },
	{ "check_mailfrom_matches_rcvd", EVAL_HEADER, "", run_mailfrom_matches, NULL, NULL },
	{ "check_uri_host_listed", EVAL_ANY, "s", run_host_listed, NULL, NULL },
	{ "check_uri_host_in_blocklist", EVAL_ANY, "", run_host_blocked, NULL, NULL },
	{ "check_uri_host_in_blacklist", EVAL_ANY, "", run_host_blocked, NULL, NULL },
	{ "check_uri_host_in_welcomelist", EVAL_ANY, "", run_host_welcome, NULL, NULL },
	{ "check_uri_host_in_whitelist", EVAL_ANY, "", run_host_welcome, NULL, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "welcomelist_from", DIRECTIVE_LINES, NULL },
	{ "unwelcomelist_from", DIRECTIVE_LINES, NULL },
	{ "blocklist_from", DIRECTIVE_LINES, NULL },
	{ "unblocklist_from", DIRECTIVE_LINES, NULL },
	{ "welcomelist_to", DIRECTIVE_LINES, NULL },
	{ "more_spam_to", DIRECTIVE_LINES, NULL },
	{ "all_spam_to", DIRECTIVE_LINES, NULL },
	{ "blocklist_to", DIRECTIVE_LINES, NULL },
	{ "welcomelist_from_rcvd", DIRECTIVE_LINES, NULL },
	{ "def_welcomelist_from_rcvd", DIRECTIVE_LINES, NULL },
	{ "unwelcomelist_from_rcvd", DIRECTIVE_LINES, NULL },
	{ "welcomelist_allows_relays", DIRECTIVE_LINES, NULL },
	{ "enlist_addrlist", DIRECTIVE_LINES, NULL },
	{ "enlist_uri_host", DIRECTIVE_LINES, NULL },
	{ "delist_uri_host", DIRECTIVE_LINES, NULL },
	{ "blocklist_uri_host", DIRECTIVE_LINES, NULL },
	{ "welcomelist_uri_host", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_welcomelist = {
	"Mail::SpamAssassin::Plugin::WLBLEval", functions, directives, NULL, load,
};
