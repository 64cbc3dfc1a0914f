//! Identifiers of pull requests, runs, commits and comments. Also the times and versions that determine the
//! order of events.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant in milliseconds since 1970-01-01 UTC. This crate always receives the time as an argument and
/// reads no clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeSpan(pub i64);

impl TimeSpan {
    /// Creates a span of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Creates a span of whole minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }
}

impl std::ops::Add<TimeSpan> for UnixMillis {
    type Output = Self;
    fn add(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl std::ops::Sub for UnixMillis {
    type Output = TimeSpan;
    fn sub(self, earlier: Self) -> TimeSpan {
        TimeSpan(self.0.saturating_sub(earlier.0))
    }
}

/// Version of a slot. All slots of a store take their versions from one increasing counter. 0 means that the
/// slot was never committed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotVersion(pub u64);

/// Fencing token: the version at which a slot was leased. A later lease of the same slot has a greater token.
/// The record store refuses writes with a smaller token, that is, from a former holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

/// Full commit or tree id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha(String);

/// The error for a text that is not a valid commit id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a full commit id (40 or 64 hexadecimal digits)")]
pub struct InvalidSha(String);

impl Sha {
    /// Parses a full id and converts it to lower case.
    pub fn parse(text: &str) -> Result<Self, InvalidSha> {
        let right = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if right {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidSha(text.chars().take(80).collect()))
        }
    }

    /// Returns git's null id, which represents the unknown commits of a run that ended early.
    pub fn null() -> Self {
        Self("0".repeat(40))
    }

    /// Returns true for git's null id.
    pub fn is_null(&self) -> bool {
        self.0.bytes().all(|digit| digit == b'0')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first ten digits, for display.
    pub fn short_sha(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl TryFrom<String> for Sha {
    type Error = InvalidSha;
    fn try_from(text: String) -> Result<Self, InvalidSha> {
        Self::parse(&text)
    }
}

impl From<Sha> for String {
    fn from(sha: Sha) -> Self {
        sha.0
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Key of a slot and its records: `pr/{forge}/{repository id}/{number}` for a pull request, `sync/{job}`
    /// for a job. Local runs have records under the key `local/{repository}`, but no slot.
    SlotKey
}
text_id! {
    /// Unique id of one run of one loop. The id is a UUID version 7, so ids sort by time. Logs use it as the
    /// review id.
    RunId
}
text_id! {
    /// Durable id of a finding: the fingerprint from its first sighting, `-`, and an ordinal that
    /// distinguishes findings with equal fingerprints.
    FindingId
}
text_id! {
    /// Digest of a finding's rule, path and snippet. Reindenting the lines or moving them within a file does
    /// not change the digest (see [`crate::finding`]).
    Fingerprint
}
text_id! {
    /// Id of a comment in the form that its forge uses. Truing only compares ids of comments.
    CommentId
}
text_id! {
    /// Id of an account at a forge, stable across renames. The forge determines the form of the id; Truing
    /// only compares ids.
    AccountId
}
text_id! {
    /// Id of a review in the form that its forge uses.
    ReviewId
}
text_id! {
    /// Id of a comment thread in the form that its forge uses. Truing only passes the id back to the forge.
    ThreadId
}
text_id! {
    /// Identifies the subject of a pull request, an issue or a comment that Truing writes. The loop that
    /// writes the object chooses the topic, for example a job's key or a question's name. At most one object
    /// exists for each topic.
    Topic
}

impl Topic {
    /// Prefix of the topics of findings.
    pub const FINDING_PREFIX: &'static str = "finding/";

    /// Returns the topic of a comment on a finding.
    pub fn for_finding(finding: &FindingId) -> Self {
        Self::new(format!("{}{finding}", Self::FINDING_PREFIX))
    }
}

impl SlotKey {
    /// Prefix of the keys of local reviews, which are not shown on any forge.
    pub const LOCAL_PREFIX: &'static str = "local/";

    /// Returns the key without the number at its end. All pull requests of one repository share this prefix,
    /// `pr/{forge}/{repository id}/`. A key that does not end with a number is returned unchanged.
    pub fn repository_prefix(&self) -> &str {
        self.0.trim_end_matches(|letter: char| letter.is_ascii_digit())
    }
}

/// A pull request of one forge, identified by ids that survive renames.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PrId {
    /// The `NAME` of `[forge.NAME]` in the configuration.
    pub forge: String,
    /// The forge's own id of the repository (a number at GitHub), never its name.
    pub repository: String,
    /// Number of the pull request, as displayed.
    pub number: u64,
}

impl PrId {
    /// Returns the key of the slot.
    ///
    /// ```
    /// use truing_core::id::PrId;
    /// let id = PrId { forge: "github".into(), repository: "1296269".into(), number: 7 };
    /// assert_eq!(id.key().as_str(), "pr/github/1296269/7");
    /// assert_eq!(PrId::from_key(&id.key()), Some(id));
    /// ```
    pub fn key(&self) -> SlotKey {
        SlotKey::new(format!("pr/{}/{}/{}", self.forge, self.repository, self.number))
    }

    /// Parses the key of a pull request; returns `None` if the key is not that of a pull request.
    pub fn from_key(key: &SlotKey) -> Option<Self> {
        let mut parts = key.as_str().split('/');
        let (Some("pr"), Some(forge), Some(repository), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Some(Self { forge: forge.into(), repository: repository.into(), number: number.parse().ok()? })
    }
}

impl AccountId {
    /// Returns true if the configured id or name `id_or_name` denotes the account with this id and login. A
    /// text that begins with `{` or consists only of digits is always an id and never a name. A name is
    /// accepted only if `unique_names` is true.
    pub fn matches_name(&self, login: &str, id_or_name: &str, unique_names: bool) -> bool {
        if id_or_name.starts_with('{') || id_or_name.bytes().all(|byte| byte.is_ascii_digit()) {
            self.as_str().eq_ignore_ascii_case(id_or_name)
        } else {
            unique_names && login.eq_ignore_ascii_case(id_or_name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_hexadecimal_ids_are_commits() {
        let full = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(Sha::parse(full).unwrap().as_str(), full.to_ascii_lowercase());
        for bad in ["", "HEAD", "0123456", "--upload-pack=x", &"g".repeat(40), &"a".repeat(41)] {
            assert!(Sha::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_other_kinds_are_not_pull_requests() {
        for other in ["sync/x", "local/x", "pr/github/1", "pr/github/1/x", "pr/github/1/2/3"] {
            assert_eq!(PrId::from_key(&SlotKey::new(other)), None, "{other}");
        }
    }
}
