-- Version 1. A file that was released is never edited: the next change is the next file.

-- One row: the counter of versions and tokens, which only grows, and the last persisted instant.
CREATE TABLE store (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    counter INTEGER NOT NULL,
    now     INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, 0, 0);

-- Coordination. `body` is the slot as JSON; `wakes_at` is what the core says of it.
CREATE TABLE slot (
    key      TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    wakes_at INTEGER,
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX slot_wakes ON slot (wakes_at, key) WHERE wakes_at IS NOT NULL;

-- Runs. The one with the greatest token is the only one that may write. `computed` is the record of what was
-- computed, also when it was taken over from an earlier run; `outcome` is how the run ended.
CREATE TABLE run (
    key      TEXT NOT NULL,
    token    INTEGER NOT NULL,
    id       TEXT NOT NULL,
    stage    TEXT NOT NULL CHECK (stage IN ('prepared', 'computed', 'published', 'ended')),
    head     TEXT NOT NULL,
    base     TEXT NOT NULL,
    began    INTEGER NOT NULL,
    computed TEXT,
    outcome  TEXT,
    PRIMARY KEY (key, token)
) STRICT;
CREATE INDEX run_published ON run (key, token) WHERE stage = 'published';

CREATE TABLE finding (
    key      TEXT NOT NULL,
    id       TEXT NOT NULL,
    position INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (key, id)
) STRICT;

-- Desired state. `body` is the row as it was asked for; `lowered` is the anchor kind after the forge refused
-- that place; `comment` is the comment that shows it.
CREATE TABLE desired (
    key      TEXT NOT NULL,
    producer TEXT NOT NULL,
    item     TEXT NOT NULL,
    position INTEGER NOT NULL,
    body     TEXT NOT NULL,
    lowered  TEXT,
    comment  TEXT,
    PRIMARY KEY (key, producer, item)
) STRICT;

-- Creating calls. One without items is answered; it stays until the next run begins, so that a repeated
-- write cannot bring it back.
CREATE TABLE intent (
    key      TEXT NOT NULL,
    producer TEXT NOT NULL,
    id       TEXT NOT NULL,
    created  INTEGER NOT NULL,
    PRIMARY KEY (key, producer, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE intent_item (
    key      TEXT NOT NULL,
    producer TEXT NOT NULL,
    intent   TEXT NOT NULL,
    item     TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (key, producer, intent, item),
    FOREIGN KEY (key, producer, intent) REFERENCES intent (key, producer, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The status that the head should have, and whether the forge has it.
CREATE TABLE status (
    key  TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    done INTEGER NOT NULL CHECK (done IN (0, 1))
) STRICT;

-- What people call a key. A name may be two keys' for a while (renames): the later row wins.
CREATE TABLE described (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL COLLATE NOCASE,
    url  TEXT NOT NULL COLLATE NOCASE,
    head TEXT
) STRICT;
CREATE INDEX described_name ON described (name);
CREATE INDEX described_url ON described (url);

-- History. The same line at the same instant is the same event.
CREATE TABLE event (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL,
    at   INTEGER NOT NULL,
    run  TEXT NOT NULL,
    what TEXT NOT NULL,
    UNIQUE (key, at, run, what)
) STRICT;
CREATE INDEX event_key ON event (key, id);
