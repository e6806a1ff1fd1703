#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scoring/learn/sample.h"
#include "tune/fromlog.h"

struct reading {
	const struct ruleset *rs;
	struct tune_set *set;
	uint32_t *hits;
	size_t most;
	bool learned;
	struct error *err;
};

/* A term's points; what is no number, or none that a verdict could hold, is
 * not believed */
static double
points_of(const json_t *term)
{
	double v = json_number_value(json_object_get(term, "score"));

	return isfinite(v) && fabs(v) < 1e6 ? v : 0;
}

bool
fromlog_parse(struct span record, const struct ruleset *rs, uint32_t *hits,
    size_t most, struct fromlog_record *ret_record)
{
	json_t *root = json_loadb(record.ptr, record.len, 0, NULL), *term;
	const json_t *list = json_object_get(root, "hits");
	struct fromlog_record r = { .fixed = 0 };
	size_t i;

	if (!json_is_array(list)) {
		json_decref(root);
		return false;
	}
	json_array_foreach((json_t *)list, i, term) {
		const char *name =
		    json_string_value(json_object_get(term, "rule"));
		const char *type =
		    json_string_value(json_object_get(term, "type"));
		long k;

		if (type != NULL && strcmp(type, "learned") == 0) {
			r.fixed += points_of(term);
			r.learned = true;
			continue;
		}
		k = name != NULL ? ruleset_find(rs, name) : -1;
		if (k < 0)
			r.vanished++;
		else if (r.hit_count < most)
			hits[r.hit_count++] = (uint32_t)k;
	}
	json_array_foreach(json_object_get(root, "reputation"), i, term)
		r.fixed += points_of(term);
	json_array_foreach(json_object_get(root, "not_run"), i, term)
		r.tests_open |= json_is_true(json_object_get(term, "unknown"));
	json_decref(root);
	*ret_record = r;
	return true;
}

static int
take(void *context, const struct labelled *l)
{
	struct reading *d = context;
	struct tune_message m = { .name = l->entry.id, .spam = l->spam,
		.time = l->entry.time };
	struct fromlog_record record;
	struct sketch_maker maker;
	struct sample sample;
	int r;

	if (!fromlog_parse(l->entry.record, d->rs, d->hits, d->most, &record)) {
		d->set->unreadable++;
		return 0;
	}
	_Static_assert(sizeof(m.identity) == sizeof(l->entry.message), "equal");
	memcpy(m.identity, l->entry.message, sizeof(m.identity));
	sketch_begin(&maker);
	if (l->sample.len > 0 && sample_unpack(l->sample, &sample) == 0)
		sketch_add(&maker, sample.view[SAMPLE_TEXT]);
	sketch_end(&maker, &m.sketch);
	m.fixed = record.fixed;
	m.before_model = d->learned && !record.learned;
	d->set->vanished += record.vanished;
	d->set->tests_open += record.tests_open;
	r = tune_set_add(d->set, &m, d->hits, record.hit_count);
	return r == 0 ? 0 : error_set(d->err, r, r == -E2BIG ?
	    "too many messages" : "out of memory");
}

static void
before_model_drop(struct tune_set *s)
{
	size_t before[2] = { 0, 0 }, since[2] = { 0, 0 }, kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct tune_message *m = &s->messages[i];

		(m->before_model ? before : since)[m->spam]++;
	}
	if (before[0] > since[0] || before[1] > since[1])
		return;
	for (size_t i = 0; i < s->count; i++)
		if (!s->messages[i].before_model)
			s->messages[kept++] = s->messages[i];
	s->before_model = s->count - kept;
	s->count = kept;
}

int
fromlog_collect(struct store *store, const struct ruleset *rs, int64_t since,
    bool learned, struct tune_set *s, struct error *err)
{
	struct reading d = { .rs = rs, .set = s, .most = ruleset_count(rs),
		.learned = learned, .err = err };
	int r;

	d.hits = calloc(d.most + 1, sizeof(*d.hits));
	if (d.hits == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	r = store_labelled(store, since, take, &d, err);
	free(d.hits);
	if (r == 0)
		before_model_drop(s);
	return r;
}
