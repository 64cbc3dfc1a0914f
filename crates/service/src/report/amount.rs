//! Amounts in the words and digits of reports.

/// `78.3 %`, of thousandths.
pub fn percent(thousandths: u64) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// The share of some in all.
pub fn share(count: u64, of: u64) -> String {
    percent((count.saturating_mul(1000) + of / 2) / of.max(1))
}

/// A share that there may be none of.
pub fn success(thousandths: Option<u64>) -> String {
    thousandths.map_or_else(|| "-".to_owned(), percent)
}

/// How long something took.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        60_000..600_000 => format!("{}.{} min", ms / 60_000, ms % 60_000 / 6_000),
        600_000.. => format!("{} min", ms / 60_000),
    }
}

/// Micro-dollars in dollars and cents; less than a cent is not nothing.
pub fn dollars(micro: u64) -> String {
    match micro {
        1..5_000 => "<$0.01".to_owned(),
        _ => {
            let cents = (micro / 1000).saturating_add(5) / 10;
            format!("${}.{:02}", cents / 100, cents % 100)
        }
    }
}

/// The share of each run; 0 where there is none.
pub fn mean(sum: u64, runs: u64) -> u64 {
    sum.checked_div(runs).unwrap_or(0)
}

/// How much of it each had, with one digit after the point.
pub fn each(sum: u64, runs: u64) -> String {
    let tenths = (sum.saturating_mul(10).saturating_add(runs / 2)).checked_div(runs).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A digest as people tell it apart from others.
pub fn short(hash: &str) -> String {
    hash.chars().take(10).collect()
}
