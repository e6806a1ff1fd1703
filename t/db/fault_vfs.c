#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "t/db/fault_vfs.h"

atomic_int fault_now;
atomic_long fault_after, fault_struck;

struct fault_file {
	sqlite3_file base;
	bool database; /* the main file, not WAL or journal */
	/* the real file follows */
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *
real(sqlite3_file *f)
{
	return (sqlite3_file *)((char *)f + sizeof(struct fault_file));
}

static bool
strikes(enum fault_kind kind)
{
	if (atomic_load(&fault_now) != (int)kind)
		return false;
	if (atomic_fetch_sub(&fault_after, 1) > 0)
		return false;
	atomic_fetch_add(&fault_struck, 1);
	return true;
}

static int
file_close(sqlite3_file *f)
{
	return real(f)->pMethods != NULL ? real(f)->pMethods->xClose(real(f)) :
					   SQLITE_OK;
}

static int
file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	int rc;

	if (strikes(FAULT_READ_ERROR))
		return SQLITE_IOERR_READ;
	rc = real(f)->pMethods->xRead(real(f), p, n, at);
	/* the first page is spared: what is damaged is found on the way */
	if (rc == SQLITE_OK && ((struct fault_file *)f)->database &&
	    at >= 4096 && strikes(FAULT_READ_GARBAGE))
		memset(p, 0xA5, (size_t)n);
	return rc;
}

static int
file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (strikes(FAULT_WRITE_FULL))
		return SQLITE_FULL;
	if (strikes(FAULT_WRITE_ERROR))
		return SQLITE_IOERR_WRITE;
	if (strikes(FAULT_OPEN_READONLY))
		return SQLITE_READONLY;
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real(f)->pMethods->xTruncate(real(f), size);
}

static int
file_sync(sqlite3_file *f, int flags)
{
	if (strikes(FAULT_SYNC_ERROR))
		return SQLITE_IOERR_FSYNC;
	return real(f)->pMethods->xSync(real(f), flags);
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real(f)->pMethods->xFileSize(real(f), size);
}

static int
file_lock(sqlite3_file *f, int level)
{
	if (strikes(FAULT_LOCK_BUSY))
		return SQLITE_BUSY;
	return real(f)->pMethods->xLock(real(f), level);
}

static int
file_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int
file_reserved(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int
file_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int
file_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int
file_device(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int
shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int
shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	/* a neighbour that writes; one that has all for itself is met when
	 * opening (file_lock) */
	if ((flags & SQLITE_SHM_LOCK) && (flags & SQLITE_SHM_EXCLUSIVE) &&
	    strikes(FAULT_LOCK_BUSY))
		return SQLITE_BUSY;
	return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void
shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int
shm_unmap(sqlite3_file *f, int remove)
{
	return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_device,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

static int
vfs_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags,
    int *out_flags)
{
	struct fault_file *file = (struct fault_file *)f;
	int rc;

	(void)v;
	f->pMethods = NULL;
	if (strikes(FAULT_OPEN_ERROR))
		return SQLITE_CANTOPEN;
	rc = real_vfs->xOpen(real_vfs, name, real(f), flags, out_flags);
	if (rc != SQLITE_OK)
		return rc;
	file->database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	f->pMethods = &methods;
	return SQLITE_OK;
}

int
fault_vfs_register(void)
{
	static sqlite3_vfs vfs;

	real_vfs = sqlite3_vfs_find(NULL);
	if (real_vfs == NULL)
		return SQLITE_ERROR;
	/* all that is not ours works as in the system's, with its own data */
	vfs = *real_vfs;
	vfs.zName = "fault";
	vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
	vfs.xOpen = vfs_open;
	vfs.pNext = NULL;
	return sqlite3_vfs_register(&vfs, 1);
}
