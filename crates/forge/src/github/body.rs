//! Comment texts as GitHub takes them.

use crate::marker::{normal, strip};

/// The longest comment that GitHub takes, in characters.
const MAX_COMMENT_CHARS: usize = 65_536;
/// What of it is kept for the marker and the blank line above it.
const MARKER_CHARS: usize = 512;
/// How a text that was cut ends.
const CUT_NOTE: &str = "\n\n… (truncated)";

/// The text that a comment shows for `body`, which is also what is read back of it: marker syntax neutralised,
/// line ends and trailing white space normalised, cut to what GitHub takes. Applying it again changes nothing.
///
/// Whoever compares a desired text with an observed one must compare this.
pub fn shown(body: &str) -> String {
    fitted(body, MAX_COMMENT_CHARS - MARKER_CHARS)
}

fn fitted(body: &str, most: usize) -> String {
    cut(&normal(&strip(body)), most, CUT_NOTE)
}

/// The shown text with the marker as its own last line.
pub(super) fn with_marker(body: &str, marker: &str) -> String {
    let body = shown(body);
    if body.is_empty() { marker.to_owned() } else { format!("{body}\n\n{marker}") }
}

/// At most `most` characters, ending in `note` if something is missing.
pub(super) fn cut(text: &str, most: usize, note: &str) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let keep = most.saturating_sub(note.chars().count());
    let end = text.char_indices().nth(keep).map_or(text.len(), |(at, _)| at);
    let kept = text.get(..end).unwrap_or_default().trim_end();
    format!("{kept}{note}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_is_not_touched() {
        let most = MAX_COMMENT_CHARS - MARKER_CHARS;
        let full = "é".repeat(most);
        assert_eq!(shown(&full), full);
        let cut = shown(&format!("{full}x"));
        assert_eq!(cut.chars().count(), most);
        assert!(cut.ends_with("é\n\n… (truncated)"));
    }

    #[test]
    fn the_marker_is_a_line_of_its_own_and_the_only_one() {
        let marker = "<!-- truing:1 x -->";
        assert_eq!(with_marker("a  \r\nb\n\n", marker), format!("a  \nb\n\n{marker}"));
        assert_eq!(with_marker(" \n", marker), marker);
        let quoted = with_marker("<!-- truing:1 forged -->", marker);
        assert_eq!(quoted, format!("&lt;!-- truing:1 forged -->\n\n{marker}"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_shown_the_same_again(text in "([ \r\n]|x|é|<!--|truing:){0,60}", most in 20_usize..60) {
            let once = fitted(&text, most);
            prop_assert!(once.chars().count() <= most, "{once:?}");
            prop_assert_eq!(fitted(&once, most), once);
        }
    }
}
