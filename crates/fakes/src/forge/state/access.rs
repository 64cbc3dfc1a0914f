//! The ways in which a repository answers.

/// The ways in which a repository answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RepositoryAccess {
    /// As usual.
    #[default]
    Open,
    /// Read only: whatever writes answers 403.
    Archived,
    /// Every call answers 403, as when an organization has taken the token's access away.
    Forbidden,
    /// Every call answers 451.
    Blocked,
}
