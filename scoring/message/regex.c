#define PCRE2_CODE_UNIT_WIDTH 8
#include <assert.h>
#include <pcre2.h>
#include <pthread.h>

#include "scoring/message/regex.h"

enum { MATCH_LIMIT = 100000, DEPTH_LIMIT = 2000, HEAP_LIMIT_KB = 4096 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pcre2_match_context *context;

static void
context_new(void)
{
	context = pcre2_match_context_create(NULL);
	if (context != NULL) {
		pcre2_set_match_limit(context, MATCH_LIMIT);
		pcre2_set_depth_limit(context, DEPTH_LIMIT);
		pcre2_set_heap_limit(context, HEAP_LIMIT_KB);
	}
}

static pcre2_code *
code_of(struct regex *p)
{
	pcre2_code *code = __atomic_load_n(&p->code, __ATOMIC_ACQUIRE);
	void *other = NULL;
	uint32_t options = PCRE2_DOLLAR_ENDONLY |
	    ((p->flags & REGEX_ICASE) ? PCRE2_CASELESS : 0) |
	    ((p->flags & REGEX_UTF) ? PCRE2_UTF | PCRE2_UCP : 0);
	int err;
	PCRE2_SIZE at;

	if (code != NULL)
		return code;
	pthread_once(&once, context_new);
	if (context == NULL)
		return NULL;
	code = pcre2_compile((PCRE2_SPTR)p->text, PCRE2_ZERO_TERMINATED,
	    options, &err, &at, NULL);
	/* the text is ours: only memory may be missing (error 121) */
	assert(code != NULL || err == 121);
	if (code == NULL)
		return NULL;
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	if (!__atomic_compare_exchange_n(&p->code, &other, code, false,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		pcre2_code_free(code);
		code = other;
	}
	return code;
}

/* One spare set of match data for whoever comes first: making one costs as
 * much as many a match. */
static pcre2_match_data *spare;

static pcre2_match_data *
data_take(void)
{
	pcre2_match_data *data = __atomic_exchange_n(&spare, NULL,
	    __ATOMIC_ACQUIRE);

	return data != NULL ? data
	    : pcre2_match_data_create(REGEX_MAX_GROUPS, NULL);
}

static void
data_return(pcre2_match_data *data)
{
	data = __atomic_exchange_n(&spare, data, __ATOMIC_ACQ_REL);
	if (data != NULL)
		pcre2_match_data_free(data);
}

bool
regex_match(struct regex *p, struct span s, size_t from,
    struct span *groups, size_t count)
{
	PCRE2_SPTR text = (PCRE2_SPTR)(s.ptr != NULL ? s.ptr : "");
	pcre2_code *code = code_of(p);
	pcre2_match_data *data;
	int rc = PCRE2_ERROR_JIT_BADOPTION;

	assert(count <= REGEX_MAX_GROUPS);
	if (code == NULL || from > s.len)
		return false;
	data = data_take();
	if (data == NULL)
		return false;
	/* the same without the checks of its arguments, if there is machine
	 * code; whether text is UTF-8 stays checked */
	if (!(p->flags & REGEX_UTF))
		rc = pcre2_jit_match(code, text, s.len, from, 0, data, context);
	if (rc == PCRE2_ERROR_JIT_BADOPTION)
		rc = pcre2_match(code, text, s.len, from, 0, data, context);
	if (rc > 0) {
		PCRE2_SIZE *ov = pcre2_get_ovector_pointer(data);

		for (size_t i = 0; i < count; i++) {
			if (i < (size_t)rc && ov[2 * i] != PCRE2_UNSET)
				groups[i] = span_of(s.ptr + ov[2 * i],
				    ov[2 * i + 1] - ov[2 * i]);
			else
				groups[i] = (struct span){ NULL, 0 };
		}
	}
	data_return(data);
	return rc > 0;
}
