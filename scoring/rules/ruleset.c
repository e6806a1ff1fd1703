#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "scoring/rules/candidates.h"
#include "scoring/rules/internal.h"

void
ruleset_free(struct ruleset *rs)
{
	struct run_scratch *s;

	if (rs == NULL)
		return;
	s = rs->scratch;
	while (s != NULL) {
		struct run_scratch *next = s->next;

		scratch_free(s);
		s = next;
	}
	for (size_t i = 0; i < HS_SETS; i++)
		hs_target_free(rs->targets[i]);
	pattern_pool_free(rs->patterns);
	psl_free(rs->psl);
	pthread_mutex_destroy(&rs->scratch_lock);
	/* rs itself lives in its arena */
	arena_free(rs->arena);
}

static struct ruleset *
ruleset_new(void)
{
	struct arena *a = arena_new(RULESET_ARENA_BYTES);
	struct ruleset *rs;

	if (a == NULL)
		return NULL;
	rs = ARENA_NEW(a, struct ruleset);
	if (rs == NULL || (rs->patterns = pattern_pool_new(a)) == NULL ||
	    pthread_mutex_init(&rs->scratch_lock, NULL) != 0) {
		if (rs != NULL)
			pattern_pool_free(rs->patterns);
		arena_free(a);
		return NULL;
	}
	rs->arena = a;
	strmap_init(&rs->names, a);
	/* the distribution's file, else the one built into libpsl */
	rs->psl = psl_latest(NULL);
	return rs;
}

/* What the files do not define is taken from the set that has run. */
static int
take_known(struct loader *l, const struct ruleset *known)
{
	for (size_t i = 0; i < known->rule_count; i++) {
		struct rule_def *d = loader_rule(l,
		    span_cstr(known->rules[i]->pub.name));

		if (d == NULL)
			return -ENOMEM;
		if (d->kind != RULE_NONE)
			continue;
		d->kind = RULE_KNOWN;
		d->known = i;
		d->pub.type = "known";
	}
	return 0;
}

static int
load(struct loader *l)
{
	const struct ruleset_options *o = l->options;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int r = loader_init(l);

	if (r == 0 && (l->sha = EVP_MD_CTX_new()) == NULL)
		r = -ENOMEM;
	if (r == 0 && EVP_DigestInit_ex(l->sha, EVP_sha256(), NULL) != 1)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < o->path_count; i++)
		r = parse_path(l, o->paths[i], NULL);
	if (r == 0 && o->text.ptr != NULL)
		r = parse_text(l, o->text_name != NULL ? o->text_name : "-",
		    o->text);
	if (r == 0 && o->tuned != NULL)
		r = parse_tuned(l, o->tuned);
	if (r == 0 && o->known != NULL)
		r = take_known(l, o->known);
	if (r == 0)
		r = compile_ruleset(l);
	if (r == 0 && EVP_DigestFinal_ex(l->sha, digest, &n) == 1)
		for (unsigned i = 0; i < n && i < 32; i++)
			snprintf(l->rs->hash + 2 * i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(l->sha);
	return r;
}

struct open_job {
	struct ruleset *rs;
	const char *dir;
	atomic_int next;
	struct error why[HS_SETS];
};

static void *
open_some(void *context)
{
	struct open_job *j = context;
	int i;

	while ((i = atomic_fetch_add(&j->next, 1)) < HS_SETS)
		j->rs->targets[i] = hs_target_open(j->rs, (enum hs_set)i, j->dir,
		    &j->why[i]);
	return NULL;
}

/* A database that cannot be used is no error: PCRE2 finds the same. Megabytes
 * are checked and copied, so a second thread takes its share. */
static void
open_targets(struct loader *l)
{
	struct ruleset *rs = l->rs;
	struct open_job job = { .rs = rs, .dir = l->options->compiled_dir };
	pthread_t second;
	bool two;

	if (job.dir == NULL)
		return;
	two = pthread_create(&second, NULL, open_some, &job) == 0;
	open_some(&job);
	if (two)
		pthread_join(second, NULL);
	for (int i = 0; i < HS_SETS; i++)
		if (rs->targets[i] == NULL && job.why[i].text[0] != '\0')
			diag_add(l->diags, DIAG_NOTE, job.dir, 0,
			    "not compiled: %s", job.why[i].text);
	/* of these three one alone does not have all the rules */
	if (rs->targets[HS_BODY] == NULL || rs->targets[HS_PLAIN_BODY] == NULL ||
	    rs->targets[HS_OTHER_BODY] == NULL)
		for (int i = 0; i < HS_SETS; i++)
			if (i == HS_BODY || i == HS_PLAIN_BODY ||
			    i == HS_OTHER_BODY) {
				hs_target_free(rs->targets[i]);
				rs->targets[i] = NULL;
			}
}

struct compile_job {
	const struct ruleset *rs;
	const char *dir;
	pthread_mutex_t lock;
	size_t next;
	struct ruleset_compiled *list;
	size_t count;
};

static void *
compile_targets(void *context)
{
	struct compile_job *job = context;

	for (;;) {
		struct ruleset_compiled *c;
		struct hs_build b;
		size_t i;

		pthread_mutex_lock(&job->lock);
		i = job->next++;
		pthread_mutex_unlock(&job->lock);
		if (i >= job->count)
			return NULL;
		c = &job->list[i];
		c->type = hs_set_name((enum hs_set)i);
		c->result = hs_target_build(job->rs, (enum hs_set)i, job->dir,
		    &b, &c->err);
		c->patterns = b.patterns;
		c->left_out = b.left_out;
		c->bytes = b.bytes;
		c->kept = b.kept;
		memcpy(c->file, b.file, sizeof(c->file));
	}
}

void
ruleset_compile(const struct ruleset *rs, const char *dir, unsigned jobs,
    struct ruleset_compiled ret_list[RULESET_COMPILED_KINDS])
{
	struct compile_job job = { .rs = rs, .dir = dir, .list = ret_list,
		.count = RULESET_COMPILED_KINDS };
	pthread_t threads[RULESET_COMPILED_KINDS];
	unsigned started = 0;

	_Static_assert((int)RULESET_COMPILED_KINDS == (int)HS_SETS,
	    "a result for each database");
	memset(ret_list, 0, RULESET_COMPILED_KINDS * sizeof(*ret_list));
	pthread_mutex_init(&job.lock, NULL);
	while (started + 1 < jobs && started < RULESET_COMPILED_KINDS - 1 &&
	    pthread_create(&threads[started], NULL, compile_targets, &job) == 0)
		started++;
	compile_targets(&job);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&job.lock);
}

int
ruleset_load(const struct ruleset_options *options, struct diags *diags,
    struct ruleset **ret_ruleset, struct error *err)
{
	struct loader l = { .options = options, .diags = diags, .err = err };
	size_t errors_before = diags->errors;
	int r;

	l.rs = ruleset_new();
	if (l.rs == NULL)
		return error_set(err, -ENOMEM, "out of memory for rules");
	l.arena = l.rs->arena;
	r = load(&l);
	if (r != 0) {
		ruleset_free(l.rs);
		return error_set(err, r, r == -ENOMEM ?
			"rules take more than %d MB of memory" :
			"cannot load rules", RULESET_ARENA_BYTES >> 20);
	}
	if (diags->lost || (diags->errors != errors_before &&
			       (!options->keep_going || l.rs->rule_count == 0))) {
		ruleset_free(l.rs);
		return error_set(err, -EINVAL, "the rules have errors");
	}
	open_targets(&l);
	*ret_ruleset = l.rs;
	return 0;
}

size_t
ruleset_count(const struct ruleset *rs)
{
	return rs->rule_count;
}

const uint32_t *
ruleset_parts(const struct ruleset *rs, size_t index, size_t *ret_count)
{
	*ret_count = rs->rules[index]->part_count;
	return rs->rules[index]->parts;
}

const struct rule *
ruleset_rule(const struct ruleset *rs, size_t index)
{
	return &rs->rules[index]->pub;
}

long
ruleset_find(const struct ruleset *rs, const char *name)
{
	size_t *i = strmap_find(&rs->names, span_cstr(name));

	return i != NULL ? (long)*i : -1;
}

size_t
ruleset_foreign_count(const struct ruleset *rs)
{
	return rs->foreign_count;
}

const struct ruleset_score *
ruleset_foreign(const struct ruleset *rs, size_t index)
{
	return &rs->foreign[index];
}

const char *
ruleset_hash(const struct ruleset *rs)
{
	return rs->hash;
}
