//! Creates the bodies of rows in the format in which the program writes them. The bodies are serialized from
//! types of `truing_core`, so a change of these types also changes the measured data. They contain marks in
//! place of the values that differ from row to row.

use anyhow::{Context, Result};
use serde::Serialize;
use truing_core::code_digest::CodeDigests;
use truing_core::converge::record::ConvergeRecord as Converge;
use truing_core::converge::{ConvergeExit, ConvergeExitCode};
use truing_core::dismissal::Dismissal;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity,
};
use truing_core::id::{CommentId, FindingId, Fingerprint, RunId, Sha, SlotKey, UnixMillis};
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    ModelReview, ModelReviewDetail, ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord,
    ReviewRuntime,
};
use truing_core::publish::{CheckContent, CommentSubject, DesiredComment, DesiredStatus, StatusState};
use truing_core::run::RunStage;
use truing_core::slot::{LoopKind, Slot, SlotLimits};
use truing_diff::RepoPath;

/// Mark in place of a run's id. The next constants are the marks for the key, the finding's id and the commit
/// ids, which must be valid commit ids.
pub(super) const RUN_ID_PLACEHOLDER: &str = "@RUN";
pub(super) const KEY_PLACEHOLDER: &str = "@KEY";
pub(super) const FINDING_ID_PLACEHOLDER: &str = "@FINDING";
pub(super) const HEAD_SHA_PLACEHOLDER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(super) const BASE_SHA_PLACEHOLDER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// Mark in place of a start time; the next constant is the mark for an end time. Both have as many digits as
/// current times.
pub(super) const START_MS_PLACEHOLDER: i64 = 1_111_111_111_111;
pub(super) const END_MS_PLACEHOLDER: i64 = 1_222_222_222_222;
/// Cost of each review in micro-dollars.
pub(super) const REVIEW_COST_MICRO_USD: u64 = 41_250;
/// Duration of each review in milliseconds.
pub(super) const REVIEW_DURATION_MS: i64 = 62_000;

/// The bodies of rows, each with its marks.
pub(super) struct RowTexts {
    pub(super) review: String,
    pub(super) converge: String,
    /// The run's outcome, which has its own column. The next field is the run's reason, which also has its
    /// own column.
    pub(super) converge_kind: String,
    pub(super) converge_reason: String,
    pub(super) finding: String,
    pub(super) summary: String,
    pub(super) inline_comment: String,
    pub(super) status: String,
    pub(super) dismissal: String,
    pub(super) slot: String,
}

/// Builds the bodies of all kinds of rows.
pub(super) fn build_row_texts() -> Result<RowTexts> {
    let (head, base) = (Sha::parse(HEAD_SHA_PLACEHOLDER)?, Sha::parse(BASE_SHA_PLACEHOLDER)?);
    let converge = sample_converge();
    Ok(RowTexts {
        review: json(&sample_review(&head, &base))?,
        converge_kind: converge.run_outcome().context("a run of converge has ended")?.as_str().to_owned(),
        converge_reason: converge.reason().unwrap_or_default().to_owned(),
        converge: json(&converge)?,
        finding: json(&sample_finding())?,
        summary: json(&DesiredComment::for_summary(format!(
            "**Truing** reviewed {HEAD_SHA_PLACEHOLDER}.\n\n{}",
            FINDING_TEXT.repeat(3)
        )))?,
        inline_comment: json(&sample_comment())?,
        status: json(&DesiredStatus {
            sha: head,
            state: StatusState::Failure,
            description: "3 findings, 2 of them block".to_owned(),
            check: CheckContent::default(),
        })?,
        dismissal: json(&Dismissal {
            finding: FindingId::new(FINDING_ID_PLACEHOLDER),
            snippet: SNIPPET.to_owned(),
            reason: "wanted here: the caller has the lock".to_owned(),
            dismissed_by: "ada".to_owned(),
            dismissed_at: UnixMillis(END_MS_PLACEHOLDER),
            withdrawn: false,
            finding_snapshot: None,
            retraction: None,
        })?,
        slot: json(
            &Slot::new(SlotKey::new(KEY_PLACEHOLDER))
                .apply_event(LoopKind::Review, &SlotLimits::default(), UnixMillis(START_MS_PLACEHOLDER))
                .slot,
        )?,
    })
}

/// A text with the length of a typical finding's text.
const FINDING_TEXT: &str = "The connection is taken from the pool and not given back when the statement \
    fails, so \
     that each failed request leaves one less. Give it back in `finally`, or hold it in a context. ";
const SNIPPET: &str =
    "    connection = await pool.acquire()\n    row = await connection.fetchrow(statement, key)";
const PATH: &str = "services/payments/storage/accounts.py";

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).context("a row cannot be written")
}

fn sample_location() -> CodeLocation {
    CodeLocation { path: RepoPath::from_text(PATH), side: DiffSide::New, start_line: 117, end_line: 118 }
}

fn sample_finding() -> Finding {
    Finding {
        id: FindingId::new(FINDING_ID_PLACEHOLDER),
        fingerprint: Fingerprint::new(format!(
            "1:{HEAD_SHA_PLACEHOLDER}{}",
            HEAD_SHA_PLACEHOLDER.get(..24).unwrap_or_default()
        )),
        raw: RawFinding {
            location: sample_location(),
            severity: Severity::P1,
            category: DefectCategory::C,
            rule: "agent/resource".to_owned(),
            title: "A connection is not given back when a statement fails".to_owned(),
            body: FINDING_TEXT.to_owned(),
            snippet: SNIPPET.to_owned(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Agent,
            specialists: Vec::new(),
        },
        old_path: None,
        anchor: AnchorKind::Inline,
        comment_location: sample_location(),
        status: FindingStatus::Open,
        surrounding_lines: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

fn sample_comment() -> DesiredComment {
    DesiredComment {
        subject: CommentSubject::Finding(FindingId::new(FINDING_ID_PLACEHOLDER)),
        location: Some((AnchorKind::Inline, sample_location())),
        body: format!("**P1** A connection is not given back when a statement fails\n\n{FINDING_TEXT}"),
        suggestion: None,
        falls_back_to_code_block: false,
        resolved: false,
        retraction: None,
        comment: Some(CommentId::new("3000000000")),
    }
}

fn sample_review(head: &Sha, base: &Sha) -> ReviewRecord {
    let outcome = ReviewOutcome {
        kind: ReviewOutcomeKind::Reviewed,
        reason: None,
        next_attempt_at: None,
        runtime: ReviewRuntime::Native,
    };
    let mut detail = ReviewDetail::new(Some(head.clone()), base.clone(), outcome);
    detail.stage = RunStage::Published;
    detail.open_finding_counts = vec![(Severity::P1, 2), (Severity::P2, 1)];
    let files =
        ["storage/accounts.py", "storage/pool.py", "api/routes.py", "api/errors.py", "tests/test_pool.py"];
    let paths = files.iter().map(|file| RepoPath::from_text(&format!("services/payments/{file}")));
    detail.coverage.reviewed = paths.collect();
    let tokens =
        TokenUsage { input: 1200, output: 900, cache_read: 41_000, cache_write_5m: 9000, cache_write_1h: 0 };
    let mut record = ReviewRecord::new(
        RunId::new(RUN_ID_PLACEHOLDER),
        SlotKey::new(KEY_PLACEHOLDER),
        detail,
        UnixMillis(START_MS_PLACEHOLDER),
    );
    record.versions.insert("truing".to_owned(), "0.1.0".to_owned());
    record
        .with_model_review(Some(ModelReview {
            model: "claude-sonnet-4-5".to_owned(),
            prompt_hash: HEAD_SHA_PLACEHOLDER.to_owned(),
            turns: 3,
            covered_cost: MicroUsd(0),
            cost: MicroUsd(REVIEW_COST_MICRO_USD),
            duration_ms: 48_000,
            detail: ModelReviewDetail {
                tokens,
                calls: [("read".to_owned(), 4), ("grep".to_owned(), 2)].into(),
                ..ModelReviewDetail::default()
            },
        }))
        .with_end_time(UnixMillis(END_MS_PLACEHOLDER))
}

fn sample_converge() -> Converge {
    let exit = ConvergeExit::new(ConvergeExitCode::Infrastructure, "the forge gave no answer for 5 minutes");
    let of = (RunId::new(RUN_ID_PLACEHOLDER), SlotKey::new(KEY_PLACEHOLDER));
    Converge::from_early_failure(
        of,
        ("acme/service#7".to_owned(), "pay".to_owned()),
        exit,
        UnixMillis(END_MS_PLACEHOLDER),
    )
}
