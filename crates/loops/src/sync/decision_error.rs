//! The reasons why there is no decision on a release.

use std::path::PathBuf;

use truing_core::version::PackageVersion;
use truing_reader::sources::SourcesError;
use truing_upstream::archives::ArchiveFetchError;
use truing_upstream::constraint::ConstraintError;
use truing_upstream::index::IndexError;

/// The reason why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum SyncDecisionError {
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An archive cannot be had.
    #[error(transparent)]
    Archive(#[from] ArchiveFetchError),
    /// An archive cannot be read.
    #[error("{}", about(name, source))]
    Sources {
        /// The name of the archive.
        name: String,
        /// The reason for that.
        source: SourcesError,
    },
    /// The project's source cannot be read.
    #[error("{}", about(&folder.display().to_string(), source))]
    Project {
        /// The folder of the project.
        folder: PathBuf,
        /// The reason for that.
        source: SourcesError,
    },
    /// The project's own file.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// A release that is not there.
    #[error("{package} has no release {version} with an archive that can be read; the newest is {newest}")]
    NoRelease {
        /// The name of the package.
        package: String,
        /// The release that was asked for.
        version: PackageVersion,
        /// The newest release there is.
        newest: String,
    },
    /// It was taken back.
    #[error("{package} {version} was taken back by its publishers, or they advise against it")]
    Yanked {
        /// The name of the package.
        package: String,
        /// The release that was asked for.
        version: PackageVersion,
    },
    /// The project does not want it.
    #[error("the project leaves out {package} {version} by `!=`")]
    Excluded {
        /// The name of the package.
        package: String,
        /// The release that was asked for.
        version: PackageVersion,
    },
    /// The release is older than the project's.
    #[error(
        "{package} {to} is older than {from}, which the project was made for: only later releases are followed"
    )]
    Older {
        /// The name of the package.
        package: String,
        /// The release that was asked for.
        to: PackageVersion,
        /// The release that the project was made for.
        from: PackageVersion,
    },
    /// All that there are.
    #[error("every release of {0} was taken back by its publishers, or they advise against it")]
    AllYanked(String),
    /// Nobody knows how old releases are.
    #[error("{0}: the index does not tell when releases were published, so `min_age` cannot be kept")]
    NoDates(String),
    /// Nothing to compare with.
    #[error("{0}: nobody says which release the project was made for, and no release is in its range")]
    NoFrom(String),
    /// The project has no file that says its range.
    #[error("{package}: nobody says which release the project was made for: there is no {file} in {folder}")]
    NoFile {
        /// The name of the package.
        package: String,
        /// The file that would require it.
        file: String,
        /// The folder of the project.
        folder: PathBuf,
    },
    /// There is no such project.
    #[error("there is no folder {0}")]
    NoProject(PathBuf),
}

/// The fault of something, which is named once.
fn about(name: &str, source: &SourcesError) -> String {
    let why = source.to_string();
    if why.contains(name) { why } else { format!("{name}: {why}") }
}
