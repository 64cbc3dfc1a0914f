//! Formats amounts for reports: shares, durations, money and means.

/// Formats thousandths as a percentage, such as `78.3 %`.
pub fn format_percent(thousandths: u64) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// Formats `count` as a percentage of `total`.
pub fn format_share(count: u64, total: u64) -> String {
    format_percent((count.saturating_mul(1000) + total / 2) / total.max(1))
}

/// Formats a share in thousandths as a percentage, or as `-` if there is none.
pub fn format_success_rate(thousandths: Option<u64>) -> String {
    thousandths.map_or_else(|| "-".to_owned(), format_percent)
}

/// Formats a duration that is given in milliseconds.
pub fn format_duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        60_000..600_000 => format!("{}.{} min", ms / 60_000, ms % 60_000 / 6_000),
        600_000.. => format!("{} min", ms / 60_000),
    }
}

/// Formats micro-dollars as dollars and cents. An amount below half a cent becomes `<$0.01`.
pub fn format_dollars(micro_usd: u64) -> String {
    match micro_usd {
        1..5_000 => "<$0.01".to_owned(),
        _ => {
            let cents = (micro_usd / 1000).saturating_add(5) / 10;
            format!("${}.{:02}", cents / 100, cents % 100)
        }
    }
}

/// Returns the mean per run; 0 if there is no run.
pub fn mean_per_run(sum: u64, runs: u64) -> u64 {
    sum.checked_div(runs).unwrap_or(0)
}

/// Formats the mean per run with one digit after the point.
pub fn format_mean(sum: u64, runs: u64) -> String {
    let tenths = (sum.saturating_mul(10).saturating_add(runs / 2)).checked_div(runs).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Returns the first ten characters of a digest.
pub fn short_hash(hash: &str) -> String {
    hash.chars().take(10).collect()
}
