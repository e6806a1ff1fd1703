/*
 * What is done to labelled mail before a fit: mailings, duplicates, labels
 * that contradict, ages, the split; and the sketch that texts are compared by.
 */
#include "t/tune/rig.h"
#include "tune/clean.h"

static struct ruleset *rs;

static const char TEXT[] = "Dear friend, we write to you about %d offers that "
    "will end in %d days. Our price is the lowest and every order ships at "
    "once from our store in the north of the country, so do not wait long.";

static struct sketch
sketch_of(const char *text)
{
	struct sketch_maker k;
	struct sketch s;

	sketch_begin(&k);
	sketch_add(&k, span_cstr(text));
	sketch_end(&k, &s);
	return s;
}

static void
test_sketch(void)
{
	struct sketch a = sketch_of("One two three four five six seven eight nine");
	struct sketch b = sketch_of("ONE  two, three four! five six seven eight nine");
	struct sketch c = sketch_of("ten eleven twelve, a dozen words of no kin to it");
	struct sketch d = sketch_of("order 123 of 45 things, which we sent to you today");
	struct sketch e = sketch_of("order 987 of 65 things, which we sent to you today");
	struct sketch none = sketch_of("too short");

	tap_is_int(sketch_alike(&a, &b), SKETCH_SIZE, "case and signs do not count");
	tap_ok(sketch_alike(&a, &c) < 3, "other words, other sketch");
	tap_is_int(sketch_alike(&d, &e), SKETCH_SIZE, "numbers do not count");
	tap_is_int(sketch_alike(&none, &none), 0, "too little text is like nothing");
	a = sketch_of("");
	tap_ok(!a.has_text, "no text");
}

/* A text that shares no run of words with that of another n */
static const char *
text_of(unsigned n, char out[400])
{
	size_t at = 0;

	for (unsigned i = 0; i < 20; i++)
		at += (size_t)snprintf(out + at, 400 - at, "w%c%c%c%c ",
		    'a' + n % 26, 'a' + n / 26 % 26, 'a' + i, 'a' + n / 676 % 26);
	return out;
}

/* One of a mailing whose editions are alike, but not the same */
static const char *
edition_of(unsigned n, char out[800])
{
	char own[400];

	snprintf(out, 800, "a letter of one kind that keeps its beginning through "
	    "all of its editions and all of its months whatever else is in it, "
	    "and ends in another way each time %s %s with a common end to all of "
	    "them as letters like it have, year by year and month by month until "
	    "it stops", n % 2 ? "anna" : "berta", text_of(5000 + n, own) + 110);
	return out;
}

/* Pairs of held-out mail and mail fitted to that are of one mailing */
static size_t
on_both_sides(const struct tune_set *s)
{
	size_t both = 0;

	for (size_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < s->count; k++)
			both += s->messages[i].use == TUNE_HELD_OUT &&
			    s->messages[k].use == TUNE_FIT &&
			    s->messages[k].campaign == s->messages[i].campaign;
	return both;
}

static void
test_campaigns(void)
{
	struct clean_options o = { 0.5, 0 };
	struct clean_report r;
	struct tune_set s;
	char text[800];
	size_t held = 0, fitted = 0;

	tune_set_init(&s, rs, 0);
	for (unsigned i = 0; i < 100; i++)
		rig_add(&s, rs, false, 1000000 + i * 1000, i, text_of(i, text), NULL);
	/* a mailing that comes a thousand times, all through the time */
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), TEXT, i, i % 9);
		rig_add(&s, rs, true, 1000000 + i * 100, 1000 + i, text, NULL);
	}
	/* one with other words at its end each time, across the boundary */
	for (unsigned i = 0; i < 40; i++)
		rig_add(&s, rs, true, 1000000 + i * 2500, 5000 + i,
		    edition_of(i, text), NULL);
	/* the same bytes under both labels */
	rig_add(&s, rs, true, 1000000, 7, "ham and spam", NULL);
	tune_set_order(&s);
	tap_is_int(clean_run(&s, &o, &r), 0, "clean_run");
	tap_is_int((long long)r.ham, 100, "ham");
	tap_is_int((long long)r.spam, 1041, "spam");
	tap_is_int((long long)r.contradicted, 2, "both labels: neither counts");
	tap_ok(r.duplicates >= 999, "the mailing is one message: %zu left out",
	    r.duplicates);
	tap_ok(r.largest == 1000, "the largest mailing: %zu", r.largest);
	for (size_t i = 0; i < s.count; i++) {
		const struct tune_message *m = &s.messages[i];

		if (m->use != TUNE_HELD_OUT)
			continue;
		held++;
	}
	for (size_t i = 0; i < s.count; i++)
		fitted += s.messages[i].use == TUNE_FIT;
	tap_is_int((long long)on_both_sides(&s), 0, "no mailing on both sides of the split");
	tap_is_int((long long)held, (long long)(r.held_ham + r.held_spam), "held out");
	tap_is_int((long long)fitted, (long long)(r.fit_ham + r.fit_spam), "fitted to");
	tap_ok(r.held_ham >= 48 && r.held_ham <= 50, "half of the ham: %zu", r.held_ham);
	for (size_t i = 0; i < s.count; i++)
		if (s.messages[i].use == TUNE_HELD_OUT &&
		    s.messages[i].time < r.boundary)
			tap_ok(false, "what is held out came behind the boundary");
	tune_set_done(&s);
}

static void
test_ages(void)
{
	struct clean_options o = { 0.3, 0 };
	struct clean_report r;
	struct tune_set s;
	double weight[2] = { 0 }, old[2] = { 0 };
	char text[800];

	/* three quarters of the ham, a quarter of the spam in the first year */
	tune_set_init(&s, rs, 0);
	for (unsigned i = 0; i < 800; i++) {
		bool spam = i % 2 != 0, first = i % 8 < 6 ? !spam : spam;

		rig_add(&s, rs, spam, (first ? 1000000000 : 1040000000) + i * 30000,
		    i, text_of(i, text), NULL);
	}
	tune_set_order(&s);
	clean_run(&s, &o, &r);
	for (size_t i = 0; i < s.count; i++) {
		const struct tune_message *m = &s.messages[i];

		weight[m->spam] += m->weight;
		if (m->time < 1030000000)
			old[m->spam] += m->weight;
	}
	tap_ok(r.overlap > 0.4 && r.overlap < 0.6 && r.ages_differ,
	    "overlap %.2f is worth a warning", r.overlap);
	tap_ok(fabs(weight[0] - 400) < 1e-6 && fabs(weight[1] - 400) < 1e-6,
	    "the classes keep their sizes");
	tap_ok(fabs(old[0] / weight[0] - old[1] / weight[1]) < 0.2,
	    "and are of like ages: %.2f and %.2f of the first year (were 0.75 and "
	    "0.25)", old[0] / weight[0], old[1] / weight[1]);
	tune_set_done(&s);

	tune_set_init(&s, rs, 0);
	for (unsigned i = 0; i < 100; i++)
		rig_add(&s, rs, i % 2 != 0, 0, i, text_of(i, text), NULL);
	tune_set_order(&s);
	clean_run(&s, &o, &r);
	tap_ok(r.no_time == 100 && r.held_ham == 0 && r.fit_ham == 50,
	    "without times nothing can be held out");
	tune_set_done(&s);

	/* kept in different years: judged all the same */
	for (unsigned order = 0; order < 2; order++) {
		tune_set_init(&s, rs, 0);
		for (unsigned i = 0; i < 400; i++) {
			bool spam = i % 4 == 0;

			rig_add(&s, rs, spam, (spam == (order == 0) ? 1500000000 :
			    1000000000) + i * 30000, i, text_of(i, text), NULL);
		}
		tune_set_order(&s);
		clean_run(&s, &o, &r);
		tap_ok(r.ages_differ, "hardly a time in common: %.2f", r.overlap);
		tap_is_int((long long)r.held_ham, 90, "the newest ham");
		tap_is_int((long long)r.held_spam, 30, "and the newest spam");
		tap_ok(r.boundary != r.spam_boundary, "from its own time on");
		tune_set_done(&s);
	}

	/* two fifths of the spam are of the ham's years, or are wrong labels */
	tune_set_init(&s, rs, 0);
	for (unsigned i = 0; i < 400; i++) {
		bool spam = i % 2 != 0;

		rig_add(&s, rs, spam, (spam && i % 10 < 6 ? 1000000000 :
		    1500000000) + i * 30000, i, text_of(i, text), NULL);
	}
	tune_set_order(&s);
	clean_run(&s, &o, &r);
	tap_is_int((long long)r.held_spam, 60, "the newest spam all the same");
	tune_set_done(&s);

	/* different years, and one mailing whose messages are ham then and spam now */
	tune_set_init(&s, rs, 0);
	for (unsigned i = 0; i < 400; i++)
		rig_add(&s, rs, i % 2 != 0, (i % 2 != 0 ? 1000000000 :
		    1500000000) + i * 30000, i, text_of(i, text), NULL);
	for (unsigned i = 0; i < 20; i++)
		rig_add(&s, rs, i % 2 != 0, (i % 2 != 0 ? 1011500000 :
		    1500100000) + i * 1000, 5000 + i, edition_of(i, text), NULL);
	tune_set_order(&s);
	clean_run(&s, &o, &r);
	tap_ok(r.largest == 20 && r.boundary != r.spam_boundary,
	    "a mailing under both labels");
	tap_is_int((long long)on_both_sides(&s), 0, "is on one side");
	tune_set_done(&s);

	tune_set_init(&s, rs, 0);
	tap_is_int(clean_run(&s, &o, &r), 0, "nothing at all");
	tune_set_done(&s);
}

int
main(void)
{
	rs = rig_rules("header A Subject =~ /a/\nscore A 1\n");
	test_sketch();
	test_campaigns();
	test_ages();
	ruleset_free(rs);
	return tap_done();
}
