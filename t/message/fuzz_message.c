#include <stdint.h>

#include "t/message/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(16 << 20);
	struct message *m;

	if (a == NULL)
		return 0;
	m = test_parse(a, span_of((const char *)data, size));
	for (size_t i = 0; m != NULL && i < m->field_count; i++) {
		struct field *f = &m->fields[i];
		struct span s = field_unfolded(m, f);
		struct mailbox *list;
		size_t n;
		bool bad;

		field_decoded(m, f);
		field_raw(m, f);
		if (s.ptr != NULL) {
			address_first_addr(a, s);
			address_list_parse(a, s, &list, &n, &bad);
		}
	}
	arena_free(a);
	return 0;
}
