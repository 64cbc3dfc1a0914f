//! Finds a version in a Python module: a line that assigns one string to a name, such as `__version__ =
//! "1.2.3"`. The module's code is never run.

use super::requirement::{RequirementNotation, RequirementText};

/// Finds each string that a line assigns to the name. The name must be at the beginning of the line.
pub(super) fn find_assignments(text: &str, name: &str) -> Vec<RequirementText> {
    let mut start = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some((at, version)) = parse_assignment(line, name) {
            let at = start + at;
            let span = at..at + version.len();
            found.push(RequirementText::new(span, version.to_owned(), RequirementNotation::Version));
        }
        start += line.len();
    }
    found
}

/// Returns the position and the text of the string in `NAME = "…"` or `NAME: str = "…"`, without the quotes.
fn parse_assignment<'a>(line: &'a str, name: &str) -> Option<(usize, &'a str)> {
    let rest = line.strip_prefix(name)?;
    let (kind, value) = rest.split_once('=')?;
    let kind = kind.trim();
    if !(kind.is_empty() || kind.starts_with(':')) {
        return None;
    }
    let value = value.trim_start();
    let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    let (content, behind) = value.get(1..)?.split_once(quote)?;
    let is_plain = !content.is_empty() && !content.contains('\\');
    let behind = behind.trim();
    let ends = behind.is_empty() || behind.starts_with('#');
    (is_plain && ends).then(|| (line.len() - value.len() + 1, content))
}
