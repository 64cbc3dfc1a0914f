//! Text without the secrets in it, for what somebody else than a rule says: a model that quotes a key, what is traced,
//! what is kept to be played again. The rules of kind `secret` know the forms.

use std::ops::Range;
use std::sync::LazyLock;

use truing_core::port::ReaderError;

use crate::pack::{Check, Packs, Rule};
use crate::rules::text::TextRules;
use crate::snippet::{CUT, REDACTED_PREFIX_BYTES, Secrets};

/// The pack that knows the forms.
const PACK: &str = "core";
/// A line of a secret that is shorter is no secret by itself.
const MIN_VALUE_BYTES: usize = 8;
/// Stands for a text that cannot be looked at.
const UNKNOWN: &str = "[not shown: it cannot be searched for secrets]";

static PACKS: LazyLock<Option<Packs>> = LazyLock::new(|| Packs::embedded().ok());
static RULES: LazyLock<Option<TextRules<'static>>> = LazyLock::new(|| {
    let rules = PACKS.as_ref()?.select(&[PACK.to_owned()]).ok()?;
    let secrets: Vec<&Rule> =
        rules.into_iter().filter(|rule| matches!(rule.check, Check::Secret(_))).collect();
    TextRules::new(&secrets).ok()
});

/// The secrets of one text, to be hidden in another that may quote it without what tells that they are secrets.
#[derive(Default)]
pub struct Quoted(Vec<String>);

impl Quoted {
    /// The secrets in a file.
    pub fn of(file: &str) -> Self {
        let mut values: Vec<String> = found(file)
            .unwrap_or_default()
            .0
            .into_iter()
            .filter_map(|range| file.get(range))
            .flat_map(str::lines)
            .map(|line| line.trim().to_owned())
            .filter(|line| line.len() >= MIN_VALUE_BYTES)
            .collect();
        // What holds another one goes first.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values)
    }

    /// A text without them, and without anything that has the form of a secret. It keeps its lines.
    pub fn hide_in(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value.as_str()) { text.replace(value.as_str(), &cut(value)) } else { text }
        });
        redact(&text)
    }
}

/// A text in which each secret is its first four characters and `…`. It keeps its lines.
pub fn redact(text: &str) -> String {
    let Ok(secrets) = found(text) else { return UNKNOWN.to_owned() };
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for Range { start, end } in secrets.0 {
        // Rules look at bytes.
        let (start, end) = (text.floor_char_boundary(start).max(at), text.ceil_char_boundary(end));
        let (Some(before), Some(secret)) = (text.get(at..start), text.get(start..end)) else { continue };
        shown.push_str(before);
        shown.push_str(&cut(secret));
        at = end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// What is shown of a secret.
fn cut(secret: &str) -> String {
    let readable = secret.get(..secret.floor_char_boundary(REDACTED_PREFIX_BYTES)).unwrap_or_default();
    let ends: String = secret.chars().filter(|char| *char == '\n').collect();
    format!("{readable}{CUT}{ends}")
}

fn found(text: &str) -> Result<Secrets, ReaderError> {
    let rules = RULES.as_ref().ok_or_else(|| ReaderError::Failed("the rules cannot be read".to_owned()))?;
    Ok(Secrets::of(rules.secrets(text.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        ["AKIA", "73U55XTPLPFT7V4S"].concat()
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_cut_and_lines_stay() {
        let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
        let pem = ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(12)].concat();
        let text = format!("é `{}` is a key\n{pem}-----END RSA PRIVATE{}", key(), " KEY-----\nend");
        let shown = redact(&text);
        assert!(shown.starts_with("é `AKIA…` is a key\n") && shown.ends_with("\nend"), "{shown}");
        assert!(!shown.contains("AKCAQEA7Q8z"), "{shown}");
        assert_eq!(shown.lines().count(), text.lines().count());
        assert_eq!(redact("nothing to hide: AKIA"), "nothing to hide: AKIA");
    }

    #[test]
    fn what_only_its_place_tells_is_hidden_in_a_text_that_quotes_it() {
        let value = ["wJalrXUtnFEMIK7MDE", "NGbPxRfiCYzQ8v2pLk4sT0aB"].concat();
        let value = value.get(..40).unwrap();
        let file = format!("aws_secret_access_key = \"{value}\"\n");
        let said = format!("the value {value} is in the file");
        assert_eq!(redact(&said), said, "by itself it could be anything");
        assert_eq!(Quoted::of(&file).hide_in(&said), "the value wJal… is in the file");
    }
}
