//! Access to a repository: determines how its calls are answered.

/// How a repository answers calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RepositoryAccess {
    #[default]
    Unrestricted,
    /// Read-only: every write is answered with 403.
    Archived,
    /// Every call is answered with 403, as when an organization has removed the token's access.
    Forbidden,
    /// Every call is answered with 451.
    Blocked,
}
