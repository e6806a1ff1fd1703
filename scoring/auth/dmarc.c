/*
 * DMARC (RFC 7489): which record counts, what is aligned, what follows.
 *
 * Never a fail from what did not finish: an aligned identifier that might
 * still have passed makes the result temperror, and unknown.
 */
#include <errno.h>
#include <stdio.h>

#include "scoring/auth/auth_internal.h"
#include "scoring/auth/dmarc.h"

/* DMARCbis 4.10: at most eight queries up the tree */
enum { DMARC_MAX_WALK = 8 };

static void
record_name(const char *domain, char out[DNS_NAME_TEXT + 8])
{
	snprintf(out, DNS_NAME_TEXT + 8, "_dmarc.%s", domain);
}

static const char *
parent(const char *domain)
{
	const char *dot = strchr(domain, '.');

	return dot != NULL ? dot + 1 : NULL;
}

static unsigned
labels(const char *domain)
{
	unsigned n = 1;

	for (; *domain != '\0'; domain++)
		n += *domain == '.';
	return n;
}

/* The next name up the tree (DMARCbis 4.10): long names jump to seven */
static const char *
walk_up(const char *domain)
{
	unsigned n = labels(domain);

	if (n > DMARC_MAX_WALK) {
		for (; n > DMARC_MAX_WALK - 1; n--)
			domain = parent(domain);
		return domain;
	}
	return parent(domain);
}

struct found {
	enum dns_status trouble; /* DNS_FOUND: none */
	bool has, secure;
	struct dmarc_record record;
};

static void
record_find(struct auth *x, const char *domain, struct found *ret)
{
	char name[DNS_NAME_TEXT + 8];
	const struct dns_answer *ans;
	const struct dns_record *one = NULL;
	size_t n = 0;

	*ret = (struct found){ .trouble = DNS_FOUND };
	record_name(domain, name);
	ans = dns_lookup(x->dns, name, DNS_TXT);
	if (auth_check_of(ans->status).state != CHECK_DONE) {
		ret->trouble = ans->status;
		return;
	}
	for (size_t i = 0; i < ans->count; i++)
		if (dmarc_is_record(ans->records[i].data)) {
			one = &ans->records[i];
			n++;
		}
	ret->secure = ans->secure;
	ret->has = n == 1 && dmarc_record_parse(one->data, &ret->record);
}

/* Organisational domain by the tree (DMARCbis 4.10.2) */
static enum dns_status
tree_organisational(struct auth *x, const char *domain,
    char out[DNS_NAME_TEXT])
{
	const char *at = domain, *below = NULL, *best = NULL;
	struct found f;

	for (unsigned i = 0; at != NULL && i < DMARC_MAX_WALK; i++) {
		record_find(x, at, &f);
		if (f.trouble != DNS_FOUND)
			return f.trouble;
		if (f.has && f.record.psd == 'n') {
			best = at;
			break;
		}
		if (f.has && f.record.psd == 'y' && at != domain) {
			best = below;
			break;
		}
		if (f.has)
			best = at;
		below = at;
		at = walk_up(at);
	}
	strcpy(out, best != NULL ? best : domain);
	return DNS_FOUND;
}

static enum dns_status
organisational(struct auth *x, const char *domain, char out[DNS_NAME_TEXT])
{
	char name[256];

	if (x->settings->dmarc_tree_walk)
		return tree_organisational(x, domain, out);
	if (!auth_organisational_domain(x->context, span_cstr(domain), name))
		strcpy(out, domain);
	else
		strcpy(out, name);
	return DNS_FOUND;
}

void
dmarc_begin(struct auth *x, struct message *m)
{
	char domain[DNS_NAME_TEXT], name[DNS_NAME_TEXT + 8], org[DNS_NAME_TEXT];
	const char *fault, *at;

	fault = auth_author_fault(x, m, domain);
	if (fault != NULL)
		return;
	record_name(domain, name);
	dns_start(x->dns, name, DNS_TXT);
	if (x->settings->dmarc_tree_walk) {
		at = domain;
		for (unsigned i = 0; at != NULL && i < DMARC_MAX_WALK; i++) {
			record_name(at, name);
			dns_start(x->dns, name, DNS_TXT);
			at = walk_up(at);
		}
	} else if (organisational(x, domain, org) == DNS_FOUND) {
		record_name(org, name);
		dns_start(x->dns, name, DNS_TXT);
	}
}

struct dmarc_run {
	struct auth *auth;
	struct evidence *e;
	const char *domain;	 /* the author's */
	char org[DNS_NAME_TEXT];
	struct dmarc_record record;
	const char *policy_domain;
	enum dns_status trouble; /* while comparing */
};

/* Is this identifier in alignment (3.1)? */
static bool
aligned(struct dmarc_run *run, const char *identifier, bool strict)
{
	char ascii[DNS_NAME_TEXT], org[DNS_NAME_TEXT];
	enum dns_status s;

	if (identifier == NULL ||
	    !auth_domain_ascii(span_cstr(identifier), ascii))
		return false;
	if (strcmp(ascii, run->domain) == 0)
		return true;
	if (strict)
		return false;
	s = organisational(run->auth, ascii, org);
	if (s != DNS_FOUND) {
		run->trouble = s;
		return false;
	}
	return strcmp(org, run->org) == 0;
}

/* DMARCbis 3.2.13: a name without A, AAAA and MX */
static bool
non_existent(struct auth *x, const char *domain)
{
	const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_MX };

	for (size_t i = 0; i < 3; i++)
		if (dns_lookup(x->dns, domain, types[i])->status !=
		    DNS_NXDOMAIN)
			return false;
	return true;
}

/* Which policy applies to the author's domain (6.3 sp, np) */
static enum dmarc_policy
policy_for(struct dmarc_run *run)
{
	const struct dmarc_record *r = &run->record;

	if (strcmp(run->policy_domain, run->domain) == 0)
		return r->p;
	if (r->np != DMARC_UNSET && run->auth->settings->dmarc_tree_walk &&
	    non_existent(run->auth, run->domain))
		return r->np;
	return r->sp != DMARC_UNSET ? r->sp : r->p;
}

/* pct= must not roll dice: the message itself decides, the same each time */
static bool
sampled_out(const struct dmarc_record *r, struct message *m)
{
	uint64_t h = 14695981039346656037u;

	if (r->testing)
		return true;
	if (r->pct >= 100)
		return false;
	for (size_t i = 0; i < m->raw.len; i++)
		h = (h ^ (unsigned char)m->raw.ptr[i]) * 1099511628211u;
	return (h >> 32) % 100 >= r->pct;
}

/* A list's own signature, intact: it explains why the author's broke, if the
 * list is one. Anybody can call himself so; who asks the store finds out. */
static const char *
from_list(struct dmarc_run *run, struct message *m, bool *ret_open)
{
	struct field *f = message_find(m, "List-Id", 0);
	struct span id, domain;
	char list_org[DNS_NAME_TEXT], org[DNS_NAME_TEXT], ascii[DNS_NAME_TEXT];
	const char *open = NULL;
	bool known;

	*ret_open = false;
	if (f == NULL)
		return NULL;
	id = field_unfolded(m, f);
	for (size_t i = id.len; i > 0; i--)
		if (id.ptr[i - 1] == '<') {
			id = span_from(id, i);
			break;
		}
	domain = span_trim(span_of(id.ptr, span_find(id, '>')));
	if (!auth_domain_ascii(domain, ascii))
		return NULL;
	known = organisational(run->auth, ascii, list_org) == DNS_FOUND;
	for (size_t i = 0; i < run->e->dkim_count; i++) {
		const struct dkim_evidence *d = &run->e->dkim[i];
		bool good = d->result == AUTH_PASS && d->accountable;

		if (d->domain == NULL || (!good && d->check.state == CHECK_DONE))
			continue;
		/* the tree walk asks DNS, too */
		if (!known || organisational(run->auth, d->domain, org) !=
		    DNS_FOUND)
			open = d->domain;
		else if (strcmp(org, list_org) != 0)
			continue;
		else if (good)
			return d->domain;
		else
			open = d->domain;
	}
	*ret_open = open != NULL;
	return open;
}

/* What a trusted hop saw before the message was changed */
static bool
sealed_by_trusted(struct dmarc_run *run)
{
	const struct arc_evidence *a = &run->e->arc;

	if (a->result != AUTH_PASS || !a->trusted)
		return false;
	for (size_t i = 0; i < a->sealed_count; i++) {
		const struct sealed_result *s = &a->sealed[i];

		if (s->result == AUTH_PASS && aligned(run, s->domain, false) &&
		    (strcasecmp(s->method, "dmarc") == 0 ||
			strcasecmp(s->method, "dkim") == 0 ||
			strcasecmp(s->method, "spf") == 0))
			return true;
	}
	return false;
}

static void
unknown(struct dmarc_evidence *d, enum dns_status s)
{
	d->check = auth_check_of(s);
	if (d->check.state == CHECK_UNKNOWN) {
		d->result = AUTH_TEMPERROR;
		d->reason = d->check.why;
	}
}

/* Finds the record that counts (6.6.3). False: d says why there is none. */
static bool
discover(struct dmarc_run *run, struct dmarc_evidence *d)
{
	struct auth *x = run->auth;
	struct found f;

	run->policy_domain = run->domain;
	record_find(x, run->domain, &f);
	if (f.trouble == DNS_FOUND) {
		enum dns_status s = organisational(x, run->domain, run->org);

		if (s != DNS_FOUND)
			f.trouble = s;
	}
	if (f.trouble == DNS_FOUND && !f.has &&
	    strcmp(run->org, run->domain) != 0) {
		record_find(x, run->org, &f);
		run->policy_domain = run->org;
	}
	if (f.trouble != DNS_FOUND) {
		unknown(d, f.trouble);
		return false;
	}
	if (!f.has) {
		d->result = AUTH_NONE;
		return false;
	}
	run->record = f.record;
	d->secure = f.secure;
	return true;
}

/* Aligned identifiers; *ret_open: one that might still have passed, why. */
static void
align(struct dmarc_run *run, struct dmarc_evidence *d, const char **ret_open)
{
	const struct spf_evidence *spf = &run->e->spf_mailfrom;
	const struct dmarc_record *r = &run->record;

	*ret_open = NULL;
	if (spf->check.state == CHECK_NOT_RUN)
		*ret_open = spf->check.why;
	else if (spf->result == AUTH_PASS)
		d->spf_aligned = aligned(run, spf->domain, r->strict_spf);
	else if (spf->check.state == CHECK_UNKNOWN &&
	    aligned(run, spf->domain, r->strict_spf))
		*ret_open = spf->check.why;
	for (size_t i = 0; i < run->e->dkim_count; i++) {
		struct dkim_evidence *k = &run->e->dkim[i];

		if (!aligned(run, k->domain, false))
			continue;
		k->aligned = true;
		if (r->strict_dkim && !aligned(run, k->domain, true))
			continue;
		if (k->result == AUTH_PASS && k->accountable)
			d->dkim_aligned = true;
		else if (k->check.state != CHECK_DONE)
			*ret_open = k->check.why;
	}
	if (run->trouble != DNS_FOUND)
		*ret_open = dns_status_name(run->trouble);
}

int
dmarc_finish(struct auth *x, struct message *m, struct evidence *e)
{
	struct dmarc_evidence *d = &e->dmarc;
	struct dmarc_run run = { .auth = x, .e = e };
	char domain[DNS_NAME_TEXT];
	const char *fault, *open;

	if (dns_session_offline(x->dns)) {
		d->check = (struct check){ CHECK_NOT_RUN, "offline" };
		return 0;
	}
	fault = auth_author_fault(x, m, domain);
	if (x->no_memory)
		return -ENOMEM;
	d->check = (struct check){ CHECK_DONE, NULL };
	if (fault != NULL) {
		d->result = AUTH_PERMERROR;
		d->reason = fault;
		return 0;
	}
	d->domain = run.domain = arena_strdup(x->arena, domain);
	if (d->domain == NULL)
		return -ENOMEM;
	if (!discover(&run, d)) {
		/* alignment is a fact of its own, policy or not */
		if (d->check.state == CHECK_DONE)
			align(&run, d, &open);
		return 0;
	}
	d->policy_domain = arena_strdup(x->arena, run.policy_domain);
	if (d->policy_domain == NULL)
		return -ENOMEM;
	d->policy = dmarc_policy_name(policy_for(&run));
	align(&run, d, &open);
	if (d->spf_aligned || d->dkim_aligned) {
		d->result = AUTH_PASS;
		return 0;
	}
	if (open != NULL) {
		/* not finished, or not even begun: no fail can rest on it */
		d->check = (struct check){ CHECK_UNKNOWN, open };
		d->result = AUTH_TEMPERROR;
		d->reason = open;
		return 0;
	}
	d->result = AUTH_FAIL;
	d->reason = "no aligned identifier passed";
	d->sampled_out = sampled_out(&run.record, m);
	d->list = from_list(&run, m, &d->list_open);
	if (d->list != NULL)
		d->reason = d->list_open ?
		    "what a mailing list's signature says did not finish" :
		    "signed by a mailing list that is not known here";
	d->excused = sealed_by_trusted(&run);
	if (d->excused)
		d->reason = "a trusted ARC seal explains it";
	else if (e->arc.trusted && (e->arc.check.state != CHECK_DONE ||
	    run.trouble != DNS_FOUND)) {
		/* nor does one on a seal that might still explain it */
		d->check = (struct check){ CHECK_UNKNOWN,
			e->arc.check.state != CHECK_DONE ? e->arc.check.why :
			dns_status_name(run.trouble) };
		d->result = AUTH_TEMPERROR;
		d->reason = "the trusted ARC seal that may explain it did not "
		    "finish";
	}
	return 0;
}
