/*
 * What enters a sample and, above all, what does not: labels leak through
 * what filters, delivery and mail stores write into a message.
 */
#include <errno.h>

#include "t/tap.h"
#include "t/learn/mail.h"

/* Every line of these could tell ham from spam without a word having been
 * read: {on ham, on spam}, first of the fields that stand on top (added by
 * delivery), then of those anywhere. */
static const char *const leaks_top[][2] = {
	{ "From alice Mon Jan  1 00:00:00 2024\n",
	    "From bob Tue Jan  2 11:11:11 2024\n" },
	{ "Return-Path: <good@ham.example>\n", "Return-Path: <bad@spam.example>\n" },
	{ "Delivered-To: inbox@home.example\n", "Delivered-To: junk@home.example\n" },
	{ "X-Original-To: inbox@home.example\n", "X-Original-To: trap@home.example\n" },
	{ "Delivery-Date: Mon, 1 Jan 2024 00:00:00 +0000\n",
	    "Delivery-Date: Tue, 2 Jan 2024 11:11:11 +0000\n" },
	{ "Envelope-To: inbox@home.example\n", "Envelope-To: trap@home.example\n" },
	{ "Received: from good.example (good.example [192.0.2.1])\n"
	  "\tby here.example with ESMTP id ham1; Mon, 1 Jan 2024 00:00:00 +0000\n",
	    "Received: from bad.example (unknown [203.0.113.9])\n"
	    "\tby here.example with SMTP id spam9; Tue, 2 Jan 2024 11:11:11 +0000\n" },
	{ "Received: from localhost (localhost [127.0.0.1])\n"
	  "\tby here.example with LMTP id a1; Mon, 1 Jan 2024 00:00:00 +0000\n"
	  "Received: from good.example (good.example [192.0.2.1])\n"
	  "\tby here.example with ESMTP id b1; Mon, 1 Jan 2024 00:00:00 +0000\n",
	    "Received: by here.example (Postfix, from userid 1000) id c9;\n"
	    "\tTue, 2 Jan 2024 11:11:11 +0000\n"
	    "Received: from bad.example (unknown [203.0.113.9])\n"
	    "\tby here.example with SMTP id d9; Tue, 2 Jan 2024 11:11:11 +0000\n" },
	{ "", "X-Spam-Flag: YES\n" },
	{ "X-Spam-Status: No, score=-2.1 tests=BAYES_00\n",
	    "X-Spam-Status: Yes, score=9.9 tests=BAYES_99\n" },
	{ "Authentication-Results: here.example; dkim=pass\n",
	    "Authentication-Results: here.example; dkim=fail\n" },
};
static const char *const leaks_any[][2] = {
	{ "Status: RO\n", "Status: O\n" },
	{ "X-Status: A\n", "X-Status: \n" },
	{ "Lines: 12\n", "Lines: 120\n" },
	{ "Content-Length: 100\n", "Content-Length: 100000\n" },
	{ "X-UID: 5\n", "X-UID: 7\n" },
	{ "X-Keywords: NonJunk\n", "X-Keywords: Junk\n" },
	{ "X-Mozilla-Status: 0001\n", "X-Mozilla-Status: 0009\n" },
	{ "", "X-Spam-Level: **********\n" },
	{ "X-Spam-Score: -2.0\n", "X-Spam-Score: 22.0\n" },
	{ "X-Spam-Checker-Version: 3\n", "" },
	{ "X-Spamd-Result: default: False\n", "X-Spamd-Result: default: True\n" },
	{ "X-Rspamd-Score: 0\n", "X-Rspamd-Score: 30\n" },
	{ "X-Bogosity: Ham, tests=bogofilter\n", "X-Bogosity: Spam, tests=bogofilter\n" },
	{ "X-DSPAM-Result: Innocent\n", "X-DSPAM-Result: Spam\n" },
	{ "X-CRM114-Status: Good\n", "X-CRM114-Status: SPAM\n" },
	{ "X-Virus-Scanned: clean\n", "X-Virus-Status: infected\n" },
	{ "X-Amavis-Alert: none\n", "X-Amavis-Alert: BAD HEADER\n" },
	{ "X-MS-Exchange-Organization-SCL: -1\n",
	    "X-MS-Exchange-Organization-SCL: 9\n" },
	{ "X-Microsoft-Antispam: BCL:0\n", "X-Microsoft-Antispam: BCL:9\n" },
	{ "X-Ham-Report: good\n", "X-Junk-Report: bad\n" },
	{ "ARC-Authentication-Results: i=1; x; spf=pass\n",
	    "ARC-Authentication-Results: i=1; x; spf=fail\n" },
	{ "Received-SPF: pass\n", "Received-SPF: fail\n" },
	{ "X-Greylist: whitelisted\n", "X-Greylist: delayed 300 seconds\n" },
	{ "X-Gmail-Labels: Inbox\n", "X-Gmail-Labels: Spam\n" },
	{ "x-sPaM-sTaTuS: no\n", "x-SpAm-StAtUs: yes\n" },
};

static bool
sample_eq(const struct sample *x, const struct sample *y)
{
	for (int i = 0; i < SAMPLE_VIEWS; i++)
		if (!span_eq(x->view[i], y->view[i]))
			return false;
	return true;
}

static const char *const local_hop =
    "Received: from any.example (any.example [192.0.2.99])\n"
    "\tby here.example with ESMTP id x; Mon, 1 Jan 2024 00:00:00 +0000\n";

/* The same message with each variant: the sample must be the same. */
static void
test_leak(struct arena *a, const char *top0, const char *top1,
    const char *extra0, const char *extra1)
{
	struct mail_random r0 = { 7 }, r1 = { 7 };
	struct sample x = mail_sample(a, mail_make(a, &r0, true, top0, extra0),
	    true);
	struct sample y = mail_sample(a, mail_make(a, &r1, true, top1, extra1),
	    true);
	const char *name = extra1[0] != '\0' ? extra1 : extra0[0] != '\0' ?
	    extra0 : top1;

	if (!tap_ok(sample_eq(&x, &y), "no trace of %.*s",
		(int)strcspn(name, ":\n"), name))
		for (int i = 0; i < SAMPLE_VIEWS; i++)
			if (!span_eq(x.view[i], y.view[i])) {
				tap_dump(" got", x.view[i].ptr, x.view[i].len);
				tap_dump("want", y.view[i].ptr, y.view[i].len);
			}
}

/* A whole stream, learned with the marks as they are and swapped */
static void
test_swap(bool swapped, double *ret_scores, size_t count)
{
	struct model_options small = { .size_bytes = 1000000 };
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { 77 };
	struct model_writer *w;
	char top[4096], extra[8192];

	if (model_writer_new(&small, &w, NULL) != 0)
		exit(1);
	for (size_t i = 0; i < count; i++) {
		bool spam = mail_random(&r) % 2;
		int mark = spam != swapped;
		struct model_prediction p;
		struct sample s;

		/* every field that delivery adds, the mbox line first */
		top[0] = extra[0] = '\0';
		for (size_t k = 0; k < 6; k++)
			strcat(top, leaks_top[k][mark]);
		strcat(top, leaks_top[7][mark]);
		for (size_t k = 0; k < sizeof(leaks_any) / sizeof(*leaks_any); k++)
			strcat(extra, leaks_any[k][mark]);
		arena_reset(a);
		s = mail_sample(a, mail_make(a, &r, spam, top, extra), true);
		model_predict_sample(model_writer_model(w), &s, 0, a, &p);
		ret_scores[i] = p.log_odds;
		model_writer_learn(w, &s, spam ? MODEL_SPAM : MODEL_HAM, 1, 0);
	}
	model_writer_free(w);
	arena_free(a);
}

static void
test_leaks(void)
{
	enum { COUNT = 200 };
	static double as_is[COUNT], swapped[COUNT];
	struct arena *a = arena_new(32 << 20);
	size_t differ = 0;

	for (size_t i = 0; i < sizeof(leaks_top) / sizeof(*leaks_top); i++) {
		char top0[1024], top1[1024];
		bool received = strstr(leaks_top[i][0], "Received: ") ==
		    leaks_top[i][0];

		snprintf(top0, sizeof(top0), "%s%s", leaks_top[i][0],
		    received ? "" : local_hop);
		snprintf(top1, sizeof(top1), "%s%s", leaks_top[i][1],
		    received ? "" : local_hop);
		test_leak(a, top0, top1, "", "");
	}
	for (size_t i = 0; i < sizeof(leaks_any) / sizeof(*leaks_any); i++)
		test_leak(a, local_hop, local_hop, leaks_any[i][0],
		    leaks_any[i][1]);
	test_swap(false, as_is, COUNT);
	test_swap(true, swapped, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		differ += as_is[i] != swapped[i];
	tap_is_int((long long)differ, 0,
	    "all marks swapped between ham and spam: no score changes");
	arena_free(a);
}

static const char *const fields_that_count[] = { "From", "Subject", "X-Mailer",
	"User-Agent", "Reply-To", "List-Id", "Date", "Organization", "Face",
	"Keywords", "Pathway", "X-Priority" };

static void
test_field_names(void)
{
	for (size_t i = 0; i < sizeof(fields_that_count) /
	    sizeof(*fields_that_count); i++)
		tap_ok(!sample_field_leaks(span_cstr(fields_that_count[i])),
		    "%s is the author's", fields_that_count[i]);
	tap_ok(sample_field_leaks(SPAN_LIT("STATUS")), "case does not matter");
	tap_ok(!sample_field_leaks(SPAN_LIT("")), "an empty name");
}

static bool
view_has(const struct sample *s, enum sample_view view, const char *text)
{
	return s->view[view].len != 0 && memmem(s->view[view].ptr,
	    s->view[view].len, text, strlen(text)) != NULL;
}

static void
test_views(void)
{
	static const char raw[] =
	    "Received: from a.example ([192.0.2.1]) by here.example; x\r\n"
	    "Received: from b.example ([192.0.2.2]) by a.example; y\r\n"
	    "DKIM-Signature: v=1; b=QUJDREVGR0g\r\n"
	    "From: =?utf-8?Q?J=C3=B6rg?= <joerg@b.example>\r\n"
	    "Subject: a\r\n folded one\r\n"
	    "To: me@home.example\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: base64\r\n"
	    "\r\n"
	    "SGVsbG8gV29ybGQgaHR0cDovL3NwYW0uZXhhbXBsZS9wYXRo\r\n";
	struct arena *a = arena_new(8 << 20);
	struct sample s = mail_sample(a, span_of(raw, sizeof(raw) - 1), true), t;
	struct sample lf, smtp;
	struct span packed;
	char lines[sizeof(raw)];
	size_t n = 0;

	tap_ok(view_has(&s, SAMPLE_HEAD, "From: J\xC3\xB6rg <joerg@b.example>\n"),
	    "the author's fields are decoded");
	tap_ok(view_has(&s, SAMPLE_HEAD, "Subject: a folded one\n"),
	    "and unfolded");
	tap_ok(!view_has(&s, SAMPLE_HEAD, "Received") &&
	    !view_has(&s, SAMPLE_HEAD, "DKIM"), "the path is not the author's");
	tap_ok(view_has(&s, SAMPLE_RAW, "b.example ([192.0.2.2])") &&
	    !view_has(&s, SAMPLE_RAW, "192.0.2.1"),
	    "raw: foreign hops stay, the local one goes");
	tap_ok(!view_has(&s, SAMPLE_RAW, "QUJDREVGR0g"), "raw: no signatures");
	tap_ok(view_has(&s, SAMPLE_RAW, "SGVsbG8g"), "raw: the body as it came");
	tap_ok(view_has(&s, SAMPLE_TOKENS, "h=dkim-signature ") &&
	    view_has(&s, SAMPLE_TOKENS, "from>subject "),
	    "tokens: which fields, in which order");
	tap_ok(view_has(&s, SAMPLE_TEXT, "Hello World"), "text is decoded");
	tap_ok(view_has(&s, SAMPLE_TOKENS, "u=spam.example "),
	    "tokens: the domain of a link");

	for (size_t i = 0; i < sizeof(raw) - 1; i++)
		if (raw[i] != '\r')
			lines[n++] = raw[i];
	lf = mail_sample(a, span_of(lines, n), true);
	tap_ok(sample_eq(&s, &lf), "LF or CR LF: the same sample");
	n = (size_t)(strstr(raw, "\r\n") + 2 - raw);
	smtp = mail_sample(a, span_of(raw + n, sizeof(raw) - 1 - n), false);
	tap_ok(sample_eq(&s, &smtp),
	    "by SMTP, before the local Received was added: the same sample");

	tap_is_int(sample_pack(&s, a, &packed), 0, "packs");
	tap_ok(packed.len <= SAMPLE_MAX_BYTES, "within its limit");
	tap_is_int(sample_unpack(packed, &t), 0, "unpacks");
	tap_ok(sample_eq(&s, &t), "as it was");
	for (size_t cut = 0; cut < packed.len; cut++)
		if (sample_unpack(span_of(packed.ptr, cut), &t) != -EBADMSG)
			tap_ok(false, "cut at %zu is refused", cut);
	tap_ok(true, "every cut is refused");
	arena_free(a);
}

static void
test_hostile(void)
{
	static const char *const raws[] = {
		"X: y\n\n", "From:\n\n", "Subject: \xFF\xFE\x80\n\n\x80\x81",
		"Received: \nReceived:\n\nx", "To:\nReply-To:@\nFrom:@@@@>>\n\n",
		"Content-Type: ;;;\nSubject: [\n\n", "a:b",
		"Content-Type: multipart/mixed; boundary=x\n\n--x\n--x--\n",
	};
	struct arena *a = arena_new(64 << 20);
	struct buf b;
	struct sample s;

	for (size_t i = 0; i < sizeof(raws) / sizeof(*raws); i++)
		mail_sample(a, span_cstr(raws[i]), true);
	tap_ok(true, "odd messages give samples");
	buf_init(&b, 8 << 20);
	for (int i = 0; i < 900; i++)
		buf_printf(&b, "X-Field-%d: %0200d\n", i, i);
	buf_add_char(&b, '\n');
	for (int i = 0; i < 100000; i++)
		buf_add(&b, "\0\r \t\xE4", 5);
	s = mail_sample(a, buf_span(&b), true);
	tap_ok(s.view[SAMPLE_RAW].len == SAMPLE_RAW_BYTES &&
	    s.view[SAMPLE_HEAD].len <= SAMPLE_HEAD_BYTES &&
	    s.view[SAMPLE_TOKENS].len <= SAMPLE_TOKENS_BYTES,
	    "a large one fills its views and no more");
	buf_done(&b);
	arena_free(a);
}

int
main(void)
{
	test_leaks();
	test_field_names();
	test_views();
	test_hostile();
	return tap_done();
}
