//! The result of a converge run, as text and as JSON.

use std::path::Path;

use serde_json::{Value, json};
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit as End, ConvergeExitCode, ConvergeExitKind};
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::Sha;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_git::Mirror;
use truing_loops::converge::local::run_branch;
use truing_loops::converge::run_texts;
use truing_service::report::outcome::audit_counts;

use super::{ConvergeArgs, converge_exit};
use crate::cli::CommandContext;
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::output::shell_quote;
use crate::cli::review::json::finding_json;
use crate::wiring;

/// Maximum characters of a reason.
const MAX_REASON_CHARS: usize = 600;
/// Maximum characters of a reason in the line of a target.
const MAX_LINE_REASON_CHARS: usize = 120;
/// Number of characters of a run's id in the name of a branch.
const SHORT_RUN_ID_CHARS: usize = 8;
/// Maximum bytes of the label that begins a line of the report.
const MAX_LABEL_BYTES: usize = 20;
/// Maximum characters of a branch's name.
const MAX_BRANCH_NAME_CHARS: usize = 72;

/// The result of one target.
pub(super) struct TargetOutcome {
    /// Exit code for scripts.
    pub(super) exit: CommandExit,
    /// Kind of the run's end, as it is shown to people.
    pub(super) kind: ConvergeExitKind,
    /// Cost of the run in micro-dollars.
    pub(super) cost: MicroUsd,
    /// Reason of the end.
    reason: String,
}

impl TargetOutcome {
    /// Returns the end as one line.
    pub(super) fn line(&self, name: &str) -> String {
        let name = line::clean_line(name, MAX_BRANCH_NAME_CHARS);
        let reason = line::clean_line(&self.reason, MAX_LINE_REASON_CHARS);
        format!("{name}: {} ({}): {reason}\n", self.kind.as_str(), self.cost)
    }
}

/// Prints the result of a target: the ended run, or the error that prevented the start of a run. If
/// `includes_target_name` is true, the text contains the name of the target. `folder` is the clone of a run
/// on a local branch. It is `None` for a run at a forge.
pub(super) async fn print_outcome(
    name: Option<&str>,
    folder: Option<&Path>,
    includes_target_name: bool,
    args: &ConvergeArgs,
    result: Result<(ConvergeRecord, Mirror), CliError>,
    context: &CommandContext,
) -> Result<TargetOutcome, CliError> {
    let output = context.output;
    let shown = name.filter(|_| includes_target_name);
    let (record, mirror) = match result {
        Ok(result) => result,
        Err(mut error) => {
            if output.is_json() {
                output.print_json(&unstarted_run_json(name, &output.with_config_hints(&error)))?;
            }
            if let Some(shown) = shown.filter(|shown| !error.message.contains(*shown)) {
                error.message = format!("{shown}: {}", error.message);
            }
            output.print_error_text(&error);
            return Ok(TargetOutcome {
                exit: error.exit,
                kind: unstarted_exit_kind(error.exit),
                cost: MicroUsd(0),
                reason: error.message,
            });
        }
    };
    let is_dry = args.dry_run && record.detail.state.exit.is_none();
    if output.is_json() {
        let mut answer = record_json(&record);
        if is_dry {
            answer["reason"] = json!(DRY_RUN_MESSAGE);
        }
        output.print_json(&answer)?;
    } else if is_dry {
        output.print_data(render_dry_run(&record, &mirror).await?)?;
    } else {
        let title =
            shown.map(|shown| format!("{}\n", line::clean_line(shown, MAX_REASON_CHARS))).unwrap_or_default();
        let end = if includes_target_name { "\n" } else { "" };
        let merge = match folder {
            Some(folder) => merge_advice(&record, folder, context).await,
            None => MergeAdvice::FastForward,
        };
        let next = cap_reached_advice(&record, name, context);
        let text = render_text(&record, &mirror, &merge).await?;
        output.print_data(format_args!("{title}{text}{next}{end}"))?;
    }
    if is_dry {
        return Ok(TargetOutcome {
            exit: CommandExit::Success,
            kind: ConvergeExitKind::Interrupted,
            cost: MicroUsd(0),
            reason: DRY_RUN_MESSAGE.to_owned(),
        });
    }
    print_failure(&record, shown, context);
    let kind = record.detail.state.exit.as_ref().map_or(ConvergeExitKind::Interrupted, End::kind);
    let reason = record.detail.state.exit.as_ref().map(|exit| exit.reason.clone()).unwrap_or_default();
    Ok(TargetOutcome { exit: converge_exit(&record), kind, cost: record.cost(), reason })
}

/// Prints the error and the hint of a run that could not continue.
fn print_failure(record: &ConvergeRecord, target_name: Option<&str>, context: &CommandContext) {
    let Some(exit) = record.detail.state.exit.as_ref().filter(|exit| exit.kind() == ConvergeExitKind::Error)
    else {
        return;
    };
    let reason = line::clean_line(&exit.reason, MAX_REASON_CHARS);
    let whose = target_name.filter(|target_name| !exit.reason.contains(*target_name));
    let whose = whose
        .map(|target_name| format!("{}: ", line::clean_line(target_name, MAX_REASON_CHARS)))
        .unwrap_or_default();
    context.output.print_even_if_quiet(format_args!("error: {whose}{reason}\nhint: {}\n", end_hint(exit)));
}

/// Returns the error of a run that was interrupted before it began.
pub(super) fn interrupted_error() -> CliError {
    CliError::new(
        CommandExit::Interrupted,
        ConvergeExitCode::Interrupted.as_str(),
        "interrupted before it started",
    )
    .hint("nothing was done; run the command again")
}

/// Hint for a model that gave no valid answer.
pub(super) const MODEL_HINT: &str =
    "run the command again, or set another model (`model.name`); the warnings above say what was wrong";

/// Hint for a run or an audit that a check has stopped before anything was paid.
pub(super) const PREFLIGHT_HINT: &str = "see each check: `truing preflight`; then run the command again; \
    `BUGTEAM_PREFLIGHT_SKIP=1` skips these checks";

/// Returns the hint for the end of a run.
fn end_hint(exit: &End) -> &'static str {
    let code = exit.code;
    if exit.is_model_failure() {
        MODEL_HINT
    } else if code == ConvergeExitCode::Budget {
        "raise the limit (`budget.converge_usd`, unless the error names another limit), and run the \
            command again: the run continues where it stopped"
    } else if code == ConvergeExitCode::Gate {
        "see the problems that the gate reports: `truing gate`"
    } else if code == ConvergeExitCode::Preflight {
        PREFLIGHT_HINT
    } else {
        "see what is missing: `truing preflight`; then run the command again: the run continues where it \
            stopped"
    }
}

/// Returns true if the run's branch exists. A separate branch for the run is created only with the first fix.
fn branch_exists(record: &ConvergeRecord) -> bool {
    record.detail.branch != run_branch(&record.run) || !record.detail.state.commits.is_empty()
}

/// Message of a dry run.
const DRY_RUN_MESSAGE: &str = "a dry run: nothing was done";

/// Returns the text of a dry run: the branch, its commits and the size of the change.
async fn render_dry_run(record: &ConvergeRecord, mirror: &Mirror) -> Result<String, CliError> {
    let (state, base) = (&record.detail.state, run_texts::short_sha(&record.detail.base));
    let changed =
        run_texts::commit_stat(mirror, &record.detail.base, &state.head).await.map_err(wiring::git_error)?;
    let name = line::clean_line(&record.detail.name, MAX_BRANCH_NAME_CHARS);
    let (head, most) = (run_texts::short_sha(&state.head), state.limits.max_audits);
    Ok(format!(
        "{DRY_RUN_MESSAGE}\nBranch: {name}\nBase: {base}\nHead: {head}\nChange: {changed}\nAudits: {most} \
            at most\n"
    ))
}

/// The steps by which the user can merge a run's fixes into the branch on which the run began.
pub(super) enum MergeAdvice {
    /// The branch has not moved, or has moved to a commit of the run.
    FastForward,
    /// The branch already contains all fixes.
    AlreadyMerged,
    /// The branch has moved to this commit, which is not part of the run. `audit` is the command that audits
    /// the result of a merge.
    BranchMoved { tip: Sha, audit: String },
}

/// Returns the steps by which the user can merge the fixes into the branch. If the branch cannot be read,
/// returns `FastForward`.
async fn merge_advice(record: &ConvergeRecord, folder: &Path, context: &CommandContext) -> MergeAdvice {
    let (name, head) = (&record.detail.name, &record.detail.state.head);
    let looked = async {
        let repository = wiring::open_git(&context.environment).await.ok()?.open(folder).await.ok()?;
        let tip = repository.branch_tip(name).await.ok()??;
        let common = repository.merge_base(&tip, head).await.ok()?;
        Some(match common {
            Some(common) if common == *head => MergeAdvice::AlreadyMerged,
            Some(common) if common == tip => MergeAdvice::FastForward,
            Some(_) | None => MergeAdvice::BranchMoved { tip, audit: context.output.command_line("audit") },
        })
    };
    looked.await.unwrap_or(MergeAdvice::FastForward)
}

/// Returns the commands that continue a run that reached its limit of audits. Returns an empty text for other
/// ends.
fn cap_reached_advice(record: &ConvergeRecord, name: Option<&str>, context: &CommandContext) -> String {
    let state = &record.detail.state;
    if state.exit.as_ref().is_none_or(|exit| exit.kind() != ConvergeExitKind::CapReached) {
        return String::new();
    }
    let target = name.map(|name| format!(" {}", shell_quote(name))).unwrap_or_default();
    let branch = &record.detail.branch;
    let is_run_branch = *branch == run_branch(&record.run);
    // A further run starts at a pull request's new head, but does not start at the fixes for a local branch.
    let (switch, limit) = match (state.commits.is_empty(), is_run_branch) {
        (true, _) => (String::new(), format!(" --max-audits {}", state.limits.max_audits.saturating_add(1))),
        (false, true) => {
            let id: String = record.run.as_str().chars().take(SHORT_RUN_ID_CHARS).collect();
            (format!("  git switch -c fixes-{id} {branch}\n"), String::new())
        }
        (false, false) => (String::new(), String::new()),
    };
    let command = context.output.command_line(&format!("converge{limit}{target}"));
    format!("\nTo continue:\n{switch}  {command}\n")
}

/// Returns a run as text.
pub(super) async fn render_text(
    record: &ConvergeRecord,
    mirror: &Mirror,
    merge: &MergeAdvice,
) -> Result<String, CliError> {
    let report = run_texts::render_report(mirror, record).await.map_err(wiring::git_error)?;
    let mut text: String = report.lines().map(fold_report_line).collect();
    if record.detail.cost_before_resume > MicroUsd(0) {
        // The line about the money paid now is inserted below the line with the run's total cost.
        let cost = format!("Cost: {}\n", record.cost_text());
        text = text.replacen(
            &cost,
            &format!("{cost}Paid in this call: {}; the rest in earlier calls\n", record.cost_since_resume()),
            1,
        );
    }
    // For a pull request, no advice is printed, because the fixes are already on the pull request's branch.
    if !record.detail.state.commits.is_empty() && record.detail.branch == run_branch(&record.run) {
        let branch = &record.detail.branch;
        let has_converged =
            record.detail.state.exit.as_ref().is_some_and(|exit| exit.kind() == ConvergeExitKind::Converged);
        text += &match (has_converged, merge) {
            (true, MergeAdvice::AlreadyMerged) => format!(
                "\nFixes are on branch {branch}, and are already on {}.\nTo delete the run's branch:\n  \
                git branch -D {branch}\n",
                line::clean_line(&record.detail.name, MAX_BRANCH_NAME_CHARS)
            ),
            (true, MergeAdvice::BranchMoved { tip, audit }) => format!(
                "\nFixes are on branch {branch}.\n{} has moved to {}:\nno audit has covered the fixes and \
                    the newer commits together.\nTo see, merge or discard them, and then to audit the \
                    result:\n  git log -p {}..{branch}\n  git merge {branch}\n  {audit}\n  git branch -D \
                    {branch}\n",
                line::clean_line(&record.detail.name, MAX_BRANCH_NAME_CHARS),
                run_texts::short_sha(tip),
                run_texts::short_sha(&record.detail.state.starting_head)
            ),
            (true, MergeAdvice::FastForward) => format!(
                "\nFixes are on branch {branch}.\nTo see, merge or discard them:\n  git log -p \
                 HEAD..{branch}\n  git merge --ff-only {branch}\n  git branch -D {branch}\n"
            ),
            // The report above this text already lists the open findings.
            (false, _) => format!(
                "\nFixes so far are on branch {branch}.\nNo audit has found this branch clean: do not \
                    merge the branch yet.\nTo see or discard them:\n  git log -p HEAD..{branch}\n  git \
                    branch -D {branch}\n"
            ),
        };
    }
    Ok(text)
}

/// Wraps a line of the report to the terminal's width. Continuation lines begin below the text after the
/// label.
fn fold_report_line(line: &str) -> String {
    let begin = line.find(": ").map_or(0, |at| at + 2);
    let begin = if begin > MAX_LABEL_BYTES { line.len() - line.trim_start().len() } else { begin };
    match line.split_at_checked(begin) {
        Some((label, rest)) => fold_line(label, rest),
        None => format!("{line}\n"),
    }
}

/// Returns a finding as an object, with the origin of its lines, and the reason if it was declined, dismissed
/// or suppressed.
pub(super) fn converge_finding_json(record: &ConvergeRecord, finding: &Finding) -> Value {
    let mut object = json!(finding_json(finding));
    object["origin"] = json!(record.detail.state.history.origin(&finding.id));
    match &finding.status {
        FindingStatus::Declined(why) | FindingStatus::Dismissed(why) | FindingStatus::Suppressed(why) => {
            object["why"] = json!(why);
        }
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope => {}
    }
    object
}

/// Returns a run as a JSON object.
fn record_json(record: &ConvergeRecord) -> Value {
    let state = &record.detail.state;
    let (open, declined) = run_texts::remaining_findings(record);
    let findings = |findings: Vec<&Finding>| -> Vec<Value> {
        findings.into_iter().map(|finding| converge_finding_json(record, finding)).collect()
    };
    json!({
        "pr": record.detail.name,
        "exit": state.exit.as_ref().map(|exit| exit.kind().as_str()),
        "code": state.exit.as_ref().map(|exit| exit.code.as_str()),
        "reason": state.exit.as_ref().map(|exit| exit.reason.as_str()),
        // An audit without an answer is not counted.
        "loops": audit_counts(record).len(),
        "audits": audit_counts(record),
        "commits": state.commits.iter().map(Sha::as_str).collect::<Vec<_>>(),
        "remaining": findings(open),
        "declined": findings(declined),
        "dismissed": findings(state.history.dismissed_findings().collect()),
        "absences": record.detail.absences,
        "unreached": record.detail.unreached,
        "warnings": record.detail.warnings,
        "cost_micro_usd": record.cost(),
        "covered_micro_usd": record.covered_cost(),
        "paid_now_micro_usd": record.cost_since_resume(),
        "denied": record.denied_tool_calls(),
        "run": record.run,
        "branch": branch_exists(record).then_some(&record.detail.branch),
        "base": record.detail.base,
        "starting": state.starting_head,
        "head": state.head,
    })
}

/// Returns the JSON object for a run that was not begun. The object also contains the error fields that every
/// command prints.
pub(super) fn unstarted_run_json(name: Option<&str>, error: &CliError) -> Value {
    let kind = unstarted_exit_kind(error.exit);
    let code =
        if kind == ConvergeExitKind::Error { ConvergeExitCode::Infrastructure.as_str() } else { error.code };
    let mut object = json!(error.to_json());
    let fields = json!({
        "pr": name,
        "exit": kind.as_str(),
        "code": code,
        "reason": error.message,
        "loops": 0,
        "audits": [],
        "commits": [],
        "remaining": [],
        "declined": [],
        "dismissed": [],
        "absences": [],
        "unreached": [],
        "warnings": [],
        "cost_micro_usd": 0,
        "covered_micro_usd": 0,
        "paid_now_micro_usd": 0,
        "denied": 0,
    });
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

/// Returns the kind of end that is reported for a run that was not begun.
fn unstarted_exit_kind(exit: CommandExit) -> ConvergeExitKind {
    match exit {
        CommandExit::Usage | CommandExit::Refusal | CommandExit::Success | CommandExit::NegativeAnswer => {
            ConvergeExitKind::Refused
        }
        CommandExit::Failure | CommandExit::Passthrough(_) => ConvergeExitKind::Error,
        CommandExit::Interrupted => ConvergeExitKind::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use super::fold_report_line;

    #[test]
    fn what_is_too_long_goes_on_below_what_it_began_with() {
        let long = "word ".repeat(20);
        let folded = fold_report_line(&format!("Reason: {}", long.trim()));
        let lines: Vec<&str> = folded.lines().collect();
        assert_eq!(lines.len(), 2, "{folded}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{folded}");
        assert!(lines[0].starts_with("Reason: word") && lines[1].starts_with("        word"), "{folded}");
        let folded = fold_report_line(&format!("  a_long_name/of_a_file.py:3 (P1 It says: {}", long.trim()));
        assert!(folded.lines().all(|line| line.starts_with("  ") && line.chars().count() <= 80), "{folded}");
        assert_eq!(fold_report_line("Loops: 2"), "Loops: 2\n");
        assert_eq!(fold_report_line(""), "\n");
    }
}
