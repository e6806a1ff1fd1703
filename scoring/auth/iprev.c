/* Forward-confirmed reverse DNS (RFC 8601 3). */
#include <errno.h>

#include "base/ascii.h"
#include "scoring/auth/auth_internal.h"

enum { IPREV_MAX_NAMES = 10 };

static void
ptr_then(struct auth *x, void *arg, const struct dns_answer *ans)
{
	(void)arg;
	for (size_t i = 0; i < ans->count && i < IPREV_MAX_NAMES; i++)
		if (ans->records[i].data.len != 0)
			dns_start(x->dns, ans->records[i].data.ptr,
			    x->client.family == 6 ? DNS_AAAA : DNS_A);
}

void
iprev_begin(struct auth *x)
{
	char reverse[80];

	auth_ask(x, netaddr_reverse(&x->client, true, reverse), DNS_PTR,
	    ptr_then, NULL);
}

static bool
is_host(const char *name)
{
	for (; *name != '\0'; name++)
		if (!ascii_is_alnum(*name) && strchr("-_.", *name) == NULL)
			return false;
	return true;
}

int
iprev_finish(struct auth *x, struct evidence *e)
{
	struct iprev_evidence *ip = &e->iprev;
	const struct dns_answer *ptr, *ans;
	enum dns_status trouble = DNS_FOUND;
	const char *name = NULL;
	char reverse[80];

	if (x->client.family == 0) {
		ip->check = (struct check){ CHECK_NOT_RUN, "no client address" };
		return 0;
	}
	ptr = dns_lookup(x->dns, netaddr_reverse(&x->client, true, reverse),
	    DNS_PTR);
	ip->check = auth_check_of(ptr->status);
	if (ip->check.state != CHECK_DONE) {
		if (ip->check.state == CHECK_UNKNOWN)
			ip->result = AUTH_TEMPERROR;
		return 0;
	}
	if (ptr->status != DNS_FOUND) {
		ip->result = AUTH_PERMERROR;
		return 0;
	}
	ip->has_ptr = true;
	ip->secure = ptr->secure;
	ip->result = AUTH_FAIL;
	for (size_t i = 0; i < ptr->count && i < IPREV_MAX_NAMES; i++) {
		const char *n = ptr->records[i].data.ptr;

		if (n[0] == '\0')
			continue;
		if (name == NULL)
			name = n;
		/* whoever has the address block writes what he likes there;
		 * an MTA takes no other name for a host either */
		if (!is_host(n))
			continue;
		ans = dns_lookup(x->dns, n,
		    x->client.family == 6 ? DNS_AAAA : DNS_A);
		if (auth_answer_has_address(ans, &x->client)) {
			ip->result = AUTH_PASS;
			name = n;
			break;
		}
		if (dns_status_is_temporary(ans->status))
			trouble = ans->status;
	}
	if (ip->result != AUTH_PASS && trouble != DNS_FOUND) {
		ip->result = AUTH_TEMPERROR;
		ip->check = auth_check_of(trouble);
	}
	if (name != NULL) {
		ip->name = arena_strdup(x->arena, name);
		if (ip->name == NULL)
			return -ENOMEM;
	}
	return 0;
}
