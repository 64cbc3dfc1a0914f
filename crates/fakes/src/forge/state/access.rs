//! The access to a repository, which determines how the forge answers calls about the repository.

/// The access to a repository.
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
