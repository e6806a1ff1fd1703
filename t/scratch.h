/*
 * scratch - a directory for one test program, in memory where there is some:
 * fsync is not what tests measure.
 */
#ifndef T_SCRATCH_H
#define T_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char scratch_dir[64];

static inline void
scratch_make(void)
{
	snprintf(scratch_dir, sizeof(scratch_dir), "%s/spamscore-test.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(scratch_dir) == NULL) {
		printf("Bail out! no directory for scratch files\n");
		exit(1);
	}
}

static inline int
scratch_remove_one(const char *path, const struct stat *st, int type,
    struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static inline void
scratch_remove(void)
{
	if (nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		printf("# %s stays behind\n", scratch_dir);
}

#endif
