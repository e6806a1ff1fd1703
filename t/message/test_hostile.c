/*
 * Messages made to cost: each pattern is repeated until the message is as
 * large as is looked at. Each must be read within a CPU time that nothing
 * but work that grows with the square of the size could take, and within a
 * memory that is the size times a constant.
 */
#include <time.h>

#include "scoring/message/body.h"
#include "scoring/message/received.h"
#include "t/message/util.h"

enum {
	SCAN_BYTES = 512 * 1024,
	MAX_CPU_SEC = 8,	/* under sanitizers on a busy machine */
	MAX_MEMORY = 96 << 20,
};

static const struct {
	const char *label, *head, *repeat;
} rows[] = {
	{ "one header line", "Subject: ", "a" },
	{ "encoded words", "Subject: ", "=?utf-8?Q?=C3?= " },
	{ "broken encoded words", "Subject: ", "=?utf-8?Q?" },
	{ "quotes in an address", "From: ", "\"\\\"" },
	{ "brackets in an address", "From: ", "<<(" },
	{ "commas in an address", "To: ", "a@b.example," },
	{ "one field a line", "", "A: b\n" },
	{ "folds", "X:", "\n a" },
	{ "no colon", "A: b\n", "a\n" },
	{ "Received", "", "Received: from a (b [192.0.2.1]) by c with d id eee\n" },
	{ "one Received", "Received: from ", "a (b [1.2.3.4]) by " },
	{ "Received of brackets", "Received: from ", "([" },
	{ "Received of colons", "Received: from a (", "1:" },
	{ "empty parts", "Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\n" },
	{ "parts without text", "Content-Type: multipart/mixed; boundary=b\n\n",
	    "--b\nContent-Type: multipart/mixed\n" },
	{ "nested parts", "Content-Type: multipart/mixed; boundary=b\n\n",
	    "--b\nContent-Type: multipart/mixed; boundary=b\n\n" },
	{ "nested messages", "Content-Type: message/rfc822\n\n",
	    "Content-Type: message/rfc822\n\n" },
	{ "blank lines", "A: b\n\n", "\n" },
	{ "blank lines with spaces", "A: b\n\n", " \n" },
	{ "one body line", "A: b\n\n", "a" },
	{ "spaces", "A: b\n\n", " " },
	{ "NULs", "A: b\n\n", "\x01\x02" },
	{ "CRs", "A: b\n\n", "\r" },
	{ "base64 of rubbish", "Content-Transfer-Encoding: base64\n\n", "=%A" },
	{ "soft line breaks", "Content-Transfer-Encoding: quoted-printable\n\n",
	    " =\n" },
	{ "<", "Content-Type: text/html\n\n", "<" },
	{ "<a", "Content-Type: text/html\n\n", "<a " },
	{ "attributes", "Content-Type: text/html\n\n<a ", "a=b" },
	{ "attribute names", "Content-Type: text/html\n\n<a ", "a b c " },
	{ "open quotes", "Content-Type: text/html\n\n", "<a href=\"" },
	{ "comments", "Content-Type: text/html\n\n", "<!--" },
	{ "dashes", "Content-Type: text/html\n\n<!--", "--" },
	{ "CDATA", "Content-Type: text/html\n\n", "<![CDATA[<b>" },
	{ "CDATA ends", "Content-Type: text/html\n\n", "<![CDATA[]]><b>" },
	{ "open elements", "Content-Type: text/html\n\n", "<div style=color:red>" },
	{ "open and stray ends", "Content-Type: text/html\n\n", "<font></p>" },
	{ "tables", "Content-Type: text/html\n\n", "<table><tr><td>x" },
	{ "scripts", "Content-Type: text/html\n\n", "<script>'" },
	{ "titles", "Content-Type: text/html\n\n", "<title>" },
	{ "anchors", "Content-Type: text/html\n\n", "<a href=x>y" },
	{ "entities", "Content-Type: text/html\n\n", "&" },
	{ "long entities", "Content-Type: text/html\n\n", "&aaaaaaaaaaaaaa" },
	{ "words cut by tags", "Content-Type: text/html\n\n", "a<b>" },
	{ "style attributes", "Content-Type: text/html\n\n<p style=\"",
	    "color:rgb(1,2,3);" },
	{ "backgrounds", "Content-Type: text/html\n\n<p style=\"",
	    "background:url('(,'),\"" },
	{ "font faces", "Content-Type: text/html\n\n<font face=\"", "a, a-" },
	{ "refreshes", "Content-Type: text/html\n\n<meta http-equiv=refresh "
	    "content=\"", "url= " },
	{ "http://", "A: b\n\n", "http://" },
	{ "URIs", "A: b\n\n", "http://a.example/ " },
	{ "URIs in URIs", "A: b\n\n", "http://a.example/?http://" },
	{ "@", "A: b\n\n", "a@" },
	{ "@ and dots", "A: b\n\n", "a.a@b.b," },
	{ "dots", "A: b\n\n", "a.com." },
	{ "dots and stops", "A: b\n\n", "a.com!" },
	{ "punctuation", "A: b\n\nhttp://a.example/", ")." },
	{ "links of dots", "Content-Type: text/html\n\n<a href=\"http://a/",
	    "../a/" },
	{ "links of percents", "Content-Type: text/html\n\n<a href=\"http://a/",
	    "%25" },
	{ "links of references", "Content-Type: text/html\n\n<a href=\"http://a/",
	    "&amp;#65;" },
	{ "utf-16", "Content-Type: text/plain; charset=utf-16\n\n", "\xD8\x01" },
	{ "iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\n\n",
	    "\x1b$B$" },
	{ "parameters", "Content-Type: text/plain; ", "name*0=" },
	{ "charsets", "Content-Type: text/plain; ", "charset " },
};

static double
cpu_sec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
views_make(struct message *m)
{
	const struct texts *t;
	const struct uris *u;
	struct address *list;
	struct relays *r;
	size_t n;

	for (size_t i = 0; i < m->field_count; i++) {
		struct span s = field_decoded(m, &m->fields[i]);

		if (s.ptr != NULL && i < 10)
			address_parse_all(m->arena, s, &list, &n);
	}
	relays_parse(m, NULL, NULL, NULL, &r);
	body_rendered(m, &t);
	body_visible(m, &t);
	body_raw(m, &t);
	body_uris(m, NULL, &u);
}

int
main(void)
{
	char *raw = malloc(SCAN_BYTES);

	if (raw == NULL)
		abort();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(MAX_MEMORY);
		size_t n = strlen(rows[i].head), len = strlen(rows[i].repeat);
		double start = cpu_sec();
		struct message *m;

		memcpy(raw, rows[i].head, n);
		for (; n + len <= SCAN_BYTES; n += len)
			memcpy(raw + n, rows[i].repeat, len);
		m = test_parse(a, span_of(raw, n));
		if (m != NULL)
			views_make(m);
		start = cpu_sec() - start;
		tap_ok(start < MAX_CPU_SEC && arena_used(a) < MAX_MEMORY * 9 / 10,
		    "%s: %.3f s, %zu kB", rows[i].label, start,
		    arena_used(a) / 1024);
		arena_free(a);
	}
	free(raw);
	return tap_done();
}
