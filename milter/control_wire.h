/*
 * control_wire - lines and counted bytes over a stream socket, with bounds.
 * Private to the control socket's two ends (milter/control.h).
 */
#ifndef MILTER_CONTROL_WIRE_H
#define MILTER_CONTROL_WIRE_H

#include "base/buf.h"
#include "milter/control.h"

struct wire {
	int fd;
	struct buf in;
	size_t used; /* of in */
};

void wire_init(struct wire *w, int fd, size_t max_bytes);
void wire_done(struct wire *w);
/* Without its end; valid until the next read. 0; -ENODATA: the other side is
 * done; -EMSGSIZE; -ETIMEDOUT; -EPIPE (cut short); -errno */
int wire_read_line(struct wire *w, size_t max_bytes, struct span *ret_line);
int wire_read_bytes(struct wire *w, size_t n, struct span *ret_bytes);
int wire_write(int fd, const void *p, size_t n);
int wire_write_json(int fd, const json_t *object);
int wire_timeout(int fd, int seconds);

#endif
