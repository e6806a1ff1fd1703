#include "base/buf.h"
#include "scoring/message/body.h"
#include "t/message/util.h"

static bool
redirect(const void *ctx, struct span uri, struct span *ret)
{
	const char *p = memmem(uri.ptr, uri.len, "?to=", 4);

	(void)ctx;
	if (p == NULL)
		return false;
	*ret = span_from(uri, (size_t)(p - uri.ptr) + 4);
	return true;
}

static bool
tld(const void *ctx, struct span s)
{
	(void)ctx;
	return span_is(s, "example") || span_is(s, "uk") || span_is(s, "us");
}

static bool
two_level(const void *ctx, struct span s)
{
	(void)ctx;
	return span_is(s, "co.uk");
}

static const struct uri_rules rules = { .tld_is_valid = tld,
	.is_two_level = two_level, .redirect = redirect };

static int
compare(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int c = n != 0 ? memcmp(x->ptr, y->ptr, n) : 0;

	return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

/* The uri list of a body, sorted, joined by a space */
static struct span
list_of(struct arena *a, const char *head, const char *body,
    const struct uris **ret_uris)
{
	struct message *m;
	struct span *sorted, s;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "%s\n\n%s", head, body);
	m = test_parse(a, arena_span(a, buf_span(&b)));
	body_uris(m, &rules, ret_uris);
	sorted = ARENA_ARRAY(a, (*ret_uris)->list_count, struct span);
	for (size_t i = 0; i < (*ret_uris)->list_count; i++)
		sorted[i] = (*ret_uris)->list[i];
	if ((*ret_uris)->list_count != 0)
		qsort(sorted, (*ret_uris)->list_count, sizeof(*sorted), compare);
	buf_reset(&b);
	for (size_t i = 0; i < (*ret_uris)->list_count; i++) {
		if (i > 0)
			buf_add_char(&b, ' ');
		buf_add_span(&b, sorted[i]);
	}
	s = arena_span(a, buf_span(&b));
	buf_done(&b);
	return s;
}

static void
test_text(void)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "see http://a.example/x.", "http://a.example/x" },
		{ "see (http://a.example/x)", "http://a.example/x" },
		{ "http://a.example/(x)", "http://a.example/(x" },
		{ "HTTPS://A.example", "HTTPS://A.example" },
		{ "http://\xc3\xbc.example/\xc3\xbc x",
		    "http://xn--tda.example/\xc3\xbc http://\xc3\xbc.example/\xc3\xbc" },
		{ "http://www.a.example.\xe5\x8e\xbb\xe3\x80\x82 x",
		    "http://www.a.example "
		    "http://www.a.example.xn--1nr "
		    "http://www.a.example.xn--1nr. "
		    "http://www.a.example.\xe5\x8e\xbb\xe3\x80\x82" },
		{ "http://\xc3\x9c\xe3\x80\x82" "example:80/ x",
		    "http://xn--tda.example/ http://xn--tda.example:80/ "
		    "http://\xc3\x9c\xe3\x80\x82" "example/ "
		    "http://\xc3\x9c\xe3\x80\x82" "example:80/" },
		{ "www.a.example here", "http://www.a.example" },
		{ "at a.example now", "http://a.example" },
		{ "at a.example, now", "" },
		{ "at a.nosuch now", "" },
		{ "a.example/path?q=1", "http://a.example/path?q=1" },
		{ "a.example:8080/x", "http://a.example:8080/x" },
		{ "a.example:8080/", "" },
		{ "x@a.example", "mailto:x@a.example" },
		{ "<x@a.example>,y@b.example", "mailto:x@a.example mailto:y@b.example" },
		{ "x@a.nosuch", "" },
		{ "mailto:x@a.example?subject=y",
		    "mailto:x@a.example mailto:x@a.example?subject=y" },
		{ "Vi@gra", "" },
		{ "cid:x@a.example", "" },
		{ "ftp.a.example", "ftp://ftp.a.example" },
		{ "http://", "" },
		{ "http://x.example/ http://x.example/", "http://x.example/" },
		{ "no uri... none", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(4 << 20);
		const struct uris *u;

		tap_is_span(list_of(a, "A: b", rows[i].in, &u),
		    span_cstr(rows[i].want), rows[i].in);
		arena_free(a);
	}
}

static void
test_html(void)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "<a href=\"http://a.example/\">", "http://a.example/" },
		{ "<a href='http:www.a.example'>",
		    "http://www.a.example http:www.a.example" },
		{ "<a href=\"http:\\\\a.example\\x\">",
		    "http://a.example/x http:\\\\a.example\\x" },
		{ "<a href=\"http://%61.example/\">",
		    "http://%61.example/ http://a.example/" },
		{ "<a href=\"http://a.example?x\">",
		    "http://a.example/?x http://a.example?x" },
		{ "<a href=\"http://u:p@a.example/\">", "http://u:p@a.example/" },
		{ "<a href=\"http://a.example:80/\">",
		    "http://a.example/ http://a.example:80/" },
		{ "<a href=\"http://0x7f000001/\">",
		    "http://0x7f000001/ http://127.0.0.1/" },
		{ "<a href=\"http://3232235521/\">",
		    "http://192.168.0.1/ http://3232235521/" },
		{ "<a href=\"http://192.0250.1.1/\">",
		    "http://192.0250.1.1/ http://192.168.1.1/" },
		{ "<a href=\"http://word/\">", "http://word/ http://www.word.com/" },
		{ "<a href=\"http://a.example/?u=http://b.example/&c\">",
		    "http://a.example/?u=http://b.example/&c http://b.example/" },
		{ "<a href=\"http://a.example/?to=b.example/x\">",
		    "b.example/x http://a.example/?to=b.example/x http://b.example/x" },
		{ "<base href=\"http://a.example/d/i.html\"><a href=\"../x/./y\">",
		    "../x/./y http://../x/./y http:///x/./y "
		    "http://a.example/d/i.html http://a.example/x/y" },
		{ "<img src=cid:x@y>", "cid:x@y" },
		{ "<a href=\"mailto:x@a.example?subject=1\">",
		    "mailto:x@a.example mailto:x@a.example?subject=1" },
		{ "<a href=\" http://a.example/ \">", "http://a.example/" },
		{ "<a href=\"#top\">", "#top" },
		{ "<meta http-equiv=refresh content=\"0; url=http://a.example/;x\">",
		    "http://a.example/" },
		{ "<form action=http://a.example/f>", "http://a.example/f" },
		{ "<a x/href=http://a.example/>", "http://a.example/" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(4 << 20);
		const struct uris *u;
		struct span got = list_of(a, "Content-Type: text/html", rows[i].in,
		    &u);

		tap_is_span(got, span_cstr(rows[i].want), rows[i].in);
		arena_free(a);
	}
}

static void
test_detail(void)
{
	struct arena *a = arena_new(4 << 20);
	const struct uris *u;

	list_of(a, "Content-Type: text/html", "<a href=\"http://www.a.co.uk/\">"
	    "http://b.example/</a><a href=\"http://www.a.co.uk/\">two</a>", &u);
	tap_is_int((long long)u->count, 2, "two URIs");
	for (size_t i = 0; i < u->count; i++) {
		const struct uri *x = &u->items[i];

		if (x->types & URI_A) {
			tap_is_span(x->raw, SPAN_LIT("http://www.a.co.uk/"), "link");
			tap_is_int((long long)x->anchor_count, 2, "two anchors");
			tap_is_span(x->anchors[1], SPAN_LIT("two"), "second anchor");
			tap_is_span(x->hosts[0], SPAN_LIT("www.a.co.uk"), "host");
			tap_is_span(x->domains[0], SPAN_LIT("a.co.uk"), "domain");
		} else {
			tap_is_int(x->types, URI_PARSED, "the other is in the text");
		}
	}
	tap_is_str(uri_type_name(URI_IFRAME), "iframe", "type by name");
	list_of(a, "Content-Type: text/html; charset=utf-8",
	    "<a href=\"http://www.b\xc3\xbc" "cher.example/\">x</a>"
	    "<a href=\"http://b\xc3\xbc" "cher\xe3\x80\x82" "example/\">y</a>", &u);
	for (size_t i = 0; i < u->count; i++)
		tap_is_span(u->items[i].host_count > 0 ?
		    u->items[i].domains[0] : SPAN_LIT("none"),
		    SPAN_LIT("xn--bcher-kva.example"), "the domain in its ACE form");
	tap_is_int((long long)u->count, 2, "of both");
	arena_free(a);
}

static void
test_domains(void)
{
	static const struct {
		const char *host, *want, *want_psl;
	} rows[] = {
		{ "www.a.example", "a.example", "a.example" },
		{ "a.example", "a.example", "a.example" },
		{ "x.a.co.uk", "a.co.uk", "a.co.uk" },
		{ "co.uk", "co.uk", "co.uk" },
		{ "x.y.la.ca.us", "y.la.ca.us", "x.y.la.ca.us" },
	};

	for (size_t i = 0; i < 4; i++) {
		tap_is_span(domain_registered(span_cstr(rows[i].host), &rules),
		    span_cstr(rows[i].want), rows[i].host);
		tap_is_span(domain_registered(span_cstr(rows[i].host), NULL),
		    span_cstr(rows[i].want_psl), "by the public suffix list");
	}
	tap_ok(domain_is_valid(SPAN_LIT("a.Example"), &rules), "known");
	tap_ok(!domain_is_valid(SPAN_LIT("a.nosuch"), &rules), "not known");
	tap_ok(domain_is_valid(SPAN_LIT("a.com"), NULL), "known to libpsl");
	tap_ok(!domain_is_valid(SPAN_LIT("a.nosuch"), NULL), "not to libpsl");
	tap_ok(host_is_fqdn(SPAN_LIT("_x.a-b.example."), false), "a name");
	tap_ok(!host_is_fqdn(SPAN_LIT("a_b.example"), false), "\"_\" in a domain");
	tap_ok(!host_is_fqdn(SPAN_LIT("example"), false), "one label");
	tap_ok(!host_is_fqdn(SPAN_LIT("a..example"), false), "an empty label");
	tap_ok(!host_is_fqdn(SPAN_LIT("-a.b.example"), false), "a hyphen first");
	tap_ok(!host_is_fqdn(SPAN_LIT("m\xC3\xBC.example.org"), false), "not yet ACE");
	tap_ok(host_is_fqdn(SPAN_LIT("m\xC3\xBC.example.org"), true), "unless wanted");
}

static void
test_signers(void)
{
	struct arena *a = arena_new(1 << 20);
	struct uri_rules with = rules;
	struct message *m = test_parse(a, SPAN_LIT("DKIM-Signature: v=1; d=x.a.example;"
	    "\n s=s; bd=c.example\n\n"));
	const struct uris *u;

	with.parse_dkim = true;
	body_uris(m, &with, &u);
	tap_is_int((long long)u->count, 1, "one signer");
	tap_is_span(u->items[0].raw, SPAN_LIT("domainkeys:x.a.example"), "its key");
	tap_is_span(u->items[0].domains[0], SPAN_LIT("a.example"), "its domain");
	tap_is_int((long long)u->list_count, 0, "nothing for uri rules");
	arena_free(a);
}

static void
test_limit(void)
{
	struct arena *a = arena_new(8 << 20);
	struct message_limits l = test_limits;
	struct message *m;
	const struct uris *u;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_add_str(&b, "A: b\n\n");
	for (int i = 0; i < 100; i++)
		buf_printf(&b, "http://h%d.example/ ", i);
	l.max_uris = 10;
	message_parse(a, buf_span(&b), b.len, &l, &m, NULL);
	body_uris(m, &rules, &u);
	tap_is_int((long long)u->count, 10, "max_uris");
	tap_ok(m->faults & MESSAGE_TOO_MANY_URIS, "noted");
	buf_done(&b);
	arena_free(a);
}

int
main(void)
{
	test_text();
	test_html();
	test_detail();
	test_domains();
	test_signers();
	test_limit();
	return tap_done();
}
