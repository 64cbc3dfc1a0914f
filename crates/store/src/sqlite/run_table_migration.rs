//! Migration to schema version 11: converts the records of runs to one common JSON format. Earlier versions
//! had a separate table and a separate format for each loop. An unreadable record is not converted. As before
//! the migration, commands skip and report such a record, and find all other records.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use truing_core::converge::record::ConvergeDetail;
use truing_core::outcome::ReviewDetail;
use truing_core::run::{RunDetail, RunRecord, RunStage};
use truing_core::sync::record::SyncDetail;

use crate::tables::RunEndColumns;

/// Number of rows that are read at a time. The limit bounds the memory use.
const ROWS_PER_READ: i64 = 256;

/// The columns of a run: row number, loop, key, stage, computed record, and final record.
type OldRunRow = (i64, String, String, String, Option<String>, Option<String>);

/// Converts every record to the common format, and fills the columns about the end of the run.
pub(super) fn convert_records(connection: &Connection) -> rusqlite::Result<()> {
    let sql =
        "SELECT rowid, loop, key, stage, computed, record FROM run WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
    let mut select = connection.prepare(sql)?;
    let mut last = i64::MIN;
    loop {
        let rows: Vec<OldRunRow> = select
            .query_map((last, ROWS_PER_READ), |row| {
                let text = |column: usize| Ok::<_, rusqlite::Error>(text_value(row.get_ref(column)?));
                let words = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((row.get(0)?, words.0, words.1, words.2, text(4)?, text(5)?))
            })?
            .collect::<Result<_, _>>()?;
        let Some((row, ..)) = rows.last() else { return Ok(()) };
        last = *row;
        for (row, of, key, stage, computed, record) in rows {
            match of.as_str() {
                "review" => {
                    if let Some(computed) = computed.and_then(|json| convert_review(&json, "computed")) {
                        let sql = "UPDATE run SET computed = ?2 WHERE rowid = ?1";
                        connection.prepare_cached(sql)?.execute((row, json!(computed).to_string()))?;
                    }
                    if let Some(record) = record.and_then(|json| convert_review(&json, &stage)) {
                        update_record(connection, row, &record)?;
                    }
                }
                "converge" => {
                    let Some(record) = record.and_then(|json| convert_converge(&json)) else { continue };
                    let stage = if record.run_outcome().is_some() {
                        RunStage::EndedUnpublished
                    } else {
                        RunStage::Prepared
                    };
                    let (head, base) = (&record.detail.state.head, &record.detail.base);
                    let sql = "UPDATE run SET stage = ?2, head = ?3, base = ?4 WHERE rowid = ?1";
                    let values = (row, stage.as_str(), head.as_str(), base.as_str());
                    connection.prepare_cached(sql)?.execute(values)?;
                    update_record(connection, row, &record)?;
                }
                _ => {
                    let Some(record) = record.and_then(|json| convert_sync(&json, &key)) else { continue };
                    let sql = "UPDATE run SET began = ?2 WHERE rowid = ?1";
                    connection.prepare_cached(sql)?.execute((row, record.started_at.0))?;
                    update_record(connection, row, &record)?;
                }
            }
        }
    }
}

/// Returns the text of a column. Returns `None` if the column contains no text, which means that there is no
/// record.
fn text_value(value: ValueRef<'_>) -> Option<String> {
    value.as_str().ok().map(str::to_owned)
}

/// Writes a record and the columns about its end. If the row already has an end time, that end time is kept.
fn update_record<D: RunDetail>(
    connection: &Connection,
    row: i64,
    record: &RunRecord<D>,
) -> rusqlite::Result<()> {
    let RunEndColumns { ended_at: ended, kind, reason, cost_micro_usd: cost } =
        RunEndColumns::from_record(record);
    let cost = i64::try_from(cost).unwrap_or(i64::MAX);
    let sql = "UPDATE run SET ended = coalesce(ended, ?2), kind = ?3, reason = ?4, cost = ?5, record = ?6 \
         WHERE rowid = ?1";
    let values = params![row, ended, kind, reason, cost, json!(record).to_string()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Creates a record from the common fields. The loop's detail is parsed from the same `common_fields` object.
fn convert_record<D: RunDetail>(common_fields: Value, steps: Value) -> Option<RunRecord<D>> {
    let filled = |name: &str| common_fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let record = json!({
        "run": common_fields.get("run"),
        "key": common_fields.get("key"),
        "steps": steps,
        "carried_micro_usd": common_fields.get("carried_micro_usd").unwrap_or(&json!(0)),
        "model": filled("model"),
        "prompt_hash": filled("prompt_hash"),
        "versions": common_fields.get("versions").unwrap_or(&json!({})),
        "started": common_fields.get("started"),
        "ended": common_fields.get("ended"),
        "detail": common_fields,
    });
    serde_json::from_value(record).ok()
}

fn parse_object(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).ok()
}

/// Returns the record of one step in the common format.
fn step_record_json(id: &str, turns: &Value, tokens: u64, cost: &Value, ms: u64) -> Value {
    json!({ "id": id, "turns": turns, "tokens": tokens, "cost_micro_usd": cost, "ms": ms })
}

/// Converts a review to a record with two steps: the work without a model, and the work of the model.
fn convert_review(json: &str, stage: &str) -> Option<RunRecord<ReviewDetail>> {
    let mut all = parse_object(json)?;
    let time = |name: &str| all.get(name).and_then(Value::as_i64);
    let whole = u64::try_from(time("ended")?.saturating_sub(time("started")?)).unwrap_or(0);
    let (turns, cost) = (all.get("turns")?.clone(), all.get("cost_micro_usd")?.clone());
    let steps = match all.get("modelled").and_then(Value::as_object) {
        Some(modelled) => {
            let ms = modelled.get("ms")?.as_u64()?;
            let tokens = modelled.get("tokens")?.as_object()?.values().filter_map(Value::as_u64);
            let tokens = tokens.fold(0, u64::saturating_add);
            let rules = step_record_json("review", &json!(0), 0, &json!(0), whole.saturating_sub(ms));
            let (model, hash) = (modelled.get("model").cloned(), modelled.get("prompt_hash").cloned());
            let steps = json!([rules, step_record_json("agent", &turns, tokens, &cost, ms)]);
            all.insert("model".to_owned(), model.unwrap_or_default());
            all.insert("prompt_hash".to_owned(), hash.unwrap_or_default());
            steps
        }
        None => json!([step_record_json("review", &turns, 0, &cost, whole)]),
    };
    all.insert("stage".to_owned(), json!(stage));
    convert_record(Value::Object(all), steps)
}

/// Converts a converge run. The old record contains an object whose fields are the steps, by name.
fn convert_converge(json: &str) -> Option<RunRecord<ConvergeDetail>> {
    let all = parse_object(json)?;
    let mut steps = Vec::new();
    for (name, taken) in all.get("taken")?.as_object()? {
        let mut step = taken.as_object()?.clone();
        step.insert("id".to_owned(), json!(name));
        steps.push(Value::Object(step));
    }
    let mut record: RunRecord<ConvergeDetail> = convert_record(Value::Object(all), Value::Array(steps))?;
    record.steps.sort_by_key(|step| step.step);
    Some(record)
}

/// Converts a run of a job. The old record contains the job's name, but no key.
fn convert_sync(json: &str, key: &str) -> Option<RunRecord<SyncDetail>> {
    let mut all = parse_object(json)?;
    all.insert("key".to_owned(), json!(key));
    let steps = all.get("steps")?.clone();
    convert_record(Value::Object(all), steps)
}
