#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "tune/history.h"

enum { NAME_BYTES = 32, LOG_BYTES = 1 << 20 };

#define TUNED "tuned.cf"
#define CANDIDATE "candidate.cf"
#define UNDONE "undone.cf"

struct place {
	const char *dir;
	int lock, dir_fd, history_fd;
	unsigned *numbers; /* ascending */
	size_t count;
	bool in_force;	   /* there is a tuned.cf */
	struct stat tuned;
};

static int
fail(struct error *err, const char *what, const char *dir)
{
	int e = errno;

	return error_set(err, -e, "%s in \"%s\": %s", what, dir, strerror(e));
}

/* What root makes here belongs to the owner of the directory, or the timer's
 * user could not go on with it. Only what was just made is given away: that
 * user must not get at other files by it. */
static void
give(int dir_fd, int fd)
{
	struct stat st;

	if (geteuid() == 0 && fstat(dir_fd, &st) == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) != 0)
		return; /* then it stays root's, as any file that root makes */
}

static int
open_file(int dir_fd, const char *name, int flags)
{
	int fd = openat(dir_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd != -1)
		give(dir_fd, fd);
	else if (errno == EEXIST && (flags & O_EXCL) == 0)
		fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

static int
open_history(int dir_fd)
{
	int made = mkdirat(dir_fd, "history", 0755), fd;

	if (made != 0 && errno != EEXIST)
		return -1;
	fd = openat(dir_fd, "history",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd != -1 && made == 0)
		give(dir_fd, fd);
	return fd;
}

int
history_lock(const char *dir, struct error *err)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, e;

	if (d == -1)
		return error_set(err, -errno, "cannot open \"%s\": %s", dir,
		    strerror(errno));
	fd = open_file(d, "lock", O_RDWR);
	e = errno;
	close(d);
	errno = e;
	if (fd == -1)
		return fail(err, "cannot make a lock", dir);
	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	if (e == EAGAIN || e == EACCES)
		return error_set(err, -EBUSY,
		    "another tuning is at work in \"%s\"", dir);
	return fail(err, "cannot lock", dir);
}

static void
name_of(unsigned number, char out[NAME_BYTES])
{
	snprintf(out, NAME_BYTES, "%04u.cf", number);
}

/* "0012.cf" */
static bool
number_of(const char *name, unsigned *ret_number)
{
	size_t digits = strspn(name, "0123456789");
	char again[NAME_BYTES];
	unsigned long n;

	if (digits < 4 || digits > 8 || strcmp(name + digits, ".cf") != 0)
		return false;
	n = strtoul(name, NULL, 10);
	name_of((unsigned)n, again);
	*ret_number = (unsigned)n;
	return strcmp(name, again) == 0;
}

static int
number_cmp(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

static int
read_numbers(struct place *p)
{
	int fd = openat(p->history_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *e;
	size_t alloc = 0;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		unsigned n;

		if (!number_of(e->d_name, &n))
			continue;
		if (p->count == alloc) {
			size_t more = alloc == 0 ? 64 : alloc * 2;
			unsigned *grown = realloc(p->numbers,
			    more * sizeof(*grown));

			if (grown == NULL) {
				closedir(d);
				errno = ENOMEM;
				return -1;
			}
			p->numbers = grown;
			alloc = more;
		}
		p->numbers[p->count++] = n;
	}
	closedir(d);
	if (p->count > 1)
		qsort(p->numbers, p->count, sizeof(*p->numbers), number_cmp);
	return 0;
}

static bool
top_is_leftover(const struct place *p)
{
	char name[NAME_BYTES];
	struct stat st;

	if (p->count == 0)
		return false;
	name_of(p->numbers[p->count - 1], name);
	if (fstatat(p->history_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	/* kept, and then the old scores were not replaced */
	return p->in_force ? st.st_dev == p->tuned.st_dev &&
	    st.st_ino == p->tuned.st_ino : st.st_size == 0;
}

static void
place_close(struct place *p)
{
	free(p->numbers);
	if (p->history_fd != -1)
		close(p->history_fd);
	if (p->dir_fd != -1)
		close(p->dir_fd);
	if (p->lock != -1)
		close(p->lock);
}

static int
place_open(struct place *p, const char *dir, struct error *err)
{
	char name[NAME_BYTES];

	*p = (struct place){ .dir = dir, .dir_fd = -1, .history_fd = -1 };
	p->lock = history_lock(dir, err);
	if (p->lock < 0) {
		int r = p->lock;

		p->lock = -1;
		return r;
	}
	p->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd == -1)
		return fail(err, "cannot look", dir);
	p->history_fd = open_history(p->dir_fd);
	if (p->history_fd == -1)
		return fail(err, "cannot make a history", dir);
	if (read_numbers(p) != 0)
		return fail(err, "cannot read the history", dir);
	p->in_force = fstatat(p->dir_fd, TUNED, &p->tuned,
	    AT_SYMLINK_NOFOLLOW) == 0;
	if (!p->in_force && errno != ENOENT)
		return fail(err, "cannot look at " TUNED, dir);
	if (top_is_leftover(p)) {
		name_of(p->numbers[p->count - 1], name);
		if (unlinkat(p->history_fd, name, 0) != 0)
			return fail(err, "cannot clean up", dir);
		p->count--;
	}
	return 0;
}

/* What is in force gets a second name; nothing has changed by that. */
static int
keep_current(const struct place *p, const char *name)
{
	int fd;

	if (p->in_force)
		return linkat(p->dir_fd, TUNED, p->history_fd, name, 0);
	fd = open_file(p->history_fd, name, O_WRONLY | O_EXCL);
	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

static int
check_file(const struct place *p, const char *name, file_check *check,
    void *context, struct error *err)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	return check != NULL ? check(context, path, err) : 0;
}

static void
prune(const struct place *p)
{
	char name[NAME_BYTES];

	for (size_t i = 0; i + HISTORY_MAX < p->count + 1; i++) {
		name_of(p->numbers[i], name);
		unlinkat(p->history_fd, name, 0); /* next time, if not now */
	}
}

static int
adopt(const struct place *p, file_check *check, void *context,
    struct error *err)
{
	char name[NAME_BYTES];
	struct stat st;
	int r;

	if (fstatat(p->dir_fd, CANDIDATE, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? error_set(err, -ENOENT,
		    "there is no candidate in \"%s\"", p->dir) :
		    fail(err, "cannot look at " CANDIDATE, p->dir);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "the candidate in \"%s\" is not a "
		    "regular file", p->dir);
	r = check_file(p, CANDIDATE, check, context, err);
	if (r != 0)
		return r;
	name_of(p->count > 0 ? p->numbers[p->count - 1] + 1 : 1, name);
	if (keep_current(p, name) != 0)
		return fail(err, "cannot keep the scores in force", p->dir);
	if (fsync(p->history_fd) != 0 ||
	    renameat(p->dir_fd, CANDIDATE, p->dir_fd, TUNED) != 0) {
		r = fail(err, "cannot put the candidate in force", p->dir);
		unlinkat(p->history_fd, name, 0);
		return r;
	}
	fsync(p->dir_fd); /* done is done: it counts from here on */
	prune(p);
	return 0;
}

int
history_adopt(const char *dir, file_check *check, void *context,
    struct error *err)
{
	struct place p;
	int r = place_open(&p, dir, err);

	if (r == 0)
		r = adopt(&p, check, context, err);
	place_close(&p);
	return r;
}

/* For whom the rollback was a mistake; not being able to is none. */
static void
keep_undone(const struct place *p)
{
	unlinkat(p->history_fd, UNDONE, 0);
	if (p->in_force && linkat(p->dir_fd, TUNED, p->history_fd, UNDONE, 0) != 0)
		return;
}

static int
rollback(const struct place *p, file_check *check, void *context,
    struct error *err)
{
	char name[NAME_BYTES], path[NAME_BYTES + 16];
	struct stat st;
	int r;

	if (p->count == 0)
		return error_set(err, -ENOENT,
		    "there are no earlier scores in \"%s\"", p->dir);
	name_of(p->numbers[p->count - 1], name);
	if (fstatat(p->history_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(err, "cannot look at the earlier scores", p->dir);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "the earlier scores in \"%s\" are "
		    "not a regular file", p->dir);
	if (st.st_size == 0) {
		keep_undone(p);
		if ((unlinkat(p->dir_fd, TUNED, 0) != 0 && errno != ENOENT) ||
		    fsync(p->dir_fd) != 0 ||
		    unlinkat(p->history_fd, name, 0) != 0)
			return fail(err, "cannot take the scores out of force",
			    p->dir);
		return 0;
	}
	snprintf(path, sizeof(path), "history/%s", name);
	r = check_file(p, path, check, context, err);
	if (r != 0)
		return r;
	keep_undone(p);
	if (renameat(p->history_fd, name, p->dir_fd, TUNED) != 0)
		return fail(err, "cannot put the earlier scores in force", p->dir);
	fsync(p->dir_fd);
	fsync(p->history_fd);
	return 0;
}

int
history_rollback(const char *dir, file_check *check, void *context,
    struct error *err)
{
	struct place p;
	int r = place_open(&p, dir, err);

	if (r == 0)
		r = rollback(&p, check, context, err);
	place_close(&p);
	return r;
}

/* Only reads: without the lock, for those who may not write. */
int
history_list(const char *dir, struct arena *a, struct history_entry **ret_list,
    size_t *ret_count, struct error *err)
{
	struct place p = { .dir = dir, .lock = -1, .history_fd = -1 };
	char name[NAME_BYTES];
	struct stat st;
	int r = 0;

	*ret_count = 0;
	*ret_list = NULL;
	p.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir_fd == -1)
		return errno == ENOENT ? 0 : fail(err, "cannot look", dir);
	p.history_fd = openat(p.dir_fd, "history",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (p.history_fd == -1) {
		r = errno == ENOENT ? 0 : fail(err, "cannot read the history", dir);
		place_close(&p);
		return r;
	}
	p.in_force = fstatat(p.dir_fd, TUNED, &p.tuned, AT_SYMLINK_NOFOLLOW) == 0;
	if (read_numbers(&p) != 0)
		r = fail(err, "cannot read the history", dir);
	else if ((*ret_list = ARENA_ARRAY(a, p.count + 1,
		struct history_entry)) == NULL)
		r = error_set(err, -ENOMEM, "out of memory");
	if (r == 0 && top_is_leftover(&p))
		p.count--;
	for (size_t i = 0; r == 0 && i < p.count; i++) {
		struct history_entry *e = &(*ret_list)[*ret_count];

		name_of(p.numbers[i], name);
		if (fstatat(p.history_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		*e = (struct history_entry){ p.numbers[i], st.st_size == 0,
			arena_printf(a, "%s/history/%s", dir, name) };
		if (e->path == NULL)
			r = error_set(err, -ENOMEM, "out of memory");
		++*ret_count;
	}
	place_close(&p);
	return r;
}

int
history_note(const char *dir, int64_t now, const char *event,
    const char *text, struct error *err)
{
	int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), h, fd, n, r = 0;
	char line[1024], end = '\n';
	struct stat st;

	h = d != -1 ? open_history(d) : -1;
	if (d != -1)
		close(d);
	if (h == -1)
		return fail(err, "cannot make a history", dir);
	n = snprintf(line, sizeof(line) - 1, "\n%lld %s %s", (long long)now, event,
	    text);
	if (n >= (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 2;
	for (int i = 1; i < n; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[n++] = '\n';
	fd = open_file(h, "log", O_RDWR | O_APPEND);
	n = fd == -1 ? -errno : n;
	close(h);
	if (fd == -1)
		return error_set(err, n, "cannot write the history in \"%s\": %s",
		    dir, strerror(-n));
	/* a line that a crash cut short must not take this one with it */
	if (fstat(fd, &st) == 0 && st.st_size > 0 &&
	    pread(fd, &end, 1, st.st_size - 1) != 1)
		end = '\0';
	if (end == '\n' ? write(fd, line + 1, (size_t)n - 1) != n - 1 :
			  write(fd, line, (size_t)n) != n)
		r = fail(err, "cannot write the history", dir);
	close(fd);
	return r;
}

/* A line that a crash cut short is no line. */
static bool
event_parse(struct span line, struct arena *a, struct history_event *e)
{
	struct span time = conf_next_word(&line), event = conf_next_word(&line);

	if (!conf_parse_int(time, &e->time) || event.len == 0)
		return false;
	e->event = arena_memdup(a, event.ptr, event.len);
	e->text = arena_memdup(a, line.ptr != NULL ? line.ptr : "", line.len);
	return e->event != NULL && e->text != NULL;
}

int
history_events(const char *dir, const char *event, size_t most,
    struct arena *a, struct history_event **ret_list, size_t *ret_count,
    struct error *err)
{
	struct history_event *list = ARENA_ARRAY(a, most + 1,
	    struct history_event);
	char path[4200];
	struct buf text;
	struct span rest;
	size_t n = 0;
	int r;

	if (list == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	*ret_list = list;
	*ret_count = 0;
	snprintf(path, sizeof(path), "%s/history/log", dir);
	buf_init(&text, LOG_BYTES);
	r = file_read(path, &text, err);
	rest = buf_span(&text);
	while (r == 0 && rest.len > 0 && most > 0) {
		struct span line = rest;
		struct history_event e;

		line.len = span_find(rest, '\n');
		rest = span_from(rest, line.len + 1);
		if (!event_parse(line, a, &e) ||
		    (event != NULL && strcmp(event, e.event) != 0))
			continue;
		if (n == most)
			memmove(list, list + 1, (most - 1) * sizeof(*list));
		else
			n++;
		list[n - 1] = e;
	}
	buf_done(&text);
	if (r != 0 && r != -ENOENT)
		return r;
	*ret_count = n;
	return 0;
}
