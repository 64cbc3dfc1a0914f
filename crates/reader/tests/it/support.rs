//! Releases made for a test, and lines that count as added.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// Every line of a file.
pub(crate) const ALL: (u32, u32) = (1, u32::MAX);

/// A folder for one archive, and where in it the archive goes.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    (folder, archive)
}

/// A wheel of these files, and the folder that it is in.
pub(crate) fn wheel<P: AsRef<str>, T: AsRef<str>>(
    files: impl IntoIterator<Item = (P, T)>,
) -> (TempDir, PathBuf) {
    let (folder, archive) = place();
    let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
    for (path, content) in files {
        zip.start_file(path.as_ref(), SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_ref().as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    (folder, archive)
}
