#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "scoring/auth/dns_internal.h"
#include "t/auth/dns_server.h"

enum { MAX_RULES = 256, MAX_PENDING = 16384, MAX_TCP = 64 };

enum behaviour {
	DELAY, DROP, RCODE, TC, CUT, GARBAGE, WRONGNAME, WRONGID, WRONGTYPE,
	ALIAS, FLIP,
};

static const char *const words[] = { "delay", "drop", "rcode", "tc", "cut",
	"garbage", "wrongname", "wrongid", "wrongtype", "alias", "flip" };

struct rule {
	char name[256];
	enum behaviour what;
	unsigned value;
	char target[256];
	unsigned turns;
};

struct reply {
	int64_t due_us;
	int fd;			/* TCP, or -1 */
	struct sockaddr_in to;	/* UDP */
	size_t len;
	uint8_t *bytes;
};

struct client { /* of TCP */
	int fd;
	size_t len;
	uint8_t in[2 + 65535];
};

struct dns_server {
	int udp, tcp, stop;
	unsigned port, wanted_port;
	pthread_t thread;
	struct dns *zone;
	struct rule rules[MAX_RULES];
	unsigned rule_count;
	unsigned ttl;
	FILE *log;
	atomic_uint queries;
	struct reply heap[MAX_PENDING]; /* by due_us */
	size_t pending;
	struct client *clients[MAX_TCP];
};

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Text in canonical escapes as labels on the wire */
static void
put_name(struct buf *out, const char *name)
{
	while (*name != '\0') {
		uint8_t label[64];
		unsigned n = 0;

		while (*name != '\0' && *name != '.' && n < 63) {
			if (*name != '\\') {
				label[n++] = (uint8_t)*name++;
			} else if (name[1] >= '0' && name[1] <= '9') {
				label[n++] = (uint8_t)((name[1] - '0') * 100 +
				    (name[2] - '0') * 10 + name[3] - '0');
				name += 4;
			} else {
				label[n++] = (uint8_t)name[1];
				name += 2;
			}
		}
		buf_add_char(out, (char)n);
		buf_add(out, label, n);
		if (*name == '.')
			name++;
	}
	buf_add_char(out, 0);
}

static void
put16(struct buf *out, unsigned v)
{
	buf_add_char(out, (char)(v >> 8));
	buf_add_char(out, (char)v);
}

static void
put_record(struct buf *out, const char *owner, uint16_t type, unsigned ttl,
    const struct dns_record *r)
{
	size_t at;

	put_name(out, owner);
	put16(out, type);
	put16(out, 1);
	put16(out, ttl >> 16);
	put16(out, ttl & 0xFFFF);
	at = out->len;
	put16(out, 0);
	if (type == DNS_TXT) {
		size_t i = 0;

		do {
			size_t n = r->data.len - i < 255 ? r->data.len - i : 255;

			buf_add_char(out, (char)n);
			buf_add(out, r->data.ptr + i, n);
			i += n;
		} while (i < r->data.len);
	} else if (type == DNS_A || type == DNS_AAAA) {
		buf_add_span(out, r->data);
	} else {
		if (type == DNS_MX)
			put16(out, r->preference);
		put_name(out, r->data.ptr);
	}
	if (!out->failed) {
		out->ptr[at] = (char)((out->len - at - 2) >> 8);
		out->ptr[at + 1] = (char)(out->len - at - 2);
	}
}

static bool
covers(const struct rule *r, const char *name)
{
	size_t n = strlen(name), k = strlen(r->name);

	return strcmp(r->name, "*") == 0 ||
	    (n >= k && strcmp(name + n - k, r->name) == 0 &&
		(n == k || name[n - k - 1] == '.'));
}

static struct rule *
rule_for(struct dns_server *s, const char *name, enum behaviour what)
{
	for (unsigned i = 0; i < s->rule_count; i++)
		if (s->rules[i].what == what && covers(&s->rules[i], name))
			return &s->rules[i];
	return NULL;
}

/* The answer to one query, complete. False: none at all. */
/* RFC 2308 3: how long "no" may be believed stands in the zone's SOA. */
static void
put_soa(struct buf *out, unsigned ttl)
{
	buf_add_char(out, 0);
	put16(out, 6);
	put16(out, 1);
	put16(out, ttl >> 16);
	put16(out, ttl & 0xFFFF);
	put16(out, 22);
	put16(out, 0); /* two root names */
	for (int i = 0; i < 5; i++) { /* serial ... minimum */
		put16(out, ttl >> 16);
		put16(out, ttl & 0xFFFF);
	}
}

static bool
answer(struct dns_server *s, const uint8_t *query, size_t len, bool udp,
    struct buf *out, int64_t *ret_delay_us)
{
	struct span q = { (const char *)query, len };
	struct dns_session *session;
	const struct dns_answer *a;
	char name[DNS_NAME_TEXT], owner[DNS_NAME_TEXT];
	size_t pos = 12, question_end;
	unsigned type, rcode = 0, count = 0, authority = 0, flags = 0x8580;
	struct rule *r;
	bool negative;

	if (len < 12 || !dns_wire_name(q, &pos, name) || pos + 4 > len)
		return false;
	type = (unsigned)query[pos] << 8 | query[pos + 1];
	question_end = pos + 4;
	if (s->log != NULL)
		fprintf(s->log, "%s %u\n", name, type);
	if (rule_for(s, name, DROP) != NULL)
		return false;
	r = rule_for(s, name, DELAY);
	*ret_delay_us = r != NULL ? (int64_t)r->value * 1000 : 0;
	session = dns_session_new(s->zone, 1000, 1000);
	buf_add(out, query, question_end);
	strcpy(owner, name);
	for (unsigned hops = 0; hops < 9; hops++) {
		a = dns_lookup(session, owner, DNS_CNAME);
		if (a->status != DNS_FOUND || type == DNS_CNAME)
			break;
		put_record(out, owner, DNS_CNAME, s->ttl, &a->records[0]);
		count++;
		snprintf(owner, sizeof(owner), "%s", a->records[0].data.ptr);
	}
	a = dns_lookup(session, owner, (uint16_t)type);
	r = rule_for(s, name, FLIP);
	if (a->status == DNS_FOUND) {
		for (size_t i = 0; i < a->count; i++)
			if (r == NULL || r->turns % a->count == i) {
				put_record(out, owner, (uint16_t)type, s->ttl,
				    &a->records[i]);
				count++;
			}
		if (r != NULL)
			r->turns++;
	} else if (a->status == DNS_NXDOMAIN) {
		rcode = count >= 9 ? 0 : 3; /* a loop of CNAMEs goes nowhere */
	} else if (a->status == DNS_SERVFAIL && count == 0) {
		rcode = 2;
	} else if (a->status == DNS_TIMEOUT) {
		dns_session_free(session);
		return false;
	}
	if ((r = rule_for(s, name, ALIAS)) != NULL) {
		struct dns_record lie = { .data = span_cstr("\x7f\0\0\x09") };

		lie.data.len = 4;
		put_record(out, r->target, DNS_A, s->ttl, &lie);
		count++;
	}
	negative = a->status == DNS_NXDOMAIN || a->status == DNS_NODATA;
	dns_session_free(session);
	if ((r = rule_for(s, name, RCODE)) != NULL) {
		rcode = r->value;
		count = 0;
	}
	if (r == NULL && negative) {
		put_soa(out, s->ttl);
		authority = 1;
	}
	if (udp && (rule_for(s, name, TC) != NULL || out->len > 1232)) {
		flags |= 0x0200;
		out->len = question_end;
		count = authority = 0;
	}
	if (out->failed || out->len < 12)
		return false;
	out->ptr[2] = (char)(flags >> 8);
	out->ptr[3] = (char)((flags & 0xF0) | rcode);
	memset(out->ptr + 4, 0, 8);
	out->ptr[5] = 1;
	out->ptr[6] = (char)(count >> 8);
	out->ptr[7] = (char)count;
	out->ptr[9] = (char)authority;
	if (rule_for(s, name, WRONGID) != NULL)
		out->ptr[0] ^= 0x55;
	if (rule_for(s, name, WRONGNAME) != NULL)
		out->ptr[13] ^= 0x01;
	if (rule_for(s, name, WRONGTYPE) != NULL)
		out->ptr[question_end - 3] ^= 0x13;
	if ((r = rule_for(s, name, CUT)) != NULL && r->value < out->len)
		out->len = r->value;
	if (rule_for(s, name, GARBAGE) != NULL)
		for (size_t i = 2; i < out->len; i++)
			out->ptr[i] = (char)(out->ptr[i] * 167 + (char)i);
	return true;
}

static void
enqueue(struct dns_server *s, struct reply r)
{
	size_t i = s->pending;

	if (i >= MAX_PENDING) {
		free(r.bytes);
		return;
	}
	s->pending++;
	for (; i > 0 && s->heap[(i - 1) / 2].due_us > r.due_us;
	     i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = r;
}

static struct reply
dequeue(struct dns_server *s)
{
	struct reply first = s->heap[0], last = s->heap[--s->pending];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->pending)
			break;
		if (child + 1 < s->pending &&
		    s->heap[child + 1].due_us < s->heap[child].due_us)
			child++;
		if (s->heap[child].due_us >= last.due_us)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

static void
take_query(struct dns_server *s, const uint8_t *query, size_t len, int fd,
    const struct sockaddr_in *from)
{
	struct reply r = { .fd = fd };
	struct buf out;
	int64_t delay;

	atomic_fetch_add(&s->queries, 1);
	buf_init(&out, 2 + 65535);
	if (answer(s, query, len, fd < 0, &out, &delay)) {
		r.bytes = malloc(out.len + 2);
		if (from != NULL)
			r.to = *from;
		r.bytes[0] = (uint8_t)(out.len >> 8);
		r.bytes[1] = (uint8_t)out.len;
		memcpy(r.bytes + 2, out.ptr, out.len);
		r.len = out.len;
		r.due_us = now_us() + delay;
		enqueue(s, r);
	}
	buf_done(&out);
}

static void
send_due(struct dns_server *s)
{
	while (s->pending > 0 && s->heap[0].due_us <= now_us()) {
		struct reply r = dequeue(s);

		if (r.fd < 0) {
			sendto(s->udp, r.bytes + 2, r.len, MSG_DONTWAIT,
			    (struct sockaddr *)&r.to, sizeof(r.to));
		} else {
			size_t at = 0;

			while (at < r.len + 2) {
				ssize_t n = send(r.fd, r.bytes + at,
				    r.len + 2 - at, MSG_NOSIGNAL);

				if (n <= 0)
					break;
				at += (size_t)n;
			}
		}
		free(r.bytes);
	}
}

static void
read_tcp(struct dns_server *s, struct client **slot)
{
	struct client *c = *slot;
	ssize_t n = recv(c->fd, c->in + c->len, sizeof(c->in) - c->len, 0);

	if (n <= 0) {
		/* replies that wait for it go nowhere */
		for (size_t i = 0; i < s->pending; i++)
			if (s->heap[i].fd == c->fd)
				s->heap[i].len = 0, s->heap[i].fd = s->stop;
		close(c->fd);
		free(c);
		*slot = NULL;
		return;
	}
	c->len += (size_t)n;
	while (c->len >= 2) {
		size_t want = (size_t)c->in[0] << 8 | c->in[1];

		if (c->len < want + 2)
			break;
		take_query(s, c->in + 2, want, c->fd, NULL);
		memmove(c->in, c->in + 2 + want, c->len - want - 2);
		c->len -= want + 2;
	}
}

static void *
serve(void *arg)
{
	struct dns_server *s = arg;
	uint8_t query[4096];

	for (;;) {
		struct pollfd fds[3 + MAX_TCP] = {
			{ .fd = s->stop, .events = POLLIN },
			{ .fd = s->udp, .events = POLLIN },
			{ .fd = s->tcp, .events = POLLIN },
		};
		struct timespec wait = { 1, 0 };

		for (size_t i = 0; i < MAX_TCP; i++) {
			fds[3 + i].fd = s->clients[i] ? s->clients[i]->fd : -1;
			fds[3 + i].events = POLLIN;
		}
		if (s->pending > 0) {
			int64_t us = s->heap[0].due_us - now_us();

			us = us < 0 ? 0 : us;
			wait = (struct timespec){ us / 1000000,
				us % 1000000 * 1000 };
		}
		ppoll(fds, 3 + MAX_TCP, &wait, NULL);
		if (fds[0].revents & POLLIN)
			return NULL;
		for (unsigned i = 0; i < 256; i++) {
			struct sockaddr_in from;
			socklen_t len = sizeof(from);
			ssize_t n = recvfrom(s->udp, query, sizeof(query),
			    MSG_DONTWAIT, (struct sockaddr *)&from, &len);

			if (n < 0)
				break;
			take_query(s, query, (size_t)n, -1, &from);
		}
		for (size_t i = 0; i < MAX_TCP; i++)
			if (s->clients[i] != NULL && fds[3 + i].revents != 0)
				read_tcp(s, &s->clients[i]);
		if (fds[2].revents & POLLIN) {
			int fd = accept(s->tcp, NULL, NULL);

			for (size_t i = 0; fd >= 0 && i < MAX_TCP; i++)
				if (s->clients[i] == NULL) {
					s->clients[i] = calloc(1,
					    sizeof(struct client));
					s->clients[i]->fd = fd;
					fd = -1;
				}
			if (fd >= 0)
				close(fd);
		}
		send_due(s);
	}
}

static bool
add_rule(struct dns_server *s, struct span line)
{
	char text[1024], name[256], word[32], value[256] = "";
	struct rule *r = &s->rules[s->rule_count];

	snprintf(text, sizeof(text), "%.*s", SPAN_ARG(line));
	if (sscanf(text, "! ttl %u", &s->ttl) == 1 ||
	    sscanf(text, "! port %u", &s->wanted_port) == 1)
		return true;
	if (sscanf(text, "! log %255s", value) == 1) {
		s->log = fopen(value, "w");
		if (s->log != NULL)
			setvbuf(s->log, NULL, _IOLBF, 0); /* read while we serve */
		return s->log != NULL;
	}
	if (s->rule_count >= MAX_RULES ||
	    sscanf(text, "! %255s %31s %255s", name, word, value) < 2)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0) {
			*r = (struct rule){ .what = (enum behaviour)i };
			snprintf(r->name, sizeof(r->name), "%s", name);
			snprintf(r->target, sizeof(r->target), "%s", value);
			r->value = (unsigned)strtoul(value, NULL, 10);
			s->rule_count++;
			return true;
		}
	return false;
}

struct dns_server *
dns_server_start(struct span zone)
{
	struct dns_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	struct error err = { "" };
	struct buf records;
	int size = 8 << 20;

	s->ttl = 300;
	buf_init(&records, 64 << 20);
	while (zone.len > 0) {
		size_t end = span_find(zone, '\n');
		struct span line = span_of(zone.ptr, end);

		zone = span_from(zone, end + 1);
		if (line.len > 0 && line.ptr[0] == '!') {
			if (!add_rule(s, line)) {
				fprintf(stderr, "bad command: %.*s\n",
				    SPAN_ARG(line));
				return NULL;
			}
			continue;
		}
		buf_add_span(&records, line);
		buf_add_char(&records, '\n');
	}
	if (dns_new_text(buf_span(&records), "zone", &s->zone, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return NULL;
	}
	buf_done(&records);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->stop = eventfd(0, EFD_CLOEXEC);
	/* a port that is free for both; another try when it is not */
	for (int i = 0; i < 20 && s->port == 0; i++) {
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(s->tcp, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 },
		    sizeof(int));
		at.sin_port = htons((uint16_t)s->wanted_port);
		if (bind(s->udp, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		    getsockname(s->udp, (struct sockaddr *)&at, &len) == 0 &&
		    bind(s->tcp, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		    listen(s->tcp, 64) == 0) {
			s->port = ntohs(at.sin_port);
			break;
		}
		close(s->udp);
		close(s->tcp);
	}
	setsockopt(s->udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (s->port == 0 || pthread_create(&s->thread, NULL, serve, s) != 0) {
		fprintf(stderr, "cannot start the DNS server\n");
		return NULL;
	}
	return s;
}

unsigned
dns_server_port(const struct dns_server *s)
{
	return s->port;
}

unsigned
dns_server_count(const struct dns_server *s)
{
	return atomic_load(&s->queries);
}

void
dns_server_stop(struct dns_server *s)
{
	uint64_t one = 1;

	if (s == NULL)
		return;
	if (write(s->stop, &one, sizeof(one)) < 0)
		abort();
	pthread_join(s->thread, NULL);
	for (size_t i = 0; i < s->pending; i++)
		free(s->heap[i].bytes);
	for (size_t i = 0; i < MAX_TCP; i++)
		if (s->clients[i] != NULL) {
			close(s->clients[i]->fd);
			free(s->clients[i]);
		}
	close(s->udp);
	close(s->tcp);
	close(s->stop);
	dns_free(s->zone);
	free(s);
}
