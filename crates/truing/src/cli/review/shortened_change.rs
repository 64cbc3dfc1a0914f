//! Shortens the lines of a suggested change to the width of the text output.

/// Character that stands for omitted text, here and in snippets.
pub(super) const OMISSION_MARK: char = '…';
/// Number of characters that are shown before the first difference in a line whose beginning is omitted.
const CHARS_BEFORE_DIFFERENCE: usize = 30;

/// Returns the old and the new text with lines of at most `width` characters. A `…` stands for the omitted
/// part of a line. If both texts have the same number of lines, the first difference between two lines
/// remains visible.
pub(super) fn shorten_change(old: &str, new: &str, width: usize) -> (String, String) {
    let old_lines: Vec<&str> = old.split('\n').collect();
    let new_lines: Vec<&str> = new.split('\n').collect();
    let pairs = old_lines.iter().zip(&new_lines).filter(|_| old_lines.len() == new_lines.len());
    let starts: Vec<usize> = pairs.map(|(old, new)| first_shown_char(old, new, width)).collect();
    let shorten = |lines: &[&str]| {
        let lines = lines.iter().enumerate();
        let lines = lines.map(|(at, line)| cut_line(line, starts.get(at).copied().unwrap_or(0), width));
        lines.collect::<Vec<_>>().join("\n")
    };
    (shorten(&old_lines), shorten(&new_lines))
}

/// Returns the index of the first shown character of two lines that replace each other.
fn first_shown_char(old: &str, new: &str, width: usize) -> usize {
    let equal_count = old.chars().zip(new.chars()).take_while(|(before, after)| before == after).count();
    let is_visible = old == new || equal_count + CHARS_BEFORE_DIFFERENCE < width;
    if is_visible { 0 } else { equal_count.saturating_sub(CHARS_BEFORE_DIFFERENCE) }
}

/// Returns the part of the line from the character `start`, with at most `width` characters.
fn cut_line(line: &str, start: usize, width: usize) -> String {
    let count = line.chars().count();
    if count <= width {
        return line.to_owned();
    }
    let shown_count = width.saturating_sub(2);
    let mut cut = String::new();
    if start > 0 {
        cut.push(OMISSION_MARK);
    }
    cut.extend(line.chars().skip(start).take(shown_count));
    if count > start + shown_count {
        cut.push(OMISSION_MARK);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_are_unchanged() {
        assert_eq!(shorten_change("a\nb", "a\nc", 10), ("a\nb".to_owned(), "a\nc".to_owned()));
    }

    #[test]
    fn the_end_of_a_long_line_is_omitted() {
        let (old, new) = (format!("test.only({}", "x".repeat(60)), format!("test({}", "x".repeat(60)));
        let (old, new) = shorten_change(&old, &new, 50);
        assert_eq!(old, format!("test.only({}…", "x".repeat(38)));
        assert_eq!(new, format!("test({}…", "x".repeat(43)));
    }

    #[test]
    fn the_first_difference_of_a_long_line_is_shown() {
        let (old, new) = (format!("{}old", "x".repeat(100)), format!("{}new", "x".repeat(100)));
        let shown = "x".repeat(CHARS_BEFORE_DIFFERENCE);
        assert_eq!(shorten_change(&old, &new, 50), (format!("…{shown}old"), format!("…{shown}new")));
    }

    #[test]
    fn no_line_is_longer_than_the_width() {
        let two_lines = format!("b\n{}", "c".repeat(90));
        for (old, new) in [("é".repeat(400), "é".repeat(300)), ("a".repeat(90), two_lines)] {
            let (old, new) = shorten_change(&old, &new, 40);
            assert!(old.lines().chain(new.lines()).all(|line| line.chars().count() <= 40), "{old}\n{new}");
        }
    }
}
