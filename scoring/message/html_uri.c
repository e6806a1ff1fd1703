#include "base/buf.h"
#include "scoring/message/body.h"
#include "scoring/message/charset.h"
#include "scoring/message/html_uri.h"

struct pieces {
	/* ptr NULL: not there (an empty one is there) */
	struct span scheme, authority, path, query, fragment;
};

static size_t
find_any(struct span s, const char *set)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '\0' || strchr(set, s.ptr[i]) == NULL))
		i++;
	return i;
}

/* RFC 3986, appendix B */
static struct pieces
split(struct span s)
{
	struct pieces p = { 0 };
	size_t n = find_any(s, ":/?#");

	if (n > 0 && n < s.len && s.ptr[n] == ':') {
		p.scheme = span_of(s.ptr, n);
		s = span_from(s, n + 1);
	}
	if (s.len >= 2 && s.ptr[0] == '/' && s.ptr[1] == '/') {
		s = span_from(s, 2);
		n = find_any(s, "/?#");
		p.authority = span_of(s.ptr, n);
		s = span_from(s, n);
	}
	n = find_any(s, "?#");
	p.path = span_of(s.ptr, n);
	s = span_from(s, n);
	if (s.len != 0 && s.ptr[0] == '?') {
		s = span_from(s, 1);
		n = find_any(s, "#");
		p.query = span_of(s.ptr, n);
		s = span_from(s, n);
	}
	/* a fragment ends at a line end */
	if (s.len != 0 && s.ptr[0] == '#') {
		p.fragment = span_from(s, 1);
		p.fragment.len = span_find(p.fragment, '\n');
	}
	return p;
}

/* RFC 3986 5.2.4 */
static void
add_without_dots(struct buf *out, struct span path)
{
	size_t start = out->len;

	if (path.len >= 2 && path.ptr[0] == '.' && path.ptr[1] == '/')
		path = span_from(path, 1);
	else if (path.len >= 3 && path.ptr[0] == '.' && path.ptr[1] == '.' &&
	    path.ptr[2] == '/')
		path = span_from(path, 2);
	/* in Perl "0" is false, too */
	while (path.len != 0 && !span_is(path, "0")) {
		struct span rest = span_from(path, 1);
		size_t slash = span_find(rest, '/'), n;
		struct span seg = span_of(rest.ptr, slash);

		if (path.ptr[0] == '/' && span_is(seg, ".")) {
			path = slash < rest.len ? span_from(rest, slash)
			    : SPAN_LIT("/");
			continue;
		}
		if (path.ptr[0] == '/' && span_is(seg, "..")) {
			while (out->len > start && out->ptr[out->len - 1] != '/')
				out->len--;
			if (out->len > start)
				out->len--;
			path = slash < rest.len ? span_from(rest, slash)
			    : SPAN_LIT("/");
			continue;
		}
		n = path.ptr[0] == '/' ? slash + 1 : span_find(path, '/');
		buf_add(out, path.ptr, n);
		path = span_from(path, n);
	}
}

static void
add_merged(struct buf *out, const struct pieces *base, struct span path)
{
	struct buf b;

	buf_init(&b, 4 * URI_MAX_BYTES);
	if (base->authority.ptr != NULL && (base->path.len == 0 ||
	    span_is(base->path, "0"))) {
		buf_add_char(&b, '/');
	} else {
		size_t n = base->path.len;

		while (n > 0 && base->path.ptr[n - 1] != '/')
			n--;
		buf_add(&b, base->path.ptr, n);
	}
	buf_add_span(&b, path);
	add_without_dots(out, buf_span(&b));
	buf_done(&b);
}

static bool
begins_like(struct span s, const char *word)
{
	size_t n = strlen(word);

	if (!span_istarts(s, word))
		return false;
	while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
		n++;
	return n < s.len && s.ptr[n] == '.';
}

struct span
html_uri_target(struct arena *a, struct span base_uri, struct span uri)
{
	struct pieces r = split(uri), base = split(base_uri), t = { 0 };
	struct buf path, out;
	struct span ret;

	buf_init(&path, 4 * URI_MAX_BYTES);
	buf_init(&out, 16 * URI_MAX_BYTES);
	if (r.scheme.ptr != NULL && base.scheme.ptr != NULL &&
	    span_eq(r.scheme, base.scheme))
		r.scheme.ptr = NULL;
	t.query = r.query;
	if (r.scheme.ptr != NULL || r.authority.ptr != NULL) {
		t.authority = r.authority;
		add_without_dots(&path, r.path);
	} else {
		t.authority = base.authority;
		if (r.path.len == 0) {
			buf_add_span(&path, base.path);
			if (r.query.ptr == NULL)
				t.query = base.query;
		} else if (r.path.ptr[0] == '/') {
			add_without_dots(&path, r.path);
		} else {
			add_merged(&path, &base, r.path);
		}
	}
	t.scheme = r.scheme.ptr != NULL ? r.scheme : base.scheme;
	if (t.scheme.ptr != NULL) {
		buf_add_span(&out, t.scheme);
		buf_add_char(&out, ':');
	} else if (t.authority.ptr != NULL) {
		/* some leave the scheme out to pass filters */
		if (begins_like(t.authority, "www"))
			buf_add_str(&out, "http:");
		else if (begins_like(t.authority, "ftp"))
			buf_add_str(&out, "ftp:");
	}
	if (t.authority.ptr != NULL) {
		buf_add_str(&out, "//");
		buf_add_span(&out, t.authority);
	}
	buf_add_span(&out, buf_span(&path));
	if (t.query.ptr != NULL) {
		buf_add_char(&out, '?');
		buf_add_span(&out, t.query);
	}
	if (r.fragment.ptr != NULL) {
		buf_add_char(&out, '#');
		buf_add_span(&out, r.fragment);
	}
	ret = arena_span(a, buf_span(&out));
	buf_done(&path);
	buf_done(&out);
	return ret;
}

/* White space, or a no-break space, at the start; its length */
static size_t
blank_at(const char *p, const char *end, bool wide)
{
	unsigned char c = (unsigned char)*p;

	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r');
	return wide ? utf8_space(p, end) : c == 0xA0;
}

struct span
html_uri_trim(struct span uri, bool wide, bool *ret_cut)
{
	const char *p = uri.ptr, *end = uri.ptr + uri.len;
	size_t n;

	while (p < end && (n = blank_at(p, end, wide)) != 0)
		p += n;
	for (bool again = true; again && end > p;) {
		again = false;
		for (size_t k = 1; k <= 3 && (size_t)(end - p) >= k; k++)
			if (blank_at(end - k, end, wide) == k) {
				end -= k;
				again = true;
				break;
			}
	}
	*ret_cut = end - p > URI_MAX_BYTES;
	return span_of(p, *ret_cut ? (size_t)URI_MAX_BYTES : (size_t)(end - p));
}

static bool
is_alnum(char c)
{
	return c != '/' && c != '.';
}

struct span
html_uri_base(struct arena *a, struct span uri)
{
	size_t n, host, name, dot;
	char *out;

	if (span_istarts(uri, "http:"))
		n = 5;
	else if (span_istarts(uri, "https:"))
		n = 6;
	else if (span_istarts(uri, "ftp:"))
		n = 4;
	else
		return SPAN_LIT("");
	for (int i = 0; i < 2 && n < uri.len && uri.ptr[n] == '/'; i++)
		n++;
	/* "dir/index.html": the file name goes */
	host = n + span_find(span_from(uri, n), '/');
	dot = uri.len;
	while (dot > 0 && is_alnum(uri.ptr[dot - 1]))
		dot--;
	if (host > n && host < uri.len && uri.len - dot >= 2 &&
	    uri.len - dot <= 4 && dot > 0 && uri.ptr[dot - 1] == '.') {
		name = dot - 1;
		while (name > 0 && is_alnum(uri.ptr[name - 1]))
			name--;
		if (name < dot - 1 && dot - 1 > host + 1)
			uri.len = name > host ? name : host + 1;
	}
	out = arena_bytes(a, uri.len + 1);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	memcpy(out, uri.ptr, uri.len);
	if (uri.len == 0 || out[uri.len - 1] != '/')
		out[uri.len++] = '/';
	return span_of(out, uri.len);
}
