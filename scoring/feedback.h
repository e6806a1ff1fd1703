/*
 * feedback - what a verdict leaves behind, and the one door through which
 * people's labels come in.
 *
 * A label reaches reputation (through the verdict log, which knows whom the
 * message came from) and the model's lessons in one transaction of the
 * store: both or neither, and forgetting takes both back. The model file
 * follows the lessons (feedback_train) and can be built from them at any
 * time.
 *
 * No globals; safe from any thread as far as the store is. Needs no DNS.
 */
#ifndef SCORING_FEEDBACK_H
#define SCORING_FEEDBACK_H

#include "db/labels.h"
#include "scoring/explain.h"
#include "scoring/learn/model.h"
#include "scoring/message/message.h"
#include "scoring/settings.h"

/* The identity of a message before and after delivery: what no MTA and no
 * mailbox changes (Message-ID, Date, From, Subject, the body's beginning).
 * Line ends do not count. 0 or -ENOMEM. */
int feedback_message_identity(struct message *m,
    unsigned char ret_identity[MESSAGE_IDENTITY_BYTES]);

struct feedback_verdict {
	const struct explain_input *input;
	struct message *message;
	const char *id; /* of the verdict */
	enum action action; /* as done */
	int64_t now;
	const struct identity *ids;
	size_t id_count;
	double ham, spam;   /* what was counted for them, or 0 */
	const char *author; /* address in From; NULL: none */
	bool keyed; /* log_addresses keyed: no address, subject or match */
};
/* Writes the verdict into the log (queued). 0 or -ENOMEM. */
int feedback_log(struct store *s, const struct feedback_verdict *v,
    struct arena *a);

struct feedback_request {
	struct span raw;	/* the message; len 0: by verdict_id */
	const char *verdict_id; /* NULL: by raw */
	enum label_class class; /* LABEL_NONE: forget */
	const char *user, *source;
	double weight;		/* of this user's labels; 0: 1 */
	int64_t now;
	int64_t max_per_hour;	/* labels of this user; 0: no limit */
};
struct feedback_result {
	struct label_result label;
	bool taught; /* the model has this message among its lessons' changes */
};
/* 0; -EINVAL: not a message; -ENOENT: no such verdict; else as store_label().
 * A failure is noted for its source. */
int feedback_learn(struct store *s, const struct feedback_request *request,
    struct feedback_result *ret_result, struct error *err);

/*
 * The model file and, beside it, snapshots of what it was after earlier
 * lessons ("FILE.at-EVENT"), to which it goes back when a lesson is taken
 * back: the model is then byte for byte the one that never saw that lesson.
 */
struct feedback_model {
	const char *path;
	struct model_options options; /* of a model that is begun anew */
	int64_t keep_sec;	 /* older lessons may be folded in for good: a
				    snapshot takes their place; 0: never */
	unsigned snapshots;	 /* beside the one that lessons were folded in;
				    0: none, and nothing is folded */
	unsigned snapshot_lessons; /* one after so many lessons; 0: none */
};
enum { FEEDBACK_MAX_SNAPSHOTS = 50 };
/* As the settings say */
struct feedback_model feedback_model_of(const struct scoring_settings *s,
    const char *path);

/* Brings the model file into step with the lessons. *ret_changed: there is a
 * new file. 0 or -errno; the old file then serves on. Seconds when it has to go
 * back far; not on the path of mail, and by one thread at a time. */
int feedback_train(struct store *s, const struct feedback_model *m,
    int64_t now, bool *ret_changed, struct error *err);

#endif
