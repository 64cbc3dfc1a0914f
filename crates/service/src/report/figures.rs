//! Computes the figures of one loop's runs: shares, steps, trend, and the runs before and after a change of
//! prompt.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use truing_core::id::UnixMillis;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::text::format_instant;

use super::amount::mean_per_run;
use super::loops::{self, format_day, utc_day};
use super::reason_normalization::normalize_reason;
use super::run::ReportedRun;

/// Largest number of days in a report with one period for each day. A longer time is reported by week.
const MAX_DAILY_PERIODS: i64 = 21;
/// Days of a week.
const DAYS_PER_WEEK: i64 = 7;
/// 1970-01-01 was a Thursday. This is the number of days from the Monday before that day to that day.
const EPOCH_WEEKDAY_OFFSET: i64 = 3;
/// Largest number of periods in a report. If there are more, only the last periods are reported.
const MAX_PERIODS: i64 = 104;

/// The figures of the runs of one loop.
#[derive(Serialize, Debug)]
pub struct LoopFigures {
    /// The number of runs by their end.
    #[serde(flatten)]
    pub tally: RunEndTally,
    /// Number of answers of models, in all runs.
    pub turns: u64,
    /// Cost of all runs, in micro-dollars.
    pub cost_micro_usd: u64,
    /// The mean time of a run, in milliseconds.
    pub mean_ms: u64,
    /// The number of runs by result. The most frequent result is first.
    pub results: Vec<LabelCount>,
    /// The reasons for the runs' ends, the most frequent first.
    pub reasons: Vec<EndReason>,
    /// The number of runs by the kind of update that the release required.
    pub update_types: Vec<LabelCount>,
    /// The number of runs by the last step that a run began.
    pub highest_steps: Vec<LabelCount>,
    /// The figures of each step.
    pub steps: Vec<StepFigures>,
    /// Number of days in a period: 1, or 7. A period of 7 days begins on a Monday.
    pub period_days: i64,
    /// All periods in order, including those without a run.
    pub periods: Vec<PeriodFigures>,
    /// The prompts, in the order of their first runs.
    pub prompts: Vec<PromptFigures>,
}

/// The number of runs by their end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RunEndTally([u64; RunOutcome::ALL.len()]);

/// A label, such as a result or a step, and the number of runs with this label.
#[derive(Serialize, PartialEq, Eq, Debug)]
pub struct LabelCount {
    pub id: String,
    /// Number of runs with this label.
    pub runs: u64,
}

/// A reason for the end of runs.
#[derive(Serialize, Debug)]
pub struct EndReason {
    /// The end of these runs.
    pub kind: RunOutcome,
    pub reason: String,
    /// Number of runs with this reason.
    pub runs: u64,
}

/// The figures of one step, over all runs that did the step.
#[derive(Serialize, Debug)]
pub struct StepFigures {
    /// Name of the step.
    pub id: &'static str,
    /// Number of runs that did this step.
    pub runs: u64,
    /// Number of answers of models in this step.
    pub turns: u64,
    /// Tokens of the models' answers in this step.
    pub tokens: u64,
    /// Total cost in micro-dollars.
    pub cost_micro_usd: u64,
    /// Total duration in milliseconds.
    pub ms: u64,
}

/// The figures of a day or a week.
#[derive(Serialize, Debug)]
pub struct PeriodFigures {
    /// First UTC day of the period, in days since 1970.
    #[serde(serialize_with = "serialize_date")]
    pub from: i64,
    /// The number of runs by their end.
    #[serde(flatten)]
    pub tally: RunEndTally,
    /// Number of answers of models in this period.
    pub turns: u64,
    /// Total cost in micro-dollars.
    pub cost_micro_usd: u64,
}

/// The figures of the runs with the same prompt.
#[derive(Serialize, Debug)]
pub struct PromptFigures {
    /// Digest of the prompt.
    pub hash: String,
    /// Time at which the first run with this prompt ended.
    #[serde(serialize_with = "serialize_instant")]
    #[serde(rename = "first")]
    pub first_ended_at: UnixMillis,
    /// Time at which the last run with this prompt ended.
    #[serde(serialize_with = "serialize_instant")]
    #[serde(rename = "last")]
    pub last_ended_at: UnixMillis,
    /// The number of runs by their end.
    #[serde(flatten)]
    pub tally: RunEndTally,
    /// Number of answers of models in these runs.
    pub turns: u64,
    /// Total cost in micro-dollars.
    pub cost_micro_usd: u64,
    /// Total duration in milliseconds.
    pub ms: u64,
}

fn serialize_date<S: Serializer>(day: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_day(*day))
}

fn serialize_instant<S: Serializer>(instant: &UnixMillis, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_instant(*instant))
}

impl RunEndTally {
    /// Counts these runs by their end.
    pub fn from_runs<'a>(runs: impl IntoIterator<Item = &'a ReportedRun>) -> Self {
        let mut tally = Self::default();
        runs.into_iter().for_each(|run| tally.add(run.outcome));
        tally
    }

    /// Makes a tally from a number of runs for each end.
    pub fn from_counts(ends: impl IntoIterator<Item = (RunOutcome, u64)>) -> Self {
        let mut tally = Self::default();
        ends.into_iter().for_each(|(kind, runs)| tally.add_runs(kind, runs));
        tally
    }

    fn add(&mut self, kind: RunOutcome) {
        self.add_runs(kind, 1);
    }

    fn add_runs(&mut self, kind: RunOutcome, runs: u64) {
        for (known, count) in RunOutcome::ALL.iter().zip(&mut self.0) {
            *count += if *known == kind { runs } else { 0 };
        }
    }

    /// Returns the number of runs with this end.
    pub fn get(&self, kind: RunOutcome) -> u64 {
        RunOutcome::ALL.iter().zip(self.0).filter(|(known, _)| **known == kind).map(|(_, count)| count).sum()
    }

    /// Returns the number of all runs.
    pub fn runs(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the number of runs that ended as done, partial or failed. Other runs had no work to do, or
    /// were not allowed to do the work.
    pub fn attempts(&self) -> u64 {
        self.get(RunOutcome::Done) + self.get(RunOutcome::Partial) + self.get(RunOutcome::Failed)
    }

    /// Returns the share of runs that ended as done among the [`Self::attempts`], in thousandths. Returns
    /// `None` if there was no attempt.
    pub fn success_rate_thousandths(&self) -> Option<u64> {
        (self.get(RunOutcome::Done) * 1000 + self.attempts() / 2).checked_div(self.attempts())
    }
}

/// Serializes `runs`, `kinds`, `attempts` and `success`. The value of `success` is a number from 0 to 1, or
/// null.
impl Serialize for RunEndTally {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FiguresRow {
            runs: u64,
            kinds: BTreeMap<&'static str, u64>,
            attempts: u64,
            success: Option<f64>,
        }
        #[expect(clippy::cast_precision_loss, reason = "0 to 1000")]
        let success = self.success_rate_thousandths().map(|thousandths| thousandths as f64 / 1000.0);
        let kinds = RunOutcome::ALL.iter().map(|kind| (kind.as_str(), self.get(*kind))).collect();
        FiguresRow { runs: self.runs(), kinds, attempts: self.attempts(), success }.serialize(to)
    }
}

impl LoopFigures {
    /// Computes the figures of these runs of one loop. `runs` must be sorted, with the newest run first. The
    /// last period contains the time `now`.
    pub fn from_runs(loop_kind: LoopKind, runs: &[ReportedRun], now: UnixMillis) -> Self {
        let order = loops::loop_steps(loop_kind);
        let place = |step: &str| order.iter().position(|id| *id == step);
        let tally = RunEndTally::from_runs(runs);
        let sum =
            |loop_kind: fn(&ReportedRun) -> u64| runs.iter().map(loop_kind).fold(0, u64::saturating_add);
        let (period_days, periods) = compute_period_figures(runs, now);
        Self {
            tally,
            turns: sum(ReportedRun::turns),
            cost_micro_usd: sum(ReportedRun::cost_micro_usd),
            mean_ms: mean_per_run(sum(ReportedRun::duration_ms), tally.runs()),
            results: count_labels(runs.iter().filter_map(|run| run.result.as_deref())),
            reasons: count_end_reasons(runs),
            update_types: count_labels(runs.iter().filter_map(|run| run.update_type)),
            highest_steps: sort_rows(count_labels(runs.iter().map(|run| run.furthest_step)), |count| {
                place(&count.id)
            }),
            steps: sort_rows(compute_step_figures(runs), |step| place(step.id)),
            period_days,
            periods,
            prompts: compute_prompt_figures(runs),
        }
    }
}

/// Counts how often each of these words occurs. The most frequent word is first.
fn count_labels<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<LabelCount> {
    let mut by_word = BTreeMap::<&str, u64>::new();
    labels.for_each(|word| *by_word.entry(word).or_default() += 1);
    let mut counts: Vec<LabelCount> =
        by_word.into_iter().map(|(id, runs)| LabelCount { id: id.to_owned(), runs }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.runs));
    counts
}

fn count_end_reasons(runs: &[ReportedRun]) -> Vec<EndReason> {
    // Reasons that differ only in ids and times are counted as one, and the newest of them is shown.
    let mut by_words = BTreeMap::<(&str, String), EndReason>::new();
    for run in runs {
        let why = run.reason_line();
        if !why.is_empty() {
            let words = (run.outcome.as_str(), normalize_reason(&why));
            by_words.entry(words).or_insert(EndReason { kind: run.outcome, reason: why, runs: 0 }).runs += 1;
        }
    }
    let mut reasons: Vec<EndReason> = by_words.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.runs));
    reasons
}

fn sort_rows<T>(mut rows: Vec<T>, sort_key: impl Fn(&T) -> Option<usize>) -> Vec<T> {
    rows.sort_by_key(sort_key);
    rows
}

fn compute_step_figures(runs: &[ReportedRun]) -> Vec<StepFigures> {
    let mut steps: Vec<StepFigures> = Vec::new();
    for part in runs.iter().flat_map(|run| &run.steps) {
        let at = steps.iter().position(|step| step.id == part.step).unwrap_or_else(|| {
            steps.push(StepFigures { id: part.step, runs: 0, turns: 0, tokens: 0, cost_micro_usd: 0, ms: 0 });
            steps.len() - 1
        });
        if let Some(step) = steps.get_mut(at) {
            step.runs += 1;
            step.turns += u64::from(part.turns);
            step.tokens = step.tokens.saturating_add(part.tokens);
            step.cost_micro_usd = step.cost_micro_usd.saturating_add(part.cost_micro_usd.0);
            step.ms = step.ms.saturating_add(part.duration_ms);
        }
    }
    steps
}

/// Splits the time from the first run to `now` into days. Splits the time into weeks if there would be too
/// many days.
fn compute_period_figures(runs: &[ReportedRun], now: UnixMillis) -> (i64, Vec<PeriodFigures>) {
    let last = runs.iter().map(|run| utc_day(run.ended_at)).fold(utc_day(now), i64::max);
    let first = runs.iter().map(|run| utc_day(run.ended_at)).min().unwrap_or(last);
    let length = if last.saturating_sub(first) < MAX_DAILY_PERIODS { 1 } else { DAYS_PER_WEEK };
    let start = |day: i64| match length {
        1 => day,
        _ => day - (day + EPOCH_WEEKDAY_OFFSET).rem_euclid(DAYS_PER_WEEK),
    };
    let last = start(last);
    let first = start(first).max(last - (MAX_PERIODS - 1) * length);
    let mut periods: Vec<PeriodFigures> = (0..=(last - first) / length)
        .map(|at| PeriodFigures {
            from: first + at * length,
            tally: RunEndTally::default(),
            turns: 0,
            cost_micro_usd: 0,
        })
        .collect();
    for run in runs {
        let at = usize::try_from((start(utc_day(run.ended_at)) - first).div_euclid(length)).ok();
        if let Some(period) = at.and_then(|at| periods.get_mut(at)) {
            period.tally.add(run.outcome);
            period.turns += run.turns();
            period.cost_micro_usd = period.cost_micro_usd.saturating_add(run.cost_micro_usd());
        }
    }
    (length, periods)
}

fn compute_prompt_figures(runs: &[ReportedRun]) -> Vec<PromptFigures> {
    let mut prompts: Vec<PromptFigures> = Vec::new();
    for run in runs.iter().rev() {
        let Some(hash) = &run.prompt_hash else { continue };
        let at = prompts.iter().position(|prompt| prompt.hash == *hash).unwrap_or_else(|| {
            let (hash, first) = (hash.clone(), run.ended_at);
            let tally = RunEndTally::default();
            prompts.push(PromptFigures {
                hash,
                first_ended_at: first,
                last_ended_at: first,
                tally,
                turns: 0,
                cost_micro_usd: 0,
                ms: 0,
            });
            prompts.len() - 1
        });
        if let Some(prompt) = prompts.get_mut(at) {
            prompt.last_ended_at = run.ended_at;
            prompt.tally.add(run.outcome);
            prompt.turns += run.turns();
            prompt.cost_micro_usd = prompt.cost_micro_usd.saturating_add(run.cost_micro_usd());
            prompt.ms = prompt.ms.saturating_add(run.duration_ms());
        }
    }
    prompts
}
