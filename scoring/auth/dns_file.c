/*
 * The text form of answers (dns.h): for tests, demonstrations and verdicts
 * that can be reproduced without a network. Read-only after loading, so any
 * number of threads may ask.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "scoring/auth/dns_internal.h"

#define DNS_FILE_BYTES (64u * 1024 * 1024)

struct entry {
	struct entry *next;	/* of the name, in file order */
	uint16_t type;		/* 0 with a failure: every type */
	enum dns_status status; /* DNS_FOUND: a record; NODATA: EMPTY */
	struct dns_record record;
};

struct owner {
	struct owner *next_bucket;
	const char *name;
	struct entry *first, *last;
};

struct dns_file {
	struct dns dns;
	struct arena *arena;
	struct owner **buckets;
	size_t bucket_count;
};

static const struct {
	const char *word;
	uint16_t type;
} types[] = {
	{ "A", DNS_A }, { "AAAA", DNS_AAAA }, { "MX", DNS_MX },
	{ "NS", DNS_NS }, { "PTR", DNS_PTR }, { "CNAME", DNS_CNAME },
	{ "TXT", DNS_TXT },
};

static const struct {
	const char *word;
	enum dns_status status;
} failures[] = {
	{ "SERVFAIL", DNS_SERVFAIL }, { "TIMEOUT", DNS_TIMEOUT },
	{ "REFUSED", DNS_SERVFAIL },
};

static uint16_t
type_of(struct span word)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (span_iis(word, types[i].word))
			return types[i].type;
	return 0;
}

static struct owner *
owner_find(const struct dns_file *f, const char *name, bool add)
{
	uint32_t h = 2166136261u;
	struct owner **bucket, *o;

	for (const char *p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	bucket = &f->buckets[h % f->bucket_count];
	for (o = *bucket; o != NULL; o = o->next_bucket)
		if (strcmp(o->name, name) == 0)
			return o;
	if (!add)
		return NULL;
	o = ARENA_NEW(f->arena, struct owner);
	if (o == NULL || (o->name = arena_strdup(f->arena, name)) == NULL)
		return NULL;
	o->next_bucket = *bucket;
	*bucket = o;
	return o;
}

/* A word that ends at space; an escaped space (\032, "\ ") does not end it */
static struct span
next_word(struct span *rest)
{
	struct span word = { rest->ptr, 0 };
	size_t i = 0;

	while (i < rest->len && !span_is_wsp(rest->ptr[i]))
		i += rest->ptr[i] == '\\' && i + 1 < rest->len ? 2 : 1;
	word.len = i;
	*rest = span_trim(span_from(*rest, i));
	return word;
}

/* Quoted strings, concatenated. NULL on success, else what is wrong. */
static const char *
parse_strings(struct arena *a, struct span value, struct dns_record *r)
{
	char *out = arena_bytes(a, value.len + 1);
	size_t n = 0, i = 0;

	if (out == NULL)
		return "out of memory";
	if (value.len == 0)
		return "a quoted string is missing";
	while (i < value.len) {
		if (span_is_wsp(value.ptr[i])) {
			i++;
			continue;
		}
		if (value.ptr[i] != '"')
			return "a quoted string was expected";
		for (i++; i < value.len && value.ptr[i] != '"';) {
			unsigned char c = (unsigned char)value.ptr[i];

			if (c != '\\') {
				out[n++] = (char)c;
				i++;
			} else if (value.len - i >= 4 &&
			    isdigit((unsigned char)value.ptr[i + 1]) &&
			    isdigit((unsigned char)value.ptr[i + 2]) &&
			    isdigit((unsigned char)value.ptr[i + 3])) {
				int v = (value.ptr[i + 1] - '0') * 100 +
				    (value.ptr[i + 2] - '0') * 10 +
				    (value.ptr[i + 3] - '0');

				if (v > 255)
					return "an escape is above \\255";
				out[n++] = (char)v;
				i += 4;
			} else if (value.len - i >= 2) {
				out[n++] = value.ptr[i + 1];
				i += 2;
			} else {
				return "a string does not end";
			}
		}
		if (i >= value.len)
			return "a string does not end";
		i++;
	}
	out[n] = '\0';
	r->data = span_of(out, n);
	return NULL;
}

static const char *
parse_value(struct arena *a, uint16_t type, struct span value,
    struct dns_record *r)
{
	char name[DNS_NAME_TEXT], text[64];
	unsigned char bytes[16];
	int family = type == DNS_A ? AF_INET : AF_INET6;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (value.len == 0 || value.len >= sizeof(text))
			return "bad address";
		memcpy(text, value.ptr, value.len);
		text[value.len] = '\0';
		if (inet_pton(family, text, bytes) != 1)
			return "bad address";
		r->data = arena_span(a,
		    span_of((char *)bytes, type == DNS_A ? 4 : 16));
		return r->data.ptr != NULL ? NULL : "out of memory";
	case DNS_TXT:
		return parse_strings(a, value, r);
	case DNS_MX: {
		struct span number = next_word(&value);
		unsigned preference = 0;

		if (number.len == 0 || number.len > 5)
			return "bad MX preference";
		for (size_t i = 0; i < number.len; i++) {
			if (!isdigit((unsigned char)number.ptr[i]))
				return "bad MX preference";
			preference = preference * 10 +
			    (unsigned)(number.ptr[i] - '0');
		}
		if (preference > 65535)
			return "bad MX preference";
		r->preference = (uint16_t)preference;
		break;
	}
	}
	struct span target = next_word(&value);

	if (target.len == 0 || value.len != 0)
		return "one name was expected";
	if (!dns_name_canonical(target, name))
		return "bad name in value";
	r->data = arena_span(a, span_cstr(name));
	return r->data.ptr != NULL ? NULL : "out of memory";
}

/* NULL, or what is wrong with the line */
static const char *
parse_line(struct dns_file *f, struct span line)
{
	struct entry *e = ARENA_NEW(f->arena, struct entry);
	char name[DNS_NAME_TEXT];
	struct span word;
	struct owner *o;

	if (e == NULL)
		return "out of memory";
	word = next_word(&line);
	if (!dns_name_canonical(word, name))
		return "bad name";
	word = next_word(&line);
	if (span_iis(word, "EMPTY")) {
		if (line.len != 0)
			return "nothing may follow EMPTY";
		e->status = DNS_NODATA;
		goto add;
	}
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (!span_iis(word, failures[i].word))
			continue;
		e->status = failures[i].status;
		if (line.len != 0 && (e->type = type_of(line)) == 0)
			return "unknown type";
		goto add;
	}
	if ((e->type = type_of(word)) == 0)
		return "unknown type";
	e->status = DNS_FOUND;
	const char *wrong = parse_value(f->arena, e->type, line, &e->record);
	if (wrong != NULL)
		return wrong;
add:
	o = owner_find(f, name, true);
	if (o == NULL)
		return "out of memory";
	if (o->last != NULL)
		o->last->next = e;
	else
		o->first = e;
	o->last = e;
	return NULL;
}

static void
file_answer(const struct dns_file *f, struct dns_query *q)
{
	const char *name = q->answer.name;
	struct dns_answer *ans = &q->answer;
	struct dns_record *records;

	for (unsigned hops = 0;; hops++) {
		const struct owner *o = owner_find(f, name, false);
		const struct entry *alias = NULL;
		size_t n = 0;

		if (o == NULL) {
			ans->status = DNS_NXDOMAIN;
			return;
		}
		for (const struct entry *e = o->first; e != NULL; e = e->next) {
			if (e->status != DNS_FOUND && e->status != DNS_NODATA &&
			    (e->type == 0 || e->type == ans->type)) {
				ans->status = e->status;
				return;
			}
			if (e->status != DNS_FOUND)
				continue;
			if (e->type == ans->type)
				n++;
			else if (e->type == DNS_CNAME)
				alias = e;
		}
		if (n == 0 && alias == NULL) {
			ans->status = DNS_NODATA;
			return;
		}
		if (n == 0) {
			/* a loop, or too long a chain, is a server failure */
			if (hops >= DNS_MAX_CNAMES) {
				ans->status = DNS_SERVFAIL;
				return;
			}
			name = alias->record.data.ptr;
			continue;
		}
		records = ARENA_ARRAY(q->session->arena, n, struct dns_record);
		if (records == NULL) {
			ans->status = DNS_LIMIT;
			return;
		}
		for (const struct entry *e = o->first; e != NULL; e = e->next)
			if (e->status == DNS_FOUND && e->type == ans->type)
				records[ans->count++] = e->record;
		ans->records = records;
		ans->status = DNS_FOUND;
		return;
	}
}

static void
file_start(struct dns *d, struct dns_query *q)
{
	file_answer((struct dns_file *)d, q);
	dns_query_done(q);
}

static bool
file_cancel(struct dns *d, struct dns_query *q)
{
	(void)d;
	(void)q;
	return true;
}

static void
file_free(struct dns *d)
{
	struct dns_file *f = (struct dns_file *)d;

	arena_free(f->arena);
	free(f->buckets);
	free(f);
}

static const struct dns_ops file_ops = { file_start, file_cancel, file_free };

int
dns_new_text(struct span text, const char *label, struct dns **ret_dns,
    struct error *err)
{
	struct dns_file *f = calloc(1, sizeof(*f));
	unsigned number = 0;
	size_t lines = 1;

	if (f == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	f->dns.ops = &file_ops;
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	f->bucket_count = lines | 1;
	f->arena = arena_new(16 * (size_t)DNS_FILE_BYTES);
	f->buckets = calloc(f->bucket_count, sizeof(f->buckets[0]));
	if (f->arena == NULL || f->buckets == NULL) {
		file_free(&f->dns);
		return error_set(err, -ENOMEM, "out of memory");
	}
	while (text.len > 0) {
		size_t end = span_find(text, '\n');
		struct span line = span_trim(span_of(text.ptr, end));
		const char *wrong;

		number++;
		text = span_from(text, end + 1);
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		wrong = parse_line(f, line);
		if (wrong != NULL) {
			file_free(&f->dns);
			return error_set(err, -EINVAL, "%s:%u: %s", label,
			    number, wrong);
		}
	}
	*ret_dns = &f->dns;
	return 0;
}

int
dns_new_file(const char *path, struct dns **ret_dns, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct buf text;
	char chunk[65536];
	ssize_t n;

	if (fd < 0) {
		rc = -errno;
		return error_set(err, rc, "cannot open \"%s\": %s", path,
		    strerror(-rc));
	}
	buf_init(&text, DNS_FILE_BYTES);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&text, chunk, (size_t)n);
	rc = n < 0 ? -errno : 0;
	close(fd);
	if (rc != 0)
		error_set(err, rc, "cannot read \"%s\": %s", path,
		    strerror(-rc));
	else if (text.failed)
		rc = error_set(err, -EFBIG, "\"%s\" is too large", path);
	else
		rc = dns_new_text(buf_span(&text), path, ret_dns, err);
	buf_done(&text);
	return rc;
}
