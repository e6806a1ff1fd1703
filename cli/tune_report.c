/*
 * What a tuning did, step by step in words, and all of it as JSON.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/tune_release.h"

enum { SHOWN_SUSPECTS = 20 };

const char *
tune_why(const struct tuning *t, size_t rule, char *out, size_t size)
{
	const struct scores_rule *x = &t->rules[rule];
	double move = t->after[rule] - t->set.rules[rule].current;

	switch (x->why) {
	case SCORES_KEPT:
		return x->ham + x->spam == 0 ? "nothing hit it" :
		    t->set.rules[rule].fixed;
	case SCORES_FEW_HITS:
		return "too few hits";
	case SCORES_TWIN:
		snprintf(out, size, "hits the same mail as %s",
		    t->set.rules[x->twin].name);
		return out;
	case SCORES_AT_LIMIT:
		return "raised as far as one rule may go";
	case SCORES_AT_ZERO:
		return "says nothing here, or the contrary";
	case SCORES_FITTED:
		break;
	}
	return move > 0 ? "raised: tells spam from ham here" :
	    move < 0 ? "lowered: ham has it too, or other rules say the same" :
	    "as it should be";
}

void
tune_print_collect(const struct tuning *t)
{
	printf("collect: %zu messages, %zu of them known from before",
	    t->set.count, t->from_cache);
	if (t->set.unreadable > 0)
		printf(", %zu files without a message", t->set.unreadable);
	if (t->set.before_model > 0)
		printf(", %zu left out that came before the model took part",
		    t->set.before_model);
	if (t->set.vanished > 0)
		printf(", %zu hits of rules that are no more", t->set.vanished);
	if (t->set.tests_open > 0)
		printf(", %zu with tests that did not finish", t->set.tests_open);
	putchar('\n');
}

void
tune_print_clean(const struct tuning *t)
{
	const struct clean_report *r = &t->clean;
	char a[32], b[32], c[32], d[32];

	printf("clean: %zu ham and %zu spam; %zu under both labels and %zu "
	       "near-duplicates left out; %zu mailings, the largest of %zu\n",
	    r->ham, r->spam, r->contradicted, r->duplicates, r->campaigns,
	    r->largest);
	if (r->no_time > 0)
		printf("       %zu of these do not tell when they came\n",
		    r->no_time);
	if (r->ham_to != 0 && r->spam_to != 0)
		printf("       ham of %s to %s, spam of %s to %s, overlap %.0f %%\n",
		    release_day(r->ham_from, a), release_day(r->ham_to, b),
		    release_day(r->spam_from, c), release_day(r->spam_to, d),
		    100 * r->overlap);
	if (r->ages_differ)
		printf("       warning: ham and spam are of different ages; what "
		       "changes with the years looks like a sign of spam\n");
	if (r->held_ham + r->held_spam == 0)
		printf("       nothing is held out\n");
	else if (r->spam_boundary == r->boundary || r->held_spam == 0)
		printf("       fitted to %zu ham and %zu spam before %s, "
		       "judged on %zu and %zu since\n", r->fit_ham, r->fit_spam,
		    release_day(r->boundary, a), r->held_ham, r->held_spam);
	else
		printf("       fitted to %zu ham before %s and %zu spam before %s, "
		       "judged on %zu and %zu since\n", r->fit_ham,
		    release_day(r->boundary, a), r->fit_spam,
		    release_day(r->spam_boundary, b), r->held_ham, r->held_spam);
}

void
tune_print_fit(const struct tuning *t)
{
	const struct scores_report *r = &t->fit;

	printf("fit: %zu rules with enough hits, %zu moved; cost a message %.4f "
	       "before, %.4f by cross-validation (pull %g, %u sweeps)\n",
	    r->rules, r->moved, r->cv_before, r->cv_after, r->pull, r->sweeps);
}

struct doubted {
	const struct tune_message **list; /* surest first; the caller frees */
	size_t count;
};

static int
doubted_cmp(const void *pa, const void *pb)
{
	const struct tune_message *a = *(const struct tune_message *const *)pa;
	const struct tune_message *b = *(const struct tune_message *const *)pb;

	if (a->wrong != b->wrong)
		return a->wrong > b->wrong ? -1 : 1;
	return (a > b) - (a < b);
}

/* Labels that are as good as surely wrong; of held-out mail or of what
 * was to be fitted to. Out of memory: none are named. */
static struct doubted
doubted_find(const struct tuning *t, bool held_out)
{
	size_t count = held_out ? t->fit.held_suspects : t->fit.suspects;
	struct doubted d = { calloc(count + 1, sizeof(*d.list)), 0 };

	for (size_t i = 0; i < t->set.count && d.list != NULL; i++) {
		const struct tune_message *m = &t->set.messages[i];

		if (d.count < count && (held_out ? m->use == TUNE_HELD_OUT &&
			m->wrong >= SCORES_DOUBTED : m->use == TUNE_SUSPECT))
			d.list[d.count++] = m;
	}
	if (d.count > 0)
		qsort(d.list, d.count, sizeof(*d.list), doubted_cmp);
	return d;
}

static void
doubted_print(const struct tuning *t, bool held_out, const char *what)
{
	struct doubted d = doubted_find(t, held_out);

	if (d.count > 0)
		printf("doubt: %zu labels look wrong, %s:\n", d.count, what);
	for (size_t i = 0; i < d.count && i < SHOWN_SUSPECTS; i++) {
		printf("       labelled %s: ", d.list[i]->spam ? "spam" : "ham");
		cli_print_text(span_cstr(d.list[i]->name));
		putchar('\n');
	}
	if (d.count > SHOWN_SUSPECTS)
		printf("       and %zu more, all of them with --json\n",
		    d.count - SHOWN_SUSPECTS);
	free(d.list);
}

void
tune_print_doubted(const struct tuning *t)
{
	doubted_print(t, false, "and are not fitted to");
	doubted_print(t, true, "but are judged on as they are");
}

void
tune_print_certificate(const struct tuning *t)
{
	printf("choose: tag_score %.12g, reject_score %.12g (was %.12g)\n",
	    t->thresholds_after.tag, t->thresholds_after.reject,
	    t->thresholds_before.reject);
	printf("certify: reject: %s\n         tag: %s\n", t->reject_text,
	    t->tag_text);
}

static void
print_figures(const char *label, const struct compare_figures *f)
{
	printf("  %-7s ham lost %zu of %zu (%.3f .. %.3f %%), spam missed %zu of "
	       "%zu (%.1f .. %.1f %%), TCR %.2f (%.2f .. %.2f)\n", label,
	    f->lost.count, f->lost.of, 100 * f->lost.low, 100 * f->lost.high,
	    f->missed.count, f->missed.of, 100 * f->missed.low,
	    100 * f->missed.high, f->tcr, f->tcr_low, f->tcr_high);
}

void
tune_print_compare(const struct tuning *t)
{
	printf("compare: on mail that was held out\n");
	print_figures("before", &t->compare.before);
	print_figures("after", &t->compare.after);
	printf("  cheaper after in %.1f %% of resamples\n",
	    100 * t->compare.better);
}

void
tune_print_result(const struct tuning *t)
{
	printf("write: %zu scores %s", t->result.count, t->o->dry_run ?
		"would go to " : "to ");
	cli_print_text(span_cstr(t->path));
	putchar('\n');
}

/* JSON has no infinity */
static json_t *
number(double v)
{
	return isfinite(v) ? json_real(round(v * 1e6) / 1e6) : json_null();
}

static json_t *
count(size_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
share_json(const struct compare_share *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "count", count(s->count),
	    "of", count(s->of), "share", number(s->share), "low",
	    number(s->low), "high", number(s->high));
}

static json_t *
figures_json(const struct compare_figures *f)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "ham_lost",
	    share_json(&f->lost), "spam_missed", share_json(&f->missed), "tcr",
	    number(f->tcr), "tcr_low", number(f->tcr_low), "tcr_high",
	    number(f->tcr_high));
}

static json_t *
certificate_json(const struct certificate *c, const char *text)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "holds", c->holds,
	    "threshold", number(c->threshold), "bound", number(c->bound),
	    "given", count(c->given), "needed", count(c->needed), "text",
	    json_text(text));
}

static json_t *
rules_json(const struct tuning *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->result.count; i++) {
		const struct result_entry *e = &t->result.entries[i];

		json_array_append_new(list, json_pack(
		    "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		    "rule", e->name, "base", number(e->base), "old",
		    number(e->old), "score", number(e->score), "ham",
		    count(e->ham), "spam", count(e->spam), "so", number(e->so),
		    "so_low", number(e->so_low), "so_high", number(e->so_high),
		    "why", json_text(e->why)));
	}
	return list;
}

static json_t *
doubted_json(const struct tuning *t, bool held_out)
{
	struct doubted d = doubted_find(t, held_out);
	json_t *list = json_array();

	for (size_t i = 0; i < d.count; i++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:o}",
		    "label", d.list[i]->spam ? "spam" : "ham", "path",
		    json_text(d.list[i]->name), "wrong",
		    number(d.list[i]->wrong)));
	free(d.list);
	return list;
}

static json_t *
clean_json(const struct clean_report *r)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, "
	    "s:I, s:o, s:b, s:o, s:o, s:o, s:o}",
	    "ham", count(r->ham), "spam", count(r->spam), "contradicted",
	    count(r->contradicted), "duplicates", count(r->duplicates),
	    "campaigns", count(r->campaigns), "largest", count(r->largest),
	    "no_time", count(r->no_time), "ham_from", (json_int_t)r->ham_from,
	    "ham_to", (json_int_t)r->ham_to, "spam_from",
	    (json_int_t)r->spam_from, "spam_to", (json_int_t)r->spam_to,
	    "overlap", number(r->overlap), "ages_differ", r->ages_differ,
	    "fit_ham", count(r->fit_ham), "fit_spam", count(r->fit_spam),
	    "held_ham", count(r->held_ham), "held_spam", count(r->held_spam));
}

int
tune_print_json(const struct tuning *t)
{
	const struct scores_report *f = &t->fit;
	json_t *o = json_object();

	json_object_set_new(o, "messages", count(t->set.count));
	json_object_set_new(o, "unreadable", count(t->set.unreadable));
	json_object_set_new(o, "vanished", count(t->set.vanished));
	json_object_set_new(o, "before_model", count(t->set.before_model));
	json_object_set_new(o, "tests_open", count(t->set.tests_open));
	json_object_set_new(o, "clean", clean_json(&t->clean));
	json_object_set_new(o, "fit", json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "ham",
	    count(f->ham), "spam", count(f->spam), "rules", count(f->rules),
	    "moved", count(f->moved), "pull", number(f->pull), "cost_before",
	    number(f->cv_before), "cost_after", number(f->cv_after), "sweeps",
	    (json_int_t)f->sweeps, "suspects", doubted_json(t, false),
	    "held_suspects", doubted_json(t, true)));
	json_object_set_new(o, "tag_score", number(t->thresholds_after.tag));
	json_object_set_new(o, "reject_score",
	    number(t->thresholds_after.reject));
	json_object_set_new(o, "certificate", json_pack("{s:o, s:o}", "reject",
	    certificate_json(&t->reject, t->reject_text), "tag",
	    certificate_json(&t->tag, t->tag_text)));
	json_object_set_new(o, "compare", json_pack("{s:o, s:o, s:o}", "before",
	    figures_json(&t->compare.before), "after",
	    figures_json(&t->compare.after), "better",
	    number(t->compare.better)));
	json_object_set_new(o, "rules", rules_json(t));
	json_object_set_new(o, "file", t->o->dry_run ? json_null() :
		json_text(t->path));
	return cli_print_json(stdout, o);
}
