//! The question of a job to people; at most one question is open. The question is a notice. Each run compares
//! the notice with the question that should be open, and corrects the notice.

use sha2::{Digest as _, Sha256};
use truing_core::effect::Effect;
use truing_core::id::{CommentId, Topic};
use truing_core::port::{ConversationReply, ForgeError, ForgeRead as _, OwnIssue};
use truing_core::sync::job::{JobQuestion, JobState, ReleaseRuling, TrustedAnswer, parse_ruling};

use super::error::SyncRunError;
use super::notices::JobNotices;
use super::texts;

/// Maximum number of characters of an answer in a model's prompt.
const MAX_ANSWER_CHARS: usize = 4000;

/// The text of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct QuestionDraft {
    pub(super) version: String,
    pub(super) title: String,
    pub(super) text: String,
}

impl QuestionDraft {
    /// Returns an id for the question. Questions with different texts have different ids.
    fn id(&self) -> String {
        let digest = Sha256::digest(format!("{}\n{}", self.title, self.text).as_bytes());
        hex::encode(digest.get(..8).unwrap_or_default())
    }
}

/// The questions of one job at a forge.
#[derive(Debug)]
pub(super) struct JobQuestions<'a> {
    pub(super) notices: JobNotices<'a>,
    pub(super) job_name: &'a str,
}

/// The comments that people have written since the question was asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct QuestionAnswers {
    /// The newest comment by a trusted person.
    pub(super) newest_comment: Option<CommentId>,
    /// The newest ruling in a comment by a trusted person.
    pub(super) ruling: Option<ReleaseRuling>,
    /// Comments by trusted persons, oldest first.
    pub(super) trusted_comments: Vec<TrustedAnswer>,
}

impl JobQuestions<'_> {
    fn topic(&self) -> Topic {
        Topic::new(format!("sync/{}/question", self.job_name))
    }

    /// Returns people's answers since the question was asked. If an answer has caused a retry, this answer
    /// and earlier answers are excluded.
    pub(super) async fn load_answers(&self, job_name: &JobState) -> Result<QuestionAnswers, ForgeError> {
        let Some(JobQuestion { issue: number, last_comment: after, version, .. }) = &job_name.question else {
            return Ok(QuestionAnswers::default());
        };
        let after = newer_comment(job_name.breaker.last_trial_answer(), after.as_ref());
        let replies = match self.notices.forge.replies(*number, after).await {
            Ok(replies) => replies,
            // The issue was deleted, so there are no answers. The run asks the question again.
            Err(ForgeError::NotFound { .. }) => return Ok(QuestionAnswers::default()),
            Err(error) => return Err(error),
        };
        for reply in replies.iter().filter(|reply| reply.is_author_trusted) {
            if let Some(reason) = reply.text_writer.refusal_reason() {
                tracing::warn!(issue = number, comment = %reply.id, "an answer does not count: {reason}");
            }
        }
        let trusted: Vec<&ConversationReply> =
            replies.iter().filter(|reply| reply.is_trusted_answer()).collect();
        let ruling = trusted.iter().rev().find_map(|reply| {
            let verdict = parse_ruling(&reply.body)?;
            let by = reply.author.as_ref().map(|author| author.login.clone()).unwrap_or_default();
            Some(ReleaseRuling { version: version.clone(), verdict, author: by, comment: reply.id.clone() })
        });
        let answers = trusted.iter().map(|reply| TrustedAnswer {
            id: reply.id.clone(),
            author: reply.author.as_ref().map(|author| author.login.clone()).unwrap_or_default(),
            text: reply.body.chars().take(MAX_ANSWER_CHARS).collect(),
        });
        Ok(QuestionAnswers {
            newest_comment: trusted.last().map(|reply| reply.id.clone()),
            ruling,
            trusted_comments: answers.collect(),
        })
    }

    /// Ensures that this question is open and that no other question is open, and records the question in
    /// `job`. If people have closed the issue about this release without an answer, returns `None` and does
    /// not ask.
    pub(super) async fn ask_question(
        &self,
        job: &mut JobState,
        draft: &QuestionDraft,
    ) -> Result<Option<String>, SyncRunError> {
        let draft = &QuestionDraft { text: self.notices.adapt_text(&draft.text), ..draft.clone() };
        let id = draft.id();
        let manifest = job.breaker.target().map(|target| target.manifest_digest.clone());
        let mut issues = self.notices.list_notices(&self.topic()).await?;
        if let Some(question) = &mut job.question {
            question.is_closed = Self::was_declined(question, draft, manifest.as_ref(), &issues)
                && !self.is_answered(question).await?;
            if question.is_closed {
                return Ok(None);
            }
        }
        let known = job.question.as_ref().map(|question| question.issue);
        let at = issues.iter().position(|issue| issue.open && Some(issue.number) == known);
        let at = at.or_else(|| issues.iter().position(|issue| issue.open));
        let issue = match at.map(|at| issues.swap_remove(at)) {
            Some(issue) => issue,
            None => self.notices.open(self.topic(), &draft.title, &draft.text).await?,
        };
        for other in issues.iter().filter(|other| other.open && other.number != issue.number) {
            self.notices.close(other.number).await?;
        }
        let same = job.question.as_ref().is_some_and(|question| question.id == id);
        let is_new = issue.title == draft.title && issue.body.trim() == draft.text.trim();
        if !same && !is_new {
            // The comment that notifies people is posted before the issue is edited. If the run is killed
            // before the edit, the next run posts the comment again.
            self.repeat_question(issue.number, &draft.text).await?;
            let text = (draft.title.clone(), draft.text.clone());
            self.notices.edit(issue.number, self.topic(), text.0, text.1).await?;
        }
        // If a killed run opened the issue, all comments after Truing's last comment count as answers.
        let replies = self.notices.forge.replies(issue.number, None).await?;
        let last = replies.into_iter().rfind(|reply| reply.topic.is_some()).map(|reply| reply.id);
        let before = job.question.take().filter(|question| question.issue == issue.number && same);
        job.question = Some(match before {
            Some(question) => question,
            None => JobQuestion {
                id,
                version: draft.version.clone(),
                issue: issue.number,
                url: Some(issue.url.clone()),
                last_comment: last,
                manifest,
                is_closed: false,
            },
        });
        Ok(Some(issue.url))
    }

    /// True if a maintainer has closed the issue about exactly this release and manifest, and no other issue
    /// is open. When Truing closes an issue, it also deletes the record of the question. If the record still
    /// exists, only a maintainer of the repository can have closed the issue.
    fn was_declined(
        question: &JobQuestion,
        draft: &QuestionDraft,
        manifest: Option<&String>,
        issues: &[OwnIssue],
    ) -> bool {
        let is_same = question.version == draft.version && question.manifest.as_ref() == manifest;
        let was = issues.iter().any(|issue| issue.number == question.issue && !issue.open);
        is_same && was && issues.iter().all(|issue| !issue.open)
    }

    /// True if a trusted person has commented since the question was asked.
    async fn is_answered(&self, question: &JobQuestion) -> Result<bool, ForgeError> {
        let replies = self.notices.forge.replies(question.issue, question.last_comment.as_ref()).await?;
        Ok(replies.iter().any(ConversationReply::is_trusted_answer))
    }

    /// Posts the question as a new comment, which notifies people, and deletes earlier comments that contain
    /// the question. If an earlier run has already posted this comment as the last one, nothing is posted.
    async fn repeat_question(&self, number: u64, text: &str) -> Result<(), SyncRunError> {
        let topic = self.topic();
        let replies = self.notices.forge.replies(number, None).await?;
        let is_said =
            |last: &ConversationReply| last.topic.as_ref() == Some(&topic) && last.body.trim() == text.trim();
        if replies.last().is_some_and(is_said) {
            return Ok(());
        }
        for reply in replies {
            if reply.topic.as_ref() == Some(&topic) {
                self.notices.executor.perform(&Effect::DeleteComment { number, comment: reply.id }).await?;
            }
        }
        self.notices.executor.perform(&Effect::NewComment { number, topic, body: text.to_owned() }).await?;
        Ok(())
    }

    /// Closes all open questions of the job. `pull_url` is the address of the pull request that the reason
    /// names.
    pub(super) async fn close(
        &self,
        job: &mut JobState,
        reason: &str,
        pull_url: Option<&str>,
    ) -> Result<(), SyncRunError> {
        // A killed run may have opened an issue that is not recorded in the job's state.
        if job.question.is_none() && !self.notices.may_have_been_opened(&self.topic()).await? {
            return Ok(());
        }
        let topic = Topic::new(format!("{}/settled", self.topic()));
        for issue in self.notices.list_notices(&self.topic()).await?.iter().filter(|issue| issue.open) {
            // An earlier run that was stopped before it closed the issue may already have posted the comment.
            let number = issue.number;
            let last = self.notices.forge.replies(number, None).await?.pop();
            if last.is_none_or(|last| last.topic.as_ref() != Some(&topic)) {
                let topic = topic.clone();
                let body = texts::question_settled_comment(reason, pull_url);
                self.notices.executor.perform(&Effect::NewComment { number, topic, body }).await?;
            }
            self.notices.close(number).await?;
        }
        job.question = None;
        Ok(())
    }
}

/// Returns the later of two comments on the same issue. On every forge, later comments have greater numbers,
/// so the numbers in the ids are compared.
fn newer_comment<'a>(a: Option<&'a CommentId>, b: Option<&'a CommentId>) -> Option<&'a CommentId> {
    let number = |id: &CommentId| {
        id.as_str()
            .rsplit(|letter: char| !letter.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    match (a, b) {
        (Some(a), Some(b)) if number(a) > number(b) => Some(a),
        (Some(a), None) => Some(a),
        (_, b) => b,
    }
}
