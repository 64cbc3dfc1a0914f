//! A text with places outside of prompts, such as a word of a command or a title: the same places as in prompts, each of
//! which must be known before anything is run.

use super::module::{Piece, cut};

/// A text whose places are all known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a text that may have these places.
    ///
    /// # Errors
    /// What is wrong, in words that follow the text's name.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut wrong = None;
        let pieces = cut(text, 1, &mut |_, what| wrong = Some(what.to_string()));
        if let Some(wrong) = wrong {
            return Err(format!("is wrong: {wrong}"));
        }
        let unknown = pieces.iter().find_map(|piece| match piece {
            Piece::Variable { name, .. } if !known.contains(&name.as_str()) => Some(name),
            Piece::Variable { .. } | Piece::Text(_) => None,
        });
        if let Some(unknown) = unknown {
            let places: Vec<String> = known.iter().map(|name| format!("`{{{{{name}}}}}`")).collect();
            return Err(format!("has a place `{{{{{unknown}}}}}`; there is {}", places.join(", ")));
        }
        Ok(Self(pieces))
    }

    /// Has it this place?
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable { name: one, .. } if one == name))
    }

    /// Could this be the text with anything in the places whose value is not known?
    pub fn matches<'v>(&self, text: &str, known: impl Fn(&str) -> Option<&'v str>) -> bool {
        let (mut rest, mut is_open) = (text, false);
        for (index, piece) in self.0.iter().enumerate() {
            let words = match piece {
                Piece::Text(words) => Some(words.as_str()),
                Piece::Variable { name, .. } => known(name),
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

    /// The text with a value in each place. A value is never read again as a text with places.
    pub fn filled(&self, value: impl Fn(&str) -> String) -> String {
        let one = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable { name, .. } => value(name),
        };
        self.0.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_or_an_error_and_values_are_put_in_once() {
        let template = Template::parse(" {{a}}=={{ b }}, \\{{a}}\n", &["a", "b"]).unwrap();
        let filled = template.filled(|name| if name == "a" { "{{b}}".to_owned() } else { "1".to_owned() });
        assert_eq!(filled, " {{b}}==1, {{a}}\n");
        assert!(template.has("b") && !template.has("c"));
        let line = Template::parse("{{a}} to {{b}}.", &["a", "b"]).unwrap();
        let known = |name: &str| (name == "a").then_some("demo");
        assert!(line.matches("demo to 1 to 2.", known) && line.matches("demo to .", known));
        for other in ["demo to 1", "Demo to 1.", "demo, to 1.", "demo to", ""] {
            assert!(!line.matches(other, known), "{other}");
        }
        assert_eq!(
            Template::parse("{{c}}", &["a", "b"]).unwrap_err(),
            "has a place `{{c}}`; there is `{{a}}`, `{{b}}`"
        );
        assert!(Template::parse("{{ no place", &["a"]).unwrap_err().contains("begins no variable"));
    }
}
