//! Parts of known secrets. A program may print a part of a secret, or a single line of a key. The rules
//! recognise a secret by its format and by the text around the secret, so they miss a part without that text.

use std::collections::HashSet;
use std::ops::Range;

/// Length in bytes of the shortest part of a secret that is recognised. A shorter part reveals less of the
/// secret, and may be an ordinary word.
const PART_BYTES: usize = 10;
/// Maximum number of parts that are kept. This number is enough for about 50,000 tokens.
const MAX_PARTS: usize = 1 << 20;
/// Beginning of every RSA key in base64. Public keys contain parts of this header.
const KEY_HEADER: &[u8] = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";

/// Ten-byte parts of secrets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct SecretParts(HashSet<[u8; PART_BYTES]>);

impl SecretParts {
    /// Adds the parts of a secret, or of one line of a secret.
    pub(crate) fn add_secret(&mut self, secret: &str) {
        let parts = secret.as_bytes().windows(PART_BYTES).filter(|part| may_be_random(part));
        let parts = parts.filter_map(|part| <[u8; PART_BYTES]>::try_from(part).ok());
        self.0.extend(parts.take(MAX_PARTS.saturating_sub(self.0.len())));
    }

    /// Returns the ranges of a text that contain a part of a secret. Ranges may overlap.
    pub(crate) fn find_ranges(&self, text: &str) -> Vec<Range<usize>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let parts = text.as_bytes().windows(PART_BYTES).enumerate();
        parts.filter(|(_, part)| self.0.contains(*part)).map(|(at, _)| at..at + PART_BYTES).collect()
    }
}

/// Returns true if a part may belong to a random value. Returns false for parts that occur in ordinary text,
/// such as `https://ho` (the beginning of a webhook's address), `1234567890` and the common header of keys.
fn may_be_random(part: &[u8]) -> bool {
    let is_mixed = part.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let is_sequence = part.windows(2).all(|pair| match pair {
        [b'9', b'0'] => true,
        [one, next] => one == next || one.checked_add(1) == Some(*next),
        _ => false,
    });
    is_mixed && !is_sequence && !KEY_HEADER.windows(part.len()).any(|header_part| header_part == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_text_are_no_part_of_a_secret() {
        for (part, is) in [
            ("https://ho", false),
            ("1234567890", false),
            ("AAAAAAAAAA", false),
            ("ANBgkqhkiG", false),
            ("AKIAAAAAAB", true),
            ("sk_live_51", true),
            ("abCdefghij", true),
        ] {
            assert_eq!(may_be_random(part.as_bytes()), is, "{part}");
        }
    }
}
