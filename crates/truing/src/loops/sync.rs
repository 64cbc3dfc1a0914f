//! The sync loop: what a new release of an upstream package asks of the project that follows it (spec/sync.md). So far
//! its first half: what is pinned (`pinned`), what the releases hold (`history`), the decision and its evidence.

mod history;
mod pinned;

use std::collections::BTreeMap;
use std::path::Path;

use globset::escape;
use ignore::WalkBuilder;
use pep440_rs::{Version, VersionSpecifiers};
use truing_core::follow::{Decision, Manifest, Step, Verdict, decide};
use truing_reader::sources::SourcesError;
use truing_upstream::archives::{ArchiveError, Archives};
use truing_upstream::constraint::{self, ConstraintError};
use truing_upstream::index::{Index, IndexError, Release};

use history::{History, Request};
pub use pinned::{Pinned, PinnedError, pinned};

use crate::config::sync::JobConfig;
use crate::reader::ChildReader;

/// What is decided about.
#[derive(Debug)]
pub struct Question<'a> {
    /// The job.
    pub job: &'a JobConfig,
    /// The project's folder.
    pub project: &'a Path,
    /// What it pins.
    pub manifest: &'a Manifest,
    /// The release that it was made for; none: the newest that it admits.
    pub from: Option<Version>,
    /// The release to follow; none: the newest that is no pre-release.
    pub to: Option<Version>,
}

/// A decision with the releases and ranges that it is about.
#[derive(Debug)]
pub struct Decided {
    /// The release that the project was made for.
    pub from: Version,
    /// The release to follow.
    pub to: Version,
    /// What the project admits, if it says so.
    pub spec_before: Option<VersionSpecifiers>,
    /// And what it should; none if a person has to say.
    pub spec_after: Option<VersionSpecifiers>,
    /// What to do, and why.
    pub decision: Decision,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An archive cannot be had.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An archive cannot be read.
    #[error("{name}: {source}")]
    Sources {
        /// The archive.
        name: String,
        /// Why not.
        source: SourcesError,
    },
    /// The project's own file.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// A release that is not there.
    #[error("{package} has no release {version} with an archive that can be read; the newest is {newest}")]
    NoRelease {
        /// The package.
        package: String,
        /// The release that was asked for.
        version: Version,
        /// The newest one.
        newest: String,
    },
    /// Nothing to compare with.
    #[error("{0}: nobody says which release the project was made for, and no release is in its range")]
    NoFrom(String),
}

/// Decides. Nothing is changed but the archives that are kept.
///
/// # Errors
/// [`SyncError`]
pub async fn decided(
    question: Question<'_>,
    index: &Index,
    archives: &Archives,
    reader: &ChildReader,
) -> Result<Decided, SyncError> {
    let Question { job, project, manifest, from, to } = question;
    let spec = spec_of(job, project)?;
    let releases = index.releases(&job.package).await?;
    let is_stable = |release: &&Release| !release.is_yanked && !release.version.any_prerelease();
    let newest = releases.iter().rev().find(is_stable).or_else(|| releases.last());
    let newest = newest.ok_or_else(|| SyncError::NoFrom(job.package.clone()))?.version.clone();
    let to = to.unwrap_or_else(|| newest.clone());
    let admitted = |release: &&Release| spec.as_ref().is_some_and(|spec| spec.contains(&release.version));
    let in_range = releases.iter().rev().filter(is_stable).find(admitted);
    let from = from
        .or_else(|| in_range.map(|release| release.version.clone()))
        .ok_or_else(|| SyncError::NoFrom(job.package.clone()))?;

    let request = Request { manifest, mirrored: mirrored(job, project) };
    let known = BTreeMap::new();
    let mut history = History { job, index, archives, reader, releases: &releases, newest, known };
    let before = history.sources(&from, &request).await?;
    let after = history.sources(&to, &request).await?;
    let major = |version: &Version| version.release().first().copied();
    let step = Step {
        in_range: spec.as_ref().is_some_and(|spec| spec.contains(&to)),
        is_major: major(&from) != major(&to),
        manifest,
        from: &before,
        to: &after,
    };
    let mut decision = decide(&step);
    let floor = history.date(&mut decision, (&from, &before), (&to, &after)).await?;
    let spec_after = spec.as_ref().and_then(|spec| match decision.verdict {
        Verdict::Skip => Some(spec.clone()),
        Verdict::Relax => constraint::up_to(spec, &to, None),
        Verdict::Bump => constraint::up_to(spec, &to, Some(floor.as_ref().unwrap_or(&to))),
        Verdict::Ask => None,
    });
    Ok(Decided { from, to, spec_before: spec, spec_after, decision })
}

/// What the project admits; none if it has no file that says so.
fn spec_of(job: &JobConfig, project: &Path) -> Result<Option<VersionSpecifiers>, SyncError> {
    let path = project.join(&job.constraint_file);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(constraint::read(&path, &job.constraint_path, &job.package)?))
}

/// The package's files that have a counterpart in the project, as globs.
fn mirrored(job: &JobConfig, project: &Path) -> Vec<String> {
    let mut globs = Vec::new();
    for (theirs, ours) in &job.mirror {
        if !ours.ends_with('/') {
            globs.push(escape(theirs));
            continue;
        }
        let folder = project.join(ours);
        for entry in WalkBuilder::new(&folder).require_git(false).build().flatten() {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let path = entry.path().strip_prefix(&folder).ok().and_then(Path::to_str);
            if let (true, Some(path)) = (is_file, path) {
                globs.push(escape(&format!("{theirs}{path}")));
            }
        }
    }
    globs
}
