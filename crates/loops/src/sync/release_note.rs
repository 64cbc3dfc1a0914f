//! Updates the project's own version and its changelog, if the job requires these updates. The repository's
//! tags show which versions are released.

use std::path::Path;

use truing_config::sync::{JobConfig, placeholders};
use truing_core::RepoPath;
use truing_core::sync::SyncVerdict;
use truing_core::sync::changelog::{self, ChangelogError, ChangelogLine, ChangelogPlacement, NewestEntry};
use truing_core::sync::release::VersionTriple;
use truing_core::template::TextTemplate;
use truing_core::version::{PackageVersion, RangeStyle, VersionError};
use truing_git::{GitError, Mirror};
use truing_upstream::project_requirement::{self, RequirementError, RequirementPlace};
use truing_upstream::range::VersionRange;

use super::ReleaseDecision;
use super::change::{self, ChangeError};
use crate::files::FileContentChange;

/// The reason why the version or the changelog cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseNoteError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The version in a file is invalid.
    #[error("the project's version: {0}")]
    Version(RequirementError),
    /// The file does not contain the configured location of the version, or contains it more than once.
    #[error(
        "the project's version: {path} must contain `{location}` exactly once, but contains it \
        {count} times"
    )]
    AmbiguousVersionLocation {
        path: String,
        /// Configured location of the version in the file.
        location: String,
        /// Number of occurrences in the file.
        count: usize,
    },
    /// The next version cannot be computed.
    #[error("the project's version: {0}")]
    NextVersion(#[from] VersionError),
    /// The version does not have the form `MAJOR.MINOR.PATCH`, so it cannot be incremented.
    #[error(
        "the project's version in {path} is {text}, which is not MAJOR.MINOR.PATCH: set `version_rule` to \
            \"none\""
    )]
    NotVersionTriple {
        path: String,
        /// Text of the version.
        text: String,
    },
    /// The changelog cannot be edited.
    #[error("{path}: {reason}")]
    Changelog {
        path: String,
        /// The reason for the failure.
        reason: ChangelogError,
    },
    /// The file is missing, or not text.
    #[error("{0}: there is no such file in the repository, or it is not UTF-8")]
    MissingTextFile(String),
    /// The newest entry is already released.
    #[error(
        "{path}: the newest entry, {version}, is already released: set `version_rule`, or add an entry \
        whose heading says `Unreleased`"
    )]
    AlreadyReleased {
        path: String,
        /// Version of the entry.
        version: VersionTriple,
    },
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<RequirementError> for ReleaseNoteError {
    fn from(error: RequirementError) -> Self {
        match error {
            RequirementError::NotExactlyOneRequirement { path, key_path, count, .. } => {
                let path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Self::AmbiguousVersionLocation { path, location: key_path, count }
            }
            RequirementError::Unreadable { .. }
            | RequirementError::Malformed { .. }
            | RequirementError::NotUnderstood { .. } => Self::Version(error),
        }
    }
}

/// Writes the note about a change into the project: a new version of the project, and a line in the
/// changelog.
#[derive(Debug)]
pub(super) struct ReleaseNoteWriter<'a> {
    pub(super) job: &'a JobConfig,
    pub(super) release_decision: &'a ReleaseDecision,
    pub(super) mirror: &'a Mirror,
    /// The day of the change, such as `2026-11-21`.
    pub(super) date: &'a str,
}

impl ReleaseNoteWriter<'_> {
    /// Writes the version and the changelog into a clone in which no command has run. Returns the written
    /// files.
    ///
    /// # Errors
    /// [`ReleaseNoteError`]
    pub(super) async fn write(&self, project: &Path) -> Result<Vec<FileContentChange>, ReleaseNoteError> {
        let mut written = Vec::new();
        let next = if self.job.increments_version {
            Some(self.increment_version(project, &mut written).await?)
        } else {
            None
        };
        if let Some(path) = &self.job.changelog_file {
            let old =
                change::read_regular_file(project, path)?.and_then(|bytes| String::from_utf8(bytes).ok());
            let old = old.ok_or_else(|| ReleaseNoteError::MissingTextFile(path.clone()))?;
            let wrong = |reason| ReleaseNoteError::Changelog { path: path.clone(), reason };
            let newest = changelog::newest_entry(&old).map_err(wrong)?;
            let entry = self.changelog_placement(newest, next, path).await?;
            let line = self.changelog_line();
            let was_ours = |one: &str| self.is_own_line(one);
            let news = ChangelogLine { line: &line, is_replaceable: &was_ours, date: self.date };
            let text = changelog::add_line(&old, news, entry).map_err(wrong)?;
            if text != old {
                written.push(change::replace_file(project, path, Some(old.into_bytes()), text)?);
            }
        }
        Ok(written)
    }

    /// Increments the project's version if this change requires it. Returns the version after this change.
    async fn increment_version(
        &self,
        project: &Path,
        written_files: &mut Vec<FileContentChange>,
    ) -> Result<VersionTriple, ReleaseNoteError> {
        let JobConfig { version_file: name, version_path: key_path, package, registry, .. } = self.job;
        let old = change::read_regular_file(project, name)?;
        let file = project.join(name);
        let style = RangeStyle::VendoredVersion;
        let place = RequirementPlace { file: &file, key_path, package, registry: *registry, style };
        let text = project_requirement::read_requirement(&place)?.range.to_string();
        let version = VersionTriple::parse(&text)
            .ok_or_else(|| ReleaseNoteError::NotVersionTriple { path: name.clone(), text: text.clone() })?;
        let is_released = self.is_released(version).await?;
        let next = version.next_version(self.release_decision.decision.verdict, is_released);
        if next != version {
            let next =
                VersionRange::from_vendored_version(PackageVersion::parse(*registry, &next.to_string())?);
            let text = project_requirement::file_text_with_range(&place, &next, &[])?;
            written_files.push(change::replace_file(project, name, old, text)?);
        }
        Ok(next)
    }

    /// Returns the changelog entry that the new line belongs to.
    async fn changelog_placement(
        &self,
        newest: NewestEntry,
        next: Option<VersionTriple>,
        path: &str,
    ) -> Result<ChangelogPlacement, ReleaseNoteError> {
        let version = match newest {
            NewestEntry::Unreleased => return Ok(ChangelogPlacement::Newest),
            NewestEntry::Version(version) => version,
        };
        let is_released = self.is_released(version).await?;
        match next {
            Some(next) if is_released => Ok(ChangelogPlacement::NewEntry(next)),
            // People have already prepared an entry for a later version, so the line is added to this entry.
            Some(next) if version > next => Ok(ChangelogPlacement::Newest),
            Some(next) => Ok(ChangelogPlacement::RenamedNewestEntry(next)),
            None if is_released => Err(ReleaseNoteError::AlreadyReleased { path: path.to_owned(), version }),
            None => Ok(ChangelogPlacement::Newest),
        }
    }

    async fn is_released(&self, version: VersionTriple) -> Result<bool, GitError> {
        self.mirror.remote_has_any_tag(&version.tags()).await
    }

    /// Returns the changelog line for this change.
    fn changelog_line(&self) -> String {
        let version = self.release_decision.to.to_string();
        let range = self.release_decision.spec_after.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = self.job.changelog_entry.fill_with(|name| match name {
            placeholders::VERSION => version.clone(),
            placeholders::RANGE => range.clone(),
            placeholders::DECISION => self.release_decision.decision.verdict.as_str().to_owned(),
            _ => self.job.package.clone(),
        });
        text.lines().collect::<Vec<_>>().join(" ")
    }

    /// True if the line may be from an earlier run of this job, for any release.
    fn is_own_line(&self, line: &str) -> bool {
        let verdicts = [SyncVerdict::Relax, SyncVerdict::Bump].map(SyncVerdict::as_str);
        verdicts
            .into_iter()
            .any(|verdict| matches_template(&self.job.changelog_entry, &self.job.package, verdict, line))
    }
}

/// True if the line can result from this template, with this package, this decision, and any other values.
fn matches_template(template: &TextTemplate, package: &str, verdict: &str, line: &str) -> bool {
    template.matches(line, |name| match name {
        placeholders::PACKAGE => Some(package),
        placeholders::DECISION => Some(verdict),
        _ => None,
    })
}

/// Returns the files that this module writes.
pub(super) fn written_paths(job: &JobConfig) -> impl Iterator<Item = RepoPath> {
    let version = job.increments_version.then_some(&job.version_file);
    version.into_iter().chain(&job.changelog_file).map(|path| RepoPath::from(path.as_str()))
}
