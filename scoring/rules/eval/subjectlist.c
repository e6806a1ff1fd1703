/*
 * WelcomeListSubject: subjects that the administrator wants or does not want.
 */
#include <errno.h>

#include "scoring/rules/eval/addrlist.h"

struct subjects {
	struct addrlist welcome, block;
};

/* The whole value is one glob that may match anywhere */
static int
subject_lines(struct eval_loader *l, const char *directive,
    struct addrlist *list)
{
	const struct eval_line *lines;
	size_t count;
	int r = 0;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count && r == 0; i++) {
		char *glob = arena_printf(eval_arena(l), "*%.*s*",
		    SPAN_ARG(lines[i].value));

		r = glob == NULL ? -ENOMEM :
		    addrlist_add(eval_arena(l), list, span_cstr(glob),
			span_of("", 0));
	}
	return r;
}

static int
load_subjects(struct eval_loader *l, void **ret_state)
{
	struct subjects *s = ARENA_NEW(eval_arena(l), struct subjects);
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = subject_lines(l, "welcomelist_subject", &s->welcome);
	return r != 0 ? r : subject_lines(l, "blocklist_subject", &s->block);
}

static int
subject_in(struct eval_context *ctx, const struct addrlist *list,
    struct eval_result *r)
{
	struct span s;

	if (!eval_get(ctx, "Subject", &s))
		return s.ptr == NULL ? -ENOMEM : 0;
	s = addr_lower(eval_input(ctx)->arena, s);
	if (s.ptr == NULL)
		return -ENOMEM;
	r->count = s.len != 0 && addrlist_has(list, s);
	return 0;
}

static int
run_subject_welcome(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct subjects *s = eval_state(ctx);

	(void)call;
	return subject_in(ctx, &s->welcome, r);
}

static int
run_subject_block(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct subjects *s = eval_state(ctx);

	(void)call;
	return subject_in(ctx, &s->block, r);
}

static const struct eval_function subject_functions[] = {
	{ "check_subject_in_welcomelist", EVAL_HEADER, "", run_subject_welcome, NULL, NULL },
	{ "check_subject_in_whitelist", EVAL_HEADER, "", run_subject_welcome, NULL, NULL },
	{ "check_subject_in_blocklist", EVAL_HEADER, "", run_subject_block, NULL, NULL },
	{ "check_subject_in_blacklist", EVAL_HEADER, "", run_subject_block, NULL, NULL },
	{ 0 },
};

static const struct eval_directive subject_directives[] = {
	{ "welcomelist_subject", DIRECTIVE_LINES, NULL },
	{ "blocklist_subject", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_subject_lists = {
	"Mail::SpamAssassin::Plugin::WelcomeListSubject", subject_functions,
	subject_directives, NULL, load_subjects,
};
