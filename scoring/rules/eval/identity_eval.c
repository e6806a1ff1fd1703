/*
 * The evals of identity.h: relations between identities, their domains, the
 * display name and the date (own words).
 */
#include <ctype.h>
#include <errno.h>
#include <libpsl.h>

#include "scoring/message/date.h"
#include "scoring/rules/eval/identity.h"

enum { HOUR_SEC = 3600 };

/* Is this top level (or suffix) one that the public suffix list has? */
static bool
known_suffix(struct span suffix)
{
	const psl_ctx_t *psl = psl_builtin();
	char name[80];

	if (psl == NULL)
		return true;
	if (suffix.len == 0 || suffix.len >= sizeof(name))
		return false;
	for (size_t i = 0; i < suffix.len; i++)
		name[i] = (char)tolower((unsigned char)suffix.ptr[i]);
	name[suffix.len] = '\0';
	return psl_is_public_suffix2(psl, name,
	    PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE);
}

static const char *const kind_names[WHO_KINDS] = {
	"from", "reply_to", "sender", "to", "mail_from", "message_id", "dkim",
	"unsubscribe", "list", "entry_helo", "entry_rdns",
};

static enum who
kind_of(struct span name)
{
	enum who k = 0;

	while (k < WHO_KINDS && !span_is(name, kind_names[k]))
		k++;
	return k;
}

static int
prepare_kinds(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	for (size_t i = 0; i < call->arg_count; i++)
		if (kind_of(call->args[i]) == WHO_KINDS)
			eval_error(l, call->file, call->line,
			    "%s: no identity \"%.*s\"", call->function->name,
			    SPAN_ARG(call->args[i]));
	return 0;
}

/* Is name the organisational domain org or below it? */
static bool
below(struct span name, struct span org)
{
	return name.len >= org.len &&
	    span_eq(span_from(name, name.len - org.len), org) &&
	    (name.len == org.len || name.ptr[name.len - org.len - 1] == '.');
}

/* Two names have one organisational domain exactly when one is below the
 * other's: it is enough to look one side up, the shorter. */
static const struct identity_domain *
shared(struct eval_context *ctx, struct identity_domains *a,
    struct identity_domains *b)
{
	struct identity_domains *few = a->count <= b->count ? a : b;
	struct identity_domains *many = few == a ? b : a;

	for (size_t i = 0; many->count > 0 && i < few->count; i++) {
		struct span org = identity_org(ctx, &few->list[i]);

		for (size_t k = 0; k < many->count; k++)
			if (below(many->list[k].name, org))
				return few == b ? &few->list[i] : &many->list[k];
	}
	return NULL;
}

static int
run_related(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum who a = kind_of(call->args[0]), b = kind_of(call->args[1]);
	struct identities *ids = identity_get(ctx);
	const struct identity_domain *d;

	if (ids == NULL)
		return -ENOMEM;
	if (ids->mail_from_disowned &&
	    (a == WHO_MAIL_FROM || b == WHO_MAIL_FROM))
		return 0;
	d = shared(ctx, &ids->domains[a], &ids->domains[b]);
	r->count = d != NULL;
	if (d != NULL)
		r->matched = d->name;
	return 0;
}

static int
run_unrelated(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum who a = kind_of(call->args[0]), b = kind_of(call->args[1]);
	struct identities *ids = identity_get(ctx);

	if (ids == NULL)
		return -ENOMEM;
	if (ids->domains[a].count > 0 && ids->domains[b].count > 0 &&
	    shared(ctx, &ids->domains[a], &ids->domains[b]) == NULL) {
		r->count = 1;
		r->matched = ids->domains[b].list[0].name;
	}
	return 0;
}

/* Ends of names that mean "only here" (RFC 6762, 8375, 2606, and habit) */
static bool
local_name(struct span label)
{
	static const char *const words[] = {
		"local", "localdomain", "lan", "internal", "home", "intranet",
		"private", "corp", "invalid", "test", "example", "localhost",
		"arpa", "onion", "domain", "mail",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_iis(label, words[i]))
			return true;
	return false;
}

static struct span
last_label(struct span name)
{
	size_t at = name.len;

	while (at > 0 && name.ptr[at - 1] != '.')
		at--;
	return span_from(name, at);
}

static int
run_each(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r, bool (*test)(struct eval_context *, struct identity_domain *))
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_domains *d;

	if (ids == NULL)
		return -ENOMEM;
	d = &ids->domains[kind_of(call->args[0])];
	for (size_t i = 0; i < d->count && r->count == 0; i++)
		if (test(ctx, &d->list[i])) {
			r->count = 1;
			r->matched = d->list[i].name;
		}
	return 0;
}

static bool
present(struct eval_context *ctx, struct identity_domain *d)
{
	(void)ctx;
	return d->name.len > 0;
}

/* Its top level exists nowhere and is no local convention. */
static bool
tld_unknown(struct eval_context *ctx, struct identity_domain *d)
{
	struct span tld = last_label(d->name);
	struct netaddr ip;

	if (tld.len == d->name.len || tld.len == 0 || tld.len > 63 ||
	    local_name(tld) || netaddr_parse(d->name, &ip))
		return false;
	for (size_t i = 0; i < tld.len; i++)
		if (!isalnum((unsigned char)tld.ptr[i]) && tld.ptr[i] != '-')
			return true;
	(void)ctx;
	return !known_suffix(tld);
}

static bool
single_label(struct eval_context *ctx, struct identity_domain *d)
{
	(void)ctx;
	return span_find(d->name, '.') == d->name.len;
}

static bool
random_name(struct eval_context *ctx, struct identity_domain *d)
{
	struct span org = identity_org(ctx, d);

	return identity_random_label(span_of(org.ptr, span_find(org, '.')));
}

static int
run_present(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, present);
}

static int
run_tld_unknown(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, tld_unknown);
}

static int
run_single_label(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, single_label);
}

static int
run_random(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, random_name);
}

static const struct identity_mailboxes *
boxes(const struct identities *ids, struct span name)
{
	switch (kind_of(name)) {
	case WHO_FROM: return &ids->from;
	case WHO_REPLY_TO: return &ids->reply_to;
	case WHO_SENDER: return &ids->sender;
	case WHO_TO: return &ids->to;
	default: return NULL;
	}
}

static int
prepare_boxes(struct eval_loader *l, void *state, struct eval_call *call)
{
	static const struct identities none;
	size_t names = span_is(span_cstr(call->function->name),
	    "identity_mailboxes") ? 1 : call->arg_count;

	(void)state;
	for (size_t i = 0; i < names; i++)
		if (boxes(&none, call->args[i]) == NULL)
			eval_error(l, call->file, call->line,
			    "%s: \"%.*s\" holds no mailboxes",
			    call->function->name, SPAN_ARG(call->args[i]));
	return 0;
}

/* ---- patterns over one identity */

static int
prepare_match(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	if (kind_of(call->args[0]) == WHO_KINDS)
		eval_error(l, call->file, call->line,
		    "identity_match: no identity \"%.*s\"",
		    SPAN_ARG(call->args[0]));
	call->prepared = eval_pattern(l, call->args[1], true, call->file,
	    call->line);
	return 0;
}

static int
match_one(struct eval_context *ctx, const struct eval_call *call, struct span s,
    struct eval_result *r)
{
	int hit = eval_match(ctx, call->prepared, s, 0, NULL, 0);

	if (hit == -EAGAIN) {
		r->state = EVAL_UNKNOWN;
		r->why = "match limit";
		return 0;
	}
	if (hit < 0)
		return hit;
	if (hit == 1) {
		r->count = 1;
		r->matched = s;
	}
	return 0;
}

/* Each mailbox's address where there are mailboxes, else each domain; of
 * MAIL FROM the whole reverse-path, "" when it is null */
static int
run_match(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	enum who who = kind_of(call->args[0]);
	const struct identity_mailboxes *m;
	int e = 0;

	if (ids == NULL)
		return -ENOMEM;
	if (call->prepared == NULL)
		return 0;
	if (who == WHO_MAIL_FROM) {
		const char *from = eval_input(ctx)->envelope->mail_from;

		return from != NULL ?
		    match_one(ctx, call, span_cstr(from), r) : 0;
	}
	m = boxes(ids, call->args[0]);
	if (m != NULL) {
		for (size_t i = 0; e == 0 && r->count == 0 && i < m->count; i++)
			e = match_one(ctx, call, m->list[i].addr, r);
		return e;
	}
	for (size_t i = 0; e == 0 && r->count == 0 &&
	     i < ids->domains[who].count; i++)
		e = match_one(ctx, call, ids->domains[who].list[i].name, r);
	return e;
}

static int
run_same_address(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_mailboxes *a, *b;

	if (ids == NULL)
		return -ENOMEM;
	a = boxes(ids, call->args[0]);
	b = boxes(ids, call->args[1]);
	for (size_t i = 0; i < a->count && r->count == 0; i++)
		for (size_t k = 0; k < b->count; k++)
			if (a->list[i].domain.len > 0 &&
			    span_eq(a->list[i].addr, b->list[k].addr)) {
				r->count = 1;
				r->matched = a->list[i].addr;
				break;
			}
	return 0;
}

static int
run_mailboxes(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_mailboxes *m;
	long long want = 0, count = 0;

	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < call->args[1].len && want < 1000; i++)
		want = want * 10 + (call->args[1].ptr[i] - '0');
	m = boxes(ids, call->args[0]);
	for (size_t i = 0; i < m->count; i++)
		count += m->list[i].domain.len > 0;
	r->count = count >= want;
	return 0;
}

static int
run_malformed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	r->count = ids->from_malformed;
	return 0;
}

/* Does host share an organisation with the author? */
static bool
of_author(struct eval_context *ctx, struct identities *ids, struct span host)
{
	struct identity_domains *d = &ids->domains[WHO_FROM];
	struct span name = identity_lower(eval_input(ctx)->arena, host);

	if (name.ptr == NULL)
		return true;
	for (size_t i = 0; i < d->count; i++)
		if (below(name, identity_org(ctx, &d->list[i])))
			return true;
	return false;
}

/* user@host of another organisation inside the display name */
static int
run_name_address(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ids->from.count && i < 4; i++) {
		struct span n = ids->from.list[i].name;

		for (size_t k = 1; k < n.len && k < WHO_MAX_TEXT; k++) {
			size_t len = 0;
			struct span host;

			if (n.ptr[k] != '@' || !identity_host_char(n.ptr[k - 1]))
				continue;
			while (k + 1 + len < n.len && identity_host_char(n.ptr[k + 1 + len]))
				len++;
			host = span_of(n.ptr + k + 1, len);
			while (host.len > 0 && host.ptr[host.len - 1] == '.')
				host.len--;
			if (span_find(host, '.') < host.len &&
			    known_suffix(last_label(host)) &&
			    !of_author(ctx, ids, host)) {
				r->count = 1;
				r->matched = n;
			}
		}
	}
	return 0;
}

/* A bare domain name of another organisation inside the display name; only
 * under top levels that are no words ("Dr.Who", "Inc.Team") */
static int
run_name_domain(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	static const char *const tops[] = {
		"com", "net", "org", "info", "uk", "de", "fr", "es", "nl", "pl",
		"ch", "br", "ru", "eu", "gov", "edu", "biz", "io", "app",
	};
	struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ids->from.count && i < 4; i++) {
		struct span n = ids->from.list[i].name;

		for (size_t k = 0; k < n.len && k < WHO_MAX_TEXT; k++) {
			size_t len = 0;
			struct span host;
			bool top = false;

			if (!identity_host_char(n.ptr[k]))
				continue;
			while (k + len < n.len && identity_host_char(n.ptr[k + len]))
				len++;
			host = span_of(n.ptr + k, len);
			while (host.len > 0 && host.ptr[host.len - 1] == '.')
				host.len--;
			for (size_t t = 0; t < sizeof(tops) / sizeof(tops[0]); t++)
				top = top || span_iis(last_label(host), tops[t]);
			if (top && span_find(host, '.') < host.len &&
			    host.ptr[0] != '.' &&
			    !(k > 0 && n.ptr[k - 1] == '@') &&
			    !(k + len < n.len && n.ptr[k + len] == '@') &&
			    !of_author(ctx, ids, host)) {
				r->count = 1;
				r->matched = host;
			}
			k += len;
		}
	}
	return 0;
}

static int
run_mixed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	struct span where = span_of("", 0);

	if (ids == NULL)
		return -ENOMEM;
	if (span_is(call->args[0], "subject"))
		r->count = identity_mixed_script(ids->subject, &where);
	else
		for (size_t i = 0; i < ids->from.count && i < 4; i++)
			r->count |= identity_mixed_script(ids->from.list[i].name,
			    &where);
	r->matched = where;
	return 0;
}

static int
prepare_mixed(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	if (!span_is(call->args[0], "subject") &&
	    !span_is(call->args[0], "from_name"))
		eval_error(l, call->file, call->line,
		    "identity_mixed_script: \"subject\" or \"from_name\"");
	return 0;
}

/* A whole number of hours, "inf" or "-inf" */
static bool
hours(struct span s, int64_t *ret)
{
	bool minus = s.len > 0 && s.ptr[0] == '-';
	int64_t n = 0;

	if (minus)
		s = span_from(s, 1);
	if (span_is(s, "inf")) {
		*ret = minus ? INT64_MIN : INT64_MAX;
		return true;
	}
	if (s.len == 0 || s.len > 9)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		n = n * 10 + (s.ptr[i] - '0');
	}
	*ret = (minus ? -n : n) * HOUR_SEC;
	return true;
}

static int
prepare_gap(struct eval_loader *l, void *state, struct eval_call *call)
{
	int64_t a, b;

	(void)state;
	if (!hours(call->args[0], &a) || !hours(call->args[1], &b) || a >= b)
		eval_error(l, call->file, call->line,
		    "identity_date_gap: two numbers of hours, the smaller first");
	return 0;
}

static int
run_gap(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct message *m = eval_input(ctx)->message;
	struct field *f = message_find(m, "Date", 0);
	int64_t low, high, date, gap;
	struct span v;

	if (ids == NULL)
		return -ENOMEM;
	if (f == NULL || !ids->has_entry_time || !hours(call->args[0], &low) ||
	    !hours(call->args[1], &high))
		return 0;
	v = field_unfolded(m, f);
	if (v.ptr == NULL)
		return -ENOMEM;
	if (!date_parse(v, &date) ||
	    __builtin_sub_overflow(date, ids->entry_time, &gap))
		return 0;
	if (gap >= low && gap < high) {
		r->count = 1;
		r->matched = v;
		r->offset = f->value_offset;
		r->target = "Date";
	}
	return 0;
}

static int
run_relayed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	r->count = ids->relayed;
	return 0;
}

/* Names of author fields all in lower case, those of others not: bulk
 * software that writes its own header lines on top of a library's */
static int
run_lower_names(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	static const char *const author[] = { "from", "to", "subject", "sender",
		"reply-to", "message-id", NULL };
	static const char *const other[] = { "date", "mime-version",
		"content-type", NULL };
	const struct message *m = eval_input(ctx)->message;

	(void)call;
	for (size_t i = 0; other[i] != NULL; i++) {
		const struct field *f = message_find(m, other[i], 0);

		if (f != NULL && span_is(f->name, other[i]))
			return 0;
	}
	for (size_t i = 0; author[i] != NULL && r->count == 0; i++) {
		const struct field *f = message_find(m, author[i], 0);

		if (f != NULL && span_is(f->name, author[i])) {
			r->count = 1;
			r->matched = f->name;
			r->offset = f->offset;
		}
	}
	return 0;
}

/* What is known of the hop into the receiving organisation */
static int
run_entry(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	if (ids == NULL)
		return -ENOMEM;
	r->count = span_is(call->args[0], "nameless") ? ids->entry_nameless :
	    ids->entry_no_tls;
	return 0;
}

static int
prepare_entry(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	if (!span_is(call->args[0], "nameless") && !span_is(call->args[0], "no_tls"))
		eval_error(l, call->file, call->line,
		    "identity_entry: \"nameless\" or \"no_tls\"");
	return 0;
}

static const struct eval_function functions[] = {
	{ "identity_related", EVAL_HEADER, "ss", run_related, prepare_kinds, NULL },
	{ "identity_unrelated", EVAL_HEADER, "ss", run_unrelated, prepare_kinds, NULL },
	{ "identity_present", EVAL_HEADER, "s", run_present, prepare_kinds, NULL },
	{ "identity_tld_unknown", EVAL_HEADER, "s", run_tld_unknown, prepare_kinds, NULL },
	{ "identity_single_label", EVAL_HEADER, "s", run_single_label, prepare_kinds, NULL },
	{ "identity_random", EVAL_HEADER, "s", run_random, prepare_kinds, NULL },
	{ "identity_match", EVAL_HEADER, "sp", run_match, prepare_match, NULL },
	{ "identity_same_address", EVAL_HEADER, "ss", run_same_address, prepare_boxes, NULL },
	{ "identity_mailboxes", EVAL_HEADER, "sn", run_mailboxes, prepare_boxes, NULL },
	{ "identity_malformed", EVAL_HEADER, "", run_malformed, NULL, NULL },
	{ "identity_name_address", EVAL_HEADER, "", run_name_address, NULL, NULL },
	{ "identity_name_domain", EVAL_HEADER, "", run_name_domain, NULL, NULL },
	{ "identity_mixed_script", EVAL_HEADER, "s", run_mixed, prepare_mixed, NULL },
	{ "identity_date_gap", EVAL_HEADER, "ss", run_gap, prepare_gap, NULL },
	{ "identity_entry", EVAL_HEADER, "s", run_entry, prepare_entry, NULL },
	{ "identity_lower_names", EVAL_HEADER, "", run_lower_names, NULL, NULL },
	{ "identity_relayed", EVAL_HEADER, "", run_relayed, NULL, NULL },
	{ "identity_brand", EVAL_HEADER, "ss", identity_run_brand, identity_prepare_brand, NULL },
	{ "identity_brand_author", EVAL_HEADER, "", identity_run_brand_author, NULL, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "spamscore_brand", DIRECTIVE_LINES, NULL },
	{ 0 },
};

static const char *const features[] = { "has_identity", NULL };

const struct eval_family eval_identity = {
	"Mail::SpamAssassin::Plugin::Spamscore", functions, directives, features,
	identity_load_brands,
};
