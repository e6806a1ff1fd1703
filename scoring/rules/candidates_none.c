/*
 * Built without libhs: there are no candidate databases.
 */
#include <errno.h>
#include <string.h>

#include "scoring/rules/candidates.h"

struct hs_target *
hs_target_open(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct error *why)
{
	(void)rs;
	(void)set;
	(void)dir;
	error_set(why, -ENOTSUP, "built without libhs");
	return NULL;
}

void
hs_target_free(struct hs_target *t)
{
	(void)t;
}

int
hs_target_build(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct hs_build *ret_build, struct error *err)
{
	(void)rs;
	(void)set;
	(void)dir;
	memset(ret_build, 0, sizeof(*ret_build));
	return error_set(err, -ENOTSUP, "built without libhs");
}

int
hs_target_scan(const struct hs_target *t, size_t piece, void **scratch,
    const struct hs_texts *texts, hs_candidate_fn *fn, void *context)
{
	(void)t;
	(void)piece;
	(void)scratch;
	(void)texts;
	(void)fn;
	(void)context;
	return 0;
}

void
hs_scratch_free(void *scratch)
{
	(void)scratch;
}

bool
hs_widths(const char *text, uint32_t *ret_least, uint32_t *ret_most)
{
	(void)text;
	(void)ret_least;
	(void)ret_most;
	return false;
}
