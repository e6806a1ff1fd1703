/*
 * labels - what people said about messages, and whom they wrote to.
 *
 * A label is one person's word on one message, told apart by the message's
 * identity: saying it twice is saying it once, saying the other replaces it,
 * forgetting it leaves nothing behind. Counts in reputation follow from the
 * labels that stand: each change computes those of the identities concerned
 * anew, so that learn and forget give back what was there, bit for bit.
 *
 * Whom a message came from is known from the verdict log only: what a
 * delivered file claims about its own past is not believed.
 *
 * One person's labels on one identity weigh less the more there are: the
 * n-th of thirty days 1/sqrt(n), within an hour half of the one before.
 */
#ifndef DB_LABELS_H
#define DB_LABELS_H

#include "base/netaddr.h"
#include "db/log.h"

#define LABEL_AUTO "auto" /* the source of what the filter teaches itself */

enum label_class { LABEL_NONE, LABEL_HAM, LABEL_SPAM };

struct label_request {
	unsigned char message[MESSAGE_IDENTITY_BYTES];
	enum label_class class; /* NONE: forget what this user said */
	const char *user;	/* whose word it is */
	const char *source;	/* "imap", "command", ...: for the doctor */
	double weight;		/* 1 is a person's */
	int64_t now;
	int64_t max_per_hour;	/* of this user; 0: no limit */
	struct span sample;	/* packed, for the model; empty: none at hand */
};

struct label_result {
	bool changed;
	bool known; /* the verdict log knows whom the message came from */
	bool lesson; /* the model has something to learn or to take back */
	bool folded; /* the model keeps what it learned: it was too long ago */
	enum label_class was, is;	    /* this user's word */
	enum label_class all_was, all_is;   /* of all users together */
	/* Where it came from, if it changed and the log knows: the client
	 * (family 0: not known), whether DKIM aligned or SPF passed, and when. */
	struct network client;
	bool authenticated;
	int64_t seen;
};

/* Runs inside the transaction, after the change: what must happen with it or
 * not at all (the model). Negative: nothing has changed. */
typedef int label_also_fn(void *context, const struct label_result *result,
    struct error *err);

/* On disk when it returns. 0; -EDQUOT: over max_per_hour; -EAGAIN, -EROFS;
 * or what `also` (may be NULL) returned. */
int store_label(struct store *s, const struct label_request *request,
    label_also_fn *also, void *context, struct label_result *ret_result,
    struct error *err);
/* The identity under which a logged verdict's message can be labelled. */
int store_label_find(struct store *s, const char *verdict_id,
    unsigned char ret_message[MESSAGE_IDENTITY_BYTES], struct error *err);

/*
 * Lessons: what the model learns, in the same transaction as the label. A
 * message has at most one, with what all users together say of it; when that
 * changes the lesson is replaced by one with a new, higher event number. The
 * database is the truth: a model whose last event is E follows by learning
 * the lessons after E, unless an event of 1 to E was taken back; then it has
 * learned what does not stand any more and goes back to before that event.
 *
 * Lessons of long ago are folded: a model that is kept for good has learned
 * them, their samples go, and what they taught cannot be taken back.
 */
enum {
	LESSONS_MAX = 100000, /* with a sample: more are folded, however young */
	LESSONS_HARD = 200000, /* where no model ever was trained */
};
struct lesson {
	int64_t event;
	bool spam;
	double weight;
	struct span sample; /* valid during the call */
};
typedef int store_lesson_fn(void *context, const struct lesson *lesson);
/* In order, those after `after` that have a sample; the callback's non-zero
 * return ends it and is returned. */
int store_lessons(struct store *s, int64_t after, store_lesson_fn *fn,
    void *context, struct error *err);
struct lessons_state {
	int64_t gone;	/* the first event that was taken back since that was
			   settled; 0: none */
	int64_t settle; /* for store_lessons_settled() */
	int64_t last;	/* the last event that stands */
	int64_t folded; /* the lessons up to this one have no sample any more */
};
int store_lessons_state(struct store *s, struct lessons_state *ret_state,
    struct error *err);
/* The model was built without what was taken back when state was asked for;
 * what was taken back since then still waits. */
int store_lessons_settled(struct store *s, int64_t settle, struct error *err);
/* How many lessons with a sample stand in (after, upto] */
int store_lessons_count(struct store *s, int64_t after, int64_t upto,
    int64_t *ret_count, struct error *err);
/* The last event such that all lessons up to it were given before `before`,
 * or that more than LESSONS_MAX came after it; 0: none. */
int store_lessons_foldable(struct store *s, int64_t before,
    int64_t *ret_event, struct error *err);
/* A model whose last event is `event` is on disk and will be kept. */
int store_lessons_fold(struct store *s, int64_t event, struct error *err);
/* The same for a model that was built from another database: the lessons of
 * this one, all with events below `event`, move behind it. */
int store_lessons_adopt(struct store *s, int64_t event, struct error *err);

/*
 * A lesson that the filter gives itself, queued; source LABEL_AUTO. Nothing
 * happens when the message has a lesson already, or when one of the bounds
 * would be passed. A person's label replaces it, forgetting it takes it back.
 */
struct lesson_auto {
	unsigned char message[MESSAGE_IDENTITY_BYTES];
	bool spam;
	double weight;	/* less than a person's */
	double share;	/* at most so many of a class for each of people's */
	double balance; /* at most so many of a class for each of the other */
	int64_t max_per_hour; /* 0: any number */
	int64_t now;
	struct span sample;
};
void store_lesson_auto(struct store *s, const struct lesson_auto *lesson);

/* Logged verdicts whose message somebody labelled, oldest first: for tuning.
 * The class is what all users together say. */
struct labelled {
	struct log_entry entry; /* as store_log_search() gives it */
	bool spam;
	struct span sample;	/* packed, of its lesson; empty: none kept */
};
typedef int store_labelled_fn(void *context, const struct labelled *l);
/* since: of the verdict, unix seconds. The callback's non-zero return ends
 * it and is returned. */
int store_labelled(struct store *s, int64_t since, store_labelled_fn *fn,
    void *context, struct error *err);

/* For the doctor: when each source taught, or failed to. */
struct learning { /* why: "" unless the last attempt failed */
	const char *source, *why;
	int64_t learned, last_learned, failed, last_failed;
};
void store_learning_failed(struct store *s, const char *source,
    const char *why, int64_t now);
int store_learning_list(struct store *s, struct arena *a,
    struct learning **ret_list, size_t *ret_count, struct error *err);

/* An authenticated user wrote to this address. Queued. Each account is held
 * to CORRESPONDENT_DAY new addresses a day and CORRESPONDENT_ACCOUNT
 * altogether, the oldest giving way; more is bulk, not correspondence. */
enum {
	CORRESPONDENT_DAY = 100,
	CORRESPONDENT_ACCOUNT = 2000,
	CORRESPONDENT_SEC = 2 * 365 * 86400,
};
void store_correspondent_add(struct store *s, const char *account,
    const char *address, int64_t now);
/* 0 or -EAGAIN */
int store_correspondent_get(struct store *s, const char *address,
    int64_t now, bool *ret_known, struct error *err);

#endif
