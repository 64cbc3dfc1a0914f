-- Version 16: kill switches of single repositories. A file that was released is never edited: the next change is the next file.

-- Those that are on, as a JSON list.
ALTER TABLE switch ADD COLUMN repositories TEXT NOT NULL DEFAULT '[]';
