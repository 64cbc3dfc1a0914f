//! Reads source files from the archive of a release. The files of a wheel (zip) have the names under which
//! they are installed (`wheel`). All files of a source archive (tar with gzip) are in one folder. In an
//! honest release, no path leads out of the archive, no requested file is a link, and no limit is exceeded.
//! Any violation is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::directory;
use super::wheel::{WheelFailure, WheelTree};
use crate::syntax::MAX_SOURCE_BYTES;

/// Maximum number of entries of an archive.
const MAX_ENTRIES: usize = 100_000;
/// Maximum total size in bytes of the sources that are kept, and of a decompressed tar stream.
const MAX_KEPT_SOURCE_BYTES: u64 = 64 << 20;
const MAX_STREAM_BYTES: u64 = 2 << 30;

/// Format of a release's archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    /// Python wheel, which is a zip file.
    Wheel,
    /// Source archive: tar with gzip, with all files below one folder.
    TarGz,
}

/// The reason why an archive cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ArchiveError {
    /// The archive cannot be opened.
    #[error("{path} cannot be opened: {reason}")]
    Unopened {
        /// Path of the archive.
        path: PathBuf,
        /// Error of the operating system.
        #[serde(rename = "why")]
        reason: String,
    },
    /// The archive is damaged or not in the expected format.
    #[error("{path} cannot be unpacked: {reason}")]
    #[serde(rename = "Broken")]
    UnpackFailed {
        /// Path of the archive.
        path: PathBuf,
        /// Error message of the library that unpacks the archive.
        #[serde(rename = "why")]
        reason: String,
    },
    /// The archive has an entry that an honest release does not have.
    #[error("{path} is refused: its entry {entry:?} {reason}")]
    #[serde(rename = "Refused")]
    ForbiddenEntry {
        /// Path of the archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// Reason why the entry is refused.
        #[serde(rename = "why")]
        reason: String,
    },
    /// The archive exceeds a limit.
    #[error("{path} is refused: it contains more than {limit}")]
    TooLarge {
        /// Path of the archive.
        path: PathBuf,
        /// Limit that is exceeded.
        #[serde(rename = "what")]
        limit: String,
    },
}

/// The content of the requested files, and the paths of all files in an archive. Paths are relative to the
/// installed tree of a wheel, or to the top folder of a source archive.
#[derive(Default)]
pub(super) struct ArchiveContent {
    /// Content of the requested files by path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Paths of all files, requested or not.
    pub(super) paths: BTreeSet<String>,
    /// Paths that occur in more than one entry.
    pub(super) duplicate_paths: BTreeSet<String>,
}

/// Reads the requested files. Only the names of other files are read.
pub(super) fn read_sources(
    path: &Path,
    format: ArchiveFormat,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<ArchiveContent, ArchiveError> {
    let file = File::open(path)
        .map_err(|error| ArchiveError::Unopened { path: path.to_owned(), reason: error.to_string() })?;
    let mut taken = ArchiveCollector {
        archive: path,
        is_wanted,
        content: ArchiveContent::default(),
        kept_bytes: 0,
        entry_count: 0,
    };
    match format {
        ArchiveFormat::Wheel => read_zip(file, &mut taken)?,
        ArchiveFormat::TarGz => read_tar(BufReader::new(file), MAX_STREAM_BYTES, &mut taken)?,
    }
    Ok(taken.content)
}

/// The content that was read so far.
struct ArchiveCollector<'a> {
    archive: &'a Path,
    is_wanted: &'a dyn Fn(&str) -> bool,
    content: ArchiveContent,
    kept_bytes: u64,
    entry_count: usize,
}

impl ArchiveCollector<'_> {
    fn unpack_error(&self, reason: impl ToString) -> ArchiveError {
        ArchiveError::UnpackFailed { path: self.archive.to_owned(), reason: reason.to_string() }
    }

    fn forbidden_entry_error(&self, entry: &str, reason: &str) -> ArchiveError {
        let (path, entry, reason) = (self.archive.to_owned(), entry.to_owned(), reason.to_owned());
        ArchiveError::ForbiddenEntry { path, entry, reason }
    }

    fn too_large_error(&self, limit: String) -> ArchiveError {
        ArchiveError::TooLarge { path: self.archive.to_owned(), limit }
    }

    /// Checks an entry's name.
    fn check_entry(&mut self, name: &str) -> Result<(), ArchiveError> {
        self.entry_count += 1;
        if self.entry_count > MAX_ENTRIES {
            return Err(self.too_large_error(format!("{MAX_ENTRIES} entries")));
        }
        let leads_out = name.starts_with('/')
            || name.contains(['\\', '\0'])
            || name.split('/').any(|part| part == "..")
            || name.as_bytes().get(1) == Some(&b':');
        if leads_out {
            return Err(self.forbidden_entry_error(name, "leads out of the archive"));
        }
        Ok(())
    }

    /// Returns true if the file at this path is requested.
    fn is_wanted(&mut self, path: &str) -> bool {
        self.content.paths.insert(path.to_owned());
        (self.is_wanted)(path)
    }

    /// Reads the bytes of an entry, but at most one byte more than the limit of a source.
    fn read_bytes(&self, name: &str, content: impl Read) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        let read = content.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.unpack_error(format!("{name}: {error}")))?;
        Ok(bytes)
    }

    /// Keeps a source. If a source is too long to be parsed, its beginning is kept. A later step reports that
    /// the source is too long.
    fn add_source(&mut self, name: &str, path: &str, content: impl Read) -> Result<(), ArchiveError> {
        let bytes = self.read_bytes(name, content)?;
        self.kept_bytes = self.kept_bytes.saturating_add(bytes.len() as u64);
        if self.kept_bytes > MAX_KEPT_SOURCE_BYTES {
            return Err(self.too_large_error(format!("{} MiB of sources", MAX_KEPT_SOURCE_BYTES >> 20)));
        }
        if self.content.files.insert(path.to_owned(), bytes).is_some() {
            return Err(self.forbidden_entry_error(name, "occurs twice"));
        }
        Ok(())
    }
}

fn read_zip(mut file: File, collector: &mut ArchiveCollector<'_>) -> Result<(), ArchiveError> {
    let copy = file.try_clone().map_err(|error| collector.unpack_error(error))?;
    let mut archive =
        zip::ZipArchive::new(BufReader::new(copy)).map_err(|error| collector.unpack_error(error))?;
    let found = directory::ZipDirectoryEnd {
        directory_offset: archive.central_directory_start(),
        prefix_length: archive.offset(),
        comment: archive.comment(),
    };
    let names = directory::read_entry_names(&mut file, &found, MAX_ENTRIES)
        .map_err(|reason| collector.unpack_error(reason))?;
    names.iter().try_for_each(|name| collector.check_entry(name))?;
    // The zip library keeps only one entry for each name, and reads as many entries as the end record states.
    // If the number of names differs, the archive is therefore rejected.
    if names.iter().collect::<BTreeSet<_>>().len() != archive.len() {
        return Err(collector.unpack_error(
            "the number of entries in the archive's directory differs from the number in its end record",
        ));
    }
    let read = |name: &str| {
        let entry = archive.by_name(name).map_err(|error| collector.unpack_error(error))?;
        collector.read_bytes(name, entry)
    };
    let tree = WheelTree::from_entries(&names, read).map_err(|failure| match failure {
        WheelFailure::Fault(fault) => collector.forbidden_entry_error(&fault.entry, fault.reason),
        WheelFailure::Read(error) => error,
    })?;
    for (path, name) in &tree.entries {
        if !collector.is_wanted(path) {
            continue;
        }
        let entry = archive.by_name(name).map_err(|error| collector.unpack_error(error))?;
        if entry.is_symlink() {
            return Err(collector.forbidden_entry_error(name, "is a link"));
        }
        collector.add_source(name, path, entry)?;
    }
    collector.content.duplicate_paths = tree.duplicate_paths;
    Ok(())
}

fn read_tar(
    file: impl Read,
    max_bytes: u64,
    collector: &mut ArchiveCollector<'_>,
) -> Result<(), ArchiveError> {
    let mut stream = GzDecoder::new(file).take(max_bytes);
    let read = read_entries(&mut stream, collector);
    // A stream that was cut at the limit would look like a complete archive.
    if stream.limit() == 0 {
        return Err(collector.too_large_error(format!("{} MiB", max_bytes >> 20)));
    }
    read
}

fn read_entries(stream: impl Read, collector: &mut ArchiveCollector<'_>) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(|error| collector.unpack_error(error))? {
        let entry = entry.map_err(|error| collector.unpack_error(error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // All files are in one folder, whose name is removed from the paths.
        let path = name.trim_start_matches("./").split_once('/').map_or(name.as_str(), |(_, path)| path);
        collector.check_entry(&name)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || !collector.is_wanted(path) {
            continue;
        }
        if kind.is_symlink() || kind.is_hard_link() {
            return Err(collector.forbidden_entry_error(&name, "is a link"));
        }
        if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            collector.add_source(&name, path, entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_stream_over_its_limit_is_no_shorter_archive() {
        let mut tar_gz = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for name in ["p/a.py", "p/b.py"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_cksum();
            tar_gz.append_data(&mut header, name, b"\n".as_slice()).unwrap();
        }
        let bytes = tar_gz.into_inner().unwrap().finish().unwrap();
        let read = |most| {
            let wanted = |_: &str| true;
            let content = ArchiveContent::default();
            let mut taken = ArchiveCollector {
                archive: Path::new("x"),
                is_wanted: &wanted,
                content,
                kept_bytes: 0,
                entry_count: 0,
            };
            read_tar(bytes.as_slice(), most, &mut taken).map(|()| taken.content.files.len())
        };
        // Each file consists of a header and one block of content. The first limit is therefore the end of
        // the first file.
        assert!(matches!(read(1024), Err(ArchiveError::TooLarge { .. })));
        assert_eq!(read(MAX_STREAM_BYTES), Ok(2));
    }

    #[test]
    fn an_archive_of_very_many_entries_is_refused() {
        let wanted = |_: &str| false;
        let content = ArchiveContent::default();
        let mut taken = ArchiveCollector {
            archive: Path::new("x"),
            is_wanted: &wanted,
            content,
            kept_bytes: 0,
            entry_count: 0,
        };
        for _ in 0..MAX_ENTRIES {
            assert_eq!(taken.check_entry("p/a.py"), Ok(()));
        }
        assert!(matches!(taken.check_entry("p/a.py"), Err(ArchiveError::TooLarge { .. })));
    }
}
