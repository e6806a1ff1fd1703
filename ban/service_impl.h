/*
 * service_impl - what the files of the service share; nobody else's business.
 */
#ifndef BAN_SERVICE_IMPL_H
#define BAN_SERVICE_IMPL_H

#include "ban/service.h"

#define DAY_SEC 86400LL
#define DAY_MS (DAY_SEC * 1000)

enum { BAN_ALLOWS_MAX = 4096 };

struct ban_allowed {
	struct network net;
	int64_t expires;
};

struct ban_service {
	const struct ban_policy *policy;
	struct ban_journal *journal;
	struct ban_sink sink;
	ban_log_fn *log;
	void *log_context;
	struct ban_table *table;
	struct ban_protect *protect;
	struct netset own;
	struct ban_allowed *allows;
	size_t n_allows;
	struct ban_rate rates[BAN_SOURCES_MAX], refusals, rate_logs;
	int64_t now, mono_ms;
	bool journal_lost;
	int64_t journal_retry_ms, prune_ms, unsure_ms;
	size_t unsure; /* bans that the kernel did not take */
	bool wants_look;
	struct {
		bool comparing;
		size_t strangers;
		int64_t started;
		uint64_t kernel_entries;
		char problem[BAN_REASON_SIZE];
	} sets[BAN_SETS];
};

void ban_service_log(struct ban_service *s, enum ban_log level,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ban_service_journal_failed(struct ban_service *s,
    const struct error *err);
/* The slot into the kernel, with a fresh timeout. */
bool ban_service_send(struct ban_service *s, struct ban_slot *slot);
enum ban_result ban_service_end(struct ban_service *s, struct ban_slot *slot,
    enum ban_event what, bool remember, const char *source, const char *label,
    const char *reason);
void ban_service_fill_entry(struct ban_service *s, const struct ban_slot *slot,
    struct ban_entry *e);
/* Ends bans that policy, own or allowed addresses do not permit (any more);
 * only: those that touch this network (NULL: all). */
void ban_service_lift_forbidden(struct ban_service *s,
    const struct network *only);

#endif
