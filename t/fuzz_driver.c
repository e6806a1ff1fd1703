/*
 * Runs a libFuzzer target as an ordinary test: each file of each directory
 * given, whole, cut short, and with a few deterministic mutations. With
 * -Dfuzz=true the target is linked with libFuzzer instead of this.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum { MUTATIONS = 200 };

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint32_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static void
run_bytes(const uint8_t *data, size_t size)
{
	/* an exact heap copy, so that ASan sees one byte too many */
	uint8_t *copy = malloc(size != 0 ? size : 1);

	if (copy == NULL)
		abort();
	if (size != 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(1 << 20);
	size_t size;

	if (f == NULL || data == NULL)
		abort();
	size = fread(data, 1, 1 << 20, f);
	fclose(f);
	run_bytes(data, size);
	for (int i = 0; i < MUTATIONS && size > 0; i++) {
		uint8_t *m = malloc(size);
		size_t n = size;

		if (m == NULL)
			abort();
		memcpy(m, data, size);
		for (uint32_t k = next_random() % 4; k-- > 0;)
			m[next_random() % n] = (uint8_t)next_random();
		if (next_random() % 4 == 0)
			n = next_random() % (size + 1);
		run_bytes(m, n);
		free(m);
	}
	free(data);
}

int
main(int argc, char **argv)
{
	unsigned files = 0;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct dirent **names;
		int n = scandir(argv[i], &names, NULL, alphasort);

		if (n < 0) {
			printf("Bail out! cannot read %s\n", argv[i]);
			return 1;
		}
		for (int k = 0; k < n; k++) {
			char path[4096];

			if (names[k]->d_name[0] != '.') {
				snprintf(path, sizeof(path), "%s/%s", argv[i],
				    names[k]->d_name);
				run_file(path);
				files++;
			}
			free(names[k]);
		}
		free(names);
	}
	printf("ok 1 - %u files and their mutations\n1..1\n", files);
	return files == 0;
}
