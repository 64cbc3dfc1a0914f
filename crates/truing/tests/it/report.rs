//! Tests of `truing report` on converge runs, and on three months of a job that follows a package. Every
//! format must contain all runs, and untrusted text must be escaped.

#![allow(clippy::wildcard_enum_match_arm, reason = "the report's rows are about some ends alone")]

mod reviews;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use truing_core::converge::{self, ConvergeExit, ConvergeExitCode, ConvergeLogLine};
use truing_core::id::{FencingToken, RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::port::{RunReference, RunStore as _, SlotDescription, SlotStore as _};
use truing_core::run::StepCost;
use truing_core::sync::SyncVerdict;
use truing_core::sync::breaker::{BreakerOutcome, JobBreakerLimits, SyncTarget};
use truing_core::sync::job::{self, JobQuestion, JobState};
use truing_core::sync::record::{
    JobPull, JobPullKind, SyncDetail, SyncEvidence, SyncOutcome as Outcome, SyncRecord, SyncStep,
};
use truing_loops::machine::SystemClock;
use truing_store::Store;

const TRUING: &str = env!("CARGO_BIN_EXE_truing");
const DAY: i64 = 86_400_000;
/// A hostile text, as a forge, a package index or a model could return it.
const EVIL: &str = "=HYPERLINK(\"https://evil.example\") <script>alert(1)</script> | @all\u{1b}[31m \
     ![x](https://evil.example/x.png)";
/// Number of runs in the records.
const RUNS: i64 = 61;

/// Returns the record of the run with this number in a realistic job.
fn record(number: i64, now: UnixMillis) -> SyncRecord {
    let ended = UnixMillis(now.0 - (RUNS - number) * DAY * 3 / 2 + 3_600_000);
    let (is_new, dice) = (number >= 34, (number * 7919 + 13) % 100);
    let (result, verdict, step) = match dice {
        _ if number >= RUNS - 2 => (Outcome::CircuitOpen, None, SyncStep::Detect),
        _ if number >= RUNS - 5 => (Outcome::Failed, Some(SyncVerdict::Bump), SyncStep::Verify),
        0..26 => (Outcome::RangeWidened, Some(SyncVerdict::Relax), SyncStep::Publish),
        26..44 => (Outcome::UpToDate, Some(SyncVerdict::Skip), SyncStep::Decide),
        44..52 => (Outcome::CoveredByPull, Some(SyncVerdict::Relax), SyncStep::ReadPulls),
        52..72 => (Outcome::CodePorted, Some(SyncVerdict::Bump), SyncStep::Publish),
        72..80 if is_new => (Outcome::CodePorted, Some(SyncVerdict::Bump), SyncStep::Publish),
        72..86 => (Outcome::DraftSaved, Some(SyncVerdict::Bump), SyncStep::Publish),
        86..91 => (Outcome::QuestionAsked, Some(SyncVerdict::Ask), SyncStep::AskUsers),
        91..94 => (Outcome::Postponed, Some(SyncVerdict::Bump), SyncStep::EditFiles),
        _ if is_new => (Outcome::WaitingForUsers, Some(SyncVerdict::Bump), SyncStep::ReadPulls),
        _ => (Outcome::Failed, Some(SyncVerdict::Bump), SyncStep::Verify),
    };
    let is_agents = matches!(result, Outcome::CodePorted | Outcome::DraftSaved | Outcome::Failed);
    let reason = match result {
        Outcome::Failed if number == RUNS - 4 => EVIL.to_owned(),
        Outcome::Failed => "check `pytest tests/test_patches.py` failed: 3 failed, 240 passed".to_owned(),
        Outcome::CircuitOpen => "the breaker is open: nobody has answered the question yet".to_owned(),
        Outcome::DraftSaved => "turns are used up; what is done so far is in a draft".to_owned(),
        Outcome::RangeWidened => "no pinned or mirrored code changed".to_owned(),
        Outcome::CodePorted => "2 pinned definitions changed in what they do".to_owned(),
        Outcome::QuestionAsked => "new functions beside pinned ones: a person must check this".to_owned(),
        Outcome::WaitingForUsers => "people are at work on the pull request".to_owned(),
        Outcome::Postponed => "sync_usd is used up until tomorrow".to_owned(),
        _ => "the range already contains the newest release".to_owned(),
    };
    let steps = SyncStep::ALL
        .into_iter()
        .filter(|each| *each <= step && *each != SyncStep::AskUsers || *each == step);
    let turns =
        if is_agents { (if is_new { 17 } else { 27 }) + u32::try_from(dice % 11).unwrap() } else { 0 };
    let taken = |id: SyncStep| {
        let turns = if id == SyncStep::EditFiles { turns } else { 0 };
        let ms = match id {
            SyncStep::EditFiles if turns > 0 => u64::from(turns) * 9_000,
            SyncStep::Verify => 140_000 + u64::try_from(dice).unwrap() * 700,
            SyncStep::Detect => 900,
            SyncStep::Decide => 1_700,
            _ => 2_400,
        };
        let cost_micro_usd = MicroUsd(u64::from(turns) * 41_000);
        StepCost {
            turns,
            tokens: u64::from(turns) * 21_000,
            cost_micro_usd,
            duration_ms: ms,
            ..StepCost::zero(id)
        }
    };
    let steps: Vec<StepCost<SyncStep>> = steps.map(taken).collect();
    let page = |what: &str| format!("https://github.com/aio-libs/aiobotocore/{what}/{}", 1500 + number);
    let pull = match result {
        Outcome::RangeWidened | Outcome::CodePorted | Outcome::CoveredByPull => Some(JobPullKind::Final),
        Outcome::DraftSaved => Some(JobPullKind::Wip),
        _ => None,
    };
    SyncRecord {
        run: RunId::new(format!("r{number:03}")),
        key: job::job_key("botocore"),
        detail: SyncDetail {
            job: "botocore".into(),
            result,
            exit_reason: reason,
            verdict,
            package: "botocore".into(),
            current_release: Some(format!("1.43.{}", 10 + number / 2)),
            target_release: Some(format!("1.43.{}", 11 + number)),
            highest_step: step,
            pull: pull.map(|kind| JobPull { kind, url: page("pull") }),
            question_url: matches!(result, Outcome::QuestionAsked | Outcome::CircuitOpen)
                .then(|| page("issues")),
            evidence: SyncEvidence::default(),
        },
        started_at: UnixMillis(
            ended.0 - i64::try_from(steps.iter().map(|step| step.duration_ms).sum::<u64>()).unwrap(),
        ),
        steps,
        carried_micro_usd: MicroUsd(0),
        model: is_agents.then(|| "claude-sonnet-5-5".to_owned()),
        prompt_hash: is_agents.then(|| if is_new { "9d2c41f0a7" } else { "51e07bb83c" }.repeat(6)),
        versions: [("truing".to_owned(), "0.1.0".to_owned())].into(),
        ended_at: ended,
    }
}

/// Stores the records of three months of a job, whose circuit breaker is open at the end.
async fn store_sync_records(file: &Path) -> Vec<SyncRecord> {
    let store = Store::open(file, Arc::new(SystemClock)).unwrap();
    let now = store.now().await.unwrap();
    let mut job = JobState::default();
    let records: Vec<SyncRecord> = (0..RUNS).map(|number| record(number, now)).collect();
    for (token, record) in (1..).zip(&records) {
        let run = RunReference {
            id: record.run.clone(),
            key: job::job_key("botocore"),
            token: FencingToken(token),
        };
        store.begin_job_run(&run).await.unwrap();
        let target = SyncTarget { version: "1.43.70".into(), manifest_digest: "0".repeat(40) };
        if record.detail.result != Outcome::CircuitOpen {
            job.breaker.admit(&target, None, JobBreakerLimits::default(), record.started_at);
            let end = match record.detail.result {
                Outcome::Failed => BreakerOutcome::Failure(record.detail.exit_reason.clone()),
                _ => BreakerOutcome::Success,
            };
            job.breaker.record_end(end, JobBreakerLimits::default(), record.ended_at);
        }
        job.question = record.detail.question_url.clone().map(|url| JobQuestion {
            id: "q".into(),
            version: "1.43.70".into(),
            issue: 7,
            url: Some(url),
            last_comment: None,
            manifest: None,
            is_closed: false,
        });
        store.end_job_run(&run, &job, record).await.unwrap();
    }
    records
}

/// Runs `truing report` in a folder. Returns the exit code, standard output and standard error.
fn report(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let ran = Command::new(TRUING)
        .arg("report")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("TRUING_STORE__URL", format!("sqlite:{}", folder.join("t.db").display()))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
}

/// Returns the report on all jobs in the folder's store, in this format.
fn report_in_format(folder: &Path, format: &str) -> String {
    let (exit, out, err) = report(folder, &["--since", "120d", "--loop", "sync", "--format", format]);
    assert_eq!((exit, err.as_str()), (0, ""));
    out
}

fn count_results(records: &[SyncRecord], result: Outcome) -> usize {
    records.iter().filter(|record| record.detail.result == result).count()
}

#[tokio::test]
async fn programs_read_totals_trends_and_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let records = store_sync_records(&folder.path().join("t.db")).await;
    let json: Value = serde_json::from_str(&report_in_format(folder.path(), "json")).unwrap();
    assert_eq!(json["totals"]["runs"], RUNS);
    assert_eq!(json["outcomes"].as_array().unwrap().len(), records.len());
    assert_eq!((&json["outcomes"][0]["loop"], &json["outcomes"][0]["run"]), (&"sync".into(), &"r060".into()));
    let sync = &json["sync"];
    let done = [Outcome::RangeWidened, Outcome::CodePorted, Outcome::QuestionAsked]
        .map(|result| count_results(&records, result));
    let done: usize = done.iter().sum();
    let attempts =
        done + count_results(&records, Outcome::DraftSaved) + count_results(&records, Outcome::Failed);
    assert_eq!((&sync["kinds"]["done"], &sync["attempts"]), (&done.into(), &attempts.into()));
    #[expect(clippy::cast_precision_loss, reason = "a few runs")]
    let success = done as f64 / attempts as f64;
    assert!((sync["success"].as_f64().unwrap() - success).abs() < 0.001, "{sync}");
    let sum = |rows: &str, of: &str| {
        sync[rows].as_array().unwrap().iter().filter_map(|row| row[of].as_u64()).sum::<u64>()
    };
    let all = u64::try_from(RUNS).unwrap();
    for rows in ["results", "reasons", "highest_steps", "periods"] {
        assert_eq!(sum(rows, "runs"), all, "{rows}");
    }
    let turns: u64 = records.iter().map(|record| u64::from(record.turns())).sum();
    let cost: u64 = records.iter().map(|record| record.cost().0).sum();
    assert!(turns > 0);
    for (of, whole) in [("turns", turns), ("cost_micro_usd", cost)] {
        assert_eq!(
            (sync[of].as_u64(), sum("steps", of), sum("periods", of)),
            (Some(whole), whole, whole),
            "{of}"
        );
    }
    let prompts = sync["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 2, "{prompts:?}");
    let rate = |at: usize| prompts[at]["success"].as_f64().unwrap();
    assert!(rate(1) > rate(0), "the second prompt is the better one: {prompts:?}");
    let job = &sync["jobs"][0];
    assert_eq!(
        (&job["name"], &job["breaker"], &job["runs"]),
        (&"botocore".into(), &"open".into(), &RUNS.into())
    );

    // Without `--loop`, the report covers the runs of all loops.
    let (_, both, _) = report(folder.path(), &["--since", "120d", "--format", "json", "--limit", "3"]);
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!((&both["totals"]["runs"], &both["truncated"]), (&RUNS.into(), &true.into()));
    assert_eq!(both["outcomes"].as_array().unwrap().len(), 3);
    let (_, reviews, _) = report(folder.path(), &["--since", "120d", "--loop", "review", "--format", "json"]);
    let reviews: Value = serde_json::from_str(&reviews).unwrap();
    assert_eq!((&reviews["totals"]["runs"], reviews.get("sync")), (&0.into(), None));
}

#[tokio::test]
async fn people_read_it_in_eighty_columns() {
    let folder = tempfile::tempdir().unwrap();
    store_sync_records(&folder.path().join("t.db")).await;
    let text = report_in_format(folder.path(), "text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.starts_with("61 runs of jobs ended from "), "{text}");
    for part in
        ["success", "Results\n", "Furthest step\n", "Week of", "Prompt", "botocore: breaker open since"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    // The store contains no reviews, so the text report without `--loop` does not mention any. The next
    // reports are on an empty store.
    let (_, all, _) = report(folder.path(), &["--since", "120d"]);
    assert!(all.starts_with("61 runs of jobs ended from ") && !all.contains("\n0 runs "), "{all}");
    let empty = tempfile::tempdir().unwrap();
    drop(Store::open(&empty.path().join("t.db"), Arc::new(SystemClock)).unwrap());
    for format in ["text", "json", "csv", "markdown", "html"] {
        let (exit, out, err) = report(empty.path(), &["--loop", "sync", "--format", format]);
        assert!(exit == 0 && !out.is_empty() && err.is_empty(), "{format}: {err}");
    }
    assert_eq!(report(empty.path(), &["--format", "sarif"]).0, 2);
}

#[tokio::test]
async fn a_spreadsheet_gets_one_row_a_run_and_no_formula() {
    let folder = tempfile::tempdir().unwrap();
    let records = store_sync_records(&folder.path().join("t.db")).await;
    let text = report_in_format(folder.path(), "csv");
    assert!(text.starts_with("loop,run,key,name,kind,result,exit_reason,") && text.ends_with("\r\n"));
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), records.len());
    let evil = rows.iter().find(|row| row[6].contains("<script>")).unwrap();
    // Escape sequences for terminals are removed from text, as in every output.
    assert!(evil[6].starts_with("'=HYPERLINK(\"https://evil.example\")"), "{evil:?}");
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@'])));
    let cost: u64 = rows.iter().map(|row| row[14].parse::<u64>().unwrap()).sum();
    assert_eq!(cost, records.iter().map(|record| record.cost().0).sum::<u64>());
}

#[tokio::test]
async fn an_issue_gets_tables_in_which_nothing_acts() {
    let folder = tempfile::tempdir().unwrap();
    store_sync_records(&folder.path().join("t.db")).await;
    let text = report_in_format(folder.path(), "markdown");
    let mut heads = 0;
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let mut lines = table.trim().lines();
        let wide = columns(lines.next().unwrap());
        assert!(lines.all(|line| columns(line) == wide), "{table}");
        heads += 1;
    }
    assert!(heads >= 8, "{text}");
    let acts = text.replace("\\<", "");
    for acting in ["<script", "![x](", "@all"] {
        assert!(!acts.contains(acting), "{acting}:\n{text}");
    }
}

#[tokio::test]
async fn a_page_is_well_formed_counts_every_run_and_lets_no_text_act() {
    let folder = tempfile::tempdir().unwrap();
    let records = store_sync_records(&folder.path().join("t.db")).await;
    let page = report_in_format(folder.path(), "html");
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    // Untrusted text is escaped, and the page loads no external resources.
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the reason is shown");
    for acting in ["<script", "src=", "url(", "@import", "<link", "<img", "\u{1b}"] {
        assert!(!page.contains(acting), "{acting}");
    }
    let tag = regex::Regex::new(r#"<(/?)([a-z0-9]+)((?: [a-zA-Z0-9:-]+="[^"<>]*")*)(/?)>"#).unwrap();
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (mut open, mut rects, mut end) = (Vec::new(), 0, 0);
    for found in tag.captures_iter(body) {
        let whole = found.get(0).unwrap();
        let between = &body[end..whole.start()];
        assert!(open.last() == Some(&"style") || !between.contains(['<', '>']), "{between}");
        end = whole.end();
        let (name, attributes) = (found.get(2).unwrap().as_str(), found.get(3).unwrap().as_str());
        assert!(!attributes.contains(" on"), "{attributes}");
        match (&found[1], &found[4]) {
            ("/", _) => assert_eq!(open.pop(), Some(name), "{whole:?}"),
            ("", "/") => {}
            _ => open.push(name),
        }
        rects += usize::from(name == "rect" && found[1].is_empty() && attributes.contains("width=\"11.7\""));
    }
    assert!(open.is_empty() && body[end..].trim().is_empty(), "{open:?}");
    // The page has one bar and one table row per run.
    assert_eq!(rects, records.len());
    assert!(page.contains("<summary>All 61 runs</summary>"));
    let (_, rows) = page.split_once("<summary>All 61 runs</summary>").unwrap();
    assert_eq!(rows.matches("<tr>").count(), records.len() + 1);
    assert_eq!(
        page.matches("prompt 9d2c41f").count(),
        2,
        "a line in each plot over time where the prompt changed"
    );
    assert!(page.contains("<dt>Open breakers</dt><dd>1</dd>"));
}

/// Returns the record of a converge run on the pull request with this number, with these steps and this end.
fn sample_converge_record(
    number: u32,
    steps: &[converge::ConvergeStep],
    exit: Option<ConvergeExit>,
    now: UnixMillis,
) -> converge::record::ConvergeRecord {
    let sha = |letter: &str| Sha::parse(&letter.repeat(40)).unwrap();
    let mut state = converge::ConvergeRun::new(converge::ConvergeLimits::default(), sha("b"), sha("c"), None);
    state.audit_count = number;
    for number in 1..=number {
        state.log.push(ConvergeLogLine::Audit { number, counts: [0, 2 - number, 0], silent_auditors: 0 });
    }
    state.head = sha("d");
    state.commits = vec![sha("d")];
    state.exit = exit;
    let taken = |step: &converge::ConvergeStep| {
        let turns = match step {
            converge::ConvergeStep::Audit => 4 * number,
            converge::ConvergeStep::Fix => 6,
            _ => 0,
        };
        let cost = u64::from(turns) * 41_000;
        let ms = u64::from(turns) * 9_000 + 100;
        json!({ "id": step, "turns": turns, "tokens": turns * 21_000, "cost_micro_usd": cost, "ms": ms })
    };
    let record = json!({
        "run": format!("c{number}"), "key": format!("pr/github/1/{number}"), "carried_micro_usd": 0,
        "steps": steps.iter().map(taken).collect::<Vec<Value>>(),
        "model": "claude-sonnet-5-5", "prompt_hash": "9d2c41f0a7".repeat(6),
        "versions": { "truing": "0.1.0" }, "started": now.0 - 150_000, "ended": now.0,
        "detail": {
            "name": format!("a/shop#{number}"), "branch": "topic", "base": sha("a"), "state": state, "readiness": null,
            "is_pursued": false, "wakes": {}, "warnings": [],
        },
    });
    serde_json::from_value(record).unwrap()
}

/// Stores the records of three runs: one that has converged, one that is stuck with a hostile reason, and one
/// that has not ended.
async fn store_converge_records(file: &Path) -> [converge::record::ConvergeRecord; 3] {
    use converge::ConvergeStep::{Audit, Check, Fix, Gate, Post, Publish, Reply};
    let store = Store::open(file, Arc::new(SystemClock)).unwrap();
    let now = store.now().await.unwrap();
    let all = [Gate, Audit, Post, Fix, Check, Publish, Reply];
    let clean = ConvergeExit::new(ConvergeExitCode::Clean, "audit 2 found nothing");
    let records = [
        sample_converge_record(2, &all, Some(clean), now),
        sample_converge_record(
            1,
            &all[..5],
            Some(ConvergeExit::new(ConvergeExitCode::Hook, EVIL)),
            UnixMillis(now.0 - 1),
        ),
        sample_converge_record(0, &all[..1], None, UnixMillis(now.0 - 2)),
    ];
    for record in &records {
        store.store_converge_record(FencingToken(1), record).await.unwrap();
    }
    let page = "https://github.com/a/shop/pull/2".to_owned();
    let described = SlotDescription { name: "a/shop#2".into(), url: page, head: None };
    store.store_descriptions(&[(SlotKey::new("pr/github/1/2"), described)]).await.unwrap();
    records
}

/// Replaces values that differ between runs of a test.
fn normalize_output(text: &str) -> String {
    let at = regex::Regex::new(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z").unwrap();
    at.replace_all(text, "AT").into_owned()
}

#[tokio::test]
async fn runs_that_converge_are_told_by_their_acts_and_ends_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let [done, stuck, _] = store_converge_records(&folder.path().join("t.db")).await;
    let told = |format: &str| {
        let (exit, out, err) = report(folder.path(), &["--loop", "converge", "--format", format]);
        assert_eq!((exit, err.as_str()), (0, ""));
        out
    };
    let text = told("text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (before, days) = text.split_once("\nDay (UTC)").unwrap();
    insta::assert_snapshot!(normalize_output(before));
    assert!(days.contains("\n9d2c41f0a7"), "{text}");

    let json: Value = serde_json::from_str(&told("json")).unwrap();
    let outcomes = serde_json::to_string_pretty(&json["outcomes"]).unwrap();
    insta::assert_snapshot!(normalize_output(&outcomes));
    let cost = done.cost().0 + stuck.cost().0;
    for of in [&json["totals"], &json["converge"]] {
        assert_eq!((of["runs"].as_u64(), of["cost_micro_usd"].as_u64()), (Some(2), Some(cost)), "{of}");
    }
    assert_eq!((json.get("sync"), &json["truncated"]), (None, &false.into()));
    let (_, last, _) = report(folder.path(), &["--loop", "converge", "--format", "json", "--limit", "1"]);
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["outcomes"][0]["run"], &last["truncated"]), (&"c2".into(), &true.into()));

    let table = told("csv");
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let ends: Vec<[&str; 4]> = rows.iter().map(|row| [&row[0], &row[5], &row[11], &row[19]]).collect();
    let page = "https://github.com/a/shop/pull/2";
    assert_eq!(ends, [["converge", "converged", "reply", page], ["converge", "stuck", "check", ""]]);
    assert!(rows[1][6].starts_with("'=HYPERLINK("), "{rows:?}");

    let markdown = told("markdown");
    assert!(markdown.contains("\n## Converge runs\n"), "{markdown}");
    for acting in ["<script", "![x](", "@all"] {
        assert!(!markdown.replace("\\<", "").contains(acting), "{acting}:\n{markdown}");
    }
    let page = told("html");
    assert!(page.contains("<h2>Converge runs</h2>") && page.contains("All 2 runs"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"));
}

#[tokio::test]
async fn a_report_of_all_loops_tells_of_each_that_ran() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    store_converge_records(&file).await;
    let (_, text, _) = report(folder.path(), &[]);
    assert!(text.starts_with("2 runs on branches ended from ") && !text.contains(" of jobs "), "{text}");
    let (_, page, _) = report(folder.path(), &["--format", "html"]);
    assert!(page.contains("<h2>Converge runs</h2>") && !page.contains("<h2>Reviews</h2>"));

    store_sync_records(&file).await;
    let (_, all, _) = report(folder.path(), &["--since", "120d", "--format", "json"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["totals"]["runs"], RUNS + 2);
    assert_eq!((&all["sync"]["runs"], &all["converge"]["runs"]), (&RUNS.into(), &2.into()));
    let ended: Vec<&str> = all["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| outcome["ended"].as_str().unwrap())
        .collect();
    assert!(ended.is_sorted_by(|newer, older| newer >= older), "newest first: {ended:?}");
    for of in ["review", "sync"] {
        let (_, one, _) = report(folder.path(), &["--since", "120d", "--loop", of, "--format", "json"]);
        let one: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(one.get("converge"), None, "{of}");
    }
}

#[tokio::test]
async fn a_damaged_record_of_a_review_is_named_and_hides_no_other() {
    use truing_core::outcome;
    use truing_core::port::{ComputedReview, PullRevision};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    let store = Store::open(&file, Arc::new(SystemClock)).unwrap();
    let now = store.now().await.unwrap();
    let sha = Sha::parse(&"a".repeat(40)).unwrap();
    let revision = PullRevision { head: sha.clone(), base: sha };
    for number in 1..=2 {
        let key = SlotKey::new(format!("local/{number}"));
        let run = RunReference { id: RunId::new(format!("v{number}")), key, token: FencingToken(number) };
        store.begin_run(&run, &revision, now).await.unwrap();
        let (kind, runtime) = (outcome::ReviewOutcomeKind::Reviewed, outcome::ReviewRuntime::Rules);
        let ended = outcome::ReviewOutcome { kind, reason: None, next_attempt_at: None, runtime };
        let detail = outcome::ReviewDetail::new(None, revision.base.clone(), ended);
        let outcome = outcome::ReviewRecord::new(run.id.clone(), run.key.clone(), detail, now);
        let producer = truing_core::publish::CommentProducer::Review;
        let computed = ComputedReview {
            producer,
            findings: vec![],
            desired_comments: vec![],
            status: None,
            record: outcome.clone(),
        };
        store.store_computed_review(&run, &computed).await.unwrap();
        store.mark_published(&run, &outcome).await.unwrap();
    }
    drop(store);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute("UPDATE run SET record = '{broken' WHERE id = 'v1'", []).unwrap();
    for format in ["text", "json", "csv", "markdown", "html"] {
        let (exit, out, err) = report(folder.path(), &["--loop", "review", "--format", format]);
        assert_eq!((exit, err.matches("the record of run v1").count()), (0, 1), "{format}: {out} {err}");
    }
    let (_, text, _) = report(folder.path(), &[]);
    assert!(text.starts_with("1 local review ended from "), "{text}");
}
