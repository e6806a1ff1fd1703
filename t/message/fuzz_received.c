#include <stdint.h>

#include "scoring/message/received.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4 << 20);
	struct received_hop hop;

	if (a == NULL)
		return 0;
	received_parse(a, span_of((const char *)data, size), &hop);
	arena_free(a);
	return 0;
}
