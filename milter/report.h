/*
 * report - what loading a configuration found, to the log.
 */
#ifndef MILTER_REPORT_H
#define MILTER_REPORT_H

#include "base/diag.h"
#include "milter/snapshot.h"

/* Every error, as file:line: message. */
void report_errors(const struct diags *diags);
/* What does not work as configured and keeps nothing else from working:
 * shadows that cannot be loaded, databases that are not there. */
void report_loaded(const struct snapshot *s, const struct diags *diags);
/* fault=WHAT error="TEXT", never held back as a repetition: for what says
 * each fault once by itself, and when it is over. */
void report_fault(const char *what, const char *text);

#endif
