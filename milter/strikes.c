#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "milter/strikes.h"
#include "scoring/judge.h"

enum { BUCKETS = 4096 };

struct client {
	struct client *next;	     /* in its bucket */
	struct client *newer, *older; /* by last strike */
	struct network net;
	uint64_t hash;
	unsigned count, head; /* ring of the last `count` times */
	int64_t times[STRIKES_MAX];
};

struct strikes {
	pthread_mutex_t lock;
	struct client *buckets[BUCKETS];
	struct client *newest, *oldest;
	size_t count;
};

struct strikes *
strikes_new(void)
{
	struct strikes *s = calloc(1, sizeof(*s));

	if (s != NULL)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
strikes_free(struct strikes *s)
{
	if (s == NULL)
		return;
	for (struct client *c = s->newest, *older; c != NULL; c = older) {
		older = c->older;
		free(c);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static uint64_t
hash_of(const struct network *n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ n->addr.family;

	/* FNV-1a; a crowded bucket costs time only, and the table is bounded */
	for (size_t i = 0; i < sizeof(n->addr.bytes); i++)
		h = (h ^ n->addr.bytes[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static void
unlink_age(struct strikes *s, struct client *c)
{
	if (c->newer != NULL)
		c->newer->older = c->older;
	else
		s->newest = c->older;
	if (c->older != NULL)
		c->older->newer = c->newer;
	else
		s->oldest = c->newer;
	c->newer = c->older = NULL;
}

static void
link_newest(struct strikes *s, struct client *c)
{
	c->newer = NULL;
	c->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = c;
	else
		s->oldest = c;
	s->newest = c;
}

static void
forget(struct strikes *s, struct client *c)
{
	struct client **p = &s->buckets[c->hash % BUCKETS];

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	unlink_age(s, c);
	s->count--;
	free(c);
}

bool
strikes_add(struct strikes *s, const struct netaddr *client, int64_t limit,
    int64_t window_ms, int64_t now_ms, struct network *ret_net)
{
	struct network net;
	struct client *c;
	uint64_t hash;
	bool due = false;

	if (limit <= 0 || client->family == 0 || netaddr_is_loopback(client))
		return false;
	if (limit > STRIKES_MAX)
		limit = STRIKES_MAX;
	net = network_of(client, client->family == 4 ? 32 : 64);
	hash = hash_of(&net);
	pthread_mutex_lock(&s->lock);
	for (c = s->buckets[hash % BUCKETS]; c != NULL; c = c->next)
		if (c->hash == hash && netaddr_eq(&c->net.addr, &net.addr))
			break;
	if (c == NULL) {
		if (s->count >= STRIKES_MAX_CLIENTS)
			forget(s, s->oldest);
		c = calloc(1, sizeof(*c));
		if (c == NULL) { /* no ban is better than no mail */
			pthread_mutex_unlock(&s->lock);
			return false;
		}
		c->net = net;
		c->hash = hash;
		c->next = s->buckets[hash % BUCKETS];
		s->buckets[hash % BUCKETS] = c;
		s->count++;
	} else
		unlink_age(s, c);
	link_newest(s, c);
	c->times[c->head] = now_ms;
	c->head = (c->head + 1) % STRIKES_MAX;
	if (c->count < STRIKES_MAX)
		c->count++;
	if (c->count >= (unsigned)limit) {
		unsigned first = (c->head + STRIKES_MAX - (unsigned)limit) %
		    STRIKES_MAX;

		if (now_ms - c->times[first] <= window_ms) {
			*ret_net = net;
			due = true;
			forget(s, c);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return due;
}

/* Good mail that outweighs rejects: the filter's own opinion of a message
 * counts 0.2, so five good messages of an address, twenty of its network. */
static bool
is_mostly_good(const struct reputation_row *r)
{
	return (r->kind == IDENTITY_IP && r->ham >= 1 && r->ham > 2 * r->spam) ||
	    (r->kind == IDENTITY_NET && r->ham >= 4 && r->ham > 4 * r->spam);
}

const char *
strikes_excuse(const struct verdict *v, const struct evidence *e,
    const struct envelope *envelope)
{
	if (envelope->mail_from == NULL || envelope->mail_from[0] == '\0')
		return "bounce";
	if (v->score_low < v->thresholds.reject)
		return "author policy";
	for (size_t i = 0; i < e->reputation_count; i++)
		if (is_mostly_good(&e->reputation[i]))
			return "good record";
	return reputation_dnswl(e) ? "DNSWL" : NULL;
}

size_t
strikes_count(struct strikes *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}
