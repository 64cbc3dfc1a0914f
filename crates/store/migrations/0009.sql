-- Version 9: an issue that a job is about to open is an effect. A file that was released is never edited: the next change
-- is the next file.

-- What a job remembered of one before: without a number, it was not known whether it was opened.
UPDATE job SET body = json_remove(body, '$.question')
 WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.question.issue') IS NULL END;
UPDATE job SET body = json_remove(body, '$.tracked')
 WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.tracked.issue') IS NULL END;
