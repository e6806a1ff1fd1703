/* The cache of hits with a right digest around anything at all */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "tune/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key[CACHE_KEY] = { 0 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	static char path[64];
	static int fd = -1;
	struct cache *c;
	const char *why;
	struct buf b;
	unsigned n;

	if (fd == -1) {
		char name[] = "/tmp/tune-fuzz.XXXXXX";

		fd = mkstemp(name);
		if (fd == -1)
			abort();
		unlink(name);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	buf_init(&b, 16 << 20);
	buf_add_str(&b, "spamscore hits 1\n");
	buf_add(&b, key, sizeof(key));
	buf_add(&b, data, size);
	EVP_Digest(b.ptr, b.len, digest, &n, EVP_sha256(), NULL);
	buf_add(&b, digest, 32);
	if (ftruncate(fd, 0) != 0 ||
	    pwrite(fd, b.ptr, b.len, 0) != (ssize_t)b.len)
		abort();
	if (cache_open(path, key, 100, &c, &why) == 0) {
		const struct cache_entry *e = size >= TUNE_IDENTITY ?
		    cache_find(c, data) : NULL;

		for (uint32_t i = 0; e != NULL && i < e->hit_count; i++)
			if (e->hits[i] >= 100)
				abort();
		cache_free(c);
	}
	buf_done(&b);
	return 0;
}
