#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/netaddr.h"
#include "scoring/auth/dnsxl.h"

/* RFC 5782 5: must be listed, must not; of address and of name lists */
static const char *const entries[] = { "2.0.0.127", "1.0.0.127", "test",
	"invalid" };
enum { LISTED_IP, UNLISTED_IP, LISTED_NAME, UNLISTED_NAME, ENTRIES };

static const char why_localhost[] = "list switched off: lists 127.0.0.1";
static const char why_everything[] = "list switched off: lists everything";
static const char why_refused[] = "list switched off: answers 127.255.255.x";
static const char why_parked[] =
    "list switched off: answers outside of 127.0.0.0/8";
static const char why_silent[] = "list switched off: does not answer";
static const char why_blocked[] = "not asked for a while: dns_block_rule";

struct list {
	struct list *next;
	char *zone;
	const char *off;    /* one of the above, NULL: on */
	int64_t until;	    /* what is known holds so long */
};

struct block {
	char domain[256];
	int64_t until;
};

struct dnsxl {
	pthread_mutex_t lock;
	struct list *lists;
	size_t count;
	struct block blocks[DNSXL_MAX_BLOCKS];
	size_t block_count;
};

/* One list in one message */
struct seen {
	const char *zone;
	const char *off;
	bool probe;
};

struct dnsxl_run {
	struct dnsxl *all;
	struct dns_session *probes;
	struct arena *arena;
	int64_t now;
	struct seen *seen;
	size_t count, max;
	const char **blocked; /* domains */
	size_t blocked_count;
	const char **notices;
	struct evidence *evidence; /* its notices are these */
};

struct dnsxl *
dnsxl_new(void)
{
	struct dnsxl *d = calloc(1, sizeof(*d));

	if (d != NULL)
		pthread_mutex_init(&d->lock, NULL);
	return d;
}

void
dnsxl_free(struct dnsxl *d)
{
	if (d == NULL)
		return;
	while (d->lists != NULL) {
		struct list *l = d->lists;

		d->lists = l->next;
		free(l->zone);
		free(l);
	}
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* Locked. NULL: no memory, or too many */
static struct list *
list_get(struct dnsxl *d, const char *zone)
{
	struct list *l;

	for (l = d->lists; l != NULL; l = l->next)
		if (strcasecmp(l->zone, zone) == 0)
			return l;
	if (d->count >= DNSXL_MAX_LISTS)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (l == NULL || (l->zone = strdup(zone)) == NULL) {
		free(l);
		return NULL;
	}
	l->until = INT64_MIN;
	l->next = d->lists;
	d->lists = l;
	d->count++;
	return l;
}

static struct seen *
seen_find(const struct dnsxl_run *run, const char *zone)
{
	if (zone == NULL)
		return NULL;
	for (size_t i = 0; i < run->count; i++)
		if (strcasecmp(run->seen[i].zone, zone) == 0)
			return &run->seen[i];
	return NULL;
}

static void
probe_name(char out[DNS_NAME_TEXT], const char *zone, unsigned entry)
{
	snprintf(out, DNS_NAME_TEXT, "%s.%s", entries[entry], zone);
}

void
dnsxl_block(struct dnsxl *d, const char *domain, int64_t now, int64_t seconds)
{
	struct block *b = NULL;

	if (strlen(domain) >= sizeof(b->domain) ||
	    __builtin_add_overflow(now, seconds, &seconds))
		return;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->block_count && b == NULL; i++)
		if (strcmp(d->blocks[i].domain, domain) == 0 ||
		    d->blocks[i].until <= now)
			b = &d->blocks[i];
	if (b == NULL && d->block_count < DNSXL_MAX_BLOCKS)
		b = &d->blocks[d->block_count++];
	if (b != NULL) {
		strcpy(b->domain, domain);
		b->until = seconds;
	}
	pthread_mutex_unlock(&d->lock);
}

/* The domains that are not to be asked now, for this message */
static int
take_blocks(struct dnsxl_run *run)
{
	struct dnsxl *d = run->all;
	int rc = 0;

	pthread_mutex_lock(&d->lock);
	if (d->block_count > 0) {
		run->blocked = ARENA_ARRAY(run->arena, d->block_count,
		    const char *);
		rc = run->blocked != NULL ? 0 : -ENOMEM;
	}
	for (size_t i = 0; rc == 0 && i < d->block_count; i++) {
		if (d->blocks[i].until <= run->now)
			continue;
		run->blocked[run->blocked_count] = arena_strdup(run->arena,
		    d->blocks[i].domain);
		if (run->blocked[run->blocked_count++] == NULL)
			rc = -ENOMEM;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static bool
is_blocked(const struct dnsxl_run *run, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < run->blocked_count; i++) {
		size_t k = strlen(run->blocked[i]);

		if (k <= n && strcasecmp(name + n - k, run->blocked[i]) == 0 &&
		    (k == n || name[n - k - 1] == '.'))
			return true;
	}
	return false;
}

struct dnsxl_run *
dnsxl_begin(struct dnsxl *d, struct dns_session *probes,
    const char *const *lists, size_t count, int64_t now, struct arena *a)
{
	struct dnsxl_run *run = ARENA_NEW(a, struct dnsxl_run);
	char name[DNS_NAME_TEXT];

	if (run == NULL)
		return NULL;
	*run = (struct dnsxl_run){ .all = d, .probes = probes, .arena = a,
		.now = now };
	run->max = count < DNSXL_MAX_LISTS ? count : DNSXL_MAX_LISTS;
	run->seen = ARENA_ARRAY(a, run->max, struct seen);
	run->notices = ARENA_ARRAY(a, 2 * run->max, const char *);
	if (run->seen == NULL || run->notices == NULL ||
	    take_blocks(run) != 0)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *zone = lists[i];
		struct list *l;
		struct seen *s;

		if (seen_find(run, zone) != NULL || run->count >= run->max ||
		    is_blocked(run, zone))
			continue;
		pthread_mutex_lock(&d->lock);
		l = list_get(d, zone);
		if (l != NULL) {
			s = &run->seen[run->count++];
			*s = (struct seen){ .zone = zone,
				.off = now < l->until ? l->off : NULL,
				.probe = now >= l->until };
		}
		pthread_mutex_unlock(&d->lock);
		if (l == NULL || !s->probe || dns_session_offline(probes))
			continue;
		for (unsigned e = 0; e < ENTRIES; e++) {
			probe_name(name, zone, e);
			dns_start(probes, name, DNS_A);
		}
	}
	return run;
}

/* What an answer tells about the list that gave it; NULL: nothing bad */
static const char *
fault_of_address(const unsigned char *a)
{
	if (a[0] != 127)
		return why_parked;
	if (a[1] == 255 && a[2] == 255)
		return why_refused;
	return NULL;
}

static const char *
probe_result(struct dnsxl_run *run, const char *zone, int64_t *ret_hold)
{
	unsigned silent = 0;
	char name[DNS_NAME_TEXT];
	const char *why = NULL;
	bool found[ENTRIES];

	for (unsigned i = 0; i < ENTRIES; i++) {
		const struct dns_answer *ans;

		probe_name(name, zone, i);
		ans = dns_lookup(run->probes, name, DNS_A);
		found[i] = ans->status == DNS_FOUND;
		silent += dns_status_is_temporary(ans->status);
		for (size_t k = 0; k < ans->count && why == NULL; k++)
			if (ans->records[k].data.len == 4)
				why = fault_of_address((const unsigned char *)
				    ans->records[k].data.ptr);
	}
	*ret_hold = DNSXL_OFF_SEC;
	if (why != NULL)
		return why;
	if (found[UNLISTED_NAME])
		return why_everything;
	if (found[UNLISTED_IP])
		return why_localhost;
	*ret_hold = silent > 0 ? DNSXL_SILENT_SEC : DNSXL_GOOD_SEC;
	return silent == ENTRIES ? why_silent : NULL;
}

/* Writes down what is known now; a change becomes a notice. */
static int
list_set(struct dnsxl_run *run, struct seen *s, const char *off, int64_t hold)
{
	struct dnsxl *d = run->all;
	const char *before = NULL, *text;
	struct list *l;

	pthread_mutex_lock(&d->lock);
	l = list_get(d, s->zone);
	if (l != NULL) {
		before = l->off;
		l->off = off;
		l->until = run->now > INT64_MAX - hold ? INT64_MAX :
							 run->now + hold;
	}
	pthread_mutex_unlock(&d->lock);
	s->off = off;
	if (before == off || run->evidence->notice_count >= 2 * run->max)
		return 0;
	text = off != NULL ? arena_printf(run->arena,
	    "list=%s state=off reason=\"%s\"", s->zone, off) :
	    arena_printf(run->arena, "list=%s state=on", s->zone);
	if (text == NULL)
		return -ENOMEM;
	run->notices[run->evidence->notice_count++] = text;
	return 0;
}

int
dnsxl_finish(struct dnsxl_run *run, struct evidence *e)
{
	int rc = 0;

	e->notices = run->notices;
	run->evidence = e;
	if (dns_session_offline(run->probes))
		return 0;
	for (size_t i = 0; rc == 0 && i < run->count; i++) {
		struct seen *s = &run->seen[i];
		const char *off;
		int64_t hold;

		if (!s->probe)
			continue;
		off = probe_result(run, s->zone, &hold);
		rc = list_set(run, s, off, hold);
	}
	return rc;
}

bool
dnsxl_is_off(const struct dnsxl_run *run, const char *list, const char *name,
    struct check *ret_check)
{
	const struct seen *s = seen_find(run, list);
	const char *why = s != NULL ? s->off : NULL;

	if (why == NULL && run->blocked_count > 0 && is_blocked(run, name))
		why = why_blocked;
	if (why != NULL)
		*ret_check = (struct check){ CHECK_NOT_RUN, why };
	return why != NULL;
}

int
dnsxl_answer(struct dnsxl_run *run, const struct rule_question *q,
    struct dns_evidence *d, struct dnsxl_evidence *row)
{
	struct seen *s = seen_find(run, q->list);
	const char *fault = NULL;
	struct netaddr a;
	int rc = 0;

	for (size_t i = 0; i < d->count && fault == NULL; i++)
		if (q->type == DNS_A && netaddr_parse(d->texts[i], &a))
			fault = fault_of_address(a.bytes);
	row->list = q->list;
	row->query = q->name;
	row->personal = q->personal;
	if (d->count > 0) {
		row->result = arena_memdup(run->arena, d->texts[0].ptr,
		    d->texts[0].len);
		if (row->result == NULL)
			return -ENOMEM;
	}
	if (fault != NULL) {
		d->check = (struct check){ CHECK_NOT_RUN, fault };
		d->complaint = fault == why_refused;
		if (!d->complaint) {
			d->exists = false;
			d->count = 0;
		}
		if (s != NULL)
			rc = list_set(run, s, fault, DNSXL_OFF_SEC);
	}
	row->check = d->check;
	return rc;
}
