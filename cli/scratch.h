/*
 * scratch - an empty database for the length of one run, thrown away at the
 * end: reputation as it grows when labels come one after another.
 */
#ifndef CLI_SCRATCH_H
#define CLI_SCRATCH_H

#include <limits.h>

#include "cli/cli.h"

struct scratch {
	struct store *store;
	char dir[PATH_MAX]; /* "" none */
};

/* EX_OK, or a complaint was printed. name: of the verb. */
int scratch_open(struct scratch *s, const char *name);
void scratch_close(struct scratch *s);

#endif
