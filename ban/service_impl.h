/*
 * service_impl - what the files of the service share; nobody else's business.
 */
#ifndef BAN_SERVICE_IMPL_H
#define BAN_SERVICE_IMPL_H

#include "ban/lease.h"
#include "ban/service.h"

#define DAY_SEC 86400LL
#define DAY_MS (DAY_SEC * 1000)

struct ban_service {
	const struct ban_policy *policy;
	struct ban_journal *journal;
	struct ban_sink sink;
	ban_log_fn *log;
	void *log_context;
	struct ban_table *table;
	struct ban_protect *protect;
	struct netset own;
	struct ban_leases *leases;
	struct ban_rate rates[BAN_SOURCES_MAX], refusals, rate_logs;
	int64_t now, mono_ms;
	bool journal_lost;
	int64_t journal_retry_ms, journal_look_ms, prune_ms, unsure_ms;
	size_t unsure; /* bans that the kernel did not take */
	bool wants_look;
	/* the number of this reading of a set; that a ban keeps it for 65,536
	 * of them without being seen only puts its healing off by one */
	uint16_t reading;
	struct {
		uint32_t place; /* looked at up to here */
		size_t strangers, missing;
		uint64_t kernel_entries;
		char problem[BAN_REASON_SIZE];
	} sets[BAN_SETS];
};

void ban_service_log(struct ban_service *s, enum ban_log level,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Bans keep the time that is left when somebody sets the clock. */
void ban_service_clock_set(struct ban_service *s, int64_t sec);
bool ban_service_journal_usable(const struct ban_service *s);
void ban_service_journal_failed(struct ban_service *s,
    const struct error *err);
enum ban_result ban_service_admit(struct ban_service *s,
    const struct network *net, unsigned scope, const char **ret_why);
/* Ends bans that policy, own or allowed addresses do not permit (any more). */
void ban_service_lift_forbidden(struct ban_service *s);

/* slots.c */

/* A line in the log and in the history; slot may be NULL. */
void ban_service_event(struct ban_service *s, enum ban_event what,
    enum ban_result result, const struct ban_slot *slot,
    const struct network *net, unsigned scope, int64_t ttl,
    const char *source, const char *label, const char *reason);
/* The slot into the kernel, with a fresh timeout. */
bool ban_service_send(struct ban_service *s, struct ban_slot *slot);
/* Out of the table; the kernel is not told. */
void ban_service_drop(struct ban_service *s, struct ban_slot *slot);
/* A ban ends before its time. remember: it still counts for the next. */
enum ban_result ban_service_end(struct ban_service *s, struct ban_slot *slot,
    enum ban_event what, bool remember, const char *source, const char *label,
    const char *reason);
/* Takes one claim away, and with the last one the ban. */
enum ban_result ban_service_del_claim(struct ban_service *s,
    struct ban_slot *slot, uint16_t owner, const char *source,
    const char *label);
/* The whole of a ban into the journal, the claims behind the first too;
 * claims that are there already stay. 0 or -errno. */
int ban_service_put(const struct ban_service *s, const struct ban_slot *slot,
    const char *reason, struct error *err);
/* The same in the place of what was there; a failure is dealt with. */
void ban_service_write(struct ban_service *s, const struct ban_slot *slot,
    const char *reason);
bool ban_service_read_record(struct ban_service *s,
    const struct network *net, unsigned scope, struct ban_record *r);
void ban_service_fill_entry(struct ban_service *s, const struct ban_slot *slot,
    struct ban_entry *e);

/* requests.c; *reply is zero but for op and id */
void ban_handle_add(struct ban_service *s, unsigned number,
    const struct ban_request *q, struct ban_reply *reply);
void ban_handle_del(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, struct ban_reply *reply);
void ban_handle_check(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply);
void ban_handle_confirm(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply);
void ban_handle_allow(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, struct ban_reply *reply);

#endif
