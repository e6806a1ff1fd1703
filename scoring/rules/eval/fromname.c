/*
 * FromNameSpoof: an address in the display name that is not the address the
 * mail comes from. (DKIM exceptions, fns_ignore_dkim, do not apply offline;
 * see DEPARTURES.md.)
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/probe.h"

enum { NAME_ADDRESS, PATTERNS };

static const char *const texts[PATTERNS] = {
	[NAME_ADDRESS] = "/\\b([\\w.!#$%&'*+\\/=?^_`{|}~-]+\\@\\w[\\w-]*\\.\\w[\\w.-]++)\\b/i",
};

struct owner {
	struct span name;
	struct addrlist addresses;
	struct owner *next;
};

struct fromname {
	struct pattern **patterns;
	struct owner *owners;
	double extra_chars, check;
	struct addrlist ignore_headers;
};

struct found {
	bool contains, address_differs, domain_differs, owner_differs, equals_to,
	    equals_replyto;
};

static struct owner *
owner_find(struct fromname *s, struct span name, struct arena *a)
{
	struct owner *o;

	for (o = s->owners; o != NULL; o = o->next)
		if (span_ieq(o->name, name))
			return o;
	o = ARENA_NEW(a, struct owner);
	if (o == NULL)
		return NULL;
	o->name = addr_lower(a, name);
	o->next = s->owners;
	s->owners = o;
	return o;
}

static int
owners_load(struct eval_loader *l, struct fromname *s, const char *directive,
    bool remove)
{
	const struct eval_line *lines;
	size_t count;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count; i++) {
		struct span v = lines[i].value;
		size_t close = span_find(v, ')');
		struct owner *o;

		if (v.len == 0 || v.ptr[0] != '(' || close == v.len) {
			eval_error(l, lines[i].file, lines[i].line,
			    "%s: an owner in parentheses is missing", directive);
			continue;
		}
		o = owner_find(s, span_trim(span_of(v.ptr + 1, close - 1)),
		    eval_arena(l));
		if (o == NULL)
			return -ENOMEM;
		for (v = span_from(v, close + 1); span_trim(v).len > 0;) {
			struct span w = conf_next_word(&v);

			if (remove)
				addrlist_remove(&o->addresses, w, span_of("", 0));
			else if (addrlist_add(eval_arena(l), &o->addresses, w,
				span_of("", 0)) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int
load(struct eval_loader *l, void **ret_state)
{
	struct fromname *s = ARENA_NEW(eval_arena(l), struct fromname);
	const struct eval_line *lines;
	void *patterns;
	size_t count;
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = probe_load(l, texts, PATTERNS, &patterns);
	if (r == 0)
		r = owners_load(l, s, "fns_add_addrlist", false);
	if (r == 0)
		r = owners_load(l, s, "fns_remove_addrlist", true);
	if (r != 0)
		return r;
	s->patterns = patterns;
	s->extra_chars = probe_number_setting(l, "fns_extrachars", 50);
	s->check = probe_number_setting(l, "fns_check", 1);
	eval_lines(l, "fns_ignore_headers", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span v = lines[i].value; v.len > 0;)
			if (addrlist_add(eval_arena(l), &s->ignore_headers,
				conf_next_word(&v), span_of("", 0)) != 0)
				return -ENOMEM;
	return 0;
}

static struct span
domain_of(struct probe *p, struct span address)
{
	struct arena *a = eval_input(p->ctx)->arena;
	struct span host, domain;
	const char *uri = arena_printf(a, "mailto:%.*s", SPAN_ARG(address));

	if (uri == NULL) {
		p->error = -ENOMEM;
		return SPAN_LIT("");
	}
	return uri_to_domain(a, span_cstr(uri), eval_uri_rules(p->ctx), &host,
	    &domain) ? domain : SPAN_LIT("");
}

/* The configured owner of an address, or the first label of its domain */
static struct span
owner_of(struct probe *p, struct span address, struct span domain)
{
	const struct fromname *s = eval_state(p->ctx);
	struct arena *a = eval_input(p->ctx)->arena;
	size_t at = span_find(address, '@');
	char *parent = arena_printf(a, "%.*s@%.*s",
	    SPAN_ARG(span_of(address.ptr, at)), SPAN_ARG(domain));

	if (parent == NULL) {
		p->error = -ENOMEM;
		return domain;
	}
	for (const struct owner *o = s->owners; o != NULL; o = o->next)
		if (addrlist_has(&o->addresses, address))
			return o->name;
	for (const struct owner *o = s->owners; o != NULL; o = o->next)
		if (addrlist_has(&o->addresses, span_cstr(parent)))
			return o->name;
	return span_of(domain.ptr, span_find(domain, '.'));
}

static double
odd_characters(struct span s)
{
	double n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += !((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
		    (s.ptr[i] >= '0' && s.ptr[i] <= '9'));
	return n;
}

static void
look(struct probe *p, struct found *f)
{
	const struct fromname *s = eval_state(p->ctx);
	struct arena *a = eval_input(p->ctx)->arena;
	struct span from, name, g[2], named, from_domain, named_domain, *to;
	size_t count;

	for (size_t i = 0; i < s->ignore_headers.count; i++)
		if (message_find(eval_input(p->ctx)->message,
			s->ignore_headers.entries[i].glob.ptr, 0) != NULL)
			return;
	from = addr_lower(a, probe_get(p, "From:addr"));
	name = addr_lower(a, probe_get(p, "From:name"));
	if (from.ptr == NULL || name.ptr == NULL) {
		p->error = -ENOMEM;
		return;
	}
	from_domain = domain_of(p, from);
	if (from_domain.len == 0 || !probe_groups(p, NAME_ADDRESS, name, g, 2))
		return;
	named = g[1];
	named_domain = domain_of(p, named);
	if (named_domain.len == 0)
		return;
	f->contains = true;
	if ((double)name.len + odd_characters(name) - odd_characters(named) -
		(double)named.len > s->extra_chars)
		return;
	f->address_differs = !span_eq(named, from);
	f->domain_differs = !span_eq(named_domain, from_domain);
	f->owner_differs = !span_eq(owner_of(p, named, named_domain),
	    owner_of(p, from, from_domain));
	f->equals_replyto = span_ieq(named, probe_get(p, "Reply-To:addr"));
	if (addr_all_to(p->ctx, &to, &count) != 0) {
		p->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < count; i++)
		f->equals_to |= span_eq(named, to[i]);
}

static const struct found *
found_of(struct probe *p)
{
	static const struct found nothing;
	void **slot = eval_cache(p->ctx);

	if (*slot == NULL) {
		struct found *f = ARENA_NEW(eval_input(p->ctx)->arena, struct found);

		if (f == NULL)
			p->error = -ENOMEM;
		else
			look(p, f);
		if (p->error != 0)
			return &nothing;
		*slot = f;
	}
	return *slot;
}

#define FOUND(name, condition)                                           \
	static int name(struct eval_context *ctx,                        \
	    const struct eval_call *call, struct eval_result *r)         \
	{                                                                \
		const struct fromname *s = eval_state(ctx);              \
		struct probe p = { ctx, s->patterns, 0 };                \
		const struct found *f = found_of(&p);                    \
									 \
		(void)call;                                              \
		return probe_end(&p, r, condition);                      \
	}

FOUND(run_spoof, f->address_differs && (s->check == 0 ||
	(s->check == 1 && f->owner_differs) ||
	(s->check == 2 && f->domain_differs)))
FOUND(run_different, f->address_differs)
FOUND(run_domain_differ, f->domain_differs)
FOUND(run_contains, f->contains)
FOUND(run_equals_to, f->equals_to)
FOUND(run_owners_differ, f->owner_differs)
FOUND(run_equals_replyto, f->equals_replyto)

static const struct eval_function functions[] = {
	{ "check_fromname_spoof", EVAL_HEADER, "|s", run_spoof, NULL, NULL },
	{ "check_fromname_different", EVAL_HEADER, "", run_different, NULL, NULL },
	{ "check_fromname_domain_differ", EVAL_HEADER, "", run_domain_differ, NULL, NULL },
	{ "check_fromname_contains_email", EVAL_HEADER, "", run_contains, NULL, NULL },
	{ "check_fromname_equals_to", EVAL_HEADER, "", run_equals_to, NULL, NULL },
	{ "check_fromname_owners_differ", EVAL_HEADER, "", run_owners_differ, NULL, NULL },
	{ "check_fromname_equals_replyto", EVAL_HEADER, "", run_equals_replyto, NULL, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "fns_add_addrlist", DIRECTIVE_LINES, NULL },
	{ "fns_remove_addrlist", DIRECTIVE_LINES, NULL },
	{ "fns_extrachars", DIRECTIVE_LINES, NULL },
	{ "fns_ignore_dkim", DIRECTIVE_LINES, NULL },
	{ "fns_ignore_headers", DIRECTIVE_LINES, NULL },
	{ "fns_check", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_fromname = {
	"Mail::SpamAssassin::Plugin::FromNameSpoof", functions, directives, NULL,
	load,
};
