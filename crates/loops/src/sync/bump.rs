//! Ports the code to a new release, and ends the run. If no work remains and every check that passed before
//! still passes, the run opens a pull request to be merged. Otherwise, the run saves the port in a draft pull
//! request, and the next run continues it.

use jiff::Timestamp;
use truing_core::id::Sha;
use truing_core::sync::SyncVerdict;
use truing_core::sync::job::{JobState, MigrationProgress};
use truing_core::sync::record::{JobPull, JobPullKind, SyncOutcome as Outcome, SyncStep};
use truing_forge::ForgeServer as _;
use truing_git::{Mirror, NewCommit, PrivateFolder, StagedChanges};

use super::ReleaseDecision;
use super::deterministic_change::DeterministicChange;
use super::drafts::{JobDraftState, JobDrafts};
use super::effects::check_push_outcome;
use super::error::SyncRunError;
use super::port::{CodeMigration, CodeMigrationError, UncheckedMigration};
use super::pulls::{JobBranchState, JobPullRequests};
use super::question::QuestionDraft;
use super::run::SyncRun;
use super::run_log::{QuestionUpdate, SyncRunLog, SyncRunResult};
use super::texts::{self, ReleaseSubject};
use super::verify::CheckResults;
use crate::agent::ModelSpend;
use truing_core::port::GateHalt;

/// The state that a port starts from: the project's commit, and the job's branches and pull requests at the
/// forge.
pub(super) struct BumpContext<'a> {
    pub(super) mirror: &'a Mirror,
    /// The newest commit of the default branch.
    pub(super) tip: &'a Sha,
    /// The name of the default branch.
    pub(super) base_branch: &'a str,
    pub(super) branch_state: &'a JobBranchState,
    pub(super) draft_state: &'a JobDraftState,
    pub(super) pulls: &'a JobPullRequests<'a>,
}

impl SyncRun<'_> {
    pub(super) fn deterministic_change<'b>(
        &'b self,
        mirror: &'b Mirror,
        release_decision: &'b ReleaseDecision,
    ) -> DeterministicChange<'b> {
        let now = Timestamp::from_millisecond(self.effects.clock.now().0).unwrap_or_default();
        let date = now.strftime("%Y-%m-%d").to_string();
        DeterministicChange {
            job: self.job.config,
            release_decision,
            mirror,
            date,
            lock_command_runner: self.job.lock_command_runner,
        }
    }

    pub(super) fn job_drafts(&self) -> JobDrafts<'_> {
        let Self { repository_client: forge, server, .. } = *self;
        JobDrafts { forge, server, executor: &self.effects, job: self.job.config, job_name: self.job.name }
    }

    /// For forges without drafts, returns a remark that the pull request of an unfinished port is open for
    /// review; empty for other forges.
    fn no_drafts_remark(&self) -> String {
        let row = self.server.capability();
        if row.drafts {
            return String::new();
        }
        format!("; {} has no drafts, so the pull request is open for review", row.name)
    }

    /// Ports the code, checks it, and publishes the result.
    pub(super) async fn run_bump(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        context: BumpContext<'_>,
        decision: &ReleaseDecision,
    ) -> Result<SyncRunResult, SyncRunError> {
        let version = decision.to.to_string();
        let Some(porter) = self.job.migration_agent else {
            return Ok(self.end_with_question(&version, decision));
        };
        let BumpContext { mirror, tip, draft_state, .. } = context;
        if let Some(url) = draft_state.foreign_pull_url.clone() {
            return Err(SyncRunError::ForeignWork { branch: self.job_drafts().branch(), url });
        }
        let draft = draft_state.draft.as_ref();
        if let Some((draft, active)) = draft.and_then(|draft| Some((draft, draft.activity.as_ref()?))) {
            let why = format!("{} is in use by a person: {}", draft.pull.url, active.activity_text());
            return Ok(SyncRunResult::new(Outcome::WaitingForUsers, why, QuestionUpdate::Keep));
        }
        if let (Some(draft), Some(port)) =
            (draft, job.progress.as_ref().filter(|port| port.version == version && port.waits))
        {
            let url = &draft.pull.url;
            log.pull = Some(JobPull { kind: JobPullKind::Wip, url: url.clone() });
            let (title, text) = texts::model_questions(self.release_subject(&version), url, &port.questions);
            let why = format!("{url} waits for an answer from a person");
            return Ok(SyncRunResult::new(
                Outcome::QuestionAsked,
                why,
                QuestionUpdate::Ask(QuestionDraft { version, title, text }),
            ));
        }
        if self.job.dry_run {
            let why = format!(
                "a model would port the code to {version}; in this dry run, the model was not called"
            );
            return Ok(SyncRunResult::new(Outcome::DryRun, why, QuestionUpdate::Keep));
        }

        log.begin_step(SyncStep::EditFiles);
        self.check_write_gate().await?;
        let clone = PrivateFolder::new().map_err(SyncRunError::TemporaryFolder)?;
        mirror.check_out_private_clone(tip, &[], clone.path()).await?;
        // The range, digests and lock files are written before the model runs. If the lock files cannot be
        // updated, no money is spent. The model's code cannot influence the lock files.
        let written = self.deterministic_change(mirror, decision).apply(tip, clone.path()).await?;
        let port = CodeMigration {
            migration_agent: porter,
            job: self.job.config,
            run: &self.run.id,
            mirror,
            tip,
            decision,
            prepared_changes: &written,
            sources: self.job.sources,
            gate: self.effects.gate,
            now: self.effects.clock.now(),
            previous_cost: log.finished_steps_cost(),
            answers: draft.and(job.progress.as_ref()).map(|port| port.answers.as_slice()).unwrap_or_default(),
        };
        let mut spent = ModelSpend::default();
        let before = draft.map(|draft| (&draft.pull.head, draft.pull.body.as_str()));
        let ported = Box::pin(port.run_model(before, &mut spent)).await;
        log.set_spend(spent);
        let ported = match ported {
            Ok(ported) => ported,
            Err(CodeMigrationError::BudgetExhausted(why)) => {
                return Ok(SyncRunResult::new(Outcome::Postponed, why, QuestionUpdate::Keep));
            }
            Err(CodeMigrationError::Halted(reason)) => return Err(GateHalt::from(reason).into()),
            Err(error) => return Err(error.into()),
        };

        log.begin_step(SyncStep::Verify);
        self.check_write_gate().await?;
        let changes = [ported.changes.as_slice(), &written];
        let checked = Box::pin(self.project_checks(mirror).run_checks(tip, &changes, "port")).await?;

        log.begin_step(SyncStep::Publish);
        self.check_write_gate().await?;
        let work = &ported.work;
        let is_done = ported.incomplete_reason.is_none()
            && work.remaining.is_empty()
            && work.questions.is_empty()
            && checked.failing_commands.is_empty();
        if is_done {
            self.publish_finished_port(job, log, &context, decision, &ported, &checked).await
        } else {
            self.save_draft(job, log, &context, decision, &ported, &checked).await
        }
    }

    /// Opens the pull request of the finished port, and closes the draft.
    async fn publish_finished_port(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        context: &BumpContext<'_>,
        release_decision: &ReleaseDecision,
        migration: &UncheckedMigration,
        check_results: &CheckResults,
    ) -> Result<SyncRunResult, SyncRunError> {
        let BumpContext { mirror, tip, base_branch: base, branch_state, draft_state, pulls } = *context;
        let version = release_decision.to.to_string();
        let about = self.release_subject(&version);
        let staged = mirror.stage_folder(tip, migration.folder.path(), None).await?;
        let expected = match branch_state.head() {
            Some(head) => Some(head.clone()),
            // The branch may exist from a closed pull request, or from a run that was killed before it opened
            // a pull request.
            None => mirror.branch_tip(&self.job.config.branch).await?,
        };
        let message = self.commit_message(about, release_decision);
        let push_remark = self.push(staged, &self.job.config.branch, expected.as_ref(), &message).await?;
        self.check_write_gate().await?;
        let body = texts::migration_text(about, release_decision, migration, check_results);
        let shown = pulls.upsert_pull_request(branch_state, base, SyncVerdict::Bump, &body).await?;
        let without = self.no_labels_remark();
        let package = &self.job.config.package;
        let reason = format!("the port to {package} {version} is in {}{without}{push_remark}", shown.url);
        if let Some(draft) = &draft_state.draft {
            self.job_drafts().close(draft, &format!("Finished in {}", shown.url)).await?;
        }
        log.pull = Some(shown);
        job.progress = None;
        Ok(SyncRunResult::new(Outcome::CodePorted, reason, QuestionUpdate::Close))
    }

    /// Saves the unfinished port in the draft pull request.
    async fn save_draft(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        context: &BumpContext<'_>,
        release_decision: &ReleaseDecision,
        migration: &UncheckedMigration,
        check_results: &CheckResults,
    ) -> Result<SyncRunResult, SyncRunError> {
        let BumpContext { mirror, tip, base_branch: base, draft_state, .. } = *context;
        let version = release_decision.to.to_string();
        let about = self.release_subject(&version);
        let drafts = self.job_drafts();
        let staged = mirror.stage_folder(tip, migration.folder.path(), None).await?;
        let branch = drafts.branch();
        let expected = match &draft_state.draft {
            Some(draft) => Some(draft.pull.head.clone()),
            None => mirror.branch_tip(&branch).await?,
        };
        let message = self.commit_message(about, release_decision);
        let push_remark = self.push(staged, &branch, expected.as_ref(), &message).await?;
        self.check_write_gate().await?;
        let (title, body) = texts::draft_title_and_body(about, release_decision, migration, check_results);
        let shown = drafts.upsert_draft(draft_state.draft.as_ref(), base, &version, &title, &body).await?;
        let questions = &migration.work.questions;
        let asks = if questions.is_empty() {
            QuestionUpdate::Keep
        } else {
            let (title, text) = texts::model_questions(about, &shown.url, questions);
            QuestionUpdate::Ask(QuestionDraft { version: version.clone(), title, text })
        };
        let known = job.progress.as_ref().filter(|port| port.version == version);
        let now = MigrationProgress {
            answers: known.map(|port| port.answers.clone()).unwrap_or_default(),
            version,
            completed: migration.work.completed.len(),
            failing: check_results.failing_commands.len(),
            waits: !questions.is_empty(),
            questions: questions.clone(),
        };
        let what = texts::remaining_obstacles(migration, check_results);
        // If the run waits for an answer from people, it does not count as failed.
        let ended =
            if now.waits || now.has_advanced_since(draft_state.draft.as_ref().and(job.progress.as_ref())) {
                SyncRunResult::new(
                    Outcome::DraftSaved,
                    format!(
                        "the port is not finished: {what}; its current state is in {}{}{push_remark}",
                        shown.url,
                        self.no_drafts_remark()
                    ),
                    asks,
                )
            } else {
                let reason =
                    format!("the port has made no progress: {what}; its current state is in {}", shown.url);
                SyncRunResult::new(Outcome::Failed, reason, QuestionUpdate::Keep)
            };
        log.pull = Some(shown);
        job.progress = Some(now);
        Ok(ended)
    }

    pub(super) fn commit_message(
        &self,
        subject: ReleaseSubject<'_>,
        release_decision: &ReleaseDecision,
    ) -> String {
        format!(
            "{}\n\n{}\n",
            texts::pull_title(subject, release_decision.decision.verdict),
            release_decision.decision.reason
        )
    }

    /// Commits the staged changes and pushes them to a branch, if the branch is still at the expected commit.
    /// Returns a remark for the run's reason, as [`check_push_outcome`].
    pub(super) async fn push(
        &self,
        staged: StagedChanges,
        branch: &str,
        expected: Option<&Sha>,
        message: &str,
    ) -> Result<String, SyncRunError> {
        let new = NewCommit {
            message: message.to_owned(),
            author: self.job.config.author.clone(),
            committer: self.job.config.author.clone(),
            commit_time: self.effects.clock.now(),
        };
        let commit = staged.commit(&new).await?;
        check_push_outcome(self.effects.push(&commit, self.remote, branch, expected).await?, branch)
    }
}
