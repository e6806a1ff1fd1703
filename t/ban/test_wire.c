#include <errno.h>

#include "ban/wire.h"
#include "t/tap.h"

static struct ban_request
legal(enum ban_op op)
{
	struct ban_request q = { .op = op, .id = 42 };
	struct netaddr a = { 4, { 203, 0, 113, 9 } };

	switch (op) {
	case BAN_OP_ADD:
		q.ttl_sec = 60;
		strcpy(q.label, "sshd");
		strcpy(q.reason, "why \xFF");
		/* fallthrough */
	case BAN_OP_DEL:
	case BAN_OP_CHECK:
		q.scope = BAN_BOTH;
		/* fallthrough */
	case BAN_OP_CONFIRM:
	case BAN_OP_ALLOW:
	case BAN_OP_HISTORY:
		q.net = network_of(&a, 32);
		break;
	case BAN_OP_LIST:
		q.scope = BAN_MAIL;
		break;
	default:
		break;
	}
	return q;
}

static int
decode(const struct ban_request *q, struct ban_request *ret)
{
	unsigned char packet[BAN_REQUEST_SIZE];

	ban_request_encode(q, packet);
	return ban_request_decode(packet, sizeof(packet), ret, NULL);
}

/* Every field that an op has no use for must be empty. */
static void
test_table(void)
{
	struct ban_request q, r;

	for (int op = BAN_OP_PING; op < BAN_OP_COUNT; op++) {
		bool net = op == BAN_OP_ADD || op == BAN_OP_DEL ||
		    op == BAN_OP_CHECK || op == BAN_OP_CONFIRM ||
		    op == BAN_OP_ALLOW;
		char label[64];

		q = legal((enum ban_op)op);
		snprintf(label, sizeof(label), "%s: legal", ban_op_name(q.op));
		tap_is_int(decode(&q, &r), 0, label);
		snprintf(label, sizeof(label), "%s: survives", ban_op_name(q.op));
		tap_ok(memcmp(&q, &r, sizeof(q)) == 0, "%s", label);
		if (net) {
			memset(&q.net, 0, sizeof(q.net));
			tap_is_int(decode(&q, &r), -EBADMSG, "no address");
		} else if (op != BAN_OP_HISTORY) {
			q.net = legal(BAN_OP_ADD).net;
			tap_is_int(decode(&q, &r), -EBADMSG, "an address too many");
		}
		q = legal((enum ban_op)op);
		if (op != BAN_OP_ADD && op != BAN_OP_DEL && op != BAN_OP_FLUSH) {
			strcpy(q.label, "x");
			tap_is_int(decode(&q, &r), -EBADMSG, "a label too many");
		}
		q = legal((enum ban_op)op);
		if (op != BAN_OP_ADD) {
			strcpy(q.reason, "x");
			tap_is_int(decode(&q, &r), -EBADMSG, "a reason too many");
		}
		q = legal((enum ban_op)op);
		if (op != BAN_OP_DEL) {
			q.flags = 1;
			tap_is_int(decode(&q, &r), -EBADMSG, "a flag too many");
		}
		q = legal((enum ban_op)op);
		if (op != BAN_OP_HISTORY) {
			q.limit = 1;
			tap_is_int(decode(&q, &r), -EBADMSG, "a limit too many");
		}
		q = legal((enum ban_op)op);
		q.ttl_sec = -1;
		tap_is_int(decode(&q, &r), -EBADMSG, "negative time");
		q.ttl_sec = INT64_MAX;
		if (op != BAN_OP_CONFIRM)
			tap_is_int(decode(&q, &r), -EBADMSG, "endless time");
		q = legal((enum ban_op)op);
		q.scope = 4;
		tap_is_int(decode(&q, &r), -EBADMSG, "scope 4");
	}
}

static void
test_bytes(void)
{
	unsigned char good[BAN_REQUEST_SIZE + 1] = { 0 }, bad[BAN_REQUEST_SIZE];
	struct ban_request q = legal(BAN_OP_ADD), r;
	static const struct {
		const char *label;
		size_t at;
		unsigned char value;
	} cases[] = {
		{ "magic", 0, 0 }, { "version", 4, 2 }, { "op 0", 6, 0 },
		{ "op beyond", 6, BAN_OP_COUNT }, { "op huge", 7, 1 },
		{ "family 5", 16, 5 }, { "prefix 33", 17, 33 },
		{ "bytes behind an IPv4 address", 36, 1 },
		{ "bytes behind the label", 70, 'x' },
		{ "bytes behind the reason", 200, 'x' },
		{ "label with a slash", 49, '/' }, { "label with a space", 49, ' ' },
		{ "reserved first", 208, 1 }, { "reserved last", 255, 1 },
		{ "flag 2", 19, 2 }, { "scope 0", 18, 0 },
	};
	size_t wrong = 0;

	ban_request_encode(&q, good);
	for (size_t n = 0; n <= sizeof(good); n++)
		if ((ban_request_decode(good, n, &r, NULL) == 0) !=
		    (n == BAN_REQUEST_SIZE))
			wrong++;
	tap_is_int((long long)wrong, 0, "only the full size is legal");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bad, good, sizeof(bad));
		bad[cases[i].at] = cases[i].value;
		tap_is_int(ban_request_decode(bad, sizeof(bad), &r, NULL), -EBADMSG,
		    cases[i].label);
	}
	memset(good + 80, 'x', BAN_REASON_SIZE);
	tap_is_int(ban_request_decode(good, BAN_REQUEST_SIZE, &r, NULL), -EBADMSG,
	    "a reason without its end");
}

static void
test_reply(void)
{
	struct ban_reply a = { .op = BAN_OP_LIST, .id = 1ull << 63,
		.result = BAN_FAILED, .event = BAN_EVENT_LIFTED,
		.flags = BAN_REP_MORE }, b;
	unsigned char packet[BAN_REPLY_SIZE];

	a.entry.net = legal(BAN_OP_ADD).net;
	a.entry.scope = BAN_HOST;
	a.entry.remaining_sec = -5;
	a.entry.first_time = 1;
	a.entry.last_time = 2;
	a.entry.packets = UINT64_MAX;
	a.entry.count = UINT32_MAX;
	strcpy(a.entry.source, "milter");
	strcpy(a.entry.label, "l");
	memset(a.entry.reason, 'r', BAN_REASON_SIZE - 1);
	ban_reply_encode(&a, packet);
	tap_is_int(ban_reply_decode(packet, sizeof(packet), &b, NULL), 0,
	    "a reply is read back");
	tap_ok(memcmp(&a, &b, sizeof(a)) == 0, "unchanged");
	packet[20] = BAN_FAILED + 1;
	tap_is_int(ban_reply_decode(packet, sizeof(packet), &b, NULL), -EBADMSG,
	    "an unknown result is not taken for one");
	tap_is_int(ban_reply_decode(packet, 10, &b, NULL), -EBADMSG, "short reply");
}

static void
test_names(void)
{
	enum ban_scope scope;

	tap_ok(ban_scope_parse("host", &scope) && scope == BAN_HOST, "host");
	tap_ok(!ban_scope_parse("hosts", &scope), "not hosts");
	tap_ok(ban_label_ok(SPAN_LIT("sshd-2_x.y")), "label");
	tap_ok(!ban_label_ok(SPAN_LIT("0123456789012345678901234567890z")),
	    "a label of 32 is too long");
	tap_is_str(ban_result_name(BAN_REFUSED_PROTECTED), "refused-protected",
	    "result name");
	tap_is_int(ban_request_right(&(struct ban_request){ .op = BAN_OP_DEL,
	    .flags = BAN_REQ_EVERYTHING }), BAN_RIGHT_DEL | BAN_RIGHT_DEL_ALL,
	    "to end others' bans is a right of its own");
}

int
main(void)
{
	test_table();
	test_bytes();
	test_reply();
	test_names();
	return tap_done();
}
