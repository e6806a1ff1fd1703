#include <errno.h>

#include "db/labels.h"
#include "scoring/gather.h"
#include "scoring/judge.h"

struct gather {
	const struct gather_sources *sources;
	const struct scoring_settings *settings;
	struct arena *arena;
	struct auth *auth;
};

struct gather *
gather_new(const struct gather_sources *sources,
    const struct scoring_settings *settings, struct arena *a)
{
	struct gather *g = ARENA_NEW(a, struct gather);

	if (g == NULL)
		return NULL;
	g->sources = sources;
	g->settings = settings;
	g->arena = a;
	g->auth = auth_new(sources->auth, settings, a);
	return g->auth != NULL ? g : NULL;
}

void
gather_free(struct gather *g)
{
	if (g == NULL)
		return;
	auth_free(g->auth);
	g->auth = NULL;
}

void
gather_begin(struct gather *g, const struct envelope *so_far)
{
	/* behind a trusted relay another client will be judged */
	if (netset_contains(&g->settings->trusted_networks, &so_far->client_ip))
		return;
	if (so_far->client_ip.family != 0) {
		auth_begin_client(g->auth, &so_far->client_ip);
		auth_begin_client_name(g->auth, so_far->reverse_name);
	}
	if (so_far->helo != NULL)
		auth_begin_helo(g->auth, so_far->helo);
	if (so_far->mail_from != NULL)
		auth_begin_mail_from(g->auth, so_far->mail_from);
}

void
gather_continue(struct gather *g)
{
	auth_continue(g->auth);
}

void
gather_begin_overflow(struct gather *g, struct span head)
{
	auth_begin_overflow(g->auth, head);
}

void
gather_body(struct gather *g, struct span more)
{
	auth_body(g->auth, more);
}

/* Is the mailing list whose signature may explain a DMARC failure known here,
 * as a signer of other people's mail? */
static int
list_ask(struct gather *g, struct evidence *e, struct error *err)
{
	struct dmarc_evidence *d = &e->dmarc;
	struct identity id = { IDENTITY_DKIM, d->list };
	struct reputation_row *row;
	int r;

	if (d->list == NULL || d->excused)
		return 0;
	r = store_reputation_get(g->sources->store, &id, 1, e->now, g->arena, &row,
	    err);
	if (r != 0 || !reputation_is_confirmed(row))
		return r;
	if (d->list_open) {
		d->check = (struct check){ CHECK_UNKNOWN, d->reason };
		d->result = AUTH_TEMPERROR;
		return 0;
	}
	/* whatever a seal might have said besides */
	d->check = (struct check){ CHECK_DONE, NULL };
	d->result = AUTH_FAIL;
	d->excused = true;
	d->reason = "the signature of a known mailing list explains it";
	return 0;
}

/* What the state database remembers. A fault of it is no fault of the
 * message: scoring goes on without. */
static int
store_ask(struct gather *g, const struct envelope *envelope, struct message *m,
    struct evidence *e)
{
	struct store *store = g->sources->store;
	struct identity *ids = NULL;
	struct error fault;
	const char *key, *author;
	size_t count = 0;
	int r;

	if (store == NULL) {
		e->store = (struct check){ CHECK_NOT_RUN,
			g->sources->store_why != NULL ? g->sources->store_why :
							"no database" };
		return 0;
	}
	r = gather_identities(g->sources->auth, e, envelope, m, g->arena, &ids,
	    &count);
	if (r != 0)
		return r;
	e->store = (struct check){ CHECK_DONE, NULL };
	r = store_reputation_get(store, ids, count, e->now, g->arena,
	    &e->reputation, &fault);
	if (r == 0)
		r = list_ask(g, e, &fault);
	if (r == 0) {
		e->reputation_count = count;
		author = gather_author(g->sources->auth, e, m, g->arena);
		if (author != NULL)
			r = store_correspondent_get(store, author, e->now,
			    &e->correspondent, &fault);
	}
	if (r == 0) {
		key = gather_greylist_key(e, envelope, g->arena);
		if (key == NULL)
			return -ENOMEM;
		r = store_greylist_get(store, key, e->now,
		    &e->greylist_first_seen, &e->greylist_passed, &fault);
	}
	if (r == -ENOMEM)
		return r;
	if (r != 0) {
		e->store = (struct check){ CHECK_UNKNOWN,
			arena_strdup(g->arena, fault.text) };
		e->reputation_count = 0;
		e->correspondent = false;
		if (e->store.why == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* More questions, from answers that came (auth.h) */
static int
ask_next(void *arg, struct rule_questions *all)
{
	return rule_asker_next(arg, all);
}

/* `dns_block_rule`: what a list answered may say not to ask it for a while */
static int
block_domains(struct gather *g, struct rule_asker *asker, int64_t now)
{
	const char *const *domains;
	int64_t seconds;
	size_t count = 0;
	int r = rule_asker_blocked(asker, &domains, &count, &seconds);

	for (size_t i = 0; r == 0 && i < count; i++)
		auth_block_domain(g->sources->auth, domains[i], now, seconds);
	return r;
}

int
gather_finish(struct gather *g, const struct envelope *envelope,
    struct message *m, const struct relays *relays,
    const struct ruleset *ruleset, int64_t now, struct evidence **ret_evidence,
    struct error *err)
{
	struct evidence *e = ARENA_NEW(g->arena, struct evidence);
	struct auth_questions questions = { .next = ask_next };
	struct rule_asker *asker;
	int r;

	if (e == NULL)
		return error_set(err, -ENOMEM, "out of memory for evidence");
	e->now = now;
	struct rule_input input = {
		.settings = g->settings,
		.message = m,
		.envelope = envelope,
		.relays = relays,
		.evidence = e,
		.arena = g->arena,
		.score_set = 1,
		.learned = -1,
	};
	asker = rule_asker_new(ruleset, &input);
	questions.arg = asker;
	r = asker != NULL ? rule_asker_next(asker, &questions.all) : -ENOMEM;
	if (r == 0)
		r = auth_finish(g->auth, envelope, m, &questions, e, err);
	if (r == 0)
		r = block_domains(g, asker, now);
	rule_asker_free(asker);
	if (r == 0)
		r = store_ask(g, envelope, m, e);
	if (r != 0)
		return error_set(err, r, "out of memory while gathering");
	*ret_evidence = e;
	return 0;
}
