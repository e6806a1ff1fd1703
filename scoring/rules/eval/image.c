/*
 * ImageInfo: number, pixels, sizes and names of GIF, PNG and JPEG parts in
 * base64, read from their headers.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/probe.h"

enum image_type { IMAGE_GIF, IMAGE_PNG, IMAGE_JPEG, IMAGE_TYPES };

enum { MAX_IMAGES = 200 };

struct image {
	enum image_type type;
	double width, height; /* 0: not readable */
	struct span name;
};

struct images {
	struct image list[MAX_IMAGES];
	size_t count;
};

static unsigned
be16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static double
be32(const unsigned char *p)
{
	return (double)be16(p) * 65536 + be16(p + 2);
}

static void
read_gif(const unsigned char *p, size_t n, struct image *i)
{
	if (n < 13 || (memcmp(p, "GIF87a", 6) != 0 && memcmp(p, "GIF89a", 6) != 0))
		return;
	i->width = p[6] | p[7] << 8;
	i->height = p[8] | p[9] << 8;
}

static void
read_png(const unsigned char *p, size_t n, struct image *i)
{
	if (n < 29 || memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0 ||
	    memcmp(p + 12, "IHDR", 4) != 0 || be32(p + 8) != 13)
		return;
	i->width = be32(p + 16);
	i->height = be32(p + 20);
}

static void
read_jpeg(const unsigned char *p, size_t n, struct image *i)
{
	size_t at = 2;

	if (n < 2 || p[0] != 0xFF || p[1] != 0xD8)
		return;
	while (at + 4 <= n) {
		unsigned mark = p[at + 1], length = be16(p + at + 2);

		if (p[at] != 0xFF || mark == 0xDA || mark == 0xD9 || length < 2)
			return;
		at += 4;
		/* SOFn, which DHT (C4), JPG (C8) and DAC (CC) are not */
		if (mark >= 0xC0 && mark <= 0xCF && (mark % 4 != 0 || mark == 0xC0) &&
		    at + 5 <= n) {
			i->height = be16(p + at + 1);
			i->width = be16(p + at + 3);
			return;
		}
		at += length - 2;
	}
}

static bool
type_of(const struct part *part, enum image_type *ret)
{
	if (span_is(part->type, "image/gif"))
		*ret = IMAGE_GIF;
	else if (span_is(part->type, "image/png"))
		*ret = IMAGE_PNG;
	else if (span_is(part->type, "image/jpeg") || span_is(part->type, "image/jpg"))
		*ret = IMAGE_JPEG;
	else
		return false;
	return true;
}

static const struct images *
images_of(struct eval_context *ctx)
{
	static void (*const readers[])(const unsigned char *, size_t,
	    struct image *) = { read_gif, read_png, read_jpeg };
	void **slot = eval_cache(ctx);
	struct images *s = *slot;
	struct part *part;

	if (s != NULL)
		return s;
	s = ARENA_NEW(eval_input(ctx)->arena, struct images);
	if (s == NULL || body_parts(eval_input(ctx)->message, &part) != 0)
		return NULL;
	for (; part != NULL && s->count < MAX_IMAGES; part = part->in_order) {
		struct image *i = &s->list[s->count];
		struct span bytes;

		*i = (struct image){ .width = 0 };
		if (!part->leaf || !type_of(part, &i->type) ||
		    !span_iis(span_trim(part_header(part,
			"Content-Transfer-Encoding")), "base64"))
			continue;
		if (part_decoded(part, &bytes) != 0)
			return NULL;
		if (bytes.len > 0)
			readers[i->type]((const unsigned char *)bytes.ptr,
			    bytes.len, i);
		if (part->name.ptr != NULL)
			i->name = part->name;
		s->count++;
	}
	*slot = s;
	return s;
}

static bool
is_of_type(const struct image *i, struct span type)
{
	static const char *const names[] = { "gif", "png", "jpeg" };

	return span_is(type, "all") || span_is(type, names[i->type]);
}

static double
number(const struct eval_call *call, size_t i)
{
	return strtod(call->args[i].ptr, NULL);
}

static bool
in_range(const struct eval_call *call, double v)
{
	return v >= number(call, 1) &&
	    (call->arg_count < 3 || v <= number(call, 2));
}

static int
run_count(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);
	double n = 0;

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		n += is_of_type(&s->list[i], call->args[0]);
	r->count = in_range(call, n);
	return 0;
}

static double
pixels(const struct images *s, struct span type)
{
	double n = 0;

	for (size_t i = 0; i < s->count; i++)
		if (is_of_type(&s->list[i], type))
			n += s->list[i].width * s->list[i].height;
	return n;
}

static int
run_coverage(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);

	if (s == NULL)
		return -ENOMEM;
	r->count = in_range(call, pixels(s, call->args[0]));
	return 0;
}

static int
run_text_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);
	const struct texts *body;
	double text = 0, area;

	if (s == NULL || (call->kind == EVAL_RAWBODY ?
		body_raw(eval_input(ctx)->message, &body) :
		body_rendered(eval_input(ctx)->message, &body)) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < body->count; i++)
		text += (double)body->items[i].len;
	area = pixels(s, call->args[0]);
	/* here, and only here, the upper end is not in the range */
	r->count = text > 0 && area > 0 && in_range(call, text / area) &&
	    text / area != number(call, 2);
	return 0;
}

static int
run_size_exact(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		if (is_of_type(&s->list[i], call->args[0]) && s->list[i].width > 0 &&
		    s->list[i].height == number(call, 1) &&
		    s->list[i].width == number(call, 2))
			r->count = 1;
	return 0;
}

static int
run_size_range(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++) {
		const struct image *m = &s->list[i];

		if (is_of_type(m, call->args[0]) && m->width > 0 && m->height > 0 &&
		    m->height >= number(call, 1) && m->width >= number(call, 2) &&
		    (call->arg_count < 4 || m->height <= number(call, 3)) &&
		    (call->arg_count < 5 || m->width <= number(call, 4)))
			r->count = 1;
	}
	return 0;
}

static int
run_named(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct images *s = images_of(ctx);

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].width > 0 && s->list[i].name.len > 0 &&
		    span_eq(s->list[i].name, call->args[0]))
			r->count = 1;
	return 0;
}

static int
prepare_regexp(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	call->prepared = eval_pattern(l, call->args[0],
	    call->args[0].len > 0 && call->args[0].ptr[0] == '/', call->file,
	    call->line);
	return 0;
}

static int
run_name_regex(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = { ctx, NULL, 0 };
	const struct images *s = images_of(ctx);
	bool hit = false;

	if (s == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count && call->prepared != NULL && !hit; i++)
		if (s->list[i].width > 0 && s->list[i].name.len > 0) {
			int m = eval_match(ctx, call->prepared, s->list[i].name, 0,
			    NULL, 0);

			if (m < 0)
				p.error = m;
			hit = m == 1;
		}
	return probe_end(&p, r, hit);
}

#define BODY (EVAL_BODY | EVAL_RAWBODY)

static const struct eval_function functions[] = {
	{ "image_count", BODY, "ss|s", run_count, NULL, NULL },
	{ "pixel_coverage", BODY, "ss|s", run_coverage, NULL, NULL },
	{ "image_to_text_ratio", BODY, "sss", run_text_ratio, NULL, NULL },
	{ "image_size_exact", BODY, "sss", run_size_exact, NULL, NULL },
	{ "image_size_range", BODY, "sss|ss", run_size_range, NULL, NULL },
	{ "image_named", BODY, "s", run_named, NULL, NULL },
	{ "image_name_regex", BODY, "s", run_name_regex, prepare_regexp, NULL },
	{ 0 },
};

const struct eval_family eval_image = {
	"Mail::SpamAssassin::Plugin::ImageInfo", functions, NULL, NULL, NULL,
};
