/*
 * policy - what the administrator allows the ban helper to do.
 *
 * Read from the same file as the daemon's configuration; words that belong
 * to other rooms are passed over, but a ban_ word that nobody knows is an
 * error. Immutable once parsed; everything lives in the caller's arena,
 * except the sets of networks (ban_policy_done). Pure: no clock, no I/O
 * beyond reading the file.
 */
#ifndef BAN_POLICY_H
#define BAN_POLICY_H

#include <sys/types.h>

#include "ban/ban.h"
#include "base/conf.h"

enum {
	BAN_SOURCES_MAX = 32,
	BAN_STEPS_MAX = 16, /* entries of ban_times */
	/* ipset keeps timeouts in milliseconds in 31 bits of seconds */
	BAN_KERNEL_TIMEOUT_MAX = 2147483,
	BAN_PROTECT_DAYS_MAX = 8,
};

struct ban_source {
	char name[BAN_NAME_SIZE];
	const char *socket; /* path */
	const char *group;  /* NULL: the helper's */
	mode_t mode;
	unsigned scopes; /* enum ban_scope bits */
	unsigned rights; /* enum ban_right bits */
	int64_t max_time_sec;
	int64_t per_minute;
	bool login;    /* a ban for mail is one for logins too */
	bool escalate; /* repeated offenders get ban_times */
};

struct ban_policy {
	/* settings, in the order of the table */
	const char *socket_dir;
	const char *state_dir;
	const char *user;
	/* ban_allow, mynetworks, trusted_networks; names are the daemon's */
	struct conf_hosts allow;
	int64_t allow_ms;
	struct strings times;
	int64_t forget_ms;
	int64_t max_time_ms;
	int64_t max_entries; /* a set */
	int64_t min_prefix4, min_prefix6;
	int64_t protect_days;
	int64_t protect_within_ms;
	int64_t protect_max;
	int64_t history_ms;
	int64_t history_max;
	int64_t connections; /* a source */
	int64_t check_interval_ms;
	int64_t counter_interval_ms;
	bool simulate;
	/* made from them */
	int64_t step_sec[BAN_STEPS_MAX];
	size_t steps;
	struct ban_source sources[BAN_SOURCES_MAX];
	size_t n_sources;
};

/* The settings and their defaults, for the manual and its test. */
extern const struct setting ban_policy_settings[];

/* Fills *ret from configuration lines; every fault goes to diags, and then
 * the policy must not be used. 0 or -ENOMEM. */
int ban_policy_parse(struct arena *a, const struct conf_lines *lines,
    struct ban_policy *ret, struct diags *diags);
void ban_policy_done(struct ban_policy *p);

/* What is really banned for net: host bits off, IPv4-mapped as IPv4, IPv6
 * never finer than /64. false: no network that could be banned at all. */
bool ban_network_normalise(const struct network *net, struct network *ret);

/* The static part of the decision, for a normalised network: loopback,
 * unspecified, multicast, broadcast, allow-listed, or wider than allowed.
 * BAN_OK if nothing speaks against it. *ret_why names the reason. */
enum ban_result ban_policy_admit(const struct ban_policy *p,
    const struct network *net, const char **ret_why);

/* How long the ban with so many forerunners lasts: at least one second, at
 * most what policy and source allow. asked_sec 0: as policy says. */
int64_t ban_policy_ttl(const struct ban_policy *p, const struct ban_source *s,
    uint32_t earlier, int64_t asked_sec);

/* A bucket of per_minute tokens, filled evenly; true if one was there. */
struct ban_rate {
	int64_t milli_tokens;
	int64_t last_ms;
};
bool ban_rate_take(struct ban_rate *rate, int64_t per_minute, int64_t now_ms);

#endif
