-- Version 8: effects. A file that was released is never edited: the next change is the next file.

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
