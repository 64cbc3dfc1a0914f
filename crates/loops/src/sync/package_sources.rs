//! The components that read the releases of a package.

use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::PackageIndex;

use crate::reader::ChildProcessReader;

/// The index, the archive folder and the reader for a package's releases.
#[derive(Clone, Copy, Debug)]
pub struct PackageSources<'a> {
    /// The package registry's index.
    pub index: &'a PackageIndex,
    /// Folder of the downloaded archives.
    pub archives: &'a ArchiveFolder,
    /// Reader process that parses the archives.
    pub reader: &'a ChildProcessReader,
}
