//! One run of a job as a list of steps: from finding the newest release to a pull request or a question. Each
//! step can be repeated: if a run is killed, the next run finds the results of its steps and continues.

use std::path::Path;

use jiff::Timestamp;
use truing_config::sync::ReleaseSelector as Follows;
use truing_core::RepoPath;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{ForgeRead as _, GateHalt, RecordStore, RunReference, StoreError};
use truing_core::sync::branch_plan::BranchPlan;
use truing_core::sync::breaker::{RunAdmission, SyncTarget};
use truing_core::sync::job::JobState;
use truing_core::sync::record::{SyncDetail, SyncEvidence, SyncOutcome as Outcome, SyncRecord, SyncStep};
use truing_core::sync::{NOTHING_PINNED_REASON, SyncVerdict};
use truing_core::version::PackageVersion;
use truing_forge::effects::EffectExecutor;
use truing_forge::{AnyForgeServer, RepositoryClient};
use truing_git::{Mirror, PrivateFolder, Remote};

use super::available_releases::{cannot_follow_reason, is_port_obsolete};
use super::bump::BumpContext;
use super::classify::ClassifyContext;
use super::drafts::{DraftPullRequest, JobDraftState};
use super::error::SyncRunError;
use super::job::SyncJob;
use super::pulls::{self, JobBranchState, JobPullRequests};
use super::question::QuestionDraft;
use super::run_log::{QuestionUpdate, SyncRunLog, SyncRunResult};
use super::texts::{self, ReleaseSubject};
use super::verify::ProjectChecks;
use super::{
    DecisionRequest, ReleaseDecision, change, decide_on_release, load_pins, tracking, unreported_costs,
};
use crate::agent::ModelSpend;
use crate::program_versions;

/// One run of a job.
pub struct SyncRun<'a> {
    /// The job with its project and tools.
    pub job: &'a SyncJob<'a>,
    /// Id of the run, and the lease that protects its writes.
    pub run: &'a RunReference,
    /// Client for the repository at the forge.
    pub repository_client: &'a RepositoryClient,
    /// Client for the forge's server.
    pub server: &'a AnyForgeServer,
    /// Store of the job's state and records.
    pub store: &'a dyn RecordStore,
    /// Performs every write to the repository, including pushes.
    pub effects: EffectExecutor<'a>,
    /// Path of the repository's mirror.
    pub mirror_path: &'a Path,
    /// The remote of the repository.
    pub remote: &'a Remote,
}

/// A checkout of the default branch.
struct BaseCheckout<'a> {
    mirror: &'a Mirror,
    /// Newest commit of the branch.
    tip: &'a Sha,
    /// Name of the branch.
    branch: &'a str,
    /// Folder with the files of this commit.
    project: &'a Path,
}

impl SyncRun<'_> {
    /// Runs the job, and saves its record even if the run fails. Also returns the time of the next run;
    /// `None` if the job's schedule determines this time. A time is returned if a write received no response
    /// and may become visible later, or if the kill switch stopped the run.
    ///
    /// # Errors
    /// [`StoreError`]: the state cannot be saved.
    #[truing_core::boxed_future]
    pub async fn run(&self) -> Result<(SyncRecord, Option<UnixMillis>), StoreError> {
        let mut job = self.store.begin_job_run(self.run).await?;
        let started_at = self.effects.clock.now();
        if job.breaker.record_lost_run(self.job.config.breaker, started_at) {
            self.store.store_job(self.run, &job).await?;
        }
        let (from, to, update, pull) = (None, None, None, None);
        let evidence = SyncEvidence::default();
        let model_cost = ModelSpend::default();
        let mut log = SyncRunLog {
            started_at,
            current_step: None,
            steps: vec![],
            from_version: from,
            to_version: to,
            verdict: update,
            evidence,
            pull,
            model_spend: model_cost,
        };
        let ended = Box::pin(self.run_steps(&mut job, &mut log)).await;
        let is_halted = ended.as_ref().is_err_and(SyncRunError::is_halt);
        let mut again = ended.as_ref().err().and_then(SyncRunError::settle_time);
        let ended = match ended.map_err(|error| error.into_store_error(self.run)) {
            Ok(ended) => ended,
            Err(Ok(error)) => return Err(error),
            Err(Err(error)) if error.is_halt() || again.is_some() => {
                SyncRunResult::new(Outcome::Postponed, error.to_string(), QuestionUpdate::Keep)
            }
            // The run failed before it could check the circuit breaker, which is open. The breaker would have
            // rejected the run anyway, so the failure does not count.
            Err(Err(error))
                if !self.job.dry_run && job.breaker.trip().is_some() && !job.breaker.is_running() =>
            {
                SyncRunResult::new(
                    Outcome::CircuitOpen,
                    format!("the circuit breaker is open; {error}"),
                    QuestionUpdate::Keep,
                )
            }
            Err(Err(error)) => SyncRunResult::new(Outcome::Failed, error.to_string(), QuestionUpdate::Keep),
        };
        let reached = log.current_step();
        let now = self.effects.clock.now();
        job.breaker.record_end(ended.to_breaker_outcome(), self.job.config.breaker, now);
        let asked = if self.job.dry_run {
            Ok(self.open_question_url(&job, &ended))
        } else {
            Box::pin(self.open_question(&mut job, &mut log, &ended)).await
        };
        log.end_step();
        if is_halted {
            // The next run starts when the kill switch is off, independent of the job's schedule.
            again = again.max(Some(now));
        }
        again = again.max(asked.as_ref().err().and_then(SyncRunError::settle_time));
        let mut outcome = ended.outcome;
        let (question, why) = match asked.map_err(|error| error.into_store_error(self.run)) {
            Ok(question) if self.job.dry_run => (question, self.dry_run_reason(&ended)),
            Ok(question) => (question, ended.reason),
            Err(Ok(error)) => return Err(error),
            // The question could not be asked, so the next run asks it.
            Err(Err(error)) => {
                if error.is_halt() {
                    outcome = Outcome::Postponed;
                }
                (None, format!("{}; could not ask a person: {error}", ended.reason))
            }
        };
        // A question about a failure is not part of the planned steps, so the step of asking does not count
        // as reached.
        let highest_step = if ended.outcome == Outcome::QuestionAsked { log.current_step() } else { reached };
        let carried = unreported_costs::take_unreported_cost(self.store, &mut job, &self.run.id).await?;
        let mut record = SyncRecord {
            run: self.run.id.clone(),
            key: self.run.key.clone(),
            steps: log.steps,
            carried_micro_usd: carried,
            model: log.model_spend.model,
            prompt_hash: log.model_spend.prompt_hash,
            versions: program_versions(),
            started_at: log.started_at,
            ended_at: self.effects.clock.now(),
            detail: SyncDetail {
                job: self.job.name.to_owned(),
                result: outcome,
                exit_reason: why,
                verdict: log.verdict,
                package: self.job.config.package.clone(),
                current_release: log.from_version,
                target_release: log.to_version,
                highest_step,
                pull: log.pull,
                question_url: question,
                evidence: log.evidence,
            },
        };
        if let Err(error) = Box::pin(self.report_run(&mut job, &record)).await {
            again = again.max(error.settle_time());
            let error = match error.into_store_error(self.run) {
                Ok(error) => return Err(error),
                Err(error) => error,
            };
            record.detail.exit_reason += &format!(
                "; {}",
                tracking::notice_failure_reason(&job, self.outcome_notices().notice_noun(), &error)
            );
            if error.is_halt() {
                record.detail.result = Outcome::Postponed;
            }
        }
        self.store.end_job_run(self.run, &job, &record).await?;
        Ok((record, again))
    }

    pub(super) fn release_subject<'b>(&'b self, version: &'b str) -> ReleaseSubject<'b> {
        ReleaseSubject {
            job_name: self.job.name,
            package: &self.job.config.package,
            version,
            title_template: self.job.config.title.as_ref(),
        }
    }

    fn job_pull_requests<'b>(&'b self, version: &'b str, project: &Path) -> JobPullRequests<'b> {
        let template = pulls::read_pull_template(project);
        let (forge, executor, subject) =
            (self.repository_client, &self.effects, self.release_subject(version));
        JobPullRequests {
            repository_client: forge,
            server: self.server,
            executor,
            job: self.job.config,
            subject,
            template,
        }
    }

    pub(super) fn project_checks<'b>(&'b self, mirror: &'b Mirror) -> ProjectChecks<'b> {
        ProjectChecks {
            verifier: self.job.verifier,
            mirror,
            repo: self.job.config.repo.as_deref().unwrap_or_default(),
        }
    }

    /// Carries out the steps until one of them ends the run.
    async fn run_steps(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
    ) -> Result<SyncRunResult, SyncRunError> {
        log.begin_step(SyncStep::Detect);
        self.check_write_gate().await?;
        let repository = self.repository_client.repository().await?;
        if repository.write_access.archived {
            return Err(SyncRunError::Archived);
        }
        let mirror = self.job.git.open_mirror(self.mirror_path, self.remote).await?;
        let tip = mirror.default_tip().await?.ok_or(SyncRunError::NoCommits)?;
        mirror.fetch(std::slice::from_ref(&tip)).await?;
        let folder = PrivateFolder::new().map_err(SyncRunError::TemporaryFolder)?;
        mirror.check_out_private_clone(&tip, &[], folder.path()).await?;
        let project = folder.path();
        // Later calls open the manifest and the requirement by their paths. Both must be plain files, which
        // is checked here.
        let manifest = if self.job.config.has_manifest() {
            change::read_regular_file(project, &self.job.config.manifest)?.unwrap_or_default()
        } else {
            Vec::new()
        };
        change::read_regular_file(project, &self.job.config.constraint_file)?;
        let pins = load_pins(self.job.config, project, self.job.sources.reader).await?;
        let now = Timestamp::from_millisecond(log.started_at.0).unwrap_or_default();
        let question = |to| DecisionRequest {
            job: self.job.config,
            project,
            manifest: &pins.manifest,
            from: None,
            to,
            now,
        };
        // The rulings of people are read first: a ruling can permit a port, and this port may already be in
        // progress.
        let answers = self.job_questions().load_answers(job).await?;
        job.apply_answers(answers.ruling, answers.trusted_comments);
        let mut saved = self.load_draft(job).await?;
        // A port in progress is finished first, even if there is a newer release.
        let begun = saved
            .draft
            .as_ref()
            .and_then(|draft| PackageVersion::parse(self.job.config.registry, &draft.version).ok());
        let named = self.job.target_version.cloned();
        if let (Some(draft), true) = (&saved.draft, named.is_some() && named != begun) {
            let (url, version) = (&draft.pull.url, &draft.version);
            let why = format!(
                "{url} ports the project to {version}; finish this port first: run the job without `--to`"
            );
            return Ok(SyncRunResult::new(Outcome::Postponed, why, QuestionUpdate::Keep));
        }
        let wanted = named.clone().or_else(|| begun.clone());
        let mut seen = super::find_releases(&question(wanted), self.job.sources.index).await;
        if let (Some(draft), true) = (&saved.draft, is_port_obsolete(begun.as_ref(), &seen)) {
            self.close_draft(draft, "Nothing is left to do for this release").await?;
            saved.draft = None;
            seen = super::find_releases(&question(named.clone()), self.job.sources.index).await;
        }
        if let Err(error) = &seen
            && let Some((requirement, doubt)) = error.requirement_doubt()
        {
            log.verdict = Some(SyncVerdict::Ask);
            let reason = error.to_string();
            let file = &self.job.config.constraint_file;
            let (title, text) =
                texts::requirement_question(self.release_subject(""), file, requirement, doubt);
            let question = QuestionDraft { version: String::new(), title, text };
            return Ok(SyncRunResult::new(Outcome::QuestionAsked, reason, QuestionUpdate::Ask(question)));
        }
        // The caller named a release that cannot be followed, so the caller has made a mistake. The mistake
        // does not count as a failure of the job.
        if let (Some(named), Some(why)) = (&named, cannot_follow_reason(&self.job.config.package, &seen)) {
            log.to_version = Some(named.to_string());
            return Ok(SyncRunResult::new(Outcome::Postponed, why, QuestionUpdate::Keep));
        }
        let mut seen = seen?;
        let sources = self.job.sources;
        let is_safe = named.is_none() && saved.draft.is_none() && self.job.config.target == Follows::Safe;
        if is_safe
            && !seen.is_in_range()
            && let Some(safe) = Box::pin(super::newest_safe_release(&question(None), &seen, sources)).await?
        {
            seen.to = safe;
        }
        let (from, to) = (seen.from.to_string(), seen.to.to_string());
        (log.from_version, log.to_version) = (Some(from), Some(to.clone()));
        if let Some(reason) = seen.unreadable_reason().filter(|_| seen.is_in_range()) {
            log.verdict = Some(SyncVerdict::Ask);
            let (title, text) = texts::unreadable_index_question(self.release_subject(&to), &reason);
            let question = QuestionDraft { version: to, title, text };
            return Ok(SyncRunResult::new(Outcome::QuestionAsked, reason, QuestionUpdate::Ask(question)));
        }
        if seen.is_in_range() {
            log.verdict = Some(SyncVerdict::Skip);
            let notes: String = seen.notes.iter().map(|note| format!("; {note}")).collect();
            let why = format!("the range already contains {} {to}{notes}", self.job.config.package);
            return Ok(SyncRunResult::new(Outcome::UpToDate, why, QuestionUpdate::Close));
        }

        let target = SyncTarget { version: to.clone(), manifest_digest: change::manifest_digest(&manifest) };
        if !self.job.dry_run {
            let now = self.effects.clock.now();
            unreported_costs::add_unreported_run(job, &self.run.id);
            let answer = answers.newest_comment.as_ref();
            let admission = job.breaker.admit(&target, answer, self.job.config.breaker, now);
            // The state is saved before the work begins. If the run is killed after this point, the run
            // counts as failed.
            self.store.store_job(self.run, job).await?;
            if let RunAdmission::Skip(_) = admission {
                return Ok(SyncRunResult::new(
                    Outcome::CircuitOpen,
                    "the circuit breaker is open",
                    QuestionUpdate::Keep,
                ));
            }
        }

        log.begin_step(SyncStep::Decide);
        let mut decided = Box::pin(decide_on_release(question(None), seen, sources)).await?;
        decided.decision.unguarded_parts.extend(pins.unparsed_pins.iter().cloned());
        let rules = job.ruling.as_ref().filter(|ruling| ruling.version == to);
        let is_ruled = rules.is_some();
        if let Some(ruling) = rules.filter(|ruling| ruling.overrides(decided.decision.verdict)) {
            let reason = &decided.decision.reason;
            let why = format!("{reason}; {} decided: {}", ruling.author, ruling.verdict.as_str());
            decided.apply_verdict(ruling.verdict, why);
        }
        if decided.decision.reason == NOTHING_PINNED_REASON && self.job.verifier.is_some() {
            let why = "nothing is pinned, and the project's own checks decide".to_owned();
            decided.apply_verdict(SyncVerdict::Relax, why);
        }
        let unanswered =
            decided.decision.verdict == SyncVerdict::Ask && decided.decision.needs_classification;
        let may_port =
            self.job.config.writes_code || rules.is_some_and(|ruling| ruling.verdict == SyncVerdict::Bump);
        if unanswered {
            let newest_answer = answers.newest_comment.as_ref();
            let about = ClassifyContext { project, manifest: &pins.manifest, newest_answer };
            let ended = Box::pin(self.classify_functions(job, log, about, &mut decided)).await?;
            if let Some(ended) = ended {
                (log.verdict, log.evidence) = (Some(SyncVerdict::Ask), SyncRunLog::evidence(&decided));
                return Ok(ended);
            }
        }
        log.verdict = Some(decided.decision.verdict);
        log.evidence = SyncRunLog::evidence(&decided);
        let needs_port = matches!(decided.decision.verdict, SyncVerdict::Bump | SyncVerdict::Ask);
        if let Some(draft) = saved.draft.take_if(|_| !needs_port) {
            self.close_draft(&draft, "No port is needed any more").await?;
        }
        match decided.decision.verdict {
            SyncVerdict::Skip => Ok(SyncRunResult::new(
                Outcome::SkippedByUser,
                decided.decision.reason.clone(),
                QuestionUpdate::Close,
            )),
            SyncVerdict::Ask => Ok(self.end_with_question(&to, &decided)),
            // A person may decide that the lock file is updated by hand.
            SyncVerdict::Relax if decided.outdated_lock_file.is_some() && !is_ruled => {
                log.verdict = Some(SyncVerdict::Ask);
                Ok(self.end_with_question(&to, &decided))
            }
            SyncVerdict::Relax | SyncVerdict::Bump => {
                let base_branch = repository.default_branch.as_str();
                let checkout = BaseCheckout { mirror: &mirror, tip: &tip, branch: base_branch, project };
                Box::pin(self.publish(job, log, checkout, may_port.then_some(&saved), &decided)).await
            }
        }
    }

    /// Returns the draft of a port in progress. The draft is only searched if the job or a ruling permits
    /// ports.
    async fn load_draft(&self, job: &JobState) -> Result<JobDraftState, SyncRunError> {
        let ruled = job.ruling.as_ref().is_some_and(|ruling| ruling.verdict == SyncVerdict::Bump);
        if self.job.migration_agent.is_some() && (self.job.config.writes_code || ruled) {
            Ok(self.job_drafts().load_state().await?)
        } else {
            Ok(JobDraftState::default())
        }
    }

    /// Closes a draft that is no longer needed.
    async fn close_draft(&self, draft: &DraftPullRequest, reason: &str) -> Result<(), SyncRunError> {
        self.check_write_gate().await?;
        self.job_drafts().close(draft, reason).await
    }

    /// Ends the run with a question to people.
    pub(super) fn end_with_question(&self, version: &str, decided: &ReleaseDecision) -> SyncRunResult {
        let (title, text) = texts::release_question(self.release_subject(version), decided);
        let wanted = QuestionDraft { version: version.to_owned(), title, text };
        let reason = decided.decision.reason.clone();
        SyncRunResult::new(Outcome::QuestionAsked, reason, QuestionUpdate::Ask(wanted))
    }

    /// Makes the change and submits it to the forge.
    async fn publish(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        checkout: BaseCheckout<'_>,
        draft_state: Option<&JobDraftState>,
        decided: &ReleaseDecision,
    ) -> Result<SyncRunResult, SyncRunError> {
        let BaseCheckout { mirror, tip, branch: base_branch, project } = checkout;
        log.begin_step(SyncStep::ReadPulls);
        let version = decided.to.to_string();
        let pulls = self.job_pull_requests(&version, project);
        let reaches = |theirs: &str| {
            PackageVersion::parse(self.job.config.registry, theirs).is_ok_and(|theirs| theirs >= decided.to)
        };
        let branch_state = pulls.load_state(reaches).await?;
        if let Some(url) = branch_state.foreign_pull_url.clone() {
            return Err(SyncRunError::ForeignWork { branch: self.job.config.branch.clone(), url });
        }
        let verdict = decided.decision.verdict;
        // If only the base branch has changed, a port is not made again. People resolve conflicts when they
        // merge the port.
        let same = verdict == SyncVerdict::Bump || self.is_branch_current(mirror, tip, &branch_state).await?;
        let draft = draft_state.and_then(|draft_state| draft_state.draft.as_ref());
        let course = branch_state.choose_plan(verdict, draft.is_some(), same);
        if let (BranchPlan::Unchanged | BranchPlan::Covered, Some(draft)) = (course, draft) {
            let url = branch_state.final_pull.as_ref().map(|pull| pull.url.as_str()).unwrap_or_default();
            self.close_draft(draft, &format!("Finished in {url}")).await?;
        }
        let (page, pull) = (
            branch_state.final_pull.as_ref().map(|pull| pull.url.clone()).unwrap_or_default(),
            &branch_state.final_pull,
        );
        match (course, pull) {
            (BranchPlan::Covered, _) => {
                return Ok(SyncRunResult::new(
                    Outcome::CoveredByPull,
                    format!("{page} contains this change, and is merged"),
                    QuestionUpdate::Close,
                )
                .with_pull(&page));
            }
            (BranchPlan::Unchanged, pull) => {
                if let Some(pull) = pull {
                    pulls.add_missing_labels(pull).await?;
                }
                return Ok(SyncRunResult::new(
                    Outcome::CoveredByPull,
                    format!("{page} has it"),
                    QuestionUpdate::Close,
                )
                .with_pull(&page));
            }
            (BranchPlan::Blocked, Some(pull)) => {
                log.pull = Some(pulls.post_blocked_comment(&branch_state, pull).await?);
                let reason = format!(
                    "{page} is in use by a person: {}",
                    branch_state.activity.as_ref().map(|active| active.activity_text()).unwrap_or_default()
                );
                return Ok(SyncRunResult::new(Outcome::WaitingForUsers, reason, QuestionUpdate::Keep));
            }
            (
                BranchPlan::Continue
                | BranchPlan::Begin
                | BranchPlan::Restart
                | BranchPlan::AppendBoundsCommit
                | BranchPlan::Blocked,
                _,
            ) => {}
        }
        if verdict == SyncVerdict::Bump {
            // A model may port code only if a person has decided so, or if the job permits it.
            let Some(draft_state) = draft_state else { return Ok(self.end_with_question(&version, decided)) };
            let (branch_state, pulls) = (&branch_state, &pulls);
            let ground = BumpContext { mirror, tip, base_branch, branch_state, draft_state, pulls };
            return Box::pin(self.run_bump(job, log, ground, decided)).await;
        }

        log.begin_step(SyncStep::EditFiles);
        let (parent, own);
        let (at, on) = match (course, branch_state.head()) {
            (BranchPlan::AppendBoundsCommit, Some(head)) => {
                mirror.fetch(std::slice::from_ref(head)).await?;
                own = PrivateFolder::new().map_err(SyncRunError::TemporaryFolder)?;
                mirror.check_out_private_clone(head, &[], own.path()).await?;
                parent = head.clone();
                (own.path(), &parent)
            }
            _ => (project, tip),
        };
        let made = Box::pin(self.deterministic_change(mirror, decided).apply(on, at)).await?;
        let only: Vec<RepoPath> = made.iter().map(|change| change.path.clone()).collect();
        let staged = mirror.stage_folder(on, at, Some(&only)).await?;
        if self.job.dry_run {
            let diff = staged.diff().await?;
            let branch = &self.job.config.branch;
            let what = match branch_state.final_pull.as_ref().filter(|pull| pull.is_open()) {
                Some(pull) => format!("this change would be pushed to {branch}, for {}", pull.url),
                None => format!("a pull request from {branch} would be opened with this change"),
            };
            let reason = format!("{what}:\n{}", String::from_utf8_lossy(&diff));
            return Ok(SyncRunResult::new(Outcome::DryRun, reason, QuestionUpdate::Keep));
        }

        if self.job.verifier.is_some() {
            log.begin_step(SyncStep::Verify);
            self.check_write_gate().await?;
        }
        let checked = Box::pin(self.project_checks(mirror).run_checks(on, &[&made], "relax")).await?;
        let is_ruled = job
            .ruling
            .as_ref()
            .is_some_and(|ruling| ruling.version == version && ruling.verdict == SyncVerdict::Relax);
        if !checked.failing_commands.is_empty() && !is_ruled {
            log.verdict = Some(SyncVerdict::Ask);
            let failing = checked.failing_commands.join("; ");
            let reason = format!("these checks fail only with the wider range: {failing}");
            let (title, text) =
                texts::failing_checks_question(self.release_subject(&version), decided, &checked);
            return Ok(SyncRunResult::new(
                Outcome::QuestionAsked,
                reason,
                QuestionUpdate::Ask(QuestionDraft { version, title, text }),
            ));
        }

        log.begin_step(SyncStep::Publish);
        let mut push_remark = String::new();
        if !staged.paths.is_empty() {
            self.check_write_gate().await?;
            let expected = match branch_state.head() {
                Some(head) => Some(head.clone()),
                // The branch may exist from a closed pull request, or from a run that was killed before it
                // opened a pull request.
                None => mirror.branch_tip(&self.job.config.branch).await?,
            };
            let message = self.commit_message(self.release_subject(&version), decided);
            push_remark = self.push(staged, &self.job.config.branch, expected.as_ref(), &message).await?;
        }
        self.check_write_gate().await?;
        let files: Vec<String> = only.iter().map(RepoPath::to_string).collect();
        let body = texts::relax_text(self.release_subject(&version), decided, &files, &checked);
        let shown = pulls.upsert_pull_request(&branch_state, base_branch, verdict, &body).await?;
        let without = self.no_labels_remark();
        let package = &self.job.config.package;
        let reason =
            format!("the range is widened to {package} {version} in {}{without}{push_remark}", shown.url);
        let ended =
            SyncRunResult::new(Outcome::RangeWidened, reason, QuestionUpdate::Close).with_pull(&shown.url);
        log.pull = Some(shown);
        Ok(ended)
    }

    /// True if the branch of the open pull request is based on the default branch's newest commit.
    async fn is_branch_current(
        &self,
        mirror: &Mirror,
        tip: &Sha,
        branch_state: &JobBranchState,
    ) -> Result<bool, SyncRunError> {
        let Some(head) = branch_state.head() else { return Ok(false) };
        mirror.fetch(std::slice::from_ref(head)).await?;
        Ok(mirror.merge_base(tip, head).await?.as_ref() == Some(tip))
    }

    /// Returns an error if the write gate does not permit the run to continue. This check is made before each
    /// effect.
    pub(super) async fn check_write_gate(&self) -> Result<(), SyncRunError> {
        Ok(self.effects.gate.permit_continuation().await.map_err(GateHalt::from)?)
    }
}
