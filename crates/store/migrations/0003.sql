-- Version 3: what a service shows of itself. A file that was released is never edited: the next change is the next
-- file.

-- What a slot is doing, `state/why`, written with its body, so that slots are counted from the index alone.
ALTER TABLE slot ADD COLUMN shown TEXT NOT NULL DEFAULT 'unreadable/';
UPDATE slot SET shown = json_extract(body, '$.state.is') || '/' || coalesce(json_extract(body, '$.state.why'), '')
WHERE json_valid(body) AND json_extract(body, '$.state.is') IS NOT NULL;
CREATE INDEX slot_shown ON slot (shown, key);
