#include <errno.h>
#include <stdlib.h>

#include "scoring/rules/eval/dnsq.h"

uint16_t
dnsq_type(struct span word)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = { { "A", DNS_A }, { "AAAA", DNS_AAAA }, { "TXT", DNS_TXT },
		{ "MX", DNS_MX }, { "NS", DNS_NS }, { "PTR", DNS_PTR },
		{ "CNAME", DNS_CNAME } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (span_iis(word, types[i].name))
			return types[i].type;
	return 0;
}

/* RFC 1035 2.3.4; an underscore is allowed in names that are asked for. raw:
 * any visible ASCII that needs no escape in presentation form */
static bool
is_name(struct span s, bool raw)
{
	size_t label = 0;

	if (s.len == 0 || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '_' ||
		    (raw && c > ' ' && c < 0x7F && c != '\\')) {
			if (++label > 63)
				return false;
		} else
			return false;
	}
	return label > 0;
}

static void
add_name(struct eval_context *ctx, struct dnsq_names *n, struct span head,
    const char *zone, bool raw)
{
	char *name;

	while (head.len > 0 && head.ptr[head.len - 1] == '.')
		head.len--;
	if (n->error != 0 || head.len > 253)
		return;
	if (n->count == DNSQ_MAX_NAMES) {
		n->full = true;
		return;
	}
	name = arena_printf(eval_input(ctx)->arena, "%.*s%s%s", SPAN_ARG(head),
	    zone[0] != '\0' ? "." : "", zone);
	if (name == NULL) {
		n->error = -ENOMEM;
		return;
	}
	for (char *p = name; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	if (!is_name(span_cstr(name), raw))
		return;
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->names[i], name) == 0)
			return;
	n->names[n->count++] = name;
}

void
dnsq_add(struct eval_context *ctx, struct dnsq_names *n, struct span head,
    const char *zone)
{
	add_name(ctx, n, head, zone, false);
}

void
dnsq_add_raw(struct eval_context *ctx, struct dnsq_names *n, struct span head,
    const char *zone)
{
	add_name(ctx, n, head, zone, true);
}

void
dnsq_add_ip(struct eval_context *ctx, struct dnsq_names *n,
    const struct netaddr *ip, const char *zone)
{
	char reversed[80];

	dnsq_add(ctx, n, span_cstr(netaddr_reverse(ip, false, reversed)), zone);
}

/* Decimal, 0x hexadecimal or dotted quad */
static bool
number(struct span s, uint32_t *ret)
{
	struct netaddr a;
	char tmp[32], *end;
	unsigned long v;

	if (span_find(s, '.') < s.len) {
		if (!netaddr_parse(s, &a) || a.family != 4)
			return false;
		*ret = (uint32_t)a.bytes[0] << 24 | (uint32_t)a.bytes[1] << 16 |
		    (uint32_t)a.bytes[2] << 8 | a.bytes[3];
		return true;
	}
	if (s.len == 0 || s.len >= sizeof(tmp) || s.ptr[0] < '0' || s.ptr[0] > '9')
		return false;
	memcpy(tmp, s.ptr, s.len);
	tmp[s.len] = '\0';
	v = strtoul(tmp, &end, span_istarts(s, "0x") ? 16 : 10);
	*ret = (uint32_t)v;
	return *end == '\0' && v <= UINT32_MAX;
}

static bool
parse_numbers(struct span s, struct dns_filter *f)
{
	size_t dash = span_find(s, '-'), slash = span_find(s, '/');
	size_t cut = dash < s.len ? dash : slash;

	if (cut < s.len) {
		f->kind = dash < s.len ? DNS_FILTER_RANGE : DNS_FILTER_BITS;
		return number(span_of(s.ptr, cut), &f->low) &&
		    number(span_from(s, cut + 1), &f->high);
	}
	f->kind = span_find(s, '.') < s.len ? DNS_FILTER_RANGE : DNS_FILTER_MASK;
	if (!number(s, &f->low))
		return false;
	f->high = f->low;
	return true;
}

bool
dns_filter_parse(struct eval_loader *l, struct span s, struct dns_filter *f,
    const char *file, unsigned line)
{
	*f = (struct dns_filter){ .kind = DNS_FILTER_ANY };
	s = span_trim(s);
	if (s.len == 0)
		return true;
	if (s.len >= 2 && (s.ptr[0] == '"' || s.ptr[0] == '\'') &&
	    s.ptr[s.len - 1] == s.ptr[0]) {
		f->kind = DNS_FILTER_TEXT;
		f->text = span_of(s.ptr + 1, s.len - 2);
		return true;
	}
	if (s.ptr[0] == '/' || (s.len > 1 && s.ptr[0] == 'm' &&
		(s.ptr[1] < '0' || s.ptr[1] > '9'))) {
		f->kind = DNS_FILTER_REGEX;
		f->pattern = eval_pattern(l, s, true, file, line);
		return f->pattern != NULL;
	}
	if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
		/* of the status codes only "exists" and "does not" are answers:
		 * the others are failures, and nothing rests on a failure */
		struct span codes = span_of(s.ptr + 1, s.len - 2);

		f->kind = DNS_FILTER_RCODE;
		if (span_iis(codes, "NXDOMAIN") || span_is(codes, "3"))
			return true;
		f->want_exists = span_iis(codes, "NOERROR") || span_is(codes, "0");
		if (f->want_exists)
			return true;
	} else if (parse_numbers(s, f))
		return true;
	eval_error(l, file, line, "not a filter on answers: \"%.*s\"", SPAN_ARG(s));
	return false;
}

bool
dns_filter_parse_rbl(struct eval_loader *l, struct span s,
    struct dns_filter *f, const char *file, unsigned line)
{
	struct netaddr a;

	*f = (struct dns_filter){ .kind = DNS_FILTER_ANY };
	if (s.len == 0)
		return true;
	if ((netaddr_parse(s, &a) && a.family == 4) ||
	    (strspn(s.ptr, "0123456789") == s.len))
		return parse_numbers(s, f);
	f->kind = DNS_FILTER_REGEX;
	f->pattern = eval_pattern(l, s, false, file, line);
	return f->pattern != NULL;
}

int
dnsq_ask(struct eval_context *ctx, const struct dnsq_names *n, uint16_t type,
    const char *list)
{
	int r = n->error;

	for (size_t i = 0; r == 0 && i < n->count; i++)
		r = n->personal ? eval_ask_personal(ctx, n->names[i], type, list) :
				  eval_ask(ctx, n->names[i], type, list);
	return r;
}

/* 1 matches, 0 not, negative as eval_match() */
static int
record_matches(struct eval_context *ctx, const struct dns_filter *f,
    uint16_t type, struct span text)
{
	uint32_t v = 0;
	bool address = type == DNS_A && number(text, &v);
	bool local = address && v >> 24 == 127;

	switch (f->kind) {
	case DNS_FILTER_ANY:
		return type != DNS_A || (local && v >> 8 != 0x7FFFFF);
	case DNS_FILTER_TEXT:
		return span_eq(text, f->text);
	case DNS_FILTER_REGEX:
		return eval_match(ctx, f->pattern, text, 0, NULL, 0);
	case DNS_FILTER_MASK:
		return local && v >> 8 != 0x7FFFFF && (v & f->low) != 0;
	case DNS_FILTER_RANGE:
		return address && v >= f->low && v <= f->high;
	case DNS_FILTER_BITS:
		return address && (v & f->high) == (f->low & f->high);
	case DNS_FILTER_RCODE:
		return 0;
	}
	return 0;
}

/* A complaint (127.255.255.x) counts for a filter that was made for it: one
 * that would not take an ordinary entry as well. */
static bool
names_complaint(struct eval_context *ctx, const struct dns_filter *f)
{
	switch (f->kind) {
	case DNS_FILTER_TEXT:
		return true;
	case DNS_FILTER_RANGE:
		return f->low >> 8 == 0x7FFFFF && f->high >> 8 == 0x7FFFFF;
	case DNS_FILTER_REGEX:
		return eval_match(ctx, f->pattern, SPAN_LIT("127.0.0.2"), 0,
		    NULL, 0) == 0;
	default:
		return false;
	}
}

/* Has this question no answer that counts? Then r says why. */
static bool
is_missing(struct eval_context *ctx, const char *name,
    const struct dns_evidence *a, bool follows, struct eval_result *r)
{
	const struct check *dns = &eval_input(ctx)->evidence->dns;

	if (a != NULL)
		return eval_answer_open(ctx, a, r);
	r->state = EVAL_NOT_RUN;
	r->why = "not asked";
	if (eval_ask_denied(ctx, name))
		r->why = "dns_query_restriction";
	else if (dns->state == CHECK_NOT_RUN && dns->why != NULL)
		r->why = dns->why;
	else if (follows) {
		/* begun, but the answer before came too late */
		r->state = EVAL_UNKNOWN;
		r->why = "not finished";
	}
	return true;
}

static int
answer_matches(struct eval_context *ctx, const struct dns_filter *f,
    const struct dns_evidence *a, struct eval_result *r)
{
	if (f->kind == DNS_FILTER_RCODE)
		return a->exists == f->want_exists;
	for (size_t i = 0; i < a->count; i++) {
		int m = record_matches(ctx, f, a->type, a->texts[i]);

		if (m == 1)
			r->matched = a->texts[i];
		if (m != 0)
			return m;
	}
	return 0;
}

/* unknown outweighs not run, a miss outweighs neither */
static void
fold_open(struct eval_result *open, enum eval_state state, const char *why)
{
	if (state > open->state) {
		open->state = state;
		open->why = why;
	}
}

/* Looks every name up on top of what is open already. */
static int
answer(struct eval_context *ctx, const struct dnsq_names *n, uint16_t type,
    const struct dns_filter *f, bool follows, struct eval_result *open,
    struct eval_result *r)
{
	if (n->error != 0)
		return n->error;
	for (size_t i = 0; i < n->count; i++) {
		const struct dns_evidence *a = eval_answer(ctx, n->names[i], type);
		struct eval_result one = { 0 };
		int m;

		if (is_missing(ctx, n->names[i], a, follows, &one) &&
		    (a == NULL || !a->complaint || !names_complaint(ctx, f))) {
			fold_open(open, one.state, one.why);
			continue;
		}
		m = answer_matches(ctx, f, a, r);
		if (m == -ENOMEM)
			return m;
		if (m == 1) {
			r->count = 1;
			r->target = n->personal ? NULL : n->names[i];
			return 0;
		}
		if (m < 0)
			fold_open(open, EVAL_UNKNOWN, "match limit");
		else if (one.state != EVAL_DONE)
			fold_open(open, one.state, one.why);
	}
	if (n->full)
		fold_open(open, EVAL_UNKNOWN, "too many names to ask");
	r->state = open->state;
	r->why = open->why;
	return 0;
}

int
dnsq_answer(struct eval_context *ctx, const struct dnsq_names *n,
    uint16_t type, const struct dns_filter *f, struct eval_result *r)
{
	struct eval_result open = { 0 };

	return answer(ctx, n, type, f, false, &open, r);
}

/* ---- chains */

void
dnsq_chain_init(struct dnsq_chain *c, struct eval_context *ctx, bool asking)
{
	*c = (struct dnsq_chain){ .ctx = ctx, .asking = asking };
}

const struct dns_evidence *
dnsq_follow(struct dnsq_chain *c, struct span head, uint16_t type,
    const char *list)
{
	struct eval_result open = { 0 };
	const struct dns_evidence *d;
	struct dnsq_names n;

	n.count = 0;
	n.error = 0;
	dnsq_add(c->ctx, &n, head, "");
	if (n.error != 0 || n.count == 0) {
		c->names.error = c->names.error != 0 ? c->names.error : n.error;
		return NULL;
	}
	if (c->asking && eval_lead(c->ctx, n.names[0], type, list) != 0)
		c->names.error = -ENOMEM;
	d = eval_answer(c->ctx, n.names[0], type);
	if (!is_missing(c->ctx, n.names[0], d, c->followed, &open)) {
		c->followed = true;
		return d;
	}
	fold_open(&c->open, open.state, open.why);
	return NULL;
}

static int
span_order(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int order = n != 0 ? memcmp(x->ptr, y->ptr, n) : 0;

	return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len;
}

size_t
dnsq_sorted(const struct dns_evidence *d, struct span out[DNSQ_MAX_RECORDS])
{
	size_t n = 0;

	/* insertion: servers turn the order of their records around, and
	 * which of many are taken must not depend on that */
	for (size_t i = 0; d != NULL && i < d->count; i++) {
		size_t at = n;

		while (at > 0 && span_order(&d->texts[i], &out[at - 1]) < 0)
			at--;
		if (at == DNSQ_MAX_RECORDS)
			continue;
		if (n < DNSQ_MAX_RECORDS)
			n++;
		memmove(out + at + 1, out + at, (n - 1 - at) * sizeof(*out));
		out[at] = d->texts[i];
	}
	return n;
}

int
dnsq_chain_answer(struct dnsq_chain *c, uint16_t type,
    const struct dns_filter *f, struct eval_result *r)
{
	return answer(c->ctx, &c->names, type, f, c->followed, &c->open, r);
}

/* ---- loading */

bool
dnsq_tflag(const struct eval_call *call, const char *word)
{
	struct span rest = span_cstr(call->tflags_text);

	while (rest.len > 0)
		if (span_is(conf_next_word(&rest), word))
			return true;
	return false;
}

void
dnsq_flag(struct eval_loader *l, const char *directive, bool *value)
{
	const struct eval_line *lines;
	size_t count;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count; i++)
		if (!conf_parse_bool(lines[i].value, value))
			eval_error(l, lines[i].file, lines[i].line,
			    "%s: neither 0 nor 1", directive);
}
