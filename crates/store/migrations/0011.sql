-- Version 11: one table for the runs of all loops. A file that was released is never edited: the next change is the next
-- file.

-- Runs. Of those of a loop on one key only the one with the greatest token may write; a run of `converge` may go on under
-- several leases, so its token is that of the last. `record` is the run's record as JSON: of a review once it has ended,
-- of a run that converges from its beginning. `kind`, `reason` and `cost` are what it says of the end, so that runs are
-- counted without reading it. `computed` is the record of a review's findings, also when it was taken over from an
-- earlier review. `kept` is when the record was written last, `ended` when the run ended.
ALTER TABLE run RENAME TO old_run;
DROP INDEX run_published;
DROP INDEX run_ended;
CREATE TABLE run (
    key      TEXT NOT NULL,
    loop     TEXT NOT NULL CHECK (loop IN ('review', 'converge', 'sync')),
    token    INTEGER NOT NULL,
    id       TEXT NOT NULL,
    stage    TEXT NOT NULL CHECK (stage IN ('prepared', 'computed', 'published', 'ended')),
    head     TEXT NOT NULL,
    base     TEXT NOT NULL,
    began    INTEGER NOT NULL,
    kept     INTEGER NOT NULL,
    ended    INTEGER,
    kind     TEXT,
    reason   TEXT,
    cost     INTEGER,
    computed TEXT,
    record   TEXT
) STRICT;

-- A record as it was kept until now has all fields side by side. It gets those that every loop has in front, and the whole
-- of what it was as its detail, of which nobody reads the rest.
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, computed, record)
SELECT key, 'review', token, id, stage, head, base, began, coalesce(ended, began), ended,
       CASE WHEN json_valid(outcome) AND json_type(outcome, '$.outcome.kind') = 'text'
            THEN json_extract(outcome, '$.outcome.kind') END,
       CASE WHEN json_valid(outcome) THEN CAST(json_extract(outcome, '$.outcome.reason') AS TEXT) END,
       CASE WHEN json_valid(outcome) AND json_type(outcome, '$.cost_micro_usd') = 'integer'
            THEN max(json_extract(outcome, '$.cost_micro_usd'), 0) END,
       computed, outcome
  FROM old_run;
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, record)
SELECT key, 'converge', token, run, 'prepared',
       '0000000000000000000000000000000000000000', '0000000000000000000000000000000000000000',
       started, ended, NULL, NULL, NULL, NULL, body
  FROM converge;
INSERT INTO run (key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, record)
SELECT job_run.key, 'sync', coalesce((SELECT token FROM job WHERE job.key = job_run.key AND job.run = job_run.id), 0),
       id, 'ended', '0000000000000000000000000000000000000000', '0000000000000000000000000000000000000000',
       ended, ended, ended, NULL, NULL, NULL, body
  FROM job_run;
DROP TABLE old_run;
DROP TABLE converge;
DROP TABLE job_run;

-- Reviews: the time that no model took is one step, the model's part another.
UPDATE run SET record = json_object(
    'run', json_extract(record, '$.run'), 'key', json_extract(record, '$.key'),
    'steps', CASE WHEN json_type(record, '$.modelled') = 'object' THEN json_array(
        json_object('id', 'review', 'turns', 0, 'tokens', 0, 'cost_micro_usd', 0, 'ms',
            max(json_extract(record, '$.ended') - json_extract(record, '$.started')
                - json_extract(record, '$.modelled.ms'), 0)),
        json_object('id', 'agent', 'turns', json_extract(record, '$.turns'),
            'tokens', (SELECT coalesce(sum(value), 0) FROM json_each(record, '$.modelled.tokens')),
            'cost_micro_usd', json_extract(record, '$.cost_micro_usd'),
            'ms', json_extract(record, '$.modelled.ms')))
      ELSE json_array(json_object('id', 'review', 'turns', json_extract(record, '$.turns'), 'tokens', 0,
            'cost_micro_usd', json_extract(record, '$.cost_micro_usd'),
            'ms', max(json_extract(record, '$.ended') - json_extract(record, '$.started'), 0))) END,
    'carried_micro_usd', 0,
    'model', nullif(json_extract(record, '$.modelled.model'), ''),
    'prompt_hash', json_extract(record, '$.modelled.prompt_hash'),
    'versions', json(coalesce(json_extract(record, '$.versions'), '{}')),
    'started', json_extract(record, '$.started'), 'ended', json_extract(record, '$.ended'),
    'detail', json_set(record, '$.stage', stage))
 WHERE loop = 'review' AND CASE WHEN json_valid(record) THEN json_type(record, '$.outcome') = 'object' END;
UPDATE run SET computed = json_object(
    'run', json_extract(computed, '$.run'), 'key', json_extract(computed, '$.key'),
    'steps', CASE WHEN json_type(computed, '$.modelled') = 'object' THEN json_array(
        json_object('id', 'review', 'turns', 0, 'tokens', 0, 'cost_micro_usd', 0, 'ms',
            max(json_extract(computed, '$.ended') - json_extract(computed, '$.started')
                - json_extract(computed, '$.modelled.ms'), 0)),
        json_object('id', 'agent', 'turns', json_extract(computed, '$.turns'),
            'tokens', (SELECT coalesce(sum(value), 0) FROM json_each(computed, '$.modelled.tokens')),
            'cost_micro_usd', json_extract(computed, '$.cost_micro_usd'),
            'ms', json_extract(computed, '$.modelled.ms')))
      ELSE json_array(json_object('id', 'review', 'turns', json_extract(computed, '$.turns'), 'tokens', 0,
            'cost_micro_usd', json_extract(computed, '$.cost_micro_usd'),
            'ms', max(json_extract(computed, '$.ended') - json_extract(computed, '$.started'), 0))) END,
    'carried_micro_usd', 0,
    'model', nullif(json_extract(computed, '$.modelled.model'), ''),
    'prompt_hash', json_extract(computed, '$.modelled.prompt_hash'),
    'versions', json(coalesce(json_extract(computed, '$.versions'), '{}')),
    'started', json_extract(computed, '$.started'), 'ended', json_extract(computed, '$.ended'),
    'detail', json_set(computed, '$.stage', 'computed'))
 WHERE loop = 'review' AND CASE WHEN json_valid(computed) THEN json_type(computed, '$.outcome') = 'object' END;

-- Runs that converge: the acts were an object by name. The end is that of the attempt to go on, if there is one. What waits
-- for others is put off; an audit that was asked for alone and has found something has done what it was for.
UPDATE run SET
    head = coalesce(json_extract(record, '$.state.head'), head),
    base = coalesce(json_extract(record, '$.base'), base),
    ended = CASE WHEN json_type(record, '$.state.exit') = 'object' THEN kept END,
    stage = CASE WHEN json_type(record, '$.state.exit') = 'object' THEN 'ended' ELSE 'prepared' END,
    cost = (SELECT coalesce(sum(json_extract(value, '$.cost_micro_usd')), 0) FROM json_each(record, '$.taken')),
    reason = CAST(coalesce(json_extract(record, '$.halted.reason'), json_extract(record, '$.state.exit.reason')) AS TEXT),
    record = json_object(
        'run', json_extract(record, '$.run'), 'key', json_extract(record, '$.key'),
        'steps', json(coalesce((SELECT json_group_array(json_set(value, '$.id', step.key) ORDER BY instr(
            'gate mend audit post fix check publish reply describe', step.key)) FROM json_each(record, '$.taken') AS step), '[]')),
        'carried_micro_usd', 0,
        'model', json_extract(record, '$.model'), 'prompt_hash', json_extract(record, '$.prompt_hash'),
        'versions', json(coalesce(json_extract(record, '$.versions'), '{}')),
        'started', json_extract(record, '$.started'), 'ended', json_extract(record, '$.ended'),
        'detail', json(record))
 WHERE loop = 'converge' AND CASE WHEN json_valid(record) THEN json_type(record, '$.state') = 'object' END;

UPDATE run SET
    began = coalesce(json_extract(record, '$.started'), began),
    reason = CAST(json_extract(record, '$.exit_reason') AS TEXT),
    cost = (SELECT coalesce(sum(json_extract(value, '$.cost_micro_usd')), 0) FROM json_each(record, '$.steps'))
           + coalesce(json_extract(record, '$.carried_micro_usd'), 0),
    kind = CASE json_extract(record, '$.result')
           WHEN 'relaxed' THEN 'done' WHEN 'bumped' THEN 'done' WHEN 'asked' THEN 'done' WHEN 'rehearsed' THEN 'done'
           WHEN 'saved' THEN 'partial' WHEN 'held' THEN 'deferred' WHEN 'failed' THEN 'failed' ELSE 'skipped' END,
    record = json_object(
        'run', json_extract(record, '$.run'), 'key', key,
        'steps', json(coalesce(json_extract(record, '$.steps'), '[]')),
        'carried_micro_usd', coalesce(json_extract(record, '$.carried_micro_usd'), 0),
        'model', json_extract(record, '$.model'), 'prompt_hash', json_extract(record, '$.prompt_hash'),
        'versions', json(coalesce(json_extract(record, '$.versions'), '{}')),
        'started', json_extract(record, '$.started'), 'ended', json_extract(record, '$.ended'),
        'detail', json(record))
 WHERE loop = 'sync' AND CASE WHEN json_valid(record) THEN json_type(record, '$.result') = 'text' END;

CREATE UNIQUE INDEX run_review ON run (key, token) WHERE loop = 'review';
CREATE UNIQUE INDEX run_other ON run (id) WHERE loop <> 'review';
CREATE INDEX run_key ON run (key, loop, token);
CREATE INDEX run_published ON run (key, token) WHERE stage = 'published';
CREATE INDEX run_ended ON run (loop, ended) WHERE ended IS NOT NULL;
CREATE INDEX run_kept ON run (loop, kept) WHERE record IS NOT NULL;
CREATE INDEX run_key_kept ON run (key, loop, kept);
CREATE INDEX run_old ON run (kept) WHERE loop <> 'review';
