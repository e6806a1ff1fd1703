/*
 * listener - the lock that lets one daemon run, the directories that must be
 * there, and the milter's socket with the rights that Postfix needs.
 *
 * All of it happens before privileges are dropped.
 */
#ifndef MILTER_LISTENER_H
#define MILTER_LISTENER_H

#include "milter/privilege.h"
#include "milter/settings.h"

/* Makes dir (one level) for user:group if it is missing. 0 or -errno */
int listener_make_dir(const char *dir, uid_t uid, gid_t gid, mode_t mode,
    struct error *err);
/* state_dir/spamscored.lock, held until the process ends.
 * 0; -EBUSY: another daemon has it; -errno */
int listener_lock(const char *state_dir, const struct privilege_user *user,
    struct error *err);
/* Opens the socket that libmilter will listen on. After callbacks_register().
 * user NULL: not root, nothing is given away. *ret_path: what to unlink at
 * the end (static), NULL for TCP. 0 or -errno */
int listener_open(const struct milter_settings *settings,
    const struct privilege_user *user, const char **ret_path,
    struct error *err);

#endif
