//! What is remembered of a job between its runs: its breaker, the question that it has asked people, and what they
//! have ruled. Pure.

use serde::{Deserialize, Serialize};

use super::SyncVerdict;
use super::breaker::JobBreaker;
use super::classify::ReleaseClassification;
use crate::id::{CommentId, RunId, SlotKey};
use crate::money::MicroUsd;

/// What is remembered of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobState {
    /// Its circuit breaker.
    pub breaker: JobBreaker,
    /// The question that is open.
    pub question: Option<JobQuestion>,
    /// The last ruling of a person.
    pub ruling: Option<ReleaseRuling>,
    /// How far the port in progress is.
    pub progress: Option<MigrationProgress>,
    /// What a model has said of functions that nobody has pinned.
    pub classified: Option<CachedClassification>,
    /// Runs that have begun and whose cost no record tells yet, or not all of it.
    pub untold: Vec<UnreportedCost>,
    /// The issue that tells of the last runs.
    pub tracked: Option<TrackingIssue>,
}

/// The issue that tells of a job's last runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrackingIssue {
    /// Its number.
    pub issue: u64,
}

/// A run whose cost is in the ledger, and in no record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnreportedCost {
    /// The run.
    pub run: RunId,
    /// What later records have told of it.
    pub told: MicroUsd,
}

/// What a model was asked, and what it said: the same is not asked, and paid for, twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CachedClassification {
    /// A digest of all that it was shown.
    pub asked: String,
    /// The newest answer of people at that time: another one lets it be asked again.
    pub heard: Option<CommentId>,
    /// What came of it.
    pub said: ReleaseClassification,
}

/// How far a port is that is not finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// The release that it is for.
    pub version: String,
    /// Things that are done, as the model counts them.
    pub completed: usize,
    /// Checks that fail and should not.
    pub failing: usize,
    /// What only people can decide, as the model asks it.
    #[serde(default)]
    pub questions: Vec<String>,
    /// What people have answered so far.
    #[serde(default)]
    pub answers: Vec<TrustedAnswer>,
    /// Has nobody answered since it was asked? Then nobody works on.
    #[serde(default)]
    pub waits: bool,
}

/// What a person who is trusted has said in answer to a question: data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrustedAnswer {
    /// The comment.
    pub id: CommentId,
    /// Who.
    pub by: String,
    /// The text.
    pub text: String,
}

impl JobState {
    /// The state of its circuit breaker, in a word.
    pub fn breaker_state(&self) -> &'static str {
        match (self.breaker.open(), self.breaker.is_running()) {
            (None, _) => "closed",
            (Some(_), true) => "half-open",
            (Some(_), false) => "open",
        }
    }

    /// People have answered the question that is open: the ruling of the last of them that has one counts, and a port
    /// that waited for an answer goes on with it.
    pub fn hear(&mut self, ruling: Option<ReleaseRuling>, said: Vec<TrustedAnswer>) {
        if ruling.is_some() {
            self.ruling = ruling;
        }
        let Some(question) = &self.question else { return };
        let Some(progress) = self.progress.as_mut().filter(|port| port.version == question.version) else {
            return;
        };
        for one in said {
            if !progress.questions.is_empty() && progress.answers.iter().all(|known| known.id != one.id) {
                progress.answers.push(one);
                progress.waits = false;
            }
        }
        let surplus = progress.answers.len().saturating_sub(MAX_ANSWERS);
        progress.answers.drain(..surplus);
    }
}

/// Answers to a model's questions that are remembered, the last ones.
pub const MAX_ANSWERS: usize = 20;

impl MigrationProgress {
    /// Is this more than what was there before?
    pub fn is_beyond(&self, before: Option<&Self>) -> bool {
        before
            .filter(|before| before.version == self.version)
            .is_none_or(|before| self.completed > before.completed || self.failing < before.failing)
    }
}

/// A question to people: an issue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobQuestion {
    /// What it asks, as a digest of its text: another text is another question.
    pub id: String,
    /// The release that it is about.
    pub version: String,
    /// The issue's number.
    pub issue: u64,
    /// Its page.
    pub url: Option<String>,
    /// The last comment in it when the question was asked: only newer ones answer it.
    pub after: Option<CommentId>,
    /// The manifest with which it was asked.
    #[serde(default)]
    pub manifest: Option<String>,
    /// Did people close it without a word? Then nobody is asked again about this release with this manifest.
    #[serde(default)]
    pub closed: bool,
}

/// What a person has ruled about a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseRuling {
    /// The release.
    pub version: String,
    /// What to do about it.
    pub verdict: SyncVerdict,
    /// Who said so.
    pub by: String,
    /// The comment that says so.
    pub comment: CommentId,
}

impl ReleaseRuling {
    /// Does it take the place of what was found? Of a release that needs code it can be that it is left out: that the code
    /// serves it as it is, nobody is believed. That it does not, or that the release is left out, people may know.
    pub fn overrides(&self, found: SyncVerdict) -> bool {
        match found {
            SyncVerdict::Ask => true,
            SyncVerdict::Bump => self.verdict == SyncVerdict::Skip,
            SyncVerdict::Relax => self.verdict != SyncVerdict::Relax,
            SyncVerdict::Skip => false,
        }
    }
}

/// The key of a job.
///
/// ```
/// assert_eq!(truing_core::sync::job::key("botocore").as_str(), "sync/botocore");
/// ```
pub fn key(job: &str) -> SlotKey {
    SlotKey::new(format!("sync/{job}"))
}

/// The job that a key names.
pub fn of_key(key: &SlotKey) -> Option<&str> {
    key.as_str().strip_prefix("sync/")
}

/// What a person's answer rules, if it does: its first word is `relax`, `bump` or `skip`, with `/truing` before it or
/// not, and in any case. An answer that says something else answers the question all the same.
///
/// ```
/// use truing_core::sync::{SyncVerdict, job::ruled};
/// assert_eq!(ruled("Relax, please: the change is in code that we do not use"), Some(SyncVerdict::Relax));
/// assert_eq!(ruled("/truing bump"), Some(SyncVerdict::Bump));
/// assert_eq!(ruled("I relaxed it last time"), None);
/// ```
pub fn ruled(answer: &str) -> Option<SyncVerdict> {
    let mut words = answer
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
