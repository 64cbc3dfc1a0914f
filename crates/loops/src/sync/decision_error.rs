//! The reasons why there is no decision on a release.

use std::path::PathBuf;

use truing_core::version::PackageVersion;
use truing_reader::sources::SourcesError;
use truing_upstream::archives::ArchiveFetchError;
use truing_upstream::index::IndexError;
use truing_upstream::project_requirement::RequirementError;

/// The reason why no decision could be made.
#[derive(Debug, thiserror::Error)]
pub enum SyncDecisionError {
    /// The package index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An archive cannot be fetched.
    #[error(transparent)]
    Archive(#[from] ArchiveFetchError),
    /// An archive cannot be read.
    #[error("{}", format_source_error(name, source))]
    Sources { name: String, source: SourcesError },
    /// The project's source cannot be read.
    #[error("{}", format_source_error(&folder.display().to_string(), source))]
    Project {
        /// The folder of the project.
        folder: PathBuf,
        source: SourcesError,
    },
    /// The project's requirement cannot be read.
    #[error(transparent)]
    Constraint(#[from] RequirementError),
    /// The release does not exist.
    #[error("{package} has no release {version} with an archive that can be read; the newest is {newest}")]
    NoRelease {
        package: String,
        /// The requested version of the package.
        version: PackageVersion,
        /// The newest existing release.
        newest: String,
    },
    /// The publishers have withdrawn the release.
    #[error("{package} {version} was withdrawn or deprecated by its publishers")]
    Yanked {
        package: String,
        /// The requested version of the package.
        version: PackageVersion,
    },
    /// The project excludes the release.
    #[error("the project excludes {package} {version} with `!=`")]
    Excluded {
        package: String,
        /// The requested version of the package.
        version: PackageVersion,
    },
    /// The requested release is older than the release that the project was made for.
    #[error(
        "{package} {to} is older than {from}, which the project was made for: only later releases are \
         followed"
    )]
    OlderRelease {
        package: String,
        /// The requested version of the package.
        to: PackageVersion,
        /// The release that the project was made for.
        from: PackageVersion,
    },
    /// The publishers have withdrawn all releases.
    #[error("every release of {0} was withdrawn or deprecated by its publishers")]
    AllYanked(String),
    /// The index does not report when the releases were published.
    #[error("{0}: the index does not say when releases were published, so `min_age` cannot be applied")]
    NoDates(String),
    /// The release that the project was made for is unknown, because no release is in the project's range.
    #[error(
        "{0}: the release that the project was made for is unknown, and the project's range contains \
        no release"
    )]
    UnknownStartingRelease(String),
    /// Each release in the project's range is withdrawn or a pre-release.
    #[error(
        "{package}: the project's range {range} contains only {version}, which is {state}{}",
        .before.as_ref().map_or(String::new(), |before| format!("; the release before it is {before}"))
    )]
    UnstableStart {
        package: String,
        /// The version range of the project.
        range: String,
        /// The newest release in the range.
        version: String,
        /// The state of this release.
        state: &'static str,
        /// The newest stable release before it.
        before: Option<String>,
    },
    /// The release that the project was made for is unknown, because the project has no file that declares a
    /// range.
    #[error(
        "{package}: the release that the project was made for is unknown, because there is no {file} \
        in {folder}"
    )]
    NoRequirementFile {
        package: String,
        /// The file that should contain the requirement.
        file: String,
        /// The folder of the project.
        folder: PathBuf,
    },
    /// The project's folder does not exist.
    #[error("there is no folder {0}")]
    NoProject(PathBuf),
}

impl SyncDecisionError {
    /// Returns the requirement and the reason why it is not understood; `None` for any other error. Only
    /// people can decide what such a requirement means.
    pub fn requirement_doubt(&self) -> Option<(&str, &str)> {
        if let Self::Constraint(RequirementError::NotUnderstood { text, reason, .. }) = self {
            Some((text, reason))
        } else {
            None
        }
    }
}

/// Formats the error of an archive or a project. The name is added only if the error does not contain it.
fn format_source_error(name: &str, source: &SourcesError) -> String {
    let reason = source.to_string();
    if reason.contains(name) { reason } else { format!("{name}: {reason}") }
}
