//! Text within the columns of a terminal.

/// The columns of the narrowest terminal that people use.
const COLUMNS: usize = 80;

/// A line that begins with `label`; where it is too long it goes on below the first word of `text`. A word that is
/// too long by itself, such as a path, stays whole: it may be copied.
pub(super) fn folded(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let (mut lines, mut column) = (label.to_owned(), indent);
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > indent && column + 1 + width > COLUMNS {
            lines += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines += word;
        column += width;
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_text_and_no_word_is_cut() {
        assert_eq!(folded("  at  ", "a b"), "  at  a b\n");
        assert_eq!(folded("  at  ", ""), "  at  \n");
        let (path, rest) = (format!("/{}", "x".repeat(90)), "y".repeat(73));
        assert_eq!(
            folded("at  ", &format!("failed: {path} é {rest} z")),
            format!("at  failed:\n    {path}\n    é {rest}\n    z\n")
        );
        assert_eq!(
            folded("at  ", &format!("é {rest} z")).lines().map(|line| line.chars().count()).max(),
            Some(79)
        );
    }
}
