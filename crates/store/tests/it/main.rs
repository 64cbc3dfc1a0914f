//! The store against real files: slots against a model, records against their fence, crashes and other
//! processes, and every file that cannot be opened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly; helpers too")]

mod backup;
mod converges;
mod crash;
mod desired;
mod effects;
mod former;
mod history;
mod insight;
mod jobs;
mod ledger;
mod marks;
mod money;
mod opening;
mod operations;
mod records;
mod report;
mod slots;
mod watchlist;
mod week;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use truing_core::finding::{
    AnchorKind, Category, Finding, FindingStatus, Place, RawFinding, Severity, Side, Source, fingerprint,
};
use truing_core::id::{FindingId, Key, Millis, RunId, Sha, Token};
use truing_core::money::MicroUsd;
use truing_core::outcome::{Coverage, Outcome, OutcomeKind, ReviewDetail, ReviewRecord, Runtime, Step};
use truing_core::port::{Clock, Computed, Revision, RunRef};
use truing_core::publish::{Desired, DesiredStatus, Item, Producer, StatusState};
use truing_core::run::{Stage, StepCost};
use truing_store::Sqlite;

/// A wall clock that stands where it was put.
struct Hand(AtomicI64);

impl Hand {
    fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(millis)))
    }

    fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

/// 1 000 000 s after 1970, as good as any.
const NOW: i64 = 1_000_000_000;

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, Hand::at(NOW)).unwrap()
}

/// A new store in a folder of its own.
fn new_store() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("truing.db"));
    (folder, store)
}

/// Gives a file of this version the tables that an earlier one had for runs and, before 10, for intents.
fn former_tables(version: u32) -> String {
    let part = |text: &str, from: &str, to: &str| {
        let (_, text) = text.split_once(from).unwrap();
        let (text, _) = text.split_once(to).unwrap();
        text.split_at(text.find("CREATE TABLE").unwrap()).1.to_owned()
    };
    let first = include_str!("../../migrations/0001.sql");
    let runs = part(first, "-- Runs.", "CREATE TABLE finding");
    let mut sql = format!(
        "ALTER TABLE run RENAME TO later_run; DROP INDEX run_published; DROP INDEX run_ended; {runs}
         INSERT INTO run (key, token, id, stage, head, base, began)
         SELECT key, token, id, stage, head, base, began FROM later_run WHERE loop = 'review';
         DROP TABLE later_run;"
    );
    if version >= 2 {
        sql += "ALTER TABLE run ADD COLUMN ended INTEGER;
                CREATE INDEX run_ended ON run (ended) WHERE ended IS NOT NULL;";
    }
    if version >= 7 {
        sql += &part(
            include_str!("../../migrations/0007.sql"),
            "-- What each run came to",
            "-- Labels that ask",
        );
    }
    if version < 10 {
        sql += &part(first, "-- Creating calls.", "-- The status that");
    }
    sql
}

/// Every row of every table, except the clock.
fn dump(store: &Sqlite) -> Vec<String> {
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.iter().any(|table| table == "run"), "{tables:?}");
    let mut rows = Vec::new();
    for table in tables.iter().filter(|table| *table != "store") {
        let mut select = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = select.column_count();
        let mut found = select.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let values: Vec<String> =
                (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
            rows.push(format!("{table}: {}", values.join(" ")));
        }
    }
    rows
}

fn sha(digit: char) -> Sha {
    Sha::parse(&digit.to_string().repeat(40)).unwrap()
}

fn revision(head: char) -> Revision {
    Revision { head: sha(head), base: sha('b') }
}

fn key() -> Key {
    Key::new("pr/github/1/7")
}

fn run(token: u64) -> RunRef {
    RunRef { id: RunId::new(format!("run-{token}")), key: key(), token: Token(token) }
}

fn outcome(kind: OutcomeKind) -> Outcome {
    Outcome { kind, reason: None, until: None, runtime: Runtime::Rules }
}

fn record(run: &RunRef, head: char) -> ReviewRecord {
    let mut detail = ReviewDetail::new(Some(sha(head)), sha('b'), outcome(OutcomeKind::Reviewed));
    detail.open = vec![(Severity::P1, 2)];
    detail.coverage = Coverage { reviewed: vec!["a.rs".into()], not_reviewed: Vec::new() };
    let begun = ReviewRecord::begin(run.id.clone(), run.key.clone(), detail, Millis(NOW));
    let mut record = begun.ended_at(Millis(NOW + 5));
    let cost = StepCost { turns: 3, cost_micro_usd: MicroUsd(7), ..StepCost::<()>::default() };
    record.took(Step::Review, &cost);
    record.versions = [("truing".to_owned(), "1".to_owned())].into();
    record
}

/// The same as a run that has published it leaves it.
fn published(run: &RunRef, head: char) -> ReviewRecord {
    let mut record = record(run, head);
    record.detail.stage = Stage::Published;
    record
}

fn place(line: u32) -> Place {
    Place { path: "a.rs".into(), side: Side::New, start_line: line, end_line: line }
}

fn finding(id: &str) -> Finding {
    Finding {
        id: FindingId::new(id),
        fingerprint: fingerprint("core/x", &"a.rs".into(), id),
        raw: RawFinding {
            place: place(3),
            severity: Severity::P1,
            category: Category::F,
            rule: "core/x".into(),
            title: "Title".into(),
            body: "Body".into(),
            snippet: id.into(),
            suggestion: None,
            source: Source::Rule,
        },
        old_path: None,
        anchor: AnchorKind::Inline,
        at: place(3),
        status: FindingStatus::Open,
        around: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

fn item(id: &str) -> Item {
    Item::from_word(id)
}

/// A row on a line of `a.rs`.
fn row(id: &str, line: u32) -> Desired {
    Desired {
        item: item(id),
        place: Some((AnchorKind::Inline, place(line))),
        body: format!("body of {id}"),
        suggestion: None,
        resolved: false,
        comment: None,
    }
}

fn summary(body: &str) -> Desired {
    Desired::summary(body.into())
}

fn status(head: char) -> DesiredStatus {
    DesiredStatus {
        sha: sha(head),
        state: StatusState::Failure,
        description: "2 findings".into(),
        check: Default::default(),
    }
}

fn computed(run: &RunRef, head: char, desired: Vec<Desired>) -> Computed {
    Computed {
        producer: Producer::Review,
        findings: vec![finding("f2"), finding("f1")],
        desired,
        status: Some(status(head)),
        outcome: record(run, head),
    }
}
