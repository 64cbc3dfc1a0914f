//! Secret text that must not be displayed: a key, token or password that is sent in a request header or used
//! to derive a key.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Minimum length in bytes at which a single word of a secret is redacted separately. The word `Bearer` is
/// shorter and therefore not redacted; tokens are longer.
const MIN_REDACTED_WORD_BYTES: usize = 8;

/// Minimum length in bytes at which a secret is redacted. A shorter secret, such as the key `x` of a local
/// model, need not be protected. Replacing all its occurrences would make text unreadable.
const MIN_REDACTED_SECRET_BYTES: usize = 6;

/// Secret text that `Debug` and `Display` do not show.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret text. Use the text only for the request header, or to derive a key.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns true for visible ASCII characters. The keys and tokens of all providers consist of them.
    pub fn is_visible_ascii(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Returns a fingerprint that identifies the secret without revealing it.
    pub fn public_fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        hex::encode(digest.get(..8).unwrap_or_default())
    }

    /// Replaces the whole secret, and each long word of the secret, in a text.
    pub fn redact_from(&self, text: &str) -> String {
        let words = self.0.split_whitespace().filter(|word| word.len() >= MIN_REDACTED_WORD_BYTES);
        std::iter::once(self.0.as_str())
            .chain(words)
            .filter(|hidden| hidden.len() >= MIN_REDACTED_SECRET_BYTES)
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
