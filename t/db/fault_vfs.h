/*
 * fault_vfs - an SQLite VFS over the system's that fails on command: no
 * space, read-only, I/O errors, locks that others hold, bytes that come back
 * otherwise than they were written. For tests of the store.
 */
#ifndef T_DB_FAULT_VFS_H
#define T_DB_FAULT_VFS_H

#include <stdatomic.h>
#include <stdbool.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_WRITE_FULL,    /* writes and growth: SQLITE_FULL */
	FAULT_WRITE_ERROR,   /* SQLITE_IOERR_WRITE */
	FAULT_SYNC_ERROR,    /* SQLITE_IOERR_FSYNC */
	FAULT_READ_ERROR,    /* SQLITE_IOERR_READ */
	FAULT_READ_GARBAGE,  /* pages of the database come back as 0xA5 */
	FAULT_OPEN_ERROR,    /* SQLITE_CANTOPEN */
	FAULT_OPEN_READONLY, /* opens, but not for writing */
	FAULT_LOCK_BUSY,     /* every lock is another's */
};

/* Which fault there is now, and after how many more calls it begins. */
extern atomic_int fault_now;
extern atomic_long fault_after;
/* How often it struck. */
extern atomic_long fault_struck;

/* Makes it the default VFS. */
int fault_vfs_register(void);

#endif
