//! Digests that identify a finding's lines more precisely than the snippet. The snippet may omit parts of the
//! lines that may contain secrets.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::finding::RawFinding;

/// Text that replaces the omitted parts of a snippet's lines.
pub const OMISSION_MARK: &str = "…";

/// Prefix of each input: the input from which a [`LinesKey`] is derived, and the input that the key signs.
/// With this prefix, a key that is derived for another purpose yields different digests.
const DOMAIN: &[u8] = b"truing lines 1";
/// Length of a digest in bytes.
const DIGEST_BYTES: usize = 16;

/// Digests that distinguish a finding's lines from other lines with the same snippet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct CodeDigests {
    /// Digest of the names of the definitions that enclose the lines, in hexadecimal digits. `None` if the
    /// language is unknown, or if the record is older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Digest of the complete lines with a `LinesKey`, in hexadecimal digits. `None` if the snippet omits no
    /// part of the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
    /// Digest of the tool's own fingerprint, in hexadecimal digits. `None` if the tool gives no fingerprint,
    /// or if the record is older than this field. The digest only serves to distinguish findings on several
    /// equal lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_fingerprint: Option<String>,
}

impl CodeDigests {
    /// Returns the digests of the code, without the digest of the tool's fingerprint.
    #[must_use]
    pub fn without_tool(&self) -> Self {
        Self { tool_fingerprint: None, ..self.clone() }
    }

    /// Returns only the digest of the tool's fingerprint.
    #[must_use]
    pub fn with_tool_only(&self) -> Self {
        Self { tool_fingerprint: self.tool_fingerprint.clone(), ..Self::default() }
    }

    /// Returns the digest of a tool's own fingerprint.
    pub fn digest_tool_fingerprint(fingerprint: &str) -> String {
        let digest: [u8; 32] = Sha256::digest(fingerprint.as_bytes()).into();
        hex::encode(digest.get(..DIGEST_BYTES).unwrap_or(&digest))
    }

    /// Returns true if no digest is present.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if both sets of digests can belong to the same lines in the same definition. If the
    /// definition is missing in one set, only the lines are compared.
    pub fn is_compatible_with(&self, other: &Self) -> bool {
        let is_known = self.definition.is_some() && other.definition.is_some();
        self.lines == other.lines && (!is_known || self.definition == other.definition)
    }
}

/// Key for digests of lines. A person who can read the records but lacks the key cannot find the omitted text
/// by trial.
#[derive(Clone, Default)]
pub struct LinesKey([u8; 32]);

impl std::fmt::Debug for LinesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinesKey(…)")
    }
}

impl LinesKey {
    /// Derives the key from the bytes of another key. Equal bytes always yield equal keys.
    pub fn derive(from: &[u8]) -> Self {
        Self(hmac_sha256(from, &[DOMAIN]))
    }

    /// Returns the digest of lines. White space is folded as in [`crate::finding::fingerprint`].
    fn digest<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> String {
        let mut folded = Vec::new();
        for line in lines {
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.for_each(|word| folded.extend(word.iter().chain(b" ")));
            folded.push(b'\n');
        }
        let digest = hmac_sha256(&self.0, &[DOMAIN, &folded]);
        hex::encode(digest.get(..DIGEST_BYTES).unwrap_or(&digest))
    }
}

/// Returns the HMAC-SHA-256 of the parts, each preceded by its length.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // This error never occurs, because HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl RawFinding {
    /// Returns true if the snippet omits a part of its lines.
    pub fn has_truncated_snippet(&self) -> bool {
        self.snippet.contains(OMISSION_MARK)
    }

    /// Adds the digest of the finding's lines in this file content, if the snippet omits a part of the lines.
    /// If `content` is `None`, such a finding gets no digest, and no dismissal applies to it.
    ///
    /// ```
    /// # use truing_core::code_digest::LinesKey;
    /// # use truing_core::finding::{CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding};
    /// # use truing_core::finding::Severity;
    /// # let location = CodeLocation { path: "a".into(), side: DiffSide::New, start_line: 1, end_line: 1 };
    /// # let (title, body) = (String::new(), String::new());
    /// # let raw = RawFinding { location, severity: Severity::P0, category: DefectCategory::H, title, body,
    /// #     rule: "core/x".into(), snippet: "key = ghp_…".into(), code: Default::default(),
    /// #     suggestion: None, source: FindingSource::Rule, specialists: Vec::new() };
    /// let key = LinesKey::derive(b"secret");
    /// let digest = |content: &str| raw.clone().with_lines_digest(Some(content.as_bytes()), &key).code.lines;
    /// assert_eq!(digest("key = ghp_one\n"), digest("  key =  ghp_one"));
    /// assert_ne!(digest("key = ghp_one\n"), digest("key = ghp_two\n"));
    /// ```
    #[must_use]
    pub fn with_lines_digest(mut self, content: Option<&[u8]>, key: &LinesKey) -> Self {
        self.code.lines = content.filter(|_| self.has_truncated_snippet()).map(|content| {
            let (first, last) = (self.location.start_line.max(1) as usize, self.location.end_line as usize);
            let lines = content.split(|byte| *byte == b'\n').skip(first - 1);
            key.digest(lines.take((last + 1).saturating_sub(first)))
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_agree_where_all_that_both_know_is_the_same() {
        let of = |definition: Option<&str>, lines: Option<&str>| CodeDigests {
            definition: definition.map(str::to_owned),
            lines: lines.map(str::to_owned),
            tool_fingerprint: None,
        };
        for (one, other, expected) in [
            (of(None, None), of(None, None), true),
            (of(Some("f"), None), of(None, None), true),
            (of(Some("f"), None), of(Some("f"), None), true),
            (of(Some("f"), None), of(Some("g"), None), false),
            (of(None, Some("1")), of(None, Some("1")), true),
            (of(None, Some("1")), of(None, Some("2")), false),
            (of(None, None), of(None, Some("1")), false),
        ] {
            assert_eq!(one.is_compatible_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.is_compatible_with(&one), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn what_a_tool_says_makes_no_code_another_and_a_record_without_it_can_be_read() {
        let marked = |mark: &str| CodeDigests {
            tool_fingerprint: Some(CodeDigests::digest_tool_fingerprint(mark)),
            ..CodeDigests::default()
        };
        assert!(
            marked("one").is_compatible_with(&marked("two"))
                && marked("one").is_compatible_with(&CodeDigests::default())
        );
        assert_ne!(marked("one"), marked("two"));
        let before: CodeDigests = serde_json::from_str(r#"{"definition":"ab","lines":"cd"}"#).unwrap();
        assert_eq!((before.definition.as_deref(), before.lines.as_deref()), (Some("ab"), Some("cd")));
        assert_eq!(before.tool_fingerprint, None);
        assert_eq!(serde_json::to_string(&before).unwrap(), r#"{"definition":"ab","lines":"cd"}"#);
        let now = marked("one");
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<CodeDigests>(&text).unwrap(), now);
    }

    #[test]
    fn another_key_gives_another_digest() {
        let digest = |key: &[u8]| LinesKey::derive(key).digest([b"a b".as_slice()].into_iter());
        assert_eq!(digest(b"one"), digest(b"one"));
        assert_ne!(digest(b"one"), digest(b"two"));
        assert_eq!(digest(b"one").len(), 2 * DIGEST_BYTES);
    }
}
