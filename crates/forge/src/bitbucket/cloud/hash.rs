//! Resolves abbreviated hashes. In pull requests and webhook deliveries, Bitbucket Cloud returns only twelve
//! digits of a commit's hash. The response for a single commit contains all digits.

use truing_core::id::Sha;
use truing_core::port::ForgeError;

use super::super::address::with_query;
use super::super::bounds::parse_sha;
use super::{BitbucketCloud, parse_page, wire};
use crate::http::{ForgeRequest, unavailable_error};

/// Minimum number of digits of a hash that is looked up, as the API description requires.
const MIN_HASH_DIGITS: usize = 7;

/// Returns the key under which a head is cached. The key changes when the pull request changes.
fn head_cache_key(repo: &str, number: u64, updated_on: &str, abbreviated_hash: &str) -> String {
    format!("{repo}/{number}/{updated_on}/{abbreviated_hash}")
}

impl BitbucketCloud {
    /// Returns the full hash of the commit whose hash begins with these digits. If the repository does not
    /// contain the commit, the commit is requested from the fork.
    pub(super) async fn full_hash(
        &self,
        purpose: &str,
        repo: &str,
        abbreviated_hash: &str,
        fork: Option<&str>,
    ) -> Result<Sha, ForgeError> {
        if let Ok(sha) = Sha::parse(abbreviated_hash) {
            return Ok(sha);
        }
        let right = abbreviated_hash.len() >= MIN_HASH_DIGITS
            && abbreviated_hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !right {
            return Err(unavailable_error(purpose, "a commit's hash is not a hexadecimal number"));
        }
        let key = format!("{repo}/{abbreviated_hash}");
        if let Some(known) = self.cached_hash(&key) {
            return Ok(known);
        }
        let commit: wire::CloudCommitHash =
            match (self.read_commit_hash(purpose, repo, abbreviated_hash).await, fork) {
                (Err(ForgeError::NotFound { .. }), Some(fork)) => {
                    self.read_commit_hash(purpose, fork, abbreviated_hash).await?
                }
                (read, _) => read?,
            };
        let full = parse_sha(purpose, &commit.hash)?;
        if !full.as_str().starts_with(&abbreviated_hash.to_ascii_lowercase()) {
            return Err(unavailable_error(purpose, "the forge returned another commit than requested"));
        }
        self.cache_hash(key, full.clone());
        Ok(full)
    }

    /// Returns the full hash of a pull request's newest commit. Returns an error if the hash does not begin
    /// with these digits. The digits alone do not identify the commit, because an attacker can create two
    /// commits with the same first digits. The result is cached until the pull request changes.
    pub(super) async fn full_head_hash(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        updated_on: &str,
        abbreviated_hash: &str,
    ) -> Result<Sha, ForgeError> {
        if let Ok(sha) = Sha::parse(abbreviated_hash) {
            return Ok(sha);
        }
        let key = head_cache_key(repo, number, updated_on, abbreviated_hash);
        if let Some(known) = self.cached_hash(&key) {
            return Ok(known);
        }
        let url = with_query(self.pull_url(purpose, repo, number, &["commits"])?, &[("pagelen", "1")]);
        let (newest, _) =
            parse_page::<wire::CloudCommitHash>(&self.send(&ForgeRequest::get(purpose, url)).await?)?;
        let newest =
            newest.first().ok_or_else(|| unavailable_error(purpose, "the pull request has no commits"))?;
        let full = parse_sha(purpose, &newest.hash)?;
        if !full.as_str().starts_with(&abbreviated_hash.to_ascii_lowercase()) {
            return Err(unavailable_error(purpose, "the pull request changed while it was read"));
        }
        self.cache_hash(key, full.clone());
        Ok(full)
    }

    /// Returns the number of calls needed to read the full hashes of head and base: one call for each hash
    /// that is not cached.
    pub(super) fn hash_lookup_calls(&self, repo: &str, pull: &wire::CloudPull) -> u64 {
        let is_unknown =
            |digits: &str, key: String| Sha::parse(digits).is_err() && self.cached_hash(&key).is_none();
        let head = pull.source.commit.as_ref().is_some_and(|head| {
            is_unknown(&head.hash, head_cache_key(repo, pull.id, &pull.updated_on, &head.hash))
        });
        let base = pull.destination.commit.as_ref();
        let base = base.is_some_and(|base| is_unknown(&base.hash, format!("{repo}/{}", base.hash)));
        u64::from(head) + u64::from(base)
    }

    async fn read_commit_hash(
        &self,
        purpose: &str,
        repo: &str,
        abbreviated_hash: &str,
    ) -> Result<wire::CloudCommitHash, ForgeError> {
        self.get(purpose, self.repository_url(purpose, repo, &["commit", abbreviated_hash])?).await
    }
}
