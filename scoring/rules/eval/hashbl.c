/*
 * HashBL (Mail::SpamAssassin::Plugin::HashBL 4.0.1): lists asked about
 * hashes, or about values as they are.
 *
 * Where there are more values than max, SpamAssassin's shuffle draws lots;
 * here the lots come from the verdict's clock, so that the same message at
 * the same time asks the same, and nobody can know beforehand which of a
 * hundred decoys will be asked about.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/ascii.h"
#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/dnsq.h"
#include "scoring/rules/eval/hashbl.h"
#include "scoring/rules/eval/tagvalues.h"
#include "scoring/rules/eval/urihosts.h"

enum { MAX_VALUES = 1024 };

int
hashbl_values_add(struct eval_context *ctx, struct hashbl_values *v,
    struct span s)
{
	/* each new one is compared with all */
	if (!eval_steps(ctx, v->count / 64 + 1)) {
		v->limit = "step budget";
		return 0;
	}
	for (size_t i = 0; i < v->count; i++)
		if (span_eq(v->list[i], s))
			return 0;
	if (v->count == MAX_VALUES) {
		v->limit = "too many values";
		return 0;
	}
	if (v->count == v->alloc) {
		size_t alloc = v->alloc == 0 ? 16 : v->alloc * 2;
		struct span *list = ARENA_ARRAY(eval_input(ctx)->arena, alloc,
		    struct span);

		if (list == NULL)
			return -ENOMEM;
		if (v->count != 0)
			memcpy(list, v->list, v->count * sizeof(*list));
		v->list = list;
		v->alloc = alloc;
	}
	v->list[v->count++] = s;
	return 0;
}

/* Hexadecimal digits, or base 32 of SHA-256; ptr NULL: no memory */
static struct span
hash(struct arena *a, enum hashbl_algorithm algorithm, struct span value)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	const EVP_MD *md = algorithm == HASHBL_MD5 ? EVP_md5() :
	    algorithm == HASHBL_SHA1		   ? EVP_sha1() :
						     EVP_sha256();
	unsigned char digest[EVP_MAX_MD_SIZE + 1] = { 0 };
	unsigned int len = 0;
	char *out;

	if (algorithm == HASHBL_RAW)
		return value;
	out = arena_alloc(a, 2 * EVP_MAX_MD_SIZE + 1);
	if (out == NULL || EVP_Digest(value.ptr, value.len, digest, &len, md,
	    NULL) != 1)
		return span_of(NULL, 0);
	if (algorithm != HASHBL_SHA256) {
		for (unsigned i = 0; i < len; i++)
			snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
		return span_of(out, 2 * (size_t)len);
	}
	for (unsigned i = 0; i < (len * 8 + 4) / 5; i++) {
		unsigned bit = i * 5, pair = (unsigned)digest[bit / 8] << 8 |
		    digest[bit / 8 + 1];

		out[i] = base32[pair >> (11 - bit % 8) & 31];
	}
	return span_of(out, (len * 8 + 4) / 5);
}

static uint64_t
lot(struct span s, int64_t now)
{
	uint64_t h = 1469598103934665603u ^ (uint64_t)now;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
	h ^= h >> 29;
	return h * 0x9E3779B97F4A7C15u;
}

/* At most max of them; which is left to lots with the option shuffle. 0 or
 * -ENOMEM */
static int
choose(struct eval_context *ctx, const struct hashbl_options *o,
    struct hashbl_values *v)
{
	int64_t now = eval_input(ctx)->evidence->now;
	uint64_t *lots;

	if (v->count <= o->max)
		return 0;
	lots = ARENA_ARRAY(eval_input(ctx)->arena, v->count, uint64_t);
	if (lots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < v->count; i++)
		lots[i] = lot(v->list[i], now);
	for (size_t i = 0; i < o->max && (o->flags & HASHBL_SHUFFLE); i++) {
		struct span t = v->list[i];
		uint64_t drawn;
		size_t least = i;

		for (size_t k = i + 1; k < v->count; k++)
			if (lots[k] < lots[least])
				least = k;
		drawn = lots[least];
		lots[least] = lots[i];
		lots[i] = drawn;
		v->list[i] = v->list[least];
		v->list[least] = t;
	}
	v->count = o->max;
	return 0;
}

static bool
is_ignored(struct eval_context *ctx, const struct hashbl *h, struct span s)
{
	struct span lower = h->ignore.count > 0 && s.len < 1024 ?
	    addr_lower(eval_input(ctx)->arena, s) : span_of(NULL, 0);

	return lower.ptr != NULL && strmap_find(&h->ignore, lower) != NULL;
}

/* Values as names of the list; hashed: they are hashes already */
static void
names_of(struct eval_context *ctx, const struct hashbl_query *q,
    struct hashbl_values *v, bool hashed, struct dnsq_names *n)
{
	const struct hashbl *h = eval_state(ctx);

	n->error = choose(ctx, &q->options, v);
	for (size_t i = 0; n->error == 0 && i < v->count; i++) {
		struct span s = v->list[i];

		if (!hashed && is_ignored(ctx, h, s))
			continue;
		if (!hashed)
			s = hash(eval_input(ctx)->arena, q->options.algorithm, s);
		if (s.ptr == NULL)
			n->error = -ENOMEM;
		else if (!is_ignored(ctx, h, s))
			dnsq_add_raw(ctx, n, s, q->zone);
	}
}

static int
emails(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v)
{
	const struct hashbl_query *q = call->prepared;

	return hashbl_mail_find(ctx, eval_state(ctx), &q->options, q->headers,
	    q->acl, v);
}

static int
uris(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v)
{
	const struct hashbl_query *q = call->prepared;
	struct arena *a = eval_input(ctx)->arena;
	const struct uris *all;
	int r = eval_uris(ctx, &all);

	for (size_t i = 0; r == 0 && i < all->count; i++) {
		const struct uri *u = &all->items[i];
		bool skip = span_istarts(u->raw, "mailto:") ||
		    u->host_count == 0 || !(u->types & (URI_A | URI_PARSED));

		for (size_t k = 0; k < u->host_count && !skip; k++)
			skip = uri_host_skipped(ctx, addr_lower(a, u->hosts[k])) ||
			    uri_host_skipped(ctx, addr_lower(a, u->domains[k]));
		for (size_t k = 0; r == 0 && k < u->cleaned_count && !skip; k++) {
			struct span s = u->cleaned[k];

			if (!(q->options.flags & HASHBL_CASE))
				s = addr_lower(a, s);
			r = s.ptr != NULL ? hashbl_values_add(ctx, v, s) : -ENOMEM;
		}
	}
	return r;
}

/* The first group of each match in one text */
static int
captures(struct eval_context *ctx, const struct hashbl_query *q, struct span text,
    struct hashbl_values *v)
{
	struct arena *a = eval_input(ctx)->arena;
	struct span groups[2];
	size_t from = 0;
	int r;

	while (from <= text.len && v->limit == NULL &&
	    (r = eval_match(ctx, q->pattern, text, from, groups, 2)) != 0) {
		struct span s = groups[1];

		if (r == -EAGAIN)
			v->limit = "match limit";
		if (r != 1)
			return r == -EAGAIN ? 0 : r;
		from = (size_t)(groups[0].ptr - text.ptr) + groups[0].len;
		from += groups[0].len == 0;
		if (s.ptr == NULL)
			continue;
		if (q->options.flags & HASHBL_NUM) {
			char *p = arena_alloc(a, s.len + 1);
			size_t n = 0;

			for (size_t i = 0; p != NULL && i < s.len; i++)
				if (ascii_is_digit(s.ptr[i]))
					p[n++] = s.ptr[i];
			s = span_of(p, n);
		} else if (!(q->options.flags & HASHBL_CASE)) {
			s = addr_lower(a, s);
		}
		if (s.ptr == NULL || (s.len > 0 &&
			hashbl_values_add(ctx, v, s) != 0))
			return -ENOMEM;
	}
	return 0;
}

static int
bodyre(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v)
{
	const struct hashbl_query *q = call->prepared;
	struct message *m = eval_input(ctx)->message;
	const struct texts *texts;
	int r;

	if (call->kind == EVAL_FULL)
		return captures(ctx, q, body_full(m), v);
	r = call->kind == EVAL_RAWBODY ? body_raw(m, &texts) :
					 body_rendered(m, &texts);
	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = captures(ctx, q, texts->items[i], v);
	return r;
}

/* A tag's value as the options want it; ptr NULL: not at all */
static struct span
tag_value(struct eval_context *ctx, unsigned flags, struct span s)
{
	const struct uri_rules *rules = eval_uri_rules(ctx);
	char reversed[80];
	struct netaddr ip;
	bool is_ip = s.len > 0 && s.ptr[0] != '[' && netaddr_parse(s, &ip);
	bool fqdn = !is_ip && host_is_fqdn(s, false);
	struct span none = { NULL, 0 }, domain;

	if (((flags & HASHBL_IP) && !is_ip) ||
	    ((flags & HASHBL_IPV4) && (!is_ip || ip.family != 4)) ||
	    ((flags & HASHBL_IPV6) && (!is_ip || ip.family != 6)))
		return none;
	if (is_ip)
		return (flags & HASHBL_REVIP) ? arena_span(eval_input(ctx)->arena,
		    span_cstr(netaddr_reverse(&ip, false, reversed))) : s;
	if ((flags & HASHBL_FQDN) && !fqdn)
		return none;
	domain = domain_registered(s, rules);
	if (fqdn && (uri_host_skipped(ctx, addr_lower(eval_input(ctx)->arena, s)) ||
		uri_host_skipped(ctx, addr_lower(eval_input(ctx)->arena, domain))))
		return none;
	if ((flags & HASHBL_TLD) && !domain_is_valid(s, rules))
		return none;
	return (flags & HASHBL_TRIM) && fqdn ? domain : s;
}

static int
tag_values(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v)
{
	const struct hashbl_query *q = call->prepared;
	struct tag_values all;
	/* while asking it is not known which signatures are good */
	bool known = eval_input(ctx)->evidence->dkim_count > 0;
	int r = tag_values_get(ctx, q->tag, known, &all);

	for (size_t i = 0; r == 0 && i < all.count; i++) {
		struct span s = all.list[i];

		if (!(q->options.flags & HASHBL_CASE))
			s = addr_lower(eval_input(ctx)->arena, s);
		if (s.ptr == NULL)
			return -ENOMEM;
		s = tag_value(ctx, q->options.flags, s);
		if (s.ptr != NULL)
			r = hashbl_values_add(ctx, v, s);
	}
	return r;
}

/* Hashes of all parts */
static int
attachments(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v)
{
	const struct hashbl_query *q = call->prepared;
	const struct hashbl *h = eval_state(ctx);
	struct part *p;
	int r = body_parts(eval_input(ctx)->message, &p);

	for (; r == 0 && p != NULL && v->limit == NULL; p = p->in_order) {
		struct span bytes, digest;

		if (!p->leaf)
			continue;
		r = part_decoded(p, &bytes);
		if (r != 0 || bytes.len == 0 || is_ignored(ctx, h, p->type) ||
		    (p->name.ptr != NULL && is_ignored(ctx, h, p->name)) ||
		    bytes.len < q->options.min_size ||
		    (q->options.max_size > 0 && bytes.len > q->options.max_size))
			continue;
		if (!eval_steps(ctx, bytes.len / 64)) {
			v->limit = "step budget";
			break;
		}
		digest = hash(eval_input(ctx)->arena, q->options.algorithm, bytes);
		r = digest.ptr != NULL ? hashbl_values_add(ctx, v, digest) :
					 -ENOMEM;
	}
	return r;
}

/* ---- asking and running */

typedef int values_fn(struct eval_context *ctx, const struct eval_call *call,
    struct hashbl_values *v);

static int
collect(struct eval_context *ctx, const struct eval_call *call, values_fn *find,
    struct dnsq_names *n, const char **ret_limit)
{
	struct hashbl_values v = { .count = 0 };
	int r = find(ctx, call, &v);

	*n = (struct dnsq_names){ .personal = find != uris && find != attachments };
	if (r == 0)
		names_of(ctx, call->prepared, &v, find == attachments, n);
	*ret_limit = v.limit;
	return r != 0 ? r : n->error;
}

static int
ask(struct eval_context *ctx, const struct eval_call *call, values_fn *find)
{
	const struct hashbl_query *q = call->prepared;
	struct dnsq_names n;
	const char *limit;

	if (q == NULL)
		return 0;
	if (collect(ctx, call, find, &n, &limit) != 0)
		return -ENOMEM;
	return dnsq_ask(ctx, &n, q->type, q->zone);
}

static int
run(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r, values_fn *find)
{
	const struct hashbl_query *q = call->prepared;
	struct dnsq_names n;
	const char *limit;

	if (q == NULL) {
		r->state = EVAL_NOT_RUN;
		r->why = "its arguments are no question";
		return 0;
	}
	if (collect(ctx, call, find, &n, &limit) != 0)
		return -ENOMEM;
	if (dnsq_answer(ctx, &n, q->type, &q->filter, r) != 0)
		return -ENOMEM;
	if (limit != NULL && r->count == 0) {
		r->state = EVAL_UNKNOWN;
		r->why = limit;
	}
	return 0;
}

#define FUNCTION(name)                                                      \
	static int ask_##name(struct eval_context *ctx,                     \
	    const struct eval_call *call)                                   \
	{                                                                   \
		return ask(ctx, call, name);                                \
	}                                                                   \
	static int run_##name(struct eval_context *ctx,                     \
	    const struct eval_call *call, struct eval_result *r)            \
	{                                                                   \
		return run(ctx, call, r, name);                             \
	}

FUNCTION(emails)
FUNCTION(uris)
FUNCTION(bodyre)
FUNCTION(tag_values)
FUNCTION(attachments)

static const struct eval_function functions[] = {
	{ "check_hashbl_emails", EVAL_HEADER, "s|ssss", run_emails, hashbl_prepare_emails, ask_emails },
	{ "check_hashbl_uris", EVAL_HEADER, "s|ss", run_uris, hashbl_prepare_hashed, ask_uris },
	{ "check_hashbl_bodyre", EVAL_BODY | EVAL_FULL, "sss|s", run_bodyre, hashbl_prepare_bodyre, ask_bodyre },
	{ "check_hashbl_tag", EVAL_HEADER, "sss|s", run_tag_values, hashbl_prepare_tag, ask_tag_values },
	{ "check_hashbl_attachments", EVAL_BODY, "s|ss", run_attachments, hashbl_prepare_hashed, ask_attachments },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "hashbl_ignore", DIRECTIVE_LINES, NULL },
	{ "hashbl_acl", DIRECTIVE_LINES, NULL },
	{ "hashbl_email_domain_alias", DIRECTIVE_LINES, NULL },
	{ "hashbl_email_regex", DIRECTIVE_LINES, NULL },
	{ "hashbl_email_welcomelist", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_hashbl = {
	"Mail::SpamAssassin::Plugin::HashBL", functions, directives, NULL,
	hashbl_load,
};
