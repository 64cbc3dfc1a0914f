//! Reads the releases of a package from a package index. Each registry's index has its own format: Python's
//! simple repository API, in JSON or in HTML (`pypi`), npm's documents (`npm`), and Cargo's sparse index
//! (`sparse`).

mod client;
mod integrity;
mod npm;
mod page;
mod pypi;
mod release;
mod sparse;
#[cfg(test)]
mod tests;

pub use client::PackageIndex;
pub(crate) use client::innermost_cause;
pub use integrity::ArchiveDigest;
pub use release::{IndexError, PackageListing, PackageRelease, ReleaseArchive, UnreadableEntry};

use truing_core::registry::PackageRegistry;

impl PackageIndex {
    /// Returns a package's releases, and the entries that Truing cannot read although a package manager might
    /// install them.
    ///
    /// # Errors
    /// [`IndexError`] if the index does not list the package.
    #[truing_core::boxed_future]
    pub async fn fetch_releases(&self, package: &str) -> Result<PackageListing, IndexError> {
        match self.registry() {
            PackageRegistry::Pypi => pypi::fetch_releases(self, package).await,
            PackageRegistry::Npm => npm::fetch_releases(self, package).await,
            PackageRegistry::Crates => sparse::fetch_releases(self, package).await,
        }
    }
}
