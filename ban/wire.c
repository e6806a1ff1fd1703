#include "ban/wire.h"

#include <errno.h>
#include <string.h>

/* What may stand in a request, an op a line; all else ends the connection. */
struct op_rule {
	const char *name;
	unsigned right;
	enum { NO, MAY, MUST } net, scope;
	bool ttl, label, reason, limit;
	unsigned flags;
};

static const struct op_rule op_rules[BAN_OP_COUNT] = {
	[BAN_OP_PING] = { "ping", BAN_RIGHT_PING, NO, NO },
	[BAN_OP_ADD] = { "add", BAN_RIGHT_ADD, MUST, MUST, .ttl = true,
	    .label = true, .reason = true },
	[BAN_OP_DEL] = { "del", BAN_RIGHT_DEL, MUST, MUST, .label = true,
	    .flags = BAN_REQ_EVERYTHING },
	[BAN_OP_CHECK] = { "check", BAN_RIGHT_CHECK, MUST, MUST },
	[BAN_OP_LIST] = { "list", BAN_RIGHT_LIST, NO, MUST },
	[BAN_OP_HISTORY] = { "history", BAN_RIGHT_LIST, MAY, NO,
	    .limit = true },
	[BAN_OP_FLUSH] = { "flush", BAN_RIGHT_DEL, NO, NO, .label = true },
	[BAN_OP_CONFIRM] = { "confirm", BAN_RIGHT_CONFIRM, MUST, NO,
	    .ttl = true },
	[BAN_OP_ALLOW] = { "allow", BAN_RIGHT_ALLOW, MUST, NO, .ttl = true },
	[BAN_OP_STATUS] = { "status", BAN_RIGHT_PING, NO, NO },
};

const char *
ban_op_name(enum ban_op op)
{
	if ((unsigned)op >= BAN_OP_COUNT || op_rules[op].name == NULL)
		return "?";
	return op_rules[op].name;
}

const char *
ban_result_name(enum ban_result r)
{
	static const char *const names[] = {
		[BAN_OK] = "ok",
		[BAN_NOT_BANNED] = "not-banned",
		[BAN_REFUSED_ALLOWED] = "refused-allowed",
		[BAN_REFUSED_PROTECTED] = "refused-protected",
		[BAN_REFUSED_LIMIT] = "refused-limit",
		[BAN_REFUSED_RIGHTS] = "refused-rights",
		[BAN_REFUSED_INVALID] = "refused-invalid",
		[BAN_FAILED] = "failed",
	};

	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "?";
}

const char *
ban_event_name(enum ban_event e)
{
	static const char *const names[] = {
		[BAN_EVENT_BAN] = "ban",
		[BAN_EVENT_UNBAN] = "unban",
		[BAN_EVENT_REFUSED] = "refused",
		[BAN_EVENT_EXPIRED] = "expired",
		[BAN_EVENT_LIFTED] = "lifted",
		[BAN_EVENT_WOULD_BAN] = "would-ban",
	};

	return (unsigned)e < sizeof(names) / sizeof(names[0]) ? names[e] : "?";
}

const char *
ban_scope_name(enum ban_scope scope)
{
	switch (scope) {
	case BAN_MAIL:
		return "mail";
	case BAN_HOST:
		return "host";
	case BAN_BOTH:
		return "both";
	}
	return "?";
}

bool
ban_scope_parse(const char *text, enum ban_scope *ret_scope)
{
	for (int s = BAN_MAIL; s <= BAN_BOTH; s++)
		if (strcmp(text, ban_scope_name((enum ban_scope)s)) == 0) {
			*ret_scope = (enum ban_scope)s;
			return true;
		}
	return false;
}

unsigned
ban_request_right(const struct ban_request *q)
{
	unsigned right = op_rules[q->op].right;

	if (q->flags & BAN_REQ_EVERYTHING)
		right |= BAN_RIGHT_DEL_ALL;
	return right;
}

bool
ban_label_ok(struct span label)
{
	if (label.len >= BAN_NAME_SIZE)
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
			return false;
	}
	return true;
}

static uint16_t
get16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t
get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void
put16(unsigned char *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void
put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void
put64(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

static bool
all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* A string field: text, a NUL, and nothing but NULs behind it. */
static bool
get_text(const unsigned char *p, size_t size, char *out)
{
	const unsigned char *end = memchr(p, 0, size);

	if (end == NULL || !all_zero(end, size - (size_t)(end - p)))
		return false;
	memcpy(out, p, size);
	return true;
}

static void
put_text(unsigned char *p, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);

	memcpy(p, text, n);
	memset(p + n, 0, size - n);
}

/* Family, prefix and address at their places, the same in both packets.
 * Host bits may be set: the helper masks. */
static bool
get_net(const unsigned char *p, struct network *ret)
{
	unsigned family = p[16], prefix = p[17];
	size_t used = family == 4 ? 4 : family == 6 ? 16 : 0;

	memset(ret, 0, sizeof(*ret));
	if (family != 0 && used == 0)
		return false;
	if (prefix > used * 8 || !all_zero(p + 32 + used, 16 - used))
		return false;
	ret->addr.family = (uint8_t)family;
	memcpy(ret->addr.bytes, p + 32, used);
	ret->prefix_len = (uint8_t)prefix;
	return true;
}

static void
put_net(unsigned char *p, const struct network *net)
{
	size_t used = net->addr.family == 4 ? 4 : net->addr.family == 6 ? 16 : 0;

	p[16] = net->addr.family;
	p[17] = used != 0 ? net->prefix_len : 0;
	memcpy(p + 32, net->addr.bytes, used);
}

int
ban_request_decode(const void *packet, size_t n, struct ban_request *ret,
    struct error *err)
{
	const unsigned char *p = packet;
	const struct op_rule *rule;
	unsigned op;

	memset(ret, 0, sizeof(*ret));
	if (n != BAN_REQUEST_SIZE)
		return error_set(err, -EBADMSG, "size %zu", n);
	if (get32(p) != BAN_REQUEST_MAGIC || get16(p + 4) != BAN_WIRE_VERSION)
		return error_set(err, -EBADMSG, "magic or version");
	op = get16(p + 6);
	if (op >= BAN_OP_COUNT || op_rules[op].name == NULL)
		return error_set(err, -EBADMSG, "op %u", op);
	rule = &op_rules[op];
	ret->op = (enum ban_op)op;
	ret->id = get64(p + 8);
	if (!get_net(p, &ret->net))
		return error_set(err, -EBADMSG, "%s: address", rule->name);
	if (ret->net.addr.family == 0 ? rule->net == MUST : rule->net == NO)
		return error_set(err, -EBADMSG, "%s: address where none may be "
		    "or none where one must", rule->name);
	ret->scope = p[18];
	if (ret->scope > BAN_BOTH ||
	    (ret->scope == 0 ? rule->scope == MUST : rule->scope == NO))
		return error_set(err, -EBADMSG, "%s: scope", rule->name);
	ret->flags = p[19];
	if ((ret->flags & ~rule->flags) != 0)
		return error_set(err, -EBADMSG, "%s: flags", rule->name);
	ret->limit = get32(p + 20);
	if (ret->limit != 0 && !rule->limit)
		return error_set(err, -EBADMSG, "%s: limit", rule->name);
	ret->ttl_sec = (int64_t)get64(p + 24);
	if (ret->ttl_sec < 0 || (!rule->ttl && ret->ttl_sec != 0) ||
	    (op != BAN_OP_CONFIRM && ret->ttl_sec > BAN_TTL_MAX_SEC))
		return error_set(err, -EBADMSG, "%s: time", rule->name);
	if (!get_text(p + 48, BAN_NAME_SIZE, ret->label) ||
	    !ban_label_ok(span_cstr(ret->label)) ||
	    (!rule->label && ret->label[0] != '\0'))
		return error_set(err, -EBADMSG, "%s: label", rule->name);
	if (!get_text(p + 80, BAN_REASON_SIZE, ret->reason) ||
	    (!rule->reason && ret->reason[0] != '\0'))
		return error_set(err, -EBADMSG, "%s: reason", rule->name);
	if (!all_zero(p + 208, BAN_REQUEST_SIZE - 208))
		return error_set(err, -EBADMSG, "%s: reserved bytes", rule->name);
	return 0;
}

void
ban_request_encode(const struct ban_request *q,
    unsigned char out[BAN_REQUEST_SIZE])
{
	memset(out, 0, BAN_REQUEST_SIZE);
	put32(out, BAN_REQUEST_MAGIC);
	put16(out + 4, BAN_WIRE_VERSION);
	put16(out + 6, (uint16_t)q->op);
	put64(out + 8, q->id);
	put_net(out, &q->net);
	out[18] = (unsigned char)q->scope;
	out[19] = (unsigned char)q->flags;
	put32(out + 20, q->limit);
	put64(out + 24, (uint64_t)q->ttl_sec);
	put_text(out + 48, BAN_NAME_SIZE, q->label);
	put_text(out + 80, BAN_REASON_SIZE, q->reason);
}

int
ban_reply_decode(const void *packet, size_t n, struct ban_reply *ret,
    struct error *err)
{
	const unsigned char *p = packet;
	struct ban_entry *e = &ret->entry;

	memset(ret, 0, sizeof(*ret));
	if (n != BAN_REPLY_SIZE || get32(p) != BAN_REPLY_MAGIC ||
	    get16(p + 4) != BAN_WIRE_VERSION)
		return error_set(err, -EBADMSG, "ban helper: not a reply");
	ret->op = (enum ban_op)get16(p + 6);
	ret->id = get64(p + 8);
	ret->result = (enum ban_result)get16(p + 20);
	ret->event = (enum ban_event)p[22];
	ret->flags = p[19];
	if (!get_net(p, &e->net) || p[18] > BAN_BOTH ||
	    ret->result > BAN_FAILED || ret->event > BAN_EVENT_WOULD_BAN ||
	    !get_text(p + 80, BAN_NAME_SIZE, e->source) ||
	    !get_text(p + 112, BAN_NAME_SIZE, e->label) ||
	    !get_text(p + 144, BAN_REASON_SIZE, e->reason))
		return error_set(err, -EBADMSG, "ban helper: garbled reply");
	e->scope = (enum ban_scope)p[18];
	e->remaining_sec = (int64_t)get64(p + 24);
	e->first_time = (int64_t)get64(p + 48);
	e->last_time = (int64_t)get64(p + 56);
	e->packets = get64(p + 64);
	e->count = get32(p + 72);
	return 0;
}

void
ban_reply_encode(const struct ban_reply *r, unsigned char out[BAN_REPLY_SIZE])
{
	const struct ban_entry *e = &r->entry;

	memset(out, 0, BAN_REPLY_SIZE);
	put32(out, BAN_REPLY_MAGIC);
	put16(out + 4, BAN_WIRE_VERSION);
	put16(out + 6, (uint16_t)r->op);
	put64(out + 8, r->id);
	put_net(out, &e->net);
	out[18] = (unsigned char)e->scope;
	out[19] = (unsigned char)r->flags;
	put16(out + 20, (uint16_t)r->result);
	out[22] = (unsigned char)r->event;
	put64(out + 24, (uint64_t)e->remaining_sec);
	put64(out + 48, (uint64_t)e->first_time);
	put64(out + 56, (uint64_t)e->last_time);
	put64(out + 64, e->packets);
	put32(out + 72, e->count);
	put_text(out + 80, BAN_NAME_SIZE, e->source);
	put_text(out + 112, BAN_NAME_SIZE, e->label);
	put_text(out + 144, BAN_REASON_SIZE, e->reason);
}
