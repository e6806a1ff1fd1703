#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "scoring/settings.h"

#define S(type, field) SETTING_##type, offsetof(struct scoring_settings, field)
#define MIB (INT64_C(1) << 20)
#define HOUR_MS INT64_C(3600000)

const struct setting scoring_settings_table[] = {
	{ "state_dir", S(STRING, state_dir), 0, 0, NULL,
	    "directory of the database and the model" },
	{ "rules_dir", S(STRING, rules_dir), 0, 0, NULL,
	    "directory of the shipped rules" },
	{ "rules", S(STRINGS, rules), 0, 0, NULL,
	    "further rule files and directories, read after rules_dir" },
	{ "compiled_dir", S(STRING, compiled_dir), 0, 0, NULL,
	    "directory of compiled rule databases" },
	{ "tuned_dir", S(STRING, tuned_dir), 0, 0, NULL,
	    "directory of tuned scores, which the daemon only reads" },
	{ "tune_report_to", S(STRING, tune_report_to), 0, 0, NULL,
	    "address to which the weekly tuning is reported" },
	{ "tune_min_hits", S(INT, tune_min_hits), 1, 1000000, NULL,
	    "a rule that fewer messages hit keeps its score" },
	{ "tune_ham_cost", S(INT, tune_ham_cost), 1, 100000, NULL,
	    "what a good message lost costs, in spam missed, when tuning" },
	{ "shadow", S(STRINGS, shadow), 0, 0, NULL,
	    "NAME FILE: rules or scores that are tried and never act" },
	{ "shadow_steps", S(INT, shadow_steps), 1000, INT64_C(1000000000000),
	    NULL, "steps the rules of one shadow may take on one message" },
	{ "tag_score", S(POINTS, tag_score), 0, 0, NULL,
	    "points from which mail is tagged" },
	{ "required_score", S(POINTS, tag_score), 0, 0, NULL,
	    "SpamAssassin's word for tag_score" },
	{ "tempfail_score", S(POINTS, tempfail_score), 0, 0, NULL,
	    "points from which mail is deferred at first sight" },
	{ "reject_score", S(POINTS, reject_score), 0, 0, NULL,
	    "points from which mail is rejected" },
	{ "trusted_networks", S(NETS, trusted_networks), 0, 0, NULL,
	    "relays whose Received fields are believed" },
	{ "internal_networks", S(NETS, internal_networks), 0, 0, NULL,
	    "relays that are our own MX and inner hosts" },
	{ "mynetworks", S(NETS, mynetworks), 0, 0, NULL,
	    "clients whose mail is not judged" },
	{ "exempt_recipients", S(STRINGS, exempt_recipients), 0, 0, NULL,
	    "addresses whose mail is at most tagged; user@ is any domain" },
	{ "local_domains", S(STRINGS, local_domains), 0, 0, NULL,
	    "domains whose mail this server takes" },
	{ "authserv_id", S(STRING, authserv_id), 0, 0, NULL,
	    "our name in Authentication-Results" },
	{ "scan_size", S(SIZE, scan_size), 4096, 1024 * MIB, NULL,
	    "bytes of a message that are looked at" },
	{ "max_fields", S(INT, max_fields), 10, 1000000, NULL,
	    "header fields that are looked at" },
	{ "max_mime_depth", S(INT, max_mime_depth), 1, 1000, NULL,
	    "nesting of MIME parts" },
	{ "max_mime_parts", S(INT, max_mime_parts), 1, 100000, NULL,
	    "number of MIME parts" },
	{ "max_uris", S(INT, max_uris), 1, 1000000, NULL,
	    "number of URIs" },
	{ "match_limit", S(INT, match_limit), 1000, 1000000000, NULL,
	    "steps one pattern may take on one text" },
	{ "message_steps", S(INT, message_steps), 10000,
	    INT64_C(1000000000000), NULL, "steps all patterns may take on one message" },
	{ "heap_limit_kb", S(INT, heap_limit_kb), 16, 1000000, NULL,
	    "kilobytes of memory one match may take" },
	{ "evidence_timeout", S(DURATION, evidence_timeout), 100, HOUR_MS, NULL,
	    "deadline of all lookups of one message" },
	{ "max_dns_queries", S(INT, max_dns_queries), 1, 10000, NULL,
	    "DNS queries of one message" },
	{ "resolver", S(STRINGS, resolver), 0, 0, NULL,
	    "addresses of resolvers; the system's when unset" },
	{ "trust_anchor", S(STRING, trust_anchor), 0, 0, NULL,
	    "DNSSEC root key file" },
	{ "public_suffix_list", S(STRING, public_suffix_list), 0, 0, NULL,
	    "file of public suffixes; the system's when unset" },
	{ "max_dkim_signatures", S(INT, max_dkim_signatures), 0, 100, NULL,
	    "DKIM signatures that are tried" },
	{ "dmarc_reject", S(BOOL, dmarc_reject), 0, 0, NULL,
	    "reject what fails a p=reject policy" },
	{ "dmarc_known_lists", S(BOOL, dmarc_known_lists), 0, 0, NULL,
	    "an unknown mailing list's signature does not keep dmarc_reject off" },
	{ "dmarc_tree_walk", S(BOOL, dmarc_tree_walk), 0, 0, NULL,
	    "find policies by DMARCbis's tree walk" },
	{ "arc_trusted_sealers", S(STRINGS, arc_trusted_sealers), 0, 0, NULL,
	    "domains whose ARC seals are believed" },
	{ "reputation_max", S(POINTS, reputation_max), 0, 0, NULL,
	    "reputation adds or takes at most this" },
	{ "greylist_delay", S(DURATION, greylist_delay), 1000, 24 * HOUR_MS, NULL,
	    "a deferred message is taken after this" },
	{ "learned_max", S(POINTS, learned_max), 0, 0, NULL,
	    "LEARNED adds or takes at most this" },
	{ "learned_size", S(SIZE, learned_size), 1000000, 64000000, NULL,
	    "size of a new learned model" },
	{ "learned_need", S(INT, learned_need), 1, 1000000, NULL,
	    "messages of each class that are learned before LEARNED counts" },
	{ "learned_keep", S(DURATION, learned_keep), 0, 36500 * 24 * HOUR_MS, NULL,
	    "older lessons can no longer be taken back; 0: never" },
	{ "learned_snapshots", S(INT, learned_snapshots), 1, 50, NULL,
	    "earlier states of the model that are kept to go back to" },
	{ "learned_snapshot_lessons", S(INT, learned_snapshot_lessons), 1,
	    1000000, NULL, "lessons from one snapshot to the next" },
	{ "label_weights", S(STRINGS, label_weights), 0, 0, NULL,
	    "user=weight: of this user's labels, above 0 and at most 1" },
	{ "auto_learn", S(BOOL, auto_learn), 0, 0, NULL,
	    "the filter teaches itself what its rules are sure of" },
	{ "auto_learn_ham", S(POINTS, auto_learn_ham), 0, 0, NULL,
	    "below so many points of the rules alone a message is good mail" },
	{ "auto_learn_spam", S(POINTS, auto_learn_spam), 0, 0, NULL,
	    "from so many points of the rules alone a message is spam" },
	{ "auto_learn_weight", S(POINTS, auto_learn_weight), 0, 0, NULL,
	    "weight of what it taught itself; a person's label has 1" },
	{ "auto_learn_share", S(POINTS, auto_learn_share), 0, 0, NULL,
	    "so many for each message of that class that people labelled" },
	{ "auto_learn_balance", S(POINTS, auto_learn_balance), 0, 0, NULL,
	    "so many messages of one class for each of the other" },
	{ "auto_learn_rate", S(INT, auto_learn_rate), 0, 1000000, NULL,
	    "so many in an hour; 0: any number" },
	{ 0 },
};

int
scoring_settings_init(struct scoring_settings *s, struct arena *a)
{
	*s = (struct scoring_settings){
		.state_dir = STATE_DIR,
		.rules_dir = RULES_DIR,
		.tag_score = 5,
		.tempfail_score = 8,
		.reject_score = 12,
		.scan_size = MIB / 2,
		.max_fields = 1000,
		.max_mime_depth = 30,
		.max_mime_parts = 500,
		.max_uris = 1000,
		.match_limit = 200000,
		.message_steps = 200000000,
		.shadow_steps = 20000000,
		.tune_min_hits = 5,
		.tune_ham_cost = 50,
		.heap_limit_kb = 20000,
		.evidence_timeout = 10000,
		.max_dns_queries = 400,
		.max_dkim_signatures = 10,
		.reputation_max = 3,
		.greylist_delay = 300000,
		.learned_max = 4,
		.learned_size = 64000000,
		.learned_need = 50,
		.learned_keep = 365 * 24 * HOUR_MS,
		.learned_snapshots = 2,
		.learned_snapshot_lessons = 1000,
		.auto_learn_ham = -1,
		.auto_learn_spam = 12,
		.auto_learn_weight = 0.2,
		.auto_learn_share = 0.5,
		.auto_learn_balance = 3,
		.auto_learn_rate = 60,
	};
	/* RFC 5321 4.5.1 and RFC 2142: these must be reachable */
	if (strings_add(&s->exempt_recipients, a, SPAN_LIT("postmaster@")) != 0 ||
	    strings_add(&s->exempt_recipients, a, SPAN_LIT("abuse@")) != 0)
		return -1;
	return 0;
}

const char *
scoring_tuned_dir(const struct scoring_settings *s, struct arena *a)
{
	return s->tuned_dir != NULL ? s->tuned_dir :
	    arena_printf(a, "%s/tuned", s->state_dir);
}

/* "user=weight"; the user's name may hold a "=" */
static bool
label_weight_parse(const char *text, struct span *ret_user,
    double *ret_weight)
{
	const char *sign = strrchr(text, '=');
	char *end;

	if (sign == NULL || sign == text || sign[1] == '\0' ||
	    sign[1 + strspn(sign + 1, "0123456789.")] != '\0')
		return false;
	*ret_weight = strtod(sign + 1, &end);
	*ret_user = span_of(text, (size_t)(sign - text));
	return *end == '\0' && *ret_weight > 0 && *ret_weight <= 1;
}

double
scoring_label_weight(const struct scoring_settings *s, const char *user)
{
	double weight = 1, w;
	struct span name;

	/* the last word counts, as with every setting */
	for (size_t i = 0; i < s->label_weights.count; i++)
		if (label_weight_parse(s->label_weights.items[i], &name, &w) &&
		    span_is(name, user))
			weight = w;
	return weight;
}

void
scoring_settings_check(struct scoring_settings *s, const char *file,
    struct diags *diags)
{
	struct span user;
	double weight;

	if (s->tag_score <= 0)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "tag_score must be above 0, it is %g", s->tag_score);
	if (s->tempfail_score < s->tag_score)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "tempfail_score %g is below tag_score %g",
		    s->tempfail_score, s->tag_score);
	if (s->reject_score < s->tempfail_score)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "reject_score %g is below tempfail_score %g",
		    s->reject_score, s->tempfail_score);
	if (s->tuned_dir != NULL && s->tuned_dir[0] != '/')
		diag_add(diags, DIAG_ERROR, file, 0,
		    "tuned_dir: not an absolute path: \"%s\"", s->tuned_dir);
	if (s->reputation_max < 0 || s->learned_max < 0)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "reputation_max and learned_max must not be negative");
	for (size_t i = 0; i < s->label_weights.count; i++)
		if (!label_weight_parse(s->label_weights.items[i], &user, &weight))
			diag_add(diags, DIAG_ERROR, file, 0, "label_weights: not "
			    "user=weight with a weight above 0 and at most 1: "
			    "\"%s\"", s->label_weights.items[i]);
	if (s->auto_learn_ham >= s->auto_learn_spam)
		diag_add(diags, DIAG_ERROR, file, 0,
		    "auto_learn_ham %g is not below auto_learn_spam %g",
		    s->auto_learn_ham, s->auto_learn_spam);
	if (!(s->auto_learn_weight > 0) || s->auto_learn_weight >= 1)
		diag_add(diags, DIAG_ERROR, file, 0, "auto_learn_weight must be "
		    "above 0 and below 1, a person's, it is %g",
		    s->auto_learn_weight);
	if (s->auto_learn_share < 0 || s->auto_learn_balance < 1)
		diag_add(diags, DIAG_ERROR, file, 0, "auto_learn_share must not "
		    "be below 0, nor auto_learn_balance below 1");
}

void
scoring_settings_done(struct scoring_settings *s)
{
	netset_done(&s->trusted_networks);
	netset_done(&s->internal_networks);
	netset_done(&s->mynetworks);
}
