//! Text that must not be seen: keys, tokens, passwords on their way to the one header that they are for.

use std::fmt;

/// Words of a secret at least this long are also hidden one by one (`Bearer` is not, a token is).
const MIN_HIDDEN_WORD: usize = 8;

/// Text that must not be seen: neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the header or the key that is made of it, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text without this secret: whole, and each long word of it.
    pub fn hide_in(&self, text: &str) -> String {
        let words = self.0.split_whitespace().filter(|word| word.len() >= MIN_HIDDEN_WORD);
        std::iter::once(self.0.as_str())
            .chain(words)
            .filter(|hidden| !hidden.is_empty())
            .fold(text.to_owned(), |text, hidden| text.replace(hidden, "***"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
