#include <sys/types.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <spf2/spf.h>
#include <spf2/spf_dns.h>

#include "scoring/auth/spf_internal.h"

bool
spf_domain_valid(const char *domain, char out[DNS_NAME_TEXT])
{
	struct span d = span_cstr(domain);

	/* "[192.0.2.1]", one label, empty label, too long: not a domain */
	if (d.len == 0 || d.ptr[0] == '[' || d.len > 254 ||
	    !dns_name_from_bytes(d, out))
		return false;
	return strchr(out, '.') != NULL;
}

int
spf_record_select(const struct dns_answer *txt, struct span *ret_text)
{
	int n = 0;

	for (size_t i = 0; i < txt->count && n < 2; i++)
		if (spf_record_is_spf(txt->records[i].data)) {
			if (n++ == 0)
				*ret_text = txt->records[i].data;
		}
	return n;
}

static const struct dns_answer *
ask(struct spf_evaluation *ev, const char *name, uint16_t type)
{
	const struct dns_answer *ans = dns_lookup(ev->dns, name, type);

	return ans;
}

static bool
address_matches(const struct dns_answer *ans, const struct netaddr *ip)
{
	size_t len = ip->family == 6 ? 16 : 4;

	for (size_t i = 0; i < ans->count; i++)
		if (ans->records[i].data.len == len &&
		    memcmp(ans->records[i].data.ptr, ip->bytes, len) == 0)
			return true;
	return false;
}

/* Calls found() for each validated name of the client (5.5) until it says
 * stop. False: the PTR lookup was void. */
static bool
each_validated_name(struct spf_evaluation *ev,
    bool (*found)(void *arg, const char *name), void *arg)
{
	char reverse[80];
	const struct netaddr *ip = &ev->query->ip;
	const struct dns_answer *ptr = ask(ev,
	    netaddr_reverse(ip, true, reverse), DNS_PTR);
	size_t n = ptr->count < SPF_MAX_PTR ? ptr->count : SPF_MAX_PTR;

	for (size_t i = 0; i < n; i++) {
		const char *name = ptr->records[i].data.ptr;

		/* an error here only skips the name */
		if (name[0] != '\0' && address_matches(ask(ev, name,
		    ip->family == 6 ? DNS_AAAA : DNS_A), ip) &&
		    found(arg, name))
			break;
	}
	return ptr->status != DNS_NXDOMAIN && ptr->status != DNS_NODATA;
}

static bool
is_within(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n > d && strcmp(name + n - d, domain) == 0 &&
	    name[n - d - 1] == '.';
}

struct name_choice {
	const char *domain;
	const char *exact, *sub, *any;
};

static bool
choose_name(void *arg, const char *name)
{
	struct name_choice *c = arg;

	if (strcmp(name, c->domain) == 0)
		c->exact = name;
	else if (c->sub == NULL && is_within(name, c->domain))
		c->sub = name;
	else if (c->any == NULL)
		c->any = name;
	return c->exact != NULL;
}

/* %{p} (7.3): the domain itself, else a subdomain, else any */
static void
validated_name(void *arg, struct span domain, struct buf *out)
{
	char canonical[DNS_NAME_TEXT];
	struct name_choice c = { .domain = canonical };

	dns_name_from_bytes(domain, canonical);
	each_validated_name(arg, choose_name, &c);
	buf_add_str(out, c.exact != NULL ? c.exact :
	    c.sub != NULL ? c.sub : c.any != NULL ? c.any : "unknown");
}

static struct spf_alias *
alias_find(struct spf_evaluation *ev, const char *text)
{
	char *end;
	unsigned long n;

	if (text == NULL || text[0] != 't')
		return NULL;
	n = strtoul(text + 1, &end, 10);
	if (end == text + 1 || end[0] != '.' || n >= ev->alias_count)
		return NULL;
	return &ev->aliases[n];
}

/* The real name behind an alias. False: none that can be asked. */
static bool
alias_expand(struct spf_evaluation *ev, struct spf_alias *al)
{
	char name[DNS_NAME_TEXT];
	bool invalid;

	if (al->expanded)
		return al->exists;
	al->expanded = true;
	if (al->domain.ptr == NULL) {
		al->name = al->record->domain;
		al->exists = true;
		return true;
	}
	ev->macros.domain = span_cstr(al->record->domain);
	if (!spf_macro_expand_name(&ev->macros, al->domain, name, &invalid))
		return false;
	al->name = arena_strdup(ev->arena, name);
	if (al->name == NULL)
		ev->no_memory = true;
	al->exists = al->name != NULL;
	return al->exists;
}

/* One more term that needs a lookup (4.6.4). False: that was too many. */
static bool
count_lookup(struct spf_evaluation *ev, struct spf_alias *al)
{
	if (al->counted)
		return true;
	al->counted = true;
	if (++ev->lookups > SPF_MAX_LOOKUPS) {
		spf_fail(ev, AUTH_PERMERROR, "too many DNS lookups");
		return false;
	}
	return true;
}

static void
count_void(struct spf_evaluation *ev)
{
	if (++ev->voids > SPF_MAX_VOID)
		spf_fail(ev, AUTH_PERMERROR, "too many void lookups");
}

/* An answer that a term asked for; errors are noted (2.6.6). */
static void
note_answer(struct spf_evaluation *ev, const struct dns_answer *ans)
{
	switch (ans->status) {
	case DNS_FOUND:
		break;
	case DNS_NXDOMAIN:
	case DNS_NODATA:
		count_void(ev);
		break;
	case DNS_TIMEOUT:
		spf_fail(ev, AUTH_TEMPERROR, "DNS timeout");
		break;
	case DNS_LIMIT:
		spf_fail(ev, AUTH_TEMPERROR, "DNS query limit");
		break;
	case DNS_SERVFAIL:
	case DNS_NOT_RUN:
		spf_fail(ev, AUTH_TEMPERROR, "DNS failure");
		break;
	}
}

/* libspf2 asks for the record of cur_dom */
static SPF_errcode_t
layer_get_spf(SPF_server_t *server, SPF_request_t *request,
    SPF_response_t *response, SPF_record_t **ret_record)
{
	struct spf_evaluation *ev = server->resolver->hook;
	struct spf_alias *al = alias_find(ev, request->cur_dom);
	bool first = ev->record_count == 0;
	const struct dns_answer *ans;
	struct span text = { 0 };
	struct spf_source *r;
	const char *wrong;
	SPF_errcode_t rc;
	struct buf canonical;

	*ret_record = NULL;
	if (ev->error != AUTH_NONE || al == NULL)
		return SPF_E_DNS_ERROR;
	if (!first && !count_lookup(ev, al))
		return SPF_E_DNS_ERROR;
	if (!alias_expand(ev, al)) {
		spf_fail(ev, AUTH_PERMERROR, "no valid name to include");
		return SPF_E_DNS_ERROR;
	}
	ans = ask(ev, al->name, DNS_TXT);
	if (ans->status != DNS_NXDOMAIN && ans->status != DNS_NODATA)
		note_answer(ev, ans);
	if (ev->error != AUTH_NONE)
		return SPF_E_DNS_ERROR;
	switch (spf_record_select(ans, &text)) {
	case 0:
		if (first)
			ev->no_record = true;
		else
			spf_fail(ev, AUTH_PERMERROR, al->redirect ?
			    "redirect to a domain without record" :
			    "include of a domain without record");
		return SPF_E_NOT_SPF;
	case 2:
		spf_fail(ev, AUTH_PERMERROR, "several SPF records");
		return SPF_E_MULTIPLE_RECORDS;
	}
	if (ev->record_count >= SPF_MAX_RECORDS) {
		spf_fail(ev, AUTH_PERMERROR, "too many DNS lookups");
		return SPF_E_BIG_DNS;
	}
	r = &ev->records[ev->record_count++];
	r->domain = al->name;
	r->top = first || (al->redirect && al->record->top);
	if (r->top)
		ev->last_top = r;
	wrong = spf_record_parse(ev->arena, text, &r->parsed);
	if (wrong != NULL) {
		spf_fail(ev, AUTH_PERMERROR, wrong);
		return SPF_E_SYNTAX;
	}
	buf_init(&canonical, 128 * 1024);
	spf_put_record(ev, r, &canonical);
	rc = SPF_E_NO_MEMORY;
	if (!canonical.failed && ev->error == AUTH_NONE) {
		rc = SPF_record_compile(server, response, ret_record,
		    canonical.ptr);
		/* what passed our gate must pass there, or we do not know */
		if (rc != SPF_E_SUCCESS)
			spf_fail(ev, AUTH_PERMERROR, "record not understood");
	} else if (ev->error == AUTH_NONE) {
		ev->no_memory = true;
		spf_fail(ev, AUTH_TEMPERROR, "out of memory");
	}
	buf_done(&canonical);
	return rc;
}

static bool
ptr_found(void *arg, const char *name)
{
	struct name_choice *c = arg;

	if (strcmp(name, c->domain) == 0 || is_within(name, c->domain))
		c->exact = name;
	return c->exact != NULL;
}

static SPF_dns_rr_t *
rr_new(SPF_dns_server_t *layer, const char *domain, ns_type type, int herrno)
{
	return SPF_dns_rr_new_init(layer, domain, type, 0, herrno);
}

static bool
rr_add(SPF_dns_rr_t *rr, const void *data, size_t len)
{
	int n = rr->num_rr;

	if (SPF_dns_rr_buf_realloc(rr, n, len) != SPF_E_SUCCESS)
		return false;
	memcpy(rr->rr[n], data, len);
	rr->num_rr = n + 1;
	return true;
}

/* The hosts of an MX term become aliases, so that their names too stay here.
 * More than ten is an error (4.6.4). */
static void
mx_hosts(struct spf_evaluation *ev, struct spf_alias *term,
    const struct dns_answer *ans, SPF_dns_rr_t *rr)
{
	if (ans->count > SPF_MAX_MX) {
		spf_fail(ev, AUTH_PERMERROR, "too many MX names");
		return;
	}
	for (size_t i = 0; i < ans->count; i++) {
		size_t number;
		struct spf_alias *host = spf_alias_new(ev, term->record, ALIAS_MX_HOST,
		    span_of(NULL, 0), &number);
		char text[64];

		if (host == NULL)
			return;
		host->expanded = true;
		host->name = ans->records[i].data.ptr;
		host->exists = host->name[0] != '\0'; /* "." (RFC 7505) */
		host->any_address = term->any_address;
		snprintf(text, sizeof(text), "t%zu." SPF_ALIAS_ZONE, number);
		rr_add(rr, text, strlen(text) + 1);
	}
}

static SPF_dns_rr_t *
layer_lookup(SPF_dns_server_t *layer, const char *domain, ns_type type,
    int should_cache)
{
	static const struct in_addr yes = { .s_addr = 0x0200007F };
	struct spf_evaluation *ev = layer->hook;
	struct spf_alias *al = alias_find(ev, domain);
	const struct netaddr *ip = &ev->query->ip;
	const struct dns_answer *ans;
	SPF_dns_rr_t *rr;

	(void)should_cache;
	if (ev->error != AUTH_NONE || al == NULL ||
	    (type != ns_t_a && type != ns_t_aaaa && type != ns_t_mx))
		return rr_new(layer, domain, type, TRY_AGAIN);
	if (al->kind != ALIAS_MX_HOST && !count_lookup(ev, al))
		return rr_new(layer, domain, type, TRY_AGAIN);
	/* a name that can't be asked doesn't exist (4.3, 4.8) */
	if (!alias_expand(ev, al))
		return rr_new(layer, domain, type, HOST_NOT_FOUND);
	if (al->kind == ALIAS_PTR) {
		struct name_choice c = { .domain = al->name };

		if (!each_validated_name(ev, ptr_found, &c))
			count_void(ev);
		if (ev->error != AUTH_NONE)
			return rr_new(layer, domain, type, TRY_AGAIN);
		rr = rr_new(layer, domain, type,
		    c.exact != NULL ? NETDB_SUCCESS : HOST_NOT_FOUND);
		if (rr != NULL && c.exact != NULL)
			rr_add(rr, &yes, sizeof(yes));
		return rr;
	}
	ans = ask(ev, al->name, type == ns_t_a ? DNS_A :
	    type == ns_t_mx ? DNS_MX : DNS_AAAA);
	/* an MX host without address is no void term of the record */
	if (al->kind != ALIAS_MX_HOST || dns_status_is_temporary(ans->status))
		note_answer(ev, ans);
	if (ev->error != AUTH_NONE)
		return rr_new(layer, domain, type, TRY_AGAIN);
	if (ans->status != DNS_FOUND)
		return rr_new(layer, domain, type, HOST_NOT_FOUND);
	rr = rr_new(layer, domain, type, NETDB_SUCCESS);
	if (rr == NULL)
		return NULL;
	if (type == ns_t_mx) {
		mx_hosts(ev, al, ans, rr);
	} else if (al->any_address) {
		/* "/0" matches if there is any record at all */
		rr_add(rr, ip->bytes, ip->family == 6 ? 16 : 4);
	} else {
		for (size_t i = 0; i < ans->count; i++)
			if (!rr_add(rr, ans->records[i].data.ptr,
			    ans->records[i].data.len))
				break;
	}
	return rr;
}

/* exp= (6.2): whatever goes wrong here, there is just no explanation */
static const char *
explain(struct spf_evaluation *ev)
{
	struct spf_source *r = ev->last_top;
	char name[DNS_NAME_TEXT];
	const struct dns_answer *ans;
	const char *text = NULL;
	struct span value;
	struct buf out;
	bool invalid;

	if (r == NULL || r->parsed.exp.ptr == NULL)
		return NULL;
	ev->macros.domain = span_cstr(r->domain);
	if (!spf_macro_expand_name(&ev->macros, r->parsed.exp, name, &invalid))
		return NULL;
	ans = ask(ev, name, DNS_TXT);
	if (ans->status != DNS_FOUND || ans->count != 1)
		return NULL;
	value = ans->records[0].data;
	if (!spf_macro_check(value, SPF_EXPLANATION))
		return NULL;
	buf_init(&out, SPF_MAX_EXPLANATION);
	if (spf_macro_expand(&ev->macros, value, &out))
		text = arena_memdup(ev->arena, out.ptr, out.len);
	buf_done(&out);
	return text;
}

static bool
request_set_client(SPF_request_t *request, const struct netaddr *ip)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (ip->family == 6) {
		memcpy(&v6, ip->bytes, sizeof(v6));
		return SPF_request_set_ipv6(request, v6) == SPF_E_SUCCESS;
	}
	memcpy(&v4, ip->bytes, sizeof(v4));
	return SPF_request_set_ipv4(request, v4) == SPF_E_SUCCESS;
}

static enum auth_result
result_of(SPF_result_t r)
{
	switch (r) {
	case SPF_RESULT_NEUTRAL:
		return AUTH_NEUTRAL;
	case SPF_RESULT_PASS:
		return AUTH_PASS;
	case SPF_RESULT_FAIL:
		return AUTH_FAIL;
	case SPF_RESULT_SOFTFAIL:
		return AUTH_SOFTFAIL;
	case SPF_RESULT_NONE:
		return AUTH_NONE;
	case SPF_RESULT_TEMPERROR:
		return AUTH_TEMPERROR;
	default:
		return AUTH_PERMERROR;
	}
}

/* Runs libspf2 on the first alias. False: no memory. */
static bool
evaluate(struct spf_evaluation *ev, enum auth_result *ret_result,
    const char **ret_why)
{
	SPF_dns_server_t layer = {
		.lookup = layer_lookup,
		.get_spf = layer_get_spf,
		.name = "spamscore",
		.hook = ev,
	};
	SPF_server_t *server = SPF_server_new_dns(&layer, 0);
	SPF_request_t *request = NULL;
	SPF_response_t *response = NULL;
	SPF_record_t *record = NULL;
	bool ok = false;

	if (server == NULL)
		return false;
	/* we count; its own limits only must not come first */
	server->max_dns_mech = 250;
	server->max_dns_mx = 250;
	server->max_dns_ptr = 250;
	request = SPF_request_new(server);
	if (request == NULL || !request_set_client(request, &ev->query->ip) ||
	    SPF_request_set_helo_dom(request, "h." SPF_ALIAS_ZONE) !=
		SPF_E_SUCCESS ||
	    SPF_request_set_env_from(request, "s@t0." SPF_ALIAS_ZONE) != 0)
		goto done;
	response = SPF_response_new(request);
	if (response == NULL)
		goto done;
	request->cur_dom = "t0." SPF_ALIAS_ZONE;
	ok = true;
	/* SPF_request_query_mailfrom() would let loopback clients pass */
	if (layer_get_spf(server, request, response, &record) ==
		SPF_E_SUCCESS && record != NULL) {
		/* it asserts this, and takes exp= from there: ours has none */
		response->spf_record_exp = record;
		SPF_record_interpret(record, request, response, 0);
		*ret_result = result_of(SPF_response_result(response));
		if (SPF_response_reason(response) == SPF_REASON_DEFAULT)
			*ret_why = "no mechanism matched";
	}
done:
	if (record != NULL)
		SPF_record_free(record);
	if (response != NULL)
		SPF_response_free(response);
	if (request != NULL) {
		request->cur_dom = NULL;
		SPF_request_free(request);
	}
	SPF_server_free(server);
	return ok;
}

int
spf_check_host(const struct spf_query *q, struct dns_session *dns,
    struct arena *a, struct spf_evidence *e)
{
	struct spf_evaluation *ev;
	char domain[DNS_NAME_TEXT];
	enum auth_result result = AUTH_NONE;
	const char *why = NULL;
	struct spf_alias *first;
	size_t number;

	e->domain = arena_strdup(a, q->domain);
	if (e->domain == NULL)
		return -ENOMEM;
	e->check.state = CHECK_DONE;
	e->result = AUTH_NONE;
	if (!spf_domain_valid(q->domain, domain)) {
		e->reason = "not a domain name";
		return 0;
	}
	ev = ARENA_NEW(a, struct spf_evaluation);
	if (ev == NULL)
		return -ENOMEM;
	ev->query = q;
	ev->dns = dns;
	ev->arena = a;
	ev->aliases = ARENA_ARRAY(a, SPF_MAX_ALIASES, struct spf_alias);
	ev->macros = spf_query_macros(q);
	ev->macros.validated_name = validated_name;
	ev->macros.arg = ev;
	if (ev->aliases == NULL ||
	    (first = spf_alias_new(ev, NULL, ALIAS_TERM, span_of(NULL, 0),
		&number)) == NULL)
		return -ENOMEM;
	first->expanded = first->exists = true;
	first->name = arena_strdup(a, domain);
	if (first->name == NULL || !evaluate(ev, &result, &why) ||
	    ev->no_memory)
		return -ENOMEM;
	if (ev->error != AUTH_NONE) {
		result = ev->error;
		why = ev->why;
	} else if (ev->no_record) {
		result = AUTH_NONE;
		why = "no SPF record";
	}
	e->result = result;
	/* asked and answered before: this is a look, no lookup */
	e->secure = dns_lookup(dns, domain, DNS_TXT)->secure;
	e->reason = why;
	if (result == AUTH_FAIL)
		e->explanation = explain(ev);
	if (result == AUTH_TEMPERROR) {
		e->check.state = CHECK_UNKNOWN;
		e->check.why = why;
	}
	return 0;
}
