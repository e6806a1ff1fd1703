/*
 * Learning one label. Each group is a logistic regression with a rate per
 * feature (AdaGrad): what was often wrong moves less.
 *
 * Labels are wrong at times. What the model knows firmly is believed over
 * one label: the posterior that a label was flipped, under a flip rate that
 * is itself estimated from the stream, dampens the step (never to nothing:
 * a person who repeats himself is heard).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "scoring/learn/internal.h"

static const double RATE = 0.014;
/* Less at first: wrong labels do most harm while nothing is known. By SLOW
 * of the rate, fading over so many messages. */
static const double SLOW = 0.25, SLOW_MESSAGES = 1000;
static const float RATE_FLOOR = 0.01f; /* under the root */
/* Right by so much is not worth a step (thick threshold): for the group; and
 * for all together, when the group is on the right side */
static const double MARGIN = 6, JOINT_MARGIN = 5;
/* A group learns from its own error and a little from that of all, so that
 * each also looks for what the others miss */
static const double JOINT_ERROR = 0.3;
/* What a weight loses at each step it takes part in: what was learned long
 * ago gives way to what is learned now */
static const float SHRINK = 0.001f;

/* Flip rate: prior 6 in 200, at most 1 in 10, used when both classes have
 * been seen so often; a step is never dampened below NOISE_STEP. Without the
 * bounds a stream that begins with one class takes the other for flips and
 * never learns it. */
static const double NOISE_FLIPS = 6, NOISE_SEEN = 200, NOISE_MOST = 0.1;
enum { NOISE_NEED = 10 };
static const double NOISE_STEP = 0.02;
static const double NOISE_SHARPNESS = 1.5;

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double
noise_rate(const struct model_header *h)
{
	return fmin(NOISE_MOST, h->noise_flips / h->noise_seen);
}

/* How much of the step to make */
static double
trust(struct model_header *h, double joined, bool spam, double weight)
{
	double rate = noise_rate(h);
	double right = sigmoid(NOISE_SHARPNESS * (spam ? joined : -joined));
	double flipped = rate * (1 - right) /
	    ((1 - rate) * right + rate * (1 - right));

	if (h->ham < NOISE_NEED || h->spam < NOISE_NEED)
		return 1;
	h->noise_flips += weight * flipped;
	h->noise_seen += weight;
	return fmax(NOISE_STEP, 1 - flipped);
}

static inline float
half_get(uint16_t half)
{
	uint32_t bits = (uint32_t)half << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Rounded to nearest; f is finite and not negative */
static inline uint16_t
half_make(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return (uint16_t)((bits + 0x8000) >> 16);
}

/* Where the feature lives, or is to live: whoever has learned less of the
 * two in the pair gives way. */
static inline struct weight *
place(struct weight *weights, uint32_t feature)
{
	struct weight *pair = &weights[(size_t)(feature >> TAG_BITS) * 2];
	uint16_t tag = (uint16_t)((feature & TAG_MASK) + 1);
	bool second = pair[1].tag == tag;
	struct weight *w;

	if (pair[0].tag == tag || second)
		return &pair[second];
	w = &pair[pair[1].g < pair[0].g];
	*w = (struct weight){ .tag = tag };
	return w;
}

static void
step_segment(struct weight *weights, const uint32_t *list, size_t count, float g,
    float rate)
{
	enum { AHEAD = 24 };
	float gg = g * g, rg = rate * g;

	for (size_t i = 0; i < count; i++) {
		struct weight *w = place(weights, list[i]);
		float sum = half_get(w->g) + gg;

		/* many places have left the first cache since they were read */
		__builtin_prefetch(pair_of(weights,
		    list[i + AHEAD < count ? i + AHEAD : i]), 1);
		w->g = half_make(sum);
		w->w = w->w * (1 - SHRINK) + rg / sqrtf(RATE_FLOOR + sum);
	}
}

static void
step(struct weight *weights, const struct features *f, int group, double error,
    double rate)
{
	for (int k = 0; k < SEGMENTS; k++)
		if (segment_group[k] == group)
			step_segment(weights, f->list[k], f->count[k],
			    (float)error * f->value[k], (float)rate);
}

/* Features need memory: at most what one sample can ask for, kept here, so
 * that learning cannot fail. */
enum { SCRATCH_BYTES = 1 << 20 };

void
model_writer_learn(struct model_writer *w, const struct sample *s,
    enum model_label label, double weight, int64_t event)
{
	struct model_header *h = w->header;
	bool spam = label == MODEL_SPAM;
	double groups[GROUPS], joined, trusted, error, rate;
	struct features f;

	arena_reset(w->scratch);
	if (features_make(s, &w->model, w->scratch, &f) != 0)
		return; /* cannot be: the scratch was sized for it */
	for (int g = 0; g < GROUPS; g++)
		groups[g] = group_log_odds(&f, g);
	joined = join_log_odds(h, groups, s);
	trusted = trust(h, joined, spam, weight);
	calibrate_learn(&h->calibrate, joined, spam, weight, trusted);
	rate = RATE * (1 - SLOW * exp(-(double)(h->ham + h->spam) /
	    SLOW_MESSAGES));
	error = JOINT_ERROR * ((spam ? 1 : 0) - sigmoid(joined));
	for (int g = 0; g < GROUPS; g++) {
		double own = (spam ? 1 : 0) - sigmoid(groups[g]);
		double right = spam ? groups[g] : -groups[g];

		if (right < MARGIN &&
		    (right <= 0 || (spam ? joined : -joined) <= JOINT_MARGIN))
			step(w->weights, &f, g, trusted * weight *
			    (error + (1 - JOINT_ERROR) * own), rate);
	}
	if (spam)
		h->spam++;
	else
		h->ham++;
	if (event > h->last_event)
		h->last_event = event;
}

int
model_writer_new(const struct model_options *options,
    struct model_writer **ret_writer, struct error *err)
{
	size_t bytes = options != NULL && options->size_bytes != 0 ?
	    options->size_bytes : (size_t)MODEL_DEFAULT_BYTES;
	uint32_t count = (uint32_t)((bytes - MODEL_HEADER_BYTES) /
	    sizeof(struct weight)) & ~1u;
	struct model_writer *w;
	int r;

	if (bytes < MODEL_MIN_BYTES || bytes > MODEL_MAX_BYTES)
		return error_set(err, -EINVAL,
		    "model size: not between 1 MB and 64 MB");
	r = writer_alloc(count, &w, err);
	if (r != 0)
		return r;
	memcpy(w->header->magic, MODEL_MAGIC, sizeof(w->header->magic));
	w->header->version = MODEL_VERSION;
	w->header->order = MODEL_ORDER;
	w->header->count = count;
	w->header->need = options != NULL && options->need != 0 ?
	    options->need : MODEL_DEFAULT_NEED;
	w->header->noise_flips = NOISE_FLIPS;
	w->header->noise_seen = NOISE_SEEN;
	calibrate_init(&w->header->calibrate);
	*ret_writer = w;
	return 0;
}

int
writer_alloc(uint32_t count, struct model_writer **ret_writer,
    struct error *err)
{
	struct model_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	w->memory_bytes = model_file_bytes(count);
	w->memory = mmap(NULL, w->memory_bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->scratch = arena_new(SCRATCH_BYTES);
	if (w->memory == MAP_FAILED || w->scratch == NULL) {
		if (w->memory == MAP_FAILED)
			w->memory = NULL;
		model_writer_free(w);
		return error_set(err, -ENOMEM, "out of memory");
	}
	madvise(w->memory, w->memory_bytes, MADV_HUGEPAGE);
	w->header = (struct model_header *)w->memory;
	w->weights = (struct weight *)(w->memory + MODEL_HEADER_BYTES);
	w->model = (struct model){ .refs = 1, .header = w->header,
		.weights = w->weights };
	*ret_writer = w;
	return 0;
}

void
model_writer_free(struct model_writer *w)
{
	if (w == NULL)
		return;
	if (w->memory != NULL)
		munmap(w->memory, w->memory_bytes);
	arena_free(w->scratch);
	free(w);
}

const struct model *
model_writer_model(const struct model_writer *w)
{
	return &w->model;
}

void
model_info(const struct model *m, struct model_info *ret_info)
{
	const struct model_header *h = m->header;

	*ret_info = (struct model_info){ .ham = h->ham, .spam = h->spam,
		.need = h->need, .last_event = h->last_event,
		.noise = noise_rate(h),
		.size_bytes = model_file_bytes(h->count) };
}
