//! Formats the report of sync jobs and converge runs as text, within 80 columns.

use std::fmt::Write as _;

use truing_core::id::UnixMillis;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::run::RunOutcome;
use truing_loops::text::{counted, instant};

use super::screen::unrecorded;
use crate::cli::columns::folded;
use truing_core::slot::LoopKind;
use truing_service::report::amount::{dollars, duration, each, mean, share, short, success};
use truing_service::report::figures::{LoopFigures, WordCount};
use truing_service::report::loops::{date, day};
use truing_service::report::run::words_of;
use truing_service::report::section::{JobLine, LoopSection};

/// Number of most frequent reasons that are shown.
const REASONS: usize = 8;
/// Maximum characters of a reason.
const REASON_CHARS: usize = 200;
/// Number of latest periods that are shown.
const PERIODS: usize = 31;

pub(super) fn screen(section: &LoopSection, since: UnixMillis, now: UnixMillis) -> String {
    let figures = &section.figures;
    let runs = counted(section.runs.len(), "run");
    let of = match section.of {
        LoopKind::Review => "of reviews",
        LoopKind::Sync => "of jobs",
        LoopKind::Converge => "on branches",
    };
    let mut text = format!("{runs} {of} ended from {} to {}\n", instant(since), instant(now));
    if section.runs.is_empty() {
        if section.unrecorded > MicroUsd(0) {
            text += &format!("\n{}", cost(section));
        }
    } else {
        text += &totals(section);
        text += &counts("Results", &figures.results);
        text += &counts("Update types", &figures.update_types);
        text += &counts("Furthest step", &figures.highest_steps);
        text += &reasons(figures);
        text += &steps(figures);
        text += &periods(figures);
        text += &prompts(figures);
    }
    text + &jobs(&section.jobs)
}

fn totals(section: &LoopSection) -> String {
    let figures = &section.figures;
    let tally = &figures.tally;
    let mut text = String::from("\n");
    for kind in RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0) {
        let share = share(tally.get(kind), tally.runs());
        let _ = writeln!(text, "  {:<10}{:>8}  {share:>7}", kind.as_str(), tally.get(kind));
    }
    let attempts = counted(tally.attempts(), "run");
    let _ = writeln!(
        text,
        "  {:<10}{:>8}  of {attempts} that had something to do",
        "success",
        success(tally.success())
    );
    let _ = writeln!(text, "  {:<10}{:>8}", "mean", duration(figures.mean_ms));
    let _ = writeln!(text, "  {:<10}{:>8}", "turns", figures.turns);
    text + &cost(section)
}

/// Formats the total cost, and the part of it that belongs to none of the listed runs.
fn cost(section: &LoopSection) -> String {
    let sum = dollars(section.figures.cost_micro_usd);
    format!("  {:<10}{sum:>8}\n{}", "cost", unrecorded(section.unrecorded))
}

fn counts(title: &str, counts: &[WordCount]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    // The number of runs comes first: after `found 3 findings` it would look like a part of it.
    let words: Vec<String> =
        counts.iter().map(|count| format!("{} {}", count.runs, words_of(&count.id))).collect();
    format!("\n{title}\n{}", folded("  ", &words.join(", ")))
}

fn reasons(figures: &LoopFigures) -> String {
    let mut text = String::new();
    if figures.reasons.is_empty() {
        return text;
    }
    text += "\nWhy\n";
    for reason in figures.reasons.iter().take(REASONS) {
        let words = line::clean(&reason.reason, REASON_CHARS);
        let label = format!("{:>6}  ", reason.runs);
        text += &folded(&label, &format!("{}: {words}", reason.kind.as_str()));
    }
    let others = figures.reasons.len().saturating_sub(REASONS);
    if others > 0 {
        let _ = writeln!(text, "  and {}: `--format json` has all", counted(others, "other reason"));
    }
    text
}

fn steps(figures: &LoopFigures) -> String {
    let mut text =
        format!("\n{:<12}{:>8}{:>14}{:>14}{:>12}\n", "Step", "runs", "turns a run", "cost a run", "mean");
    for step in &figures.steps {
        let _ = writeln!(
            text,
            "{:<12}{:>8}{:>14}{:>14}{:>12}",
            step.id,
            step.runs,
            each(step.turns, step.runs),
            dollars(mean(step.cost_micro_usd, step.runs)),
            duration(mean(step.ms, step.runs)),
        );
    }
    text
}

fn periods(figures: &LoopFigures) -> String {
    let head = if figures.period_days == 1 { "Day (UTC)" } else { "Week of" };
    let kinds = RunOutcome::ALL.map(|kind| format!("{:>9}", kind.as_str())).concat();
    let mut text = format!("\n{head:<10}{:>6}{kinds}{:>9}{:>9}\n", "runs", "success", "cost");
    let or_dash = |count: u64| if count == 0 { "-".to_owned() } else { count.to_string() };
    let left_out = figures.periods.len().saturating_sub(PERIODS);
    for period in figures.periods.iter().skip(left_out) {
        let kinds = RunOutcome::ALL.map(|kind| format!("{:>9}", or_dash(period.tally.get(kind)))).concat();
        let _ = writeln!(
            text,
            "{:<10}{:>6}{kinds}{:>9}{:>9}",
            date(period.from),
            or_dash(period.tally.runs()),
            success(period.tally.success()),
            dollars(period.cost_micro_usd),
        );
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} before: `--format json` has all");
    }
    text
}

fn prompts(figures: &LoopFigures) -> String {
    let mut text = String::new();
    if figures.prompts.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\n{:<12}{:<12}{:>6}{:>10}{:>13}{:>12}{:>10}",
        "Prompt", "since", "runs", "success", "turns a run", "cost a run", "mean"
    );
    for prompt in &figures.prompts {
        let runs = prompt.tally.runs();
        let _ = writeln!(
            text,
            "{:<12}{:<12}{runs:>6}{:>10}{:>13}{:>12}{:>10}",
            short(&prompt.hash),
            date(day(prompt.first)),
            success(prompt.tally.success()),
            each(prompt.turns, runs),
            dollars(mean(prompt.cost_micro_usd, runs)),
            duration(mean(prompt.ms, runs)),
        );
    }
    text
}

fn jobs(jobs: &[JobLine]) -> String {
    let mut text = String::new();
    if jobs.is_empty() {
        return text;
    }
    text += "\nJobs\n";
    for job in jobs {
        let told = job.told();
        text += &folded(&format!("  {}: ", job.name), &told);
        if let Some(question) = &job.question {
            text += &folded("    people are asked: ", question);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_something_came_is_told_before_what_it_was() {
        let count = |id: &str, runs| WordCount { id: id.to_owned(), runs };
        let all = [count("converged", 9), count("found 1", 2), count("found 12", 1), count("not_needed", 1)];
        assert_eq!(
            counts("Results", &all),
            "\nResults\n  9 converged, 2 found 1 finding, 1 found 12 findings, 1 not needed\n"
        );
    }
}
