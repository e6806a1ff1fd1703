#include <errno.h>

#include "base/ascii.h"
#include "scoring/message/received.h"
#include "scoring/message/received_forms.h"

/* What is known so far about the field at hand; spans into its text */
struct rcvd {
	struct span ip, helo, rdns, by, id, ident, envfrom;
	const char *auth;
	bool has_envfrom, looked_up;
};

#define HELO_CHARS "[-A-Za-z0-9.^+_&:=?!@%*$\\\\/]"
#define MONTH "(?:J(?:an|u[nl])|Feb|Ma[ry]|A(?:pr|ug)|Sep|Oct|Nov|Dec)"

/* Patterns apply to the whole field, "from " included, unless a name says
 * otherwise */
static struct regex is_from = { "^\\(?from ", REGEX_ICASE, NULL };
static struct regex local_for = { "\\bwith local for\\b", 0, NULL };
static struct regex bare = { "^from (\\S+) by [^\\s;]+ ?;", REGEX_ICASE,
	NULL };
static struct regex bracketed_ip = { "^\\[[\\d.]+\\]$", 0, NULL };
static struct regex date = { "[\\s;]+(?:(?:Mon|T(?:ue|hu)|Wed|Fri|"
	"S(?:at|un)), )?\\d+ " MONTH " \\d+ \\d+:\\d+(?::\\d+)? \\S+$", 0, NULL };
static struct regex id_of = { " id <?([^\\s<>;]{3,})", 0, NULL };
static struct regex helo_is = { "\\bhelo=(" HELO_CHARS "+)(?!" HELO_CHARS ")",
	0, NULL };
static struct regex helo_word = { "\\b(?:HELO|EHLO) (" HELO_CHARS "+)(?!"
	HELO_CHARS ")", 0, NULL };
static struct regex by_of = { " by (\\S+)(?:[^-A-Za-z0-9;.]|$)", 0, NULL };
static struct regex with_of = { " with (?:local-)?([A-Za-z0-9]+)", 0, NULL };
static struct regex sender_of = {
	"(?:return-path:? |envelope-(?:sender|from)[ =])(\\S+)\\b",
	REGEX_ICASE, NULL };

/* How an authenticated submission shows; the text becomes auth=. "$1" is
 * the first group. */
static struct {
	const char *need, *need2;
	struct regex form;
	const char *auth;
} auth_forms[] = {
	{ " by ", " with ", { " with ((?:ES|L|UTF8S|UTF8L)MTPS?A|ASMTP|HTTP[SU]?)"
	    "(?: |;|$)", REGEX_ICASE, NULL }, "$1" },
	{ " by mx.google.com with ESMTPS id ", "(version=", {
	    "(?=.* by mx\\.google\\.com with ESMTPS id [a-z0-9]{1,4}sm[0-9]{2,9}"
	    "[a-z]{3}\\.[0-9]{1,3}\\.[0-9]{4}\\.(?:[0-6][0-9]\\.){4}[0-6][0-9])"
	    ".*?\\(version=([^ ]+) cipher=([^)]+)\\)", 0, NULL },
	    "GMail - transport=$1 cipher=$2" },
	{ "(AUTH: ", NULL, { "^from .*?(?:\\]\\)|\\)\\]) \\(AUTH: (LOGIN|PLAIN|"
	    "DIGEST-MD5|CRAM-MD5) \\S+(?:, .*?)?\\) by ", 0, NULL }, "$1" },
	{ "authenticated", NULL, { "^from .*?(?:\\](?: \\([^)]*\\))?\\)|\\)\\]) "
	    ".*?\\(.*?authenticated.*?\\).*? by", 0, NULL }, "Sendmail" },
	{ "mail.gmx.", NULL, { "from \\S* \\((?:HELO|EHLO) \\S*\\) \\[" RCVD_IP
	    "\\] by (mail\\.gmx\\.(?:net|com)) \\([^)]+\\) with (E?SMTP)", 0,
	    NULL }, "GMX ($2 / $1)" },
	{ " (authenticated as ", NULL, { "\\) by .+ \\(\\d{1,2}\\.\\d\\.\\d{3}"
	    "(?:\\.\\d{1,3})?\\) \\(authenticated as .+\\) id ", 0, NULL },
	    "CriticalPath" },
	{ "(Authenticated sender: ", "(Postfix)", { "\\) \\(Authenticated sender: "
	    "\\S+\\) by \\S+ \\(Postfix\\) with ", 0, NULL }, "Postfix" },
	{ "(Authenticated sender: ", NULL, { "\\) \\(Authenticated sender: "
	    "\\S+\\) by \\S+ \\(([^)]+)\\) with ", 0, NULL }, "Postfix ($1)" },
	{ "CommuniGate Pro ", " (account ", {
	    "CommuniGate Pro (?:HTTP|SMTP|XIMSS|IMAP)", 0, NULL },
	    "Communigate" },
	{ " with Microsoft Exchange Server HTTP-DAV", NULL, {
	    " with Microsoft Exchange Server HTTP-DAV\\b", 0, NULL },
	    "HTTP-DAV" },
	{ " by ", "(via ", { " \\(via (HTTP.?)\\)(?: |;|$)", REGEX_ICASE, NULL },
	    "$1" },
};

/* Which software wrote it, tried in this order */
static struct {
	const char *need;
	struct regex form; /* behind "from " */
	enum rcvd_group group;
} groups[] = {
	{ " SMTPSVC", { " SMTPSVC", 0, NULL }, RCVD_SMTPSVC },
	{ " with M", { " with Microsoft SMTP Server (?:\\([^)]+\\) )?"
	    "\\d+\\.\\d+\\.\\d+\\.\\d+(?:$| )", 0, NULL }, RCVD_MAPI },
	{ " with mapi id ", { " with mapi id (?:\\([^)]+\\) )?"
	    "\\d+\\.\\d+\\.\\d+\\.\\d+(?:$| )", 0, NULL }, RCVD_MAPI },
	{ "[XMail ", { "\\[XMail ", 0, NULL }, RCVD_XMAIL },
	{ "(ecelerity", { "\\(ecelerity\\b", 0, NULL }, RCVD_ECELERITY },
	{ "Exim", { "Exim", 0, NULL }, RCVD_EXIM },
	{ " (Postfix) with", { " \\(Postfix\\) with", 0, NULL }, RCVD_POSTFIX },
	{ "(Scalix SMTP Relay", { "\\(Scalix", 0, NULL }, RCVD_SCALIX },
	{ " (Lotus Domino ", { " \\(Lotus", 0, NULL }, RCVD_DOMINO },
};

static struct regex exim_ip = { " \\[(" RCVD_IP ")(?:\\.\\d+)?\\] ", 0, NULL };
static struct regex exim_helo = { " \\((\\S+)\\) ", 0, NULL };
static struct regex exim_by = { "by (\\S+) ", 0, NULL };
static struct regex first_word = { "^(\\S+) ", 0, NULL };
static struct regex sub_helo = { "helo=(\\S+)", 0, NULL };
static struct regex sub_ident = { "ident=(\\S*)", 0, NULL };
static struct regex qmail_ldap = { " by \\S+ \\(qmail-\\S+\\) with ", 0, NULL };
static struct regex guess_helo = { "^(\\S+)[^-A-Za-z0-9.]", 0, NULL };
static struct regex any_ip = { "\\[(" RCVD_IP ")\\]", 0, NULL };
/* behind "FROM " */
static struct regex simta = { "^(\\S+) \\((\\S+) \\[(" RCVD_IP ")\\]\\) BY "
	"(\\S+) (?:\\([^)]+\\) WITH SMTP )?ID <?(\\S+?)>?(?: FOR <[^>]+>)?$", 0,
	NULL };
/* behind "(from " */
static struct regex navgw = { "^(\\S*) \\[(" RCVD_IP ")\\]\\) by (\\S+) "
	"\\(NAVGW .*?\\) with ", 0, NULL };
static struct regex submit = { "^\\S+@localhost\\) by \\S+ ", 0, NULL };
static struct regex jqueue = { "^[^\\s@]+@[^)]+\\) by \\S+\\(jqueuemail\\) id "
	"[^\\s;]+", 0, NULL };

static bool
contains(struct span s, const char *word)
{
	return memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

/* Runs of white space become one space, none at the ends; ";" at the end
 * goes. A room of 8 more bytes stays behind the text. */
static struct span
squeeze(struct arena *a, struct span s)
{
	char *out = arena_bytes(a, s.len + 8);
	size_t n = 0;

	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c != ' ' && (c < '\t' || c > '\r'))
			out[n++] = c;
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	if (n > 0 && out[n - 1] == ' ')
		n--;
	while (n > 0 && out[n - 1] == ';') {
		n--;
		if (n > 0 && out[n - 1] == ' ')
			n--;
	}
	return span_of(out, n);
}

/* "])by " is missing a space */
static struct span
insert_space(struct span s)
{
	char *p = memmem(s.ptr, s.len, ")by ", 4);

	if (p != NULL) {
		memmove(p + 2, p + 1, (size_t)(s.ptr + s.len - p) - 1);
		p[1] = ' ';
		s.len++;
	}
	return s;
}

static int
find_auth(struct arena *a, struct span s, struct rcvd *r)
{
	struct span g[3];

	for (size_t i = 0; i < sizeof(auth_forms) / sizeof(auth_forms[0]); i++) {
		const char *t = auth_forms[i].auth;
		char *out;
		size_t n = 0;

		if (!contains(s, auth_forms[i].need) ||
		    (auth_forms[i].need2 != NULL &&
		    !contains(s, auth_forms[i].need2)) ||
		    !regex_match(&auth_forms[i].form, s, 0, g, 3))
			continue;
		out = arena_bytes(a, strlen(t) + g[1].len + g[2].len + 1);
		if (out == NULL)
			return -ENOMEM;
		for (; *t != '\0'; t++) {
			struct span part = g[1];

			if (*t != '$') {
				out[n++] = *t;
				continue;
			}
			if (*++t == '2')
				part = g[2];
			if (part.len != 0)
				memcpy(out + n, part.ptr, part.len);
			n += part.len;
		}
		out[n] = '\0';
		r->auth = out;
		return 0;
	}
	return 0;
}

static bool
ip_is_good(struct span s)
{
	struct netaddr addr;

	if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
		s = span_of(s.ptr + 1, s.len - 2);
	return netaddr_parse(s, &addr);
}

static void
take_sub(struct span sub, struct rcvd *r)
{
	struct span g[2];

	if (regex_match(&sub_helo, sub, 0, g, 2))
		r->helo = g[1];
	if (regex_match(&sub_ident, sub, 0, g, 2))
		r->ident = g[1];
}

static void
take_group(char what, struct span g, struct rcvd *r)
{
	switch (what) {
	case 'i':
		r->ip = g;
		break;
	case 'h':
		r->helo = g;
		break;
	case 'r':
		r->rdns = g;
		break;
	case 'R':
		if (span_find(g, '@') < g.len) {
			size_t at = span_find(g, '@');

			r->ident = span_of(g.ptr, at);
			if (at >= 6 && memcmp(g.ptr, "IDENT:", 6) == 0)
				r->ident = span_of(g.ptr + 6, at - 6);
			g = span_from(g, at + 1);
		}
		r->rdns = g;
		break;
	case 'B':
		r->helo = r->rdns = g;
		break;
	case 'b':
		r->by = g;
		break;
	case 'd':
		r->id = g;
		break;
	case 'N':
		if (g.len > 0 && g.ptr[g.len - 1] == '@')
			g.len--;
		/* FALLTHROUGH */
	case 'n':
		r->ident = g;
		break;
	case 'e':
		r->envfrom = g;
		r->has_envfrom = true;
		break;
	case 's':
		take_sub(g, r);
		break;
	default:
		break;
	}
}

static bool
form_match(struct rcvd_form *f, struct span s, struct rcvd *r)
{
	struct span g[REGEX_MAX_GROUPS];
	size_t n = strlen(f->map);

	if ((f->need != NULL && !contains(s, f->need)) ||
	    ((f->flags & RCVD_NOT_QMAIL) && contains(s, "(qmail-") &&
	    regex_match(&qmail_ldap, s, 0, NULL, 0)) ||
	    !regex_match(&f->form, s, 0, g, n + 1))
		return false;
	for (size_t i = 0; i < n; i++)
		if (f->map[i] == 'i' && !ip_is_good(g[i + 1]))
			return false;
	for (size_t i = 0; i < n; i++) {
		char what = f->map[i];

		if (g[i + 1].ptr != NULL)
			take_group(what, g[i + 1], r);
		else if (what == 'h' || what == 'N')
			take_group(what, SPAN_LIT(""), r);
	}
	if (f->flags & RCVD_NO_ID)
		r->id = SPAN_LIT("");
	if ((f->flags & RCVD_UNLESS_UNKNOWN) && span_is(r->rdns, "unknown"))
		r->rdns = SPAN_LIT("");
	else if ((f->flags & RCVD_SOFTDNS) && span_is(r->rdns, "softdnserr"))
		r->rdns = SPAN_LIT("");
	else if (f->flags & RCVD_DNS)
		r->looked_up = true;
	if ((f->flags & RCVD_UPPER_UNKNOWN) && !span_is(r->rdns, "UNKNOWN"))
		r->looked_up = true;
	return true;
}

enum outcome { UNKNOWN, KNOWN, IGNORED, FETCHED, IGNORED_SENDER };

static enum outcome
outcome_of(const struct rcvd_form *f)
{
	if (f->flags & RCVD_FETCH)
		return FETCHED;
	if (f->flags & RCVD_SENDER_NEXT)
		return IGNORED_SENDER;
	return f->flags & RCVD_IGNORE ? IGNORED : KNOWN;
}

/* Odd Exim formats: whatever pieces can be recognized */
static bool
exim_pieces(struct span s, struct rcvd *r)
{
	struct span g[2];

	if (regex_match(&first_word, s, 0, g, 2))
		r->rdns = g[1];
	if (regex_match(&exim_helo, s, 0, g, 2))
		r->helo = g[1];
	if (regex_match(&exim_ip, s, 0, g, 2) && ip_is_good(g[1]))
		r->ip = g[1];
	if (regex_match(&exim_by, s, 0, g, 2)) {
		r->by = g[1];
		return r->ip.len != 0;
	}
	return false;
}

/* s: behind "from " */
static enum outcome
match_from(struct span s, struct rcvd *r)
{
	enum rcvd_group group = RCVD_ANY;
	struct span g[2];
	size_t i = 0;

	if (regex_match(&sender_of, s, 0, g, 2)) {
		r->envfrom = g[1];
		r->has_envfrom = true;
	}
	for (size_t k = 0; k < sizeof(groups) / sizeof(groups[0]); k++)
		if (contains(s, groups[k].need) &&
		    regex_match(&groups[k].form, s, 0, NULL, 0)) {
			group = groups[k].group;
			break;
		}
	for (; i < rcvd_form_count; i++) {
		struct rcvd_form *f = &rcvd_forms[i];

		if (f->group != RCVD_ANY && f->group != group)
			continue;
		if (form_match(f, s, r))
			return outcome_of(f);
		if (f->group == RCVD_EXIM && f[1].group != RCVD_EXIM &&
		    exim_pieces(s, r))
			return KNOWN;
	}
	if (r->helo.len == 0 && regex_match(&guess_helo, s, 0, g, 2))
		r->helo = g[1];
	return UNKNOWN;
}

static enum outcome
match_line(struct span s, struct rcvd *r)
{
	enum outcome o = UNKNOWN;
	struct span g[6];

	if (s.len >= 5 && memcmp(s.ptr, "from ", 5) == 0) {
		o = match_from(span_from(s, 5), r);
		s = span_from(s, 5);
	} else if (s.len >= 5 && memcmp(s.ptr, "FROM ", 5) == 0) {
		s = span_from(s, 5);
		if (regex_match(&simta, s, 0, g, 6) && ip_is_good(g[3])) {
			r->helo = g[1];
			r->rdns = span_is(g[2], "unverified") ? SPAN_LIT("") : g[2];
			r->ip = g[3];
			r->by = g[4];
			r->id = g[5];
			r->looked_up = true;
			return KNOWN;
		}
	} else if (s.len >= 6 && memcmp(s.ptr, "(from ", 6) == 0) {
		s = span_from(s, 6);
		if (regex_match(&navgw, s, 0, g, 4) && ip_is_good(g[2])) {
			r->helo = g[1];
			r->ip = g[2];
			r->by = g[3];
			return KNOWN;
		}
		if (regex_match(&submit, s, 0, NULL, 0) ||
		    regex_match(&jqueue, s, 0, NULL, 0))
			return IGNORED;
	}
	if (o != UNKNOWN)
		return o;
	if (r->ip.len == 0 && regex_match(&any_ip, s, 0, g, 2) &&
	    ip_is_good(g[1]))
		r->ip = g[1];
	return r->ip.len != 0 && r->by.len != 0 ? KNOWN : UNKNOWN;
}

/* A C string; what could break out of "[ key=value ]" becomes "!" */
static const char *
clean(struct arena *a, struct span s)
{
	char *out = arena_memdup(a, s.ptr != NULL ? s.ptr : "", s.len);

	for (size_t i = 0; out != NULL && i < s.len; i++)
		if (out[i] == '\0' || out[i] == ' ' ||
		    (out[i] >= '\t' && out[i] <= '\r') ||
		    strchr("#[]()<>|", out[i]) != NULL)
			out[i] = '!';
	return out;
}

static const char *
plain(struct arena *a, struct span s)
{
	char *out = arena_memdup(a, s.ptr != NULL ? s.ptr : "", s.len);

	for (size_t i = 0; out != NULL && i < s.len; i++)
		if (out[i] == '\0')
			out[i] = '!';
	return out;
}

/* "IPv6:", brackets, a zone and the prefix of a mapped address go. */
static struct span
bare_ip(struct span s)
{
	size_t zone;

	if (s.len == 0)
		return SPAN_LIT("");
	if (span_istarts(s, "ipv6:"))
		s = span_from(s, 5);
	if (s.len > 0 && s.ptr[0] == '[')
		s = span_from(s, 1);
	if (s.len > 0 && s.ptr[s.len - 1] == ']')
		s.len--;
	zone = span_find(s, '%');
	s.len = zone;
	if (memchr(s.ptr, '.', s.len) != NULL &&
	    memchr(s.ptr, ':', s.len) != NULL) {
		struct span v4 = s;
		struct netaddr addr;

		while (span_find(v4, ':') < v4.len)
			v4 = span_from(v4, span_find(v4, ':') + 1);
		if (netaddr_parse(s, &addr) && addr.family == 4)
			s = v4;
	}
	return s;
}

bool
received_ip_is_private(const struct netaddr *a)
{
	if (a->family == 4)
		return a->bytes[0] == 10 || a->bytes[0] == 127 ||
		    (a->bytes[0] == 169 && a->bytes[1] == 254) ||
		    (a->bytes[0] == 172 && (a->bytes[1] & 0xF0) == 16) ||
		    (a->bytes[0] == 192 && a->bytes[1] == 168) ||
		    (a->bytes[0] == 100 && (a->bytes[1] & 0xC0) == 64);
	return netaddr_is_loopback(a) || (a->family == 6 &&
	    a->bytes[0] == 0xFE && (a->bytes[1] & 0xC0) == 0x80);
}

static struct span
trim_sender(struct span s)
{
	while (s.len > 0 && s.ptr[0] == '<')
		s = span_from(s, 1);
	while (s.len > 0 && s.ptr[s.len - 1] == '>')
		s.len--;
	return s;
}

static int
hop_fill(struct arena *a, struct rcvd *r, struct received_hop *hop)
{
	while (r->rdns.len > 0 && r->rdns.ptr[r->rdns.len - 1] == '.')
		r->rdns.len--;
	if (span_iis(r->rdns, "unknown") ||
	    (r->rdns.len > 0 && r->rdns.ptr[0] == '['))
		r->rdns = SPAN_LIT("");
	if (r->by.len > 0 && r->by.ptr[r->by.len - 1] == ';')
		r->by.len--;
	r->ip = bare_ip(r->ip);
	if (!netaddr_parse(r->ip, &hop->ip))
		hop->ip.family = 0;
	hop->ip_private = received_ip_is_private(&hop->ip);
	hop->no_reverse_dns = r->rdns.len == 0 && r->looked_up;
	hop->rdns_not_in_headers = r->rdns.len == 0 && !r->looked_up;
	hop->ip_text = clean(a, r->ip);
	hop->rdns = clean(a, r->rdns);
	hop->helo = clean(a, r->helo);
	hop->by = clean(a, r->by);
	hop->ident = clean(a, r->ident);
	hop->id = plain(a, r->id);
	hop->auth = r->auth;
	if (hop->ip_text == NULL || hop->rdns == NULL || hop->helo == NULL ||
	    hop->by == NULL || hop->ident == NULL || hop->id == NULL)
		return -ENOMEM;
	return 0;
}

/* Where a date at the end may begin at the earliest. Behind the white space
 * and ";" in front of it there are at most DATE_SPACES spaces, so one more
 * from the end, with all white space and ";" around it, stands in front. */
static size_t
date_search_from(struct span s)
{
	enum { DATE_SPACES = 5 };
	size_t at = s.len, spaces = 0;

	while (at > 0 && spaces <= DATE_SPACES)
		spaces += ascii_is_space(s.ptr[--at]);
	while (at > 0 && (ascii_is_space(s.ptr[at - 1]) || s.ptr[at - 1] == ';'))
		at--;
	return at;
}

int
received_parse(struct arena *a, struct span unfolded,
    struct received_hop *ret_hop)
{
	struct rcvd r = { .auth = "" };
	struct span s = squeeze(a, unfolded), g[2];
	enum outcome o;

	memset(ret_hop, 0, sizeof(*ret_hop));
	ret_hop->ip_text = ret_hop->rdns = ret_hop->helo = ret_hop->by =
	    ret_hop->ident = ret_hop->envfrom = ret_hop->id = ret_hop->auth =
	    ret_hop->with = "";
	ret_hop->field_index = SIZE_MAX;
	if (s.ptr == NULL)
		return -ENOMEM;
	if (!regex_match(&is_from, s, 0, NULL, 0) ||
	    (contains(s, "with local for") &&
	    regex_match(&local_for, s, 0, NULL, 0)) ||
	    (regex_match(&bare, s, 0, g, 2) &&
	    !regex_match(&bracketed_ip, g[1], 0, NULL, 0))) {
		ret_hop->parsed = ret_hop->ignored = true;
		return 0;
	}
	if (regex_match(&date, s, date_search_from(s), g, 1))
		s.len = (size_t)(g[0].ptr - s.ptr);
	s = insert_space(s);
	if (regex_match(&id_of, s, 0, g, 2))
		r.id = g[1];
	if ((contains(s, "helo=") && regex_match(&helo_is, s, 0, g, 2)) ||
	    (contains(s, "LO ") && regex_match(&helo_word, s, 0, g, 2)))
		r.helo = g[1];
	if (regex_match(&by_of, s, 0, g, 2))
		r.by = g[1];
	if (contains(s, " with ") && regex_match(&with_of, s, 0, g, 2)) {
		ret_hop->with = clean(a, g[1]);
		if (ret_hop->with == NULL)
			return -ENOMEM;
	}
	if (find_auth(a, s, &r) != 0)
		return -ENOMEM;
	o = match_line(s, &r);
	if (o == UNKNOWN)
		return 0;
	ret_hop->parsed = true;
	ret_hop->has_envfrom = r.has_envfrom;
	ret_hop->envfrom = clean(a, trim_sender(r.envfrom));
	if (ret_hop->envfrom == NULL)
		return -ENOMEM;
	if (o != KNOWN) {
		ret_hop->ignored = true;
		ret_hop->fetched = o == FETCHED;
		ret_hop->sender_next = o == IGNORED_SENDER;
		return 0;
	}
	return hop_fill(a, &r, ret_hop);
}
