/*
 * Readings of SpamAssassin that differ from what one would write down first;
 * each was found by comparison with it (t/differential) and is kept here.
 */
#include "t/rules/rig.h"

#define HEAD "From: a@author.example\nTo: b@ours.example\nSubject: s\n"
#define RECEIVED                                                         \
	"Received: from mx.author.example (mx.author.example [192.0.2.9])\n" \
	"\tby mail.ours.example (Postfix) with ESMTP id 1; "                 \
	"Mon, 23 Nov 2020 10:00:00 +0000\n"
#define BOUNDARIES "util_rb_tld com net org example uk\nutil_rb_2tld co.uk\n"
#define MULTIPART                                                          \
	HEAD "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n" \
	     "\n--b\nContent-Type: text/plain\n\nx\n"

static const struct {
	const char *label, *rules, *mail;
	int want;
} rows[] = {
	/* registered domains come from the rule files, not from a list of
	 * suffixes that has private ones too */
	{ "MAIL FROM and relay of one registered domain",
	    BOUNDARIES "header A eval:check_mailfrom_matches_rcvd()\n",
	    "Return-Path: <x@lists.debian.net>\n"
	    "Received: from other.debian.net (other.debian.net [192.0.2.9])\n"
	    "\tby mail.ours.example (Postfix) with ESMTP id 1; "
	    "Mon, 23 Nov 2020 10:00:00 +0000\n" HEAD "\nx\n", 1 },
	{ "a domain below co.uk is no other one",
	    BOUNDARIES "header A eval:check_mailfrom_matches_rcvd()\n",
	    "Return-Path: <x@one.co.uk>\n"
	    "Received: from mx.two.co.uk (mx.two.co.uk [192.0.2.9])\n"
	    "\tby mail.ours.example (Postfix) with ESMTP id 1; "
	    "Mon, 23 Nov 2020 10:00:00 +0000\n" HEAD "\nx\n", 0 },
	{ "Return-Path above all Received",
	    "header A EnvelopeFrom =~ /^x\\@y\\.example$/\n",
	    "Return-Path: <x@y.example>\n" RECEIVED HEAD "\nx\n", 1 },
	{ "a second Return-Path below Received spoils the first",
	    "header A exists:EnvelopeFrom\n",
	    "Return-Path: <x@y.example>\n" RECEIVED
	    "Return-Path: <z@y.example>\n" HEAD "\nx\n", 0 },
	{ "a star in freemail_domains stays within a label",
	    "freemail_domains gmx.*\nheader A eval:check_freemail_from()\n",
	    "From: a@gmx.co.uk\nTo: b@ours.example\n\nx\n", 0 },
	{ "and matches one",
	    "freemail_domains gmx.*\nheader A eval:check_freemail_from()\n",
	    "From: a@gmx.net\nTo: b@ours.example\n\nx\n", 1 },
	{ "a question mark",
	    "freemail_domains mail.??\nheader A eval:check_freemail_from()\n",
	    "From: a@mail.de\nTo: b@ours.example\n\nx\n", 1 },
	{ "freemail_import_welcomelist_auth",
	    "freemail_domains mail.com\nwelcomelist_auth *@mail.com\n"
	    "freemail_import_welcomelist_auth 1\n"
	    "header A eval:check_freemail_from()\n",
	    "From: a@mail.com\nTo: b@ours.example\n\nx\n", 0 },
	{ "a signing domain is among the URIs' hosts",
	    BOUNDARIES "enlist_uri_host (BAD) signer.example\n"
	    "header A eval:check_uri_host_listed('BAD')\n",
	    "DKIM-Signature: v=1; a=rsa-sha256; d=signer.example; s=x; b=AA==\n"
	    HEAD "\nx\n", 1 },
	{ "unless parse_dkim_uris is off",
	    BOUNDARIES "enlist_uri_host (BAD) signer.example\n"
	    "parse_dkim_uris 0\n"
	    "header A eval:check_uri_host_listed('BAD')\n",
	    "DKIM-Signature: v=1; a=rsa-sha256; d=signer.example; s=x; b=AA==\n"
	    HEAD "\nx\n", 0 },
	{ "a signing domain is nothing for uri rules",
	    BOUNDARIES "uri A /signer/\n",
	    "DKIM-Signature: v=1; a=rsa-sha256; d=signer.example; s=x; b=AA==\n"
	    HEAD "\nx\n", 0 },
	{ "a host begins where a known top-level domain lets it",
	    BOUNDARIES "header A X-H:host =~ /^mx\\.foo\\.com$/\n",
	    HEAD "X-H: see mx.foo.com now\n\nx\n", 1 },
	{ "a bracket is part of it, and then it is none",
	    BOUNDARIES "header A exists:X-H:host\n",
	    HEAD "X-H: <mx.foo.com>\n\nx\n", 0 },
	{ "but not behind an @",
	    BOUNDARIES "header A X-H:host =~ /^mx\\.foo\\.com$/\n",
	    HEAD "X-H: <u@mx.foo.com>\n\nx\n", 1 },
	{ "no host with a dot behind it",
	    BOUNDARIES "header A exists:X-H:host\n",
	    HEAD "X-H: mx.foo.com.\n\nx\n", 0 },
	{ "domain by util_rb_2tld",
	    BOUNDARIES "header A X-H:domain =~ /^foo\\.co\\.uk$/\n",
	    HEAD "X-H: mx.foo.co.uk\n\nx\n", 1 },
	{ "an address with a port", "header A X-H:ip =~ /^192\\.0\\.2\\.1$/\n",
	    HEAD "X-H: [192.0.2.1]:25\n\nx\n", 1 },
	{ "no address within a longer number", "header A exists:X-H:ip\n",
	    HEAD "X-H: 192.0.2.1.5 1192.0.2.1\n\nx\n", 0 },
	{ "IPv6", "header A X-H:ip =~ /^2001:db8::1$/\n",
	    HEAD "X-H: from [2001:db8::1]\n\nx\n", 1 },
	{ "IPv6 with its prefix", "header A X-H:ip =~ /^IPv6:2001:db8::1$/\n",
	    HEAD "X-H: from [IPv6:2001:db8::1]\n\nx\n", 1 },
	{ "base64 lines: CR CR LF counts one CR",
	    "body A eval:check_base64_length('6', '6')\n",
	    "From: a@author.example\r\nContent-Type: application/x\r\r\n"
	    "Content-Transfer-Encoding: base64\r\r\n\r\nQUJD\r\r\n", 1 },
	{ "a charset for a part that says it is no text",
	    "body A eval:check_for_ascii_text_illegal()\n",
	    HEAD "Content-Type: multipart/mixed\n\nK\xf6ln\n", 0 },
	{ "a part that says nothing is text",
	    "body A eval:check_for_ascii_text_illegal()\n",
	    HEAD "\nK\xf6ln\n", 1 },
	{ "0.0.0.0 is no private address for a HELO",
	    "header A eval:helo_ip_mismatch()\n",
	    "Received: from 0.0.0.0 (unknown [192.0.2.9])\n"
	    "\tby mail.ours.example (Postfix) with ESMTP id 1; "
	    "Mon, 23 Nov 2020 10:00:00 +0000\n" HEAD "\nx\n", 1 },
	{ "but 10.0.0.1 is",
	    "header A eval:helo_ip_mismatch()\n",
	    "Received: from 10.0.0.1 (unknown [192.0.2.9])\n"
	    "\tby mail.ours.example (Postfix) with ESMTP id 1; "
	    "Mon, 23 Nov 2020 10:00:00 +0000\n" HEAD "\nx\n", 0 },
	{ "ALL:raw is the header as it came, lines that are no field too",
	    "header A ALL:raw =~ /^no field\\nX-Spam-Flag: YES\\r\\nX-Z: a\\r\\n b\\r\\n/m\n",
	    HEAD "no field\nX-Spam-Flag: YES\r\nX-Z: a\r\n b\r\n\r\nx\n", 1 },
	{ "without a last line that has no end",
	    "header A ALL:raw =~ /X-End/\nheader B ALL:raw !~ /X-Last/\n",
	    HEAD "X-Last: y\nX-End: z", 0 },
	{ "whose raw value ends where the message does",
	    "header A X-End:raw =~ /^ z\\z/\n", HEAD "X-Last: y\nX-End: z", 1 },
	{ "fields of an earlier filter are not seen", "header A X-Spam-Status =~ /./\n",
	    HEAD "X-Spam-Status: No\nX-Spam-Level: **\n\nx\n", 0 },
	{ "nor do they exist", "header A exists:X-Spam-Level\n",
	    HEAD "X-Spam-Status: No\nX-Spam-Level: **\n\nx\n", 0 },
	{ "nor among all", "header A ALL =~ /X-Spam/\nmimeheader B ALL =~ /X-Spam/\n",
	    HEAD "X-Spam-Status: No\nX-Spam-Level: **\n\nx\n", 0 },
	{ "but in the text as it came", "full A /^X-Spam-Level/m\n",
	    HEAD "X-Spam-Status: No\nX-Spam-Level: **\n\nx\n", 1 },
	{ "a part's named groups fill tags before other rules run",
	    "header A Subject =~ /%{FILE}/\n"
	    "mimeheader __N Content-Type =~ /name=(?<FILE>\\w+)/\n",
	    "Subject: see report\nContent-Type: text/plain; name=report.txt\n\nx\n", 1 },
	{ "but none is filled in such a rule",
	    "mimeheader A Content-Type =~ /%{FILE}/\n"
	    "header __N Subject =~ /see (?<FILE>\\w+)/\n",
	    "Subject: see text\nContent-Type: text/plain\n\nx\n", 0 },
	{ "a multipart that does not end",
	    "rawbody A eval:check_for_mime('mime_missing_boundary')\n",
	    MULTIPART, 1 },
	{ "one that does",
	    "rawbody A eval:check_for_mime('mime_missing_boundary')\n",
	    MULTIPART "--b--\n", 0 },
	{ "one that ends without a beginning",
	    "rawbody A eval:check_for_mime('mime_missing_boundary')\n",
	    HEAD "Content-Type: multipart/mixed; boundary=b\n\nx\n--b--\n", 1 },
	{ "a message without parts",
	    "rawbody A eval:check_for_mime('mime_missing_boundary')\n",
	    HEAD "\nx\n", 0 },
	{ "words of both alternatives: no-break spaces part them",
	    "body A eval:multipart_alternative_difference('0', '100')\n"
	    "body B eval:multipart_alternative_difference('1', '100')\n",
	    HEAD "Content-Type: multipart/alternative; boundary=b\n\n"
	    "--b\nContent-Type: text/plain; charset=UTF-8\n\none two three\n"
	    "--b\nContent-Type: text/html; charset=UTF-8\n\n"
	    "<p>one\xc2\xa0two&nbsp;three\n--b--\n", 1 },
	{ "charsets of <meta> are never found",
	    "ok_locales en\nbody A eval:html_charset_faraway()\n",
	    HEAD "Content-Type: text/html\n\n<meta http-equiv=Content-Type "
	    "content='text/html; charset=koi8-r'>x\n", 0 },
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig g;

		rig_load(&g, rows[i].rules, false);
		if (g.load_result != 0)
			printf("# %s", rig_diags(&g, DIAG_ERROR));
		tap_ok(rig_run(&g, rows[i].mail), "runs");
		tap_is_int(rig_result(&g, "A")->low, rows[i].want,
		    rows[i].label);
		tap_is_int(rig_result(&g, "B")->low, 0, rows[i].label);
		rig_done(&g);
	}
	return tap_done();
}
