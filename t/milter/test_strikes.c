#include "milter/strikes.h"
#include "t/tap.h"

static struct netaddr
addr(const char *text)
{
	struct netaddr a = { 0 };

	if (!netaddr_parse(span_cstr(text), &a))
		printf("# bad address in the test: %s\n", text);
	return a;
}

static bool
strike(struct strikes *s, const char *client, int64_t limit, int64_t at,
    char net[NETADDR_TEXT])
{
	struct netaddr a = addr(client);
	struct network n;

	if (!strikes_add(s, &a, limit, 1000, at, &n))
		return false;
	network_format(&n, net);
	return true;
}

static void
test_counting(void)
{
	struct strikes *s = strikes_new();
	char net[NETADDR_TEXT];

	tap_ok(!strike(s, "192.0.2.1", 3, 0, net), "first strike");
	tap_ok(!strike(s, "192.0.2.1", 3, 10, net), "second strike");
	tap_ok(!strike(s, "192.0.2.2", 3, 11, net), "another client counts apart");
	tap_ok(strike(s, "192.0.2.1", 3, 1000, net), "the third is the last");
	tap_is_str(net, "192.0.2.1", "an IPv4 address is reported alone");
	tap_ok(!strike(s, "192.0.2.1", 3, 1001, net), "the count begins anew");
	strikes_free(s);
}

static void
test_window(void)
{
	struct strikes *s = strikes_new();
	char net[NETADDR_TEXT];

	strike(s, "192.0.2.1", 3, 0, net);
	strike(s, "192.0.2.1", 3, 900, net);
	tap_ok(!strike(s, "192.0.2.1", 3, 1001, net), "0 ms is outside at 1001");
	tap_ok(strike(s, "192.0.2.1", 3, 1900, net), "900, 1001 and 1900 are inside");
	strikes_free(s);
}

static void
test_who(void)
{
	struct strikes *s = strikes_new();
	struct netaddr none = { 0 };
	struct network n;
	char net[NETADDR_TEXT];

	tap_ok(!strike(s, "2001:db8::1", 2, 0, net), "IPv6, one");
	tap_ok(strike(s, "2001:db8::ffff:2", 2, 1, net), "same /64, two");
	tap_is_str(net, "2001:db8::/64", "an IPv6 /64 is reported");
	tap_ok(!strike(s, "::ffff:192.0.2.9", 2, 1, net), "mapped IPv4, one");
	tap_ok(strike(s, "192.0.2.9", 2, 1, net), "and IPv4 are one client");
	tap_ok(!strike(s, "127.0.0.1", 1, 1, net), "loopback never");
	tap_ok(!strike(s, "::1", 1, 1, net), "IPv6 loopback never");
	tap_ok(!strikes_add(s, &none, 1, 1000, 1, &n), "an unknown client never");
	tap_ok(!strike(s, "192.0.2.1", 0, 1, net), "limit 0 never");
	tap_ok(strike(s, "192.0.2.1", 1, 1, net), "limit 1 at once");
	for (int i = 1; i < STRIKES_MAX; i++)
		if (strike(s, "192.0.2.3", 10000, 1, net))
			tap_ok(false, "a limit above STRIKES_MAX came early");
	tap_ok(strike(s, "192.0.2.3", 10000, 1, net),
	    "a limit above STRIKES_MAX is STRIKES_MAX");
	strikes_free(s);
}

static void
test_bounds(void)
{
	struct strikes *s = strikes_new();
	struct netaddr a = addr("10.0.0.0");
	struct network n;
	char net[NETADDR_TEXT];

	strike(s, "192.0.2.1", 2, 0, net);
	for (unsigned i = 0; i < STRIKES_MAX_CLIENTS; i++) {
		a.bytes[1] = (uint8_t)(i >> 16);
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		strikes_add(s, &a, 5, 1000, 1, &n);
	}
	tap_is_int((long long)strikes_count(s), STRIKES_MAX_CLIENTS,
	    "the table is bounded");
	tap_ok(!strike(s, "192.0.2.1", 2, 2, net), "the oldest made room");
	strikes_free(s);
}

static void
test_excuse(void)
{
	static const struct {
		const char *label, *mail_from;
		double score;
		struct reputation_row row;
		const char *list, *result, *want;
	} rows[] = {
		{ "a stranger", "a@b.example", 20, { 0 }, NULL, NULL, NULL },
		{ "a bounce", "", 20, { 0 }, NULL, NULL, "bounce" },
		{ "rejected by the author domain's policy", "a@b.example", 3,
		    { 0 }, NULL, NULL, "author policy" },
		{ "an address that good mail comes from", "a@b.example", 20,
		    { IDENTITY_IP, "x", .ham = 1, .spam = 0.4 }, NULL, NULL,
		    "good record" },
		{ "too little of it", "a@b.example", 20,
		    { IDENTITY_IP, "x", .ham = 0.8 }, NULL, NULL, NULL },
		{ "and as much bad", "a@b.example", 20,
		    { IDENTITY_IP, "x", .ham = 10, .spam = 6 }, NULL, NULL, NULL },
		{ "a network that good mail comes from", "a@b.example", 20,
		    { IDENTITY_NET, "x", .ham = 5, .spam = 1 }, NULL, NULL,
		    "good record" },
		{ "a network needs more", "a@b.example", 20,
		    { IDENTITY_NET, "x", .ham = 3 }, NULL, NULL, NULL },
		{ "what the author claims to be does not count", "a@b.example",
		    20, { IDENTITY_DKIM, "x", .ham = 100 }, NULL, NULL, NULL },
		{ "trusted by DNSWL", "a@b.example", 20, { 0 },
		    "list.dnswl.org", "127.0.5.2", "DNSWL" },
		{ "listed there, without trust", "a@b.example", 20, { 0 },
		    "list.dnswl.org", "127.0.5.0", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict v = { .score = rows[i].score,
			.score_low = rows[i].score, .thresholds = { 5, 8, 12 } };
		struct reputation_row row = rows[i].row;
		struct dnsxl_evidence list = { .list = rows[i].list,
			.result = rows[i].result };
		struct evidence e = { .reputation = &row,
			.reputation_count = row.key != NULL, .dnsxl = &list,
			.dnsxl_count = rows[i].list != NULL };
		struct envelope envelope = { .mail_from = rows[i].mail_from };
		const char *got = strikes_excuse(&v, &e, &envelope);

		tap_is_str(got != NULL ? got : "(struck)", rows[i].want != NULL ?
		    rows[i].want : "(struck)", rows[i].label);
	}
}

int
main(void)
{
	test_counting();
	test_window();
	test_who();
	test_bounds();
	test_excuse();
	return tap_done();
}
