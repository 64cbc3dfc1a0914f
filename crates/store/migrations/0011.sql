-- Version 11: one table for the runs of all loops. A file that was released is never edited: the next change is the next
-- file.

-- Runs. Of those of a loop on one key only the one with the greatest token may write; a run of `converge` may go on under
-- several leases, so its token is that of the last. `record` is the run's record as JSON: of a review once it has ended,
-- of a run that converges from its beginning. `kind`, `reason` and `cost` are what it says of the end, so that runs are
-- counted without reading it. `computed` is the record of a review's findings, also when it was taken over from an
-- earlier review. `kept` is when the record was written last, `ended` when the run ended.
ALTER TABLE run RENAME TO old_run;
DROP INDEX IF EXISTS run_published;
DROP INDEX IF EXISTS run_ended;
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

-- Records are taken over as they are. What they say in the columns above, and their new form, is filled in by code
-- (`one_table.rs`), which knows what a record is: one that it cannot read stays as it is.
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, computed, record)
SELECT key, 'review', token, id, stage, head, base, began, coalesce(ended, began), ended, computed, outcome
  FROM old_run;
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, record)
SELECT key, 'converge', token, run, 'prepared',
       '0000000000000000000000000000000000000000', '0000000000000000000000000000000000000000',
       started, ended, body
  FROM converge;
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, record)
SELECT job_run.key, 'sync', coalesce((SELECT token FROM job WHERE job.key = job_run.key AND job.run = job_run.id), 0),
       id, 'ended', '0000000000000000000000000000000000000000', '0000000000000000000000000000000000000000',
       ended, ended, ended, body
  FROM job_run;
DROP TABLE old_run;
DROP TABLE converge;
DROP TABLE job_run;

CREATE UNIQUE INDEX run_review ON run (key, token) WHERE loop = 'review';
CREATE UNIQUE INDEX run_other ON run (id) WHERE loop <> 'review';
CREATE INDEX run_key ON run (key, loop, token);
CREATE INDEX run_published ON run (key, token) WHERE stage = 'published';
CREATE INDEX run_ended ON run (loop, ended) WHERE ended IS NOT NULL;
CREATE INDEX run_kept ON run (loop, kept) WHERE record IS NOT NULL;
CREATE INDEX run_key_kept ON run (key, loop, kept);
CREATE INDEX run_old ON run (kept) WHERE loop <> 'review';
