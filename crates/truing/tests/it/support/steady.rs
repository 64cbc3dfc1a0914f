//! Normalises texts for the comparison of two runs.

use regex::Regex;

/// Replaces the ids of runs and commits, the addresses, and the marks around data, which depend on these
/// values.
pub(crate) fn normalize_output(text: &str) -> String {
    let rules = [
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "RUN"),
        (r"127\.0\.0\.1:\d+", "HOST"),
        ("key=[0-9a-f]{8}", "key=KEY"),
        (r"\b([0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{10}|[0-9a-f]{7})\b", "HASH"),
    ];
    let without = |text: String, (what, by): (&str, &str)| {
        Regex::new(what).unwrap().replace_all(&text, by).into_owned()
    };
    rules.into_iter().fold(text.to_owned(), without)
}
