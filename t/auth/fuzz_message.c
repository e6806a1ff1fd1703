/*
 * A whole gathering: up to the first line "." is the zone (as --dns-data),
 * behind it the message with its DKIM and ARC fields.
 */
#include <stdint.h>

#include "scoring/auth/auth_internal.h"
#include "t/auth/auth_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture f;
	static bool ready;
	struct span text = { (const char *)data, size }, zone = { 0 };
	struct envelope env = { .source = ENVELOPE_SMTP,
		.helo = "mx.example.org", .mail_from = "a@example.org" };
	struct evidence *e;
	struct dns *dns;

	if (!ready) {
		fixture_init(&f, NULL);
		f.settings.dmarc_reject = true;
		ready = true;
	}
	for (size_t i = 0; i + 3 <= size; i++)
		if (memcmp(data + i, "\n.\n", 3) == 0) {
			zone = span_of(text.ptr, i + 1);
			text = span_from(text, i + 3);
			break;
		}
	if (dns_new_text(zone, "fuzz", &dns, NULL) != 0)
		return 0;
	auth_context_set_dns(f.context, dns);
	netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
	f.settings.dmarc_tree_walk = size % 2 != 0;
	e = fixture_gather(&f, text, &env, 1700000000);
	if (e != NULL) {
		struct span r = auth_results_format(f.arena, "mx.example.net",
		    e, &env);

		/* our field must claim to be ours, and be one field */
		if (r.ptr == NULL || !auth_results_claims(r, "mx.example.net"))
			__builtin_trap();
		for (size_t i = 0; i < r.len; i++)
			if (r.ptr[i] == '\r' || r.ptr[i] == '\0' ||
			    (r.ptr[i] == '\n' &&
				(i + 1 == r.len || r.ptr[i + 1] != '\t')))
				__builtin_trap();
	}
	auth_context_set_dns(f.context, NULL);
	dns_free(dns);
	return 0;
}
