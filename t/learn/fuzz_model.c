/*
 * The model's file from a hostile hand: the input is written over the start
 * of a small valid file (its checksum then made right, so that damage behind
 * it is reached), cut to a length that it chooses, opened, and used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "scoring/learn/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNT = 64 };

static int
use(const char *path)
{
	struct sample s = { .view = { SPAN_LIT("From: a\n\nhello world"),
		SPAN_LIT("From: a\n"), SPAN_LIT("hello world"),
		SPAN_LIT("h=from ") } };
	struct model_writer *w;
	struct model *m;
	int r = model_open(path, &m, NULL);

	if (r != 0)
		return r;
	struct arena *a = arena_new(4 << 20);
	struct model_prediction p;

	if (a != NULL) {
		model_predict_sample(m, &s, 5, a, &p);
		if (p.log_odds != p.log_odds)
			abort();
		arena_free(a);
	}
	model_unref(m);
	if (model_writer_open(path, &w, NULL) == 0) {
		model_writer_learn(w, &s, MODEL_SPAM, 1, 0);
		model_writer_free(w);
	}
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	static int fd = -1;
	size_t bytes = model_file_bytes(COUNT), cut;
	uint64_t *file = calloc(bytes / 8 + 1, 8);
	struct model_header *h = (struct model_header *)file;

	if (file == NULL)
		return 0;
	if (fd == -1) {
		char name[] = "/tmp/learn-fuzz.XXXXXX";

		fd = mkstemp(name);
		if (fd == -1)
			abort();
		unlink(name);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	memcpy(h->magic, MODEL_MAGIC, sizeof(h->magic));
	h->version = MODEL_VERSION;
	h->order = MODEL_ORDER;
	h->count = COUNT;
	h->noise_seen = 200;
	calibrate_init(&h->calibrate);
	cut = size >= 2 ? ((size_t)data[0] << 8 | data[1]) % (bytes + 2) : bytes;
	if (size > 2)
		memcpy(file, data + 2, size - 2 < bytes ? size - 2 : bytes);
	if (size >= 2 && data[0] < 0x80)
		cut = bytes;
	/* with the sum right, when the header leaves it a meaning */
	if (h->count == COUNT)
		h->checksum = model_checksum(h,
		    (const struct weight *)((uint8_t *)file + MODEL_HEADER_BYTES));
	if (ftruncate(fd, 0) != 0 || pwrite(fd, file, cut, 0) != (ssize_t)cut)
		abort();
	use(path);
	free(file);
	return 0;
}
