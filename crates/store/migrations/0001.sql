-- Version 1. A file that was released is never edited: the next change is the next file.

-- One row: the counter of versions and tokens, which only grows, and the last persisted instant.
CREATE TABLE store (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    counter INTEGER NOT NULL,
    now     INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, 0, 0);

-- Coordination. `body` is the slot as JSON; `wakes_at` is what the core says of it; `shown` is what it is doing,
-- `state/why`, so that slots are counted from the index alone.
CREATE TABLE slot (
    key      TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    wakes_at INTEGER,
    body     TEXT NOT NULL,
    shown    TEXT NOT NULL DEFAULT 'unreadable/'
) STRICT;
CREATE INDEX slot_wakes ON slot (wakes_at, key) WHERE wakes_at IS NOT NULL;
CREATE INDEX slot_shown ON slot (shown, key);

-- Runs. Of those of a loop on one key only the one with the greatest token may write; a run of `converge` may go on under
-- several leases, so its token is that of the last. `record` is the run's record as JSON: of a review once it has ended,
-- of a run that converges from its beginning. `kind`, `reason` and `cost` are what it says of the end, so that runs are
-- counted without reading it. `computed` is the record of a review's findings, also when it was taken over from an
-- earlier review. `kept` is when the record was written last, `ended` when the run ended.
CREATE TABLE run (
    key      TEXT NOT NULL,
    loop     TEXT NOT NULL CHECK (loop IN ('review', 'converge', 'sync')),
    token    INTEGER NOT NULL,
    id       TEXT NOT NULL,
    stage    TEXT NOT NULL CHECK (stage IN ('prepared', 'computed', 'published', 'ended')),
    head     TEXT NOT NULL,
    base     TEXT NOT NULL,
    began    INTEGER NOT NULL,
    kept     INTEGER NOT NULL,
    ended    INTEGER,
    kind     TEXT,
    reason   TEXT,
    cost     INTEGER,
    computed TEXT,
    record   TEXT
) STRICT;
CREATE UNIQUE INDEX run_review ON run (key, token) WHERE loop = 'review';
CREATE UNIQUE INDEX run_other ON run (id) WHERE loop <> 'review';
CREATE INDEX run_key ON run (key, loop, token);
CREATE INDEX run_published ON run (key, token) WHERE stage = 'published';
CREATE INDEX run_kept ON run (loop, kept) WHERE record IS NOT NULL;
CREATE INDEX run_key_kept ON run (key, loop, kept);
CREATE INDEX run_old ON run (kept) WHERE loop <> 'review';
-- All that `truing report` counts of runs, and apart those that it leaves out.
CREATE INDEX run_ended ON run (loop, ended, kind, reason, began, cost) WHERE ended IS NOT NULL;
CREATE INDEX run_damaged ON run (loop, ended) WHERE kind IS NULL OR NOT json_valid(record);
-- Runs whose records tell what they have cost.
CREATE INDEX run_told ON run (id) WHERE loop = 'review' AND record IS NOT NULL;

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

-- One row: the kill switch as JSON, and since when a sweep is wanted at once. `repositories`: the kill switches of single
-- repositories that are on, as a JSON list.
CREATE TABLE switch (
    only         INTEGER PRIMARY KEY CHECK (only = 1),
    body         TEXT NOT NULL,
    sweep        INTEGER,
    repositories TEXT NOT NULL
) STRICT;
INSERT INTO switch VALUES (1, '"off"', NULL, '[]');

-- What people changed. Old rows are forgotten, none is ever edited.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE TRIGGER audit_is_never_edited BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is never edited');
END;

-- What is to be told, once for each kind, key and period.
CREATE TABLE notice (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    period  TEXT NOT NULL,
    text    TEXT NOT NULL,
    created INTEGER NOT NULL,
    sent    INTEGER,
    UNIQUE (kind, key, period)
) STRICT;
CREATE INDEX notice_unsent ON notice (id) WHERE sent IS NULL;

-- Repositories that were ever seen. Comments that were last changed before `cursor` are not commands any more;
-- `gone` is since when the forge does not show the repository. `onboarded`: were the pull requests that were open when
-- the repository was met first left as they are?
CREATE TABLE repository (
    forge     TEXT NOT NULL,
    id        TEXT NOT NULL,
    name      TEXT NOT NULL COLLATE NOCASE,
    cursor    INTEGER NOT NULL,
    gone      INTEGER,
    onboarded INTEGER NOT NULL CHECK (onboarded IN (0, 1)),
    PRIMARY KEY (forge, id)
) STRICT, WITHOUT ROWID;

-- Comments that looked like commands, and whether they were served. A forge may number the comments of the conversation
-- and those on the diff apart. `number` is the pull request's.
CREATE TABLE comment_seen (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('conversation', 'diff')),
    id         INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    served     INTEGER NOT NULL CHECK (served IN (0, 1)),
    PRIMARY KEY (forge, repository, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX comment_unserved ON comment_seen (forge, id) WHERE served = 0;
CREATE INDEX comment_seen_at ON comment_seen (at);

-- What people dismissed, the last word on each finding; `body` is it as JSON. The audit log has those before.
CREATE TABLE dismissal (
    key     TEXT NOT NULL,
    finding TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (key, finding)
) STRICT, WITHOUT ROWID;

-- What a sum of money is spent on in its period, in micro-dollars. `cap` is the limit that was asked with last,
-- `touched` is when it was last drawn on. `allowed`: added to the limit that is asked
-- with, since people have allowed more.
CREATE TABLE level (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    key      TEXT NOT NULL,
    period   TEXT NOT NULL,
    cap      INTEGER NOT NULL CHECK (cap >= 0),
    spent    INTEGER NOT NULL CHECK (spent >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    touched  INTEGER NOT NULL,
    allowed  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, key, period)
) STRICT;
CREATE INDEX level_touched ON level (touched);
CREATE INDEX level_period ON level (period, kind);

-- Money set aside for one call. `cost` is what it came to: none while the call is in flight. A number is never given
-- twice, so that a late answer cannot settle somebody else's.
CREATE TABLE reservation (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    run     TEXT NOT NULL,
    amount  INTEGER NOT NULL CHECK (amount >= 0),
    expires INTEGER NOT NULL,
    cost    INTEGER CHECK (cost >= 0),
    known   TEXT CHECK (known IN ('metered', 'estimated')),
    CHECK ((cost IS NULL) = (known IS NULL))
) STRICT;
CREATE INDEX reservation_open ON reservation (expires) WHERE cost IS NULL;
CREATE INDEX reservation_settled ON reservation (expires, run, cost) WHERE cost IS NOT NULL;
CREATE INDEX reservation_run ON reservation (run);

-- The levels that it is set aside at.
CREATE TABLE draw (
    reservation INTEGER NOT NULL REFERENCES reservation (id) ON DELETE CASCADE,
    level       INTEGER NOT NULL REFERENCES level (id) ON DELETE CASCADE,
    PRIMARY KEY (reservation, level)
) STRICT, WITHOUT ROWID;
CREATE INDEX draw_level ON draw (level);

-- What people ask for by the button of a check, and what is not served yet: a row goes when it is.
CREATE TABLE check_pressed (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,
    account    TEXT NOT NULL,
    login      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, account)
) STRICT, WITHOUT ROWID;

-- What is remembered of a job, as JSON; `token` is its newest run's, the only one that may write.
CREATE TABLE job (
    key   TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    run   TEXT NOT NULL,
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Labels that ask for a run, set and not served yet: a row goes when it is.
CREATE TABLE label_set (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, name)
) STRICT, WITHOUT ROWID;

-- The newest entry of each writer on each topic. `content`: a digest of what is written. `lost`: so many answers of one
-- that is announced were lost; NULL: it is made. `comment`: the one that it made. `token`: the greatest lease's that
-- wrote it; only the greatest of a key may write. `at`: when it was announced, failed or ended, in ms.
CREATE TABLE effect (
    key      TEXT NOT NULL,
    producer TEXT NOT NULL,
    topic    TEXT NOT NULL,
    token    INTEGER NOT NULL,
    content  TEXT NOT NULL,
    at       INTEGER NOT NULL,
    lost     INTEGER,
    comment  TEXT,
    PRIMARY KEY (key, producer, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX effect_at ON effect (at);
CREATE INDEX effect_token ON effect (key, token);

-- A row stands here while this store holds a part of another one. `source` and `slots` name the other store and the place of
-- the slots here; `part` is the table that is copied now, `reached` is the key of its last row that was copied, as a list in
-- JSON, and `copied` counts these rows.
CREATE TABLE transfer (
    source  TEXT NOT NULL,
    slots   TEXT NOT NULL,
    part    TEXT NOT NULL,
    reached TEXT,
    copied  INTEGER NOT NULL
) STRICT;
