-- Version 13: moving everything to another store. A file that was released is never edited: the next change is the next file.

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
