#include "milter/allowfeed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ban/ban.h"
#include "base/clock.h"
#include "milter/banfeed.h"
#include "milter/log.h"
#include "scoring/auth/dns.h"

/* Where a name leads by one kind of record, in the order of addresses. */
struct place {
	struct netaddr addrs[ALLOWFEED_ADDRESSES];
	size_t count;
};

struct name {
	char *text;
	struct place places[2]; /* A, AAAA */
	int64_t due_ms;		/* when it is looked up again */
};

struct allowfeed {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct snapshot *fresh; /* not taken yet; NULL: none */
	/* the thread's own from here on */
	struct ban_client *client;
	struct snapshot *snapshot;
	struct name *names;
	size_t count;
};

static void
forget(struct name *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i].text);
	free(names);
}

/* The names of the new snapshot; what is known of those that stay, stays. */
static void
take(struct allowfeed *f, struct snapshot *fresh)
{
	const struct strings *list = &fresh->settings.ban_allow.names;
	struct name *names = calloc(list->count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; names != NULL && i < list->count; i++) {
		struct name *n = &names[count];

		n->text = strdup(list->items[i]);
		if (n->text == NULL)
			continue;
		for (size_t k = 0; k < f->count; k++)
			if (strcasecmp(f->names[k].text, n->text) == 0)
				memcpy(n->places, f->names[k].places,
				    sizeof(n->places));
		count++;
	}
	snapshot_unref(f->snapshot);
	f->snapshot = fresh;
	if (names == NULL) {
		log_fault("memory", "fault=memory error=\"no memory for the "
		    "names of ban_allow\"");
		return;
	}
	forget(f->names, f->count);
	f->names = names;
	f->count = count;
}

static int
compare(const void *a, const void *b)
{
	const struct netaddr *x = a, *y = b;

	return memcmp(x->bytes, y->bytes, sizeof(x->bytes));
}

static void
read_answer(const struct dns_answer *ans, unsigned family, struct place *ret)
{
	size_t size = family == 4 ? 4 : 16;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ans->count && ret->count < ALLOWFEED_ADDRESSES;
	     i++) {
		struct netaddr *a = &ret->addrs[ret->count];

		if (ans->records[i].data.len != size)
			continue;
		a->family = (uint8_t)family;
		memcpy(a->bytes, ans->records[i].data.ptr, size);
		ret->count++;
	}
	qsort(ret->addrs, ret->count, sizeof(ret->addrs[0]), compare);
}

/* Takes the answer to one question. ms until it should be asked again; a
 * failure changes nothing else than *ret_failure. */
static int64_t
look_up(struct dns_session *s, struct name *n, unsigned family,
    int64_t soonest_ms, bool *changed, const char **ret_failure)
{
	struct place *known = &n->places[family == 6], found;
	const struct dns_answer *ans = dns_lookup(s, n->text,
	    family == 4 ? DNS_A : DNS_AAAA);
	int64_t ttl_ms = (int64_t)ans->ttl_sec * 1000;

	if (ans->status != DNS_FOUND && ans->status != DNS_NXDOMAIN &&
	    ans->status != DNS_NODATA) {
		*ret_failure = dns_status_name(ans->status);
		return soonest_ms;
	}
	read_answer(ans, family, &found);
	if (memcmp(&found, known, sizeof(found)) != 0) {
		*known = found;
		*changed = true;
	}
	/* "no" is believed as long as the resolver keeps it, no longer */
	return ans->status != DNS_FOUND || ttl_ms < soonest_ms ? soonest_ms :
	    ttl_ms > ALLOWFEED_LATEST_MS ? ALLOWFEED_LATEST_MS : ttl_ms;
}

static void
log_name(const struct name *n)
{
	struct buf list, line;
	char ip[NETADDR_TEXT];

	buf_init(&list, LOG_LINE_BYTES);
	buf_init(&line, LOG_LINE_BYTES);
	for (unsigned k = 0; k < 2; k++)
		for (size_t i = 0; i < n->places[k].count; i++)
			buf_printf(&list, "%s%s", list.len > 0 ? "," : "",
			    netaddr_format(&n->places[k].addrs[i], ip));
	log_add(&line, "name", span_cstr(n->text), 0);
	log_add(&line, "addresses", list.len > 0 ? buf_span(&list) :
	    SPAN_LIT("none"), 2000);
	log_write(LOG_NOTICE, "ban_allow %s", line.ptr);
	buf_done(&list);
	buf_done(&line);
}

static void
look_up_due(struct allowfeed *f, int64_t soonest_ms)
{
	/* lookups that hang must not let leases run out */
	int64_t patience = soonest_ms * ALLOWFEED_LEASE / 3, now = clock_ms();
	struct dns_session *s = dns_session_new(snapshot_dns(f->snapshot),
	    patience < ALLOWFEED_LOOKUP_MS ? patience : ALLOWFEED_LOOKUP_MS,
	    (unsigned)f->count * 2);

	if (s == NULL) {
		log_fault("memory", "fault=memory error=\"no memory to look up "
		    "the names of ban_allow\"");
		return;
	}
	for (size_t i = 0; i < f->count; i++)
		if (f->names[i].due_ms <= now) {
			dns_start(s, f->names[i].text, DNS_A);
			dns_start(s, f->names[i].text, DNS_AAAA);
		}
	for (size_t i = 0; i < f->count; i++) {
		struct name *n = &f->names[i];
		const char *failure = NULL;
		bool changed = false;
		int64_t a, aaaa;

		if (n->due_ms > now)
			continue;
		a = look_up(s, n, 4, soonest_ms, &changed, &failure);
		aaaa = look_up(s, n, 6, soonest_ms, &changed, &failure);
		n->due_ms = now + (a < aaaa ? a : aaaa);
		if (changed)
			log_name(n);
		if (failure != NULL)
			log_fault("ban-allow", "fault=ban allow=%s error=\"%s\" "
			    "addresses_kept=%zu", n->text, failure,
			    n->places[0].count + n->places[1].count);
	}
	dns_session_free(s);
}

/* false: the helper is away, the others can wait too */
static bool
renew(struct allowfeed *f, const struct netaddr *addr, int64_t lease_sec)
{
	struct network net = network_of(addr, addr->family == 4 ? 32 : 128);
	enum ban_result result;
	char ip[NETADDR_TEXT];
	struct error err;

	if (ban_allow(f->client, &net, lease_sec, &result, &err) != 0) {
		log_fault("ban-helper", "fault=ban allow=%s error=\"%s\"",
		    netaddr_format(addr, ip), err.text);
		return false;
	}
	if (result != BAN_OK)
		log_fault("ban-allow", "fault=ban allow=%s result=%s",
		    netaddr_format(addr, ip), ban_result_name(result));
	return true;
}

static void
renew_all(struct allowfeed *f, int64_t lease_sec)
{
	for (size_t i = 0; i < f->count; i++)
		for (unsigned k = 0; k < 2; k++)
			for (size_t j = 0; j < f->names[i].places[k].count; j++)
				if (!renew(f, &f->names[i].places[k].addrs[j],
					lease_sec))
					return;
}

static void *
feed_main(void *arg)
{
	struct allowfeed *f = arg;

	for (;;) {
		struct snapshot *fresh;
		struct timespec until;
		int64_t refresh;

		pthread_mutex_lock(&f->lock);
		fresh = f->fresh;
		f->fresh = NULL;
		pthread_mutex_unlock(&f->lock);
		if (fresh != NULL)
			take(f, fresh);
		refresh = f->snapshot->settings.ban_allow_refresh;
		until = clock_deadline(refresh);
		if (f->count > 0) {
			look_up_due(f, refresh);
			renew_all(f, refresh * ALLOWFEED_LEASE / 1000);
		}
		pthread_mutex_lock(&f->lock);
		while (f->fresh == NULL && pthread_cond_timedwait(&f->wake,
		    &f->lock, &until) == 0)
			;
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

int
allowfeed_new(const char *socket_path, struct snapshot *snapshot,
    struct allowfeed **ret_feed, struct error *err)
{
	struct allowfeed *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;
	pthread_t thread;
	int r;

	if (f == NULL)
		return error_set(err, -ENOMEM, "out of memory for ban_allow");
	r = ban_client_new(socket_path, BANFEED_TIMEOUT_MS, &f->client, err);
	if (r != 0) {
		free(f);
		return r;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	f->fresh = snapshot_ref(snapshot);
	r = pthread_create(&thread, NULL, feed_main, f);
	if (r != 0) {
		snapshot_unref(f->fresh);
		ban_client_free(f->client);
		pthread_cond_destroy(&f->wake);
		pthread_mutex_destroy(&f->lock);
		free(f);
		return error_set(err, -r, "cannot start the thread of ban_allow: "
		    "%s", strerror(r));
	}
	pthread_detach(thread);
	*ret_feed = f;
	return 0;
}

void
allowfeed_set(struct allowfeed *f, struct snapshot *snapshot)
{
	struct snapshot *old;

	if (f == NULL)
		return;
	snapshot_ref(snapshot);
	pthread_mutex_lock(&f->lock);
	old = f->fresh;
	f->fresh = snapshot;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	snapshot_unref(old);
}
