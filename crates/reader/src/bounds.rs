//! The bounds of what a reader says of files, on both sides of the protocol.

use truing_core::finding::{DiffSide, RawFinding};

/// The most findings of one answer: the worst are kept.
pub const MAX_FINDINGS: usize = 5_000;
/// The most text of all findings of one answer, in bytes: the worst are kept.
pub const MAX_FINDINGS_BYTES: usize = 4 << 20;
/// The most comments of one answer that suppress nothing, and the most findings that a comment suppresses.
pub const MAX_SUPPRESSIONS: usize = 500;
/// The most text of the findings of one answer that a comment suppresses, in bytes.
pub const MAX_SUPPRESSED_BYTES: usize = 1 << 20;
/// The longest reason of a comment that suppresses a finding, in bytes.
pub const MAX_REASON_BYTES: usize = 1 << 10;
/// Names of rules in a report.
pub const MAX_RULES: usize = 10_000;
/// The longest name of a rule, in bytes.
pub const MAX_RULE_BYTES: usize = 200;
/// The longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 500;
/// The longest body, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// The longest snippet, in bytes.
pub const MAX_SNIPPET_BYTES: usize = 16 << 10;
/// The longest digest, in digits.
const MAX_DIGEST_DIGITS: usize = 64;
/// The longest suggested replacement, in bytes.
pub const MAX_SUGGESTION_BYTES: usize = 64 << 10;
/// The most findings of one answer that are to be kept for later runs: of more, none are.
pub(crate) const MAX_KEPT: usize = 20_000;
/// The most text of them, in bytes.
pub(crate) const MAX_KEPT_BYTES: usize = 8 << 20;

/// The bytes of a finding's text.
pub(crate) fn text_bytes(finding: &RawFinding) -> usize {
    let RawFinding { place, rule, title, body, snippet, suggestion, .. } = finding;
    let replacement = suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
    place.path.as_bytes().len() + rule.len() + title.len() + body.len() + snippet.len() + replacement
}

/// Are a finding's lines and texts of a form that the rest of the program relies on? Nothing is said of its rule's name.
///
/// # Errors
/// The part that is not.
pub(crate) fn check_finding(finding: &RawFinding) -> Result<(), &'static str> {
    let RawFinding { place, rule, title, body, snippet, code, suggestion, .. } = finding;
    let ensure = |is_well: bool, what| if is_well { Ok(()) } else { Err(what) };
    let replacement = suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
    let is_prose = !body.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t');
    ensure(place.side == DiffSide::New, "a finding's side")?;
    ensure((1..=place.end_line).contains(&place.start_line), "a finding's lines")?;
    ensure(is_one_line(rule) && rule.len() <= MAX_RULE_BYTES, "a finding's rule")?;
    ensure(is_one_line(title) && title.len() <= MAX_TITLE_BYTES, "a finding's title")?;
    ensure(is_prose && body.len() <= MAX_BODY_BYTES, "a finding's body")?;
    ensure(snippet.len() <= MAX_SNIPPET_BYTES, "a finding's snippet")?;
    let digests = [&code.definition, &code.tool_fingerprint];
    let are_digests = digests.into_iter().flatten().all(|digest| is_digest(digest));
    ensure(are_digests && code.lines.is_none(), "a finding's code")?;
    ensure(replacement <= MAX_SUGGESTION_BYTES, "a finding's suggestion")
}

/// Are these hexadecimal digits of a digest?
fn is_digest(text: &str) -> bool {
    text.len() <= MAX_DIGEST_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Is it one line of visible text?
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
