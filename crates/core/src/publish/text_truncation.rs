//! Shortens texts that are longer than a forge accepts. A text is cut at a position where the Markdown stays
//! valid, and a note is appended.

/// Note at the end of a shortened text.
const NOTE: &str = "_… truncated: the full text exceeds the maximum length of a comment._";
/// Separator between the text and the note.
const GAP: &str = "\n\n";

/// Returns the text, truncated to at most `max_len` UTF-16 units ([`utf16_length`]). If the text is too long,
/// the first lines that fit are kept, an open code block is closed, and a note is added. A line with code or
/// markup is never split, because its meaning could change. Truncating the result again changes nothing.
pub(super) fn truncate_markdown(text: &str, max_len: usize) -> String {
    if utf16_length(text) <= max_len {
        return text.to_owned();
    }
    let room = max_len.saturating_sub(utf16_length(NOTE) + utf16_length(GAP));
    let mut fence: Option<&str> = None;
    let mut taken = 0;
    let mut left = String::new();
    for (at, line) in lines_with_offsets(text) {
        let closing = |fence: Option<&str>| fence.map_or(0, |fence| utf16_length(fence) + 1);
        let (length, next) = (utf16_length(line), fence_after(line, fence));
        if taken + length + closing(next) > room {
            let free = room.saturating_sub(taken + closing(fence));
            // If the first line that does not fit is longer than half of the available length, its beginning
            // is kept.
            if length > room / 2 && (fence.is_some() || !line.contains(['`', '\\', '<'])) {
                left = text.get(..at + prefix_within(line, free)).unwrap_or_default().to_owned();
            }
            break;
        }
        (taken, fence) = (taken + length, next);
        left = text.get(..at + line.len()).unwrap_or_default().to_owned();
    }
    if let Some(fence) = unclosed_fence(&left) {
        let end = if left.ends_with('\n') { "" } else { "\n" };
        left = format!("{left}{end}{fence}");
    }
    let left = left.trim_end();
    if left.is_empty() { NOTE.to_owned() } else { format!("{left}{GAP}{NOTE}") }
}

/// Returns the length of a text in UTF-16 units. The forge with the strictest limit counts UTF-16 units. A
/// text has at least as many units as characters, so limits in characters are kept, too.
pub(super) fn utf16_length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Returns the lines of a text with their line ends, each with the position of its first byte.
fn lines_with_offsets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some((begin, line))
    })
}

/// Returns the length in bytes of the longest prefix of a line that has at most `max_units` UTF-16 units.
/// Characters are not split.
fn prefix_within(line: &str, max_units: usize) -> usize {
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.len_utf16();
        taken <= max_units
    };
    line.chars().take_while(fits).map(char::len_utf8).sum()
}

/// Returns the code fence that is open after a line, including the fence's indentation. `open_fence` is the
/// fence that is open before the line.
fn fence_after<'a>(line: &'a str, open_fence: Option<&'a str>) -> Option<&'a str> {
    let line = line.trim_end();
    let blanks = line.len() - line.trim_start().len();
    let ticks = line.trim_start().len() - line.trim_start().trim_start_matches('`').len();
    let fence = line.get(..blanks + ticks).filter(|_| ticks >= 3);
    match (open_fence, fence) {
        (None, fence) => fence.filter(|fence| !line.get(fence.len()..).unwrap_or_default().contains('`')),
        (Some(open_fence), Some(fence)) if fence == line && ticks >= open_fence.trim_start().len() => None,
        (Some(open_fence), _) => Some(open_fence),
    }
}

/// Returns the code fence that is open at the end of a text.
fn unclosed_fence(text: &str) -> Option<&str> {
    text.split_inclusive('\n').fold(None, |open, line| fence_after(line, open))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT_LIMIT: usize = 120;

    #[test]
    fn what_fits_is_whole_and_what_does_not_is_cut_at_a_line_and_says_so() {
        let full = "🦀".repeat(SHORT_LIMIT / 2);
        assert_eq!(truncate_markdown(&full, SHORT_LIMIT), full);
        let lines = "one line of text here\n".repeat(6);
        assert_eq!(
            truncate_markdown(&lines, SHORT_LIMIT),
            format!("{}{GAP}{NOTE}", "one line of text here\n".repeat(2).trim_end())
        );
        assert_eq!(
            truncate_markdown(&"é".repeat(SHORT_LIMIT + 1), SHORT_LIMIT),
            format!("{}{GAP}{NOTE}", "é".repeat(SHORT_LIMIT - 2 - utf16_length(NOTE)))
        );
    }

    #[test]
    fn code_that_is_cut_is_closed_and_a_line_with_code_is_not_cut() {
        let code = format!("See:\n\n````py\n```\n{}\n````\n", "x = 1\n".repeat(40));
        let made = truncate_markdown(&code, SHORT_LIMIT);
        assert_eq!(made, format!("See:\n\n````py\n```\n{}````{GAP}{NOTE}", "x = 1\n".repeat(4)));
        assert_eq!(truncate_markdown(&format!("`{}`", "@ada ".repeat(40)), SHORT_LIMIT), NOTE);
    }

    proptest! {
        #[test]
        fn it_is_never_too_long_leaves_no_fence_open_and_is_done_once(
            text in "(```|````py|~~~|\n|\n\n|  |abc def ghi|é🦀|`x`){0,60}", most in 80_usize..140,
        ) {
            let made = truncate_markdown(&text, most);
            prop_assert!(utf16_length(&made) <= most, "{made:?}");
            prop_assert_eq!(&truncate_markdown(&made, most), &made);
            if made != text {
                prop_assert!(made.ends_with(NOTE) && unclosed_fence(&made).is_none(), "{made:?}");
            }
        }
    }
}
