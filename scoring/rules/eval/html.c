/*
 * HTMLEval, URIEval and HTTPSMismatch: properties of rendered HTML, and links
 * that say one thing and go to another.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/probe.h"

enum { LINK_IP, ANCHOR_IP, ANCHOR_HTTPS, LINK_HOST, ANCHOR_HOST, REDIRECTOR,
	PATTERNS };

static const char *const texts[PATTERNS] = {
	[LINK_IP] = "/^https?:\\/*(?:[^\\@\\/]+\\@)?\\d+\\.\\d+\\.\\d+\\.\\d+/i",
	[ANCHOR_IP] = "/^https:\\/*(?:[^\\@\\/]+\\@)?\\d+\\.\\d+\\.\\d+\\.\\d+/i",
	[ANCHOR_HTTPS] = "/https:/i",
	[LINK_HOST] = "/^https?:\\/\\/([^\\/:?#]+)/i",
	[ANCHOR_HOST] = "/https:\\/\\/([^\\s\\/:?#]+)/i",
	[REDIRECTOR] = "/^https?:\\/\\/([^\\/:\\?]+).+?(https?:\\/{0,2}?([^\\/:\\?]+).*)$/i",
};

/* "> 3", "!= 0", "== -1": the comparisons that rule files write */
struct comparison {
	char op[3];
	double value;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	return probe_load(l, texts, PATTERNS, ret_state);
}

static bool
comparison_parse(struct span s, struct comparison *c)
{
	static const char *const ops[] = { "<=", ">=", "==", "!=", "<", ">" };

	s = span_trim(s);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (span_istarts(s, ops[i])) {
			strcpy(c->op, ops[i]);
			return conf_parse_points(
			    span_trim(span_from(s, strlen(ops[i]))), &c->value);
		}
	return false;
}

static bool
compare(const struct comparison *c, double v)
{
	switch (c->op[0]) {
	case '<':
		return c->op[1] == '=' ? v <= c->value : v < c->value;
	case '>':
		return c->op[1] == '=' ? v >= c->value : v > c->value;
	case '=':
		return v == c->value;
	default:
		return v != c->value;
	}
}

static int
prepare_comparison(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct comparison *c = ARENA_NEW(eval_arena(l), struct comparison);

	(void)state;
	if (c == NULL)
		return -ENOMEM;
	if (!comparison_parse(call->args[1], c))
		eval_error(l, call->file, call->line,
		    "%s: not a comparison with a number: \"%s\"", call->rule,
		    call->args[1].ptr);
	call->prepared = c;
	return 0;
}

static int
prepare_regexp(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	call->prepared = eval_pattern(l, call->args[1], false, call->file,
	    call->line);
	return 0;
}

static int
parts(struct eval_context *ctx, const struct html **ret)
{
	return body_html(eval_input(ctx)->message, ret);
}

static double
number(struct span s)
{
	return strtod(s.ptr, NULL);
}

static int
run_tag_balance(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next) {
		int open = html_inside(h, call->args[0]);

		r->count = open >= 0 && compare(call->prepared, open);
	}
	return 0;
}

static int
run_image_only(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double min = number(call->args[0]), max = number(call->args[1]), length;
	const struct html *h;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next)
		r->count = html_inside(h, SPAN_LIT("img")) >= 0 &&
		    html_number(h, "length", &length) && length > min &&
		    length <= max;
	return 0;
}

static int
run_image_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double min = number(call->args[0]), max = number(call->args[1]);
	const struct html *h;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next) {
		double text, area;

		r->count = html_number(h, "non_space_len", &text) &&
		    html_number(h, "image_area", &area) && area > 0 &&
		    text / area > min && text / area <= max;
	}
	return 0;
}

static int
run_tag_exists(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next)
		r->count = html_inside(h, call->args[0]) >= 0;
	return 0;
}

static int
run_test(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;
	double v;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next)
		r->count = html_number(h, call->args[0].ptr, &v) && v != 0;
	return 0;
}

static int
run_eval(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;
	double v;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next)
		r->count = html_number(h, call->args[0].ptr, &v) &&
		    compare(call->prepared, v);
	return 0;
}

static int
run_range(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double min = number(call->args[1]), v;
	bool open = call->arg_count < 3 || span_is(call->args[2], "inf");
	double max = open ? 0 : number(call->args[2]);
	const struct html *h;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && r->count == 0; h = h->next)
		r->count = html_number(h, call->args[0].ptr, &v) && v > min &&
		    (open || v <= max);
	return 0;
}

static int
text_match(struct eval_context *ctx, const struct eval_call *call, bool want,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct html *h;

	if (call->prepared == NULL)
		return 0;
	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL; h = h->next) {
		const struct texts *t = html_texts(h, call->args[0].ptr);

		for (size_t i = 0; t != NULL && i < t->count; i++) {
			int m = eval_match(ctx, call->prepared, t->items[i], 0, NULL,
			    0);

			if (m < 0)
				p.error = m;
			if (p.error != 0 || (m == 1) == want) {
				r->matched = t->items[i];
				return probe_end(&p, r, true);
			}
		}
	}
	return probe_end(&p, r, false);
}

static int
run_text_match(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return text_match(ctx, call, true, r);
}

static int
run_text_not_match(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return text_match(ctx, call, false, r);
}

static int
run_title_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span subject = probe_get(&p, "Subject");
	double ratio = number(call->args[0]);
	const struct html *h;
	bool hit = false;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && subject.len > 0; h = h->next)
		for (size_t i = 0; i < h->titles.count; i++)
			hit |= (double)h->titles.items[i].len /
			    (double)subject.len > ratio;
	return probe_end(&p, r, hit);
}

static int
run_iframe(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;

	(void)call;
	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL; h = h->next)
		for (size_t i = 0; i < h->uri_count; i++)
			if ((h->uris[i].types & URI_IFRAME) != 0)
				r->count = 1;
	return 0;
}

static int
run_https_ip(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct html *h;
	bool hit = false;

	(void)call;
	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && !hit; h = h->next)
		for (size_t i = 0; i < h->uri_count && !hit; i++) {
			const struct html_uri *u = &h->uris[i];

			if (!probe_hit(&p, LINK_IP, u->raw))
				continue;
			for (size_t k = 0; k < u->anchor_count && !hit; k++)
				hit = !probe_hit(&p, ANCHOR_IP, u->anchors[k]) &&
				    probe_hit(&p, ANCHOR_HTTPS, u->anchors[k]);
		}
	return probe_end(&p, r, hit);
}

static int
run_truncated(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct html *h;
	double v;

	(void)call;
	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL; h = h->next)
		if (html_number(h, "uri_truncated", &v) && v != 0)
			r->count = 1;
	return 0;
}

static struct span
domain_or_host(struct eval_context *ctx, struct span host)
{
	struct span name, domain;

	return uri_to_domain(eval_input(ctx)->arena, host, eval_uri_rules(ctx),
	    &name, &domain) && domain.len != 0 ? domain : host;
}

static int
run_redirector(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum { MAX_STEPS = 20 };
	struct probe p = probe_begin(ctx);
	const struct uris *uris;
	struct span g[4];

	(void)call;
	if (eval_uris(ctx, &uris) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < uris->list_count; i++) {
		struct span u = uris->list[i];

		for (int n = 0; n < MAX_STEPS &&
		     probe_groups(&p, REDIRECTOR, u, g, 4); n++) {
			if (!span_ieq(domain_or_host(ctx, g[1]),
				domain_or_host(ctx, g[3]))) {
				r->matched = uris->list[i];
				return probe_end(&p, r, true);
			}
			u = g[2];
		}
	}
	return probe_end(&p, r, false);
}

static bool
is_address(struct span host)
{
	struct netaddr a;

	return netaddr_parse(host, &a);
}

/* Anchors that name another https host than their link's, over one part */
static bool
https_mismatch(struct probe *p, const struct html *h, unsigned *ret_anchors)
{
	struct span g[2];
	bool hit = false;

	*ret_anchors = 0;
	for (size_t i = 0; i < h->uri_count; i++) {
		const struct html_uri *u = &h->uris[i];
		struct span domain;

		if (u->anchor_count == 0 || !probe_groups(p, LINK_HOST, u->raw, g, 2) ||
		    is_address(g[1]))
			continue;
		domain = eval_valid_domain(p->ctx, g[1]);
		if (domain.len == 0)
			continue;
		++*ret_anchors;
		for (size_t k = 0; k < u->anchor_count; k++) {
			struct span other;

			if (!probe_groups(p, ANCHOR_HOST, u->anchors[k], g, 2))
				continue;
			other = is_address(g[1]) ? g[1] :
						   eval_valid_domain(p->ctx, g[1]);
			if (other.len != 0 && !span_ieq(other, domain)) {
				hit = true;
				break;
			}
		}
	}
	return hit;
}

static int
run_https_http(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	double min = call->arg_count > 0 ? number(call->args[0]) : 1;
	const struct html *h;
	bool hit = false;

	if (parts(ctx, &h) != 0)
		return -ENOMEM;
	for (; h != NULL && !hit; h = h->next) {
		unsigned anchors;

		hit = https_mismatch(&p, h, &anchors) && anchors >= min &&
		    (call->arg_count < 2 || anchors < number(call->args[1]));
	}
	return probe_end(&p, r, hit);
}

#define BODY (EVAL_BODY | EVAL_RAWBODY)

static const struct eval_function functions[] = {
	{ "html_tag_balance", BODY, "ss", run_tag_balance, prepare_comparison, NULL },
	{ "html_image_only", BODY, "ss", run_image_only, NULL, NULL },
	{ "html_image_ratio", BODY, "ss", run_image_ratio, NULL, NULL },
	{ "html_tag_exists", BODY, "s", run_tag_exists, NULL, NULL },
	{ "html_test", BODY, "s", run_test, NULL, NULL },
	{ "html_eval", BODY, "ss", run_eval, prepare_comparison, NULL },
	{ "html_text_match", BODY, "ss", run_text_match, prepare_regexp, NULL },
	{ "html_text_not_match", BODY, "ss", run_text_not_match, prepare_regexp, NULL },
	{ "html_title_subject_ratio", BODY, "s", run_title_ratio, NULL, NULL },
	{ "html_range", BODY, "ss|s", run_range, NULL, NULL },
	{ "check_iframe_src", BODY, "", run_iframe, NULL, NULL },
	{ 0 },
};

static const struct eval_function uri_functions[] = {
	{ "check_for_http_redirector", EVAL_ANY, "", run_redirector, NULL, NULL },
	{ "check_https_ip_mismatch", EVAL_ANY, "", run_https_ip, NULL, NULL },
	{ "check_uri_truncated", EVAL_ANY, "", run_truncated, NULL, NULL },
	{ 0 },
};

static const struct eval_function https_functions[] = {
	{ "check_https_http_mismatch", BODY, "|ss", run_https_http, NULL, NULL },
	{ 0 },
};

const struct eval_family eval_html = {
	"Mail::SpamAssassin::Plugin::HTMLEval", functions, NULL, NULL, load,
};
const struct eval_family eval_uri = {
	"Mail::SpamAssassin::Plugin::URIEval", uri_functions, NULL, NULL, load,
};
const struct eval_family eval_https = {
	"Mail::SpamAssassin::Plugin::HTTPSMismatch", https_functions, NULL, NULL,
	load,
};
