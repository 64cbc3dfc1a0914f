-- Version 7: jobs that follow packages, and runs that converge. A file that was released is never edited: the next change is the next file.

-- What is remembered of a job, as JSON; `token` is its newest run's, the only one that may write.
CREATE TABLE job (
    key   TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    run   TEXT NOT NULL,
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What each run came to, as JSON.
CREATE TABLE job_run (
    id    TEXT PRIMARY KEY,
    key   TEXT NOT NULL,
    ended INTEGER NOT NULL,
    body  TEXT NOT NULL
) STRICT;
CREATE INDEX job_run_ended ON job_run (ended);
CREATE INDEX job_run_key ON job_run (key, ended);

-- Runs of the converge loop, as JSON; `token` is the lease's that wrote last. Only the greatest of a key may write.
CREATE TABLE converge (
    run     TEXT PRIMARY KEY,
    key     TEXT NOT NULL,
    token   INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX converge_ended ON converge (ended);
CREATE INDEX converge_key ON converge (key, started);

-- Labels that ask for a run, set and not served yet: a row goes when it is.
CREATE TABLE label_set (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, name)
) STRICT, WITHOUT ROWID;
