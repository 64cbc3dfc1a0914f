//! Reads and edits the manifest: a JSON or TOML file that lists the pinned definitions of a package, each
//! with the digests that the project accepts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::python_hash_test;
pub use crate::python_hash_test::DigestUpdate;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use toml_edit::DocumentMut;
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_core::sync::{ManifestEntry, ManifestError, PinManifest};

/// The largest manifest in JSON or Python, in bytes.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 2 << 20;
/// The largest manifest in TOML, in bytes. The limit is lower because the TOML parser uses up to 216 bytes of
/// memory per byte of the file.
pub(crate) const MAX_TOML_MANIFEST_BYTES: u64 = 512 << 10;

/// The reasons why a manifest cannot be read or edited.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFileError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        path: PathBuf,
        /// The error of the operating system.
        reason: String,
    },
    /// The file cannot be parsed.
    #[error("{path} is not a valid manifest: {reason}")]
    Malformed {
        path: PathBuf,
        /// The message of the parser.
        reason: String,
    },
    /// The list of a definition's digests cannot be edited.
    #[error("{path}: no digest can be added to `{symbol}`: {reason}")]
    NotEditable {
        path: PathBuf,
        /// The definition whose list cannot be edited.
        symbol: String,
        /// The problem with the list.
        reason: String,
    },
    /// The content is not a valid manifest.
    #[error("{path} is not a valid manifest: {source}")]
    InvalidContent {
        path: PathBuf,
        /// The error in the content.
        source: ManifestError,
    },
}

/// Reads a manifest. A file with the extension `toml` is TOML; any other file is JSON.
///
/// # Errors
/// [`ManifestFileError`] if the manifest cannot be read.
pub fn read_manifest(path: &Path) -> Result<PinManifest, ManifestFileError> {
    let text = read_file(path)?;
    let written = parse_manifest(&text, is_toml(path));
    let written = written.map_err(|reason| ManifestFileError::Malformed { path: path.to_owned(), reason })?;
    PinManifest::new(written)
        .map_err(|source| ManifestFileError::InvalidContent { path: path.to_owned(), source })
}

/// Returns the whole text of a manifest with one more digest for each of these definitions. The manifest must
/// contain the definitions; all other bytes are unchanged.
///
/// # Errors
/// [`ManifestFileError`] if the file cannot be read or edited.
pub fn add_digests(path: &Path, digests: &[(&str, &str)]) -> Result<String, ManifestFileError> {
    edit_manifest(path, digests, DigestEdit::Add)
}

/// Returns the text of a manifest in which each of these definitions has only the given digest. This function
/// is used if, after a change, the project no longer supports the releases with the earlier definitions.
///
/// # Errors
/// [`ManifestFileError`] if the file cannot be read or edited.
pub fn replace_digests(path: &Path, digests: &[(&str, &str)]) -> Result<String, ManifestFileError> {
    edit_manifest(path, digests, DigestEdit::Replace)
}

/// The kind of edit of a definition's list of digests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DigestEdit {
    Add,
    Replace,
}

fn edit_manifest(
    path: &Path,
    digests: &[(&str, &str)],
    edit: DigestEdit,
) -> Result<String, ManifestFileError> {
    let mut text = read_file(path)?;
    for (symbol, digest) in digests {
        let refused = |reason: String| ManifestFileError::NotEditable {
            path: path.to_owned(),
            symbol: (*symbol).to_owned(),
            reason,
        };
        let one = (*symbol, *digest, edit);
        text = if is_toml(path) {
            edit_toml(&text, one.0, one.1, one.2)
        } else {
            edit_json(&text, one.0, one.1, one.2)
        }
        .map_err(refused)?;
    }
    // The edited text is parsed again; an error is returned if it is not a valid manifest.
    let written = parse_manifest(&text, is_toml(path));
    let written = written.map_err(|reason| ManifestFileError::Malformed { path: path.to_owned(), reason })?;
    PinManifest::new(written)
        .map_err(|source| ManifestFileError::InvalidContent { path: path.to_owned(), source })?;
    Ok(text)
}

/// Returns the text of a project's Python hash test with the digests added. `updates` contains the rows of
/// the test that the reader found. Each new digest is added next to the old digest in the definition's row.
///
/// # Errors
/// [`ManifestFileError`] if the file cannot be read or edited.
pub fn add_hash_test_digests(path: &Path, updates: &[DigestUpdate<'_>]) -> Result<String, ManifestFileError> {
    python_hash_test::add_digests(&read_file(path)?, updates)
        .map_err(|(symbol, reason)| ManifestFileError::NotEditable { path: path.to_owned(), symbol, reason })
}

/// Returns the text of a project's Python hash test with new digests. In a definition's row, the new digest
/// replaces only the old digest; the other accepted digests are unchanged.
///
/// # Errors
/// [`ManifestFileError`] if the file cannot be read or edited.
pub fn replace_hash_test_digests(
    path: &Path,
    updates: &[DigestUpdate<'_>],
) -> Result<String, ManifestFileError> {
    python_hash_test::replace_digests(&read_file(path)?, updates)
        .map_err(|(symbol, reason)| ManifestFileError::NotEditable { path: path.to_owned(), symbol, reason })
}

/// In a JSON manifest, adds a digest at the end of a definition's list, or replaces all items of the list
/// with the digest.
fn edit_json(text: &str, symbol: &str, digest: &str, edit: DigestEdit) -> Result<String, String> {
    let rows: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let row = rows.get(symbol).copied().ok_or("the manifest does not list the definition")?.get();
    let list = match serde_json::from_str::<BTreeMap<String, &RawValue>>(row) {
        Ok(fields) => fields.get("raw").copied().ok_or("its entry has no list `raw`")?.get(),
        Err(_) => row,
    };
    let items: Vec<String> = serde_json::from_str(list).map_err(|error| error.to_string())?;
    let is_there = items.iter().any(|item| item == digest);
    if is_there && (edit == DigestEdit::Add || items.len() == 1) {
        return Ok(text.to_owned());
    }
    // The list is a slice of the text, so its position is the difference of the two addresses.
    let start = (list.as_ptr() as usize)
        .checked_sub(text.as_ptr() as usize)
        .ok_or("the list of its entry is not in the file")?;
    let inner = list.strip_suffix(']').ok_or("its entry has no list")?;
    if edit == DigestEdit::Replace {
        // The white space before the first item and after the last item is kept.
        let first = inner.find('"').unwrap_or(1);
        let last = inner.rfind('"').map_or(first, |last| last + 1);
        let (before, after) = (text.get(..start + first), text.get(start + last..));
        return Ok(format!("{}\"{digest}\"{}", before.unwrap_or_default(), after.unwrap_or_default()));
    }
    let content = inner.trim_end();
    let end = start + content.len();
    let gap = match content.rfind('"').and_then(|_| content.rfind(['[', ','])) {
        // The white space before the last item is repeated before the new item.
        Some(at) => content.get(at + 1..).unwrap_or_default(),
        None => "",
    };
    let gap: String = gap.chars().take_while(|letter| letter.is_whitespace()).collect();
    let comma = if items.is_empty() { "" } else { "," };
    let gap = if gap.is_empty() && items.len() == 1 { " " } else { &gap };
    let (before, after) = (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default());
    Ok(format!("{before}{comma}{gap}\"{digest}\"{after}"))
}

/// Edits a definition's list in TOML, as [`edit_json`] does in JSON.
fn edit_toml(text: &str, symbol: &str, digest: &str, edit: DigestEdit) -> Result<String, String> {
    if is_too_deep(text) {
        return Err(TOO_DEEP_REASON.to_owned());
    }
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let row = document.get_mut(symbol).ok_or("the manifest does not list the definition")?;
    let row = if row.is_array() { row } else { row.get_mut("raw").ok_or("its entry has no list `raw`")? };
    let list = row.as_array_mut().ok_or("its entry has no list")?;
    if edit == DigestEdit::Replace {
        let keep = list.iter().position(|item| item.as_str() == Some(digest)).unwrap_or(0);
        let mut at = 0..;
        list.retain(|_| at.next() == Some(keep));
        if let Some(item) = list.get_mut(0) {
            let decor = item.decor().clone();
            *item = digest.into();
            *item.decor_mut() = decor;
        }
    }
    if !list.iter().any(|item| item.as_str() == Some(digest)) {
        list.push(digest);
    }
    Ok(document.to_string())
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn read_file(path: &Path) -> Result<String, ManifestFileError> {
    let unread = |reason: String| ManifestFileError::Unreadable { path: path.to_owned(), reason };
    let found = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?;
    // Only regular files are read, because reading a pipe may never end.
    if !found.is_file() {
        return Err(unread("it is not a regular file".to_owned()));
    }
    let longest = if is_toml(path) { MAX_TOML_MANIFEST_BYTES } else { MAX_MANIFEST_BYTES };
    if found.len() > longest {
        return Err(unread(format!("it is longer than {} KiB", longest >> 10)));
    }
    std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))
}

fn parse_manifest(text: &str, is_toml: bool) -> Result<BTreeMap<String, ManifestEntry>, String> {
    if text.starts_with('\u{feff}') {
        return Err("the file begins with a byte order mark: save the file without this mark".to_owned());
    }
    if is_toml && is_too_deep(text) {
        return Err(TOO_DEEP_REASON.to_owned());
    }
    let ManifestEntries(rows) = if is_toml {
        toml_edit::de::from_str(text).map_err(|error| error.message().to_owned())?
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    };
    let mut written = BTreeMap::new();
    for (symbol, row) in rows {
        let form = |_| format!("`{symbol}`: write a list of digests, or a table with the list `raw`");
        let row = ManifestEntry::deserialize(row).map_err(form)?;
        if written.insert(symbol.clone(), row).is_some() {
            return Err(format!("`{symbol}` is listed twice"));
        }
    }
    Ok(written)
}

/// The definitions of a file with their values, in the file's order, including duplicates.
struct ManifestEntries(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for ManifestEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DefinitionVisitor;
        impl<'de> Visitor<'de> for DefinitionVisitor {
            type Value = ManifestEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of definitions with their digests")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ManifestEntries, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                Ok(ManifestEntries(rows))
            }
        }
        deserializer.deserialize_map(DefinitionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_wrongly_is_named() {
        let digest = "0".repeat(40);
        for (text, expected) in [
            ("{\"a.b\":1}".to_owned(), "`a.b`: write a list of digests"),
            (format!("\u{feff}{{\"a.b\":[\"{digest}\"]}}"), "byte order mark"),
            (format!("{{\"a.b\":[\"{digest}\"],\"a.b\":[]}}"), "`a.b` is listed twice"),
            ("[]".to_owned(), "an object of definitions"),
        ] {
            let error = parse_manifest(&text, false).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse_manifest("\"a.b\" = 1", true).unwrap_err().contains("`a.b`: write a list"));
        let upper = parse_manifest(&format!("{{\"a.b\":[\"{}\"]}}", "A".repeat(40)), false).unwrap();
        assert!(PinManifest::new(upper).unwrap_err().to_string().contains("in lower case"));
    }

    #[test]
    fn a_digest_is_added_and_nothing_else_changes() {
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        for (name, before, after) in [
            (
                "m.json",
                "{\n  \"x:f\": [\"OLD\"],\n  \"x:g\": [\"OLD\"]\n}\n",
                "{\n  \"x:f\": [\"OLD\", \"NEW\"],\n  \"x:g\": [\"OLD\"]\n}\n",
            ),
            ("m.json", "{\"x:f\":[\n  \"OLD\"\n]}", "{\"x:f\":[\n  \"OLD\",\n  \"NEW\"\n]}"),
            (
                "m.json",
                "{\"x:f\": {\"raw\": [], \"reason\": \"[,\"}}",
                "{\"x:f\": {\"raw\": [\"NEW\"], \"reason\": \"[,\"}}",
            ),
            ("m.json", "{\"x:f\": [\"OLD\", \"NEW\"]}", "{\"x:f\": [\"OLD\", \"NEW\"]}"),
            (
                "m.toml",
                "# pinned\n\"x:f\" = [\"OLD\"] # why\n",
                "# pinned\n\"x:f\" = [\"OLD\", \"NEW\"] # why\n",
            ),
            ("m.toml", "[\"x:f\"]\nraw = [\"OLD\"]\n", "[\"x:f\"]\nraw = [\"OLD\", \"NEW\"]\n"),
        ] {
            let filled = |text: &str| text.replace("OLD", &old).replace("NEW", &new);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, filled(before)).unwrap();
            assert_eq!(add_digests(&path, &[("x:f", &new)]).unwrap(), filled(after));
            std::fs::write(&path, filled(after)).unwrap();
            let only = replace_digests(&path, &[("x:f", &new)]).unwrap();
            assert!(
                only.contains(&new) && only.matches(&old).count() == after.matches("x:g").count(),
                "{only}"
            );
            assert_eq!(replace_digests(&path, &[("x:f", &new)]).unwrap(), only, "of itself the same");
            assert!(
                add_digests(&path, &[("x:h", &new)])
                    .unwrap_err()
                    .to_string()
                    .contains("does not list the definition")
            );
        }
    }
}
