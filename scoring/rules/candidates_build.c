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
compile_database(const struct hs_piece *p, struct builder *b,
    hs_database_t **ret_db, struct error *err)
{
	const struct hs_users *u = &p->users;

	for (;;) {
		hs_compile_error_t *e = NULL;
		unsigned n = 0;
		int bad;

		for (size_t i = 0; i < u->count; i++)
			if (b->texts[i] != NULL) {
				b->list[n] = b->texts[i];
				b->flags[n] = HS_PATTERN_FLAGS |
				    (p->told[i].once ? HS_FLAG_SINGLEMATCH : 0);
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
    const struct hs_target *t, struct span bytes, struct error *err)
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
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = write_all(fd, t->pieces[i].told,
		    t->pieces[i].users.count * sizeof(struct hs_told));
	if (r == 0)
		r = write_all(fd, bytes.ptr, bytes.len);
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

/* The database of a piece, behind the pieces that are there already */
static int
add_piece(struct buf *out, hs_database_t *db, struct error *err)
{
	uint64_t n = 0;
	char *bytes = NULL;
	size_t len = 0;

	if (db != NULL && hs_serialize_database(db, &bytes, &len) != HS_SUCCESS)
		return error_set(err, -ENOMEM, "libhs: cannot serialize");
	n = len;
	buf_add(out, (const char *)&n, sizeof(n));
	buf_add(out, bytes, len);
	while (out->len % 8 != 0)
		buf_add_char(out, '\0');
	free(bytes);
	return out->failed ? error_set(err, -ENOMEM, "too large") : 0;
}

static int
build_piece(struct hs_piece *p, enum hs_set set, struct hs_build *b,
    struct buf *out, struct error *err)
{
	const struct hs_users *u = &p->users;
	struct builder w = { calloc(u->count + 1, sizeof(char *)),
		calloc(u->count + 1, sizeof(char *)),
		calloc(u->count + 1, sizeof(unsigned)),
		calloc(u->count + 1, sizeof(unsigned)) };
	int r = -ENOMEM;

	if (w.texts == NULL || w.list == NULL || w.flags == NULL ||
	    w.ids == NULL)
		goto out;
	for (size_t i = 0; i < u->count; i++)
		w.texts[i] = hs_text_new(pattern_text(u->patterns[i]),
		    hs_sets[set].part, &p->told[i]);
	r = compile_database(p, &w, &p->db, err);
	if (r == 0)
		r = add_piece(out, p->db, err);
	for (size_t i = 0; r == 0 && i < u->count; i++) {
		struct hs_told *told = &p->told[i];

		/* libhs may have refused it among the others only */
		if (told->taken == HS_TAKEN && w.texts[i] == NULL)
			told->taken = HS_LEFT_OUT;
		b->left_out += told->taken == HS_LEFT_OUT;
	}
out:
	builder_done(&w, u->count);
	return r;
}

static int
build(struct hs_target *t, const char *dir, struct hs_build *b,
    struct hs_file_head *head, struct error *err)
{
	struct buf out;
	int r = 0;

	buf_init(&out, MAX_DATABASE_BYTES);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		r = build_piece(&t->pieces[i], t->set, b, &out, err);
	head->patterns = b->patterns = t->patterns;
	head->bytes = b->bytes = out.len;
	if (r == 0)
		r = hs_file_hash(t, out.ptr, out.len, head->check);
	if (r == 0)
		r = write_file(dir, b->file, head, t, buf_span(&out), err);
	if (r == -ENOMEM && err != NULL && err->text[0] == '\0')
		error_set(err, r, "out of memory");
	buf_done(&out);
	return r;
}

int
hs_target_build(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct hs_build *ret_build, struct error *err)
{
	struct hs_file_head head = { .patterns = 0 };
	struct hs_target *t, *there;
	int r;

	memset(ret_build, 0, sizeof(*ret_build));
	if (!hs_set_wanted(rs, set))
		return error_set(err, -ENOTSUP, "no rules of that kind");
	t = hs_target_new(rs, set);
	if (t == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	memcpy(head.magic, HS_FILE_MAGIC, sizeof(head.magic));
	r = hs_target_key(t, head.key);
	if (r == 0) {
		hs_file_name(set, head.key, ret_build->file);
		there = hs_target_open(rs, set, dir, NULL);
		if (there != NULL) {
			ret_build->kept = true;
			ret_build->patterns = t->patterns;
			hs_target_free(there);
		} else
			r = build(t, dir, ret_build, &head, err);
	}
	hs_target_free(t);
	return r;
}
