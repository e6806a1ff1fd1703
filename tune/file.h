/*
 * file - whole files in and out. A file is replaced atomically and durably:
 * whatever ends the program, at any moment, leaves the old bytes or the new.
 */
#ifndef TUNE_FILE_H
#define TUNE_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* A regular file, into *ret_bytes (initialised; its cap is the limit).
 * 0; -ENOENT; -EINVAL: no regular file; -EFBIG; -ENOMEM; -errno. */
int file_read(const char *path, struct buf *ret_bytes, struct error *err);

/* Called with the path of the bytes before they take the file's place;
 * negative: they do not. */
typedef int file_check(void *context, const char *path, struct error *err);

/* 0; -ENOTSUP: there is something that is no regular file; -errno. Nothing is
 * left behind by a failure; what a kill leaves, a hidden file, is removed by
 * the next call for the same path. */
int file_replace(const char *path, struct span bytes, mode_t mode,
    struct error *err);
/* The same, checked before. */
int file_replace_checked(const char *path, struct span bytes, mode_t mode,
    file_check *check, void *context, struct error *err);

#endif
