-- Version 4: what people say of findings, also on the diff. A file that was released is never edited: the next change
-- is the next file.

-- A forge may number the comments of the conversation and those on the diff apart.
CREATE TABLE comment_heard (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('conversation', 'diff')),
    id         INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    served     INTEGER NOT NULL CHECK (served IN (0, 1)),
    PRIMARY KEY (forge, repository, kind, id)
) STRICT, WITHOUT ROWID;
INSERT INTO comment_heard
SELECT forge, repository, 'conversation', id, number, at, served FROM comment_seen;
DROP TABLE comment_seen;
ALTER TABLE comment_heard RENAME TO comment_seen;
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
