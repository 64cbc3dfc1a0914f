//! What is remembered of a job between its runs: its breaker, the question that it has asked people, and what they
//! have ruled. Pure.

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::breaker::Breaker;
use crate::id::{CommentId, Key, Millis};

/// What is remembered of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// The question that is open, or was to be opened.
    pub question: Option<Question>,
    /// The last ruling of a person.
    pub ruling: Option<Ruling>,
    /// How far the port in progress is.
    pub progress: Option<Progress>,
}

/// How far a port is that is not finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The release that it is for.
    pub version: String,
    /// Things that are done, as the model counts them.
    pub completed: usize,
    /// Checks that fail and should not.
    pub failing: usize,
}

impl Progress {
    /// Is this more than what was there before?
    pub fn is_beyond(&self, before: Option<&Self>) -> bool {
        before
            .filter(|before| before.version == self.version)
            .is_none_or(|before| self.completed > before.completed || self.failing < before.failing)
    }
}

/// A question to people: an issue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// What it asks, as a digest of its text: another text is another question.
    pub id: String,
    /// The release that it is about.
    pub version: String,
    /// The issue's number; none: it was to be opened, and nobody knows yet whether it was.
    pub issue: Option<u64>,
    /// Its page.
    pub url: Option<String>,
    /// The last comment in it when the question was asked: only newer ones answer it.
    pub after: Option<CommentId>,
    /// When it was asked, or was to be.
    pub asked: Millis,
}

/// What a person has ruled about a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ruling {
    /// The release.
    pub version: String,
    /// What to do about it.
    pub verdict: Verdict,
    /// Who said so.
    pub by: String,
    /// The comment that says so.
    pub comment: CommentId,
}

impl Ruling {
    /// Does it take the place of what was found? Of a release that needs code it can be that it is left out: that the code
    /// serves it as it is, nobody is believed.
    pub fn overrides(&self, found: Verdict) -> bool {
        match found {
            Verdict::Ask => true,
            Verdict::Bump => self.verdict == Verdict::Skip,
            Verdict::Relax | Verdict::Skip => false,
        }
    }
}

/// The key of a job.
///
/// ```
/// assert_eq!(truing_core::follow::job::key("botocore").as_str(), "sync/botocore");
/// ```
pub fn key(job: &str) -> Key {
    Key::new(format!("sync/{job}"))
}

/// The job that a key names.
pub fn of_key(key: &Key) -> Option<&str> {
    key.as_str().strip_prefix("sync/")
}

/// What a person's answer rules, if it does: its first word is `relax`, `bump` or `skip`, with `/truing` before it or
/// not, and in any case. An answer that says something else answers the question all the same.
///
/// ```
/// use truing_core::follow::{Verdict, job::ruled};
/// assert_eq!(ruled("Relax, please: the change is in code that we do not use"), Some(Verdict::Relax));
/// assert_eq!(ruled("/truing bump"), Some(Verdict::Bump));
/// assert_eq!(ruled("I relaxed it last time"), None);
/// ```
pub fn ruled(answer: &str) -> Option<Verdict> {
    let mut words = answer
        .split(|letter: char| !letter.is_alphanumeric() && letter != '/')
        .filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if word.eq_ignore_ascii_case("/truing") {
        word = words.next()?;
    }
    [Verdict::Relax, Verdict::Bump, Verdict::Skip]
        .into_iter()
        .find(|verdict| word.eq_ignore_ascii_case(verdict.as_str()))
}
