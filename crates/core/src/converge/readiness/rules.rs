//! The requirements that the configuration sets for a ready pull request.

use serde::{Deserialize, Serialize};

use crate::id::TimeSpan;

/// The requirements of `[converge]` and `[reviewer.NAME]`, as they were when the run began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadinessRules {
    /// Reviewers that must report no findings, in the order of their reviews.
    pub reviewers: Vec<RequiredReviewer>,
    /// Interval at which Truing checks external reviewers for a response.
    pub poll: TimeSpan,
    /// Delay between a request to a reviewer and the first check for its response.
    pub poll_after_trigger: TimeSpan,
    /// Maximum number of checks for comments that a reviewer has announced.
    pub inline_lag_max: u32,
    /// True if threads of fixed findings are resolved.
    pub resolve_threads: bool,
    /// True if declined findings may remain.
    pub allow_declined: bool,
    /// True if a draft is marked ready.
    pub mark_ready: bool,
    /// True if the forge may merge the base branch into a pull request's branch that has fallen behind.
    pub auto_rebase: bool,
}

/// A reviewer that must report no findings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredReviewer {
    /// Our own audit of the head.
    Internal,
    #[serde(rename = "other")]
    External(ExternalReviewer),
}

/// A reviewer outside Truing, such as a bot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExternalReviewer {
    /// Name of the reviewer.
    pub name: String,
    /// True if the run fails when the reviewer does not respond in time.
    pub is_required: bool,
    /// Timeout for the reviewer's response, after each request.
    pub budget: TimeSpan,
    /// Maximum number of requests at one head; 0 if the reviewer starts by itself.
    pub requests: u32,
}
