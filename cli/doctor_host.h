/*
 * doctor_host - what surrounds the filter on its host, looked at and judged:
 * Postfix, sockets and rights, DNS, the ban helper and its sets, the firewall
 * rules that use them, fail2ban, units and timers. Nothing is changed.
 */
#ifndef CLI_DOCTOR_HOST_H
#define CLI_DOCTOR_HOST_H

#include <stdbool.h>

struct doctor_options {
	const char *config;   /* NULL: the installed one, if there */
	const char *postconf; /* the command that prints Postfix's settings */
	bool json;
};

/* false: something is bad or doubtful. */
bool doctor_host(const struct doctor_options *o);

/* One finding of any check, printed; returns whether it is fine. */
enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_BAD, DOCTOR_SKIP };
bool doctor_tell(const struct doctor_options *o, const char *check,
    enum doctor_state state, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
