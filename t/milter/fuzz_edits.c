/* What a client can write into header fields, paths and what an administrator
 * can write into `listen`: lines of the input, in turn. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "milter/edits.h"
#include "milter/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct order {
	size_t removed;
	int inserted;
};

static int
on_remove(void *context, const char *name, int index)
{
	struct order *o = context;

	assert(o->inserted == 0 && index > 0 && name[0] != '\0');
	o->removed++;
	return 0;
}

static int
on_insert(void *context, const char *name, const char *value)
{
	struct order *o = context;

	(void)name;
	assert(value[0] == ' ');
	o->inserted++;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size);
	struct arena *a = arena_new(1 << 20);
	struct order order = { 0 };
	struct edits e;

	if (a == NULL)
		return 0;
	edits_init(&e, a);
	while (rest.len > 0) {
		size_t eol = span_find(rest, '\n'), colon;
		struct span line = span_of(rest.ptr, eol), address;
		char *text = arena_memdup(a, line.ptr, line.len), out[256];
		const char *path;

		if (text == NULL)
			break;
		rest = span_from(rest, eol + 1);
		colon = span_find(line, ':');
		if (edits_see_field(&e, span_of(line.ptr, colon),
			span_from(line, colon + 1), "mx.example.org") != 0)
			break;
		address = session_path_address(text);
		assert(address.len <= strlen(text));
		if (milter_listen_parse(text, out, &path))
			assert(strlen(out) < sizeof(out));
	}
	if (edits_insert(&e, "X-Spam-Score", SPAN_LIT("0.0")) == 0) {
		edits_apply(&e, on_remove, on_insert, &order);
		assert(order.removed == e.removal_count && order.inserted == 1);
	}
	arena_free(a);
	return 0;
}
