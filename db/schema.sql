-- The state database of spamscore. Each step below brings a database from
-- one user_version to the next; a new database takes all steps in order, so
-- there is one description of the schema and no second one to drift from it.
-- A step that was released is never edited. Before a step is taken the
-- database is copied to NAME.vN.bak; the way back is to stop the daemon and
-- to put that copy in the place of NAME (and remove NAME-wal and NAME-shm).

-- step 1

-- identity: one letter for the kind, then the key ("d" "example.org").
-- counts: see db/counts.h. The text key keeps neighbours together, and
-- WITHOUT ROWID saves a second tree: a row takes 60 to 80 bytes of file.
CREATE TABLE reputation (
	identity BLOB NOT NULL PRIMARY KEY,
	counts BLOB NOT NULL
) WITHOUT ROWID;

-- key: the first 16 bytes of SHA-256 of the caller's key, so that whom
-- somebody wrote to is not readable here. Times are unix seconds.
CREATE TABLE greylist (
	key BLOB NOT NULL PRIMARY KEY,
	first_seen INTEGER NOT NULL,
	last_seen INTEGER NOT NULL,
	passed INTEGER NOT NULL
) WITHOUT ROWID;
