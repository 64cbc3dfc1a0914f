//! Tests of the store with real files and servers. They compare slots with a model, and cover the fence of
//! the records, crashes, other processes, and files that cannot be opened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly; helpers too")]
#![allow(clippy::duplicate_mod, reason = "each engine passes the same suite")]

mod apart;
mod backup;
mod common;
mod crash;
mod file;
mod insight;
mod opening;
mod pgbouncer;
mod postgres;
mod readiness;
mod sentinel;
mod server;
mod tls;
mod transfer;
mod valkey;
mod week;

#[path = "suite.rs"]
mod on_servers;
#[path = "suite.rs"]
mod on_sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use self::postgres::Server;
use self::valkey::SlotServer;
use tempfile::TempDir;
use truing_core::code_digest::CodeDigests;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity, fingerprint,
};
use truing_core::id::{FencingToken, FindingId, RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    ReviewCoverage, ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime, ReviewStep,
};
use truing_core::port::{Clock, ComputedReview, PullRevision, RunReference};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment, DesiredStatus, StatusState};
use truing_core::run::{RunStage, StepCost};
use truing_store::Store;

/// A wall clock that shows the time that a test has set.
struct ManualWallClock(AtomicI64);

impl ManualWallClock {
    fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(millis)))
    }

    fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for ManualWallClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// An arbitrary instant: 1 000 000 s after 1970.
const NOW: i64 = 1_000_000_000;

fn open(path: &Path) -> Store {
    Store::open(path, ManualWallClock::at(NOW)).unwrap()
}

/// Creates a store with a file in a new temporary folder.
fn new_file() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("truing.db"));
    (folder, store)
}

/// The location of a store.
enum Home {
    File(TempDir),
    /// A file in a folder that the caller deletes.
    Path(PathBuf),
    /// A database on each of the two servers.
    Servers {
        slots: u32,
        records: String,
    },
}

impl Home {
    /// Returns the location of a new store of the engine that the suite tests.
    fn for_suite(suite: &str) -> Self {
        if suite.contains("on_servers") {
            let (slots, records) = (SlotServer::new_database(), Server::shared_server().new_database());
            return Self::Servers { slots, records };
        }
        Self::File(tempfile::tempdir().unwrap())
    }

    /// Returns the path of the file, or `None` for a store on servers.
    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(folder) => Some(folder.path().join("truing.db")),
            Self::Path(path) => Some(path.clone()),
            Self::Servers { .. } => None,
        }
    }

    /// Opens the store, as another process would.
    async fn open(&self) -> Store {
        self.open_at(ManualWallClock::at(NOW)).await
    }

    async fn open_at(&self, clock: Arc<ManualWallClock>) -> Store {
        match self {
            Self::Servers { slots, records } => {
                let (slots, records) =
                    (SlotServer::shared_server().url(*slots), Server::shared_server().url(records));
                Store::connect(&slots, &records, Some(clock)).await.unwrap()
            }
            Self::File(_) | Self::Path(_) => Store::open(&self.file().unwrap(), clock).unwrap(),
        }
    }

    /// Executes statements directly on the database, without the store. Returns the rows of the last
    /// statement, each with its columns joined by `|`, or the error.
    fn run_sql(&self, sql: &str) -> Result<Vec<String>, String> {
        if let Self::Servers { records, .. } = self {
            let (said, done) = Server::shared_server().psql(records, &[sql]);
            return if done { Ok(said.lines().map(str::to_owned).collect()) } else { Err(said) };
        }
        let other = rusqlite::Connection::open(self.file().unwrap()).unwrap();
        if sql.starts_with("SELECT") {
            return Ok(lines(&other, sql));
        }
        other.execute_batch(sql).map(|()| Vec::new()).map_err(|error| error.to_string())
    }

    fn change_rows(&self, sql: &str) {
        self.run_sql(sql).unwrap();
    }

    fn refused_sql(&self, sql: &str) -> String {
        self.run_sql(sql).unwrap_err()
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.run_sql(sql).unwrap()
    }

    /// Returns every row of every table, except the clock.
    fn dump(&self) -> Vec<String> {
        let tables = match self.file() {
            Some(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('store', \
                 'sqlite_sequence')"
            }
            None => "SELECT tablename FROM pg_tables WHERE schemaname = 'truing' AND tablename <> 'store'",
        };
        let tables = self.rows(tables);
        assert!(tables.iter().any(|table| table == "run"), "{tables:?}");
        let mut rows: Vec<String> = Vec::new();
        for table in tables {
            let found = self.rows(&format!("SELECT * FROM {table}"));
            rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
        }
        rows.sort();
        rows
    }
}

/// Returns every row of every table of a file, except the clock.
fn dump(path: &Path) -> Vec<String> {
    Home::Path(path.to_owned()).dump()
}

fn lines(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut select = connection.prepare(sql).unwrap();
    let columns = select.column_count();
    let mut found = select.query([]).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = found.next().unwrap() {
        let value = |column| match row.get::<_, rusqlite::types::Value>(column).unwrap() {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other @ (rusqlite::types::Value::Real(_) | rusqlite::types::Value::Blob(_)) => {
                format!("{other:?}")
            }
        };
        rows.push((0..columns).map(value).collect::<Vec<_>>().join("|"));
    }
    rows
}

fn sha(digit: char) -> Sha {
    Sha::parse(&digit.to_string().repeat(40)).unwrap()
}

fn revision(head: char) -> PullRevision {
    PullRevision { head: sha(head), base: sha('b') }
}

fn key() -> SlotKey {
    SlotKey::new("pr/github/1/7")
}

fn run(token: u64) -> RunReference {
    RunReference { id: RunId::new(format!("run-{token}")), key: key(), token: FencingToken(token) }
}

fn outcome(kind: ReviewOutcomeKind) -> ReviewOutcome {
    ReviewOutcome { kind, reason: None, next_attempt_at: None, runtime: ReviewRuntime::Rules }
}

fn record(run: &RunReference, head: char) -> ReviewRecord {
    let mut detail = ReviewDetail::new(Some(sha(head)), sha('b'), outcome(ReviewOutcomeKind::Reviewed));
    detail.open_finding_counts = vec![(Severity::P1, 2)];
    detail.coverage = ReviewCoverage {
        reviewed: vec!["a.rs".into()],
        not_reviewed: Vec::new(),
        ..ReviewCoverage::default()
    };
    let begun = ReviewRecord::new(run.id.clone(), run.key.clone(), detail, UnixMillis(NOW));
    let mut record = begun.with_end_time(UnixMillis(NOW + 5));
    let cost = StepCost { turns: 3, cost_micro_usd: MicroUsd(7), ..StepCost::<()>::default() };
    record.add_step_cost(ReviewStep::Review, &cost);
    record.versions = [("truing".to_owned(), "1".to_owned())].into();
    record
}

/// Returns a record of a run that was published.
fn published(run: &RunReference, head: char) -> ReviewRecord {
    let mut record = record(run, head);
    record.detail.stage = RunStage::Published;
    record
}

fn place(line: u32) -> CodeLocation {
    CodeLocation { path: "a.rs".into(), side: DiffSide::New, start_line: line, end_line: line }
}

fn finding(id: &str) -> Finding {
    Finding {
        id: FindingId::new(id),
        fingerprint: fingerprint("core/x", &"a.rs".into(), id),
        raw: RawFinding {
            location: place(3),
            severity: Severity::P1,
            category: DefectCategory::F,
            rule: "core/x".into(),
            title: "Title".into(),
            body: "Body".into(),
            snippet: id.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Rule,
            specialists: Vec::new(),
        },
        old_path: None,
        anchor: AnchorKind::Inline,
        comment_location: place(3),
        status: FindingStatus::Open,
        surrounding_lines: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

fn item(id: &str) -> CommentSubject {
    CommentSubject::from_word(id)
}

/// Returns a desired comment on this line of `a.rs`.
fn row(id: &str, line: u32) -> DesiredComment {
    DesiredComment {
        subject: item(id),
        location: Some((AnchorKind::Inline, place(line))),
        body: format!("body of {id}"),
        suggestion: None,
        falls_back_to_code_block: false,
        resolved: false,
        retraction: None,
        comment: None,
    }
}

fn summary(body: &str) -> DesiredComment {
    DesiredComment::for_summary(body.into())
}

fn status(head: char) -> DesiredStatus {
    DesiredStatus {
        sha: sha(head),
        state: StatusState::Failure,
        description: "2 findings".into(),
        check: Default::default(),
    }
}

fn computed(run: &RunReference, head: char, desired: Vec<DesiredComment>) -> ComputedReview {
    ComputedReview {
        producer: CommentProducer::Review,
        findings: vec![finding("f2"), finding("f1")],
        desired_comments: desired,
        status: Some(status(head)),
        record: record(run, head),
    }
}
