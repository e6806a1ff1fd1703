/*
 * wire - the packets between a source and the ban helper.
 *
 * Pure: bytes to struct and back, no I/O, no memory of its own. All integers
 * are in host order, because both ends are on one host. The decoder of
 * requests takes every byte for hostile: it accepts exactly what the table
 * of legal requests allows and says what is wrong with all else, upon which
 * the helper ends the connection. Unused bytes must be zero, so that they
 * can get a meaning later.
 *
 * Request, 256 bytes        Reply, 384 bytes
 *   0  u32 magic "SSBq"       0  u32 magic "SSBr"
 *   4  u16 version 1          4  u16 version 1
 *   6  u16 op                 6  u16 op
 *   8  u64 id, returned       8  u64 id
 *  16  u8 family 0,4,6       16  u8 family
 *  17  u8 prefix length      17  u8 prefix length
 *  18  u8 scope 0..3         18  u8 scope
 *  19  u8 flags              19  u8 flags
 *  20  u32 limit             20  u16 result, 22 u8 event, 23 zero
 *  24  i64 ttl or time       24  i64 remaining seconds
 *  32  16 bytes address      32  16 bytes address
 *  48  32 bytes label        48  i64 first, 56 i64 last, 64 u64 packets
 *  80 128 bytes reason       72  u32 count, 76 zero
 * 208  48 bytes zero         80  32 bytes source, 112 32 bytes label
 *                           144 128 bytes reason, 272 zero
 */
#ifndef BAN_WIRE_H
#define BAN_WIRE_H

#include "ban/ban.h"

enum { BAN_REQUEST_SIZE = 256, BAN_REPLY_SIZE = 384 };
#define BAN_REQUEST_MAGIC 0x71425353u
#define BAN_REPLY_MAGIC 0x72425353u
#define BAN_WIRE_VERSION 1u

enum ban_op {
	BAN_OP_PING = 1,
	BAN_OP_ADD,
	BAN_OP_DEL,
	BAN_OP_CHECK,
	BAN_OP_LIST,
	BAN_OP_HISTORY,
	BAN_OP_FLUSH,
	BAN_OP_CONFIRM,
	BAN_OP_ALLOW,
	BAN_OP_STATUS,
	BAN_OP_COUNT
};

/* what a source may be allowed, a bit each */
enum ban_right {
	BAN_RIGHT_PING = 1 << 0, /* and status: every source */
	BAN_RIGHT_ADD = 1 << 1,
	BAN_RIGHT_DEL = 1 << 2, /* its own claims; flush too */
	BAN_RIGHT_CHECK = 1 << 3,
	BAN_RIGHT_LIST = 1 << 4, /* history too */
	BAN_RIGHT_CONFIRM = 1 << 5,
	BAN_RIGHT_ALLOW = 1 << 6,
	BAN_RIGHT_DEL_ALL = 1 << 7, /* everybody's claims */
};

enum { BAN_REQ_EVERYTHING = 1 };		/* request flags */
enum { BAN_REP_MORE = 1, BAN_REP_SIMULATED = 2 }; /* reply flags */

/* Longest ban that can be asked for: ten years. Policy allows less. */
#define BAN_TTL_MAX_SEC (10LL * 366 * 86400)

struct ban_request {
	enum ban_op op;
	uint64_t id;
	struct network net; /* addr.family 0: none */
	unsigned scope;	    /* enum ban_scope bits, or 0 */
	unsigned flags;
	uint32_t limit;
	int64_t ttl_sec; /* confirm: unix seconds */
	char label[BAN_NAME_SIZE];
	char reason[BAN_REASON_SIZE]; /* may hold anything but a NUL */
};

struct ban_reply {
	enum ban_op op;
	uint64_t id;
	enum ban_result result;
	enum ban_event event;
	unsigned flags;
	struct ban_entry entry; /* net.addr.family 0: none */
};

const char *ban_op_name(enum ban_op op);
/* The right that a request needs. */
unsigned ban_request_right(const struct ban_request *q);

/* 0, or -EBADMSG with the reason in err: no legal request. */
int ban_request_decode(const void *packet, size_t n, struct ban_request *ret,
    struct error *err);
void ban_request_encode(const struct ban_request *q,
    unsigned char out[BAN_REQUEST_SIZE]);
int ban_reply_decode(const void *packet, size_t n, struct ban_reply *ret,
    struct error *err);
void ban_reply_encode(const struct ban_reply *r,
    unsigned char out[BAN_REPLY_SIZE]);

bool ban_label_ok(struct span label); /* [A-Za-z0-9_.-]{0,31} */

#endif
