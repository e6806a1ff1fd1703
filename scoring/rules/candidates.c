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

const struct hs_set_about hs_sets[HS_SETS] = {
	[HS_BODY] = { RULE_BODY, HS_EXACT_ONLY, "body" },
	[HS_PLAIN_BODY] = { RULE_BODY, HS_OUTLINES_PLAIN, "plain-body" },
	[HS_OTHER_BODY] = { RULE_BODY, HS_OUTLINES_OTHER, "other-body" },
	[HS_RAWBODY] = { RULE_RAWBODY, HS_ALL, "rawbody" },
	[HS_HEADER] = { RULE_HEADER, HS_ALL, "header" },
	[HS_URI] = { RULE_URI, HS_ALL, "uri" },
	[HS_FULL] = { RULE_FULL, HS_ALL, "full" },
};

const char *
hs_set_name(enum hs_set set)
{
	return hs_sets[set].name;
}

bool
hs_set_wanted(const struct ruleset *rs, enum hs_set set)
{
	return set == HS_HEADER ? rs->header_piece_count > 0 :
				  rs->order_count[hs_sets[set].kind] > 0;
}

static void
users_done(struct hs_users *u)
{
	free(u->patterns);
	free(u->rules);
	free(u->start);
}

/* list: rules that may have patterns of interest. 0 or -ENOMEM */
static int
users_find(const struct ruleset *rs, const uint32_t *list, size_t n,
    struct hs_users *u)
{
	size_t all = pattern_pool_count(rs->patterns);
	size_t *place = calloc(all + 1, sizeof(*place)), *fill;

	u->patterns = calloc(n + 1, sizeof(struct pattern *));
	u->rules = calloc(n + 1, sizeof(*u->rules));
	u->start = calloc(n + 2, sizeof(*u->start));
	fill = calloc(n + 1, sizeof(*fill));
	if (place == NULL || u->patterns == NULL || u->rules == NULL ||
	    u->start == NULL || fill == NULL) {
		free(place);
		free(fill);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct rule_def *d = rs->rules[list[i]];
		size_t *p;

		if (!rule_is_listed(d))
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
		const struct rule_def *d = rs->rules[list[i]];
		size_t p;

		if (!rule_is_listed(d))
			continue;
		p = place[pattern_index(d->pattern)] - 1;
		u->rules[u->start[p] + fill[p]++] = list[i];
	}
	free(place);
	free(fill);
	return 0;
}

static int
pieces_find(struct hs_target *t, const struct ruleset *rs)
{
	enum rule_kind kind = hs_sets[t->set].kind;

	if (kind != RULE_HEADER)
		return users_find(rs, rs->order[kind], rs->order_count[kind],
		    &t->pieces[0].users);
	for (size_t i = 0; i < rs->header_group_count; i++) {
		const struct header_group *g = &rs->header_groups[i];

		if (g->piece != NO_INDEX &&
		    users_find(rs, g->rules, g->count,
			&t->pieces[g->piece].users) != 0)
			return -ENOMEM;
	}
	return 0;
}

struct hs_target *
hs_target_new(const struct ruleset *rs, enum hs_set set)
{
	struct hs_target *t = calloc(1, sizeof(*t));
	bool ok;

	if (t == NULL)
		return NULL;
	t->set = set;
	t->count = set == HS_HEADER ? rs->header_piece_count : 1;
	t->pieces = calloc(t->count, sizeof(*t->pieces));
	ok = t->pieces != NULL && pieces_find(t, rs) == 0;
	for (size_t i = 0; ok && i < t->count; i++) {
		struct hs_piece *p = &t->pieces[i];

		p->told = calloc(p->users.count + 1, sizeof(*p->told));
		ok = p->told != NULL;
		t->patterns += p->users.count;
		if (p->users.count > t->most_patterns)
			t->most_patterns = p->users.count;
	}
	if (ok)
		return t;
	hs_target_free(t);
	return NULL;
}

void
hs_target_free(struct hs_target *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; t->pieces != NULL && i < t->count; i++) {
		hs_free_database(t->pieces[i].db);
		users_done(&t->pieces[i].users);
		free(t->pieces[i].told);
	}
	free(t->pieces);
	free(t);
}

static bool
hash_patterns(EVP_MD_CTX *c, const struct hs_users *u)
{
	bool ok = true;

	for (size_t i = 0; ok && i < u->count; i++) {
		struct span s = pattern_text(u->patterns[i]);

		ok = EVP_DigestUpdate(c, s.ptr, s.len) &&
		    EVP_DigestUpdate(c, "", 1);
	}
	return ok && EVP_DigestUpdate(c, "\n", 1);
}

int
hs_target_key(const struct hs_target *t, unsigned char ret_key[HS_HASH_BYTES])
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
	    EVP_DigestUpdate(c, hs_sets[t->set].name,
		strlen(hs_sets[t->set].name) + 1);
	for (size_t i = 0; ok && i < t->count; i++)
		ok = hash_patterns(c, &t->pieces[i].users);
	ok = ok && EVP_DigestFinal_ex(c, ret_key, &n);
	EVP_MD_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

int
hs_file_hash(const struct hs_target *t, const char *bytes, size_t len,
    unsigned char ret_hash[HS_HASH_BYTES])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned n = 0;
	int ok = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL);

	for (size_t i = 0; ok && i < t->count; i++)
		ok = EVP_DigestUpdate(c, t->pieces[i].told,
		    t->pieces[i].users.count * sizeof(struct hs_told));
	ok = ok && EVP_DigestUpdate(c, bytes, len) &&
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
take_pieces(struct hs_target *t, const char *bytes, size_t len)
{
	uint64_t n;

	for (size_t i = 0; i < t->count; i++) {
		if (len < sizeof(n))
			return -EBADMSG;
		memcpy(&n, bytes, sizeof(n));
		bytes += sizeof(n);
		len -= sizeof(n);
		if (n > len || (n + 7) / 8 * 8 > len ||
		    (n > 0 && hs_deserialize_database(bytes, n,
				  &t->pieces[i].db) != HS_SUCCESS))
			return -EBADMSG;
		bytes += (n + 7) / 8 * 8;
		len -= (n + 7) / 8 * 8;
	}
	return len == 0 ? 0 : -EBADMSG;
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
			  head.patterns != t->patterns ||
			  head.bytes > MAX_DATABASE_BYTES))
		r = -EBADMSG;
	if (r == 0 && (bytes = large_alloc(head.bytes + 1)) == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = read_exactly(fd, t->pieces[i].told,
		    t->pieces[i].users.count * sizeof(struct hs_told));
	if (r == 0)
		r = read_exactly(fd, bytes, head.bytes);
	if (r == 0)
		r = hs_file_hash(t, bytes, head.bytes, check);
	if (r == 0 && memcmp(check, head.check, HS_HASH_BYTES) != 0)
		r = -EBADMSG;
	if (r == 0)
		r = take_pieces(t, bytes, head.bytes);
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
	if (!hs_set_wanted(rs, set))
		return NULL;
	t = hs_target_new(rs, set);
	if (t == NULL || hs_target_key(t, key) != 0) {
		error_set(why, -ENOMEM, "out of memory");
		goto fail;
	}
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

/* ---- scanning */

/* Asking libhs whether the scratch suffices means checking the whole
 * database, so each thread remembers for which it has asked. */
struct hs_thread {
	hs_scratch_t *scratch;
	const struct hs_target *seen[HS_SETS];
	size_t count;
	/* of the scan that goes on */
	const struct hs_piece *piece;
	const struct hs_texts *texts;
	size_t at; /* the text of the last match */
	struct pattern_ends {
		bool listed;
		unsigned char count[HS_BLOCKS];
		uint64_t blocks; /* that have as many as a match needs */
		size_t last;	 /* that was counted */
	} *ends;	/* one a pattern */
	uint32_t *list; /* patterns with a match */
	size_t alloc, listed;
	size_t matches; /* that are still listened to */
};

static struct hs_thread *
thread_ready(void **slot, const struct hs_target *t)
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
			return x;
	if (t->most_patterns > x->alloc) {
		struct pattern_ends *ends = realloc(x->ends,
		    t->most_patterns * sizeof(*ends));
		uint32_t *list;

		if (ends == NULL)
			return NULL;
		x->ends = ends;
		memset(ends, 0, t->most_patterns * sizeof(*ends));
		list = realloc(x->list, t->most_patterns * sizeof(*list));
		if (list == NULL)
			return NULL;
		x->list = list;
		x->alloc = t->most_patterns;
	}
	for (size_t i = 0; i < t->count; i++)
		if (t->pieces[i].db != NULL &&
		    hs_alloc_scratch(t->pieces[i].db, &x->scratch) != HS_SUCCESS)
			return NULL;
	if (x->count < HS_SETS)
		x->seen[x->count++] = t;
	return x;
}

/* Real mail has less than one a byte. Who writes what matches everywhere gets
 * every pattern tried, within the step budget. */
enum { MATCHES_FREE = 10000, MATCHES_A_BYTE = 4 };

/* The text in which a match ends. Matches come nearly in order, which libhs
 * does not promise. */
static size_t
find_text(struct hs_thread *x, size_t end)
{
	const size_t *ends = x->texts->ends;
	size_t low = 0, high = x->texts->count - 1;

	if (end <= ends[x->at] && (x->at == 0 || end > ends[x->at - 1]))
		return x->at;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ends[middle] < end)
			low = middle + 1;
		else
			high = middle;
	}
	return x->at = low;
}

static int
on_match(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *context)
{
	struct hs_thread *x = context;
	const struct hs_told *told;
	struct pattern_ends *e;
	unsigned block;

	(void)from;
	(void)flags;
	if (id >= x->piece->users.count)
		return 0;
	if (x->matches == 0)
		return 1;
	x->matches--;
	e = &x->ends[id];
	told = &x->piece->told[id];
	block = hs_block(x->texts, find_text(x, to));
	if (!e->listed) {
		e->listed = true;
		x->list[x->listed++] = id;
	} else if (to < e->last)
		/* which are apart cannot be said any more */
		memset(e->count, UINT8_MAX, sizeof(e->count));
	else if (to < e->last + told->apart && e->count[block] > 0)
		return 0;
	e->last = to;
	if (e->count[block] < UINT8_MAX)
		e->count[block]++;
	if (e->count[block] >= told->ends)
		e->blocks |= UINT64_C(1) << block;
	return 0;
}

static void
call_users(const struct hs_users *u, size_t i, uint64_t blocks,
    hs_candidate_fn *fn, void *context)
{
	for (size_t k = u->start[i]; k < u->start[i + 1]; k++)
		fn(context, u->rules[k], blocks);
}

static bool
scan(const struct hs_piece *p, struct hs_thread *x, const struct hs_texts *texts)
{
	struct span s = texts->joined;

	x->piece = p;
	x->texts = texts;
	x->at = x->listed = 0;
	x->matches = MATCHES_FREE + s.len * MATCHES_A_BYTE;
	return hs_scan(p->db, s.ptr != NULL ? s.ptr : "", (unsigned)s.len, 0,
	    x->scratch, on_match, x) == HS_SUCCESS;
}

int
hs_target_scan(const struct hs_target *t, size_t piece, void **scratch,
    const struct hs_texts *texts, hs_candidate_fn *fn, void *context)
{
	bool all = texts->joined.len > UINT32_MAX;
	const struct hs_piece *p = &t->pieces[piece];
	struct hs_thread *x;

	if (p->db != NULL && !all) {
		x = thread_ready(scratch, t);
		if (x == NULL)
			return -ENOMEM;
		all = !scan(p, x, texts);
		for (size_t i = 0; i < x->listed; i++) {
			struct pattern_ends *e = &x->ends[x->list[i]];

			if (!all && e->blocks != 0)
				call_users(&p->users, x->list[i],
				    p->told[x->list[i]].once ? UINT64_MAX :
							       e->blocks, fn, context);
			memset(e, 0, sizeof(*e));
		}
	}
	for (size_t i = 0; i < p->users.count; i++)
		if (p->told[i].taken == HS_LEFT_OUT ||
		    (all && p->told[i].taken == HS_TAKEN))
			call_users(&p->users, i, UINT64_MAX, fn, context);
	return 0;
}

void
hs_scratch_free(void *scratch)
{
	struct hs_thread *x = scratch;

	if (x == NULL)
		return;
	hs_free_scratch(x->scratch);
	free(x->ends);
	free(x->list);
	free(x);
}

