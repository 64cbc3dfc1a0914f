-- Version 17: more money for one pull request. A file that was released is never edited: the next change is the next file.

-- Added to the limit that is asked with, in micro-USD: what people have allowed since.
ALTER TABLE level ADD COLUMN allowed INTEGER NOT NULL DEFAULT 0;
