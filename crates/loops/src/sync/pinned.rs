//! The pins of a project. The pins are either in a manifest of digests, or in the project's own Python hash
//! test, which is read but never executed.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use truing_config::sync::JobConfig;
use truing_core::sync::{
    LINE_DIGEST_HEX_DIGITS, ManifestEntry, ManifestError, PinManifest, UnguardedPart, UnguardedReason,
};
use truing_reader::sources::{HashPins, SourcesError};
use truing_upstream::manifest::{self, ManifestFileError};

use crate::reader::ChildProcessReader;

/// The pins of a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinnedManifest {
    /// The pinned definitions with their digests.
    pub manifest: PinManifest,
    /// Pins in the file that Truing cannot parse.
    pub unparsed_pins: Vec<UnguardedPart>,
}

/// The reason why the pins could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PinnedError {
    /// The manifest cannot be read.
    #[error(transparent)]
    File(#[from] ManifestFileError),
    /// The test cannot be read.
    #[error("{path} cannot be read as a hash test: {reason}")]
    Test {
        path: PathBuf,
        /// The reason for the failure.
        reason: String,
    },
    /// The content of the test cannot be used.
    #[error("Truing cannot determine what {path} pins: {source}{}", unguarded_lines(.unparsed_pins))]
    Content {
        path: PathBuf,
        /// The reason why the content cannot be used.
        source: ManifestError,
        /// Rows of the test that Truing cannot parse.
        unparsed_pins: Vec<UnguardedPart>,
    },
}

/// Maximum number of rows of a test that an error message quotes.
const MAX_QUOTED_ROWS: usize = 3;

fn unguarded_lines(parts: &[UnguardedPart]) -> String {
    parts.iter().take(MAX_QUOTED_ROWS).map(|row| format!("; {}", row.symbol)).collect()
}

/// Returns the pins of the job's project; empty if the job has no pins.
///
/// # Errors
/// [`PinnedError`]
#[truing_core::boxed_future]
pub async fn load_pins(
    job: &JobConfig,
    project: &Path,
    reader: &ChildProcessReader,
) -> Result<PinnedManifest, PinnedError> {
    if job.has_manifest() {
        read_pins(&project.join(&job.manifest), reader).await
    } else {
        Ok(PinnedManifest { manifest: PinManifest::default(), unparsed_pins: Vec::new() })
    }
}

/// A hash test of the project's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashTest {
    pub path: PathBuf,
    /// Number of the package's definitions that the test pins.
    pub pin_count: usize,
}

/// The largest file, in bytes, that is searched for pins.
const MAX_TEST_BYTES: u64 = 1 << 20;

/// Finds the project's Python test that pins the most definitions of the package.
#[truing_core::boxed_future]
pub async fn find_hash_test(project: &Path, package: &str, reader: &ChildProcessReader) -> Option<HashTest> {
    let module = package.replace('-', "_").to_ascii_lowercase();
    let mut found: Option<HashTest> = None;
    for entry in WalkBuilder::new(project).require_git(false).build().flatten() {
        let name = entry.file_name().to_string_lossy();
        let is_test = name.ends_with(".py") && name.contains("test");
        let is_small =
            entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_TEST_BYTES);
        if !is_test || !is_small {
            continue;
        }
        let path = entry.path();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if !text.contains(&module) || !has_digest(&text) {
            continue;
        }
        let Ok(pins) = read_pins(path, reader).await else { continue };
        let pin_count = pins.manifest.rows.keys().filter(|symbol| symbol.starts_with(&module)).count();
        if pin_count > found.as_ref().map_or(0, |test| test.pin_count) {
            found = Some(HashTest { path: path.to_owned(), pin_count });
        }
    }
    found
}

/// Returns true if the text contains a word of hexadecimal digits that is as long as a digest.
fn has_digest(text: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_hexdigit()).any(|word| word.len() == LINE_DIGEST_HEX_DIGITS)
}

/// Reads the pins of a project: a Python file is a hash test, any other file is a manifest.
///
/// # Errors
/// [`PinnedError`]
#[truing_core::boxed_future]
pub async fn read_pins(path: &Path, reader: &ChildProcessReader) -> Result<PinnedManifest, PinnedError> {
    if path.extension().is_none_or(|extension| extension != "py") {
        return Ok(PinnedManifest { manifest: manifest::read_manifest(path)?, unparsed_pins: Vec::new() });
    }
    let test = |reason| PinnedError::Test { path: path.to_owned(), reason };
    // The reader can open only the folder that contains the file, so symbolic links in the path are resolved
    // first.
    let real = path.canonicalize().map_err(|error| test(error.to_string()))?;
    let HashPins { accepted_digests: rows, skipped_pins: left_out } =
        reader.read_pinned_test_hashes(&real).await.map_err(|error| {
            test(match error {
                SourcesError::File { reason, .. } => reason,
                SourcesError::Archive(_) | SourcesError::Glob { .. } | SourcesError::ReaderFailed(_) => {
                    error.to_string()
                }
            })
        })?;
    let untold: Vec<UnguardedPart> = left_out
        .into_iter()
        .map(|row| {
            UnguardedPart::new(
                format!("line {}: {}: {}", row.line, row.text, row.reason),
                None,
                UnguardedReason::Untold,
            )
        })
        .collect();
    let written =
        rows.into_iter().map(|(symbol, digests)| (symbol, ManifestEntry::Digests(digests))).collect();
    match PinManifest::new(written) {
        Ok(manifest) => Ok(PinnedManifest { manifest, unparsed_pins: untold }),
        Err(source) => Err(PinnedError::Content { path: path.to_owned(), source, unparsed_pins: untold }),
    }
}
