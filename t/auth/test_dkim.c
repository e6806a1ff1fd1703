/* Our policy over libopendkim's verdict, signature by signature. */
#include "t/auth/auth_fixture.h"
#include "t/auth/signer.h"

/* RFC 8463 appendix A.3 */
static const char rfc8463[] =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n"
    " d=football.example.com; i=@football.example.com;\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n"
    " subject : date : message-id : from : subject : date;\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n"
    " d=football.example.com; i=@football.example.com;\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\n"
    " date : message-id : from : subject : date;\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\n"
    "From: Joe SixPack <joe@football.example.com>\n"
    "To: Suzie Q <suzie@shopping.example.net>\n"
    "Subject: Is dinner ready?\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\n"
    "\n"
    "Hi.\n"
    "\n"
    "We lost the game.  Are you hungry yet?\n"
    "\n"
    "Joe.\n";

static const char rfc8463_zone[] =
    "brisbane._domainkey.football.example.com TXT \"v=DKIM1; k=ed25519; "
    "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n"
    "test._domainkey.football.example.com TXT \"v=DKIM1; k=rsa; "
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08"
    "a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+y"
    "z1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w"
    "3QIDAQAB\"\n";

static void
test_rfc8463(void)
{
	struct fixture f;
	struct evidence *e;

	fixture_init(&f, rfc8463_zone);
	e = fixture_gather(&f, span_cstr(rfc8463), NULL, 1528637909);
	tap_is_int((long long)e->dkim_count, 2, "two signatures");
	tap_is_str(auth_result_name(e->dkim[0].result), "pass", "ed25519");
	tap_is_str(auth_result_name(e->dkim[1].result), "pass", "rsa");
	tap_is_str(e->dkim[0].domain, "football.example.com", "domain");
	tap_is_str(e->dkim[1].selector, "test", "selector");
	tap_is_str(e->dkim[0].identity, "@football.example.com", "identity");
	tap_is_int(e->dkim[1].key_bits, 1024, "key size");
	tap_ok(e->dkim[0].accountable && e->dkim[0].aligned,
	    "accountable and aligned");
	fixture_done(&f);
}

static EVP_PKEY *good, *small, *key8;
static struct buf zone;

static const char mail[] =
    "From: a@example.org\nTo: b@example.net\nSubject: one\n"
    "Date: Mon, 1 Jan 2024 00:00:00 +0000\n\n"
    "First line \t of text  \nlast line\n\n\n";

static const char *const names[] = { "From", "To", "Subject", "Date", NULL };

struct row {
	const char *label, *tags;
	const char *before, *after; /* text around the message */
	const char *want, *reason;
	bool relaxed, sha1, uncovered, small;
	int64_t limit;
};

static void
test_policy(void)
{
	static const struct row rows[] = {
		{ "relaxed", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "", "", "pass", NULL, true, false, false, false, -1 },
		{ "simple", "v=1; a=rsa-sha256; c=simple/simple; d=example.org; s=good;",
		    "", "", "pass", NULL, false, false, false, false, -1 },
		{ "default canonicalisation", "v=1; a=rsa-sha256; d=example.org; s=good;",
		    "", "", "pass", NULL, false, false, false, false, -1 },
		{ "changed body", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "", "more\n", "fail", "body hash did not verify", true, false, false, false, -1 },
		{ "changed header", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "Subject: two\n", "", "pass", "a Subject is not signed", true, false, false, false, -1 },
		{ "l=0", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; l=0;",
		    "", "", "pass", "l= leaves body text unsigned", true, false, true, false, 0 },
		{ "rsa-sha1", "v=1; a=rsa-sha1; c=relaxed/relaxed; d=example.org; s=good;",
		    "", "", "policy", "rsa-sha1 is no longer valid", true, true, false, false, -1 },
		{ "small key", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=small;",
		    "", "", "policy", "key under 1024 bits", true, false, false, true, -1 },
		{ "l= whole body", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; l=31;",
		    "", "", "pass", NULL, true, false, false, false, 31 },
		{ "l= part of the body", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; l=10;",
		    "", "", "pass", "l= leaves body text unsigned", true, false, true, false, 10 },
		{ "l= and text added", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; l=31;",
		    "", "spam\n", "pass", "l= leaves body text unsigned", true, false, true, false, 31 },
		{ "expired", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; t=1600000000; x=1699999999;",
		    "", "", "fail", "signature expired", true, false, false, false, -1 },
		{ "not yet expired", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; t=1600000000; x=1700000000;",
		    "", "", "pass", NULL, true, false, false, false, -1 },
		{ "from the future", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; t=1800000000;",
		    "", "", "pass", NULL, true, false, false, false, -1 },
		{ "from another age", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good; t=99999999999;",
		    "", "", "permerror", "signature timestamp in the future", true, false, false, false, -1 },
		{ "test key", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=test;",
		    "", "", "neutral", "test key", true, false, false, false, -1 },
		{ "no key", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=none;",
		    "", "", "permerror", "no key for signature", true, false, false, false, -1 },
		{ "several keys", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=two;",
		    "", "", "permerror", "several keys for signature", true, false, false, false, -1 },
		{ "a key beside other text", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=beside;",
		    "", "", "pass", NULL, true, false, false, false, -1 },
		{ "revoked", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=revoked;",
		    "", "", "permerror", "key revoked", true, false, false, false, -1 },
		{ "key timeout", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=slow;",
		    "", "", "temperror", "timeout", true, false, false, false, -1 },
		{ "key server failure", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=fail;",
		    "", "", "temperror", "server failure", true, false, false, false, -1 },
		{ "not for mail", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=other;",
		    "", "", "permerror", NULL, true, false, false, false, -1 },
		{ "key garbage", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=garbage;",
		    "", "", "permerror", NULL, true, false, false, false, -1 },
		{ "no d=", "v=1; a=rsa-sha256; c=relaxed/relaxed; s=good;",
		    "", "", "permerror", "malformed signature", true, false, false, false, -1 },
		{ "tag twice", "v=1; v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "", "", "permerror", "malformed signature", true, false, false, false, -1 },
		{ "wrong version", "v=2; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "", "", "permerror", NULL, true, false, false, false, -1 },
		{ "i= outside of d=", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; i=@example.com; s=good;",
		    "", "", "permerror", NULL, true, false, false, false, -1 },
		{ "two From", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    "From: ceo@bank.example\n", "", "policy", "several From fields", true, false, false, false, -1 },
	};
	struct fixture f;

	fixture_init(&f, zone.ptr);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct dkim_evidence *d;
		struct evidence *e;
		struct buf text;

		buf_init(&text, 1 << 20);
		buf_add_str(&text, r->before);
		signer_message(&text, span_cstr(mail), "DKIM-Signature",
		    r->tags, names, r->relaxed, r->limit,
		    r->small ? small : good, r->sha1);
		buf_add_str(&text, mail);
		if (r->after[0] != '\0')
			buf_add_str(&text, r->after);
		e = fixture_gather(&f, buf_span(&text), NULL, 1700000000);
		d = &e->dkim[0];
		tap_is_str(auth_result_name(d->result), r->want, r->label);
		if (r->reason != NULL)
			tap_is_str(d->reason, r->reason, "reason");
		tap_ok(d->accountable == (d->result == AUTH_PASS &&
		    d->reason == NULL) && d->body_uncovered == r->uncovered,
		    "accountable");
		tap_ok((d->check.state == CHECK_UNKNOWN) ==
		    (d->result == AUTH_TEMPERROR), "unknown if temperror");
		buf_done(&text);
	}
	fixture_done(&f);
}

/* Fields that are added above what was signed (RFC 6376 8.15) */
static void
test_added(void)
{
	static const struct {
		const char *label, *added, *reason;
		bool oversigned;
		const char *want;
	} rows[] = {
		{ "Subject", "Subject: buy\n", "a Subject is not signed", false,
		    "pass" },
		{ "Subject in another case", "SUBJECT : buy\n",
		    "a Subject is not signed", false, "pass" },
		{ "Content-Type, which was not signed",
		    "Content-Type: text/html\n", NULL, false, "pass" },
		{ "Subject, signed once too often", "Subject: buy\n",
		    "signature did not verify", true, "fail" },
		{ "From, signed once too often", "From: ceo@bank.example\n",
		    "signature did not verify", true, "fail" },
		{ "a trace field", "Received: from a by b; now\n", NULL, true,
		    "pass" },
	};
	static const char *const once[] = { "From", "Subject", NULL };
	static const char *const twice[] = { "From", "Subject", "From",
		"Subject", NULL };
	struct fixture f;

	fixture_init(&f, zone.ptr);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dkim_evidence *d;
		struct buf text;

		buf_init(&text, 1 << 20);
		buf_add_str(&text, rows[i].added);
		signer_message(&text, span_cstr(mail), "DKIM-Signature",
		    "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=good;",
		    rows[i].oversigned ? twice : once, true, -1, good, false);
		buf_add_str(&text, mail);
		d = &fixture_gather(&f, buf_span(&text), NULL, 1700000000)->dkim[0];
		tap_is_str(auth_result_name(d->result), rows[i].want,
		    rows[i].label);
		tap_is_str(d->reason, rows[i].reason, "reason");
		tap_is_int(d->accountable, rows[i].reason == NULL,
		    "what it counts for");
		buf_done(&text);
	}
	fixture_done(&f);
}

/* Ten are looked at, however many there are; the clock of one message does
 * not touch another; CRLF is the same message. */
static void
test_many(void)
{
	struct fixture f;
	struct evidence *e;
	struct buf text, crlf;

	fixture_init(&f, zone.ptr);
	buf_init(&text, 1 << 20);
	buf_init(&crlf, 1 << 20);
	for (int i = 0; i < 30; i++)
		signer_message(&text, span_cstr(mail), "DKIM-Signature",
		    "v=1; a=rsa-sha256; c=relaxed/simple; d=example.org; "
		    "s=good;", names, true, -1, good, false);
	buf_add_str(&text, mail);
	e = fixture_gather(&f, buf_span(&text), NULL, 1700000000);
	tap_is_int((long long)e->dkim_count, 10, "at most ten signatures");

	buf_reset(&text);
	signer_message(&text, span_cstr(mail), "DKIM-Signature",
	    "v=1; a=rsa-sha256; c=simple/simple; d=example.org; s=good;",
	    names, false, -1, good, false);
	buf_add_str(&text, mail);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\n')
			buf_add_char(&crlf, '\r');
		buf_add_char(&crlf, text.ptr[i]);
	}
	e = fixture_gather(&f, buf_span(&crlf), NULL, 1700000000);
	tap_is_str(auth_result_name(e->dkim[0].result), "pass",
	    "CRLF line ends");
	fixture_done(&f);

	fixture_init(&f, NULL);
	e = fixture_gather(&f, buf_span(&text), NULL, 1700000000);
	tap_ok(e->dkim_count == 1 && e->dkim[0].check.state == CHECK_NOT_RUN &&
	    e->dkim[0].result == AUTH_NONE, "offline: not run");
	fixture_done(&f);
	buf_done(&text);
	buf_done(&crlf);
}

/* A message longer than what is judged: the rest comes in pieces, cut
 * everywhere, and the signature holds, or not, over all of it. */
static void
test_long(EVP_PKEY *key, const char *selector)
{
	char tags[100];
	struct message_limits limits = { 0, 1000, 20, 100, 100 };
	struct envelope env = { .source = ENVELOPE_NONE };
	struct buf body, text;
	struct fixture f;
	size_t head;

	fixture_init(&f, zone.ptr);
	buf_init(&body, 1 << 20);
	buf_init(&text, 1 << 20);
	buf_add_str(&body, "From: a@example.org\nSubject: one\n\n");
	for (int i = 0; i < 40; i++)
		buf_add_str(&body, "some text \t \n\n more\n");
	snprintf(tags, sizeof(tags), "v=1; a=rsa-sha256; c=relaxed/relaxed; "
	    "d=example.org; s=%s;", selector);
	signer_message(&text, buf_span(&body), "DKIM-Signature", tags, names,
	    true, -1, key, false);
	buf_add_span(&text, buf_span(&body));
	head = text.len - 400;
	limits.scan_bytes = head;
	for (int how = 0; how < 5; how++) {
		static const char *const want[] = { "pass", "pass", "fail",
			"none", "none" };
		static const char *const label[] = { "in one piece",
			"byte by byte", "changed behind the head",
			"not all of it", "none of it" };
		struct evidence e = { .now = 1700000000 };
		struct arena *a = arena_new(64 << 20);
		struct span rest = span_from(buf_span(&text), head);
		struct message *m;
		struct error err;
		struct auth *x = auth_new(f.context, &f.settings, a);

		message_parse(a, span_of(text.ptr, head), text.len, &limits, &m,
		    &err);
		if (how < 4)
			auth_begin_overflow(x, span_of(text.ptr, head));
		text.ptr[text.len - 2] = how == 2 ? '!' : 'e';
		if (how == 0 || how == 2)
			auth_body(x, rest);
		for (size_t i = 0; (how == 1 && i < rest.len) ||
		     (how == 3 && i + 1 < rest.len); i++)
			auth_body(x, span_of(rest.ptr + i, 1));
		if (auth_finish(x, &env, m, NULL, &e, &err) != 0)
			exit(1);
		tap_is_str(auth_result_name(e.dkim[0].result),
		    want[how], label[how]);
		tap_ok((e.dkim[0].check.state == CHECK_NOT_RUN) == (how > 2),
		    "not run when it can not be told");
		auth_free(x);
		arena_free(a);
	}
	fixture_done(&f);
	buf_done(&body);
	buf_done(&text);
}

/* Key records that the library has no room for, and keys that it has none
 * for */
static void
test_large(void)
{
	static const char *const all[] = { "From", "Subject", NULL };
	static const char *const no_from[] = { "Subject", NULL };
	static const char text[] = "From: a@example.org\nSubject: one\n\nbody\n";
	static const struct {
		const char *label, *selector, *tags, *want, *reason;
		bool small_key, from_unsigned, add;
		int64_t limit;
	} rows[] = {
		{ "4096 bits, the plain record", "k4", "", "pass", NULL, true,
		    false, false, -1 },
		{ "4096 bits, many tags", "k4long", "", "pass", NULL, true,
		    false, false, -1 },
		{ "4096 bits, many tags, of another service", "k4tls", "",
		    "permerror", NULL, true, false, false, -1 },
		{ "8192 bits", "k8", "", "pass", NULL, false, false, false, -1 },
		{ "8192 bits, i= below d=", "k8", "i=x@sub.example.org;", "pass",
		    NULL, false, false, false, -1 },
		{ "8192 bits, t=s and i= below d=", "k8strict",
		    "i=x@sub.example.org;", "permerror", "i= is not d= itself",
		    false, false, false, -1 },
		{ "8192 bits, i= of another domain", "k8",
		    "i=x@notexample.org;", "permerror", "i= is not of d=", false,
		    false, false, -1 },
		{ "8192 bits, From not signed", "k8", "", "permerror",
		    "From is not signed", false, true, false, -1 },
		{ "8192 bits, a body added", "k8", "", "fail",
		    "body hash did not verify", false, false, true, -1 },
		{ "8192 bits, a body added behind l=", "k8", "l=6;", "pass",
		    "l= leaves body text unsigned", false, false, true, 6 },
		{ "8192 bits, l= beyond the body", "k8", "l=7;", "fail",
		    "body hash did not verify", false, false, false, 7 },
		{ "8192 bits, expired", "k8", "t=1600000000; x=1600000001;",
		    "fail", "signature expired", false, false, false, -1 },
		{ "8192 bits, test key", "k8test", "", "neutral", "test key",
		    false, false, false, -1 },
		{ "8192 bits, revoked", "revoked", "", "permerror",
		    "key revoked", false, false, false, -1 },
		{ "8192 bits, no key", "nothing", "", "permerror",
		    "no key for signature", false, false, false, -1 },
		{ "8192 bits, the other's key", "k4", "", "fail",
		    "signature did not verify", false, false, false, -1 },
		{ "8192 bits, two keys", "k8two", "", "permerror",
		    "several keys for signature", false, false, false, -1 },
		{ "8192 bits, timeout", "slow", "", "temperror", "timeout",
		    false, false, false, -1 },
	};
	EVP_PKEY *key4 = signer_read("rsa4096.der");
	char tags[1200], notes[900];
	struct fixture f;
	struct buf b;

	memset(notes, 'x', sizeof(notes) - 1);
	notes[sizeof(notes) - 1] = '\0';
	buf_init(&b, 1 << 20);
	buf_add_str(&b, "slow._domainkey.example.org TIMEOUT\n"
	    "revoked._domainkey.example.org TXT \"v=DKIM1; p=\"\n");
	signer_publish(&b, "k4._domainkey.example.org", "v=DKIM1; k=rsa;", key4);
	snprintf(tags, sizeof(tags), "v=DKIM1; h=sha256; k=rsa; n=%s; foo=%s;",
	    notes, notes + 800);
	signer_publish(&b, "k4long._domainkey.example.org", tags, key4);
	snprintf(tags, sizeof(tags), "v=DKIM1; s=tlsrpt; n=%s;", notes);
	signer_publish(&b, "k4tls._domainkey.example.org", tags, key4);
	signer_publish(&b, "k8._domainkey.example.org", "v=DKIM1;", key8);
	signer_publish(&b, "k8strict._domainkey.example.org", "t=s;", key8);
	signer_publish(&b, "k8test._domainkey.example.org", "t=y;", key8);
	signer_publish(&b, "k8two._domainkey.example.org", "", key8);
	signer_publish(&b, "k8two._domainkey.example.org", "", key4);
	fixture_init(&f, b.ptr);
	buf_done(&b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct evidence *e;

		buf_init(&b, 1 << 20);
		snprintf(tags, sizeof(tags), "v=1; a=rsa-sha256; "
		    "c=relaxed/relaxed; d=example.org; s=%s; %s",
		    rows[i].selector, rows[i].tags);
		signer_message(&b, SPAN_LIT(text), "DKIM-Signature", tags,
		    rows[i].from_unsigned ? no_from : all, true, rows[i].limit,
		    rows[i].small_key ? key4 : key8, false);
		buf_add_str(&b, text);
		if (rows[i].add)
			buf_add_str(&b, "more\n");
		e = fixture_gather(&f, buf_span(&b), NULL, 1700000000);
		printf("# %s\n", rows[i].label);
		tap_is_str(auth_result_name(e->dkim[0].result), rows[i].want,
		    "result");
		if (rows[i].reason != NULL)
			tap_is_str(e->dkim[0].reason, rows[i].reason, "reason");
		tap_ok(e->dkim[0].accountable == (e->dkim[0].result ==
		    AUTH_PASS && !rows[i].add), "and what it counts for");
		buf_done(&b);
	}
	fixture_done(&f);
	EVP_PKEY_free(key4);
}

int
main(void)
{
	good = signer_rsa(1024);
	small = signer_rsa(768);
	key8 = signer_read("rsa8192.der");
	buf_init(&zone, 1 << 20);
	signer_publish(&zone, "good._domainkey.example.org", "v=DKIM1;", good);
	signer_publish(&zone, "k8._domainkey.example.org", "v=DKIM1;", key8);
	signer_publish(&zone, "small._domainkey.example.org", "", small);
	signer_publish(&zone, "test._domainkey.example.org", "t=y;", good);
	signer_publish(&zone, "two._domainkey.example.org", "", good);
	signer_publish(&zone, "two._domainkey.example.org", "", small);
	signer_publish(&zone, "beside._domainkey.example.org", "", good);
	signer_publish(&zone, "other._domainkey.example.org", "s=tlsrpt;",
	    good);
	buf_add_str(&zone,
	    "beside._domainkey.example.org TXT \"hello\"\n"
	    "revoked._domainkey.example.org TXT \"v=DKIM1; p=\"\n"
	    "slow._domainkey.example.org TIMEOUT\n"
	    "fail._domainkey.example.org SERVFAIL TXT\n"
	    "garbage._domainkey.example.org TXT \"v=DKIM1; p=AAAA\"\n");
	test_rfc8463();
	test_policy();
	test_added();
	test_many();
	test_long(good, "good");
	test_long(key8, "k8");
	test_large();
	buf_done(&zone);
	EVP_PKEY_free(good);
	EVP_PKEY_free(small);
	EVP_PKEY_free(key8);
	return tap_done();
}
