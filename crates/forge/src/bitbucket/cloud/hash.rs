//! Full hashes. In pull requests and deliveries Bitbucket Cloud gives twelve digits of a commit; a commit that is asked for
//! by itself has all.

use truing_core::id::Sha;
use truing_core::port::ForgeError;

use super::super::session::sha;
use super::{BitbucketCloud, wire};
use crate::http::unavailable;

/// The fewest digits that are asked for: the description of the API says 7 and more.
const MIN_DIGITS: usize = 7;

impl BitbucketCloud {
    /// The commit that begins with these digits. A head that is in a fork alone is asked for there.
    pub(super) async fn full(
        &self,
        what: &str,
        repo: &str,
        digits: &str,
        fork: Option<&str>,
    ) -> Result<Sha, ForgeError> {
        if let Ok(sha) = Sha::parse(digits) {
            return Ok(sha);
        }
        let right = digits.len() >= MIN_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !right {
            return Err(unavailable(what, "a commit's hash is no hexadecimal number"));
        }
        let key = format!("{repo}/{digits}");
        if let Some(known) = self.learnt_hash(&key) {
            return Ok(known);
        }
        let commit: wire::Hash = match (self.commit(what, repo, digits).await, fork) {
            (Err(ForgeError::NotFound { .. }), Some(fork)) => self.commit(what, fork, digits).await?,
            (read, _) => read?,
        };
        let full = sha(what, &commit.hash)?;
        if !full.as_str().starts_with(&digits.to_ascii_lowercase()) {
            return Err(unavailable(what, "the forge names another commit than was asked for"));
        }
        self.learn_hash(key, full.clone());
        Ok(full)
    }

    /// So many calls it takes to read a pull request with both of its hashes: one for each that is not known.
    pub(super) fn cost(&self, repo: &str, pull: &wire::Pull) -> u64 {
        let is_known = |digits: &str| {
            Sha::parse(digits).is_ok() || self.learnt_hash(&format!("{repo}/{digits}")).is_some()
        };
        let ends = [&pull.source, &pull.destination].into_iter().filter_map(|end| end.commit.as_ref());
        ends.map(|commit| u64::from(!is_known(&commit.hash))).sum()
    }

    async fn commit(&self, what: &str, repo: &str, digits: &str) -> Result<wire::Hash, ForgeError> {
        self.get(what, self.url(what, repo, &["commit", digits])?).await
    }
}
