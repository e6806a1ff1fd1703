#include <assert.h>
#include <stdint.h>

#include "base/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No output byte may be a control, and all of it must be UTF-8. */
static void
check(struct span s)
{
	while (s.len > 0) {
		uint32_t cp;
		size_t skip, n = utf8_decode(s, &cp, &skip);

		assert(n != 0 && cp >= 0x20 && cp != 0x7F && cp != 0x202E &&
		    cp != 0x200B);
		s = span_from(s, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	struct buf out;

	buf_init(&out, 16 << 20);
	escape_text(&out, in, 0);
	check(buf_span(&out));
	buf_reset(&out);
	escape_text(&out, in, 40);
	check(buf_span(&out));
	assert(out.len <= 43);
	buf_reset(&out);
	escape_log_value(&out, in, 0);
	check(buf_span(&out));
	assert(out.ptr[0] == '"' || memchr(out.ptr, ' ', out.len) == NULL);
	buf_done(&out);
	return 0;
}
