//! Section `store`: where the store is, and what a machine keeps for itself.

use std::path::{Path, PathBuf};

use super::problem::{ConfigError, ConfigProblem};
use super::secret::SecretSource;

/// Section `store`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// Where it is, if that is configured or there is a home folder to keep it in.
    pub(super) place: Option<StorePlace>,
    /// The folder of what this machine keeps for itself.
    pub(super) folder: Option<PathBuf>,
}

/// Where a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorePlace {
    /// In a file.
    File(PathBuf),
    /// At two servers.
    Servers {
        /// The URL of the one that keeps slots.
        slots: SecretSource,
        /// The URL of the one that keeps records.
        records: SecretSource,
        /// The passwords of both, where they are not in the URLs.
        passwords: [Option<SecretSource>; 2],
    },
}

impl StoreConfig {
    /// A store in this file, and everything of this machine's own beside it: for what is only tried.
    pub fn of_file(file: PathBuf) -> Self {
        let folder = file.parent().map(Path::to_owned);
        Self { place: Some(StorePlace::File(file)), folder }
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`ConfigProblem::NoStore`]
    pub fn place(&self) -> Result<&StorePlace, ConfigError> {
        self.place.as_ref().ok_or_else(|| ConfigProblem::NoStore.into())
    }

    /// The folder of what this machine keeps for itself: copies of repositories, keys, files of one run.
    ///
    /// # Errors
    /// [`ConfigProblem::NoStore`]
    pub fn folder(&self) -> Result<&Path, ConfigError> {
        let folder = self.folder.as_deref().ok_or(ConfigProblem::NoStore)?;
        Ok(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    }
}
