#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 32
#include <pcre2.h>

#include "scoring/rules/pattern_match.h"
#include "scoring/rules/pattern_wide.h"

struct wide {
	pcre2_code *code;
	uint8_t *tables;
};

struct wide_matcher {
	struct match_space space;
	uint32_t *units;
	size_t length, alloc;
};

static uint32_t *
widen(struct span s)
{
	uint32_t *units = malloc((s.len + 1) * sizeof(*units));

	for (size_t i = 0; units != NULL && i < s.len; i++)
		units[i] = (unsigned char)s.ptr[i];
	return units;
}

int
wide_compile(struct span text, uint32_t options, const uint8_t *fold,
    size_t max_bytes, struct wide **ret_wide)
{
	struct wide *w = calloc(1, sizeof(*w));
	pcre2_compile_context *c = pcre2_compile_context_create(NULL);
	uint32_t *units = widen(text);
	PCRE2_SIZE at = 0;
	int number = PCRE2_ERROR_NOMEMORY;

	if (w != NULL && c != NULL && units != NULL) {
		w->tables = (uint8_t *)(uintptr_t)pcre2_maketables(NULL);
		if (w->tables != NULL) {
			/* lower and flipped case, as in the 8-bit tables */
			memcpy(w->tables, fold, 512);
			pcre2_set_character_tables(c, w->tables);
			pcre2_set_newline(c, PCRE2_NEWLINE_LF);
			pcre2_set_max_pattern_length(c, max_bytes);
			w->code = pcre2_compile(units, text.len, options,
			    &number, &at, c);
		}
	}
	free(units);
	pcre2_compile_context_free(c);
	if (w == NULL || w->code == NULL) {
		wide_free(w);
		return number;
	}
	*ret_wide = w;
	return 0;
}

struct wide *
wide_copy(const struct wide *w)
{
	struct wide *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		return NULL;
	/* keeps the tables of its own, so either may go first */
	copy->code = pcre2_code_copy_with_tables(w->code);
	if (copy->code == NULL) {
		free(copy);
		return NULL;
	}
	return copy;
}

void
wide_jit(struct wide *w)
{
	/* without JIT the interpreter does the same */
	(void)pcre2_jit_compile(w->code, PCRE2_JIT_COMPLETE);
}

void
wide_free(struct wide *w)
{
	if (w == NULL)
		return;
	pcre2_code_free(w->code);
	if (w->tables != NULL)
		pcre2_maketables_free(NULL, w->tables);
	free(w);
}

struct wide_matcher *
wide_matcher_new(void)
{
	struct wide_matcher *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	if (!match_space_init(&m->space)) {
		free(m);
		return NULL;
	}
	return m;
}

void
wide_matcher_free(struct wide_matcher *m)
{
	if (m == NULL)
		return;
	match_space_done(&m->space);
	free(m->units);
	free(m);
}

int
wide_subject(struct wide_matcher *m, struct span s)
{
	if (s.len + 1 > m->alloc) {
		uint32_t *units;

		if (s.len > SIZE_MAX / sizeof(*units) / 2)
			return -1;
		units = realloc(m->units, (s.len + 1) * sizeof(*units));
		if (units == NULL)
			return -1;
		m->units = units;
		m->alloc = s.len + 1;
	}
	for (size_t i = 0; i < s.len; i++)
		m->units[i] = (unsigned char)s.ptr[i];
	m->length = s.len;
	return 0;
}

int
wide_match(struct wide *w, struct wide_matcher *m, size_t from, size_t last,
    uint32_t options, uint32_t limit, uint32_t heap_limit_kb,
    const size_t **ret_groups)
{
	pcre2_set_heap_limit(m->space.context, heap_limit_kb);
	return match_space_try(&m->space, w->code, m->units, m->length, from,
	    last, options, limit, ret_groups);
}
