#include <errno.h>
#include <math.h>

#include "scoring/learn/internal.h"

double
group_log_odds(const struct features *f, int group)
{
	double sum = 0;

	for (int k = 0; k < SEGMENTS; k++)
		if (segment_group[k] == group)
			sum += (double)f->value[k] * (double)f->sum[k];
	return sum;
}

int
model_predict_sample(const struct model *m, const struct sample *s,
    size_t explain_count, struct arena *a,
    struct model_prediction *ret_prediction)
{
	const struct model_header *h = m->header;
	struct model_prediction p = { 0 };
	double groups[GROUPS], joined;
	struct feature_places places;
	struct features f;
	int r;

	r = explain_count > 0 ? features_make_places(s, m, a, &f, &places) :
	    features_make(s, m, a, &f);
	if (r != 0)
		return r;
	for (int g = 0; g < GROUPS; g++)
		groups[g] = group_log_odds(&f, g);
	joined = join_log_odds(h, groups, s);
	p.log_odds = calibrate_apply(&h->calibrate, joined);
	p.active = h->ham >= h->need && h->spam >= h->need;
	if (!p.active) {
		p.why = h->ham < h->need && h->spam < h->need ?
		    "has not yet learned enough mail" :
		    h->ham < h->need ? "has not yet learned enough good mail" :
		    "has not yet learned enough spam";
	}
	if (explain_count > 0) {
		/* shares are parts of what is shown, after join and
		 * calibration; near zero the ratio means nothing */
		double mean = 0, scale;

		for (int g = 0; g < GROUPS; g++)
			mean += groups[g] / GROUPS;
		scale = fabs(mean) > 0.5 ? p.log_odds / mean : 1;

		r = explain_features(m, s, &f, &places, explain_count,
		    fmax(scale, 0.05), a, &p);
		if (r != 0)
			return r;
	}
	*ret_prediction = p;
	return 0;
}

int
model_predict(const struct model *m, const struct sample_source *source,
    size_t explain_count, struct arena *a,
    struct model_prediction *ret_prediction)
{
	struct sample s;
	int r = sample_make(source, a, &s);

	return r != 0 ? r :
	    model_predict_sample(m, &s, explain_count, a, ret_prediction);
}
