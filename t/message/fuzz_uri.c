#include <stdint.h>

#include "scoring/message/html_uri.h"
#include "scoring/message/views.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(32 << 20);
	struct span s = span_of((const char *)data, size), *list;
	struct text_uri found;
	size_t at = 0, n;

	if (a == NULL)
		return 0;
	while (text_uri_next(s, &at, NULL, &found)) {
		struct span host, domain;

		if (found.raw.len == 0)
			__builtin_trap(); /* it would be found for ever */
		uri_to_domain(a, found.raw, NULL, &host, &domain);
	}
	uri_canonicalize(a, s, false, NULL, &list, &n);
	uri_canonicalize(a, s, true, NULL, &list, &n);
	html_uri_target(a, SPAN_LIT("http://a.example/b/"), s);
	html_uri_base(a, s);
	arena_free(a);
	return 0;
}
