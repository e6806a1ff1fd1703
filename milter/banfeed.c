#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ban/ban.h"
#include "milter/banfeed.h"
#include "milter/log.h"

struct report {
	struct network net;
	int64_t ttl_sec;
	int64_t confirmed; /* when the good mail came; 0: a ban is asked for */
	char reason[128];
};

struct banfeed {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct ban_client *client;
	struct report queue[BANFEED_QUEUE];
	size_t head, count;
	bool stopping;
	int64_t stop_by_ms; /* monotonic */
};

static void
deliver(struct banfeed *f, const struct report *r)
{
	char net[NETADDR_TEXT];
	enum ban_result result;
	struct error err;

	network_format(&r->net, net);
	if (r->confirmed != 0) {
		if (ban_confirm(f->client, &r->net.addr, r->confirmed, &result,
			&err) != 0)
			log_fault("ban-helper",
			    "fault=ban confirm=%s error=\"%s\"", net, err.text);
		return;
	}
	if (ban_add(f->client, &r->net, BAN_MAIL, r->ttl_sec, r->reason, &result,
		&err) != 0)
		log_fault("ban-helper", "fault=ban client=%s error=\"%s\"", net,
		    err.text);
	else
		log_write(LOG_NOTICE, "ban client=%s result=%s time=%llds", net,
		    ban_result_name(result), (long long)r->ttl_sec);
}

static void *
feed_main(void *arg)
{
	struct banfeed *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct report r;

		while (f->count == 0 && !f->stopping)
			pthread_cond_wait(&f->wake, &f->lock);
		if (f->count == 0 || (f->stopping && clock_ms() > f->stop_by_ms))
			break;
		r = f->queue[f->head];
		f->head = (f->head + 1) % BANFEED_QUEUE;
		f->count--;
		pthread_mutex_unlock(&f->lock);
		deliver(f, &r);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int
banfeed_new(const char *socket_path, struct banfeed **ret_feed,
    struct error *err)
{
	struct banfeed *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return error_set(err, -ENOMEM, "out of memory for the ban feed");
	r = ban_client_new(socket_path, BANFEED_TIMEOUT_MS, &f->client, err);
	if (r != 0) {
		free(f);
		return r;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	r = pthread_create(&f->thread, NULL, feed_main, f);
	if (r != 0) {
		ban_client_free(f->client);
		pthread_mutex_destroy(&f->lock);
		pthread_cond_destroy(&f->wake);
		free(f);
		return error_set(err, -r, "cannot start the ban feed: %s",
		    strerror(r));
	}
	*ret_feed = f;
	return 0;
}

void
banfeed_stop(struct banfeed *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	f->stop_by_ms = clock_ms() + BANFEED_TIMEOUT_MS;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	ban_client_free(f->client);
	f->client = NULL;
}

static void
enqueue(struct banfeed *f, const struct report *what)
{
	bool dropped = false;

	pthread_mutex_lock(&f->lock);
	if (f->count == BANFEED_QUEUE) {
		f->head = (f->head + 1) % BANFEED_QUEUE;
		f->count--;
		dropped = true;
	}
	f->queue[(f->head + f->count) % BANFEED_QUEUE] = *what;
	f->count++;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (dropped)
		log_fault("ban-queue", "fault=ban error=\"queue full, oldest report dropped\"");
}

void
banfeed_report(struct banfeed *f, const struct network *net, int64_t ttl_sec,
    const char *reason)
{
	struct report r = { .net = *net, .ttl_sec = ttl_sec };

	snprintf(r.reason, sizeof(r.reason), "%s", reason);
	enqueue(f, &r);
}

void
banfeed_confirm(struct banfeed *f, const struct netaddr *client, int64_t when)
{
	struct report r = { .net = network_of(client,
		client->family == 4 ? 32 : 64), .confirmed = when };

	if (when > 0)
		enqueue(f, &r);
}
