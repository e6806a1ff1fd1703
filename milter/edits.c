#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "milter/edits.h"
#include "scoring/auth/auth.h"

struct edit_name {
	struct edit_name *next;
	struct span name;
	int count; /* fields of this name so far */
};

enum { FIRST_BUCKETS = 64 };

void
edits_init(struct edits *e, struct arena *a)
{
	*e = (struct edits){ .arena = a };
}

static uint32_t
hash_name(struct span name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		h = (h ^ c) * 16777619u;
	}
	return h;
}

/* A hundred thousand different X-Spam- names must not cost a quadratic
 * search, so the table grows with them. */
static int
grow(struct edits *e)
{
	size_t alloc = e->name_alloc == 0 ? FIRST_BUCKETS : e->name_alloc * 4;
	struct edit_name **names = ARENA_ARRAY(e->arena, alloc,
	    struct edit_name *);

	if (names == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < e->name_alloc; i++)
		for (struct edit_name *n = e->names[i], *next; n != NULL;
		     n = next) {
			struct edit_name **bucket =
			    &names[hash_name(n->name) % alloc];

			next = n->next;
			n->next = *bucket;
			*bucket = n;
		}
	e->names = names;
	e->name_alloc = alloc;
	return 0;
}

static struct edit_name *
name_find(struct edits *e, struct span name)
{
	struct edit_name *n, **bucket;

	if (e->name_count >= e->name_alloc * 2 && grow(e) != 0)
		return NULL;
	bucket = &e->names[hash_name(name) % e->name_alloc];
	for (n = *bucket; n != NULL; n = n->next)
		if (span_ieq(n->name, name))
			return n;
	n = ARENA_NEW(e->arena, struct edit_name);
	if (n == NULL || (n->name = arena_span(e->arena, name)).ptr == NULL)
		return NULL;
	n->next = *bucket;
	*bucket = n;
	e->name_count++;
	return n;
}

static int
note_removal(struct edits *e, const struct edit_name *n)
{
	if (e->removal_count == e->removal_alloc) {
		size_t alloc = e->removal_alloc == 0 ? 16 : e->removal_alloc * 2;
		struct edit_removal *r = ARENA_ARRAY(e->arena, alloc,
		    struct edit_removal);

		if (r == NULL)
			return -ENOMEM;
		if (e->removal_count != 0)
			memcpy(r, e->removals, e->removal_count * sizeof(*r));
		e->removals = r;
		e->removal_alloc = alloc;
	}
	e->removals[e->removal_count++] = (struct edit_removal){ n->name.ptr,
		n->count };
	return 0;
}

int
edits_see_field(struct edits *e, struct span name, struct span value,
    const char *authserv_id)
{
	bool ours = span_istarts(name, "X-Spam-");
	struct edit_name *n;

	/* RFC 5322 4.5.8 allows space before the colon */
	while (name.len > 0 && span_is_wsp(name.ptr[name.len - 1]))
		name.len--;
	if (!ours && !span_iis(name, "Authentication-Results"))
		return 0;
	n = name_find(e, name);
	if (n == NULL)
		return -ENOMEM;
	n->count++;
	if (!ours && !auth_results_claims(value, authserv_id))
		return 0;
	return note_removal(e, n);
}

int
edits_insert(struct edits *e, const char *name, struct span value)
{
	char *text;

	assert(e->insertion_count < EDITS_MAX_INSERTIONS);
	text = arena_bytes(e->arena, value.len + 2);
	if (text == NULL)
		return -ENOMEM;
	text[0] = ' ';
	if (value.len != 0)
		memcpy(text + 1, value.ptr, value.len);
	text[value.len + 1] = '\0';
	e->insertions[e->insertion_count++] = (struct edit_insertion){ name, text };
	return 0;
}

int
edits_apply(const struct edits *e,
    int (*remove)(void *context, const char *name, int index),
    int (*insert)(void *context, const char *name, const char *value),
    void *context)
{
	int r;

	/* the last one seen has the highest index of its name */
	for (size_t i = e->removal_count; i > 0; i--) {
		r = remove(context, e->removals[i - 1].name,
		    e->removals[i - 1].index);
		if (r != 0)
			return r;
	}
	for (size_t i = e->insertion_count; i > 0; i--) {
		r = insert(context, e->insertions[i - 1].name,
		    e->insertions[i - 1].value);
		if (r != 0)
			return r;
	}
	return 0;
}
