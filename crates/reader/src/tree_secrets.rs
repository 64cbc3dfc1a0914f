//! Knows the secrets in the files of a folder by their values, to mask parts of them in what a command prints there.
//!
//! `git grep -o`, a line of `git blame` or a line of a key by itself show a part of a secret, or one without the text
//! around it, and no rule knows that by its form.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::MAX_FILE_BYTES;
use crate::mask::{MASK, are_secrets_shown, secrets_masked};

/// Bytes of the shortest part of a secret that is masked. A shorter one leaves more of the secret to guess, and may be
/// a word of any text.
const PART_BYTES: usize = 10;
/// Bytes that are searched at most in one folder; the files beyond are known by their forms alone.
const MAX_TREE_BYTES: u64 = 256 << 20;

/// Each part of [`PART_BYTES`] bytes that the secrets of a folder have.
#[derive(Debug, Default)]
pub struct TreeSecrets(HashSet<[u8; PART_BYTES]>);

impl TreeSecrets {
    /// Reads the files of a folder, and of its folders but `.git`. Follows no link. A file that cannot be read, that is
    /// too large for the rules or that is no UTF-8 adds nothing.
    pub fn in_folder(folder: &Path) -> Self {
        let (mut secrets, mut folders, mut bytes) = (Self::default(), vec![folder.to_owned()], 0);
        while let Some(entries) = folders.pop().map(fs::read_dir) {
            for entry in entries.into_iter().flatten().filter_map(Result::ok) {
                let (Ok(kind), Ok(metadata)) = (entry.file_type(), entry.metadata()) else { continue };
                if kind.is_dir() && entry.file_name() != ".git" {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && metadata.len() <= MAX_FILE_BYTES
                    && bytes + metadata.len() <= MAX_TREE_BYTES
                {
                    bytes += metadata.len();
                    secrets.add(&fs::read_to_string(entry.path()).unwrap_or_default());
                }
            }
        }
        secrets
    }

    /// Adds the secrets of a text.
    fn add(&mut self, text: &str) {
        for line in secrets_masked(text).into_iter().flat_map(str::lines) {
            let parts = line.trim().as_bytes().windows(PART_BYTES).filter(|part| is_random(part));
            self.0.extend(parts.filter_map(|part| <[u8; PART_BYTES]>::try_from(part).ok()));
        }
    }

    /// Masks each part of a known secret. Lines stay.
    pub fn mask_parts<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.0.is_empty() || are_secrets_shown() {
            return Cow::Borrowed(text);
        }
        let mut places: Vec<Range<usize>> = Vec::new();
        for (at, part) in text.as_bytes().windows(PART_BYTES).enumerate() {
            if self.0.contains(part) {
                match places.last_mut() {
                    Some(last) if at <= last.end => last.end = at + PART_BYTES,
                    _ => places.push(at..at + PART_BYTES),
                }
            }
        }
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut masked, mut shown) = (String::with_capacity(text.len()), 0);
        for Range { start, end } in places {
            masked.push_str(text.get(shown..text.floor_char_boundary(start)).unwrap_or_default());
            masked.push_str(MASK);
            shown = text.ceil_char_boundary(end);
        }
        masked.push_str(text.get(shown..).unwrap_or_default());
        Cow::Owned(masked)
    }
}

/// True if a part may be one of a random value: `https://ho`, the beginning of the address of a webhook, is a part of
/// other text too.
fn is_random(part: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| part.iter().any(test);
    has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> (TreeSecrets, String) {
        let key = ["AKIA", "73U55XTPLPFT7V4S"].concat();
        let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
        let pem =
            ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(6), "-----END RSA PRIVATE KEY-----\n"];
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/.git")).unwrap();
        fs::write(folder.path().join("deep/conf.py"), format!("é = 1\nKEY = \"{key}\"\n")).unwrap();
        fs::write(folder.path().join("key.pem"), pem.concat()).unwrap();
        fs::write(folder.path().join("deep/.git/key"), ["AKIA", "9ZY8XW7VU6TS5RQ4"].concat()).unwrap();
        fs::write(folder.path().join("binary"), b"\xff\xfe").unwrap();
        (TreeSecrets::in_folder(folder.path()), key)
    }

    #[test]
    fn a_part_of_a_secret_of_the_folder_is_masked_wherever_it_is_printed() {
        let (secrets, key) = known();
        for (text, shown) in [
            (format!("conf.py:1:{}", &key[..12]), "conf.py:1:[secret cut]"),
            (format!("é{}é and {}", &key[5..], &key[3..14]), "é[secret cut]é and [secret cut]"),
            (
                "^1f2 (a 2026-01-01 3) 7Q8zvT4mKx9Lw2PqRs6Y\n".to_owned(),
                "^1f2 (a 2026-01-01 3) [secret cut]\n",
            ),
            (format!("old_{key}_x"), "old_[secret cut]_x"),
        ] {
            assert_eq!(secrets.mask_parts(&text), shown);
        }
        for text in [&key[..9], "AKIA9ZY8XW7VU6TS5RQ4", "-----BEGIN RSA PRIVATE", ""] {
            assert_eq!(secrets.mask_parts(text), text);
        }
    }

    #[test]
    fn words_of_any_text_are_no_part_of_a_secret() {
        for (part, is) in
            [("https://ho", false), ("AKIAAAAAAA", false), ("sk_live_51", true), ("abCdefghij", true)]
        {
            assert_eq!(is_random(part.as_bytes()), is, "{part}");
        }
    }
}
