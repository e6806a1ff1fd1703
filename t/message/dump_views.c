/*
 * Prints the views of messages for comparison with another program's:
 * dump_views [FILE...] (names on stdin without arguments). Each view is a
 * line "=NAME" followed by a line an item, escaped; each file begins with
 * "*PATH" and ends with "." alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/message/message.h"
#include "scoring/message/received.h"

static void
print_item(struct span s)
{
	putchar(' ');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20 || c >= 0x7F || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

static void
print_relays(struct message *m)
{
	struct relays *r;

	if (relays_parse(m, NULL, NULL, NULL, &r) != 0)
		return;
	puts("=relays");
	print_item(r->text_trusted);
	print_item(r->text_untrusted);
	print_item(r->text_internal);
	print_item(r->text_external);
	puts("=unparseable");
	printf(" %zu\n", r->unparseable_count);
}

static void
print_fields(struct message *m)
{
	puts("=fields");
	for (size_t i = 0; i < m->field_count; i++)
		print_item(field_decoded(m, &m->fields[i]));
}

static void
print_addresses(struct message *m)
{
	static const char *const names[] = { "From", "To", "Cc", "Reply-To" };

	puts("=addresses");
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		for (struct field *f = message_find(m, names[k], 0); f != NULL;
		     f = message_next(m, f)) {
			struct address *list;
			size_t n;

			if (address_parse_all(m->arena, field_raw(m, f), &list,
				&n) != 0)
				return;
			for (size_t i = 0; i < n; i++)
				if (list[i].addr.ptr != NULL)
					print_item(list[i].addr);
			for (size_t i = 0; i < n; i++)
				if (list[i].phrase.ptr != NULL)
					print_item(address_phrase_decoded(
					    m->arena, list[i].phrase));
		}
}

static void
dump(const char *path)
{
	static const struct message_limits limits = {
		.scan_bytes = 64 << 20, .max_fields = 100000,
		.max_mime_depth = 20, .max_mime_parts = 1000, .max_uris = 100000,
	};
	struct arena *a = arena_new((size_t)1 << 30);
	FILE *f = fopen(path, "rb");
	char *raw = NULL;
	size_t len = 0, alloc = 0;
	struct message *m;

	if (f == NULL || a == NULL) {
		fprintf(stderr, "cannot open %s\n", path);
		exit(1);
	}
	for (;;) {
		size_t n;

		if (len == alloc) {
			alloc = alloc != 0 ? alloc * 2 : 65536;
			raw = realloc(raw, alloc);
			if (raw == NULL)
				abort();
		}
		n = fread(raw + len, 1, alloc - len, f);
		if (n == 0)
			break;
		len += n;
	}
	fclose(f);
	printf("*%s\n", path);
	if (message_parse(a, span_of(raw, len), len, &limits, &m, NULL) == 0) {
		print_relays(m);
		print_fields(m);
		print_addresses(m);
	}
	puts(".");
	fflush(stdout);
	arena_free(a);
	free(raw);
}

int
main(int argc, char **argv)
{
	char line[4096];

	for (int i = 1; i < argc; i++)
		dump(argv[i]);
	if (argc == 1)
		while (fgets(line, sizeof(line), stdin) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			dump(line);
		}
	return 0;
}
