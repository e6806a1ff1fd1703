/*
 * snapshot - configuration, rules, model, resolver and authentication as the
 * daemon uses them: loaded as a whole, immutable, reference-counted, safe for
 * any number of threads. A connection keeps the one it began with; SIGHUP
 * makes a new one or keeps the old.
 */
#ifndef MILTER_SNAPSHOT_H
#define MILTER_SNAPSHOT_H

#include "milter/settings.h"
#include "scoring/engine.h"

struct snapshot_options {
	const char *config;
	const char *const *rules; /* count 0: the configuration's */
	size_t rules_count;
	const char *rules_dir;	  /* default of that setting */
	bool offline;
	const char *dns_data;	  /* file that answers all DNS; NULL */
};

struct snapshot {
	unsigned refs; /* atomic; see snapshot.c */
	struct engine *engine;
	const struct scoring_settings *scoring;
	struct milter_settings settings;
	struct shared_dns *dns; /* kept over reloads that do not touch it */
	struct auth_context *auth;
};

/* old (may be NULL) lends its resolver and its cache when the settings of it
 * are the same. All faults of configuration and rules go to diags.
 * 0, -EINVAL, -ENOMEM, -errno. */
int snapshot_load(const struct snapshot_options *options,
    const struct snapshot *old, struct diags *diags,
    struct snapshot **ret_snapshot, struct error *err);
struct snapshot *snapshot_ref(struct snapshot *s);
/* NULL: offline. Lives as long as the snapshot. */
struct dns *snapshot_dns(const struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is allowed */

#endif
