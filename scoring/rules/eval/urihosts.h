/*
 * urihosts - the hosts of a message's links that DNS lists are asked about:
 * SpamAssassin's choice and order, without uridnsbl_skip_domain.
 */
#ifndef SCORING_RULES_EVAL_URIHOSTS_H
#define SCORING_RULES_EVAL_URIHOSTS_H

#include "base/netaddr.h"
#include "scoring/rules/eval/addrlist.h"

enum { URI_HOSTS = 20 }; /* uridnsbl_max_domains' default */

struct uri_host {
	struct span host, domain; /* lower case */
	bool is_address;
	struct netaddr ip;
};

/* Of the URIDNSBL family, for others. 0 or -ENOMEM */
int uri_hosts(struct eval_context *ctx, const struct uri_host **ret_hosts,
    size_t *ret_count);
/* uridnsbl_skip_domain has this name, lower case */
bool uri_host_skipped(const struct eval_context *ctx, struct span name);

#endif
