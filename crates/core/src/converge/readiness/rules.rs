//! What a pull request has to come to, as the configuration has it.

use serde::{Deserialize, Serialize};

use crate::id::TimeSpan;

/// What has to hold: `[converge]` and `[reviewer.NAME]` of cli.md, as they were when the run began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadinessRules {
    /// Who has to find nothing, in this order.
    pub reviewers: Vec<RequiredReviewer>,
    /// How often others are looked at.
    pub poll: TimeSpan,
    /// How long after it was asked a reviewer is looked at first.
    pub poll_after_trigger: TimeSpan,
    /// Looks for the comments of a reviewer that says that there are some.
    pub inline_lag_max: u32,
    /// Are threads resolved whose finding is fixed?
    pub resolve_threads: bool,
    /// May what our fixers declined stay?
    pub allow_declined: bool,
    /// Is a draft marked ready?
    pub mark_ready: bool,
    /// May the base be merged into a branch that needs it?
    pub auto_rebase: bool,
}

/// Who has to find nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredReviewer {
    /// Our own audit.
    Internal,
    /// Somebody else.
    Other(ExternalReviewer),
}

/// Another reviewer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExternalReviewer {
    /// What it is called.
    pub name: String,
    /// Does the run end that waits for it in vain?
    pub is_required: bool,
    /// How long its answer is waited for, each time it is asked.
    pub budget: TimeSpan,
    /// How often it is asked at one head; 0: it comes by itself.
    pub requests: u32,
}
