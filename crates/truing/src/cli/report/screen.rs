//! Formats the report of reviews as text, within 80 columns.

use truing_core::id::UnixMillis;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::OutcomeKind;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::text::{counted, instant};
use truing_store::RunEndCount;

use truing_service::report::amount::{dollars, duration, share, success};
use truing_service::report::findings::{FindingCounts, FindingReport};
use truing_service::report::loops::date;
use truing_service::report::outcome::{OutcomeTotals, days, totals};
use truing_service::report::reviews::ReviewTotals;
use truing_service::report::run::word;

use unicode_width::UnicodeWidthStr as _;

use crate::cli::columns::{COLUMNS, wrapped};

/// Number of most frequent reasons that are shown.
const REASONS: usize = 8;
/// Number of latest days that are shown.
const DAYS: usize = 31;
/// Columns before the numbers of findings.
const LABEL: usize = 19;
/// Maximum characters of the name of a rule, a tool, a model or a repository.
const NAME_CHARS: usize = 76;
/// Maximum columns of a reason.
const REASON_CHARS: usize = 66;

pub(super) fn screen(reviews: &ReviewTotals, since: UnixMillis, now: UnixMillis) -> String {
    let tally = reviews.tally();
    let runs = counted(tally.runs(), if reviews.is_local { "local review" } else { "review" });
    let mut text = format!("{runs} ended from {} to {}\n", instant(since), instant(now));
    let cost = format!("  {:<10}{:>8}\n", "cost", dollars(reviews.cost())) + &unrecorded(reviews.unrecorded);
    if reviews.is_empty() {
        return text;
    }
    text += "\n";
    if tally.runs() == 0 {
        return text + &cost;
    }
    for kind in RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0) {
        let (count, word) = (tally.get(kind), word(LoopKind::Review, kind));
        let share = share(count, tally.runs());
        text += &format!("  {word:<10}{count:>8}  {share:>7}\n");
    }
    let rate = success(tally.success());
    let attempts = counted(tally.attempts(), "run");
    text += &format!("  {:<10}{rate:>8}  of {attempts} that had something to do\n", "success");
    text += &format!("  {:<10}{:>8}\n", "mean", duration(reviews.mean_ms()));
    text += &cost;
    text += &findings(&reviews.findings);
    text += &reasons(&totals(&reviews.ended, false));
    text + &table(&reviews.ended)
}

/// Formats the outcome of findings: the total, and tables by common properties.
fn findings(findings: &FindingReport) -> String {
    let mut text = heads("Findings") + &row("all", &findings.all);
    for groups in findings.tables() {
        text += &heads(groups.title);
        for group in groups.groups {
            text += &row(&group.id, &group.counts);
        }
        if groups.more > 0 {
            text += &format!("  and {} more: `--format json` has all\n", groups.more);
        }
    }
    if let Some(first) = &findings.first_comment {
        text += &format!("\n{}\n", wrapped(&first.sentence(), 0, COLUMNS));
    }
    text
}

fn heads(title: &str) -> String {
    format!(
        "\n{title:<LABEL$}{}\n",
        FindingCounts::HEADS.map(|head| format!("{head:>0$}", width(head))).concat()
    )
}

/// Formats a name and its counts; a long name has its own line.
fn row(name: &str, counts: &FindingCounts) -> String {
    let name = format!("  {}", line::clean(name, NAME_CHARS));
    let numbers = FindingCounts::HEADS.into_iter().zip(counts.numbers());
    let numbers = numbers.map(|(head, number)| format!("{number:>0$}", width(head))).collect::<String>();
    if name.width() <= LABEL {
        pad(&name) + &numbers + "\n"
    } else {
        format!("{name}\n{}{numbers}\n", pad(""))
    }
}

/// Fills the text up to the column of numbers.
fn pad(text: &str) -> String {
    format!("{text}{:1$}", "", LABEL.saturating_sub(text.width()))
}

/// Returns the width of a column of numbers with this head.
fn width(head: &str) -> usize {
    head.len().max(5) + 2
}

/// Formats the cost that is in the total but in none of the listed runs.
pub(super) fn unrecorded(cost: MicroUsd) -> String {
    match cost {
        MicroUsd(0) => String::new(),
        MicroUsd(cost) => {
            format!("  {:>18} of it by runs without a record or still running\n", dollars(cost))
        }
    }
}

fn reasons(totals: &OutcomeTotals) -> String {
    let mut text = String::new();
    if totals.reasons.is_empty() {
        return text;
    }
    text += "\nWhy\n";
    for reason in totals.reasons.iter().take(REASONS) {
        // Text from other sources stays on its line.
        let words = line::clean(&format!("{}: {}", reason.kind, reason.reason), REASON_CHARS);
        text += &format!("  {:>8}  {words}\n", reason.runs);
    }
    let others = totals.reasons.len().saturating_sub(REASONS);
    if others > 0 {
        text += &format!("  and {}: `--format json` has all\n", counted(others, "other reason"));
    }
    text
}

fn table(ended: &[RunEndCount]) -> String {
    let heads = OutcomeKind::ALL.map(|kind| format!("{:>10}", kind.as_str())).concat();
    let mut text = format!("\n{:<10}{:>9}{heads}{:>9}\n", "Day (UTC)", "runs", "mean");
    let days = days(ended, false);
    for day in days.iter().skip(days.len().saturating_sub(DAYS)) {
        let count = |kind: OutcomeKind| {
            let count = day.kinds.get(kind.as_str()).and_then(serde_json::Value::as_u64).unwrap_or(0);
            format!("{:>10}", if count == 0 { "-".to_owned() } else { count.to_string() })
        };
        let counts = OutcomeKind::ALL.map(count).concat();
        text += &format!("{:<10}{:>9}{counts}{:>9}\n", day.day, day.runs, duration(day.mean_ms));
    }
    let earlier = days.len().saturating_sub(DAYS);
    if earlier > 0 {
        let first = ended.first().map_or_else(String::new, |row| date(row.day));
        text += &format!("and {} since {first}: `--format json` has all\n", counted(earlier, "day"));
    }
    text
}
