-- Version 6: what people ask for by the button of a check. A file that was released is never edited: the next change is
-- the next file.

-- Asked and not served yet: a row goes when it is.
CREATE TABLE check_pressed (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,
    account    INTEGER NOT NULL,
    login      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, account)
) STRICT, WITHOUT ROWID;
