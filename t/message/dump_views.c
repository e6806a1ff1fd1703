/*
 * Prints the views of messages for comparison with another program's:
 * dump_views [FILE...] (names on stdin without arguments). Each view is a
 * line "=NAME" followed by a line an item, escaped; each file begins with
 * "*PATH" and ends with "." alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "scoring/message/body.h"
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
print_texts(const char *name, const struct texts *t)
{
	printf("=%s\n", name);
	for (size_t i = 0; i < t->count; i++)
		print_item(t->items[i]);
}

static void
print_parts(struct message *m)
{
	struct part *p;

	if (body_parts(m, &p) != 0)
		return;
	puts("=parts");
	for (; p != NULL; p = p->in_order) {
		printf(" %.*s leaf=%d name=", SPAN_ARG(p->type), p->leaf);
		print_item(p->leaf ? p->name : SPAN_LIT(""));
	}
	puts("=mimeheaders");
	body_parts(m, &p);
	for (p = p->in_order; p != NULL; p = p->in_order)
		for (size_t i = 0; i < p->field_count; i++)
			print_item(field_decoded(p->message, &p->fields[i]));
}

static void
print_html(struct message *m)
{
	static const char *const names[] = { "length", "html_length",
		"non_space_len", "ratio", "image_area", "min_size", "max_size",
		"closed_extra_ratio", "bad_tag_ratio", "non_element_ratio",
		"obfuscation_ratio", "backhair_count", "font_low_contrast",
		"font_invalid_color", "font_face_bad", "form_action_mailto",
		"embeds" };
	static const char *const lists[] = { "title", "comment", "script",
		"anchor" };
	static const char *const tags[] = { "html", "body", "head", "a", "p", "img",
		"div", "table", "td", "tr", "span", "font", "!doctype", "o:p",
		"center", "b", "style", "script", "title", "iframe", "meta" };
	const struct html *h;

	if (body_html(m, &h) != 0)
		return;
	puts("=html");
	for (const struct html *k = h; k != NULL; k = k->next) {
		double v;

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (html_number(k, names[i], &v))
				printf(" %s %.4f\n", names[i], v);
		for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
			if (html_inside(k, span_cstr(tags[i])) >= 0)
				printf(" inside %s %d\n", tags[i],
				    html_inside(k, span_cstr(tags[i])));
	}
	puts("=htmltexts");
	for (const struct html *k = h; k != NULL; k = k->next)
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
			const struct texts *t = html_texts(k, lists[i]);

			for (size_t n = 0; n < t->count; n++)
				print_item(t->items[n]);
		}
}

static void
print_body(struct message *m)
{
	const struct texts *t;

	if (body_rendered(m, &t) == 0)
		print_texts("body", t);
	if (body_visible(m, &t) == 0)
		print_texts("visible", t);
	if (body_invisible(m, &t) == 0)
		print_texts("invisible", t);
	if (body_raw(m, &t) == 0)
		print_texts("rawbody", t);
}

static struct span *tlds, *twos, *threes;
static size_t tld_count, two_count, three_count;

static int
span_compare(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);

	return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

static bool
known_tld(const void *ctx, struct span s)
{
	(void)ctx;
	return bsearch(&s, tlds, tld_count, sizeof(s), span_compare) != NULL;
}

static bool
known_two(const void *ctx, struct span s)
{
	(void)ctx;
	return bsearch(&s, twos, two_count, sizeof(s), span_compare) != NULL;
}

static bool
known_three(const void *ctx, struct span s)
{
	(void)ctx;
	return bsearch(&s, threes, three_count, sizeof(s), span_compare) != NULL;
}

/* util_rb_tld and its like of SpamAssassin's own lists, so that differences
 * between them and the public suffix list are not counted as ours */
static void
lists_read(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[65536];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct span **list = NULL;
		size_t *count = NULL;
		char *save, *word = strtok_r(line, " \t\n", &save);

		if (word == NULL)
			continue;
		if (strcmp(word, "util_rb_tld") == 0) {
			list = &tlds;
			count = &tld_count;
		} else if (strcmp(word, "util_rb_2tld") == 0) {
			list = &twos;
			count = &two_count;
		} else if (strcmp(word, "util_rb_3tld") == 0) {
			list = &threes;
			count = &three_count;
		}
		while (list != NULL &&
		    (word = strtok_r(NULL, " \t\n", &save)) != NULL) {
			*list = realloc(*list, (*count + 1) * sizeof(**list));
			(*list)[(*count)++] = span_cstr(strdup(word));
		}
	}
	if (f != NULL)
		fclose(f);
	if (tld_count != 0)
		qsort(tlds, tld_count, sizeof(*tlds), span_compare);
	if (two_count != 0)
		qsort(twos, two_count, sizeof(*twos), span_compare);
	if (three_count != 0)
		qsort(threes, three_count, sizeof(*threes), span_compare);
}

static void
print_uris(struct message *m)
{
	struct uri_rules rules = { known_tld, known_two, known_three, NULL, NULL,
		true };
	const struct uris *u;

	if (body_uris(m, tld_count != 0 ? &rules : NULL, &u) != 0)
		return;
	puts("=urilist");
	for (size_t i = 0; i < u->list_count; i++)
		print_item(u->list[i]);
	puts("=uridetail");
	for (size_t i = 0; i < u->count; i++) {
		const struct uri *x = &u->items[i];
		struct buf b;

		buf_init(&b, 1 << 20);
		buf_add_span(&b, x->raw);
		for (unsigned t = 1; t <= URI_DOMAINKEYS; t <<= 1)
			if (x->types & t)
				buf_printf(&b, " %s", uri_type_name(t));
		print_item(buf_span(&b));
		for (size_t k = 0; k < x->host_count; k++) {
			buf_reset(&b);
			buf_add_span(&b, x->raw);
			buf_add_str(&b, " host ");
			buf_add_span(&b, x->hosts[k]);
			buf_add_str(&b, " ");
			buf_add_span(&b, x->domains[k]);
			print_item(buf_span(&b));
		}
		for (size_t k = 0; k < x->anchor_count; k++) {
			buf_reset(&b);
			buf_add_span(&b, x->raw);
			buf_add_str(&b, " anchor ");
			buf_add_span(&b, x->anchors[k]);
			print_item(buf_span(&b));
		}
		buf_done(&b);
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
		print_parts(m);
		print_body(m);
		print_html(m);
		print_uris(m);
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

	lists_read("/usr/share/spamassassin/20_aux_tlds.cf");
	for (int i = 1; i < argc; i++)
		dump(argv[i]);
	if (argc == 1)
		while (fgets(line, sizeof(line), stdin) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			dump(line);
		}
	return 0;
}
