//! Defines a report in sections, one for each loop. The section of the sync loop also contains the jobs.

use serde::{Serialize, Serializer};
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::line::format_count;
use truing_core::money::MicroUsd;
use truing_core::slot::LoopKind;
use truing_core::sync::job::{self, JobState};
use truing_loops::text::format_instant;

use super::amount;
use super::figures::{LoopFigures, RunEndTally};
use super::loops::{self, format_day, utc_day};
use super::reviews::ReviewTotals;
use super::run::ReportedRun;

/// The report over one or all loops.
pub struct ActivityReport {
    /// Name of the machine on which the report is made; `None` if the name is not known.
    pub host: Option<String>,
    /// Start of the reported time.
    pub since: UnixMillis,
    /// End of the reported time.
    pub until: UnixMillis,
    /// One section for each loop that has something to report.
    pub sections: Vec<LoopSection>,
}

/// The figures of one loop.
pub struct LoopSection {
    /// The loop of the section.
    pub loop_kind: LoopKind,
    /// The runs that were read, newest first.
    pub runs: Vec<ReportedRun>,
    /// True if there are more runs than were read.
    pub is_truncated: bool,
    /// The figures of the loop. The total cost in these figures includes `unrecorded_cost`.
    pub figures: LoopFigures,
    /// The part of the cost of the loop's runs that no record contains, because the runs have no record or
    /// are still running.
    pub unrecorded_cost: MicroUsd,
    /// The jobs, in a section of the sync loop.
    pub jobs: Vec<JobStatus>,
    /// In a section of reviews, the totals of all these reviews, including reviews that are not in `runs`.
    pub reviews: Option<ReviewTotals>,
}

impl ActivityReport {
    /// Returns the report's title, with the host name and the first and last day.
    pub fn title(&self) -> String {
        let at = self.host.as_ref().map_or_else(String::new, |host| format!(" at {host}"));
        format!("Truing{at}, {} to {}", format_day(utc_day(self.since)), format_day(utc_day(self.until)))
    }
}

impl LoopSection {
    /// Returns true if a review of this section has ended. The review need not be in `runs`.
    pub fn has_reviews(&self) -> bool {
        self.reviews.as_ref().is_some_and(|reviews| !reviews.end_counts.is_empty())
    }

    /// Sets the unrecorded cost, and adds it to the total cost.
    #[must_use]
    pub fn with_unrecorded_cost(mut self, unrecorded_cost: MicroUsd) -> Self {
        self.figures.cost_micro_usd = self.figures.cost_micro_usd.saturating_add(unrecorded_cost.0);
        self.unrecorded_cost = unrecorded_cost;
        self
    }

    /// Replaces the tally, the cost and the mean duration by those of all reviews, including reviews that are
    /// not in `runs`.
    #[must_use]
    pub fn with_review_totals(mut self, reviews: ReviewTotals) -> Self {
        let figures = &mut self.figures;
        (figures.tally, figures.mean_ms) = (reviews.tally(), reviews.mean_ms());
        (figures.cost_micro_usd, self.unrecorded_cost) =
            (reviews.total_cost_micro_usd(), reviews.unrecorded_cost);
        self.reviews = Some(reviews);
        self
    }

    /// Returns true if this section contains local reviews.
    pub fn is_local(&self) -> bool {
        self.reviews.as_ref().is_some_and(|reviews| reviews.is_local)
    }

    /// Returns the name of the section for people.
    pub fn title(&self) -> &'static str {
        if self.is_local() { "Local reviews" } else { loops::loop_title(self.loop_kind) }
    }

    /// Returns a sentence about the runs that were not read; `None` if all runs were read.
    pub fn truncation_note(&self) -> Option<String> {
        let last = format_count(self.runs.len(), "run");
        let what = if self.reviews.is_some() { "Steps, periods and prompts cover" } else { "Only" };
        self.is_truncated.then(|| format!("{what} the last {last}; earlier runs are left out."))
    }

    /// Returns a sentence about the unrecorded cost; `None` if there is no unrecorded cost.
    pub fn unrecorded_note(&self) -> Option<String> {
        let MicroUsd(cost) = self.unrecorded_cost;
        (cost > 0).then(|| {
            format!(
                "Includes {} for runs that have no record or are still running.",
                amount::format_dollars(cost)
            )
        })
    }
}

/// The present state of a job.
#[derive(Serialize)]
pub struct JobStatus {
    pub name: String,
    /// The state of the job's circuit breaker, as a single word.
    #[serde(rename = "breaker")]
    pub breaker_state: &'static str,
    /// Time at which the job's circuit breaker opened, if the circuit breaker is open.
    #[serde(serialize_with = "serialize_optional_instant")]
    #[serde(rename = "open_since")]
    pub breaker_open_since: Option<UnixMillis>,
    /// Number of failed runs for the current release.
    #[serde(rename = "failures")]
    pub release_failures: u32,
    /// Number of failures in a row.
    #[serde(rename = "streak")]
    pub consecutive_failures: u32,
    /// Address of the question to people, while a question is open.
    #[serde(rename = "question")]
    pub question_url: Option<String>,
    /// The part of the cost of the job's runs that no record contains yet. The record of the job's next run
    /// will include this cost.
    #[serde(rename = "untold_micro_usd")]
    pub unrecorded_micro_usd: MicroUsd,
    /// The number of the job's runs by their end.
    #[serde(flatten)]
    pub tally: RunEndTally,
}

fn serialize_optional_instant<S: Serializer>(instant: &Option<UnixMillis>, to: S) -> Result<S::Ok, S::Error> {
    instant.map(format_instant).serialize(to)
}

impl JobStatus {
    /// Creates the status of a job. `unrecorded_micro_usd` is the part of the cost of the job's runs that no
    /// record contains yet.
    pub fn new(key: &SlotKey, job: &JobState, unrecorded_micro_usd: MicroUsd, runs: &[ReportedRun]) -> Self {
        let (failures, streak) = job.breaker.failure_counts();
        Self {
            name: job::job_from_key(key).unwrap_or(key.as_str()).to_owned(),
            breaker_state: job.breaker_state(),
            breaker_open_since: job.breaker.trip().map(|open| open.since),
            release_failures: failures,
            consecutive_failures: streak,
            question_url: job.question.as_ref().and_then(|question| question.url.clone()),
            unrecorded_micro_usd,
            tally: RunEndTally::from_runs(runs.iter().filter(|run| run.slot_key == key.as_str())),
        }
    }

    /// Returns true if the circuit breaker is open. An open circuit breaker stops the job until a person
    /// acts.
    pub fn is_breaker_open(&self) -> bool {
        self.breaker_open_since.is_some()
    }

    /// Describes the state of the job's circuit breaker in words.
    pub fn breaker_text(&self) -> String {
        let mut text = format!("breaker {}", self.breaker_state);
        if let Some(since) = self.breaker_open_since {
            text += &format!(" since {}", format_instant(since));
        }
        if self.consecutive_failures > 0 {
            text += &format!(
                ", {} of this release, {} in a row",
                format_count(self.release_failures, "failure"),
                self.consecutive_failures
            );
        }
        if let MicroUsd(untold @ 1..) = self.unrecorded_micro_usd {
            text += &format!(
                "; {} spent by runs that were stopped or are still running",
                amount::format_dollars(untold)
            );
        }
        text
    }
}
