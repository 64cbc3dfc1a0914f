-- Version 3: what a service shows of itself. A file that was released is never edited: the next change is the next
-- file.

-- What a slot is doing, `state/why`, so that slots are counted from the index alone. `unreadable/` is a body that is
-- not what any version writes.
ALTER TABLE slot ADD COLUMN shown TEXT NOT NULL GENERATED ALWAYS AS (
    CASE WHEN json_valid(body)
         THEN coalesce(json_extract(body, '$.state.is'), 'unreadable') || '/'
              || coalesce(json_extract(body, '$.state.why'), '')
         ELSE 'unreadable/' END
) VIRTUAL;
CREATE INDEX slot_shown ON slot (shown, key);
