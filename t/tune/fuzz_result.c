/* tuned.cf from a hostile hand: what is taken must be taken again when it is
 * written anew. */
#include <errno.h>
#include <stdlib.h>

#include "tune/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(64 << 20);
	struct result r, again;
	struct diags d;
	struct error err;
	struct buf out;

	if (a == NULL)
		return 0;
	diags_init(&d, a);
	buf_init(&out, RESULT_MAX_BYTES);
	if (result_parse(span_of((const char *)data, size), "f", a, &d, &r,
		&err) == 0 && result_format(&r, &out, &err) == 0 &&
	    result_parse(buf_span(&out), "f", a, &d, &again, &err) == -EINVAL)
		abort();
	buf_done(&out);
	arena_free(a);
	return 0;
}
