//! Builds the material about releases that models read: files, differences of files, and the prompts that
//! contain them, all within size limits. The content of the package and of the project is untrusted data. The
//! prompt encloses this data in marks that the data cannot contain.

use std::collections::BTreeMap;

use truing_config::sync::JobConfig;
use truing_core::version::PackageVersion;
use truing_reader::sources::ReleaseFilesRequest;

use super::SyncDecisionError;
use super::package_sources::PackageSources;

/// Maximum size in bytes of a package's changes in a prompt. This maximum also applies to an earlier run's
/// handover.
const MAX_MATERIAL_BYTES: usize = 160 << 10;
/// Number of context lines around a change. The number is large enough to show most functions completely.
const CONTEXT_LINES: usize = 40;

/// Returns the differences of files between two releases.
pub(super) fn release_patches(
    files: &[String],
    from: &PackageVersion,
    before: &BTreeMap<String, String>,
    to: &PackageVersion,
    after: &BTreeMap<String, String>,
) -> String {
    let (mut text, empty) = (String::new(), String::new());
    for file in files {
        let (old, new) = (before.get(file).unwrap_or(&empty), after.get(file).unwrap_or(&empty));
        let mut options = diffy::DiffOptions::new();
        let lines = options.set_context_len(CONTEXT_LINES).create_patch(old, new).to_string();
        text += &format!("\n=== {file}, {from} to {to}\n{lines}");
    }
    text
}

/// Reads files of a release.
pub(super) async fn read_release_files(
    job: &JobConfig,
    sources: PackageSources<'_>,
    version: &PackageVersion,
    files: &[String],
) -> Result<BTreeMap<String, String>, SyncDecisionError> {
    let PackageSources { index, archives, reader } = sources;
    let releases = index.fetch_releases(&job.package).await?.releases;
    let release = releases.iter().find(|release| release.version == *version);
    let release = release.ok_or_else(|| SyncDecisionError::NoRelease {
        package: job.package.clone(),
        version: version.clone(),
        newest: releases.last().map(|release| release.version.to_string()).unwrap_or_default(),
    })?;
    let archive = archives.fetch(index, &release.archive).await?;
    let request = ReleaseFilesRequest { archive, format: release.archive.format, files: files.to_vec() };
    let name = release.archive.name.clone();
    reader.read_release_files(&request).await.map_err(|source| SyncDecisionError::Sources { name, source })
}

/// Returns the text, unless it is too long. The end of a text that is too long is removed, and a note
/// replaces it.
pub(super) fn truncate_with_note(text: &str) -> String {
    if text.len() <= MAX_MATERIAL_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_MATERIAL_BYTES);
    format!("{}\n[cut: {end} of {} bytes]", text.get(..end).unwrap_or_default(), text.len())
}
