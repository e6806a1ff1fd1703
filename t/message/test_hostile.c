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
	/* when not NULL: lines of this and as many repeats as 8,000 bytes
	 * hold, so that no limit of one field is reached */
	const char *line;
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
	{ "qmail's comments", "", " (a) with b", "Received: from a (1.2.3.4) by b" },
	{ "qmail's open comments", "", " (", "Received: from a (1.2.3.4) by b" },
	{ "helo=", "", "helo=", "Received: from a " },
	{ "by", "", " by a", "Received: from a (b [1.2.3.4])" },
	{ "authenticated", "", ") (authenticated", "Received: from a ([1.2.3.4])" },
	{ "brackets", "", "[1.2.3.4", "Received: from a (" },
	{ "squirrels", "", "1.2.3.4 ", "Received: from a (SquirrelMail "
	    "authenticated user " },
	{ "semicolons", "", "; 1 Jan 1 1:1 ", "Received: from a (b [1.2.3.4]) by c " },
	{ "signatures", "", "d= ", "DKIM-Signature: " },
	{ "quoted pairs", "", "\"\\", "To: " },
	{ "phrases", "", "a,", "To: " },
	{ "phrases without end", "", "\"a\" ", "To: " },
	{ "comments in addresses", "", "(", "To: a@b" },
};

static size_t
fill(char *raw, size_t n, const char *line, const char *repeat)
{
	size_t len = strlen(repeat), head = line != NULL ? strlen(line) : 0;

	if (line == NULL) {
		for (; n + len <= SCAN_BYTES; n += len)
			memcpy(raw + n, repeat, len);
		return n;
	}
	while (n + head + 8100 <= SCAN_BYTES) {
		size_t start = n;

		memcpy(raw + n, line, head);
		n += head;
		for (; n - start + len <= 8000; n += len)
			memcpy(raw + n, repeat, len);
		raw[n++] = '\n';
	}
	return n;
}

static double
cpu_sec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Links of one place, each with another text */
static size_t
fill_anchors(char *raw)
{
	size_t n = (size_t)sprintf(raw, "Content-Type: text/html\n\n");

	for (unsigned i = 0; n + 40 < SCAN_BYTES; i++)
		n += (size_t)sprintf(raw + n, "<a href=x>%u", i);
	return n;
}

/* Links, each of another place */
static size_t
fill_links(char *raw)
{
	size_t n = (size_t)sprintf(raw, "Content-Type: text/html\n\n");

	for (unsigned i = 0; n + 40 < SCAN_BYTES; i++)
		n += (size_t)sprintf(raw + n, "<a href=//%u.example>", i);
	return n;
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

static void
run(const char *label, const char *raw, size_t n)
{
	struct arena *a = arena_new(MAX_MEMORY);
	double start = cpu_sec();
	struct message *m = test_parse(a, span_of(raw, n));

	if (m != NULL)
		views_make(m);
	start = cpu_sec() - start;
	tap_ok(m != NULL && start < MAX_CPU_SEC &&
	    arena_used(a) < MAX_MEMORY * 9 / 10, "%s: %.3f s, %zu kB", label,
	    start, arena_used(a) / 1024);
	arena_free(a);
}

int
main(void)
{
	char *raw = malloc(SCAN_BYTES);

	if (raw == NULL)
		abort();
	run("anchors of one link", raw, fill_anchors(raw));
	run("links of many places", raw, fill_links(raw));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].head);

		memcpy(raw, rows[i].head, n);
		n = fill(raw, n, rows[i].line, rows[i].repeat);
		run(rows[i].label, raw, n);
	}
	free(raw);
	return tap_done();
}
