/*
 * AskDNS: `askdns NAME template [type [filter]]`, a question made of message
 * tags: _AUTHORDOMAIN_, _SENDERDOMAIN_, _DKIMDOMAIN_, _HEADER(name)_ and what
 * rules captured.
 *
 * Which signatures are good is not known when questions are named: all
 * signing domains are asked about, and answers count for good ones only.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/rules/eval/dnsq.h"
#include "scoring/rules/eval/tagvalues.h"

struct question {
	struct span text; /* the template */
	uint16_t type;
	struct dns_filter filter;
	bool personal; /* of a field, or of what a rule captured */
};

static bool
is_tag_char(char c)
{
	return (c >= 'A' && c <= 'Z') || ascii_is_digit(c);
}

/* The next _TAG_, _MY_TAG_ or _TAG(argument)_ in s from start on, the longest
 * that can begin there: its name, and *ret_end behind it */
static bool
next_tag(struct span s, size_t start, size_t *ret_start, size_t *ret_end,
    struct span *ret_name)
{
	for (size_t i = start; i + 2 < s.len; i++) {
		size_t end = 0, k = i + 1;

		if (s.ptr[i] != '_' || !is_tag_char(s.ptr[k]) ||
		    ascii_is_digit(s.ptr[k]))
			continue;
		for (;;) {
			while (k < s.len && is_tag_char(s.ptr[k]))
				k++;
			if (k < s.len && s.ptr[k] == '(') {
				k += span_find(span_from(s, k), ')') + 1;
				if (k < s.len && s.ptr[k] == '_')
					end = k;
				break;
			}
			if (k == s.len || s.ptr[k] != '_')
				break;
			end = k++;
			if (k == s.len || !is_tag_char(s.ptr[k]))
				break;
		}
		if (end == 0)
			continue;
		*ret_start = i;
		*ret_end = end + 1;
		*ret_name = span_of(s.ptr + i + 1, end - i - 1);
		return true;
	}
	return false;
}

static int
prepare(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct question *q = ARENA_NEW(eval_arena(l), struct question);
	struct span rest = call->args[0], type, tag;
	size_t start, end = 0;

	(void)state;
	if (q == NULL)
		return -ENOMEM;
	q->text = conf_next_word(&rest);
	type = conf_next_word(&rest);
	q->type = type.len == 0 ? DNS_A : dnsq_type(type);
	if (q->text.len == 0)
		eval_error(l, call->file, call->line, "%s: no template",
		    call->rule);
	else if (q->type == 0)
		eval_warning(l, call->file, call->line,
		    "%s: not run: \"%.*s\" is none of A AAAA TXT MX NS PTR CNAME",
		    call->rule, SPAN_ARG(type));
	else if (dns_filter_parse(l, rest, &q->filter, call->file, call->line))
		call->prepared = q;
	while (next_tag(q->text, end, &start, &end, &tag)) {
		q->personal |= !tag_is_builtin(tag) ||
		    span_istarts(tag, "HEADER(");
		if (!tag_is_builtin(tag))
			eval_asks_with_captures(l);
	}
	return 0;
}

/* Each tag's values in turn; DNSQ_MAX_NAMES bounds the product */
static void
expand(struct eval_context *ctx, struct span text, bool good_only,
    struct dnsq_names *n)
{
	struct tag_values v;
	struct span tag;
	size_t start, end;

	if (n->error != 0 || n->count == DNSQ_MAX_NAMES)
		return;
	if (!next_tag(text, 0, &start, &end, &tag)) {
		dnsq_add(ctx, n, text, "");
		return;
	}
	n->error = tag_values_get(ctx, tag, good_only, &v);
	for (size_t i = 0; n->error == 0 && i < v.count; i++) {
		/* a value could hold what looks like a tag: host names hold
		 * no "_X_", and what does is no host name */
		char *next;

		if (memchr(v.list[i].ptr, '_', v.list[i].len) != NULL)
			continue;
		next = arena_printf(eval_input(ctx)->arena, "%.*s%.*s%.*s",
		    SPAN_ARG(span_of(text.ptr, start)), SPAN_ARG(v.list[i]),
		    SPAN_ARG(span_from(text, end)));
		if (next == NULL)
			n->error = -ENOMEM;
		else
			expand(ctx, span_cstr(next), good_only, n);
	}
}

static int
ask(struct eval_context *ctx, const struct eval_call *call)
{
	const struct question *q = call->prepared;
	struct dnsq_names n = { .count = 0 };

	if (q == NULL)
		return 0;
	n.personal = q->personal;
	expand(ctx, q->text, false, &n);
	return dnsq_ask(ctx, &n, q->type, NULL);
}

static int
run(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct question *q = call->prepared;
	struct dnsq_names n = { .count = 0 };

	if (q == NULL) {
		r->state = EVAL_NOT_RUN;
		r->why = "this type of record is not asked";
		return 0;
	}
	n.personal = q->personal;
	expand(ctx, q->text, true, &n);
	if (n.error == 0 && n.count == 0 &&
	    eval_input(ctx)->evidence->dns.state == CHECK_NOT_RUN) {
		r->state = EVAL_NOT_RUN;
		r->why = "offline";
		return 0;
	}
	return dnsq_answer(ctx, &n, q->type, &q->filter, r);
}

static const struct eval_function functions[] = {
	{ "spamscore_askdns", EVAL_ANY, "s", run, prepare, ask },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "askdns", DIRECTIVE_RULE, "spamscore_askdns" },
	{ 0 },
};

const struct eval_family eval_askdns = {
	"Mail::SpamAssassin::Plugin::AskDNS", functions, directives, NULL, NULL,
};
