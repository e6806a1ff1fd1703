#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/ascii.h"
#include "scoring/rules/pattern_match.h"
#include "scoring/rules/pattern_wide.h"
#include "scoring/rules/strmap.h"

enum {
	LOW_LIMIT = 400,   /* steps a starting position gets for nothing */
	LIMIT_FACTOR = 16, /* how the limit rises after that */
	PARTS = 16,	   /* in which whoever needs more is searched for */
	FEW_STARTS = 128,  /* that are tried one by one instead */
	BYTES_A_STEP = 64, /* what looking at the subject costs */
	MAX_PATTERN_BYTES = 1024 * 1024,
	/* Matches with the interpreter: machine code costs as much as eight. That
	 * of wide patterns takes long to make and is rarely wanted */
	FAST_AFTER = 8,
	FAST_AFTER_WIDE = 400,
};

/* Where matches begin, as far as that is known */
enum starts { STARTS_ANYWHERE, STARTS_LINE, STARTS_BYTE };

/*
 * Machine code takes up to a third of a second to make and pays only when a
 * pattern is used often, so the interpreter begins. What it answers within
 * LOW_LIMIT is what machine code would answer; where it does not come to an
 * end machine code is made and decides, so that results never depend on how
 * often a pattern was used before.
 */
struct pattern {
	struct pattern_pool *pool;
	struct span text; /* PCRE2's language */
	size_t index;
	pcre2_code *code;
	enum starts starts;
	char start;  /* STARTS_BYTE: this one */
	bool letter; /* the pattern is that byte and nothing more */
	struct wide *wide; /* instead of code, when that is too small */
	struct error *why; /* instead of both: it is no pattern */
	pcre2_code *fast;  /* with machine code; a copy, since others may be
			      reading code meanwhile. Set before has_fast */
	struct wide *wide_fast;
	_Atomic(bool) has_fast; /* it was tried: NULL where it cannot be made */
	_Atomic(unsigned) uses;
};

struct pattern_pool {
	struct arena *arena;
	struct strmap texts;
	struct pattern **patterns;
	size_t count, alloc;
	pcre2_compile_context *compile;
	uint8_t *tables;
	pthread_mutex_t lock; /* of making machine code */
};

struct matcher {
	struct match_space space;
	struct wide_matcher *wide; /* made at the first wide pattern */
};

/*
 * SpamAssassin compiles with /aa: classes are ASCII, but under /i Perl folds
 * the letters of Latin-1 also in byte strings, which rules that spell out
 * UTF-8 feel. The first two parts of PCRE2's tables (pcre2build(3)) are the
 * lower-case and the flipped-case mapping.
 */
static void
fold_latin1(uint8_t *tables)
{
	uint8_t *lower = tables, *flip = tables + 256;

	for (unsigned c = 0xC0; c <= 0xDE; c++) {
		if (c == 0xD7) /* the multiplication sign */
			continue;
		lower[c] = (uint8_t)(c + 0x20);
		flip[c] = (uint8_t)(c + 0x20);
		flip[c + 0x20] = (uint8_t)c;
	}
}

struct pattern_pool *
pattern_pool_new(struct arena *a)
{
	struct pattern_pool *p = ARENA_NEW(a, struct pattern_pool);

	if (p == NULL)
		return NULL;
	p->arena = a;
	strmap_init(&p->texts, a);
	p->tables = (uint8_t *)(uintptr_t)pcre2_maketables(NULL);
	p->compile = pcre2_compile_context_create(NULL);
	if (p->tables == NULL || p->compile == NULL ||
	    pthread_mutex_init(&p->lock, NULL) != 0) {
		if (p->tables != NULL)
			pcre2_maketables_free(NULL, p->tables);
		pcre2_compile_context_free(p->compile);
		return NULL;
	}
	fold_latin1(p->tables);
	pcre2_set_character_tables(p->compile, p->tables);
	pcre2_set_newline(p->compile, PCRE2_NEWLINE_LF);
	pcre2_set_bsr(p->compile, PCRE2_BSR_UNICODE);
	pcre2_set_max_pattern_length(p->compile, MAX_PATTERN_BYTES);
	pcre2_set_parens_nest_limit(p->compile, 250);
	return p;
}

static void
drop(struct pattern *p)
{
	pcre2_code_free(p->code);
	pcre2_code_free(p->fast);
	wide_free(p->wide);
	wide_free(p->wide_fast);
	free(p->why);
}

void
pattern_pool_free(struct pattern_pool *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		drop(p->patterns[i]);
	pcre2_compile_context_free(p->compile);
	pcre2_maketables_free(NULL, p->tables);
	pthread_mutex_destroy(&p->lock);
}

size_t
pattern_pool_count(const struct pattern_pool *p)
{
	return p->count;
}

struct span
pattern_text(const struct pattern *p)
{
	return p->text;
}

size_t
pattern_index(const struct pattern *p)
{
	return p->index;
}

size_t
pattern_least(const struct pattern *p)
{
	uint32_t n = 0;

	if (p->code != NULL)
		pcre2_pattern_info(p->code, PCRE2_INFO_MINLENGTH, &n);
	return n;
}

static int
keep_reason(struct pattern *p, int number, size_t at)
{
	struct span text = p->text;
	PCRE2_UCHAR reason[160];

	if (number == PCRE2_ERROR_NOMEMORY ||
	    (p->why = calloc(1, sizeof(*p->why))) == NULL)
		return -ENOMEM;
	pcre2_get_error_message(number, reason, sizeof(reason));
	if (at > text.len)
		at = text.len;
	return error_set(p->why, -EINVAL, "%s at offset %zu, near \"%.*s\"",
	    (char *)reason, at, (int)(text.len - at < 24 ? text.len - at : 24),
	    text.ptr + at);
}

/* Letters are left out: whether their case matters cannot be asked. */
static void
find_starts(struct pattern *p)
{
	uint32_t type = 0, byte = 0;

	pcre2_pattern_info(p->code, PCRE2_INFO_FIRSTCODETYPE, &type);
	pcre2_pattern_info(p->code, PCRE2_INFO_FIRSTCODEUNIT, &byte);
	if (type == 2)
		p->starts = STARTS_LINE;
	else if (type == 1 && byte < 0x80 && !ascii_is_alpha((char)byte)) {
		p->starts = STARTS_BYTE;
		p->start = (char)byte;
	}
	if (p->text.len == 1 && ascii_is_alpha(p->text.ptr[0])) {
		p->letter = true;
		p->start = p->text.ptr[0];
	}
}

int
pattern_compile(struct pattern *p, struct error *err)
{
	const uint32_t options = PCRE2_DUPNAMES | PCRE2_NEVER_UTF |
	    PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
	struct pattern_pool *pool = p->pool;
	struct span text = p->text;
	PCRE2_SIZE at = 0;
	int number = 0, r = 0;

	if (p->code == NULL && p->wide == NULL && p->why == NULL) {
		p->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options,
		    &number, &at, pool->compile);
		if (p->code == NULL && number == PCRE2_ERROR_PATTERN_TOO_LARGE)
			number = wide_compile(text, options, pool->tables,
			    MAX_PATTERN_BYTES, &p->wide);
		if (p->code == NULL && p->wide == NULL)
			r = keep_reason(p, number, at);
		if (p->code != NULL)
			find_starts(p);
	}
	if (p->why == NULL)
		return r;
	return error_set(err, -EINVAL, "%s", p->why->text);
}

struct compile_job {
	struct pattern_pool *pool;
	atomic_size_t next;
};

static void *
compile_some(void *context)
{
	struct compile_job *j = context;
	size_t i;

	while ((i = atomic_fetch_add(&j->next, 1)) < j->pool->count)
		(void)pattern_compile(j->pool->patterns[i], NULL);
	return NULL;
}

void
pattern_pool_compile(struct pattern_pool *pool)
{
	struct compile_job job = { .pool = pool };
	pthread_t second;
	bool two = pthread_create(&second, NULL, compile_some, &job) == 0;

	compile_some(&job);
	if (two)
		pthread_join(second, NULL);
}

int
pattern_add(struct pattern_pool *pool, struct span perl,
    struct pattern **ret_pattern, struct error *err)
{
	struct pattern *p;
	size_t *known;
	struct buf b;
	int r = 0;

	if (perl.len > MAX_PATTERN_BYTES)
		return error_set(err, -EINVAL, "pattern longer than %d bytes",
		    MAX_PATTERN_BYTES);
	buf_init(&b, MAX_PATTERN_BYTES * 2);
	pattern_translate(perl, &b);
	if (b.failed) {
		buf_done(&b);
		return -ENOMEM;
	}
	known = strmap_find(&pool->texts, buf_span(&b));
	if (known != NULL) {
		*ret_pattern = pool->patterns[*known];
		buf_done(&b);
		return 0;
	}
	p = ARENA_NEW(pool->arena, struct pattern);
	if (p == NULL || (p->text = arena_span(pool->arena, buf_span(&b))).ptr ==
	    NULL)
		r = -ENOMEM;
	buf_done(&b);
	if (r != 0)
		return r;
	if (pool->count == pool->alloc) {
		size_t alloc = pool->alloc == 0 ? 64 : pool->alloc * 2;
		struct pattern **list = ARENA_ARRAY(pool->arena, alloc,
		    struct pattern *);

		if (list == NULL)
			return -ENOMEM;
		if (pool->count != 0)
			memcpy(list, pool->patterns,
			    pool->count * sizeof(*list));
		pool->patterns = list;
		pool->alloc = alloc;
	}
	p->pool = pool;
	p->index = pool->count;
	if (strmap_set(&pool->texts, p->text, p->index) != 0)
		return -ENOMEM;
	pool->patterns[pool->count++] = p;
	*ret_pattern = p;
	return 0;
}

int
pattern_new_alone(struct pattern_pool *pool, struct span perl,
    struct pattern **ret_pattern)
{
	struct pattern *p;
	struct buf b;
	char *text;
	int r = -ENOMEM;

	buf_init(&b, MAX_PATTERN_BYTES);
	pattern_translate(perl, &b);
	p = calloc(1, sizeof(*p));
	text = malloc(b.len + 1);
	if (p != NULL && text != NULL && !b.failed) {
		memcpy(text, b.ptr, b.len + 1);
		p->pool = pool;
		p->text = span_of(text, b.len);
		r = pattern_compile(p, NULL);
	}
	buf_done(&b);
	if (r != 0) {
		if (p != NULL)
			drop(p);
		free(text);
		free(p);
		return r;
	}
	*ret_pattern = p;
	return 0;
}

void
pattern_free_alone(struct pattern *p)
{
	if (p == NULL)
		return;
	drop(p);
	free((char *)(uintptr_t)p->text.ptr);
	free(p);
}

/* Where machine code cannot be made the interpreter goes on for good. */
static void
make_fast(struct pattern *p)
{
	pthread_mutex_lock(&p->pool->lock);
	if (!atomic_load_explicit(&p->has_fast, memory_order_relaxed)) {
		if (p->wide != NULL) {
			p->wide_fast = wide_copy(p->wide);
			if (p->wide_fast != NULL)
				wide_jit(p->wide_fast);
		} else {
			p->fast = pcre2_code_copy(p->code);
			if (p->fast != NULL)
				(void)pcre2_jit_compile(p->fast,
				    PCRE2_JIT_COMPLETE);
		}
		atomic_store_explicit(&p->has_fast, true, memory_order_release);
	}
	pthread_mutex_unlock(&p->pool->lock);
}

static bool
is_fast(struct pattern *p)
{
	unsigned limit = p->wide != NULL ? FAST_AFTER_WIDE : FAST_AFTER;

	if (atomic_load_explicit(&p->has_fast, memory_order_acquire))
		return true;
	if (atomic_fetch_add_explicit(&p->uses, 1, memory_order_relaxed) <
	    limit)
		return false;
	make_fast(p);
	return true;
}

void
pattern_names(const struct pattern *p,
    void (*fn)(void *context, const char *name, unsigned group), void *context)
{
	uint32_t count = 0, size = 0;
	PCRE2_SPTR table = NULL;

	/* captures from patterns of that size are not passed on */
	if (p->code == NULL)
		return;
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMECOUNT, &count);
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMETABLE, &table);
	for (uint32_t i = 0; i < count; i++, table += size)
		fn(context, (const char *)table + 2,
		    (unsigned)table[0] << 8 | table[1]);
}

struct matcher *
matcher_new(void)
{
	struct matcher *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	if (!match_space_init(&m->space)) {
		free(m);
		return NULL;
	}
	return m;
}

void
matcher_free(struct matcher *m)
{
	if (m == NULL)
		return;
	wide_matcher_free(m->wide);
	match_space_done(&m->space);
	free(m);
}

/* What the search is about; the budget's limits are those of each call. */
struct search {
	struct pattern *pattern;
	struct matcher *matcher;
	struct match_budget *budget;
	struct span subject;
	const PCRE2_SIZE *groups;
	bool slow; /* with the interpreter */
};

/* One call with one limit over the starting positions from..last. */
static int
try(struct search *x, size_t from, size_t last, uint32_t options,
    uint32_t limit)
{
	struct matcher *m = x->matcher;
	struct span s = x->subject;
	pcre2_code *code = x->slow || x->pattern->fast == NULL ?
	    x->pattern->code : x->pattern->fast;

	if (x->slow)
		options |= PCRE2_NO_JIT;
	if (x->pattern->wide != NULL)
		return wide_match(x->slow || x->pattern->wide_fast == NULL ?
			x->pattern->wide : x->pattern->wide_fast, m->wide, from,
		    last, options, limit, x->budget->heap_limit_kb, &x->groups);
	return match_space_try(&m->space, code, (PCRE2_SPTR)s.ptr, s.len, from,
	    last, options, limit, &x->groups);
}

/* One starting position, which needs more than LOW_LIMIT, with rising limits */
static int
try_position(struct search *x, size_t at, uint32_t options)
{
	struct match_budget *b = x->budget;
	uint64_t limit = LOW_LIMIT;
	int r = PCRE2_ERROR_MATCHLIMIT;

	while (r == PCRE2_ERROR_MATCHLIMIT) {
		b->steps += limit;
		if (limit >= b->match_limit || b->steps >= b->message_steps)
			return r;
		limit *= LIMIT_FACTOR;
		if (limit > b->match_limit)
			limit = b->match_limit;
		r = try(x, at, at, options, (uint32_t)limit);
	}
	return r;
}

/* The first position from..last where a match may begin; SIZE_MAX: none */
static size_t
next_start(const struct search *x, size_t from, size_t last)
{
	const struct span s = x->subject;
	bool line = x->pattern->starts == STARTS_LINE;
	const char *at;

	if (from > last)
		return SIZE_MAX;
	if (line && (from == 0 || s.ptr[from - 1] == '\n'))
		return from;
	if (from == s.len)
		return SIZE_MAX;
	at = memchr(s.ptr + from, line ? '\n' : x->pattern->start,
	    (last < s.len ? last + !line : s.len) - from);
	return at != NULL ? (size_t)(at - s.ptr) + line : SIZE_MAX;
}

static bool
has_few_starts(const struct search *x, size_t from, size_t last)
{
	size_t n = 0;

	if (x->pattern->starts == STARTS_ANYWHERE)
		return false;
	while (n <= FEW_STARTS &&
	    (from = next_start(x, from, last)) <= last) {
		n++;
		from++;
	}
	return n <= FEW_STARTS;
}

/* Each that is possible. Of lines the first may have begun before. */
static int
try_starts(struct search *x, size_t from, size_t last, uint32_t options)
{
	size_t at = x->pattern->starts == STARTS_LINE ? from :
							next_start(x, from, last);
	int r = PCRE2_ERROR_NOMATCH;

	for (; at <= last && r == PCRE2_ERROR_NOMATCH;
	     at = next_start(x, at + 1, last)) {
		if (at > from)
			options &= ~PCRE2_NOTEMPTY_ATSTART;
		x->budget->steps++;
		r = try(x, at, at, options, LOW_LIMIT);
		if (r == PCRE2_ERROR_MATCHLIMIT)
			r = try_position(x, at, options);
	}
	return r;
}

/* The starting positions from..last, of which one needs more than LOW_LIMIT: in
 * parts and these in parts again, since most do not and each that does costs
 * as much to find as its parts' depth. */
static int
try_parts(struct search *x, size_t from, size_t last, uint32_t options)
{
	size_t step = (last - from) / PARTS + 1, end;
	int r = PCRE2_ERROR_NOMATCH;

	if (from == last)
		return try_position(x, from, options);
	if (has_few_starts(x, from, last))
		return try_starts(x, from, last, options);
	for (bool first = true; from <= last && r == PCRE2_ERROR_NOMATCH;
	     from = end + 1, first = false) {
		/* it often is where the text begins */
		end = first ? from : last - from < step ? last : from + step - 1;
		x->budget->steps += 1 + (end - from) / BYTES_A_STEP;
		r = try(x, from, end, options, LOW_LIMIT);
		if (r == PCRE2_ERROR_MATCHLIMIT)
			r = try_parts(x, from, end, options);
		/* the option speaks of the first position only */
		options &= ~PCRE2_NOTEMPTY_ATSTART;
	}
	return r;
}

/* Rules count the letters of a message; nothing else is asked as often. */
static enum pattern_result
find_letter(const struct pattern *p, struct span s, struct span *groups,
    size_t group_count)
{
	const char *at = s.len != 0 ? memchr(s.ptr, p->start, s.len) : NULL;

	if (at == NULL)
		return PATTERN_MISS;
	for (size_t i = 0; i < group_count; i++)
		groups[i] = (struct span){ NULL, 0 };
	if (group_count > 0)
		groups[0] = span_of(at, 1);
	return PATTERN_HIT;
}

enum pattern_result
pattern_find(struct pattern *p, struct matcher *m, struct match_budget *b,
    struct span s, size_t from, bool not_empty, struct span *groups,
    size_t group_count)
{
	struct search x = { p, m, b, s, NULL, false };
	uint32_t options = not_empty ? PCRE2_NOTEMPTY_ATSTART : 0;
	const PCRE2_SIZE *at;
	int r;

	if (b->steps >= b->message_steps)
		return PATTERN_BUDGET;
	if (s.ptr == NULL)
		x.subject = s = SPAN_LIT("");
	if (from > s.len)
		return PATTERN_MISS;
	if (p->wide != NULL) {
		if (m->wide == NULL)
			m->wide = wide_matcher_new();
		if (m->wide == NULL || wide_subject(m->wide, s) != 0)
			return PATTERN_NOMEM;
	}
	b->steps += 1 + (s.len - from) / BYTES_A_STEP;
	if (p->letter)
		return find_letter(p, span_from(s, from), groups, group_count);
	pcre2_set_heap_limit(m->space.context, b->heap_limit_kb);
	x.slow = !is_fast(p);
	if (x.slow) {
		r = try(&x, from, s.len, options, LOW_LIMIT);
		if (r == PCRE2_ERROR_NOMATCH || r >= 0)
			goto answer;
		make_fast(p);
		x.slow = false;
	}
	r = try(&x, from, s.len, options,
	    b->match_limit < LOW_LIMIT ? (uint32_t)b->match_limit : LOW_LIMIT);
	if (r == PCRE2_ERROR_MATCHLIMIT && b->match_limit > LOW_LIMIT)
		r = try_parts(&x, from, s.len, options);
answer:
	if (r == PCRE2_ERROR_NOMATCH)
		return PATTERN_MISS;
	if (r == PCRE2_ERROR_NOMEMORY)
		return PATTERN_NOMEM;
	if (r < 0) /* match, heap or recursion limit: each counted */
		return b->steps >= b->message_steps ? PATTERN_BUDGET :
						      PATTERN_LIMIT;
	at = x.groups;
	if (r == 0 || r > PATTERN_GROUPS)
		r = PATTERN_GROUPS;
	for (size_t i = 0; i < group_count; i++) {
		groups[i] = (struct span){ NULL, 0 };
		if (i < (size_t)r && at[2 * i] != PCRE2_UNSET)
			/* \K in a lookahead can put the end first */
			groups[i] = span_of(s.ptr + at[2 * i],
			    at[2 * i + 1] >= at[2 * i] ?
				at[2 * i + 1] - at[2 * i] :
				0);
	}
	return PATTERN_HIT;
}
