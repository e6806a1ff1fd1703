/*
 * What eval functions may ask for while they run (eval.h).
 */
#include <errno.h>

#include "scoring/rules/internal.h"

const struct rule_input *
eval_input(const struct eval_context *c)
{
	return c->in;
}

void *
eval_state(const struct eval_context *c)
{
	return c->rs->family_states[c->current_family];
}

void **
eval_cache(struct eval_context *c)
{
	return &c->family_cache[c->current_family];
}

static size_t
family_index(const struct eval_family *family)
{
	size_t i = 0;

	while (eval_families[i] != NULL && eval_families[i] != family)
		i++;
	return i;
}

void *
eval_state_of(const struct eval_context *c, const struct eval_family *family)
{
	return c->rs->family_states[family_index(family)];
}

void **
eval_cache_of(struct eval_context *c, const struct eval_family *family)
{
	return &c->family_cache[family_index(family)];
}

bool
eval_steps(struct eval_context *c, uint64_t steps)
{
	if (__builtin_add_overflow(c->budget.steps, steps, &c->budget.steps))
		c->budget.steps = UINT64_MAX;
	return c->budget.steps < c->budget.message_steps;
}

bool
eval_get(struct eval_context *c, const char *request, struct span *ret_value)
{
	static const char *const single[] = { ":addr", ":name", ":host",
		":domain", ":ip", ":revip" };
	const struct header_value *h = run_header_request(c, request);

	*ret_value = (struct span){ h != NULL ? "" : NULL, 0 };
	if (h == NULL || !h->present)
		return false;
	*ret_value = h->joined;
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (strstr(request, single[i]) != NULL) {
			*ret_value = h->items[0];
			return true;
		}
	/* get() in scalar context joins without anything between, and only
	 * relay lists come without a line end */
	return true;
}

int
eval_get_list(struct eval_context *c, const char *request,
    const struct span **ret_values, size_t *ret_count)
{
	const struct header_value *h = run_header_request(c, request);

	if (h == NULL)
		return -ENOMEM;
	*ret_values = h->items;
	*ret_count = h->present ? h->count : 0;
	return 0;
}

bool
eval_captured(struct eval_context *c, struct span name,
    const struct span **ret_values, size_t *ret_count)
{
	for (const struct run_tag *t = c->tags; t != NULL; t = t->next)
		if (span_eq(t->name, name) && t->count > 0) {
			*ret_values = t->values;
			*ret_count = t->count;
			return true;
		}
	return false;
}

int
eval_match(struct eval_context *c, const struct pattern *p,
    struct span subject, size_t from, struct span *groups, size_t group_count)
{
	/* compiling it late is the only thing that is written */
	switch (pattern_find((struct pattern *)(uintptr_t)p,
	    c->scratch->matcher, &c->budget, subject, from, false, groups,
	    group_count)) {
	case PATTERN_HIT:
		return 1;
	case PATTERN_MISS:
		return 0;
	case PATTERN_NOMEM:
		return -ENOMEM;
	default:
		return -EAGAIN;
	}
}

struct span
eval_org_domain(struct eval_context *c, struct span host)
{
	char *p;
	const char *found;

	while (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (c->rs->psl == NULL || host.len == 0 || host.len > 253 ||
	    memchr(host.ptr, '\0', host.len) != NULL)
		return SPAN_LIT("");
	p = arena_memdup(c->in->arena, host.ptr, host.len);
	if (p == NULL)
		return SPAN_LIT("");
	for (size_t i = 0; i < host.len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + ('a' - 'A'));
	found = psl_registrable_domain(c->rs->psl, p);
	return found != NULL ? span_cstr(found) : SPAN_LIT("");
}

const struct dns_evidence *
eval_answer(struct eval_context *c, const char *name, uint16_t type)
{
	char lower[1024];
	size_t n = strlen(name);

	if (n >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i <= n; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ?
		    (char)(name[i] + ('a' - 'A')) : name[i];
	return evidence_find_answer(c->in->evidence, lower, type);
}

bool
eval_check_open(const struct check *k, struct eval_result *r)
{
	if (k->state == CHECK_DONE)
		return false;
	r->state = k->state == CHECK_UNKNOWN ? EVAL_UNKNOWN : EVAL_NOT_RUN;
	r->why = k->why != NULL ? k->why : "not looked up";
	return true;
}

bool
eval_answer_open(struct eval_context *c, const struct dns_evidence *answer,
    struct eval_result *r)
{
	if (answer != NULL)
		return eval_check_open(&answer->check, r);
	r->state = EVAL_NOT_RUN;
	r->why = c->in->evidence->dns.state == CHECK_NOT_RUN &&
		c->in->evidence->dns.why != NULL ?
	    c->in->evidence->dns.why : "not looked up";
	return true;
}
