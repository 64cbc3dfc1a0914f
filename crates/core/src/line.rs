//! Reduces untrusted text to one line before the text is stored or displayed.

/// Maximum length in characters of a stored action, notice or reason.
pub const MAX_STORED_TEXT_CHARS: usize = 1000;

/// Returns one line of visible text with at most `max_len` characters. If the line was longer, `…` is
/// appended.
pub fn clean_line(text: &str, max_len: usize) -> String {
    // Only four times `max_len` characters are read, which limits the work for long texts.
    let end = text.char_indices().nth(max_len.saturating_mul(4)).map_or(text.len(), |(at, _)| at);
    truncate_text(visible_line(text.get(..end).unwrap_or(text)), max_len)
}

/// Returns the text as one line: each run of white space and invisible characters becomes one blank.
pub fn visible_line(text: &str) -> String {
    let visible: String = text.chars().map(|char| if is_invisible_char(char) { ' ' } else { char }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Truncates the line to `max_len` characters. If the line was longer, `…` is appended.
pub fn truncate_text(mut line: String, max_len: usize) -> String {
    if let Some((at, _)) = line.char_indices().nth(max_len) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// Renders a count with its noun: `1 file`, `2 files`, `2 entries`, `2 matches`.
pub fn format_count(count: impl std::fmt::Display, singular: &str) -> String {
    let count = count.to_string();
    let ends = |ends: &[&str]| ends.iter().any(|end| singular.ends_with(end));
    match singular.strip_suffix('y') {
        _ if count == "1" => format!("1 {singular}"),
        Some(stem) if !ends(&["ay", "ey", "oy", "uy"]) => format!("{count} {stem}ies"),
        Some(_) | None if ends(&["ch", "sh", "s", "x"]) => format!("{count} {singular}es"),
        Some(_) | None => format!("{count} {singular}s"),
    }
}

/// Returns true for invisible characters. These are control characters, direction changes, Unicode line ends,
/// zero-width and filling characters, tag letters, and selectors that can encode hidden text. Joiners
/// (U+200C, U+200D) and emoji selectors do not count as invisible, because some scripts and emoji need these
/// characters.
pub fn is_invisible_char(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}')
        || matches!(char, '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
        || matches!(char, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
        || matches!(char, '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}')
        || matches!(char, '\u{fe00}'..='\u{fe0e}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_text_is_one_visible_bounded_line() {
        assert_eq!(clean_line("a\r\n b\u{1b}[31m\u{202e}c\0", 20), "a b [31m c");
        assert_eq!(clean_line("a\u{200b}b\u{e0041}c\u{feff}", 20), "a b c");
        assert_eq!(clean_line("a\u{fe01}b\u{34f}c\u{2800}d\u{1d173}", 20), "a b c d");
        assert_eq!(
            visible_line("\u{1f468}\u{200d}\u{1f469} \u{2764}\u{fe0f}"),
            "\u{1f468}\u{200d}\u{1f469} \u{2764}\u{fe0f}"
        );
        assert_eq!(clean_line("ééé", 3), "ééé");
        assert_eq!(clean_line("éééé", 3), "ééé…");
        assert_eq!(clean_line(" \n ", 3), "");
    }

    #[test]
    fn one_thing_is_singular_and_others_are_plural() {
        for (count, one, told) in [
            (1_u32, "audit", "1 audit"),
            (0, "audit", "0 audits"),
            (2, "category", "2 categories"),
            (1, "category", "1 category"),
            (3, "key", "3 keys"),
            (2, "match", "2 matches"),
            (2, "pull request", "2 pull requests"),
        ] {
            assert_eq!(format_count(count, one), told);
        }
    }
}
