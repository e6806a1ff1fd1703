#include <stdint.h>

#include "scoring/message/charset.h"
#include "scoring/message/views.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(32 << 20);
	struct rendering r;
	struct html *h;
	struct span text;

	if (a == NULL)
		return 0;
	if (charset_to_utf8(a, span_of((const char *)data, size),
		SPAN_LIT("utf-8"), CHARSET_BODY, &text) == 0)
		html_render(a, text, !text_is_ascii(text), size + 1, &r, &h);
	arena_free(a);
	return 0;
}
