/*
 * Candidate databases are read and asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "scoring/rules/candidates_set.h"

enum { MAX_DATABASE_BYTES = 256 * 1024 * 1024 };

const struct hs_set_about hs_sets[HS_SETS] = {
	[HS_BODY] = { RULE_BODY, HS_EXACT_ONLY, "body" },
	[HS_PLAIN_BODY] = { RULE_BODY, HS_OUTLINES_PLAIN, "plain-body" },
	[HS_OTHER_BODY] = { RULE_BODY, HS_OUTLINES_OTHER, "other-body" },
	[HS_RAWBODY] = { RULE_RAWBODY, HS_ALL, "rawbody" },
	[HS_URI] = { RULE_URI, HS_ALL, "uri" },
	[HS_FULL] = { RULE_FULL, HS_ALL, "full" },
};

const char *
hs_set_name(enum hs_set set)
{
	return hs_sets[set].name;
}

struct hs_target {
	struct hs_users users;
	unsigned char *taken; /* enum hs_taken a pattern */
	hs_database_t *db;    /* NULL: none was taken */
};

void
hs_users_done(struct hs_users *u)
{
	free(u->patterns);
	free(u->rules);
	free(u->start);
}

static bool
takes_part(const struct rule_def *d)
{
	return d->pattern != NULL && !d->has_templates;
}

int
hs_users_find(const struct ruleset *rs, enum hs_set set, struct hs_users *u)
{
	enum rule_kind kind = hs_sets[set].kind;
	size_t n = rs->order_count[kind], all = pattern_pool_count(rs->patterns);
	size_t *place = calloc(all + 1, sizeof(*place)), *fill;

	memset(u, 0, sizeof(*u));
	u->patterns = calloc(n + 1, sizeof(struct pattern *));
	u->rules = calloc(n + 1, sizeof(*u->rules));
	u->start = calloc(n + 2, sizeof(*u->start));
	fill = calloc(n + 1, sizeof(*fill));
	if (place == NULL || u->patterns == NULL || u->rules == NULL ||
	    u->start == NULL || fill == NULL) {
		free(place);
		free(fill);
		hs_users_done(u);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct rule_def *d = rs->rules[rs->order[kind][i]];
		size_t *p;

		if (!takes_part(d))
			continue;
		p = &place[pattern_index(d->pattern)];
		if (*p == 0) {
			u->patterns[u->count++] = d->pattern;
			*p = u->count;
		}
		u->start[*p]++;
	}
	for (size_t i = 0; i < u->count; i++)
		u->start[i + 1] += u->start[i];
	for (size_t i = 0; i < n; i++) {
		const struct rule_def *d = rs->rules[rs->order[kind][i]];
		size_t p;

		if (!takes_part(d))
			continue;
		p = place[pattern_index(d->pattern)] - 1;
		u->rules[u->start[p] + fill[p]++] = rs->order[kind][i];
	}
	free(place);
	free(fill);
	return 0;
}

int
hs_users_key(const struct hs_users *u, enum hs_set set,
    unsigned char ret_key[HS_HASH_BYTES])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	hs_platform_info_t platform;
	unsigned n = 0;
	int ok;

	memset(&platform, 0, sizeof(platform));
	if (c == NULL || hs_populate_platform(&platform) != HS_SUCCESS) {
		EVP_MD_CTX_free(c);
		return -ENOMEM;
	}
	ok = EVP_DigestInit_ex(c, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(c, HS_FILE_MAGIC, strlen(HS_FILE_MAGIC)) &&
	    EVP_DigestUpdate(c, hs_version(), strlen(hs_version())) &&
	    EVP_DigestUpdate(c, &platform.cpu_features,
		sizeof(platform.cpu_features)) &&
	    EVP_DigestUpdate(c, hs_sets[set].name,
		strlen(hs_sets[set].name) + 1);
	for (size_t i = 0; ok && i < u->count; i++) {
		struct span s = pattern_text(u->patterns[i]);

		ok = EVP_DigestUpdate(c, s.ptr, s.len) &&
		    EVP_DigestUpdate(c, "", 1);
	}
	ok = ok && EVP_DigestFinal_ex(c, ret_key, &n);
	EVP_MD_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

int
hs_file_hash(const unsigned char *taken, size_t patterns, const char *bytes,
    size_t len, unsigned char ret_hash[HS_HASH_BYTES])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned n = 0;
	int ok = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(c, taken, patterns) &&
	    EVP_DigestUpdate(c, bytes != NULL ? bytes : "", len) &&
	    EVP_DigestFinal_ex(c, ret_hash, &n);

	EVP_MD_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

void
hs_file_name(enum hs_set set, const unsigned char key[HS_HASH_BYTES],
    char ret_name[HS_NAME_BYTES])
{
	int n = snprintf(ret_name, HS_NAME_BYTES, "%s-", hs_sets[set].name);

	for (size_t i = 0; i < 16; i++)
		n += snprintf(ret_name + n, HS_NAME_BYTES - (size_t)n, "%02x",
		    key[i]);
	snprintf(ret_name + n, HS_NAME_BYTES - (size_t)n, ".hs");
}

static int
read_exactly(int fd, void *p, size_t n)
{
	char *s = p;

	while (n > 0) {
		ssize_t r = read(fd, s, n);

		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0)
			return r == 0 ? -EBADMSG : -errno;
		s += r;
		n -= (size_t)r;
	}
	return 0;
}

/* Megabytes that are walked at random: in huge pages they cost a thousandth of
 * the page faults to fill, and few TLB misses to use. free() takes them. */
static void *
large_alloc(size_t n)
{
	enum { HUGE = 2 << 20 };
	void *p;

	if (n < HUGE / 2)
		return malloc(n);
	n = (n + HUGE - 1) / HUGE * HUGE;
	p = aligned_alloc(HUGE, n);
	if (p != NULL)
		madvise(p, n, MADV_HUGEPAGE); /* a kernel without: small ones */
	return p;
}

static void
use_large_alloc(void)
{
	hs_set_database_allocator(large_alloc, free);
}

static int
read_target(struct hs_target *t, int fd, const unsigned char key[HS_HASH_BYTES],
    const char *path, struct error *why)
{
	unsigned char check[HS_HASH_BYTES];
	struct hs_file_head head;
	char *bytes = NULL;
	int r = read_exactly(fd, &head, sizeof(head));

	if (r == 0 && (memcmp(head.magic, HS_FILE_MAGIC, sizeof(head.magic)) != 0 ||
			  memcmp(head.key, key, HS_HASH_BYTES) != 0 ||
			  head.patterns != t->users.count ||
			  head.bytes > MAX_DATABASE_BYTES))
		r = -EBADMSG;
	if (r == 0) {
		t->taken = malloc(t->users.count + 1);
		bytes = large_alloc(head.bytes + 1);
		if (t->taken == NULL || bytes == NULL)
			r = -ENOMEM;
	}
	if (r == 0)
		r = read_exactly(fd, t->taken, t->users.count);
	if (r == 0)
		r = read_exactly(fd, bytes, head.bytes);
	if (r == 0)
		r = hs_file_hash(t->taken, t->users.count, bytes, head.bytes,
		    check);
	if (r == 0 && memcmp(check, head.check, HS_HASH_BYTES) != 0)
		r = -EBADMSG;
	if (r == 0 && head.bytes > 0 &&
	    hs_deserialize_database(bytes, head.bytes, &t->db) != HS_SUCCESS)
		r = -EBADMSG;
	free(bytes);
	if (r != 0)
		error_set(why, r, "%s: \"%s\"", r == -EBADMSG ?
			"damaged or of another version" : strerror(-r), path);
	return r;
}

struct hs_target *
hs_target_open(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct error *why)
{
	unsigned char key[HS_HASH_BYTES];
	char name[HS_NAME_BYTES], path[4096];
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct hs_target *t;
	int fd;

	pthread_once(&once, use_large_alloc);
	if (rs->order_count[hs_sets[set].kind] == 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL || hs_users_find(rs, set, &t->users) != 0) {
		free(t);
		error_set(why, -ENOMEM, "out of memory");
		return NULL;
	}
	if (hs_users_key(&t->users, set, key) != 0)
		goto fail;
	hs_file_name(set, key, name);
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		goto fail;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		error_set(why, -errno, "cannot open \"%s\": %s", path,
		    strerror(errno));
		goto fail;
	}
	if (read_target(t, fd, key, path, why) != 0) {
		close(fd);
		goto fail;
	}
	close(fd);
	return t;
fail:
	hs_target_free(t);
	return NULL;
}

void
hs_target_free(struct hs_target *t)
{
	if (t == NULL)
		return;
	hs_free_database(t->db);
	hs_users_done(&t->users);
	free(t->taken);
	free(t);
}

/* ---- scanning */

/* Asking libhs whether the scratch suffices means checking the whole
 * database, so each thread remembers for which it has asked. */
struct hs_thread {
	hs_scratch_t *scratch;
	const struct hs_target *seen[HS_SETS];
	size_t count;
};

static hs_scratch_t *
thread_scratch(void **slot, const struct hs_target *t)
{
	struct hs_thread *x = *slot;

	if (x == NULL) {
		x = calloc(1, sizeof(*x));
		if (x == NULL)
			return NULL;
		*slot = x;
	}
	for (size_t i = 0; i < x->count; i++)
		if (x->seen[i] == t)
			return x->scratch;
	if (hs_alloc_scratch(t->db, &x->scratch) != HS_SUCCESS)
		return NULL;
	if (x->count < HS_SETS)
		x->seen[x->count++] = t;
	return x->scratch;
}

struct hits {
	unsigned ids[4096];
	size_t count;
	bool full;
};

static int
on_match(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *context)
{
	struct hits *h = context;

	(void)from;
	(void)to;
	(void)flags;
	if (h->count == sizeof(h->ids) / sizeof(h->ids[0])) {
		h->full = true;
		return 1;
	}
	h->ids[h->count++] = id;
	return 0;
}

static void
call_users(const struct hs_users *u, size_t i, hs_candidate_fn *fn, void *context)
{
	for (size_t k = u->start[i]; k < u->start[i + 1]; k++)
		fn(context, u->rules[k]);
}

int
hs_target_scan(const struct hs_target *t, void **scratch, struct span text,
    hs_candidate_fn *fn, void *context)
{
	struct hits h = { .count = 0 };
	hs_scratch_t *s;
	bool all = false;

	if (t->db == NULL)
		;
	else if (text.len <= UINT32_MAX) {
		s = thread_scratch(scratch, t);
		if (s == NULL)
			return -ENOMEM;
		if (hs_scan(t->db, text.ptr != NULL ? text.ptr : "",
			(unsigned)text.len, 0, s, on_match, &h) != HS_SUCCESS)
			all = true;
	} else
		all = true;
	all = all || h.full;
	for (size_t i = 0; i < t->users.count; i++)
		if (t->taken[i] == HS_LEFT_OUT ||
		    (all && t->taken[i] == HS_TAKEN))
			call_users(&t->users, i, fn, context);
	for (size_t i = 0; !all && i < h.count; i++)
		if (h.ids[i] < t->users.count)
			call_users(&t->users, h.ids[i], fn, context);
	return 0;
}

void
hs_scratch_free(void *scratch)
{
	struct hs_thread *x = scratch;

	if (x == NULL)
		return;
	hs_free_scratch(x->scratch);
	free(x);
}

