#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "scoring/auth/dns_internal.h"

static const struct dns_answer answer_no_memory = { .status = DNS_LIMIT,
	.name = "" };

const char *
dns_status_name(enum dns_status s)
{
	switch (s) {
	case DNS_FOUND:
		return "found";
	case DNS_NXDOMAIN:
		return "no such name";
	case DNS_NODATA:
		return "no such record";
	case DNS_SERVFAIL:
		return "server failure";
	case DNS_TIMEOUT:
		return "timeout";
	case DNS_LIMIT:
		return "query limit";
	case DNS_NOT_RUN:
		return "offline";
	}
	return "?";
}

bool
dns_status_is_temporary(enum dns_status s)
{
	return s == DNS_SERVFAIL || s == DNS_TIMEOUT || s == DNS_LIMIT;
}

void
dns_free(struct dns *d)
{
	if (d != NULL)
		d->ops->free(d);
}

struct dns_session *
dns_session_new(struct dns *d, int64_t timeout_ms, unsigned max_queries)
{
	struct dns_session *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	s->arena = arena_new(DNS_SESSION_BYTES);
	if (s->arena == NULL) {
		free(s);
		return NULL;
	}
	s->dns = d;
	s->refs = 1;
	s->timeout_ms = timeout_ms;
	s->max_queries = max_queries;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->arrived, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

void
dns_session_unref(struct dns_session *s)
{
	unsigned left;

	pthread_mutex_lock(&s->lock);
	left = --s->refs;
	pthread_mutex_unlock(&s->lock);
	if (left != 0)
		return;
	pthread_cond_destroy(&s->arrived);
	pthread_mutex_destroy(&s->lock);
	arena_free(s->arena);
	free(s);
}

void
dns_session_free(struct dns_session *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->abandoned = true;
	for (struct dns_query *q = s->first; q != NULL; q = q->next)
		if (q->in_flight && s->dns->ops->cancel(s->dns, q)) {
			q->in_flight = false;
			s->refs--;
		}
	pthread_mutex_unlock(&s->lock);
	dns_session_unref(s);
}

void
dns_session_start(struct dns_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->started = true;
	s->deadline_ms = clock_ms() + s->timeout_ms;
	pthread_mutex_unlock(&s->lock);
}

unsigned
dns_session_queries(const struct dns_session *s)
{
	return s->queries;
}

bool
dns_session_offline(const struct dns_session *s)
{
	return s->dns == NULL;
}

void
dns_query_done(struct dns_query *q)
{
	struct dns_session *s = q->session;

	if (q->in_flight) {
		q->in_flight = false;
		s->in_flight--;
	}
	q->done = true;
	s->arrivals++;
	pthread_cond_broadcast(&s->arrived);
}

static unsigned
name_hash(const char *name, uint16_t type)
{
	uint32_t h = 2166136261u ^ type;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ^ h >> 16;
}

/* Session locked. NULL: no memory. */
static struct dns_query *
query_get(struct dns_session *s, const char *name, uint16_t type)
{
	char canonical[DNS_NAME_TEXT];
	bool valid = dns_name_canonical(span_cstr(name), canonical);
	const char *key = valid ? canonical : name;
	struct dns_query **bucket = &s->buckets[name_hash(key, type) %
	    (sizeof(s->buckets) / sizeof(s->buckets[0]))];
	struct dns_query *q;

	for (q = *bucket; q != NULL; q = q->next_bucket)
		if (q->answer.type == type && strcmp(q->answer.name, key) == 0)
			return q;
	q = ARENA_NEW(s->arena, struct dns_query);
	if (q == NULL)
		return NULL;
	q->session = s;
	q->answer.type = type;
	q->answer.name = arena_strdup(s->arena, key);
	if (q->answer.name == NULL)
		return NULL;
	q->next_bucket = *bucket;
	*bucket = q;
	if (s->last != NULL)
		s->last->next = q;
	else
		s->first = q;
	s->last = q;
	if (!s->started) {
		s->started = true;
		s->deadline_ms = clock_ms() + s->timeout_ms;
	}
	if (s->dns == NULL) {
		q->answer.status = DNS_NOT_RUN;
		dns_query_done(q);
	} else if (!valid) {
		/* a name that no server can have is a name that is not there */
		q->answer.status = DNS_NXDOMAIN;
		dns_query_done(q);
	} else if (s->queries >= s->max_queries) {
		q->answer.status = DNS_LIMIT;
		dns_query_done(q);
	} else {
		s->queries++;
		s->dns->ops->start(s->dns, q);
	}
	return q;
}

void
dns_start(struct dns_session *s, const char *name, uint16_t type)
{
	pthread_mutex_lock(&s->lock);
	query_get(s, name, type);
	pthread_mutex_unlock(&s->lock);
}

/* Session locked. The deadline has passed: from now on this is the answer,
 * even if another comes, so that one evaluation never sees two. */
static void
query_expire(struct dns_session *s, struct dns_query *q)
{
	if (q->in_flight && s->dns->ops->cancel(s->dns, q)) {
		q->in_flight = false;
		s->in_flight--;
		s->refs--;
	}
	q->answer.status = DNS_TIMEOUT;
	q->done = true;
	s->arrivals++;
}

static const struct dns_answer *
lookup(struct dns_session *s, const char *name, uint16_t type, bool wait)
{
	const struct dns_answer *answer = NULL;
	struct dns_query *q;

	pthread_mutex_lock(&s->lock);
	q = query_get(s, name, type);
	while (q != NULL && !q->done) {
		struct timespec until = { .tv_sec = s->deadline_ms / 1000,
			.tv_nsec = s->deadline_ms % 1000 * 1000000 };

		if (clock_ms() >= s->deadline_ms) {
			query_expire(s, q);
			break;
		}
		if (!wait)
			break;
		pthread_cond_timedwait(&s->arrived, &s->lock, &until);
	}
	if (q == NULL)
		answer = &answer_no_memory;
	else if (q->done)
		answer = &q->answer;
	pthread_mutex_unlock(&s->lock);
	return answer;
}

const struct dns_answer *
dns_lookup(struct dns_session *s, const char *name, uint16_t type)
{
	return lookup(s, name, type, true);
}

const struct dns_answer *
dns_peek(struct dns_session *s, const char *name, uint16_t type)
{
	return lookup(s, name, type, false);
}

bool
dns_session_wait(struct dns_session *s, unsigned *seen)
{
	bool more;

	pthread_mutex_lock(&s->lock);
	while (s->arrivals == *seen && s->in_flight > 0 &&
	    clock_ms() < s->deadline_ms) {
		struct timespec until = { .tv_sec = s->deadline_ms / 1000,
			.tv_nsec = s->deadline_ms % 1000 * 1000000 };

		pthread_cond_timedwait(&s->arrived, &s->lock, &until);
	}
	more = s->arrivals != *seen;
	*seen = s->arrivals;
	pthread_mutex_unlock(&s->lock);
	return more;
}
