/* Where messages begin, held against what the bytes around it say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_blank(const uint8_t *data, size_t end)
{
	while (end > 0 && (data[end - 1] == ' ' || data[end - 1] == '\t' ||
	    data[end - 1] == '\r'))
		end--;
	return end == 0 || data[end - 1] == '\n';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t before = 0;
	struct mbox m;

	mbox_init(&m);
	for (size_t i = 0; i <= size; i++) {
		if (!mbox_next(&m, i < size ? data[i] : EOF))
			continue;
		if (m.none || m.begin <= before || m.begin + 10 > i ||
		    memcmp(data, "From ", 5) != 0 ||
		    memcmp(data + m.begin, "From ", 5) != 0 ||
		    data[m.begin - 1] != '\n' || !is_blank(data, m.begin - 1) ||
		    memchr(data + m.begin, ':', i - m.begin) == NULL)
			abort();
		before = m.begin;
	}
	if (m.at != size)
		abort();
	return 0;
}
