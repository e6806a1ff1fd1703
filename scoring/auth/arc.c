/*
 * ARC (RFC 8617): is the chain of seals whole, who sealed last, and what did
 * the hop before say it saw.
 *
 * All of the newest message signature and every seal are verified; older
 * message signatures are broken by design of mailing lists and not looked at
 * (5.2). Keys come from the message's session like all else.
 */
#include <errno.h>

#include "scoring/auth/arc.h"
#include "scoring/auth/signed.h"

enum {
	ARC_MAX_SETS = 50,	 /* RFC 8617 4.2.1 */
};

enum part { AAR, AMS, AS };

static const char *const part_names[] = { "ARC-Authentication-Results",
	"ARC-Message-Signature", "ARC-Seal" };

struct set {
	size_t field[3];
	bool has[3];
	struct tags ams, as;
};

struct arc_run {
	struct set *sets; /* by instance, from 1; NULL: no ARC field at all */
	unsigned count;
	const char *fault;  /* of the structure */
	unsigned fault_at;
	/* of a message longer than is kept: its body so far */
	struct signed_body *body;
	size_t seen_bytes; /* of the message: header, then body */
};

/* i= of one field. AAR is no tag list but begins with "i=N;" (4.1.1). */
static unsigned
instance_of(enum part part, struct span value, struct tags *t)
{
	struct span i;
	int64_t n;

	if (part == AAR) {
		size_t equals;

		value = span_trim(span_of(value.ptr, span_find(value, ';')));
		equals = span_find(value, '=');
		if (equals == value.len ||
		    !span_iis(span_trim(span_of(value.ptr, equals)), "i"))
			return 0;
		i = span_trim(span_from(value, equals + 1));
	} else {
		if (!tags_parse(value, t))
			return 0;
		i = tags_get(t, "i");
	}
	if (!tags_number(i, &n) || n < 1 || n > ARC_MAX_SETS)
		return 0;
	return (unsigned)n;
}

static void
fault(struct arc_run *run, const char *why, unsigned at)
{
	if (run->fault == NULL) {
		run->fault = why;
		run->fault_at = at;
	}
}

/* Sorts the fields into sets and checks their structure (5.2 step 3). */
static void
collect(struct message *m, struct arc_run *run)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct field *f = &m->fields[i];
		struct tags t;
		unsigned n;

		for (unsigned part = 0; part < 3; part++) {
			struct set *s;

			if (!span_iis(f->name, part_names[part]))
				continue;
			n = instance_of(part, f->raw, &t);
			if (n == 0) {
				fault(run, "malformed field", 0);
				continue;
			}
			s = &run->sets[n];
			if (s->has[part]) {
				fault(run, "instance twice", n);
				continue;
			}
			s->has[part] = true;
			s->field[part] = i;
			if (part == AMS)
				s->ams = t;
			else if (part == AS)
				s->as = t;
			if (n > run->count)
				run->count = n;
		}
	}
	for (unsigned n = 1; n <= run->count; n++) {
		const struct set *s = &run->sets[n];
		struct span cv = tags_get(&s->as, "cv");

		if (!s->has[AAR] || !s->has[AMS] || !s->has[AS])
			fault(run, "incomplete set", n);
		else if (n == run->count && span_iis(cv, "fail"))
			fault(run, "sealed as failed", n);
		else if (!span_iis(cv, n == 1 ? "none" : "pass"))
			fault(run, "wrong cv=", n);
		else if (tags_get(&s->as, "h").ptr != NULL)
			fault(run, "h= in a seal", n);
	}
}

void
arc_begin(struct auth *x, struct message *m)
{
	struct arc_run *run;
	char name[DNS_NAME_TEXT];

	if (x->arc != NULL) /* a long message was begun before */
		return;
	run = ARENA_NEW(x->arena, struct arc_run);
	if (run == NULL) {
		x->no_memory = true;
		return;
	}
	x->arc = run;
	/* room for all instances is large, and most messages have none */
	for (unsigned part = 0; part < 3 && run->sets == NULL; part++) {
		if (message_count(m, part_names[part]) == 0)
			continue;
		run->sets = ARENA_ARRAY(x->arena, ARC_MAX_SETS + 1, struct set);
		if (run->sets == NULL) {
			x->no_memory = true;
			return;
		}
	}
	collect(m, run);
	if (run->fault != NULL)
		return;
	for (unsigned n = 1; n <= run->count; n++)
		if (signed_key_name(&run->sets[n].as, name))
			dns_start(x->dns, name, DNS_TXT);
	if (run->count > 0 && signed_key_name(&run->sets[run->count].ams, name))
		dns_start(x->dns, name, DNS_TXT);
}

void
arc_overflow(struct auth *x, struct message *m)
{
	struct arc_run *run;

	if (x->arc != NULL || (m->faults & MESSAGE_NO_BODY))
		return;
	arc_begin(x, m);
	run = x->arc;
	if (run == NULL || run->count == 0 || run->fault != NULL)
		return;
	run->body = signed_body_new(&run->sets[run->count].ams);
	x->no_memory |= run->body == NULL;
	run->seen_bytes = m->body_offset;
	arc_more(x, span_from(m->raw, m->body_offset));
}

void
arc_more(struct auth *x, struct span body)
{
	if (x->arc != NULL && x->arc->body != NULL) {
		signed_body_add(x->arc->body, body);
		x->arc->seen_bytes += body.len;
	}
}

void
arc_drop(struct auth *x)
{
	if (x->arc != NULL)
		signed_body_free(x->arc->body);
	x->arc = NULL;
}

static struct outcome
check_seal(struct auth *x, struct message *m, const struct arc_run *run,
    unsigned instance)
{
	struct outcome out = { .result = SIGNED_BAD, .why = "out of memory" };
	struct buf data;

	buf_init(&data, m->body_offset * 2 + 4096);
	for (unsigned n = 1; n <= instance; n++)
		for (unsigned part = 0; part < 3; part++) {
			const struct field *f =
			    &m->fields[run->sets[n].field[part]];

			if (n == instance && part == AS)
				signed_put_field(&data, f, true);
			else
				canon_field(&data, f->name, f->raw, true);
		}
	if (data.failed)
		x->no_memory = true;
	else
		out = signed_verify_data(x, &run->sets[instance].as,
		    buf_span(&data));
	buf_done(&data);
	return out;
}

static bool
trusts(const struct auth *x, const char *sealer)
{
	const struct strings *list = &x->settings->arc_trusted_sealers;
	char name[DNS_NAME_TEXT];

	for (size_t i = 0; i < list->count; i++)
		if (auth_domain_ascii(span_cstr(list->items[i]), name) &&
		    strcmp(name, sealer) == 0)
			return true;
	return false;
}

/* The newest seal: good, or not known to be bad */
static bool
seal_may_be_good(struct auth *x, struct message *m, const struct arc_run *run)
{
	struct outcome out = check_seal(x, m, run, run->count);

	return out.result == SIGNED_PASS || out.result == SIGNED_UNKNOWN;
}

int
arc_finish(struct auth *x, struct message *m, struct evidence *e)
{
	struct arc_evidence *a = &e->arc;
	const struct arc_run *run = x->arc;
	const struct tags *ams;
	struct span expires;
	int64_t at;
	char sealer[DNS_NAME_TEXT];
	struct outcome out;

	if (run == NULL)
		return -ENOMEM;
	a->check = (struct check){ CHECK_DONE, NULL };
	a->result = AUTH_NONE;
	if (run->count == 0 && run->fault == NULL)
		return 0;
	/* a fault of the structure shows in the header alone */
	if (dns_session_offline(x->dns) || ((m->faults & MESSAGE_TRUNCATED) &&
	    (run->fault == NULL || (m->faults & MESSAGE_NO_BODY)) &&
	    (run->body == NULL || run->seen_bytes != m->size_bytes))) {
		a->check = (struct check){ CHECK_NOT_RUN,
			dns_session_offline(x->dns) ? "offline" :
			"message over scan_size" };
		return 0;
	}
	a->instance = run->count;
	if (run->count > 0 && auth_domain_ascii(
	    tags_get(&run->sets[run->count].as, "d"), sealer)) {
		a->sealer = arena_strdup(x->arena, sealer);
		if (a->sealer == NULL)
			return -ENOMEM;
	}
	a->result = AUTH_FAIL;
	if (run->fault != NULL) {
		a->reason = run->fault;
		a->instance = run->fault_at;
		return 0;
	}
	ams = &run->sets[run->count].ams;
	out = signed_verify(x, m, ams, run->sets[run->count].field[AMS],
	    run->body);
	expires = tags_get(ams, "x");
	if (out.result == SIGNED_PASS && expires.ptr != NULL &&
	    tags_number(expires, &at) && e->now > at) {
		out.result = SIGNED_MALFORMED;
		out.why = "message signature expired";
	} else if (out.result == SIGNED_PASS && out.uncovered) {
		/* what was put behind the signed text would count as sealed */
		out.result = SIGNED_BODY;
		out.why = "l= leaves body text unsigned";
	}
	for (unsigned n = run->count; out.result == SIGNED_PASS && n >= 1; n--) {
		out = check_seal(x, m, run, n);
		if (out.result != SIGNED_PASS)
			a->instance = n;
	}
	if (x->no_memory)
		return -ENOMEM;
	if (out.result != SIGNED_PASS) {
		a->reason = out.why;
		if (out.result == SIGNED_UNKNOWN) {
			a->result = AUTH_TEMPERROR;
			a->check = out.check;
			a->reason = out.check.why;
			/* anybody can name a sealer and let another key hang */
			a->trusted = a->sealer != NULL && trusts(x, a->sealer) &&
			    seal_may_be_good(x, m, run);
		}
		return 0;
	}
	a->result = AUTH_PASS;
	a->trusted = a->sealer != NULL && trusts(x, a->sealer);
	if (!a->trusted)
		return 0;
	return arc_results_parse(x->arena,
	    m->fields[run->sets[run->count].field[AAR]].raw, &a->sealed,
	    &a->sealed_count);
}
