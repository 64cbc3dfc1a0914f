//! Package registries that sync jobs can follow.

use serde::{Deserialize, Serialize};

/// A registry in which packages are published.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageRegistry {
    /// The Python Package Index, or an index in the same format.
    Pypi,
    Npm,
    /// crates.io, or another sparse index.
    Crates,
}

impl PackageRegistry {
    pub const ALL: [Self; 3] = [Self::Pypi, Self::Npm, Self::Crates];

    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Crates => "crates",
        }
    }

    /// Finds the registry by its name in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|registry| registry.as_str() == name)
    }

    /// Returns the name for display.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Pypi => "PyPI",
            Self::Npm => "npm",
            Self::Crates => "crates.io",
        }
    }
}
