//! Words of people and of other programs on one line, before they are kept or shown.

/// One line of visible text of at most `most` characters, and `…` where it was cut.
pub fn clean(text: &str, most: usize) -> String {
    // What is far beyond the bound need not be looked at.
    let end = text.char_indices().nth(most.saturating_mul(4)).map_or(text.len(), |(at, _)| at);
    cut(visible(text.get(..end).unwrap_or(text)), most)
}

/// One line: every run of white space and of what cannot be seen becomes one blank.
pub fn visible(text: &str) -> String {
    let visible: String = text.chars().map(|char| if is_hidden(char) { ' ' } else { char }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `most` characters, and `…` where it was cut.
pub fn cut(mut line: String, most: usize) -> String {
    if let Some((at, _)) = line.char_indices().nth(most) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// Control characters, those that change the direction of what follows, line ends of other kinds, and the invisible
/// letters of tags.
pub fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(char, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_text_is_one_visible_bounded_line() {
        assert_eq!(clean("a\r\n b\u{1b}[31m\u{202e}c\0", 20), "a b [31m c");
        assert_eq!(clean("ééé", 3), "ééé");
        assert_eq!(clean("éééé", 3), "ééé…");
        assert_eq!(clean(" \n ", 3), "");
    }
}
