#include "scoring/message/received.h"
#include "t/message/util.h"

/* Forms written by us after what MTAs write; want is "ip rdns helo by ident
 * id auth", "ignored", "fetched" or "unknown" */
static const struct {
	const char *label, *in, *want;
} rows[] = {
	{ "Postfix", "from mail.example.org (out.example.org [192.0.2.1])\n"
	    "\tby mx.example.net (Postfix) with ESMTPS id 4F1A2\n"
	    "\tfor <u@example.net>; Mon,  1 Jan 2024 10:00:00 +0000 (UTC)",
	    "192.0.2.1 out.example.org mail.example.org mx.example.net - 4F1A2 -" },
	{ "Postfix without a name", "from x (unknown [192.0.2.1]) by mx.example.net "
	    "(Postfix) with ESMTP id 4F1A2", "192.0.2.1 - x mx.example.net - 4F1A2 -" },
	{ "Postfix over IPv6", "from x.example (x.example [IPv6:2001:db8::1]) by y "
	    "(Postfix) with ESMTP id A", "2001:db8::1 x.example x.example y - - -" },
	{ "Postfix with TLS comment", "from a.example (b.example [192.0.2.7]) (using "
	    "TLSv1.3 with cipher X (256/256 bits)) (No client certificate requested) "
	    "by c.example (Postfix) with ESMTPS id QQQ",
	    "192.0.2.7 b.example a.example c.example - QQQ -" },
	{ "Postfix, authenticated", "from [192.168.1.2] (dsl.example [192.0.2.9]) "
	    "(Authenticated sender: joe) by c.example (Postfix) with ESMTPSA id Q12",
	    "192.0.2.9 dsl.example !192.168.1.2! c.example - Q12 ESMTPSA" },
	{ "sendmail", "from h.example (joe@r.example [192.0.2.3] (may be forged)) by "
	    "b.example (8.17.1/8.17.1) with ESMTP id 31ABC; Mon, 1 Jan 2024 10:00:00 "
	    "+0000", "192.0.2.3 r.example h.example b.example joe 31ABC -" },
	{ "Exim", "from r.example ([192.0.2.4] helo=h.example) by b.example with "
	    "esmtps (TLS1.3) (Exim 4.96) (envelope-from <u@e.example>) id 1rKabc-01",
	    "192.0.2.4 r.example h.example b.example - 1rKabc-01 -" },
	{ "Exim, port and no HELO", "from r.example ([192.0.2.4]:4711) by b.example "
	    "with esmtps (Exim 4.96) id 1rK", "192.0.2.4 r.example r.example b.example"
	    " - 1rK -" },
	{ "Exim without a name", "from [192.0.2.4] (helo=h ident=me) by b with smtp "
	    "(Exim 4) id 1rK", "192.0.2.4 - h b me 1rK -" },
	{ "Exchange", "from A.example (192.0.2.5) by B.example (192.0.2.6) with "
	    "Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.1.1.1; Mon, 1 Jan "
	    "2024 10:00:00 +0000", "192.0.2.5 A.example A.example B.example - 15.1.1.1 -" },
	{ "mapi", "from A.example ([fe80::1]) by B.example ([fe80::2%6]) with mapi id "
	    "15.20.1943.023; Mon, 1 Jan 2024 10:00:00 +0000",
	    "fe80::1 - A.example B.example - - -" },
	{ "Google", "from mail-x.google.com (mail-x.google.com. [192.0.2.8]) by "
	    "mx.google.com with SMTPS id q1sor; Mon, 01 Jan 2024 02:00:00 -0800 (PST)",
	    "192.0.2.8 mail-x.google.com mail-x.google.com mx.google.com - q1sor -" },
	{ "qmail", "from unknown (HELO h.example) (joe@192.0.2.10) by b.example with "
	    "SMTP; 1 Jan 2024 10:00:00 -0000", "192.0.2.10 - h.example b.example joe -"
	    " -" },
	{ "mapped address", "from h (h [::ffff:192.0.2.11]) by b with esmtp; Mon, 1 "
	    "Jan 2024 10:00:00 +0000", "192.0.2.11 h h b - - -" },
	{ "Hotmail without an address", "from x by y.hotmail.msn.com with HTTP; Mon, 1 "
	    "Jan 2024 10:00:00 +0000", "- - - y.hotmail.msn.com - - HTTP" },
	{ "local", "by mx.example.net (Postfix, from userid 1000) id AB12", "ignored" },
	{ "local, Exim", "from joe by h.example with local (Exim 4.96) id 1rK",
	    "ignored" },
	{ "localhost", "from localhost (localhost [[UNIX: localhost]]) by h (8.17)",
	    "ignored" },
	{ "LMTP without an address", "from a.example by b.example with LMTP id x",
	    "ignored" },
	{ "fetchmail", "from pop.example [192.0.2.1] by h with POP3 (fetchmail) for "
	    "<u@h>", "fetched" },
	{ "no form", "from a.example 192.0.2.1 hello", "unknown" },
	{ "bare", "from a.example by b.example ; Mon, 1 Jan 2024 10:00:00 +0000",
	    "ignored" },
	{ "a date behind a run of ends", "from joe id x;  ;; ;\n\t; Mon, 1 Jan 2024 "
	    "10:00:00 +0000;z", "ignored" },
	{ "a date without its day", "from joe id x; 1 Jan 2024 10:00:00 +0000",
	    "ignored" },
	{ "no date", "from joe id x; 1 Jan 2024 10:00:00 +0000 z", "unknown" },
	{ "bad octets", "from a (b [300.1.1.1]) by c (Postfix) with SMTP id x",
	    "unknown" },
	{ "break-out", "from a]#b (r[x [192.0.2.1]) by c (Postfix) with SMTP id xyz",
	    "192.0.2.1 r!x a!!b c - xyz -" },
	{ "empty", "", "ignored" },
};

static const char *
dash(const char *s)
{
	return s[0] != '\0' ? s : "-";
}

static void
test_forms(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct received_hop h;
		const char *got;

		received_parse(a, span_cstr(rows[i].in), &h);
		if (!h.parsed)
			got = "unknown";
		else if (h.ignored)
			got = h.fetched ? "fetched" : "ignored";
		else
			got = arena_printf(a, "%s %s %s %s %s %s %s", dash(h.ip_text),
			    dash(h.rdns), dash(h.helo), dash(h.by), dash(h.ident),
			    dash(h.id), dash(h.auth));
		tap_is_str(got, rows[i].want, rows[i].label);
		arena_free(a);
	}
}

static struct message *
path(struct arena *a)
{
	return test_parse(a, SPAN_LIT(
	    "Received: from in (in [10.0.0.1]) by mx (Postfix) with ESMTP id aaa\n"
	    "Received: from relay (relay.example [192.0.2.1]) by in (Postfix) with "
	    "ESMTP id bbb\n"
	    "Received: from rubbish\n"
	    "Received: from bot (bot.example [198.51.100.1]) by relay.example (Postfix) "
	    "with ESMTP id ccc\n\n"));
}

static struct netset
set_of(const char *text)
{
	struct netset set = { 0 };
	struct network n;

	if (network_parse(span_cstr(text), &n))
		netset_add(&set, &n);
	return set;
}

static void
test_trust(void)
{
	struct arena *a = arena_new(1 << 20);
	struct message *m = path(a);
	struct netset near = set_of("10.0.0.0/8"), far = set_of("0.0.0.0/0");
	struct received_hop first = { 0 };
	struct relays *r = NULL;

	relays_parse(m, NULL, NULL, NULL, &r);
	tap_is_int((long long)r->count, 3, "three relays");
	tap_is_int((long long)r->trusted_count, 1, "private addresses are trusted");
	tap_is_int((long long)r->unparseable_count, 1, "one field is not known");
	tap_is_span(r->text_trusted, SPAN_LIT("[ ip=10.0.0.1 rdns=in helo=in by=mx "
	    "ident= envfrom= intl=1 id=aaa auth= msa=0 ]"), "text");
	tap_is_span(r->text_internal, r->text_trusted, "internal is trusted");
	tap_is_int(r->last_trusted_field, 0, "one field is ours");

	relays_parse(m, &near, NULL, NULL, &r);
	tap_is_int((long long)r->trusted_count, 1, "trusted_networks");
	relays_parse(m, &far, &near, NULL, &r);
	tap_is_int((long long)r->internal_count, 1, "internal_networks");
	tap_is_int((long long)r->trusted_count, 2,
	    "nothing is believed below a field that is not understood");
	tap_is_int(r->last_trusted_field, 3, "SpamAssassin goes on there");

	netaddr_parse(SPAN_LIT("203.0.113.5"), &first.ip);
	first.helo = "client";
	relays_parse(m, &near, NULL, &first, &r);
	tap_is_int((long long)r->count, 4, "the client comes first");
	tap_is_int((long long)r->trusted_count, 0, "and is not trusted");
	tap_is_str(r->hops[0].helo, "client", "its HELO");
	netset_done(&near);
	netset_done(&far);
	arena_free(a);
}

static void
test_msa(void)
{
	struct arena *a = arena_new(1 << 20);
	struct message *m = path(a);
	struct netset all = set_of("192.0.2.0/24"), msa = set_of("192.0.2.1");
	struct relay_networks nets = { .trusted = &all, .msa = &msa };
	struct network in;
	struct relays *r;

	network_parse(SPAN_LIT("10.0.0.0/8"), &in);
	netset_add(&all, &in);
	relays_parse_nets(m, &nets, NULL, &r);
	tap_is_int(r->hops[1].msa, 1, "a submission server");
	tap_is_int(r->hops[2].trusted, 1, "who submits there is trusted");
	netset_done(&all);
	netset_done(&msa);
	arena_free(a);
}

static void
test_cut(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t n = 0; n <= strlen(rows[i].in); n++) {
			struct arena *a = arena_new(1 << 20);
			char *copy = malloc(n + 1);
			struct received_hop h;

			memcpy(copy, rows[i].in, n);
			received_parse(a, span_of(copy, n), &h);
			free(copy);
			arena_free(a);
		}
	tap_ok(true, "cut at every byte");
}

int
main(void)
{
	test_forms();
	test_trust();
	test_msa();
	test_cut();
	return tap_done();
}
