/* doctor_bans - the ban helper, its sets, the firewall rules that use them,
 * and what feeds it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor_host.h"

#define FIREWALL "/usr/share/spamscore/firewall/spamscore-firewall"

/* A firewall rule keeps the kernel from giving up a set of another type: the
 * line that deletes it, from the kind of iptables where it stands. */
static const char *
release_set(struct host *h, const char *set)
{
	static const char *const kinds[] = { "", "-legacy", "-nft" };
	const char *six = set[strlen(set) - 1] == '6' ? "6" : "";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *find = arena_printf(h->arena, "ip%stables%s-save | "
		    "grep 'match-set %s '", six, kinds[i], set);

		if (find != NULL && doctor_output(h, find) != NULL)
			return arena_printf(h->arena, "ip%stables%s-save | "
			    "grep -v 'match-set %s ' | ip%stables%s-restore && "
			    "systemctl restart spamscore-banhelper "
			    "spamscore-firewall", six, kinds[i], set, six,
			    kinds[i]);
	}
	return "journalctl -u spamscore-banhelper -n 20";
}

static int
tell_set(void *context, const struct ban_set_status *s)
{
	struct host *h = context;

	if (s->fine)
		TELL(h, "bans", DOCTOR_OK, NULL, "%s holds %llu bans", s->name,
		    (unsigned long long)s->entries);
	else
		TELL(h, "bans", DOCTOR_BAD, release_set(h, s->name), "%s: %s",
		    s->name, s->problem);
	return 0;
}

void
doctor_check_bans(struct host *h)
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
			TELL(h, "bans", DOCTOR_WARN, arena_printf(h->arena,
			    "ban_source %s mode=0660 ...  # in spamscore.conf; "
			    "systemctl restart spamscore-banhelper", s->name),
			    "ban_source %s: "
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
	if (code == 0 && (code = doctor_try_socket(h->milter.ban_socket,
	    SOCK_SEQPACKET)) != 0 && code != EACCES)
		TELL(h, "bans", DOCTOR_BAD, "systemctl restart "
		    "spamscore-banhelper", "the daemon's ban_socket %s: %s",
		    h->milter.ban_socket, strerror(code));
}

/* Does this rule, of chain INPUT, let mail in, whatever comes behind it? */
static bool
accepts_mail(const char *rule, size_t n)
{
	struct span line = span_of(rule, n);
	char text[512];

	snprintf(text, sizeof(text), "%.*s ", SPAN_ARG(line));
	if (strncmp(text, "-A INPUT ", 9) != 0 ||
	    strstr(text, " -j ACCEPT ") == NULL)
		return false;
	if (strcmp(text, "-A INPUT -j ACCEPT ") == 0)
		return true;
	return (strstr(text, " --dport 25 ") != NULL ||
	    strstr(text, " --dports 25,") != NULL ||
	    strstr(text, ",25,") != NULL || strstr(text, ",25 ") != NULL) && strstr(text, " -s ") == NULL;
}

enum use { USE_NONE, USE_LATE, USE_FINE };

/* A rule that matches the set is worth nothing unless something jumps to
 * where it stands, before others let the packets in, and it throws them
 * away. */
static enum use
rules_use(const char *rules, const char *set)
{
	char needle[64];
	const char *at = rules;

	snprintf(needle, sizeof(needle), "--match-set %s src", set);
	while ((at = strstr(at, needle)) != NULL) {
		const char *start = at, *end = at + strcspn(at, "\n"), *jump;
		char chain[64] = "", text[80];
		const char *target;

		while (start > rules && start[-1] != '\n')
			start--;
		target = memmem(at, (size_t)(end - at), "-j ", 3);
		sscanf(start, "-A %63s", chain);
		at = end;
		if (target == NULL || (strncmp(target, "-j DROP", 7) != 0 &&
		    strncmp(target, "-j REJECT", 9) != 0))
			continue;
		snprintf(text, sizeof(text), "-j %s\n", chain);
		jump = strcmp(chain, "INPUT") == 0 ||
		    strcmp(chain, "PREROUTING") == 0 ? start : strstr(rules, text);
		if (jump == NULL)
			continue;
		for (const char *line = rules; line < jump;
		     line += strcspn(line, "\n") + 1)
			if (accepts_mail(line, strcspn(line, "\n")))
				return USE_LATE;
		return USE_FINE;
	}
	return USE_NONE;
}

/* The rules of both kinds of iptables: each has tables of its own in the
 * kernel, and packets pass through both. NULL: none can be seen. */
static const char *
firewall_rules(struct host *h, const char *program, size_t which)
{
	static const char *const variants[] = { "-nft-save", "-legacy-save",
		"-save" };
	const char *command = arena_printf(h->arena, "%s%s", program,
	    variants[which]);

	return command != NULL ? doctor_output(h, command) : NULL;
}

static void
check_family(struct host *h, const char *program, const char *version)
{
	const char *rules[3];
	bool seen = false;

	for (size_t i = 0; i < 3; i++) {
		rules[i] = firewall_rules(h, program, i);
		seen |= rules[i] != NULL;
	}
	if (!seen && geteuid() != 0) {
		TELL(h, "firewall", DOCTOR_SKIP, NULL, "only root can see the "
		    "rules for IPv%s", version);
		return;
	}
	if (!seen) {
		/* nft alone cannot use an ipset */
		TELL(h, "firewall", DOCTOR_BAD, "apt-get install iptables && "
		    FIREWALL " start", "%s is not there: no rule drops anybody",
		    program);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		enum use best = USE_NONE;
		char set[32];

		snprintf(set, sizeof(set), "spamscore-%s%s",
		    i == 0 ? "mail" : "host", version);
		for (size_t k = 0; k < 3; k++) {
			enum use use = rules[k] != NULL ? rules_use(rules[k], set) :
			    USE_NONE;

			best = use > best ? use : best;
		}
		if (best == USE_FINE)
			TELL(h, "firewall", DOCTOR_OK, NULL,
			    "a rule drops what is in %s", set);
		else if (best == USE_LATE)
			TELL(h, "firewall", DOCTOR_BAD, FIREWALL " stop; " FIREWALL
			    " start", "what is in %s is dropped behind a rule that "
			    "lets mail in", set);
		else
			TELL(h, "firewall", DOCTOR_BAD, FIREWALL " start",
			    "no rule drops what is in %s", set);
	}
}

/* nftables.conf and rules that iptables-nft keeps among nft's own. */
static void
check_nftables(struct host *h)
{
	static const char file[] = "/etc/nftables.conf";
	const char *rules = doctor_output(h, "iptables-nft-save");

	if (access(file, R_OK) != 0)
		return;
	if (doctor_output(h, "grep -qE '^[^#]*xt (match|target)' /etc/nftables.conf")
	    != NULL)
		TELL(h, "firewall", DOCTOR_BAD, "sed -i '/xt match/d;/xt target/d' "
		    "/etc/nftables.conf", "%s holds rules of iptables-nft, saved by "
		    "\"nft list ruleset\": nft cannot load it, and the host boots "
		    "without any firewall", file);
	/* a kernel without iptables-legacy has no better place */
	if (rules != NULL && rules_use(rules, "spamscore-mail4") != USE_NONE &&
	    doctor_output(h, "ls /etc/systemd/system/*.wants/nftables.service")
	    != NULL && doctor_output(h, "iptables-legacy -S INPUT") != NULL)
		TELL(h, "firewall", DOCTOR_WARN, FIREWALL " start", "our rules "
		    "stand among nft's own: \"flush ruleset\" deletes them, and "
		    "what \"nft list ruleset\" saves cannot be loaded");
}

void
doctor_check_firewall(struct host *h)
{
	if (strcmp(h->milter.ban_socket, SETTINGS_NONE) == 0)
		return;
	check_family(h, "iptables", "4");
	check_family(h, "ip6tables", "6");
	check_nftables(h);
}

void
doctor_check_fail2ban(struct host *h)
{
	const char *text;

	if (access("/etc/fail2ban/jail.conf", F_OK) != 0) {
		TELL(h, "fail2ban", DOCTOR_SKIP, NULL, "is not installed");
		return;
	}
	if (access("/etc/fail2ban/action.d/spamscore.conf", F_OK) != 0) {
		TELL(h, "fail2ban", DOCTOR_WARN, "install -m 0644 "
		    "/usr/share/doc/spamscore/fail2ban/action.d/spamscore.conf "
		    "/etc/fail2ban/action.d/",
		    "has no action for the ban helper");
		return;
	}
	text = doctor_output(h, "grep -rlsE '^[[:space:]]*(ban)?action[a-z_]*[[:space:]]*="
	    "[[:space:]]*spamscore' /etc/fail2ban/jail.local /etc/fail2ban/jail.d");
	if (text == NULL || *text == '\0')
		TELL(h, "fail2ban", DOCTOR_WARN, "cp /usr/share/doc/spamscore/"
		    "fail2ban/jail.d/spamscore.conf /etc/fail2ban/jail.d/  # take out "
		    "what this host does not run; fail2ban-client -t && systemctl "
		    "restart fail2ban", "no jail bans through the ban helper");
	else
		TELL(h, "fail2ban", DOCTOR_OK, NULL, "bans through the ban helper");
}

