-- Version 14: what is asked of many records is answered from indexes. A file that was released is never edited: the next change is
-- the next file.

-- All that `truing report` counts of runs, and apart those that it leaves out.
DROP INDEX run_ended;
CREATE INDEX run_ended ON run (loop, ended, kind, reason, began, cost) WHERE ended IS NOT NULL;
CREATE INDEX run_damaged ON run (loop, ended) WHERE kind IS NULL OR NOT json_valid(record);
-- Runs whose records tell what they have cost, and calls of models by their runs.
CREATE INDEX run_told ON run (id) WHERE loop = 'review' AND record IS NOT NULL;
DROP INDEX reservation_settled;
CREATE INDEX reservation_settled ON reservation (expires, run, cost) WHERE cost IS NOT NULL;
CREATE INDEX reservation_run ON reservation (run);
