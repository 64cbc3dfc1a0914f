//! The sync loop: determines and makes the changes that a new release of an upstream package requires in a
//! project that follows the package.
//!
//! This module makes the decision from the evidence. The decision uses the project's pins (`pinned`), the
//! content of releases (`history`) and the comparison of releases (`comparison`, `patch`). A whole run
//! ([`run`]) makes the change (`deterministic_change`), or lets a model port the code ([`port`], `bump`). The
//! loop submits the change to the forge (`pulls`, `drafts`). If the decision is unclear, the loop asks people
//! (`question`); `texts` contains the texts. Each write is an effect (`effects`). A model may judge releases
//! before people are asked (`classify`). `material` builds the text about releases that the model reads.

mod available_releases;
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
mod lock_files;
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
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use jiff::{SignedDuration, Timestamp};
use truing_core::sync::classify::ReleaseClassification;
use truing_core::sync::{PinManifest, SyncDecision, SyncVerdict};
use truing_core::version::{PackageVersion, RangeStyle};
use truing_upstream::index::{PackageIndex, PackageListing, PackageRelease};
use truing_upstream::project_requirement::{
    self, DeclaredIndex, ProjectRequirement, ReleaseAgeLimit, RequirementError,
};
use truing_upstream::range::VersionRange;

pub use available_releases::AvailableReleases;
use comparison::ReleaseComparison;
pub use decision_error::SyncDecisionError;
use history::ReleaseHistory;
pub use init::{ProposedManifest, propose_manifest};
pub use package_sources::PackageSources;
pub use patch::DefinitionPatch;
pub use pinned::{HashTest, PinnedError, PinnedManifest, find_hash_test, load_pins, read_pins};
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
    /// Style of the new range.
    style: RangeStyle,
    /// The range after a relax, or the reason why a person must write it; `None` if the project declares no
    /// range.
    relaxed: Option<Result<VersionRange, String>>,
    /// The digests of the release's archives, as options of pip; empty if the project lists no digests.
    hashes: Vec<String>,
    /// A lock file that the change makes outdated, and that the job does not update.
    outdated_lock_file: Option<PathBuf>,
}

impl ReleaseDecision {
    /// Adds the releases and archives that were not compared to the reason. If an entry of the index that
    /// cannot be read may be a newer release, the newest release may be outside of the range, so the verdict
    /// `skip` becomes `ask`.
    fn add_omissions(&mut self, available: &AvailableReleases) {
        for note in available.notes.iter().chain(&available.platform_notes()) {
            self.decision.reason += &format!("; {note}");
        }
        let Some(reason) = available.unreadable_reason() else { return };
        self.decision.reason += &format!("; {reason}");
        if self.decision.verdict == SyncVerdict::Skip {
            self.decision.verdict = SyncVerdict::Ask;
        }
    }

    /// Applies the verdict of a person or a model to the decision, with the reason of the verdict.
    fn apply_verdict(&mut self, verdict: SyncVerdict, reason: String) {
        (self.decision.verdict, self.decision.reason) = (verdict, reason);
        let new_range = match verdict {
            SyncVerdict::Skip | SyncVerdict::Ask => None,
            SyncVerdict::Relax => self.relaxed.clone(),
            // The range begins at the new release, because it is unknown which earlier releases the ported
            // code would support.
            SyncVerdict::Bump => self
                .spec_before
                .as_ref()
                .and_then(|spec| spec.with_release(self.style, &self.to, Some(&self.to)))
                .map(Ok),
        };
        self.set_new_range(new_range);
    }

    /// Sets the range that the project should admit. If only a person can write the range, the verdict
    /// becomes `ask`.
    fn set_new_range(&mut self, new_range: Option<Result<VersionRange, String>>) {
        self.spec_after = match new_range {
            Some(Err(problem)) => {
                self.decision.reason += &format!("; {problem}: a person must write the requirement");
                (self.decision.verdict, self.decision.needs_classification) = (SyncVerdict::Ask, false);
                None
            }
            Some(Ok(range)) => Some(range),
            None => None,
        };
        if let (SyncVerdict::Relax, Some(lock_file)) = (self.decision.verdict, &self.outdated_lock_file) {
            self.decision.reason += &format!(
                "; {} must change with the range: set `relax.lock` of the job to the command that updates it",
                lock_file.display()
            );
        }
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
        let available = find_releases(&request, sources.index).await?;
        let mut history = ReleaseHistory::new(request.job, sources, &available);
        let comparison = ReleaseComparison::new(&request, &history, &available).await?;
        let to = available.to.clone();
        let compared = comparison.compare_with(&history, &to).await?;
        let is_more = matches!(compared.decision.verdict, SyncVerdict::Bump | SyncVerdict::Ask);
        let relax_up_to =
            if is_more { comparison.newest_range_only_release(&history, &to).await } else { None };
        let patches = match includes_patches {
            true => comparison.patches(&history, &to, &compared).await?,
            false => Vec::new(),
        };
        let mut decided = comparison.complete_decision(&mut history, to, compared).await?;
        decided.add_omissions(&available);
        Ok(DecisionDetails { decision: decided, relax_up_to, patches })
    })
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
    let requirement = match declared_requirement(job, project, index) {
        // The project declares no range, because the package is only a dependency of another package. In this
        // case, the caller must name the starting release.
        Err(SyncDecisionError::Constraint(RequirementError::NotExactlyOneRequirement {
            count: 0, ..
        })) if from.is_some() => None,
        other => other?,
    };
    let spec = requirement.as_ref().map(|requirement| &requirement.range);
    let PackageListing { releases, mut unreadable, latest } = index.fetch_releases(&job.package).await?;
    if !releases.is_empty() && releases.iter().all(|release| release.is_yanked) {
        return Err(SyncDecisionError::AllYanked(job.package.clone()));
    }
    let excluded = |version: &PackageVersion| spec.is_some_and(|spec| spec.excludes_by_name(version));
    let wanted = releases.iter().filter(|release| !excluded(&release.version)).collect();
    let wanted = with_project_label(wanted, spec);
    let admitted = |release: &&PackageRelease| spec.is_some_and(|spec| spec.contains(&release.version));
    // npm installs the version with the tag `latest` if the range contains it, although a newer one exists.
    let preferred = latest.as_ref().filter(|latest| spec.is_some_and(|spec| spec.contains(latest)));
    let is_preferred = |release: &&PackageRelease| preferred.is_none_or(|latest| release.version <= *latest);
    let in_range = releases.iter().rev().filter(is_stable).filter(is_preferred).find(admitted);
    let from =
        from.clone().or_else(|| in_range.map(|release| release.version.clone())).ok_or_else(|| {
            match (spec, releases.iter().rev().find(admitted)) {
                (Some(spec), Some(start)) => unstable_start_error(job, spec, start, &releases),
                _ => missing_start_error(job, project),
            }
        })?;
    let is_chosen = to.is_some() || matches!(job.target, ReleaseSelector::Exact(_));
    let FollowedReleases { releases: wanted, notes } = if is_chosen {
        FollowedReleases { releases: wanted, notes: Vec::new() }
    } else {
        let limits = requirement.as_ref().map_or(&[][..], |requirement| &requirement.age_limits);
        let path = project.join(&job.constraint_file);
        without_held_back_releases(wanted, &from, latest.as_ref(), limits, *now).map_err(|reason| {
            let text = spec.map(ToString::to_string).unwrap_or_default();
            RequirementError::NotUnderstood { path, text, reason }
        })?
    };
    let newest = newest_release(job, &wanted, *now)?.version.clone();
    let to = match (to, &job.target) {
        (Some(to), _) | (None, ReleaseSelector::Exact(to)) => to.clone(),
        (None, ReleaseSelector::Newest | ReleaseSelector::Safe) => newest.clone(),
        (None, ReleaseSelector::MaxAhead(most)) => {
            let later = wanted.iter().copied().filter(is_stable).map(|release| &release.version);
            let later = later.filter(|version| **version > from && **version <= newest);
            later.take(*most).last().unwrap_or(&newest).clone()
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
    let is_in_range = spec.is_some_and(|spec| spec.contains(&to));
    if to < from && !is_in_range {
        return Err(SyncDecisionError::OlderRelease { package: job.package.clone(), to, from });
    }
    let may_matter =
        |version: &PackageVersion| *version > to && !version.is_prerelease() && !excluded(version);
    unreadable.retain(|entry| !is_chosen && entry.version.as_ref().is_none_or(may_matter));
    Ok(AvailableReleases { releases, newest, requirement, from, to, unreadable, notes })
}

/// Returns the newest release before the release to follow that requires only a wider range. Returns `None`
/// if the release to follow itself requires no more than a wider range.
async fn newest_safe_release(
    request: &DecisionRequest<'_>,
    available: &AvailableReleases,
    sources: PackageSources<'_>,
) -> Result<Option<PackageVersion>, SyncDecisionError> {
    let history = ReleaseHistory::new(request.job, sources, available);
    let comparison = ReleaseComparison::new(request, &history, available).await?;
    let compared = comparison.compare_with(&history, &available.to).await?;
    Ok(match compared.decision.verdict {
        SyncVerdict::Bump | SyncVerdict::Ask => {
            comparison.newest_range_only_release(&history, &available.to).await
        }
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
        let mut history = ReleaseHistory::new(request.job, sources, &available);
        let comparison = ReleaseComparison::new(&request, &history, &available).await?;
        let compared = comparison.compare_with(&history, &available.to).await?;
        let mut decided = comparison.complete_decision(&mut history, available.to.clone(), compared).await?;
        decided.add_omissions(&available);
        Ok(decided)
    })
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

/// Returns the releases with the local label that the project's pin names, such as `+cpu`. A project that
/// names no label gets releases without one, if the index has any.
fn with_project_label<'a>(
    mut releases: Vec<&'a PackageRelease>,
    spec: Option<&VersionRange>,
) -> Vec<&'a PackageRelease> {
    let wanted = spec.and_then(VersionRange::local_label);
    let has_wanted = |release: &&PackageRelease| release.version.local_label() == wanted;
    if releases.iter().any(&has_wanted) {
        releases.retain(has_wanted);
    }
    releases
}

/// The releases that may be followed, and sentences about newer releases that are not followed.
struct FollowedReleases<'a> {
    releases: Vec<&'a PackageRelease>,
    notes: Vec<String>,
}

/// Removes the releases after `from` that the project's package manager would not install yet: those above
/// the tag `latest`, and those that the project's settings hide because of their age. A project that already
/// uses a release above the tag is not limited by the tag.
///
/// # Errors
/// The reason why it is unknown which releases the settings hide.
fn without_held_back_releases<'a>(
    mut releases: Vec<&'a PackageRelease>,
    from: &PackageVersion,
    latest: Option<&PackageVersion>,
    limits: &[ReleaseAgeLimit],
    now: Timestamp,
) -> Result<FollowedReleases<'a>, String> {
    let mut notes = Vec::new();
    let sentence = |count: usize, reason: String| {
        let subject =
            if count == 1 { "1 newer release is".to_owned() } else { format!("{count} newer releases are") };
        format!("{subject} not followed: {reason}")
    };
    let is_newer = |release: &&PackageRelease| is_stable(release) && release.version > *from;
    if let Some(latest) = latest.filter(|latest| from <= *latest) {
        let count = releases.len();
        releases.retain(|release| !is_newer(release) || release.version <= *latest);
        let removed = count - releases.len();
        if removed > 0 {
            notes.push(sentence(removed, format!("above npm's tag `latest` ({latest})")));
        }
    }
    for limit in limits {
        let count = releases.len();
        if let Some(undated) =
            releases.iter().find(|release| is_newer(release) && release.published_at.is_none())
        {
            return Err(format!(
                "{} hides young releases, and the index does not say when {} was published",
                limit.declared_by, undated.version
            ));
        }
        let is_old = |release: &PackageRelease| {
            release.published_at.is_none_or(|published_at| limit.admits(published_at, now))
        };
        releases.retain(|release| !is_newer(release) || is_old(release));
        let removed = count - releases.len();
        if removed > 0 {
            notes.push(sentence(removed, format!("hidden by {}", limit.declared_by)));
        }
    }
    Ok(FollowedReleases { releases, notes })
}

/// Creates the error for a project whose range contains only releases that are withdrawn or pre-releases.
fn unstable_start_error(
    job: &JobConfig,
    spec: &VersionRange,
    start: &PackageRelease,
    releases: &[PackageRelease],
) -> SyncDecisionError {
    let before = releases.iter().rev().filter(is_stable).find(|release| release.version < start.version);
    SyncDecisionError::UnstableStart {
        package: job.package.clone(),
        range: spec.to_string(),
        version: start.version.to_string(),
        state: if start.is_yanked { "withdrawn or deprecated by its publishers" } else { "a pre-release" },
        before: before.map(|release| release.version.to_string()),
    }
}

/// Returns the project's requirement. Returns `None` if the file that declares the requirement does not
/// exist. Nothing is fetched under the package's name before the requirement is understood, because the index
/// may have a foreign package of this name.
fn declared_requirement(
    job: &JobConfig,
    project: &Path,
    index: &PackageIndex,
) -> Result<Option<ProjectRequirement>, SyncDecisionError> {
    let path = project.join(&job.constraint_file);
    if !path.exists() {
        return Ok(None);
    }
    let requirement = project_requirement::read_requirement(&requirement_place(job, &path))?;
    if let Some(DeclaredIndex { address, declared_by }) = requirement.other_index(index) {
        // The address may contain a login before the `@`.
        let shown = address.rsplit('@').next().unwrap_or_default();
        let reason = format!(
            "the project also searches another index, {shown} ({declared_by}), and Truing reads only the \
             index of the user's package manager"
        );
        let text = requirement.range.to_string();
        return Err(RequirementError::NotUnderstood { path, text, reason }.into());
    }
    Ok(Some(requirement))
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
    releases: &[&'a PackageRelease],
    now: Timestamp,
) -> Result<&'a PackageRelease, SyncDecisionError> {
    let nothing = || SyncDecisionError::UnknownStartingRelease(job.package.clone());
    let newest = || releases.iter().copied().rev().find(is_stable).or_else(|| releases.last().copied());
    if job.min_age.is_zero() {
        return newest().ok_or_else(nothing);
    }
    let since = SignedDuration::try_from(job.min_age).unwrap_or(SignedDuration::MAX);
    let mut stable = releases.iter().copied().rev().filter(is_stable);
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
