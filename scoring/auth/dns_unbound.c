/*
 * Answers from libunbound: one context for the process, asked asynchronously
 * (the synchronous call is ten times slower even from its cache), and one
 * pump thread that delivers what its worker found.
 *
 * Equal questions of several messages are one flight: the first asks, all
 * wait. Lock order: a session, then this source; the pump takes them one
 * after the other. Whoever cancels takes his query out of its flight; once
 * the pump has taken the flight's waiters, the answer is on its way to each
 * of them and drops the reference there.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

#include "scoring/auth/dns_cache.h"

enum { FLIGHT_BUCKETS = 1024 };

struct dns_flight {
	struct dns_flight *next;   /* of its bucket */
	struct dns_unbound *owner;
	struct dns_query *waiters;
	int async_id;
	bool orphan; /* cancelled while its callback was on the way */
	uint16_t type;
	char name[];
};

struct dns_unbound {
	struct dns dns;
	struct ub_ctx *ctx;
	struct dns_cache *cache;
	pthread_mutex_t lock; /* of what follows */
	struct dns_flight *flights[FLIGHT_BUCKETS];
	pthread_t pump;
	bool pump_runs;
	int stop_fd;
};

/* "no such name" is believed for at most so many seconds */
#define NEGATIVE_TTL "900"
enum { NEGATIVE_TTL_SEC = 900 };

static const struct {
	const char *option, *value;
} options[] = {
	/* a mail server's resolver is usually on the same host */
	{ "do-not-query-localhost:", "no" },
	/* private and documentation zones are the resolver's business */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	/* a library's defaults are for one query at a time */
	{ "num-queries-per-thread:", "4096" },
	{ "outgoing-num-tcp:", "40" },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	/* one dropped answer must not silence a server for 15 minutes */
	{ "infra-keep-probing:", "yes" },
	{ "infra-host-ttl:", "60" },
	/* a resolver that recurses for us may well take half a second: asking
	 * again after 376 ms, the default, throws that answer away */
	{ "unknown-server-time-limit:", "1000" },
	{ "cache-max-negative-ttl:", NEGATIVE_TTL },
	{ "edns-buffer-size:", "1232" },
	{ "use-syslog:", "no" },
};

/* A socket for each question under way: as many as the process may open,
 * and some left over for connections. */
enum { OTHER_FILES = 256, MIN_SOCKETS = 64, MAX_SOCKETS = 4096 };

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *
pump_main(void *arg)
{
	struct dns_unbound *u = arg;
	struct pollfd fds[2] = {
		{ .fd = ub_fd(u->ctx), .events = POLLIN },
		{ .fd = u->stop_fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (fds[1].revents != 0)
			break;
		if (fds[0].revents != 0)
			ub_process(u->ctx);
	}
	return NULL;
}

/* Session locked. */
static void
take_result(struct dns_query *q, int err, const struct ub_result *r)
{
	struct dns_answer *ans = &q->answer;
	struct arena *a = q->session->arena;
	struct dns_record *records;
	size_t n = 0;

	if (err != 0 || r == NULL) {
		ans->status = DNS_SERVFAIL;
		return;
	}
	if (r->bogus || (r->rcode != 0 && r->rcode != 3)) {
		ans->status = DNS_SERVFAIL;
		return;
	}
	ans->secure = r->secure != 0;
	ans->ttl_sec = r->ttl > 0 ? (uint32_t)r->ttl : 0;
	/* the library invents a TTL of hours for a "no" without SOA */
	if (!r->havedata && ans->ttl_sec > NEGATIVE_TTL_SEC)
		ans->ttl_sec = NEGATIVE_TTL_SEC;
	if (r->nxdomain || r->rcode == 3) {
		ans->status = DNS_NXDOMAIN;
		return;
	}
	/* an answer to another question is garbage (the library checks this
	 * too, but a verdict hangs on it) */
	if (r->qtype != ans->type) {
		ans->status = DNS_SERVFAIL;
		return;
	}
	while (r->havedata && r->data != NULL && r->data[n] != NULL)
		n++;
	if (n == 0) {
		ans->status = DNS_NODATA;
		return;
	}
	if (n > DNS_MAX_RECORDS)
		n = DNS_MAX_RECORDS;
	records = ARENA_ARRAY(a, n, struct dns_record);
	if (records == NULL) {
		ans->status = DNS_LIMIT;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (r->len[i] < 0) {
			ans->status = DNS_SERVFAIL;
			return;
		}
		switch (dns_wire_record(a, ans->type,
		    span_of(r->data[i], (size_t)r->len[i]), &records[i])) {
		case DNS_WIRE_OK:
			break;
		case DNS_WIRE_BAD:
			ans->status = DNS_SERVFAIL;
			return;
		case DNS_WIRE_NO_MEMORY:
			ans->status = DNS_LIMIT;
			return;
		}
	}
	ans->records = records;
	ans->count = n;
	ans->status = DNS_FOUND;
}

/* Locked. Where the flight to that question hangs, or would hang */
static struct dns_flight **
flight_at(struct dns_unbound *u, const char *name, uint16_t type)
{
	uint32_t h = 2166136261u ^ type;
	struct dns_flight **at;

	for (const char *p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	at = &u->flights[(h ^ h >> 16) % FLIGHT_BUCKETS];
	while (*at != NULL && ((*at)->type != type ||
	    strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

static void
flight_remove(struct dns_unbound *u, struct dns_flight *f)
{
	struct dns_flight **at = flight_at(u, f->name, f->type);

	if (*at == f)
		*at = f->next;
}

static void
deliver(struct dns_unbound *u, struct dns_query *q, int err,
    const struct ub_result *r)
{
	struct dns_session *s = q->session;

	pthread_mutex_lock(&s->lock);
	if (q->done || s->abandoned) {
		if (q->in_flight) {
			q->in_flight = false;
			s->in_flight--;
		}
	} else {
		take_result(q, err, r);
		dns_cache_put(u->cache, &q->answer, now_ms());
		dns_query_done(q);
	}
	pthread_mutex_unlock(&s->lock);
	dns_session_unref(s);
}

static void
unbound_callback(void *arg, int err, struct ub_result *r)
{
	struct dns_flight *f = arg;
	struct dns_unbound *u = f->owner;
	struct dns_query *waiters = NULL;

	pthread_mutex_lock(&u->lock);
	if (!f->orphan) {
		flight_remove(u, f);
		waiters = f->waiters;
		for (struct dns_query *q = waiters; q != NULL;
		     q = q->flight_next)
			q->flight = NULL;
	}
	pthread_mutex_unlock(&u->lock);
	while (waiters != NULL) {
		struct dns_query *q = waiters;

		waiters = q->flight_next;
		deliver(u, q, err, r);
	}
	if (r != NULL)
		ub_resolve_free(r);
	free(f);
}

/* Locked. The flight to q's question, begun if need be; NULL on failure. */
static struct dns_flight *
flight_join(struct dns_unbound *u, struct dns_query *q)
{
	const char *name = q->answer.name;
	struct dns_flight **at = flight_at(u, name, q->answer.type);
	struct dns_flight *f = *at;
	size_t size = strlen(name) + 1;

	if (f == NULL) {
		f = calloc(1, sizeof(*f) + size);
		if (f == NULL)
			return NULL;
		f->owner = u;
		f->type = q->answer.type;
		memcpy(f->name, name, size);
		if (ub_resolve_async(u->ctx, name[0] != '\0' ? name : ".",
		    f->type, 1, f, unbound_callback, &f->async_id) != 0) {
			free(f);
			return NULL;
		}
		*at = f;
	}
	q->flight = f;
	q->flight_prev = NULL;
	q->flight_next = f->waiters;
	if (f->waiters != NULL)
		f->waiters->flight_prev = q;
	f->waiters = q;
	return f;
}

static void
unbound_start(struct dns *d, struct dns_query *q)
{
	struct dns_unbound *u = (struct dns_unbound *)d;
	struct dns_session *s = q->session;
	struct dns_flight *f;

	if (dns_cache_get(u->cache, q, now_ms())) {
		dns_query_done(q);
		return;
	}
	pthread_mutex_lock(&u->lock);
	f = flight_join(u, q);
	pthread_mutex_unlock(&u->lock);
	if (f == NULL) {
		q->answer.status = DNS_SERVFAIL;
		dns_query_done(q);
		return;
	}
	/* the pump waits for the session's lock, which is ours */
	q->in_flight = true;
	s->in_flight++;
	s->refs++;
}

static bool
unbound_cancel(struct dns *d, struct dns_query *q)
{
	struct dns_unbound *u = (struct dns_unbound *)d;
	struct dns_flight *f;

	pthread_mutex_lock(&u->lock);
	f = q->flight;
	if (f == NULL) {
		pthread_mutex_unlock(&u->lock);
		return false;
	}
	q->flight = NULL;
	if (q->flight_next != NULL)
		q->flight_next->flight_prev = q->flight_prev;
	if (q->flight_prev != NULL)
		q->flight_prev->flight_next = q->flight_next;
	else
		f->waiters = q->flight_next;
	if (f->waiters == NULL) {
		/* nobody waits any more */
		flight_remove(u, f);
		if (ub_cancel(u->ctx, f->async_id) == 0)
			free(f);
		else
			f->orphan = true;
	}
	pthread_mutex_unlock(&u->lock);
	return true;
}

static void
unbound_free(struct dns *d)
{
	struct dns_unbound *u = (struct dns_unbound *)d;

	if (u->pump_runs) {
		uint64_t one = 1;

		while (write(u->stop_fd, &one, sizeof(one)) < 0 &&
		    errno == EINTR)
			;
		pthread_join(u->pump, NULL);
	}
	if (u->ctx != NULL)
		ub_ctx_delete(u->ctx);
	dns_cache_free(u->cache);
	for (size_t i = 0; i < FLIGHT_BUCKETS; i++)
		while (u->flights[i] != NULL) {
			struct dns_flight *f = u->flights[i];

			u->flights[i] = f->next;
			free(f);
		}
	pthread_mutex_destroy(&u->lock);
	if (u->stop_fd >= 0)
		close(u->stop_fd);
	free(u);
}

static const struct dns_ops unbound_ops = { unbound_start, unbound_cancel,
	unbound_free };

static int
configure(struct dns_unbound *u, const struct dns_options *o,
    struct error *err)
{
	struct rlimit files;
	char text[24];
	long sockets = MAX_SOCKETS;
	int rc;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < MAX_SOCKETS + OTHER_FILES)
		sockets = (long)files.rlim_cur - OTHER_FILES;
	if (sockets < MIN_SOCKETS)
		sockets = MIN_SOCKETS;
	snprintf(text, sizeof(text), "%ld", sockets);
	ub_ctx_set_option(u->ctx, "outgoing-range:", text);

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		rc = ub_ctx_set_option(u->ctx, options[i].option,
		    options[i].value);
		if (rc != 0)
			return error_set(err, -EINVAL,
			    "resolver option \"%s\": %s", options[i].option,
			    ub_strerror(rc));
	}
	if (o->trust_anchor != NULL) {
		/* it would be missed at the first query only */
		if (access(o->trust_anchor, R_OK) != 0)
			return error_set(err, -errno,
			    "cannot read trust anchor \"%s\": %s",
			    o->trust_anchor, strerror(errno));
		rc = ub_ctx_add_ta_file(u->ctx, o->trust_anchor);
		if (rc != 0)
			return error_set(err, -EINVAL,
			    "cannot use trust anchor \"%s\": %s",
			    o->trust_anchor, ub_strerror(rc));
	} else {
		/* nothing to validate against: leave the validator out */
		ub_ctx_set_option(u->ctx, "module-config:", "iterator");
	}
	if (o->resolver.count == 0) {
		/* no file, or none of use: full recursion from the root */
		ub_ctx_resolvconf(u->ctx, NULL);
		return 0;
	}
	for (size_t i = 0; i < o->resolver.count; i++) {
		rc = ub_ctx_set_fwd(u->ctx, o->resolver.items[i]);
		if (rc != 0)
			return error_set(err, -EINVAL,
			    "cannot use resolver \"%s\": %s",
			    o->resolver.items[i], ub_strerror(rc));
	}
	return 0;
}

/* libunbound starts its worker at the first query. It is asked here, so that
 * a failure of that (no threads, a sandbox) shows at start and not as mail
 * comes. "localhost" is answered inside. */
static void
first_callback(void *arg, int err, struct ub_result *r)
{
	(void)err;
	*(bool *)arg = true;
	ub_resolve_free(r);
}

static int
first_query(struct dns_unbound *u, struct error *err)
{
	bool done = false;
	int rc = ub_resolve_async(u->ctx, "localhost", DNS_A, 1, &done,
	    first_callback, NULL);

	while (rc == 0 && !done)
		rc = ub_wait(u->ctx);
	if (rc != 0)
		return error_set(err, -EINVAL, "cannot start the resolver: %s",
		    ub_strerror(rc));
	return 0;
}

int
dns_new(const struct dns_options *o, struct dns **ret_dns, struct error *err)
{
	struct dns_unbound *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	u->dns.ops = &unbound_ops;
	pthread_mutex_init(&u->lock, NULL);
	u->stop_fd = eventfd(0, EFD_CLOEXEC);
	u->ctx = ub_ctx_create();
	u->cache = dns_cache_new();
	if (u->ctx == NULL || u->cache == NULL || u->stop_fd < 0) {
		rc = error_set(err, -ENOMEM, "cannot start the resolver");
		goto fail;
	}
	/* a library does not print */
	ub_ctx_debugout(u->ctx, NULL);
	/* a thread, not the default of a child process; only possible before
	 * the configuration ends */
	if (ub_ctx_async(u->ctx, 1) != 0) {
		rc = error_set(err, -EINVAL, "cannot start the resolver");
		goto fail;
	}
	rc = configure(u, o, err);
	if (rc != 0)
		goto fail;
	/* "test." is answered locally otherwise; this ends the configuration */
	if (ub_ctx_zone_add(u->ctx, "test.", "transparent") != 0) {
		rc = error_set(err, -EINVAL, "cannot start the resolver");
		goto fail;
	}
	rc = first_query(u, err);
	if (rc != 0)
		goto fail;
	rc = pthread_create(&u->pump, NULL, pump_main, u);
	if (rc != 0) {
		rc = error_set(err, -rc, "cannot start the resolver's thread");
		goto fail;
	}
	u->pump_runs = true;
	*ret_dns = &u->dns;
	return 0;
fail:
	unbound_free(&u->dns);
	return rc;
}
