/*
 * Header values as SpamAssassin's rules see them (PerMsgStatus::_get).
 *
 * A request is a field name or a pseudo-header with modifiers behind colons.
 * Values are computed once a message; a rule's request is a slot, one of an
 * eval function is found by name.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/rules/internal.h"

/* SpamAssassin's MAX_HEADER_LENGTH: how much of ALL is looked at */
enum { ALL_MAX_BYTES = 65536 };

struct request {
	struct span name;
	bool raw, addr, phrase, host, domain, ip, revip, first, last;
};

struct values {
	struct arena *arena;
	struct span *items;
	size_t count, alloc;
	bool oom;
};

static void
values_add(struct values *v, struct span s)
{
	if (s.ptr == NULL) {
		v->oom = true;
		return;
	}
	if (v->count == v->alloc) {
		size_t alloc = v->alloc == 0 ? 4 : v->alloc * 2;
		struct span *items = ARENA_ARRAY(v->arena, alloc, struct span);

		if (items == NULL) {
			v->oom = true;
			return;
		}
		if (v->count != 0)
			memcpy(items, v->items, v->count * sizeof(*items));
		v->items = items;
		v->alloc = alloc;
	}
	v->items[v->count++] = s;
}

static struct request
parse_request(const char *text)
{
	struct span s = span_cstr(text), word;
	struct request r = { .name = span_of(s.ptr, span_find(s, ':')) };

	for (s = span_from(s, r.name.len + 1); s.len > 0;
	     s = span_from(s, word.len + 1)) {
		word = span_of(s.ptr, span_find(s, ':'));
		r.raw = r.raw || span_is(word, "raw");
		r.addr = r.addr || span_is(word, "addr");
		r.phrase = r.phrase || span_is(word, "name");
		r.domain = r.domain || span_is(word, "domain");
		r.host = r.host || r.domain || span_is(word, "host");
		r.revip = r.revip || span_is(word, "revip");
		r.ip = r.ip || r.revip || span_is(word, "ip");
		r.first = r.first || span_is(word, "first");
		r.last = r.last || span_is(word, "last");
	}
	return r;
}

/* Value and line end, as get_header() hands it out */
static struct span
with_newline(struct arena *a, struct span s)
{
	char *p;

	if (s.ptr == NULL || s.len == SIZE_MAX ||
	    (p = arena_bytes(a, s.len + 1)) == NULL)
		return (struct span){ NULL, 0 };
	if (s.len != 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\n';
	return span_of(p, s.len + 1);
}

/* raw with its folds put together, for ToCc:raw and MESSAGEID:raw */
static struct span
unfold_raw(struct arena *a, struct span raw)
{
	char *out = arena_bytes(a, raw.len + 1);
	size_t n = 0;

	if (raw.ptr == NULL || out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\n' && i + 1 < raw.len &&
		    span_is_wsp(raw.ptr[i + 1])) {
			out[n++] = ' ';
			while (i + 1 < raw.len && span_is_wsp(raw.ptr[i + 1]))
				i++;
		} else
			out[n++] = raw.ptr[i];
	}
	return span_of(out, n);
}

bool
header_is_hidden(struct span name)
{
	return span_istarts(name, "X-Spam-");
}

static void
add_fields(struct eval_context *c, struct values *v, struct span name, bool raw,
    bool unfold)
{
	struct message *m = c->in->message;

	if (header_is_hidden(name))
		return;
	for (struct field *f = message_find_span(m, name, 0); f != NULL;
	     f = message_next(m, f)) {
		struct span s = raw ? field_raw(m, f) :
				      with_newline(v->arena,
					  field_decoded(m, f));

		values_add(v, raw && unfold ? unfold_raw(v->arena, s) : s);
	}
}

/* "Name: value\n" */
static void
add_whole_field(struct eval_context *c, struct values *v, struct field *f,
    size_t *left)
{
	struct message *m = c->in->message;
	struct span value;
	size_t n;
	char *p;

	value = field_decoded(m, f);
	n = f->name.len < FIELD_MAX_NAME_BYTES ? f->name.len :
						 FIELD_MAX_NAME_BYTES;
	if (n + value.len + 3 > *left) {
		*left = 0;
		return;
	}
	*left -= n + value.len + 3;
	p = arena_bytes(v->arena, n + value.len + 3);
	if (p == NULL || value.ptr == NULL) {
		v->oom = true;
		return;
	}
	memcpy(p, f->name.ptr, n);
	memcpy(p + n, ": ", 2);
	if (value.len != 0)
		memcpy(p + n + 2, value.ptr, value.len);
	p[n + 2 + value.len] = '\n';
	values_add(v, span_of(p, n + value.len + 3));
}

/* Which of the path's fields: from the Received number from (-1: the top) up
 * to number to, exclusive but for the Received itself (SIZE_MAX: the end) */
struct range {
	long from, received;
	size_t to;
};

/* -1: not yet, 0: take it and stop, 1: take it */
static int
range_step(struct range *g, bool is_received)
{
	g->received += is_received;
	if (g->to != SIZE_MAX && g->received >= 0 &&
	    (size_t)g->received >= g->to)
		return 0;
	return g->received >= g->from ? 1 : -1;
}

static void
add_all(struct eval_context *c, struct values *v, struct range g)
{
	struct message *m = c->in->message;
	size_t left = ALL_MAX_BYTES;

	for (size_t i = 0; i < m->field_count && left > 0; i++) {
		struct field *f = &m->fields[i];
		int step;

		if (header_is_hidden(f->name))
			continue;
		step = range_step(&g, span_iis(f->name, "Received"));
		if (step >= 0)
			add_whole_field(c, v, f, &left);
		if (step == 0)
			break;
	}
}

/* The header as it came, with what is no field, cut where a line does not
 * continue the one before; a last line without its end is left out. */
static void
add_all_raw(struct eval_context *c, struct values *v, struct range g)
{
	const struct message *m = c->in->message;
	struct span s = span_of(m->raw.ptr, m->body_offset);
	const char *p = s.ptr, *end = s.ptr + s.len;

	if (m->mbox_from.ptr != NULL) {
		p = memchr(p, '\n', s.len);
		p = p != NULL ? p + 1 : end;
	}
	while (p < end) {
		const char *nl = p;
		int step;

		do {
			nl++;
			nl = nl < end ? memchr(nl, '\n', (size_t)(end - nl)) :
					NULL;
			if (nl == NULL)
				return;
		} while (nl + 1 < end && (nl[1] == ' ' || nl[1] == '\t'));
		if (*p != ' ' && *p != '\t') {
			step = range_step(&g, span_istarts(span_of(p,
				(size_t)(nl - p)), "Received:"));
			if (step >= 0)
				values_add(v, span_of(p, (size_t)(nl - p) + 1));
			if (step == 0)
				return;
		}
		p = nl + 1;
	}
}

static bool
add_relays(struct eval_context *c, struct values *v, struct span name)
{
	static const char *const words[] = { "X-Spam-Relays-Trusted",
		"X-Spam-Relays-Untrusted", "X-Spam-Relays-Internal",
		"X-Spam-Relays-External" };
	const struct relays *r = c->in->relays;

	for (size_t i = 0; i < 4; i++) {
		struct span s;

		if (!span_iis(name, words[i]))
			continue;
		s = r == NULL ? SPAN_LIT("") :
		    i == 0    ? r->text_trusted :
		    i == 1    ? r->text_untrusted :
		    i == 2    ? r->text_internal :
				r->text_external;
		values_add(v, s.ptr != NULL ? s : SPAN_LIT(""));
		return true;
	}
	return false;
}

/* ALL-TRUSTED and the like: where the path changes hands, in Received
 * fields. true: it was one of them */
static bool
add_all_part(struct eval_context *c, struct values *v, const struct request *q)
{
	const struct relays *r = c->in->relays;
	size_t trusted = r != NULL ? (size_t)(r->last_trusted_field + 1) : 0;
	size_t internal = r != NULL ? (size_t)(r->last_internal_field + 1) : 0;

	void (*add)(struct eval_context *, struct values *, struct range) =
	    q->raw ? add_all_raw : add_all;

	if (span_is(q->name, "ALL"))
		add(c, v, (struct range){ -1, -1, SIZE_MAX });
	/* the Received behind the last trusted hop was written by it, so the
	 * border lies one field further down */
	else if (span_is(q->name, "ALL-TRUSTED"))
		add(c, v, (struct range){ -1, -1, trusted });
	else if (span_is(q->name, "ALL-INTERNAL"))
		add(c, v, (struct range){ -1, -1, internal });
	else if (span_is(q->name, "ALL-UNTRUSTED"))
		add(c, v, (struct range){ (long)trusted, -1, SIZE_MAX });
	else if (span_is(q->name, "ALL-EXTERNAL"))
		add(c, v, (struct range){ (long)internal, -1, SIZE_MAX });
	else
		return false;
	return true;
}

static bool
plausible_sender(struct span s)
{
	return s.ptr != NULL && (s.len == 0 || span_find(s, '@') < s.len);
}

/* The first address of the topmost field of that name, or ptr NULL. A null
 * path "<>" is empty. */
static struct span
first_address(struct eval_context *c, const char *name)
{
	struct message *m = c->in->message;
	struct field *f = message_find(m, name, 0);
	struct address *list;
	struct span value;
	size_t count;

	if (f == NULL)
		return (struct span){ NULL, 0 };
	value = field_unfolded(m, f);
	if (span_is(span_trim(value), "<>"))
		return SPAN_LIT("");
	if (address_parse_all(c->in->arena, value, &list, &count) != 0) {
		c->oom = true;
		return (struct span){ NULL, 0 };
	}
	for (size_t i = 0; i < count; i++)
		if (list[i].addr.ptr != NULL)
			return list[i].addr;
	return (struct span){ NULL, 0 };
}

/* One of that name stands below a Received: it is another hop's, and then
 * none of them is trusted. */
static bool
is_below_received(const struct message *m, const char *name)
{
	const struct field *received = message_find(m, "Received", 0);

	for (const struct field *f = message_find(m, name, 0);
	     received != NULL && f != NULL; f = message_next(m, f))
		if (f->offset > received->offset)
			return true;
	return false;
}

/* What SMTP said is the best answer; without it SpamAssassin's guesses. */
static struct span
envelope_from(struct eval_context *c)
{
	static const char *const names[] = { "X-Envelope-From",
		"Envelope-Sender", "Return-Path" };
	const struct envelope *e = c->in->envelope;
	const struct relays *r = c->in->relays;
	const struct message *m = c->in->message;
	const struct received_hop *hop = NULL;
	struct span s;

	if (e != NULL && e->mail_from != NULL &&
	    (e->source == ENVELOPE_SMTP || e->source == ENVELOPE_OPTIONS))
		return span_cstr(e->mail_from);
	if (c->rs->envelope_sender_header != NULL) {
		s = first_address(c, c->rs->envelope_sender_header);
		return plausible_sender(s) ? s : (struct span){ NULL, 0 };
	}
	/* the newest untrusted hop, else the oldest trusted one */
	for (size_t i = 0; r != NULL && i < r->count; i++) {
		if (!r->hops[i].parsed || r->hops[i].ignored)
			continue;
		hop = &r->hops[i];
		if (!hop->trusted)
			break;
	}
	if (hop != NULL && hop->has_envfrom && hop->envfrom != NULL &&
	    plausible_sender(span_cstr(hop->envfrom)))
		return span_cstr(hop->envfrom);
	s = first_address(c, "X-Sender");
	if (s.ptr != NULL && span_find(s, '@') < s.len)
		for (const struct field *f = message_find(m, "Received", 0);
		     f != NULL; f = message_next(m, f))
			if (memmem(f->raw.ptr, f->raw.len, "(fetchmail", 10) !=
			    NULL)
				return (struct span){ NULL, 0 };
	for (size_t i = 0; i < 3; i++) {
		s = first_address(c, names[i]);
		if (s.ptr == NULL)
			continue;
		if (is_below_received(m, names[i])) {
			if (i == 0)
				return (struct span){ NULL, 0 };
			continue;
		}
		return s;
	}
	return (struct span){ NULL, 0 };
}

static void
add_message_ids(struct eval_context *c, struct values *v, bool raw)
{
	static const char *const names[] = { "X-Message-Id",
		"Resent-Message-Id", "X-Original-Message-ID", "Message-Id" };

	for (size_t i = 0; i < 4; i++)
		add_fields(c, v, span_cstr(names[i]), raw, true);
}

static void
replace_addresses(struct values *v, const struct request *q)
{
	struct values out = { .arena = v->arena };

	for (size_t i = 0; i < v->count; i++) {
		struct address *list;
		size_t count;

		if (address_parse_all(v->arena, v->items[i], &list, &count) !=
		    0) {
			v->oom = true;
			return;
		}
		for (size_t k = 0; k < count; k++) {
			if (q->addr) {
				if (list[k].addr.ptr != NULL)
					values_add(&out, list[k].addr);
			} else if (list[k].phrase.ptr != NULL)
				values_add(&out, q->raw ? list[k].phrase :
						     address_phrase_decoded(
							 v->arena,
							 list[k].phrase));
		}
	}
	out.oom = out.oom || v->oom;
	*v = out;
}

static void
replace_hosts(struct eval_context *c, struct values *v,
    const struct request *q)
{
	struct values out = { .arena = v->arena, .oom = v->oom };

	for (size_t i = 0; i < v->count; i++) {
		struct span s = v->items[i];

		if (q->ip && !q->host)
			s = header_find_ip(v->arena, s, q->revip);
		else {
			s = q->addr ? header_find_address_host(s) :
				      header_find_host(c, s);
			if (s.ptr != NULL && q->domain)
				s = eval_trim_domain(c, s);
		}
		if (s.ptr != NULL)
			values_add(&out, s);
	}
	*v = out;
}

static void
collect(struct eval_context *c, const struct request *q, struct values *v)
{
	struct span s;

	if (add_all_part(c, v, q))
		return;
	if (span_iis(q->name, "EnvelopeFrom")) {
		s = envelope_from(c);
		if (s.ptr != NULL)
			values_add(v, s);
	} else if (add_relays(c, v, q->name)) {
		;
	} else if (span_iis(q->name, "ToCc")) {
		add_fields(c, v, SPAN_LIT("To"), q->raw, true);
		add_fields(c, v, SPAN_LIT("Cc"), q->raw, true);
	} else if (span_is(q->name, "MESSAGEID")) {
		add_message_ids(c, v, q->raw);
	} else
		/* addresses are read before decoding: an encoded word may
		 * hide what would be syntax */
		add_fields(c, v, q->name, q->raw || q->addr || q->phrase,
		    false);
	if (v->count == 0)
		return;
	if (q->first)
		v->count = 1;
	else if (q->last) {
		v->items[0] = v->items[v->count - 1];
		v->count = 1;
	}
	if (q->addr || q->phrase)
		replace_addresses(v, q);
	if (v->count > 0 && (q->host || q->ip))
		replace_hosts(c, v, q);
}

/* As Check.pm joins: fields end with a newline already, others do not. */
static struct span
join(struct arena *a, const struct values *v)
{
	size_t len = 0, n = 0;
	bool ends = v->items[0].len > 0 &&
	    v->items[0].ptr[v->items[0].len - 1] == '\n';
	char *p;

	if (v->count == 1)
		return v->items[0];
	for (size_t i = 0; i < v->count; i++)
		if (__builtin_add_overflow(len, v->items[i].len + 1, &len))
			return (struct span){ NULL, 0 };
	p = arena_bytes(a, len);
	if (p == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < v->count; i++) {
		if (i > 0 && !ends)
			p[n++] = '\n';
		if (v->items[i].len != 0)
			memcpy(p + n, v->items[i].ptr, v->items[i].len);
		n += v->items[i].len;
	}
	return span_of(p, n);
}

static bool
fill(struct eval_context *c, struct header_value *h, const char *request)
{
	struct request q = parse_request(request);
	struct values v = { .arena = c->in->arena };

	collect(c, &q, &v);
	h->done = true;
	h->request = request;
	h->present = v.count > 0;
	h->items = v.items;
	h->count = v.count;
	if (h->present && !v.oom)
		h->joined = join(c->in->arena, &v);
	if (v.oom || (h->present && h->joined.ptr == NULL))
		c->oom = true;
	return !c->oom;
}

const struct header_value *
run_header(struct eval_context *c, size_t slot)
{
	struct header_value *h = &c->headers[slot];

	if (!h->done && !fill(c, h, c->rs->slots[slot]))
		return NULL;
	return h;
}

const struct header_value *
run_header_request(struct eval_context *c, const char *request)
{
	size_t *slot = strmap_find(&c->rs->slot_names, span_cstr(request));
	struct header_value *h;
	const char *copy;

	if (slot != NULL)
		return run_header(c, *slot);
	for (h = c->more_headers; h != NULL; h = h->next)
		if (strcmp(h->request, request) == 0)
			return h;
	h = ARENA_NEW(c->in->arena, struct header_value);
	copy = arena_strdup(c->in->arena, request);
	if (h == NULL || copy == NULL) {
		c->oom = true;
		return NULL;
	}
	if (!fill(c, h, copy))
		return NULL;
	h->next = c->more_headers;
	c->more_headers = h;
	return h;
}
