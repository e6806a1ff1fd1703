/*
 * What rules ask DNS before they run, round by round (ruleset.h), and the
 * lines that forbid questions: dns_query_restriction, dns_block_rule.
 */
#include <errno.h>

#include "scoring/rules/internal.h"

enum { BLOCK_SECONDS = 300 }; /* dns_block_time's default */

struct asked {
	struct rule_question *items;
	size_t count, alloc;
	uint32_t *table; /* by name and type: index + 1 */
	size_t table_size;
	const char **lists;
	size_t list_count, list_alloc;
	bool leads; /* this call has asked a leading question */
};

struct rule_asker {
	struct eval_context c;
	struct asked asked;
	/* rules that wait for answers; their number per round only falls */
	uint32_t *leading;
	size_t leading_count;
	unsigned rounds;
};

struct dns_block {
	const char *rule, *domain;
};

struct dns_limits {
	struct strmap denied; /* domain, or "*", to 1 denied 0 allowed */
	struct dns_block *blocks;
	size_t block_count;
	int64_t block_seconds;
};

/* ---- questions */

static uint32_t
hash_question(const char *name, uint16_t type)
{
	uint32_t h = 2166136261u ^ type;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ^ h >> 15;
}

static int
grow(struct arena *a, struct asked *k)
{
	size_t alloc = k->alloc == 0 ? 64 : k->alloc * 2;
	struct rule_question *items = ARENA_ARRAY(a, alloc,
	    struct rule_question);

	k->table = ARENA_ARRAY(a, alloc * 2, uint32_t);
	if (items == NULL || k->table == NULL)
		return -ENOMEM;
	if (k->count != 0)
		memcpy(items, k->items, k->count * sizeof(*items));
	k->items = items;
	k->alloc = alloc;
	k->table_size = alloc * 2;
	for (size_t i = 0; i < k->count; i++) {
		size_t at = hash_question(items[i].name, items[i].type) &
		    (k->table_size - 1);

		while (k->table[at] != 0)
			at = (at + 1) & (k->table_size - 1);
		k->table[at] = (uint32_t)i + 1;
	}
	return 0;
}

static int
add_list(struct arena *a, struct asked *k, const char *list)
{
	for (size_t i = 0; i < k->list_count; i++)
		if (strcmp(k->lists[i], list) == 0)
			return 0;
	if (k->list_count == k->list_alloc) {
		size_t alloc = k->list_alloc == 0 ? 32 : k->list_alloc * 2;
		const char **lists = ARENA_ARRAY(a, alloc, const char *);

		if (lists == NULL)
			return -ENOMEM;
		if (k->list_count != 0)
			memcpy(lists, k->lists, k->list_count * sizeof(*lists));
		k->lists = lists;
		k->list_alloc = alloc;
	}
	k->lists[k->list_count++] = list;
	return 0;
}

static int
ask(struct eval_context *c, const char *name, uint16_t type, const char *list,
    bool leads, bool personal)
{
	struct arena *a = c->in->arena;
	struct asked *k = c->asked;
	char lower[1024];
	size_t at, n = strlen(name);
	char *copy;

	if (n >= sizeof(lower) || eval_ask_denied(c, name))
		return 0;
	for (size_t i = 0; i <= n; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ?
		    (char)(name[i] + ('a' - 'A')) : name[i];
	if (list != NULL && add_list(a, k, list) != 0)
		return -ENOMEM;
	k->leads |= leads;
	if (k->count == k->alloc && grow(a, k) != 0)
		return -ENOMEM;
	at = hash_question(lower, type) & (k->table_size - 1);
	for (; k->table[at] != 0; at = (at + 1) & (k->table_size - 1)) {
		struct rule_question *q = &k->items[k->table[at] - 1];

		if (q->type != type || strcmp(q->name, lower) != 0)
			continue;
		/* wanted for two lists: asked even when one is off */
		if (q->list != list && (q->list == NULL || list == NULL ||
			strcmp(q->list, list) != 0) && (q->leads || leads))
			q->list = NULL;
		q->leads |= leads;
		q->personal |= personal;
		return 0;
	}
	copy = arena_memdup(a, lower, n);
	if (copy == NULL)
		return -ENOMEM;
	k->items[k->count++] = (struct rule_question){ copy, type, list, leads,
		personal };
	k->table[at] = (uint32_t)k->count;
	return 0;
}

int
eval_ask(struct eval_context *c, const char *name, uint16_t type,
    const char *list)
{
	return ask(c, name, type, list, false, false);
}

int
eval_ask_personal(struct eval_context *c, const char *name, uint16_t type,
    const char *list)
{
	return ask(c, name, type, list, false, true);
}

int
eval_lead(struct eval_context *c, const char *name, uint16_t type,
    const char *list)
{
	return ask(c, name, type, list, true, false);
}

struct rule_asker *
rule_asker_new(const struct ruleset *rs, const struct rule_input *in)
{
	struct rule_asker *k = ARENA_NEW(in->arena, struct rule_asker);

	if (k == NULL)
		return NULL;
	if (context_init(&k->c, rs, in) != 0) {
		context_done(&k->c);
		return NULL;
	}
	k->c.asked = &k->asked;
	k->leading = ARENA_ARRAY(in->arena, rs->order_count[RULE_EVAL],
	    uint32_t);
	if (k->leading == NULL) {
		rule_asker_free(k);
		return NULL;
	}
	return k;
}

void
rule_asker_free(struct rule_asker *k)
{
	if (k != NULL)
		context_done(&k->c);
}

/* One rule's questions; it stays among the leading ones if it has any. */
static int
ask_rule(struct rule_asker *k, uint32_t index)
{
	struct eval_context *c = &k->c;
	const struct rule_def *d = c->rs->rules[index];
	int r;

	c->current_family = d->family_index;
	k->asked.leads = false;
	r = d->call->function->ask(c, d->call);
	if (k->asked.leads)
		k->leading[k->leading_count++] = index;
	return c->oom ? -ENOMEM : r;
}

int
rule_asker_next(struct rule_asker *k, struct rule_questions *ret_all)
{
	struct eval_context *c = &k->c;
	const struct ruleset *rs = c->rs;
	size_t n = k->leading_count;
	/* between rounds hundreds of messages may wait for answers */
	int r = context_resume(c);

	k->leading_count = 0;
	if (k->rounds++ > 0) {
		for (size_t i = 0; r == 0 && i < n; i++)
			r = ask_rule(k, k->leading[i]);
	} else if (r == 0 && (c->in->score_set & 1)) {
		if (rs->asks_with_captures)
			run_captures(c);
		for (size_t i = 0; r == 0 && i < rs->order_count[RULE_EVAL]; i++) {
			uint32_t index = rs->order[RULE_EVAL][i];
			const struct rule_def *d = rs->rules[index];

			/* whether there is a model is not known yet */
			if (d->call != NULL && d->call->function->ask != NULL &&
			    (d->enabled[1] || d->enabled[3]))
				r = ask_rule(k, index);
		}
	}
	context_done(c);
	*ret_all = (struct rule_questions){ k->asked.items, k->asked.count,
		k->asked.lists, k->asked.list_count };
	return r;
}

/* ---- lines that forbid */

bool
eval_ask_denied(const struct eval_context *c, const char *name)
{
	const struct dns_limits *l = c->rs->dns_limits;
	const size_t *found = NULL;
	struct span rest = span_cstr(name);

	if (l == NULL || l->denied.count == 0)
		return false;
	/* the tightest entry decides */
	for (; rest.len > 0 && found == NULL;
	     rest = span_from(rest, span_find(rest, '.') + 1)) {
		char lower[256];

		if (rest.len >= sizeof(lower))
			continue;
		for (size_t i = 0; i < rest.len; i++)
			lower[i] = rest.ptr[i] >= 'A' && rest.ptr[i] <= 'Z' ?
			    (char)(rest.ptr[i] + ('a' - 'A')) : rest.ptr[i];
		found = strmap_find(&l->denied, span_of(lower, rest.len));
	}
	if (found == NULL)
		found = strmap_find(&l->denied, SPAN_LIT("*"));
	return found != NULL && *found != 0;
}

int
rule_asker_blocked(struct rule_asker *k, const char *const **ret_domains,
    size_t *ret_count, int64_t *ret_seconds)
{
	struct eval_context *c = &k->c;
	const struct dns_limits *l = c->rs->dns_limits;
	size_t max = l != NULL ? l->block_count : 0, count = 0;
	const char **domains = ARENA_ARRAY(c->in->arena, max, const char *);

	if (domains == NULL || context_resume(c) != 0)
		return -ENOMEM;
	*ret_domains = domains;
	*ret_seconds = l != NULL ? l->block_seconds : 0;
	for (size_t i = 0; i < max; i++) {
		const size_t *index = strmap_find(&c->rs->names,
		    span_cstr(l->blocks[i].rule));
		const struct rule_def *d = index != NULL ? c->rs->rules[*index] :
							   NULL;
		struct eval_result r = { .offset = NO_OFFSET };

		/* a rule on answers is an eval; others do not speak of DNS */
		if (d == NULL || d->kind != RULE_EVAL || d->failed ||
		    !(d->enabled[1] || d->enabled[3]))
			continue;
		c->current_family = d->family_index;
		if (d->call->function->run(c, d->call, &r) != 0) {
			context_done(c);
			return -ENOMEM;
		}
		if (r.state == EVAL_DONE && r.count > 0)
			domains[count++] = l->blocks[i].domain;
	}
	context_done(c);
	*ret_count = count;
	return 0;
}

static struct span
take_domain(struct eval_loader *el, struct span *rest)
{
	struct span w = conf_next_word(rest);
	char *copy;

	while (w.len > 0 && w.ptr[0] == '.')
		w = span_from(w, 1);
	while (w.len > 0 && w.ptr[w.len - 1] == '.')
		w.len--;
	copy = arena_memdup(eval_arena(el), w.ptr, w.len);
	for (size_t i = 0; copy != NULL && i < w.len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + ('a' - 'A'));
	return span_of(copy, w.len);
}

static int
load_restrictions(struct eval_loader *el, struct dns_limits *l)
{
	static const char *const clears[] = { "clear_dns_query_restriction",
		"clear_dns_query_restrictions" };
	const struct eval_line *lines;
	size_t count, cleared = 0;

	for (size_t i = 0; i < 2; i++) {
		eval_lines(el, clears[i], &lines, &count);
		if (count > 0 && lines[count - 1].order >= cleared)
			cleared = lines[count - 1].order + 1;
	}
	eval_lines(el, "dns_query_restriction", &lines, &count);
	for (size_t i = 0; i < count; i++) {
		struct span rest = lines[i].value, word = conf_next_word(&rest);
		bool deny = span_iis(word, "deny");

		if (!deny && !span_iis(word, "allow")) {
			eval_error(el, lines[i].file, lines[i].line,
			    "dns_query_restriction: neither allow nor deny");
			continue;
		}
		while (rest.len > 0 && lines[i].order >= cleared) {
			struct span domain = take_domain(el, &rest);

			if (domain.ptr == NULL ||
			    strmap_set(&l->denied, domain, deny) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int
load_blocks(struct eval_loader *el, struct dns_limits *l)
{
	const struct eval_line *lines;
	size_t count, words = 0;

	eval_lines(el, "dns_block_rule", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0; words++)
			conf_next_word(&rest);
	l->blocks = ARENA_ARRAY(eval_arena(el), words, struct dns_block);
	if (l->blocks == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct span rest = lines[i].value, name = conf_next_word(&rest);
		char *rule = arena_memdup(eval_arena(el), name.ptr, name.len);

		if (rule == NULL)
			return -ENOMEM;
		if (rest.len == 0)
			eval_error(el, lines[i].file, lines[i].line,
			    "dns_block_rule: needs a rule and domains");
		while (rest.len > 0) {
			struct span domain = take_domain(el, &rest);

			if (domain.ptr == NULL)
				return -ENOMEM;
			l->blocks[l->block_count++] =
			    (struct dns_block){ rule, domain.ptr };
		}
	}
	eval_lines(el, "dns_block_time", &lines, &count);
	for (size_t i = 0; i < count; i++)
		if (!conf_parse_int(lines[i].value, &l->block_seconds) ||
		    l->block_seconds < 0 || l->block_seconds > 7 * 86400) {
			l->block_seconds = BLOCK_SECONDS;
			eval_error(el, lines[i].file, lines[i].line,
			    "dns_block_time: not a number of seconds, at most a week");
		}
	return 0;
}

static int
load(struct eval_loader *el, void **ret_state)
{
	struct dns_limits *l = ARENA_NEW(eval_arena(el), struct dns_limits);
	int r;

	if (l == NULL)
		return -ENOMEM;
	l->block_seconds = BLOCK_SECONDS;
	strmap_init(&l->denied, eval_arena(el));
	r = load_restrictions(el, l);
	if (r == 0)
		r = load_blocks(el, l);
	*ret_state = el->loader->rs->dns_limits = l;
	return r;
}

void
eval_asks_with_captures(struct eval_loader *el)
{
	el->loader->rs->asks_with_captures = true;
}

static const struct eval_directive directives[] = {
	{ "dns_query_restriction", DIRECTIVE_LINES, NULL },
	{ "clear_dns_query_restriction", DIRECTIVE_LINES, NULL },
	{ "clear_dns_query_restrictions", DIRECTIVE_LINES, NULL },
	{ "dns_block_rule", DIRECTIVE_LINES, NULL },
	{ "dns_block_time", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_dns_limits = {
	.plugin = "Mail::SpamAssassin::Conf",
	.directives = directives,
	.load = load,
};
