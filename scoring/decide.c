#include <string.h>

#include "scoring/decide.h"
#include "scoring/judge.h"

/* "user@" is that user at any domain, "@domain" a domain, else an address */
static bool
recipient_matches(const char *pattern, const char *recipient)
{
	size_t n = strlen(pattern), len = strlen(recipient);

	if (n == 0)
		return false;
	if (pattern[n - 1] == '@')
		return len >= n && strncasecmp(pattern, recipient, n) == 0;
	if (pattern[0] == '@')
		return len > n && strcasecmp(recipient + len - n, pattern) == 0;
	return strcasecmp(pattern, recipient) == 0;
}

static bool
any_exempt(const struct scoring_settings *s, const struct envelope *env)
{
	for (size_t i = 0; i < env->rcpt_count; i++) {
		/* RFC 5321 4.5.1: a bare "postmaster" has no domain */
		if (strcasecmp(env->rcpt_to[i], "postmaster") == 0)
			return true;
		for (size_t k = 0; k < s->exempt_recipients.count; k++)
			if (recipient_matches(s->exempt_recipients.items[k],
				env->rcpt_to[i]))
				return true;
	}
	return false;
}

void
deciding_init(struct deciding *d, const struct scoring_settings *s,
    const struct evidence *e, const struct envelope *env)
{
	const struct dmarc_evidence *dmarc = &e->dmarc;

	*d = (struct deciding){
		.settings = s,
		.evidence = e,
		.exempt = any_exempt(s, env),
		.dmarc = s->dmarc_reject && dmarc->check.state == CHECK_DONE &&
		    dmarc->result == AUTH_FAIL && dmarc->policy != NULL &&
		    strcmp(dmarc->policy, "reject") == 0 &&
		    !dmarc->sampled_out && !dmarc->excused &&
		    (dmarc->list == NULL || (s->dmarc_known_lists &&
			!dmarc->list_open && e->store.state != CHECK_UNKNOWN)),
	};
}

enum action
decide(const struct deciding *d, double low, double largest,
    const char **ret_reason)
{
	const struct scoring_settings *s = d->settings;
	const struct evidence *e = d->evidence;
	enum action a = ACTION_ACCEPT;
	bool retry;

	*ret_reason = NULL;
	if (low >= s->tag_score)
		a = ACTION_TAG;
	if (low >= s->tempfail_score)
		a = ACTION_TEMPFAIL;
	if (low >= s->reject_score) {
		if (d->single_rejects || points_round(low - largest) >= s->tag_score)
			a = ACTION_REJECT;
		else
			*ret_reason = "one hit alone does not reject";
	}
	if (d->dmarc) {
		a = ACTION_REJECT;
		*ret_reason = "the author domain's DMARC policy is reject";
	}
	if (d->exempt && a > ACTION_TAG) {
		*ret_reason = "a recipient is in exempt_recipients";
		return ACTION_TAG;
	}
	if (a != ACTION_TEMPFAIL)
		return a;
	if (reputation_excuses_greylist(e, ret_reason))
		return ACTION_TAG;
	if (e->store.state == CHECK_UNKNOWN) {
		*ret_reason = "no greylist state: tagged, not deferred";
		return ACTION_TAG;
	}
	retry = e->greylist_passed || (e->greylist_first_seen != 0 &&
	    e->now - e->greylist_first_seen >= s->greylist_delay / 1000);
	if (retry) {
		*ret_reason = "it came again after greylist_delay";
		return ACTION_TAG;
	}
	if (*ret_reason == NULL)
		*ret_reason = e->greylist_first_seen == 0 ?
		    "first sight of client, sender and recipient" :
		    "it came again before greylist_delay";
	return a;
}
