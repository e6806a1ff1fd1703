/* One gathering: what is asked, what is evidence, what is only unknown. */
#include "t/auth/auth_fixture.h"

static const char zone[] =
    "# a small world\n"
    "example.org TXT \"v=spf1 include:spf.example.org -all\"\n"
    "spf.example.org TXT \"v=spf1 ip4:192.0.2.0/24 \" \"-all\"\n"
    "example.org MX 10 mx.example.org\n"
    "mx.example.org A 192.0.2.1\n"
    "mx.example.org TXT \"v=spf1 a -all\"\n"
    "1.2.0.192.in-addr.arpa PTR mx.example.org.\n"
    "2.2.0.192.in-addr.arpa PTR liar.example.org\n"
    "liar.example.org A 192.0.2.99\n"
    "3.2.0.192.in-addr.arpa TIMEOUT\n"
    "4.2.0.192.in-addr.arpa PTR slow.example.org\n"
    "slow.example.org SERVFAIL\n"
    "null.example MX 0 .\n"
    "null.example A 192.0.2.7\n"
    "broken.example TIMEOUT MX\n"
    "broken.example A 192.0.2.8\n"
    "late.example TIMEOUT\n"
    "xn--bcher-kva.example TXT \"v=spf1 +all\"\n";

static const char mail[] = "From: a@example.org\nSubject: x\n\nhello\n";

static struct evidence *
gather(struct fixture *f, const char *ip, const char *helo,
    const char *mail_from)
{
	struct envelope env = { .source = ENVELOPE_SMTP, .helo = helo,
		.mail_from = mail_from };

	if (ip != NULL)
		netaddr_parse(span_cstr(ip), &env.client_ip);
	return fixture_gather(f, span_cstr(mail), &env, 1000);
}

static void
test_offline(void)
{
	struct fixture f;
	struct evidence *e;

	fixture_init(&f, NULL);
	e = gather(&f, "192.0.2.1", "mx.example.org", "a@example.org");
	tap_is_str(e->dns.why, "offline", "offline: dns says so");
	tap_ok(e->spf_mailfrom.check.state == CHECK_NOT_RUN &&
	    strcmp(e->spf_mailfrom.check.why, "offline") == 0,
	    "offline: spf is not run");
	tap_ok(e->iprev.check.state == CHECK_NOT_RUN, "offline: iprev");
	tap_ok(e->helo.check.state == CHECK_NOT_RUN, "offline: helo");
	tap_ok(e->sender_domain.check.state == CHECK_NOT_RUN,
	    "offline: sender domain");
	fixture_done(&f);
}

static void
test_checks(void)
{
	static const struct {
		const char *ip, *helo, *from;
		const char *spf, *spf_helo, *iprev, *name;
	} rows[] = {
		{ "192.0.2.1", "mx.example.org", "a@example.org", "pass",
		    "pass", "pass", "mx.example.org" },
		{ "198.51.100.1", "mx.example.org", "a@example.org", "fail",
		    "fail", "permerror", NULL },
		{ "127.0.0.1", "mx.example.org", "a@example.org", "fail",
		    "fail", "permerror", NULL }, /* no free pass */
		{ "192.0.2.2", "x.example.com", "", "none", "none", "fail",
		    "liar.example.org" },
		{ "192.0.2.3", "mx.example.org", "", "fail", "fail",
		    "temperror", NULL },
		{ "192.0.2.4", "mx.example.org", "a@late.example", "temperror",
		    "fail", "temperror", "slow.example.org" },
		{ "192.0.2.1", "[192.0.2.1]", "a@b\xc3\xbc" "cher.example",
		    "pass", "none", "pass", "mx.example.org" },
	};
	struct fixture f;

	fixture_init(&f, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct evidence *e = gather(&f, rows[i].ip, rows[i].helo,
		    rows[i].from);

		printf("# %s %s <%s>\n", rows[i].ip, rows[i].helo,
		    rows[i].from);
		tap_is_str(auth_result_name(e->spf_mailfrom.result),
		    rows[i].spf, "spf mfrom");
		tap_is_str(auth_result_name(e->spf_helo.result),
		    rows[i].spf_helo, "spf helo");
		tap_is_str(auth_result_name(e->iprev.result), rows[i].iprev,
		    "iprev");
		tap_is_str(e->iprev.name, rows[i].name, "iprev name");
	}
	struct evidence *e = gather(&f, "192.0.2.3", "mx.example.org",
	    "a@late.example");
	tap_ok(e->iprev.check.state == CHECK_UNKNOWN &&
	    strcmp(e->iprev.check.why, "timeout") == 0,
	    "a PTR timeout is unknown");
	tap_ok(e->spf_mailfrom.check.state == CHECK_UNKNOWN,
	    "an SPF timeout is unknown");
	fixture_done(&f);
}

/* PTR records are written by whoever has the address block. */
static void
test_odd_ptr(void)
{
	static const struct {
		const char *label, *zone, *want, *name;
	} rows[] = {
		{ "capital letters", "1.2.0.192.in-addr.arpa PTR MX.Example.ORG\n"
		    "mx.example.org A 192.0.2.1\n", "pass", "mx.example.org" },
		{ "through an alias", "1.2.0.192.in-addr.arpa PTR a.example\n"
		    "a.example CNAME b.example\nb.example A 192.0.2.1\n", "pass",
		    "a.example" },
		{ "a delegated range", "1.2.0.192.in-addr.arpa CNAME 1.0-63.2.0.192.in-addr.arpa\n"
		    "1.0-63.2.0.192.in-addr.arpa PTR a.example\na.example A 192.0.2.1\n",
		    "pass", "a.example" },
		{ "space in it", "1.2.0.192.in-addr.arpa PTR bank\\032x.example\n"
		    "bank\\032x.example A 192.0.2.1\n", "fail",
		    "bank\\032x.example" },
		{ "a line end in it", "1.2.0.192.in-addr.arpa PTR a\\010b.example\n"
		    "a\\010b.example A 192.0.2.1\n", "fail", "a\\010b.example" },
		{ "a dot within a label", "1.2.0.192.in-addr.arpa PTR mx\\.bank.example\n"
		    "mx\\.bank.example A 192.0.2.1\n", "fail", "mx\\.bank.example" },
		{ "the root", "1.2.0.192.in-addr.arpa PTR .\n", "fail", NULL },
		{ "of somebody else", "1.2.0.192.in-addr.arpa PTR mx.bank.example\n"
		    "mx.bank.example A 192.0.2.9\n", "fail", "mx.bank.example" },
		{ "only IPv6 behind it", "1.2.0.192.in-addr.arpa PTR a.example\n"
		    "a.example AAAA ::ffff:192.0.2.1\n", "fail", "a.example" },
		{ "the eleventh is right", "1.2.0.192.in-addr.arpa PTR n0.example\n"
		    "1.2.0.192.in-addr.arpa PTR n1.example\n"
		    "1.2.0.192.in-addr.arpa PTR n2.example\n"
		    "1.2.0.192.in-addr.arpa PTR n3.example\n"
		    "1.2.0.192.in-addr.arpa PTR n4.example\n"
		    "1.2.0.192.in-addr.arpa PTR n5.example\n"
		    "1.2.0.192.in-addr.arpa PTR n6.example\n"
		    "1.2.0.192.in-addr.arpa PTR n7.example\n"
		    "1.2.0.192.in-addr.arpa PTR n8.example\n"
		    "1.2.0.192.in-addr.arpa PTR n9.example\n"
		    "1.2.0.192.in-addr.arpa PTR right.example\n"
		    "right.example A 192.0.2.1\n", "fail", "n0.example" },
		{ "the second is right", "1.2.0.192.in-addr.arpa PTR n0.example\n"
		    "1.2.0.192.in-addr.arpa PTR right.example\n"
		    "right.example A 192.0.2.1\n", "pass", "right.example" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct evidence *e;
		struct fixture f;

		fixture_init(&f, rows[i].zone);
		e = gather(&f, "192.0.2.1", "x.example", "");
		tap_is_str(auth_result_name(e->iprev.result), rows[i].want,
		    rows[i].label);
		tap_is_str(e->iprev.name, rows[i].name, "its name");
		fixture_done(&f);
	}
}

/* Macros of a record, filled with what a sender writes */
static void
test_odd_macros(void)
{
	static const struct {
		const char *label, *from, *helo, *want;
	} rows[] = {
		{ "a plain local part", "a.b@example.org", "x", "pass" },
		{ "an empty label from a local part", "a..b@example.org", "x",
		    "fail" },
		{ "a macro in a local part is text", "%{d}@example.org", "x",
		    "pass" },
		{ "a macro that would end the record", "% all@example.org", "x",
		    "fail" },
		{ "a quoted local part", "\"x@y\"@example.org", "x", "pass" },
		{ "a backslash", "a\\b@example.org", "x", "pass" },
		{ "bytes above ASCII", "\xc3\xa4@example.org", "x", "pass" },
		{ "a HELO name with a macro", "no@example.org", "%{s}.example",
		    "fail" },
		{ "a label over 63 bytes",
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "@example.org", "x", "fail" },
	};
	struct fixture f;

	fixture_init(&f, "example.org TXT \"v=spf1 exists:%{l}._spf.%{d} "
	    "exists:%{h}._helo.%{d} -all\"\n"
	    "a.b._spf.example.org A 127.0.0.2\n"
	    "%{d}._spf.example.org A 127.0.0.2\n"
	    "\\\"x@y\\\"._spf.example.org A 127.0.0.2\n"
	    "a\\092b._spf.example.org A 127.0.0.2\n"
	    "\\195\\164._spf.example.org A 127.0.0.2\n"
	    "no@example.org.example._helo.example.org A 127.0.0.2\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct evidence *e = gather(&f, "192.0.2.1", rows[i].helo,
		    rows[i].from);

		tap_is_str(auth_result_name(e->spf_mailfrom.result),
		    rows[i].want, rows[i].label);
	}
	fixture_done(&f);
}

/* What was begun early for one client must not be said of another. */
static void
test_begun_otherwise(void)
{
	struct message_limits limits = { 1 << 20, 100, 20, 100, 100 };
	struct envelope env = { .source = ENVELOPE_SMTP,
		.helo = "mx.example.org", .mail_from = "a@example.org" };
	struct evidence e = { .now = 1000 };
	struct arena *a = arena_new(64 << 20);
	struct netaddr other;
	struct fixture f;
	struct message *m;
	struct error err;
	struct auth *x;

	fixture_init(&f, zone);
	netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
	netaddr_parse(SPAN_LIT("198.51.100.1"), &other);
	message_parse(a, span_cstr(mail), strlen(mail), &limits, &m, &err);
	x = auth_new(f.context, &f.settings, a);
	auth_begin_client(x, &other);
	auth_begin_client(x, &other);
	auth_begin_client_name(x, "mx.example.org");
	auth_begin_helo(x, "liar.example.org");
	auth_begin_mail_from(x, "b@late.example");
	tap_is_int(auth_finish(x, &env, m, NULL, &e, &err), 0,
	    "another envelope than was begun");
	tap_ok(e.spf_mailfrom.result == AUTH_PASS &&
	    e.spf_helo.result == AUTH_PASS && e.iprev.result == AUTH_PASS &&
	    e.helo.matches_client && e.sender_domain.exists,
	    "the evidence is about the one that is judged");
	auth_free(x);
	fixture_done(&f);
	arena_free(a);
}

static void
test_helo_and_sender(void)
{
	static const struct {
		const char *helo, *want;
	} helos[] = {
		{ "mx.example.org", "resolves matches" },
		{ "null.example", "resolves" },
		{ "nowhere.example", "" },
		{ "late.example", "unknown" },
		{ "mail", "non_fqdn" },
		{ "mx.example.net", "us" },
		{ "192.0.2.1", "invalid" },
		{ "-x.example", "invalid" },
		{ "a b.example", "invalid" },
		{ "x..example", "invalid" },
		{ "[192.0.2.1]", "matches literal" },
		{ "[192.0.2.9]", "literal mismatch" },
		{ "[IPv6:2001:db8::1]", "literal mismatch" },
		{ "[mail]", "invalid literal" },
	};
	static const struct {
		const char *from, *want;
	} senders[] = {
		{ "a@example.org", "exists" },
		{ "a@mx.example.org", "exists" },
		{ "a@nowhere.example", "" },
		{ "a@null.example", "null_mx" },
		{ "a@broken.example", "exists unknown" },
		{ "a@late.example", "unknown" },
		{ "a@localhost", "non_fqdn notrun" },
		{ "a@[192.0.2.1]", "notrun" },
		{ "a", "non_fqdn notrun" },
		{ "", "notrun" },
	};
	struct fixture f;
	char got[100];

	fixture_init(&f, zone);
	for (size_t i = 0; i < sizeof(helos) / sizeof(helos[0]); i++) {
		struct helo_evidence *h = &gather(&f, "192.0.2.1",
		    helos[i].helo, "")->helo;

		snprintf(got, sizeof(got), "%s%s%s%s%s%s%s%s",
		    h->invalid ? " invalid" : "",
		    h->resolves ? " resolves" : "",
		    h->matches_client ? " matches" : "",
		    h->is_us ? " us" : "",
		    h->literal ? " literal" : "",
		    h->literal_mismatch ? " mismatch" : "",
		    h->non_fqdn ? " non_fqdn" : "",
		    h->check.state == CHECK_UNKNOWN ? " unknown" : "");
		tap_is_str(got[0] == ' ' ? got + 1 : got, helos[i].want,
		    helos[i].helo);
	}
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		struct sender_domain_evidence *s = &gather(&f, "192.0.2.1",
		    "mx.example.org", senders[i].from)->sender_domain;

		snprintf(got, sizeof(got), "%s%s%s%s%s",
		    s->exists ? " exists" : "", s->null_mx ? " null_mx" : "",
		    s->non_fqdn ? " non_fqdn" : "",
		    s->check.state == CHECK_UNKNOWN ? " unknown" : "",
		    s->check.state == CHECK_NOT_RUN ? " notrun" : "");
		tap_is_str(got[0] == ' ' ? got + 1 : got, senders[i].want,
		    senders[i].from);
	}
	fixture_done(&f);
}

static void
test_organisational(void)
{
	static const struct {
		const char *domain, *want;
	} rows[] = {
		{ "a.b.example.com", "example.com" },
		{ "Example.COM.", "example.com" },
		{ "mail.example.co.uk", "example.co.uk" },
		{ "co.uk", NULL }, { "com", NULL }, { "", NULL },
		{ "[192.0.2.1]", NULL }, { "192.0.2.1", NULL },
		{ "a.b\xc3\xbc" "cher.de", "xn--bcher-kva.de" },
		{ "a.xn--bcher-kva.de", "xn--bcher-kva.de" },
		{ "x.foo.ck", "x.foo.ck" }, { "www.ck", "www.ck" },
		{ "me.github.io", "me.github.io" },
		{ "a..example.com", NULL },
	};
	struct fixture f;

	fixture_init(&f, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[256];
		bool ok = auth_organisational_domain(f.context,
		    span_cstr(rows[i].domain), out);

		tap_is_str(ok ? out : NULL, rows[i].want, rows[i].domain);
	}
	fixture_done(&f);
}

static void
test_claims(void)
{
	static const struct {
		const char *body;
		bool want;
	} rows[] = {
		{ " mx.example.net; spf=pass", true },
		{ " MX.Example.NET; spf=pass", true },
		{ " mx.example.net 1; spf=pass", true },
		{ " mx.example.net.; spf=pass", true },
		{ "mx.example.net", true },
		{ "\tmx.example.net\n\t; none", true },
		{ "\n mx.example.net;none", true },
		{ " (a (nested) \\) one) mx.example.net (b); none", true },
		{ " \"mx.example.net\"; none", true },
		{ " \"mx\\.example.net\" ; none", true },
		{ " mx.example.net(x); none", true },
		{ " mx.example.net/1; none", true },
		{ " m\x01x.example.net; none", true },
		{ " mx(a).example(b).net; none", true },
		{ " mx . example . net; none", true },
		{ " \"mx.example\".net; none", true },
		{ " mx\n .example.net 1 ; none", true },
		{ " =?utf-8?q?mx.example.net?=; none", true },
		{ " =?us-ascii?b?bXguZXhhbXBsZS5uZXQ=?=; none", true },
		{ " =?utf-8?q?=28x=29_mx.example?=.net 1; none", true },
		{ " mx\xc2\xad.example.net; none", true },
		{ " \xef\xbd\x8d\xef\xbd\x98.example.net; none", true },
		{ " mx\xef\xbc\x8e" "example.net; none", true },
		{ " mx.example.net none", true },
		{ " mx.example.net=1; none", true },
		{ " =?utf-8?q?mx.example.org?=; none", false },
		{ " mx.example.net.evil.example; none", false },
		{ " mx.example .network; none", false },
		{ " mx.example.org; spf=pass", false },
		{ " mx.example.network; spf=pass", false },
		{ " amx.example.net; spf=pass", false },
		{ " (mx.example.net) other.example; none", false },
		{ " other.example; x=mx.example.net", false },
		{ "", false }, { " ;", false }, { " \"", false },
		{ " (never closed mx.example.net", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!tap_ok(auth_results_claims(span_cstr(rows[i].body),
		    "mx.example.net") == rows[i].want, "claim %zu", i))
			tap_dump("body", rows[i].body, strlen(rows[i].body));
	tap_ok(auth_results_claims(span_cstr(" mx.b\xc3\xbc" "cher.example; none"),
	    "mx.xn--bcher-kva.example"), "IDN spelling of our name");
	tap_ok(auth_results_claims(span_of(" mx.ex\0ample.net; none", 23),
	    "mx.example.net"), "a NUL does not hide our name");
}

static void
test_results(void)
{
	struct fixture f;
	struct evidence *e;
	struct envelope env = { .mail_from = "a@example.org",
		.helo = "mx.example.org" };
	struct dkim_evidence dkim[2] = {
		{ .check = { CHECK_DONE, NULL }, .result = AUTH_PASS,
		    .domain = "example.org", .selector = "s1",
		    .algorithm = "rsa-sha256", .signature_prefix = "AbC+/123" },
		{ .check = { CHECK_UNKNOWN, "timeout" },
		    .result = AUTH_TEMPERROR, .reason = "time\nout",
		    .domain = "example.com", .selector = "x y\"z" },
	};

	netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
	fixture_init(&f, zone);
	e = gather(&f, "192.0.2.1", "mx.example.org", "a@example.org");
	e->dkim = dkim;
	e->dkim_count = 2;
	tap_is_span(auth_results_format(f.arena, "mx.example.net", e, &env),
	    SPAN_LIT("mx.example.net;\n"
	    "\tspf=pass smtp.mailfrom=a@example.org;\n"
	    "\tspf=pass smtp.helo=mx.example.org;\n"
	    "\tdkim=pass header.d=example.org header.s=s1"
	    " header.a=rsa-sha256 header.b=\"AbC+/123\";\n"
	    "\tdkim=temperror reason=\"time?out\" header.d=example.com"
	    " header.s=\"x y\\\"z\";\n"
	    "\tdmarc=none header.from=example.org;\n"
	    "\tiprev=pass policy.iprev=192.0.2.1"), "all methods");
	/* what a sender may put into a value */
	e->dkim_count = 1;
	e->spf_mailfrom.reason = "x; dkim=pass (\r\n\tdmarc=pass";
	env.mail_from = "\xe2\x80\xae\xff\"; spf=pass\n@example.org";
	tap_is_span(auth_results_format(f.arena, "mx.example.net", e, &env),
	    SPAN_LIT("mx.example.net;\n"
	    "\tspf=pass reason=\"x; dkim=pass (???dmarc=pass\""
	    " smtp.mailfrom=\"\\\\u{202e}\\\\xff\\\"; spf=pass\\\\n@example.org\";\n"
	    "\tspf=pass smtp.helo=mx.example.org;\n"
	    "\tdkim=pass header.d=example.org header.s=s1"
	    " header.a=rsa-sha256 header.b=\"AbC+/123\";\n"
	    "\tdmarc=none header.from=example.org;\n"
	    "\tiprev=pass policy.iprev=192.0.2.1"), "nothing gets out of a value");
	fixture_done(&f);
	fixture_init(&f, NULL);
	e = gather(&f, NULL, NULL, NULL);
	tap_is_span(auth_results_format(f.arena, "mx.example.net", e, &env),
	    SPAN_LIT("mx.example.net; none"), "nothing was done");
	fixture_done(&f);
}

int
main(void)
{
	test_offline();
	test_checks();
	test_odd_ptr();
	test_odd_macros();
	test_begun_otherwise();
	test_helo_and_sender();
	test_organisational();
	test_claims();
	test_results();
	return tap_done();
}
