#include <errno.h>
#include <stdint.h>

#include "scoring/message/views.h"

enum {
	/* so many lines that are no fields may stand in a header; one more
	 * and the body begins there (as in SpamAssassin) */
	MAX_BAD_LINES = 3,
	FIELDS_FIRST = 32,
};

static uint32_t
name_hash(struct span name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		h = (h ^ c) * 16777619u;
	}
	return h ^ (h >> 15);
}

/* RFC 5322 2.2: printable ASCII but the colon, then the obsolete white
 * space (4.5), then the colon. Returns the colon's place or SIZE_MAX. */
static size_t
field_colon(struct span line)
{
	size_t i = 0, name_len;

	while (i < line.len && line.ptr[i] > 0x20 && line.ptr[i] < 0x7F &&
	    line.ptr[i] != ':')
		i++;
	name_len = i;
	while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
		i++;
	if (name_len == 0 || i >= line.len || line.ptr[i] != ':')
		return SIZE_MAX;
	return i;
}

static bool
has_8bit(struct span s)
{
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		uint64_t w;

		memcpy(&w, s.ptr + i, 8);
		if (w & 0x8080808080808080u)
			return true;
	}
	for (; i < s.len; i++)
		if (s.ptr[i] & 0x80)
			return true;
	return false;
}

static bool
has_bare_cr(struct span s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;

	while (p < end && (p = memchr(p, '\r', (size_t)(end - p))) != NULL) {
		if (p + 1 == end || p[1] != '\n')
			return true;
		p += 2;
	}
	return false;
}

struct scan {
	struct message *m;
	size_t alloc;
	bool open; /* the last field may be continued */
};

static int
field_add(struct scan *s, size_t start, size_t end, size_t colon)
{
	struct message *m = s->m;
	struct field *f;
	size_t name_len = colon;

	if (m->field_count >= m->limits.max_fields) {
		m->faults |= MESSAGE_TOO_MANY_FIELDS;
		s->open = false;
		return 0;
	}
	if (m->field_count == s->alloc) {
		size_t n = s->alloc != 0 ? s->alloc * 2 : FIELDS_FIRST;
		struct field *bigger = ARENA_ARRAY(m->arena, n, struct field);

		if (bigger == NULL)
			return -ENOMEM;
		if (m->field_count != 0)
			memcpy(bigger, m->fields,
			    m->field_count * sizeof(*bigger));
		m->fields = bigger;
		s->alloc = n;
	}
	while (name_len > 0 && (m->raw.ptr[start + name_len - 1] == ' ' ||
	    m->raw.ptr[start + name_len - 1] == '\t'))
		name_len--;
	if (name_len > FIELD_MAX_NAME_BYTES)
		name_len = FIELD_MAX_NAME_BYTES;
	f = &m->fields[m->field_count++];
	memset(f, 0, sizeof(*f));
	f->name = span_of(m->raw.ptr + start, name_len);
	f->offset = start;
	f->value_offset = start + colon + 1;
	f->raw = span_of(m->raw.ptr + f->value_offset, end - f->value_offset);
	f->hash = name_hash(f->name);
	f->next = FIELD_NONE;
	s->open = true;
	return 0;
}

/* From the last field to the first, so that each chain is in order. */
static int
index_build(struct message *m)
{
	size_t size = 16;

	while (size < m->field_count * 2)
		size *= 2;
	m->index = ARENA_ARRAY(m->arena, size, uint32_t);
	if (m->index == NULL)
		return -ENOMEM;
	m->index_mask = (uint32_t)(size - 1);
	for (size_t i = m->field_count; i-- > 0;) {
		struct field *f = &m->fields[i];
		uint32_t slot = f->hash & m->index_mask;

		while (m->index[slot] != 0) {
			const struct field *g = &m->fields[m->index[slot] - 1];

			if (g->hash == f->hash && span_ieq(g->name, f->name)) {
				f->next = m->index[slot] - 1;
				break;
			}
			slot = (slot + 1) & m->index_mask;
		}
		m->index[slot] = (uint32_t)i + 1;
	}
	return 0;
}

/* "From " of an mbox, but not the field "From :" of RFC 822 */
static bool
is_mbox_from(struct span line)
{
	size_t i = 5;

	if (line.len < 6 || memcmp(line.ptr, "From", 4) != 0 ||
	    !span_is_wsp(line.ptr[4]))
		return false;
	while (i < line.len && span_is_wsp(line.ptr[i]))
		i++;
	return i < line.len && line.ptr[i] != ':';
}

static int
header_scan(struct message *m)
{
	struct scan s = { .m = m };
	size_t at = 0;
	unsigned bad_lines = 0;
	int rc;

	for (bool first = true; at < m->raw.len; first = false) {
		const char *p = m->raw.ptr + at;
		const char *nl = memchr(p, '\n', m->raw.len - at);
		size_t next = nl != NULL ? (size_t)(nl - m->raw.ptr) + 1
		    : m->raw.len;
		struct span line = span_of(p, nl != NULL ? (size_t)(nl - p)
		    : m->raw.len - at);
		size_t colon;

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (first && is_mbox_from(line)) {
			m->mbox_from = line;
			at = next;
			continue;
		}
		if (line.len == 0) {
			m->body_offset = next;
			return 0;
		}
		if (p[0] == ' ' || p[0] == '\t') {
			struct field *f = s.open ? &m->fields[m->field_count - 1]
			    : NULL;

			if (f != NULL)
				f->raw.len = at + line.len - f->value_offset;
			at = next;
			continue;
		}
		s.open = false;
		if (line.len >= 2 && p[0] == '-' && p[1] == '-')
			break; /* a MIME boundary: the body has begun */
		colon = field_colon(line);
		if (colon == SIZE_MAX) {
			if (++bad_lines > MAX_BAD_LINES)
				break;
			colon = span_find(line, ':');
			if (colon == line.len) {
				m->faults |= MESSAGE_NO_COLON;
				at = next;
				continue;
			}
		}
		rc = field_add(&s, at, at + line.len, colon);
		if (rc != 0)
			return rc;
		at = next;
	}
	m->body_offset = at;
	m->faults |= MESSAGE_NO_BODY;
	return 0;
}

static int
parse(struct arena *a, struct span raw, size_t full_size_bytes,
    const struct message_limits *limits, struct message **ret_message)
{
	struct message *m = ARENA_NEW(a, struct message);
	int rc;

	if (m == NULL)
		return -ENOMEM;
	m->arena = a;
	m->raw = raw;
	m->size_bytes = full_size_bytes > raw.len ? full_size_bytes : raw.len;
	m->limits = *limits;
	if (m->raw.len > limits->scan_bytes)
		m->raw.len = limits->scan_bytes;
	/* an index is 32 bits wide */
	if (m->limits.max_fields > UINT32_MAX / 4)
		m->limits.max_fields = UINT32_MAX / 4;
	if (m->raw.len < m->size_bytes)
		m->faults |= MESSAGE_TRUNCATED;
	if (memchr(m->raw.ptr, '\0', m->raw.len) != NULL)
		m->faults |= MESSAGE_NUL;
	if (has_bare_cr(m->raw)) {
		m->faults |= MESSAGE_BARE_CR;
		if (memchr(m->raw.ptr, '\n', m->raw.len) == NULL) {
			/* CR alone ends the lines; as LF it keeps offsets */
			char *copy = arena_memdup(a, m->raw.ptr, m->raw.len);

			if (copy == NULL)
				return -ENOMEM;
			for (size_t i = 0; i < m->raw.len; i++)
				if (copy[i] == '\r')
					copy[i] = '\n';
			m->raw.ptr = copy;
		}
	}
	rc = header_scan(m);
	if (rc == 0)
		rc = index_build(m);
	if (rc != 0)
		return rc;
	if (has_8bit(span_of(m->raw.ptr, m->body_offset)))
		m->faults |= MESSAGE_8BIT_HEADER;
	*ret_message = m;
	return 0;
}

int
message_parse(struct arena *a, struct span raw, size_t full_size_bytes,
    const struct message_limits *limits, struct message **ret_message,
    struct error *err)
{
	struct message *m;

	if (raw.len == 0)
		return error_set(err, -EINVAL, "no message: it is empty");
	if (parse(a, raw, full_size_bytes, limits, &m) != 0)
		return error_set(err, -ENOMEM, "out of memory for a message");
	if (m->mbox_from.ptr != NULL &&
	    span_find(m->raw, '\n') + 1 >= m->size_bytes)
		return error_set(err, -EINVAL, "no message: it is empty but for "
		    "an mbox's From line");
	*ret_message = m;
	return 0;
}

int
message_require_fields(const struct message *m, struct error *err)
{
	return m->field_count != 0 ? 0 : error_set(err, -EINVAL,
	    "no message: no header field before the first empty line");
}

int
message_parse_embedded(struct arena *a, struct span raw,
    const struct message_limits *limits, struct message **ret_message)
{
	struct message_limits all = *limits;

	all.scan_bytes = raw.len;
	return parse(a, raw.len != 0 ? raw : SPAN_LIT("\n"), raw.len, &all,
	    ret_message);
}

struct message_views *
message_views(struct message *m)
{
	if (m->views == NULL)
		m->views = ARENA_NEW(m->arena, struct message_views);
	return m->views;
}

struct field *
message_find_span(const struct message *m, struct span name, size_t n)
{
	uint32_t h = name_hash(name), slot = h & m->index_mask;

	while (m->index[slot] != 0) {
		struct field *f = &m->fields[m->index[slot] - 1];

		if (f->hash == h && span_ieq(f->name, name)) {
			while (n-- > 0) {
				if (f->next == FIELD_NONE)
					return NULL;
				f = &m->fields[f->next];
			}
			return f;
		}
		slot = (slot + 1) & m->index_mask;
	}
	return NULL;
}

struct field *
message_find(const struct message *m, const char *name, size_t n)
{
	return message_find_span(m, span_cstr(name), n);
}

struct field *
message_next(const struct message *m, const struct field *f)
{
	return f->next != FIELD_NONE ? &m->fields[f->next] : NULL;
}

size_t
message_count(const struct message *m, const char *name)
{
	size_t n = 0;

	for (const struct field *f = message_find(m, name, 0); f != NULL;
	     f = message_next(m, f))
		n++;
	return n;
}
