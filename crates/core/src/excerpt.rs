//! Comparing what is said of code with the code itself: white space and characters that cannot be seen make no
//! difference.

use crate::line;

/// The replacement that a tool shows for an invisible character.
const UNSEEN: char = '\u{fffd}';

/// The lines of a text, first and last (1-based, inclusive); none if it does not have them all.
pub fn lines(text: &str, (start_line, end_line): (u32, u32)) -> Option<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let place = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
    let first = place(start_line).checked_sub(1)?;
    Some(lines.get(first..place(end_line)).filter(|shown| !shown.is_empty())?.to_vec())
}

/// Do these lines say what an excerpt says they do? An empty excerpt says nothing.
pub fn says(lines: &[&str], excerpt: &str) -> bool {
    let said = folded(unescaped(excerpt).lines());
    !said.is_empty() && folded(lines.iter().copied()).contains(&said)
}

/// Does an excerpt hold all of these lines, and nothing else?
pub fn is_whole(lines: &[&str], excerpt: &str) -> bool {
    folded(lines.iter().copied()) == folded(unescaped(excerpt).lines())
}

/// Without escapes of what cannot be seen (`\u{202e}`), as which a prompt shows it.
pub fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hidden = part.split_once('}').filter(|(digits, _)| {
            let letter = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            letter.is_some_and(line::is_hidden)
        });
        match hidden {
            Some((_, rest)) => out.extend([" ", rest]),
            None => out.extend(["\\u{", part]),
        }
    }
    out
}

/// Words with one blank between them: how lines are indented and broken is no difference, nor what cannot be seen.
pub fn folded<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let seen = |char| if line::is_hidden(char) || char == UNSEEN { ' ' } else { char };
    let text: String = lines.flat_map(|line| line.chars().chain(['\n'])).map(seen).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the lines of a snippet are in a text, first and last, the nearest to where they were; none if it has them no
/// more.
pub fn locate(text: &str, snippet: &str, was: u32) -> Option<(u32, u32)> {
    let wanted: Vec<String> = snippet.lines().map(|line| folded([line].into_iter())).collect();
    if wanted.iter().all(String::is_empty) {
        return None;
    }
    let lines: Vec<String> = text.lines().map(|line| folded([line].into_iter())).collect();
    let at = lines.windows(wanted.len()).enumerate().filter(|(_, shown)| *shown == wanted);
    let first = at.filter_map(|(at, _)| u32::try_from(at + 1).ok()).min_by_key(|at| at.abs_diff(was))?;
    let more = u32::try_from(wanted.len()).ok()?.saturating_sub(1);
    Some((first, first.saturating_add(more)))
}
