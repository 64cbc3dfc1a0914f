//! Names that commits bear.

/// Somebody in a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitIdentity {
    /// The name. Git leaves out characters that would end its line.
    pub name: String,
    /// The address.
    pub email: String,
}
