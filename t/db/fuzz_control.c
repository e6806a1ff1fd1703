/* Any line to the control socket, on a store that is really there. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "milter/control.h"
#include "t/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;

static void
finish(void)
{
	store_close(store);
	scratch_remove();
}

static void
begin(void)
{
	char path[80];
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	struct error err;

	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	if (store_open(&o, &store, &err) != 0)
		abort();
	atexit(finish);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_context c = { NULL };
	struct error err;
	json_t *request, *answer;
	size_t bytes, skip;

	if (store == NULL)
		begin();
	c.store = store;
	request = control_parse((const char *)data, size, &bytes, &err);
	if (request == NULL)
		return 0;
	assert(bytes <= CONTROL_MAX_MESSAGE);
	/* the line is the message as well, from somewhere on */
	skip = bytes < size ? bytes : size;
	answer = control_run(&c, request, span_of((const char *)data + skip,
	    size - skip), NULL);
	assert(answer != NULL && (json_object_get(answer, "ok") != NULL ||
	    json_is_string(json_object_get(answer, "error"))));
	json_decref(answer);
	json_decref(request);
	return 0;
}
