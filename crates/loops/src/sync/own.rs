//! What a project has of its own of the package that it follows, read from its source, which is never run.

use std::collections::BTreeSet;
use std::path::Path;

use truing_config::sync::JobConfig;
use truing_core::registry::Registry;
use truing_core::sync::{Unguarded, Why};
use truing_reader::sources::{Project, ProjectRequest, SourcesError};

use super::SyncError;
use crate::reader::ChildReader;

/// What a Python project overrides, what it inherits from, and what its files define.
///
/// # Errors
/// [`SyncError::Project`]
pub(super) async fn own(
    job: &JobConfig,
    project: &Path,
    pairs: &[(String, String)],
    reader: &ChildReader,
) -> Result<Project, SyncError> {
    let wrong = |source| SyncError::Project { folder: project.to_owned(), source };
    let folder = project
        .canonicalize()
        .map_err(|error| wrong(SourcesError::File { path: project.to_owned(), why: error.to_string() }))?;
    // A package is not always imported by its own name; where files of it are mirrored, they say by which.
    let tops = pairs.iter().filter_map(|(theirs, _)| theirs.trim_start_matches("src/").split('/').next());
    let mut packages: BTreeSet<String> = tops.map(str::to_owned).collect();
    packages.insert(job.package.to_ascii_lowercase().replace(['-', '.'], "_"));
    reader.project(ProjectRequest { folder, packages }).await.map_err(wrong)
}

/// The copies that a project has of the package, as far as it can be told; and that it cannot.
pub(super) async fn taken(
    job: &JobConfig,
    project: &Path,
    pairs: &[(String, String)],
    reader: &ChildReader,
) -> (Project, Option<Unguarded>) {
    match job.registry {
        Registry::Pypi => match own(job, project, pairs, reader).await {
            Ok(found) => (found, None),
            Err(error) => {
                let untold = format!("the classes that the project inherits from: {error}");
                (Project::default(), Some(Unguarded::of(untold, None, Why::Untold)))
            }
        },
        Registry::Npm | Registry::Crates => (Project::default(), None),
    }
}
