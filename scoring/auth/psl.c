#include <idn2.h>
#include <stdlib.h>

#include "scoring/auth/auth_internal.h"
#include "scoring/message/body.h"

bool
auth_domain_ascii(struct span domain, char out[DNS_NAME_TEXT])
{
	bool ascii = true;
	char text[512];
	char *alabels = NULL;
	bool ok;

	out[0] = '\0';
	if (domain.len == 0 || domain.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < domain.len; i++) {
		ascii &= (unsigned char)domain.ptr[i] < 0x80;
		if (domain.ptr[i] == '\0')
			return false;
	}
	if (ascii)
		return dns_name_from_bytes(domain, out) && out[0] != '\0';
	memcpy(text, domain.ptr, domain.len);
	text[domain.len] = '\0';
	/* RFC 5891; what is no IDN (or no UTF-8) is no domain */
	if (idn2_to_ascii_8z(text, &alabels,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	ok = dns_name_from_bytes(span_cstr(alabels), out) && out[0] != '\0';
	idn2_free(alabels);
	return ok;
}

/* RFC 5322 3.6, RFC 7489 6.6.1: one From, by the grammar, whose domains can
 * exist */
const char *
auth_author_fault(struct auth *x, struct message *m,
    char out[DNS_NAME_TEXT])
{
	struct field *from = message_find(m, "From", 0);
	char domain[DNS_NAME_TEXT], first[DNS_NAME_TEXT] = "";
	struct mailbox *list;
	bool malformed;
	size_t n;

	if (from == NULL)
		return "no From field";
	if (message_count(m, "From") > 1)
		return "several From fields";
	if (address_list_parse(x->arena, from->raw, &list, &n,
		&malformed) != 0) {
		x->no_memory = true;
		return "out of memory";
	}
	if (malformed)
		return "malformed From field";
	if (n == 0)
		return "no author domain";
	for (size_t i = 0; i < n; i++) {
		if (!auth_domain_ascii(list[i].domain, domain) ||
		    !host_is_fqdn(span_cstr(domain), false))
			return "no valid author domain";
		if (out != NULL && first[0] != '\0' &&
		    strcmp(first, domain) != 0)
			return "several author domains";
		strcpy(first, domain);
	}
	if (out != NULL)
		strcpy(out, first);
	return NULL;
}

bool
auth_organisational_domain(struct auth_context *c, struct span domain,
    char out[256])
{
	char name[DNS_NAME_TEXT];
	const char *organisational;
	struct netaddr address;

	out[0] = '\0';
	if (netaddr_parse(domain, &address) ||
	    !auth_domain_ascii(domain, name) || c->psl == NULL)
		return false;
	organisational = psl_registrable_domain(c->psl, name);
	if (organisational == NULL || strlen(organisational) > 255)
		return false;
	memcpy(out, organisational, strlen(organisational) + 1);
	return true;
}
