/*
 * internal - the shape of a model in memory and on disk, for the files of
 * this room only.
 */
#ifndef SCORING_LEARN_INTERNAL_H
#define SCORING_LEARN_INTERNAL_H

#include <stdatomic.h>

#include "scoring/learn/model.h"

enum {
	GROUP_RAW,   /* 5-grams of the raw view */
	GROUP_HEAD,  /* 4-grams of the author's fields */
	GROUP_TEXT,  /* 4-grams of the visible text */
	GROUP_WORDS, /* words and pairs of words of head and text; tokens */
	GROUPS,
};

/* A run of features of one kind; GROUP_OF says whose */
enum {
	SEGMENT_RAW, SEGMENT_HEAD, SEGMENT_TEXT, SEGMENT_HEAD_WORDS,
	SEGMENT_TEXT_WORDS, SEGMENT_TOKENS,
	SEGMENTS,
};

extern const uint8_t segment_group[SEGMENTS];
extern const uint8_t segment_view[SEGMENTS];

enum {
	/* most features of a segment: a byte of a view begins at most two */
	SEGMENT_MAX_FEATURES = 2 * SAMPLE_TEXT_BYTES,
	MODEL_HEADER_BYTES = 4096,
	MODEL_VERSION = 2,
	MODEL_MIN_BYTES = 1000 * 1000, MODEL_MAX_BYTES = 64 * 1000 * 1000,
	MODEL_DEFAULT_NEED = 50,
	MODEL_DEFAULT_BYTES = 64 * 1000 * 1000,
	MODEL_ORDER = 0x01020304,
};

#define MODEL_MAGIC "SPSCLRN\n"

/* A place for one feature. Two neighbours are a pair; a feature lives in
 * either place of its pair, under its tag, so that two features that meet
 * in a pair do not speak for each other. */
struct weight {
	float w;      /* log-odds */
	uint16_t g;   /* sum of squared gradients: the upper half of a float */
	uint16_t tag; /* of who lives here; 0: nobody */
};

/* A feature: 22 bits of pair, 10 bits of tag */
enum { TAG_BITS = 10, TAG_MASK = (1 << TAG_BITS) - 1 };

struct calibrate {
	double slope, offset;	  /* of the joined log-odds */
	double slope_g, offset_g; /* sums of squared gradients */
	double firm[2], surprise[2]; /* below and above 0 */
};

/* The first MODEL_HEADER_BYTES of the file; little-endian, as is the table
 * of weights behind it. */
struct model_header {
	char magic[8];	   /* "SPSCLRN\n" */
	uint32_t version;
	uint32_t order;	   /* 0x01020304: found on another byte order */
	uint32_t count;	   /* weights that follow, even */
	uint32_t need;
	uint64_t ham, spam;
	int64_t last_event;
	double noise_flips, noise_seen; /* see train.c */
	struct calibrate calibrate;
	uint8_t reserved[MODEL_HEADER_BYTES - 72 - sizeof(struct calibrate)];
	uint64_t checksum; /* of the whole file, this field as 0 */
};

_Static_assert(sizeof(struct model_header) == MODEL_HEADER_BYTES,
    "the header is one page");

struct model {
	atomic_uint refs;
	const struct model_header *header;
	const struct weight *weights;
	void *map; /* NULL: the writer's */
	size_t map_bytes;
};

struct model_writer {
	struct model model; /* points at the two below */
	struct model_header *header;
	struct weight *weights;
	uint8_t *memory;
	size_t memory_bytes;
	struct arena *scratch;
};

/* Features of one sample, each once a segment */
struct features {
	uint32_t *list[SEGMENTS];
	size_t count[SEGMENTS];
	float value[SEGMENTS]; /* of every feature of the segment */
	float sum[SEGMENTS];   /* of their weights in the model */
};

/* 0 or -ENOMEM */
int features_make(const struct sample *s, const struct model *m,
    struct arena *a, struct features *ret_features);

/* The same, and where each feature stands first: bytes [start[i], start[i] +
 * len[i]) of the segment's view. For explain. 0 or -ENOMEM. */
struct feature_places {
	uint16_t *start[SEGMENTS], *len[SEGMENTS];
};
int features_make_places(const struct sample *s, const struct model *m,
    struct arena *a, struct features *ret_features,
    struct feature_places *ret_places);

/* What is known before anything is learned: log-odds from the shape of the
 * header alone. */
double prior_log_odds(const struct sample *s);

static inline const struct weight *
pair_of(const struct weight *weights, uint32_t feature)
{
	return &weights[(size_t)(feature >> TAG_BITS) * 2];
}

/* Without a branch: no processor guesses which features it knows */
static inline float
weight_of(const struct weight *weights, uint32_t feature)
{
	const struct weight *pair = pair_of(weights, feature);
	uint16_t tag = (uint16_t)((feature & TAG_MASK) + 1);
	/* any place of the pair that is not this feature's counts nothing */
	const struct weight *w = &pair[pair[1].tag == tag];
	uint32_t bits;
	float f;

	memcpy(&bits, &w->w, sizeof(bits));
	bits &= -(uint32_t)(w->tag == tag);
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* One group's log-odds */
double group_log_odds(const struct features *f, int group);
/* The join: mean of the groups, and the prior while little is learned */
double join_log_odds(const struct model_header *h,
    const double groups[GROUPS], const struct sample *s);

double calibrate_apply(const struct calibrate *c, double joined);
/* trusted: as train.c believes the label, 0..1 */
void calibrate_learn(struct calibrate *c, double joined, bool spam,
    double weight, double trusted);
void calibrate_init(struct calibrate *c);
/* Numbers that make sense: for files from outside */
bool calibrate_valid(const struct calibrate *c);

uint64_t model_checksum(const struct model_header *h,
    const struct weight *weights);
size_t model_file_bytes(uint32_t count);
/* Zeroed, nothing filled in */
int writer_alloc(uint32_t count, struct model_writer **ret_writer,
    struct error *err);

/* Names the strongest parts in p; scale turns a group's log-odds into a
 * share of the whole. 0 or -ENOMEM. */
int explain_features(const struct model *m, const struct sample *s,
    const struct features *f, const struct feature_places *places,
    size_t count, double scale, struct arena *a, struct model_prediction *p);

#endif
