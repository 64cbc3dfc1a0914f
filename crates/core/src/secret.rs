//! Text that must not be seen: keys, tokens, passwords on their way to the one header that they are for.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Words of a secret at least this long are also hidden one by one (`Bearer` is not, a token is).
const MIN_HIDDEN_WORD: usize = 8;

/// A shorter secret is hidden nowhere: it keeps nobody out, and a text without its letters says nothing (`x`, as the key of
/// a model on one's own machine).
const MIN_HIDDEN: usize = 6;

/// Text that must not be seen: neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the header or the key that is made of it, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A name that tells it from others, and from which nobody gets it back.
    pub fn name(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        hex::encode(digest.get(..8).unwrap_or_default())
    }

    /// The text without this secret: whole, and each long word of it.
    pub fn hide_in(&self, text: &str) -> String {
        let words = self.0.split_whitespace().filter(|word| word.len() >= MIN_HIDDEN_WORD);
        std::iter::once(self.0.as_str())
            .chain(words)
            .filter(|hidden| hidden.len() >= MIN_HIDDEN)
            .fold(text.to_owned(), |text, hidden| text.replace(hidden, "***"))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_whole_and_by_its_long_words_and_a_word_that_is_none_is_left() {
        let hidden = |secret: &str| SecretString::new(secret).hide_in("Bearer canary-12345 expected x");
        assert_eq!(hidden("Bearer canary-12345"), "*** expected x");
        assert_eq!(hidden("token canary-12345"), "Bearer *** expected x");
        assert_eq!(hidden("x"), "Bearer canary-12345 expected x");
        assert_eq!(hidden(""), "Bearer canary-12345 expected x");
    }
}
