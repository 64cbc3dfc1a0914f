//! Compares the release that a project was made for with later releases. Determines what each release
//! requires of the project, and the newest earlier release that requires only a wider range.

use std::collections::BTreeMap;

use globset::escape;
use truing_core::sync::{
    ReleaseSources, SyncDecision, SyncDecisionInput, SyncVerdict, UnguardedPart, decide_sync,
};
use truing_core::version::{PackageVersion, RangeStyle};
use truing_reader::sources::ProjectFacts;
use truing_upstream::range::VersionRange;
use truing_upstream::requirement_changes::DependentProject;

use super::history::{ReleaseHistory, ReleaseQuery};
use super::patch::{DefinitionPatch, ReleasePair};
use super::place::requirement_place;
use super::{
    AvailableReleases, DecisionRequest, ReleaseDecision, SyncDecisionError, file_counterparts, is_stable,
    lock_files, project_copies,
};

/// The starting point of comparisons: the release that the project was made for, and the parts of it that the
/// project uses.
pub(super) struct ReleaseComparison<'a> {
    request: &'a DecisionRequest<'a>,
    spec: Option<VersionRange>,
    /// Style of the new range.
    style: RangeStyle,
    /// True if the project lists the digests of the archives that it permits.
    has_hashes: bool,
    /// The release that the project was made for.
    from: PackageVersion,
    /// The parts of the release `from` that a comparison requires.
    pub(super) old_sources: ReleaseSources,
    project_facts: ProjectFacts,
    /// The part of the project that cannot be read; none if the whole project can be read.
    unreadable_part: Option<UnguardedPart>,
    mirrored_globs: Vec<String>,
    base_classes: Vec<String>,
}

/// A release to follow: the decision about it, and its content.
pub(super) struct ComparedRelease {
    pub(super) decision: SyncDecision,
    pub(super) new_sources: ReleaseSources,
}

impl<'a> ReleaseComparison<'a> {
    pub(super) async fn new(
        request: &'a DecisionRequest<'a>,
        history: &ReleaseHistory<'_>,
        available: &AvailableReleases,
    ) -> Result<Self, SyncDecisionError> {
        let DecisionRequest { job, project, manifest, .. } = *request;
        let pairs = file_counterparts(job, project);
        let (used_definitions, unreported) =
            project_copies::load_project_copies(job, project, &pairs, history.sources.reader).await;
        let bases: Vec<String> = used_definitions.inherited.iter().cloned().collect();
        let mirrored: Vec<String> = pairs.iter().map(|(theirs, _)| escape(theirs)).collect();
        let query = ReleaseQuery { manifest, mirrored_globs: mirrored.clone(), base_classes: &bases };
        let from = available.from.clone();
        let before = history.read_sources(&from, &query).await?;
        let has_hashes = available.requirement.as_ref().is_some_and(|requirement| requirement.has_hashes);
        Ok(Self {
            request,
            spec: available.spec().cloned(),
            // pip requires an exact version beside digests.
            style: if has_hashes { RangeStyle::Exact } else { job.style },
            has_hashes,
            from,
            old_sources: before,
            project_facts: used_definitions,
            unreadable_part: unreported,
            mirrored_globs: mirrored,
            base_classes: bases,
        })
    }

    /// Compares the starting release with the release `to`.
    pub(super) async fn compare_with(
        &self,
        history: &ReleaseHistory<'_>,
        to: &PackageVersion,
    ) -> Result<ComparedRelease, SyncDecisionError> {
        let DecisionRequest { job, project, manifest, .. } = *self.request;
        let request = ReleaseQuery {
            manifest,
            mirrored_globs: self.mirrored_globs.clone(),
            base_classes: &self.base_classes,
        };
        let after = history.read_sources(to, &request).await?;
        let harmless = match &self.unreadable_part {
            // If the project cannot be read, its imports are unknown, so no change counts as harmless.
            Some(_) => BTreeMap::new(),
            None => {
                let file = project.join(&job.constraint_file);
                DependentProject::read(project, &requirement_place(job, &file), &self.project_facts.imports)
                    .harmless_changes(&self.old_sources, &after)
            }
        };
        let step = SyncDecisionInput {
            in_range: self.spec.as_ref().is_some_and(|spec| spec.contains(to)),
            is_major: self.from.may_break_compatibility(to),
            inherited_classes: &self.project_facts.inherited,
            harmless_requirements: &harmless,
            manifest,
            old_release: &self.old_sources,
            new_release: &after,
        };
        let mut decision = decide_sync(&step);
        decision.unguarded_parts.extend(self.unreadable_part.clone());
        Ok(ComparedRelease { decision, new_sources: after })
    }

    /// Completes the decision about a release: adds the new range, and adds to each change the first release
    /// that contains it.
    pub(super) async fn complete_decision(
        &self,
        history: &mut ReleaseHistory<'_>,
        to: PackageVersion,
        compared_release: ComparedRelease,
    ) -> Result<ReleaseDecision, SyncDecisionError> {
        let ComparedRelease { mut decision, new_sources: after } = compared_release;
        let is_open = |spec: &&VersionRange| spec.contains(&to) && spec.contains_next_patch(&to);
        if let Some(spec) = self.spec.as_ref().filter(is_open) {
            decision.reason += &open_range_reason(spec, &to);
        }
        let floor =
            history.find_change_releases(&mut decision, &self.from, &self.old_sources, &to, &after).await?;
        let hashes = self.archive_hashes(history, &to);
        let relaxed = self.spec.as_ref().map(|spec| self.new_range(history, spec, &to, None, &hashes));
        let new_range = match decision.verdict {
            SyncVerdict::Skip => self.spec.clone().map(Ok),
            SyncVerdict::Relax => relaxed.clone(),
            SyncVerdict::Bump => {
                let floor = Some(floor.as_ref().unwrap_or(&to));
                self.spec.as_ref().map(|spec| self.new_range(history, spec, &to, floor, &hashes))
            }
            SyncVerdict::Ask => None,
        };
        let (from, spec_before, style) = (self.from.clone(), self.spec.clone(), self.style);
        let mut decided = ReleaseDecision {
            from,
            to,
            spec_before,
            spec_after: None,
            decision,
            classification: None,
            style,
            relaxed,
            hashes,
            outdated_lock_file: lock_files::outdated_lock_file(self.request.project, self.request.job),
        };
        decided.set_new_range(new_range);
        Ok(decided)
    }

    /// Returns the digests of a release's archives, as options of pip; empty if the project lists no digests,
    /// or if the index does not report them.
    fn archive_hashes(&self, history: &ReleaseHistory<'_>, to: &PackageVersion) -> Vec<String> {
        let release = history.releases.iter().find(|release| self.has_hashes && release.version == *to);
        let digests = release.into_iter().flat_map(|release| &release.sha256_digests);
        digests.map(|digest| format!("sha256:{digest}")).collect()
    }

    /// Returns the range that includes the release; or the reason why a person must write the range.
    fn new_range(
        &self,
        history: &ReleaseHistory<'_>,
        spec: &VersionRange,
        to: &PackageVersion,
        floor: Option<&PackageVersion>,
        hashes: &[String],
    ) -> Result<VersionRange, String> {
        let range = spec.with_release(self.style, to, floor);
        let range =
            range.ok_or_else(|| format!("the range {spec} cannot be rewritten so that it includes {to}"))?;
        if self.has_hashes && hashes.is_empty() {
            return Err(format!("the index does not report the digest of each archive of {to}"));
        }
        match self.range_problem(history, floor.is_none(), spec, &range) {
            Some(problem) => Err(problem),
            None => Ok(range),
        }
    }

    /// Compares the ranges by the releases that exist. Returns the reason if a wider range excludes a release
    /// that the project admitted, or if the new range admits an older release that the project left out.
    fn range_problem(
        &self,
        history: &ReleaseHistory<'_>,
        is_relax: bool,
        before: &VersionRange,
        after: &VersionRange,
    ) -> Option<String> {
        // The floor of a port excludes earlier releases on purpose. A pin excludes the others, and so do the
        // styles of one version and of compatible versions, which the operator chooses.
        let keeps_releases = matches!(self.style, RangeStyle::Keep | RangeStyle::ExclusiveUpperNextPatch);
        let must_include = is_relax && keeps_releases && !before.is_pin();
        let stable = || history.releases.iter().filter(is_stable).map(|release| &release.version);
        let mut installable = history.releases.iter().filter(|release| !release.is_yanked);
        let lost = installable
            .find(|release| {
                must_include && before.admits(&release.version) && !after.contains(&release.version)
            })
            .map(|release| &release.version);
        if let Some(lost) = lost {
            return Some(format!("the range {after} would exclude {lost}, which the project admits"));
        }
        let added = stable()
            .find(|version| **version < self.from && after.contains(version) && !before.contains(version))?;
        Some(format!("the range {after} would admit {added}, which the project excludes"))
    }

    /// Returns all changed definitions, pinned or not, each with its lines in both releases.
    pub(super) async fn patches(
        &self,
        history: &ReleaseHistory<'_>,
        to: &PackageVersion,
        compared_release: &ComparedRelease,
    ) -> Result<Vec<DefinitionPatch>, SyncDecisionError> {
        let releases = ReleasePair {
            history,
            from: &self.from,
            old_sources: &self.old_sources,
            to,
            new_sources: &compared_release.new_sources,
        };
        releases.patches(&compared_release.decision).await
    }

    /// Returns the newest release before `to` that requires only a wider range. The binary search assumes
    /// that later releases keep a change. A release that cannot be fetched or read counts as a release that
    /// requires more than a wider range.
    pub(super) async fn newest_range_only_release(
        &self,
        history: &ReleaseHistory<'_>,
        to: &PackageVersion,
    ) -> Option<PackageVersion> {
        let is_excluded =
            |version: &PackageVersion| self.spec.as_ref().is_some_and(|spec| spec.excludes_by_name(version));
        let between = history.releases.iter().filter(is_stable).map(|release| &release.version);
        let between: Vec<&PackageVersion> = between
            .filter(|version| **version > self.from && *version < to && !is_excluded(version))
            .collect();
        let (mut found, mut rest) = (None, between.as_slice());
        while let Some(middle) = rest.get(rest.len() / 2).copied() {
            let (before, after) = rest.split_at(rest.len() / 2);
            let compared = self.compare_with(history, middle).await;
            let verdict = compared.map(|compared| compared.decision.verdict);
            if matches!(verdict, Ok(SyncVerdict::Skip | SyncVerdict::Relax)) {
                found = Some(middle.clone());
                rest = after.get(1..).unwrap_or_default();
            } else {
                rest = before;
            }
        }
        found
    }
}

/// Returns a remark for the reason of a decision: the range also contains later releases, which are not
/// checked.
fn open_range_reason(spec: &VersionRange, to: &PackageVersion) -> String {
    let later = match spec.has_upper_bound() {
        true => format!("releases after {to}"),
        false => "all later releases".to_owned(),
    };
    format!("; the range also contains {later}, which are not checked: let the range end after {to}")
}
