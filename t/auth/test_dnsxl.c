/* Lists: answers to rules' questions, and lists that misbehave. */
#include "scoring/auth/auth_internal.h"
#include "t/auth/auth_fixture.h"

static const char healthy[] =
    "2.0.0.127.good.example A 127.0.0.2\n"
    "9.2.0.192.good.example A 127.0.0.4\n"
    "9.2.0.192.good.example A 127.0.0.2\n"
    "8.2.0.192.good.example TXT \"listed since today\"\n";

static struct evidence *
ask(struct fixture *f, const char *list, const char *name, uint16_t type,
    int64_t now)
{
	struct rule_question q[2] = { { "zz.example", DNS_A, NULL, false, false },
		{ name, type, list, false, false } };

	f->questions.all = (struct rule_questions){ q, 2, &list, 1 };
	struct evidence *e = fixture_gather(f,
	    SPAN_LIT("From: a@example.org\n\nx\n"), NULL, now);
	f->questions.all = (struct rule_questions){ .count = 0 };
	return e;
}

static void
test_answers(void)
{
	struct fixture f;
	struct evidence *e;
	const struct dns_evidence *d;

	fixture_init(&f, healthy);
	e = ask(&f, "good.example", "9.2.0.192.good.example", DNS_A, 1000);
	d = evidence_find_answer(e, "9.2.0.192.good.example", DNS_A);
	tap_ok(d != NULL && d->exists && d->count == 2 &&
	    d->check.state == CHECK_DONE, "listed");
	tap_is_span(d->texts[0], SPAN_LIT("127.0.0.4"), "sub-result");
	d = evidence_find_answer(e, "zz.example", DNS_A);
	tap_ok(d != NULL && !d->exists && d->check.state == CHECK_DONE,
	    "a question of no list");
	tap_ok(evidence_find_answer(e, "zz.example", DNS_TXT) == NULL,
	    "not asked, not there");
	tap_ok(e->dnsxl_count == 1 &&
	    strcmp(e->dnsxl[0].list, "good.example") == 0 &&
	    strcmp(e->dnsxl[0].result, "127.0.0.4") == 0, "a row to explain");
	tap_is_int((long long)e->notice_count, 0, "nothing to say");
	e = ask(&f, "good.example", "7.2.0.192.good.example", DNS_A, 1000);
	tap_ok(e->dnsxl[0].result == NULL &&
	    e->dnsxl[0].check.state == CHECK_DONE, "not listed");
	e = ask(&f, "good.example", "8.2.0.192.good.example", DNS_TXT, 1000);
	tap_is_str(e->dnsxl[0].result, "listed since today", "TXT");
	fixture_done(&f);
	fixture_init(&f, NULL);
	e = ask(&f, "good.example", "9.2.0.192.good.example", DNS_A, 1000);
	tap_ok(e->dnsxl[0].check.state == CHECK_NOT_RUN &&
	    e->notice_count == 0, "offline");
	fixture_done(&f);
}

static void
test_health(void)
{
	static const struct {
		const char *label, *zone;
		const char *why; /* NULL: on */
	} rows[] = {
		{ "in order", "2.0.0.127.l.example A 127.0.0.2\n", NULL },
		{ "a list of names", "test.l.example A 127.0.0.2\n", NULL },
		{ "without test entries", "", NULL },
		{ "lists 127.0.0.1", "1.0.0.127.l.example A 127.0.0.2\n",
		    "list switched off: lists 127.0.0.1" },
		{ "lists everything", "invalid.l.example A 127.0.0.2\n"
		    "test.l.example A 127.0.0.2\n",
		    "list switched off: lists everything" },
		{ "refuses", "2.0.0.127.l.example A 127.255.255.254\n",
		    "list switched off: answers 127.255.255.x" },
		{ "parked", "test.l.example A 192.0.2.80\n",
		    "list switched off: answers outside of 127.0.0.0/8" },
		{ "silent", "2.0.0.127.l.example TIMEOUT\n"
		    "1.0.0.127.l.example TIMEOUT\ntest.l.example SERVFAIL\n"
		    "invalid.l.example REFUSED\n",
		    "list switched off: does not answer" },
		{ "half silent", "2.0.0.127.l.example A 127.0.0.2\n"
		    "test.l.example TIMEOUT\n", NULL },
		{ "refuses the question itself",
		    "2.0.0.127.l.example A 127.0.0.2\n"
		    "9.2.0.192.l.example A 127.255.255.255\n",
		    "list switched off: answers 127.255.255.x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct dns_evidence *d;
		struct evidence *e;
		struct fixture f;
		char zone[1000];

		snprintf(zone, sizeof(zone), "%s%s", rows[i].zone,
		    strstr(rows[i].zone, "9.2.0.192") != NULL ? "" :
		    "9.2.0.192.l.example A 127.0.0.2\n");
		fixture_init(&f, zone);
		e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 1000);
		d = evidence_find_answer(e, "9.2.0.192.l.example", DNS_A);
		printf("# %s\n", rows[i].label);
		tap_is_str(d->check.why, rows[i].why, "why");
		/* what the list said to the question itself stays for rules
		 * that name it */
		tap_ok(d->complaint == (strncmp(rows[i].label,
			"refuses the", 11) == 0) &&
		    d->exists == (rows[i].why == NULL || d->complaint) &&
		    (d->count > 0) == d->exists &&
		    d->check.state == (rows[i].why == NULL ? CHECK_DONE :
			CHECK_NOT_RUN), "such answers never score");
		tap_is_str(e->dnsxl[0].check.why, rows[i].why, "explained");
		tap_is_int((long long)e->notice_count, rows[i].why != NULL,
		    "said once");
		e = ask(&f, "L.example", "9.2.0.192.l.example", DNS_A, 1030);
		tap_ok(e->notice_count == 0 &&
		    e->answers[0].check.state ==
			(rows[i].why == NULL ? CHECK_DONE : CHECK_NOT_RUN),
		    "and held");
		fixture_done(&f);
	}
}

/* A list that is well again is asked again; one that turns bad is found. */
static void
test_again(void)
{
	struct fixture f, g;
	struct evidence *e;
	struct dns *other;

	fixture_init(&f, "1.0.0.127.l.example A 127.0.0.2\n"
	    "9.2.0.192.l.example A 127.0.0.2\n");
	fixture_init(&g, "2.0.0.127.l.example A 127.0.0.2\n"
	    "9.2.0.192.l.example A 127.0.0.2\n");
	e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 1000);
	tap_is_str(e->notices[0],
	    "list=l.example state=off reason=\"list switched off: "
	    "lists 127.0.0.1\"", "off");
	/* the world changes under the same context */
	other = f.dns;
	auth_context_set_dns(f.context, g.dns);
	e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 1599);
	tap_ok(!e->answers[0].exists, "still off");
	e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 1600);
	tap_is_str(e->notice_count == 1 ? e->notices[0] : NULL,
	    "list=l.example state=on", "on again");
	tap_ok(e->answers[0].exists, "and its answer counts");
	auth_context_set_dns(f.context, other);
	e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 2000);
	tap_ok(e->answers[0].exists, "not probed for a while");
	e = ask(&f, "l.example", "9.2.0.192.l.example", DNS_A, 5200);
	tap_ok(!e->answers[0].exists && e->notice_count == 1, "off again");
	fixture_done(&f);
	fixture_done(&g);
}

/* RFC 5782 2.4: nibbles, least significant first */
static void
test_nibbles(void)
{
	static const struct {
		const char *ip, *want;
	} rows[] = {
		{ "192.0.2.9", "9.2.0.192" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::ffff:192.0.2.9", "9.2.0.192" },
		{ "2001:db8:1:2:3:4:567:89ab",
		  "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2" },
		{ "::1",
		  "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0" },
		{ "2001:DB8::",
		  "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct netaddr a = { 0 };
		char out[80];

		netaddr_parse(span_cstr(rows[i].ip), &a);
		tap_is_str(netaddr_reverse(&a, false, out), rows[i].want,
		    rows[i].ip);
	}
}

int
main(void)
{
	test_answers();
	test_health();
	test_again();
	test_nibbles();
	return tap_done();
}
