//! Checks the replacement that a model proposes for the lines of a finding. The replacement must be plain
//! text of limited length. The caller then tests an accepted replacement by parsing the changed file. A
//! replacement that cannot be tested is shown only as text.

use truing_core::finding::{RawFinding, SuggestedFix};
use truing_core::line;
use truing_core::recheck::MAX_SNIPPET_LINES;
use truing_reader::mask::MASK;

/// Maximum number of bytes of a replacement; the next constant is the maximum number of lines.
const MAX_REPLACEMENT_BYTES: usize = 4 << 10;
const MAX_REPLACEMENT_LINES: usize = 50;
/// Maximum number of bytes that are shown of a replacement that is only text. The next constant is the
/// maximum number of lines.
const MAX_SHOWN_BYTES: usize = 2 << 10;
const MAX_SHOWN_LINES: usize = 20;

/// Adds a model's replacement to a finding, either as a suggestion that the caller tests, or only as text.
/// `is_excerpt_complete` must be true if the excerpt contains all lines of the finding. Otherwise the
/// replacement is added as text, because it could replace lines that the model has not read. An empty
/// replacement is ignored, because models leave unused fields empty.
pub(super) fn with_replacement(
    raw: RawFinding,
    replacement_text: &str,
    is_excerpt_complete: bool,
) -> RawFinding {
    let text = replacement_text.replace("\r\n", "\n");
    let text = text.trim_end_matches('\n');
    if text.trim().is_empty() {
        return raw;
    }
    let lines = raw.location.end_line.saturating_sub(raw.location.start_line).saturating_add(1);
    // A replacement that contains a mask is not applied, because it would replace the secret in the file with
    // the mask.
    let is_plain = !text.contains(is_hidden_char) && !text.contains(MASK);
    let is_bounded = text.len() <= MAX_REPLACEMENT_BYTES
        && text.lines().count() <= MAX_REPLACEMENT_LINES
        && usize::try_from(lines).is_ok_and(|lines| lines <= MAX_SNIPPET_LINES);
    if is_excerpt_complete && is_plain && is_bounded {
        let suggestion = Some(SuggestedFix { replacement: text.to_owned() });
        return RawFinding { suggestion, ..raw };
    }
    raw.with_unproven_suggestion(&truncate_replacement(text))
}

/// Returns the part of a replacement that is shown as text.
pub fn truncate_replacement(text: &str) -> String {
    let seen: String = text.chars().map(|char| if is_hidden_char(char) { ' ' } else { char }).collect();
    let mut lines = Vec::new();
    let mut bytes = 0_usize;
    for line in seen.lines() {
        bytes = bytes.saturating_add(line.len() + 1);
        if lines.len() >= MAX_SHOWN_LINES || bytes > MAX_SHOWN_BYTES {
            lines.push("…");
            break;
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn is_hidden_char(char: char) -> bool {
    line::is_invisible_char(char) && !matches!(char, '\n' | '\t')
}
