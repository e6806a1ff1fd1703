/*
 * sandbox - how the ban helper gives up everything that it does not need.
 *
 * First the user: all identities and all capabilities but CAP_NET_ADMIN, for
 * good, and proved. Then, when everything is open: Landlock (the state
 * directory, the configuration read-only), resource limits, and a seccomp
 * allow-list without exec, and with netlink as the only family of sockets.
 * Each function returns 0 or a negative errno with a text; the caller must
 * not go on after a failure.
 */
#ifndef BAN_SANDBOX_H
#define BAN_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* As root: becomes uid and gid. As anybody else: stays, and must have
 * CAP_NET_ADMIN. need_cap false: not even that one is kept. */
int ban_sandbox_drop(uid_t uid, gid_t gid, bool need_cap, struct error *err);
/* Files and descriptors, of this thread and those that it starts. config may
 * be NULL. *ret_landlock: 0 if the kernel has no Landlock, which is no failure
 * but worth a line in the log. */
int ban_sandbox_confine_files(const char *state_dir, const char *config,
    size_t max_fds, int *ret_landlock, struct error *err);
/* System calls and memory, of all threads, and no new ones: the last step. */
int ban_sandbox_confine_calls(size_t max_bytes, struct error *err);

#endif
