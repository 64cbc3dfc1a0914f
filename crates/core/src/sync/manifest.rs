//! What a project has pinned of the package that it follows: for each definition the digests of the forms that the
//! project was made for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::DefinitionDigests;

/// The pinned definitions, by name: `module:Class.method`, `FILE:Type.method`, or `FILE`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinManifest {
    /// What is accepted of each.
    pub rows: BTreeMap<String, ManifestRow>,
}

/// What is accepted of one definition: its bytes, or its tree.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRow {
    /// SHA-1 digests of its lines, in lower-case hexadecimal digits.
    #[serde(default)]
    pub raw: BTreeSet<String>,
    /// SHA-256 digests of its syntax tree, in any of their forms.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tree: BTreeSet<String>,
    /// The definition in the project that has to follow this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterpart: Option<String>,
    /// Why it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why something is no manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// A name.
    #[error("`{0}` names no definition: write `module:Class.method`, `FILE:Type.method` or `FILE`")]
    Name(String),
    /// A digest.
    #[error("{symbol}: `{digest}` is no digest of {digits} hexadecimal digits in small letters")]
    Digest {
        /// Whose.
        symbol: String,
        /// As it was given.
        digest: String,
        /// How long one is.
        digits: usize,
    },
    /// Nothing is pinned.
    #[error("it pins nothing")]
    Empty,
}

/// What is written in a file for one definition.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ManifestEntry {
    /// The digests of its lines alone.
    Digests(BTreeSet<String>),
    /// More.
    Row(ManifestRow),
}

/// How many hexadecimal digits a digest of lines has.
pub const RAW_DIGITS: usize = 40;
/// And one of a tree.
pub const TREE_DIGITS: usize = 64;
/// Stands before the digest of a Python tree. Without it, it is one of the form before, or of another language.
pub const TREE_FORM: &str = "2:";

impl ManifestRow {
    /// Is a definition with these digests accepted? `before`: those that it had in an earlier release. A digest of the
    /// former form says nothing of two forms that it cannot tell apart.
    pub fn accepts(&self, digests: &DefinitionDigests, before: Option<&DefinitionDigests>) -> bool {
        let former = digests.former.as_ref().filter(|former| self.tree.contains(*former));
        let is_blind =
            before.is_some_and(|before| before.former == digests.former && before.tree != digests.tree);
        self.raw.contains(&digests.raw)
            || self.tree.contains(&digests.tree)
            || (former.is_some() && !is_blind)
    }
}

impl PinManifest {
    /// From what a file says of each definition.
    ///
    /// # Errors
    /// [`ManifestError`]
    pub fn new(written: BTreeMap<String, ManifestEntry>) -> Result<Self, ManifestError> {
        let mut rows = BTreeMap::new();
        for (symbol, written) in written {
            let row = match written {
                ManifestEntry::Digests(raw) => ManifestRow { raw, ..ManifestRow::default() },
                ManifestEntry::Row(row) => row,
            };
            if !is_name(&symbol) {
                return Err(ManifestError::Name(symbol));
            }
            for (digests, form, digits) in [(&row.raw, "", RAW_DIGITS), (&row.tree, TREE_FORM, TREE_DIGITS)] {
                let is_one = |digest: &&String| {
                    let digest = digest.strip_prefix(form).unwrap_or(digest);
                    digest.len() == digits
                        && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                };
                if let Some(digest) = digests.iter().find(|digest| !is_one(digest)) {
                    let digest = digest.clone();
                    return Err(ManifestError::Digest { symbol, digest, digits });
                }
            }
            rows.insert(symbol, row);
        }
        if rows.is_empty() { Err(ManifestError::Empty) } else { Ok(Self { rows }) }
    }
}

fn is_name(symbol: &str) -> bool {
    let is_word = |word: &str| {
        let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '#');
        !word.is_empty() && word.chars().all(is_letter)
    };
    // A module's name is a file's, too: what it may not be leads out of an archive.
    let is_place = |place: &str| {
        let is_part = |part: &str| !matches!(part, "" | "." | "..");
        place.split('/').all(is_part) && !place.chars().any(|letter| letter.is_control() || letter == '\\')
    };
    let (place, names) = symbol.split_once(':').map_or((symbol, None), |(place, names)| (place, Some(names)));
    let is_module = names.is_some() || place.contains(['/', '.']);
    symbol.len() <= MAX_NAME
        && is_module
        && is_place(place)
        && names.is_none_or(|names| names.split('.').all(is_word))
}

/// The longest name of a definition, in bytes.
const MAX_NAME: usize = 1_000;
