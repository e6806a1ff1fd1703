/*
 * Functions of plugins whose answer comes from elsewhere: Bayes from the
 * learned model, VBounce from its list of relays, and those that need a
 * network service which is not asked (Razor2, Pyzor, DCC).
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/rules/eval/addrlist.h"

static int
run_service(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)ctx;
	(void)call;
	r->state = EVAL_NOT_RUN;
	r->why = "this service is not asked";
	return 0;
}

/* check_bayes(low, high): the model's probability, half open as there */
static int
run_bayes(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double p = eval_input(ctx)->learned, low = strtod(call->args[0].ptr, NULL),
	       high = strtod(call->args[1].ptr, NULL);

	if (p < 0) {
		r->state = EVAL_NOT_RUN;
		r->why = "no learned model";
		return 0;
	}
	r->count = (low == 0 || p > low) && p <= high;
	return 0;
}

/* ---- VBounce: bounces of our own mail name one of our relays */

static int
load_relays(struct eval_loader *l, void **ret_state)
{
	struct addrlist *s = ARENA_NEW(eval_arena(l), struct addrlist);
	const struct eval_line *lines;
	size_t count;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	eval_lines(l, "welcomelist_bounce_relays", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span v = lines[i].value; v.len > 0;)
			if (addrlist_add(eval_arena(l), s, conf_next_word(&v),
				span_of("", 0)) != 0)
				return -ENOMEM;
	return 0;
}

static int
run_any_relays(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct addrlist *s = eval_state(ctx);

	(void)call;
	r->count = s->count > 0;
	return 0;
}

/* A Received line inside the bounce that names a listed relay as "by" */
static int
run_own_relay(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct addrlist *s = eval_state(ctx);
	struct message *m = eval_input(ctx)->message;
	struct span rest = span_from(m->raw, m->body_offset);

	(void)call;
	while (s->count > 0 && rest.len > 0 && r->count == 0) {
		struct span line = span_of(rest.ptr, span_find(rest, '\n'));

		rest = span_from(rest, line.len + 1);
		line = span_trim(line);
		if (!span_istarts(line, "Received: ") && !span_istarts(line, "from ") &&
		    !span_istarts(line, "by "))
			continue;
		for (size_t i = 0; i < line.len; i++) {
			size_t n = 0;
			struct span host;

			while (i + n < line.len && (line.ptr[i + n] == '.' ||
				line.ptr[i + n] == '-' || line.ptr[i + n] == '_' ||
				(line.ptr[i + n] >= '0' && line.ptr[i + n] <= '9') ||
				((line.ptr[i + n] | 32) >= 'a' &&
				    (line.ptr[i + n] | 32) <= 'z')))
				n++;
			if (n == 0)
				continue;
			host = addr_lower(eval_input(ctx)->arena,
			    span_of(line.ptr + i, n));
			if (host.ptr == NULL)
				return -ENOMEM;
			if (span_find(host, '.') < host.len && addrlist_has(s, host)) {
				r->count = 1;
				r->matched = span_of(line.ptr + i, n);
				break;
			}
			i += n;
		}
	}
	return 0;
}

static const struct eval_function bounce_functions[] = {
	{ "have_any_bounce_relays", EVAL_ANY, "", run_any_relays, NULL, NULL },
	{ "check_welcomelist_bounce_relays", EVAL_ANY, "", run_own_relay, NULL, NULL },
	{ "check_whitelist_bounce_relays", EVAL_ANY, "", run_own_relay, NULL, NULL },
	{ 0 },
};

static const struct eval_directive bounce_directives[] = {
	{ "welcomelist_bounce_relays", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_vbounce = {
	"Mail::SpamAssassin::Plugin::VBounce", bounce_functions, bounce_directives,
	NULL, load_relays,
};

static const struct eval_function bayes_functions[] = {
	{ "check_bayes", EVAL_ANY, "ss", run_bayes, NULL, NULL },
	{ 0 },
};
const struct eval_family eval_bayes = {
	"Mail::SpamAssassin::Plugin::Bayes", bayes_functions, NULL, NULL, NULL,
};

static const struct eval_function razor_functions[] = {
	{ "check_razor2", EVAL_ANY, "*", run_service, NULL, NULL },
	{ "check_razor2_range", EVAL_ANY, "*", run_service, NULL, NULL },
	{ 0 },
};
const struct eval_family eval_razor = {
	"Mail::SpamAssassin::Plugin::Razor2", razor_functions, NULL, NULL, NULL,
};

static const struct eval_function pyzor_functions[] = {
	{ "check_pyzor", EVAL_ANY, "*", run_service, NULL, NULL },
	{ 0 },
};
const struct eval_family eval_pyzor = {
	"Mail::SpamAssassin::Plugin::Pyzor", pyzor_functions, NULL, NULL, NULL,
};

static const struct eval_function dcc_functions[] = {
	{ "check_dcc", EVAL_ANY, "*", run_service, NULL, NULL },
	{ "check_dcc_reputation_range", EVAL_ANY, "*", run_service, NULL, NULL },
	{ 0 },
};
const struct eval_family eval_dcc = {
	"Mail::SpamAssassin::Plugin::DCC", dcc_functions, NULL, NULL, NULL,
};
