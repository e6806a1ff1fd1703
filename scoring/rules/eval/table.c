#include "scoring/rules/eval.h"

extern const struct eval_family eval_body, eval_locale, eval_mime;
extern const struct eval_family eval_dnseval, eval_freemail;
extern const struct eval_family eval_html, eval_https, eval_uri;
extern const struct eval_family eval_subject_lists; /* subjectlist.c */
extern const struct eval_family eval_welcomelist;
extern const struct eval_family eval_askdns, eval_image, eval_uridetail,
    eval_uridns;
extern const struct eval_family eval_dkim_lists, eval_spf_lists; /* authlist.c */
extern const struct eval_family eval_bayes, eval_dcc, eval_pyzor, eval_razor,
    eval_vbounce; /* other.c */
extern const struct eval_family eval_hashbl;
extern const struct eval_family eval_dkim, eval_dmarc, eval_spf; /* auth.c */
extern const struct eval_family eval_fromname;
extern const struct eval_family eval_domains; /* ../domains.c */
extern const struct eval_family eval_dns_limits; /* ../ask.c */
extern const struct eval_family eval_header, eval_header_forged;
extern const struct eval_family eval_identity;
extern const struct eval_family eval_own;
extern const struct eval_family eval_relay;

/* One line a family; the order does not matter, names are unique. */
const struct eval_family *const eval_families[] = {
	&eval_body,
	&eval_dkim,
	&eval_dmarc,
	&eval_fromname,
	&eval_domains,
	&eval_dns_limits,
	&eval_header,
	&eval_header_forged,
	&eval_identity,
	&eval_locale,
	&eval_mime,
	&eval_dnseval,
	&eval_freemail,
	&eval_html,
	&eval_https,
	&eval_subject_lists,
	&eval_uri,
	&eval_welcomelist,
	&eval_askdns,
	&eval_bayes,
	&eval_dcc,
	&eval_dkim_lists,
	&eval_hashbl,
	&eval_image,
	&eval_pyzor,
	&eval_razor,
	&eval_spf_lists,
	&eval_uridetail,
	&eval_uridns,
	&eval_vbounce,
	&eval_own,
	&eval_relay,
	&eval_spf,
	NULL,
};
