#include "ban/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban/wire.h"

#define DAY_MS (86400LL * 1000)
#define FIELD(name) offsetof(struct ban_policy, name)

const struct setting ban_policy_settings[] = {
	{ "ban_socket_dir", SETTING_STRING, FIELD(socket_dir), 0, 0, NULL,
	    "directory of the sources' sockets" },
	{ "ban_state_dir", SETTING_STRING, FIELD(state_dir), 0, 0, NULL,
	    "directory of the journal" },
	{ "ban_user", SETTING_STRING, FIELD(user), 0, 0, NULL,
	    "user that the helper runs as" },
	{ "ban_allow", SETTING_HOSTS, FIELD(allow), 0, 0, NULL,
	    "networks and hosts that are never banned" },
	{ "ban_allow_time", SETTING_DURATION, FIELD(allow_ms),
	    10 * 60000, DAY_MS,
	    NULL, "an address that a source allows must be renewed after this" },
	{ "mynetworks", SETTING_NETS, FIELD(allow.nets), 0, 0, NULL,
	    "own clients, never banned" },
	{ "trusted_networks", SETTING_NETS, FIELD(allow.nets), 0, 0, NULL,
	    "trusted relays, never banned" },
	{ "ban_times", SETTING_STRINGS, FIELD(times), 0, 0, NULL,
	    "how long the first, second, ... ban of an address lasts" },
	{ "ban_forget", SETTING_DURATION, FIELD(forget_ms), 1000,
	    3660 * DAY_MS, NULL, "a repeated offender is a new one after this" },
	{ "ban_max_time", SETTING_DURATION, FIELD(max_time_ms), 1000,
	    3660 * DAY_MS, NULL, "no ban is longer" },
	{ "ban_max_entries", SETTING_INT, FIELD(max_entries), 1, 16777216,
	    NULL, "bans a set holds at most" },
	{ "ban_min_prefix4", SETTING_INT, FIELD(min_prefix4), 1, 32, NULL,
	    "no IPv4 network that is wider is banned" },
	{ "ban_min_prefix6", SETTING_INT, FIELD(min_prefix6), 1, 64, NULL,
	    "no IPv6 network that is wider is banned" },
	{ "ban_protect_days", SETTING_INT, FIELD(protect_days), 1,
	    BAN_PROTECT_DAYS_MAX, NULL,
	    "days with confirmed good mail that earn protection" },
	{ "ban_protect_within", SETTING_DURATION, FIELD(protect_within_ms),
	    DAY_MS, 3660 * DAY_MS, NULL, "the days must not be older" },
	{ "ban_protect_max", SETTING_INT, FIELD(protect_max), 0, 10000000,
	    NULL, "addresses that are remembered for protection" },
	{ "ban_history", SETTING_DURATION, FIELD(history_ms), 0,
	    3660 * DAY_MS, NULL, "how long the history is kept" },
	{ "ban_history_max", SETTING_INT, FIELD(history_max), 0, 100000000,
	    NULL, "events the history keeps at most" },
	{ "ban_connections", SETTING_INT, FIELD(connections), 1, 1000, NULL,
	    "connections a source may have" },
	{ "ban_check_interval", SETTING_DURATION, FIELD(check_interval_ms),
	    100, DAY_MS, NULL, "how often the kernel's sets are looked at" },
	{ "ban_counter_interval", SETTING_DURATION, FIELD(counter_interval_ms),
	    100, DAY_MS, NULL, "how often the sets' counters are read" },
	{ "ban_simulate", SETTING_BOOL, FIELD(simulate), 0, 0, NULL,
	    "say what would be banned, and touch nothing" },
	{ 0 }
};

/* Words of the daemon's that begin alike. */
static const char *const daemon_words[] = { "ban_socket", "ban_strikes",
	"ban_window", "ban_time", "ban_timeout", "ban_allow_refresh", NULL };

static const char default_sources[] =
    "ban_source milter group=spamscore mode=0660 scopes=mail "
    "rights=add,check,confirm,allow max_time=4w per_minute=6000\n"
    "ban_source fail2ban mode=0600 scopes=mail,host login=yes escalate=no "
    "rights=add,del,check per_minute=6000 max_time=1y\n"
    "ban_source admin mode=0600 scopes=mail,host escalate=no rights=all "
    "per_minute=60000 max_time=1y\n";

static const struct {
	const char *name;
	unsigned right;
} right_names[] = {
	{ "add", BAN_RIGHT_ADD },
	{ "del", BAN_RIGHT_DEL },
	{ "check", BAN_RIGHT_CHECK },
	{ "list", BAN_RIGHT_LIST },
	{ "confirm", BAN_RIGHT_CONFIRM },
	{ "allow", BAN_RIGHT_ALLOW },
	{ "all", BAN_RIGHT_ADD | BAN_RIGHT_DEL | BAN_RIGHT_CHECK |
	    BAN_RIGHT_LIST | BAN_RIGHT_CONFIRM | BAN_RIGHT_ALLOW |
	    BAN_RIGHT_DEL_ALL },
};

static struct span
next_item(struct span *rest, char separator)
{
	size_t n = span_find(*rest, separator);
	struct span item = span_of(rest->ptr, n);

	*rest = span_from(*rest, n + 1);
	return item;
}

/* A duration that may also be in years: 1y. Seconds. */
static bool
parse_time(struct span s, int64_t *ret_sec)
{
	int64_t v;

	if (s.len > 1 && s.ptr[s.len - 1] == 'y') {
		if (!conf_parse_int(span_of(s.ptr, s.len - 1), &v) || v < 1 ||
		    v > 10)
			return false;
		*ret_sec = v * 366 * 86400;
		return true;
	}
	if (!conf_parse_duration(s, &v) || v < 1000)
		return false;
	*ret_sec = v / 1000;
	return true;
}

static bool
source_option(struct ban_source *s, struct span key, struct span value,
    struct arena *a)
{
	int64_t n;

	if (span_is(key, "socket") && value.len > 1 && value.ptr[0] == '/')
		return (s->socket = arena_memdup(a, value.ptr, value.len)) != NULL;
	if (span_is(key, "group") && value.len > 0)
		return (s->group = arena_memdup(a, value.ptr, value.len)) != NULL;
	if (span_is(key, "mode")) {
		unsigned mode = 0;

		if (value.len < 3 || value.len > 4)
			return false;
		for (size_t i = 0; i < value.len; i++) {
			if (value.ptr[i] < '0' || value.ptr[i] > '7')
				return false;
			mode = mode * 8 + (unsigned)(value.ptr[i] - '0');
		}
		s->mode = mode;
		return mode <= 0777;
	}
	if (span_is(key, "scopes")) {
		s->scopes = 0;
		while (value.len > 0) {
			struct span item = next_item(&value, ',');

			if (span_is(item, "mail"))
				s->scopes |= BAN_MAIL;
			else if (span_is(item, "host"))
				s->scopes |= BAN_HOST;
			else
				return false;
		}
		return s->scopes != 0;
	}
	if (span_is(key, "rights")) {
		s->rights = BAN_RIGHT_PING;
		while (value.len > 0) {
			struct span item = next_item(&value, ',');
			size_t i, count = sizeof(right_names) / sizeof(right_names[0]);

			for (i = 0; i < count; i++)
				if (span_is(item, right_names[i].name))
					break;
			if (i == count)
				return false;
			s->rights |= right_names[i].right;
		}
		return true;
	}
	if (span_is(key, "max_time"))
		return parse_time(value, &s->max_time_sec);
	if (span_is(key, "per_minute")) {
		if (!conf_parse_int(value, &n) || n < 1 || n > 100000000)
			return false;
		s->per_minute = n;
		return true;
	}
	if (span_is(key, "login"))
		return conf_parse_bool(value, &s->login);
	if (span_is(key, "escalate"))
		return conf_parse_bool(value, &s->escalate);
	return false;
}

static void
parse_source(const struct conf_line *line, struct arena *a,
    struct ban_policy *p, struct diags *diags)
{
	struct span rest = line->value, name = conf_next_word(&rest), word;
	struct ban_source s = { .mode = 0600, .scopes = BAN_MAIL,
		.rights = BAN_RIGHT_PING | BAN_RIGHT_ADD | BAN_RIGHT_CHECK,
		.max_time_sec = 7 * 86400, .per_minute = 600,
		.escalate = true };

	if (name.len == 0 || !ban_label_ok(name) || name.ptr[0] == '.') {
		diag_add(diags, DIAG_ERROR, line->file, line->number,
		    "ban_source: a name of letters, digits and _.- is missing");
		return;
	}
	memcpy(s.name, name.ptr, name.len);
	for (size_t i = 0; i < p->n_sources; i++)
		if (strcmp(p->sources[i].name, s.name) == 0) {
			diag_add(diags, DIAG_ERROR, line->file, line->number,
			    "ban_source \"%s\" stands here twice", s.name);
			return;
		}
	while ((word = conf_next_word(&rest)).len > 0) {
		size_t eq = span_find(word, '=');

		if (eq == word.len || !source_option(&s, span_of(word.ptr, eq),
		    span_from(word, eq + 1), a))
			diag_add(diags, DIAG_ERROR, line->file, line->number,
			    "ban_source \"%s\": \"%.*s\" is not understood",
			    s.name, SPAN_ARG(word));
	}
	if (p->n_sources == BAN_SOURCES_MAX) {
		diag_add(diags, DIAG_ERROR, line->file, line->number,
		    "more than %d lines ban_source", BAN_SOURCES_MAX);
		return;
	}
	p->sources[p->n_sources++] = s;
}

static void
parse_steps(struct ban_policy *p, const char *file, struct diags *diags)
{
	if (p->times.count == 0) {
		p->step_sec[0] = 3600;
		p->step_sec[1] = 86400;
		p->step_sec[2] = 7 * 86400;
		p->steps = 3;
		return;
	}
	for (size_t i = 0; i < p->times.count; i++) {
		int64_t sec;

		if (!parse_time(span_cstr(p->times.items[i]), &sec)) {
			diag_add(diags, DIAG_ERROR, file, 0,
			    "ban_times: \"%s\" is no time", p->times.items[i]);
		} else if (p->steps > 0 && sec < p->step_sec[p->steps - 1]) {
			diag_add(diags, DIAG_ERROR, file, 0,
			    "ban_times: \"%s\" is shorter than the one before",
			    p->times.items[i]);
		} else if (p->steps == BAN_STEPS_MAX) {
			diag_add(diags, DIAG_ERROR, file, 0,
			    "ban_times: more than %d", BAN_STEPS_MAX);
			break;
		} else
			p->step_sec[p->steps++] = sec;
	}
}

int
ban_policy_parse(struct arena *a, const struct conf_lines *lines,
    struct ban_policy *ret, struct diags *diags)
{
	struct ban_policy *p = ret;
	struct settings_room room = { ban_policy_settings, p };
	const char *file = lines->count > 0 ? lines->lines[0].file : "(defaults)";

	memset(p, 0, sizeof(*p));
	p->socket_dir = BAN_SOCKET_DIR;
	p->state_dir = "/var/lib/spamscore-ban";
	p->user = "spamscore-ban";
	p->allow_ms = 3600 * 1000;
	p->forget_ms = 30 * DAY_MS;
	p->max_time_ms = 366 * DAY_MS;
	p->max_entries = 1000000;
	p->min_prefix4 = 16;
	p->min_prefix6 = 32;
	p->protect_days = 3;
	p->protect_within_ms = 90 * DAY_MS;
	p->protect_max = 100000;
	p->history_ms = 90 * DAY_MS;
	p->history_max = 1000000;
	p->connections = 32;
	p->check_interval_ms = 5000;
	p->counter_interval_ms = 60000;

	for (size_t i = 0; i < lines->count; i++) {
		const struct conf_line *line = &lines->lines[i];
		bool known = false;

		if (span_is(line->key, "ban_source")) {
			parse_source(line, a, p, diags);
			continue;
		}
		if (conf_apply(line, &room, 1, a, diags) != CONF_UNKNOWN ||
		    !span_istarts(line->key, "ban_"))
			continue;
		for (size_t j = 0; daemon_words[j] != NULL; j++)
			known = known || span_is(line->key, daemon_words[j]);
		if (!known)
			diag_add(diags, DIAG_ERROR, line->file, line->number,
			    "unknown setting \"%.*s\"", SPAN_ARG(line->key));
	}
	parse_steps(p, file, diags);
	if (p->n_sources == 0) {
		struct conf_lines defaults;
		int code = conf_parse(a, "(default sources)",
		    span_cstr(default_sources), &defaults, diags, NULL);

		if (code < 0)
			return code;
		for (size_t i = 0; i < defaults.count; i++)
			parse_source(&defaults.lines[i], a, p, diags);
	}
	for (size_t i = 0; i < p->n_sources; i++)
		if (p->sources[i].socket == NULL) {
			p->sources[i].socket = arena_printf(a, "%s/%s.sock",
			    p->socket_dir, p->sources[i].name);
			if (p->sources[i].socket == NULL)
				return -ENOMEM;
		}
	return 0;
}

void
ban_policy_done(struct ban_policy *p)
{
	netset_done(&p->allow.nets);
}

bool
ban_network_normalise(const struct network *net, struct network *ret)
{
	static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	struct netaddr addr = net->addr;
	unsigned prefix = net->prefix_len;

	if (addr.family == 6 && memcmp(addr.bytes, mapped, 12) == 0) {
		/* a mapped network that is wider than all of IPv4 */
		if (prefix < 96)
			return false;
		memcpy(addr.bytes, net->addr.bytes + 12, 4);
		memset(addr.bytes + 4, 0, 12);
		addr.family = 4;
		prefix -= 96;
	}
	if (addr.family == 6) {
		if (prefix > 128)
			return false;
		if (prefix > 64)
			prefix = 64;
	} else if (addr.family != 4 || prefix > 32)
		return false;
	if (prefix == 0)
		return false;
	*ret = network_of(&addr, prefix);
	ret->excluded = false;
	return true;
}

/* What no firewall should drop, whoever asks (RFC 6890, RFC 4291). */
static const struct {
	struct network net;
	const char *why;
} never[] = {
	{ { { 4, { 0 } }, 8, false }, "unspecified address" },
	{ { { 4, { 127 } }, 8, false }, "loopback" },
	{ { { 4, { 224 } }, 4, false }, "multicast" },
	{ { { 4, { 255, 255, 255, 255 } }, 32, false }, "broadcast" },
	/* ::1 and :: : a /64 is the finest that is banned */
	{ { { 6, { 0 } }, 64, false }, "loopback" },
	/* fe80::/10: neighbour discovery would stop */
	{ { { 6, { 0xFE, 0x80 } }, 10, false }, "link-local" },
	{ { { 6, { 0xFF } }, 8, false }, "multicast" },
	/* 64:ff9b::/96, 64:ff9b:1::/48, 2001::/32: all of IPv4 in one /64
	 * (RFC 6052, RFC 8215), and all clients of a Teredo server (RFC
	 * 4380); a ban would hit the world */
	{ { { 6, { 0, 0x64, 0xFF, 0x9B } }, 96, false }, "translated IPv4" },
	{ { { 6, { 0, 0x64, 0xFF, 0x9B, 0, 1 } }, 48, false }, "translated IPv4" },
	{ { { 6, { 0x20, 0x01 } }, 32, false }, "Teredo" },
};

/* As in netset_contains() the first network that decides about all of net
 * decides; one that touches only a part of it protects that part. */
static bool
allow_overlaps(const struct netset *set, const struct network *net)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct network *n = &set->nets[i];

		if (!network_overlaps(n, net))
			continue;
		if (!n->excluded)
			return true;
		if (n->prefix_len <= net->prefix_len)
			return false;
	}
	return false;
}

enum ban_result
ban_policy_admit(const struct ban_policy *p, const struct network *net,
    const char **ret_why)
{
	unsigned min = (unsigned)(net->addr.family == 4 ? p->min_prefix4 :
	    p->min_prefix6);

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (network_overlaps(&never[i].net, net)) {
			*ret_why = never[i].why;
			return BAN_REFUSED_ALLOWED;
		}
	if (net->prefix_len < min) {
		*ret_why = "network too wide";
		return BAN_REFUSED_LIMIT;
	}
	if (allow_overlaps(&p->allow.nets, net)) {
		*ret_why = "allow-listed";
		return BAN_REFUSED_ALLOWED;
	}
	*ret_why = "";
	return BAN_OK;
}

int64_t
ban_policy_ttl(const struct ban_policy *p, const struct ban_source *s,
    uint32_t earlier, int64_t asked_sec)
{
	int64_t ttl = asked_sec;
	size_t step = earlier < p->steps ? earlier : p->steps - 1;

	if (asked_sec == 0)
		ttl = p->step_sec[s->escalate ? step : 0];
	else if (s->escalate && earlier > 0 && p->step_sec[step] > ttl)
		ttl = p->step_sec[step];
	if (ttl > s->max_time_sec)
		ttl = s->max_time_sec;
	if (ttl > p->max_time_ms / 1000)
		ttl = p->max_time_ms / 1000;
	return ttl < 1 ? 1 : ttl;
}

bool
ban_rate_take(struct ban_rate *rate, int64_t per_minute, int64_t now_ms)
{
	int64_t full = per_minute * 1000, passed = now_ms - rate->last_ms;

	/* a new bucket is full; per_minute <= 1e8, so nothing overflows */
	if (rate->last_ms == 0 || passed < 0 || passed >= 60000) {
		rate->milli_tokens = full;
		rate->last_ms = now_ms;
	} else if (passed * per_minute >= 60) {
		/* (time that gives no token yet must not be forgotten) */
		rate->milli_tokens += passed * per_minute / 60;
		rate->last_ms = now_ms;
	}
	if (rate->milli_tokens > full)
		rate->milli_tokens = full;
	if (rate->milli_tokens < 1000)
		return false;
	rate->milli_tokens -= 1000;
	return true;
}
