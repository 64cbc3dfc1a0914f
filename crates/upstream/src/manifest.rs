//! The file that tells what a project pins of a package: JSON or TOML, an object of definitions with their digests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_core::follow::{Manifest, ManifestError, Written};

/// The longest manifest, in bytes.
const MAX_MANIFEST: u64 = 16 << 20;

/// Why a file is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file.
    #[error("{path} cannot be read: {why}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Its form.
    #[error("{path} is no manifest: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        why: String,
    },
    /// What it says.
    #[error("{path} is no manifest: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
}

/// Reads a manifest: TOML if its name ends so, or else JSON.
///
/// # Errors
/// [`FileError`]
pub fn read(path: &Path) -> Result<Manifest, FileError> {
    let unread = |why: String| FileError::Unread { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?.len();
    if length > MAX_MANIFEST {
        return Err(unread(format!("it is longer than {} MiB", MAX_MANIFEST >> 20)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    let written = of_text(&text, path.extension().is_some_and(|extension| extension == "toml"));
    let written = written.map_err(|why| FileError::Form { path: path.to_owned(), why })?;
    Manifest::new(written).map_err(|source| FileError::Content { path: path.to_owned(), source })
}

fn of_text(text: &str, is_toml: bool) -> Result<BTreeMap<String, Written>, String> {
    if is_toml {
        toml_edit::de::from_str(text).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
