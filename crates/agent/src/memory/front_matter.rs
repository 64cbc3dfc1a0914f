//! Parses the front matter of a skill: YAML between two lines of `---` at its beginning.

use serde::Deserialize;
use truing_core::line;

/// Maximum number of bytes of front matter.
const MAX_FRONT_MATTER_BYTES: usize = 4 << 10;
/// Maximum number of characters of a parser's error message.
const MAX_PARSE_ERROR_CHARS: usize = 120;

/// The front matter fields that Truing uses. Other fields are for other programs.
#[derive(Debug, Deserialize)]
pub(super) struct SkillFrontMatter {
    /// Name of the skill; defaults to its folder's name.
    pub(super) name: Option<String>,
    /// Purpose of the skill.
    pub(super) description: Option<String>,
}

/// Splits a skill into its front matter and the text after it, or returns a description of the error.
pub(super) fn split_front_matter(text: &str) -> Result<(SkillFrontMatter, &str), String> {
    let none = || "it does not begin with front matter between lines of `---`".to_owned();
    let is_mark = |line: &str| line.trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| is_mark(line)).ok_or_else(none)?;
    let start = first.len();
    let mut end = start;
    let mark = loop {
        let line = lines.next().ok_or_else(none)?;
        if is_mark(line) {
            break line;
        }
        end += line.len();
    };
    let (front, body) = (text.get(start..end), text.get(end + mark.len()..));
    let (front, body) = (front.unwrap_or_default(), body.unwrap_or_default());
    if front.len() > MAX_FRONT_MATTER_BYTES {
        return Err(format!("its front matter has more than {MAX_FRONT_MATTER_BYTES} bytes"));
    }
    let wrong = |error: serde_saphyr::Error| {
        let message = error.to_string();
        let message = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        format!("its front matter is malformed: {}", line::clean_line(message, MAX_PARSE_ERROR_CHARS))
    };
    Ok((serde_saphyr::from_str(front).map_err(wrong)?, body))
}
