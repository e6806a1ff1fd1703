#include "cli/doctor_host.h"

#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/cli.h"
#include "config.h"
#include "scoring/auth/dns.h"

enum { OUTPUT_MAX = 16 << 20, DNS_PATIENCE_MS = 5000 };

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

char *
doctor_output(struct host *h, const char *command)
{
	char *line = arena_printf(h->arena, "{ %s; } 2>/dev/null </dev/null",
	    command);
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

static void
check_config(struct host *h)
{
	const char *path = h->o->config != NULL ? h->o->config :
	    access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : NULL;
	struct settings_room rooms[] = { { milter_settings_table, &h->milter },
		{ scoring_settings_table, &h->scoring } };
	struct conf_lines lines = { 0 };
	struct error err = { "" };
	struct diags diags;
	struct stat st;

	diags_init(&diags, h->arena);
	if (path != NULL && conf_read(h->arena, path, CONF_MAX_FILE_BYTES,
	    &lines, &diags, &err) < 0) {
		TELL(h, "configuration", DOCTOR_BAD, arena_printf(h->arena,
		    "install -m 0644 /usr/share/doc/spamscore/spamscore.conf %s",
		    path), "%s", err.text);
		path = NULL;
	} else if (path == NULL)
		TELL(h, "configuration", DOCTOR_OK, NULL,
		    "no file: all settings have their defaults");
	h->config = path;
	for (size_t i = 0; i < lines.count; i++)
		conf_apply(&lines.lines[i], rooms, 2, h->arena, &diags);
	if (ban_policy_parse(h->arena, &lines, &h->policy, &diags) < 0 ||
	    diags.errors > 0)
		TELL(h, "configuration", DOCTOR_BAD, arena_printf(h->arena,
		    "spamscored --check --config %s; spamscore-banhelper --check "
		    "--config %s", path, path),
		    "%zu errors in %s", diags.errors, path);
	else if (path != NULL)
		TELL(h, "configuration", DOCTOR_OK, NULL, "%s", path);
	if (path != NULL && stat(path, &st) == 0 &&
	    ((st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && st.st_gid != 0)))
		TELL(h, "configuration", DOCTOR_BAD,
		    arena_printf(h->arena, "chmod go-w %s", path),
		    "%s can be written by others than root", path);
}

/* The daemon keeps its old rules when new ones are wrong, and says so only
 * in its log. */
static void
check_rules(struct host *h)
{
	struct judge_options jo = { .config = h->config };
	struct engine *engine = NULL;
	struct error err = { "" };
	struct diags diags;

	diags_init(&diags, h->arena);
	if (cli_engine_load(&jo, false, &diags, &engine, &err) == 0 &&
	    diags.errors == 0)
		TELL(h, "rules", DOCTOR_OK, NULL, "%zu rules",
		    ruleset_count(engine_ruleset(engine)));
	else
		TELL(h, "rules", DOCTOR_BAD, h->config != NULL ?
		    arena_printf(h->arena, "spamscore lint --config %s",
		    h->config) : "spamscore lint", "%zu errors: %s", diags.errors,
		    err.text);
	if (engine != NULL)
		engine_free(engine);
}

int
doctor_try_socket(const char *path, int type)
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

static bool
is_public_resolver(const char *text)
{
	static const char *const public_resolvers[] = { "8.8.8.8", "8.8.4.4",
		"1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112",
		"208.67.222.222", "208.67.220.220", "2001:4860:4860::8888",
		"2001:4860:4860::8844", "2606:4700:4700::1111", "2620:fe::fe" };
	size_t n = strcspn(text, "@");

	for (size_t i = 0; i < sizeof(public_resolvers) /
	     sizeof(public_resolvers[0]); i++)
		if (strlen(public_resolvers[i]) == n &&
		    strncmp(text, public_resolvers[i], n) == 0)
			return true;
	return false;
}

/* The name servers of the system, as libunbound reads them. */
static const char *
system_resolvers(struct host *h)
{
	return doctor_output(h, "sed -n 's/^[[:space:]]*nameserver[[:space:]]*//p' "
	    "/etc/resolv.conf");
}

static void
check_dns(struct host *h)
{
	static const char fix[] = "apt-get install unbound && echo "
	    "'nameserver 127.0.0.1' > /etc/resolv.conf";
	struct dns_options options = { h->scoring.resolver,
		h->scoring.trust_anchor };
	const char *rest = system_resolvers(h);
	struct dns_session *session = NULL;
	struct strings *list = &options.resolver;
	struct dns *dns = NULL;
	struct error err = { "" };
	const struct dns_answer *answer;
	bool public = false;

	while (list->count == 0 && rest != NULL && *rest != '\0') {
		size_t n = strcspn(rest, " \t\n");

		public |= n > 0 && is_public_resolver(arena_printf(h->arena,
		    "%.*s", (int)n, rest));
		rest += n + (rest[n] != '\0');
	}
	for (size_t i = 0; i < list->count; i++)
		public |= is_public_resolver(list->items[i]);
	if (public)
		TELL(h, "dns", DOCTOR_WARN, fix,
		    "a public resolver: DNS lists refuse its questions");
	if (dns_new(&options, &dns, &err) < 0 ||
	    (session = dns_session_new(dns, DNS_PATIENCE_MS, 1)) == NULL) {
		TELL(h, "dns", DOCTOR_BAD, fix, "%s", err.text);
	} else {
		/* the root has name servers wherever one asks */
		answer = dns_lookup(session, "", DNS_NS);
		if (dns_status_is_temporary(answer->status))
			TELL(h, "dns", DOCTOR_BAD, fix, "the resolver does not "
			    "answer: %s", dns_status_name(answer->status));
		else if (!public)
			TELL(h, "dns", DOCTOR_OK, NULL, "the resolver answers");
	}
	dns_session_free(session);
	dns_free(dns);
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

		if (command != NULL && doctor_output(h, command) != NULL)
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
		const char *active = arena_printf(h->arena,
		    "systemctl is-active %s", name);
		const char *enabled = arena_printf(h->arena,
		    "systemctl is-enabled %s", name);
		const char *fix = arena_printf(h->arena,
		    "systemctl enable --now %s", name);

		if (active == NULL || enabled == NULL)
			break;
		if (doctor_output(h, active) != NULL)
			TELL(h, "timers", DOCTOR_OK, NULL, "%s waits", name);
		else if (doctor_output(h, enabled) != NULL)
			TELL(h, "timers", DOCTOR_BAD, fix,
			    "%s is enabled and not active", name);
		else /* nobody asked for it */
			TELL(h, "timers", DOCTOR_SKIP, fix, "%s is not enabled",
			    name);
	}
	globfree(&timers);
}

/* What is its owner's alone, and who that should be. */
static void
check_own(struct host *h, const char *dir, const char *user)
{
	const struct passwd *pw = getpwnam(user);
	struct stat st;

	if (stat(dir, &st) < 0)
		TELL(h, "rights", errno == EACCES ? DOCTOR_SKIP : DOCTOR_BAD,
		    arena_printf(h->arena, "install -d -m 0700 -o %s %s", user,
		    dir), "%s: %s", dir, strerror(errno));
	else if (st.st_mode & (S_IWGRP | S_IRWXO))
		TELL(h, "rights", DOCTOR_BAD, arena_printf(h->arena,
		    "chmod g-w,o= %s", dir), "%s is open to others", dir);
	else if (pw == NULL || pw->pw_uid != st.st_uid)
		TELL(h, "rights", DOCTOR_BAD, arena_printf(h->arena,
		    "chown -R %s: %s", user, dir), "%s is not user %s's", dir,
		    user);
	else
		TELL(h, "rights", DOCTOR_OK, NULL, "%s is its owner's own", dir);
}

/* Whoever takes the daemon over must not be able to write what it loads. */
static void
check_loaded(struct host *h, const char *path)
{
	const struct passwd *pw = getpwnam(h->milter.user);
	struct stat st;

	if (path == NULL || pw == NULL || pw->pw_uid == 0 ||
	    stat(path, &st) < 0)
		return;
	if (doctor_user_may_write(pw, &st))
		TELL(h, "rights", DOCTOR_BAD, arena_printf(h->arena,
		    "chown -R root: %s && chmod -R go-w %s", path, path),
		    "user %s may write %s, which the daemon loads", pw->pw_name,
		    path);
	else
		TELL(h, "rights", DOCTOR_OK, NULL, "user %s may not write %s",
		    pw->pw_name, path);
}

static void
check_rights(struct host *h)
{
	check_own(h, h->milter.state_dir, h->milter.user);
	if (strcmp(h->milter.ban_socket, SETTINGS_NONE) != 0)
		check_own(h, h->policy.state_dir, h->policy.user);
	check_loaded(h, h->config);
	check_loaded(h, h->scoring.rules_dir != NULL ? h->scoring.rules_dir :
	    engine_default_rules_dir());
	for (size_t i = 0; i < h->scoring.rules.count; i++)
		check_loaded(h, h->scoring.rules.items[i]);
	check_loaded(h, h->scoring.compiled_dir);
}

bool
doctor_host(const struct doctor_options *o)
{
	struct host h = { .o = o, .arena = arena_new(64u << 20), .well = true };

	if (h.arena == NULL || scoring_settings_init(&h.scoring, h.arena) != 0) {
		arena_free(h.arena);
		cli_fail(EX_OSERR, "out of memory");
		return false;
	}
	milter_settings_init(&h.milter);
	check_config(&h);
	check_rules(&h);
	check_rights(&h);
	doctor_check_milter_socket(&h);
	doctor_check_postfix(&h);
	check_dns(&h);
	doctor_check_bans(&h);
	doctor_check_firewall(&h);
	doctor_check_fail2ban(&h);
	check_units(&h);
	doctor_check_tuning(&h);
	ban_policy_done(&h.policy);
	milter_settings_done(&h.milter);
	scoring_settings_done(&h.scoring);
	arena_free(h.arena);
	return h.well;
}
