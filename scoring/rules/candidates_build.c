/*
 * Candidate databases are made and written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scoring/rules/candidates_set.h"

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
compile_database(const struct hs_users *u, struct builder *b,
    hs_database_t **ret_db, struct error *err)
{
	for (;;) {
		hs_compile_error_t *e = NULL;
		unsigned n = 0;
		int bad;

		for (size_t i = 0; i < u->count; i++)
			if (b->texts[i] != NULL) {
				b->list[n] = b->texts[i];
				b->flags[n] = HS_PATTERN_FLAGS;
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
write_file(const char *dir, const char *name, const struct hs_file_head *head,
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
build(const struct hs_users *u, enum hs_set set, const char *dir, struct hs_build *b,
    struct hs_file_head *head, struct error *err)
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
	for (size_t i = 0; i < u->count; i++) {
		enum hs_taken t;

		w.texts[i] = hs_text_new(pattern_text(u->patterns[i]),
		    hs_sets[set].part, &t);
		taken[i] = (unsigned char)t;
	}
	r = compile_database(u, &w, &db, err);
	if (r != 0)
		goto out;
	if (db != NULL && hs_serialize_database(db, &bytes, &len) != HS_SUCCESS) {
		r = error_set(err, -ENOMEM, "libhs: cannot serialize");
		goto out;
	}
	b->patterns = u->count;
	for (size_t i = 0; i < u->count; i++) {
		/* libhs may have refused it among the others only */
		if (taken[i] == HS_TAKEN && w.texts[i] == NULL)
			taken[i] = HS_LEFT_OUT;
		b->left_out += taken[i] == HS_LEFT_OUT;
	}
	b->bytes = len;
	head->patterns = u->count;
	head->bytes = len;
	r = hs_file_hash(taken, u->count, bytes, len, head->check);
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
hs_target_build(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct hs_build *ret_build, struct error *err)
{
	struct hs_file_head head = { .patterns = 0 };
	struct hs_target *there;
	struct hs_users u;
	int r;

	memset(ret_build, 0, sizeof(*ret_build));
	if (rs->order_count[hs_sets[set].kind] == 0)
		return error_set(err, -ENOTSUP, "no rules of that kind");
	r = hs_users_find(rs, set, &u);
	if (r != 0)
		return error_set(err, r, "out of memory");
	memcpy(head.magic, HS_FILE_MAGIC, sizeof(head.magic));
	r = hs_users_key(&u, set, head.key);
	if (r == 0) {
		hs_file_name(set, head.key, ret_build->file);
		there = hs_target_open(rs, set, dir, NULL);
		if (there != NULL) {
			ret_build->kept = true;
			ret_build->patterns = u.count;
			hs_target_free(there);
		} else
			r = build(&u, set, dir, ret_build, &head, err);
	}
	hs_users_done(&u);
	return r;
}

