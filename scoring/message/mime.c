/*
 * The MIME structure as SpamAssassin sees it. GMime and RFC 2046 see another
 * one in malformed mail (boundaries reused by inner parts, header and body
 * without an empty line between them, boundaries that never come), and rules
 * are written against SpamAssassin's; hence a walk of our own, line by line
 * over borrowed bytes. The queue makes depth cost no stack.
 */
#include <errno.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "scoring/message/views.h"

enum {
	MAX_BLANK_LINES = 20,	  /* of a run, more are dropped */
	MAX_PARTS_OF_ONE = 1000,  /* of one multipart */
	MAX_DEPTH = 1000,	  /* whatever the setting says */
};

struct job {
	struct job *next;
	struct part *part;
	struct span boundary; /* of the part or inherited; ptr NULL: none */
	struct span body;
	bool blank_first;     /* as if an empty line stood before body */
	unsigned subparse;    /* levels that may still be opened */
};

struct walk {
	struct message *m;
	struct message_views *views;
	struct arena *arena;
	struct job *first, **last;
	size_t parts;
	struct boundary_state *boundaries;
};

/* How often a boundary of the message itself began a multipart and did not
 * yet end one (SpamAssassin's mime_boundary_state) */
struct boundary_state {
	struct boundary_state *next;
	struct span boundary;
	int open;
};

/* The line at *at, its LF included; *at moves behind it. */
static struct span
next_line(struct span s, size_t *at)
{
	const char *p = s.ptr + *at;
	const char *nl = memchr(p, '\n', s.len - *at);
	size_t n = nl != NULL ? (size_t)(nl - p) + 1 : s.len - *at;

	*at += n;
	return span_of(p, n);
}

/* The first line or the last has CR LF: then all line ends are meant so. */
static bool
ends_crlf(struct span raw)
{
	const char *nl = memchr(raw.ptr, '\n', raw.len);
	size_t end = raw.len;

	if (nl != NULL && nl > raw.ptr && nl[-1] == '\r')
		return true;
	return end >= 2 && raw.ptr[end - 1] == '\n' && raw.ptr[end - 2] == '\r';
}

/* Where the lines of a run of blank lines begin: the first two, the last */
struct blank_run {
	size_t count, second, recent[MAX_BLANK_LINES - 1];
	bool at_top; /* it began the body */
};

static void
run_add(struct blank_run *r, size_t start)
{
	if (r->count == 0)
		r->at_top = start == 0;
	if (r->count == (r->at_top ? 2u : 1u))
		r->second = start;
	r->recent[r->count++ % (MAX_BLANK_LINES - 1)] = start;
}

/* A run that ended is cut to its first line and the last ones. Returns the
 * new length of out. */
static size_t
run_cut(struct blank_run *r, char *out, size_t n)
{
	size_t most = MAX_BLANK_LINES + (size_t)r->at_top, last;

	if (r->count > most && out != NULL) {
		last = r->recent[r->count % (MAX_BLANK_LINES - 1)];
		memmove(out + r->second, out + last, n - last);
		n -= last - r->second;
	}
	r->count = 0;
	return n;
}

/* CR LF becomes LF where that is the line end, long runs of blank lines
 * become short; borrowed when there is nothing to do. */
static int
body_lines(struct message *m, struct span *ret_body)
{
	struct span b = span_from(m->raw, m->body_offset);
	struct span whole = m->raw;
	struct blank_run run = { 0 };
	size_t at = 0, n = 0;
	char *out = NULL;
	bool crlf;

	if (m->mbox_from.ptr != NULL && m->field_count != 0)
		whole = span_from(whole, m->fields[0].offset);
	crlf = ends_crlf(whole);
	*ret_body = b;
	while (at < b.len) {
		size_t start = at;
		struct span line = next_line(b, &at);
		bool cr = crlf && line.len >= 2 &&
		    line.ptr[line.len - 2] == '\r' &&
		    line.ptr[line.len - 1] == '\n';

		if (ascii_is_space(line.ptr[0]) && ascii_is_blank(line))
			run_add(&run, out != NULL ? n : start);
		else if (run.count != 0)
			n = run_cut(&run, out, n);
		if (out == NULL && (cr || run.count > MAX_BLANK_LINES)) {
			out = arena_bytes(m->arena, b.len);
			if (out == NULL)
				return -ENOMEM;
			memcpy(out, b.ptr, start);
			n = start;
		}
		if (out == NULL)
			continue;
		memcpy(out + n, line.ptr, line.len);
		n += line.len;
		if (cr) {
			out[n - 2] = '\n';
			n--;
		}
	}
	if (out != NULL) {
		n = run_cut(&run, out, n);
		*ret_body = span_of(out, n);
	}
	return 0;
}

/* "--boundary", perhaps "--", white space. 0: no, 1: yes, 2: the last one */
static int
is_boundary(struct span line, struct span boundary)
{
	if (line.len < boundary.len + 2 || line.ptr[0] != '-' ||
	    line.ptr[1] != '-' ||
	    memcmp(line.ptr + 2, boundary.ptr, boundary.len) != 0)
		return 0;
	line = span_from(line, boundary.len + 2);
	if (ascii_is_blank(line))
		return 1;
	if (line.len >= 2 && line.ptr[0] == '-' && line.ptr[1] == '-' &&
	    ascii_is_blank(span_from(line, 2)))
		return 2;
	return 0;
}

/* RFC 5322 field name and colon; with wsp also white space before it */
static bool
is_field(struct span line, bool wsp)
{
	size_t i = 0;

	while (i < line.len && line.ptr[i] > 0x20 && line.ptr[i] < 0x7F &&
	    line.ptr[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (wsp && i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
		i++;
	return i < line.len && line.ptr[i] == ':';
}

static struct part *
part_new(struct walk *w, struct part *parent)
{
	struct part *p = ARENA_NEW(w->arena, struct part);

	if (p != NULL) {
		p->parent = parent;
		p->message = parent != NULL ? parent->message : w->m;
		p->depth = parent != NULL ? parent->depth + 1 : 0;
	}
	return p;
}

static void
part_append(struct part *parent, struct part *p, struct part **tail)
{
	if (*tail != NULL)
		(*tail)->next = p;
	else
		parent->child = p;
	*tail = p;
}

static int
job_add(struct walk *w, struct part *p, struct span boundary, struct span body,
    bool blank_first, unsigned subparse)
{
	struct job *j = ARENA_NEW(w->arena, struct job);

	if (j == NULL)
		return -ENOMEM;
	*j = (struct job){ NULL, p, boundary, body, blank_first, subparse };
	*w->last = j;
	w->last = &j->next;
	return 0;
}

/* header: whole lines of one field */
static int
part_field_add(struct walk *w, struct part *p, struct span header, size_t *alloc)
{
	size_t colon = span_find(header, ':'), n = colon + 1;
	struct field *f;

	if (p->field_count == *alloc) {
		size_t bigger = *alloc != 0 ? *alloc * 2 : 4;
		struct field *list = ARENA_ARRAY(w->arena, bigger, struct field);

		if (list == NULL)
			return -ENOMEM;
		if (p->field_count != 0)
			memcpy(list, p->fields, p->field_count * sizeof(*list));
		p->fields = list;
		*alloc = bigger;
	}
	while (n < header.len && ascii_is_space(header.ptr[n]))
		n++;
	f = &p->fields[p->field_count++];
	memset(f, 0, sizeof(*f));
	f->name = span_of(header.ptr, colon);
	f->raw = span_from(header, n);
	while (f->raw.len > 0 && (f->raw.ptr[f->raw.len - 1] == '\n' ||
	    f->raw.ptr[f->raw.len - 1] == '\r'))
		f->raw.len--;
	/* f->offset is only meant where the part's bytes are the message's */
	f->offset = f->value_offset = SIZE_MAX;
	f->next = FIELD_NONE;
	return 0;
}

struct span
part_header(struct part *p, const char *name)
{
	struct span want = span_cstr(name);

	for (size_t i = p->field_count; i-- > 0;)
		if (span_ieq(p->fields[i].name, want))
			return field_decoded(p->message, &p->fields[i]);
	return (struct span){ NULL, 0 };
}

/* Lines of more than BODY_LINE_BYTES are cut into pieces. */
static int
cut_lines(struct arena *a, struct span *body)
{
	size_t at = 0, n = 0, pieces = 0;
	char *out;

	while (at < body->len) {
		struct span line = next_line(*body, &at);

		if (line.len > BODY_LINE_BYTES)
			pieces += (line.len - 1) / BODY_LINE_BYTES;
	}
	if (pieces == 0)
		return 0;
	out = arena_bytes(a, body->len + pieces);
	if (out == NULL)
		return -ENOMEM;
	for (at = 0; at < body->len;) {
		struct span line = next_line(*body, &at);

		for (; line.len > BODY_LINE_BYTES;
		     line = span_from(line, BODY_LINE_BYTES)) {
			memcpy(out + n, line.ptr, BODY_LINE_BYTES);
			n += BODY_LINE_BYTES;
			out[n++] = '\n';
		}
		memcpy(out + n, line.ptr, line.len);
		n += line.len;
	}
	*body = span_of(out, n);
	return 0;
}

/* One part of a multipart while its lines are read */
struct reading {
	struct part *part;
	size_t alloc;	     /* of part->fields */
	struct span header;  /* field at hand, lines so far; len 0: none */
	size_t body_start;   /* SIZE_MAX: no body line yet */
	bool in_body;
};

static int
part_begin(struct walk *w, struct job *j, struct reading *r)
{
	memset(r, 0, sizeof(*r));
	r->body_start = SIZE_MAX;
	r->part = part_new(w, j->part);
	return r->part != NULL ? 0 : -ENOMEM;
}

/* A line above the body. *nested: the part uses its parent's boundary. */
static int
part_header_line(struct walk *w, struct job *j, struct reading *r,
    struct span line, bool *nested)
{
	bool field = is_field(line, true);
	int rc;

	if (!field && r->header.len != 0 &&
	    (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
		r->header.len += line.len;
		return 0;
	}
	if (r->header.len != 0) {
		struct span name = span_of(r->header.ptr,
		    span_find(r->header, ':'));

		rc = part_field_add(w, r->part, r->header, &r->alloc);
		if (rc != 0)
			return rc;
		if (!field && j->boundary.ptr != NULL &&
		    span_iis(name, "content-type")) {
			struct content_type ct;

			rc = content_type_parse(w->arena,
			    part_header(r->part, "content-type"), &ct);
			if (rc != 0)
				return rc;
			if (ct.boundary.ptr != NULL &&
			    span_eq(ct.boundary, j->boundary))
				*nested = true;
		}
	}
	r->header = field ? line : (struct span){ NULL, 0 };
	r->in_body = !field;
	return 0;
}

static int
boundary_note(struct walk *w, const struct job *j, bool opened)
{
	struct boundary_state *s = w->boundaries;

	if (j->part->message != w->m)
		return 0;
	while (s != NULL && !span_eq(s->boundary, j->boundary))
		s = s->next;
	if (s == NULL) {
		s = ARENA_NEW(w->arena, struct boundary_state);
		if (s == NULL)
			return -ENOMEM;
		s->boundary = j->boundary;
		s->next = w->boundaries;
		w->boundaries = s;
	}
	s->open = opened ? 1 : s->open - 1;
	return 0;
}

static void
part_declare(struct part *p, const struct content_type *ct)
{
	p->type = p->declared_type = ct->type;
	p->declared_charset = ct->charset;
}

static int
part_finish(struct walk *w, struct job *j, struct reading *r, struct span body,
    struct part **tail)
{
	struct content_type ct;
	int rc = content_type_parse(w->arena,
	    part_header(r->part, "content-type"), &ct);

	if (rc == 0)
		rc = cut_lines(w->arena, &body);
	if (rc != 0)
		return rc;
	part_declare(r->part, &ct);
	if (ct.missing && span_is(j->part->type, "multipart/digest"))
		r->part->type = SPAN_LIT("message/rfc822");
	part_append(j->part, r->part, tail);
	return job_add(w, r->part, ct.boundary.len != 0 ? ct.boundary
	    : j->boundary, body, false, j->subparse - 1);
}

/* Text behind the last boundary, but for lone dots */
static bool
has_epilogue(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_space(s.ptr[i]) && s.ptr[i] != '.')
			return true;
	return false;
}

static int
walk_multipart(struct walk *w, struct job *j)
{
	struct span b = j->body, line;
	struct part *tail = NULL;
	struct reading r;
	size_t at = 0, count = 0;
	bool nested = false, found = false, blank = j->blank_first;
	int rc = part_begin(w, j, &r);

	if (rc != 0)
		return rc;
	while (at < b.len && !found)
		found = is_boundary(next_line(b, &at), j->boundary) == 1;
	if (found && boundary_note(w, j, true) != 0)
		return -ENOMEM;
	if (!found)
		at = 0; /* it never comes: all of it is one part */
	if (found) {
		blank = false;
		if (at < b.len) {
			size_t peek = at;

			if (!is_field(next_line(b, &peek), false))
				w->views->mime_notes |= MIME_MISSING_HEADERS;
		}
	}
	if (blank)
		r.in_body = true;
	while (at < b.len) {
		size_t start = at, end;
		int kind;

		line = next_line(b, &at);
		kind = is_boundary(line, j->boundary);
		if (kind != 0 && nested) {
			if (kind == 2)
				nested = false;
			kind = 0;
		}
		if (kind == 0 && at < b.len) {
			if (!r.in_body) {
				rc = part_header_line(w, j, &r, line, &nested);
				if (rc != 0)
					return rc;
				if (!r.in_body || line.ptr[0] == '\n' ||
				    (line.len == 2 && line.ptr[0] == '\r'))
					continue;
				w->views->mime_notes |= MIME_MISSING_SEPARATOR;
			}
			if (r.body_start == SIZE_MAX)
				r.body_start = start;
			continue;
		}
		/* a boundary, or the last line, which belongs to the part
		 * even when that is still in its header */
		if (kind == 0) {
			if (r.body_start == SIZE_MAX)
				r.body_start = start;
			end = at;
		} else {
			end = start;
			if (r.body_start != SIZE_MAX && end > r.body_start &&
			    b.ptr[end - 1] == '\n')
				end--;
		}
		rc = part_finish(w, j, &r, r.body_start == SIZE_MAX ?
		    SPAN_LIT("") : span_of(b.ptr + r.body_start,
		    end - r.body_start), &tail);
		if (rc != 0)
			return rc;
		if (kind == 2 && boundary_note(w, j, false) != 0)
			return -ENOMEM;
		if (kind == 2)
			break;
		if (kind == 1 && at < b.len) {
			size_t peek = at;

			if (!is_field(next_line(b, &peek), false))
				w->views->mime_notes |= MIME_MISSING_HEADERS;
		}
		if (++count == MAX_PARTS_OF_ONE ||
		    ++w->parts >= w->m->limits.max_mime_parts) {
			w->views->mime_notes |= MIME_TOO_MANY_PARTS;
			w->m->faults |= MESSAGE_TOO_MANY_PARTS;
			return 0;
		}
		rc = part_begin(w, j, &r);
		if (rc != 0)
			return rc;
	}
	if (has_epilogue(span_from(b, at)))
		w->views->mime_notes |= MIME_EPILOGUE;
	return 0;
}

static int
walk_root(struct walk *w, struct message *m, struct part *p, unsigned subparse)
{
	struct content_type ct;
	struct span body, line;
	size_t at = 0;
	bool blank = false;
	int rc;

	p->message = m;
	p->fields = m->fields;
	p->field_count = m->field_count;
	rc = content_type_parse(w->arena, part_header(p, "content-type"), &ct);
	if (rc == 0)
		rc = body_lines(m, &body);
	if (rc != 0)
		return rc;
	part_declare(p, &ct);
	if (span_istarts(ct.type, "multipart/") && body.len != 0) {
		/* fields at the top of the body are not the message's */
		line = next_line(body, &at);
		blank = at < body.len && !ascii_is_blank(line) &&
		    (ct.boundary.ptr == NULL || line.len < ct.boundary.len + 2 ||
		    memcmp(line.ptr, "--", 2) != 0 || memcmp(line.ptr + 2,
		    ct.boundary.ptr, ct.boundary.len) != 0);
	}
	return job_add(w, p, ct.boundary, body, blank, subparse);
}

static int
walk_leaf(struct walk *w, struct job *j)
{
	struct part *p = j->part;
	struct content_type ct;
	struct message *m;
	struct part *root;
	struct span bytes, disp;
	int rc = content_type_parse(w->arena, part_header(p, "content-type"),
	    &ct);

	if (rc != 0)
		return rc;
	if (!ct.missing)
		p->type = span_istarts(ct.type, "multipart/") &&
		    j->boundary.ptr == NULL ? SPAN_LIT("text/plain") : ct.type;
	p->charset = ct.charset;
	disp = part_header(p, "content-disposition");
	p->name = content_disposition_name(disp);
	if (p->name.ptr == NULL)
		p->name = ct.name;
	p->boundary = j->boundary;
	p->raw = j->body;
	p->leaf = true;
	if (j->blank_first) {
		char *copy = arena_bytes(w->arena, p->raw.len + 1);

		if (copy == NULL)
			return -ENOMEM;
		copy[0] = '\n';
		memcpy(copy + 1, p->raw.ptr, p->raw.len);
		p->raw = span_of(copy, p->raw.len + 1);
	}
	if (j->subparse == 0 || (!span_is(p->type, "message/rfc822") &&
	    !span_is(p->type, "message/global"))) {
		if (j->subparse == 0 && (span_istarts(p->type, "multipart/") ||
		    span_istarts(p->type, "message/")))
			w->m->faults |= MESSAGE_MIME_TOO_DEEP;
		return 0;
	}
	rc = part_decoded(p, &bytes);
	if (rc != 0 || bytes.len == 0)
		return rc;
	rc = message_parse_embedded(w->arena, bytes, &w->m->limits, &m);
	if (rc != 0)
		return rc;
	root = part_new(w, p);
	if (root == NULL)
		return -ENOMEM;
	p->child = root;
	p->leaf = false;
	p->raw = p->decoded = SPAN_LIT("");
	return walk_root(w, m, root, j->subparse - 1);
}

static void
link_in_order(struct part *root)
{
	struct part *p = root;

	while (p != NULL) {
		struct part *next = p->child;

		if (next == NULL) {
			const struct part *up = p;

			while (up != NULL && up->next == NULL)
				up = up->parent;
			next = up != NULL ? up->next : NULL;
		}
		p->in_order = next;
		p = next;
	}
}

int
body_parts(struct message *m, struct part **ret_root)
{
	struct message_views *v = message_views(m);
	struct walk w = { .m = m, .views = v, .arena = m->arena };
	unsigned depth = m->limits.max_mime_depth;
	struct part *root;
	int rc;

	if (v == NULL)
		return -ENOMEM;
	if (v->root != NULL) {
		*ret_root = v->root;
		return 0;
	}
	w.last = &w.first;
	root = part_new(&w, NULL);
	if (root == NULL)
		return -ENOMEM;
	rc = walk_root(&w, m, root, depth < MAX_DEPTH ? depth : MAX_DEPTH);
	while (rc == 0 && w.first != NULL) {
		struct job *j = w.first;

		w.first = j->next;
		if (w.first == NULL)
			w.last = &w.first;
		if (span_istarts(j->part->type, "multipart/") &&
		    j->boundary.ptr != NULL && j->subparse > 0)
			rc = walk_multipart(&w, j);
		else
			rc = walk_leaf(&w, j);
	}
	if (rc != 0)
		return rc;
	for (const struct boundary_state *s = w.boundaries; s != NULL; s = s->next)
		if (s->open != 0)
			v->mime_notes |= MIME_MISSING_BOUNDARY;
	link_in_order(root);
	*ret_root = v->root = root;
	return 0;
}

int
body_mime_notes(struct message *m, unsigned *ret_notes)
{
	struct part *root;
	int rc = body_parts(m, &root);

	if (rc == 0)
		*ret_notes = m->views->mime_notes;
	return rc;
}
