/*
 * spamscore's own words over the evidence, for rules inside
 * `ifplugin Mail::SpamAssassin::Plugin::Spamscore`. Results are the words of
 * RFC 8601 2.7 (pass, fail, softfail, neutral, none, policy, temperror,
 * permerror). spamscore-rules(5) lists them all.
 */
#include <errno.h>

#include "scoring/rules/eval.h"

static int
is_result(const struct check *check, enum auth_result got,
    const struct eval_call *call, struct eval_result *r)
{
	if (eval_check_open(check, r))
		return 0;
	r->count = span_is(call->args[0], auth_result_name(got));
	return 0;
}

static void
show(struct eval_result *r, const char *text, const char *target)
{
	r->target = target;
	if (r->count != 0 && text != NULL)
		r->matched = span_cstr(text);
}

static int
prepare_result(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	for (int i = AUTH_NONE; i <= AUTH_PERMERROR; i++)
		if (span_is(call->args[0],
			auth_result_name((enum auth_result)i)))
			return 0;
	eval_error(l, call->file, call->line, "%s: not a result: \"%s\"",
	    call->rule, call->args[0].ptr);
	return 0;
}

static int
own_spf(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct spf_evidence *s = &eval_input(ctx)->evidence->spf_mailfrom;
	int x = is_result(&s->check, s->result, call, r);

	show(r, s->domain, "MAIL FROM");
	return x;
}

static int
own_spf_helo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct spf_evidence *s = &eval_input(ctx)->evidence->spf_helo;
	int x = is_result(&s->check, s->result, call, r);

	show(r, s->domain, "HELO");
	return x;
}

/* Any signature with that result; "none": there is no signature */
static int
own_dkim(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;
	struct eval_result open = { .state = EVAL_DONE };

	r->target = "DKIM-Signature";
	if (span_is(call->args[0], "none")) {
		r->count = e->dkim_count == 0;
		return 0;
	}
	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];

		if (!eval_check_open(&d->check, &open) &&
		    span_is(call->args[0], auth_result_name(d->result))) {
			r->count = 1;
			show(r, d->domain, "DKIM-Signature");
			return 0;
		}
	}
	r->state = open.state;
	r->why = open.why;
	return 0;
}

static int
own_dmarc(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct dmarc_evidence *d = &eval_input(ctx)->evidence->dmarc;
	int x = is_result(&d->check, d->result, call, r);

	/* an excused failure (a trusted seal, a known list's signature) is none */
	if (r->count != 0 && d->result == AUTH_FAIL && d->excused)
		r->count = 0;
	/* second argument: only under that policy */
	if (r->count != 0 && call->arg_count > 1)
		r->count = d->policy != NULL &&
		    span_is(call->args[1], d->policy);
	show(r, d->domain, "From");
	return x;
}

static int
own_arc(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct arc_evidence *a = &eval_input(ctx)->evidence->arc;
	int x = is_result(&a->check, a->result, call, r);

	show(r, a->sealer, "ARC-Seal");
	return x;
}

static int
own_arc_trusted(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct arc_evidence *a = &eval_input(ctx)->evidence->arc;

	(void)call;
	if (eval_check_open(&a->check, r))
		return 0;
	r->count = a->result == AUTH_PASS && a->trusted;
	show(r, a->sealer, "ARC-Seal");
	return 0;
}

static int
own_iprev(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct iprev_evidence *i = &eval_input(ctx)->evidence->iprev;
	int x = is_result(&i->check, i->result, call, r);

	show(r, i->name, "client");
	return x;
}

static int
own_no_ptr(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct iprev_evidence *i = &eval_input(ctx)->evidence->iprev;

	(void)call;
	if (eval_check_open(&i->check, r))
		return 0;
	r->count = !i->has_ptr;
	r->target = "client";
	return 0;
}

static const char *const helo_words[] = { "is_us", "non_fqdn", "invalid",
	"literal", "literal_mismatch", "resolves", "unresolvable",
	"matches_client", "mismatch", NULL };
static const char *const sender_words[] = { "exists", "missing", "null_mx",
	"non_fqdn", NULL };

static int
prepare_word(struct eval_loader *l, const char *const *words,
    struct eval_call *call)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (span_is(call->args[0], words[i])) {
			call->prepared = (void *)(uintptr_t)(i + 1);
			return 0;
		}
	eval_error(l, call->file, call->line, "%s: unknown word: \"%s\"",
	    call->rule, call->args[0].ptr);
	return 0;
}

static int
prepare_helo(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	return prepare_word(l, helo_words, call);
}

static int
prepare_sender(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	return prepare_word(l, sender_words, call);
}

static int
own_helo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct helo_evidence *h = &eval_input(ctx)->evidence->helo;
	const char *word = helo_words[(uintptr_t)call->prepared - 1];
	const char *helo = eval_input(ctx)->envelope->helo;
	bool hit;

	r->target = "HELO";
	if (helo == NULL) {
		r->state = EVAL_NOT_RUN;
		r->why = "no HELO is known";
		return 0;
	}
	if (strcmp(word, "is_us") == 0)
		hit = h->is_us;
	else if (strcmp(word, "non_fqdn") == 0)
		hit = h->non_fqdn;
	else if (strcmp(word, "invalid") == 0)
		hit = h->invalid;
	else if (strcmp(word, "literal") == 0)
		hit = h->literal;
	else if (strcmp(word, "literal_mismatch") == 0)
		hit = h->literal_mismatch;
	/* the others need DNS */
	else if (eval_check_open(&h->check, r))
		return 0;
	else if (strcmp(word, "resolves") == 0)
		hit = h->resolves;
	else if (strcmp(word, "unresolvable") == 0)
		hit = !h->resolves && !h->literal;
	else if (strcmp(word, "matches_client") == 0)
		hit = h->matches_client;
	else
		hit = h->resolves && !h->matches_client;
	r->count = hit;
	show(r, helo, "HELO");
	return 0;
}

static int
own_sender_domain(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct sender_domain_evidence *s =
	    &eval_input(ctx)->evidence->sender_domain;
	const char *word = sender_words[(uintptr_t)call->prepared - 1];

	r->target = "MAIL FROM";
	if (strcmp(word, "non_fqdn") == 0)
		r->count = s->domain != NULL && s->non_fqdn;
	else if (eval_check_open(&s->check, r))
		return 0;
	else if (strcmp(word, "null_mx") == 0)
		r->count = s->null_mx;
	else if (strcmp(word, "missing") == 0)
		r->count = !s->exists && !s->null_mx;
	else
		r->count = s->exists;
	show(r, s->domain, "MAIL FROM");
	return 0;
}

/* Does a passed DKIM or SPF identity stand behind the author's domain?
 * 1 yes, 0 no, -1 open with r filled */
static int
author_backed(struct eval_context *ctx, struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;
	struct eval_result open = { .state = EVAL_DONE };
	struct span from, org, spf;

	if (e->dmarc.check.state == CHECK_DONE &&
	    e->dmarc.result == AUTH_PASS)
		return 1;
	for (size_t i = 0; i < e->dkim_count; i++)
		if (!eval_check_open(&e->dkim[i].check, &open) &&
		    e->dkim[i].result == AUTH_PASS && e->dkim[i].aligned)
			return 1;
	if (!eval_check_open(&e->spf_mailfrom.check, &open) &&
	    e->spf_mailfrom.result == AUTH_PASS &&
	    e->spf_mailfrom.domain != NULL) {
		eval_get(ctx, "From:addr", &from);
		for (size_t i = from.len; i > 0; i--)
			if (from.ptr[i - 1] == '@') {
				org = eval_org_domain(ctx, span_from(from, i));
				spf = eval_org_domain(ctx,
				    span_cstr(e->spf_mailfrom.domain));
				if (org.len != 0 && span_eq(org, spf))
					return 1;
				break;
			}
	}
	if (open.state == EVAL_DONE)
		return 0;
	r->state = open.state;
	r->why = open.why;
	return -1;
}

static int
own_authenticated(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	r->count = author_backed(ctx, r) == 1;
	r->target = "From";
	return 0;
}

static int
own_unauthenticated(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	r->count = author_backed(ctx, r) == 0;
	r->target = "From";
	return 0;
}

/* The author claims the domain of a recipient of this server. */
static int
own_from_is_rcpt_domain(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct envelope *e = eval_input(ctx)->envelope;
	struct span from, domain = SPAN_LIT("");

	(void)call;
	eval_get(ctx, "From:addr", &from);
	if (from.ptr == NULL)
		return -ENOMEM;
	for (size_t i = from.len; i > 0 && domain.len == 0; i--)
		if (from.ptr[i - 1] == '@')
			domain = span_from(from, i);
	for (size_t i = 0; i < e->rcpt_count && domain.len != 0; i++) {
		const char *at = strrchr(e->rcpt_to[i], '@');

		if (at != NULL && span_ieq(domain, span_cstr(at + 1))) {
			r->count = 1;
			r->matched = domain;
			break;
		}
	}
	if (e->rcpt_count == 0) {
		r->state = EVAL_NOT_RUN;
		r->why = "no recipient is known";
	}
	r->target = "From";
	return 0;
}

static int
own_correspondent(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;

	(void)call;
	if (eval_check_open(&e->store, r))
		return 0;
	r->count = e->correspondent;
	r->target = "From";
	return 0;
}

/* Probability of spam by the learned model within [low, high) */
static int
own_learned(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double p = eval_input(ctx)->learned, low, high;

	if (p < 0) {
		r->state = EVAL_NOT_RUN;
		r->why = "no learned model";
		return 0;
	}
	if (conf_parse_points(call->args[0], &low) &&
	    conf_parse_points(call->args[1], &high))
		r->count = p >= low && (p < high || (high >= 1 && p <= 1));
	r->target = "learned";
	return 0;
}

static const struct eval_function own_functions[] = {
	{ "spamscore_spf", EVAL_HEADER, "s", own_spf, prepare_result },
	{ "spamscore_spf_helo", EVAL_HEADER, "s", own_spf_helo,
	    prepare_result },
	{ "spamscore_dkim", EVAL_HEADER, "s", own_dkim, prepare_result },
	{ "spamscore_dmarc", EVAL_HEADER, "s|s", own_dmarc, prepare_result },
	{ "spamscore_arc", EVAL_HEADER, "s", own_arc, prepare_result },
	{ "spamscore_arc_trusted", EVAL_HEADER, "", own_arc_trusted },
	{ "spamscore_iprev", EVAL_HEADER, "s", own_iprev, prepare_result },
	{ "spamscore_no_ptr", EVAL_HEADER, "", own_no_ptr },
	{ "spamscore_helo", EVAL_HEADER, "s", own_helo, prepare_helo },
	{ "spamscore_sender_domain", EVAL_HEADER, "s", own_sender_domain,
	    prepare_sender },
	{ "spamscore_authenticated", EVAL_HEADER, "", own_authenticated },
	{ "spamscore_unauthenticated", EVAL_HEADER, "", own_unauthenticated },
	{ "spamscore_from_is_rcpt_domain", EVAL_HEADER, "",
	    own_from_is_rcpt_domain },
	{ "spamscore_correspondent", EVAL_HEADER, "", own_correspondent },
	{ "spamscore_learned", EVAL_HEADER | EVAL_BODY, "nn", own_learned },
	{ 0 },
};

const struct eval_family eval_own = {
	.plugin = "Mail::SpamAssassin::Plugin::Spamscore",
	.functions = own_functions,
};
