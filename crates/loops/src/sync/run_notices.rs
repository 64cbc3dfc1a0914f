//! The messages of a run to people: the job's question, and the notice that reports the results of the job's
//! runs.

use truing_core::sync::job::JobState;
use truing_core::sync::record::{SyncRecord, SyncStep};
use truing_forge::ForgeServer as _;

use super::error::SyncRunError;
use super::notices::JobNotices;
use super::question::{JobQuestions, QuestionDraft};
use super::run::SyncRun;
use super::run_log::{QuestionUpdate, SyncRunLog, SyncRunResult};
use super::texts;
use super::tracking::TrackingNotice;

impl SyncRun<'_> {
    pub(super) fn job_questions(&self) -> JobQuestions<'_> {
        JobQuestions {
            notices: self.job_notices(&self.job.config.question_label, "question"),
            job_name: self.job.name,
        }
    }

    fn job_notices<'b>(&'b self, label: &'b str, branch_suffix: &'static str) -> JobNotices<'b> {
        let Self { job, repository_client: forge, server, mirror_path: mirror, remote, .. } = *self;
        JobNotices {
            forge,
            server,
            executor: &self.effects,
            job,
            mirror_path: mirror,
            remote,
            label,
            branch_suffix,
        }
    }

    /// Returns a remark if the job sets labels but the forge has no labels for pull requests; otherwise,
    /// returns an empty text.
    pub(super) fn no_labels_remark(&self) -> String {
        let row = self.server.capability();
        if row.labels || self.job.config.labels.is_empty() {
            return String::new();
        }
        format!("; {} has no labels for pull requests, so no label was set", row.name)
    }

    /// Returns the notices that report the job's runs.
    pub(super) fn outcome_notices(&self) -> JobNotices<'_> {
        self.job_notices(&self.job.config.outcome_label, "outcome")
    }

    /// Reports the run in the job's notice, if the job has a notice.
    pub(super) async fn report_run(
        &self,
        job: &mut JobState,
        record: &SyncRecord,
    ) -> Result<(), SyncRunError> {
        if !self.job.config.maintains_outcome_issue || self.job.dry_run {
            job.tracked = job.tracked.take().filter(|_| self.job.config.maintains_outcome_issue);
            return Ok(());
        }
        self.check_write_gate().await?;
        let tracking = TrackingNotice {
            key: &self.run.key,
            store: self.store,
            notices: self.outcome_notices(),
            job_name: self.job.name,
        };
        tracking.report_run(job, record).await
    }

    /// Opens the question that the result of the run requires, and closes all other questions. Returns the
    /// URL of the open question.
    pub(super) async fn open_question(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        run_end: &SyncRunResult,
    ) -> Result<Option<String>, SyncRunError> {
        let version = log.to_version.clone().unwrap_or_default();
        let open = job.breaker.trip().is_some().then(|| {
            let version = job.breaker.target().map_or(version.as_str(), |target| target.version.as_str());
            let (title, text) = texts::tripped_breaker_question(self.release_subject(version), &job.breaker);
            QuestionDraft { version: version.to_owned(), title, text }
        });
        // If the caller named a release, the run does not close a question about another release.
        let is_of_another = self.job.target_version.is_some()
            && job.question.as_ref().is_some_and(|question| question.version != version);
        match (open, &run_end.question_update) {
            (Some(wanted), _) => {
                log.begin_step(SyncStep::AskUsers);
                self.open_wanted_question(job, &wanted).await
            }
            (None, QuestionUpdate::Ask(wanted)) => {
                log.begin_step(SyncStep::AskUsers);
                self.open_wanted_question(job, wanted).await
            }
            (None, QuestionUpdate::Close) if !is_of_another => {
                self.job_questions().close(job, &run_end.reason, run_end.pull_url.as_deref()).await?;
                Ok(None)
            }
            (None, QuestionUpdate::Keep | QuestionUpdate::Close) => Ok(job
                .question
                .as_ref()
                .filter(|question| !question.is_closed)
                .and_then(|question| question.url.clone())),
        }
    }

    /// Returns the URL of the open question about the same release. Dry runs use this function, because they
    /// do not ask questions.
    pub(super) fn open_question_url(&self, job: &JobState, run_end: &SyncRunResult) -> Option<String> {
        let QuestionUpdate::Ask(wanted) = &run_end.question_update else { return None };
        let known = job.question.as_ref()?;
        known.url.clone().filter(|_| !known.is_closed && known.version == wanted.version)
    }

    /// Returns the reason why a dry run ended. It contains the complete question that a normal run would ask.
    pub(super) fn dry_run_reason(&self, run_end: &SyncRunResult) -> String {
        let QuestionUpdate::Ask(wanted) = &run_end.question_update else { return run_end.reason.clone() };
        let questions = self.job_questions();
        let (noun, text) = (questions.notices.notice_noun(), questions.notices.adapt_text(&wanted.text));
        format!(
            "{}\nthis question would be asked in the {noun} \"{}\":\n\n{}",
            run_end.reason,
            wanted.title,
            text.trim_end()
        )
    }

    async fn open_wanted_question(
        &self,
        job: &mut JobState,
        draft: &QuestionDraft,
    ) -> Result<Option<String>, SyncRunError> {
        self.check_write_gate().await?;
        let page = self.job_questions().ask_question(job, draft).await?;
        // The state is saved now. If the run is killed later, the next run finds the question in the saved
        // state.
        self.store.store_job(self.run, job).await?;
        Ok(page)
    }
}
