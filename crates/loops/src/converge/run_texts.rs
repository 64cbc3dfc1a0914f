//! The texts of a run: a line for each audit and each fix, and the report at its end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeAction, ConvergeExit, ConvergeExitKind, ConvergeLogLine, LineOrigin};
use truing_core::finding::{DefectCategory, Finding, FindingStatus, Severity};
use truing_core::id::Sha;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_diff::parse;
use truing_git::{GitError, Mirror};

/// Maximum number of unresolved findings that the report names.
const MAX_NAMED_FINDINGS: usize = 20;
/// Maximum number of characters of a title.
const MAX_TITLE_CHARS: usize = 120;
/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 600;
/// Maximum number of characters of the name of the branch or pull request.
const MAX_BRANCH_NAME_CHARS: usize = 200;
/// Number of digits of an abbreviated commit id, as in git.
const SHORT_SHA_DIGITS: usize = 7;

/// The size of a commit's changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommitStat {
    files: usize,
    added: u32,
    deleted: u32,
}

impl std::fmt::Display for CommitStat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, +{}/-{}", format_count(self.files, "file"), self.added, self.deleted)
    }
}

pub use truing_core::line::format_count;

/// Counts the differences between two commits.
///
/// # Errors
/// [`GitError`]
#[truing_core::boxed_future]
pub async fn commit_stat(mirror: &Mirror, from: &Sha, to: &Sha) -> Result<CommitStat, GitError> {
    if from == to {
        return Ok(CommitStat::default());
    }
    let diff = mirror.diff(from, to).await?;
    let mut stat = CommitStat::default();
    for file in parse(&diff).files {
        stat.files += 1;
        stat.added = stat.added.saturating_add(file.added_lines);
        stat.deleted = stat.deleted.saturating_add(file.deleted_lines);
    }
    Ok(stat)
}

/// Returns the abbreviated id of a commit.
pub fn short_sha(sha: &Sha) -> &str {
    sha.as_str().get(..SHORT_SHA_DIGITS).unwrap_or(sha.as_str())
}

/// Describes the plan of a run, before the run spends money. `max_cost` is the maximum cost of the run.
pub fn describe_plan(record: &ConvergeRecord, max_cost: MicroUsd) -> Vec<String> {
    let state = &record.detail.state;
    let (head, base) = (short_sha(&state.head), short_sha(&record.detail.base));
    let audits = format_count(state.limits.max_audits, "audit");
    vec![
        format!("{}: head {head}, base {base}", line::clean_line(&record.detail.name, MAX_BRANCH_NAME_CHARS)),
        format!("at most {audits} (converge.max_audits) and {max_cost} (budget.converge_usd)"),
    ]
}

/// Renders the notice that a stuck run retries its fix without a new audit, because there is neither a new
/// commit nor a new dismissal.
pub fn render_stuck_notice(record: &ConvergeRecord) -> String {
    let reason = record.detail.state.exit.as_ref().map_or("", |exit| exit.reason.as_str());
    format!(
        "run {} got stuck here ({}). Nothing has changed since, so Truing retries the fix of the open \
         findings, without another audit. A new commit or dismissal leads to a new audit.",
        record.run,
        line::clean_line(reason, MAX_REASON_CHARS)
    )
}

/// Describes an act that begins and may take minutes. Returns `None` for a fast act, and for an act of which
/// people need only the result.
pub fn describe_action_start(record: &ConvergeRecord, action: &ConvergeAction) -> Option<String> {
    let state = &record.detail.state;
    let head = short_sha(&state.head);
    Some(match action {
        ConvergeAction::Audit { auditors, attempt: _ } => match auditors.len() {
            1 => format!("Auditing {head} …"),
            many => format!("Auditing {head} with {many} auditors …"),
        },
        ConvergeAction::Mend { .. } => format!("Fixing the gate's findings at {head} …"),
        ConvergeAction::Fix { problems } if problems.is_empty() => {
            format!("Fixing {} …", format_count(state.findings.len(), "finding"))
        }
        ConvergeAction::Fix { problems } => {
            format!("Correcting the fix: {} …", format_count(problems.len(), "problem"))
        }
        ConvergeAction::Check => "Checking the fix …".to_owned(),
        ConvergeAction::Gate | ConvergeAction::Post | ConvergeAction::Publish | ConvergeAction::Reply => {
            return None;
        }
    })
}

/// Formats the lines of a run's log, starting with the line at index `first_line_index`, for display during
/// the run.
///
/// # Errors
/// [`GitError`]
#[truing_core::boxed_future]
pub async fn render_progress(
    mirror: &Mirror,
    record: &ConvergeRecord,
    first_line_index: usize,
) -> Result<Vec<String>, GitError> {
    let mut lines = Vec::new();
    for (line, changed) in log_lines_with_stats(mirror, record, first_line_index).await? {
        lines.push(match line {
            ConvergeLogLine::Audit { number, counts: [a, b, c], silent_auditors: silent } => {
                let end = if a + b + c + silent == 0 { " → clean" } else { "" };
                format!("Loop {number} audit: {a}P0 / {b}P1 / {c}P2{end}{}", degraded_suffix(*silent))
            }
            ConvergeLogLine::Feedback { number: _, counts: [a, b, c] } => {
                format!("Other reviewers found {a}P0 / {b}P1 / {c}P2")
            }
            ConvergeLogLine::Fix { number, commit, fixed, declined } => {
                format!("Loop {number} fix: {}", describe_fix(commit.as_ref(), changed, *fixed, *declined))
            }
            ConvergeLogLine::GateFix { commit } => {
                let number = record.detail.state.audit_count.saturating_add(1);
                format!("Loop {number} gate: commit {} ({changed})", short_sha(commit))
            }
            ConvergeLogLine::HeadChange { head } => format!("The branch has moved to {}", short_sha(head)),
        });
    }
    Ok(lines)
}

fn degraded_suffix(silent_auditor_count: u32) -> String {
    match silent_auditor_count {
        0 => String::new(),
        many => format!(" (degraded: {} gave no valid answer)", format_count(many, "auditor")),
    }
}

fn describe_fix(commit: Option<&Sha>, commit_stat: CommitStat, fixed: u32, declined: u32) -> String {
    match (commit, fixed, declined) {
        (Some(commit), _, 0) => format!("commit {} ({commit_stat})", short_sha(commit)),
        (Some(commit), ..) => {
            format!("commit {} ({commit_stat}) — {fixed} fixed, {declined} declined", short_sha(commit))
        }
        (None, _, 0) => "the fixer changed nothing: 0 fixed, 0 declined".to_owned(),
        (None, ..) => "the fixer changed nothing and declined the remaining findings".to_owned(),
    }
}

/// Returns lines of the log, each with the size of its commit's changes.
async fn log_lines_with_stats<'a>(
    mirror: &Mirror,
    record: &'a ConvergeRecord,
    first_line_index: usize,
) -> Result<Vec<(&'a ConvergeLogLine, CommitStat)>, GitError> {
    let (mut head, mut lines) = (&record.detail.state.starting_head, Vec::new());
    for (at, line) in record.detail.state.log.iter().enumerate() {
        let next = match line {
            ConvergeLogLine::Fix { commit, .. } => commit.as_ref(),
            ConvergeLogLine::GateFix { commit } => Some(commit),
            ConvergeLogLine::HeadChange { head } => {
                // Other people's changes are not counted.
                Some(head)
            }
            ConvergeLogLine::Audit { .. } | ConvergeLogLine::Feedback { .. } => None,
        };
        let mut changed = CommitStat::default();
        if let Some(next) = next {
            if at >= first_line_index && !matches!(line, ConvergeLogLine::HeadChange { .. }) {
                changed = commit_stat(mirror, head, next).await?;
            }
            head = next;
        }
        if at >= first_line_index {
            lines.push((line, changed));
        }
    }
    Ok(lines)
}

/// Returns the unfixed findings of the newest audit, and the findings that fixers declined. A finding that a
/// fix claims to resolve, but that no audit has checked since, normally counts as unfixed. The finding counts
/// as fixed if the run has converged, or if the configuration planned no audit after the last fix
/// (`converge.final_fix`).
pub fn remaining_findings(record: &ConvergeRecord) -> (Vec<&Finding>, Vec<&Finding>) {
    let state = &record.detail.state;
    let now = |finding: &Finding| {
        let known = state.history.findings().iter().find(|known| known.id == finding.id);
        known.map_or(&FindingStatus::Open, |known| &known.status).clone()
    };
    let believes = |exit: &ConvergeExit| {
        matches!(exit.kind(), ConvergeExitKind::Converged | ConvergeExitKind::CapReached)
    };
    let is_believed = state.exit.as_ref().is_some_and(believes);
    let open = state.findings.iter().filter(|finding| match now(finding) {
        FindingStatus::Open | FindingStatus::OutOfScope => true,
        FindingStatus::Claimed => !is_believed,
        FindingStatus::Dismissed(_)
        | FindingStatus::Fixed(_)
        | FindingStatus::Suppressed(_)
        | FindingStatus::Declined(_) => false,
    });
    (open.collect(), state.history.declined_findings().collect())
}

/// Returns the origin of a finding's lines; none if the lines are from the change itself.
pub fn line_origin(record: &ConvergeRecord, finding: &Finding) -> Option<&'static str> {
    match record.detail.state.history.origin(&finding.id)? {
        LineOrigin::PreExisting => Some("pre-existing"),
        LineOrigin::Fix => Some("from a fix"),
        LineOrigin::Change => None,
    }
}

/// Renders the report at the end of a run.
///
/// # Errors
/// [`GitError`]
#[truing_core::boxed_future]
pub async fn render_report(mirror: &Mirror, record: &ConvergeRecord) -> Result<String, GitError> {
    let state = &record.detail.state;
    let kind = state.exit.as_ref().map_or("unfinished", |exit| exit.kind().as_str());
    let reason = state.exit.as_ref().map(|exit| exit.reason.as_str()).unwrap_or_default();
    let net = commit_stat(mirror, &state.starting_head, &state.head).await?;
    let mut text = format!("converge: {kind}\n");
    let _ = writeln!(text, "Reason: {}", line::clean_line(reason, MAX_REASON_CHARS));
    let _ = writeln!(text, "Loops: {}", count_audits(record));
    let _ = writeln!(text, "Starting commit: {}", short_sha(&state.starting_head));
    let _ = writeln!(text, "Final commit: {}", short_sha(&state.head));
    let _ = writeln!(text, "Net change: {net}");
    let _ = writeln!(text, "Cost: {}", record.cost_text());
    text += "\nLoop log:\n";
    for (line, changed) in log_lines_with_stats(mirror, record, 0).await? {
        let line = match line {
            ConvergeLogLine::Audit { number, counts: [a, b, c], silent_auditors: silent } => {
                format!("{number} audit: {a}P0 {b}P1 {c}P2{}", degraded_suffix(*silent))
            }
            ConvergeLogLine::Feedback { number, counts: [a, b, c] } => {
                format!("{number} others: {a}P0 {b}P1 {c}P2")
            }
            ConvergeLogLine::Fix { number, commit, fixed, declined } => {
                format!("{number} fix: {}", describe_fix(commit.as_ref(), changed, *fixed, *declined))
            }
            ConvergeLogLine::GateFix { commit } => format!("gate: commit {} ({changed})", short_sha(commit)),
            ConvergeLogLine::HeadChange { head } => format!("moved: {}", short_sha(head)),
        };
        let _ = writeln!(text, "{line}");
    }
    text += &render_exit_details(record);
    Ok(text)
}

/// Counts the completed audits.
fn count_audits(record: &ConvergeRecord) -> usize {
    record.detail.state.log.iter().filter(|line| matches!(line, ConvergeLogLine::Audit { .. })).count()
}

/// Renders the part of the report that depends on the run's end.
fn render_exit_details(record: &ConvergeRecord) -> String {
    let state = &record.detail.state;
    let (open, declined) = remaining_findings(record);
    let mut text = String::new();
    let is_left = !(open.is_empty() && declined.is_empty());
    if is_left && state.exit.as_ref().is_some_and(|exit| exit.kind() == ConvergeExitKind::CapReached) {
        let of = |severity| {
            open.iter().chain(&declined).filter(|finding| finding.raw.severity == severity).count()
        };
        let [a, b, c] = Severity::ALL.map(of);
        let _ = writeln!(text, "\nRemaining: {a}P0 / {b}P1 / {c}P2, listed below");
    }
    let unresolved: Vec<&Finding> = open.into_iter().chain(declined).collect();
    if !unresolved.is_empty() {
        let _ = writeln!(text, "\nUnresolved findings ({}):", unresolved.len());
        for finding in unresolved.iter().take(MAX_NAMED_FINDINGS) {
            let raw = &finding.raw;
            let reason = match &finding.status {
                FindingStatus::Declined(reason) => {
                    format!("; declined: {}", line::clean_line(reason, MAX_TITLE_CHARS))
                }
                FindingStatus::Open
                | FindingStatus::Claimed
                | FindingStatus::Fixed(_)
                | FindingStatus::OutOfScope
                | FindingStatus::Suppressed(_)
                | FindingStatus::Dismissed(_) => String::new(),
            };
            let origin = line_origin(record, finding).map(|words| format!("; {words}")).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {}:{} ({} {}{origin}{reason})",
                line::visible_line(&raw.location.path.to_string()),
                raw.location.start_line,
                raw.severity.as_str(),
                line::clean_line(&raw.title, MAX_TITLE_CHARS),
            );
        }
        if let Some(more @ 1..) = unresolved.len().checked_sub(MAX_NAMED_FINDINGS) {
            let _ = writeln!(text, "  and {more} more: `--format json` shows all findings");
        }
    }
    if let left_out @ 1.. = state.history.dismissed_findings().count() {
        let _ =
            writeln!(text, "\nNot listed: {} that a person has dismissed", format_count(left_out, "finding"));
    }
    text += &render_evidence(record);
    if let denied @ 1.. = record.denied_tool_calls() {
        let calls = format_count(denied as usize, "call");
        let _ = writeln!(
            text,
            "\nDenied by the policy for agents: {calls} of tools (`truing policy show` \
                prints the policy)"
        );
    }
    for warning in &record.detail.warnings {
        let _ = writeln!(text, "warning: {}", line::clean_line(warning, 3 * MAX_TITLE_CHARS));
    }
    text
}

/// Summarises the evidence of the last audit that cleared the change.
fn render_evidence(record: &ConvergeRecord) -> String {
    let Some(last) = record.detail.absences.iter().map(|absence| absence.r#loop).max() else {
        return String::new();
    };
    let of_last = || record.detail.absences.iter().filter(|absence| absence.r#loop == last);
    let categories: BTreeSet<DefectCategory> = of_last().map(|absence| absence.category).collect();
    let probes: usize = of_last().map(|absence| absence.probes.len()).sum();
    format!(
        "\nEvidence: audit {last} cleared {} with {}; `--format json` shows the evidence\n",
        format_count(categories.len(), "category"),
        format_count(probes, "probe"),
    )
}
