/* Both ends of the wire: lines, lengths, and nothing of what they mean. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/control_wire.h"

json_t *
control_parse(const char *line, size_t n, size_t *ret_message_bytes,
    struct error *err)
{
	json_error_t fault;
	json_t *request, *size;

	*ret_message_bytes = 0;
	/* NULs cannot hide the end of a string */
	request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &fault);
	if (request == NULL || !json_is_object(request)) {
		json_decref(request);
		error_set(err, -EPROTO, "not a JSON object");
		return NULL;
	}
	size = json_object_get(request, "size");
	if (size == NULL)
		return request;
	if (!json_is_integer(size) || json_integer_value(size) < 0 ||
	    json_integer_value(size) > CONTROL_MAX_MESSAGE) {
		json_decref(request);
		error_set(err, -EPROTO, "size is not from 0 to %d",
		    CONTROL_MAX_MESSAGE);
		return NULL;
	}
	*ret_message_bytes = (size_t)json_integer_value(size);
	return request;
}

void
wire_init(struct wire *w, int fd, size_t max_bytes)
{
	w->fd = fd;
	buf_init(&w->in, max_bytes);
	w->used = 0;
}

void
wire_done(struct wire *w)
{
	buf_done(&w->in);
}

static int
fill(struct wire *w)
{
	char chunk[16384];
	ssize_t n;

	do
		n = recv(w->fd, chunk, sizeof(chunk), 0);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n == 0)
		return -EPIPE;
	if (w->used > 0) { /* what was handed out is done with */
		w->in.len -= w->used;
		memmove(w->in.ptr, w->in.ptr + w->used, w->in.len);
		w->used = 0;
	}
	buf_add(&w->in, chunk, (size_t)n);
	return w->in.failed ? -EMSGSIZE : 0;
}

int
wire_read_line(struct wire *w, size_t max_bytes, struct span *ret_line)
{
	size_t from = 0;
	int rc;

	for (;;) {
		struct span rest = span_from(buf_span(&w->in), w->used);
		size_t eol = from + span_find(span_from(rest, from), '\n');

		if (eol < rest.len) {
			*ret_line = span_of(rest.ptr, eol);
			w->used += eol + 1;
			return 0;
		}
		if (rest.len > max_bytes)
			return -EMSGSIZE;
		/* an end between two requests is no fault */
		rc = fill(w);
		if (rc != 0)
			return rc == -EPIPE && rest.len == 0 ? -ENODATA : rc;
		from = rest.len;
	}
}

int
wire_read_bytes(struct wire *w, size_t n, struct span *ret_bytes)
{
	while (w->in.len - w->used < n) {
		int rc;

		/* never more than was announced, or the buffer's bound */
		rc = fill(w);
		if (rc != 0)
			return rc;
	}
	*ret_bytes = span_of(w->in.ptr + w->used, n);
	w->used += n;
	return 0;
}

int
wire_write(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = send(fd, at, n, MSG_NOSIGNAL);

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

int
wire_write_json(int fd, const json_t *object)
{
	char *line = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	size_t n = line != NULL ? strlen(line) : 0;
	int rc;

	if (line == NULL)
		return -ENOMEM;
	line[n] = '\n'; /* in the place of the NUL */
	rc = wire_write(fd, line, n + 1);
	free(line);
	return rc;
}

int
wire_timeout(int fd, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1)
		return -errno;
	return 0;
}

int
control_connect(const char *path, struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, e;

	if (strlen(path) >= sizeof(sun.sun_path))
		return error_set(err, -ENAMETOOLONG, "socket path is too long");
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return error_set(err, -errno, "cannot make a socket: %s",
		    strerror(errno));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		e = errno;
		close(fd);
		return error_set(err, -e, "cannot reach the daemon at \"%s\": %s",
		    path, strerror(e));
	}
	/* building the model anew takes a while */
	wire_timeout(fd, 10 * CONTROL_TIMEOUT_SEC);
	return fd;
}

int
control_ask(int fd, json_t *request, struct span message,
    json_t **ret_answer, struct error *err)
{
	struct wire w;
	struct span line;
	int rc = 0;

	if (message.ptr != NULL && json_object_set_new(request, "size",
	    json_integer((json_int_t)message.len)) != 0)
		return error_set(err, -ENOMEM, "no memory");
	rc = wire_write_json(fd, request);
	if (rc == 0 && message.len > 0)
		rc = wire_write(fd, message.ptr, message.len);
	wire_init(&w, fd, CONTROL_MAX_ANSWER);
	if (rc == 0)
		rc = wire_read_line(&w, CONTROL_MAX_ANSWER, &line);
	if (rc == 0) {
		*ret_answer = json_loadb(line.ptr, line.len, 0, NULL);
		if (*ret_answer == NULL || !json_is_object(*ret_answer)) {
			json_decref(*ret_answer);
			rc = -EPROTO;
		}
	}
	wire_done(&w);
	return rc == 0 ? 0 : error_set(err, rc,
	    "the daemon does not answer: %s", strerror(-rc));
}
