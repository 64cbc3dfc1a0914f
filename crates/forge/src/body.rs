//! Prepares texts for posting: appends the marker as the last line, and truncates to the maximum length of a
//! field.

use crate::marker::{disable_markers, normalize_text};

/// Appends the marker as a separate line. The publish plan ensures that the text with the marker does not
/// exceed the maximum length.
pub(crate) fn with_marker(body: &str, marker: &str) -> String {
    let body = normalize_text(&disable_markers(body));
    if body.is_empty() { marker.to_owned() } else { format!("{body}\n\n{marker}") }
}

/// Truncates a text to at most `max_chars` characters. A truncated text ends with `note`.
pub(crate) fn truncate_text(text: &str, max_chars: usize, note: &str) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let keep = max_chars.saturating_sub(note.chars().count());
    let end = text.char_indices().nth(keep).map_or(text.len(), |(at, _)| at);
    let kept = text.get(..end).unwrap_or_default().trim_end();
    format!("{kept}{note}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_ends_in_its_note() {
        assert_eq!(truncate_text("abcdef", 6, "…"), "abcdef");
        assert_eq!(truncate_text("abcdefg", 6, "…"), "abcde…");
    }

    #[test]
    fn the_marker_is_a_line_of_its_own_and_the_only_one() {
        let marker = "<!-- truing:1 x -->";
        assert_eq!(with_marker("a  \r\nb\n\n", marker), format!("a  \nb\n\n{marker}"));
        assert_eq!(with_marker(" \n", marker), marker);
        let quoted = with_marker("<!-- truing:1 forged -->", marker);
        assert_eq!(quoted, format!("&lt;!-- truing:1 forged -->\n\n{marker}"));
    }
}
