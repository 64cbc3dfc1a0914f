//! The manifest of a project. For each pinned definition of the followed package, the manifest contains the
//! digests of the source code for which the project's code was written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::DefinitionDigests;

/// The pinned definitions, by name: `module:Class.method`, `FILE:Type.method`, or `FILE`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinManifest {
    /// Accepted digests of each definition.
    pub rows: BTreeMap<String, ManifestRow>,
}

/// The accepted digests of one definition. A definition is accepted if the digest of its lines or of its
/// syntax tree matches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRow {
    /// SHA-1 digests of the definition's lines, in lower-case hexadecimal digits.
    #[serde(default)]
    #[serde(rename = "raw")]
    pub line_digests: BTreeSet<String>,
    /// SHA-256 digests of the definition's syntax tree. Digests with and without the prefix
    /// `TREE_DIGEST_PREFIX` are accepted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[serde(rename = "tree")]
    pub tree_digests: BTreeSet<String>,
    /// Definition in the project that copies or overrides the pinned definition, and must be kept consistent
    /// with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterpart: Option<String>,
    /// Reason for the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The reason why a manifest is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// A definition's name is invalid.
    #[error("`{0}` is not a definition: write `module:Class.method`, `FILE:Type.method` or `FILE`")]
    InvalidName(String),
    /// A digest is invalid.
    #[error("{definition}: `{digest}` is not a digest of {required_digits} hexadecimal digits in lower case")]
    InvalidDigest {
        /// Name of the definition.
        definition: String,
        digest: String,
        /// Required number of digits.
        required_digits: usize,
    },
    /// The manifest has no entries.
    #[error("the file pins nothing")]
    NoEntries,
}

/// A manifest file's entry for one definition.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ManifestEntry {
    /// Only the digests of the definition's lines.
    Digests(BTreeSet<String>),
    /// An entry with further fields.
    Row(ManifestRow),
}

/// Number of hexadecimal digits in a digest of lines.
pub const LINE_DIGEST_HEX_DIGITS: usize = 40;
/// Number of hexadecimal digits in a digest of a tree.
pub const TREE_DIGEST_HEX_DIGITS: usize = 64;
/// Prefix of the digest of a Python tree. A digest without this prefix belongs to a definition in another
/// language.
pub const TREE_DIGEST_PREFIX: &str = "2:";

impl ManifestRow {
    /// Returns true if the manifest accepts a definition with these digests.
    pub fn accepts(&self, digests: &DefinitionDigests) -> bool {
        self.line_digests.contains(&digests.raw) || self.tree_digests.contains(&digests.tree)
    }
}

impl PinManifest {
    /// Creates a manifest from a file's entries.
    ///
    /// # Errors
    /// [`ManifestError`] if an entry is invalid, or if there are no entries.
    pub fn new(entries: BTreeMap<String, ManifestEntry>) -> Result<Self, ManifestError> {
        let mut rows = BTreeMap::new();
        for (symbol, entries) in entries {
            let row = match entries {
                ManifestEntry::Digests(raw) => ManifestRow { line_digests: raw, ..ManifestRow::default() },
                ManifestEntry::Row(row) => row,
            };
            if !is_symbol_name(&symbol) {
                return Err(ManifestError::InvalidName(symbol));
            }
            for (digests, form, digits) in [
                (&row.line_digests, "", LINE_DIGEST_HEX_DIGITS),
                (&row.tree_digests, TREE_DIGEST_PREFIX, TREE_DIGEST_HEX_DIGITS),
            ] {
                let is_one = |digest: &&String| {
                    let digest = digest.strip_prefix(form).unwrap_or(digest);
                    digest.len() == digits
                        && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                };
                if let Some(digest) = digests.iter().find(|digest| !is_one(digest)) {
                    let digest = digest.clone();
                    return Err(ManifestError::InvalidDigest {
                        definition: symbol,
                        digest,
                        required_digits: digits,
                    });
                }
            }
            rows.insert(symbol, row);
        }
        if rows.is_empty() { Err(ManifestError::NoEntries) } else { Ok(Self { rows }) }
    }
}

fn is_symbol_name(symbol: &str) -> bool {
    let is_word = |word: &str| {
        let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '#');
        !word.is_empty() && word.chars().all(is_letter)
    };
    // The name of the module or file is used as a path within an archive. It must therefore not lead out of
    // the archive.
    let is_place = |place: &str| {
        let is_part = |part: &str| !matches!(part, "" | "." | "..");
        place.split('/').all(is_part) && !place.chars().any(|letter| letter.is_control() || letter == '\\')
    };
    let (place, names) = symbol.split_once(':').map_or((symbol, None), |(place, names)| (place, Some(names)));
    let is_module = names.is_some() || place.contains(['/', '.']);
    symbol.len() <= MAX_SYMBOL_NAME_BYTES
        && is_module
        && is_place(place)
        && names.is_none_or(|names| names.split('.').all(is_word))
}

/// Maximum length of a definition's name, in bytes.
const MAX_SYMBOL_NAME_BYTES: usize = 1_000;
