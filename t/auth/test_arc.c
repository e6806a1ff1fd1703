/*
 * ARC chains: one that another program made (data/arc_chain.eml, dkimpy
 * 1.0.6 on addresses that do not exist), and ours, sealed here.
 */
#include "scoring/auth/arc.h"
#include "t/auth/auth_fixture.h"
#include "t/auth/signer.h"

static char *
read_data(const char *name)
{
	const char *source = getenv("SPAMSCORE_SOURCE");
	char path[4096], *text = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/t/auth/data/%s",
	    source != NULL ? source : ".", name);
	f = fopen(path, "rb");
	if (f == NULL || fread(text, 1, (1 << 20) - 1, f) == 0) {
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	return text;
}

/* A copy of text with the nth `from` replaced */
static char *
replaced(const char *text, const char *from, const char *to, unsigned nth)
{
	char *out = calloc(1, strlen(text) + strlen(to) + 1);
	const char *at = text;

	for (unsigned i = 0; at != NULL; i++) {
		at = strstr(i == 0 ? text : at + 1, from);
		if (i == nth)
			break;
	}
	if (at == NULL) {
		printf("Bail out! no \"%s\"\n", from);
		exit(1);
	}
	memcpy(out, text, (size_t)(at - text));
	strcat(out, to);
	strcat(out, at + strlen(from));
	return out;
}

static void
test_foreign_chain(void)
{
	static const struct {
		const char *label, *from, *to;
		unsigned nth;
		const char *want, *reason;
		unsigned instance;
	} rows[] = {
		{ "as it is", "Alice", "Alice", 0, "pass", NULL, 2 },
		{ "folded otherwise", "A chain of\n two", "A chain  of two", 0,
		    "pass", NULL, 2 },
		{ "a field that is not signed", "From: Alice",
		    "X-Other: 1\nFrom: Alice", 0, "pass", NULL, 2 },
		{ "changed subject", "A chain", "A change", 0, "fail",
		    "signature did not verify", 2 },
		{ "changed body", "second line", "other line", 0, "fail",
		    "body hash did not verify", 2 },
		{ "space at line ends", "second line", "second line \t", 0,
		    "pass", NULL, 2 },
		{ "another From above", "From: Alice",
		    "From: b@bank.example\nFrom: Alice", 0, "fail",
		    "signature did not verify", 2 },
		{ "changed result of the first hop", "spf=pass", "spf=fail", 0,
		    "fail", "signature did not verify", 2 },
		{ "first seal gone", "ARC-Seal: i=1", "X-Seal: i=1", 0, "fail",
		    "incomplete set", 1 },
		{ "second set's results gone",
		    "ARC-Authentication-Results: i=2", "X: i=2", 0, "fail",
		    "incomplete set", 2 },
		{ "instance twice", "ARC-Seal: i=1", "ARC-Seal: i=2", 0,
		    "fail", "instance twice", 2 },
		{ "a gap", "ARC-Seal: i=2", "ARC-Seal: i=3", 0, "fail",
		    "incomplete set", 2 },
		{ "cv=none at the second", "cv=pass", "cv=none", 0, "fail",
		    "wrong cv=", 2 },
		{ "cv=pass at the first", "cv=none", "cv=pass", 0, "fail",
		    "wrong cv=", 1 },
		{ "sealed as failed", "cv=pass", "cv=fail", 0, "fail",
		    "sealed as failed", 2 },
		{ "no cv", "cv=pass; ", "", 0, "fail", "wrong cv=", 2 },
		{ "h= in a seal", "cv=pass;", "cv=pass; h=from;", 0, "fail",
		    "h= in a seal", 2 },
		{ "instance 0", "ARC-Seal: i=1", "ARC-Seal: i=0", 0, "fail",
		    "malformed field", 0 },
		{ "instance 51", "ARC-Seal: i=2", "ARC-Seal: i=51", 0, "fail",
		    "malformed field", 0 },
		{ "tag twice", "cv=pass;", "cv=pass; cv=pass;", 0, "fail",
		    "malformed field", 0 },
		{ "no key", "s=arc;", "s=none;", 0, "fail",
		    "no key for signature", 2 },
		{ "another algorithm", "a=rsa-sha256", "a=rsa-sha1", 1, "fail",
		    "unknown algorithm", 2 },
		{ "key of another kind", "a=rsa-sha256", "a=ed25519-sha256", 1,
		    "fail", "key of another kind", 2 },
	};
	char *mail = read_data("arc_chain.eml"), *key = read_data("arc_key.txt");
	struct buf zone;
	struct fixture f;

	key[strcspn(key, "\n")] = '\0';
	buf_init(&zone, 1 << 20);
	buf_printf(&zone, "arc._domainkey.one.example TXT \"%s\"\n"
	    "arc._domainkey.two.example TXT \"%s\"\n"
	    "sel._domainkey.author.example TXT \"%s\"\n", key, key, key);
	fixture_init(&f, zone.ptr);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = replaced(mail, rows[i].from, rows[i].to,
		    rows[i].nth);
		struct arc_evidence *a = &fixture_gather(&f, span_cstr(text),
		    NULL, 1704067300)->arc;

		tap_is_str(auth_result_name(a->result), rows[i].want,
		    rows[i].label);
		tap_is_str(a->reason, rows[i].reason, "reason");
		tap_is_int(a->instance, rows[i].instance, "instance");
		free(text);
	}
	struct evidence *e = fixture_gather(&f, span_cstr(mail), NULL,
	    1795446000);
	tap_is_str(e->arc.sealer, "two.example", "newest sealer");
	tap_is_str(auth_result_name(e->dkim[0].result), "pass",
	    "the author's signature by the same program");
	tap_ok(!e->arc.trusted && e->arc.sealed_count == 0,
	    "nobody is trusted by default");
	e = fixture_gather(&f, SPAN_LIT("From: a@b.example\n\nx\n"), NULL, 1);
	tap_is_str(auth_result_name(e->arc.result), "none", "no ARC at all");
	fixture_done(&f);
	fixture_init(&f, NULL);
	e = fixture_gather(&f, span_cstr(mail), NULL, 1704067300);
	tap_ok(e->arc.check.state == CHECK_NOT_RUN, "offline: not run");
	fixture_done(&f);
	buf_done(&zone);
	free(mail);
	free(key);
}

/* One more set on top of text. */
static int64_t seal_limit = -1; /* l= of the message signature */

static void
seal(struct buf *text, unsigned instance, const char *domain, const char *cv,
    const char *results, EVP_PKEY *key)
{
	static const char *const names[] = { "From", "Subject", NULL };
	static const char *const order[] = { "ARC-Authentication-Results",
		"ARC-Message-Signature", "ARC-Seal" };
	const char *a = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ?
	    "ed25519-sha256" : "rsa-sha256";
	struct arena *arena = arena_new(64 << 20);
	struct buf aar, ams, all, data, value, b;
	struct message *m;
	char tags[300];

	buf_init(&aar, 1 << 16);
	buf_init(&ams, 1 << 16);
	buf_init(&all, 8 << 20);
	buf_init(&data, 8 << 20);
	buf_init(&value, 1 << 16);
	buf_init(&b, 1 << 16);
	buf_printf(&aar, "ARC-Authentication-Results: i=%u; %s; %s\n",
	    instance, domain, results);
	snprintf(tags, sizeof(tags),
	    "i=%u; a=%s; c=relaxed/relaxed; d=%s; s=k;", instance, a, domain);
	if (seal_limit >= 0)
		snprintf(tags + strlen(tags), sizeof(tags) - strlen(tags),
		    " l=%lld;", (long long)seal_limit);
	signer_message(&ams, buf_span(text), "ARC-Message-Signature", tags,
	    names, true, seal_limit, key, false);
	buf_add_span(&all, buf_span(&ams));
	buf_add_span(&all, buf_span(&aar));
	buf_add_span(&all, buf_span(text));
	m = signer_parse(arena, buf_span(&all));
	for (unsigned i = 1; i <= instance; i++)
		for (unsigned part = 0; part < 3; part++) {
			/* the newest set stands first */
			struct field *f = message_find(m, order[part],
			    i == instance ? 0 :
			    part == 2 ? instance - 1 - i : instance - i);

			if (i == instance && part == 2)
				break;
			canon_field(&data, f->name, f->raw, true);
		}
	buf_printf(&value, " i=%u; a=%s; cv=%s; d=%s; s=k; b=", instance, a,
	    cv, domain);
	canon_field(&data, SPAN_LIT("ARC-Seal"), buf_span(&value), true);
	signer_sign(&b, key, span_of(data.ptr, data.len - 2), false);
	buf_reset(text);
	buf_printf(text, "ARC-Seal:%s%s\n", value.ptr, b.ptr);
	buf_add_span(text, buf_span(&all));
	buf_done(&aar);
	buf_done(&ams);
	buf_done(&all);
	buf_done(&data);
	buf_done(&value);
	buf_done(&b);
	arena_free(arena);
}

static const char mail[] =
    "From: a@author.example\nSubject: x\nList-Id: <l.one.example>\n\nhi\n";

static void
test_own_chains(void)
{
	EVP_PKEY *rsa = signer_rsa(1024), *small = signer_rsa(768);
	EVP_PKEY *ed = signer_ed25519();
	struct buf zone, text, copy;
	struct fixture f;
	struct arc_evidence *a;

	buf_init(&zone, 1 << 20);
	buf_init(&text, 8 << 20);
	buf_init(&copy, 8 << 20);
	signer_publish(&zone, "k._domainkey.one.example", "", rsa);
	signer_publish(&zone, "k._domainkey.two.example", "k=ed25519;", ed);
	signer_publish(&zone, "k._domainkey.small.example", "", small);
	buf_add_str(&zone, "k._domainkey.slow.example SERVFAIL\n");
	fixture_init(&f, zone.ptr);
	f.settings.max_dns_queries = 200;

	buf_add_str(&text, mail);
	seal(&text, 1, "one.example", "none", "none", rsa);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_ok(a->result == AUTH_PASS && a->instance == 1, "one seal");
	seal(&text, 2, "two.example", "pass", "none", ed);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_ok(a->result == AUTH_PASS && a->instance == 2,
	    "a second one by ed25519");
	for (unsigned i = 3; i <= 50; i++)
		seal(&text, i, "one.example", "pass", "none", rsa);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_ok(a->result == AUTH_PASS && a->instance == 50, "fifty");
	seal(&text, 51, "one.example", "pass", "none", rsa);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_ok(a->result == AUTH_FAIL, "fifty-one are too many");

	buf_reset(&text);
	buf_add_str(&text, mail);
	seal(&text, 1, "small.example", "none", "none", small);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_is_str(a->reason, "key under 1024 bits", "small key");

	buf_reset(&text);
	buf_add_str(&text, mail);
	seal(&text, 1, "slow.example", "none", "none", rsa);
	seal(&text, 2, "one.example", "pass", "none", rsa);
	a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
	tap_ok(a->result == AUTH_TEMPERROR &&
	    a->check.state == CHECK_UNKNOWN && a->instance == 1,
	    "the first seal's key does not come: unknown");
	fixture_done(&f);
	buf_done(&zone);
	buf_done(&text);
	buf_done(&copy);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ed);
}

/* l= must not let text be added to what was sealed. */
static void
test_limit(void)
{
	static const struct {
		const char *label, *more;
		int64_t limit;
		const char *reason; /* NULL: pass */
	} rows[] = {
		{ "l= of the whole body", "", 4, NULL },
		{ "text behind l=", "buy\n", 4, "l= leaves body text unsigned" },
		{ "l=0", "", 0, "l= leaves body text unsigned" },
		{ "l= longer than the body", "", 5, "body hash did not verify" },
	};
	EVP_PKEY *rsa = signer_rsa(1024);
	struct buf zone, text;
	struct fixture f;

	buf_init(&zone, 1 << 20);
	buf_init(&text, 1 << 20);
	signer_publish(&zone, "k._domainkey.one.example", "", rsa);
	fixture_init(&f, zone.ptr);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arc_evidence *a;

		buf_reset(&text);
		buf_add_str(&text, mail);
		seal_limit = rows[i].limit;
		seal(&text, 1, "one.example", "none", "none", rsa);
		seal_limit = -1;
		buf_add_str(&text, rows[i].more);
		a = &fixture_gather(&f, buf_span(&text), NULL, 1000)->arc;
		tap_is_str(a->reason, rows[i].reason, rows[i].label);
		tap_ok((a->result == AUTH_PASS) == (rows[i].reason == NULL),
		    "result");
	}
	fixture_done(&f);
	buf_done(&zone);
	buf_done(&text);
	EVP_PKEY_free(rsa);
}

/* A message longer than what is kept: its body is hashed as it comes. */
static void
test_long(void)
{
	static const struct {
		const char *label, *want;
		size_t piece; /* 0: nothing comes */
		bool change, cut;
	} rows[] = {
		{ "in one piece", "pass", 1 << 20, false, false },
		{ "byte by byte", "pass", 1, false, false },
		{ "changed behind the head", "fail", 7, true, false },
		{ "not all of it", "none", 64, false, true },
		{ "none of it", "none", 0, false, false },
	};
	struct message_limits limits = { 0, 1000, 20, 100, 100 };
	EVP_PKEY *rsa = signer_rsa(1024);
	struct buf zone, text;
	struct fixture f;
	size_t head;

	buf_init(&zone, 1 << 20);
	buf_init(&text, 1 << 20);
	signer_publish(&zone, "k._domainkey.one.example", "", rsa);
	fixture_init(&f, zone.ptr);
	buf_add_str(&text, mail);
	for (int i = 0; i < 200; i++)
		buf_add_str(&text, "some text \t \n\n\n more\t\n");
	seal(&text, 1, "one.example", "none", "none", rsa);
	seal(&text, 2, "one.example", "pass", "none", rsa);
	head = text.len - 2000;
	limits.scan_bytes = head;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envelope env = { .source = ENVELOPE_NONE };
		struct evidence e = { .now = 1700000000 };
		struct arena *a = arena_new(64 << 20);
		struct span rest = span_from(buf_span(&text), head);
		struct auth *x = auth_new(f.context, &f.settings, a);
		struct message *m;
		struct error err;

		message_parse(a, span_of(text.ptr, head), text.len, &limits, &m,
		    &err);
		text.ptr[text.len - 3] = rows[i].change ? '!' : 'e';
		if (rows[i].cut)
			rest.len--;
		if (rows[i].piece > 0)
			auth_begin_overflow(x, span_of(text.ptr, head));
		while (rows[i].piece > 0 && rest.len > 0) {
			size_t n = rest.len < rows[i].piece ? rest.len :
							      rows[i].piece;

			auth_body(x, span_of(rest.ptr, n));
			rest = span_from(rest, n);
		}
		if (auth_finish(x, &env, m, NULL, &e, &err) != 0)
			exit(1);
		tap_is_str(auth_result_name(e.arc.result), rows[i].want,
		    rows[i].label);
		tap_ok((e.arc.check.state == CHECK_NOT_RUN) ==
		    (rows[i].cut || rows[i].piece == 0),
		    "not run when it cannot be told");
		auth_free(x);
		arena_free(a);
	}
	fixture_done(&f);
	buf_done(&zone);
	buf_done(&text);
	EVP_PKEY_free(rsa);
}

/* A canonical body in pieces cut anywhere is that of the whole. */
static void
test_canon_pieces(void)
{
	static const char body[] = " a \t b\r\n\r\n\n\rc\r\r\n \t\r\n\t\n"
	    "d\r \re \r\n\n\n \r\n \r";
	static const struct {
		bool relaxed;
		const char *want;
	} rows[] = {
		{ false, " a \t b\r\n\r\n\r\n\rc\r\r\n \t\r\n\t\r\n"
		    "d\r \re \r\n\r\n\r\n \r\n \r\n" },
		{ true, " a b\r\n\r\n\r\n\rc\r\r\n\r\n\r\nd\r \re\r\n" },
	};
	unsigned char want[EVP_MAX_MD_SIZE], got[EVP_MAX_MD_SIZE];

	for (size_t r = 0; r < 2; r++) {
		size_t wrong = 0, total = 0;

		EVP_Digest(rows[r].want, strlen(rows[r].want), want, NULL,
		    EVP_sha256(), NULL);
		for (size_t i = 0; i < sizeof(body); i++)
			for (size_t k = i; k < sizeof(body); k++) {
				struct span s = { body, sizeof(body) - 1 };
				EVP_MD_CTX *ctx = EVP_MD_CTX_new();
				struct canon_body c;

				EVP_DigestInit(ctx, EVP_sha256());
				canon_body_begin(&c, ctx, rows[r].relaxed, -1);
				canon_body_add(&c, span_of(s.ptr, i));
				canon_body_add(&c, span_of(s.ptr + i, k - i));
				canon_body_add(&c, span_from(s, k));
				total = canon_body_end(&c);
				EVP_DigestFinal(ctx, got, NULL);
				EVP_MD_CTX_free(ctx);
				wrong += memcmp(got, want, 32) != 0;
			}
		tap_is_int((long long)wrong, 0, rows[r].relaxed ?
		    "relaxed, cut at every two bytes" :
		    "simple, cut at every two bytes");
		tap_is_int((long long)total, (long long)strlen(rows[r].want),
		    "its length");
	}
}

/* A trusted hop's sealed results explain a DMARC failure; and no failure rests
 * on a trusted seal whose key does not come. But who only names a trusted sealer
 * gets nothing by a key of his own that hangs. */
static void
test_trust(void)
{
	static const char *const trusted[] = { "One.Example" };
	static const char passed[] = "dmarc=pass header.from=author.example";
	static const struct {
		const char *label, *results;
		bool listed, trusted; /* is one.example, is the chain */
		const char *want; /* of DMARC */
		bool excused;
		const char *sealer, *hangs; /* NULL: one.example; no key */
		bool renamed; /* the seal is made out to be one.example's */
	} rows[] = {
		{ "dmarc=pass", "spf=fail; dmarc=pass header.from=author.example",
		    true, true, "fail", true },
		{ "aligned dkim", "dkim=pass (ok) header.d=author.example",
		    true, true, "fail", true },
		{ "aligned spf",
		    "spf=pass smtp.mailfrom=bounce@mail.author.example", true,
		    true, "fail", true },
		{ "in a comment only", "none (dmarc=pass header.from=author.example)",
		    true, true, "fail", false },
		{ "of another domain", "dmarc=pass header.from=evil.example",
		    true, true, "fail", false },
		{ "failed there too", "dmarc=fail header.from=author.example",
		    true, true, "fail", false },
		{ "of a sealer nobody trusts", passed, false, false, "fail", false },
		{ "his key does not come", passed, true, true, "temperror", false,
		    NULL, "one.example" },
		{ "nor does that of one nobody trusts", passed, false, false,
		    "fail", false, NULL, "one.example" },
		{ "somebody else's key", passed, true, false, "fail", false,
		    "other.example", "other.example" },
		{ "the trusted name on somebody else's seal", passed, true, false,
		    "fail", false, "other.example", "other.example", true },
	};
	EVP_PKEY *rsa = signer_rsa(1024);
	struct buf zone, text;

	buf_init(&zone, 1 << 20);
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envelope env = { .source = ENVELOPE_SMTP,
			.helo = "one.example", .mail_from = "l@one.example" };
		const char *sealer = rows[i].sealer != NULL ? rows[i].sealer :
		    "one.example";
		struct evidence *e;
		struct fixture f;
		char *at;

		buf_reset(&zone);
		buf_reset(&text);
		buf_add_str(&zone,
		    "_dmarc.author.example TXT \"v=DMARC1; p=reject\"\n");
		if (rows[i].hangs != NULL)
			buf_printf(&zone, "k._domainkey.%s TIMEOUT\n",
			    rows[i].hangs);
		if (rows[i].hangs == NULL || rows[i].renamed)
			signer_publish(&zone, "k._domainkey.one.example", "", rsa);
		fixture_init(&f, zone.ptr);
		netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
		f.settings.arc_trusted_sealers.items =
		    (const char **)(uintptr_t)trusted;
		f.settings.arc_trusted_sealers.count = rows[i].listed;
		buf_add_str(&text, mail);
		seal(&text, 1, sealer, "none", rows[i].results, rsa);
		at = rows[i].renamed ? strstr(text.ptr, "d=other.example") : NULL;
		if (at != NULL)
			memcpy(at, "d=  one.example", 15);
		e = fixture_gather(&f, buf_span(&text), &env, 1000);
		tap_is_str(auth_result_name(e->dmarc.result), rows[i].want,
		    rows[i].label);
		tap_is_int(e->arc.trusted, rows[i].trusted, "trusted");
		tap_is_int(e->dmarc.excused, rows[i].excused, "excused");
		tap_is_str(auth_result_name(e->arc.result), rows[i].hangs != NULL ?
		    "temperror" : "pass", "ARC");
		f.settings.arc_trusted_sealers.count = 0;
		f.settings.arc_trusted_sealers.items = NULL;
		fixture_done(&f);
	}
	buf_done(&zone);
	buf_done(&text);
	EVP_PKEY_free(rsa);
}

static void
test_results(void)
{
	static const struct {
		const char *body, *want;
	} rows[] = {
		{ "i=1; mx.example; spf=pass smtp.mailfrom=a@b.example;"
		  " dkim=fail (bad; =x) header.d=c.example; dmarc=none",
		  "spf=pass b.example, dkim=fail c.example, dmarc=none -" },
		{ "i=1; mx.example; none", "" },
		{ "i=1; mx.example; spf = pass smtp.mailfrom = b.example",
		  "spf=pass b.example" },
		{ "i=1; mx.example; dkim/1=pass header.i=\"a b\"@c.example",
		  "dkim=pass c.example" },
		{ "i=1; mx.example; x=\"a; dmarc=pass\"; dkim=bogus", "" },
		{ "i=1; mx.example; dkim=pass reason=\"a\\\"; spf=pass\" header.d=c",
		  "dkim=pass c" },
		{ "i=1; mx.example; dkim=pass header.d=a header.d=b",
		  "dkim=pass a" },
		{ "", "" }, { "((((", "" }, { "\"", "" }, { ";;;=;==", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct sealed_result *list;
		size_t n;
		struct buf got;

		buf_init(&got, 1 << 16);
		arc_results_parse(a, span_cstr(rows[i].body), &list, &n);
		for (size_t k = 0; k < n; k++)
			buf_printf(&got, "%s%s=%s %s", k > 0 ? ", " : "",
			    list[k].method, auth_result_name(list[k].result),
			    list[k].domain != NULL ? list[k].domain : "-");
		tap_is_span(buf_span(&got), span_cstr(rows[i].want),
		    rows[i].body);
		buf_done(&got);
		arena_free(a);
	}
}

int
main(void)
{
	test_foreign_chain();
	test_own_chains();
	test_limit();
	test_long();
	test_canon_pieces();
	test_trust();
	test_results();
	return tap_done();
}
