/*
 * daemon - the life of spamscored: start as root or not, open the socket,
 * become the user, load, serve, reload, stop.
 */
#ifndef MILTER_DAEMON_H
#define MILTER_DAEMON_H

#include "milter/snapshot.h"

struct daemon_options {
	struct snapshot_options load;
	bool foreground;
	bool syslog; /* in the foreground too, once it is ready */
};

/* Runs until it is told to stop; returns an exit code of sysexits(3). */
int daemon_run(const struct daemon_options *options);

#endif
