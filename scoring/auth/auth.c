#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "scoring/auth/auth_internal.h"

int
auth_context_new(const struct scoring_settings *settings, struct dns *dns,
    struct auth_context **ret_context, struct error *err)
{
	struct auth_context *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	c->settings = settings;
	c->dns = dns;
	if (gethostname(c->hostname, sizeof(c->hostname) - 1) != 0)
		strcpy(c->hostname, "localhost");
	if (settings->public_suffix_list != NULL) {
		c->psl = psl_load_file(settings->public_suffix_list);
		if (c->psl == NULL) {
			rc = error_set(err, -ENOENT,
			    "cannot load public_suffix_list \"%s\"",
			    settings->public_suffix_list);
			goto fail;
		}
	} else {
		/* the system's file when it is newer than the built-in list */
		c->psl = psl_latest(NULL);
		if (c->psl == NULL) {
			rc = error_set(err, -ENOENT,
			    "no public suffix list on this system");
			goto fail;
		}
	}
	rc = dkim_context_new(c, err);
	if (rc != 0)
		goto fail;
	c->dnsxl = dnsxl_new();
	if (c->dnsxl == NULL) {
		rc = error_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	*ret_context = c;
	return 0;
fail:
	auth_context_free(c);
	return rc;
}

void
auth_context_free(struct auth_context *c)
{
	if (c == NULL)
		return;
	dnsxl_free(c->dnsxl);
	dkim_context_free(c);
	psl_free(c->psl);
	free(c);
}

void
auth_context_set_dns(struct auth_context *c, struct dns *dns)
{
	c->dns = dns;
}

struct auth *
auth_new(struct auth_context *c, const struct scoring_settings *settings,
    struct arena *a)
{
	struct auth *x = ARENA_NEW(a, struct auth);

	if (x == NULL)
		return NULL;
	x->context = c;
	x->settings = settings;
	x->arena = a;
	x->dns = dns_session_new(c->dns, settings->evidence_timeout,
	    settings->max_dns_queries > 0 ?
		(unsigned)settings->max_dns_queries : 0);
	x->probes = dns_session_new(c->dns, settings->evidence_timeout,
	    DNSXL_MAX_LISTS * 4);
	if (x->dns == NULL || x->probes == NULL) {
		auth_free(x);
		return NULL;
	}
	return x;
}

void
auth_free(struct auth *x)
{
	if (x == NULL)
		return;
	dkim_drop(x);
	arc_drop(x);
	dns_session_free(x->dns);
	dns_session_free(x->probes);
	x->dns = x->probes = NULL;
}

struct check
auth_check_of(enum dns_status s)
{
	switch (s) {
	case DNS_FOUND:
	case DNS_NXDOMAIN:
	case DNS_NODATA:
		return (struct check){ CHECK_DONE, NULL };
	case DNS_NOT_RUN:
		return (struct check){ CHECK_NOT_RUN, dns_status_name(s) };
	default:
		return (struct check){ CHECK_UNKNOWN, dns_status_name(s) };
	}
}

bool
auth_answer_has_address(const struct dns_answer *ans,
    const struct netaddr *ip)
{
	size_t len = ip->family == 6 ? 16 : 4;

	if (ip->family == 0)
		return false;
	for (size_t i = 0; i < ans->count; i++)
		if (ans->records[i].data.len == len &&
		    memcmp(ans->records[i].data.ptr, ip->bytes, len) == 0)
			return true;
	return false;
}

void
auth_ask(struct auth *x, const char *name, uint16_t type, auth_then then,
    void *arg)
{
	const struct dns_answer *ans = dns_peek(x->dns, name, type);
	struct ask *ask;

	if (ans != NULL) {
		then(x, arg, ans);
		return;
	}
	ask = ARENA_NEW(x->arena, struct ask);
	if (ask == NULL || (ask->name = arena_strdup(x->arena, name)) == NULL) {
		x->no_memory = true;
		return;
	}
	ask->type = type;
	ask->then = then;
	ask->arg = arg;
	ask->next = x->asks;
	x->asks = ask;
}

/* Goes on with every chain whose answer has come. */
static void
step(struct auth *x)
{
	struct ask **at = &x->asks;

	while (*at != NULL) {
		struct ask *ask = *at;
		const struct dns_answer *ans = dns_peek(x->dns, ask->name,
		    ask->type);

		if (ans == NULL) {
			at = &ask->next;
			continue;
		}
		*at = ask->next;
		ask->then(x, ask->arg, ans);
		/* new asks stand at the head: begin again */
		at = &x->asks;
	}
}

static const char *
keep(struct auth *x, const char *s)
{
	const char *copy = arena_strdup(x->arena, s);

	x->no_memory |= copy == NULL;
	return copy;
}

/* What the receiving host is called (RFC 7208 %{r}, RFC 8601) */
static const char *
receiver(const struct auth *x)
{
	return x->settings->authserv_id != NULL ? x->settings->authserv_id :
						  x->context->hostname;
}

/* RFC 7208 4.3 wants A-labels; what is ASCII already stays as received. */
static const char *
spf_domain(struct auth *x, const char *domain)
{
	char ascii[DNS_NAME_TEXT];
	const char *copy;

	for (const char *p = domain; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80) {
			if (!auth_domain_ascii(span_cstr(domain), ascii))
				return domain;
			copy = keep(x, ascii);
			return copy != NULL ? copy : "";
		}
	return domain;
}

/* Begins the SPF checks for which everything is known. */
static void
begin_spf(struct auth *x)
{
	struct spf_query *q;

	if (x->client.family == 0)
		return;
	if (!x->spf_helo_begun && x->helo != NULL) {
		q = &x->spf_helo;
		x->spf_helo_begun = true;
		*q = (struct spf_query){ .ip = x->client, .helo = x->helo,
			.receiver = receiver(x) };
		q->domain = spf_domain(x, x->helo);
		q->sender_domain = span_cstr(q->domain);
		spf_begin(x, q);
	}
	if (!x->spf_mailfrom_begun && x->mail_from != NULL &&
	    (x->mail_from[0] != '\0' || x->helo != NULL)) {
		const char *at = strrchr(x->mail_from, '@');

		q = &x->spf_mailfrom;
		x->spf_mailfrom_begun = true;
		*q = (struct spf_query){ .ip = x->client, .helo = x->helo,
			.receiver = receiver(x) };
		if (x->mail_from[0] == '\0') {
			/* RFC 7208 2.4: the null reverse-path is
			 * postmaster at the HELO name */
			q->domain = spf_domain(x, x->helo);
		} else {
			q->domain = spf_domain(x, at != NULL ? at + 1 : "");
			q->sender_local = span_of(x->mail_from, at != NULL ?
			    (size_t)(at - x->mail_from) :
			    strlen(x->mail_from));
		}
		q->sender_domain = span_cstr(q->domain);
		spf_begin(x, q);
	}
}

/* What was begun early must be what is judged: behind a trusted relay it is
 * another client. */
static void
begin_again(struct auth *x, const struct envelope *envelope)
{
	if (x->client.family != 0 &&
	    !netaddr_eq(&x->client, &envelope->client_ip)) {
		x->client = (struct netaddr){ 0 };
		x->spf_helo_begun = x->spf_mailfrom_begun = false;
	}
	if (x->helo != NULL && (envelope->helo == NULL ||
	    strcmp(x->helo, envelope->helo) != 0)) {
		x->helo = NULL;
		x->spf_helo_begun = x->spf_mailfrom_begun = false;
	}
	if (x->mail_from != NULL && (envelope->mail_from == NULL ||
	    strcmp(x->mail_from, envelope->mail_from) != 0)) {
		x->mail_from = NULL;
		x->spf_mailfrom_begun = false;
	}
	auth_begin_client(x, &envelope->client_ip);
	auth_begin_client_name(x, envelope->reverse_name);
	auth_begin_helo(x, envelope->helo);
	auth_begin_mail_from(x, envelope->mail_from);
}

void
auth_begin_client(struct auth *x, const struct netaddr *ip)
{
	if (x->client.family != 0 || ip->family == 0)
		return;
	x->client = *ip;
	iprev_begin(x);
	begin_spf(x);
	step(x);
}

void
auth_begin_client_name(struct auth *x, const char *name)
{
	char ascii[DNS_NAME_TEXT];

	if (name != NULL && x->client.family != 0 &&
	    auth_domain_ascii(span_cstr(name), ascii) &&
	    strchr(ascii, '.') != NULL)
		dns_start(x->dns, ascii,
		    x->client.family == 6 ? DNS_AAAA : DNS_A);
}

void
auth_begin_helo(struct auth *x, const char *helo)
{
	if (x->helo != NULL || helo == NULL)
		return;
	x->helo = keep(x, helo);
	if (x->helo == NULL)
		return;
	helo_begin(x);
	begin_spf(x);
	step(x);
}

void
auth_begin_mail_from(struct auth *x, const char *mail_from)
{
	if (x->mail_from != NULL || mail_from == NULL)
		return;
	x->mail_from = keep(x, mail_from);
	if (x->mail_from == NULL)
		return;
	sender_domain_begin(x);
	begin_spf(x);
	step(x);
}

void
auth_continue(struct auth *x)
{
	step(x);
}

void
auth_begin_overflow(struct auth *x, struct span head)
{
	const struct scoring_settings *s = x->settings;
	struct message_limits limits = {
		.scan_bytes = head.len,
		.max_fields = (size_t)s->max_fields,
		.max_mime_depth = (unsigned)s->max_mime_depth,
		.max_mime_parts = (unsigned)s->max_mime_parts,
		.max_uris = (unsigned)s->max_uris,
	};
	struct message *m;

	/* what is no message is none later either, and said then */
	if (!dns_session_offline(x->dns) && message_parse(x->arena, head,
	    head.len, &limits, &m, NULL) == 0) {
		dkim_overflow(x, m);
		arc_overflow(x, m);
	}
}

void
auth_body(struct auth *x, struct span more)
{
	dkim_more(x, more);
	arc_more(x, more);
}

static int
spf_finish(struct auth *x, const struct spf_query *q, bool begun,
    const char *scope, const char *why_not, struct spf_evidence *e,
    int64_t now)
{
	struct spf_query query = *q;

	e->scope = scope;
	if (dns_session_offline(x->dns)) {
		e->check = (struct check){ CHECK_NOT_RUN, "offline" };
		return 0;
	}
	if (!begun) {
		e->check = (struct check){ CHECK_NOT_RUN, why_not };
		return 0;
	}
	query.now = now;
	return spf_check_host(&query, x->dns, x->arena, e);
}

int
auth_finish(struct auth *x, const struct envelope *envelope,
    struct message *m, const struct auth_questions *questions,
    struct evidence *e, struct error *err)
{
	struct questions_run *run;
	unsigned seen = 0;
	bool open;
	int rc;

	dns_session_start(x->dns);
	dns_session_start(x->probes);
	begin_again(x, envelope);
	dkim_begin(x, m);
	arc_begin(x, m);
	dmarc_begin(x, m);
	run = questions_begin(x, questions, e);
	if (run == NULL)
		return error_set(err, -ENOMEM, "out of memory while gathering");
	do {
		step(x);
		rc = questions_step(run, &open);
	} while (rc == 0 && (x->asks != NULL || open) &&
	    dns_session_wait(x->dns, &seen));

	e->dns = dns_session_offline(x->dns) ?
	    (struct check){ CHECK_NOT_RUN, "offline" } :
	    (struct check){ CHECK_DONE, NULL };
	if (x->no_memory)
		rc = -ENOMEM;
	if (rc == 0)
		rc = spf_finish(x, &x->spf_mailfrom, x->spf_mailfrom_begun,
		    "mfrom", x->client.family == 0 ? "no client address" :
		    "no envelope sender", &e->spf_mailfrom, e->now);
	if (rc == 0)
		rc = spf_finish(x, &x->spf_helo, x->spf_helo_begun, "helo",
		    x->client.family == 0 ? "no client address" :
		    "no HELO name", &e->spf_helo, e->now);
	if (rc == 0)
		rc = iprev_finish(x, e);
	if (rc == 0)
		rc = helo_finish(x, e);
	if (rc == 0)
		rc = sender_domain_finish(x, e);
	if (rc == 0)
		rc = dkim_finish(x, m, e);
	if (rc == 0)
		rc = arc_finish(x, m, e);
	if (rc == 0)
		rc = dmarc_finish(x, m, e);
	if (rc == 0)
		rc = questions_finish(run);
	if (rc == 0 && x->no_memory)
		rc = -ENOMEM;
	if (rc != 0)
		return error_set(err, rc, "out of memory while gathering");
	return 0;
}
