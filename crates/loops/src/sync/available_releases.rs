//! The releases that an index lists for a job: which one to follow, and which ones cannot be followed.

use truing_core::version::PackageVersion;
use truing_upstream::index::{PackageRelease, UnreadableEntry};
use truing_upstream::project_requirement::ProjectRequirement;
use truing_upstream::range::VersionRange;

use super::decision_error::SyncDecisionError;

/// The release to follow, and the release that the project was made for. Both are determined without reading
/// the content of a release.
#[derive(Debug)]
pub struct AvailableReleases {
    pub(super) releases: Vec<PackageRelease>,
    pub(super) newest: PackageVersion,
    /// The project's requirement, if the project declares one.
    pub(super) requirement: Option<ProjectRequirement>,
    /// The release that the project was made for.
    pub from: PackageVersion,
    /// The release to follow.
    pub to: PackageVersion,
    /// Entries of the index that may be newer than the release to follow, but cannot be read.
    pub(super) unreadable: Vec<UnreadableEntry>,
    /// Sentences about newer releases that are not followed.
    pub(super) notes: Vec<String>,
}

/// Maximum number of entries of an index that a reason names.
const MAX_NAMED_ENTRIES: usize = 3;

impl AvailableReleases {
    /// The range that the project admits, if it declares one.
    pub(super) fn spec(&self) -> Option<&VersionRange> {
        self.requirement.as_ref().map(|requirement| &requirement.range)
    }

    /// Returns the reason why a newer release may exist although none can be read.
    pub(crate) fn unreadable_reason(&self) -> Option<String> {
        let count = self.unreadable.len();
        let names: Vec<&str> =
            self.unreadable.iter().take(MAX_NAMED_ENTRIES).map(|entry| entry.name.as_str()).collect();
        let more = if count > names.len() { " and others" } else { "" };
        let files = if count == 1 { "1 file" } else { "files" };
        let number = if count == 1 { String::new() } else { format!("{count} ") };
        (count > 0).then(|| {
            format!(
                "the index lists {number}{files} that Truing cannot read and that may be newer: {}{more}",
                names.join(", ")
            )
        })
    }

    /// Returns sentences about the archives of other platforms, which are not compared.
    pub(super) fn platform_notes(&self) -> Vec<String> {
        let compared = [&self.from, &self.to];
        let compared = self.releases.iter().filter(|release| compared.contains(&&release.version));
        let partly = compared.filter(|release| release.other_wheels > 0);
        partly
            .map(|PackageRelease { version, archive, other_wheels, .. }| {
                let wheels = if *other_wheels == 1 { "wheel" } else { "wheels" };
                format!(
                    "of {version}, only {} was compared, and not {other_wheels} other {wheels}",
                    archive.name
                )
            })
            .collect()
    }

    /// True if the release exists.
    pub(super) fn has_target_release(&self) -> bool {
        self.releases.iter().any(|release| release.version == self.to)
    }

    /// True if the project's range already contains the release to follow.
    pub fn is_in_range(&self) -> bool {
        self.spec().is_some_and(|spec| spec.contains(&self.to))
    }
}

/// Returns the reason why the release that the caller named cannot be followed; `None` if it can be
/// followed.
pub(super) fn cannot_follow_reason(
    package: &str,
    available: &Result<AvailableReleases, SyncDecisionError>,
) -> Option<String> {
    match available {
        Ok(available) if available.has_target_release() => None,
        Ok(AvailableReleases { to, newest, .. }) => {
            Some(format!("{package} has no release {to}; the newest is {newest}"))
        }
        Err(
            error @ (SyncDecisionError::Yanked { .. }
            | SyncDecisionError::Excluded { .. }
            | SyncDecisionError::OlderRelease { .. }),
        ) => Some(error.to_string()),
        Err(_) => None,
    }
}

/// True if the port in progress is no longer needed: the project already admits its release, or this release
/// can no longer be followed.
pub(super) fn is_port_obsolete(
    port_version: Option<&PackageVersion>,
    available: &Result<AvailableReleases, SyncDecisionError>,
) -> bool {
    match available {
        Ok(available) => port_version.is_none() || available.is_in_range() || !available.has_target_release(),
        Err(
            SyncDecisionError::Yanked { .. }
            | SyncDecisionError::Excluded { .. }
            | SyncDecisionError::OlderRelease { .. },
        ) => true,
        Err(_) => false,
    }
}
