/*
 * An SPF record, its explanation, a HELO name and a sender, all hostile,
 * through our gate, macro expansion and libspf2: what of this text could get
 * to libspf2 does so here. Lines: record, included record, explanation,
 * HELO, MAIL FROM; first byte even: IPv4.
 */
#include <stdint.h>

#include "base/buf.h"
#include "scoring/auth/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span
next_line(struct span *rest)
{
	size_t end = span_find(*rest, '\n');
	struct span line = span_of(rest->ptr, end);

	*rest = span_from(*rest, end + 1);
	return line;
}

static void
put_txt(struct buf *zone, const char *name, struct span text)
{
	buf_printf(zone, "%s TXT \"", name);
	for (size_t i = 0; i < text.len; i++)
		buf_printf(zone, "\\%03u", (unsigned char)text.ptr[i]);
	buf_add_str(zone, "\"\n");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = { (const char *)data, size }, sender, helo;
	struct arena *a = arena_new(64 << 20);
	struct dns *dns;
	struct buf zone;
	const char *text;

	if (a == NULL)
		return 0;
	buf_init(&zone, 8 << 20);
	buf_add_str(&zone, "mx.example.org A 192.0.2.1\n"
	    "mx.example.org AAAA 2001:db8::1\nexample.org MX 1 mx.example.org\n"
	    "example.org A 192.0.2.7\n1.2.0.192.in-addr.arpa PTR mx.example.org\n"
	    "slow.example.org TIMEOUT\n");
	put_txt(&zone, "example.org", next_line(&rest));
	put_txt(&zone, "inc.example.org", next_line(&rest));
	put_txt(&zone, "exp.example.org", next_line(&rest));
	helo = next_line(&rest);
	sender = next_line(&rest);
	if (dns_new_text(buf_span(&zone), "zone", &dns, NULL) == 0) {
		struct dns_session *s = dns_session_new(dns, 1000, 200);
		struct spf_query q = { .domain = "example.org",
			.sender_local = sender, .sender_domain = helo,
			.receiver = "mx.example.net", .now = 1 };
		struct spf_evidence e = { 0 };

		text = arena_memdup(a, helo.ptr != NULL ? helo.ptr : "",
		    helo.len);
		q.helo = text;
		if (size > 0 && data[0] % 2 == 0)
			netaddr_parse(SPAN_LIT("192.0.2.1"), &q.ip);
		else
			netaddr_parse(SPAN_LIT("2001:db8::1"), &q.ip);
		spf_check_host(&q, s, a, &e);
		/* the HELO name as the domain itself */
		q.domain = text;
		spf_check_host(&q, s, a, &e);
		dns_session_free(s);
		dns_free(dns);
	}
	buf_done(&zone);
	arena_free(a);
	return 0;
}
