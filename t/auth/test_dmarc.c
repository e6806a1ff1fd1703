/* DMARC: records, discovery, alignment, and what is only unknown. */
#include "scoring/auth/dmarc.h"
#include "t/auth/auth_fixture.h"
#include "t/auth/signer.h"

static void
test_records(void)
{
	static const struct {
		const char *text, *want; /* NULL: no record */
	} rows[] = {
		{ "v=DMARC1; p=reject", "reject - - rr 100" },
		{ "v=DMARC1;p=none;", "none - - rr 100" },
		{ "v = DMARC1 ; p = quarantine ; sp=none", "quarantine none - rr 100" },
		{ "v=DMARC1; p=Reject; adkim=s; aspf=S; pct=20", "reject - - ss 20" },
		{ "v=DMARC1; p=reject; pct=101", "reject - - rr 100" },
		{ "v=DMARC1; p=reject; pct=-1", "reject - - rr 100" },
		{ "v=DMARC1; p=reject; pct=99999999999", "reject - - rr 100" },
		{ "v=DMARC1; p=reject; pct=0", "reject - - rr 0" },
		{ "v=DMARC1; p=reject; np=none; t=y; psd=n", "reject - none rr 100" },
		{ "v=DMARC1; p=reject; x; y=; =z;; ;", "reject - - rr 100" },
		{ "v=DMARC1; p=reject; p=none", "reject - - rr 100" },
		{ "v=DMARC1", NULL },
		{ "v=DMARC1;", NULL },
		{ "v=DMARC1; p=bogus", NULL },
		{ "v=DMARC1; p=bogus; rua=mailto:a@b.example", "none - - rr 100" },
		{ "v=DMARC1; rua=mailto:a@b.example", "none - - rr 100" },
		{ "v=DMARC1; p=reject; sp=bogus", NULL },
		{ "v=DMARC1; p=reject; sp=bogus; rua=mailto:a@b.example", "none - - rr 100" },
		{ "v=dmarc1; p=reject", NULL },
		{ "v=DMARC12; p=reject", NULL },
		{ " v=DMARC1; p=reject", NULL },
		{ "p=reject; v=DMARC1", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dmarc_record r;
		char got[100];
		bool ok = dmarc_record_parse(span_cstr(rows[i].text), &r);

		if (ok)
			snprintf(got, sizeof(got), "%s %s %s %c%c %u",
			    dmarc_policy_name(r.p),
			    r.sp ? dmarc_policy_name(r.sp) : "-",
			    r.np ? dmarc_policy_name(r.np) : "-",
			    r.strict_dkim ? 's' : 'r',
			    r.strict_spf ? 's' : 'r', r.pct);
		tap_is_str(ok ? got : NULL, rows[i].want, rows[i].text);
	}
}

static const char zone[] =
    "example.org TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "_dmarc.example.org TXT \"v=DMARC1; p=reject; sp=quarantine\"\n"
    "mail.example.org TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "strict.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "sub.strict.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "_dmarc.strict.example TXT \"v=DMARC1; p=reject; aspf=s; adkim=s\"\n"
    "other.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "_dmarc.own.example.org TXT \"v=DMARC1; p=none\"\n"
    "_dmarc.two.example TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.two.example TXT \"v=DMARC1; p=none\"\n"
    "_dmarc.beside.example TXT \"hello\"\n"
    "_dmarc.beside.example TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.slow.example TIMEOUT\n"
    "_dmarc.fail.example SERVFAIL\n"
    "_dmarc.half.example TXT \"v=DMARC1; p=reject\"\n"
    "half.example TIMEOUT TXT\n"
    "_dmarc.never.example TXT \"v=DMARC1; p=reject; pct=0\"\n"
    "_dmarc.com TXT \"v=DMARC1; p=reject; psd=y\"\n"
    "_dmarc.bank.com TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.a.b.c.d.e.f.g.h.i.long.example TXT \"v=DMARC1; p=none\"\n"
    "_dmarc.long.example TXT \"v=DMARC1; p=reject; sp=none; np=reject\"\n"
    "w.long.example A 192.0.2.5\n"
    "_dmarc.team.corp.example TXT \"v=DMARC1; p=quarantine; psd=n\"\n"
    "_dmarc.corp.example TXT \"v=DMARC1; p=reject\"\n"
    "x.team.corp.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "y.corp.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "bounce.co.uk TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
    "_dmarc.shop.co.uk TXT \"v=DMARC1; p=reject\"\n";

struct row {
	const char *label, *from; /* the From fields, as they are */
	const char *mail_from, *ip;
	const char *want, *policy, *domain, *reason;
};

static void
run_rows(struct fixture *f, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct envelope env = { .source = ENVELOPE_SMTP,
			.helo = "x.invalid", .mail_from = rows[i].mail_from };
		char text[2000];
		struct dmarc_evidence *d;

		netaddr_parse(span_cstr(rows[i].ip), &env.client_ip);
		snprintf(text, sizeof(text), "%sSubject: x\n\nhello\n",
		    rows[i].from);
		d = &fixture_gather(f, span_cstr(text), &env, 1000)->dmarc;
		printf("# %s\n", rows[i].label);
		tap_is_str(auth_result_name(d->result), rows[i].want,
		    "result");
		tap_is_str(d->policy, rows[i].policy, "policy");
		tap_is_str(d->policy_domain, rows[i].domain, "policy domain");
		if (rows[i].reason != NULL)
			tap_is_str(d->reason, rows[i].reason, "reason");
		tap_ok((d->check.state == CHECK_UNKNOWN) ==
		    (d->result == AUTH_TEMPERROR), "unknown if temperror");
	}
}

/* What a sender may write to be taken for another: b@other.example passes
 * SPF and has no record, bank.com says p=reject. */
static void
test_odd_from(void)
{
	static const struct row rows[] = {
		{ "an address as display name", "From: \"a@bank.com\" <x@other.example>\n",
		    "b@other.example", "192.0.2.1", "none", NULL, NULL, NULL },
		{ "an address as display name, unquoted",
		    "From: a@bank.com <x@other.example>\n", "b@other.example",
		    "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "two in brackets", "From: <a@bank.com> <x@other.example>\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "two signs", "From: a@bank.com@other.example\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "a quoted local part with a sign",
		    "From: \"a@bank.com\"@other.example\n", "b@other.example",
		    "192.0.2.1", "none", NULL, NULL, NULL },
		{ "the same the other way round",
		    "From: \"x@other.example\"@bank.com\n", "b@other.example",
		    "192.0.2.1", "fail", "reject", "bank.com", NULL },
		{ "a quoted bracket", "From: \"<a@bank.com> \\\"\" <x@other.example>\n",
		    "b@other.example", "192.0.2.1", "none", NULL, NULL, NULL },
		{ "a quote that never ends", "From: \"a <x@other.example>, a@bank.com\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "in a comment", "From: x@other.example (a@bank.com)\n",
		    "b@other.example", "192.0.2.1", "none", NULL, NULL, NULL },
		{ "in nested comments",
		    "From: (x@other.example (\\) c) ) a@bank.com (x@other.example)\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "a comment that never ends", "From: a@bank.com (x\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "a comment in the domain", "From: a@bank(x).com\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "space in the domain", "From: a@bank.\n com\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "a route", "From: <@other.example:a@bank.com>\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "a group", "From: Team: a@bank.com;\n", "b@other.example",
		    "192.0.2.1", "fail", "reject", "bank.com", NULL },
		{ "a group behind an address",
		    "From: x@other.example, Team: a@bank.com;\n", "b@other.example",
		    "192.0.2.1", "permerror", NULL, NULL, "several author domains" },
		{ "an empty group", "From: undisclosed:;\n", "b@other.example",
		    "192.0.2.1", "permerror", NULL, NULL, "no author domain" },
		{ "semicolons for commas", "From: x@other.example; a@bank.com\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "empty elements", "From: , ,a@bank.com,,\n", "b@other.example",
		    "192.0.2.1", "fail", "reject", "bank.com", NULL },
		{ "an encoded address", "From: =?utf-8?q?a=40bank.com?=\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "an encoded comma and more",
		    "From: =?utf-8?q?a=40bank.com=2C?= <x@other.example>\n",
		    "b@other.example", "192.0.2.1", "none", NULL, NULL, NULL },
		{ "capital letters and a final dot", "FROM: A@BANK.com.\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "letters of full width",
		    "From: a@\xef\xbd\x82\xef\xbd\x81\xef\xbd\x8e\xef\xbd\x8b.com\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "a dot of another script", "From: a@bank\xe3\x80\x82" "com\n",
		    "b@other.example", "192.0.2.1", "fail", "reject", "bank.com",
		    NULL },
		{ "a soft hyphen", "From: a@ba\xc2\xadnk.com\n", "b@other.example",
		    "192.0.2.1", "fail", "reject", "bank.com", NULL },
		{ "bytes that are no UTF-8", "From: a@bank\xff.com\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "a control", "From: a@bank\x01.com\n", "b@other.example",
		    "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "an address literal", "From: a@[192.0.2.1]\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL, NULL },
		{ "nothing", "From:\n", "b@other.example", "192.0.2.1",
		    "permerror", NULL, NULL, NULL },
		{ "a field in two cases", "From: x@other.example\nfrom: a@bank.com\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL,
		    "several From fields" },
		{ "space before the colon", "From: x@other.example\nFrom : a@bank.com\n",
		    "b@other.example", "192.0.2.1", "permerror", NULL, NULL,
		    "several From fields" },
		{ "an empty label", "From: a@bank..com\n", "b@other.example",
		    "192.0.2.1", "permerror", NULL, NULL, NULL },
	};
	struct fixture f;

	fixture_init(&f, zone);
	run_rows(&f, rows, sizeof(rows) / sizeof(rows[0]));
	fixture_done(&f);
}

static void
test_evaluation(void)
{
	static const struct row rows[] = {
		{ "aligned SPF", "From: a@example.org\n", "b@example.org",
		    "192.0.2.1", "pass", "reject", "example.org", NULL },
		{ "relaxed: a subdomain bounces", "From: a@example.org\n",
		    "b@mail.example.org", "192.0.2.1", "pass", "reject",
		    "example.org", NULL },
		{ "SPF of another domain", "From: a@example.org\n",
		    "b@other.example", "192.0.2.1", "fail", "reject",
		    "example.org", "no aligned identifier passed" },
		{ "SPF fails", "From: a@example.org\n", "b@example.org",
		    "192.0.2.9", "fail", "reject", "example.org", NULL },
		{ "subdomain policy", "From: a@mail.example.org\n",
		    "b@other.example", "192.0.2.1", "fail", "quarantine",
		    "example.org", NULL },
		{ "a subdomain's own record", "From: a@own.example.org\n",
		    "b@other.example", "192.0.2.1", "fail", "none",
		    "own.example.org", NULL },
		{ "strict, equal", "From: a@strict.example\n",
		    "b@strict.example", "192.0.2.1", "pass", "reject",
		    "strict.example", NULL },
		{ "strict, subdomain", "From: a@strict.example\n",
		    "b@sub.strict.example", "192.0.2.1", "fail", "reject",
		    "strict.example", NULL },
		{ "public suffix is no organisation", "From: a@shop.co.uk\n",
		    "b@bounce.co.uk", "192.0.2.1", "fail", "reject",
		    "shop.co.uk", NULL },
		{ "no record", "From: a@other.example\n", "b@other.example",
		    "192.0.2.1", "none", NULL, NULL, NULL },
		{ "two records are none", "From: a@two.example\n",
		    "b@other.example", "192.0.2.1", "none", NULL, NULL, NULL },
		{ "other text beside", "From: a@beside.example\n",
		    "b@other.example", "192.0.2.1", "fail", "reject",
		    "beside.example", NULL },
		{ "record times out", "From: a@slow.example\n",
		    "b@other.example", "192.0.2.1", "temperror", NULL, NULL,
		    "timeout" },
		{ "record fails", "From: a@fail.example\n", "b@other.example",
		    "192.0.2.1", "temperror", NULL, NULL, "server failure" },
		{ "aligned SPF times out", "From: a@half.example\n",
		    "b@half.example", "192.0.2.1", "temperror", "reject",
		    "half.example", "DNS timeout" },
		{ "other SPF times out", "From: a@example.org\n",
		    "b@half.example", "192.0.2.1", "fail", "reject",
		    "example.org", NULL },
		{ "no From", "To: b@example.net\n", "b@example.org",
		    "192.0.2.1", "permerror", NULL, NULL, "no From field" },
		{ "several From", "From: a@example.org\nFrom: b@bank.com\n",
		    "b@example.org", "192.0.2.1", "permerror", NULL, NULL,
		    "several From fields" },
		{ "several authors, one domain",
		    "From: a@example.org, b@example.org\nSender: a@example.org\n",
		    "b@example.org", "192.0.2.1", "pass", "reject",
		    "example.org", NULL },
		{ "several author domains",
		    "From: a@example.org, b@bank.com\n", "b@example.org",
		    "192.0.2.1", "permerror", NULL, NULL,
		    "several author domains" },
		{ "no domain", "From: root\n", "b@example.org", "192.0.2.1",
		    "permerror", NULL, NULL, NULL },
		{ "one label", "From: root@localhost\n", "b@example.org",
		    "192.0.2.1", "permerror", NULL, NULL, NULL },
	};
	struct fixture f;
	struct evidence *e;
	struct envelope env = { .source = ENVELOPE_SMTP,
		.mail_from = "b@other.example", .helo = "x.invalid" };

	fixture_init(&f, zone);
	run_rows(&f, rows, sizeof(rows) / sizeof(rows[0]));
	netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
	e = fixture_gather(&f,
	    SPAN_LIT("From: a@never.example\n\nx\n"), &env, 1000);
	tap_ok(e->dmarc.result == AUTH_FAIL && e->dmarc.sampled_out,
	    "pct=0 takes no message");
	e = fixture_gather(&f, SPAN_LIT("From: a@example.org\n\nx\n"), &env,
	    1000);
	tap_ok(e->dmarc.result == AUTH_FAIL && !e->dmarc.sampled_out,
	    "pct=100 takes all");
	e = fixture_gather(&f, SPAN_LIT("From: a@example.org\n\nx\n"), NULL,
	    1000);
	tap_ok(e->dmarc.result == AUTH_TEMPERROR &&
	    e->dmarc.check.state == CHECK_UNKNOWN,
	    "without a client address nothing fails");
	fixture_done(&f);
	fixture_init(&f, NULL);
	e = fixture_gather(&f, SPAN_LIT("From: a@example.org\n\nx\n"), &env,
	    1000);
	tap_ok(e->dmarc.check.state == CHECK_NOT_RUN, "offline: not run");
	fixture_done(&f);
}

static void
test_tree_walk(void)
{
	static const struct row rows[] = {
		{ "record at the domain", "From: a@example.org\n",
		    "b@example.org", "192.0.2.1", "pass", "reject",
		    "example.org", NULL },
		{ "above it", "From: a@mail.example.org\n", "b@example.org",
		    "192.0.2.1", "pass", "quarantine", "example.org", NULL },
		{ "below a public suffix domain", "From: a@x.bank.com\n",
		    "b@other.example", "192.0.2.1", "fail", "reject",
		    "bank.com", NULL },
		{ "psd=n ends the walk", "From: a@team.corp.example\n",
		    "b@x.team.corp.example", "192.0.2.1", "pass",
		    "quarantine", "team.corp.example", NULL },
		{ "and separates", "From: a@team.corp.example\n",
		    "b@y.corp.example", "192.0.2.1", "fail", "quarantine",
		    "team.corp.example", NULL },
		{ "np= for names that do not exist",
		    "From: a@ghost.long.example\n", "b@other.example",
		    "192.0.2.1", "fail", "reject", "long.example", NULL },
		{ "not for those that do", "From: a@w.long.example\n",
		    "b@other.example", "192.0.2.1", "fail", "none",
		    "long.example", NULL },
		{ "long names are cut to seven labels",
		    "From: a@z.y.x.w.v.u.t.s.r.q.long.example\n",
		    "b@other.example", "192.0.2.1", "fail", "reject",
		    "long.example", NULL },
	};
	struct fixture f;

	fixture_init(&f, zone);
	f.settings.dmarc_tree_walk = true;
	run_rows(&f, rows, sizeof(rows) / sizeof(rows[0]));
	fixture_done(&f);
}

/* DKIM's part, and a mailing list that breaks the author's signature */
static void
test_signed(void)
{
	static const char *const names[] = { "From", "Subject", NULL };
	static const struct {
		const char *label, *list_id, *tags;
		int64_t limit;
		const char *want;
		bool list, open, walk;
	} rows[] = {
		{ "aligned", "", "d=example.org; s=k;", -1, "pass", false },
		{ "subdomain", "", "d=mail.example.org; s=k;", -1, "pass",
		    false },
		{ "another domain", "", "d=list.example; s=k;", -1, "fail",
		    false },
		{ "l= does not count", "", "d=example.org; s=k; l=1;", 1,
		    "fail", false },
		{ "the key times out", "", "d=example.org; s=slow;", -1,
		    "temperror", false },
		{ "another's key times out", "", "d=list.example; s=slow;", -1,
		    "fail", false },
		{ "a list's signature",
		    "List-Id: talk <talk.list.example>\n",
		    "d=list.example; s=k;", -1, "fail", true },
		{ "of another list", "List-Id: <talk.evil.example>\n",
		    "d=list.example; s=k;", -1, "fail", false },
		{ "a list's key times out",
		    "List-Id: <talk.list.example>\n",
		    "d=list.example; s=slow;", -1, "fail", true, true },
		{ "a list whose organisation the walk does not find",
		    "List-Id: <talk.list.example>\n",
		    "d=list.example; s=k;", -1, "fail", true, true, true },
		{ "a list's key is not there",
		    "List-Id: <talk.list.example>\n",
		    "d=list.example; s=none;", -1, "fail", false },
	};
	EVP_PKEY *key = signer_rsa(1024);
	struct fixture f;
	struct buf records, text, body;

	buf_init(&records, 1 << 20);
	buf_init(&text, 1 << 20);
	buf_init(&body, 1 << 20);
	buf_add_str(&records, zone);
	buf_add_str(&records, "slow._domainkey.example.org TIMEOUT\n"
	    "slow._domainkey.list.example TIMEOUT\n"
	    "_dmarc.talk.list.example TIMEOUT\n");
	signer_publish(&records, "k._domainkey.example.org", "", key);
	signer_publish(&records, "k._domainkey.mail.example.org", "", key);
	signer_publish(&records, "k._domainkey.list.example", "", key);
	fixture_init(&f, records.ptr);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envelope env = { .source = ENVELOPE_SMTP,
			.helo = "x.invalid", .mail_from = "b@other.example" };
		struct dmarc_evidence *d;
		char tags[200];

		netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
		f.settings.dmarc_tree_walk = rows[i].walk;
		buf_reset(&body);
		buf_reset(&text);
		buf_printf(&body, "From: a@example.org\n%sSubject: x\n\nhello\n",
		    rows[i].list_id);
		snprintf(tags, sizeof(tags),
		    "v=1; a=rsa-sha256; c=relaxed/relaxed; %s", rows[i].tags);
		signer_message(&text, buf_span(&body), "DKIM-Signature", tags,
		    names, true, rows[i].limit, key, false);
		buf_add_span(&text, buf_span(&body));
		d = &fixture_gather(&f, buf_span(&text), &env, 1000)->dmarc;
		tap_is_str(auth_result_name(d->result), rows[i].want,
		    rows[i].label);
		tap_is_str(d->list, rows[i].list ? "list.example" : NULL,
		    "the list");
		tap_ok(!d->excused && d->list_open == rows[i].open,
		    "which is not known yet");
	}
	fixture_done(&f);
	buf_done(&records);
	buf_done(&text);
	buf_done(&body);
	EVP_PKEY_free(key);
}

int
main(void)
{
	test_records();
	test_evaluation();
	test_odd_from();
	test_tree_walk();
	test_signed();
	return tap_done();
}
