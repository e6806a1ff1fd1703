/*
 * The welcome lists of SPF and DKIM: an address counts when who it claims to
 * be was authenticated (welcomelist_auth, welcomelist_from_spf,
 * welcomelist_from_dkim and the shipped def_ lists).
 */
#include <errno.h>

#include "scoring/rules/eval/addrlist.h"

struct lists {
	struct addrlist plain, shipped; /* each with its *_auth lines */
};

static int
words_add(struct eval_loader *l, const char *directive, struct addrlist *list,
    bool remove)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span v = lines[i].value; v.len > 0 && r == 0;) {
			struct span w = conf_next_word(&v);

			if (remove)
				addrlist_remove(list, w, span_of("", 0));
			else
				r = addrlist_add(eval_arena(l), list, w,
				    span_of("", 0));
		}
	return r;
}

/* "address [signing domain]" */
static int
pairs_add(struct eval_loader *l, const char *directive, struct addrlist *list)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct span v = lines[i].value, address = conf_next_word(&v),
			    domain = conf_next_word(&v);

		r = addrlist_add(eval_arena(l), list, address, domain);
	}
	return r;
}

static int
load_spf(struct eval_loader *l, void **ret_state)
{
	struct lists *s = ARENA_NEW(eval_arena(l), struct lists);
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = words_add(l, "welcomelist_from_spf", &s->plain, false);
	if (r == 0)
		r = words_add(l, "welcomelist_auth", &s->plain, false);
	if (r == 0)
		r = words_add(l, "unwelcomelist_auth", &s->plain, true);
	if (r == 0)
		r = words_add(l, "unwelcomelist_from_spf", &s->plain, true);
	if (r == 0)
		r = words_add(l, "def_welcomelist_from_spf", &s->shipped, false);
	if (r == 0)
		r = words_add(l, "def_welcomelist_auth", &s->shipped, false);
	return r;
}

static int
load_dkim(struct eval_loader *l, void **ret_state)
{
	struct lists *s = ARENA_NEW(eval_arena(l), struct lists);
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = pairs_add(l, "welcomelist_from_dkim", &s->plain);
	if (r == 0)
		r = words_add(l, "welcomelist_auth", &s->plain, false);
	if (r == 0)
		r = words_add(l, "unwelcomelist_auth", &s->plain, true);
	if (r == 0)
		r = words_add(l, "unwelcomelist_from_dkim", &s->plain, true);
	if (r == 0)
		r = pairs_add(l, "def_welcomelist_from_dkim", &s->shipped);
	if (r == 0)
		r = words_add(l, "def_welcomelist_auth", &s->shipped, false);
	return r;
}

static int
spf_listed(struct eval_context *ctx, const struct addrlist *list,
    struct eval_result *r)
{
	const struct spf_evidence *e = &eval_input(ctx)->evidence->spf_mailfrom;
	struct span from;

	if (!eval_get(ctx, "EnvelopeFrom:addr", &from))
		return from.ptr == NULL ? -ENOMEM : 0;
	from = addr_lower(eval_input(ctx)->arena, from);
	if (from.ptr == NULL)
		return -ENOMEM;
	if (!addrlist_has(list, from) || eval_check_open(&e->check, r))
		return 0;
	r->count = e->result == AUTH_PASS;
	r->matched = from;
	return 0;
}

static struct span
host_of(struct span address)
{
	return span_from(address, span_find(address, '@') + 1);
}

/* A good signature of the domain, or of one above the author's when the
 * list names it */
static bool
signed_by(const struct evidence *e, struct span domain,
    const struct check **ret_open)
{
	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];

		if (d->domain == NULL || !span_iis(domain, d->domain))
			continue;
		if (d->check.state != CHECK_DONE)
			*ret_open = &d->check;
		else if (d->result == AUTH_PASS)
			return true;
	}
	return false;
}

static int
dkim_listed(struct eval_context *ctx, const struct addrlist *list,
    struct eval_result *r)
{
	const struct evidence *e = eval_input(ctx)->evidence;
	const struct check *open = NULL;
	const struct span *authors;
	size_t count;

	if (eval_get_list(ctx, "From:addr", &authors, &count) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct span a = addr_lower(eval_input(ctx)->arena, authors[i]);

		if (a.ptr == NULL)
			return -ENOMEM;
		for (size_t k = 0; k < list->count; k++) {
			const struct addr_entry *entry = &list->entries[k];

			if (!addr_entry_matches(entry, a))
				continue;
			if (signed_by(e, entry->relay.len != 0 ? entry->relay :
				    host_of(a), &open)) {
				r->count = 1;
				r->matched = a;
				return 0;
			}
		}
	}
	if (open != NULL)
		eval_check_open(open, r);
	return 0;
}

#define LISTED(name, check, list)                                \
	static int name(struct eval_context *ctx,                \
	    const struct eval_call *call, struct eval_result *r) \
	{                                                        \
		const struct lists *s = eval_state(ctx);         \
								 \
		(void)call;                                      \
		return check(ctx, &s->list, r);                  \
	}

LISTED(run_spf, spf_listed, plain)
LISTED(run_def_spf, spf_listed, shipped)
LISTED(run_dkim, dkim_listed, plain)
LISTED(run_def_dkim, dkim_listed, shipped)

static const struct eval_function spf_functions[] = {
	{ "check_for_spf_welcomelist_from", EVAL_HEADER, "", run_spf, NULL, NULL },
	{ "check_for_spf_whitelist_from", EVAL_HEADER, "", run_spf, NULL, NULL },
	{ "check_for_def_spf_welcomelist_from", EVAL_HEADER, "", run_def_spf, NULL, NULL },
	{ "check_for_def_spf_whitelist_from", EVAL_HEADER, "", run_def_spf, NULL, NULL },
	{ 0 },
};

static const struct eval_directive spf_directives[] = {
	{ "welcomelist_from_spf", DIRECTIVE_LINES, NULL },
	{ "unwelcomelist_from_spf", DIRECTIVE_LINES, NULL },
	{ "def_welcomelist_from_spf", DIRECTIVE_LINES, NULL },
	{ "welcomelist_auth", DIRECTIVE_LINES, NULL },
	{ "unwelcomelist_auth", DIRECTIVE_LINES, NULL },
	{ "def_welcomelist_auth", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_spf_lists = {
	"Mail::SpamAssassin::Plugin::SPF", spf_functions, spf_directives, NULL,
	load_spf,
};

static const struct eval_function dkim_functions[] = {
	{ "check_for_dkim_welcomelist_from", EVAL_HEADER, "", run_dkim, NULL, NULL },
	{ "check_for_dkim_whitelist_from", EVAL_HEADER, "", run_dkim, NULL, NULL },
	{ "check_for_def_dkim_welcomelist_from", EVAL_HEADER, "", run_def_dkim, NULL, NULL },
	{ "check_for_def_dkim_whitelist_from", EVAL_HEADER, "", run_def_dkim, NULL, NULL },
	{ 0 },
};

static const struct eval_directive dkim_directives[] = {
	{ "welcomelist_from_dkim", DIRECTIVE_LINES, NULL },
	{ "unwelcomelist_from_dkim", DIRECTIVE_LINES, NULL },
	{ "def_welcomelist_from_dkim", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_dkim_lists = {
	"Mail::SpamAssassin::Plugin::DKIM", dkim_functions, dkim_directives, NULL,
	load_dkim,
};
