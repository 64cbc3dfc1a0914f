//! Archives of releases, downloaded once: a folder of files under the digest that the index gives and the
//! bytes must have. Several processes may use it at once.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::index::{IndexError, PackageIndex, ReleaseArchive, told};

/// The longest archive, in bytes.
pub(crate) const MAX_ARCHIVE: u64 = 512 << 20;

/// The folder.
#[derive(Clone, Debug)]
pub struct ArchiveFolder {
    folder: PathBuf,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFetchError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Nobody can tell whether it is what was published.
    #[error("the index gives no SHA-256 or SHA-512 digest for {0}, so it cannot be verified and is not read")]
    NoDigest(String),
    /// It is not what was published.
    #[error("{name} is not what the index says it is: its digest is {is}, not {should}")]
    Digest {
        /// Its name.
        name: String,
        /// The bytes' digest.
        is: String,
        /// The index's.
        should: String,
    },
    /// Too long.
    #[error("{0} is longer than {mib} MiB", mib = MAX_ARCHIVE >> 20)]
    TooLong(String),
    /// The folder.
    #[error("{folder} cannot be used to keep archives: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl ArchiveFolder {
    /// Kept in this folder, which is made when the first comes.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// An archive's file, downloaded if it is not there.
    ///
    /// # Errors
    /// [`ArchiveFetchError`]; nothing is kept that is not verified.
    #[truing_core::boxed_future]
    pub async fn get(
        &self,
        index: &PackageIndex,
        archive: &ReleaseArchive,
    ) -> Result<PathBuf, ArchiveFetchError> {
        self.get_up_to(MAX_ARCHIVE, index, archive).await
    }

    /// The same of an archive of at most so many bytes.
    pub(crate) async fn get_up_to(
        &self,
        most: u64,
        index: &PackageIndex,
        archive: &ReleaseArchive,
    ) -> Result<PathBuf, ArchiveFetchError> {
        let should =
            archive.integrity.as_ref().ok_or_else(|| ArchiveFetchError::NoDigest(archive.name.clone()))?;
        let path = self.folder.join(should.file_name());
        if path.is_file() {
            return Ok(path);
        }
        let failed = |source| ArchiveFetchError::Folder { folder: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut file = NamedTempFile::new_in(&self.folder).map_err(failed)?;
        let mut answer = index.open(archive).await?;
        let (mut hash, mut length) = (should.hasher(), 0_u64);
        let broken = |error: reqwest::Error| IndexError::Unreachable {
            index: archive.url.to_string(),
            why: told(&error),
        };
        if answer.content_length().is_some_and(|announced| announced > most) {
            return Err(ArchiveFetchError::TooLong(archive.name.clone()));
        }
        while let Some(piece) = answer.chunk().await.map_err(broken)? {
            length = length.saturating_add(piece.len() as u64);
            if length > most {
                return Err(ArchiveFetchError::TooLong(archive.name.clone()));
            }
            hash.update(&piece);
            file.write_all(&piece).map_err(failed)?;
        }
        let is = hash.finish();
        if is != *should {
            let (is, should) = (is.file_name(), should.file_name());
            return Err(ArchiveFetchError::Digest { name: archive.name.clone(), is, should });
        }
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
