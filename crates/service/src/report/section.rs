//! A report, by loop and by job.

use serde::{Serialize, Serializer};
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::line::counted;
use truing_core::money::MicroUsd;
use truing_core::slot::LoopKind;
use truing_core::sync::job::{self, JobState};
use truing_loops::text::instant;

use super::amount;
use super::figures::{LoopFigures, RunEndTally};
use super::loops::{self, date, day};
use super::reviews::ReviewTotals;
use super::run::ReportedRun;

/// The figures of one loop or of all.
pub struct RunReport {
    /// The machine on which the report is made; none where its name is not known.
    pub host: Option<String>,
    /// The beginning of the time that is reported.
    pub since: UnixMillis,
    /// Its end.
    pub now: UnixMillis,
    /// One section for each loop that has something to report.
    pub sections: Vec<LoopSection>,
}

/// The figures of one loop.
pub struct LoopSection {
    /// The loop.
    pub of: LoopKind,
    /// Newest first.
    pub runs: Vec<ReportedRun>,
    /// There are more.
    pub is_cut: bool,
    /// Its sum of costs includes `unrecorded`.
    pub figures: LoopFigures,
    /// Money of this loop's runs that no record tells of.
    pub unrecorded: MicroUsd,
    /// The jobs, where the loop is sync.
    pub jobs: Vec<JobLine>,
    /// Of reviews: all of this origin, also those that are not read one by one.
    pub reviews: Option<ReviewTotals>,
}

impl RunReport {
    /// Its subject: the host, and the first and the last day.
    pub fn title(&self) -> String {
        let at = self.host.as_ref().map_or_else(String::new, |host| format!(" at {host}"));
        format!("Truing{at}, {} to {}", date(day(self.since)), date(day(self.now)))
    }
}

impl LoopSection {
    /// Have reviews of its origin ended, be none of them among those that are read one by one?
    pub fn has_reviews(&self) -> bool {
        self.reviews.as_ref().is_some_and(|reviews| !reviews.ended.is_empty())
    }

    /// With what its runs have cost that no record tells of.
    #[must_use]
    pub fn with(mut self, unrecorded: MicroUsd) -> Self {
        self.figures.cost_micro_usd = self.figures.cost_micro_usd.saturating_add(unrecorded.0);
        self.unrecorded = unrecorded;
        self
    }

    /// With all reviews of its origin: their ends, costs and times count, be there more than are read one by one.
    #[must_use]
    pub fn of_all(mut self, reviews: ReviewTotals) -> Self {
        let figures = &mut self.figures;
        (figures.tally, figures.mean_ms) = (reviews.tally(), reviews.mean_ms());
        (figures.cost_micro_usd, self.unrecorded) = (reviews.cost(), reviews.unrecorded);
        self.reviews = Some(reviews);
        self
    }

    /// Are they reviews on somebody's machine?
    pub fn is_local(&self) -> bool {
        self.reviews.as_ref().is_some_and(|reviews| reviews.is_local)
    }

    /// Its name for people.
    pub fn title(&self) -> &'static str {
        if self.is_local() { "Local reviews" } else { loops::title(self.of) }
    }

    /// A sentence on the part that is cut; none: nothing is.
    pub fn cut(&self) -> Option<String> {
        let last = counted(self.runs.len(), "run");
        let what = if self.reviews.is_some() { "Steps, periods and prompts are of" } else { "Only" };
        self.is_cut.then(|| format!("{what} the last {last}: there are more."))
    }

    /// The part of its sum that is in none of its runs, as a sentence; none if each micro-dollar is.
    pub fn unrecorded(&self) -> Option<String> {
        let MicroUsd(cost) = self.unrecorded;
        (cost > 0)
            .then(|| format!("Includes {} of runs without a record or still running.", amount::dollars(cost)))
    }
}

/// The present state of a job.
#[derive(Serialize)]
pub struct JobLine {
    /// Its name.
    pub name: String,
    /// The state of its circuit breaker, in a word.
    pub breaker: &'static str,
    /// When its circuit breaker opened, if it is open.
    #[serde(serialize_with = "as_instant")]
    pub open_since: Option<UnixMillis>,
    /// Failures of the same release.
    pub failures: u32,
    /// Failures one after another.
    pub streak: u32,
    /// The page of the question to people, while one is open.
    pub question: Option<String>,
    /// The cost of runs that told nothing: the record of the next one does.
    pub untold_micro_usd: MicroUsd,
    /// How its runs ended.
    #[serde(flatten)]
    pub tally: RunEndTally,
}

fn as_instant<S: Serializer>(at: &Option<UnixMillis>, to: S) -> Result<S::Ok, S::Error> {
    at.map(instant).serialize(to)
}

impl JobLine {
    /// The state of a job, from its row, the cost of its runs without a record, and its runs.
    pub fn new(key: &SlotKey, (job, untold_micro_usd): (&JobState, MicroUsd), runs: &[ReportedRun]) -> Self {
        let (failures, streak) = job.breaker.counts();
        Self {
            name: job::of_key(key).unwrap_or(key.as_str()).to_owned(),
            breaker: job.breaker_state(),
            open_since: job.breaker.open().map(|open| open.since),
            failures,
            streak,
            question: job.question.as_ref().and_then(|question| question.url.clone()),
            untold_micro_usd,
            tally: RunEndTally::of(runs.iter().filter(|run| run.key == key.as_str())),
        }
    }

    /// Is a person needed before it goes on?
    pub fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// Its breaker, in words.
    pub fn told(&self) -> String {
        let mut told = format!("breaker {}", self.breaker);
        if let Some(since) = self.open_since {
            told += &format!(" since {}", instant(since));
        }
        if self.streak > 0 {
            told +=
                &format!(", {} of this release, {} in a row", counted(self.failures, "failure"), self.streak);
        }
        if let MicroUsd(untold @ 1..) = self.untold_micro_usd {
            told += &format!("; {} by runs that were stopped or go on", amount::dollars(untold));
        }
        told
    }
}
