//! Tests the migration of schema version 10, in which each loop has a separate table of runs, to the common
//! table.

use serde_json::{Value, json};
use truing_core::converge::{
    self, ConvergeExit, ConvergeExitCode, ConvergeLimits, ConvergeRun, ConvergeStep as Act,
};
use truing_core::ledger::TokenUsage;
use truing_core::outcome::{self, ModelReview, ModelReviewDetail};
use truing_core::port::RunStore as _;
use truing_core::run::RunRecord;
use truing_core::slot::LoopKind;
use truing_core::sync::record::{SyncEvidence, SyncOutcome, SyncStep};
use truing_core::sync::{self, job};

use super::*;

/// Returns a record in the JSON form of schema version 10, in which all fields are at the top level.
fn flat_record<D: truing_core::run::RunDetail>(record: &RunRecord<D>, own: Value) -> Value {
    let mut all = json!(record.detail);
    let RunRecord { run, key, model, prompt_hash, versions, started_at: started, ended_at: ended, .. } =
        record;
    let common = json!({ "run": run, "key": key, "model": model, "prompt_hash": prompt_hash, "versions": versions,
                         "started": started, "ended": ended });
    for more in [common, own] {
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    all
}

fn review(token: u64) -> ReviewRecord {
    let did = ModelReviewDetail {
        tokens: TokenUsage { input: 5, output: 6, ..TokenUsage::default() },
        ..ModelReviewDetail::default()
    };
    let (model, prompt_hash) = ("m".to_owned(), "p".to_owned());
    let asked = ModelReview {
        model,
        prompt_hash,
        turns: 3,
        cost: MicroUsd(7),
        duration_ms: 2,
        detail: did,
        ..ModelReview::default()
    };
    let detail = outcome::ReviewDetail::new(Some(sha('a')), sha('b'), outcome(ReviewOutcomeKind::Reviewed));
    let begun = ReviewRecord::new(run(token).id, key(), detail, UnixMillis(NOW));
    let mut record = ReviewRecord { ended_at: UnixMillis(NOW + 5), ..begun }.with_model_review(Some(asked));
    record.detail.stage = RunStage::Published;
    record
}

fn converge_record(id: &str, exit: Option<ConvergeExit>) -> converge::record::ConvergeRecord {
    let mut state = ConvergeRun::new(ConvergeLimits::default(), sha('b'), sha('c'), None);
    state.exit = exit;
    let detail = converge::record::ConvergeDetail::new("shop#7".into(), "topic".into(), sha('a'), state);
    let mut record = RunRecord::new(RunId::new(id), key(), detail, UnixMillis(NOW));
    for (act, cost) in [(Act::Audit, 4), (Act::Gate, 0)] {
        let more = StepCost {
            turns: 1,
            tokens: 9,
            cost_micro_usd: MicroUsd(cost),
            duration_ms: 8,
            ..StepCost::zero(())
        };
        record.add_step_cost(act, &more);
    }
    record
}

fn sync_record() -> sync::record::SyncRecord {
    let detail = sync::record::SyncDetail {
        job: "botocore".into(),
        result: SyncOutcome::RangeWidened,
        exit_reason: "wider".into(),
        verdict: None,
        package: "botocore".into(),
        current_release: None,
        target_release: Some("1.2".into()),
        highest_step: SyncStep::Publish,
        pull: None,
        question_url: None,
        evidence: SyncEvidence::default(),
    };
    let mut record = RunRecord::new(RunId::new("s"), job::job_key("botocore"), detail, UnixMillis(NOW));
    record.steps = vec![StepCost { cost_micro_usd: MicroUsd(3), ..StepCost::zero(SyncStep::Detect) }];
    record.carried_micro_usd = MicroUsd(2);
    record
}

#[tokio::test]
async fn runs_of_the_former_version_are_read_counted_and_gone_on_with() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.db");
    drop(open(&path));
    let (published, computed) = (review(1), review(2));
    let clean =
        converge_record("c", Some(ConvergeExit::new(ConvergeExitCode::Clean, "audit 1 found nothing")));
    let goes_on = converge_record("d", None);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(&format!("{} PRAGMA user_version = 10;", former_tables_sql(10))).unwrap();
    let flat_review = |record: &ReviewRecord| {
        let mut modelled = json!(record.detail.model_review);
        let more = json!({ "model": "m", "prompt_hash": "p", "ms": 2 });
        modelled.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let own = json!({ "cost_micro_usd": 7, "turns": 3, "modelled": modelled, "stage": null });
        let mut all = flat_record(record, own);
        all.as_object_mut().unwrap().remove("stage");
        all.to_string()
    };
    let insert = "INSERT INTO run (key, token, id, stage, head, base, began, computed, outcome, ended)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (head, base) = (sha('a'), sha('b'));
    let row =
        |key: &str, token: u64, stage: &'static str, computed: Option<String>, outcome: Option<String>| {
            let ended = outcome.as_ref().map(|_| NOW + 5);
            let id = run(token).id;
            old.execute(
                insert,
                rusqlite::params![
                    key,
                    token,
                    id.as_str(),
                    stage,
                    head.as_str(),
                    base.as_str(),
                    NOW,
                    computed,
                    outcome,
                    ended
                ],
            )
            .unwrap();
        };
    row(key().as_str(), 1, "published", None, Some(flat_review(&published)));
    row(key().as_str(), 2, "computed", Some(flat_review(&computed)), None);
    row(key().as_str(), 0, "ended", None, Some("{\"damaged".to_owned()));
    for (token, record) in [(3, &clean), (4, &goes_on)] {
        let step = |step: &StepCost<Act>| {
            let StepCost { step: id, turns, tokens, cost_micro_usd, duration_ms: ms, .. } = step;
            let took =
                json!({ "turns": turns, "tokens": tokens, "cost_micro_usd": cost_micro_usd, "ms": ms });
            (json!(id).as_str().unwrap().to_owned(), took)
        };
        let taken: serde_json::Map<String, Value> = record.steps.iter().map(step).collect();
        let sql = "INSERT INTO converge VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
        let body = flat_record(record, json!({ "taken": taken })).to_string();
        old.execute(sql, (record.run.as_str(), key().as_str(), token, NOW, body)).unwrap();
    }
    let of_job = sync_record();
    let own = json!({ "steps": of_job.steps, "carried_micro_usd": 2 });
    let sql = "INSERT INTO job_run VALUES (?1, ?2, ?3, ?4)";
    let values = (of_job.run.as_str(), of_job.key.as_str(), NOW, flat_record(&of_job, own).to_string());
    old.execute(sql, values).unwrap();
    // Rows with invalid records do not affect the migration of other rows.
    let mut damaged: Vec<String> = ["versions", "cost_micro_usd", "modelled", "started", "outcome"]
        .map(|name| {
            let mut all: Value = serde_json::from_str(&flat_review(&review(9))).unwrap();
            all[name] = json!("x");
            all.to_string()
        })
        .into();
    damaged.push(format!("{}0{}", "[".repeat(1500), "]".repeat(1500)));
    for (token, record) in (100..).zip(damaged) {
        row("pr/damaged", token, "ended", None, Some(record));
    }
    for (name, value) in [
        ("steps", json!("x")),
        ("steps", json!([{ "cost_micro_usd": 1.5 }])),
        ("carried_micro_usd", json!(-5)),
        ("carried_micro_usd", json!(1e300)),
        ("result", json!("zzz")),
        ("started", json!({})),
    ] {
        let mut body = flat_record(&of_job, json!({ "steps": of_job.steps, "carried_micro_usd": 2 }));
        body[name] = value;
        let sql = "INSERT INTO job_run VALUES (?1, ?2, ?3, ?4)";
        let id = format!("{name}{body}");
        old.execute(sql, (id, of_job.key.as_str(), NOW, body.to_string())).unwrap();
    }
    for taken in [json!("x"), json!({ "gate": "x" }), json!({ "audit": { "cost_micro_usd": i64::MAX } })] {
        let body = flat_record(&clean, json!({ "taken": taken })).to_string();
        let sql = "INSERT INTO converge VALUES (?1, ?2, 1, ?3, ?3, ?4)";
        old.execute(sql, (format!("x{taken}"), "pr/x", NOW, body)).unwrap();
    }
    drop(old);

    let store = open(&path);
    assert_eq!(store.records::<outcome::ReviewDetail>(None, UnixMillis(0), 9).await.unwrap(), [published]);
    let runs = store.records::<converge::record::ConvergeDetail>(None, UnixMillis(0), 9).await.unwrap();
    assert_eq!(runs, [goes_on.clone(), clean]);
    assert_eq!(store.records::<sync::record::SyncDetail>(None, UnixMillis(0), 9).await.unwrap(), [of_job]);
    let counted = async |of: LoopKind| {
        let rows = store.run_ends_by_day(of, UnixMillis(0)).await.unwrap();
        rows.iter().map(|row| (row.kind.clone(), row.reason.clone(), row.cost_micro_usd)).collect::<Vec<_>>()
    };
    let row = |kind: &str, reason: &str, cost| vec![(kind.to_owned(), reason.to_owned(), cost)];
    assert_eq!(counted(LoopKind::Review).await, row("reviewed", "", 7), "what is damaged counts for nothing");
    assert_eq!(counted(LoopKind::Converge).await, row("done", "audit 1 found nothing", 4));
    assert_eq!(counted(LoopKind::Sync).await, row("done", "wider", 5));

    // After the migration, the next run of each loop continues from the migrated state.
    let begun = store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun.unpublished_review.map(|record| record.cost()), Some(MicroUsd(7)));
    assert_eq!(store.last_converge(&key()).await.unwrap(), Some(goes_on));
    assert!(
        store.store_converge_record(FencingToken(3), &converge_record("e", None)).await.is_err(),
        "the newest lease was 4"
    );
}

#[tokio::test]
async fn a_file_that_another_process_serves_is_not_brought_to_a_new_form() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.db");
    drop(open(&path));
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(&format!("{} PRAGMA user_version = 10;", former_tables_sql(10))).unwrap();
    drop(old);
    let _lock = truing_store::ServeLock::acquire(&path, "127.0.0.1:1", UnixMillis(NOW)).unwrap();
    // The test replaces its process id in the lock file by the id plus one, so that another process appears
    // to serve the file.
    let file = folder.path().join("t.db.lock");
    let told = std::fs::read_to_string(&file).unwrap();
    let own = std::process::id();
    std::fs::write(&file, told.replace(&own.to_string(), &(own + 1).to_string())).unwrap();
    let Err(error) = Store::open(&path, ManualWallClock::at(NOW)) else { panic!("it was opened") };
    assert!(
        error.to_string().contains("has the older schema version 10, and is served by process"),
        "{error}"
    );
    std::fs::write(&file, told).unwrap();
    Store::open(&path, ManualWallClock::at(NOW)).expect("a server brings its own file to the new form");
}
