#include <stdlib.h>

#include "ban/policy.h"
#include "ban/protect.h"
#include "ban/table.h"
#include "ban/wire.h"
#include "t/tap.h"

static struct arena *arena;

static size_t
parse(const char *text, struct ban_policy *p, struct diags *d)
{
	struct conf_lines lines;
	struct error err;

	diags_init(d, arena);
	if (conf_parse(arena, "c", span_cstr(text), &lines, d, &err) < 0 ||
	    ban_policy_parse(arena, &lines, p, d) < 0)
		return 999;
	return d->errors;
}

static struct network
net(const char *text)
{
	struct network n = { 0 };

	if (!network_parse(span_cstr(text), &n))
		printf("# not a network: %s\n", text);
	return n;
}

static void
test_config(void)
{
	static const struct {
		const char *label, *text;
		size_t want_errors;
	} cases[] = {
		{ "empty", "", 0 },
		{ "words of other rooms", "tag_score 5\nban_strikes 3\n"
		    "body FOO /x/\nban_time 1h\n", 0 },
		{ "misspelt", "ban_alow 192.0.2.1\n", 1 },
		{ "times", "ban_times 10m 2h 1d 1w\n", 0 },
		{ "times fall", "ban_times 2h 1h\n", 1 },
		{ "times nonsense", "ban_times 1h x\n", 1 },
		{ "all errors, not the first", "ban_max_entries 0\nban_forget x\n"
		    "ban_zzz\n", 3 },
		{ "source", "ban_source m group=g mode=0660 scopes=mail,host "
		    "rights=add,list max_time=1y per_minute=5 login=yes\n", 0 },
		{ "source without a name", "ban_source\n", 1 },
		{ "source with a path for a name", "ban_source ../x\n", 1 },
		{ "source twice", "ban_source a\nban_source a\n", 1 },
		{ "source, bad mode", "ban_source a mode=999\n", 1 },
		{ "source, bad scope", "ban_source a scopes=all\n", 1 },
		{ "source, bad right", "ban_source a rights=fly\n", 1 },
		{ "source, relative socket", "ban_source a socket=x\n", 1 },
		{ "source, time 0", "ban_source a max_time=0\n", 1 },
	};
	struct ban_policy p;
	struct diags d;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tap_is_int((long long)parse(cases[i].text, &p, &d),
		    (long long)cases[i].want_errors, cases[i].label);
		ban_policy_done(&p);
	}
	parse("", &p, &d);
	tap_is_int((long long)p.n_sources, 3, "three sources by default");
	tap_is_str(p.sources[0].socket, BAN_SOCKET_MILTER, "the milter's socket");
	tap_is_int(p.sources[0].scopes, BAN_MAIL, "which bans for mail only");
	tap_is_int(p.sources[0].rights & (BAN_RIGHT_DEL | BAN_RIGHT_DEL_ALL |
	    BAN_RIGHT_LIST), 0, "and neither lists nor unbans");
	tap_is_str(p.sources[2].socket, BAN_SOCKET_ADMIN, "the administrator's");
	tap_is_int(p.sources[2].mode, 0600, "for root alone");
	ban_policy_done(&p);
}

static void
test_admit(void)
{
	static const struct {
		const char *net;
		enum ban_result want;
	} cases[] = {
		{ "203.0.113.9", BAN_OK }, { "203.0.113.0/24", BAN_OK },
		{ "2001:db8:1::/64", BAN_OK }, { "10.1.2.3", BAN_REFUSED_ALLOWED },
		{ "10.9.9.9", BAN_OK }, { "10.0.0.0/16", BAN_REFUSED_ALLOWED },
		{ "127.0.0.1", BAN_REFUSED_ALLOWED },
		{ "0.0.0.1", BAN_REFUSED_ALLOWED },
		{ "224.0.0.1", BAN_REFUSED_ALLOWED },
		{ "255.255.255.255", BAN_REFUSED_ALLOWED },
		{ "192.0.2.5", BAN_REFUSED_ALLOWED },
		{ "192.0.0.0/16", BAN_REFUSED_ALLOWED },
		{ "198.51.100.1", BAN_REFUSED_ALLOWED },
		{ "203.0.0.0/15", BAN_REFUSED_LIMIT },
		{ "2001:db8::/31", BAN_REFUSED_LIMIT },
		{ "::1", BAN_REFUSED_ALLOWED }, { "::", BAN_REFUSED_ALLOWED },
		{ "fe80::1", BAN_REFUSED_ALLOWED },
		{ "ff02::1", BAN_REFUSED_ALLOWED },
		{ "2001:db8:77::5", BAN_REFUSED_ALLOWED },
		{ "64:ff9b::c000:201", BAN_REFUSED_ALLOWED },
		{ "64:ff9b:1:2::3", BAN_REFUSED_ALLOWED },
		{ "2001:0:c000:201::1", BAN_REFUSED_ALLOWED },
	};
	struct ban_policy p;
	struct diags d;
	struct network n, wide;

	parse("ban_allow 192.0.2.0/24 mail.example.org 2001:db8:77::1\n"
	    "mynetworks !10.9.0.0/16 10.0.0.0/8\n"
	    "trusted_networks 198.51.100.1\n", &p, &d);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why;
		struct network given = net(cases[i].net);

		tap_ok(ban_network_normalise(&given, &n), "%s is a network",
		    cases[i].net);
		tap_is_int(ban_policy_admit(&p, &n, &why), cases[i].want,
		    cases[i].net);
	}
	ban_policy_done(&p);
	n = net("2001:db8:1:2:3:4:5:6");
	tap_ok(ban_network_normalise(&n, &wide) && wide.prefix_len == 64,
	    "IPv6 is /64");
	n = (struct network){ .addr = { 6, { [10] = 0xFF, 0xFF, 192, 0, 2, 1 } },
		.prefix_len = 128 };
	tap_ok(ban_network_normalise(&n, &wide) && wide.addr.family == 4 &&
	    wide.prefix_len == 32, "a mapped address is the IPv4 address");
	n.prefix_len = 90;
	tap_ok(!ban_network_normalise(&n, &wide), "more than all of IPv4");
	n = net("0.0.0.0/0");
	tap_ok(!ban_network_normalise(&n, &wide), "not everything");
}

static void
test_ttl(void)
{
	struct ban_source s = { .max_time_sec = 30 * 86400, .escalate = true };
	struct ban_policy p;
	struct diags d;

	parse("ban_times 1h 1d 1w\nban_max_time 10d\n", &p, &d);
	tap_is_int(ban_policy_ttl(&p, &s, 0, 0), 3600, "first");
	tap_is_int(ban_policy_ttl(&p, &s, 1, 0), 86400, "second");
	tap_is_int(ban_policy_ttl(&p, &s, 2, 0), 7 * 86400, "third");
	tap_is_int(ban_policy_ttl(&p, &s, UINT32_MAX, 0), 7 * 86400, "last stays");
	tap_is_int(ban_policy_ttl(&p, &s, 0, 60), 60, "asked");
	tap_is_int(ban_policy_ttl(&p, &s, 1, 60), 86400, "asked, but again");
	tap_is_int(ban_policy_ttl(&p, &s, 1, 8 * 86400), 8 * 86400, "longer");
	tap_is_int(ban_policy_ttl(&p, &s, 0, BAN_TTL_MAX_SEC), 10 * 86400, "cap");
	s.max_time_sec = 100;
	tap_is_int(ban_policy_ttl(&p, &s, 2, 0), 100, "the source's cap");
	s.max_time_sec = 30 * 86400;
	s.escalate = false;
	tap_is_int(ban_policy_ttl(&p, &s, 5, 60), 60, "exactly as asked");
	ban_policy_done(&p);
}

static void
test_rate(void)
{
	struct ban_rate r = { 0 };
	int got = 0;

	for (int i = 0; i < 100; i++)
		got += ban_rate_take(&r, 60, 1000);
	tap_is_int(got, 60, "a full bucket");
	tap_ok(!ban_rate_take(&r, 60, 1500), "empty for a while");
	tap_ok(ban_rate_take(&r, 60, 2500), "one a second comes back");
	got = 0;
	for (int ms = 2500; ms < 62500; ms++)
		got += ban_rate_take(&r, 60, ms);
	tap_ok(got >= 58 && got <= 61, "dense calls lose no token: %d", got);
	tap_ok(ban_rate_take(&r, 100000000, INT64_MAX / 2), "far future");
	tap_ok(ban_rate_take(&r, 60, 5), "a clock that went back");
}

static void
test_protect(void)
{
	struct ban_protect *p = ban_protect_new(100);
	struct network host = net("203.0.113.9"), around = net("203.0.113.0/24"),
	    v6 = net("2001:db8:1::/64"), which;
	struct netaddr v6_a = net("2001:db8:1::25").addr, found;

	ban_protect_limits(p, 3, 90);
	tap_ok(ban_protect_confirm(p, &host.addr, 1000, 1000), "first day");
	tap_ok(!ban_protect_confirm(p, &host.addr, 1000, 1000), "only once a day");
	for (int i = 0; i < 100; i++)
		ban_protect_confirm(p, &host.addr, 1001, 1001);
	tap_ok(!ban_protect_overlaps(p, &host, 1001, NULL), "two days: no");
	tap_ok(!ban_protect_confirm(p, &host.addr, 1002, 1001), "not tomorrow");
	ban_protect_confirm(p, &host.addr, 1005, 1005);
	tap_ok(ban_protect_overlaps(p, &host, 1005, NULL), "three days: yes");
	tap_ok(ban_protect_overlaps(p, &around, 1005, &found) &&
	    netaddr_eq(&found, &host.addr), "the network around it too");
	which = net("203.0.112.0/24");
	tap_ok(!ban_protect_overlaps(p, &which, 1005, NULL), "not another");
	tap_ok(ban_protect_overlaps(p, &host, 1090, NULL), "90 days later");
	tap_ok(!ban_protect_overlaps(p, &host, 1091, NULL), "not 91");
	for (int day = 2000; day < 2003; day++)
		ban_protect_confirm(p, &v6_a, day, day);
	tap_ok(ban_protect_overlaps(p, &v6, 2002, NULL), "IPv6: its /64");
	for (int day = 2000; day > 1950; day--)
		ban_protect_confirm(p, &host.addr, day, 2000);
	tap_ok(ban_protect_overlaps(p, &host, 2000, NULL), "days in any order");
	for (unsigned i = 0; i < 1000; i++) {
		struct netaddr a = { 4, { 32, 0, (uint8_t)(i >> 8), (uint8_t)i } };

		ban_protect_confirm(p, &a, 2000, 2000);
	}
	tap_ok(ban_protect_overlaps(p, &host, 2000, NULL), "a full table keeps");
	ban_protect_free(p);
}

/* Against a plain array: the same answers whatever happens. */
static void
test_table(void)
{
	enum { KEYS = 500, STEPS = 60000 };
	struct ban_table *t = ban_table_new(250);
	int64_t model[KEYS] = { 0 }; /* due, 0 absent */
	unsigned wrong = 0, full = 0;
	size_t live = 0;
	uint64_t seed = 88172645463325252u;
	uint16_t owner = ban_table_owner(t, "s", "l");
	uint32_t cursor = 0;
	bool end = false;
	size_t listed = 0;

	for (unsigned i = 0; i < STEPS; i++) {
		unsigned key, roll;
		struct netaddr a = { 4, { 10 } };
		struct network n;
		struct ban_slot *s;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		key = (unsigned)(seed >> 8) % KEYS;
		roll = (unsigned)(seed >> 40) % 4;
		a.bytes[2] = (uint8_t)(key >> 8);
		a.bytes[3] = (uint8_t)key;
		n = network_of(&a, 32);
		s = ban_table_find(t, &n, BAN_MAIL);
		if ((s != NULL) != (model[key] != 0) ||
		    (s != NULL && s->due != model[key]))
			wrong++;
		if (ban_table_lookup(t, &a, BAN_MAIL) != s ||
		    ban_table_find(t, &n, BAN_HOST) != NULL)
			wrong++;
		if (s == NULL && roll < 3) {
			s = ban_table_insert(t, &n, BAN_MAIL);
			if (s == NULL) {
				full++;
				wrong += live != 250;
				continue;
			}
			ban_slot_claim(s, owner, (int64_t)(seed % 1000) + 1);
			model[key] = s->due = s->expires;
			ban_table_reorder(t, s);
			live++;
		} else if (s != NULL && roll < 2) {
			model[key] = s->due = (int64_t)(seed % 5000) + 1;
			ban_table_reorder(t, s);
		} else if (s != NULL) {
			ban_table_remove(t, s);
			model[key] = 0;
			live--;
		}
		if (i % 64 == 0) {
			int64_t first = INT64_MAX;

			for (unsigned k = 0; k < KEYS; k++)
				if (model[k] != 0 && model[k] < first)
					first = model[k];
			s = ban_table_first_due(t);
			wrong += (s != NULL ? s->due : INT64_MAX) != first;
		}
	}
	tap_is_int(wrong, 0, "table and model agree");
	tap_ok(full > 0, "the cap was met %u times", full);
	tap_is_int((long long)ban_table_count(t, 0), (long long)live, "count");
	while (!end)
		listed += ban_table_next(t, &cursor, 7, &end) != NULL;
	tap_is_int((long long)listed, (long long)live, "all are listed once");
	ban_table_free(t);
}

static void
test_claims(void)
{
	struct ban_table *t = ban_table_new(10);
	struct network wide = net("203.0.113.0/24"), one = net("203.0.113.9");
	struct ban_slot *s = ban_table_insert(t, &wide, BAN_HOST);
	uint16_t a = ban_table_owner(t, "f", "sshd"),
	    b = ban_table_owner(t, "f", "recidive"), last = 0;
	char label[8];

	tap_ok(ban_table_lookup(t, &one.addr, BAN_HOST) == s,
	    "an address is found in its network");
	tap_ok(ban_table_lookup(t, &one.addr, BAN_MAIL) == NULL, "in its scope");
	ban_slot_claim(s, a, 100);
	ban_slot_claim(s, b, 1000);
	ban_slot_claim(s, b, 500);
	tap_is_int(s->expires, 1000, "the longest claim counts, none gets shorter");
	tap_ok(ban_slot_unclaim(s, a) && s->expires == 1000, "the short one goes");
	tap_ok(!ban_slot_unclaim(s, a), "only once");
	ban_slot_claim(s, a, 200);
	tap_ok(ban_slot_unclaim(s, b) && s->expires == 200, "the long one goes");
	tap_ok(ban_slot_unclaim(s, a) && s->expires == 0, "nothing is left");
	for (int i = 0; i < BAN_LABELS_MAX + 5; i++) {
		snprintf(label, sizeof(label), "l%d", i);
		last = ban_table_owner(t, "f", label);
	}
	tap_is_int(last, BAN_NO_OWNER, "a source invents labels up to a number");
	tap_ok(ban_table_owner(t, "g", "x") != BAN_NO_OWNER, "others still can");
	ban_table_free(t);
}

int
main(void)
{
	arena = arena_new(16u << 20);
	test_config();
	test_admit();
	test_ttl();
	test_rate();
	test_protect();
	test_table();
	test_claims();
	arena_free(arena);
	return tap_done();
}
