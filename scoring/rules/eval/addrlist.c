#include <errno.h>
#include <stdint.h>

#include "scoring/rules/eval/addrlist.h"

struct span
addr_lower(struct arena *a, struct span s)
{
	char *p = arena_memdup(a, s.ptr, s.len);

	if (p == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < s.len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] += 'a' - 'A';
	return span_of(p, s.len);
}

int
addrlist_add(struct arena *a, struct addrlist *l, struct span glob,
    struct span relay)
{
	struct addr_entry e = { .glob = addr_lower(a, glob),
		.relay = addr_lower(a, relay) };

	if (e.glob.ptr == NULL || e.relay.ptr == NULL)
		return -ENOMEM;
	if (l->count == l->alloc) {
		size_t alloc = l->alloc == 0 ? 16 : l->alloc * 2;
		struct addr_entry *p = ARENA_ARRAY(a, alloc, struct addr_entry);

		if (p == NULL)
			return -ENOMEM;
		if (l->count != 0)
			memcpy(p, l->entries, l->count * sizeof(*p));
		l->entries = p;
		l->alloc = alloc;
	}
	while (e.tail < e.glob.len && e.glob.ptr[e.glob.len - 1 - e.tail] != '*' &&
	    e.glob.ptr[e.glob.len - 1 - e.tail] != '?')
		e.tail++;
	l->entries[l->count++] = e;
	return 0;
}

void
addrlist_remove(struct addrlist *l, struct span glob, struct span relay)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		if (!span_ieq(l->entries[i].glob, glob) ||
		    (relay.len != 0 && !span_ieq(l->entries[i].relay, relay)))
			l->entries[n++] = l->entries[i];
	l->count = n;
}

/* Linear in practice: a later "*" makes an earlier one settled. */
bool
addr_entry_matches(const struct addr_entry *e, struct span s)
{
	struct span g = e->glob;
	size_t i = 0, k = 0, star = SIZE_MAX, resume = 0;

	if (s.len < e->tail || memcmp(s.ptr + s.len - e->tail,
		g.ptr + g.len - e->tail, e->tail) != 0)
		return false;
	while (i < s.len) {
		if (k < g.len && (g.ptr[k] == '?' || (g.ptr[k] != '*' &&
			g.ptr[k] == s.ptr[i]))) {
			i++;
			k++;
		} else if (k < g.len && g.ptr[k] == '*') {
			star = k++;
			resume = i;
		} else if (star != SIZE_MAX) {
			k = star + 1;
			i = ++resume;
		} else
			return false;
	}
	while (k < g.len && g.ptr[k] == '*')
		k++;
	return k == g.len;
}

bool
addrlist_has(const struct addrlist *l, struct span s)
{
	for (size_t i = 0; i < l->count; i++)
		if (addr_entry_matches(&l->entries[i], s))
			return true;
	return false;
}

enum { MAX_ADDRESSES = 512 };

struct collect {
	struct eval_context *ctx;
	struct span *list;
	size_t count;
	bool keep_case;
	int error;
};

static void
collect_one(struct collect *c, struct span s)
{
	struct arena *a = eval_input(c->ctx)->arena;

	s = c->keep_case ? arena_span(a, s) : addr_lower(a, s);
	if (s.ptr == NULL) {
		c->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < c->count; i++)
		if (span_eq(c->list[i], s))
			return;
	if (s.len != 0 && c->count < MAX_ADDRESSES)
		c->list[c->count++] = s;
}

static size_t
collect_field(struct collect *c, const char *request)
{
	const struct span *values;
	size_t count = 0;

	if (c->error == 0)
		c->error = eval_get_list(c->ctx, request, &values, &count);
	for (size_t i = 0; c->error == 0 && i < count; i++)
		collect_one(c, values[i]);
	return c->error == 0 ? count : 0;
}

static bool
collect_begin(struct collect *c, struct eval_context *ctx)
{
	*c = (struct collect){ .ctx = ctx,
		.list = ARENA_ARRAY(eval_input(ctx)->arena, MAX_ADDRESSES,
		    struct span) };
	return c->list != NULL;
}

/* "foo@bar..." is seen in the wild: runs of dots are one */
static struct span
squeeze_dots(struct span s)
{
	char *p = (char *)(uintptr_t)s.ptr; /* our own copy */
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '.' || n == 0 || p[n - 1] != '.')
			p[n++] = s.ptr[i];
	return span_of(s.ptr, n);
}

static int
all_from(struct eval_context *ctx, bool keep_case, struct span **ret,
    size_t *ret_n)
{
	static const char *const fields[] = { "From:addr", "Envelope-Sender:addr",
		"Resent-Sender:addr", "X-Envelope-From:addr", "EnvelopeFrom:addr" };
	struct collect c;

	if (!collect_begin(&c, ctx))
		return -ENOMEM;
	c.keep_case = keep_case;
	if (collect_field(&c, "Resent-From:first:addr") == 0) {
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			collect_field(&c, fields[i]);
		for (size_t i = 0; i < c.count; i++)
			c.list[i] = squeeze_dots(c.list[i]);
	}
	*ret = c.list;
	*ret_n = c.count;
	return c.error;
}

int
addr_all_from(struct eval_context *ctx, struct span **ret, size_t *ret_n)
{
	return all_from(ctx, false, ret, ret_n);
}

int
addr_all_from_as_written(struct eval_context *ctx, struct span **ret,
    size_t *ret_n)
{
	return all_from(ctx, true, ret, ret_n);
}

/* " for <user@host>;" of a Received field */
static void
collect_for(struct collect *c, struct span line)
{
	size_t i, end;

	for (i = 0; i + 5 < line.len; i++)
		if (memcmp(line.ptr + i, " for ", 5) == 0)
			break;
	if (i + 5 >= line.len)
		return;
	line = span_from(line, i + 5);
	if (line.ptr[0] == '<')
		line = span_from(line, 1);
	for (end = 0; end < line.len && !span_is_wsp(line.ptr[end]) &&
	     line.ptr[end] != ';'; end++)
		;
	if (end == line.len || line.ptr[end] != ';')
		return;
	line.len = end;
	if (line.len > 0 && line.ptr[line.len - 1] == '>')
		line.len--;
	if (span_find(line, '@') > 0 && span_find(line, '@') + 1 < line.len &&
	    span_find(line, '.') < line.len)
		collect_one(c, line);
}

int
addr_all_to(struct eval_context *ctx, struct span **ret, size_t *ret_n)
{
	static const char *const fields[] = { "To:addr", "Apparently-To:addr",
		"Delivered-To:addr", "Envelope-Recipients:addr",
		"Apparently-Resent-To:addr", "X-Envelope-To:addr",
		"Envelope-To:addr", "X-Delivered-To:addr", "X-Original-To:addr",
		"X-Rcpt-To:addr", "X-Real-To:addr", "Cc:addr" };
	const struct span *received;
	struct collect c;
	size_t count = 0;

	if (!collect_begin(&c, ctx))
		return -ENOMEM;
	if (collect_field(&c, "Resent-To:first:addr") +
		collect_field(&c, "Resent-Cc:first:addr") == 0) {
		if (c.error == 0)
			c.error = eval_get_list(ctx, "Received", &received, &count);
		for (size_t i = 0; c.error == 0 && i < count && i < 3; i++)
			collect_for(&c, received[i]);
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			collect_field(&c, fields[i]);
	}
	*ret = c.list;
	*ret_n = c.count;
	return c.error;
}
