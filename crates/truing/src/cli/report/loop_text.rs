//! Formats the report of sync jobs and converge runs as text, within 80 columns.

use std::fmt::Write as _;

use truing_core::id::UnixMillis;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::run::RunOutcome;
use truing_loops::text::{format_count, format_instant};

use super::review_text::render_unrecorded_cost;
use crate::cli::columns::fold_line;
use truing_core::slot::LoopKind;
use truing_service::report::amount::{
    format_dollars, format_duration, format_mean, format_share, format_success_rate, mean_per_run, short_hash,
};
use truing_service::report::figures::{LabelCount, LoopFigures};
use truing_service::report::loops::{format_day, utc_day};
use truing_service::report::run::to_plain_words;
use truing_service::report::section::{JobStatus, LoopSection};

/// Maximum number of reasons that are shown, the most frequent first.
const MAX_SHOWN_REASONS: usize = 8;
/// Maximum characters of a reason.
const MAX_REASON_CHARS: usize = 200;
/// Number of latest periods that are shown.
const MAX_SHOWN_PERIODS: usize = 31;

pub(super) fn render_section(section: &LoopSection, since: UnixMillis, now: UnixMillis) -> String {
    let figures = &section.figures;
    let runs = format_count(section.runs.len(), "run");
    let of = match section.loop_kind {
        LoopKind::Review => "of reviews",
        LoopKind::Sync => "of jobs",
        LoopKind::Converge => "on branches",
    };
    let mut text = format!("{runs} {of} ended from {} to {}\n", format_instant(since), format_instant(now));
    if section.runs.is_empty() {
        if section.unrecorded_cost > MicroUsd(0) {
            text += &format!("\n{}", render_cost(section));
        }
    } else {
        text += &render_totals(section);
        text += &render_counts("Results", &figures.results);
        text += &render_counts("Update types", &figures.update_types);
        text += &render_counts("Furthest step", &figures.highest_steps);
        text += &render_reasons(figures);
        text += &render_steps(figures);
        text += &render_periods(figures);
        text += &render_prompts(figures);
    }
    text + &render_jobs(&section.jobs)
}

fn render_totals(section: &LoopSection) -> String {
    let figures = &section.figures;
    let tally = &figures.tally;
    let mut text = String::from("\n");
    for kind in RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0) {
        let share = format_share(tally.get(kind), tally.runs());
        let _ = writeln!(text, "  {:<10}{:>8}  {share:>7}", kind.as_str(), tally.get(kind));
    }
    let attempts = format_count(tally.attempts(), "run");
    let _ = writeln!(
        text,
        "  {:<10}{:>8}  of {attempts} with work to do",
        "success",
        format_success_rate(tally.success_rate_thousandths())
    );
    let _ = writeln!(text, "  {:<10}{:>8}", "mean", format_duration(figures.mean_ms));
    let _ = writeln!(text, "  {:<10}{:>8}", "turns", figures.turns);
    text + &render_cost(section)
}

/// Formats the total cost, and the unrecorded part of the total.
fn render_cost(section: &LoopSection) -> String {
    let sum = format_dollars(section.figures.cost_micro_usd);
    format!("  {:<10}{sum:>8}\n{}", "cost", render_unrecorded_cost(section.unrecorded_cost))
}

fn render_counts(title: &str, counts: &[LabelCount]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    // The number of runs is printed before the result. After a result such as `found 3 findings`, the number
    // would look like a part of the result.
    let words: Vec<String> =
        counts.iter().map(|count| format!("{} {}", count.runs, to_plain_words(&count.id))).collect();
    format!("\n{title}\n{}", fold_line("  ", &words.join(", ")))
}

fn render_reasons(figures: &LoopFigures) -> String {
    let mut text = String::new();
    if figures.reasons.is_empty() {
        return text;
    }
    text += "\nWhy\n";
    for reason in figures.reasons.iter().take(MAX_SHOWN_REASONS) {
        let words = line::clean_line(&reason.reason, MAX_REASON_CHARS);
        let label = format!("{:>6}  ", reason.runs);
        text += &fold_line(&label, &format!("{}: {words}", reason.kind.as_str()));
    }
    let others = figures.reasons.len().saturating_sub(MAX_SHOWN_REASONS);
    if others > 0 {
        let _ = writeln!(
            text,
            "  and {}: `--format json` lists all reasons",
            format_count(others, "other reason")
        );
    }
    text
}

fn render_steps(figures: &LoopFigures) -> String {
    let mut text =
        format!("\n{:<12}{:>8}{:>14}{:>14}{:>12}\n", "Step", "runs", "turns a run", "cost a run", "mean");
    for step in &figures.steps {
        let _ = writeln!(
            text,
            "{:<12}{:>8}{:>14}{:>14}{:>12}",
            step.id,
            step.runs,
            format_mean(step.turns, step.runs),
            format_dollars(mean_per_run(step.cost_micro_usd, step.runs)),
            format_duration(mean_per_run(step.ms, step.runs)),
        );
    }
    text
}

fn render_periods(figures: &LoopFigures) -> String {
    let head = if figures.period_days == 1 { "Day (UTC)" } else { "Week of" };
    let kinds = RunOutcome::ALL.map(|kind| format!("{:>9}", kind.as_str())).concat();
    let mut text = format!("\n{head:<10}{:>6}{kinds}{:>9}{:>9}\n", "runs", "success", "cost");
    let or_dash = |count: u64| if count == 0 { "-".to_owned() } else { count.to_string() };
    let left_out = figures.periods.len().saturating_sub(MAX_SHOWN_PERIODS);
    for period in figures.periods.iter().skip(left_out) {
        let kinds = RunOutcome::ALL.map(|kind| format!("{:>9}", or_dash(period.tally.get(kind)))).concat();
        let _ = writeln!(
            text,
            "{:<10}{:>6}{kinds}{:>9}{:>9}",
            format_day(period.from),
            or_dash(period.tally.runs()),
            format_success_rate(period.tally.success_rate_thousandths()),
            format_dollars(period.cost_micro_usd),
        );
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} earlier: `--format json` lists all");
    }
    text
}

fn render_prompts(figures: &LoopFigures) -> String {
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
            short_hash(&prompt.hash),
            format_day(utc_day(prompt.first_ended_at)),
            format_success_rate(prompt.tally.success_rate_thousandths()),
            format_mean(prompt.turns, runs),
            format_dollars(mean_per_run(prompt.cost_micro_usd, runs)),
            format_duration(mean_per_run(prompt.ms, runs)),
        );
    }
    text
}

fn render_jobs(jobs: &[JobStatus]) -> String {
    let mut text = String::new();
    if jobs.is_empty() {
        return text;
    }
    text += "\nJobs\n";
    for job in jobs {
        let breaker_text = job.breaker_text();
        text += &fold_line(&format!("  {}: ", job.name), &breaker_text);
        if let Some(question) = &job.question_url {
            text += &fold_line("    open question: ", question);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_something_came_is_told_before_what_it_was() {
        let count = |id: &str, runs| LabelCount { id: id.to_owned(), runs };
        let all = [count("converged", 9), count("found 1", 2), count("found 12", 1), count("not_needed", 1)];
        assert_eq!(
            render_counts("Results", &all),
            "\nResults\n  9 converged, 2 found 1 finding, 1 found 12 findings, 1 not needed\n"
        );
    }
}
