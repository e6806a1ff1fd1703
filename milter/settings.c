#include <stddef.h>
#include <stdio.h>
#include <syslog.h>

#include "ban/ban.h"
#include "config.h"
#include "milter/settings.h"

#define AT(member) offsetof(struct milter_settings, member)

static const struct setting_choice on_failure_words[] = {
	{ "accept", ON_FAILURE_ACCEPT },
	{ "tempfail", ON_FAILURE_TEMPFAIL },
	{ NULL, 0 },
};

static const struct setting_choice action_words[] = {
	{ "act", ACT_VERDICT },
	{ "observe", ACT_OBSERVE },
	{ NULL, 0 },
};

static const struct setting_choice log_address_words[] = {
	{ "plain", LOG_ADDRESSES_PLAIN },
	{ "keyed", LOG_ADDRESSES_KEYED },
	{ NULL, 0 },
};

static const struct setting_choice facility_words[] = {
	{ "mail", LOG_MAIL },
	{ "daemon", LOG_DAEMON },
	{ "local0", LOG_LOCAL0 },
	{ "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 },
	{ "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 },
	{ "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 },
	{ "local7", LOG_LOCAL7 },
	{ NULL, 0 },
};

const struct setting milter_settings_table[] = {
	{ "listen", SETTING_STRING, AT(listen), 0, 0, NULL,
	    "where Postfix finds the filter: unix:PATH or inet:PORT@HOST" },
	{ "socket_group", SETTING_STRING, AT(socket_group), 0, 0, NULL,
	    "group that may connect to a Unix socket" },
	{ "user", SETTING_STRING, AT(user), 0, 0, NULL,
	    "user whose rights the daemon keeps after the start" },
	{ "state_dir", SETTING_STRING, AT(state_dir), 0, 0, NULL,
	    "directory of the database, the model and the lock" },
	{ "control_socket", SETTING_STRING, AT(control_socket), 0, 0, NULL,
	    "socket on which spamscore(1) speaks to the daemon, or none" },
	{ "control_group", SETTING_STRING, AT(control_group), 0, 0, NULL,
	    "group that may use the control socket, to teach and to look" },
	{ "ban_socket", SETTING_STRING, AT(ban_socket), 0, 0, NULL,
	    "socket of the ban helper for this source, or none" },
	{ "on_failure", SETTING_ENUM, AT(on_failure), 0, 0, on_failure_words,
	    "what becomes of a message that could not be scored" },
	{ "action", SETTING_ENUM, AT(action), 0, 0, action_words,
	    "act on verdicts, or observe: judge and log only" },
	{ "ban_allow", SETTING_HOSTS, AT(ban_allow), 0, 0, NULL,
	    "networks and hosts that are never banned" },
	{ "ban_allow_refresh", SETTING_DURATION, AT(ban_allow_refresh), 500,
	    5 * 60 * 1000, NULL,
	    "names in ban_allow are not looked up more often" },
	{ "ban_strikes", SETTING_INT, AT(ban_strikes), 0, 64, NULL,
	    "rejected messages before a client is reported; 0: never" },
	{ "ban_window", SETTING_DURATION, AT(ban_window), 1000,
	    INT64_C(7) * 86400 * 1000, NULL, "time in which they must fall" },
	{ "ban_time", SETTING_DURATION, AT(ban_time), 1000,
	    INT64_C(2147483) * 1000, NULL, "length of the ban asked for" },
	{ "log_facility", SETTING_ENUM, AT(log_facility), 0, 0, facility_words,
	    "facility of syslog(3)" },
	{ "log_repeat", SETTING_DURATION, AT(log_repeat), 0, 86400 * 1000, NULL,
	    "time before the same fault is logged again" },
	{ "log_keep", SETTING_DURATION, AT(log_keep), 0,
	    INT64_C(3650) * 86400 * 1000, NULL,
	    "how long verdicts stay in the verdict log; 0: none is written" },
	{ "log_size", SETTING_SIZE, AT(log_size), 1 << 20, INT64_C(1) << 40,
	    NULL, "size of the verdict log, beyond which the oldest go" },
	{ "log_addresses", SETTING_ENUM, AT(log_addresses), 0, 0,
	    log_address_words,
	    "verdict log with addresses, or with keyed hashes and no text" },
	{ "log_samples", SETTING_DURATION, AT(log_samples), 0,
	    INT64_C(3650) * 86400 * 1000, NULL,
	    "how long texts of judged messages stay, for labels by id" },
	{ "label_rate", SETTING_INT, AT(label_rate), 0, 1000000, NULL,
	    "messages that one user may label in an hour; 0: any number" },
	{ "message_memory", SETTING_SIZE, AT(message_memory), 1 << 20,
	    INT64_C(1) << 32, NULL, "most memory that one message may take" },
	{ "stop_timeout", SETTING_DURATION, AT(stop_timeout), 0, 600 * 1000,
	    NULL, "how long SIGTERM waits for messages in flight" },
	{ NULL, 0, 0, 0, 0, NULL, NULL },
};

void
milter_settings_init(struct milter_settings *s)
{
	*s = (struct milter_settings){
		/* below Postfix's chroot, so that main.cf can name it as
		 * unix:spamscore/milter.sock */
		.listen = "unix:/var/spool/postfix/spamscore/milter.sock",
		.socket_group = "postfix",
		.user = "spamscore",
		.state_dir = STATE_DIR,
		.control_socket = RUN_DIR "/control.sock",
		.control_group = "",
		.ban_socket = BAN_SOCKET_MILTER,
		.on_failure = ON_FAILURE_ACCEPT,
		.action = ACT_VERDICT,
		.ban_allow_refresh = 60 * 1000,
		.ban_strikes = 5,
		.ban_window = 10 * 60 * 1000,
		.ban_time = 60 * 60 * 1000,
		.log_facility = LOG_MAIL,
		.log_keep = INT64_C(30) * 86400 * 1000,
		.log_size = INT64_C(512) << 20,
		.log_addresses = LOG_ADDRESSES_PLAIN,
		.label_rate = 1000,
		.log_repeat = 60 * 1000,
		.message_memory = 80 << 20,
		.stop_timeout = 30 * 1000,
	};
}

void
milter_settings_done(struct milter_settings *s)
{
	netset_done(&s->ban_allow.nets);
}

static bool
port_is_valid(struct span s)
{
	int64_t port;

	return conf_parse_int(s, &port) && port > 0 && port < 65536;
}

/* A host name or address: nothing that libmilter or a shell would read
 * otherwise */
static bool
host_is_valid(struct span s, bool v6)
{
	struct netaddr a;

	if (s.len == 0 || s.len > 200)
		return false;
	if (v6)
		return netaddr_parse(s, &a) && a.family == 6;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || c == '-' || c == '.'))
			return false;
	}
	return true;
}

bool
milter_listen_parse(const char *listen, char out[256], const char **ret_path)
{
	struct span s = span_cstr(listen), host, port;
	const char *word;
	size_t at;

	*ret_path = NULL;
	if (span_istarts(s, "unix:") || span_istarts(s, "local:") ||
	    (s.len > 0 && s.ptr[0] == '/')) {
		const char *path = s.ptr[0] == '/' ? listen :
						     strchr(listen, ':') + 1;

		/* sun_path holds 107 characters and a NUL */
		if (path[0] != '/' || strlen(path) > 107)
			return false;
		snprintf(out, 256, "unix:%s", path);
		*ret_path = path;
		return true;
	}
	if (span_istarts(s, "inet:")) {
		word = "inet";
		s = span_from(s, 5);
	} else if (span_istarts(s, "inet6:")) {
		word = "inet6";
		s = span_from(s, 6);
	} else
		return false;
	at = span_find(s, '@');
	if (at < s.len) { /* libmilter's order */
		port = span_of(s.ptr, at);
		host = span_from(s, at + 1);
	} else { /* Postfix's order: the last colon parts host and port */
		for (at = s.len; at > 0 && s.ptr[at - 1] != ':'; at--)
			;
		if (at == 0)
			return false;
		host = span_of(s.ptr, at - 1);
		port = span_from(s, at);
	}
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = span_of(host.ptr + 1, host.len - 2);
	if (!host_is_valid(host, strcmp(word, "inet6") == 0) ||
	    !port_is_valid(port))
		return false;
	snprintf(out, 256, "%s:%.*s@%.*s", word, SPAN_ARG(port), SPAN_ARG(host));
	return true;
}

void
milter_settings_check(const struct milter_settings *s, const char *file,
    struct diags *diags)
{
	static const struct {
		size_t offset;
		const char *name;
		bool may_be_none;
	} paths[] = {
		{ AT(state_dir), "state_dir", false },
		{ AT(control_socket), "control_socket", true },
		{ AT(ban_socket), "ban_socket", true },
	};
	const char *path;
	char conn[256];

	if (!milter_listen_parse(s->listen, conn, &path))
		diag_add(diags, DIAG_ERROR, file, 0,
		    "listen: not unix:PATH or inet:PORT@HOST: \"%s\"", s->listen);
	if (s->ban_allow.names.count > BAN_ALLOW_NAMES_MAX)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "ban_allow: more than %d names", BAN_ALLOW_NAMES_MAX);
	if (s->log_samples > 0 && s->log_addresses == LOG_ADDRESSES_KEYED)
		diag_add(diags, DIAG_ERROR, file, 0, "log_samples keeps texts, and "
		    "addresses with them: not with log_addresses keyed");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *value;

		memcpy(&value, (const char *)s + paths[i].offset, sizeof(value));
		if (value[0] != '/' &&
		    !(paths[i].may_be_none && strcmp(value, SETTINGS_NONE) == 0))
			diag_add(diags, DIAG_ERROR, file, 0,
			    "%s: not an absolute path: \"%s\"", paths[i].name,
			    value);
	}
}
