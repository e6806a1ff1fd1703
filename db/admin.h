/*
 * admin - the state database as a file: check, copy, write out, read in.
 *
 * check, backup and export read beside a running daemon. import needs the
 * store open for writing and is one transaction: all of it or nothing. The
 * text form is a JSON object a line, the first {"spamscore_db": VERSION},
 * then {"table": NAME, "row": [...]}; blobs are {"hex": "..."}.
 */
#ifndef DB_ADMIN_H
#define DB_ADMIN_H

#include <stdio.h>

#include "db/store.h"

typedef void store_check_fn(void *context, const char *text);
/* 0: sound; -EBADMSG: not, each finding told; -EINVAL: of another version;
 * -ENOENT, -errno. */
int store_check(const char *path, store_check_fn *fn, void *context,
    struct error *err);
/* A complete copy at `to`, which appears at once or not at all; mode 0600. */
int store_backup(const char *path, const char *to, struct error *err);
/* -EBADMSG: a damaged file; what could be read is written, and the text
 * names the tables that are not whole. -EINVAL: of another version. */
int store_export(const char *path, FILE *out, struct error *err);
/* Rows replace those of the same key. -EINVAL names the line. */
int store_import(struct store *s, FILE *in, size_t *ret_rows,
    struct error *err);

#endif
