/*
 * kernel - the kernel's side of the bans: ipsets and own addresses.
 *
 * Changes go through libipset, which speaks netlink and starts no program;
 * reading a set goes through libmnl, piece by piece, so that a set of a
 * million entries does not keep clients waiting. Nothing else of the network
 * is touched. A struct ban_kernel belongs to one thread.
 */
#ifndef BAN_KERNEL_H
#define BAN_KERNEL_H

#include "ban/ban.h"
#include "ban/table.h"

struct ban_kernel;

/* What looking at one set found. */
enum ban_set_state {
	BAN_SET_FINE,
	BAN_SET_MISSING,
	BAN_SET_OTHER_SHAPE, /* hash:net, but no timeout, counters or room */
	BAN_SET_FOREIGN,     /* another type or family */
};

struct ban_set_info {
	enum ban_set_state state;
	uint32_t entries, max_entries, references;
	char type[32];
};

int ban_kernel_open(uint32_t max_entries, struct ban_kernel **ret_kernel,
    struct error *err);
void ban_kernel_close(struct ban_kernel *k);

/* 0 or a negative errno (-EPERM: no CAP_NET_ADMIN) */
int ban_kernel_look(struct ban_kernel *k, unsigned set,
    struct ban_set_info *ret, struct error *err);
/* Creates the set, empty, with room for so many at once. */
int ban_kernel_create(struct ban_kernel *k, unsigned set, size_t expected,
    struct error *err);
/* For a set of another shape or type: a fresh one takes its name;
 * firewall rules keep working where the kernel allows the exchange,
 * else -EBUSY and nothing has changed. The new set is empty. */
int ban_kernel_replace(struct ban_kernel *k, unsigned set,
    bool same_type, size_t expected, struct error *err);

/* One change, at once. An entry that is there already gets the new timeout;
 * deleting what is not there is no error. */
int ban_kernel_add(struct ban_kernel *k, unsigned set,
    const struct network *net, uint32_t timeout_sec, struct error *err);
int ban_kernel_del(struct ban_kernel *k, unsigned set,
    const struct network *net, struct error *err);
/* Many additions: collected in large messages until ban_kernel_flush(); an
 * error may belong to any addition since the last flush. */
int ban_kernel_add_later(struct ban_kernel *k, unsigned set,
    const struct network *net, uint32_t timeout_sec, struct error *err);
int ban_kernel_flush(struct ban_kernel *k, struct error *err);

/* Reading a set: start, then read whenever the descriptor is readable. One
 * at a time. read: 1 more to come, 0 done, or a negative errno. */
struct ban_kernel_entry {
	struct network net;
	uint32_t timeout_sec;
	uint64_t packets, bytes;
};
int ban_kernel_dump_start(struct ban_kernel *k, unsigned set,
    struct error *err);
int ban_kernel_dump_fd(const struct ban_kernel *k); /* -1: none is going on */
int ban_kernel_dump_read(struct ban_kernel *k,
    void (*fn)(void *context, const struct ban_kernel_entry *e),
    void *context, struct error *err);

/* This host's own addresses, all interfaces; appended to *ret. */
int ban_kernel_own_addresses(struct netset *ret, struct error *err);
/* A descriptor that becomes readable when they change; drain it. */
int ban_kernel_watch_addresses(struct error *err);
bool ban_kernel_drain_watch(int fd);

#endif
