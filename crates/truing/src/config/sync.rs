//! The jobs that follow an upstream package.

use super::problem::ConfigError;
use super::{Typed, bug, value};

/// Section `sync.NAME`. Paths begin in the project's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobConfig {
    /// The package that is followed.
    pub package: String,
    /// The file with the project's requirement.
    pub constraint_file: String,
    /// The list in it: keys with dots between them.
    pub constraint_path: String,
    /// The file that tells what is pinned.
    pub manifest: String,
    /// Folders or files of the package, and their counterparts in the project.
    pub mirror: Vec<(String, String)>,
}

pub(super) fn of(settings: &Typed<'_>, name: &str) -> Result<JobConfig, ConfigError> {
    let path = |key: &str| format!("sync.{name}.{key}");
    let pair = |item: &String| {
        let (theirs, ours) = value::pair(item).ok_or_else(|| bug(&path("mirror")))?;
        Ok::<_, ConfigError>((theirs.to_owned(), ours.to_owned()))
    };
    Ok(JobConfig {
        package: settings.name(&path("package"))?,
        constraint_file: settings.name(&path("constraint.file"))?,
        constraint_path: settings.name(&path("constraint.path"))?,
        manifest: settings.name(&path("manifest"))?,
        mirror: settings.list(&path("mirror"))?.iter().map(pair).collect::<Result<_, _>>()?,
    })
}
