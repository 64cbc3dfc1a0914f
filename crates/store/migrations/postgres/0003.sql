-- The first contact with a repository; as form 15 of the SQLite file has it.

-- Were the pull requests that were open when the repository was met first left as they are? Those that are here were swept before,
-- and those that a server of the version before adds are swept by it.
ALTER TABLE repository ADD COLUMN onboarded BIGINT NOT NULL DEFAULT 1;
