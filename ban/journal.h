/*
 * journal - what the ban helper must not forget, in its own SQLite file.
 *
 * Bans with their remaining time, what is remembered of expired ones (for
 * longer bans of repeated offenders), additional claims, days of confirmed
 * good mail, and a history of events. One helper has it open (a lock in the
 * file NAME.lock). Writes gather in one transaction until journal_commit(), which is
 * called before anything is acknowledged. A commit survives the death of the
 * process at any moment, and of the machine but for its last moments.
 *
 * A corrupt file is moved aside, never deleted. Every function returns 0 or
 * a negative errno; after a failed write the transaction is gone and the
 * caller writes everything again later (journal_rewrite, then all bans).
 */
#ifndef BAN_JOURNAL_H
#define BAN_JOURNAL_H

#include "ban/ban.h"
#include "ban/table.h"

struct ban_journal;

struct ban_record {
	struct network net;
	unsigned scope;
	int64_t first, last, expires; /* expires may be in the past */
	uint32_t count;
	uint64_t packets;
	char source[BAN_NAME_SIZE], label[BAN_NAME_SIZE];
	int64_t claim_expires; /* of that source and label */
	char reason[BAN_REASON_SIZE];
};

/* path: the file. *ret_note (may be NULL) says if a corrupt one was moved. */
int ban_journal_open(const char *path, struct ban_journal **ret_journal,
    struct error *ret_note, struct error *err);
void ban_journal_close(struct ban_journal *j);

/* Is the file damaged, deleted or renamed? Then what is written is lost. */
bool ban_journal_is_lost(const struct ban_journal *j);
/* Opens it again, a damaged one under another name. What was in it is not
 * read; the caller writes everything. After a failure only this, is_lost and
 * close may be called, and the writing functions, which fail. */
int ban_journal_reopen(struct ban_journal *j, struct error *ret_note,
    struct error *err);

int ban_journal_commit(struct ban_journal *j, struct error *err);
void ban_journal_rollback(struct ban_journal *j);
/* A thread takes over to copy the log into the file, so that nobody waits for
 * the disk; it works on the journal's files alone and ends with the journal. */
int ban_journal_start_copier(struct ban_journal *j, struct error *err);
/* Copies the log into the file when it has grown; for idle moments. */
void ban_journal_checkpoint(struct ban_journal *j, bool even_if_small);

/* 1 found, 0 not */
int ban_journal_get(struct ban_journal *j, const struct network *net,
    unsigned scope, struct ban_record *ret, struct error *err);
int ban_journal_put(struct ban_journal *j, const struct ban_record *r,
    struct error *err);
/* Forgets the ban, and that there ever was one. */
int ban_journal_remove(struct ban_journal *j, const struct network *net,
    unsigned scope, struct error *err);
/* Only these columns, as counters are read often. */
int ban_journal_put_packets(struct ban_journal *j, const struct network *net,
    unsigned scope, uint64_t packets, struct error *err);
/* Claims beside the one in the record. */
int ban_journal_put_claim(struct ban_journal *j, const struct network *net,
    unsigned scope, const char *source, const char *label, int64_t expires,
    struct error *err);
int ban_journal_remove_claims(struct ban_journal *j,
    const struct network *net, unsigned scope, struct error *err);
/* All bans that expire after now, then all claims that do. */
int ban_journal_each(struct ban_journal *j, int64_t now,
    int (*ban)(void *context, const struct ban_record *r),
    int (*claim)(void *context, const struct ban_record *r), void *context,
    struct error *err);
/* What is in force will be written anew: all bans that expire after now are
 * marked (and can be read until they are put again), all claims go. */
int ban_journal_rewrite(struct ban_journal *j, int64_t now, struct error *err);
/* It was: what is still marked goes. */
int ban_journal_rewritten(struct ban_journal *j, struct error *err);

/* When the youngest ban was asked for; 0: none ever was. */
int64_t ban_journal_newest(struct ban_journal *j);
/* The clock was set by so many seconds: the times of all bans go with it. */
int ban_journal_shift(struct ban_journal *j, int64_t sec, struct error *err);

int ban_journal_put_day(struct ban_journal *j, const struct netaddr *addr,
    int64_t day, struct error *err);
int ban_journal_each_day(struct ban_journal *j, int64_t since_day,
    int (*fn)(void *context, const struct netaddr *addr, int64_t day),
    void *context, struct error *err);

int ban_journal_put_event(struct ban_journal *j, const struct ban_history *h,
    struct error *err);
/* The newest event older than *id (INT64_MAX at first; set to its id), of
 * net if not NULL. 1 found, 0 at the end, 2 nothing among the many that were
 * looked at: ask again. */
int ban_journal_next_event(struct ban_journal *j, const struct network *net,
    int64_t *id, struct ban_history *ret, struct error *err);

/* Deletes at most limit rows of each kind that nobody needs any more. 1: there
 * may be more of them, call again soon. */
int ban_journal_prune(struct ban_journal *j, int64_t forget_before,
    int64_t history_before, int64_t history_max, int64_t day_before,
    unsigned limit, struct error *err);

#endif
