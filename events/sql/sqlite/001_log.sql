-- The log. `offset` is the rowid, so an index on (stream) is ordered by (stream, offset).
-- Versions and producers' positions are read from the batches themselves: there is no second truth to disagree with.

CREATE TABLE batch (
    offset      INTEGER PRIMARY KEY,
    count       INTEGER NOT NULL CHECK (count > 0),
    stream      TEXT NOT NULL,
    version     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    producer    TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    body        BLOB NOT NULL,
    digest      BLOB NOT NULL,
    original    BLOB
) STRICT;

CREATE INDEX batch_stream ON batch (stream);
CREATE UNIQUE INDEX batch_producer ON batch (producer, sequence);

CREATE TABLE head (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    offset      INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    epoch       INTEGER NOT NULL
) STRICT;

INSERT INTO head VALUES (1, 0, zeroblob(32), 0, 0);

-- INSERT OR REPLACE deletes without asking the trigger for deletes.
CREATE TRIGGER batch_is_never_replaced BEFORE INSERT ON batch
WHEN EXISTS (SELECT 1 FROM batch WHERE offset = new.offset)
  OR EXISTS (SELECT 1 FROM batch WHERE producer = new.producer AND sequence = new.sequence)
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: a batch is never replaced');
END;

CREATE TRIGGER batch_is_never_deleted BEFORE DELETE ON batch
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: a batch is never deleted');
END;

-- A redaction may replace the body once it has kept the digest of what was first written; all else is as it was.
CREATE TRIGGER batch_is_never_updated BEFORE UPDATE ON batch
WHEN new.original IS NULL
  OR (old.original IS NOT NULL AND new.original IS NOT old.original)
  OR (new.offset, new.count, new.stream, new.version, new.recorded_at, new.actor, new.producer, new.sequence, new.digest)
     IS NOT (old.offset, old.count, old.stream, old.version, old.recorded_at, old.actor, old.producer, old.sequence, old.digest)
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: a batch is never updated');
END;

CREATE TRIGGER head_is_never_replaced BEFORE INSERT ON head
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: it has one head');
END;

CREATE TRIGGER head_is_never_deleted BEFORE DELETE ON head
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: its head is never deleted');
END;

CREATE TRIGGER head_never_goes_back BEFORE UPDATE ON head
WHEN new.offset < old.offset OR new.epoch < old.epoch OR new.recorded_at < old.recorded_at
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: its head never goes back');
END;
