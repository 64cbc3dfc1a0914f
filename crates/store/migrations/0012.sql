-- Version 12: an account is the text that its forge names it by. A file that was released is never edited: the next change
-- is the next file.

CREATE TABLE check_pressed_new (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,
    account    TEXT NOT NULL,
    login      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, account)
) STRICT, WITHOUT ROWID;

INSERT INTO check_pressed_new SELECT forge, repository, number, CAST(account AS TEXT), login, at FROM check_pressed;
DROP TABLE check_pressed;
ALTER TABLE check_pressed_new RENAME TO check_pressed;
