/*
 * settings - what the daemon can be told, apart from scoring (that table is
 * in scoring/settings.h). Immutable after loading; the strings belong to the
 * snapshot that was loaded with them.
 */
#ifndef MILTER_SETTINGS_H
#define MILTER_SETTINGS_H

#include "base/conf.h"
#include "milter/failure.h"

enum { ACT_VERDICT, ACT_OBSERVE };
enum { LOG_ADDRESSES_PLAIN, LOG_ADDRESSES_KEYED };

/* "none" where a socket path may be given */
#define SETTINGS_NONE "none"

struct milter_settings {
	const char *listen;	    /* unix:PATH, inet:PORT@HOST, inet6:... */
	const char *socket_group;   /* may connect; Postfix's */
	const char *user;	    /* whose rights the daemon keeps */
	const char *state_dir;
	const char *control_socket; /* for spamscore(1); "none": no such */
	const char *control_group;  /* may use it; "": the daemon's own only */
	const char *ban_socket;	    /* of the ban helper; "none": no bans */
	int on_failure;		    /* enum on_failure */
	int action;		    /* ACT_VERDICT or ACT_OBSERVE */

	struct conf_hosts ban_allow;	    /* names here, networks at the helper */
	int64_t ban_allow_refresh;  /* ms: shortest time between lookups */
	int64_t ban_strikes;	    /* rejects before a report */
	int64_t ban_window;	    /* ms in which they must fall */
	int64_t ban_time;	    /* ms asked for */

	int log_facility;	    /* of syslog(3) */
	int64_t log_keep;	    /* ms a verdict stays in the verdict log; 0:
				       none is written */
	int64_t log_size;	    /* bytes of the verdict log, about */
	int log_addresses;	    /* LOG_ADDRESSES_PLAIN or _KEYED */
	int64_t log_samples;	    /* ms, texts for labels by id; 0: none */
	int64_t label_rate;	    /* labels of one user in an hour; 0: any */
	int64_t log_repeat;	    /* ms before the same fault is logged again */
	int64_t message_memory;	    /* bytes: most one message may occupy */
	int64_t stop_timeout;	    /* ms that SIGTERM waits for messages */
};

extern const struct setting milter_settings_table[];

/* Most names of ban_allow: each costs two questions a minute. */
enum { BAN_ALLOW_NAMES_MAX = 256 };

void milter_settings_init(struct milter_settings *s);
void milter_settings_done(struct milter_settings *s);
/* What single values cannot say. */
void milter_settings_check(const struct milter_settings *s, const char *file,
    struct diags *diags);

/* `listen` in the words of smfi_setconn(3), into out; *ret_path is the path
 * of a Unix socket inside `listen`, NULL for TCP. Accepts Postfix's order
 * inet:HOST:PORT too. false: not an address. */
bool milter_listen_parse(const char *listen, char out[256],
    const char **ret_path);

#endif
