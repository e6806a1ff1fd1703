/*
 * settings - what the engine can be told, apart from rules. One table for
 * configuration files and rule files; immutable after loading.
 */
#ifndef SCORING_SETTINGS_H
#define SCORING_SETTINGS_H

#include "base/conf.h"

struct scoring_settings {
	const char *state_dir;	  /* the daemon alone writes there */
	const char *rules_dir;	  /* the shipped rules */
	struct strings rules;	  /* further files and directories */
	const char *compiled_dir; /* databases of `spamscore compile` */
	const char *tuned_dir;	  /* of `spamscore tune`; NULL: "tuned" in
				     state_dir */
	const char *tune_report_to; /* address of the weekly report; NULL: none */
	int64_t tune_min_hits;	  /* fewer, and tune keeps a rule's score */
	int64_t tune_ham_cost;	  /* a ham lost, in spam missed */
	struct strings shadow;	  /* pairs: name, file */
	int64_t shadow_steps;	  /* as message_steps, of one shadow's rules */

	double tag_score;      /* required_score is SpamAssassin's word for it */
	double tempfail_score;
	double reject_score;
	struct netset trusted_networks;
	struct netset internal_networks; /* empty: as trusted_networks */
	struct netset mynetworks;	 /* not judged */
	struct strings exempt_recipients;
	struct strings local_domains;	 /* whose mail this server takes */
	const char *authserv_id;	 /* NULL: the host name */

	int64_t scan_size;	 /* bytes of a message that are looked at */
	int64_t max_fields;	 /* header fields */
	int64_t max_mime_depth;
	int64_t max_mime_parts;
	int64_t max_uris;
	int64_t match_limit;	 /* PCRE2 steps one pattern may take */
	int64_t message_steps;	 /* PCRE2 steps one message may take */
	int64_t heap_limit_kb;	 /* PCRE2 heap of one match */

	int64_t evidence_timeout; /* ms, all lookups together */
	int64_t max_dns_queries;  /* one message */
	struct strings resolver;  /* addresses[@port]; empty: the system's */
	const char *trust_anchor; /* DNSSEC root key file; NULL: none */
	const char *public_suffix_list; /* NULL: the system's */
	int64_t max_dkim_signatures;
	bool dmarc_reject;
	bool dmarc_known_lists;	 /* an unknown list's word is none */
	bool dmarc_tree_walk;	 /* DMARCbis instead of the suffix list */
	struct strings arc_trusted_sealers;

	double reputation_max;	 /* the term stays within +-this */
	int64_t greylist_delay;	 /* ms */
	double learned_max;	 /* LEARNED stays within +-this */
	int64_t learned_size;	 /* bytes of a new model */
	int64_t learned_need;	 /* messages of each class before it counts */
	int64_t learned_keep;	 /* ms; older lessons are folded in; 0: never */
	int64_t learned_snapshots; /* of the model, to go back to */
	int64_t learned_snapshot_lessons; /* one after so many lessons */
	struct strings label_weights; /* "user=weight" */
	bool auto_learn;	 /* the filter teaches itself */
	double auto_learn_ham;	 /* below so many points of its rules alone */
	double auto_learn_spam;	 /* from so many */
	double auto_learn_weight; /* of such a lesson; a person's is 1 */
	double auto_learn_share; /* at most so many for each of people's */
	double auto_learn_balance; /* of a class for each of the other */
	int64_t auto_learn_rate; /* at most so many in an hour; 0: any */
};

extern const struct setting scoring_settings_table[];

/* Defaults; strings are static, lists empty but for exempt_recipients. */
int scoring_settings_init(struct scoring_settings *s, struct arena *a);
/* The directory of tuned scores: tuned_dir, or its default in a. NULL: no
 * memory. */
const char *scoring_tuned_dir(const struct scoring_settings *s,
    struct arena *a);
/* Of this user's labels: as label_weights says, else 1 */
double scoring_label_weight(const struct scoring_settings *s,
    const char *user);
/* What single values cannot say: tag <= tempfail <= reject and the like. */
void scoring_settings_check(struct scoring_settings *s, const char *file,
    struct diags *diags);
void scoring_settings_done(struct scoring_settings *s);

#endif
