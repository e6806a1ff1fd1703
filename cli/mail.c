#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mbox.h"
#include "cli/mail.h"
#include "scoring/message/date.h"

enum {
	MAX_DEPTH = 64,
	STDIN_MAX_BYTES = 1 << 30,
};

static bool
item_add(struct mail_list *l, char *name, const char *path, size_t offset,
    size_t length)
{
	char *own = path != NULL ? strdup(path) : NULL;

	if (l->count == l->alloc) {
		size_t alloc = l->alloc == 0 ? 256 : l->alloc * 2;
		void *items = reallocarray(l->items, alloc, sizeof(*l->items));

		if (items != NULL) {
			l->items = items;
			l->alloc = alloc;
		}
	}
	if (name == NULL || (path != NULL && own == NULL) ||
	    l->count == l->alloc) {
		free(name);
		free(own);
		return false;
	}
	l->items[l->count++] = (struct mail){ name, own, offset, length };
	return true;
}

static bool
part_add(struct mail_list *l, const char *name, const char *path,
    unsigned number, size_t from, size_t to)
{
	char *own;

	if (asprintf(&own, "%s:%u", name, number) == -1)
		own = NULL;
	return item_add(l, own, path, from, to - from);
}

/* The messages of a file; it is read once, and nothing of it is kept. */
static bool
parts_add(struct mail_list *l, const char *name, const char *path, FILE *f)
{
	const char *open_as = path != NULL ? path : name;
	size_t begin = 0;
	unsigned found = 0;
	struct mbox m;
	int c;

	mbox_init(&m);
	do {
		c = getc_unlocked(f);
		if (!mbox_next(&m, c))
			continue;
		if (!part_add(l, name, open_as, ++found, begin, m.begin))
			return false;
		begin = m.begin;
	} while (c != EOF && !m.none);
	return found == 0 ? item_add(l, strdup(name), path, 0, 0) :
	    part_add(l, name, open_as, ++found, begin, m.at);
}

static bool
file_add(struct mail_list *l, const char *name, const char *path)
{
	/* a FIFO that lies about must not hold us up */
	int fd = open(path != NULL ? path : name, O_RDONLY | O_CLOEXEC |
	    O_NOCTTY | O_NONBLOCK);
	struct stat st;
	FILE *f = fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ?
	    fdopen(fd, "r") : NULL;
	bool ok;

	if (f == NULL) {
		if (fd != -1)
			close(fd);
		return item_add(l, strdup(name), path, 0, 0);
	}
	ok = parts_add(l, name, path, f);
	fclose(f);
	return ok;
}

static bool
is_directory(const char *path, const char *below)
{
	char *all;
	struct stat st;
	bool is;

	if (asprintf(&all, "%s/%s", path, below) == -1)
		return false;
	is = stat(all, &st) == 0 && S_ISDIR(st.st_mode);
	free(all);
	return is;
}

static bool
is_maildir(const char *path)
{
	return is_directory(path, "cur") && is_directory(path, "new") &&
	    is_directory(path, "tmp");
}

static bool walk(struct mail_list *l, const char *path, unsigned depth);

static bool
child_walk(struct mail_list *l, const char *path, unsigned depth)
{
	struct stat st;
	bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);

	if (stat(path, &st) == 0 && (S_ISDIR(st.st_mode) ? link :
	    !S_ISREG(st.st_mode)))
		return true; /* could lead back up; would wait for a writer */
	return walk(l, path, depth);
}

static bool
walk(struct mail_list *l, const char *path, unsigned depth)
{
	struct dirent **names = NULL;
	struct stat st;
	bool ok = true, maildir;
	int n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || depth > MAX_DEPTH)
		return file_add(l, path, NULL);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return errno == ENOMEM ? false :
		    item_add(l, strdup(path), NULL, 0, 0);
	maildir = is_maildir(path);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		char *child;

		if (ok && name[0] != '.' && (!maildir ||
		    strcmp(name, "cur") == 0 || strcmp(name, "new") == 0)) {
			ok = asprintf(&child, "%s/%s", path, name) != -1;
			if (ok) {
				ok = child_walk(l, child, depth + 1);
				free(child);
			}
		}
		free(names[i]);
	}
	free(names);
	return ok;
}

/* A pipe can be read but once, and only its end tells how many messages it
 * holds. */
static int
stdin_add(struct mail_list *l)
{
	char chunk[65536], path[32];
	size_t size = 0;
	ssize_t n;

	if (l->stdin_fd == 0) {
		if (fcntl(STDIN_FILENO, F_GETFD) == -1)
			return cli_fail(EX_NOINPUT, "stdin is closed");
		l->stdin_fd = memfd_create("stdin", MFD_CLOEXEC);
		if (l->stdin_fd == -1)
			return cli_fail(EX_OSERR, "cannot keep stdin: %s",
			    strerror(errno));
		while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
			if (n == -1 && errno == EINTR)
				continue;
			if (n == -1 || write(l->stdin_fd, chunk, (size_t)n) != n)
				return cli_fail(EX_IOERR, "cannot read stdin: %s",
				    strerror(errno));
			size += (size_t)n;
			if (size > STDIN_MAX_BYTES)
				return cli_fail(EX_DATAERR, "-: too large");
		}
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", l->stdin_fd);
	return file_add(l, "-", path) ? EX_OK : cli_fail(EX_OSERR,
	    "out of memory");
}

int
mail_list_add(struct mail_list *l, const char *path)
{
	if (strcmp(path, "-") == 0)
		return stdin_add(l);
	return walk(l, path, 0) ? EX_OK : cli_fail(EX_OSERR, "out of memory");
}

void
mail_list_done(struct mail_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].name);
		free(l->items[i].path);
	}
	free(l->items);
	if (l->stdin_fd > 0)
		close(l->stdin_fd);
	*l = (struct mail_list){ 0 };
}

/* At most `most` bytes; 0: there are no more. -errno. */
static ssize_t
piece_read(int fd, char *piece, size_t size, size_t most)
{
	ssize_t n;

	do
		n = read(fd, piece, most < size ? most : size);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : n;
}

int
mail_read(const struct mail *m, size_t max_bytes, struct buf *ret_buf,
    size_t *ret_full_size, mail_rest *rest, void *arg, struct error *err)
{
	int fd = open(m->path != NULL ? m->path : m->name,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t size = 0, most = m->length != 0 ? m->length : SIZE_MAX;
	struct stat st = { 0 };
	char chunk[65536];
	ssize_t n = 1;

	if (fd == -1)
		return error_set(err, EX_NOINPUT, "cannot open: %s",
		    strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return error_set(err, EX_NOINPUT, "is a directory");
	}
	if (m->offset != 0 && lseek(fd, (off_t)m->offset, SEEK_SET) == -1)
		n = -errno;
	buf_reset(ret_buf);
	while (n > 0 && size < most && size < max_bytes) {
		n = piece_read(fd, chunk, sizeof(chunk), (most < max_bytes ?
			most : max_bytes) - size);
		if (n > 0) {
			buf_add(ret_buf, chunk, (size_t)n);
			size += (size_t)n;
		}
	}
	while (n > 0 && size < most) {
		/* of the rest only the size counts, unless somebody takes it */
		if (rest == NULL && S_ISREG(st.st_mode)) {
			size_t end = (size_t)st.st_size - m->offset;

			size = end < size ? size : end < most ? end : most;
			break;
		}
		n = piece_read(fd, chunk, sizeof(chunk), most - size);
		if (n > 0) {
			size += (size_t)n;
			if (rest != NULL)
				rest(arg, chunk, (size_t)n);
		}
	}
	close(fd);
	if (n < 0)
		return error_set(err, EX_IOERR, "cannot read: %s",
		    strerror((int)-n));
	if (ret_buf->failed)
		return error_set(err, EX_OSERR, "out of memory");
	*ret_full_size = size;
	return EX_OK;
}

int64_t
mail_time(struct message *m)
{
	struct field *f = message_find(m, "Received", 0);
	int64_t t;

	if (f != NULL && date_parse(field_unfolded(m, f), &t))
		return t;
	f = message_find(m, "Date", 0);
	return f != NULL && date_parse(field_unfolded(m, f), &t) ? t : 0;
}
