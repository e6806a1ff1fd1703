#include <stdint.h>

#include "scoring/message/body.h"
#include "t/message/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(32 << 20);
	const struct texts *t;
	const struct uris *u;
	struct message *m;
	struct part *p;

	if (a == NULL)
		return 0;
	m = test_parse(a, span_of((const char *)data, size));
	if (m != NULL) {
		body_rendered(m, &t);
		body_visible(m, &t);
		body_invisible(m, &t);
		body_raw(m, &t);
		body_uris(m, NULL, &u);
		if (body_parts(m, &p) == 0)
			for (; p != NULL; p = p->in_order)
				part_header(p, "content-type");
	}
	arena_free(a);
	return 0;
}
