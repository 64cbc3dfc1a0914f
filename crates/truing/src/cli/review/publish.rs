//! The command `truing review --pr URL --publish`: reviews one pull request as the server does. The command
//! waits for the result. With `--dry-run`, the command works on a copy of the records and writes nothing to
//! the forge.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_core::id::{PrId, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime};
use truing_core::port::{
    Clock as _, HaltReason, OperatorAction, OperatorStore as _, PrState, PullRequest, RunStore as _,
    SlotDescription, SlotStore as _,
};
use truing_core::publish::StatusState;
use truing_core::slot::{HoldReason, LoopKind, StepOutcome, WaitReason};
use truing_core::switch::RepositoryRef;
use truing_forge::write_monitor::{EffectRecording, WriteMonitor};
use truing_loops::attempts::AttemptRegistry;
use truing_loops::compare::BaseOrigin;
use truing_loops::finding_storage::FindingsByStatus;
use truing_loops::local::{HeadKind, LocalReviewOutcome};
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::review_writes::{CodeComment, ReviewWrite};
use truing_loops::run_gate::SwitchReader;
use truing_loops::slots::SlotCommandError;
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::telemetry;
use truing_loops::text::{format_count, format_instant};
use truing_loops::tools::LinterSources;
use truing_service::ServiceContext;
use truing_service::manual_lease::{self, LeaseError};
use truing_service::worker::drive_lease;
use truing_store::Store;

use super::text::visible_text;
use crate::cli::columns::fold_line;
use crate::cli::error::CliError;
use crate::cli::output::OutputPrinter;
use crate::cli::target::{acquire_command_lock, actor_name, check_kill_switches, dry_run_store, store_error};
use crate::wiring;

/// Maximum number of times that one command leases the slot. A further lease is needed if the head moved, or
/// if the records contain a newer run.
const MAX_LEASES: u32 = 3;
/// Maximum total time that one command waits, for example until the forge's rate limit resets.
const MAX_WAIT: Duration = Duration::from_mins(2);
/// Maximum number of comments that are listed. Further comments are only counted.
const MAX_LISTED_COMMENTS: usize = 20;

/// The pull request to review and the options of publishing.
pub(super) struct PublishRequest<'a> {
    /// Configuration with only this forge.
    pub(super) config: &'a Config,
    pub(super) environment: &'a Environment,
    pub(super) output: OutputPrinter,
    pub(super) id: &'a PrId,
    /// Name of the repository as `owner/name`.
    pub(super) repo: &'a str,
    /// Pull request as the forge describes it now.
    pub(super) pull: &'a PullRequest,
    pub(super) is_dry_run: bool,
    /// Registry of the reviews in progress. It provides the cost of an interrupted review.
    pub(super) attempts: &'a AttemptRegistry,
    /// Becomes true when the command is interrupted.
    pub(super) interrupt: watch::Receiver<bool>,
    /// Linters whose findings are part of the review.
    pub(super) linter_sources: LinterSources,
}

/// The writes that were made, or that a dry run would make.
#[derive(Serialize)]
pub(super) struct PublishJson {
    dry_run: bool,
    url: String,
    steps: Vec<ReviewWrite>,
    /// Cost of this call. The cost is 0 if the commit was reviewed before.
    paid_now_micro_usd: MicroUsd,
    #[serde(skip)]
    pull_name: String,
}

impl PublishRequest<'_> {
    /// Reviews and publishes the result.
    ///
    /// # Errors
    /// Returns exit 4 if another process works on the pull request or the kill switch is on. Returns exit 3
    /// if the review failed.
    pub(super) async fn run(&self, store: Store) -> Result<(LocalReviewOutcome, PublishJson), CliError> {
        let made = EffectRecording::default();
        let (review, paid_now_micro_usd) = match self.pull.state {
            PrState::Closed => (self.skipped_outcome(HoldReason::Cancelled), MicroUsd(0)),
            PrState::Draft => (self.skipped_outcome(HoldReason::Draft), MicroUsd(0)),
            PrState::Open => Box::pin(self.review_and_publish(store, &made)).await?,
        };
        let (url, name) = (self.pull.url.clone(), self.pull.name.clone());
        let steps = made.list().iter().filter_map(ReviewWrite::from_effect).collect();
        Ok((
            review,
            PublishJson { dry_run: self.is_dry_run, url, steps, paid_now_micro_usd, pull_name: name },
        ))
    }

    /// Returns the review and the cost of this call.
    async fn review_and_publish(
        &self,
        store: Store,
        recording: &EffectRecording,
    ) -> Result<(LocalReviewOutcome, MicroUsd), CliError> {
        // The folder is deleted when the function returns, even with an error.
        let temp = truing_git::PrivateFolder::new()
            .map_err(truing_loops::local::LocalReviewError::TemporaryFolder)?;
        let key = self.id.key();
        let limits = wiring::slot_limits(&self.config.review, self.config.server.lease_duration);
        // A dry run works on a copy of the records, but with the real kill switch and the real ledger.
        let real = store.clone();
        let store = if self.is_dry_run { dry_run_store(&store, temp.path(), &key).await? } else { store };
        let reader = wiring::child_process_reader(&self.config.rules, &self.config.sandbox)?;
        let stores = (store.clone(), real.clone());
        let context = wiring::service::service_context(
            self.config,
            self.environment,
            stores.0,
            stores.1,
            Box::new(reader),
            temp.path(),
            None,
        )
        .await?;
        if !context.repository_filter.admits_repository(&self.id.forge, self.repo) {
            let message = format!("{} is not in forge.{}.repositories", self.repo, self.id.forge);
            return Err(CliError::refusal("not_chosen", message)
                .hint("add the repository to that list, or review the pull request without --publish"));
        }
        let watch = WriteMonitor {
            dry_run: self.is_dry_run,
            recording: Some(recording.clone()),
            ..telemetry::WRITE_MONITOR.clone()
        };
        let toolbox = self.linter_sources.clone();
        let switches = SwitchReader::new(real.as_record_store(), context.clock.clone());
        let context = ServiceContext { write_monitor: watch, switches, linter_sources: toolbox, ..context };
        self.record_request(&store, &key).await?;
        // The command lock is held until the command's last lease has ended. Without this lock, a server that
        // starts during the command would treat the lease as abandoned.
        let _at_work = acquire_command_lock(&store, &limits).await?;
        let before = load_total_cost(&real, &key).await?;
        let held = Box::pin(self.run_until_published(&context, &store, &key, &limits)).await?;
        let after = load_total_cost(&real, &key).await?;
        let now = MicroUsd(after.0.saturating_sub(before.0));
        if self.is_dry_run && now > MicroUsd(0) {
            // The costs of the dry run are in the real ledger. To show these costs, the real store needs the
            // name of the pull request.
            self.store_description(&real, &key).await?;
        }
        if before > MicroUsd(0) {
            // The printed cost includes earlier runs of the command, so the cost of this run is printed
            // separately.
            let name = &self.pull.name;
            self.output.print_note(format_args!(
                "{name}: this run has cost {now}; all reviews of the pull request have cost {after}"
            ));
        }
        let review = match held {
            Some(hold) => self.skipped_outcome(hold),
            None => self.load_recorded_review(&store, &key).await?,
        };
        Ok((review, now))
    }

    /// Records the display name of the pull request, and the request in the audit log.
    async fn record_request(&self, store: &Store, key: &SlotKey) -> Result<(), CliError> {
        self.store_description(store, key).await?;
        let act = OperatorAction::new(
            &actor_name(self.environment),
            "review --publish",
            key.as_str(),
            &self.pull.name,
        );
        store.append_audit_log(&[act]).await.map_err(store_error)
    }

    async fn store_description(&self, store: &Store, key: &SlotKey) -> Result<(), CliError> {
        let PullRequest { name, url, .. } = self.pull;
        let described = SlotDescription { name: name.clone(), url: url.clone(), head: None };
        store.store_descriptions(&[(key.clone(), described)]).await.map_err(store_error)
    }

    /// Leases the slot repeatedly until the review of the pull request is published. If the slot is held,
    /// returns the reason.
    async fn run_until_published(
        &self,
        context: &ServiceContext,
        store: &Store,
        key: &SlotKey,
        limits: &truing_core::slot::SlotLimits,
    ) -> Result<Option<HoldReason>, CliError> {
        let name = &self.pull.name;
        let mut left = MAX_WAIT;
        for _ in 0..MAX_LEASES {
            let ended = loop {
                let lease = match manual_lease::lease_slot(store, key, LoopKind::Review, limits).await {
                    Ok(lease) => lease,
                    Err(error) => return Err(lease_error(store, key, name, error).await),
                };
                let (heartbeat, token) = (self.config.server.heartbeat_interval, lease.token);
                let worked = drive_lease(context, lease, heartbeat, self.interrupt.clone()).await;
                if *self.interrupt.borrow() {
                    let run = store.review_entries(key, 1).await.map_err(store_error)?.pop();
                    let ended = run.filter(|run| run.token == token).and_then(|run| run.final_record);
                    self.attempts.add_stopped_cost(ended.map_or(MicroUsd(0), |ended| ended.cost()));
                }
                let until = match worked {
                    Some(Ok(StepOutcome::DueAt(until, WaitReason::Deferred))) => {
                        return Err(CliError::refusal(
                            "deferred",
                            format!(
                                "{name}: reviewed by rules only; the review by the model is deferred, \
                                because the repository's budget for today, or the limit of the model's \
                                subscription, is used up"
                            ),
                        )
                        .hint(format!(
                            "run the command again after {}, or raise `budget.repo_day_usd`",
                            format_instant(until)
                        )));
                    }
                    Some(Ok(StepOutcome::DueAt(until, why))) => (until, why.as_str().replace('_', " ")),
                    Some(Err(StepStopReason::RateLimited { until, message })) => (until, message),
                    ended => break ended,
                };
                self.wait_until(until.0, until.1, &mut left).await?;
            };
            match ended {
                Some(Ok(StepOutcome::Done)) => return Ok(None),
                Some(Ok(StepOutcome::Held(hold))) => return Ok(Some(hold)),
                Some(Ok(StepOutcome::DueAgain) | Err(StepStopReason::HeadChanged)) => {
                    self.output
                        .print_note(format_args!("{name}: the head has changed; reviewing the new head"));
                }
                Some(Err(StepStopReason::Fenced(_))) => {}
                Some(Err(StepStopReason::Halted)) => {
                    check_kill_switches(store, &RepositoryRef::from_key(key).with_name(self.repo)).await?;
                    return Err(CliError::refusal(
                        "killswitch_engaged",
                        "stopped: the kill switch was on for a moment, or the store did not answer",
                    )
                    .hint("run the command again: nothing is posted twice"));
                }
                Some(Err(
                    StepStopReason::StepFailed { message, .. } | StepStopReason::NotFound { message },
                )) => {
                    return Err(CliError::failure("review", format!("{name}: {message}"))
                        .hint("run the command again: nothing is posted twice"));
                }
                Some(
                    Ok(StepOutcome::DueAt(..))
                    | Err(
                        StepStopReason::RateLimited { .. }
                        | StepStopReason::LeaseLost
                        | StepStopReason::Interrupted,
                    ),
                )
                | None => {
                    return Err(CliError::refusal(
                        "lost",
                        format!("{name}: another process took over the review"),
                    )
                    .hint(format!("`truing why {name}` shows which process, and how the review ended")));
                }
            }
        }
        Err(CliError::failure("moving", format!("{name}: new commits arrive faster than reviews finish"))
            .hint("run the command again when the pushes stop"))
    }

    /// Waits until the given time. Returns an error if the wait would take longer than the remaining time.
    async fn wait_until(
        &self,
        until: UnixMillis,
        reason: String,
        remaining: &mut Duration,
    ) -> Result<(), CliError> {
        let wait = until - SystemClock.now();
        let wait = Duration::from_millis(u64::try_from(wait.0).unwrap_or(0));
        let name = &self.pull.name;
        let Some(rest) = remaining.checked_sub(wait) else {
            let message = format!("{name}: not published yet ({reason})");
            return Err(CliError::failure("waiting", message).hint(format!(
                "run the command again after {}: nothing is posted twice",
                format_instant(until)
            )));
        };
        *remaining = rest;
        self.output.print_note(format_args!("{name}: waiting {} s ({reason})", wait.as_secs() + 1));
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = interrupt.wait_for(|interrupt| *interrupt) => {}
        }
        Ok(())
    }

    /// Returns the recorded review.
    async fn load_recorded_review(
        &self,
        store: &Store,
        key: &SlotKey,
    ) -> Result<LocalReviewOutcome, CliError> {
        let record = store.last_review_record(key).await.map_err(store_error)?;
        let record =
            record.ok_or_else(|| CliError::failure("store", format!("no outcome is recorded for {key}")))?;
        let findings = store.findings(key).await.map_err(store_error)?;
        let kept = FindingsByStatus::from_records(&findings, record.detail.head.as_ref());
        let against = BaseOrigin::NamedRevision(record.detail.base.short_sha().to_owned());
        let reviewed = HeadKind::Commit;
        Ok(LocalReviewOutcome {
            record,
            head_kind: reviewed,
            base_origin: against,
            findings: kept,
            unrecorded_reason: None,
        })
    }

    /// Returns the outcome for a pull request that cannot be reviewed in its present state.
    fn skipped_outcome(&self, hold: HoldReason) -> LocalReviewOutcome {
        let reason = match hold {
            HoldReason::Draft => "the pull request is a draft",
            HoldReason::Cancelled => "the pull request is closed",
            HoldReason::Paused => "reviews of the pull request are paused",
            HoldReason::Parked => "too many attempts failed for the pull request",
        };
        let (kind, reason) = (ReviewOutcomeKind::Skipped, Some(format!("{reason}: nothing is published")));
        let now = SystemClock.now();
        let outcome = ReviewOutcome { kind, reason, next_attempt_at: None, runtime: ReviewRuntime::Rules };
        let truing_core::port::PullRevision { head, base } = self.pull.revision.clone();
        let begun =
            ReviewRecord::new(new_run_id(), self.id.key(), ReviewDetail::new(Some(head), base, outcome), now);
        let record = ReviewRecord { versions: truing_loops::program_versions(), ..begun };
        let against = BaseOrigin::NamedRevision(record.detail.base.short_sha().to_owned());
        let (reviewed, findings) = (HeadKind::Commit, FindingsByStatus::default());
        LocalReviewOutcome {
            record,
            head_kind: reviewed,
            base_origin: against,
            findings,
            unrecorded_reason: None,
        }
    }
}

/// Returns the cost of all reviews of a pull request according to the ledger.
async fn load_total_cost(store: &Store, key: &SlotKey) -> Result<MicroUsd, CliError> {
    let drawn = store.slot_usage(key, &[]).await.map_err(store_error)?;
    Ok(MicroUsd(drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add)))
}

async fn lease_error(store: &Store, key: &SlotKey, name: &str, error: LeaseError) -> CliError {
    match error {
        LeaseError::Leased(until) => {
            let leased = store.load_slots(std::slice::from_ref(key)).await.unwrap_or_default().pop();
            let token = leased.and_then(|slot| slot.token());
            // Just after a lease is granted, its run is not recorded yet. In that case, the latest run
            // belongs to an earlier lease.
            let run = store.review_entries(key, 1).await.unwrap_or_default().pop();
            let run = run.filter(|run| Some(run.token) == token);
            let since = run
                .map(|run| format!(", since {} as run {}", format_instant(run.started_at), run.id.as_str()));
            let message = format!(
                "{name}: already running: a server or another command reviews this pull request{} (lease \
                until {}, renewed while the review runs)",
                since.unwrap_or_default(),
                format_instant(until)
            );
            CliError::refusal("already_running", message)
                .hint(format!(
                    "wait until that review finishes: `truing why {name}` shows its progress, and a \
                        server's log has the details"
                ))
                .hint(format!(
                    "if the process of that review has ended, its lease expires: run this command again \
                        after {}",
                    format_instant(until)
                ))
        }
        LeaseError::OwnedByOtherLoop => CliError::refusal(
            "already_running",
            format!("{name}: another loop is working on the pull request"),
        )
        .hint(format!(
            "the review starts automatically when that loop ends; `truing why {name}` \
                    shows which loop is working"
        )),
        error @ LeaseError::KillSwitchOn => {
            CliError::refusal("killswitch_engaged", format!("{name}: {error}"))
                .hint(HaltReason::KillSwitch.hint())
        }
        LeaseError::Step(SlotCommandError::Store(error)) => store_error(error),
        LeaseError::Step(SlotCommandError::SlotRefused(refused)) => {
            CliError::refusal("refused", format!("{name}: {refused}"))
        }
    }
}

impl PublishJson {
    /// Formats the writes as text, with one line for each write.
    pub(super) fn text(&self) -> String {
        let Self { dry_run, url, steps, pull_name: name, paid_now_micro_usd: _ } = self;
        let mut text = match (dry_run, steps.is_empty()) {
            (_, true) => {
                return format!("nothing to publish: {} already shows this review\n", visible_text(name));
            }
            (true, false) => "dry run: nothing was published; a real run would publish on\n".to_owned(),
            (false, false) => "published on\n".to_owned(),
        };
        text += &format!("  {}\n", visible_text(url));
        for step in steps {
            text += &render_step(step);
        }
        text
    }
}

/// Formats a write, and the locations of its comments.
fn render_step(step: &ReviewWrite) -> String {
    let about = |item: &str| if item == "summary" { "the summary" } else { "a finding's comment" }.to_owned();
    match step {
        ReviewWrite::CreateSummary => "  post the summary\n".to_owned(),
        ReviewWrite::CreateReview { comments } => {
            let mut text = format!("  post a review with {}\n", format_count(comments.len(), "comment"));
            text += &comments.iter().take(MAX_LISTED_COMMENTS).map(render_location).collect::<String>();
            if comments.len() > MAX_LISTED_COMMENTS {
                text += &format!("    and {} more\n", comments.len() - MAX_LISTED_COMMENTS);
            }
            text
        }
        ReviewWrite::CreateFileComment { comment } => {
            format!("  post a comment on a file\n{}", render_location(comment))
        }
        ReviewWrite::Update { item } => format!("  rewrite {}\n", about(item)),
        ReviewWrite::Resolve => "  resolve a thread\n".to_owned(),
        ReviewWrite::Reopen => "  reopen a thread\n".to_owned(),
        ReviewWrite::Delete { item } => format!("  delete a duplicate of {}\n", about(item)),
        ReviewWrite::Status { head, state, description } => {
            let state = match state {
                StatusState::Success => "success",
                StatusState::Failure => "failure",
                StatusState::Pending => "pending",
            };
            fold_line(
                "  ",
                &format!("set the status of {} to {state}: {}", head.short_sha(), visible_text(description)),
            )
        }
    }
}

fn render_location(comment: &CodeComment) -> String {
    format!("    {}:{}\n", visible_text(&comment.location.path.to_string()), comment.location.start_line)
}
