//! Templates with placeholders such as `{{name}}`. Prompts are templates. An operator's texts for a job, such
//! as a command argument or a title, are also templates.

/// Error message for a `{{` that does not begin a placeholder.
pub const INVALID_PLACEHOLDER_MESSAGE: &str =
    "`{{` does not begin a variable: write `{{name}}` for a variable, or `\\{{` for a literal `{{`";

/// A part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TemplatePart {
    /// Literal text without placeholders.
    Text(String),
    /// A placeholder for a variable.
    Variable {
        name: String,
        /// Number of the line that contains the placeholder.
        line: u32,
    },
}

/// A template that is not a prompt. The names of its placeholders are validated during parsing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextTemplate(Vec<TemplatePart>);

impl TextTemplate {
    /// Parses a text whose placeholders may only have the names in `variable_names`.
    ///
    /// # Errors
    /// The problem, as text that can follow the template's name in a message.
    pub fn parse(text: &str, variable_names: &[&str]) -> Result<Self, String> {
        let mut is_wrong = false;
        let pieces = parse_parts(text, 1, &mut |_| is_wrong = true);
        if is_wrong {
            return Err(format!("is wrong: {INVALID_PLACEHOLDER_MESSAGE}"));
        }
        let unknown = pieces.iter().find_map(|piece| match piece {
            TemplatePart::Variable { name, .. } if !variable_names.contains(&name.as_str()) => Some(name),
            TemplatePart::Variable { .. } | TemplatePart::Text(_) => None,
        });
        if let Some(unknown) = unknown {
            let places: Vec<String> = variable_names.iter().map(|name| format!("`{{{{{name}}}}}`")).collect();
            return Err(format!(
                "has an unknown variable `{{{{{unknown}}}}}`; the known variables are {}",
                places.join(", ")
            ));
        }
        Ok(Self(pieces))
    }

    /// Returns true if the template has this placeholder.
    pub fn has_variable(&self, name: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, TemplatePart::Variable { name: one, .. } if one == name))
    }

    /// Returns true if the template can produce this text. If `known_value` returns `None` for a placeholder,
    /// the placeholder matches any text.
    pub fn matches<'v>(&self, text: &str, known_value: impl Fn(&str) -> Option<&'v str>) -> bool {
        let (mut rest, mut is_open) = (text, false);
        for (index, piece) in self.0.iter().enumerate() {
            let words = match piece {
                TemplatePart::Text(words) => Some(words.as_str()),
                TemplatePart::Variable { name, .. } => known_value(name),
            };
            let Some(words) = words else {
                is_open = true;
                continue;
            };
            let found = match (is_open, index + 1 == self.0.len()) {
                (true, true) => rest.ends_with(words).then(|| rest.len() - words.len()),
                (true, false) => rest.find(words),
                (false, _) => rest.starts_with(words).then_some(0),
            };
            let Some(at) = found else { return false };
            rest = rest.get(at + words.len()..).unwrap_or_default();
            is_open = false;
        }
        is_open || rest.is_empty()
    }

    /// Replaces each placeholder by its value. Placeholders within values are not replaced.
    pub fn fill_with(&self, value: impl Fn(&str) -> String) -> String {
        let one = |piece: &TemplatePart| match piece {
            TemplatePart::Text(text) => text.clone(),
            TemplatePart::Variable { name, .. } => value(name),
        };
        self.0.iter().map(one).collect()
    }
}

/// Splits a text at its placeholders; `\{{` stands for a literal `{{`. Calls `report_error` with the line
/// number of each `{{` that does not begin a placeholder. The message for this error is
/// [`INVALID_PLACEHOLDER_MESSAGE`].
pub fn parse_parts(text: &str, first_line: usize, report_error: &mut impl FnMut(usize)) -> Vec<TemplatePart> {
    let (mut line, mut rest) = (first_line, text);
    let (mut pieces, mut words) = (Vec::new(), String::new());
    while let Some(at) = rest.find("{{") {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 2..).unwrap_or_default());
        line += before.matches('\n').count();
        if let Some(before) = before.strip_suffix('\\') {
            words.push_str(before);
            words.push_str("{{");
            rest = after;
            continue;
        }
        words.push_str(before);
        match after.split_once("}}").map(|(name, rest)| (name.trim_matches(' '), rest)) {
            Some((name, behind)) if is_variable_name(name) => {
                if !words.is_empty() {
                    pieces.push(TemplatePart::Text(std::mem::take(&mut words)));
                }
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                pieces.push(TemplatePart::Variable { name: name.to_owned(), line });
                rest = behind;
            }
            Some(_) | None => {
                report_error(line);
                rest = after;
            }
        }
    }
    words.push_str(rest);
    if !words.is_empty() {
        pieces.push(TemplatePart::Text(words));
    }
    pieces
}

/// Returns true for a valid variable name like `max_turns`: a lower-case letter, then lower-case letters,
/// digits and `_`.
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_or_an_error_and_values_are_put_in_once() {
        let template = TextTemplate::parse(" {{a}}=={{ b }}, \\{{a}}\n", &["a", "b"]).unwrap();
        let filled = template.fill_with(|name| if name == "a" { "{{b}}".to_owned() } else { "1".to_owned() });
        assert_eq!(filled, " {{b}}==1, {{a}}\n");
        assert!(template.has_variable("b") && !template.has_variable("c"));
        let line = TextTemplate::parse("{{a}} to {{b}}.", &["a", "b"]).unwrap();
        let known = |name: &str| (name == "a").then_some("demo");
        assert!(line.matches("demo to 1 to 2.", known) && line.matches("demo to .", known));
        for other in ["demo to 1", "Demo to 1.", "demo, to 1.", "demo to", ""] {
            assert!(!line.matches(other, known), "{other}");
        }
        assert_eq!(
            TextTemplate::parse("{{c}}", &["a", "b"]).unwrap_err(),
            "has an unknown variable `{{c}}`; the known variables are `{{a}}`, `{{b}}`"
        );
        assert!(TextTemplate::parse("{{ no place", &["a"]).unwrap_err().contains("begin a variable"));
    }
}
