//! The conditions under which an audit's result applies to the audited commit. They are the base, the gate
//! identity (a text that identifies the gate, the checks and the rules), and the dismissals.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::dismissal::Dismissal;
use crate::id::Sha;

/// Domain separator. It ensures that this digest differs from other digests of the same parts.
const DOMAIN_SEPARATOR: &[u8] = b"truing audit scope 1";
/// Number of hexadecimal digits of the digest: 128 bits.
const DIGEST_HEX_DIGITS: usize = 32;

/// A digest of an audit's base, gate identity and dismissals. If two audits of a commit have the same digest,
/// they examine the same change under the same conditions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditScopeDigest(String);

impl AuditScopeDigest {
    /// Returns the digest for an audit of a change from this base with these dismissals. `gate_identity`
    /// identifies the gate, the checks and the rules.
    pub fn new(base: &Sha, gate_identity: &str, dismissals: &[Dismissal]) -> Self {
        let dismissed: BTreeSet<&str> = dismissals
            .iter()
            .filter(|dismissal| !dismissal.withdrawn)
            .map(|dismissal| dismissal.finding.as_str())
            .collect();
        let mut digest = Sha256::new();
        let parts = [DOMAIN_SEPARATOR, base.as_str().as_bytes(), gate_identity.as_bytes()];
        // Each part is preceded by its length. Different lists of parts therefore never yield the same
        // bytes.
        for part in parts.into_iter().chain(dismissed.into_iter().map(str::as_bytes)) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut name = hex::encode(digest.finalize());
        name.truncate(DIGEST_HEX_DIGITS);
        Self(name)
    }

    /// Parses the digest in a marker. Returns `None` if the text is not a valid digest.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == DIGEST_HEX_DIGITS && is_hex).then(|| Self(text.to_owned()))
    }

    /// Returns the digits, as a marker contains them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
