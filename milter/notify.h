/*
 * notify - tells systemd how the daemon fares (the sd_notify protocol): one
 * datagram to $NOTIFY_SOCKET. Without that variable nothing happens.
 */
#ifndef MILTER_NOTIFY_H
#define MILTER_NOTIFY_H

/* Remembers $NOTIFY_SOCKET and takes it out of the environment. */
void notify_init(void);
/* state: "READY=1" and the like, several joined by "\n" */
void notify_send(const char *state);

#endif
