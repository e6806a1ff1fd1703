/*
 * The file: one page of header, then the weights, little-endian, with a
 * checksum over all of it. Readers map it; the writer makes a new file
 * beside it and renames, so a reader keeps the one that it has open.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scoring/learn/internal.h"

size_t
model_file_bytes(uint32_t count)
{
	return MODEL_HEADER_BYTES + (size_t)count * sizeof(struct weight);
}

static inline uint64_t
rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

/* Four lanes of multiply and rotate: as fast as memory, and any flipped bit
 * changes its lane for good (each step is invertible). Against accidents,
 * not against people: who may write the file may also write the sum. */
uint64_t
model_checksum(const struct model_header *h, const struct weight *weights)
{
	uint64_t lane[4] = { 0x9AE16A3B2F90404Fu, 0xC949C7DEFEDCBA98u,
		0x2B7E151628AED2A6u, h->count }, x[4], sum = 0;
	const uint64_t *word = (const uint64_t *)(const void *)weights;
	struct model_header head = *h;
	uint64_t copy[MODEL_HEADER_BYTES / 8];
	size_t i = 0;

	head.checksum = 0;
	memcpy(copy, &head, sizeof(copy));
	for (size_t k = 0; k < MODEL_HEADER_BYTES / 8; k++)
		lane[k & 3] = rotate((lane[k & 3] ^ copy[k]) *
		    0x9FB21C651E98DF25u, 29);
	for (; i + 4 <= h->count; i += 4) {
		for (int k = 0; k < 4; k++) {
			x[k] = word[i + (size_t)k];
			lane[k] = rotate((lane[k] ^ x[k]) * 0x9FB21C651E98DF25u, 29);
		}
	}
	for (; i < h->count; i++)
		lane[0] = rotate((lane[0] ^ word[i]) * 0x9FB21C651E98DF25u, 29);
	for (int k = 0; k < 4; k++)
		sum = rotate((sum ^ lane[k]) * 0x9FB21C651E98DF25u, 31);
	return sum ^ sum >> 32;
}

static int
header_check(const struct model_header *h, size_t file_bytes, const char *path,
    struct error *err)
{
	if (memcmp(h->magic, MODEL_MAGIC, sizeof(h->magic)) != 0)
		return error_set(err, -EBADMSG, "not a model: \"%s\"", path);
	if (h->order != MODEL_ORDER || h->version != MODEL_VERSION)
		return error_set(err, -EPROTONOSUPPORT,
		    "model of another version or byte order: \"%s\"", path);
	if (h->count < 2 || h->count % 2 != 0 || model_file_bytes(h->count) > MODEL_MAX_BYTES ||
	    model_file_bytes(h->count) != file_bytes)
		return error_set(err, -EBADMSG, "model is cut off: \"%s\"", path);
	return 0;
}

/* What a checksum that somebody forged would let through must still not
 * crash: numbers that are used as such are looked at. Weights may be any
 * float; predictions from them are clipped (NaN becomes a bound). */
static bool
header_sane(const struct model_header *h)
{
	return calibrate_valid(&h->calibrate) && isfinite(h->noise_flips) &&
	    isfinite(h->noise_seen) && h->noise_flips >= 0 && h->noise_seen > 0;
}

static int
file_open(const char *path, int *ret_fd, size_t *ret_bytes,
    struct model_header *ret_header, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	struct stat st;
	ssize_t n;

	if (fd == -1)
		return error_set(err, -errno, "cannot open model \"%s\": %s", path,
		    strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, -EBADMSG, "not a regular file: \"%s\"", path);
	}
	n = pread(fd, ret_header, sizeof(*ret_header), 0);
	r = n == (ssize_t)sizeof(*ret_header) ?
	    header_check(ret_header, (size_t)st.st_size, path, err) :
	    error_set(err, -EBADMSG, "model is cut off: \"%s\"", path);
	if (r != 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

int
model_open(const char *path, struct model **ret_model, struct error *err)
{
	struct model_header header;
	struct model *m;
	size_t bytes = 0;
	void *map;
	int fd = -1, r;

	r = file_open(path, &fd, &bytes, &header, err);
	if (r != 0)
		return r;
	m = calloc(1, sizeof(*m));
	/* Private: nobody changes a published file (writers rename), and what
	 * truncates it behind us must have meant harm */
	map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	close(fd);
	if (m == NULL || map == MAP_FAILED) {
		free(m);
		if (map != MAP_FAILED)
			munmap(map, bytes);
		return error_set(err, -ENOMEM, "out of memory");
	}
	*m = (struct model){ .refs = 1, .header = map,
		.weights = (const struct weight *)((const uint8_t *)map +
		    MODEL_HEADER_BYTES), .map = map, .map_bytes = bytes };
	if (model_checksum(m->header, m->weights) != m->header->checksum ||
	    m->header->count != header.count || !header_sane(m->header)) {
		model_unref(m);
		return error_set(err, -EBADMSG,
		    "model is damaged (checksum): \"%s\"", path);
	}
	*ret_model = m;
	return 0;
}

struct model *
model_ref(struct model *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void
model_unref(struct model *m)
{
	if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	munmap(m->map, m->map_bytes);
	free(m);
}

int
model_writer_open(const char *path, struct model_writer **ret_writer,
    struct error *err)
{
	struct model_writer *w;
	struct model *m;
	int r;

	r = model_open(path, &m, err);
	if (r != 0)
		return r;
	r = writer_alloc(m->header->count, &w, err);
	if (r == 0) {
		memcpy(w->memory, m->map, m->map_bytes);
		*ret_writer = w;
	}
	model_unref(m);
	return r;
}

static int
write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int
directory_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") :
	    strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd, r = 0;

	if (dir == NULL)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (fd == -1)
		return -errno;
	if (fsync(fd) != 0)
		r = -errno;
	close(fd);
	return r;
}

int
model_writer_save(struct model_writer *w, const char *path, struct error *err)
{
	char *temporary;
	int fd = -1, r;

	if (asprintf(&temporary, "%s.new", path) == -1)
		return error_set(err, -ENOMEM, "out of memory");
	w->header->checksum = model_checksum(w->header, w->weights);
	/* There is one writer: a file that is left here is from a crash */
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0640);
	r = fd == -1 ? -errno : write_all(fd, w->memory, w->memory_bytes);
	if (r == 0 && fsync(fd) != 0)
		r = -errno;
	if (fd != -1 && close(fd) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) != 0)
		r = -errno;
	if (r != 0 && fd != -1)
		unlink(temporary);
	if (r == 0)
		r = directory_sync(path);
	free(temporary);
	return r == 0 ? 0 : error_set(err, r, "cannot save model \"%s\": %s",
	    path, strerror(-r));
}
