//! The scope of an audit's result besides its commit.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::dismissal::Dismissal;
use crate::id::Sha;

/// Separates this digest from others of the same parts.
const DOMAIN: &[u8] = b"truing audit scope 1";
/// Hexadecimal digits of it: 128 bits.
const DIGITS: usize = 32;

/// Names the base, the looks and the dismissals that an audit was made with. Two audits of a commit with the same name are the
/// same question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditScope(String);

impl AuditScope {
    /// The name for a change from this base that is looked at with these, and with these dismissals.
    pub fn of(base: &Sha, looks: &str, said: &[Dismissal]) -> Self {
        let dismissed: BTreeSet<&str> =
            said.iter().filter(|said| !said.withdrawn).map(|said| said.finding.as_str()).collect();
        let mut digest = Sha256::new();
        let parts = [DOMAIN, base.as_str().as_bytes(), looks.as_bytes()];
        // Each part is preceded by its length, so that no two sets of parts are the same bytes.
        for part in parts.into_iter().chain(dismissed.into_iter().map(str::as_bytes)) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut name = hex::encode(digest.finalize());
        name.truncate(DIGITS);
        Self(name)
    }

    /// The name as a marker has it; none if it is not of this form.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == DIGITS && is_hex).then(|| Self(text.to_owned()))
    }

    /// The digits, as a marker has them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
