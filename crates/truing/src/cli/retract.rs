//! The command `truing retract`: removes comments that reviews have posted, after an incident.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::Serialize;
use truing_config::Config;
use truing_core::dismissal::{Dismissal, RetractionScope, short_id};
use truing_core::effect::Effect;
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::{FindingId, SlotKey};
use truing_core::line;
use truing_core::port::{Clock as _, MAX_STORED_TEXT_CHARS, OperatorAction, RunStore as _, SlotDescription};
use truing_core::publish::{CommentProducer, CommentSubject};
use truing_core::slot::{StepOutcome, WaitReason};
use truing_forge::write_monitor::{EffectRecording, WriteMonitor};
use truing_loops::machine::SystemClock;
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::text::{format_count, format_instant};
use truing_loops::{redact_line, telemetry};
use truing_service::ServiceContext;
use truing_service::worker;
use truing_store::Store;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::output::OutputPrinter;
use super::period_start::PeriodStart;
use super::target::{actor_name, open_records_store, store_error};
use super::{CommandContext, runtime};
use crate::wiring;

mod names;

/// Default reason for a retraction.
const DEFAULT_REASON: &str = "retracted after an incident";
/// Maximum time to wait until the comments on one pull request are settled.
const MAX_WAIT: Duration = Duration::from_mins(2);
/// Maximum number of findings that are listed for one pull request. Further findings are only counted.
const MAX_LISTED_FINDINGS: usize = 10;

/// Remove comments that reviews have posted since a given time
///
/// The comments are deleted, and their findings count as dismissed until the code changes. Open findings of
/// the same kind that have no comment of their own also count as dismissed. Summary and status are written
/// again. A comment with replies is resolved instead of deleted. The command also works while the kill switch
/// is on. Nothing is reviewed, and no model is asked. Comments of `truing converge` and `truing audit` are
/// not removed.
#[derive(clap::Args, Debug)]
pub struct RetractArgs {
    /// The start of the period: a length of time before now (24h, 7d, 2w), a day (2026-09-21) or a timestamp,
    /// in UTC
    #[arg(long, value_name = "T", value_parser = PeriodStart::parse)]
    since: PeriodStart,
    /// Only findings of this rule, or of rules that match this glob
    #[arg(long, value_name = "R", value_parser = Glob::new)]
    rule: Option<Glob>,
    /// Only this repository, or repositories that match this glob
    #[arg(long, value_name = "OWNER/NAME", value_parser = Glob::new)]
    repo: Option<Glob>,
    /// Also delete comments to which people have replied
    #[arg(long)]
    answered: bool,
    /// The reason, for the record: one line
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_REASON)]
    reason: String,
    /// Show the comments that would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A pull request whose comments are retracted.
struct RetractionTarget {
    key: SlotKey,
    description: SlotDescription,
    findings: Vec<Finding>,
    /// Findings that have a separate comment.
    commented_finding_ids: BTreeSet<FindingId>,
}

/// The result for one pull request in the JSON output.
#[derive(Serialize)]
struct RetractionJson {
    pull_request: String,
    url: String,
    findings: Vec<RetractedFindingJson>,
    /// Number of deleted comments.
    deleted: usize,
    /// Number of comments that were resolved instead of deleted, because they have replies.
    answered: usize,
    /// The reason why the retraction is incomplete.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_done: Option<String>,
}

/// A retracted finding in the JSON output.
#[derive(Serialize)]
struct RetractedFindingJson {
    id: FindingId,
    rule: String,
    path: String,
    start_line: u32,
    title: String,
    /// True if the finding has a separate comment. Other findings are only in the summary.
    posted: bool,
}

pub(crate) fn run(args: &RetractArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let runtime = runtime::start()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = Box::pin(args.run(context)) => ended,
            stopped = runtime::wait_for_stop_signal() => {
                stopped?;
                let error = CliError::new(CommandExit::Interrupted, "interrupted", "interrupted");
                Err(error.hint("run the command again: retracted comments stay retracted"))
            }
        }
    });
    runtime.shutdown_within(Duration::from_secs(1));
    ended
}

impl RetractArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        self.check_since(SystemClock.now())?;
        let config = context.config(&[])?;
        wiring::conceal::register_secrets(&config, &context.environment);
        let store = open_records_store(&config, context).await?;
        let targets = match &store {
            Some(store) => self.find_targets(store).await?,
            None => Vec::new(),
        };
        if let Some(store) = store.as_ref().filter(|_| targets.is_empty()) {
            self.check_names(store, &config).await?;
        }
        let answers = match store {
            Some(store) if !self.dry_run && !targets.is_empty() => {
                Box::pin(self.retract(&store, &config, &targets, context)).await?
            }
            Some(_) | None => targets.iter().map(RetractionTarget::dry_run_json).collect(),
        };
        let is_done = answers.iter().all(|answer| answer.not_done.is_none());
        context.output.print_answer(&answers, || self.text(&answers))?;
        Ok(if is_done { CommandExit::Success } else { CommandExit::Failure })
    }

    /// Returns the pull requests on which matching findings were posted since the given time. Each pull
    /// request is returned with these findings, and with its matching open findings without a comment.
    /// Without the retraction, such an open finding would get a comment as soon as the limit permits.
    async fn find_targets(&self, store: &Store) -> Result<Vec<RetractionTarget>, CliError> {
        let mut posted: BTreeMap<SlotKey, BTreeSet<FindingId>> = BTreeMap::new();
        let since = self.since.to_instant(SystemClock.now());
        for one in store.posted_findings(since).await.map_err(store_error)? {
            posted.entry(one.key).or_default().insert(one.finding);
        }
        let rule = self.rule.as_ref().map(Glob::compile_matcher);
        let repo = self.repo.as_ref().map(Glob::compile_matcher);
        let is_wanted =
            |glob: &Option<GlobMatcher>, name: &str| glob.as_ref().is_none_or(|glob| glob.is_match(name));
        let mut targets = Vec::new();
        for (key, mut posted) in posted {
            let described = store.descriptions(std::slice::from_ref(&key)).await.map_err(store_error)?;
            let Some(described) = described.into_iter().flatten().next() else { continue };
            if !is_wanted(&repo, described.name.rsplit_once('#').map_or("", |(repo, _)| repo)) {
                continue;
            }
            let (rows, _) = store.desired_state(&key, CommentProducer::Review).await.map_err(store_error)?;
            let has_comment = |id: &FindingId| {
                rows.iter()
                    .any(|row| row.subject == CommentSubject::Finding(id.clone()) && row.comment.is_some())
            };
            let mut findings = store.findings(&key).await.map_err(store_error)?;
            let dismissals = store.dismissals(&key).await.map_err(store_error)?;
            // A finding that a person dismissed is left out, so that this dismissal is kept.
            let is_of_person = |finding: &Finding| {
                matches!(finding.status, FindingStatus::Dismissed(_))
                    && !dismissals
                        .iter()
                        .any(|dismissal| dismissal.finding == finding.id && dismissal.retraction.is_some())
            };
            findings.retain(|finding| {
                is_wanted(&rule, &finding.raw.rule)
                    && has_posted_comment(&finding.status)
                    && !is_of_person(finding)
            });
            posted.retain(|id| findings.iter().any(|finding| finding.id == *id));
            findings.retain(|finding| {
                posted.contains(&finding.id) || finding.is_open() && !has_comment(&finding.id)
            });
            if !posted.is_empty() {
                targets.push(RetractionTarget {
                    key,
                    description: described,
                    findings,
                    commented_finding_ids: posted,
                });
            }
        }
        Ok(targets)
    }

    /// Records the retraction and removes the comments, one pull request after the other.
    async fn retract(
        &self,
        store: &Store,
        config: &Config,
        targets: &[RetractionTarget],
        context: &CommandContext,
    ) -> Result<Vec<RetractionJson>, CliError> {
        let (by, now) = (actor_name(&context.environment), SystemClock.now());
        let reason = redact_line(&self.reason, MAX_STORED_TEXT_CHARS);
        let reason = if reason.is_empty() { DEFAULT_REASON.to_owned() } else { reason };
        let kind = if self.answered { RetractionScope::Answered } else { RetractionScope::Unanswered };
        let temp = truing_git::PrivateFolder::new()
            .map_err(truing_loops::local::LocalReviewError::TemporaryFolder)?;
        let reader = wiring::child_process_reader(&config.rules, &config.sandbox)?;
        let stores = (store.clone(), store.clone());
        let mut served = wiring::service::service_context(
            config,
            &context.environment,
            stores.0,
            stores.1,
            Box::new(reader),
            temp.path(),
            None,
        )
        .await
        .map_err(wiring::role::suggest_runtime_key)?;
        let progress = context.output.progress("retracting comments", Some(targets.len() as u64));
        let mut answers = Vec::new();
        for target in targets {
            let word = |finding: &Finding| {
                let word = Dismissal::from_retraction(finding, kind, &reason, &by, now);
                (target.key.clone(), word)
            };
            let words: Vec<(SlotKey, Dismissal)> = target.findings.iter().map(word).collect();
            let detail = format!("{}: {reason}", format_count(words.len(), "finding"));
            let act = OperatorAction::new(&by, "retract", target.key.as_str(), &detail);
            store.store_dismissals(&words, &act).await.map_err(store_error)?;
            let made = EffectRecording::default();
            served.write_monitor =
                WriteMonitor { recording: Some(made.clone()), ..telemetry::WRITE_MONITOR.clone() };
            let done = target.retract(&served, context.output).await;
            let is_deleted = |effect: &&Effect| matches!(effect, Effect::DeleteDuplicate { .. });
            answers.push(target.result_json(made.list().iter().filter(is_deleted).count(), done));
            progress.advance(1);
        }
        Ok(answers)
    }

    fn text(&self, answers: &[RetractionJson]) -> String {
        let mut text = String::new();
        for RetractionJson { pull_request, url, findings, deleted, answered, not_done } in answers {
            text += &format!("{} {}\n", line::visible_line(pull_request), line::visible_line(url));
            for row in findings.iter().take(MAX_LISTED_FINDINGS) {
                let RetractedFindingJson { id, rule, path, start_line, title, .. } = row;
                let what = line::visible_line(&format!("{path}:{start_line} {title} ({rule})"));
                text += &fold_line(&format!("  {} ", short_id(id)), &what);
            }
            if findings.len() > MAX_LISTED_FINDINGS {
                text += &format!("  and {} more\n", findings.len() - MAX_LISTED_FINDINGS);
            }
            let deleted = format_count(*deleted, "comment");
            text += &match (not_done, answered) {
                _ if self.dry_run => String::new(),
                (Some(why), _) => {
                    fold_line("  ", &format!("{deleted} deleted; not completed: {}", line::visible_line(why)))
                }
                (None, 0) => format!("  {deleted} deleted\n"),
                (None, kept) => fold_line(
                    "  ",
                    &format!(
                        "{deleted} deleted; {kept} kept because of replies (`--answered` also deletes \
                            these comments)"
                    ),
                ),
            };
        }
        let done = answers.iter().filter(|answer| answer.not_done.is_none());
        let findings =
            format_count(done.clone().map(|answer| answer.findings.len()).sum::<usize>(), "finding");
        let pulls = format_count(done.clone().count(), "pull request");
        let since = format_instant(self.since.to_instant(SystemClock.now()));
        text + &match (answers.len(), answers.len() - done.count(), self.dry_run) {
            (0, ..) => format!("nothing to retract: no open comment since {since} matches\n"),
            (_, _, true) => format!("would retract {findings} on {pulls}; to retract them, omit --dry-run\n"),
            (_, 0, false) => format!("retracted {findings} on {pulls}\n"),
            (_, left, false) => format!(
                "retracted {findings} on {pulls}; not completed on {}: run the command again\n",
                format_count(left, "pull request")
            ),
        }
    }
}

impl RetractionTarget {
    /// Returns the answer of a dry run.
    fn dry_run_json(&self) -> RetractionJson {
        RetractionJson { answered: 0, ..self.result_json(0, Ok(())) }
    }

    fn result_json(&self, deleted_count: usize, result: Result<(), String>) -> RetractionJson {
        let row = |finding: &Finding| RetractedFindingJson {
            id: finding.id.clone(),
            rule: finding.raw.rule.clone(),
            path: finding.raw.location.path.to_string(),
            start_line: finding.raw.location.start_line,
            title: finding.raw.title.clone(),
            posted: self.commented_finding_ids.contains(&finding.id),
        };
        RetractionJson {
            pull_request: self.description.name.clone(),
            url: self.description.url.clone(),
            findings: self.findings.iter().map(row).collect(),
            deleted: deleted_count,
            answered: if result.is_ok() {
                self.commented_finding_ids.len().saturating_sub(deleted_count)
            } else {
                0
            },
            not_done: result.err(),
        }
    }

    /// Updates the pull request to show that the findings are retracted.
    ///
    /// # Errors
    /// Returns the reason of the failure as text.
    async fn retract(&self, context: &ServiceContext, output: OutputPrinter) -> Result<(), String> {
        let name = &self.description.name;
        let mut left = MAX_WAIT;
        loop {
            let until = match worker::retract_comments(context, &self.key).await {
                Ok(StepOutcome::DueAt(until, WaitReason::Settling)) => until,
                Ok(
                    StepOutcome::Done | StepOutcome::DueAgain | StepOutcome::Held(_) | StepOutcome::DueAt(..),
                ) => return Ok(()),
                Err(StepStopReason::Fenced(_)) => {
                    return Err("a server has started working on this pull request".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            };
            let wait = Duration::from_millis(u64::try_from((until - SystemClock.now()).0).unwrap_or(0));
            left = left.checked_sub(wait).ok_or("comments still settle")?;
            output.print_note(format_args!("{name}: waiting {} s (settling)", wait.as_secs() + 1));
            tokio::time::sleep(wait).await;
        }
    }
}

/// Returns true if a finding with this status has a comment.
fn has_posted_comment(status: &FindingStatus) -> bool {
    match status {
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Declined(_)
        | FindingStatus::Dismissed(_) => true,
        FindingStatus::Fixed(_) | FindingStatus::OutOfScope | FindingStatus::Suppressed(_) => false,
    }
}
