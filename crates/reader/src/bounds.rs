//! Limits for the findings in a reader's response to a request. Both sides of the reader protocol enforce
//! these limits.

use truing_core::finding::{DiffSide, RawFinding};

/// Maximum number of findings of one response. If there are more, the most severe findings are kept.
pub const MAX_FINDINGS: usize = 5_000;
/// Maximum total size of the texts of all findings of one response, in bytes. If the texts are larger, only
/// the most severe findings are kept.
pub const MAX_FINDINGS_BYTES: usize = 4 << 20;
/// Maximum number of unused suppression comments in a response. The same maximum applies to suppressed
/// findings.
pub const MAX_SUPPRESSIONS: usize = 500;
/// Maximum total size of the texts of the suppressed findings of one response, in bytes.
pub const MAX_SUPPRESSED_FINDINGS_BYTES: usize = 1 << 20;
/// Maximum length of the reason in a suppression comment, in bytes.
pub const MAX_REASON_BYTES: usize = 1 << 10;
/// Maximum number of rule names in a report.
pub const MAX_RULES: usize = 10_000;
/// Maximum length of a rule's name, in bytes.
pub const MAX_RULE_NAME_BYTES: usize = 200;
/// Maximum length of a finding's title, in bytes.
pub const MAX_TITLE_BYTES: usize = 500;
/// Maximum length of a finding's body, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// Maximum length of a snippet, in bytes.
pub const MAX_SNIPPET_BYTES: usize = 16 << 10;
/// Maximum length of a digest, in digits.
const MAX_DIGEST_DIGITS: usize = 64;
/// Maximum length of a suggested replacement, in bytes.
pub const MAX_SUGGESTION_BYTES: usize = 64 << 10;
/// Maximum number of findings of one response that are stored for later runs. If there are more, no finding
/// is stored.
pub(crate) const MAX_CACHED_FINDINGS: usize = 20_000;
/// Maximum total size of the texts of the findings that are stored for later runs, in bytes.
pub(crate) const MAX_CACHED_FINDINGS_BYTES: usize = 8 << 20;

/// Returns the number of bytes of a finding's texts.
pub(crate) fn count_text_bytes(finding: &RawFinding) -> usize {
    let RawFinding { location: place, rule, title, body, snippet, suggestion, .. } = finding;
    let replacement = suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
    place.path.as_bytes().len() + rule.len() + title.len() + body.len() + snippet.len() + replacement
}

/// Checks that a finding's lines and texts are within the limits on which other code relies. Does not check
/// whether the finding's rule exists.
///
/// # Errors
///
/// Returns the name of the invalid part.
pub(crate) fn check_finding(finding: &RawFinding) -> Result<(), &'static str> {
    let RawFinding { location: place, rule, title, body, snippet, code, suggestion, .. } = finding;
    let ensure = |is_well: bool, what| if is_well { Ok(()) } else { Err(what) };
    let replacement = suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
    ensure(place.side == DiffSide::New, "a finding's side")?;
    ensure((1..=place.end_line).contains(&place.start_line), "a finding's lines")?;
    ensure(is_one_line(rule) && rule.len() <= MAX_RULE_NAME_BYTES, "a finding's rule")?;
    ensure(is_valid_title(title), "a finding's title")?;
    ensure(is_valid_body(body), "a finding's body")?;
    ensure(snippet.len() <= MAX_SNIPPET_BYTES, "a finding's snippet")?;
    let digests = [&code.definition, &code.tool_fingerprint];
    let are_digests = digests.into_iter().flatten().all(|digest| is_digest(digest));
    ensure(are_digests && code.lines.is_none(), "a finding's code")?;
    ensure(replacement <= MAX_SUGGESTION_BYTES, "a finding's suggestion")
}

/// Returns true if the text may be a finding's title.
pub(crate) fn is_valid_title(text: &str) -> bool {
    is_one_line(text) && text.len() <= MAX_TITLE_BYTES
}

/// Returns true if the text may be a finding's body.
pub(crate) fn is_valid_body(text: &str) -> bool {
    let is_prose = !text.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t');
    is_prose && text.len() <= MAX_BODY_BYTES
}

/// Returns true if the text consists only of hexadecimal digits and is not too long for a digest.
fn is_digest(text: &str) -> bool {
    text.len() <= MAX_DIGEST_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns true if the text is one line of visible text.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
