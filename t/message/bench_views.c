/*
 * What each view costs: bench_views FILE... (names on stdin without
 * arguments). Prints microseconds a message and view, and bytes of arena.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scoring/message/body.h"
#include "scoring/message/received.h"

enum { PARSE, FIELDS, RELAYS, PARTS, RENDERED, RAW, URIS, STEPS };

static const char *const step_names[STEPS] = { "parse", "fields decoded",
	"relays", "MIME parts", "rendered text", "raw text", "URIs" };

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
run(struct span raw, int64_t sums[STEPS], size_t *bytes)
{
	static const struct message_limits limits = {
		.scan_bytes = 512 * 1024, .max_fields = 1000,
		.max_mime_depth = 20, .max_mime_parts = 1000, .max_uris = 1000,
	};
	struct arena *a = arena_new(256 << 20);
	const struct texts *t;
	const struct uris *u;
	struct relays *r;
	struct message *m;
	struct part *p;
	int64_t at[STEPS + 1];

	at[0] = now_ns();
	if (a == NULL || message_parse(a, raw, raw.len, &limits, &m, NULL) != 0) {
		arena_free(a);
		return;
	}
	at[1] = now_ns();
	for (size_t i = 0; i < m->field_count; i++)
		field_decoded(m, &m->fields[i]);
	at[2] = now_ns();
	relays_parse(m, NULL, NULL, NULL, &r);
	at[3] = now_ns();
	body_parts(m, &p);
	at[4] = now_ns();
	body_rendered(m, &t);
	at[5] = now_ns();
	body_raw(m, &t);
	at[6] = now_ns();
	body_uris(m, NULL, &u);
	at[7] = now_ns();
	for (int i = 0; i < STEPS; i++)
		sums[i] += at[i + 1] - at[i];
	*bytes += arena_used(a);
	arena_free(a);
}

int
main(int argc, char **argv)
{
	int64_t sums[STEPS] = { 0 }, all = 0;
	size_t count = 0, bytes = 0, raw_bytes = 0;
	char line[4096];

	for (int i = 1; argc == 1 || i < argc; i++) {
		static char raw[1 << 20];
		const char *path = line;
		size_t n;
		FILE *f;

		if (argc > 1)
			path = argv[i];
		else if (fgets(line, sizeof(line), stdin) == NULL)
			break;
		line[strcspn(line, "\n")] = '\0';
		f = fopen(path, "rb");
		if (f == NULL)
			continue;
		n = fread(raw, 1, sizeof(raw), f);
		fclose(f);
		run(span_of(raw, n), sums, &bytes);
		raw_bytes += n;
		count++;
	}
	if (count == 0) {
		fprintf(stderr, "no messages\n");
		return 77;
	}
	for (int i = 0; i < STEPS; i++) {
		printf("%-16s %8.1f us\n", step_names[i],
		    (double)sums[i] / 1000 / (double)count);
		all += sums[i];
	}
	printf("%-16s %8.1f us a message, %zu messages of %zu bytes, %zu bytes "
	    "of arena\n", "all", (double)all / 1000 / (double)count, count,
	    raw_bytes / count, bytes / count);
	return 0;
}
