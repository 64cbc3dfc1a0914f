//! Helpers that create releases, and the line range of a file that is entirely added.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// Range of all lines of a file.
pub(crate) const ALL: (u32, u32) = (1, u32::MAX);

/// Returns a folder and the path of an archive that a test can write in that folder.
pub(crate) fn archive_place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    (folder, archive)
}

/// Metadata folder that is added to a wheel without metadata.
const INFO: &str = "p-1.dist-info";

/// Creates a wheel with these files in a new folder, and returns the folder and the path of the wheel. Adds
/// the other files that pip requires.
pub(crate) fn wheel<P: AsRef<str>, T: AsRef<str>>(
    files: impl IntoIterator<Item = (P, T)>,
) -> (TempDir, PathBuf) {
    let (folder, archive) = archive_place();
    let mut info = None;
    let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
    for (path, content) in files {
        let metadata = path.as_ref().strip_suffix("/METADATA").filter(|info| info.ends_with(".dist-info"));
        info = info.or(metadata.map(str::to_owned));
        zip.start_file(path.as_ref(), SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_ref().as_bytes()).unwrap();
    }
    add_info(&mut zip, info.as_deref());
    zip.finish().unwrap();
    (folder, archive)
}

/// Adds the metadata files of a wheel. If `own` is given, it names the folder that already contains
/// `METADATA`, so only the other files are added.
pub(crate) fn add_info(zip: &mut zip::ZipWriter<File>, own: Option<&str>) {
    let metadata = "Metadata-Version: 2.1\nName: p\nVersion: 1\n";
    let files =
        [("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"), ("RECORD", ""), ("METADATA", metadata)];
    for (file, content) in files.into_iter().filter(|(file, _)| own.is_none() || *file != "METADATA") {
        zip.start_file(format!("{}/{file}", own.unwrap_or(INFO)), SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
}
