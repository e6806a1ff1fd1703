#include "base/buf.h"
#include "scoring/message/body.h"
#include "t/message/util.h"

/* Items joined by "|" */
static struct span
join(struct arena *a, const struct texts *t)
{
	struct buf b;
	struct span s;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < t->count; i++) {
		if (i > 0)
			buf_add_char(&b, '|');
		buf_add_span(&b, t->items[i]);
	}
	s = arena_span(a, buf_span(&b));
	buf_done(&b);
	return s;
}

#define HTML "Subject: s\nContent-Type: text/html; charset=utf-8\n\n"
#define MIXED "Subject: s\nContent-Type: multipart/mixed; boundary=\"b b\"\n\n"

static void
test_rendered(void)
{
	static const struct {
		const char *label;
		struct span in;
		const char *want;
	} rows[] = {
		{ "plain", SPAN_LIT("Subject: s\n\na\nb\n\nc\n"), "s\n|a b\n|c " },
		{ "no subject", SPAN_LIT("A: b\n\nx"), "\n|x" },
		{ "last subject", SPAN_LIT("Subject: a\nSubject: b\n\nx"), "b\n|x" },
		{ "subject decoded", SPAN_LIT("Subject: =?utf-8?Q?=C3=A4?=\n\nx"),
		    "\xC3\xA4\n|x" },
		{ "CRLF", SPAN_LIT("Subject: s\r\n\r\na\r\n\r\nb\r\n"), "s\n|a\n|b " },
		{ "qp", SPAN_LIT("Subject: s\nContent-Transfer-Encoding: quoted-printable"
		    "\n\na=\nb=20 \nc=3D=C3=A4"), "s\n|ab c=\xC3\xA4" },
		{ "qp, no soft break from =3D", SPAN_LIT("Subject: s\n"
		    "Content-Transfer-Encoding: quoted-printable\n\na=3D\nb"),
		    "s\n|a= b" },
		{ "qp, a soft break inside a byte", SPAN_LIT("Subject: s\n"
		    "Content-Transfer-Encoding: quoted-printable\n\na=\n=4=\n1b"),
		    "s\n|aAb" },
		{ "base64", SPAN_LIT("Subject: s\nContent-Transfer-Encoding: base64\n\n"
		    "YWJj\nZGVm"), "s\n|abcdef" },
		{ "base64 with rubbish", SPAN_LIT("Subject: s\n"
		    "Content-Transfer-Encoding: BASE64\n\nYW!Jj"), "s\n|abc" },
		{ "unknown encoding", SPAN_LIT("Subject: s\n"
		    "Content-Transfer-Encoding: x-foo\n\nYWJj"), "s\n|YWJj" },
		{ "latin1", SPAN_LIT("Subject: s\nContent-Type: text/plain; "
		    "charset=iso-8859-1\n\na\xE4\xA0 x"), "s\n|a\xC3\xA4 x" },
		{ "UTF-8 wins", SPAN_LIT("Subject: s\nContent-Type: text/plain; "
		    "charset=koi8-r\n\n\xC3\xA4"), "s\n|\xC3\xA4" },
		{ "wrong UTF-8", SPAN_LIT("Subject: s\nContent-Type: text/plain; "
		    "charset=utf-8\n\n\xE4x"), "s\n|\xC3\xA4x" },
		{ "no charset", SPAN_LIT("Subject: s\n\n\x93q\x94"),
		    "s\n|\xE2\x80\x9Cq\xE2\x80\x9D" },
		{ "other text is plain", SPAN_LIT("Subject: s\nContent-Type: "
		    "text/x-foo\n\n<b>x"), "s\n|<b>x" },
		{ "an image is no text", SPAN_LIT("Subject: s\nContent-Type: image/png\n"
		    "\nx"), "s\n" },
		{ "named .html", SPAN_LIT("Subject: s\nContent-Type: image/png; "
		    "name=\"a.htm\"\n\n<b>x</b>"), "s\n|x" },
		{ "parts", SPAN_LIT(MIXED "preamble\n--b b\n\none\n--b b\n"
		    "Content-Type: text/html\n\n<p>two\n--b b--\nepilogue\n"),
		    "s\n|one\n|two" },
		{ "no last boundary", SPAN_LIT(MIXED "--b b\n\none\n"), "s\n|one " },
		{ "no boundary at all", SPAN_LIT(MIXED "one\ntwo\n"), "s\n|one two " },
		{ "no blank line in a part", SPAN_LIT(MIXED "--b b\none\n--b b--\n"),
		    "s\n|one" },
		{ "multipart without boundary", SPAN_LIT("Subject: s\nContent-Type: "
		    "multipart/mixed\n\none"), "s\n|one" },
		{ "embedded message", SPAN_LIT("Subject: s\nContent-Type: "
		    "message/rfc822\n\nSubject: t\n\none"), "s\n|one" },
		{ "digest", SPAN_LIT("Subject: s\nContent-Type: multipart/digest; "
		    "boundary=b\n\n--b\n\nSubject: t\n\none\n--b--\n"), "s\n|one" },
		{ "html", SPAN_LIT(HTML "<p>a</p><br>b<b>c</b> d"), "s\n|\n|a\n|bc d" },
		{ "no tag within CDATA", SPAN_LIT(HTML "a<![CDATA[b<b>&lt;]]>c<i>d"),
		    "s\n|ab<b>&lt;cd" },
		{ "nor in RCDATA, but entities", SPAN_LIT(HTML "a<![RCDATA[<b>&lt;]]>c"),
		    "s\n|a<b><c" },
		{ "INCLUDE is as nothing", SPAN_LIT(HTML "a<![INCLUDE[<b>b]]>c]]>d"),
		    "s\n|abc]]>d" },
		{ "IGNORE hides, and what is in it", SPAN_LIT(HTML
		    "a<![IGNORE[<b>x<![CDATA[y]]>z]]>c"), "s\n|ac" },
		{ "a comment within hides the end", SPAN_LIT(HTML
		    "a<![INCLUDE[<!-- ]]> -->b]]>c"), "s\n|abc" },
		{ "CDATA without an end", SPAN_LIT(HTML "a<![CDATA[b<b>c"),
		    "s\n|ab<b>c" },
		{ "a section of another name has no end", SPAN_LIT(HTML "a<![foo[b]]>c"),
		    "s\n|ab]]>c" },
		{ "entities", SPAN_LIT(HTML "&lt;&eacute &#x2022;&nbsp;x&copyy &nosuch;"),
		    "s\n|<\xC3\xA9 \xE2\x80\xA2 x\xC2\xA9y &nosuch;" },
		{ "entities of one byte stay bytes", SPAN_LIT("Subject: s\n"
		    "Content-Type: text/html\n\n&eacute;&#160;x"), "s\n|\xE9\xA0x" },
		{ "a character in two references", SPAN_LIT(HTML "&#55356;&#57101;&#55356;"
		    "x&#57101;"), "s\n|\xF0\x9F\x8C\x8D\xEF\xBF\xBDx\xEF\xBF\xBD" },
		{ "script and style are no text", SPAN_LIT(HTML "a<script>b('</b>')"
		    "</script>c<style>d</style>e"), "s\n|ace" },
		{ "comments", SPAN_LIT(HTML "a<!-- b > -->c<!>d<![if x]>e<?x?>f"),
		    "s\n|acdef" },
		{ "unended tag hides", SPAN_LIT(HTML "a <b href=\"x>y"), "s\n|a " },
		{ "< is text", SPAN_LIT(HTML "a < b <3 c"), "s\n|a < b <3 c" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(4 << 20);
		struct message *m = test_parse(a, rows[i].in);
		const struct texts *t = NULL;

		tap_is_int(body_rendered(m, &t), 0, rows[i].label);
		tap_is_span(join(a, t), span_cstr(rows[i].want), rows[i].label);
		arena_free(a);
	}
}

static void
test_hidden(void)
{
	static const struct {
		const char *label;
		struct span in;
		const char *want_visible, *want_hidden;
	} rows[] = {
		{ "none", SPAN_LIT(HTML "a<b>b</b>"), "s\n|ab", "" },
		{ "display", SPAN_LIT(HTML "a<span style='display: none'>b</span>c"),
		    "s\n|ac", "b" },
		{ "visibility", SPAN_LIT(HTML "a<p style='visibility:hidden'>b</p>c"),
		    "s\n|a\n|c", "b" },
		{ "white on white", SPAN_LIT(HTML "a<font color=#fff>b</font>c"),
		    "s\n|ac", "b" },
		{ "nearly white", SPAN_LIT(HTML "a<font color=\"#fefefe\">b</font>c"),
		    "s\n|ac", "b" },
		{ "on a background", SPAN_LIT(HTML "<div style=\"background:url(a) red\">"
		    "a<font color=red>b</font>c"), "s\n| ac", "b" },
		{ "by name", SPAN_LIT(HTML "a<font color=White>b</font>c"), "s\n|ac",
		    "b" },
		{ "rgb", SPAN_LIT(HTML "a<span style=\"color:rgb(255,255,250)\">b</span>c"),
		    "s\n|ac", "b" },
		{ "transparent", SPAN_LIT(HTML "a<span style=\"color:transparent\">b</span>"
		    "c"), "s\n|ac", "b" },
		{ "tiny", SPAN_LIT(HTML "a<font size=1>b</font>c"), "s\n|ac", "b" },
		{ "small, small, small", SPAN_LIT(HTML "a<small>b<small>c"), "s\n|ab",
		    "c" },
		{ "no colour at all", SPAN_LIT(HTML "a<font color=\"nonsense\">b</font>c"),
		    "s\n|ac", "b" },
		{ "inherited", SPAN_LIT(HTML "<div style='display:none'><p>b</div>c"),
		    "s\n|\n|c", "b" },
		{ "td ends td", SPAN_LIT(HTML "<table><tr><td style='display:none'>b<td>"
		    "c"), "s\n| c", "b" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(4 << 20);
		struct message *m = test_parse(a, rows[i].in);
		const struct texts *t = NULL;

		body_visible(m, &t);
		tap_is_span(join(a, t), span_cstr(rows[i].want_visible),
		    rows[i].label);
		body_invisible(m, &t);
		tap_is_span(join(a, t), span_cstr(rows[i].want_hidden),
		    rows[i].label);
		arena_free(a);
	}
}

static void
test_long(void)
{
	static char raw[200000];
	struct arena *a = arena_new(16 << 20);
	const struct texts *t;
	struct message *m;
	size_t n = 0, longest = 0, sum = 0;

	n += (size_t)sprintf(raw, "Subject: s\n\n");
	for (int i = 0; i < 10000; i++)
		n += (size_t)sprintf(raw + n, "word%d ", i);
	m = test_parse(a, span_of(raw, n));
	body_rendered(m, &t);
	for (size_t i = 0; i < t->count; i++)
		if (t->items[i].len > longest)
			longest = t->items[i].len;
	tap_ok(longest > 2000 && longest <= BODY_LINE_BYTES + 1,
	    "body lines are cut at a space, the longest has %zu", longest);
	body_raw(m, &t);
	longest = 0;
	for (size_t i = 0; i < t->count; i++) {
		sum += t->items[i].len;
		if (t->items[i].len > longest)
			longest = t->items[i].len;
	}
	tap_ok(longest <= 2 * BODY_LINE_BYTES, "rawbody pieces, up to %zu",
	    longest);
	tap_is_int((long long)sum, (long long)n - 12, "nothing is lost");
	arena_free(a);
}

static void
test_raw(void)
{
	struct arena *a = arena_new(4 << 20);
	const struct texts *t;
	struct message *m = test_parse(a, SPAN_LIT(MIXED "--b b\n\none\n\n\n--b b\n"
	    "Content-Type: text/html\n\n<p>two</p>\n--b b\nContent-Type: image/png\n"
	    "\nthree\n--b b--\n"));

	body_raw(m, &t);
	tap_is_span(join(a, t), SPAN_LIT("one\n\n|<p>two</p>"), "text parts only");
	tap_ok(span_istarts(body_full(m), "Subject: s\n"), "full");
	tap_ok(span_istarts(body_pristine(m), "--b b\n"), "pristine body");
	arena_free(a);
}

static void
test_parts(void)
{
	struct arena *a = arena_new(4 << 20);
	struct message *m = test_parse(a, SPAN_LIT("Content-Type: multipart/mixed; "
	    "boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=c\n\n"
	    "--c\n\nx\n--c\nContent-Type: TEXT/HTML ; charset=\"koi8-r\"\n\ny\n--c--\n"
	    "--a\nContent-Type: application/pdf\n"
	    "Content-Disposition: attachment; filename=\"r.pdf\"\nX-Y: =?utf-8?Q?z?=\n\n"
	    "z\n--a--\n"));
	static const char *const want[] = { "multipart/mixed",
		"multipart/alternative", "text/plain", "text/html",
		"application/pdf" };
	struct part *root, *p;
	struct span bytes;
	unsigned notes;
	size_t i = 0;

	tap_is_int(body_parts(m, &root), 0, "parts");
	for (p = root; p != NULL && i < 5; p = p->in_order, i++)
		tap_is_span(p->type, span_cstr(want[i]), "in order");
	tap_ok(p == NULL && i == 5, "five parts");
	p = root->in_order->in_order->in_order;
	tap_is_span(p->charset, SPAN_LIT("koi8-r"), "charset");
	tap_is_int(p->depth, 2, "depth");
	p = p->in_order;
	tap_is_span(p->name, SPAN_LIT("r.pdf"), "file name");
	tap_is_span(part_header(p, "x-y"), SPAN_LIT("z"), "header, decoded");
	part_decoded(p, &bytes);
	tap_is_span(bytes, SPAN_LIT("z"), "content");
	tap_ok(part_header(p, "nope").ptr == NULL, "no such header");
	body_mime_notes(m, &notes);
	tap_is_int(notes, MIME_MISSING_HEADERS,
	    "a part without a header is noted, and nothing else");
	arena_free(a);
}

static void
test_part_limits(void)
{
	struct arena *a = arena_new(16 << 20);
	struct message_limits l = test_limits;
	struct buf b;
	struct message *m;
	struct part *p;
	unsigned deepest = 0, count = 0;

	buf_init(&b, 1 << 20);
	buf_add_str(&b, "A: b\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n"
		    "--b%d\n", i, i);
	l.max_mime_depth = 5;
	message_parse(a, buf_span(&b), b.len, &l, &m, NULL);
	body_parts(m, &p);
	for (; p != NULL; p = p->in_order)
		if (p->depth > deepest)
			deepest = p->depth;
	tap_is_int(deepest, 5, "max_mime_depth");
	tap_ok(m->faults & MESSAGE_MIME_TOO_DEEP, "noted");

	buf_reset(&b);
	buf_add_str(&b, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 100; i++)
		buf_add_str(&b, "--b\n\nx\n");
	l.max_mime_parts = 10;
	message_parse(a, buf_span(&b), b.len, &l, &m, NULL);
	body_parts(m, &p);
	for (; p != NULL; p = p->in_order)
		count++;
	tap_is_int(count, 11, "max_mime_parts below the root");
	tap_ok(m->faults & MESSAGE_TOO_MANY_PARTS, "noted");
	buf_done(&b);
	arena_free(a);
}

static void
test_html_numbers(void)
{
	struct arena *a = arena_new(4 << 20);
	struct message *m = test_parse(a, SPAN_LIT("Content-Type: text/html\n\n"
	    "<!DOCTYPE html><html><head><title>A &amp; B</title></head>"
	    "<body><nosuch>x</nosuch><font color=white>h</font>"
	    "<a href=\"http://e.example/\">V<b>i</b>agra</a><img src=a width=10 "
	    "height=50%><form action=\"mailto:x\"></form></p></body>"));
	const struct html *h = NULL;
	double v = 0;

	body_html(m, &h);
	tap_ok(h != NULL && h->next == NULL, "one part");
	tap_ok(html_number(h, "font_low_contrast", &v) && v == 1, "low contrast");
	tap_ok(html_number(h, "image_area", &v) && v == 10 * 300, "image area");
	tap_ok(html_number(h, "form_action_mailto", &v), "a form that mails");
	tap_ok(html_number(h, "obfuscation_ratio", &v) && v > 0, "cut words");
	tap_ok(!html_number(h, "font_face_bad", &v), "not set");
	tap_ok(!html_number(h, "nonsense", &v), "no such number");
	tap_is_int(html_inside(h, SPAN_LIT("html")), 1, "html is left open");
	tap_is_int(html_inside(h, SPAN_LIT("p")), 0, "p was only closed");
	tap_is_int(html_inside(h, SPAN_LIT("table")), -1, "no table");
	tap_is_int(html_inside(h, SPAN_LIT("!doctype")), 0, "doctype");
	tap_is_span(join(a, html_texts(h, "title")), SPAN_LIT("A & B"), "title");
	tap_is_span(join(a, html_texts(h, "anchor")), SPAN_LIT("Viagra"),
	    "anchor text");
	arena_free(a);
}

static void
test_cut(void)
{
	struct span raw = SPAN_LIT("Subject: s\nContent-Type: multipart/mixed; "
	    "boundary=\"b\"\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\n"
	    "a=C3=A4=\n http://a.example/?x=3D1 b@c.example\n--b\nContent-Type: "
	    "text/html; charset=utf-8; name*0=\"a\"\n\n<!-- c --><a href=\"http://u.ex"
	    "ample/&amp;\" style=\"color: rgb(1,2,3); display:none\">t\xC3\xA4</a>"
	    "<title>x</title><script>y</script>&eacute;&#x41;<br/>\n--b\nContent-Type: "
	    "message/rfc822\n\nSubject: t\n\nz\n--b--\n");

	for (size_t cut = 1; cut <= raw.len; cut++) {
		struct arena *a = arena_new(4 << 20);
		char *copy = malloc(cut);
		const struct texts *t;
		const struct uris *u;
		struct message *m;

		memcpy(copy, raw.ptr, cut);
		m = test_parse(a, span_of(copy, cut));
		if (m != NULL) {
			body_rendered(m, &t);
			body_visible(m, &t);
			body_invisible(m, &t);
			body_raw(m, &t);
			body_uris(m, NULL, &u);
		}
		free(copy);
		arena_free(a);
	}
	tap_ok(true, "cut at every byte");
}

int
main(void)
{
	test_rendered();
	test_hidden();
	test_long();
	test_raw();
	test_parts();
	test_part_limits();
	test_html_numbers();
	test_cut();
	return tap_done();
}
