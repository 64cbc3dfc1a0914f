-- Version 1: the tables of the SQLite file, without slots, which Valkey keeps. Texts are compared byte by byte. A file
-- that was released is never edited: the next change is the next file.

-- As SQLite's function of this name: is a record whole? PostgreSQL has one from version 16 on. It catches errors, which no
-- parallel worker can; and it takes long, so that an index is taken instead.
CREATE FUNCTION json_valid(body TEXT) RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE COST 10000 AS
$$ BEGIN RETURN body::json IS NOT NULL; EXCEPTION WHEN OTHERS THEN RETURN FALSE; END $$;

CREATE TABLE run (
    rowid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key      TEXT COLLATE "C" NOT NULL,
    loop     TEXT COLLATE "C" NOT NULL CHECK (loop IN ('review', 'converge', 'sync')),
    token    BIGINT NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    stage    TEXT COLLATE "C" NOT NULL CHECK (stage IN ('prepared', 'computed', 'published', 'ended')),
    head     TEXT COLLATE "C" NOT NULL,
    base     TEXT COLLATE "C" NOT NULL,
    began    BIGINT NOT NULL,
    kept     BIGINT NOT NULL,
    ended    BIGINT,
    kind     TEXT COLLATE "C",
    reason   TEXT COLLATE "C",
    cost     BIGINT,
    computed TEXT,
    record   TEXT
);
CREATE UNIQUE INDEX run_review ON run (key, token) WHERE loop = 'review';
CREATE UNIQUE INDEX run_other ON run (id) WHERE loop <> 'review';
CREATE INDEX run_key ON run (key, loop, token);
CREATE INDEX run_published ON run (key, token) WHERE stage = 'published';
CREATE INDEX run_ended ON run (loop, ended) WHERE ended IS NOT NULL;
CREATE INDEX run_kept ON run (loop, kept) WHERE record IS NOT NULL;
CREATE INDEX run_key_kept ON run (key, loop, kept);
CREATE INDEX run_old ON run (kept) WHERE loop <> 'review';
CREATE INDEX run_id ON run (id);
-- Runs in the order in which they ended, and those that `truing report` leaves out.
CREATE INDEX run_day ON run (ended) WHERE ended IS NOT NULL;
CREATE INDEX run_damaged ON run (loop, ended) WHERE kind IS NULL OR NOT json_valid(record);
-- Runs whose records tell what they have cost.
CREATE INDEX run_told ON run (id) WHERE loop = 'review' AND record IS NOT NULL;

CREATE TABLE finding (
    key      TEXT COLLATE "C" NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (key, id)
);

CREATE TABLE desired (
    key      TEXT COLLATE "C" NOT NULL,
    producer TEXT COLLATE "C" NOT NULL,
    item     TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    body     TEXT NOT NULL,
    lowered  TEXT,
    comment  TEXT COLLATE "C",
    PRIMARY KEY (key, producer, item)
);

CREATE TABLE status (
    key  TEXT COLLATE "C" PRIMARY KEY,
    body TEXT COLLATE "C" NOT NULL,
    done BIGINT NOT NULL CHECK (done IN (0, 1))
);

CREATE TABLE effect (
    key      TEXT COLLATE "C" NOT NULL,
    producer TEXT COLLATE "C" NOT NULL,
    topic    TEXT COLLATE "C" NOT NULL,
    token    BIGINT NOT NULL,
    content  TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    lost     BIGINT,
    comment  TEXT COLLATE "C",
    PRIMARY KEY (key, producer, topic)
);
CREATE INDEX effect_at ON effect (at);
CREATE INDEX effect_token ON effect (key, token);

CREATE TABLE described (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    url  TEXT COLLATE "C" NOT NULL,
    head TEXT COLLATE "C"
);
CREATE INDEX described_name ON described (lower(name));
CREATE INDEX described_url ON described (lower(url));

CREATE TABLE event (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  TEXT COLLATE "C" NOT NULL,
    at   BIGINT NOT NULL,
    run  TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL
);
-- By digest: a line of history may be longer than an entry of an index.
CREATE UNIQUE INDEX event_once ON event (key, at, run, md5(what));
CREATE INDEX event_key ON event (key, id);

-- `repositories`: the kill switches of single repositories that are on, as a JSON list.
CREATE TABLE switch (
    body         TEXT NOT NULL,
    sweep        BIGINT,
    repositories TEXT COLLATE "C" NOT NULL
);
INSERT INTO switch VALUES ('"off"', NULL, '[]');

CREATE TABLE audit (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE FUNCTION audit_is_never_edited() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is never edited'; END $$;
CREATE TRIGGER audit_is_never_edited BEFORE UPDATE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_never_edited();

CREATE TABLE notice (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    period  TEXT COLLATE "C" NOT NULL,
    text    TEXT NOT NULL,
    created BIGINT NOT NULL,
    sent    BIGINT,
    UNIQUE (kind, key, period)
);
CREATE INDEX notice_unsent ON notice (id) WHERE sent IS NULL;

CREATE TABLE repository (
    forge     TEXT COLLATE "C" NOT NULL,
    id        TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    cursor    BIGINT NOT NULL,
    gone      BIGINT,
    onboarded BIGINT NOT NULL CHECK (onboarded IN (0, 1)),
    PRIMARY KEY (forge, id)
);

CREATE TABLE comment_seen (
    forge      TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL CHECK (kind IN ('conversation', 'diff')),
    id         BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    served     BIGINT NOT NULL CHECK (served IN (0, 1)),
    PRIMARY KEY (forge, repository, kind, id)
);
CREATE INDEX comment_unserved ON comment_seen (forge, id) WHERE served = 0;
CREATE INDEX comment_seen_at ON comment_seen (at);

CREATE TABLE check_pressed (
    forge      TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    login      TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (forge, repository, number, account)
);

CREATE TABLE label_set (
    forge      TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (forge, repository, number, name)
);

CREATE TABLE dismissal (
    key     TEXT COLLATE "C" NOT NULL,
    finding TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (key, finding)
);

-- Locked by whoever changes levels: all calls draw on the same few rows. It has no rows, so that nothing else
-- locks it.
CREATE TABLE turn ();

CREATE TABLE level (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     TEXT COLLATE "C" NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    period   TEXT COLLATE "C" NOT NULL,
    cap      BIGINT NOT NULL CHECK (cap >= 0),
    spent    BIGINT NOT NULL CHECK (spent >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    touched  BIGINT NOT NULL,
    allowed  BIGINT NOT NULL DEFAULT 0,
    UNIQUE (kind, key, period)
);
CREATE INDEX level_touched ON level (touched);
CREATE INDEX level_period ON level (period, kind);

CREATE TABLE reservation (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run     TEXT COLLATE "C" NOT NULL,
    amount  BIGINT NOT NULL CHECK (amount >= 0),
    expires BIGINT NOT NULL,
    cost    BIGINT CHECK (cost >= 0),
    known   TEXT COLLATE "C" CHECK (known IN ('metered', 'estimated')),
    CHECK ((cost IS NULL) = (known IS NULL))
);
CREATE INDEX reservation_open ON reservation (expires) WHERE cost IS NULL;
CREATE INDEX reservation_settled ON reservation (expires) WHERE cost IS NOT NULL;
CREATE INDEX reservation_run ON reservation (run);

CREATE TABLE draw (
    reservation BIGINT NOT NULL REFERENCES reservation (id) ON DELETE CASCADE,
    level       BIGINT NOT NULL REFERENCES level (id) ON DELETE CASCADE,
    PRIMARY KEY (reservation, level)
);
CREATE INDEX draw_level ON draw (level);

CREATE TABLE job (
    key   TEXT COLLATE "C" PRIMARY KEY,
    token BIGINT NOT NULL,
    run   TEXT COLLATE "C" NOT NULL,
    body  TEXT NOT NULL
);

-- A row stands here while this database holds a part of another store. `source` and `slots` name the other store and the place of
-- the slots here; `part` is the table that is copied now, `reached` is the key of its last row that was copied, as a list in
-- JSON, and `copied` counts these rows.
CREATE TABLE transfer (
    source  TEXT NOT NULL,
    slots   TEXT NOT NULL,
    part    TEXT COLLATE "C" NOT NULL,
    reached TEXT,
    copied  BIGINT NOT NULL
);
