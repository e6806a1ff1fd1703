/* lesson - private to db/: keeps table lesson in step with table label. */
#ifndef DB_LESSON_H
#define DB_LESSON_H

#include <sqlite3.h>

#include "db/labels.h"

/* After a label changed: what all users together now say. SQLite code. */
int lesson_change(sqlite3 *db, const struct label_request *r,
    enum label_class all);

#endif
