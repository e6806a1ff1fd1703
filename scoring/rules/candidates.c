#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "scoring/rules/candidates.h"
#include "scoring/rules/internal.h"

#if HAVE_HYPERSCAN

#include <hs.h>

enum {
	HASH_BYTES = 32,
	MAX_DATABASE_BYTES = 256 * 1024 * 1024,
	/* what is longer costs libhs minutes and memory; PCRE2 does it */
	MAX_HS_PATTERN_BYTES = 1024,
	MAX_HS_OUTLINE_BYTES = 1024,
};

static const char magic[8] = "SPSHS002";

struct file_head {
	char magic[8];
	unsigned char key[HASH_BYTES];
	unsigned char check[HASH_BYTES]; /* of all behind the head */
	uint64_t patterns;		 /* one byte each follows: 1 it is in */
	uint64_t bytes;			 /* of the serialized database */
};

/* The distinct patterns of a kind and the rules that use each */
struct users {
	size_t count;
	struct pattern **patterns;
	uint32_t *rules; /* users of pattern i: rules[start[i] .. start[i+1]) */
	size_t *start;
};

struct hs_target {
	struct users users;
	unsigned char *taken; /* a byte a pattern */
	hs_database_t *db;    /* NULL: none was taken */
};

static void
users_done(struct users *u)
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

static int
users_find(const struct ruleset *rs, int kind, struct users *u)
{
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
		users_done(u);
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

static int
hash_key(const struct users *u, unsigned char key[HASH_BYTES])
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
	    EVP_DigestUpdate(c, magic, sizeof(magic)) &&
	    EVP_DigestUpdate(c, hs_version(), strlen(hs_version())) &&
	    EVP_DigestUpdate(c, &platform.cpu_features,
		sizeof(platform.cpu_features));
	for (size_t i = 0; ok && i < u->count; i++) {
		struct span s = pattern_text(u->patterns[i]);

		struct span o = pattern_outline(u->patterns[i]);

		ok = EVP_DigestUpdate(c, s.ptr, s.len) &&
		    EVP_DigestUpdate(c, "", 1) &&
		    EVP_DigestUpdate(c, o.ptr != NULL ? o.ptr : "", o.len) &&
		    EVP_DigestUpdate(c, "", 1);
	}
	ok = ok && EVP_DigestFinal_ex(c, key, &n);
	EVP_MD_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

static int
hash_bytes(const void *a, size_t a_len, const void *b, size_t b_len,
    unsigned char out[HASH_BYTES])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned n = 0;
	int ok = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(c, a, a_len) && EVP_DigestUpdate(c, b, b_len) &&
	    EVP_DigestFinal_ex(c, out, &n);

	EVP_MD_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

static const char *
kind_name(int kind)
{
	return kind == RULE_BODY    ? "body" :
	    kind == RULE_RAWBODY    ? "rawbody" :
	    kind == RULE_URI	    ? "uri" :
	    kind == RULE_FULL	    ? "full" :
				      "other";
}

static void
file_name(int kind, const unsigned char key[HASH_BYTES], char out[128])
{
	int n = snprintf(out, 128, "%s-", kind_name(kind));

	for (size_t i = 0; i < 16; i++)
		n += snprintf(out + n, 128 - (size_t)n, "%02x", key[i]);
	snprintf(out + n, 128 - (size_t)n, ".hs");
}

/* ---- what libhs is told */

static bool
is_caseless(struct span s)
{
	for (size_t i = 0; i + 2 < s.len; i++)
		if (s.ptr[i] == '(' && s.ptr[i + 1] == '?')
			for (size_t k = i + 2; k < s.len &&
			     strchr("imsxn^-", s.ptr[k]) != NULL; k++)
				if (s.ptr[k] == 'i')
					return true;
	return false;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f'    ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F'    ? c - 'A' + 10 : -1;
}

static bool
folds(unsigned c)
{
	return c >= 0xC0 && c != 0xD7 && c != 0xF7 && c != 0xDF && c != 0xFF;
}

/* A byte above 0x7F at s, raw or as \xHH: its length, or 0 */
static size_t
high_byte(struct span s, unsigned *ret_byte)
{
	if ((unsigned char)s.ptr[0] >= 0x80) {
		*ret_byte = (unsigned char)s.ptr[0];
		return 1;
	}
	if (s.len < 4 || s.ptr[0] != '\\' || s.ptr[1] != 'x' ||
	    hex_digit(s.ptr[2]) < 8 || hex_digit(s.ptr[3]) < 0)
		return 0;
	*ret_byte = (unsigned)(hex_digit(s.ptr[2]) << 4 | hex_digit(s.ptr[3]));
	return 4;
}

/*
 * libhs folds ASCII only, our PCRE2 tables Latin-1 too (pattern.c). What
 * caseless patterns say about such bytes is widened: too many candidates are
 * right, one too few is a lost hit.
 */
static void
widen_for_hs(struct span s, struct buf *out)
{
	bool in_class = false, negated = false;
	size_t start = 0, n;
	unsigned c, d;

	for (size_t i = 0; i < s.len; i++) {
		struct span rest = span_from(s, i);

		n = high_byte(rest, &c);
		if (n > 0 && !in_class) {
			buf_printf(out, folds(c) ? "[\\x%02x\\x%02x]" : "\\x%02x",
			    c, c ^ 0x20);
			i += n - 1;
		} else if (n > 0) {
			struct span after = span_from(rest, n);
			size_t m = after.len > 1 && after.ptr[0] == '-' ?
			    high_byte(span_from(after, 1), &d) : 0;

			if (m > 0 && !negated && d >= 0xC0) {
				/* a range among letters: all letters */
				buf_printf(out, "\\x%02x-\\xff", c < 0xC0 ? c : 0xC0);
				n += 1 + m;
			} else if (m > 0) {
				buf_printf(out, "\\x%02x-\\x%02x", c, d);
				n += 1 + m;
			} else if (!negated && folds(c))
				buf_printf(out, "\\x%02x\\x%02x", c, c ^ 0x20);
			else
				buf_printf(out, "\\x%02x", c);
			i += n - 1;
		} else if (s.ptr[i] == '\\' && i + 1 < s.len) {
			buf_add(out, s.ptr + i, 2);
			i++;
		} else {
			if (!in_class && s.ptr[i] == '[') {
				in_class = true;
				negated = i + 1 < s.len && s.ptr[i + 1] == '^';
				start = i + 1 + negated;
			} else if (in_class && s.ptr[i] == ']' && i > start)
				in_class = false;
			buf_add_char(out, s.ptr[i]);
		}
	}
}

static const unsigned hs_flags = HS_FLAG_SINGLEMATCH | HS_FLAG_PREFILTER |
    HS_FLAG_ALLOWEMPTY;

/* The text for libhs, or NULL when it is not to have it */
static char *
hs_text(struct pattern *p)
{
	struct span s = pattern_text(p);
	hs_compile_error_t *e = NULL;
	hs_expr_info_t *info = NULL;
	struct buf b;
	char *text;

	if (s.len > MAX_HS_PATTERN_BYTES && pattern_outline(p).ptr != NULL)
		s = pattern_outline(p);
	if (s.len > (s.ptr == pattern_text(p).ptr ? MAX_HS_PATTERN_BYTES :
						    MAX_HS_OUTLINE_BYTES))
		return NULL;
	buf_init(&b, MAX_HS_OUTLINE_BYTES * 8);
	if (is_caseless(s))
		widen_for_hs(s, &b);
	else
		buf_add_span(&b, s);
	text = b.failed || memchr(b.ptr, '\0', b.len) != NULL ? NULL :
								strdup(b.ptr);
	buf_done(&b);
	if (text == NULL)
		return NULL;
	if (hs_expression_info(text, hs_flags, &info, &e) != HS_SUCCESS) {
		hs_free_compile_error(e);
		free(text);
		text = NULL;
	}
	free(info);
	return text;
}

bool
hs_widths(const char *text, uint32_t *ret_least, uint32_t *ret_most)
{
	hs_compile_error_t *e = NULL;
	hs_expr_info_t *info = NULL;

	if (hs_expression_info(text, HS_FLAG_PREFILTER | HS_FLAG_ALLOWEMPTY,
		&info, &e) != HS_SUCCESS) {
		hs_free_compile_error(e);
		return false;
	}
	*ret_least = info->min_width;
	*ret_most = info->max_width;
	free(info);
	return true;
}

struct builder {
	char **texts;	       /* one a pattern; NULL: left out */
	const char **list;     /* those that libhs gets */
	unsigned *flags, *ids;
};

static void
builder_done(struct builder *b, size_t count)
{
	for (size_t i = 0; b->texts != NULL && i < count; i++)
		free(b->texts[i]);
	free(b->texts);
	free(b->list);
	free(b->flags);
	free(b->ids);
}

/* Compiles all that libhs takes; what it refuses on the way is left out. */
static int
compile_database(const struct users *u, struct builder *b,
    hs_database_t **ret_db, struct error *err)
{
	for (;;) {
		hs_compile_error_t *e = NULL;
		unsigned n = 0;
		int bad;

		for (size_t i = 0; i < u->count; i++)
			if (b->texts[i] != NULL) {
				b->list[n] = b->texts[i];
				b->flags[n] = hs_flags;
				b->ids[n++] = (unsigned)i;
			}
		if (n == 0) {
			*ret_db = NULL;
			return 0;
		}
		if (hs_compile_multi(b->list, b->flags, b->ids, n, HS_MODE_BLOCK,
			NULL, ret_db, &e) == HS_SUCCESS)
			return 0;
		bad = e != NULL ? e->expression : -1;
		if (bad < 0 || (unsigned)bad >= n) {
			error_set(err, -EINVAL, "libhs: %s",
			    e != NULL && e->message != NULL ? e->message :
							      "cannot compile");
			hs_free_compile_error(e);
			return -EINVAL;
		}
		hs_free_compile_error(e);
		free(b->texts[b->ids[bad]]);
		b->texts[b->ids[bad]] = NULL;
	}
}

static int
write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t w = write(fd, s, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			return -errno;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Beside the final name, then renamed: a reader sees all or nothing. */
static int
write_file(const char *dir, const char *name, const struct file_head *head,
    const unsigned char *taken, const char *bytes, struct error *err)
{
	char path[4096], temp[4096];
	int fd, r;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
		(int)sizeof(path) ||
	    snprintf(temp, sizeof(temp), "%s/.%s.XXXXXX", dir, name) >=
		(int)sizeof(temp))
		return error_set(err, -ENAMETOOLONG, "path too long: \"%s\"",
		    dir);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd == -1) {
		r = -errno;
		return error_set(err, r, "cannot create a file in \"%s\": %s",
		    dir, strerror(-r));
	}
	r = write_all(fd, head, sizeof(*head));
	if (r == 0)
		r = write_all(fd, taken, head->patterns);
	if (r == 0)
		r = write_all(fd, bytes, head->bytes);
	if (r == 0 && fchmod(fd, 0644) == -1)
		r = -errno;
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	if (close(fd) == -1 && r == 0)
		r = -errno;
	if (r == 0 && rename(temp, path) == -1)
		r = -errno;
	if (r != 0) {
		unlink(temp);
		return error_set(err, r, "cannot write \"%s\": %s", path,
		    strerror(-r));
	}
	return 0;
}

static int
build(const struct users *u, const char *dir, struct hs_build *b,
    struct file_head *head, struct error *err)
{
	struct builder w = { calloc(u->count + 1, sizeof(char *)),
		calloc(u->count + 1, sizeof(char *)),
		calloc(u->count + 1, sizeof(unsigned)),
		calloc(u->count + 1, sizeof(unsigned)) };
	unsigned char *taken = calloc(u->count + 1, 1);
	hs_database_t *db = NULL;
	char *bytes = NULL;
	size_t len = 0;
	int r = -ENOMEM;

	if (w.texts == NULL || w.list == NULL || w.flags == NULL ||
	    w.ids == NULL || taken == NULL)
		goto out;
	for (size_t i = 0; i < u->count; i++)
		w.texts[i] = hs_text(u->patterns[i]);
	r = compile_database(u, &w, &db, err);
	if (r != 0)
		goto out;
	if (db != NULL && hs_serialize_database(db, &bytes, &len) != HS_SUCCESS) {
		r = error_set(err, -ENOMEM, "libhs: cannot serialize");
		goto out;
	}
	b->patterns = u->count;
	for (size_t i = 0; i < u->count; i++) {
		taken[i] = w.texts[i] != NULL;
		b->left_out += !taken[i];
	}
	b->bytes = len;
	head->patterns = u->count;
	head->bytes = len;
	r = hash_bytes(taken, u->count, bytes != NULL ? bytes : "", len,
	    head->check);
	if (r == 0)
		r = write_file(dir, b->file, head, taken,
		    bytes != NULL ? bytes : "", err);
out:
	if (r == -ENOMEM && err != NULL && err->text[0] == '\0')
		error_set(err, r, "out of memory");
	builder_done(&w, u->count);
	hs_free_database(db);
	free(bytes);
	free(taken);
	return r;
}

int
hs_target_build(const struct ruleset *rs, int kind, const char *dir,
    struct hs_build *ret_build, struct error *err)
{
	struct file_head head = { .patterns = 0 };
	struct hs_target *there;
	struct users u;
	int r;

	memset(ret_build, 0, sizeof(*ret_build));
	if (rs->order_count[kind] == 0)
		return error_set(err, -ENOTSUP, "no rules of that kind");
	r = users_find(rs, kind, &u);
	if (r != 0)
		return error_set(err, r, "out of memory");
	memcpy(head.magic, magic, sizeof(magic));
	r = hash_key(&u, head.key);
	if (r == 0) {
		file_name(kind, head.key, ret_build->file);
		there = hs_target_open(rs, kind, dir, NULL);
		if (there != NULL) {
			ret_build->kept = true;
			ret_build->patterns = u.count;
			hs_target_free(there);
		} else
			r = build(&u, dir, ret_build, &head, err);
	}
	users_done(&u);
	return r;
}

/* ---- reading */

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

static int
read_target(struct hs_target *t, int fd, const unsigned char key[HASH_BYTES],
    const char *path, struct error *why)
{
	unsigned char check[HASH_BYTES];
	struct file_head head;
	char *bytes = NULL;
	int r = read_exactly(fd, &head, sizeof(head));

	if (r == 0 && (memcmp(head.magic, magic, sizeof(magic)) != 0 ||
			  memcmp(head.key, key, HASH_BYTES) != 0 ||
			  head.patterns != t->users.count ||
			  head.bytes > MAX_DATABASE_BYTES))
		r = -EBADMSG;
	if (r == 0) {
		t->taken = malloc(t->users.count + 1);
		bytes = malloc(head.bytes + 1);
		if (t->taken == NULL || bytes == NULL)
			r = -ENOMEM;
	}
	if (r == 0)
		r = read_exactly(fd, t->taken, t->users.count);
	if (r == 0)
		r = read_exactly(fd, bytes, head.bytes);
	if (r == 0)
		r = hash_bytes(t->taken, t->users.count, bytes, head.bytes,
		    check);
	if (r == 0 && memcmp(check, head.check, HASH_BYTES) != 0)
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
hs_target_open(const struct ruleset *rs, int kind, const char *dir,
    struct error *why)
{
	struct hs_target *t = calloc(1, sizeof(*t));
	unsigned char key[HASH_BYTES];
	char name[128], path[4096];
	int fd;

	if (t == NULL || users_find(rs, kind, &t->users) != 0) {
		free(t);
		error_set(why, -ENOMEM, "out of memory");
		return NULL;
	}
	if (hash_key(&t->users, key) != 0)
		goto fail;
	file_name(kind, key, name);
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
	users_done(&t->users);
	free(t->taken);
	free(t);
}

/* ---- scanning */

/* Asking libhs whether the scratch suffices means checking the whole
 * database, so each thread remembers for which it has asked. */
struct hs_thread {
	hs_scratch_t *scratch;
	const struct hs_target *seen[RULE_KINDS];
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
	if (x->count < RULE_KINDS)
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
call_users(const struct users *u, size_t i, hs_candidate_fn *fn, void *context)
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

	if (t->db != NULL && text.len <= UINT32_MAX) {
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
		if (all || !t->taken[i])
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

#else /* !HAVE_HYPERSCAN */

struct hs_target *
hs_target_open(const struct ruleset *rs, int kind, const char *dir,
    struct error *why)
{
	(void)rs;
	(void)kind;
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
hs_target_build(const struct ruleset *rs, int kind, const char *dir,
    struct hs_build *ret_build, struct error *err)
{
	(void)rs;
	(void)kind;
	(void)dir;
	memset(ret_build, 0, sizeof(*ret_build));
	return error_set(err, -ENOTSUP, "built without libhs");
}

int
hs_target_scan(const struct hs_target *t, void **scratch, struct span text,
    hs_candidate_fn *fn, void *context)
{
	(void)t;
	(void)scratch;
	(void)text;
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

#endif
