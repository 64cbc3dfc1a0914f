//! Section `store` of the configuration: the location of the store, and the folder for data of this machine
//! only.

use std::path::{Path, PathBuf};

use super::problem::{ConfigError, ConfigProblem};
use super::secret::SecretSource;

/// Section `store` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// Location of the store. `None` if no store is configured and there is no home folder for the default
    /// store.
    pub(super) location: Option<StoreLocationConfig>,
    /// Folder for data of this machine only.
    pub(super) local_data_folder: Option<PathBuf>,
}

/// The location of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocationConfig {
    /// A store in a file.
    File(PathBuf),
    /// A store at two servers.
    Servers {
        /// URL of the server that keeps slots.
        slots_url: SecretSource,
        /// URL of the server that keeps records.
        records_url: SecretSource,
        /// Passwords for both servers. A password is absent if it is in the server's URL.
        passwords: [Option<SecretSource>; 2],
    },
}

impl StoreConfig {
    /// Creates the settings of a temporary store in this file. The data of this machine is stored in the same
    /// folder as the file.
    pub fn from_file(file: PathBuf) -> Self {
        let folder = file.parent().map(Path::to_owned);
        Self { location: Some(StoreLocationConfig::File(file)), local_data_folder: folder }
    }

    /// Returns the location of the store.
    ///
    /// # Errors
    /// [`ConfigProblem::NoStore`] if the store has no location.
    pub fn location(&self) -> Result<&StoreLocationConfig, ConfigError> {
        self.location.as_ref().ok_or_else(|| ConfigProblem::NoStore.into())
    }

    /// Returns the folder for data of this machine only: copies of repositories, keys, and files of single
    /// runs.
    ///
    /// # Errors
    /// [`ConfigProblem::NoStore`] if the store has no location.
    pub fn local_data_folder(&self) -> Result<&Path, ConfigError> {
        let folder = self.local_data_folder.as_deref().ok_or(ConfigProblem::NoStore)?;
        Ok(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    }
}
