/*
 * The answers of SPF, DKIM, ARC and DMARC under SpamAssassin's names
 * (Plugin/SPF.pm, DKIM.pm, DMARC.pm). All of them come from the evidence;
 * what was not asked is not run, what did not finish is unknown.
 */
#include <errno.h>

#include "scoring/rules/eval.h"

static int
spf_result(const struct spf_evidence *s, enum auth_result want,
    struct eval_result *r)
{
	if (eval_check_open(&s->check, r))
		return 0;
	r->count = s->result == want;
	if (r->count != 0 && s->domain != NULL)
		r->matched = span_cstr(s->domain);
	r->target = s->scope;
	return 0;
}

#define SPF(name, member, result)                                             \
	static int name(struct eval_context *ctx,                             \
	    const struct eval_call *call, struct eval_result *r)              \
	{                                                                     \
		(void)call;                                                   \
		return spf_result(&eval_input(ctx)->evidence->member, result, \
		    r);                                                       \
	}

SPF(spf_pass, spf_mailfrom, AUTH_PASS)
SPF(spf_neutral, spf_mailfrom, AUTH_NEUTRAL)
SPF(spf_none, spf_mailfrom, AUTH_NONE)
SPF(spf_fail, spf_mailfrom, AUTH_FAIL)
SPF(spf_softfail, spf_mailfrom, AUTH_SOFTFAIL)
SPF(spf_permerror, spf_mailfrom, AUTH_PERMERROR)
SPF(spf_temperror, spf_mailfrom, AUTH_TEMPERROR)
SPF(spf_helo_pass, spf_helo, AUTH_PASS)
SPF(spf_helo_neutral, spf_helo, AUTH_NEUTRAL)
SPF(spf_helo_none, spf_helo, AUTH_NONE)
SPF(spf_helo_fail, spf_helo, AUTH_FAIL)
SPF(spf_helo_softfail, spf_helo, AUTH_SOFTFAIL)
SPF(spf_helo_permerror, spf_helo, AUTH_PERMERROR)
SPF(spf_helo_temperror, spf_helo, AUTH_TEMPERROR)

static int
spf_skipped_noenvfrom(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct span from;

	(void)call;
	r->count = !eval_get(ctx, "EnvelopeFrom", &from) || from.len == 0;
	return from.ptr == NULL ? -ENOMEM : 0;
}

static const struct eval_function spf_functions[] = {
	{ "check_for_spf_pass", EVAL_HEADER, "", spf_pass },
	{ "check_for_spf_neutral", EVAL_HEADER, "", spf_neutral },
	{ "check_for_spf_none", EVAL_HEADER, "", spf_none },
	{ "check_for_spf_fail", EVAL_HEADER, "", spf_fail },
	{ "check_for_spf_softfail", EVAL_HEADER, "", spf_softfail },
	{ "check_for_spf_permerror", EVAL_HEADER, "", spf_permerror },
	{ "check_for_spf_temperror", EVAL_HEADER, "", spf_temperror },
	{ "check_for_spf_helo_pass", EVAL_HEADER, "", spf_helo_pass },
	{ "check_for_spf_helo_neutral", EVAL_HEADER, "", spf_helo_neutral },
	{ "check_for_spf_helo_none", EVAL_HEADER, "", spf_helo_none },
	{ "check_for_spf_helo_fail", EVAL_HEADER, "", spf_helo_fail },
	{ "check_for_spf_helo_softfail", EVAL_HEADER, "", spf_helo_softfail },
	{ "check_for_spf_helo_permerror", EVAL_HEADER, "", spf_helo_permerror },
	{ "check_for_spf_helo_temperror", EVAL_HEADER, "", spf_helo_temperror },
	{ "check_spf_skipped_noenvfrom", EVAL_HEADER, "",
	    spf_skipped_noenvfrom },
	{ 0 },
};

const struct eval_family eval_spf = {
	.plugin = "Mail::SpamAssassin::Plugin::SPF",
	.functions = spf_functions,
};

/* ---- DKIM and ARC */

/* The domain behind the last "@" */
static struct span
address_domain(struct span addr)
{
	for (size_t i = addr.len; i > 0; i--)
		if (addr.ptr[i - 1] == '@')
			return span_from(addr, i);
	return SPAN_LIT("");
}

/* "*.ebay.com" allows any subdomain, "ebay.com" only itself; no list allows
 * all, as in SpamAssassin */
static bool
domain_listed(const struct eval_call *call, struct span domain)
{
	for (size_t i = 0; i < call->arg_count; i++) {
		struct span want = call->args[i];

		if (span_istarts(want, "*.")) {
			want = span_from(want, 1);
			if (domain.len > want.len &&
			    span_ieq(span_from(domain, domain.len - want.len),
				want))
				return true;
		} else if (span_ieq(domain, want))
			return true;
	}
	return call->arg_count == 0;
}

typedef bool dkim_test_fn(const struct dkim_evidence *d,
    const struct eval_call *call, struct span domain);

/* Hits when a signature passes the test. One that was not finished leaves
 * the answer open unless another decides it. */
static int
any_signature(struct eval_context *ctx, const struct eval_call *call,
    struct span domain, dkim_test_fn *test, struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;
	struct eval_result open = { .state = EVAL_DONE };

	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];

		if (eval_check_open(&d->check, &open))
			continue;
		if (test(d, call, domain)) {
			r->count = 1;
			if (d->domain != NULL)
				r->matched = span_cstr(d->domain);
			r->target = "DKIM-Signature";
			return 0;
		}
	}
	r->state = open.state;
	r->why = open.why;
	return 0;
}

static bool
dkim_is_valid(const struct dkim_evidence *d, const struct eval_call *call,
    struct span domain)
{
	(void)domain;
	return d->result == AUTH_PASS && d->domain != NULL &&
	    domain_listed(call, span_cstr(d->domain));
}

static bool
dkim_is_domains(const struct dkim_evidence *d, const struct eval_call *call,
    struct span domain)
{
	return dkim_is_valid(d, call, domain) && domain.len != 0 &&
	    span_ieq(span_cstr(d->domain), domain);
}

static bool
dkim_is_testing(const struct dkim_evidence *d, const struct eval_call *call,
    struct span domain)
{
	(void)call;
	(void)domain;
	return d->test_key;
}

static int
check_dkim_signed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;

	/* whether it is signed shows without DNS; by whom too */
	for (size_t i = 0; i < e->dkim_count && r->count == 0; i++) {
		const char *domain = e->dkim[i].domain;

		if (!domain_listed(call, span_cstr(domain)))
			continue;
		r->count = 1;
		if (domain != NULL)
			r->matched = span_cstr(domain);
	}
	r->target = "DKIM-Signature";
	return 0;
}

static int
check_dkim_valid(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return any_signature(ctx, call, SPAN_LIT(""), dkim_is_valid, r);
}

static int
check_dkim_valid_author_sig(struct eval_context *ctx,
    const struct eval_call *call, struct eval_result *r)
{
	struct span from;

	eval_get(ctx, "From:addr", &from);
	if (from.ptr == NULL)
		return -ENOMEM;
	return any_signature(ctx, call, address_domain(from), dkim_is_domains,
	    r);
}

static int
check_dkim_valid_envelopefrom(struct eval_context *ctx,
    const struct eval_call *call, struct eval_result *r)
{
	struct span from;

	eval_get(ctx, "EnvelopeFrom", &from);
	if (from.ptr == NULL)
		return -ENOMEM;
	return any_signature(ctx, call, address_domain(from), dkim_is_domains,
	    r);
}

static int
check_dkim_testing(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return any_signature(ctx, call, SPAN_LIT(""), dkim_is_testing, r);
}

/* What is truncated may have lost what was signed. */
static int
check_dkim_dependable(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	/* signatures that nobody could check are nothing to depend on */
	if (eval_check_open(&eval_input(ctx)->evidence->dns, r))
		return 0;
	r->count = !(eval_input(ctx)->message->faults & MESSAGE_TRUNCATED);
	return 0;
}

static int
arc_result(struct eval_context *ctx, bool any, struct eval_result *r)
{
	const struct arc_evidence *a = &eval_input(ctx)->evidence->arc;

	if (eval_check_open(&a->check, r))
		return 0;
	r->count = any ? a->result != AUTH_NONE : a->result == AUTH_PASS;
	if (r->count != 0 && a->sealer != NULL)
		r->matched = span_cstr(a->sealer);
	r->target = "ARC-Seal";
	return 0;
}

static int
check_arc_signed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return arc_result(ctx, true, r);
}

static int
check_arc_valid(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return arc_result(ctx, false, r);
}

static int
check_dkim_adsp(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)ctx;
	(void)call;
	/* RFC 5617 became historic in 2013; DMARC took its place */
	r->state = EVAL_NOT_RUN;
	r->why = "ADSP is historic, see DMARC";
	return 0;
}

static const struct eval_function dkim_functions[] = {
	{ "check_dkim_signed", EVAL_FULL | EVAL_HEADER, "*",
	    check_dkim_signed },
	{ "check_dkim_valid", EVAL_FULL | EVAL_HEADER, "*", check_dkim_valid },
	{ "check_dkim_verified", EVAL_FULL | EVAL_HEADER, "*",
	    check_dkim_valid },
	{ "check_dkim_valid_author_sig", EVAL_FULL | EVAL_HEADER, "*",
	    check_dkim_valid_author_sig },
	{ "check_dkim_valid_envelopefrom", EVAL_FULL | EVAL_HEADER, "*",
	    check_dkim_valid_envelopefrom },
	{ "check_dkim_testing", EVAL_FULL | EVAL_HEADER, "*",
	    check_dkim_testing },
	{ "check_dkim_dependable", EVAL_FULL | EVAL_HEADER, "",
	    check_dkim_dependable },
	{ "check_dkim_adsp", EVAL_HEADER, "*", check_dkim_adsp },
	{ "check_dkim_signsome", EVAL_HEADER, "*", check_dkim_adsp },
	{ "check_dkim_signall", EVAL_HEADER, "*", check_dkim_adsp },
	{ "check_arc_signed", EVAL_FULL | EVAL_HEADER, "", check_arc_signed },
	{ "check_arc_valid", EVAL_FULL | EVAL_HEADER, "", check_arc_valid },
	{ 0 },
};

static const struct eval_directive dkim_directives[] = {
	{ "adsp_override", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_dkim = {
	.plugin = "Mail::SpamAssassin::Plugin::DKIM",
	.functions = dkim_functions,
	.directives = dkim_directives,
};

/* ---- DMARC */

static int
dmarc_policy(struct eval_context *ctx, const char *policy,
    struct eval_result *r)
{
	const struct dmarc_evidence *d = &eval_input(ctx)->evidence->dmarc;

	if (eval_check_open(&d->check, r))
		return 0;
	r->count = d->result == AUTH_FAIL && !d->excused && d->policy != NULL &&
	    strcmp(d->policy, policy) == 0;
	if (r->count != 0 && d->policy_domain != NULL)
		r->matched = span_cstr(d->policy_domain);
	r->target = "From";
	return 0;
}

#define DMARC(name, policy)                                                   \
	static int name(struct eval_context *ctx,                             \
	    const struct eval_call *call, struct eval_result *r)              \
	{                                                                     \
		(void)call;                                                   \
		return dmarc_policy(ctx, policy, r);                          \
	}

DMARC(check_dmarc_reject, "reject")
DMARC(check_dmarc_quarantine, "quarantine")
DMARC(check_dmarc_none, "none")

static int
dmarc_is(struct eval_context *ctx, enum auth_result want, struct eval_result *r)
{
	const struct dmarc_evidence *d = &eval_input(ctx)->evidence->dmarc;

	if (eval_check_open(&d->check, r))
		return 0;
	r->count = d->result == want;
	if (r->count != 0 && d->domain != NULL)
		r->matched = span_cstr(d->domain);
	r->target = "From";
	return 0;
}

static int
check_dmarc_pass(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return dmarc_is(ctx, AUTH_PASS, r);
}

static int
check_dmarc_missing(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)call;
	return dmarc_is(ctx, AUTH_NONE, r);
}

static const struct eval_function dmarc_functions[] = {
	{ "check_dmarc_pass", EVAL_HEADER, "", check_dmarc_pass },
	{ "check_dmarc_reject", EVAL_HEADER, "", check_dmarc_reject },
	{ "check_dmarc_quarantine", EVAL_HEADER, "", check_dmarc_quarantine },
	{ "check_dmarc_none", EVAL_HEADER, "", check_dmarc_none },
	{ "check_dmarc_missing", EVAL_HEADER, "", check_dmarc_missing },
	{ 0 },
};

const struct eval_family eval_dmarc = {
	.plugin = "Mail::SpamAssassin::Plugin::DMARC",
	.functions = dmarc_functions,
};
