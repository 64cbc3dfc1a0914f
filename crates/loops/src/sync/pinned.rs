//! What a project pins: a manifest of digests, or its own Python hash test, which is read and never run.

use std::path::{Path, PathBuf};

use truing_config::sync::JobConfig;
use truing_core::sync::{ManifestEntry, ManifestError, PinManifest, UnguardedPart, UnguardedReason};
use truing_reader::sources::{HashPins, SourcesError};
use truing_upstream::manifest::{self, ManifestFileError};

use crate::reader::ChildReader;

/// What is pinned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinnedManifest {
    /// The definitions.
    pub manifest: PinManifest,
    /// What the file pins in a form that is not understood.
    pub untold: Vec<UnguardedPart>,
}

/// Why nobody can tell what is pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinnedError {
    /// The manifest.
    #[error(transparent)]
    File(#[from] ManifestFileError),
    /// The test.
    #[error("{path} cannot be read as a hash test: {why}")]
    Test {
        /// The test.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What the test says.
    #[error("{path} pins nothing that can be told: {source}{}", lines(.untold))]
    Content {
        /// The test.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
        /// Its rows.
        untold: Vec<UnguardedPart>,
    },
}

/// How many rows of a test an error repeats.
const MAX_ROWS: usize = 3;

fn lines(untold: &[UnguardedPart]) -> String {
    untold.iter().take(MAX_ROWS).map(|row| format!("; {}", row.symbol)).collect()
}

/// What a job's project pins, if it says so.
///
/// # Errors
/// [`PinnedError`]
#[truing_core::boxed_future]
pub async fn pinned_by(
    job: &JobConfig,
    project: &Path,
    reader: &ChildReader,
) -> Result<PinnedManifest, PinnedError> {
    if job.has_manifest() {
        pinned(&project.join(&job.manifest), reader).await
    } else {
        Ok(PinnedManifest { manifest: PinManifest::default(), untold: Vec::new() })
    }
}

/// Reads what a project pins: a Python file is a hash test, another one a manifest.
///
/// # Errors
/// [`PinnedError`]
#[truing_core::boxed_future]
pub async fn pinned(path: &Path, reader: &ChildReader) -> Result<PinnedManifest, PinnedError> {
    if path.extension().is_none_or(|extension| extension != "py") {
        return Ok(PinnedManifest { manifest: manifest::read(path)?, untold: Vec::new() });
    }
    let test = |why| PinnedError::Test { path: path.to_owned(), why };
    // The reader can open the file's folder, by its real place.
    let real = path.canonicalize().map_err(|error| test(error.to_string()))?;
    let HashPins { rows, left_out } = reader.pins(&real).await.map_err(|error| {
        test(match error {
            SourcesError::File { why, .. } => why,
            SourcesError::Archive(_) | SourcesError::Glob { .. } | SourcesError::Failed(_) => {
                error.to_string()
            }
        })
    })?;
    let untold: Vec<UnguardedPart> = left_out
        .into_iter()
        .map(|row| {
            UnguardedPart::of(
                format!("line {}: {}: {}", row.line, row.text, row.why),
                None,
                UnguardedReason::Untold,
            )
        })
        .collect();
    let written =
        rows.into_iter().map(|(symbol, digests)| (symbol, ManifestEntry::Digests(digests))).collect();
    match PinManifest::new(written) {
        Ok(manifest) => Ok(PinnedManifest { manifest, untold }),
        Err(source) => Err(PinnedError::Content { path: path.to_owned(), source, untold }),
    }
}
