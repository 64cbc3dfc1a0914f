//! Normalises texts so that the outputs of two runs can be compared.

use regex::Regex;

/// Replaces run ids, commit ids, digests, addresses and keys of data blocks, all of which differ between
/// runs.
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
