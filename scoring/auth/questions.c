/*
 * What rules ask DNS (ruleset.h, struct rule_asker): all that can be asked
 * at once, then what follows from each leading answer as soon as it is
 * there. One domain whose servers do not answer holds up no other.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/auth/auth_internal.h"

/* Rules go on with each answer that comes: one that never comes must hold up
 * nothing else. So often at most; then they wait for all that is under way,
 * since somebody who makes his answers come one by one would have us work
 * through them all each time. */
enum { EAGER_ROUNDS = 100 };

struct slot {
	enum { UNASKED, OVER_LIMIT, ASKED, ANSWERED } state;
	struct dns_evidence evidence; /* ANSWERED */
};

struct questions_run {
	struct auth *x;
	struct evidence *e;
	struct auth_questions source;
	struct rule_questions all;
	struct dnsxl_run *lists;
	struct slot *slots; /* one a question that was begun */
	size_t begun, alloc;
	struct dns_evidence *known; /* leading answers, sorted */
	size_t known_count, known_alloc;
	unsigned rounds;
};

static int
answer_order(const void *a, const void *b)
{
	const struct dns_evidence *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	return x->type < y->type ? -1 : x->type > y->type;
}

/* Presentation form of one record: what a rule compares with */
static struct span
present(struct arena *a, uint16_t type, const struct dns_record *r)
{
	struct netaddr addr = { .family = type == DNS_A ? 4 : 6 };
	char text[NETADDR_TEXT];

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		memcpy(addr.bytes, r->data.ptr, r->data.len);
		return arena_span(a, span_cstr(netaddr_format(&addr, text)));
	case DNS_MX: {
		char *s = arena_printf(a, "%u %s", r->preference, r->data.ptr);

		return s != NULL ? span_cstr(s) : span_of(NULL, 0);
	}
	default:
		return arena_span(a, r->data);
	}
}

static int
take_answer(struct arena *a, const struct rule_question *q,
    const struct dns_answer *ans, struct dns_evidence *d)
{
	*d = (struct dns_evidence){ .check = auth_check_of(ans->status),
		.name = q->name, .type = q->type,
		.exists = ans->status == DNS_FOUND, .secure = ans->secure };
	d->texts = ARENA_ARRAY(a, ans->count, struct span);
	if (d->texts == NULL)
		return -ENOMEM;
	for (size_t k = 0; k < ans->count; k++) {
		d->texts[k] = present(a, d->type, &ans->records[k]);
		if (d->texts[k].ptr == NULL)
			return -ENOMEM;
		d->count++;
	}
	return 0;
}

/* A quarter of the queries stays for SPF, DKIM and DMARC: who sends a
 * hundred links must not escape them through max_dns_queries. */
static bool
may_ask(const struct auth *x)
{
	int64_t max = x->settings->max_dns_queries;

	return dns_session_queries(x->dns) < max - max / 4;
}

static int
begin_new(struct questions_run *run)
{
	struct arena *a = run->x->arena;

	if (run->all.count > run->alloc) {
		size_t alloc = run->all.count + run->all.count / 2;
		struct slot *slots = ARENA_ARRAY(a, alloc, struct slot);

		if (slots == NULL)
			return -ENOMEM;
		if (run->begun != 0)
			memcpy(slots, run->slots, run->begun * sizeof(*slots));
		run->slots = slots;
		run->alloc = alloc;
	}
	for (; run->begun < run->all.count; run->begun++) {
		const struct rule_question *q = &run->all.items[run->begun];
		struct slot *s = &run->slots[run->begun];
		struct check off;

		*s = (struct slot){ .state = UNASKED };
		if (dnsxl_is_off(run->lists, q->list, q->name, &off))
			continue;
		s->state = may_ask(run->x) ? ASKED : OVER_LIMIT;
		if (s->state == ASKED)
			dns_start(run->x->dns, q->name, q->type);
	}
	return 0;
}

struct questions_run *
questions_begin(struct auth *x, const struct auth_questions *questions,
    struct evidence *e)
{
	struct questions_run *run = ARENA_NEW(x->arena, struct questions_run);

	if (run == NULL)
		return NULL;
	run->x = x;
	run->e = e;
	if (questions != NULL) {
		run->source = *questions;
		run->all = questions->all;
	}
	run->lists = dnsxl_begin(x->context->dnsxl, x->probes, run->all.lists,
	    run->all.list_count, e->now, x->arena);
	return run->lists != NULL && begin_new(run) == 0 ? run : NULL;
}

/* Takes leading answers that have come; *ret_open: some have not. */
static int
take_leading(struct questions_run *run, bool *ret_new, bool *ret_open)
{
	struct arena *a = run->x->arena;

	*ret_new = *ret_open = false;
	for (size_t i = 0; i < run->begun; i++) {
		const struct rule_question *q = &run->all.items[i];
		struct slot *s = &run->slots[i];
		const struct dns_answer *ans;
		int rc;

		if (!q->leads || s->state != ASKED)
			continue;
		ans = dns_peek(run->x->dns, q->name, q->type);
		if (ans == NULL) {
			*ret_open = true;
			continue;
		}
		rc = take_answer(a, q, ans, &s->evidence);
		if (rc != 0)
			return rc;
		s->state = ANSWERED;
		if (run->known_count == run->known_alloc) {
			size_t alloc = run->known_alloc == 0 ? 32 :
						run->known_alloc * 2;
			struct dns_evidence *known = ARENA_ARRAY(a, alloc,
			    struct dns_evidence);

			if (known == NULL)
				return -ENOMEM;
			if (run->known_count != 0)
				memcpy(known, run->known,
				    run->known_count * sizeof(*known));
			run->known = known;
			run->known_alloc = alloc;
		}
		run->known[run->known_count++] = s->evidence;
		*ret_new = true;
	}
	return 0;
}

int
questions_step(struct questions_run *run, bool *ret_open)
{
	struct evidence *e = run->e;
	bool new = true;
	int rc = 0;

	*ret_open = false;
	while (rc == 0 && run->source.next != NULL) {
		rc = take_leading(run, &new, ret_open);
		if (rc != 0 || !new ||
		    (run->rounds >= EAGER_ROUNDS && *ret_open))
			break;
		run->rounds++;
		if (run->known_count > 1)
			qsort(run->known, run->known_count,
			    sizeof(*run->known), answer_order);
		e->answers = run->known;
		e->answer_count = run->known_count;
		rc = run->source.next(run->source.arg, &run->all);
		if (rc == 0)
			rc = begin_new(run);
	}
	return rc;
}

int
questions_finish(struct questions_run *run)
{
	struct arena *a = run->x->arena;
	struct evidence *e = run->e;
	size_t n = run->begun;
	int rc;

	rc = dnsxl_finish(run->lists, e);
	e->answer_count = 0;
	e->answers = ARENA_ARRAY(a, n, struct dns_evidence);
	e->dnsxl = ARENA_ARRAY(a, n, struct dnsxl_evidence);
	if (e->answers == NULL || e->dnsxl == NULL)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct rule_question *q = &run->all.items[i];
		struct dns_evidence *d = &e->answers[e->answer_count++];
		struct check off;

		*d = (struct dns_evidence){ .name = q->name, .type = q->type };
		if (dnsxl_is_off(run->lists, q->list, q->name, &off))
			d->check = off;
		else if (run->slots[i].state == ANSWERED)
			*d = run->slots[i].evidence;
		else if (run->slots[i].state == OVER_LIMIT)
			d->check = auth_check_of(DNS_LIMIT);
		else
			rc = take_answer(a, q, dns_lookup(run->x->dns, q->name,
			    q->type), d);
		if (rc == 0 && q->list != NULL && !q->leads)
			rc = dnsxl_answer(run->lists, q, d,
			    &e->dnsxl[e->dnsxl_count++]);
	}
	if (e->answer_count > 1)
		qsort(e->answers, e->answer_count, sizeof(e->answers[0]),
		    answer_order);
	return rc;
}

void
auth_block_domain(struct auth_context *c, const char *domain, int64_t now,
    int64_t seconds)
{
	dnsxl_block(c->dnsxl, domain, now, seconds);
}
