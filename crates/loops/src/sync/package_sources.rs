//! Names the places that releases are read from.

use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::PackageIndex;

use crate::reader::ChildProcessReader;

/// The places that the releases of a package are read from.
#[derive(Clone, Copy, Debug)]
pub struct PackageSources<'a> {
    /// The package registry's index.
    pub index: &'a PackageIndex,
    /// Folder of the downloaded archives.
    pub archives: &'a ArchiveFolder,
    /// Process that parses the archives.
    pub reader: &'a ChildProcessReader,
}
