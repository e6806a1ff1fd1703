/* doctor_postfix - does mail pass the filter, and does Postfix refuse what is
 * safe to refuse? */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli/doctor_host.h"

enum { GROUPS_MAX = 256 };

/* Postfix's own settings, as its programs print them. */
struct postfix {
	const char *main;     /* main.cf, what is set there */
	const char *services; /* SERVICE/TYPE/NAME = VALUE, of master.cf */
	const char *fields;   /* SERVICE/TYPE/chroot = y|n|- and the like */
	const char *spec;     /* how smtpd_milters names the filter */
};

/* The value behind NAME = in such lines, NULL when it is not there. */
static const char *
setting_of(struct host *h, const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line != NULL && *line != '\0';) {
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

/* The next word of a list as Postfix writes it; false at its end. */
static bool
next_word(const char **list, struct span *ret)
{
	const char *p = *list;

	if (p == NULL)
		return false;
	p += strspn(p, ", \t\n");
	*ret = span_of(p, strcspn(p, ", \t\n"));
	*list = p + ret->len;
	return ret->len > 0;
}

static bool
has_word(const char *list, const char *word)
{
	struct span w;

	while (next_word(&list, &w))
		if (span_is(w, word))
			return true;
	return false;
}

static const char *
postconf(struct host *h, const char *options)
{
	const char *command = arena_printf(h->arena, "%s %s", h->o->postconf,
	    options);

	return command != NULL ? doctor_output(h, command) : NULL;
}

bool
doctor_user_may_write(const struct passwd *pw, const struct stat *st)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (pw->pw_uid == st->st_uid)
		return (st->st_mode & S_IWUSR) != 0;
	if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
		n = GROUPS_MAX;
	for (int i = 0; i < n; i++)
		if (groups[i] == st->st_gid)
			return (st->st_mode & S_IWGRP) != 0;
	return (st->st_mode & S_IWOTH) != 0;
}

void
doctor_check_milter_socket(struct host *h)
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
	code = doctor_try_socket(path, SOCK_STREAM);
	if (code == EACCES || code == EPERM)
		TELL(h, "milter", DOCTOR_SKIP, NULL, "%s: only root can see", path);
	else if (code == EAGAIN)
		TELL(h, "milter", DOCTOR_BAD, "systemctl restart spamscored",
		    "%s: connections wait and nobody takes them", path);
	else if (code != 0)
		TELL(h, "milter", DOCTOR_BAD, "systemctl start spamscored",
		    "nobody listens on %s: %s", path, strerror(code));
	else if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH))
		TELL(h, "milter", DOCTOR_BAD, arena_printf(h->arena,
		    "chmod o= %s", path), "everybody may connect to %s", path);
	else
		TELL(h, "milter", DOCTOR_OK, NULL, "listens on %s", path);
}

/* Can Postfix's own user get at the socket, chroot and all? */
static void
check_reach(struct host *h, const struct postfix *p, const char *queue)
{
	const char *path, *owner = setting_of(h, p->main, "mail_owner");
	char conn[256];
	const struct passwd *pw = getpwnam(owner != NULL ? owner : "postfix");
	const char *chroot = setting_of(h, p->fields, "smtp/inet/chroot");
	struct stat st;

	if (chroot == NULL)
		chroot = setting_of(h, p->fields, "25/inet/chroot");
	if (!milter_listen_parse(h->milter.listen, conn, &path) || path == NULL)
		return;
	if (chroot != NULL && *chroot == 'y' && !(strncmp(path, queue,
	    strlen(queue)) == 0 && path[strlen(queue)] == '/'))
		TELL(h, "postfix", DOCTOR_BAD, arena_printf(h->arena,
		    "listen unix:%s/spamscore/milter.sock  # in spamscore.conf; "
		    "systemctl restart spamscored", queue),
		    "smtpd is chrooted to %s and cannot reach %s", queue, path);
	if (pw == NULL || stat(path, &st) < 0)
		return;
	if (doctor_user_may_write(pw, &st))
		TELL(h, "postfix", DOCTOR_OK, NULL, "user %s may connect to the "
		    "filter", pw->pw_name);
	else
		TELL(h, "postfix", DOCTOR_BAD, arena_printf(h->arena,
		    "chgrp %s %s && chmod g+rw %s  # and socket_group in "
		    "spamscore.conf", getgrgid(pw->pw_gid) != NULL ?
		    getgrgid(pw->pw_gid)->gr_name : pw->pw_name, path, path),
		    "user %s may not connect to %s", pw->pw_name, path);
}

static void
check_milters(struct host *h, struct postfix *p, const char *queue)
{
	const char *value = setting_of(h, p->main, "smtpd_milters");
	const char *path, *named;
	char conn[256];

	p->spec = h->milter.listen;
	/* Postfix names a socket from its queue directory */
	if (milter_listen_parse(p->spec, conn, &path) && path != NULL) {
		if (strncmp(path, queue, strlen(queue)) == 0 &&
		    path[strlen(queue)] == '/')
			path += strlen(queue) + 1;
		named = arena_printf(h->arena, "unix:%s", path);
		if (named != NULL)
			p->spec = named;
	}
	if (has_word(value, p->spec) || has_word(value, h->milter.listen))
		TELL(h, "postfix", DOCTOR_OK, NULL, "smtpd_milters has %s",
		    p->spec);
	else
		TELL(h, "postfix", DOCTOR_BAD, arena_printf(h->arena,
		    "postconf -e 'smtpd_milters = %s%s%s'", p->spec,
		    value != NULL && *value != '\0' ? ", " : "",
		    value != NULL ? value : ""),
		    "mail does not pass the filter: smtpd_milters lacks it");
}

/* What a service of master.cf is for, as far as its name tells. */
static const struct {
	const char *service;
	bool submission;
} services[] = {
	{ "smtp/inet", false }, { "25/inet", false },
	{ "submission/inet", true }, { "587/inet", true },
	{ "submissions/inet", true }, { "smtps/inet", true },
	{ "465/inet", true },
};

/* A service can leave the filter out by itself. What a content filter hands
 * back comes in by others, and they should. */
static void
check_services(struct host *h, const struct postfix *p)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		const char *name = arena_printf(h->arena, "%s/smtpd_milters",
		    services[i].service);
		const char *value = name != NULL ?
		    setting_of(h, p->services, name) : NULL;

		if (value == NULL || has_word(value, p->spec) ||
		    has_word(value, "$smtpd_milters"))
			continue;
		TELL(h, "postfix", services[i].submission ? DOCTOR_WARN :
		    DOCTOR_BAD, arena_printf(h->arena, "postconf -PX '%s'", name),
		    "%s: master.cf sets smtpd_milters to \"%s\" for %s",
		    services[i].submission ? "nobody learns whom users write to" :
		    "mail does not pass the filter", value, services[i].service);
	}
}

/* How Postfix speaks to the filter, and what it does when that fails. */
static void
check_protocol(struct host *h, const struct postfix *p)
{
	const char *value = setting_of(h, p->main, "milter_default_action");
	int64_t ms, need = h->scoring.evidence_timeout;

	if (value != NULL && strcmp(value, "reject") == 0)
		TELL(h, "postfix", DOCTOR_WARN,
		    "postconf -e 'milter_default_action = accept'",
		    "while the filter is away good mail is rejected for good");
	else
		TELL(h, "postfix", DOCTOR_OK, NULL, "milter_default_action is %s",
		    value != NULL ? value : "tempfail");
	value = setting_of(h, p->main, "milter_protocol");
	if (value != NULL && strcmp(value, "6") != 0)
		TELL(h, "postfix", DOCTOR_BAD, "postconf -e 'milter_protocol = 6'",
		    "milter_protocol is %s: the filter needs 6", value);
	value = setting_of(h, p->main, "milter_content_timeout");
	if (value != NULL && conf_parse_duration(span_cstr(value), &ms) &&
	    ms <= need + 5000)
		TELL(h, "postfix", DOCTOR_BAD,
		    "postconf -e 'milter_content_timeout = 60s'",
		    "Postfix waits %s for a verdict, which may wait %llds for DNS",
		    value, (long long)need / 1000);
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
check_wanted(struct host *h, const struct postfix *p)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const char *value = setting_of(h, p->main, wanted[i].name);

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
}

/* Whom Postfix trusts, and whether the filter knows of it. */
static void
check_trust(struct host *h, const struct postfix *p)
{
	const char *value = setting_of(h, p->main, "mynetworks"), *rest = value;
	struct span word;

	if (has_word(value, "0.0.0.0/0") || has_word(value, "[::]/0") ||
	    has_word(value, "::/0")) {
		TELL(h, "postfix", DOCTOR_BAD, "postconf -e 'mynetworks = "
		    "127.0.0.0/8 [::1]/128'", "mynetworks holds everybody: "
		    "an open relay");
		rest = NULL;
	}
	while (next_word(&rest, &word)) {
		struct network n;

		/* tables and files are not looked into */
		if (!network_parse(word, &n) || netaddr_is_loopback(&n.addr) ||
		    netset_overlaps(&h->policy.allow.nets, &n))
			continue;
		TELL(h, "postfix", DOCTOR_WARN, arena_printf(h->arena,
		    "mynetworks %.*s  # in spamscore.conf", SPAN_ARG(word)),
		    "the filter does not know %.*s of Postfix's mynetworks: such "
		    "clients are judged, and can be banned", SPAN_ARG(word));
	}
	value = setting_of(h, p->main, "smtpd_relay_restrictions");
	if (value != NULL && !has_word(value, "reject_unauth_destination") &&
	    !has_word(value, "defer_unauth_destination") &&
	    !has_word(setting_of(h, p->main, "smtpd_recipient_restrictions"),
	    "reject_unauth_destination"))
		TELL(h, "postfix", DOCTOR_BAD, "postconf -e "
		    "'smtpd_relay_restrictions = permit_mynetworks, "
		    "permit_sasl_authenticated, reject_unauth_destination'",
		    "nothing keeps strangers from relaying");
	else
		TELL(h, "postfix", DOCTOR_OK, NULL, "strangers cannot relay");
	/* whoever may claim another's address can have it banned */
	value = setting_of(h, p->main, "smtpd_authorized_xclient_hosts");
	if (value != NULL && *value != '\0')
		TELL(h, "postfix", DOCTOR_WARN,
		    "postconf -X smtpd_authorized_xclient_hosts",
		    "%s may claim any client address, and have it banned", value);
}

void
doctor_check_postfix(struct host *h)
{
	struct postfix p = { .main = postconf(h, "-n") };
	const char *queue;

	if (p.main == NULL) {
		TELL(h, "postfix", DOCTOR_SKIP, NULL, "\"%s -n\" does not work",
		    h->o->postconf);
		return;
	}
	p.services = postconf(h, "-P");
	p.fields = postconf(h, "-F");
	queue = setting_of(h, p.main, "queue_directory");
	if (queue == NULL)
		queue = "/var/spool/postfix";
	check_milters(h, &p, queue);
	check_services(h, &p);
	check_reach(h, &p, queue);
	check_protocol(h, &p);
	check_wanted(h, &p);
	check_trust(h, &p);
}
