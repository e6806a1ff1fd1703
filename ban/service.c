#include "ban/service.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban/service_impl.h"

#define JOURNAL_RETRY_SEC 10
/* a clock that differs by more was set, not slewed */
#define CLOCK_SET_SEC 5

void
ban_service_log(struct ban_service *s, enum ban_log level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->log(s->log_context, level, text);
}

int
ban_service_new(const struct ban_policy *policy, struct ban_journal *journal,
    const struct ban_sink *sink, ban_log_fn *log, void *log_context,
    struct ban_service **ret_service, struct error *err)
{
	struct ban_service *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->table = ban_table_new((size_t)policy->max_entries);
		s->protect = ban_protect_new((size_t)policy->protect_max);
		s->leases = ban_leases_new();
	}
	if (s == NULL || s->table == NULL || s->protect == NULL ||
	    s->leases == NULL) {
		ban_service_free(s);
		return error_set(err, -ENOMEM, "out of memory");
	}
	s->policy = policy;
	s->journal = journal;
	s->sink = *sink;
	s->log = log;
	s->log_context = log_context;
	ban_protect_limits(s->protect, (unsigned)policy->protect_days,
	    policy->protect_within_ms / DAY_MS);
	*ret_service = s;
	return 0;
}

void
ban_service_free(struct ban_service *s)
{
	if (s == NULL)
		return;
	ban_table_free(s->table);
	ban_protect_free(s->protect);
	netset_done(&s->own);
	ban_leases_free(s->leases);
	free(s);
}

void
ban_service_set_time(struct ban_service *s, int64_t now_sec, int64_t mono_ms)
{
	int64_t set = now_sec - s->now - (mono_ms - s->mono_ms) / 1000;
	bool jumped = s->now != 0 && (set > CLOCK_SET_SEC ||
	    set < -CLOCK_SET_SEC);

	s->now = now_sec;
	s->mono_ms = mono_ms;
	if (jumped)
		ban_service_clock_set(s, set);
}

/* A journal that fails once is left alone for a while, then written anew. */
void
ban_service_journal_failed(struct ban_service *s, const struct error *err)
{
	if (!s->journal_lost)
		ban_service_log(s, BAN_LOG_ERROR, "error=journal text=\"%s\" "
		    "bans go on in the kernel only", err->text);
	s->journal_lost = true;
	s->journal_retry_ms = s->mono_ms + JOURNAL_RETRY_SEC * 1000;
}

/* The answer to "may net be banned there", policy and state together. */
enum ban_result
ban_service_admit(struct ban_service *s, const struct network *net,
    unsigned scope, const char **ret_why)
{
	enum ban_result result = ban_policy_admit(s->policy, net, ret_why);

	if (result != BAN_OK)
		return result;
	if (netset_overlaps(&s->own, net)) {
		*ret_why = "own address";
		return BAN_REFUSED_ALLOWED;
	}
	if (ban_leases_overlap(s->leases, net, scope, s->now)) {
		*ret_why = "allowed address";
		return BAN_REFUSED_ALLOWED;
	}
	if (scope == BAN_MAIL && ban_protect_overlaps(s->protect, net,
	    s->now / DAY_SEC, NULL)) {
		*ret_why = "confirmed good mail";
		return BAN_REFUSED_PROTECTED;
	}
	return BAN_OK;
}

void
ban_service_lift_forbidden(struct ban_service *s)
{
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;

	while (!end) {
		const char *why = "";

		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		if (slot != NULL && ban_service_admit(s, &slot->net,
		    slot->scope, &why) != BAN_OK)
			ban_service_end(s, slot, BAN_EVENT_LIFTED, false, "", "",
			    why);
	}
}

void
ban_service_handle(struct ban_service *s, unsigned source,
    const struct ban_request *q, struct ban_reply *reply,
    struct ban_cursor *cursor)
{
	const struct ban_source *from = &s->policy->sources[source];

	assert(source < s->policy->n_sources);
	memset(reply, 0, sizeof(*reply));
	memset(cursor, 0, sizeof(*cursor));
	reply->op = q->op;
	reply->id = q->id;
	if ((ban_request_right(q) & ~from->rights) != 0) {
		reply->result = BAN_REFUSED_RIGHTS;
		return;
	}
	switch (q->op) {
	case BAN_OP_PING:
		break;
	case BAN_OP_ADD:
		ban_handle_add(s, source, q, reply);
		break;
	case BAN_OP_DEL:
		ban_handle_del(s, from, q, reply);
		break;
	case BAN_OP_CHECK:
		ban_handle_check(s, q, reply);
		break;
	case BAN_OP_CONFIRM:
		ban_handle_confirm(s, q, reply);
		break;
	case BAN_OP_ALLOW:
		ban_handle_allow(s, from, q, reply);
		break;
	case BAN_OP_FLUSH:
	case BAN_OP_LIST:
	case BAN_OP_HISTORY:
	case BAN_OP_STATUS:
		cursor->op = q->op;
		cursor->id = q->id;
		cursor->source = source;
		memcpy(cursor->label, q->label, sizeof(cursor->label));
		cursor->scope = q->scope;
		cursor->event_id = INT64_MAX;
		cursor->left = q->limit != 0 ? q->limit : UINT32_MAX;
		if (q->net.addr.family != 0 &&
		    !ban_network_normalise(&q->net, &cursor->net)) {
			cursor->op = 0;
			reply->result = BAN_REFUSED_INVALID;
		}
		break;
	case BAN_OP_COUNT:
		reply->result = BAN_REFUSED_INVALID;
		break;
	}
}
