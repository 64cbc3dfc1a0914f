//! What models are told of releases: files and how they differ, within bounds, and prompts made of them. What the package
//! and the project hold is data, between marks that it cannot contain.

use std::collections::BTreeMap;

use truing_config::sync::JobConfig;
use truing_core::version::PackageVersion;
use truing_reader::sources::FilesRequest;
use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::PackageIndex;

use super::SyncDecisionError;
use crate::reader::ChildReader;

/// Bytes of what changed in the package, and of what an earlier run has left.
const MAX_SHOWN: usize = 160 << 10;
/// Lines around a change: most functions as a whole.
const CONTEXT: usize = 40;

/// How files differ between two releases.
pub(super) fn patches(
    files: &[String],
    (from, before): (&PackageVersion, &BTreeMap<String, String>),
    (to, after): (&PackageVersion, &BTreeMap<String, String>),
) -> String {
    let (mut text, empty) = (String::new(), String::new());
    for file in files {
        let (old, new) = (before.get(file).unwrap_or(&empty), after.get(file).unwrap_or(&empty));
        let mut options = diffy::DiffOptions::new();
        let lines = options.set_context_len(CONTEXT).create_patch(old, new).to_string();
        text += &format!("\n=== {file}, {from} to {to}\n{lines}");
    }
    text
}

/// Files of a release.
pub(super) async fn files_of(
    job: &JobConfig,
    (index, archives, reader): (&PackageIndex, &ArchiveFolder, &ChildReader),
    version: &PackageVersion,
    files: &[String],
) -> Result<BTreeMap<String, String>, SyncDecisionError> {
    let releases = index.releases(&job.package).await?;
    let release = releases.iter().find(|release| release.version == *version);
    let release = release.ok_or_else(|| SyncDecisionError::NoRelease {
        package: job.package.clone(),
        version: version.clone(),
        newest: releases.last().map(|release| release.version.to_string()).unwrap_or_default(),
    })?;
    let archive = archives.get(index, &release.archive).await?;
    let request = FilesRequest { archive, format: release.archive.format, files: files.to_vec() };
    let name = release.archive.name.clone();
    reader.files(&request).await.map_err(|source| SyncDecisionError::Sources { name, source })
}

/// The beginning of a text, and that it was cut.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_SHOWN {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_SHOWN);
    format!("{}\n[cut: {end} of {} bytes]", text.get(..end).unwrap_or_default(), text.len())
}
