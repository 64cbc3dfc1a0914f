//! Compares quoted code with the code itself. The comparison ignores white space and invisible characters.

use crate::line;

/// Character that some tools display in place of an invisible character.
const REPLACEMENT_CHARACTER: char = '\u{fffd}';

/// Returns the lines from `start_line` to `end_line` (1-based, inclusive). Returns `None` if the text lacks
/// one of these lines.
pub fn select_lines(text: &str, start_line: u32, end_line: u32) -> Option<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let place = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
    let first = place(start_line).checked_sub(1)?;
    Some(lines.get(first..place(end_line)).filter(|shown| !shown.is_empty())?.to_vec())
}

/// Returns true if the lines contain the excerpt. An empty excerpt matches nothing.
pub fn contains_excerpt(lines: &[&str], excerpt: &str) -> bool {
    let folded_excerpt = fold_whitespace(blank_hidden_escapes(excerpt).lines());
    !folded_excerpt.is_empty() && fold_whitespace(lines.iter().copied()).contains(&folded_excerpt)
}

/// Returns true if an excerpt consists of exactly these lines.
pub fn is_exact_excerpt(lines: &[&str], excerpt: &str) -> bool {
    fold_whitespace(lines.iter().copied()) == fold_whitespace(blank_hidden_escapes(excerpt).lines())
}

/// Replaces escapes such as `\u{202e}` by blanks. Prompts contain these escapes in place of invisible
/// characters.
pub fn blank_hidden_escapes(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hidden = part.split_once('}').filter(|(digits, _)| {
            let letter = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            letter.is_some_and(line::is_invisible_char)
        });
        match hidden {
            Some((_, rest)) => out.extend([" ", rest]),
            None => out.extend(["\\u{", part]),
        }
    }
    out
}

/// Joins all words with single blanks. Indentation, line breaks and invisible characters then make no
/// difference.
pub fn fold_whitespace<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let seen = |char| if line::is_invisible_char(char) || char == REPLACEMENT_CHARACTER { ' ' } else { char };
    let text: String = lines.flat_map(|line| line.chars().chain(['\n'])).map(seen).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Finds the lines of a snippet in a text, and returns the numbers of the first and last line. If the snippet
/// occurs several times, returns the occurrence nearest to `old_line`. Returns `None` if the text does not
/// contain the snippet.
pub fn locate_snippet(text: &str, snippet: &str, old_line: u32) -> Option<(u32, u32)> {
    let wanted: Vec<String> = snippet.lines().map(|line| fold_whitespace([line].into_iter())).collect();
    if wanted.iter().all(String::is_empty) {
        return None;
    }
    let lines: Vec<String> = text.lines().map(|line| fold_whitespace([line].into_iter())).collect();
    let at = lines.windows(wanted.len()).enumerate().filter(|(_, shown)| *shown == wanted);
    let first = at.filter_map(|(at, _)| u32::try_from(at + 1).ok()).min_by_key(|at| at.abs_diff(old_line))?;
    let more = u32::try_from(wanted.len()).ok()?.saturating_sub(1);
    Some((first, first.saturating_add(more)))
}
