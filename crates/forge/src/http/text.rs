//! Prepares a forge's text for our error messages: removes tokens and control characters, and truncates the
//! text.

use std::error::Error;
use std::fmt;

use truing_core::line;
use truing_git::SecretString;

/// Maximum number of characters of a forge's message that Truing's own error quotes.
const MAX_MESSAGE_CHARS: usize = 500;

/// Cleans untrusted text. Holds the secrets that it removes from the text.
#[derive(Clone)]
pub(super) struct TextCleaner(Vec<SecretString>);

impl TextCleaner {
    pub(super) fn new(token: &SecretString) -> Self {
        Self(vec![token.clone()])
    }

    /// Adds a secret to remove.
    pub(super) fn with_secret(mut self, other: &SecretString) -> Self {
        self.0.push(other.clone());
        self
    }

    /// Returns one line of visible text without the tokens, truncated with `…`.
    pub(super) fn clean_line(&self, text: &str) -> String {
        let mut line = line::visible_line(text);
        // Tokens are removed after the white space is normalised and before the text is truncated, so neither
        // step can leave a part of a token.
        for secret in self.0.iter().filter(|secret| !secret.expose().is_empty()) {
            line = line.replace(secret.expose(), "[token]");
        }
        line::truncate_text(line, MAX_MESSAGE_CHARS)
    }
}

/// Formats an error with its causes, which contain more detail than the error itself.
pub(super) fn format_error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Debug for TextCleaner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cleaner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_one_visible_bounded_line_without_the_token() {
        let clean = TextCleaner::new(&SecretString::new("canary"));
        assert_eq!(clean.clean_line("a\r\n b\u{1b}[31m\u{202e}c\0"), "a b [31m c");
        assert_eq!(clean.clean_line("bad token canary."), "bad token [token].");
        let cut = clean.clean_line(&format!("{}canary", "é".repeat(MAX_MESSAGE_CHARS - 3)));
        assert_eq!(cut.chars().count(), MAX_MESSAGE_CHARS + 1);
        assert!(cut.ends_with("[to…"), "{cut}");
    }
}
