#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db/internal.h"

enum fault
fault_of(int code, sqlite3 *db)
{
	switch (code & 0xFF) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return FAULT_LOCKED;
	case SQLITE_FULL:
		return FAULT_FULL;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return FAULT_READ_ONLY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return FAULT_CORRUPT;
	case SQLITE_NOMEM:
		return FAULT_MEMORY;
	default:
		if (db != NULL) {
			int e = sqlite3_system_errno(db);

			if (e == ENOSPC || e == EDQUOT)
				return FAULT_FULL;
			if (e == EROFS || e == EACCES || e == EPERM)
				return FAULT_READ_ONLY;
		}
		return FAULT_IO;
	}
}

static const char *const fault_texts[FAULTS] = {
	[FAULT_LOCKED] = "is locked by another process",
	[FAULT_FULL] = "cannot be written: no space left",
	[FAULT_READ_ONLY] = "cannot be written: read-only",
	[FAULT_IO] = "fails",
	[FAULT_CORRUPT] = "is corrupt",
	[FAULT_GONE] = "was removed while in use",
	[FAULT_MEMORY] = "fails: no memory",
	[FAULT_VERSION] = "is not of this version",
	[FAULT_QUEUE] = "is too slow: updates are being dropped",
};

void
fault_raise(struct store *s, enum side side, enum fault f, const char *detail)
{
	bool known;
	char text[600];

	pthread_mutex_lock(&s->lock);
	known = ((s->faults[SIDE_WRITE] | s->faults[SIDE_READ]) >> f & 1) != 0;
	s->faults[side] |= 1u << f;
	pthread_mutex_unlock(&s->lock);
	if (known || s->fault == NULL)
		return;
	snprintf(text, sizeof(text), "state database \"%s\" %s%s%s", s->path,
	    fault_texts[f], detail != NULL ? ": " : "",
	    detail != NULL ? detail : "");
	s->fault(s->fault_context, text);
}

void
fault_heal(struct store *s, enum side side)
{
	bool healed;
	uint64_t dropped = 0;
	char text[600];

	pthread_mutex_lock(&s->lock);
	healed = s->faults[side] != 0 && s->faults[!side] == 0;
	s->faults[side] = 0;
	if (healed) {
		dropped = s->dropped;
		s->dropped = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (!healed || s->fault == NULL)
		return;
	snprintf(text, sizeof(text),
	    "state database \"%s\" works again, %llu updates were lost", s->path,
	    (unsigned long long)dropped);
	s->fault(s->fault_context, text);
}

int
store_error(struct error *err, sqlite3 *db, int code, const char *what)
{
	static const int errnos[FAULTS] = {
		[FAULT_LOCKED] = EAGAIN, [FAULT_FULL] = ENOSPC,
		[FAULT_READ_ONLY] = EROFS, [FAULT_IO] = EIO,
		[FAULT_CORRUPT] = EBADMSG, [FAULT_GONE] = EAGAIN,
		[FAULT_MEMORY] = ENOMEM, [FAULT_VERSION] = ENOTSUP,
		[FAULT_QUEUE] = EAGAIN,
	};

	return error_set(err, -errnos[fault_of(code, db)], "%s: %s", what,
	    db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}
