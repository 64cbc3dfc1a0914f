-- More money for one pull request; as form 17 of the SQLite file has it.

-- Added to the limit that is asked with, in micro-USD: what people have allowed since.
ALTER TABLE level ADD COLUMN allowed BIGINT NOT NULL DEFAULT 0;
