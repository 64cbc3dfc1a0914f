//! The report of reviews for people, within 80 columns.

use truing_core::id::Millis;
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::OutcomeKind;
use truing_loops::text::{counted, instant};
use truing_store::Ended;

use truing_service::report::amount::{dollars, duration, share};
use truing_service::report::loops::date;
use truing_service::report::outcome::{Totals, days, totals};

/// Reasons that are shown, the most frequent ones.
const REASONS: usize = 8;
/// Days that are shown, the last ones.
const DAYS: usize = 31;
/// Columns of a reason.
const REASON_CHARS: usize = 66;

pub(super) fn screen(ended: &[Ended], unrecorded: MicroUsd, (since, now): (Millis, Millis)) -> String {
    let totals = totals(ended, false).with(unrecorded);
    let runs = counted(totals.runs, "run");
    let mut text = format!("{runs} ended from {} to {}\n", instant(since), instant(now));
    let cost =
        format!("  {:<10}{:>8}\n", "cost", dollars(totals.cost_micro_usd)) + &self::unrecorded(unrecorded);
    if totals.runs == 0 {
        return if unrecorded > MicroUsd(0) { format!("{text}\n{cost}") } else { text };
    }
    text += "\n";
    for kind in OutcomeKind::ALL {
        let count = totals.kinds.get(kind.as_str()).and_then(serde_json::Value::as_u64).unwrap_or(0);
        if count > 0 {
            let share = share(count, totals.runs);
            text += &format!("  {:<10}{count:>8}  {share:>6}\n", kind.as_str());
        }
    }
    text += &format!("  {:<10}{:>8}\n", "mean", duration(totals.mean_ms));
    text += &cost;
    text += &reasons(&totals);
    text + &table(ended)
}

/// The money that is in the sum and in no run above.
pub(super) fn unrecorded(cost: MicroUsd) -> String {
    match cost {
        MicroUsd(0) => String::new(),
        MicroUsd(cost) => {
            format!("  {:>18} of it by runs without a record or still running\n", dollars(cost))
        }
    }
}

fn reasons(totals: &Totals) -> String {
    let mut text = String::new();
    if totals.reasons.is_empty() {
        return text;
    }
    text += "\nWhy\n";
    for reason in totals.reasons.iter().take(REASONS) {
        // Foreign words stay on their line.
        let words = line::clean(&format!("{}: {}", reason.kind, reason.reason), REASON_CHARS);
        text += &format!("  {:>8}  {words}\n", reason.runs);
    }
    let others = totals.reasons.len().saturating_sub(REASONS);
    if others > 0 {
        text += &format!("  and {}: `--format json` has all\n", counted(others, "other reason"));
    }
    text
}

fn table(ended: &[Ended]) -> String {
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
