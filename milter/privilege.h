/*
 * privilege - becomes the configured user for good, and proves it: after
 * privilege_drop() no way back to root is left, or the process must end.
 */
#ifndef MILTER_PRIVILEGE_H
#define MILTER_PRIVILEGE_H

#include <sys/types.h>

#include "base/error.h"

struct privilege_user {
	char name[64];
	uid_t uid;
	gid_t gid;
};

/* 0; -ENOENT: no such user; -EPERM: the user is root */
int privilege_find_user(const char *name, struct privilege_user *ret_user,
    struct error *err);
/* From root: groups, gid, uid. In any case: no capability, no new
 * privileges, and each way back is tried and must fail.
 * 0 or -errno; after a failure do not go on. */
int privilege_drop(const struct privilege_user *user, struct error *err);

#endif
