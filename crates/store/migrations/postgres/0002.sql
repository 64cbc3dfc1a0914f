-- What is asked of many records is answered from indexes; as form 14 of the SQLite file has them, but for texts that an index of
-- PostgreSQL cannot hold.

-- It catches errors, which no parallel worker can; and it takes long, so that an index is taken instead.
ALTER FUNCTION json_valid(TEXT) PARALLEL UNSAFE COST 10000;

-- Runs in the order in which they ended, and those that `truing report` leaves out.
CREATE INDEX run_day ON run (ended) WHERE ended IS NOT NULL;
CREATE INDEX run_damaged ON run (loop, ended) WHERE kind IS NULL OR NOT json_valid(record);
-- Runs whose records tell what they have cost.
CREATE INDEX run_told ON run (id) WHERE loop = 'review' AND record IS NOT NULL;
