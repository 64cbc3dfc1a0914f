//! The project's own version and its changelog, as far as the job says that a change moves them. What is released is told
//! by the tags of the repository.

use std::path::Path;

use truing_config::sync::{JobConfig, places};
use truing_core::RepoPath;
use truing_core::sync::SyncVerdict;
use truing_core::sync::changelog::{self, ChangelogError, ChangelogLine, ChangelogPlacement, NewestEntry};
use truing_core::sync::release::VersionTriple;
use truing_core::template::TextTemplate;
use truing_core::version::{PackageVersion, RangeStyle, VersionError};
use truing_git::{GitError, Mirror};
use truing_upstream::constraint::{self, ConstraintError, RequirementPlace};
use truing_upstream::range::VersionRange;

use super::ReleaseDecision;
use super::change::{self, ChangeError};
use crate::files::FileContentChange;

/// Why version or changelog cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseNoteError {
    /// A file.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The version in one.
    #[error("the project's version: {0}")]
    Version(ConstraintError),
    /// None, or several.
    #[error("the project's version: {path} has `{at}` {count} times; it must be there once")]
    Count {
        /// The file.
        path: String,
        /// Where in it.
        at: String,
        /// How often.
        count: usize,
    },
    /// The next one.
    #[error("the project's version: {0}")]
    Next(#[from] VersionError),
    /// It cannot be counted.
    #[error(
        "the project's version: {path} has {text}, which is not MAJOR.MINOR.PATCH: set `version_rule` to \"none\""
    )]
    Uncounted {
        /// The file.
        path: String,
        /// What it has.
        text: String,
    },
    /// The changelog.
    #[error("{path}: {why}")]
    Changelog {
        /// The file.
        path: String,
        /// Why not.
        why: ChangelogError,
    },
    /// It is not there, or no text.
    #[error("{0}: there is no such file in the repository, or it is not UTF-8")]
    NoText(String),
    /// Its newest entry is done with.
    #[error(
        "{path}: its newest entry, {version}, is released: set `version_rule`, or begin an entry that says `Unreleased`"
    )]
    Released {
        /// The file.
        path: String,
        /// The version.
        version: VersionTriple,
    },
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<ConstraintError> for ReleaseNoteError {
    fn from(error: ConstraintError) -> Self {
        match error {
            ConstraintError::Count { path, at, count, .. } => {
                let path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Self::Count { path, at, count }
            }
            ConstraintError::Unread { .. } | ConstraintError::Form { .. } | ConstraintError::Range { .. } => {
                Self::Version(error)
            }
        }
    }
}

/// What is told, and where.
#[derive(Debug)]
pub(super) struct ReleaseNoteWriter<'a> {
    pub(super) job: &'a JobConfig,
    pub(super) decided: &'a ReleaseDecision,
    pub(super) mirror: &'a Mirror,
    /// The day, `2026-11-21`.
    pub(super) date: &'a str,
}

impl ReleaseNoteWriter<'_> {
    /// Writes version and changelog into a clone in which no command has run. The files that it wrote.
    ///
    /// # Errors
    /// [`ReleaseNoteError`]
    pub(super) async fn write(&self, project: &Path) -> Result<Vec<FileContentChange>, ReleaseNoteError> {
        let mut written = Vec::new();
        let next = if self.job.counts { Some(self.count(project, &mut written).await?) } else { None };
        if let Some(path) = &self.job.changelog_file {
            let old = change::plain(project, path)?.and_then(|bytes| String::from_utf8(bytes).ok());
            let old = old.ok_or_else(|| ReleaseNoteError::NoText(path.clone()))?;
            let wrong = |why| ReleaseNoteError::Changelog { path: path.clone(), why };
            let newest = changelog::newest(&old).map_err(wrong)?;
            let entry = self.entry(newest, next, path).await?;
            let line = self.line();
            let was_ours = |one: &str| self.was_ours(one);
            let news = ChangelogLine { line: &line, was_ours: &was_ours, date: self.date };
            let text = changelog::with(&old, news, entry).map_err(wrong)?;
            if text != old {
                written.push(change::replace(project, path, Some(old.into_bytes()), text)?);
            }
        }
        Ok(written)
    }

    /// Counts the project's version, if this change moves it. The version that it has now.
    async fn count(
        &self,
        project: &Path,
        written: &mut Vec<FileContentChange>,
    ) -> Result<VersionTriple, ReleaseNoteError> {
        let JobConfig { version_file: name, version_path: at, package, registry, .. } = self.job;
        let old = change::plain(project, name)?;
        let file = project.join(name);
        let style = RangeStyle::VendoredVersion;
        let place = RequirementPlace { file: &file, at, package, registry: *registry, style };
        let text = constraint::read(&place)?.to_string();
        let version = VersionTriple::parse(&text)
            .ok_or_else(|| ReleaseNoteError::Uncounted { path: name.clone(), text: text.clone() })?;
        let is_released = self.is_released(version).await?;
        let next = version.next(self.decided.decision.verdict, is_released);
        if next != version {
            let next = VersionRange::of_copy(PackageVersion::parse(*registry, &next.to_string())?);
            let text = constraint::rewritten(&place, &next)?;
            written.push(change::replace(project, name, old, text)?);
        }
        Ok(next)
    }

    /// Where the changelog's line goes.
    async fn entry(
        &self,
        newest: NewestEntry,
        next: Option<VersionTriple>,
        path: &str,
    ) -> Result<ChangelogPlacement, ReleaseNoteError> {
        let version = match newest {
            NewestEntry::Unreleased => return Ok(ChangelogPlacement::Newest),
            NewestEntry::Of(version) => version,
        };
        let is_released = self.is_released(version).await?;
        match next {
            Some(next) if is_released => Ok(ChangelogPlacement::New(next)),
            // Somebody has prepared one that is further: it is theirs to name.
            Some(next) if version > next => Ok(ChangelogPlacement::Newest),
            Some(next) => Ok(ChangelogPlacement::Renamed(next)),
            None if is_released => Err(ReleaseNoteError::Released { path: path.to_owned(), version }),
            None => Ok(ChangelogPlacement::Newest),
        }
    }

    async fn is_released(&self, version: VersionTriple) -> Result<bool, GitError> {
        self.mirror.has_tag(&version.tags()).await
    }

    /// What is said of this change.
    fn line(&self) -> String {
        let version = self.decided.to.to_string();
        let range = self.decided.spec_after.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = self.job.changelog_entry.filled(|name| match name {
            places::VERSION => version.clone(),
            places::RANGE => range.clone(),
            places::DECISION => self.decided.decision.verdict.as_str().to_owned(),
            _ => self.job.package.clone(),
        });
        text.lines().collect::<Vec<_>>().join(" ")
    }

    /// Would a change for another release have said this?
    fn was_ours(&self, line: &str) -> bool {
        let verdicts = [SyncVerdict::Relax, SyncVerdict::Bump].map(SyncVerdict::as_str);
        verdicts.into_iter().any(|verdict| is_of(&self.job.changelog_entry, &self.job.package, verdict, line))
    }
}

/// Is the line made of this template, for this package and decision, and any release?
fn is_of(template: &TextTemplate, package: &str, verdict: &str, line: &str) -> bool {
    template.matches(line, |name| match name {
        places::PACKAGE => Some(package),
        places::DECISION => Some(verdict),
        _ => None,
    })
}

/// The files that this writes.
pub(super) fn paths(job: &JobConfig) -> impl Iterator<Item = RepoPath> {
    let version = job.counts.then_some(&job.version_file);
    version.into_iter().chain(&job.changelog_file).map(|path| RepoPath::from(path.as_str()))
}
