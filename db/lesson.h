/* lesson - private to db/: keeps table lesson in step with table label. */
#ifndef DB_LESSON_H
#define DB_LESSON_H

#include <sqlite3.h>

#include "db/labels.h"

enum { LESSON_MAX_SAMPLE = 64 * 1024 };

/* The stored form back into out, which has LESSON_MAX_SAMPLE bytes; false:
 * not a sample */
bool lesson_unpack(const unsigned char *p, size_t n, unsigned char *out,
    unsigned long *ret_len);

/* After a label changed: what all users together now say. *ret_folded: the
 * model cannot take back what it had learned of it; *ret_lesson: the model
 * has something to learn or to take back. SQLite code. */
int lesson_change(sqlite3 *db, const struct label_request *r,
    enum label_class all, bool *ret_folded, bool *ret_lesson);
/* Did the filter teach itself this message? SQLite code. */
int lesson_is_auto(sqlite3 *db, const struct label_request *r,
    bool *ret_auto);

/* Four bytes of length, then deflated. Caller frees; NULL: no memory. */
unsigned char *lesson_pack(struct span sample, size_t *ret_len);
/* sample.c: what was kept of a message judged lately, packed so; NULL: not.
 * Caller frees. SQLite code. */
int sample_take(sqlite3 *db, const unsigned char *message,
    unsigned char **ret_sample, size_t *ret_len);
/* label.c: this source taught, for the doctor. SQLite code. */
int learning_note(sqlite3 *db, const char *source, int64_t now);

#endif
