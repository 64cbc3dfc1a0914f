//! Stored state of a job between its runs: the circuit breaker, the open question, and users' rulings. Pure.

use serde::{Deserialize, Serialize};

use super::SyncVerdict;
use super::breaker::JobBreaker;
use super::classify::ReleaseClassification;
use crate::comment_text;
use crate::id::{CommentId, RunId, SlotKey};
use crate::money::MicroUsd;

/// The stored state of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobState {
    /// Circuit breaker of the job.
    pub breaker: JobBreaker,
    /// Open question to users; `None` if there is none.
    pub question: Option<JobQuestion>,
    /// Last ruling of a user.
    pub ruling: Option<ReleaseRuling>,
    /// Progress of an unfinished port; `None` if there is none.
    pub progress: Option<MigrationProgress>,
    /// A model's last classification of unpinned functions.
    pub classified: Option<CachedClassification>,
    /// Runs whose costs the job's records do not fully contain yet.
    pub untold: Vec<UnreportedCost>,
    /// Issue in which Truing reports the job's last runs; `None` if there is no such issue.
    pub tracked: Option<TrackingIssue>,
}

/// The issue in which Truing reports a job's last runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrackingIssue {
    pub issue: u64,
}

/// A run whose cost the ledger contains, but the job's records do not fully contain yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnreportedCost {
    pub run: RunId,
    /// Part of the cost that the records of later runs already contain.
    #[serde(rename = "told")]
    pub reported_cost: MicroUsd,
}

/// A request to a model and its answer, stored to avoid paying for the same request twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CachedClassification {
    /// Digest of the complete input of the model.
    #[serde(rename = "asked")]
    pub input_digest: String,
    /// Newest answer of a user to the open question at the time of the request. After a newer answer, the
    /// request may be repeated.
    #[serde(rename = "heard")]
    pub newest_answer: Option<CommentId>,
    /// Result of the request.
    #[serde(rename = "said")]
    pub classification: ReleaseClassification,
}

/// The progress of an unfinished port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// Release that the port is for.
    pub version: String,
    /// Number of items of the port that the model reports as completed.
    pub completed: usize,
    /// Number of failing checks that block the port.
    pub failing: usize,
    /// Questions of the model that only people can decide.
    #[serde(default)]
    pub questions: Vec<String>,
    /// Answers that users have given so far.
    #[serde(default)]
    pub answers: Vec<TrustedAnswer>,
    /// True while the port waits for a user's answer. No run continues the port while it waits.
    #[serde(default)]
    pub waits: bool,
}

/// A trusted user's answer to a question; its text is untrusted data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrustedAnswer {
    /// Id of the comment.
    pub id: CommentId,
    #[serde(rename = "by")]
    pub author: String,
    pub text: String,
}

impl JobState {
    /// Returns the state of the circuit breaker as one word.
    pub fn breaker_state(&self) -> &'static str {
        match (self.breaker.trip(), self.breaker.is_running()) {
            (None, _) => "closed",
            (Some(_), true) => "half-open",
            (Some(_), false) => "open",
        }
    }

    /// Stores users' answers to the open question. A new ruling replaces the stored ruling. If a port waits
    /// for an answer, this answer allows the port to continue.
    pub fn apply_answers(&mut self, ruling: Option<ReleaseRuling>, answers: Vec<TrustedAnswer>) {
        if ruling.is_some() {
            self.ruling = ruling;
        }
        let Some(question) = &self.question else { return };
        let Some(progress) = self.progress.as_mut().filter(|port| port.version == question.version) else {
            return;
        };
        for one in answers {
            if !progress.questions.is_empty() && progress.answers.iter().all(|known| known.id != one.id) {
                progress.answers.push(one);
                progress.waits = false;
            }
        }
        let surplus = progress.answers.len().saturating_sub(MAX_ANSWERS);
        progress.answers.drain(..surplus);
    }
}

/// Maximum number of stored answers to a model's questions; the newest answers are kept.
pub const MAX_ANSWERS: usize = 20;

impl MigrationProgress {
    /// Returns true if the port has advanced since `previous`: more items are completed, or fewer checks
    /// fail. Also returns true if `previous` is `None` or concerns another release.
    pub fn has_advanced_since(&self, previous: Option<&Self>) -> bool {
        previous
            .filter(|before| before.version == self.version)
            .is_none_or(|before| self.completed > before.completed || self.failing < before.failing)
    }
}

/// A question to users, asked in an issue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobQuestion {
    /// Digest of the question's text. A question with another text has another id.
    pub id: String,
    /// Release to which the question or ruling applies.
    pub version: String,
    /// Number of the issue.
    pub issue: u64,
    /// Address of the issue's web page.
    pub url: Option<String>,
    /// Last comment in the issue when the question was asked. Only newer comments can answer the question.
    #[serde(rename = "after")]
    pub last_comment: Option<CommentId>,
    /// Digest of the manifest at the time of the question.
    #[serde(default)]
    pub manifest: Option<String>,
    /// True if users closed the issue without an answer. In this case, Truing asks no further question about
    /// this release with this manifest.
    #[serde(default)]
    #[serde(rename = "closed")]
    pub is_closed: bool,
}

/// A user's ruling about a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseRuling {
    /// Release to which the question or ruling applies.
    pub version: String,
    /// Verdict of the user.
    pub verdict: SyncVerdict,
    /// Login of the user.
    #[serde(rename = "by")]
    pub author: String,
    /// Comment that contains the ruling.
    pub comment: CommentId,
}

impl ReleaseRuling {
    /// Returns true if the ruling takes precedence over the verdict `verdict`. Any ruling overrides `ask`.
    /// The ruling `skip` also overrides `relax` and `bump`, and the ruling `bump` overrides `relax`. The
    /// ruling `relax` cannot override the verdict `bump`.
    pub fn overrides(&self, verdict: SyncVerdict) -> bool {
        match verdict {
            SyncVerdict::Ask => true,
            SyncVerdict::Bump => self.verdict == SyncVerdict::Skip,
            SyncVerdict::Relax => self.verdict != SyncVerdict::Relax,
            SyncVerdict::Skip => false,
        }
    }
}

/// Returns the key of a job.
///
/// ```
/// assert_eq!(truing_core::sync::job::job_key("botocore").as_str(), "sync/botocore");
/// ```
pub fn job_key(job: &str) -> SlotKey {
    SlotKey::new(format!("sync/{job}"))
}

/// Returns the name of the job to which a key belongs; `None` if the key is not that of a job.
pub fn job_from_key(key: &SlotKey) -> Option<&str> {
    key.as_str().strip_prefix("sync/")
}

/// Parses the ruling from a user's answer. The first word must be `relax`, `bump` or `skip`, in any letter
/// case, optionally after `/truing`. Quotes and code do not count. Any other text contains no ruling, but
/// still counts as an answer to the question.
/// ```
/// use truing_core::sync::{SyncVerdict, job::parse_ruling};
/// let answer = "Relax, please: the change is in code that we do not use";
/// assert_eq!(parse_ruling(answer), Some(SyncVerdict::Relax));
/// assert_eq!(parse_ruling("/truing bump"), Some(SyncVerdict::Bump));
/// assert_eq!(parse_ruling("I relaxed it last time"), None);
/// assert_eq!(parse_ruling("> relax\n\nskip: it is not needed"), Some(SyncVerdict::Skip));
/// ```
pub fn parse_ruling(answer: &str) -> Option<SyncVerdict> {
    let mut words = comment_text::first_own_line(answer)?
        .split(|letter: char| !letter.is_alphanumeric() && letter != '/')
        .filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if word.eq_ignore_ascii_case("/truing") {
        word = words.next()?;
    }
    [SyncVerdict::Relax, SyncVerdict::Bump, SyncVerdict::Skip]
        .into_iter()
        .find(|verdict| word.eq_ignore_ascii_case(verdict.as_str()))
}
