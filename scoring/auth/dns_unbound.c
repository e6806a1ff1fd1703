/*
 * Answers from libunbound: one context for the process, asked asynchronously
 * (the synchronous call is ten times slower even from its cache), and one
 * pump thread that delivers what its worker found. Equal questions of several
 * messages are joined inside libunbound; its cache, negative answers
 * included, is shared by all.
 *
 * A cancelled query never calls back, unless the pump has already taken it
 * out of the context: then ub_cancel() says UB_NOID and the callback, which
 * is on its way, drops the reference itself.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unbound.h>
#include <unistd.h>

#include "scoring/auth/dns_internal.h"

struct dns_unbound {
	struct dns dns;
	struct ub_ctx *ctx;
	pthread_t pump;
	bool pump_runs;
	int stop_fd;
};

static const struct {
	const char *option, *value;
} options[] = {
	/* a mail server's resolver is usually on the same host */
	{ "do-not-query-localhost:", "no" },
	/* private and documentation zones are the resolver's business */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	/* a library's defaults are for one query at a time */
	{ "outgoing-range:", "900" },
	{ "num-queries-per-thread:", "4096" },
	{ "outgoing-num-tcp:", "40" },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	/* one dropped answer must not silence a server for 15 minutes */
	{ "infra-keep-probing:", "yes" },
	{ "infra-host-ttl:", "60" },
	{ "cache-max-negative-ttl:", "900" },
	{ "edns-buffer-size:", "1232" },
	{ "use-syslog:", "no" },
};

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

static void
unbound_callback(void *arg, int err, struct ub_result *r)
{
	struct dns_query *q = arg;
	struct dns_session *s = q->session;

	pthread_mutex_lock(&s->lock);
	if (q->done || s->abandoned) {
		if (q->in_flight) {
			q->in_flight = false;
			s->in_flight--;
		}
	} else {
		take_result(q, err, r);
		dns_query_done(q);
	}
	pthread_mutex_unlock(&s->lock);
	if (r != NULL)
		ub_resolve_free(r);
	dns_session_unref(s);
}

static void
unbound_start(struct dns *d, struct dns_query *q)
{
	struct dns_unbound *u = (struct dns_unbound *)d;
	struct dns_session *s = q->session;
	const char *name = q->answer.name[0] != '\0' ? q->answer.name : ".";

	q->in_flight = true;
	s->in_flight++;
	s->refs++;
	if (ub_resolve_async(u->ctx, name, q->answer.type, 1, q,
	    unbound_callback, &q->async_id) != 0) {
		s->refs--; /* the caller still holds one */
		q->answer.status = DNS_SERVFAIL;
		dns_query_done(q);
	}
}

static bool
unbound_cancel(struct dns *d, struct dns_query *q)
{
	struct dns_unbound *u = (struct dns_unbound *)d;

	return ub_cancel(u->ctx, q->async_id) == 0;
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
	int rc;

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

/* libunbound makes its worker at the first query, and loses it when several
 * threads ask their first at once: so there is one before anybody else has
 * the context. "localhost" is answered inside. */
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
	u->stop_fd = eventfd(0, EFD_CLOEXEC);
	u->ctx = ub_ctx_create();
	if (u->ctx == NULL || u->stop_fd < 0) {
		rc = error_set(err, -ENOMEM, "cannot start the resolver");
		goto fail;
	}
	rc = configure(u, o, err);
	if (rc != 0)
		goto fail;
	/* a library does not print */
	ub_ctx_debugout(u->ctx, NULL);
	/* "test." is answered locally otherwise; this ends the configuration */
	ub_ctx_zone_add(u->ctx, "test.", "transparent");
	ub_ctx_async(u->ctx, 1);
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
