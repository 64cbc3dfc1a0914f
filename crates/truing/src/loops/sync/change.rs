//! The change that a range asks for, without any model: bounds, and digests. Where the code was ported, a definition's new
//! digest takes the place of those before; where its text alone changed and the code stays, it is one more.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use truing_core::follow::{Kind, Verdict};
use truing_upstream::constraint::{self, ConstraintError};
use truing_upstream::manifest::{self, Added, FileError};

use super::Decided;
use crate::config::sync::JobConfig;

/// Why the change cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The project's requirement.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// What it pins.
    #[error(transparent)]
    Manifest(#[from] FileError),
    /// There is no range to write.
    #[error("there is no requirement of {0} that could be widened")]
    NoRange(String),
    /// A file cannot be written.
    #[error("{path} cannot be written: {why}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
}

/// Makes the change in the project's folder: the new range, and the digest of each pinned definition that changed. The files that it wrote, as the project names them.
///
/// # Errors
/// [`ChangeError`]; what was written stays.
pub(super) fn made(project: &Path, job: &JobConfig, decided: &Decided) -> Result<Vec<String>, ChangeError> {
    let spec = decided.spec_after.as_ref().ok_or_else(|| ChangeError::NoRange(job.package.clone()))?;
    let mut files = Vec::new();
    let file = project.join(&job.constraint_file);
    let text = constraint::rewritten(&job.place(&file), spec)?;
    write(&file, &job.constraint_file, &text)?;
    files.push(job.constraint_file.clone());
    let changed = decided.decision.changed.iter().filter(|change| match change.kind {
        Kind::Bytes => true,
        Kind::Tree => decided.decision.verdict == Verdict::Bump,
        Kind::Gone => false,
    });
    let added: Vec<Added<'_>> = changed
        .filter_map(|change| {
            let (old, new) = (change.old_hash.as_deref()?, change.new_hash.as_deref()?);
            Some(Added { symbol: &change.symbol, old, new })
        })
        .collect();
    if !added.is_empty() {
        let file = project.join(&job.manifest);
        let is_test = file.extension().is_some_and(|extension| extension == "py");
        let digests: Vec<(&str, &str)> = added.iter().map(|one| (one.symbol, one.new)).collect();
        let text = match (decided.decision.verdict, is_test) {
            (Verdict::Relax, true) => manifest::with_digests_in_test(&file, &added)?,
            (Verdict::Relax, false) => manifest::with_digests(&file, &digests)?,
            (Verdict::Bump, true) => manifest::with_only_in_test(&file, &added)?,
            (Verdict::Bump, false) => manifest::with_only(&file, &digests)?,
            (Verdict::Ask | Verdict::Skip, _) => return Ok(files),
        };
        write(&file, &job.manifest, &text)?;
        files.push(job.manifest.clone());
    }
    Ok(files)
}

/// The digest of a manifest's bytes, in hexadecimal digits.
pub(super) fn digest(manifest: &[u8]) -> String {
    Sha256::digest(manifest).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, name: &str, text: &str) -> Result<(), ChangeError> {
    std::fs::write(path, text)
        .map_err(|error| ChangeError::Write { path: name.to_owned(), why: error.to_string() })
}
