//! Downloads each archive of a release once, into a folder. Each file's name is the archive's digest in the
//! index, and the file's bytes must have this digest. Several processes may use the folder at the same time.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::index::{IndexError, PackageIndex, ReleaseArchive, innermost_cause};

/// The largest archive, in bytes.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 512 << 20;

/// A folder of verified archives.
#[derive(Clone, Debug)]
pub struct ArchiveFolder {
    folder: PathBuf,
}

/// The reasons why an archive is not available.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFetchError {
    /// The index did not send the archive.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The index has no SHA-256 or SHA-512 digest of the archive, so the archive cannot be verified.
    #[error(
        "the index has no SHA-256 or SHA-512 digest for {0}, so the archive cannot be verified and is \
        not read"
    )]
    NoDigest(String),
    /// The downloaded bytes differ from the published bytes.
    #[error("{name} does not match the index: its digest is {actual_digest}, not {expected_digest}")]
    DigestMismatch {
        /// Name of the archive.
        name: String,
        /// Digest of the downloaded bytes.
        actual_digest: String,
        /// Digest according to the index.
        expected_digest: String,
    },
    /// The archive is larger than the limit.
    #[error("{0} is longer than {mib} MiB", mib = MAX_ARCHIVE_BYTES >> 20)]
    TooLong(String),
    /// The folder cannot be used.
    #[error("{folder} cannot be used to store archives: {source}")]
    Folder {
        folder: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl ArchiveFolder {
    /// Returns the archive folder at this path. The folder is created with the first archive.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the path of an archive's file. If the file is missing, downloads the archive first.
    ///
    /// # Errors
    /// [`ArchiveFetchError`]; an archive that could not be verified is not stored.
    #[truing_core::boxed_future]
    pub async fn fetch(
        &self,
        index: &PackageIndex,
        archive: &ReleaseArchive,
    ) -> Result<PathBuf, ArchiveFetchError> {
        self.fetch_up_to(MAX_ARCHIVE_BYTES, index, archive).await
    }

    /// Returns the path of an archive's file, as [`Self::fetch`] does, but downloads at most `max_bytes`
    /// bytes.
    pub(crate) async fn fetch_up_to(
        &self,
        max_bytes: u64,
        index: &PackageIndex,
        archive: &ReleaseArchive,
    ) -> Result<PathBuf, ArchiveFetchError> {
        let expected_digest =
            archive.digest.as_ref().ok_or_else(|| ArchiveFetchError::NoDigest(archive.name.clone()))?;
        let path = self.folder.join(expected_digest.file_name());
        if path.is_file() {
            return Ok(path);
        }
        let failed = |source| ArchiveFetchError::Folder { folder: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut file = NamedTempFile::new_in(&self.folder).map_err(failed)?;
        let mut answer = index.open_archive(archive).await?;
        let (mut hash, mut length) = (expected_digest.hasher(), 0_u64);
        let broken = |error: reqwest::Error| IndexError::Unreachable {
            url: archive.url.to_string(),
            reason: innermost_cause(&error),
        };
        if answer.content_length().is_some_and(|announced| announced > max_bytes) {
            return Err(ArchiveFetchError::TooLong(archive.name.clone()));
        }
        while let Some(piece) = answer.chunk().await.map_err(broken)? {
            length = length.saturating_add(piece.len() as u64);
            if length > max_bytes {
                return Err(ArchiveFetchError::TooLong(archive.name.clone()));
            }
            hash.update(&piece);
            file.write_all(&piece).map_err(failed)?;
        }
        let actual_digest = hash.finish();
        if actual_digest != *expected_digest {
            let (actual_digest, expected_digest) = (actual_digest.file_name(), expected_digest.file_name());
            return Err(ArchiveFetchError::DigestMismatch {
                name: archive.name.clone(),
                actual_digest,
                expected_digest,
            });
        }
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
