#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ban/lease.h"
#include "t/ban/fake.h"
#include "t/tap.h"

enum { MILTER, FAIL2BAN, ADMIN };

static struct arena *arena;
static struct ban_policy policy;
static struct fake *fake;
static struct ban_journal *journal;
static struct ban_service *service;
static int64_t now;
static char dir[] = "/tmp/test-ban.XXXXXX", path[64];

static void
at(int64_t t)
{
	now = t;
	ban_service_set_time(service, t, t * 1000);
	while (ban_service_tick(service, 1000) == 0)
		;
	ban_service_commit(service);
}

static void
open_service(const char *config)
{
	struct ban_sink sink;
	struct conf_lines lines;
	struct diags diags;
	struct error err = { "" };

	fake = calloc(1, sizeof(*fake));
	sink = (struct ban_sink){ fake, fake_add, fake_del };
	diags_init(&diags, arena);
	if (conf_parse(arena, "c", span_cstr(config), &lines, &diags, &err) < 0 ||
	    ban_policy_parse(arena, &lines, &policy, &diags) < 0 ||
	    diags.errors > 0 ||
	    ban_journal_open(path, &journal, NULL, &err) < 0 ||
	    ban_service_new(&policy, journal, &sink, fake_log, fake, &service,
	    &err) < 0)
		printf("Bail out! %s\n", err.text);
}

static void
close_service(void)
{
	ban_service_commit(service);
	ban_service_free(service);
	ban_journal_close(journal);
	ban_policy_done(&policy);
	free(fake);
}

static struct ban_reply
ask_all(unsigned source, struct ban_request q, unsigned *ret_rows,
    struct ban_reply *ret_first)
{
	struct ban_reply reply;
	struct ban_cursor cursor;
	unsigned rows = 0;

	ban_service_handle(service, source, &q, &reply, &cursor);
	while (cursor.op != 0)
		if (ban_service_next(service, &cursor, &reply) == 1 &&
		    cursor.op != 0 && rows++ == 0 && ret_first != NULL)
			*ret_first = reply;
	if (ret_rows != NULL)
		*ret_rows = rows;
	ban_service_commit(service);
	return reply;
}

static struct ban_reply
ask(unsigned source, enum ban_op op, const char *net, unsigned scope,
    int64_t ttl, const char *label, unsigned flags)
{
	struct ban_request q = { .op = op, .scope = scope, .ttl_sec = ttl,
		.flags = flags };

	if (net != NULL && !network_parse(span_cstr(net), &q.net))
		printf("# not a network: %s\n", net);
	snprintf(q.label, sizeof(q.label), "%s", label);
	if (op == BAN_OP_ADD)
		strcpy(q.reason, "because \"\n");
	return ask_all(source, q, NULL, NULL);
}

static int
add(unsigned source, const char *net, unsigned scope, int64_t ttl)
{
	return ask(source, BAN_OP_ADD, net, scope, ttl, "", 0).result;
}

static long
timeout_of(const char *net, unsigned set)
{
	struct network n;
	size_t i;

	network_parse(span_cstr(net), &n);
	i = fake_find(fake, set, &n);
	return i < fake->n ? (long)fake->entries[i].timeout : -1;
}

static void
test_recidive(void)
{
	const char *a = "203.0.113.9";

	open_service("ban_times 1h 1d 1w\nban_forget 30d\n");
	at(1700000000);
	tap_is_int(add(MILTER, a, BAN_MAIL, 0), BAN_OK, "first ban");
	tap_is_int(timeout_of(a, 0), 3600, "lasts an hour");
	at(now + 10);
	add(MILTER, a, BAN_MAIL, 0);
	tap_is_int(timeout_of(a, 0), 3600, "strikes while it lasts renew it");
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "", 0).entry.count, 1,
	    "and are no second ban");
	at(now + 3600);
	tap_is_int(timeout_of(a, 0), -1, "it ends");
	tap_is_int(add(MILTER, a, BAN_MAIL, 0), BAN_OK, "again");
	tap_is_int(timeout_of(a, 0), 86400, "a day");
	at(now + 86400);
	add(MILTER, a, BAN_MAIL, 60);
	tap_is_int(timeout_of(a, 0), 7 * 86400, "a week, though less was asked");
	at(now + 7 * 86400);
	add(ADMIN, a, BAN_MAIL, 60);
	tap_is_int(timeout_of(a, 0), 60, "by hand: exactly as asked");
	at(now + 60 + 31 * 86400);
	add(MILTER, a, BAN_MAIL, 0);
	tap_is_int(timeout_of(a, 0), 3600, "forgotten after a while");
	ask(ADMIN, BAN_OP_DEL, a, BAN_MAIL, 0, "", BAN_REQ_EVERYTHING);
	add(MILTER, a, BAN_MAIL, 0);
	tap_is_int(timeout_of(a, 0), 3600, "taken back by hand: not held against it");
	close_service();
	unlink(path);
}

static void
test_scopes(void)
{
	const char *a = "203.0.113.9", *p = "203.0.113.77", *q = "203.0.113.78";
	struct ban_reply r;

	open_service("ban_protect_days 2\n");
	at(1700000000);
	r = ask(FAIL2BAN, BAN_OP_ADD, a, BAN_HOST, 600, "sshd", 0);
	tap_is_int(r.entry.scope, BAN_BOTH, "a login ban is one for mail too");
	tap_is_int(add(MILTER, a, BAN_HOST, 60), BAN_REFUSED_RIGHTS,
	    "the milter bans nobody from logins");
	r = ask(MILTER, BAN_OP_ADD, a, BAN_BOTH, 60, "", 0);
	tap_is_int(r.entry.scope, BAN_MAIL, "both means what it may");
	add(MILTER, q, BAN_MAIL, 600);
	for (int day = 0; day < 2; day++) {
		ask(MILTER, BAN_OP_CONFIRM, p, 0, now - day * 86400, "", 0);
		ask(MILTER, BAN_OP_CONFIRM, q, 0, now - day * 86400, "", 0);
	}
	tap_is_int(timeout_of(q, 0), -1, "who earns protection is released");
	tap_is_int(add(MILTER, p, BAN_MAIL, 60), BAN_REFUSED_PROTECTED, "protected");
	tap_is_int(add(ADMIN, "203.0.113.0/24", BAN_MAIL, 60),
	    BAN_REFUSED_PROTECTED, "nor by a network around it");
	r = ask(FAIL2BAN, BAN_OP_ADD, p, BAN_BOTH, 600, "sshd", 0);
	tap_is_int(r.result, BAN_OK, "a login ban of a protected address");
	tap_is_int(r.entry.scope, BAN_HOST, "is for logins only");
	tap_is_int(timeout_of(p, 0), -1, "not in the mail set");
	tap_is_int(timeout_of(p, 2), 600, "in the host set");
	tap_is_int(ask(FAIL2BAN, BAN_OP_CONFIRM, p, 0, now, "", 0).result,
	    BAN_REFUSED_RIGHTS, "a login source confirms nothing");
	tap_is_int(ask(MILTER, BAN_OP_CONFIRM, "203.0.113.0/24", 0, now, "",
	    0).result, BAN_REFUSED_INVALID, "one address at a time is confirmed");
	tap_is_int(ask(MILTER, BAN_OP_CONFIRM, a, 0, now + 86400, "", 0).result,
	    BAN_REFUSED_INVALID, "not from the future");
	close_service();
	unlink(path);
}

static void
test_claims(void)
{
	const char *a = "203.0.113.9";
	uint32_t rows;
	struct ban_reply first;

	open_service("");
	at(1700000000);
	ask(FAIL2BAN, BAN_OP_ADD, a, BAN_HOST, 600, "sshd", 0);
	ask(FAIL2BAN, BAN_OP_ADD, a, BAN_HOST, 86400, "recidive", 0);
	tap_is_int(timeout_of(a, 2), 86400, "the longer claim");
	tap_is_int(ask(FAIL2BAN, BAN_OP_DEL, a, BAN_BOTH, 0, "sshd", 0).result,
	    BAN_OK, "one jail lets go");
	tap_is_int(timeout_of(a, 2), 86400, "the other still holds");
	tap_is_int(ask(FAIL2BAN, BAN_OP_DEL, a, BAN_BOTH, 0, "sshd", 0).result,
	    BAN_NOT_BANNED, "it has nothing more to let go");
	tap_is_int(ask(FAIL2BAN, BAN_OP_DEL, a, BAN_BOTH, 0, "",
	    BAN_REQ_EVERYTHING).result, BAN_REFUSED_RIGHTS,
	    "a source cannot end others' bans");
	ask(ADMIN, BAN_OP_ADD, a, BAN_HOST, 50, "", 0);
	close_service();

	open_service("");
	ban_service_set_time(service, now + 10, (now + 10) * 1000);
	now += 10;
	size_t bans;
	struct error err;
	tap_is_int(ban_service_restore(service, &bans, &err), 0, "restore");
	tap_is_int((long long)bans, 2, "mail and host");
	tap_is_int(ask(FAIL2BAN, BAN_OP_DEL, a, BAN_BOTH, 0, "recidive", 0).result,
	    BAN_OK, "claims outlive a restart");
	tap_is_int(timeout_of(a, 2), 40, "the administrator's is left");
	ask(FAIL2BAN, BAN_OP_ADD, "203.0.113.10", BAN_HOST, 600, "sshd", 0);
	ask(FAIL2BAN, BAN_OP_ADD, "203.0.113.10", BAN_HOST, 600, "dovecot", 0);
	tap_is_int((long long)ask(FAIL2BAN, BAN_OP_FLUSH, NULL, 0, 0, "sshd",
	    0).entry.packets, 2, "flush of a jail ends its claims");
	tap_is_int(timeout_of("203.0.113.10", 2), 600, "not another's");
	tap_is_int((long long)ask(FAIL2BAN, BAN_OP_FLUSH, NULL, 0, 0, "",
	    0).entry.packets, 2, "flush of all");
	tap_is_int(timeout_of("203.0.113.10", 2), -1, "gone");
	tap_is_int(timeout_of(a, 2), 40, "the administrator's is left");
	ask_all(ADMIN, (struct ban_request){ .op = BAN_OP_LIST, .scope = BAN_BOTH },
	    &rows, &first);
	tap_is_int(rows, 1, "list");
	tap_is_str(first.entry.source, "admin", "its source");
	tap_is_str(first.entry.reason, "because '\\n", "its reason, escaped");
	ask_all(ADMIN, (struct ban_request){ .op = BAN_OP_HISTORY, .limit = 3 },
	    &rows, &first);
	tap_is_int(rows, 3, "history, limited");
	tap_is_int(first.event, BAN_EVENT_UNBAN, "newest first");
	ask_all(ADMIN, (struct ban_request){ .op = BAN_OP_STATUS }, &rows, NULL);
	tap_is_int(rows, BAN_SETS, "status of each set");
	tap_is_int(ask(MILTER, BAN_OP_LIST, NULL, BAN_BOTH, 0, "", 0).result,
	    BAN_REFUSED_RIGHTS, "the milter sees no list");
	close_service();
	unlink(path);
}

static void
test_limits(void)
{
	char text[32];
	int ok = 0;
	struct network n;

	open_service("ban_max_entries 100\nban_max_time 3650d\n"
	    "ban_source a scopes=mail per_minute=50 max_time=10y rights=add\n"
	    "ban_source b scopes=mail per_minute=100000 rights=add,allow\n");
	at(1700000000);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "203.0.113.%d", i);
		ok += add(0, text, BAN_MAIL, 60) == BAN_OK;
	}
	tap_is_int(ok, 50, "so many a minute, no more");
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i);
		ok += add(1, text, BAN_MAIL, 60) == BAN_OK;
	}
	tap_is_int(ok, 100, "so many in a set, no more");
	at(now + 61);
	tap_is_int((long long)fake->n, 0, "all ended");
	/* longer than the kernel can: renewed until it is over */
	tap_is_int(add(0, "203.0.113.9", BAN_MAIL, 100 * 86400), BAN_OK, "100 days");
	tap_is_int(timeout_of("203.0.113.9", 0), BAN_KERNEL_TIMEOUT_MAX,
	    "as long as the kernel can");
	for (int day = 0; day < 99; day++) {
		fake->entries[0].timeout -= 86400;
		at(now + 86400);
		if (fake->n != 1 || fake->entries[0].timeout < 86400)
			break;
	}
	tap_is_int(timeout_of("203.0.113.9", 0) >= 86400, 1, "renewed in time");
	at(now + 86401);
	tap_is_int(timeout_of("203.0.113.9", 0), -1, "and over at its time");

	add(1, "198.51.100.8", BAN_MAIL, 60);
	struct netset own = { 0 };
	network_parse(SPAN_LIT("198.51.100.8"), &n);
	netset_add(&own, &n);
	ban_service_set_own(service, &own);
	netset_done(&own);
	tap_is_int(timeout_of("198.51.100.8", 0), -1, "own addresses are released");
	close_service();
	unlink(path);
}

/* What the daemon resolved from names. */
static void
test_allow(void)
{
	const char *a = "198.51.100.7", *six = "2001:db8:7::25";
	char text[32];
	int ok = 0;

	open_service("ban_allow_time 10m\n"
	    "ban_source milter scopes=mail rights=add,allow per_minute=100000\n"
	    "ban_source fail2ban scopes=mail,host login=yes rights=add\n"
	    "ban_source admin scopes=mail,host rights=all per_minute=100000\n");
	at(1700000000);
	add(ADMIN, a, BAN_BOTH, 600);
	add(MILTER, six, BAN_MAIL, 600);
	add(MILTER, "198.51.0.0/16", BAN_MAIL, 600);
	tap_is_int(ask(MILTER, BAN_OP_ALLOW, a, 0, 300, "", 0).entry.scope,
	    BAN_MAIL, "the milter allows for mail");
	tap_is_int(timeout_of(a, 0), -1, "which releases");
	tap_is_int(timeout_of("198.51.0.0/16", 0), -1, "and a network around it");
	tap_is_int(timeout_of(a, 2), 600, "the ban from logins stays");
	tap_is_int(add(MILTER, a, BAN_MAIL, 60), BAN_REFUSED_ALLOWED,
	    "it cannot be banned for mail");
	tap_is_int(add(ADMIN, "198.51.100.0/24", BAN_MAIL, 60),
	    BAN_REFUSED_ALLOWED, "nor by a network around it");
	tap_is_int(add(MILTER, "198.51.100.8", BAN_MAIL, 60), BAN_OK,
	    "its neighbour can");
	tap_is_int(add(FAIL2BAN, a, BAN_HOST, 900), BAN_OK,
	    "and who guesses passwords is still shut out of logins");
	tap_is_int(timeout_of(a, 2), 900, "of logins");
	tap_is_int(timeout_of(a, 0), -1, "and of logins only");
	ask(MILTER, BAN_OP_ALLOW, "2001:db8:7::1", 0, 300, "", 0);
	tap_is_int(timeout_of("2001:db8:7::/64", 1), -1, "IPv6 by /64");
	tap_is_int(ask(MILTER, BAN_OP_ALLOW, "::ffff:198.51.100.8", 0, 300, "",
	    0).result, BAN_OK, "a mapped address");
	tap_is_int(timeout_of("198.51.100.8", 0), -1, "is the IPv4 address");
	at(now + 200);
	tap_is_int((long long)ask(MILTER, BAN_OP_ALLOW, a, 0, 1, "",
	    0).result, BAN_OK, "renewed for less");
	at(now + 99);
	tap_is_int(add(MILTER, a, BAN_MAIL, 60), BAN_REFUSED_ALLOWED,
	    "is not shorter for it");
	at(now + 1);
	tap_is_int(add(MILTER, a, BAN_MAIL, 60), BAN_OK,
	    "what nobody renews ends");
	tap_is_int((long long)ask(MILTER, BAN_OP_ALLOW, a, 0, 10 * 366 * 86400,
	    "", 0).entry.remaining_sec, 600, "nobody allows for years");
	tap_is_int(ask(ADMIN, BAN_OP_ALLOW, a, 0, 300, "", 0).entry.scope,
	    BAN_BOTH, "the administrator allows for logins, too");
	tap_is_int(timeout_of(a, 2), -1, "which releases there");
	tap_is_int(ask(MILTER, BAN_OP_ALLOW, "198.51.100.0/24", 0, 300, "",
	    0).result, BAN_REFUSED_INVALID, "whole networks are not allowed so");
	tap_is_int(ask(FAIL2BAN, BAN_OP_ALLOW, a, 0, 300, "", 0).result,
	    BAN_REFUSED_RIGHTS, "a right of its own");
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "203.%d.%d.9", i >> 8, i & 255);
		ok += ask(MILTER, BAN_OP_ALLOW, text, 0, 5, "", 0).result == BAN_OK;
	}
	/* one is still there, what has ended gave way */
	tap_is_int(ok, BAN_LEASES_MAX - 1, "so many at once, no more");
	at(now + 6);
	tap_is_int(ask(MILTER, BAN_OP_ALLOW, "203.0.113.200", 0, 5, "", 0).result,
	    BAN_OK, "those that ended make room");
	close_service();
	unlink(path);
}

/* How many turns a comparison takes to its end. */
static int
end_compare(size_t *ret_missing, size_t *ret_strangers)
{
	int turns = 1;

	while (!ban_service_compare_end(service, 0, ret_missing, ret_strangers))
		turns++;
	return turns;
}

static void
test_kernel(void)
{
	struct ban_kernel_entry e = { .packets = 7 };
	size_t strangers, missing;

	open_service("");
	at(1700000000);
	fake->refuse = true;
	tap_is_int(add(ADMIN, "203.0.113.9", BAN_MAIL, 600), BAN_FAILED,
	    "a kernel that refuses");
	tap_ok(ban_service_wants_look(service), "is looked at");
	fake->refuse = false;
	ban_service_idle(service, true);
	tap_is_int(timeout_of("203.0.113.9", 0), 600, "it is tried again");

	add(ADMIN, "203.0.113.10", BAN_MAIL, 600);
	ban_service_compare_start(service, 0);
	network_parse(SPAN_LIT("203.0.113.9"), &e.net);
	ban_service_compare_entry(service, 0, &e);
	network_parse(SPAN_LIT("203.0.113.99"), &e.net);
	ban_service_compare_entry(service, 0, &e);
	fake->n = 0; /* as if wiped */
	end_compare(&missing, &strangers);
	tap_is_int((long long)missing, 1, "one was missing");
	tap_is_int((long long)strangers, 1, "one was nobody's");
	tap_is_int(timeout_of("203.0.113.10", 0), 600, "the missing one is back");
	tap_is_int((long long)ask(ADMIN, BAN_OP_CHECK, "203.0.113.9", BAN_MAIL, 0,
	    "", 0).entry.packets, 7, "counters are read");
	/* a new entry counts from nothing; the sum goes on */
	add(ADMIN, "203.0.113.9", BAN_MAIL, 700);
	e.packets = 2;
	network_parse(SPAN_LIT("203.0.113.9"), &e.net);
	ban_service_compare_start(service, 0);
	ban_service_compare_entry(service, 0, &e);
	end_compare(&missing, &strangers);
	tap_is_int((long long)ask(ADMIN, BAN_OP_CHECK, "203.0.113.9", BAN_MAIL, 0,
	    "", 0).entry.packets, 9, "and added up");
	/* a set that was wiped does not keep everybody waiting */
	for (int i = 0; i < 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "32.0.%d.%d", i >> 8, i & 255);
		add(ADMIN, text, BAN_MAIL, 600);
	}
	fake->n = 0;
	ban_service_compare_start(service, 0);
	tap_ok(end_compare(&missing, &strangers) >= 10, "healed in turns");
	tap_is_int((long long)missing, 1002, "all that were missing");
	tap_is_int((long long)fake->n, 1002, "and they are back");
	ban_service_compare_start(service, 0);
	fake->refuse = true;
	tap_ok(end_compare(&missing, &strangers) < 3,
	    "a kernel that refuses is not asked for each");
	fake->refuse = false;
	close_service();
	unlink(path);

	open_service("ban_simulate yes\n");
	at(1700000000);
	struct ban_reply r = ask(ADMIN, BAN_OP_ADD, "203.0.113.9", BAN_BOTH, 60,
	    "", 0);
	tap_is_int(r.result, BAN_OK, "simulate: the answer");
	tap_is_int(r.flags, BAN_REP_SIMULATED, "says so");
	tap_is_int((long long)fake->n, 0, "nothing is touched");
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, "203.0.113.9", BAN_BOTH, 0, "",
	    0).result, BAN_NOT_BANNED, "nobody is banned");
	close_service();
	unlink(path);
}

/* The wall clock says t, while only so much time has passed. */
static void
set_clock(int64_t t, int64_t passed_sec)
{
	static int64_t mono;

	if (mono == 0)
		mono = 1700000000000;
	mono += passed_sec * 1000;
	now = t;
	ban_service_set_time(service, t, mono);
	while (ban_service_tick(service, 1000) == 0)
		;
	ban_service_commit(service);
}

static void
test_clock(void)
{
	const char *a = "203.0.113.9", *b = "203.0.113.10";
	struct error err;
	size_t bans;

	open_service("ban_times 1h 1d\nban_allow_time 10m\n");
	set_clock(1700000000, 0);
	add(MILTER, a, BAN_MAIL, 3600);
	ask(FAIL2BAN, BAN_OP_ADD, b, BAN_HOST, 3600, "one", 0);
	ask(FAIL2BAN, BAN_OP_ADD, b, BAN_HOST, 7200, "two", 0);
	ask(MILTER, BAN_OP_ALLOW, "203.0.113.11", 0, 600, "", 0);
	set_clock(now + 366 * 86400, 60);
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "",
	    0).entry.remaining_sec, 3540, "a clock set a year ahead ends no ban");
	tap_is_int(add(MILTER, "203.0.113.11", BAN_MAIL, 60),
	    BAN_REFUSED_ALLOWED, "nor what is allowed");
	set_clock(now - 2 * 366 * 86400, 60);
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "",
	    0).entry.remaining_sec, 3480, "one set back makes none longer");
	tap_is_int(ask(FAIL2BAN, BAN_OP_DEL, b, BAN_HOST, 0, "two", 0).result,
	    BAN_OK, "each claim");
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, b, BAN_HOST, 0, "",
	    0).entry.remaining_sec, 3480, "has its own time still");
	set_clock(now + 4, 1);
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "",
	    0).entry.remaining_sec, 3476, "a slewed clock is the clock");
	close_service();

	/* the journal goes with it; and a clock that was set back while
	 * nobody ran, or is not set yet after booting */
	open_service("");
	set_clock(86400, 0);
	tap_is_int(ban_service_restore(service, &bans, &err), 0, "restore");
	tap_is_int((long long)bans, 3, "with a clock that knows no date");
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "",
	    0).entry.remaining_sec, 3600, "no ban is longer than it was asked for");
	set_clock(1800000000, 30);
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "",
	    0).entry.remaining_sec, 3570, "and when it is set at last");
	set_clock(now + 3571, 3571);
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, a, BAN_MAIL, 0, "", 0).result,
	    BAN_NOT_BANNED, "every ban ends");
	close_service();
	unlink(path);
}

/* The file is damaged, or gone, while the helper runs. */
static void
test_journal_lost(void)
{
	char command[256];
	struct error err;
	size_t bans;

	open_service("ban_protect_days 1\n");
	at(1700000000);
	for (int i = 0; i < 500; i++) {
		char text[32];

		snprintf(text, sizeof(text), "203.0.%d.%d", i >> 8, i & 255);
		add(ADMIN, text, BAN_MAIL, 3600);
	}
	ask(MILTER, BAN_OP_CONFIRM, "198.51.100.1", 0, now, "", 0);
	at(now + 1);
	unlink(path);
	at(now + 2);
	ban_service_idle(service, true);
	ban_service_idle(service, true);
	tap_is_int(access(path, F_OK), 0, "a journal that was deleted is made anew");
	add(ADMIN, "203.0.113.200", BAN_MAIL, 3600);
	close_service();
	open_service("ban_protect_days 1\n");
	ban_service_set_time(service, now, now * 1000);
	ban_service_restore(service, &bans, &err);
	tap_is_int((long long)bans, 501, "with all bans");
	tap_is_int(add(MILTER, "198.51.100.1", BAN_MAIL, 60),
	    BAN_REFUSED_PROTECTED, "and all protection");

	/* all but the first page is garbage, in a file larger than the cache */
	struct ban_history h = { .time = now };
	memset(h.entry.reason, 'x', sizeof(h.entry.reason) - 1);
	for (int i = 0; i < 200000; i++)
		ban_journal_put_event(journal, &h, &err);
	ban_service_commit(service);
	ban_journal_checkpoint(journal, true);
	snprintf(command, sizeof(command), "dd if=/dev/zero of=%s bs=4096 seek=1 "
	    "count=6000 conv=notrunc 2>/dev/null", path);
	tap_is_int(system(command), 0, "damage");
	ask_all(ADMIN, (struct ban_request){ .op = BAN_OP_HISTORY }, NULL, NULL);
	tap_is_int((long long)fake->logs[BAN_LOG_ERROR], 1, "is noticed");
	tap_is_int(add(ADMIN, "203.0.113.202", BAN_MAIL, 3600), BAN_OK,
	    "bans go on");
	at(now + 11);
	ban_service_idle(service, true);
	tap_is_int((long long)fake->logs[BAN_LOG_ERROR], 2,
	    "the file is moved aside");
	size_t want = ban_service_count(service, 0);
	add(ADMIN, "203.0.113.201", BAN_MAIL, 3600);
	close_service();
	open_service("ban_protect_days 1\n");
	ban_service_set_time(service, now, now * 1000);
	ban_service_restore(service, &bans, &err);
	tap_is_int((long long)bans, (long long)want + 1, "with all bans");
	tap_is_int(add(MILTER, "198.51.100.1", BAN_MAIL, 60),
	    BAN_REFUSED_PROTECTED, "and all protection, again");
	close_service();
	if (system("rm -f /tmp/test-ban.*/j.db*") != 0)
		perror("rm");
}

/* The disk is full for a while: what stood in the file before stays. */
static void
test_journal_full(void)
{
	const char *kept = "203.0.113.1", *gone = "203.0.113.2",
	    *new = "203.0.113.3";
	struct rlimit old, none;
	struct error err;
	size_t bans;

	open_service("");
	at(1700000000);
	add(ADMIN, kept, BAN_MAIL, 3600);
	add(ADMIN, gone, BAN_MAIL, 3600);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none = (struct rlimit){ 0, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &none);
	at(now + 1);
	add(ADMIN, new, BAN_MAIL, 3600);
	ask(ADMIN, BAN_OP_DEL, gone, BAN_MAIL, 0, "", BAN_REQ_EVERYTHING);
	setrlimit(RLIMIT_FSIZE, &old);
	tap_is_int((long long)fake->logs[BAN_LOG_ERROR], 1,
	    "a journal that cannot be written is told");
	at(now + 11);
	ban_service_idle(service, true);
	close_service();
	open_service("");
	ban_service_set_time(service, now, now * 1000);
	ban_service_restore(service, &bans, &err);
	tap_is_int((long long)bans, 2, "it was written anew: one more, one less");
	tap_is_int(ask(ADMIN, BAN_OP_CHECK, new, BAN_MAIL, 0, "", 0).result,
	    BAN_OK, "with the ban that it missed");
	tap_is_str(ask(ADMIN, BAN_OP_CHECK, kept, BAN_MAIL, 0, "", 0)
	    .entry.reason, "because '\\n", "and the reason of one that it had");
	close_service();
	if (system("rm -f /tmp/test-ban.*/j.db*") != 0)
		perror("rm");
}

int
main(void)
{
	char command[64];

	arena = arena_new(64u << 20);
	if (mkdtemp(dir) == NULL)
		return tap_skip_all("no temporary directory");
	snprintf(path, sizeof(path), "%s/j.db", dir);
	test_recidive();
	test_scopes();
	test_claims();
	test_limits();
	test_allow();
	test_kernel();
	test_clock();
	test_journal_lost();
	test_journal_full();
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		perror(command);
	arena_free(arena);
	return tap_done();
}
