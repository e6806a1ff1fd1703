#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/cli.h"

int
cli_fail(int code, const char *fmt, ...)
{
	char text[1024];
	struct buf out;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&out, 16384);
	escape_text(&out, span_cstr(text), 0);
	fprintf(stderr, "spamscore: %s\n", out.ptr);
	buf_done(&out);
	return code;
}

int
cli_print_json(FILE *out, json_t *object)
{
	/* scores are kept to 0.001 and stay far below 1e9: 12 digits print
	 * them as they were written */
	int r = object == NULL ? -2 :
	    json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(object);
	if (r == -2)
		return cli_fail(EX_OSERR, "out of memory");
	if (r != 0 || putc('\n', out) == EOF)
		return cli_fail(EX_IOERR, "cannot write the result");
	return EX_OK;
}

bool
cli_color(const char *when)
{
	const char *no = getenv("NO_COLOR");

	if (strcmp(when, "always") == 0)
		return true;
	return strcmp(when, "auto") == 0 && (no == NULL || no[0] == '\0') &&
	    isatty(STDOUT_FILENO);
}

int
cli_finish(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_fail(EX_IOERR, "cannot write the result: %s",
		    strerror(errno));
	return code;
}

/* Reads on to the end without keeping it: only the size counts. */
static int
count_rest(int fd, size_t *size, cli_rest *rest, void *arg)
{
	static _Thread_local char skip[65536];
	ssize_t n;

	while ((n = read(fd, skip, sizeof(skip))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		*size += (size_t)n;
		if (rest != NULL)
			rest(arg, skip, (size_t)n);
	}
	return 0;
}

int
cli_read_file(const char *path, size_t max_bytes, struct buf *ret_buf,
    size_t *ret_full_size, struct error *err)
{
	return cli_read_file_rest(path, max_bytes, ret_buf, ret_full_size, NULL,
	    NULL, err);
}

int
cli_read_file_rest(const char *path, size_t max_bytes, struct buf *ret_buf,
    size_t *ret_full_size, cli_rest *rest, void *arg, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO :
			    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char chunk[16384];
	size_t size = 0;
	struct stat st;
	int r = 0;

	if (fd == -1)
		return error_set(err, EX_NOINPUT, "cannot open: %s",
		    strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (!is_stdin)
			close(fd);
		return error_set(err, EX_NOINPUT, "is a directory");
	}
	buf_reset(ret_buf);
	while (size < max_bytes) {
		size_t want = max_bytes - size < sizeof(chunk) ?
		    max_bytes - size : sizeof(chunk);
		ssize_t n = read(fd, chunk, want);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			r = -errno;
		if (n <= 0)
			break;
		buf_add(ret_buf, chunk, (size_t)n);
		size += (size_t)n;
	}
	if (r == 0 && size == max_bytes) {
		if (rest == NULL && fstat(fd, &st) == 0 &&
		    S_ISREG(st.st_mode) && (uintmax_t)st.st_size >= size)
			size = (size_t)st.st_size;
		else
			r = count_rest(fd, &size, rest, arg);
	}
	if (!is_stdin)
		close(fd);
	if (r != 0)
		return error_set(err, EX_IOERR, "cannot read: %s", strerror(-r));
	if (ret_buf->failed)
		return error_set(err, EX_OSERR, "out of memory");
	*ret_full_size = size;
	return EX_OK;
}
