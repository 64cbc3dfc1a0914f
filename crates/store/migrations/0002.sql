-- Version 2: operating a service. A file that was released is never edited: the next change is the next file.

-- One row: the kill switch as JSON, and since when a sweep is wanted at once.
CREATE TABLE switch (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    body  TEXT NOT NULL,
    sweep INTEGER
) STRICT;
INSERT INTO switch VALUES (1, '"off"', NULL);

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
-- `gone` is since when the forge does not show the repository.
CREATE TABLE repository (
    forge  TEXT NOT NULL,
    id     TEXT NOT NULL,
    name   TEXT NOT NULL COLLATE NOCASE,
    cursor INTEGER NOT NULL,
    gone   INTEGER,
    PRIMARY KEY (forge, id)
) STRICT, WITHOUT ROWID;

-- Of every repository that has a described pull request the last name: `owner/name` of `owner/name#7`, and the
-- forge and the repository's id of `pr/{forge}/{id}/7`.
INSERT OR REPLACE INTO repository (forge, id, name, cursor)
SELECT substr(rest, 1, instr(rest, '/') - 1),
       substr(tail, 1, instr(tail, '/') - 1),
       substr(name, 1, instr(name, '#') - 1),
       now
FROM (SELECT rest, substr(rest, instr(rest, '/') + 1) AS tail, name, row
      FROM (SELECT substr(key, 4) AS rest, name, id AS row FROM described
            WHERE key LIKE 'pr/%/%/%' AND name LIKE '%/%#%')),
     store
ORDER BY row;

-- Comments that looked like commands, and whether they were served. `id` is unique among all kinds of comments of
-- the repository, `number` is the pull request's.
CREATE TABLE comment_seen (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    id         INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    served     INTEGER NOT NULL CHECK (served IN (0, 1)),
    PRIMARY KEY (forge, repository, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX comment_unserved ON comment_seen (forge, id) WHERE served = 0;
CREATE INDEX comment_seen_at ON comment_seen (at);

-- When a run's outcome was written, as in it.
ALTER TABLE run ADD COLUMN ended INTEGER;
UPDATE run SET ended = json_extract(outcome, '$.ended') WHERE outcome IS NOT NULL;
CREATE INDEX run_ended ON run (ended) WHERE ended IS NOT NULL;
