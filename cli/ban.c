/* spamscore ban: look at and change the bans that the ban helper keeps. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ban/ban.h"
#include "base/conf.h"
#include "base/escape.h"
#include "base/json.h"
#include "cli/cli.h"

#define TIMEOUT_MS 10000

struct ban_options {
	const char *socket;
	const char *label;
	const char *reason;
	enum ban_scope scope;
	int64_t ttl_sec;
	uint32_t limit;
	bool json, own;
};

enum { OPT_SOCKET = 1, OPT_SCOPE, OPT_TIME, OPT_REASON, OPT_LABEL, OPT_JSON,
	OPT_OWN, OPT_LIMIT };

static const struct option options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "scope", required_argument, NULL, OPT_SCOPE },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "label", required_argument, NULL, OPT_LABEL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "own", no_argument, NULL, OPT_OWN },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ 0 }
};

/* No helper is another matter than a helper that says no. */
static int
fail(int code, const struct error *err)
{
	int exit_code = EX_IOERR;

	if (code == -ENOENT || code == -ECONNREFUSED || code == -ETIMEDOUT ||
	    code == -ECONNRESET)
		exit_code = EX_UNAVAILABLE;
	else if (code == -EACCES || code == -EPERM)
		exit_code = EX_NOPERM;
	else if (code == -EINVAL)
		exit_code = EX_USAGE;
	return cli_fail(exit_code, "%s", err->text);
}

static int
refused(const char *what, enum ban_result result, const char *why)
{
	int exit_code = EX_NOPERM;

	if (result == BAN_REFUSED_LIMIT || result == BAN_FAILED)
		exit_code = EX_TEMPFAIL;
	else if (result == BAN_REFUSED_INVALID)
		exit_code = EX_USAGE;
	return cli_fail(exit_code, "%s: %s%s%s", what, ban_result_name(result),
	    why[0] != '\0' ? ": " : "", why);
}

static void
print_escaped(const char *text)
{
	struct buf b;

	buf_init(&b, 65536);
	escape_text(&b, span_cstr(text), 0);
	fputs(b.ptr, stdout);
	buf_done(&b);
}

static json_t *
entry_json(const struct ban_entry *e, const char *ttl_name)
{
	char net[NETADDR_TEXT];

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
	    "net", network_format(&e->net, net),
	    "scope", ban_scope_name(e->scope),
	    ttl_name, (json_int_t)e->remaining_sec,
	    "first_time", (json_int_t)e->first_time,
	    "last_time", (json_int_t)e->last_time,
	    "count", (json_int_t)e->count,
	    "packets", (json_int_t)e->packets,
	    "source", json_text(e->source), "label", json_text(e->label),
	    "reason", json_text(e->reason));
}

/* "12s", "59m", "23h", "6d": two digits tell enough */
static const char *
short_time(int64_t sec, char out[32])
{
	if (sec < 120)
		snprintf(out, 32, "%" PRId64 "s", sec);
	else if (sec < 120 * 60)
		snprintf(out, 32, "%" PRId64 "m", sec / 60);
	else if (sec < 48 * 3600)
		snprintf(out, 32, "%" PRId64 "h", sec / 3600);
	else
		snprintf(out, 32, "%" PRId64 "d", sec / 86400);
	return out;
}

static const char *
date_text(int64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, 32, "%" PRId64, t);
	return out;
}

static int
print_entry(void *context, const struct ban_entry *e)
{
	const struct ban_options *o = context;
	char net[NETADDR_TEXT], left[32];

	if (o->json)
		return cli_print_json(stdout, entry_json(e, "remaining_sec"));
	printf("%-24s %-4s %5s left  %3" PRIu32 "x  %8" PRIu64 " packets  %s%s%s  ",
	    network_format(&e->net, net), ban_scope_name(e->scope),
	    short_time(e->remaining_sec, left), e->count, e->packets, e->source,
	    e->label[0] != '\0' ? "/" : "", e->label);
	print_escaped(e->reason);
	putchar('\n');
	return ferror(stdout) ? EX_IOERR : 0;
}

static int
print_event(void *context, const struct ban_history *h)
{
	const struct ban_options *o = context;
	char net[NETADDR_TEXT], when[32], ttl[32];

	if (o->json) {
		json_t *j = entry_json(&h->entry, "ttl_sec");

		if (j != NULL) {
			json_object_del(j, "first_time");
			json_object_del(j, "last_time");
			json_object_del(j, "packets");
			json_object_set_new(j, "time", json_integer(h->time));
			json_object_set_new(j, "event",
			    json_string(ban_event_name(h->event)));
			json_object_set_new(j, "result",
			    json_string(ban_result_name(h->result)));
		}
		return cli_print_json(stdout, j);
	}
	printf("%s %-9s %-24s %-4s %5s  %s%s%s  ", date_text(h->time, when),
	    ban_event_name(h->event), network_format(&h->entry.net, net),
	    ban_scope_name(h->entry.scope),
	    short_time(h->entry.remaining_sec, ttl), h->entry.source,
	    h->entry.label[0] != '\0' ? "/" : "", h->entry.label);
	if (h->result != BAN_OK)
		printf("%s: ", ban_result_name(h->result));
	print_escaped(h->entry.reason);
	putchar('\n');
	return ferror(stdout) ? EX_IOERR : 0;
}

static int
print_status(void *context, const struct ban_set_status *s)
{
	const struct ban_options *o = context;

	if (o->json)
		return cli_print_json(stdout, json_pack(
		    "{s:s, s:b, s:I, s:I, s:o}", "set", s->name, "fine", s->fine,
		    "entries", (json_int_t)s->entries, "kernel_entries",
		    (json_int_t)s->kernel_entries, "problem",
		    json_text(s->problem)));
	printf("%-16s %-6s %8" PRIu64 " bans  ", s->name,
	    s->fine ? "fine" : "broken", s->entries);
	print_escaped(s->problem);
	putchar('\n');
	return ferror(stdout) ? EX_IOERR : 0;
}

/* A many-part answer: what fn said (an exit code), or what the helper did. */
static int
many(int code, const struct error *err)
{
	return code < 0 ? fail(code, err) : code;
}

static int
do_add(struct ban_client *c, const struct ban_options *o,
    const struct network *net, const char *text)
{
	struct ban_answer a;
	struct error err = { "" };
	char ttl[32];
	int code = ban_add_labelled(c, net, o->scope, o->ttl_sec, o->label,
	    o->reason, &a, &err);

	if (code < 0)
		return fail(code, &err);
	if (o->json)
		return cli_print_json(stdout, json_pack(
		    "{s:s, s:s, s:s?, s:I, s:b, s:o}",
		    "net", text, "result", ban_result_name(a.result), "scope",
		    a.scope != 0 ? ban_scope_name(a.scope) : NULL, "ttl_sec",
		    (json_int_t)a.ttl_sec, "simulated", a.simulated, "why",
		    json_text(a.why))) != EX_OK ? EX_IOERR :
		    a.result == BAN_OK ? EX_OK : refused(text, a.result, a.why);
	if (a.result != BAN_OK)
		return refused(text, a.result, a.why);
	printf("%s: %sbanned for %s, %s", text,
	    a.simulated ? "simulated: would be " : "",
	    ban_scope_name(a.scope), short_time(a.ttl_sec, ttl));
	if (a.why[0] != '\0') {
		printf("; not for %s: ", a.scope == BAN_MAIL ? "host" : "mail");
		print_escaped(a.why);
	}
	putchar('\n');
	return EX_OK;
}

static int
do_del(struct ban_client *c, const struct ban_options *o,
    const struct network *net, const char *text)
{
	enum ban_result result, now;
	char around[NETADDR_TEXT];
	struct ban_entry e;
	struct error err = { "" };
	int code = ban_del_labelled(c, net, o->scope, o->label,
	    !o->own && o->label == NULL, &result, &err);

	if (code < 0)
		return fail(code, &err);
	if (result != BAN_OK && result != BAN_NOT_BANNED)
		return refused(text, result, "");
	/* who asks for an address wants it in, not to hear that the ban is a
	 * network's; whose own claim ends has had what was asked for */
	if (!o->own && o->label == NULL && ban_check(c, &net->addr, o->scope,
	    &e, &now, &err) == 0 && now == BAN_OK && e.net.prefix_len <
	    (net->addr.family == 6 && net->prefix_len > 64 ? 64 :
	    net->prefix_len))
		return cli_fail(EX_DATAERR, "%s: still banned, as a part of %s",
		    text, network_format(&e.net, around));
	printf("%s: %s\n", text, result == BAN_OK ? "no longer banned" :
	    "was not banned");
	return EX_OK;
}

/* The ban that holds all of net: not one of a single address in it. */
static int
check_all(struct ban_client *c, const struct network *net,
    enum ban_scope scope, struct ban_entry *ret_entry,
    enum ban_result *ret_result, struct error *err)
{
	int code = ban_check(c, &net->addr, scope, ret_entry, ret_result, err);

	if (code == 0 && *ret_result == BAN_OK &&
	    ret_entry->net.prefix_len > net->prefix_len)
		*ret_result = BAN_NOT_BANNED;
	return code;
}

static int
do_check(struct ban_client *c, const struct ban_options *o,
    const struct network *net, const char *text)
{
	struct ban_entry e;
	enum ban_result result;
	struct error err = { "" };
	int code = check_all(c, net, o->scope, &e, &result, &err);

	if (code < 0)
		return fail(code, &err);
	if (result == BAN_NOT_BANNED) {
		if (!o->json)
			printf("%s: not banned\n", text);
		return 1;
	}
	if (result != BAN_OK)
		return refused(text, result, "");
	return print_entry((void *)(uintptr_t)o, &e);
}

/* All there is about an address: its ban in each scope, then its history. */
static int
do_show(struct ban_client *c, const struct ban_options *o,
    const struct network *net, const char *text)
{
	struct error err = { "" };
	bool any = false;
	int code;

	for (int scope = BAN_MAIL; scope <= BAN_HOST; scope++) {
		struct ban_entry e;
		enum ban_result result;

		if (!(o->scope & (unsigned)scope))
			continue;
		code = check_all(c, net, (enum ban_scope)scope, &e, &result, &err);
		if (code < 0)
			return fail(code, &err);
		if (result != BAN_OK && result != BAN_NOT_BANNED)
			return refused(text, result, "");
		if (result == BAN_OK) {
			any = true;
			if ((code = print_entry((void *)(uintptr_t)o, &e)) != 0)
				return code;
		}
	}
	if (!any && !o->json)
		printf("%s: not banned\n", text);
	return many(ban_history(c, net, o->limit, print_event,
	    (void *)(uintptr_t)o, &err), &err);
}

static int
do_flush(struct ban_client *c, const struct ban_options *o)
{
	enum ban_result result;
	struct error err = { "" };
	uint64_t ended;
	int code = ban_flush(c, o->label, &ended, &result, &err);

	if (code < 0)
		return fail(code, &err);
	if (result != BAN_OK)
		return refused("flush", result, "");
	printf("%" PRIu64 " claims ended\n", ended);
	return EX_OK;
}

static int
do_confirm(struct ban_client *c, const struct network *net, const char *text)
{
	enum ban_result result;
	struct error err = { "" };
	int code;

	if (net->prefix_len < (net->addr.family == 4 ? 32 : 64))
		return cli_fail(EX_USAGE, "%s: good mail comes from one address, "
		    "not from a network", text);
	code = ban_confirm(c, &net->addr, (int64_t)time(NULL), &result, &err);

	if (code < 0)
		return fail(code, &err);
	return result == BAN_OK ? EX_OK : refused(text, result, "");
}

static int
do_ping(struct ban_client *c)
{
	struct error err = { "" };
	int code = ban_ping(c, &err);

	return code < 0 ? fail(code, &err) : EX_OK;
}

enum ban_action { ADD, DEL, LIST, CHECK, SHOW, HISTORY, STATUS, FLUSH, CONFIRM,
	PING, ACTIONS };

static const struct {
	const char *name;
	enum { NO_ADDR, MAY_ADDR, ONE_ADDR } addr;
	enum ban_scope scope; /* unless --scope says otherwise */
} actions[ACTIONS] = {
	[ADD] = { "add", ONE_ADDR, BAN_MAIL },
	[DEL] = { "del", ONE_ADDR, BAN_BOTH },
	[LIST] = { "list", NO_ADDR, BAN_BOTH },
	[CHECK] = { "check", ONE_ADDR, BAN_BOTH },
	[SHOW] = { "show", ONE_ADDR, BAN_BOTH },
	[HISTORY] = { "history", MAY_ADDR, BAN_BOTH },
	[STATUS] = { "status", NO_ADDR, BAN_BOTH },
	[FLUSH] = { "flush", NO_ADDR, BAN_BOTH },
	[CONFIRM] = { "confirm", ONE_ADDR, BAN_BOTH },
	[PING] = { "ping", NO_ADDR, BAN_BOTH },
};

static int
run_action(struct ban_client *c, const struct ban_options *o, enum ban_action what,
    const struct network *net, const char *text)
{
	void *context = (void *)(uintptr_t)o;
	struct error err = { "" };

	switch (what) {
	case ADD:
		return do_add(c, o, net, text);
	case DEL:
		return do_del(c, o, net, text);
	case LIST:
		return many(ban_list(c, o->scope, print_entry, context, &err),
		    &err);
	case CHECK:
		return do_check(c, o, net, text);
	case SHOW:
		return do_show(c, o, net, text);
	case HISTORY:
		return many(ban_history(c, text != NULL ? net : NULL, o->limit,
		    print_event, context, &err), &err);
	case STATUS:
		return many(ban_status(c, print_status, context, &err), &err);
	case FLUSH:
		return do_flush(c, o);
	case CONFIRM:
		return do_confirm(c, net, text);
	case PING:
		return do_ping(c);
	case ACTIONS:
		break;
	}
	return cli_usage("ban");
}

static int
take_option(struct ban_options *o, int c, const char *arg)
{
	int64_t n;

	switch (c) {
	case OPT_SOCKET:
		o->socket = arg;
		return EX_OK;
	case OPT_SCOPE:
		return ban_scope_parse(arg, &o->scope) ? EX_OK :
		    cli_fail(EX_USAGE, "--scope: mail, host or both, not \"%s\"",
		    arg);
	case OPT_TIME:
		/* fail2ban's word for "for ever"; policy has its own longest */
		if (strcmp(arg, "-1") == 0) {
			o->ttl_sec = 3660LL * 86400;
			return EX_OK;
		}
		if (!conf_parse_duration(span_cstr(arg), &n) || n < 1000)
			return cli_fail(EX_USAGE, "--time: no time: \"%s\"", arg);
		o->ttl_sec = n / 1000;
		return EX_OK;
	case OPT_REASON:
		o->reason = arg;
		return EX_OK;
	case OPT_LABEL:
		o->label = arg;
		return EX_OK;
	case OPT_JSON:
		o->json = true;
		return EX_OK;
	case OPT_OWN:
		o->own = true;
		return EX_OK;
	case OPT_LIMIT:
		if (!conf_parse_int(span_cstr(arg), &n) || n < 1 || n > INT32_MAX)
			return cli_fail(EX_USAGE, "--limit: no number: \"%s\"", arg);
		o->limit = (uint32_t)n;
		return EX_OK;
	default:
		return cli_usage("ban");
	}
}

int
verb_ban(int argc, char **argv)
{
	struct ban_options o = { .socket = BAN_SOCKET_ADMIN };
	struct ban_client *client;
	struct network net = { 0 };
	struct error err = { "" };
	const char *text = NULL;
	enum ban_action what = ACTIONS;
	int c, code = EX_OK;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if ((code = take_option(&o, c, optarg)) != EX_OK)
			return code;
	if (optind < argc)
		for (what = ADD; what < ACTIONS; what++)
			if (strcmp(argv[optind], actions[what].name) == 0)
				break;
	if (what == ACTIONS)
		return cli_usage("ban");
	argc -= optind + 1;
	argv += optind + 1;
	if (argc > 1 || (argc == 1 && actions[what].addr == NO_ADDR) ||
	    (argc == 0 && actions[what].addr == ONE_ADDR))
		return cli_usage("ban");
	if (argc == 1) {
		text = argv[0];
		/* "203.0.113", a /24 in SpamAssassin's files, is a typing error
		 * here */
		if (!network_parse(span_cstr(text), &net) || net.excluded ||
		    (strchr(text, '/') == NULL && net.prefix_len !=
		    (net.addr.family == 4 ? 32 : 128)))
			return cli_fail(EX_USAGE, "no address or network: \"%s\"",
			    text);
	}
	if (o.scope == 0)
		o.scope = actions[what].scope;
	code = ban_client_new(o.socket, TIMEOUT_MS, &client, &err);
	if (code < 0)
		return fail(code, &err);
	code = run_action(client, &o, what, &net, text);
	ban_client_free(client);
	return cli_finish(code);
}
