//! The notation of npm's ranges, as node-semver defines it. The library that evaluates ranges skips words
//! that it does not know, so each word is checked before the library parses a range.

/// The operators of a comparator. An operator that begins with another operator is listed first.
const OPERATORS: [&str; 8] = ["<=", ">=", "~>", "<", ">", "=", "~", "^"];

/// The greatest number in a version: `Number.MAX_SAFE_INTEGER` of JavaScript.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Returns the first word of a range that is not part of npm's notation; `None` if the whole range is.
pub(super) fn unknown_word(range: &str) -> Option<&str> {
    range.split("||").map(str::trim).find_map(unknown_word_of_alternative)
}

/// Returns the parts of a range between `||`.
pub(super) fn alternatives(range: &str) -> Vec<&str> {
    range.split("||").map(str::trim).collect()
}

fn unknown_word_of_alternative(alternative: &str) -> Option<&str> {
    if let Some((lowest, highest)) = alternative.split_once(" - ") {
        return [lowest, highest].map(str::trim).into_iter().find(|version| !is_partial_version(version));
    }
    comparators(alternative).into_iter().find(|comparator| {
        let operator = operator(comparator);
        let version = comparator.get(operator.len()..).unwrap_or_default().trim_start();
        let is_order = operator.starts_with(['<', '>']);
        !is_partial_version(version) || is_order && is_wildcard(version)
    })
}

/// Returns true for a version without a number, such as `*`.
pub(super) fn is_wildcard(version: &str) -> bool {
    matches!(version, "" | "x" | "X" | "*")
}

/// Returns the comparators of an alternative, each with its operator: blanks may follow an operator.
pub(super) fn comparators(alternative: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = alternative.trim();
    while !rest.is_empty() {
        let operand = rest.get(operator(rest).len()..).unwrap_or_default().trim_start();
        let end = operand.find(char::is_whitespace).unwrap_or(operand.len());
        let (comparator, next) = rest.split_at(rest.len() - operand.len() + end);
        found.push(comparator);
        rest = next.trim_start();
    }
    found
}

fn operator(text: &str) -> &'static str {
    OPERATORS.into_iter().find(|operator| text.starts_with(operator)).unwrap_or_default()
}

/// Returns true for a version, or for a version whose last numbers are missing or wildcards: `1.2.3-rc.1`,
/// `1.2`, `1.x`, `*`.
fn is_partial_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (numbers, prerelease) =
        text.split_once('-').map_or((text, None), |(numbers, tag)| (numbers, Some(tag)));
    let numbers: Vec<&str> = numbers.split('.').collect();
    let fixed = numbers.iter().take_while(|number| is_number(number)).count();
    let has_wildcards = numbers.iter().skip(fixed).all(|number| matches!(*number, "x" | "X" | "*"));
    let is_whole = fixed == 3;
    numbers.len() <= 3
        && has_wildcards
        && prerelease.is_none_or(|tag| is_whole && are_identifiers(tag, true))
        && build.is_none_or(|build| is_whole && are_identifiers(build, false))
}

fn is_number(text: &str) -> bool {
    let is_canonical = text == "0" || !text.starts_with('0');
    is_canonical
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number: u64| number <= MAX_NUMBER)
}

/// Returns true for identifiers with dots between them. In a pre-release, an identifier of digits must be a
/// number without leading zeros.
fn are_identifiers(text: &str, is_prerelease: bool) -> bool {
    text.split('.').all(|identifier| {
        let is_numeric = identifier.bytes().all(|byte| byte.is_ascii_digit());
        !identifier.is_empty()
            && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !(is_prerelease && is_numeric && identifier.len() > 1 && identifier.starts_with('0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_each_form_of_range() {
        for range in [
            "",
            "*",
            "x",
            "1",
            "1.2",
            "1.x",
            "1.2.X",
            "1.*",
            "1.2.3",
            "v1.2.3",
            "=1.2.3",
            "= v1.2.3",
            "^1.2",
            "~1",
            "~>1.2.3",
            ">=1.2.3-rc.1 <2",
            ">= 1.2 < 2",
            "1.2 - 2.3.4",
            "^1 || ^2||3.x",
            "1.2.3+build.7",
            "||",
            "<2.0.0-0",
        ] {
            assert_eq!(unknown_word(range), None, "{range}");
        }
    }

    #[test]
    fn names_words_that_are_no_range() {
        for (range, word) in [
            ("npm:real-kit@>=1.4.0 <1.5.0", "npm:real-kit@>=1.4.0"),
            ("git+https://h/x.git#semver:^1 <2", "git+https://h/x.git#semver:^1"),
            ("workspace:^1.2.0", "workspace:^1.2.0"),
            (">=1 latest || <3", "latest"),
            ("^1 || next", "next"),
            ("file:../kit", "file:../kit"),
            ("owner/repo", "owner/repo"),
            (">=1.2,<2", ">=1.2,<2"),
            ("1.2.3.4", "1.2.3.4"),
            ("01.2", "01.2"),
            ("1.x-rc.1", "1.x-rc.1"),
            ("1.2.3-01", "1.2.3-01"),
            ("1..2", "1..2"),
            ("1.2.3-", "1.2.3-"),
            ("1.x.3", "1.x.3"),
            (">=", ">="),
            ("1 -2", "-2"),
            ("99999999999999999.0.0", "99999999999999999.0.0"),
            ("1.2 - next", "next"),
            // The library of the registry and node-semver differ about these.
            ("==1.2.3", "==1.2.3"),
            ("^=1.2.3", "^=1.2.3"),
            (">*", ">*"),
            ("<= x", "<= x"),
            ("vv1.2.3", "vv1.2.3"),
        ] {
            assert_eq!(unknown_word(range), Some(word), "{range}");
        }
    }
}
