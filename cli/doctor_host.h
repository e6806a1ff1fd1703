/*
 * doctor_host - what surrounds the filter on its host, looked at and judged:
 * Postfix, sockets and rights, DNS, the ban helper and its sets, the firewall
 * rules that use them, fail2ban, units and timers. Nothing is changed.
 */
#ifndef CLI_DOCTOR_HOST_H
#define CLI_DOCTOR_HOST_H

#include <pwd.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "ban/policy.h"
#include "milter/settings.h"
#include "scoring/settings.h"

struct doctor_options {
	const char *config;   /* NULL: the installed one, if there */
	const char *postconf; /* the command that prints Postfix's settings,
				 without -n */
	bool json;
};

/* false: something is bad or doubtful. */
bool doctor_host(const struct doctor_options *o);

/* One finding of any check, printed; fix: a line that mends it, or NULL.
 * Returns whether it is fine. */
enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_BAD, DOCTOR_SKIP };
bool doctor_tell(const struct doctor_options *o, const char *check,
    enum doctor_state state, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* What the files of doctor_host share. */
struct host {
	const struct doctor_options *o;
	struct arena *arena;
	struct scoring_settings scoring;
	struct milter_settings milter;
	struct ban_policy policy;
	const char *config; /* the file that was read; NULL: none */
	bool well;
};

#define TELL(h, ...) ((h)->well &= doctor_tell((h)->o, __VA_ARGS__))

/* The output of a command of ours (never of text from elsewhere), or NULL
 * when it cannot be had. */
char *doctor_output(struct host *h, const char *command);
/* Is somebody listening there? 0, or errno. */
int doctor_try_socket(const char *path, int type);
/* May this user write to the file, by owner, group or others? */
bool doctor_user_may_write(const struct passwd *pw, const struct stat *st);

void doctor_check_milter_socket(struct host *h); /* doctor_postfix.c */
void doctor_check_postfix(struct host *h);
void doctor_check_bans(struct host *h); /* doctor_bans.c */
void doctor_check_firewall(struct host *h);
void doctor_check_fail2ban(struct host *h);
void doctor_check_tuning(struct host *h); /* doctor_tune.c */

#endif
