-- Kill switches of single repositories; as form 16 of the SQLite file has them.

-- Those that are on, as a JSON list. A server of the version before does not know them, and goes on in these repositories.
ALTER TABLE switch ADD COLUMN repositories TEXT COLLATE "C" NOT NULL DEFAULT '[]';
