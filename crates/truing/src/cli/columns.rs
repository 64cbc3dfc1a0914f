//! Fits text into the columns of a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Width of the narrowest terminal that is supported.
pub(super) const MIN_TERMINAL_COLUMNS: usize = 80;

/// Formats `text` after `label`, in lines of at most `MIN_TERMINAL_COLUMNS` columns. Continuation lines are
/// indented to the column in which `text` begins. A word that does not fit in a line is cut. Words with a
/// `/`, such as paths, and text between backticks are never cut, because users may copy them.
pub(super) fn fold_line(label: &str, text: &str) -> String {
    let indent = label.width();
    let (mut lines, mut column) = (label.to_owned(), indent);
    for word in split_words(text) {
        let width = word.width();
        let is_cut = indent + width > MIN_TERMINAL_COLUMNS && !word.contains(['/', ' ']);
        if column > indent
            && column + 1 + width > MIN_TERMINAL_COLUMNS
            && !(is_cut && column + 2 < MIN_TERMINAL_COLUMNS)
        {
            lines += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        if !is_cut {
            lines += &word;
            column += width;
            continue;
        }
        for letter in word.chars() {
            let width = letter.width().unwrap_or_default();
            if column > indent && column + width > MIN_TERMINAL_COLUMNS {
                lines += &format!("\n{:indent$}", "");
                column = indent;
            }
            lines.push(letter);
            column += width;
        }
    }
    lines + "\n"
}

/// Splits a text into words. A text between backticks counts as one word. A code span without a closing
/// backtick, or longer than [`MAX_CODE_SPAN_BYTES`], is split like other text.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::<String>::new();
    let mut rest = text.split(' ');
    while let Some(word) = rest.next() {
        let mut code = word.to_owned();
        let mut ahead = rest.clone();
        while !has_closed_code_spans(&code) && code.len() < MAX_CODE_SPAN_BYTES {
            let Some(next) = ahead.next() else { break };
            code += &format!(" {next}");
        }
        if has_closed_code_spans(&code) {
            rest = ahead;
            words.push(code);
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

/// Returns true if the text contains an even number of backticks.
fn has_closed_code_spans(text: &str) -> bool {
    text.matches('`').count().is_multiple_of(2)
}

/// Maximum length in bytes of a code span that is kept on one line.
const MAX_CODE_SPAN_BYTES: usize = 200;

/// Wraps a text whose first line begins in the column `indent`, for a terminal with `columns` columns.
/// Continuation lines are indented to the same column. Text between backticks is not broken, because users
/// copy it.
pub(super) fn wrap_line(text: &str, indent: usize, columns: usize) -> String {
    let (mut lines, mut column) = (String::new(), indent);
    for word in split_words(text) {
        if column > indent && column + 1 + word.width() > columns {
            lines += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines += &word;
        column += word.width();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_text_and_no_word_is_cut() {
        assert_eq!(fold_line("  at  ", "a b"), "  at  a b\n");
        assert_eq!(fold_line("  at  ", ""), "  at  \n");
        let (path, rest) = (format!("/{}", "x".repeat(90)), "y".repeat(73));
        assert_eq!(
            fold_line("at  ", &format!("failed: {path} é {rest} z")),
            format!("at  failed:\n    {path}\n    é {rest}\n    z\n")
        );
        assert_eq!(
            fold_line("at  ", &format!("é {rest} z")).lines().map(|line| line.chars().count()).max(),
            Some(79)
        );
    }

    #[test]
    fn wide_letters_and_words_without_end_keep_to_the_columns() {
        let (wide, long) = ("漢字".repeat(60), "x".repeat(200));
        for text in [format!("at {wide} end"), format!("{long} end"), format!("a {long}"), wide] {
            let folded = fold_line("fail gate: ", &text);
            assert!(folded.lines().all(|line| line.width() <= MIN_TERMINAL_COLUMNS), "{folded}");
            let letters =
                |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
            assert_eq!(letters(&folded), letters(&format!("fail gate: {text}")));
            assert!(folded.lines().skip(1).all(|line| line.starts_with("           ")), "{folded}");
        }
    }

    #[test]
    fn a_command_in_a_wrapped_line_is_not_broken() {
        assert_eq!(
            wrap_line("name one: `truing rules show NAME`, or see all of them", 6, 30),
            "name one:\n      `truing rules show NAME`,\n      or see all of them"
        );
        assert_eq!(wrap_line("`truing a b c d e f` x", 2, 10), "`truing a b c d e f`\n  x");
        assert_eq!(wrap_line("", 7, 80), "");
        let code = format!("`{}`", "word ".repeat(17));
        assert_eq!(fold_line("at  ", &format!("run {code} now")), format!("at  run\n    {code}\n    now\n"));
        assert_eq!(fold_line("", &format!("` {}", "word ".repeat(99))).lines().map(str::len).max(), Some(79));
        assert_eq!(wrap_line("漢字 漢字 漢字", 0, 9), "漢字 漢字\n漢字");
    }
}
