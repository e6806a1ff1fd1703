/*
 * Canonical forms of a URI: what a mail program or browser would make of it.
 * One URI can have several; each is matched by rules.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/message/uri_forms.h"

enum {
	MAX_REDIRECTS = 20,	/* URIs found inside URIs, of one */
	MAX_FORMS = 200,	/* canonical forms of one */
};

void
forms_add(struct forms *f, struct span s)
{
	s = arena_span(f->arena, s);
	if (s.ptr == NULL)
		f->failed = true;
	else if (f->form_count < MAX_FORMS)
		f->forms[f->form_count++] = s;
}

static void
add_uri(struct forms *f, struct span s)
{
	s = arena_span(f->arena, s);
	if (s.ptr == NULL)
		f->failed = true;
	else if (f->uri_count < MAX_REDIRECTS)
		f->uris[f->uri_count++] = s;
}

void
forms_add_joined(struct forms *f, struct span proto, struct span host,
    struct span rest)
{
	struct buf b;

	buf_init(&b, (size_t)16 * URI_MAX_BYTES);
	buf_add_span(&b, proto);
	buf_add_span(&b, host);
	buf_add_span(&b, rest);
	forms_add(f, buf_span(&b));
	buf_done(&b);
}

/* Line ends inside and white space around go. */
static struct span
tidy(struct arena *a, struct span s)
{
	char *out;
	size_t n = 0, start = 0;

	if (memchr(s.ptr, '\n', s.len) == NULL &&
	    memchr(s.ptr, '\r', s.len) == NULL) {
		while (s.len > 0 && ascii_is_space(s.ptr[0]))
			s = span_from(s, 1);
		while (s.len > 0 && ascii_is_space(s.ptr[s.len - 1]))
			s.len--;
		return s;
	}
	out = arena_bytes(a, s.len);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\n')
			out[n++] = s.ptr[i];
	while (start < n && ascii_is_space(out[start]))
		start++;
	while (n > start && ascii_is_space(out[n - 1]))
		n--;
	s.ptr = out + start;
	s.len = 0;
	for (size_t i = start; i < n; i++)
		if (out[i] != '\r')
			out[start + s.len++] = out[i];
	return s;
}

/* Length of "http:" or "https:", 0: neither */
static size_t
http_scheme(struct span s)
{
	if (span_istarts(s, "http:"))
		return 5;
	return span_istarts(s, "https:") ? 6 : 0;
}

static size_t
find_any(struct span s, const char *set)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '\0' || strchr(set, s.ptr[i]) == NULL))
		i++;
	return i;
}

static bool
has_scheme(struct span s)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '_' ||
	    (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
	    ((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z')))
		i++;
	return i > 0 && i < s.len && s.ptr[i] == ':';
}

/* Swaps slashes, supplies scheme and path, decodes. */
static struct span
normalize(struct forms *f, struct span uri)
{
	struct buf *b = &f->scratch;
	struct span s;
	size_t n = http_scheme(uri), host;

	buf_reset(b);
	if (n != 0) {
		size_t k = n;

		/* "http:www.example" and "http:/www.example" */
		while (k < uri.len && k < n + 2 &&
		    (uri.ptr[k] == '/' || uri.ptr[k] == '\\'))
			k++;
		buf_add(b, uri.ptr, n);
		buf_add_str(b, "//");
		n = k;
	}
	buf_add_span(b, span_from(uri, n));
	for (size_t i = 0; i < b->len; i++)
		if (b->ptr[i] == '\\')
			b->ptr[i] = '/';
	s = arena_span(f->arena, buf_span(b));
	if (s.ptr == NULL)
		return s;
	buf_reset(b);
	if (uri_has_percent(s))
		uri_percent_decode(b, s, f->wide);
	else
		buf_add_span(b, s);
	s = buf_span(b);
	if (!has_scheme(s)) {
		s = arena_span(f->arena, s);
		buf_reset(b);
		buf_add_str(b, s.len >= 4 && memcmp(s.ptr, "ftp.", 4) == 0 ?
		    "ftp://" : "http://");
		buf_add_span(b, s);
		s = buf_span(b);
	}
	n = http_scheme(s);
	if (n != 0 && s.len > n + 2 && s.ptr[n] == '/' && s.ptr[n + 1] == '/') {
		host = n + 2 + find_any(span_from(s, n + 2), "/?#");
		if (host > n + 2 && host < s.len && s.ptr[host] != '/') {
			/* "http://example?id" has an empty path */
			s = arena_span(f->arena, s);
			buf_reset(b);
			buf_add(b, s.ptr, host);
			buf_add_char(b, '/');
			buf_add_span(b, span_from(s, host));
			s = buf_span(b);
		}
	}
	s = arena_span(f->arena, s);
	if (s.ptr != NULL && memmem(s.ptr, s.len, "&#", 2) != NULL) {
		buf_reset(b);
		uri_decode_references(b, s);
		s = arena_span(f->arena, buf_span(b));
	}
	return s;
}

static void
read_mail(struct forms *f, struct span s)
{
	size_t at = span_find(s, '@'), n;
	struct span t;

	if (at > 0 && at + 1 < s.len) {
		struct span host = span_from(s, at + 1);

		n = span_find(host, '?');
		if (n > 0 && n < host.len)
			forms_add(f, span_of(s.ptr, at + 1 + n));
		n = find_any(host, "?&");
		if (n > 0 && n < host.len && host.ptr[n] == '&')
			forms_add(f, span_of(s.ptr, at + 1 + n));
	}
	if (memmem(s.ptr, s.len, "%20", 3) != NULL) {
		t = span_istarts(s, "mailto:") ? span_from(s, 7) : s;
		while (t.len >= 3 && memcmp(t.ptr, "%20", 3) == 0)
			t = span_from(t, 3);
		at = span_find(t, '@');
		if (at > 0 && at < t.len) {
			n = find_any(span_from(t, at + 1), "?&%");
			if (n > 0)
				forms_add_joined(f, SPAN_LIT("mailto:"),
				    span_of(t.ptr, at + 1 + n), SPAN_LIT(""));
		}
	}
	/* mailto:"Name"%20<user@host> */
	n = find_any(s, "?&");
	for (size_t i = n; i-- > 0;) {
		if (s.ptr[i] != '<')
			continue;
		t = span_from(s, i + 1);
		at = find_any(t, "@>");
		if (at == 0 || at >= t.len || t.ptr[at] != '@')
			continue;
		n = span_find(span_from(t, at + 1), '>');
		if (n > 0 && at + 1 + n < t.len) {
			forms_add_joined(f, SPAN_LIT("mailto:"),
			    span_of(t.ptr, at + 1 + n), SPAN_LIT(""));
			return;
		}
	}
}

static bool
split_web(struct span s, struct web *w)
{
	size_t n = http_scheme(s), k;
	struct span t;

	if (n == 0 || s.len < n + 3 || s.ptr[n] != '/' || s.ptr[n + 1] != '/' ||
	    memchr(s.ptr + n, '\n', s.len - n) != NULL)
		return false;
	w->proto = span_of(s.ptr, n + 2);
	t = span_from(s, n + 2);
	w->auth = span_of(t.ptr, 0);
	k = find_any(t, "@/?#");
	if (k + 1 < t.len && t.ptr[k] == '@' &&
	    strchr("/?#:", t.ptr[k + 1]) == NULL) {
		w->auth = span_of(t.ptr, k + 1);
		t = span_from(t, k + 1);
	}
	k = find_any(t, "/?#:");
	if (k == 0)
		return false;
	w->host = span_of(t.ptr, k);
	w->rest = span_from(t, k);
	w->port = span_of(w->rest.ptr, 0);
	if (w->rest.len != 0 && w->rest.ptr[0] == ':') {
		k = 1;
		while (k < w->rest.len && w->rest.ptr[k] >= '0' &&
		    w->rest.ptr[k] <= '9')
			k++;
		w->port = span_of(w->rest.ptr + 1, k - 1);
	}
	return true;
}

/* What follows the host, without the port when that is the scheme's own */
static struct span
without_port(const struct web *w)
{
	const char *own = span_is(w->proto, "http://") ? "80" : "443";
	size_t n = strlen(own) + 1;

	if (w->port.len < n - 1 || memcmp(w->port.ptr, own, n - 1) != 0 ||
	    (n < w->rest.len && (ascii_is_alnum(w->rest.ptr[n]) || w->rest.ptr[n] == '_')))
		return w->rest;
	return span_from(w->rest, n);
}

/* A URI inside the URI: where a redirector leads */
static void
find_redirect(struct forms *f, const struct web *w)
{
	struct buf b;
	struct span whole, target;
	bool found = false;

	if (f->rules != NULL && f->rules->redirect != NULL) {
		buf_init(&b, (size_t)16 * URI_MAX_BYTES);
		buf_add_span(&b, w->proto);
		buf_add_span(&b, w->host);
		buf_add_span(&b, w->rest);
		whole = arena_span(f->arena, buf_span(&b));
		buf_done(&b);
		if (whole.ptr == NULL) {
			f->failed = true;
			return;
		}
		found = f->rules->redirect(f->rules->ctx, whole, &target);
		if (found)
			add_uri(f, target);
	}
	for (size_t i = 0; !found && i + 5 < w->rest.len; i++) {
		size_t n;

		target = span_from(w->rest, i);
		n = http_scheme(target);
		if (n == 0)
			continue;
		target.len = find_any(target, "&#");
		found = target.len > n;
		if (found && memchr(target.ptr, '.', target.len) != NULL)
			add_uri(f, target);
	}
}

static struct span
ascii_lower_copy(struct arena *a, struct span s)
{
	char *p = arena_memdup(a, s.ptr, s.len);

	for (size_t i = 0; p != NULL && i < s.len; i++)
		p[i] = ascii_lower(p[i]);
	return span_of(p, s.len);
}

/* Languages without spaces put text right behind a link; without it the host
 * may be a plain one. SpamAssassin finds that where LibIDN is missing. */
static void
add_without_text(struct forms *f, const struct web *w)
{
	struct span h = w->host;

	while (h.len > 0 && !ascii_is_alnum(h.ptr[h.len - 1]))
		h.len--;
	if (h.len < w->host.len && host_is_fqdn(h, false) &&
	    domain_is_valid(h, f->rules))
		forms_add_joined(f, w->proto, h, w->rest);
}

static void
read_web(struct forms *f, struct web *w)
{
	struct span h, named = ascii_lower_copy(f->arena, w->host), low = named,
		       bare = without_port(w);
	char *copy = arena_memdup(f->arena, w->host.ptr, w->host.len);
	size_t n = 0;

	if (copy == NULL || named.ptr == NULL ||
	    !host_to_ascii(f->arena, &named)) {
		f->failed = true;
		return;
	}
	if (bare.len != w->rest.len)
		forms_add_joined(f, w->proto, w->host, bare);
	if (!span_eq(named, low)) {
		/* of another script: as DNS knows it */
		forms_add_joined(f, w->proto, named, w->rest);
		if (bare.len != w->rest.len)
			forms_add_joined(f, w->proto, named, bare);
		add_without_text(f, w);
		w->host = named;
	} else {
		for (size_t i = 0; i < w->host.len; i++)
			if ((unsigned char)copy[i] > 0x20)
				copy[n++] = copy[i];
		if (n != w->host.len) {
			w->host = span_of(copy, n);
			forms_add_joined(f, w->proto, w->host, w->rest);
		}
	}
	find_redirect(f, w);
	h = w->host;
	n = span_find(h, '@');
	if (n > 0 && n < h.len) {
		h = span_from(h, n + 1);
		w->host = h;
		forms_add_joined(f, w->proto, h, w->rest);
	}
	/* text around it: "see http://example.org!!" */
	for (n = h.len; n > 0 && !ascii_is_alnum(h.ptr[n - 1]);)
		n--;
	if (n != h.len) {
		w->host.len = n;
		forms_add_joined(f, w->proto, w->host, w->rest);
	}
	forms_read_host(f, w, named);
}

static void
read_uri(struct forms *f, struct span uri)
{
	struct span s;
	struct web w;
	size_t n;

	if (uri.len <= 1 || uri.ptr[0] == '#' || uri.ptr[0] == '?' ||
	    uri.ptr[0] == '&' || (uri.ptr[0] == '/' && uri.ptr[1] != '/'))
		return;
	n = find_any(uri, ":@");
	if (span_istarts(uri, "mailto:") || (n < uri.len && uri.ptr[n] == '@')) {
		read_mail(f, uri);
		return;
	}
	s = normalize(f, uri);
	if (s.ptr == NULL) {
		f->failed = true;
		return;
	}
	if (!span_eq(s, uri))
		forms_add(f, s);
	if (split_web(s, &w))
		read_web(f, &w);
}

int
uri_canonicalize(struct arena *a, struct span uri, bool wide,
    const struct uri_rules *rules, struct span **ret_list, size_t *ret_count)
{
	struct forms f = { .arena = a, .rules = rules, .wide = wide };
	struct span *list;
	size_t n = 0;

	f.uris = ARENA_ARRAY(a, MAX_REDIRECTS, struct span);
	f.forms = calloc(MAX_FORMS, sizeof(*f.forms));
	if (f.uris == NULL || f.forms == NULL) {
		free(f.forms);
		return -ENOMEM;
	}
	buf_init(&f.scratch, (size_t)16 * URI_MAX_BYTES);
	f.uris[f.uri_count++] = uri;
	for (size_t i = 0; i < f.uri_count && !f.failed; i++) {
		f.uris[i] = tidy(a, f.uris[i]);
		if (f.uris[i].ptr == NULL)
			f.failed = true;
		else
			read_uri(&f, f.uris[i]);
	}
	list = ARENA_ARRAY(a, f.uri_count + f.form_count, struct span);
	f.failed = f.failed || f.scratch.failed || list == NULL;
	for (size_t i = 0; !f.failed && i < f.uri_count + f.form_count; i++) {
		struct span s = i < f.uri_count ? f.uris[i]
		    : f.forms[i - f.uri_count];
		size_t k = 0;

		if (s.len > URI_MAX_BYTES)
			s.len = URI_MAX_BYTES;
		while (k < n && !span_eq(list[k], s))
			k++;
		if (k == n)
			list[n++] = s;
	}
	buf_done(&f.scratch);
	free(f.forms);
	*ret_list = list;
	*ret_count = n;
	return f.failed ? -ENOMEM : 0;
}
