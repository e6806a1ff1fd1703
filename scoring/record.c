/* A verdict as the log keeps it: the JSON of --explain, in keyed mode without
 * what names a person or shows what was written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/feedback.h"

/* Copies of what is printed, changed where it would tell too much. */
struct redacted {
	struct explain_input input;
	struct message message;
	struct envelope envelope;
	struct evidence evidence;
	struct verdict verdict;
};

static const char *
word_of(struct store *s, const char *address, struct arena *a)
{
	char word[STORE_WORD_BYTES];

	if (address == NULL || address[0] == '\0')
		return address;
	store_address_word(s, address, word);
	return arena_strdup(a, word);
}

/* "address:someone@example.org" as it stands in terms and flips */
static const char *
redact_name(struct store *s, const char *name, struct arena *a)
{
	const char *word;

	if (strncmp(name, "address:", 8) != 0)
		return name;
	word = word_of(s, name + 8, a);
	return word != NULL ? arena_printf(a, "address:%s", word) : NULL;
}

static int
redact_envelope(struct store *s, struct redacted *r, struct arena *a)
{
	struct envelope *e = &r->envelope;
	const char **rcpts = ARENA_ARRAY(a, e->rcpt_count, const char *);

	if (rcpts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < e->rcpt_count; i++)
		if ((rcpts[i] = word_of(s, e->rcpt_to[i], a)) == NULL)
			return -ENOMEM;
	e->rcpt_to = rcpts;
	if (e->mail_from != NULL &&
	    (e->mail_from = word_of(s, e->mail_from, a)) == NULL)
		return -ENOMEM;
	e->auth_login = NULL;
	return 0;
}

static int
redact_parts(struct hit *h, struct arena *a)
{
	struct hit_part *parts = ARENA_ARRAY(a, h->part_count + 1,
	    struct hit_part);

	if (parts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < h->part_count; i++) {
		parts[i] = h->parts[i];
		parts[i].matched = span_of("", 0);
	}
	h->parts = parts;
	return 0;
}

static int
redact_verdict(struct store *s, struct verdict *v, struct arena *a)
{
	struct hit *hits = ARENA_ARRAY(a, v->hit_count, struct hit);
	struct reputation_term *terms = ARENA_ARRAY(a, v->reputation_count,
	    struct reputation_term);
	struct flip *flips = ARENA_ARRAY(a, v->flip_count, struct flip);

	if (hits == NULL || terms == NULL || flips == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < v->hit_count; i++) {
		hits[i] = v->hits[i];
		hits[i].matched = span_of("", 0);
		if (redact_parts(&hits[i], a) != 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < v->reputation_count; i++) {
		terms[i] = v->reputation[i];
		terms[i].identity = redact_name(s, terms[i].identity, a);
		if (terms[i].identity == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < v->flip_count; i++) {
		flips[i] = v->flips[i];
		flips[i].rules = ARENA_ARRAY(a, flips[i].count, const char *);
		if (flips[i].rules == NULL)
			return -ENOMEM;
		for (size_t k = 0; k < flips[i].count; k++)
			if ((flips[i].rules[k] = redact_name(s,
			    v->flips[i].rules[k], a)) == NULL)
				return -ENOMEM;
	}
	v->hits = hits;
	v->reputation = terms;
	v->flips = flips;
	return 0;
}

/* SPF explanations and AUIDs are written around local parts, questions to
 * hash lists are addresses or can be guessed. */
static int
redact_evidence(struct evidence *e, struct arena *a)
{
	struct dkim_evidence *dkim = ARENA_ARRAY(a, e->dkim_count,
	    struct dkim_evidence);
	struct dnsxl_evidence *lists = ARENA_ARRAY(a, e->dnsxl_count,
	    struct dnsxl_evidence);

	if (dkim == NULL || lists == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < e->dnsxl_count; i++) {
		lists[i] = e->dnsxl[i];
		if (lists[i].personal)
			lists[i].query = NULL;
	}
	e->dnsxl = lists;
	for (size_t i = 0; i < e->dkim_count; i++) {
		dkim[i] = e->dkim[i];
		dkim[i].identity = NULL;
	}
	e->dkim = dkim;
	e->spf_mailfrom.explanation = e->spf_helo.explanation = NULL;
	return 0;
}

static int
redact(struct store *s, const struct explain_input *in, struct arena *a,
    struct redacted *r)
{
	size_t kept = 0;

	r->message = *in->message;
	r->envelope = *in->envelope;
	r->evidence = *in->evidence;
	r->verdict = *in->verdict;
	r->message.fields = ARENA_ARRAY(a, in->message->field_count,
	    struct field);
	if (r->message.fields == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < in->message->field_count; i++)
		if (span_iis(in->message->fields[i].name, "Message-ID"))
			r->message.fields[kept++] = in->message->fields[i];
	r->message.field_count = kept;
	r->input = (struct explain_input){ &r->message, &r->envelope,
		&r->evidence, &r->verdict };
	if (redact_envelope(s, r, a) != 0 ||
	    redact_verdict(s, &r->verdict, a) != 0)
		return -ENOMEM;
	return redact_evidence(&r->evidence, a);
}

static int
make_record(const struct explain_input *in, struct arena *a,
    struct span *ret_record)
{
	json_t *explain = explain_json(in);
	char *dumped = explain != NULL ? json_dumps(explain, JSON_COMPACT) : NULL;

	json_decref(explain);
	if (dumped == NULL)
		return -ENOMEM;
	*ret_record = arena_span(a, span_cstr(dumped));
	free(dumped);
	return ret_record->ptr != NULL ? 0 : -ENOMEM;
}

int
feedback_log(struct store *s, const struct feedback_verdict *v,
    struct arena *a)
{
	const struct envelope *env = v->input->envelope;
	struct log_entry entry = { .id = v->id, .time = v->now,
		.action = (int)v->action, .score = v->input->verdict->score,
		.mail_from = env->mail_from, .queue_id = env->queue_id,
		.ids = v->ids, .id_count = v->id_count, .ham = v->ham,
		.spam = v->spam, .keyed = v->keyed };
	const char **addresses = ARENA_ARRAY(a, env->rcpt_count + 2,
	    const char *);
	const struct explain_input *in = v->input;
	struct redacted redacted;
	size_t n = 0;

	if (addresses == NULL ||
	    feedback_message_identity(v->message, entry.message) != 0)
		return -ENOMEM;
	if (env->mail_from != NULL && env->mail_from[0] != '\0')
		addresses[n++] = env->mail_from;
	if (v->author != NULL)
		addresses[n++] = v->author;
	for (size_t i = 0; i < env->rcpt_count; i++)
		addresses[n++] = env->rcpt_to[i];
	entry.addresses = addresses;
	entry.address_count = n;
	if (v->keyed) {
		if (redact(s, in, a, &redacted) != 0)
			return -ENOMEM;
		in = &redacted.input;
	}
	if (make_record(in, a, &entry.record) != 0)
		return -ENOMEM;
	store_log_put(s, &entry);
	return 0;
}
