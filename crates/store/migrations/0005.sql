-- Version 5: money. A file that was released is never edited: the next change is the next file.

-- What a sum of money is spent on in its period, in micro-dollars. `cap` is the limit that was asked with last,
-- `touched` is when it was last drawn on.
CREATE TABLE level (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    key      TEXT NOT NULL,
    period   TEXT NOT NULL,
    cap      INTEGER NOT NULL CHECK (cap >= 0),
    spent    INTEGER NOT NULL CHECK (spent >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    touched  INTEGER NOT NULL,
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
CREATE INDEX reservation_settled ON reservation (expires) WHERE cost IS NOT NULL;

-- The levels that it is set aside at.
CREATE TABLE draw (
    reservation INTEGER NOT NULL REFERENCES reservation (id) ON DELETE CASCADE,
    level       INTEGER NOT NULL REFERENCES level (id) ON DELETE CASCADE,
    PRIMARY KEY (reservation, level)
) STRICT, WITHOUT ROWID;
CREATE INDEX draw_level ON draw (level);
