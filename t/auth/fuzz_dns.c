/* The text of answers, names, and rdata as it comes from the wire. */
#include <stdint.h>

#include "scoring/auth/dns_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_A, DNS_NS, DNS_CNAME, DNS_PTR,
		DNS_MX, DNS_TXT, DNS_AAAA, 99 };
	struct span text = { (const char *)data, size };
	struct arena *a = arena_new(16 << 20);
	char name[DNS_NAME_TEXT], again[DNS_NAME_TEXT];
	struct error err;
	struct dns *dns;

	if (a == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct dns_record r;

		dns_wire_record(a, types[i], text, &r);
	}
	/* a canonical name is its own canonical form */
	if (dns_name_canonical(text, name) &&
	    (!dns_name_canonical(span_cstr(name), again) ||
		strcmp(name, again) != 0))
		__builtin_trap();
	if (dns_name_from_bytes(text, name) &&
	    (!dns_name_canonical(span_cstr(name), again) ||
		strcmp(name, again) != 0))
		__builtin_trap();
	if (dns_new_text(text, "fuzz", &dns, &err) == 0) {
		struct dns_session *s = dns_session_new(dns, 100, 100);
		size_t end = span_find(text, ' ');

		if (end < DNS_NAME_TEXT &&
		    memchr(text.ptr, '\0', end) == NULL) {
			memcpy(name, text.ptr, end);
			name[end] = '\0';
			for (size_t i = 0; i < 8; i++)
				dns_lookup(s, name, types[i]);
		}
		dns_lookup(s, "a.example", DNS_A);
		dns_session_free(s);
		dns_free(dns);
	}
	arena_free(a);
	return 0;
}
