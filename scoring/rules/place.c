/*
 * Where in the raw message a hit stands: looked up only for what is shown.
 */
#include "scoring/rules/internal.h"

/* How many bytes of a match must be found again in the raw message before
 * its place is believed */
enum { OFFSET_MIN_BYTES = 3 };

/* A hit's place, where the bytes stand in the message as they matched */
static size_t
raw_offset(const struct message *m, struct span matched)
{
	const char *p;

	matched = span_trim(matched);
	if (matched.len == 0 || m->body_offset > m->raw.len)
		return NO_OFFSET;
	if (matched.ptr >= m->raw.ptr && matched.ptr < m->raw.ptr + m->raw.len)
		return (size_t)(matched.ptr - m->raw.ptr);
	if (matched.len < OFFSET_MIN_BYTES)
		return NO_OFFSET;
	p = memmem(m->raw.ptr + m->body_offset, m->raw.len - m->body_offset,
	    matched.ptr, matched.len);
	return p != NULL ? (size_t)(p - m->raw.ptr) : NO_OFFSET;
}

static size_t
offset_in_field(const struct field *f, struct span matched)
{
	const char *p;

	if (matched.len == 0)
		return NO_OFFSET;
	p = memmem(f->raw.ptr, f->raw.len, matched.ptr, matched.len);
	return p != NULL ? f->value_offset + (size_t)(p - f->raw.ptr) :
			   NO_OFFSET;
}

/* Exact where the matched bytes stand so in a field of that name; else where
 * the first such field's value begins. */
static size_t
header_offset(const struct message *m, const char *request,
    struct span matched)
{
	struct span name = span_of(request, strcspn(request, ":"));
	struct span names[2] = { name, { NULL, 0 } };
	const struct field *f, *first = NULL;

	matched = span_trim(matched);
	if (strncmp(request, "ALL", 3) == 0) {
		for (size_t i = 0; i < m->field_count; i++) {
			size_t at = offset_in_field(&m->fields[i], matched);

			if (at != NO_OFFSET)
				return at;
		}
		return NO_OFFSET;
	}
	if (span_iis(name, "ToCc")) {
		names[0] = SPAN_LIT("To");
		names[1] = SPAN_LIT("Cc");
	} else if (span_is(name, "MESSAGEID"))
		names[0] = SPAN_LIT("Message-Id");
	for (size_t i = 0; i < 2 && names[i].ptr != NULL; i++)
		for (f = message_find_span(m, names[i], 0); f != NULL;
		     f = message_next(m, f)) {
			size_t at = offset_in_field(f, matched);

			if (at != NO_OFFSET)
				return at;
			if (first == NULL)
				first = f;
		}
	return first != NULL ? first->value_offset : NO_OFFSET;
}

size_t
ruleset_offset(const struct ruleset *rs, const struct message *m,
    const struct rule_run *run, size_t index)
{
	const struct rule_def *d = rs->rules[index];
	const struct rule_result *r = &run->results[index];

	/* a meta shows its part's text; no meta is a part of itself */
	while (d->kind == RULE_META) {
		d = meta_shown_part(rs, run->results, d);
		if (d == NULL)
			return NO_OFFSET;
		r = &run->results[d->index];
	}
	switch (d->kind) {
	case RULE_EVAL:
		return r->offset;
	case RULE_HEADER:
		return header_offset(m, d->request.ptr, r->matched);
	default:
		return raw_offset(m, r->matched);
	}
}
