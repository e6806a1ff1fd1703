/*
 * log - the daemon's log: one key=value line a message, and faults that are
 * not repeated endlessly. To syslog, or to stderr in the foreground.
 *
 * Process-wide, safe from any thread. Lines are cut at LOG_LINE_BYTES. Text
 * from mail reaches a line only through log_add(), which escapes it.
 */
#ifndef MILTER_LOG_H
#define MILTER_LOG_H

#include <stdint.h>
#include <syslog.h>

#include "base/buf.h"

enum { LOG_LINE_BYTES = 4000, LOG_FAULT_KINDS = 64 };

/* Connects to syslog now, before anything makes that impossible. */
void log_open(void);
void log_to_stderr(bool on);
void log_facility(int facility);
void log_repeat(int64_t ms);

/* One line, as it is. */
void log_write(int priority, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A fault that may come with every message. kind is a literal; the same kind
 * is written once in log_repeat milliseconds, then with repeated=N. */
void log_fault(const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* For tests: whether a fault at now_ms would be written, and how many were
 * held back since the last one. */
bool log_fault_due(const char *kind, int64_t now_ms, unsigned long *ret_held);

/* " key=value", the value escaped and quoted as needed, cut at max_bytes. */
void log_add(struct buf *line, const char *key, struct span value,
    size_t max_bytes);

#endif
