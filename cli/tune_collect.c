/*
 * Labelled mail to hits: threads take messages in order and put what they
 * found in that message's place, so their number does not show.
 */
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/mail.h"
#include "cli/tune.h"
#include "config.h"
#include "scoring/learn/model.h"
#include "scoring/message/body.h"
#include "tune/cache.h"
#include "tune/file.h"

enum { SHOWN_FAULTS = 5 };

/* A message to be read, and what was found */
struct item {
	const struct mail *mail;
	bool spam, done;
	struct tune_message message;
	uint32_t *hits;
	size_t hit_count;
	bool tests_open;
	char fault[128]; /* "" none */
};

struct collection {
	const struct tune_options *o;
	struct runtime *rt;
	struct cache *cache;
	struct mail_list mail[2];
	struct item *items;
	size_t count, alloc, next, read, cached;
	bool no_memory, progress;
	pthread_mutex_t lock;
};

static int
item_add(struct collection *c, const struct item *item)
{
	if (c->count == c->alloc) {
		size_t alloc = c->alloc == 0 ? 1024 : c->alloc * 2;
		void *p = reallocarray(c->items, alloc, sizeof(*c->items));

		if (p == NULL)
			return cli_fail(EX_OSERR, "out of memory");
		c->items = p;
		c->alloc = alloc;
	}
	if (c->count >= TUNE_MAX_MESSAGES)
		return cli_fail(EX_DATAERR, "more than %d messages",
		    TUNE_MAX_MESSAGES);
	c->items[c->count++] = *item;
	return EX_OK;
}

static int
mail_find(struct collection *c, const char **names, size_t count, bool spam)
{
	struct mail_list *mail = &c->mail[spam];
	int code = EX_OK;

	for (size_t i = 0; i < count && code == EX_OK; i++) {
		/* half of what was asked for is not what was asked for */
		if (strcmp(names[i], "-") != 0 && access(names[i], F_OK) != 0)
			return cli_fail(EX_NOINPUT, "cannot open \"%s\": %s",
			    names[i], strerror(errno));
		code = mail_list_add(mail, names[i]);
	}
	for (size_t i = 0; i < mail->count && code == EX_OK; i++)
		code = item_add(c, &(struct item){ .mail = &mail->items[i],
			.spam = spam });
	return code;
}

static int
sketch_make(struct message *m, struct sketch *ret_sketch)
{
	const struct texts *texts;
	struct sketch_maker k;

	if (body_visible(m, &texts) != 0)
		return -ENOMEM;
	sketch_begin(&k);
	for (size_t i = 0; i < texts->count; i++)
		sketch_add(&k, texts->items[i]);
	sketch_end(&k, ret_sketch);
	return 0;
}

/* The bytes are the identity: a message that differs was another delivery. */
static bool
identity_make(struct span raw, size_t full_size,
    unsigned char out[TUNE_IDENTITY])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint64_t size = full_size;
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, raw.ptr, raw.len) == 1 &&
	    EVP_DigestUpdate(ctx, &size, sizeof(size)) == 1 &&
	    EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	if (ok)
		memcpy(out, digest, TUNE_IDENTITY);
	return ok;
}

static int
hits_take(struct item *it, const uint32_t *hits, size_t count)
{
	it->hits = malloc((count + 1) * sizeof(*it->hits));
	if (it->hits == NULL)
		return -ENOMEM;
	if (count > 0)
		memcpy(it->hits, hits, count * sizeof(*hits));
	it->hit_count = count;
	return 0;
}

int
tune_hits(const struct runtime *rt, const struct verdict *v, struct arena *a,
    uint32_t **ret_hits, size_t *ret_count)
{
	const struct ruleset *rs = engine_ruleset(rt->engine);
	uint32_t *hits = ARENA_ARRAY(a, v->hit_count + 1, uint32_t);
	size_t n = 0;

	if (hits == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < v->hit_count; i++) {
		long k = ruleset_find(rs, v->hits[i].rule);

		if (k >= 0)
			hits[n++] = (uint32_t)k;
	}
	*ret_hits = hits;
	*ret_count = n;
	return 0;
}

static int
item_judge(struct collection *c, struct item *it, struct span raw,
    size_t full_size, struct arena *a, struct error *err)
{
	struct engine_request rq = { .raw = raw, .full_size_bytes = full_size,
		.sources = &c->rt->sources, .arena = a };
	struct message_limits limits;
	struct engine_run run;
	struct message *m;
	uint32_t *hits;
	size_t count;
	int r;

	engine_limits(c->rt->engine, &limits);
	r = message_parse(a, raw, full_size, &limits, &m, err);
	if (r == 0)
		r = message_require_fields(m, err);
	if (r != 0)
		return r;
	/* at its own time: the same mail gives the same hits tomorrow */
	it->message.time = mail_time(m);
	rq.now = it->message.time;
	r = engine_judge(c->rt->engine, &rq, &run, err);
	if (r != 0)
		return r;
	if (sketch_make(run.message, &it->message.sketch) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < run.verdict->open_count; i++)
		it->tests_open |= run.verdict->open[i].unknown;
	if (tune_hits(c->rt, run.verdict, a, &hits, &count) != 0)
		return -ENOMEM;
	return hits_take(it, hits, count);
}

/* With the lock held */
static int
from_cache(struct collection *c, struct item *it)
{
	const struct cache_entry *e = cache_find(c->cache, it->message.identity);

	if (e == NULL)
		return -ENOENT;
	it->message.time = e->time;
	it->message.sketch = e->sketch;
	it->tests_open = e->tests_open;
	c->cached++;
	return hits_take(it, e->hits, e->hit_count);
}

static int
to_cache(struct collection *c, const struct item *it)
{
	struct cache_entry e = { .time = it->message.time,
		.sketch = it->message.sketch, .tests_open = it->tests_open,
		.hits = it->hits, .hit_count = (uint32_t)it->hit_count };

	memcpy(e.identity, it->message.identity, sizeof(e.identity));
	return cache_add(c->cache, &e);
}

/* 0, or -ENOMEM; what is wrong with one message is in its fault */
static int
item_run(struct collection *c, struct item *it, struct arena *a,
    struct buf *raw)
{
	struct error err = { "out of memory" };
	size_t full_size;
	int r;

	it->message.name = it->mail->name;
	it->message.spam = it->spam;
	if (mail_read(it->mail, (size_t)engine_settings(c->rt->engine)->scan_size,
		raw, &full_size, NULL, NULL, &err) != EX_OK) {
		snprintf(it->fault, sizeof(it->fault), "%.*s",
		    (int)sizeof(it->fault) - 1, err.text);
		return 0;
	}
	if (!identity_make(buf_span(raw), full_size, it->message.identity))
		return -ENOMEM;
	pthread_mutex_lock(&c->lock);
	r = from_cache(c, it);
	pthread_mutex_unlock(&c->lock);
	if (r != -ENOENT) {
		it->done = r == 0;
		return r;
	}
	arena_reset(a);
	r = item_judge(c, it, buf_span(raw), full_size, a, &err);
	if (r == -ENOMEM)
		return r;
	if (r != 0) {
		snprintf(it->fault, sizeof(it->fault), "%.*s",
		    (int)sizeof(it->fault) - 1, err.text);
		return 0;
	}
	it->done = true;
	pthread_mutex_lock(&c->lock);
	r = to_cache(c, it);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void *
worker(void *arg)
{
	struct collection *c = arg;
	struct arena *a = arena_new(cli_arena_bytes(c->rt->engine));
	struct buf raw;

	buf_init(&raw, (size_t)engine_settings(c->rt->engine)->scan_size);
	pthread_mutex_lock(&c->lock);
	if (a == NULL)
		c->no_memory = true;
	while (!c->no_memory && c->next < c->count) {
		struct item *it = &c->items[c->next++];
		int r;

		pthread_mutex_unlock(&c->lock);
		r = item_run(c, it, a, &raw);
		pthread_mutex_lock(&c->lock);
		c->no_memory |= r != 0;
		if (c->progress && ++c->read % 100 == 0)
			fprintf(stderr, "\r%zu of %zu", c->read, c->count);
	}
	pthread_mutex_unlock(&c->lock);
	buf_done(&raw);
	arena_free(a);
	return NULL;
}

static int
items_run(struct collection *c)
{
	pthread_t *threads = calloc((size_t)c->o->jobs, sizeof(*threads));
	int64_t started = 0;

	if (threads == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (; started + 1 < c->o->jobs; started++)
		if (pthread_create(&threads[started], NULL, worker, c) != 0)
			break; /* fewer threads give the same result */
	worker(c);
	for (int64_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	if (c->progress)
		fprintf(stderr, "\r%*s\r", 40, "");
	return c->no_memory ? cli_fail(EX_OSERR, "out of memory") : EX_OK;
}

static int
set_fill(struct collection *c, struct tune_set *set)
{
	size_t shown = 0;
	int r = 0;

	for (size_t i = 0; i < c->count && r == 0; i++) {
		struct item *it = &c->items[i];

		if (it->done) {
			it->message.source = i;
			set->tests_open += it->tests_open;
			r = tune_set_add(set, &it->message, it->hits,
			    it->hit_count);
			continue;
		}
		set->unreadable++;
		if (shown++ < SHOWN_FAULTS)
			cli_fail(0, "%s: %s", it->message.name, it->fault);
	}
	if (shown > SHOWN_FAULTS)
		cli_fail(0, "and %zu more that hold no message",
		    shown - SHOWN_FAULTS);
	return r == 0 ? EX_OK : cli_fail(EX_OSERR, r == -E2BIG ?
	    "too many messages" : "out of memory");
}

static void
key_file(EVP_MD_CTX *ctx, const char *path)
{
	struct error err;
	struct buf text;

	buf_init(&text, 64 << 20);
	if (path != NULL)
		file_read(path, &text, &err);
	EVP_DigestUpdate(ctx, text.ptr, text.len);
	EVP_DigestUpdate(ctx, "", 1);
	buf_done(&text);
}

/* Everything that hits depend on besides the message: rules, configuration,
 * where answers come from, and the program. */
static bool
key_make(const struct collection *c, unsigned char out[CACHE_KEY])
{
	const char *hash = ruleset_hash(engine_ruleset(c->rt->engine));
	const struct judge_options *o = &c->o->judge;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct stat st = { 0 };
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	if (ok) {
		EVP_DigestUpdate(ctx, hash, strlen(hash) + 1);
		key_file(ctx, cli_config_path(o));
		key_file(ctx, o->dns_data);
		EVP_DigestUpdate(ctx, &o->offline, sizeof(o->offline));
		if (stat("/proc/self/exe", &st) == 0) {
			EVP_DigestUpdate(ctx, &st.st_size, sizeof(st.st_size));
			EVP_DigestUpdate(ctx, &st.st_mtim, sizeof(st.st_mtim));
		}
		ok = EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	}
	EVP_MD_CTX_free(ctx);
	if (ok)
		memcpy(out, digest, CACHE_KEY);
	return ok;
}

bool
tune_model_is_active(const char *path)
{
	struct model_info info;
	struct error err;
	struct model *m;

	if (path == NULL || model_open(path, &m, &err) != 0)
		return false;
	model_info(m, &info);
	model_unref(m);
	return info.ham >= info.need && info.spam >= info.need;
}

void
tune_collection_free(struct collection *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].hits);
	free(c->items);
	mail_list_done(&c->mail[0]);
	mail_list_done(&c->mail[1]);
	cache_free(c->cache);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

const struct mail *
tune_collection_mail(const struct collection *c, const struct tune_message *m)
{
	return c->items[m->source].mail;
}

int
tune_collect(const struct tune_options *o, struct runtime *rt,
    const char *cache_path, int score_set, struct tune_set *ret_set,
    size_t *ret_from_cache, struct collection **ret_collection)
{
	struct collection *c = calloc(1, sizeof(*c));
	const struct ruleset *rs = engine_ruleset(rt->engine);
	unsigned char key[CACHE_KEY];
	const char *why;
	struct error err;
	int code;

	if (c == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	c->o = o;
	c->rt = rt;
	c->progress = isatty(STDERR_FILENO);
	pthread_mutex_init(&c->lock, NULL);
	code = mail_find(c, o->ham, o->ham_count, false);
	if (code == EX_OK)
		code = mail_find(c, o->spam, o->spam_count, true);
	if (code == EX_OK && (!key_make(c, key) ||
	    cache_open(cache_path, key, ruleset_count(rs), &c->cache, &why) != 0))
		code = cli_fail(EX_OSERR, "out of memory");
	if (code == EX_OK && why != NULL)
		cli_fail(0, "\"%s\" is not used: %s", cache_path, why);
	if (code == EX_OK)
		code = items_run(c);
	/* what could not be kept costs time, nothing else */
	if (code == EX_OK && cache_path != NULL && !o->dry_run &&
	    cache_save(c->cache, cache_path, &err) != 0)
		cli_fail(0, "hits are not kept: %s", err.text);
	if (code == EX_OK && tune_set_init(ret_set, rs, score_set) != 0)
		code = cli_fail(EX_OSERR, "out of memory");
	else if (code == EX_OK) {
		code = set_fill(c, ret_set);
		if (code != EX_OK)
			tune_set_done(ret_set);
	}
	*ret_from_cache = c->cached;
	*ret_collection = c;
	if (code != EX_OK) {
		tune_collection_free(c);
		*ret_collection = NULL;
	}
	return code;
}
