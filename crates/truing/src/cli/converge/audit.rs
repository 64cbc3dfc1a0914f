//! The command `truing audit`: audits a branch or pull requests once, in the same way as the converge loop.
//! The command changes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeAction, ConvergeExitCode, missing_answers_text};
use truing_core::finding::{Finding, Severity};
use truing_core::line;
use truing_core::line::format_count;
use truing_core::money::MicroUsd;
use truing_loops::converge::run_texts::line_origin;

use super::local::PreparedRun;
use super::outcome::{self, MODEL_HINT, PREFLIGHT_HINT, converge_finding_json};
use super::target_run::TargetRun;
use super::targets::{self, ConvergeTarget};
use super::{ConvergeArgs, ConvergeRunArgs, converge_exit, parse_severity, pull, report_refusal};
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::review::text::render_finding;
use crate::cli::{CommandContext, runtime};
use crate::wiring;

/// Maximum characters of a line in the output.
const MAX_LINE_CHARS: usize = 300;
/// Time for an interrupted audit to settle its requests and to record their cost.
const STOP_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// Audit a branch or pull requests once, as `truing converge` does, and change nothing
///
/// For each category, a model reports the defects of the whole change, or evidence that there are none.
/// Nothing is posted. `truing converge` fixes what was found without a second audit of the same commit. An
/// audit costs at most `budget.converge_usd`. Exit codes: 0 if nothing was found, 1 if something was found, 3
/// if the model gave no valid answer.
#[derive(clap::Args, Debug)]
pub struct AuditArgs {
    /// Pull requests (URL of the page, OWNER/NAME#NUMBER, or NUMBER in a clone), or a folder in a repository,
    /// to audit the branch that is checked out there [default: the current folder]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Show only findings of this severity and above; other findings do not cause exit code 1
    #[arg(long, value_name = "SEVERITY", default_value = "P2", value_parser = parse_severity)]
    min_severity: Severity,
}

pub(crate) fn run(args: &AuditArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    args.run_blocking(context).or_else(|error| report_refusal(error, context))
}

/// Runs the audit until it ends or is interrupted.
async fn run_until_interrupted(args: &AuditArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let (stop_sender, stop_receiver) = watch::channel(false);
    let mut work = Box::pin(args.run(stop_receiver, context));
    tokio::select! {
        ended = &mut work => ended,
        heard = runtime::wait_for_stop_signal() => {
            heard?;
            stop_sender.send_replace(true);
            // After an interruption, the audit has a short time to settle its requests and to record their
            // cost.
            tokio::time::timeout(STOP_GRACE_PERIOD, work).await.unwrap_or_else(|_| {
                Err(CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before the audit \
                     finished")
                    .hint("nothing was changed; run the command again"))
            })
        }
    }
}

impl AuditArgs {
    fn run_blocking(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        super::check_not_disabled(context)?;
        let config = context.config(&[])?;
        let runtime = runtime::start()?;
        let traces = wiring::start_telemetry(&config, &context.environment, runtime.handle())?;
        let ended = runtime.block_on(run_until_interrupted(self, context));
        drop(traces);
        ended
    }

    async fn run(
        &self,
        stop_signal: watch::Receiver<bool>,
        context: &CommandContext,
    ) -> Result<CommandExit, CliError> {
        let here = [".".to_owned()];
        let targets = if self.targets.is_empty() { &here[..] } else { &self.targets };
        let mut worst = CommandExit::Success;
        let turn = TargetRun { interrupt: stop_signal.clone(), ..TargetRun::for_single_target(context) };
        for asked in targets::resolve_targets(targets, context).await? {
            if *stop_signal.borrow() {
                return Err(outcome::interrupted_error());
            }
            let record = Box::pin(audit_target(&asked.target?, &turn)).await?;
            worst = worst.max(print_audit(&record, self.min_severity, context)?);
        }
        Ok(worst)
    }
}

async fn audit_target(
    target: &ConvergeTarget,
    target_run: &TargetRun<'_>,
) -> Result<ConvergeRecord, CliError> {
    let context = target_run.context;
    let way = ConvergeRunArgs { max_audits: Some(1), ..ConvergeRunArgs::default() };
    let once = ConvergeArgs { run_args: way, is_audit: true, ..ConvergeArgs::default() };
    match target {
        ConvergeTarget::Pull(target) => {
            let progress = context.output.progress("auditing", None);
            let record = pull::audit_pull(&once, target_run, target).await;
            drop(progress);
            record
        }
        ConvergeTarget::Folder(folder) => {
            let mut ready = PreparedRun::new(&once, target_run, folder).await?;
            let progress = context.output.progress("auditing", None);
            let record = ready.audit_once(target_run).await;
            drop(progress);
            record
        }
    }
}

fn print_audit(
    record: &ConvergeRecord,
    min_severity: Severity,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let failure = audit_failure(record);
    let mut object = audit_json(record, min_severity);
    if let (Some(failure), Some(object)) = (&failure, object.as_object_mut())
        && let Value::Object(error) = json!(context.output.with_config_hints(failure).to_json())
    {
        object.extend(error);
    }
    context.output.print_answer(&object, || render_text(record, min_severity))?;
    if let Some(failure) = &failure {
        context.output.print_error_text(failure);
    }
    Ok(match &failure {
        Some(failure) => failure.exit,
        None if findings_at_least(record, min_severity).next().is_some() => CommandExit::NegativeAnswer,
        None => CommandExit::Success,
    })
}

/// Returns an error if an auditor gave no valid answer.
fn audit_failure(record: &ConvergeRecord) -> Option<CliError> {
    let (code, reason) = match (
        &record.detail.state.exit,
        &record.detail.state.next_action,
        record.detail.state.silent_auditors,
    ) {
        (Some(exit), ..) => (exit.code, line::clean_line(&exit.reason, MAX_LINE_CHARS)),
        (None, ConvergeAction::Post, 0) => return None,
        (None, ConvergeAction::Post, silent) => {
            (ConvergeExitCode::Infrastructure, missing_answers_text(silent))
        }
        (
            None,
            ConvergeAction::Gate
            | ConvergeAction::Mend { .. }
            | ConvergeAction::Audit { .. }
            | ConvergeAction::Fix { .. }
            | ConvergeAction::Check
            | ConvergeAction::Publish
            | ConvergeAction::Reply,
            _,
        ) => (ConvergeExitCode::Infrastructure, "the audit did not finish".to_owned()),
    };
    let is_of_models =
        record.detail.state.exit.as_ref().is_none_or(truing_core::converge::ConvergeExit::is_model_failure);
    let hint = if code == ConvergeExitCode::Closed {
        "specify an open pull request"
    } else if code == ConvergeExitCode::Budget {
        "raise the limit (`budget.converge_usd`, unless the error names another limit), and run the \
            command again"
    } else if code == ConvergeExitCode::Interrupted {
        "nothing was changed; run the command again"
    } else if code == ConvergeExitCode::Preflight {
        PREFLIGHT_HINT
    } else if is_of_models {
        MODEL_HINT
    } else {
        "see what is missing: `truing preflight`; then run the command again"
    };
    let exit = match &record.detail.state.exit {
        // The pull request is closed, so there is nothing to audit. Exit code 1 would wrongly report that the
        // audit found something.
        Some(exit) if exit.code == ConvergeExitCode::Closed => CommandExit::Usage,
        Some(_) => converge_exit(record),
        None => CommandExit::Failure,
    };
    Some(CliError::new(exit, code.as_str(), reason).hint(hint))
}

/// Returns the findings of this severity and above.
fn findings_at_least(record: &ConvergeRecord, min_severity: Severity) -> impl Iterator<Item = &Finding> {
    record.detail.state.findings.iter().filter(move |finding| finding.raw.severity <= min_severity)
}

/// Returns the audit as a JSON object.
fn audit_json(record: &ConvergeRecord, min_severity: Severity) -> Value {
    let [p0, p1, p2] = record.detail.state.severity_counts();
    let findings: Vec<Value> = findings_at_least(record, min_severity)
        .map(|finding| converge_finding_json(record, finding))
        .collect();
    let not_shown = record.detail.state.findings.len() - findings.len();
    let dismissed = record
        .detail
        .state
        .history
        .dismissed_findings()
        .map(|finding| converge_finding_json(record, finding));
    json!({
        "schema": "truing.audit/1",
        "pr": record.detail.name,
        "base": record.detail.base,
        "head": record.detail.state.head,
        "ok": record.detail.state.exit.is_none() && record.detail.state.silent_auditors == 0,
        "reason": record.detail.state.exit.as_ref().map(|exit| exit.reason.as_str()),
        "counts": { "P0": p0, "P1": p1, "P2": p2 },
        "findings": findings,
        "not_shown": not_shown,
        "dismissed": dismissed.collect::<Vec<_>>(),
        "absences": record.detail.absences,
        "warnings": record.detail.warnings,
        "cost_micro_usd": record.cost(),
        "covered_micro_usd": record.covered_cost(),
    })
}

/// Formats the audit as text with at most 80 columns, unless a quoted word is longer.
fn render_text(record: &ConvergeRecord, min_severity: Severity) -> String {
    let [p0, p1, p2] = record.detail.state.severity_counts();
    if let Some(exit) = &record.detail.state.exit {
        let mut text = fold_line("no audit: ", &line::clean_line(&exit.reason, MAX_LINE_CHARS));
        if record.cost() > MicroUsd(0) {
            let _ = writeln!(text, "Cost: {}", record.cost_text());
        }
        return text;
    }
    let mut dirty: Vec<_> = record.detail.state.findings.iter().map(|finding| finding.raw.category).collect();
    dirty.sort_unstable();
    dirty.dedup();
    let cleared = AUDIT_CATEGORY_COUNT.saturating_sub(dirty.len());
    let mut text = fold_line(
        "",
        &format!(
            "{p0} P0 / {p1} P1 / {p2} P2 — {cleared} categories cleared{}",
            render_dismissed_suffix(record)
        ),
    );
    if let hidden @ 1.. = record.detail.state.findings.len() - findings_at_least(record, min_severity).count()
    {
        let what = format_count(hidden, "finding");
        text +=
            &fold_line("", &format!("not shown: {what} below {} (--min-severity)", min_severity.as_str()));
    }
    for finding in findings_at_least(record, min_severity) {
        let origin = line_origin(record, finding).map(|words| format!("; {words}")).unwrap_or_default();
        text += &format!("\n{}\n", render_finding(finding));
        text += &fold_line("  = category: ", &format!("{:?}{origin}", finding.raw.category));
    }
    for warning in &record.detail.warnings {
        text += &fold_line("warning: ", &line::clean_line(warning, MAX_LINE_CHARS));
    }
    let _ = writeln!(
        text,
        "\nAudited: {} against {}",
        record.detail.state.head.short_sha(),
        record.detail.base.short_sha()
    );
    let _ = writeln!(text, "Cost: {}", record.cost_text());
    text
}

/// Returns the end of the sentence about cleared categories, with the number and the categories of dismissed
/// findings. Returns an empty text if none was dismissed.
fn render_dismissed_suffix(record: &ConvergeRecord) -> String {
    let dismissed: Vec<&Finding> = record.detail.state.history.dismissed_findings().collect();
    let kinds: std::collections::BTreeSet<String> =
        dismissed.iter().map(|finding| format!("{:?}", finding.raw.category)).collect();
    let named = kinds.into_iter().collect::<Vec<_>>().join(", ");
    match dismissed.len() {
        0 => String::new(),
        many => format!(", except {} ({named})", format_count(many, "dismissed finding")),
    }
}

/// Number of categories of defects that an audit looks for.
const AUDIT_CATEGORY_COUNT: usize = 10;
