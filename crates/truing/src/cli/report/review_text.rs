//! Formats the report of reviews as text, within 80 columns.

use truing_core::id::UnixMillis;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::ReviewOutcomeKind;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::text::{format_count, format_instant};
use truing_store::RunEndCount;

use truing_service::report::amount::{format_dollars, format_duration, format_share, format_success_rate};
use truing_service::report::findings::{FindingCounts, FindingReport};
use truing_service::report::loops::format_day;
use truing_service::report::outcome::{OutcomeTotals, compute_day_totals, compute_totals};
use truing_service::report::reviews::ReviewTotals;
use truing_service::report::run::outcome_word;

use unicode_width::UnicodeWidthStr as _;

use crate::cli::columns::{MIN_TERMINAL_COLUMNS, wrap_line};

/// Maximum number of reasons that are shown, the most frequent first.
const MAX_SHOWN_REASONS: usize = 8;
/// Number of latest days that are shown.
const MAX_SHOWN_DAYS: usize = 31;
/// Columns before the numbers of findings.
const LABEL_COLUMNS: usize = 19;
/// Maximum characters of the name of a rule, a tool, a model or a repository.
const MAX_NAME_CHARS: usize = 76;
/// Maximum columns of a reason.
const MAX_REASON_CHARS: usize = 66;

pub(super) fn render_reviews(reviews: &ReviewTotals, since: UnixMillis, now: UnixMillis) -> String {
    let tally = reviews.tally();
    let runs = format_count(tally.runs(), if reviews.is_local { "local review" } else { "review" });
    let mut text = format!("{runs} ended from {} to {}\n", format_instant(since), format_instant(now));
    let cost = format!("  {:<10}{:>8}\n", "cost", format_dollars(reviews.total_cost_micro_usd()))
        + &render_unrecorded_cost(reviews.unrecorded_cost);
    if reviews.is_empty() {
        return text;
    }
    text += "\n";
    if tally.runs() == 0 {
        return text + &cost;
    }
    for kind in RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0) {
        let (count, word) = (tally.get(kind), outcome_word(LoopKind::Review, kind));
        let share = format_share(count, tally.runs());
        text += &format!("  {word:<10}{count:>8}  {share:>7}\n");
    }
    let rate = format_success_rate(tally.success_rate_thousandths());
    let attempts = format_count(tally.attempts(), "run");
    text += &format!("  {:<10}{rate:>8}  of {attempts} with work to do\n", "success");
    text += &format!("  {:<10}{:>8}\n", "mean", format_duration(reviews.mean_ms()));
    text += &cost;
    text += &render_findings(&reviews.findings);
    text += &render_reasons(&compute_totals(&reviews.end_counts, false));
    text + &render_days(&reviews.end_counts)
}

/// Formats the outcome of findings: the total, and a table for each property such as the rule.
fn render_findings(findings: &FindingReport) -> String {
    let mut text = render_column_heads("Findings") + &render_row("all", &findings.total_counts);
    for groups in findings.tables() {
        text += &render_column_heads(groups.title);
        for group in groups.groups {
            text += &render_row(&group.id, &group.counts);
        }
        if groups.omitted_groups > 0 {
            text += &format!("  and {} more: `--format json` lists all\n", groups.omitted_groups);
        }
    }
    if let Some(first) = &findings.first_comment {
        text += &format!("\n{}\n", wrap_line(&first.sentence(), 0, MIN_TERMINAL_COLUMNS));
    }
    text
}

fn render_column_heads(title: &str) -> String {
    format!(
        "\n{title:<LABEL_COLUMNS$}{}\n",
        FindingCounts::COLUMN_NAMES.map(|head| format!("{head:>0$}", column_width(head))).concat()
    )
}

/// Formats a name and its counts. A long name is on a separate line.
fn render_row(name: &str, counts: &FindingCounts) -> String {
    let name = format!("  {}", line::clean_line(name, MAX_NAME_CHARS));
    let numbers = FindingCounts::COLUMN_NAMES.into_iter().zip(counts.numbers());
    let numbers =
        numbers.map(|(head, number)| format!("{number:>0$}", column_width(head))).collect::<String>();
    if name.width() <= LABEL_COLUMNS {
        pad_label(&name) + &numbers + "\n"
    } else {
        format!("{name}\n{}{numbers}\n", pad_label(""))
    }
}

/// Pads the text with blanks to the column in which numbers begin.
fn pad_label(text: &str) -> String {
    format!("{text}{:1$}", "", LABEL_COLUMNS.saturating_sub(text.width()))
}

/// Returns the width of the column of numbers with the heading `head`.
fn column_width(head: &str) -> usize {
    head.len().max(5) + 2
}

/// Formats the unrecorded part of the total cost.
pub(super) fn render_unrecorded_cost(cost: MicroUsd) -> String {
    match cost {
        MicroUsd(0) => String::new(),
        MicroUsd(cost) => {
            format!("  {:>18} of this: runs that have no record or are still running\n", format_dollars(cost))
        }
    }
}

fn render_reasons(totals: &OutcomeTotals) -> String {
    let mut text = String::new();
    if totals.reasons.is_empty() {
        return text;
    }
    text += "\nWhy\n";
    for reason in totals.reasons.iter().take(MAX_SHOWN_REASONS) {
        // Line breaks are removed, because untrusted text must stay on one line.
        let words = line::clean_line(&format!("{}: {}", reason.kind, reason.reason), MAX_REASON_CHARS);
        text += &format!("  {:>8}  {words}\n", reason.runs);
    }
    let others = totals.reasons.len().saturating_sub(MAX_SHOWN_REASONS);
    if others > 0 {
        text +=
            &format!("  and {}: `--format json` lists all reasons\n", format_count(others, "other reason"));
    }
    text
}

fn render_days(end_counts: &[RunEndCount]) -> String {
    let heads = ReviewOutcomeKind::ALL.map(|kind| format!("{:>10}", kind.as_str())).concat();
    let mut text = format!("\n{:<10}{:>9}{heads}{:>9}\n", "Day (UTC)", "runs", "mean");
    let days = compute_day_totals(end_counts, false);
    for day in days.iter().skip(days.len().saturating_sub(MAX_SHOWN_DAYS)) {
        let count = |kind: ReviewOutcomeKind| {
            let count = day.kinds.get(kind.as_str()).and_then(serde_json::Value::as_u64).unwrap_or(0);
            format!("{:>10}", if count == 0 { "-".to_owned() } else { count.to_string() })
        };
        let counts = ReviewOutcomeKind::ALL.map(count).concat();
        text += &format!("{:<10}{:>9}{counts}{:>9}\n", day.day, day.runs, format_duration(day.mean_ms));
    }
    let earlier = days.len().saturating_sub(MAX_SHOWN_DAYS);
    if earlier > 0 {
        let first = end_counts.first().map_or_else(String::new, |row| format_day(row.utc_day));
        text +=
            &format!("and {} since {first}: `--format json` lists all days\n", format_count(earlier, "day"));
    }
    text
}
