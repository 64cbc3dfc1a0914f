//! The identity that git records for authors and committers.

/// Author or committer of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitIdentity {
    /// Display name. Git removes characters that would end the header line.
    pub name: String,
    pub email: String,
}
