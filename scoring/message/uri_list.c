/* All URIs of a message: from text and from HTML, with what is known of each */
#include <errno.h>
#include <stdint.h>

#include "base/buf.h"
#include "scoring/message/views.h"

static const char *const type_names[] = { "parsed", "unlinked", "schemeless",
	"a", "area", "link", "img", "frame", "iframe", "embed", "script",
	"bgsound", "form", "base", "meta", "body", "table", "tr", "td",
	"domainkeys" };

const char *
uri_type_name(enum uri_type t)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if ((unsigned)t == 1u << i)
			return type_names[i];
	return "";
}

/* Texts of <a> that are kept of one URI */
enum { MAX_ANCHORS = 100 };

/* A set of spans in order of entry */
struct set {
	struct span *items;
	uint32_t *slots;
	size_t count, alloc, slot_count;
};

static uint32_t
hash_of(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
	return h ^ (h >> 15);
}

static int
set_grow(struct arena *a, struct set *t)
{
	size_t n = t->alloc != 0 ? t->alloc * 2 : 16;
	struct span *items = ARENA_ARRAY(a, n, struct span);
	uint32_t *slots = ARENA_ARRAY(a, n * 2, uint32_t);

	if (items == NULL || slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->count; i++) {
		size_t k = hash_of(t->items[i]) & (n * 2 - 1);

		items[i] = t->items[i];
		while (slots[k] != 0)
			k = (k + 1) & (n * 2 - 1);
		slots[k] = (uint32_t)i + 1;
	}
	t->items = items;
	t->slots = slots;
	t->alloc = n;
	t->slot_count = n * 2;
	return 0;
}

/* Index of s, which is added when it is new; -ENOMEM */
static long
set_enter(struct arena *a, struct set *t, struct span s, bool *ret_new)
{
	size_t k;

	if (t->count == t->alloc && set_grow(a, t) != 0)
		return -ENOMEM;
	for (k = hash_of(s) & (t->slot_count - 1); t->slots[k] != 0;
	     k = (k + 1) & (t->slot_count - 1))
		if (span_eq(t->items[t->slots[k] - 1], s)) {
			*ret_new = false;
			return (long)t->slots[k] - 1;
		}
	t->items[t->count] = s;
	t->slots[k] = (uint32_t)++t->count;
	*ret_new = true;
	return (long)t->count - 1;
}

static bool
set_has(const struct set *t, struct span s)
{
	if (t->count == 0)
		return false;
	for (size_t k = hash_of(s) & (t->slot_count - 1); t->slots[k] != 0;
	     k = (k + 1) & (t->slot_count - 1))
		if (span_eq(t->items[t->slots[k] - 1], s))
			return true;
	return false;
}

struct collect {
	struct message *m;
	struct arena *arena;
	const struct uri_rules *rules;
	struct set keys, list, seen;
	struct uri *items; /* as many as keys.alloc */
	size_t alloc;
};

static int
append(struct arena *a, struct span **list, size_t *count, struct span s)
{
	struct span *bigger;

	for (size_t i = 0; i < *count; i++)
		if (span_eq((*list)[i], s))
			return 0;
	/* doubles at 1, 2, 4 ... */
	if ((*count & (*count - 1)) == 0 || *count == 0) {
		bigger = ARENA_ARRAY(a, *count != 0 ? *count * 2 : 1,
		    struct span);
		if (bigger == NULL)
			return -ENOMEM;
		if (*count != 0)
			memcpy(bigger, *list, *count * sizeof(*bigger));
		*list = bigger;
	}
	(*list)[(*count)++] = s;
	return 0;
}

static int
add_host(struct arena *a, struct uri *u, struct span host, struct span domain)
{
	size_t n = u->host_count;
	int rc = append(a, &u->hosts, &u->host_count, host);

	if (rc == 0 && u->host_count > n) {
		/* kept in step: a domain may stand there twice */
		struct span *d = ARENA_ARRAY(a, u->host_count, struct span);

		if (d == NULL)
			return -ENOMEM;
		if (n != 0)
			memcpy(d, u->domains, n * sizeof(*d));
		d[n] = domain;
		u->domains = d;
	}
	return rc;
}

/* There is room for it, or it is there already. */
static bool
has_room(struct collect *c, struct span key)
{
	if (c->keys.count < c->m->limits.max_uris || set_has(&c->keys, key))
		return true;
	c->m->faults |= MESSAGE_TOO_MANY_URIS;
	return false;
}

/* The entry of that key; *ret_uri NULL: max_uris was reached */
static int
entry(struct collect *c, struct span key, struct uri **ret_uri)
{
	bool new;
	long i;

	*ret_uri = NULL;
	if (!has_room(c, key))
		return 0;
	i = set_enter(c->arena, &c->keys, key, &new);
	if (i < 0)
		return -ENOMEM;
	if (c->alloc < c->keys.alloc) {
		struct uri *bigger = ARENA_ARRAY(c->arena, c->keys.alloc,
		    struct uri);

		if (bigger == NULL)
			return -ENOMEM;
		if (c->items != NULL)
			memcpy(bigger, c->items, (c->keys.count - new) *
			    sizeof(*bigger));
		c->items = bigger;
		c->alloc = c->keys.alloc;
	}
	if (new)
		c->items[i].raw = key;
	*ret_uri = &c->items[i];
	return 0;
}

/* from_text_line: only when it leads to a host that can exist. *ret_uri
 * NULL: not added. */
static int
add(struct collect *c, struct span key, unsigned types, bool from_text_line,
    bool wide, struct uri **ret_uri)
{
	struct span *forms, host, domain;
	struct uri *u, found = { 0 };
	size_t count;
	bool new;
	int rc;

	*ret_uri = NULL;
	if (!has_room(c, key))
		return 0;
	rc = uri_canonicalize(c->arena, key, wide, c->rules, &forms, &count);
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (uri_to_domain(c->arena, forms[i], c->rules, &host, &domain))
			rc = add_host(c->arena, &found, host, domain);
	if (rc != 0 || count == 0 || (from_text_line && found.host_count == 0))
		return rc;
	rc = entry(c, key, &u);
	if (rc != 0 || u == NULL)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = append(c->arena, &u->cleaned, &u->cleaned_count, forms[i]);
		if (rc == 0 && set_enter(c->arena, &c->list, forms[i], &new) < 0)
			rc = -ENOMEM;
	}
	for (size_t i = 0; rc == 0 && i < found.host_count; i++)
		rc = add_host(c->arena, u, found.hosts[i], found.domains[i]);
	u->types |= types;
	*ret_uri = u;
	return rc;
}

/* A ")" without "(" before it ends a URI, and so does punctuation. */
static struct span
trim_text_uri(struct span s)
{
	size_t open = span_find(s, '('), end = open;

	while (end > 0 && s.ptr[end - 1] != ')')
		end--;
	if (end > 0)
		s.len = end - 1;
	while (s.len > 0 && strchr("-~!@#^&*()_+=:;'?,.", s.ptr[s.len - 1]) !=
	    NULL && s.ptr[s.len - 1] != '\0')
		s.len--;
	return s;
}

/* "http://" and "word:" alone */
static bool
is_empty_uri(struct span s)
{
	size_t n = 0;

	while (n < s.len && ((s.ptr[n] >= '0' && s.ptr[n] <= '9') ||
	    s.ptr[n] == '_' ||
	    ((s.ptr[n] | 0x20) >= 'a' && (s.ptr[n] | 0x20) <= 'z')))
		n++;
	if (n == 0 || n == s.len || s.ptr[n] != ':')
		return false;
	s = span_from(s, n + 1);
	return s.len == 0 || (s.len <= 2 && s.ptr[0] == '/' &&
	    s.ptr[s.len - 1] == '/');
}

static bool
begins_www(struct span s)
{
	size_t n = 3;

	if (!span_istarts(s, "www"))
		return false;
	while (n < 5 && n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	return n < s.len && s.ptr[n] == '.';
}

static bool
slash_before_at(struct span s)
{
	size_t slash = span_find(s, '/'), at = s.len;

	while (at > 0 && s.ptr[at - 1] != '@')
		at--;
	return at > slash + 2;
}

/* The dot behind "@x" of something that may be an address */
static bool
dot_behind_at(struct span s)
{
	size_t at = span_find(s, '@');
	struct span host = span_from(s, at + 2);

	return at + 2 <= s.len && span_find(host, '.') < host.len;
}

/* "skype:" "email:" ":" in front are misread labels. */
static struct span
strip_label(struct span s)
{
	static const char *const labels[] = { "skype", "e-mail", "email", "mail",
		"-mail", "" };

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		size_t n = strlen(labels[i]);

		if (!span_istarts(s, labels[i]) || n >= s.len || s.ptr[n] != ':')
			continue;
		while (n < s.len && s.ptr[n] == ':')
			n++;
		return span_from(s, n);
	}
	return s;
}

static struct span
prefixed(struct arena *a, const char *prefix, struct span s)
{
	size_t n = strlen(prefix);
	char *out = arena_bytes(a, n + s.len);

	if (out == NULL)
		return (struct span){ NULL, 0 };
	memcpy(out, prefix, n);
	memcpy(out + n, s.ptr, s.len);
	return span_of(out, n + s.len);
}

static bool
is_mailto(struct span s)
{
	return span_istarts(s, "mailto:");
}

/* With a scheme; len 0: this is none after all. ptr NULL: no memory */
static struct span
with_scheme(struct collect *c, struct span s, unsigned *types)
{
	if (span_istarts(s, "http:") || span_istarts(s, "https:") ||
	    span_istarts(s, "ftp:") || is_mailto(s))
		return s;
	*types |= URI_SCHEMELESS;
	if (span_istarts(s, "ftp."))
		return prefixed(c->arena, "ftp://", s);
	if (begins_www(s) || slash_before_at(s))
		return prefixed(c->arena, "http://", s);
	if (memchr(s.ptr, '@', s.len) != NULL) {
		if (!dot_behind_at(s) ||
		    memmem(s.ptr, s.len, "&nbsp;", 6) != NULL)
			return SPAN_LIT("");
		return prefixed(c->arena, "mailto:", strip_label(s));
	}
	if (memchr(s.ptr, '.', s.len) == NULL)
		return SPAN_LIT("");
	*types |= URI_UNLINKED;
	return prefixed(c->arena, "http://", s);
}

static int
add_text_uri(struct collect *c, const struct text_uri *t)
{
	struct span s = trim_text_uri(t->raw), host;
	unsigned types = URI_PARSED;
	struct uri *u;
	bool new;

	if (set_enter(c->arena, &c->seen, s, &new) < 0)
		return -ENOMEM;
	if (!new || s.len == 0 || (t->kind == TEXT_URI_MAIL &&
	    memchr(s.ptr, '@', s.len) == NULL) ||
	    (t->host.ptr != NULL && !host_is_fqdn(t->host, false)) ||
	    span_istarts(s, "cid:") || span_istarts(s, "mid:") ||
	    is_empty_uri(s))
		return 0;
	s = with_scheme(c, s, &types);
	if (s.ptr == NULL)
		return -ENOMEM;
	if (s.len == 0)
		return 0;
	if (is_mailto(s)) {
		size_t n;

		s = uri_percent_decoded(c->arena, s);
		if (s.ptr == NULL)
			return -ENOMEM;
		n = span_find(s, '@');
		if (n == s.len)
			return 0;
		host = span_from(s, n + 1);
		for (n = 0; n < host.len && strchr("?&>", host.ptr[n]) == NULL;)
			n++;
		host.len = n;
		while (host.len >= 3 &&
		    memcmp(host.ptr + host.len - 3, "%20", 3) == 0)
			host.len -= 3;
		if (!domain_is_valid(host, c->rules))
			return 0;
	}
	return add(c, s, types, true, false, &u);
}

static int
from_text(struct collect *c)
{
	const struct texts *t;
	int rc = body_rendered(c->m, &t);

	for (size_t i = 0; rc == 0 && i < t->count; i++) {
		struct span line = t->items[i];
		struct text_uri found;
		size_t at = 0;

		while (rc == 0 && text_uri_next(line, &at, c->rules, &found))
			rc = add_text_uri(c, &found);
	}
	return rc;
}

static int
from_html(struct collect *c)
{
	const struct html *h;
	int rc = body_html(c->m, &h);

	for (; rc == 0 && h != NULL; h = h->next)
		for (size_t i = 0; rc == 0 && i < h->uri_count; i++) {
			const struct html_uri *x = &h->uris[i];
			struct uri *u;

			/* one that is only known from its anchor's text */
			rc = add(c, x->raw, x->types != 0 ? x->types : URI_PARSED,
			    false, x->wide, &u);
			for (size_t k = 0; rc == 0 && u != NULL &&
			     k < x->anchor_count &&
			     u->anchor_count < MAX_ANCHORS; k++)
				rc = append(c->arena, &u->anchors,
				    &u->anchor_count, x->anchors[k]);
		}
	return rc;
}

/* d= of one signature */
static int
add_signer(struct collect *c, struct span d)
{
	static const char scheme[] = "domainkeys:";
	size_t n = sizeof(scheme) - 1;
	char *out = arena_bytes(c->arena, n + d.len);
	struct span key, host, domain;
	struct uri *u;
	int rc;

	if (out == NULL)
		return -ENOMEM;
	memcpy(out, scheme, n);
	for (size_t i = 0; i < d.len; i++)
		if (d.ptr[i] != ' ' && (d.ptr[i] < '\t' || d.ptr[i] > '\r'))
			out[n++] = d.ptr[i];
	key = span_of(out, n);
	if (!uri_to_domain(c->arena, key, c->rules, &host, &domain))
		return 0;
	rc = entry(c, key, &u);
	if (rc != 0 || u == NULL)
		return rc;
	u->types |= URI_DOMAINKEYS;
	return add_host(c->arena, u, host, domain);
}

static int
from_signatures(struct collect *c, const char *name)
{
	int rc = 0;

	for (struct field *f = message_find(c->m, name, 0); rc == 0 && f != NULL;
	     f = message_next(c->m, f)) {
		struct span s = field_decoded(c->m, f);

		if (s.ptr == NULL)
			return -ENOMEM;
		for (size_t i = 0; rc == 0 && i < s.len; i++) {
			size_t k = i + 1;

			if (s.ptr[i] != 'd' || (i > 0 && (s.ptr[i - 1] == '_' ||
			    (s.ptr[i - 1] >= '0' && s.ptr[i - 1] <= '9') ||
			    ((s.ptr[i - 1] | 0x20) >= 'a' &&
			    (s.ptr[i - 1] | 0x20) <= 'z'))))
				continue;
			while (k < s.len && span_is_wsp(s.ptr[k]))
				k++;
			if (k >= s.len || s.ptr[k] != '=')
				continue;
			k++;
			i = k + span_find(span_from(s, k), ';');
			rc = add_signer(c, span_of(s.ptr + k, i - k));
		}
	}
	return rc;
}

int
body_uris(struct message *m, const struct uri_rules *rules,
    const struct uris **ret_uris)
{
	struct message_views *v = message_views(m);
	struct collect c = { .m = m, .arena = m->arena, .rules = rules };
	int rc;

	if (v == NULL)
		return -ENOMEM;
	*ret_uris = &v->uris;
	if (v->has_uris)
		return 0;
	rc = from_text(&c);
	if (rc == 0)
		rc = from_html(&c);
	if (rc == 0 && rules != NULL && rules->parse_dkim) {
		rc = from_signatures(&c, "DomainKey-Signature");
		if (rc == 0)
			rc = from_signatures(&c, "DKIM-Signature");
	}
	if (rc != 0)
		return rc;
	v->uris = (struct uris){ c.items, c.keys.count, c.list.items,
		c.list.count };
	v->has_uris = true;
	return 0;
}
