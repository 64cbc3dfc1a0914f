-- Version 15: the first contact with a repository. A file that was released is never edited: the next change is the next file.

-- Were the pull requests that were open when the repository was met first left as they are? Those that are here were swept before.
ALTER TABLE repository ADD COLUMN onboarded INTEGER NOT NULL DEFAULT 1;
