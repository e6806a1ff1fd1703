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

-- step 2

-- What was said about each message. record: the verdict as JSON, deflated.
-- identities: stored keys of table reputation, each with a NUL behind it;
-- ham and spam: what the verdict counted in them by itself. message: the
-- identity of the message (the same after delivery), for labels.
CREATE TABLE verdict (
	number INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	time INTEGER NOT NULL,
	action INTEGER NOT NULL,
	score REAL NOT NULL,
	mail_from TEXT NOT NULL,
	queue_id TEXT NOT NULL,
	message BLOB NOT NULL,
	identities BLOB NOT NULL,
	ham REAL NOT NULL,
	spam REAL NOT NULL,
	bytes INTEGER NOT NULL,
	record BLOB NOT NULL
);
CREATE INDEX verdict_time ON verdict(time, number, bytes);
CREATE INDEX verdict_message ON verdict(message, number);
-- Keyed hashes of all addresses of a message, so that one person's can be
-- found and erased.
CREATE TABLE verdict_address (
	address BLOB NOT NULL,
	number INTEGER NOT NULL,
	PRIMARY KEY (address, number)
) WITHOUT ROWID;
CREATE INDEX verdict_address_number ON verdict_address(number);

-- What people said, and the only truth about it: the labels' part of every
-- record in reputation is computed from these two tables. time: when it was
-- said; seen: when the message came. ham_fed, spam_fed: what the filter had
-- counted for the message, which the label takes back.
CREATE TABLE label (
	message BLOB NOT NULL,
	user TEXT NOT NULL,
	spam INTEGER NOT NULL,
	weight REAL NOT NULL,
	source TEXT NOT NULL,
	time INTEGER NOT NULL,
	seen INTEGER NOT NULL,
	ham_fed REAL NOT NULL,
	spam_fed REAL NOT NULL,
	PRIMARY KEY (message, user)
) WITHOUT ROWID;
CREATE INDEX label_user ON label(user, time);
CREATE TABLE label_identity (
	identity BLOB NOT NULL,
	message BLOB NOT NULL,
	user TEXT NOT NULL,
	PRIMARY KEY (identity, message, user)
) WITHOUT ROWID;
CREATE INDEX label_identity_message ON label_identity(message, user);

-- When each source taught last, and when it last failed to.
CREATE TABLE learning (
	source TEXT NOT NULL PRIMARY KEY,
	learned INTEGER NOT NULL DEFAULT 0,
	last_learned INTEGER NOT NULL DEFAULT 0,
	failed INTEGER NOT NULL DEFAULT 0,
	last_failed INTEGER NOT NULL DEFAULT 0,
	why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Whom our own users wrote to; both as keyed hashes.
CREATE TABLE correspondent (
	address BLOB NOT NULL,
	account BLOB NOT NULL,
	first INTEGER NOT NULL,
	time INTEGER NOT NULL,
	PRIMARY KEY (address, account)
) WITHOUT ROWID;
CREATE INDEX correspondent_account ON correspondent(account, time);

-- step 3

-- What the model is taught: one lesson for each labelled message whose text
-- was at hand, in the order of `event`. sample: scoring/learn's packed
-- sample, deflated. A lesson that is taken back disappears; the highest
-- event that did stands in lesson_gone until the model was built anew.
CREATE TABLE lesson (
	event INTEGER PRIMARY KEY AUTOINCREMENT,
	message BLOB NOT NULL UNIQUE,
	spam INTEGER NOT NULL,
	weight REAL NOT NULL,
	sample BLOB NOT NULL
);
CREATE TABLE lesson_gone (
	one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	event INTEGER NOT NULL
);

-- step 4

-- Sets that ran as shadow: by name and by the hash of what was loaded, since
-- a name may stand for another file tomorrow.
CREATE TABLE shadow_set (
	number INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	hash TEXT NOT NULL,
	first INTEGER NOT NULL,
	UNIQUE (name, hash)
);
-- What a set said of a verdict, beside what the verdict itself was (judged:
-- its action before observe mode and the like). Goes with the verdict.
CREATE TABLE shadow (
	verdict INTEGER NOT NULL,
	shadow_set INTEGER NOT NULL,
	judged INTEGER NOT NULL,
	action INTEGER NOT NULL,
	score REAL NOT NULL,
	PRIMARY KEY (verdict, shadow_set)
) WITHOUT ROWID;

-- step 5

-- When a lesson was given and by which source ("auto": the filter itself).
-- A lesson whose sample is empty is folded into the model for good: what is
-- left says that it was.
ALTER TABLE lesson ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lesson ADD COLUMN source TEXT NOT NULL DEFAULT '';
CREATE INDEX lesson_source ON lesson(source, time, spam);
UPDATE lesson SET time=coalesce((SELECT max(time) FROM label
	WHERE label.message=lesson.message),0);
-- Each event that was taken back: the model goes back to before the first.
-- What the one row of before left unsaid is the first, so: to the beginning.
ALTER TABLE lesson_gone RENAME TO lesson_gone_before;
CREATE TABLE lesson_gone (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	event INTEGER NOT NULL
);
INSERT INTO lesson_gone(event) SELECT 1 FROM lesson_gone_before;
DROP TABLE lesson_gone_before;
-- The last event of the model that all folded lessons are in.
CREATE TABLE lesson_folded (
	one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	event INTEGER NOT NULL
);

-- step 6

-- What the model may know of messages judged lately (setting log_samples).
CREATE TABLE message_sample (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	message BLOB NOT NULL UNIQUE,
	time INTEGER NOT NULL,
	sample BLOB NOT NULL
);
CREATE INDEX message_sample_time ON message_sample(time);
