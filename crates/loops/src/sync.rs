//! The sync loop: determines and makes the changes that a new release of an upstream package requires in a
//! project that follows the package.
//!
//! This module makes the decision from the evidence. The decision uses the project's pins (`pinned`), the
//! content of releases (`history`) and the comparison of releases (`comparison`, `patch`). A whole run
//! ([`run`]) makes the change (`recipe`), or lets a model port the code ([`port`], `bump`). The loop submits
//! the change to the forge (`pulls`, `drafts`). If the decision is unclear, the loop asks people
//! (`question`); `words` contains the texts. Each write is an effect (`effects`). A model may judge releases
//! before people are asked (`classify`). `material` builds the text about releases that the model reads.

mod bump;
mod change;
mod classify;
mod comparison;
mod decision_error;
mod deterministic_change;
mod drafts;
mod effects;
pub mod error;
mod history;
mod init;
pub mod job;
mod material;
mod notices;
mod package_sources;
mod patch;
mod pinned;
pub mod place;
pub mod port;
mod project_copies;
mod pulls;
mod question;
mod release_note;
pub mod run;
mod run_error_outcome;
mod run_log;
mod run_notices;
mod texts;
mod tracking;
mod unreported_costs;
mod verify;

use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;

use ignore::WalkBuilder;
use jiff::{SignedDuration, Timestamp};
use truing_core::sync::classify::ReleaseClassification;
use truing_core::sync::{PinManifest, SyncDecision, SyncVerdict};
use truing_core::version::PackageVersion;
use truing_upstream::index::{PackageIndex, PackageRelease};
use truing_upstream::project_requirement::{self, RequirementError};
use truing_upstream::range::VersionRange;

use comparison::ReleaseComparison;
pub use decision_error::SyncDecisionError;
use history::ReleaseHistory;
pub use init::{ProposedManifest, propose_manifest};
pub use package_sources::PackageSources;
pub use patch::DefinitionPatch;
pub use pinned::{PinnedError, PinnedManifest, load_pins, read_pins};
use place::requirement_place;
use truing_config::sync::{JobConfig, ReleaseSelector};

/// The input of a decision about a release.
#[derive(Debug)]
pub struct DecisionRequest<'a> {
    pub job: &'a JobConfig,
    /// Folder of the project's files.
    pub project: &'a Path,
    /// The project's pins of the upstream package.
    pub manifest: &'a PinManifest,
    /// The release that the project was made for. None selects the newest release in the range that the
    /// project admits.
    pub from: Option<PackageVersion>,
    /// The release to follow. `None` selects the release by the target that the job configures.
    pub to: Option<PackageVersion>,
    /// Current time, for skipping releases that are too young.
    pub now: Timestamp,
}

/// A decision about a release, with both releases and both version ranges.
#[derive(Clone, Debug)]
pub struct ReleaseDecision {
    /// The release that the project was made for.
    pub from: PackageVersion,
    /// The release to follow.
    pub to: PackageVersion,
    /// The range that the project admits, if it declares one.
    pub spec_before: Option<VersionRange>,
    /// The range that the project should admit. `None` if a person must choose the range.
    pub spec_after: Option<VersionRange>,
    /// The decision and its reason.
    pub decision: SyncDecision,
    /// The result of a model's classification, if a model was called.
    pub classification: Option<ReleaseClassification>,
}

impl ReleaseDecision {
    /// Applies the verdict of a person or a model to the decision, with the reason of the verdict.
    fn apply_verdict(&mut self, job: &JobConfig, verdict: SyncVerdict, reason: String) {
        (self.decision.verdict, self.decision.reason) = (verdict, reason);
        let following = |floor| self.spec_before.as_ref()?.with_release(job.style, &self.to, floor);
        self.spec_after = match verdict {
            SyncVerdict::Skip | SyncVerdict::Ask => None,
            SyncVerdict::Relax => following(None),
            // The range begins at the new release, because it is unknown which earlier releases the ported
            // code would support.
            SyncVerdict::Bump => following(Some(&self.to)),
        };
    }
}

/// A decision, with details for people.
#[derive(Clone, Debug)]
pub struct DecisionDetails {
    /// The decision on the release.
    pub decision: ReleaseDecision,
    /// The newest earlier release that requires only a wider range, if the release to follow requires more
    /// than a wider range.
    pub relax_up_to: Option<PackageVersion>,
    /// The changed definitions, if they were requested.
    pub patches: Vec<DefinitionPatch>,
}

/// Decides on the release. Downloaded archives are stored, but nothing else is changed. If `includes_patches`
/// is true, the result includes the changed lines.
///
/// # Errors
/// [`SyncDecisionError`]
pub fn decide_release<'a>(
    request: DecisionRequest<'a>,
    sources: PackageSources<'a>,
    includes_patches: bool,
) -> BoxFuture<'a, Result<DecisionDetails, SyncDecisionError>> {
    Box::pin(async move {
        let AvailableReleases { releases, newest, spec, from, to } =
            find_releases(&request, sources.index).await?;
        let read_releases = BTreeMap::new();
        let mut history = ReleaseHistory {
            job: request.job,
            sources,
            releases: &releases,
            newest,
            sources_by_release: read_releases,
        };
        let comparison = ReleaseComparison::new(&request, &history, spec, from).await?;
        let compared = comparison.compare_with(&history, &to).await?;
        let is_more = matches!(compared.decision.verdict, SyncVerdict::Bump | SyncVerdict::Ask);
        let relax_up_to =
            if is_more { comparison.newest_range_only_release(&history, &to).await } else { None };
        let patches = match includes_patches {
            true => comparison.patches(&history, &to, &compared).await?,
            false => Vec::new(),
        };
        let decided = comparison.complete_decision(&mut history, to, compared).await?;
        Ok(DecisionDetails { decision: decided, relax_up_to, patches })
    })
}

/// The release to follow, and the release that the project was made for. Both are determined without reading
/// the content of a release.
#[derive(Debug)]
pub struct AvailableReleases {
    releases: Vec<PackageRelease>,
    newest: PackageVersion,
    /// The range that the project admits, if it declares one.
    pub spec: Option<VersionRange>,
    /// The release that the project was made for.
    pub from: PackageVersion,
    /// The release to follow.
    pub to: PackageVersion,
}

impl AvailableReleases {
    /// True if the release exists.
    fn has_target_release(&self) -> bool {
        self.releases.iter().any(|release| release.version == self.to)
    }

    /// True if the project's range already contains the release to follow.
    pub fn is_in_range(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.contains(&self.to))
    }
}

/// Determines the release to follow.
///
/// # Errors
/// [`SyncDecisionError`]
#[truing_core::boxed_future]
pub async fn find_releases(
    request: &DecisionRequest<'_>,
    index: &PackageIndex,
) -> Result<AvailableReleases, SyncDecisionError> {
    let DecisionRequest { job, project, from, to, now, .. } = request;
    if !project.is_dir() {
        return Err(SyncDecisionError::NoProject(project.to_path_buf()));
    }
    let spec = match declared_range(job, project) {
        // The project declares no range, because the package is only a dependency of another package. In this
        // case, the caller must name the starting release.
        Err(SyncDecisionError::Constraint(RequirementError::NotExactlyOneRequirement {
            count: 0, ..
        })) if from.is_some() => None,
        other => other?,
    };
    let releases = index.fetch_releases(&job.package).await?;
    if !releases.is_empty() && releases.iter().all(|release| release.is_yanked) {
        return Err(SyncDecisionError::AllYanked(job.package.clone()));
    }
    let excluded =
        |version: &PackageVersion| spec.as_ref().is_some_and(|spec| spec.excludes_by_name(version));
    let wanted: Vec<PackageRelease> =
        releases.iter().filter(|release| !excluded(&release.version)).cloned().collect();
    let newest = newest_release(job, &wanted, *now)?.version.clone();
    let admitted =
        |release: &&PackageRelease| spec.as_ref().is_some_and(|spec| spec.contains(&release.version));
    let in_range = releases.iter().rev().filter(is_stable).find(admitted);
    let from = from
        .clone()
        .or_else(|| in_range.map(|release| release.version.clone()))
        .ok_or_else(|| missing_start_error(job, project))?;
    let (is_chosen, to) = match (to, &job.target) {
        (Some(to), _) | (None, ReleaseSelector::Exact(to)) => (true, to.clone()),
        (None, ReleaseSelector::Newest | ReleaseSelector::Safe) => (false, newest.clone()),
        (None, ReleaseSelector::MaxAhead(most)) => {
            let later = wanted.iter().filter(is_stable).map(|release| &release.version);
            let later = later.filter(|version| **version > from && **version <= newest);
            (false, later.take(*most).last().unwrap_or(&newest).clone())
        }
    };
    // The version is written as the publisher spells it: 1.1 may have been published as 1.1.0.
    let published = releases.iter().find(|release| release.version == to);
    let to = published.map_or(to, |release| release.version.clone());
    if excluded(&to) {
        return Err(SyncDecisionError::Excluded { package: job.package.clone(), version: to });
    }
    let taken_back = |release: &&PackageRelease| release.version == to && release.is_yanked;
    if is_chosen && releases.iter().any(|release| taken_back(&release)) {
        return Err(SyncDecisionError::Yanked { package: job.package.clone(), version: to });
    }
    let is_in_range = spec.as_ref().is_some_and(|spec| spec.contains(&to));
    if to < from && !is_in_range {
        return Err(SyncDecisionError::OlderRelease { package: job.package.clone(), to, from });
    }
    Ok(AvailableReleases { releases, newest, spec, from, to })
}

/// Returns the newest release before the release to follow that requires only a wider range. Returns `None`
/// if the release to follow itself requires no more than a wider range.
async fn newest_safe_release(
    request: &DecisionRequest<'_>,
    available: &AvailableReleases,
    sources: PackageSources<'_>,
) -> Result<Option<PackageVersion>, SyncDecisionError> {
    let AvailableReleases { releases, newest, spec, from, to } = available;
    let (newest, read_releases) = (newest.clone(), BTreeMap::new());
    let history =
        ReleaseHistory { job: request.job, sources, releases, newest, sources_by_release: read_releases };
    let comparison = ReleaseComparison::new(request, &history, spec.clone(), from.clone()).await?;
    let compared = comparison.compare_with(&history, to).await?;
    Ok(match compared.decision.verdict {
        SyncVerdict::Bump | SyncVerdict::Ask => comparison.newest_range_only_release(&history, to).await,
        SyncVerdict::Skip | SyncVerdict::Relax => None,
    })
}

/// Decides on a release that `find_releases` has determined.
///
/// # Errors
/// [`SyncDecisionError`]
pub fn decide_on_release<'a>(
    request: DecisionRequest<'a>,
    available: AvailableReleases,
    sources: PackageSources<'a>,
) -> BoxFuture<'a, Result<ReleaseDecision, SyncDecisionError>> {
    Box::pin(async move {
        let AvailableReleases { releases, newest, spec, from, to } = available;
        let read_releases = BTreeMap::new();
        let mut history = ReleaseHistory {
            job: request.job,
            sources,
            releases: &releases,
            newest,
            sources_by_release: read_releases,
        };
        let comparison = ReleaseComparison::new(&request, &history, spec, from).await?;
        let compared = comparison.compare_with(&history, &to).await?;
        comparison.complete_decision(&mut history, to, compared).await
    })
}

/// Returns a remark for the reason of a decision: the range also contains later releases, which are not
/// checked.
fn open_range_reason(to: &PackageVersion) -> String {
    format!(
        "; the range also contains all later releases, which are not checked: let the range end after \
        {to}"
    )
}

/// Creates the error for a project whose starting release is unknown.
fn missing_start_error(job: &JobConfig, project: &Path) -> SyncDecisionError {
    let (package, file) = (job.package.clone(), job.constraint_file.clone());
    if project.join(&file).exists() {
        SyncDecisionError::UnknownStartingRelease(package)
    } else {
        SyncDecisionError::NoRequirementFile { package, file, folder: project.to_owned() }
    }
}

/// Returns the range that the project admits. Returns `None` if the file that declares the range does not
/// exist.
fn declared_range(job: &JobConfig, project: &Path) -> Result<Option<VersionRange>, SyncDecisionError> {
    let path = project.join(&job.constraint_file);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(project_requirement::read_range(&requirement_place(job, &path))?))
}

/// True if a release may be followed without being named explicitly: it is neither withdrawn nor a
/// pre-release.
fn is_stable(release: &&PackageRelease) -> bool {
    !release.is_yanked && !release.version.is_prerelease()
}

/// Returns the newest stable release that is old enough. If no minimum age is configured and there is no
/// stable release, returns the newest release.
fn newest_release<'a>(
    job: &JobConfig,
    releases: &'a [PackageRelease],
    now: Timestamp,
) -> Result<&'a PackageRelease, SyncDecisionError> {
    let nothing = || SyncDecisionError::UnknownStartingRelease(job.package.clone());
    let newest = || releases.iter().rev().find(is_stable).or_else(|| releases.last());
    if job.min_age.is_zero() {
        return newest().ok_or_else(nothing);
    }
    let since = SignedDuration::try_from(job.min_age).unwrap_or(SignedDuration::MAX);
    let mut stable = releases.iter().rev().filter(is_stable);
    if stable.clone().all(|release| release.published_at.is_none()) {
        return Err(SyncDecisionError::NoDates(job.package.clone()));
    }
    let is_old = |release: &&PackageRelease| {
        release.published_at.is_some_and(|published| now.duration_since(published) >= since)
    };
    stable.find(is_old).ok_or_else(nothing)
}

/// Returns the files that the job's `mirror` setting pairs: the path of a file in the package, and the path
/// of its counterpart in the project.
fn file_counterparts(job: &JobConfig, project: &Path) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (theirs, ours) in &job.mirrored_paths {
        if !ours.ends_with('/') {
            pairs.push((theirs.clone(), ours.clone()));
            continue;
        }
        let folder = project.join(ours);
        // A tracked symbolic link could lead out of the project, so folders that are reached through such a
        // link are skipped.
        let is_inside = folder.canonicalize().ok().zip(project.canonicalize().ok());
        if !is_inside.is_some_and(|(folder, project)| folder.starts_with(project)) {
            continue;
        }
        for entry in WalkBuilder::new(&folder).require_git(false).build().flatten() {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let path = entry.path().strip_prefix(&folder).ok().and_then(Path::to_str);
            if let (true, Some(path)) = (is_file, path) {
                pairs.push((format!("{theirs}{path}"), format!("{ours}{path}")));
            }
        }
    }
    pairs
}
