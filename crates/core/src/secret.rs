//! Secret text that must not be displayed: keys, tokens and passwords for a single request header.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Minimum length of a word of a secret that is also hidden alone (`Bearer` is not, a token is).
const MIN_HIDDEN_WORD: usize = 8;

/// Minimum length of a secret that is hidden. A shorter one protects nothing (`x`, as the key of a local
/// model), and removing its letters would make text unreadable.
const MIN_HIDDEN: usize = 6;

/// Secret text that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text. Use it only for the header or the key derived from it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns a name that distinguishes the secret from others and does not reveal it.
    pub fn public_fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        hex::encode(digest.get(..8).unwrap_or_default())
    }

    /// Replaces this secret in a text, as a whole and each long word of it.
    pub fn redact_from(&self, text: &str) -> String {
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
        let hidden = |secret: &str| SecretString::new(secret).redact_from("Bearer canary-12345 expected x");
        assert_eq!(hidden("Bearer canary-12345"), "*** expected x");
        assert_eq!(hidden("token canary-12345"), "Bearer *** expected x");
        assert_eq!(hidden("x"), "Bearer canary-12345 expected x");
        assert_eq!(hidden(""), "Bearer canary-12345 expected x");
    }
}
