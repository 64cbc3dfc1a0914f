//! Stores the history of a run's findings, and decides whether the run makes progress.
//!
//! Auditors never see this history, so each audit is independent of the earlier audits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ConvergeExitCode, FixerVerdict, LineOrigin};
use crate::dismissal::{self, Dismissal};
use crate::finding::{Finding, FindingStatus};
use crate::id::{FindingId, Sha};
use crate::identity::{FindingFacts, PlacedFinding};

/// The run ends when the same finding was found again this number of times after claimed fixes.
const MAX_RECURRENCES: u32 = 3;
/// Number of consecutive fixes without a resolved finding after which the run ends.
const PLATEAU_FIX_COUNT: usize = 3;

/// All findings of a run, and its audits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingHistory {
    findings: Vec<Finding>,
    /// Most recently observed origin of each finding's lines.
    origins: BTreeMap<FindingId, LineOrigin>,
    /// Number of times that each finding was found again after a claimed fix.
    returns: BTreeMap<FindingId, u32>,
    /// Audits since progress was last restarted, oldest first.
    marks: Vec<PastAudit>,
    /// Audits before progress was restarted. They are kept to recognise a fix that restores an audited tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<PastAudit>,
}

/// The findings of one audit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct PastAudit {
    number: u32,
    /// Tree of the audited head.
    tree: Sha,
    #[serde(rename = "found")]
    finding_ids: BTreeSet<FindingId>,
}

impl FindingHistory {
    /// Returns all findings, in no particular order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the origin of a finding's lines.
    pub fn origin(&self, id: &FindingId) -> Option<LineOrigin> {
        self.origins.get(id).copied()
    }

    /// Returns the findings that fixers declined and that still exist.
    pub fn declined_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.status, FindingStatus::Declined(_)))
    }

    /// Returns the findings of this run that are dismissed.
    pub fn dismissed_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.status, FindingStatus::Dismissed(_)))
    }

    /// Applies users' dismissals, including dismissals of findings from before this run.
    pub(super) fn add_dismissals(&mut self, dismissals: &[Dismissal]) {
        dismissal::add_dismissed_findings(&mut self.findings, dismissals);
    }

    /// Copies the current status of each of these findings from the history.
    pub(super) fn apply_statuses<'a>(&self, audit_findings: impl Iterator<Item = &'a mut Finding>) {
        for finding in audit_findings {
            if let Some(known) = self.findings.iter().find(|known| known.id == finding.id) {
                finding.status = known.status.clone();
            }
        }
    }

    /// Records the findings of an audit.
    pub(super) fn record_audit(&mut self, number: u32, tree: &Sha, audit_findings: &[Finding]) {
        let audit_findings = audit_findings.iter().map(|finding| finding.id.clone()).collect();
        self.marks.push(PastAudit { number, tree: tree.clone(), finding_ids: audit_findings });
    }

    /// Records reported findings. `origins` contains the origin of the lines of each finding, in the order of
    /// the findings.
    pub(super) fn record_sightings(&mut self, reported_findings: &[Finding], origins: &[LineOrigin]) {
        for (finding, origin) in reported_findings.iter().zip(origins) {
            let before = self.findings.iter().position(|known| known.id == finding.id);
            match before.and_then(|at| self.findings.get_mut(at)) {
                Some(known) => {
                    if matches!(known.status, FindingStatus::Claimed | FindingStatus::Fixed(_)) {
                        let returns = self.returns.entry(finding.id.clone()).or_default();
                        *returns = returns.saturating_add(1);
                    }
                    *known = finding.clone();
                }
                None => self.findings.push(finding.clone()),
            }
            self.origins.insert(finding.id.clone(), *origin);
        }
    }

    /// Returns the findings that a fixer reported as fixed although their code still exists. Such a finding
    /// is not fixed, even if no auditor reports it. Findings on lines for which an auditor reports a finding
    /// are left out.
    pub(super) fn unfixed_findings(
        &self,
        standing_findings: BTreeMap<FindingId, PlacedFinding>,
        reported_findings: &[PlacedFinding],
    ) -> Vec<(PlacedFinding, LineOrigin)> {
        let is_claimed = |finding: &&Finding| finding.status == FindingStatus::Claimed;
        let claimed: BTreeSet<&FindingId> =
            self.findings.iter().filter(is_claimed).map(|finding| &finding.id).collect();
        let is_found = |placed: &PlacedFinding| {
            let place = &placed.raw.location;
            let is_there = |other: &PlacedFinding| {
                let (place, other) = (place, &other.raw.location);
                place.path == other.path
                    && place.start_line <= other.end_line
                    && other.start_line <= place.end_line
            };
            reported_findings.iter().any(is_there)
        };
        let held =
            standing_findings.into_iter().filter(|(id, placed)| claimed.contains(id) && !is_found(placed));
        held.map(|(id, placed)| {
            let origin = self.origin(&id).unwrap_or(LineOrigin::Change);
            let sighting = FindingFacts { earlier_id: Some(id), ..placed.sighting };
            (PlacedFinding { sighting, ..placed }, origin)
        })
        .collect()
    }

    /// Updates the known findings that an audit of `head` did not find. A declined finding stays declined
    /// until its code is gone, even if no audit finds it again.
    pub(super) fn update_missing_findings(
        &mut self,
        missing_findings: Vec<Finding>,
        standing_ids: &BTreeSet<FindingId>,
        head: &Sha,
    ) {
        for mut finding in missing_findings {
            if let (FindingStatus::Declined(_), false) = (&finding.status, standing_ids.contains(&finding.id))
            {
                finding.status = FindingStatus::Fixed(head.clone());
            }
            if let Some(known) = self.findings.iter_mut().find(|known| known.id == finding.id) {
                *known = finding;
            }
        }
    }

    /// Forgets the audits after the head has changed, because audits of other code do not show the progress
    /// of fixes.
    pub(super) fn clear_past_audits(&mut self) {
        self.marks.clear();
    }

    /// Returns true if the newest audit has this number and this tree.
    pub(super) fn has_audited(&self, number: u32, tree: &Sha) -> bool {
        self.marks.last().is_some_and(|mark| mark.number == number && mark.tree == *tree)
    }

    /// Restarts the progress from the newest audit: earlier audits and repeated findings no longer count as a
    /// lack of progress.
    pub(super) fn restart_progress(&mut self) {
        let all = self.marks.len().saturating_sub(1);
        self.earlier.extend(self.marks.drain(..all));
        self.returns.clear();
    }

    /// Records the fixer's verdict on each finding of the preceding audit.
    pub(super) fn record_fixer_verdicts(
        &mut self,
        audit_findings: &[Finding],
        verdicts: &BTreeMap<FindingId, FixerVerdict>,
    ) {
        let audit_findings: BTreeSet<&FindingId> = audit_findings.iter().map(|finding| &finding.id).collect();
        for known in self.findings.iter_mut().filter(|known| audit_findings.contains(&known.id)) {
            known.status = match verdicts.get(&known.id) {
                Some(FixerVerdict::Fixed) => FindingStatus::Claimed,
                Some(FixerVerdict::Declined(why)) => FindingStatus::Declined(why.clone()),
                None => FindingStatus::Declined("the fixer did not report on the finding".to_owned()),
            };
        }
    }

    /// Returns a reason to end the run if an earlier audit examined the same tree. Such a fix reverts an
    /// earlier fix.
    pub(super) fn reverted_tree_reason(&self, tree: &Sha) -> Option<String> {
        let mark = self.earlier.iter().chain(&self.marks).find(|mark| mark.tree == *tree)?;
        Some(format!(
            "the fix restores the files as they were at audit {}: the fixes undo each other",
            mark.number
        ))
    }

    /// Returns an exit code and a reason if one of these findings was found again too many times.
    pub(super) fn recurrence_exit<'a>(
        &self,
        mut finding_ids: impl Iterator<Item = &'a FindingId>,
    ) -> Option<(ConvergeExitCode, String)> {
        let worn =
            finding_ids.find(|id| self.returns.get(*id).is_some_and(|many| *many >= MAX_RECURRENCES))?;
        let finding = self.findings.iter().find(|finding| finding.id == *worn)?;
        let place = &finding.raw.location;
        let reason = format!(
            "a finding does not converge: {}:{} ({}) was found again after {MAX_RECURRENCES} fixes",
            place.path, place.start_line, finding.raw.title
        );
        Some((ConvergeExitCode::NotConverging, reason))
    }

    /// Returns an exit code and a reason if the run makes no progress.
    pub(super) fn standstill_exit(&self) -> Option<(ConvergeExitCode, String)> {
        let newest = self.marks.last()?;
        if let Some(worn) = self.recurrence_exit(newest.finding_ids.iter()) {
            return Some(worn);
        }
        if let [.., one, two, three, four] = self.marks.as_slice()
            && one.finding_ids == three.finding_ids
            && two.finding_ids == four.finding_ids
            && one.finding_ids != two.finding_ids
        {
            let reason =
                format!("audits {} to {} alternate between two sets of findings", one.number, four.number);
            return Some((ConvergeExitCode::Oscillation, reason));
        }
        let last =
            self.marks.len().checked_sub(PLATEAU_FIX_COUNT + 1).and_then(|from| self.marks.get(from..))?;
        let resolves_nothing = last.windows(2).all(|pair| match pair {
            [before, after] => {
                !before.finding_ids.is_empty() && before.finding_ids.is_subset(&after.finding_ids)
            }
            _ => false,
        });
        resolves_nothing.then(|| {
            (ConvergeExitCode::Plateau, format!("the last {PLATEAU_FIX_COUNT} fixes resolved no findings"))
        })
    }
}
