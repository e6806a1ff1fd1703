#include "cli/doctor_host.h"

#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ban/ban.h"
#include "ban/policy.h"
#include "base/escape.h"
#include "cli/cli.h"
#include "config.h"
#include "milter/settings.h"

#define FIREWALL "/usr/share/spamscore/firewall/spamscore-firewall"
enum { OUTPUT_MAX = 1 << 20 };

struct host {
	const struct doctor_options *o;
	struct arena *arena;
	struct milter_settings milter;
	struct ban_policy policy;
	bool well;
};

bool
doctor_tell(const struct doctor_options *o, const char *check,
    enum doctor_state state, const char *fix, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warn", "bad", "skip" };
	char text[1024];
	struct buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&b, 65536);
	if (o->json) {
		escape_utf8(&b, span_cstr(text));
		cli_print_json(stdout, json_pack("{s:s, s:s, s:s%, s:s?}",
		    "check", check, "state", words[state], "text", b.ptr, b.len,
		    "fix", fix));
	} else {
		escape_text(&b, span_cstr(text), 0);
		printf("%-5s %s: %s\n", words[state], check, b.ptr);
		if (fix != NULL)
			printf("      %s\n", fix);
	}
	buf_done(&b);
	return state == DOCTOR_OK || state == DOCTOR_SKIP;
}

#define TELL(h, ...) ((h)->well &= doctor_tell((h)->o, __VA_ARGS__))

/* The output of a command of ours (never of text from elsewhere), or NULL
 * when it cannot be had. */
static char *
output_of(struct host *h, const char *command)
{
	char *line = arena_printf(h->arena, "%s 2>/dev/null </dev/null", command);
	struct buf out;
	char chunk[4096], *text = NULL;
	size_t n;
	FILE *p = line != NULL ? popen(line, "r") : NULL;

	if (p == NULL)
		return NULL;
	buf_init(&out, OUTPUT_MAX);
	while ((n = fread(chunk, 1, sizeof(chunk), p)) > 0)
		buf_add(&out, chunk, n);
	if (pclose(p) == 0 && !out.failed)
		text = arena_memdup(h->arena, out.ptr, out.len);
	buf_done(&out);
	return text;
}

/* The value of a Postfix setting, NULL when it is not set. */
static const char *
setting_of(struct host *h, const char *postconf, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = postconf; *line != '\0';) {
		size_t len = strcspn(line, "\n");
		struct span rest;

		if (len > n && strncmp(line, name, n) == 0 &&
		    (line[n] == ' ' || line[n] == '=')) {
			rest = span_of(line + n, len - n);
			rest = span_trim(span_from(rest, span_find(rest, '=') + 1));
			return arena_memdup(h->arena, rest.ptr, rest.len);
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

static bool
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (list != NULL && *list != '\0') {
		size_t len;

		list += strspn(list, ", \t\n");
		len = strcspn(list, ", \t\n");
		if (len == n && strncmp(list, word, n) == 0)
			return true;
		list += len;
	}
	return false;
}

static void
check_config(struct host *h)
{
	const char *path = h->o->config != NULL ? h->o->config :
	    access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : NULL;
	struct settings_room room = { milter_settings_table, &h->milter };
	struct conf_lines lines = { 0 };
	struct error err = { "" };
	struct diags diags;
	struct stat st;

	diags_init(&diags, h->arena);
	milter_settings_init(&h->milter);
	if (path != NULL && conf_read(h->arena, path, CONF_MAX_FILE_BYTES,
	    &lines, &diags, &err) < 0) {
		TELL(h, "configuration", DOCTOR_BAD, NULL, "%s", err.text);
		path = NULL;
	}
	for (size_t i = 0; i < lines.count; i++)
		conf_apply(&lines.lines[i], &room, 1, h->arena, &diags);
	if (ban_policy_parse(h->arena, &lines, &h->policy, &diags) < 0 ||
	    diags.errors > 0)
		TELL(h, "configuration", DOCTOR_BAD, "spamscore lint",
		    "%zu errors in %s", diags.errors, path);
	else if (path == NULL)
		TELL(h, "configuration", DOCTOR_OK, NULL,
		    "no file: all settings have their defaults");
	else
		TELL(h, "configuration", DOCTOR_OK, NULL, "%s", path);
	if (path != NULL && stat(path, &st) == 0 &&
	    ((st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && st.st_gid != 0)))
		TELL(h, "configuration", DOCTOR_BAD,
		    arena_printf(h->arena, "chmod go-w %s", path),
		    "%s can be written by others than root", path);
}

/* Is somebody listening there? 0, or errno. */
static int
try_socket(const char *path, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, code = 0;

	if (strlen(path) >= sizeof(addr.sun_path))
		return ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		code = errno;
	if (fd >= 0)
		close(fd);
	return code;
}

static void
check_milter_socket(struct host *h)
{
	const char *path = NULL;
	char conn[256];
	struct stat st;
	int code;

	if (!milter_listen_parse(h->milter.listen, conn, &path) || path == NULL) {
		TELL(h, "milter", DOCTOR_SKIP, NULL, "listens on %s",
		    h->milter.listen);
		return;
	}
	code = try_socket(path, SOCK_STREAM);
	if (code == EACCES || code == EPERM) {
		TELL(h, "milter", DOCTOR_SKIP, NULL, "%s: only root can see", path);
		return;
	}
	if (code != 0) {
		TELL(h, "milter", DOCTOR_BAD, "systemctl start spamscored",
		    "nobody listens on %s: %s", path, strerror(code));
		return;
	}
	if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH))
		TELL(h, "milter", DOCTOR_BAD, "systemctl restart spamscored",
		    "everybody may connect to %s", path);
	else
		TELL(h, "milter", DOCTOR_OK, NULL, "listens on %s", path);
}

/* Settings that nearly every mail host wants, with the value to give. */
static const struct {
	const char *name, *want, *preset, *why;
} wanted[] = {
	{ "smtpd_helo_required", "yes", "no", "a client without HELO is no MTA" },
	{ "disable_vrfy_command", "yes", "no", "VRFY tells who exists" },
	{ "strict_rfc821_envelopes", "yes", "no", "no mail system needs less" },
	{ "smtpd_delay_reject", "yes", "yes",
	    "the log then knows whom the mail was for" },
};

static void
check_postfix(struct host *h)
{
	const char *text = output_of(h, h->o->postconf), *value, *action, *path;
	const char *queue, *spec;
	char conn[256];

	if (text == NULL) {
		TELL(h, "postfix", DOCTOR_SKIP, NULL, "\"%s\" does not work",
		    h->o->postconf);
		return;
	}
	queue = setting_of(h, text, "queue_directory");
	if (queue == NULL)
		queue = "/var/spool/postfix";
	spec = h->milter.listen;
	/* Postfix names a socket from its queue directory */
	if (milter_listen_parse(spec, conn, &path) && path != NULL) {
		if (strncmp(path, queue, strlen(queue)) == 0 &&
		    path[strlen(queue)] == '/')
			path += strlen(queue) + 1;
		spec = arena_printf(h->arena, "unix:%s", path);
	}
	value = setting_of(h, text, "smtpd_milters");
	if (spec != NULL && (has_word(value, spec) ||
	    has_word(value, h->milter.listen)))
		TELL(h, "postfix", DOCTOR_OK, NULL, "smtpd_milters has %s", spec);
	else
		TELL(h, "postfix", DOCTOR_BAD, arena_printf(h->arena,
		    "postconf -e 'smtpd_milters = %s%s%s'", spec != NULL ? spec : "",
		    value != NULL && *value != '\0' ? ", " : "",
		    value != NULL ? value : ""),
		    "mail does not pass the filter: smtpd_milters lacks it");
	action = setting_of(h, text, "milter_default_action");
	if (action != NULL && strcmp(action, "reject") == 0)
		TELL(h, "postfix", DOCTOR_WARN,
		    "postconf -e 'milter_default_action = accept'",
		    "while the filter is away good mail is rejected for good");
	else
		TELL(h, "postfix", DOCTOR_OK, NULL, "milter_default_action is %s",
		    action != NULL ? action : "tempfail");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		value = setting_of(h, text, wanted[i].name);
		if (value == NULL)
			value = wanted[i].preset;
		if (strcmp(value, wanted[i].want) == 0)
			TELL(h, "postfix", DOCTOR_OK, NULL, "%s = %s",
			    wanted[i].name, value);
		else
			TELL(h, "postfix", DOCTOR_WARN, arena_printf(h->arena,
			    "postconf -e '%s = %s'", wanted[i].name,
			    wanted[i].want), "%s = %s: %s", wanted[i].name, value,
			    wanted[i].why);
	}
	value = setting_of(h, text, "mynetworks");
	if (has_word(value, "0.0.0.0/0") || has_word(value, "[::]/0") ||
	    has_word(value, "::/0"))
		TELL(h, "postfix", DOCTOR_BAD, "postconf -e 'mynetworks = "
		    "127.0.0.0/8 [::1]/128'", "mynetworks holds everybody: "
		    "an open relay");
	value = setting_of(h, text, "smtpd_relay_restrictions");
	if (value != NULL && !has_word(value, "reject_unauth_destination") &&
	    !has_word(value, "defer_unauth_destination") &&
	    !has_word(setting_of(h, text, "smtpd_recipient_restrictions"),
	    "reject_unauth_destination"))
		TELL(h, "postfix", DOCTOR_BAD, "postconf -e "
		    "'smtpd_relay_restrictions = permit_mynetworks, "
		    "permit_sasl_authenticated, reject_unauth_destination'",
		    "nothing keeps strangers from relaying");
	else
		TELL(h, "postfix", DOCTOR_OK, NULL, "strangers cannot relay");
}

static void
check_dns(struct host *h)
{
	static const char *const public_resolvers[] = { "8.8.8.8", "8.8.4.4",
		"1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222" };
	unsigned char answer[4096];
	char ip[NETADDR_TEXT];
	struct netaddr a;
	bool public = false;

	if (res_init() != 0) {
		TELL(h, "dns", DOCTOR_BAD, NULL, "no resolver is configured");
		return;
	}
	_res.retrans = 2;
	_res.retry = 1;
	for (int i = 0; i < _res.nscount; i++) {
		if (!netaddr_from_sockaddr((struct sockaddr *)&_res.nsaddr_list[i],
		    &a))
			continue;
		netaddr_format(&a, ip);
		for (size_t j = 0; j < sizeof(public_resolvers) /
		     sizeof(public_resolvers[0]); j++)
			public |= strcmp(ip, public_resolvers[j]) == 0;
	}
	if (public)
		TELL(h, "dns", DOCTOR_WARN, "apt-get install unbound && echo "
		    "'nameserver 127.0.0.1' > /etc/resolv.conf",
		    "a public resolver: DNS lists refuse its questions");
	if (res_query(".", 1 /* IN */, 2 /* NS */, answer, sizeof(answer)) < 0)
		TELL(h, "dns", DOCTOR_BAD, "apt-get install unbound && echo "
		    "'nameserver 127.0.0.1' > /etc/resolv.conf",
		    "the resolver does not answer");
	else if (!public)
		TELL(h, "dns", DOCTOR_OK, NULL, "the resolver answers");
}

static int
tell_set(void *context, const struct ban_set_status *s)
{
	struct host *h = context;

	if (s->fine)
		TELL(h, "bans", DOCTOR_OK, NULL, "%s holds %llu bans", s->name,
		    (unsigned long long)s->entries);
	else
		TELL(h, "bans", DOCTOR_BAD, arena_printf(h->arena,
		    "iptables-save | grep %s", s->name), "%s: %s", s->name,
		    s->problem);
	return 0;
}

static void
check_bans(struct host *h)
{
	const struct ban_source *source = NULL;
	struct ban_client *c;
	struct error err = { "" };
	int code;

	/* every source may ask how the sets are; the administrator's first */
	for (size_t i = 0; i < h->policy.n_sources; i++) {
		const struct ban_source *s = &h->policy.sources[i];

		if (source == NULL || strcmp(s->name, "admin") == 0)
			source = s;
		if (s->mode & S_IWOTH)
			TELL(h, "bans", DOCTOR_WARN, NULL, "ban_source %s: "
			    "everybody may ban (mode %04o)", s->name,
			    (unsigned)s->mode);
	}
	if (strcmp(h->milter.ban_socket, SETTINGS_NONE) == 0) {
		TELL(h, "bans", DOCTOR_SKIP, NULL, "ban_socket none");
		return;
	}
	if (source == NULL ||
	    ban_client_new(source->socket, 5000, &c, &err) < 0)
		return;
	code = ban_status(c, tell_set, h, &err);
	ban_client_free(c);
	if (code == -EACCES || code == -EPERM)
		TELL(h, "bans", DOCTOR_SKIP, NULL, "%s: only root can see",
		    source->socket);
	else if (code < 0)
		TELL(h, "bans", DOCTOR_BAD, "systemctl enable --now "
		    "spamscore-banhelper", "%s", err.text);
	if (code == 0 && (code = try_socket(h->milter.ban_socket,
	    SOCK_SEQPACKET)) != 0 && code != EACCES)
		TELL(h, "bans", DOCTOR_BAD, NULL, "the daemon's ban_socket %s: %s",
		    h->milter.ban_socket, strerror(code));
}

/* A rule that matches the set is worth nothing unless something jumps to
 * where it stands and it throws packets away. */
static bool
rules_use(const char *rules, const char *set)
{
	char needle[64];
	const char *at = rules;

	snprintf(needle, sizeof(needle), "--match-set %s src", set);
	while ((at = strstr(at, needle)) != NULL) {
		const char *start = at, *end = at + strcspn(at, "\n");
		char chain[64] = "", jump[80];
		const char *target;

		while (start > rules && start[-1] != '\n')
			start--;
		target = memmem(at, (size_t)(end - at), "-j ", 3);
		sscanf(start, "-A %63s", chain);
		snprintf(jump, sizeof(jump), "-j %s\n", chain);
		if (target != NULL && (strncmp(target, "-j DROP", 7) == 0 ||
		    strncmp(target, "-j REJECT", 9) == 0) &&
		    (strcmp(chain, "INPUT") == 0 || strcmp(chain, "PREROUTING") ==
		    0 || strstr(rules, jump) != NULL))
			return true;
		at = end;
	}
	return false;
}

static void
check_firewall(struct host *h)
{
	static const struct {
		const char *command, *version;
	} saves[] = { { "iptables-save", "4" }, { "ip6tables-save", "6" } };

	if (strcmp(h->milter.ban_socket, SETTINGS_NONE) == 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		const char *rules = output_of(h, saves[i].command);
		char mail[32], host[32];

		if (rules == NULL) {
			TELL(h, "firewall", DOCTOR_SKIP, NULL, "%s: only root can "
			    "see, or it is not installed", saves[i].command);
			continue;
		}
		snprintf(mail, sizeof(mail), "spamscore-mail%s", saves[i].version);
		snprintf(host, sizeof(host), "spamscore-host%s", saves[i].version);
		for (const char *set = mail; set != NULL;
		     set = set == mail ? host : NULL)
			if (rules_use(rules, set))
				TELL(h, "firewall", DOCTOR_OK, NULL,
				    "a rule drops what is in %s", set);
			else
				TELL(h, "firewall", DOCTOR_BAD, FIREWALL " start",
				    "no rule drops what is in %s", set);
	}
}

static void
check_fail2ban(struct host *h)
{
	const char *text;

	if (access("/etc/fail2ban/jail.conf", F_OK) != 0) {
		TELL(h, "fail2ban", DOCTOR_SKIP, NULL, "is not installed");
		return;
	}
	if (access("/etc/fail2ban/action.d/spamscore.conf", F_OK) != 0) {
		TELL(h, "fail2ban", DOCTOR_WARN, "cp dist/fail2ban/action.d/"
		    "spamscore.conf /etc/fail2ban/action.d/",
		    "has no action for the ban helper");
		return;
	}
	text = output_of(h, "grep -rlsE '^[[:space:]]*(ban)?action[a-z_]*[[:space:]]*="
	    "[[:space:]]*spamscore' /etc/fail2ban/jail.local /etc/fail2ban/jail.d");
	if (text == NULL || *text == '\0')
		TELL(h, "fail2ban", DOCTOR_WARN, "cp /usr/share/doc/spamscore/"
		    "fail2ban/jail.d/spamscore.conf /etc/fail2ban/jail.d/",
		    "no jail bans through the ban helper");
	else
		TELL(h, "fail2ban", DOCTOR_OK, NULL, "bans through the ban helper");
}

static void
check_units(struct host *h)
{
	static const char *const services[] = { "spamscored",
		"spamscore-banhelper", "spamscore-firewall" };
	glob_t timers;

	if (access("/run/systemd/system", F_OK) != 0) {
		TELL(h, "units", DOCTOR_SKIP, NULL, "systemd does not run");
		return;
	}
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		const char *command = arena_printf(h->arena,
		    "systemctl is-enabled %s && systemctl is-active %s",
		    services[i], services[i]);

		if (command != NULL && output_of(h, command) != NULL)
			TELL(h, "units", DOCTOR_OK, NULL, "%s runs", services[i]);
		else
			TELL(h, "units", DOCTOR_BAD, arena_printf(h->arena,
			    "systemctl enable --now %s", services[i]),
			    "%s does not run, or not after a reboot", services[i]);
	}
	if (glob("/usr/lib/systemd/system/spamscore*.timer", 0, NULL, &timers) != 0)
		return;
	for (size_t i = 0; i < timers.gl_pathc; i++) {
		const char *name = strrchr(timers.gl_pathv[i], '/') + 1;
		const char *command = arena_printf(h->arena,
		    "systemctl is-active %s", name);

		if (command != NULL && output_of(h, command) != NULL)
			TELL(h, "timers", DOCTOR_OK, NULL, "%s waits", name);
		else
			TELL(h, "timers", DOCTOR_BAD, arena_printf(h->arena,
			    "systemctl enable --now %s", name),
			    "%s is not active", name);
	}
	globfree(&timers);
}

static void
check_rights(struct host *h)
{
	const char *dirs[] = { h->milter.state_dir, h->policy.state_dir };
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		if (stat(dirs[i], &st) < 0)
			TELL(h, "rights", errno == EACCES ? DOCTOR_SKIP : DOCTOR_WARN,
			    NULL, "%s: %s", dirs[i], strerror(errno));
		else if (st.st_mode & (S_IWGRP | S_IRWXO))
			TELL(h, "rights", DOCTOR_BAD, arena_printf(h->arena,
			    "chmod g-w,o= %s", dirs[i]), "%s is open to others",
			    dirs[i]);
		else
			TELL(h, "rights", DOCTOR_OK, NULL, "%s is its owner's own",
			    dirs[i]);
	}
}

bool
doctor_host(const struct doctor_options *o)
{
	struct host h = { .o = o, .arena = arena_new(64u << 20), .well = true };

	if (h.arena == NULL) {
		cli_fail(EX_OSERR, "out of memory");
		return false;
	}
	check_config(&h);
	check_rights(&h);
	check_milter_socket(&h);
	check_postfix(&h);
	check_dns(&h);
	check_bans(&h);
	check_firewall(&h);
	check_fail2ban(&h);
	check_units(&h);
	ban_policy_done(&h.policy);
	milter_settings_done(&h.milter);
	arena_free(h.arena);
	return h.well;
}
