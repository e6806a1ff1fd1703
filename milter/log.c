#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/journald.h"
#include "milter/log.h"

static atomic_bool to_stderr;
static bool journald; /* as it was at the start */
static atomic_int facility = LOG_MAIL;
static atomic_llong repeat_ms = 60 * 1000;

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	const char *kind;
	int64_t written_ms;
	unsigned long held;
} faults[LOG_FAULT_KINDS];

void
log_open(void)
{
	journald = journald_has_stderr();
	openlog("spamscored", LOG_PID | LOG_NDELAY, atomic_load(&facility));
}

void
log_to_stderr(bool on)
{
	atomic_store(&to_stderr, on);
}

void
log_facility(int value)
{
	atomic_store(&facility, value);
}

void
log_repeat(int64_t ms)
{
	atomic_store(&repeat_ms, ms);
}

static void
emit(int priority, const char *text)
{
	static const char *const words[] = { "emerg", "alert", "crit", "error",
		"warning", "notice", "info", "debug" };
	char line[LOG_LINE_BYTES + 64];
	int n;

	if (!atomic_load(&to_stderr)) {
		syslog(atomic_load(&facility) | priority, "%s", text);
		return;
	}
	/* one write a line: lines of several threads do not mix */
	if (journald)
		n = snprintf(line, sizeof(line), "<%d>%.*s\n", priority & 7,
		    (int)LOG_LINE_BYTES, text);
	else
		n = snprintf(line, sizeof(line), "spamscored[%ld]: %s%s%.*s\n",
		    (long)getpid(),
		    priority < LOG_NOTICE ? words[priority & 7] : "",
		    priority < LOG_NOTICE ? ": " : "", (int)LOG_LINE_BYTES, text);
	if (n > 0 && (size_t)n < sizeof(line)) {
		ssize_t written = write(STDERR_FILENO, line, (size_t)n);

		(void)written; /* nowhere to tell */
	}
}

void
log_write(int priority, const char *fmt, ...)
{
	char text[LOG_LINE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(priority, text);
}

bool
log_fault_due(const char *kind, int64_t now_ms, unsigned long *ret_held)
{
	bool due = true;
	size_t i;

	*ret_held = 0;
	pthread_mutex_lock(&fault_lock);
	for (i = 0; i < LOG_FAULT_KINDS && faults[i].kind != NULL; i++)
		if (strcmp(faults[i].kind, kind) == 0)
			break;
	/* a full table means more kinds than the program has: write */
	if (i < LOG_FAULT_KINDS) {
		if (faults[i].kind != NULL &&
		    now_ms - faults[i].written_ms < atomic_load(&repeat_ms)) {
			faults[i].held++;
			due = false;
		} else {
			*ret_held = faults[i].held;
			faults[i].kind = kind;
			faults[i].written_ms = now_ms;
			faults[i].held = 0;
		}
	}
	pthread_mutex_unlock(&fault_lock);
	return due;
}

void
log_fault(const char *kind, const char *fmt, ...)
{
	char text[LOG_LINE_BYTES];
	unsigned long held;
	va_list ap;

	if (!log_fault_due(kind, clock_ms(), &held))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (held != 0)
		log_write(LOG_WARNING, "%s repeated=%lu", text, held);
	else
		emit(LOG_WARNING, text);
}

void
log_add(struct buf *line, const char *key, struct span value, size_t max_bytes)
{
	if (line->len != 0)
		buf_add_char(line, ' ');
	buf_add_str(line, key);
	buf_add_char(line, '=');
	escape_log_value(line, value, max_bytes);
}
