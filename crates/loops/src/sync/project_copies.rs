//! Reads the definitions in a project's own code that relate to the package that the project follows. The
//! project's source code is read but never executed.

use std::collections::BTreeSet;
use std::path::Path;

use truing_config::sync::JobConfig;
use truing_core::registry::PackageRegistry;
use truing_core::sync::{UnguardedPart, UnguardedReason};
use truing_reader::sources::{ProjectFacts, ProjectRequest, SourcesError};

use super::SyncDecisionError;
use crate::reader::ChildProcessReader;

/// Returns the definitions that a Python project overrides, the classes that it inherits from, and the
/// definitions in its files.
///
/// # Errors
/// [`SyncDecisionError::Project`]
pub(super) async fn load_project_facts(
    job: &JobConfig,
    project: &Path,
    pairs: &[(String, String)],
    reader: &ChildProcessReader,
) -> Result<ProjectFacts, SyncDecisionError> {
    let wrong = |source| SyncDecisionError::Project { folder: project.to_owned(), source };
    let folder = project
        .canonicalize()
        .map_err(|error| wrong(SourcesError::File { path: project.to_owned(), reason: error.to_string() }))?;
    // The name under which a package is imported may differ from the name of the package. The paths of
    // mirrored files show the import name.
    let tops = pairs.iter().filter_map(|(theirs, _)| theirs.trim_start_matches("src/").split('/').next());
    let mut packages: BTreeSet<String> = tops.map(str::to_owned).collect();
    packages.insert(job.package.to_ascii_lowercase().replace(['-', '.'], "_"));
    reader.read_package_uses(ProjectRequest { folder, packages }).await.map_err(wrong)
}

/// Returns the project's known copies of the package, and the part of the project that cannot be read.
pub(super) async fn load_project_copies(
    job: &JobConfig,
    project: &Path,
    pairs: &[(String, String)],
    reader: &ChildProcessReader,
) -> (ProjectFacts, Option<UnguardedPart>) {
    match job.registry {
        PackageRegistry::Pypi => match load_project_facts(job, project, pairs, reader).await {
            Ok(found) => (found, None),
            Err(error) => {
                let untold = format!("the classes that the project inherits from: {error}");
                (ProjectFacts::default(), Some(UnguardedPart::new(untold, None, UnguardedReason::Untold)))
            }
        },
        PackageRegistry::Npm | PackageRegistry::Crates => (ProjectFacts::default(), None),
    }
}
