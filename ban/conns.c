/* conns - the helper's connections: requests in, answers out, in turn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ban/helper.h"

static void
kill_conn(struct helper *h, struct helper_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	close(c->watch.fd); /* which takes it out of epoll, too */
	h->per_source[c->source]--;
}

/* The connection of this source that has been silent for longest gives way. */
static void
make_room(struct helper *h, unsigned source)
{
	struct helper_conn *oldest = NULL;

	for (struct helper_conn *c = h->conns; c != NULL; c = c->next)
		if (!c->dead && c->source == source &&
		    (oldest == NULL || c->used_ms <= oldest->used_ms))
			oldest = c;
	if (oldest != NULL)
		kill_conn(h, oldest);
}

void
helper_accept(struct helper *h, unsigned source)
{
	const struct ban_policy *p = &h->policy.policy;

	for (int i = 0; i < 16; i++) {
		struct helper_conn *c;
		struct epoll_event ev = { .events = EPOLLIN };
		int fd = accept4(h->listeners[source].fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (h->per_source[source] >= p->connections)
			make_room(h, source);
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			close(fd);
			return;
		}
		c->watch.kind = WATCH_CONN;
		c->watch.fd = fd;
		c->source = source;
		c->events = EPOLLIN;
		c->used_ms = h->mono;
		ev.data.ptr = c;
		if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
			close(fd);
			free(c);
			return;
		}
		c->next = h->conns;
		h->conns = c;
		h->per_source[source]++;
	}
}

static void
enqueue(struct helper_conn *c, const struct ban_reply *reply)
{
	unsigned at = (c->head + c->count++) % HELPER_QUEUE;

	ban_reply_encode(reply, c->queue[at]);
}

static void
read_requests(struct helper *h, struct helper_conn *c)
{
	unsigned budget = HELPER_ROUND / h->ready;

	if (budget < 4)
		budget = 4;
	while (budget-- > 0 && c->count < HELPER_QUEUE && c->cursor.op == 0) {
		unsigned char packet[BAN_REQUEST_SIZE + 1];
		struct ban_request q;
		struct ban_reply reply;
		struct error err;
		ssize_t n = recv(c->watch.fd, packet, sizeof(packet), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			kill_conn(h, c);
			return;
		}
		c->used_ms = h->mono;
		if (ban_request_decode(packet, (size_t)n, &q, &err) < 0) {
			if (ban_rate_take(&h->illegal_rate, 60, h->mono))
				helper_log(h, BAN_LOG_WARNING,
				    "source=%s illegal request: %s: closed",
				    h->policy.policy.sources[c->source].name,
				    err.text);
			kill_conn(h, c);
			return;
		}
		ban_service_handle(h->service, c->source, &q, &reply, &c->cursor);
		if (c->cursor.op == 0)
			enqueue(c, &reply);
	}
}

void
helper_conn_ready(struct helper *h, struct helper_conn *c, uint32_t events)
{
	if (c->dead)
		return;
	if (events & EPOLLIN)
		read_requests(h, c);
	else if (events & (EPOLLHUP | EPOLLERR))
		kill_conn(h, c);
}

static void
ask_epoll(struct helper *h, struct helper_conn *c)
{
	uint32_t want = c->count > 0 || c->cursor.op != 0 ? EPOLLOUT : EPOLLIN;
	struct epoll_event ev = { .events = want, .data.ptr = c };

	if (want == c->events)
		return;
	c->events = want;
	if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, c->watch.fd, &ev) < 0)
		kill_conn(h, c);
}

static void
flush_conn(struct helper *h, struct helper_conn *c, unsigned rows)
{
	while (c->cursor.op != 0 && c->count < HELPER_QUEUE) {
		struct ban_reply reply;

		if (rows-- == 0 ||
		    ban_service_next(h->service, &c->cursor, &reply) == 0) {
			h->more = true;
			break;
		}
		enqueue(c, &reply);
	}
	while (c->count > 0) {
		ssize_t n = send(c->watch.fd, c->queue[c->head], BAN_REPLY_SIZE,
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n != BAN_REPLY_SIZE) {
			kill_conn(h, c);
			return;
		}
		c->used_ms = h->mono;
		c->head = (c->head + 1) % HELPER_QUEUE;
		c->count--;
	}
	ask_epoll(h, c);
}

void
helper_conns_flush(struct helper *h)
{
	unsigned lists = 0, rows;

	h->more = false;
	for (struct helper_conn *c = h->conns; c != NULL; c = c->next)
		lists += !c->dead && c->cursor.op != 0 &&
		    c->count < HELPER_QUEUE;
	/* each row is read from the journal: many lists share what one gets */
	rows = lists > HELPER_ROWS ? 1 : HELPER_ROWS / (lists > 0 ? lists : 1);
	for (struct helper_conn *c = h->conns; c != NULL; c = c->next)
		if (!c->dead && (c->count > 0 || c->cursor.op != 0))
			flush_conn(h, c, rows);
}

void
helper_conns_reap(struct helper *h)
{
	struct helper_conn **at = &h->conns, *c;

	while ((c = *at) != NULL) {
		if (c->dead) {
			*at = c->next;
			free(c);
		} else
			at = &c->next;
	}
}

void
helper_conns_close(struct helper *h)
{
	for (struct helper_conn *c = h->conns; c != NULL; c = c->next)
		kill_conn(h, c);
	helper_conns_reap(h);
}
