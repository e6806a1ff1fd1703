#include "base/clock.h"
#include "ban/ban.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ban/wire.h"

struct ban_client {
	struct sockaddr_un addr;
	int64_t timeout_ms;
	uint64_t last_id;
	int fd;
};

int
ban_client_new(const char *socket_path, int64_t timeout_ms,
    struct ban_client **ret_client, struct error *err)
{
	struct ban_client *c;

	if (strlen(socket_path) >= sizeof(c->addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
		    "ban socket: path too long: \"%s\"", socket_path);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return error_set(err, -ENOMEM, "ban socket: out of memory");
	c->addr.sun_family = AF_UNIX;
	snprintf(c->addr.sun_path, sizeof(c->addr.sun_path), "%s", socket_path);
	c->timeout_ms = timeout_ms;
	c->fd = -1;
	*ret_client = c;
	return 0;
}

static void
client_drop(struct ban_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void
ban_client_free(struct ban_client *c)
{
	if (c == NULL)
		return;
	client_drop(c);
	free(c);
}

static int
client_connect(struct ban_client *c, struct error *err)
{
	int code;

	if (c->fd >= 0)
		return 0;
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return error_set(err, -errno, "ban helper: socket: %m");
	/* a Unix socket connects at once or not at all */
	if (connect(c->fd, (struct sockaddr *)&c->addr, sizeof(c->addr)) == 0)
		return 0;
	code = -errno;
	client_drop(c);
	errno = -code;
	return error_set(err, code, "ban helper: connect to \"%s\": %m",
	    c->addr.sun_path);
}

static int
client_wait(struct ban_client *c, short events, int64_t deadline,
    struct error *err)
{
	for (;;) {
		struct pollfd pfd = { .fd = c->fd, .events = events };
		int64_t left = deadline - clock_ms();
		int n = poll(&pfd, 1, left < 0 ? 0 : (int)left);

		if (n > 0)
			return 0;
		if (n == 0)
			return error_set(err, -ETIMEDOUT,
			    "ban helper: no answer in %lld ms",
			    (long long)c->timeout_ms);
		if (errno != EINTR)
			return error_set(err, -errno, "ban helper: poll: %m");
	}
}

static int
client_send(struct ban_client *c, struct ban_request *q, int64_t deadline,
    struct error *err)
{
	unsigned char packet[BAN_REQUEST_SIZE];
	int code;

	q->id = ++c->last_id;
	ban_request_encode(q, packet);
	for (int attempt = 0;; attempt++) {
		ssize_t n;

		code = client_connect(c, err);
		if (code < 0)
			return code;
		n = send(c->fd, packet, sizeof(packet), MSG_NOSIGNAL);
		if (n == (ssize_t)sizeof(packet))
			return 0;
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			code = client_wait(c, POLLOUT, deadline, err);
			if (code < 0)
				break;
			continue;
		}
		/* a helper that was restarted: once more, on a new connection */
		code = n < 0 ? -errno : -EIO;
		client_drop(c);
		if (attempt > 0) {
			error_set(err, code, "ban helper: send: %s",
			    strerror(-code));
			return code;
		}
	}
	client_drop(c);
	return code;
}

static int
client_receive(struct ban_client *c, const struct ban_request *q,
    struct ban_reply *ret, int64_t deadline, struct error *err)
{
	unsigned char packet[BAN_REPLY_SIZE + 1];
	int code;

	for (;;) {
		ssize_t n = recv(c->fd, packet, sizeof(packet), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			code = client_wait(c, POLLIN, deadline, err);
			if (code < 0)
				return code;
			continue;
		}
		if (n < 0)
			return error_set(err, -errno, "ban helper: receive: %m");
		if (n == 0)
			return error_set(err, -ECONNRESET,
			    "ban helper: it closed the connection");
		code = ban_reply_decode(packet, (size_t)n, ret, err);
		if (code < 0)
			return code;
		if (ret->id == q->id)
			return 0;
	}
}

/* One request and all its replies; fn (may be NULL) sees each that is not
 * the last, the last is in *ret. */
static int
client_call(struct ban_client *c, struct ban_request *q, struct ban_reply *ret,
    int (*fn)(void *context, const struct ban_reply *r), void *context,
    struct error *err)
{
	int64_t deadline = clock_ms() + c->timeout_ms;
	int code = client_send(c, q, deadline, err);

	/* The helper may have gone since the last call: then the request went
	 * to nobody, or its answer was lost; all requests can be repeated. */
	if (code == 0)
		code = client_receive(c, q, ret, deadline, err);
	if (code == -ECONNRESET || code == -EPIPE) {
		client_drop(c);
		code = client_send(c, q, deadline, err);
		if (code == 0)
			code = client_receive(c, q, ret, deadline, err);
	}
	while (code == 0 && (ret->flags & BAN_REP_MORE)) {
		if (fn != NULL && (code = fn(context, ret)) != 0) {
			client_drop(c); /* the rest is not wanted */
			return code;
		}
		deadline = clock_ms() + c->timeout_ms;
		code = client_receive(c, q, ret, deadline, err);
	}
	if (code < 0)
		client_drop(c);
	return code;
}

static int
set_label(struct ban_request *q, const char *label, struct error *err)
{
	if (label == NULL)
		return 0;
	if (!ban_label_ok(span_cstr(label)))
		return error_set(err, -EINVAL, "not a label: letters, digits "
		    "and _.- only, at most %d", BAN_NAME_SIZE - 1);
	snprintf(q->label, sizeof(q->label), "%s", label);
	return 0;
}

int
ban_add_labelled(struct ban_client *c, const struct network *net,
    enum ban_scope scope, int64_t ttl_sec, const char *label,
    const char *reason, struct ban_answer *ret_answer, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_ADD, .net = *net, .scope = scope,
		.ttl_sec = ttl_sec };
	struct ban_reply r;
	int code;

	memset(ret_answer, 0, sizeof(*ret_answer));
	if (ttl_sec < 0 || ttl_sec > BAN_TTL_MAX_SEC)
		return error_set(err, -EINVAL, "ban time out of range");
	if ((code = set_label(&q, label, err)) < 0)
		return code;
	if (reason != NULL)
		snprintf(q.reason, sizeof(q.reason), "%s", reason);
	code = client_call(c, &q, &r, NULL, NULL, err);
	if (code < 0)
		return code;
	ret_answer->result = r.result;
	ret_answer->scope = r.entry.scope;
	ret_answer->ttl_sec = r.entry.remaining_sec;
	ret_answer->simulated = (r.flags & BAN_REP_SIMULATED) != 0;
	memcpy(ret_answer->why, r.entry.reason, sizeof(ret_answer->why));
	return 0;
}

int
ban_add(struct ban_client *c, const struct network *net, enum ban_scope scope,
    int64_t ttl_sec, const char *reason, enum ban_result *ret_result,
    struct error *err)
{
	struct ban_answer answer;
	int code = ban_add_labelled(c, net, scope, ttl_sec, NULL, reason,
	    &answer, err);

	if (code == 0)
		*ret_result = answer.result;
	return code;
}

int
ban_del_labelled(struct ban_client *c, const struct network *net,
    enum ban_scope scope, const char *label, bool everything,
    enum ban_result *ret_result, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_DEL, .net = *net, .scope = scope,
		.flags = everything ? BAN_REQ_EVERYTHING : 0 };
	struct ban_reply r;
	int code = set_label(&q, label, err);

	if (code == 0)
		code = client_call(c, &q, &r, NULL, NULL, err);
	if (code == 0)
		*ret_result = r.result;
	return code;
}

int
ban_del(struct ban_client *c, const struct network *net, enum ban_scope scope,
    enum ban_result *ret_result, struct error *err)
{
	return ban_del_labelled(c, net, scope, NULL, false, ret_result, err);
}

int
ban_flush(struct ban_client *c, const char *label, uint64_t *ret_ended,
    enum ban_result *ret_result, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_FLUSH };
	struct ban_reply r;
	int code = set_label(&q, label, err);

	if (code == 0)
		code = client_call(c, &q, &r, NULL, NULL, err);
	if (code < 0)
		return code;
	*ret_ended = r.entry.packets;
	*ret_result = r.result;
	return 0;
}

int
ban_check(struct ban_client *c, const struct netaddr *addr,
    enum ban_scope scope, struct ban_entry *ret_entry,
    enum ban_result *ret_result, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_CHECK,
		.net = network_of(addr, addr->family == 4 ? 32 : 128),
		.scope = scope };
	struct ban_reply r;
	int code = client_call(c, &q, &r, NULL, NULL, err);

	if (code < 0)
		return code;
	*ret_result = r.result;
	if (ret_entry != NULL)
		*ret_entry = r.entry;
	return 0;
}

int
ban_ping(struct ban_client *c, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_PING };
	struct ban_reply r;

	return client_call(c, &q, &r, NULL, NULL, err);
}

int
ban_confirm(struct ban_client *c, const struct netaddr *addr, int64_t when,
    enum ban_result *ret_result, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_CONFIRM,
		.net = network_of(addr, addr->family == 4 ? 32 : 128),
		.ttl_sec = when };
	struct ban_reply r;
	int code = client_call(c, &q, &r, NULL, NULL, err);

	if (code == 0)
		*ret_result = r.result;
	return code;
}

int
ban_allow(struct ban_client *c, const struct network *net, int64_t ttl_sec,
    enum ban_result *ret_result, struct error *err)
{
	struct ban_request q = { .op = BAN_OP_ALLOW, .net = *net,
		.ttl_sec = ttl_sec };
	struct ban_reply r;
	int code = client_call(c, &q, &r, NULL, NULL, err);

	if (code == 0)
		*ret_result = r.result;
	return code;
}

/* The callbacks of ban.h see their own types. */
struct adapter {
	void *context;
	int (*entry)(void *context, const struct ban_entry *e);
	int (*history)(void *context, const struct ban_history *h);
	int (*status)(void *context, const struct ban_set_status *s);
};

static int
adapt(void *context, const struct ban_reply *r)
{
	const struct adapter *a = context;

	if (a->entry != NULL)
		return a->entry(a->context, &r->entry);
	if (a->history != NULL) {
		struct ban_history h = { .event = r->event,
			.result = r->result, .time = r->entry.last_time,
			.entry = r->entry };

		return a->history(a->context, &h);
	} else {
		struct ban_set_status s = { .fine = r->result == BAN_OK,
			.kernel_entries = r->entry.packets,
			.entries = r->entry.count };

		memcpy(s.name, r->entry.source, sizeof(s.name));
		memcpy(s.problem, r->entry.reason, sizeof(s.problem));
		return a->status(a->context, &s);
	}
}

static int
call_many(struct ban_client *c, struct ban_request *q, struct adapter *a,
    struct error *err)
{
	struct ban_reply r;
	int code = client_call(c, q, &r, adapt, a, err);

	if (code == 0 && r.result != BAN_OK)
		return error_set(err, -EACCES, "ban helper: %s: %s",
		    ban_op_name(q->op), ban_result_name(r.result));
	return code;
}

int
ban_list(struct ban_client *c, enum ban_scope scope,
    int (*fn)(void *context, const struct ban_entry *e), void *context,
    struct error *err)
{
	struct ban_request q = { .op = BAN_OP_LIST, .scope = scope };
	struct adapter a = { .context = context, .entry = fn };

	return call_many(c, &q, &a, err);
}

int
ban_history(struct ban_client *c, const struct network *net, uint32_t limit,
    int (*fn)(void *context, const struct ban_history *h), void *context,
    struct error *err)
{
	struct ban_request q = { .op = BAN_OP_HISTORY, .limit = limit };
	struct adapter a = { .context = context, .history = fn };

	if (net != NULL)
		q.net = *net;
	return call_many(c, &q, &a, err);
}

int
ban_status(struct ban_client *c,
    int (*fn)(void *context, const struct ban_set_status *s), void *context,
    struct error *err)
{
	struct ban_request q = { .op = BAN_OP_STATUS };
	struct adapter a = { .context = context, .status = fn };

	return call_many(c, &q, &a, err);
}
