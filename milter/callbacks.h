/*
 * callbacks - libmilter's side of a session: arguments and macros in, replies
 * and header edits out. Decides nothing.
 */
#ifndef MILTER_CALLBACKS_H
#define MILTER_CALLBACKS_H

#include "milter/server.h"

/* Registers the filter with libmilter for this server, which must live as
 * long as the process. false: libmilter refused. */
bool callbacks_register(struct server *server, bool unix_socket);

#endif
