//! Compares the release that a project was made for with later releases. Determines what each release
//! requires of the project, and the newest earlier release that requires only a wider range.

use std::collections::BTreeMap;

use globset::escape;
use truing_core::sync::{
    ReleaseSources, SyncDecision, SyncDecisionInput, SyncVerdict, UnguardedPart, decide_sync,
};
use truing_core::version::PackageVersion;
use truing_reader::sources::ProjectFacts;
use truing_upstream::range::VersionRange;
use truing_upstream::requirement_changes::DependentProject;

use super::history::{ReleaseHistory, ReleaseQuery};
use super::patch::{DefinitionPatch, ReleasePair};
use super::place::requirement_place;
use super::{
    DecisionRequest, ReleaseDecision, SyncDecisionError, file_counterparts, is_stable, open_range_reason,
    project_copies,
};

/// The starting point of comparisons: the release that the project was made for, and the parts of it that the
/// project uses.
pub(super) struct ReleaseComparison<'a> {
    request: &'a DecisionRequest<'a>,
    spec: Option<VersionRange>,
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
        spec: Option<VersionRange>,
        from: PackageVersion,
    ) -> Result<Self, SyncDecisionError> {
        let DecisionRequest { job, project, manifest, .. } = *request;
        let pairs = file_counterparts(job, project);
        let (used_definitions, unreported) =
            project_copies::load_project_copies(job, project, &pairs, history.sources.reader).await;
        let bases: Vec<String> = used_definitions.inherited.iter().cloned().collect();
        let mirrored: Vec<String> = pairs.iter().map(|(theirs, _)| escape(theirs)).collect();
        let query = ReleaseQuery { manifest, mirrored_globs: mirrored.clone(), base_classes: &bases };
        let before = history.read_sources(&from, &query).await?;
        Ok(Self {
            request,
            spec,
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
        let is_open = |spec: &VersionRange| spec.contains(&to) && spec.contains_next_patch(&to);
        if self.spec.as_ref().is_some_and(is_open) {
            decision.reason += &open_range_reason(&to);
        }
        let floor =
            history.find_change_releases(&mut decision, &self.from, &self.old_sources, &to, &after).await?;
        let style = self.request.job.style;
        let spec_after = self.spec.as_ref().and_then(|spec| match decision.verdict {
            SyncVerdict::Skip => Some(spec.clone()),
            SyncVerdict::Relax => spec.with_release(style, &to, None),
            SyncVerdict::Bump => spec.with_release(style, &to, Some(floor.as_ref().unwrap_or(&to))),
            SyncVerdict::Ask => None,
        });
        let (from, spec_before) = (self.from.clone(), self.spec.clone());
        Ok(ReleaseDecision { from, to, spec_before, spec_after, decision, classification: None })
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
