/*
 * util_rb_tld, util_rb_2tld, util_rb_3tld, clear_util_rb: where registered
 * domains begin (Mail::SpamAssassin::RegistryBoundaries), redirector_pattern:
 * URIs that only lead to another one, and parse_dkim_uris. Without such lines
 * the public suffix list decides, and nothing is a redirector.
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/probe.h"
#include "scoring/rules/internal.h"

struct domains {
	struct strmap levels[3]; /* tld, 2tld, 3tld */
	struct pattern **redirectors;
	size_t redirector_count;
	bool parse_dkim; /* signing domains are among the URIs */
};

static int
load_level(struct eval_loader *el, const char *directive, size_t cleared,
    struct strmap *map)
{
	const struct eval_line *lines;
	size_t count;

	strmap_init(map, eval_arena(el));
	eval_lines(el, directive, &lines, &count);
	for (size_t i = 0; i < count; i++) {
		struct span rest = lines[i].value, w;

		if (lines[i].order < cleared)
			continue;
		if (rest.len == 0)
			eval_error(el, lines[i].file, lines[i].line,
			    "%s: needs domains", directive);
		while (rest.len > 0) {
			char name[256];

			w = conf_next_word(&rest);
			if (w.len >= sizeof(name))
				continue;
			for (size_t k = 0; k < w.len; k++)
				name[k] = w.ptr[k] >= 'A' && w.ptr[k] <= 'Z' ?
				    (char)(w.ptr[k] + ('a' - 'A')) : w.ptr[k];
			if (strmap_set(map, span_of(name, w.len), 1) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int
load_domains(struct eval_loader *el, void **ret_state)
{
	static const char *const words[3] = { "util_rb_tld", "util_rb_2tld",
		"util_rb_3tld" };
	struct domains *d = ARENA_NEW(eval_arena(el), struct domains);
	const struct eval_line *lines;
	size_t count, cleared = 0;
	int r = 0;

	if (d == NULL)
		return -ENOMEM;
	eval_lines(el, "clear_util_rb", &lines, &count);
	if (count > 0)
		cleared = lines[count - 1].order;
	for (size_t i = 0; r == 0 && i < 3; i++)
		r = load_level(el, words[i], cleared, &d->levels[i]);
	eval_lines(el, "redirector_pattern", &lines, &count);
	d->redirectors = ARENA_ARRAY(eval_arena(el), count, struct pattern *);
	if (r != 0 || d->redirectors == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct pattern *p = eval_pattern(el, lines[i].value, true,
		    lines[i].file, lines[i].line);

		if (p != NULL)
			d->redirectors[d->redirector_count++] = p;
	}
	d->parse_dkim = probe_number_setting(el, "parse_dkim_uris", 1) != 0;
	*ret_state = d;
	el->loader->rs->domains = d;
	return 0;
}

static const struct eval_directive directives[] = {
	{ "util_rb_tld", DIRECTIVE_LINES, NULL },
	{ "util_rb_2tld", DIRECTIVE_LINES, NULL },
	{ "util_rb_3tld", DIRECTIVE_LINES, NULL },
	{ "clear_util_rb", DIRECTIVE_LINES, NULL },
	{ "redirector_pattern", DIRECTIVE_LINES, NULL },
	{ "parse_dkim_uris", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_domains = {
	.plugin = "Mail::SpamAssassin::Conf",
	.directives = directives,
	.load = load_domains,
};

static bool
listed(const void *ctx, int level, struct span name)
{
	const struct eval_context *c = ctx;

	return strmap_find(&c->rs->domains->levels[level], name) != NULL;
}

static bool
tld_is_valid(const void *ctx, struct span name)
{
	return listed(ctx, 0, name);
}

static bool
is_two_level(const void *ctx, struct span name)
{
	return listed(ctx, 1, name);
}

static bool
is_three_level(const void *ctx, struct span name)
{
	return listed(ctx, 2, name);
}

static bool
redirect(const void *ctx, struct span uri, struct span *ret)
{
	/* the matcher and the step count are the only things written */
	struct eval_context *c = (struct eval_context *)(uintptr_t)ctx;
	const struct domains *d = c->rs->domains;
	struct span groups[2];

	for (size_t i = 0; i < d->redirector_count; i++)
		if (pattern_find(d->redirectors[i], c->scratch->matcher,
			&c->budget, uri, 0, false, groups, 2) == PATTERN_HIT &&
		    groups[1].ptr != NULL) {
			*ret = groups[1];
			return true;
		}
	return false;
}

const struct uri_rules *
eval_uri_rules(struct eval_context *c)
{
	const struct domains *d = c->rs->domains;
	struct uri_rules *r = c->uri_rules;

	if (r != NULL)
		return r;
	r = ARENA_NEW(c->in->arena, struct uri_rules);
	if (r == NULL)
		return NULL;
	if (d != NULL && d->levels[0].count > 0) {
		r->tld_is_valid = tld_is_valid;
		r->is_two_level = is_two_level;
		r->is_three_level = is_three_level;
	}
	if (d != NULL && d->redirector_count > 0)
		r->redirect = redirect;
	r->parse_dkim = d == NULL || d->parse_dkim;
	r->ctx = c;
	c->uri_rules = r;
	return r;
}

struct span
eval_trim_domain(struct eval_context *c, struct span host)
{
	const struct uri_rules *rules = eval_uri_rules(c);
	struct span low = addr_lower(c->in->arena, host);

	if (rules == NULL || low.ptr == NULL) {
		c->oom = true;
		return SPAN_LIT("");
	}
	return domain_registered(low, rules);
}

struct span
eval_valid_domain(struct eval_context *c, struct span host)
{
	struct span domain = eval_trim_domain(c, host);

	return !c->oom && domain_is_valid(domain, c->uri_rules) ? domain :
	    SPAN_LIT("");
}

int
eval_uris(struct eval_context *c, const struct uris **ret_uris)
{
	return body_uris(c->in->message, eval_uri_rules(c), ret_uris);
}
