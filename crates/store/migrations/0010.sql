-- Version 10: a comment that a review is about to make is an effect. A file that was released is never edited: the next
-- change is the next file.

-- Each item of a call without an answer is an open effect. Its content is not known: it equals no other.
INSERT OR REPLACE INTO effect (key, producer, topic, token, content, at, lost, comment)
SELECT item.key, item.producer, 'item/' || item.item,
       coalesce((SELECT max(run.token) FROM run WHERE run.key = item.key), 0), '', intent.created, 0, NULL
  FROM intent_item AS item
  JOIN intent ON intent.key = item.key AND intent.producer = item.producer AND intent.id = item.intent
 ORDER BY intent.created;

DROP TABLE intent_item;
DROP TABLE intent;
