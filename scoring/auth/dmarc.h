/*
 * dmarc - records and evaluation (RFC 7489; DMARCbis' tree walk as a
 * setting). Text and tables only: the lookups stand in dmarc.c.
 */
#ifndef SCORING_AUTH_DMARC_H
#define SCORING_AUTH_DMARC_H

#include "base/span.h"
#include "scoring/evidence.h"

enum dmarc_policy {
	DMARC_UNSET,
	DMARC_NONE,
	DMARC_QUARANTINE,
	DMARC_REJECT,
};

struct dmarc_record {
	enum dmarc_policy p, sp, np; /* sp, np: DMARC_UNSET when absent */
	bool strict_dkim, strict_spf;
	unsigned pct;
	char psd; /* 'y', 'n', 'u' */
	bool testing; /* t=y */
};

/* v=DMARC1 first? Others at the name do not count. */
bool dmarc_is_record(struct span text);
/* False: no usable policy (6.6.3 step 6). */
bool dmarc_record_parse(struct span text, struct dmarc_record *ret_record);
const char *dmarc_policy_name(enum dmarc_policy p); /* NULL when unset */

#endif
