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
use release::IndexResponse;
pub use release::{IndexError, PackageRelease, ReleaseArchive};

use truing_core::registry::PackageRegistry;

impl PackageIndex {
    /// Returns a package's releases, oldest first. Entries that are not versions in the registry's format,
    /// and releases without a readable archive, are omitted.
    ///
    /// # Errors
    /// [`IndexError`] if the index does not list the package.
    #[truing_core::boxed_future]
    pub async fn fetch_releases(&self, package: &str) -> Result<Vec<PackageRelease>, IndexError> {
        let releases = match self.registry() {
            PackageRegistry::Pypi => pypi::fetch_releases(self, package).await?,
            PackageRegistry::Npm => npm::fetch_releases(self, package).await?,
            PackageRegistry::Crates => sparse::fetch_releases(self, package).await?,
        };
        Ok(releases.into_values().collect())
    }
}
