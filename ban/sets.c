/* sets - the helper's care for the kernel's sets: filled at the start, looked
 * at often, compared now and then, mended when somebody broke them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "ban/helper.h"

int
helper_sink_add(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec)
{
	struct helper *h = context;

	return h->kernel == NULL ? 0 :
	    ban_kernel_add(h->kernel, set, net, timeout_sec, NULL);
}

int
helper_sink_del(void *context, unsigned set, const struct network *net)
{
	struct helper *h = context;

	return h->kernel == NULL ? 0 : ban_kernel_del(h->kernel, set, net, NULL);
}

int
helper_read_own(struct helper *h)
{
	struct netset own = { 0 };
	struct error err = { 0 };
	int code = ban_kernel_own_addresses(&own, &err);

	/* rather the old ones than none */
	if (code < 0)
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
	else
		ban_service_set_own(h->service, &own);
	netset_done(&own);
	return code;
}

static int
fill_one(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec)
{
	struct helper *h = context;

	return ban_kernel_add_later(h->kernel, set, net, timeout_sec, NULL);
}

/* All bans of a set that is known to be empty. */
static int
fill(struct helper *h, unsigned set, struct error *err)
{
	int code = ban_service_each(h->service, set, fill_one, h);

	if (code == 0)
		code = ban_kernel_flush(h->kernel, err);
	if (code < 0)
		/* one by one, so that one refusal does not keep out the rest */
		h->compare_wanted[set] = true;
	return code;
}

static void
report(struct helper *h, unsigned set, const struct ban_set_info *info,
    const char *problem)
{
	ban_service_set_health(h->service, set, info->entries, problem);
	if (problem[0] == '\0' && h->broken[set])
		helper_log(h, BAN_LOG_WARNING, "set=%s is fine again",
		    ban_set_name(set));
	else if (problem[0] != '\0' && !h->broken[set])
		helper_log(h, BAN_LOG_ERROR, "set=%s error=\"%s\"",
		    ban_set_name(set), problem);
	h->broken[set] = problem[0] != '\0';
}

/* Looks at one set and mends it. fine: it need not be compared. */
static void
look(struct helper *h, unsigned set, bool quiet)
{
	struct ban_set_info info = { 0 };
	struct error err = { 0 };
	char problem[BAN_REASON_SIZE];
	size_t expected = ban_service_count(h->service, set);
	int code = ban_kernel_look(h->kernel, set, &info, &err);

	/* somebody changes the list of sets just now: looked at again soon */
	if (code == -EINTR)
		return;
	if (code == 0 && info.state == BAN_SET_FINE) {
		if (info.entries < ban_service_count(h->service, set))
			h->compare_wanted[set] = true;
		report(h, set, &info, "");
		return;
	}
	if (code == 0) {
		static const char *const what[] = { "", "is gone",
			"lacks timeouts, counters or room", "is foreign" };

		if (!quiet && !h->broken[set])
			helper_log(h, BAN_LOG_WARNING, "set=%s %s%s%s: made anew",
			    ban_set_name(set), what[info.state],
			    info.state == BAN_SET_FOREIGN ? ", of type " : "",
			    info.state == BAN_SET_FOREIGN ? info.type : "");
		code = info.state == BAN_SET_MISSING ?
		    ban_kernel_create(h->kernel, set, expected, &err) :
		    ban_kernel_replace(h->kernel, set,
		    info.state == BAN_SET_OTHER_SHAPE, expected, &err);
		if (code == -EBUSY)
			error_set(&err, code, "is of type %s and held by a firewall "
			    "rule: delete the rule or the set", info.type);
	}
	if (code == 0)
		code = fill(h, set, &err);
	if (code == 0)
		code = ban_kernel_look(h->kernel, set, &info, &err);
	snprintf(problem, sizeof(problem), "%.*s", (int)sizeof(problem) - 1,
	    code < 0 ? (err.text[0] != '\0' ? err.text : "unknown") : "");
	for (char *p = problem; *p != '\0'; p++)
		if (*p == '"')
			*p = '\'';
	report(h, set, &info, problem);
}

static void
compare_entry(void *context, const struct ban_kernel_entry *e)
{
	struct helper *h = context;

	ban_service_compare_entry(h->service, h->dump_set, e);
}

/* A part of it; true at the end. */
static bool
compare_end(struct helper *h)
{
	size_t missing, strangers;

	if (!ban_service_compare_end(h->service, h->dump_set, &missing,
	    &strangers))
		return false;
	if (missing > 0)
		helper_log(h, BAN_LOG_WARNING, "set=%s healed: %zu bans were "
		    "missing", ban_set_name(h->dump_set), missing);
	if (strangers > 0)
		helper_log(h, BAN_LOG_WARNING, "set=%s healed: %zu entries were "
		    "nobody's", ban_set_name(h->dump_set), strangers);
	return true;
}

static bool
compare_begin(struct helper *h, unsigned set)
{
	struct error err;

	h->compare_wanted[set] = false;
	h->dump_set = set;
	ban_service_compare_start(h->service, set);
	return ban_kernel_dump_start(h->kernel, set, &err) == 0;
}

void
helper_dump_ready(struct helper *h)
{
	struct error err;
	int fd = ban_kernel_dump_fd(h->kernel);
	int code = ban_kernel_dump_read(h->kernel, compare_entry, h, &err);

	if (code > 0)
		return;
	epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
	if (code == 0)
		h->dump_ended = true;
	else
		/* interrupted by a change of the set's size: once more, later */
		h->compare_wanted[h->dump_set] = code != -ENOENT;
}

int
helper_restore_sets(struct helper *h)
{
	for (unsigned set = 0; set < BAN_SETS; set++) {
		struct ban_set_info info;
		struct error err = { 0 };
		int code = ban_kernel_look(h->kernel, set, &info, &err);

		if (code < 0) {
			helper_log(h, BAN_LOG_ERROR, "%s", err.text);
			return code;
		}
		if (info.state != BAN_SET_FINE) {
			look(h, set, info.state == BAN_SET_MISSING);
			continue;
		}
		if (info.entries == 0) {
			if (fill(h, set, &err) < 0)
				helper_log(h, BAN_LOG_ERROR, "%s", err.text);
			continue;
		}
		/* what a helper before us left: agree on it at once */
		if (!compare_begin(h, set))
			continue;
		do {
			struct pollfd pfd = { .fd = ban_kernel_dump_fd(h->kernel),
				.events = POLLIN };

			poll(&pfd, 1, 1000);
			code = ban_kernel_dump_read(h->kernel, compare_entry, h,
			    &err);
		} while (code > 0);
		while (!compare_end(h))
			;
	}
	return 0;
}

void
helper_upkeep(struct helper *h, bool idle)
{
	const struct ban_policy *p = &h->policy.policy;

	ban_service_idle(h->service, idle);
	if (h->kernel == NULL)
		return;
	if (ban_service_wants_look(h->service) && h->look_ms > h->mono + 100)
		h->look_ms = h->mono + 100;
	if (h->mono >= h->look_ms) {
		h->look_ms = h->mono + p->check_interval_ms;
		for (unsigned set = 0; set < BAN_SETS; set++)
			look(h, set, false);
	}
	if (h->mono >= h->counters_ms) {
		h->counters_ms = h->mono + p->counter_interval_ms;
		for (unsigned set = 0; set < BAN_SETS; set++)
			h->compare_wanted[set] = true;
	}
	if (h->dump_ended)
		h->dump_ended = !compare_end(h);
	for (unsigned set = 0; set < BAN_SETS && !h->dump_ended &&
	     ban_kernel_dump_fd(h->kernel) < 0; set++) {
		struct epoll_event ev = { .events = EPOLLIN,
			.data.ptr = &h->dump };

		if (!h->compare_wanted[set] || !compare_begin(h, set))
			continue;
		h->dump.kind = WATCH_DUMP;
		h->dump.fd = ban_kernel_dump_fd(h->kernel);
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->dump.fd, &ev);
	}
}

int64_t
helper_next_ms(struct helper *h)
{
	int64_t wait = 1000;

	if (h->more || h->due_sec == 0 || h->dump_ended)
		return 0;
	if (h->due_sec > 0 && h->due_sec * 1000 < wait)
		wait = h->due_sec * 1000;
	if (h->kernel != NULL) {
		if (h->look_ms - h->mono < wait)
			wait = h->look_ms - h->mono;
		if (h->counters_ms - h->mono < wait)
			wait = h->counters_ms - h->mono;
	}
	return wait < 0 ? 0 : wait;
}
