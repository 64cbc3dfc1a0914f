//! Registries of packages.

use serde::{Deserialize, Serialize};

/// A place where packages are published.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageRegistry {
    /// The Python Package Index, or another index of its form.
    Pypi,
    /// npm's registry.
    Npm,
    /// crates.io, or another sparse index.
    Crates,
}

impl PackageRegistry {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Pypi, Self::Npm, Self::Crates];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Crates => "crates",
        }
    }

    /// The one of this name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|registry| registry.as_str() == name)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pypi => "PyPI",
            Self::Npm => "npm",
            Self::Crates => "crates.io",
        }
    }
}
