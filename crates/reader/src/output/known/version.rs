//! Exact versions, as tools and projects write them.

use std::sync::LazyLock;

use regex::Regex;

/// Maximum length of a version, in bytes.
const MAX_VERSION_BYTES: usize = 40;

/// Returns the version if the text is one, without a `v` before it. `None` for a range, a tag or a commit.
pub(super) fn exact_version(text: &str) -> Option<String> {
    static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^=?v?([0-9]+|[0-9]+(?:\.[0-9]+)+(?:[-.+]?[A-Za-z][0-9A-Za-z.-]*)?)$").ok()
    });
    let version = VERSION.as_ref()?.captures(text.trim())?.get(1)?.as_str();
    is_version(version).then(|| version.to_owned())
}

/// Returns true if the text can be a version: it begins with a number of at most 9 digits, and it is short.
pub fn is_version(text: &str) -> bool {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    (1..=9).contains(&digits)
        && text.len() <= MAX_VERSION_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}
