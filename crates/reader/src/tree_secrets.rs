//! Collects the values of the secrets in the files of a folder. If a command runs in the folder, parts of
//! these values are masked in its output.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::content::{DecodedContent, has_binary_start};
use crate::file::{MAX_FILE_BYTES, open_regular};
use crate::mask::{are_secrets_shown, find_secrets_by_rules, secret_mask};
use crate::redact::{replace_secrets, visible_ranges};
use crate::secret_parts::SecretParts;
use crate::snippet::SecretRanges;

/// Maximum number of bytes of text that one search of a folder reads. Secrets in unread files are
/// recognised only by their format.
const MAX_TREE_BYTES: u64 = 256 << 20;
/// Maximum duration of one search. Secrets in unread files are recognised only by their format.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Parts of the secrets in a folder.
#[derive(Debug, Default)]
pub struct TreeSecrets {
    parts: SecretParts,
    /// Size and modification time of each file that was searched.
    searched_files: HashMap<PathBuf, (u64, Option<SystemTime>)>,
}

impl TreeSecrets {
    /// Searches the files of a folder that are new or changed since the last search. Skips `.git`, links, and
    /// files that are binary, unreadable or too large for the rules.
    pub fn search(&mut self, folder: &Path) {
        if are_secrets_shown() {
            return;
        }
        let (mut folders, mut bytes, begun) = (vec![folder.to_owned()], 0, Instant::now());
        while let Some(entries) = folders.pop().map(fs::read_dir) {
            for entry in entries.into_iter().flatten().filter_map(Result::ok) {
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() && entry.file_name() != ".git" {
                    folders.push(entry.path());
                } else if bytes > MAX_TREE_BYTES || begun.elapsed() > MAX_TIME {
                    // The next search reads the files that this search did not reach.
                    return;
                } else if metadata.is_file() && self.needs_search(entry.path(), &metadata) {
                    bytes += self.add_file(&entry.path());
                }
            }
        }
    }

    /// Returns true if the file is small enough, and its size or modification time differs from the last
    /// search.
    fn needs_search(&mut self, path: PathBuf, metadata: &Metadata) -> bool {
        let state = (metadata.len(), metadata.modified().ok());
        metadata.len() <= MAX_FILE_BYTES && self.searched_files.insert(path, state) != Some(state)
    }

    /// Adds the secrets of a file, and returns the number of bytes searched.
    fn add_file(&mut self, path: &Path) -> u64 {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return 0 };
        let opened = File::open(folder).ok().and_then(|folder| open_regular(folder, name.as_bytes()).ok());
        let mut content = Vec::new();
        let read = opened.map(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut content));
        if !matches!(read, Some(Ok(_))) || has_binary_start(&content) {
            return 0;
        }
        let text = DecodedContent::from_bytes(content).into_text().unwrap_or_default();
        self.add_text(&String::from_utf8_lossy(&text));
        text.len() as u64
    }

    /// Adds the secrets of a text. If the rules cannot search a text, they return the whole text as a secret.
    /// The whole text is never added as a secret.
    fn add_text(&mut self, text: &str) {
        let text = format!("{text}\n");
        let secrets = find_secrets_by_rules(&text).into_iter().filter(|secret| secret.len() < text.len());
        secrets.flat_map(str::lines).for_each(|line| self.parts.add_secret(line.trim()));
    }

    /// Masks each part of a known secret. The number of lines does not change.
    pub fn mask_parts<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if are_secrets_shown() {
            return Cow::Borrowed(text);
        }
        let secrets = SecretRanges::new(visible_ranges(text, |text| self.parts.find_ranges(text)));
        match secrets.0.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(replace_secrets(text, secrets, secret_mask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets_of_test_folder() -> (TreeSecrets, String) {
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
        let latin = [&b"# \xe9\nKEY = \"AKIA"[..], b"QWERTYUIOPASDFGH\"\n"].concat();
        fs::write(folder.path().join("latin.py"), latin).unwrap();
        let mut secrets = TreeSecrets::default();
        secrets.search(folder.path());
        let parts = secrets.parts.clone();
        secrets.search(folder.path());
        assert_eq!(secrets.parts, parts, "nothing changed");
        fs::write(folder.path().join("token"), ["AKIA", "5TGB6YHN7UJM2IK3"].concat()).unwrap();
        let later = ["AKIA", "Q2W4E6R3T7Y5U4I6"].concat();
        fs::write(folder.path().join("later.py"), format!("KEY = \"{later}\"\n")).unwrap();
        secrets.search(folder.path());
        (secrets, key)
    }

    #[test]
    fn a_part_of_a_secret_of_the_folder_is_masked_wherever_it_is_printed() {
        let (secrets, key) = secrets_of_test_folder();
        for (text, shown) in [
            (format!("conf.py:1:{}", &key[..12]), "conf.py:1:[secret cut]"),
            (format!("é{}é and {}", &key[5..], &key[3..14]), "é[secret cut]é and [secret cut]"),
            (
                "^1f2 (a 2026-01-01 3) 7Q8zvT4mKx9Lw2PqRs6Y\n".to_owned(),
                "^1f2 (a 2026-01-01 3) [secret cut]\n",
            ),
            (format!("old_{key}_x"), "old_[secret cut]_x"),
            ("latin.py:2:QWERTYUIOPASD\n".to_owned(), "latin.py:2:[secret cut]\n"),
            ("token:1:6YHN7UJM2I".to_owned(), "token:1:[secret cut]"),
            ("later.py:1:W4E6R3T7Y5".to_owned(), "later.py:1:[secret cut]"),
            ("later.py:1:W4E6R\u{200b}3T7\u{ad}Y5!".to_owned(), "later.py:1:[secret cut]!"),
        ] {
            assert_eq!(secrets.mask_parts(&text), shown);
        }
        for text in [&key[..9], "AKIA9ZY8XW7VU6TS5RQ4", "-----BEGIN RSA PRIVATE", ""] {
            assert_eq!(secrets.mask_parts(text), text);
        }
    }
}
