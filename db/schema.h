/* schema - the steps of schema.sql, built in. schema_steps[n] brings a
 * database from user_version n to n + 1. */
#ifndef DB_SCHEMA_H
#define DB_SCHEMA_H

extern const char *const schema_steps[];
extern const int schema_version;

#endif
