//! What became of everything that a run's audits found, and whether the run gets on (spec/converge.md A23).
//!
//! Auditors never see it: each looks with fresh eyes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ConvergeExitCode, FixerVerdict, LineOrigin};
use crate::dismissal::{self, Dismissal};
use crate::finding::{Finding, FindingStatus};
use crate::id::{FindingId, Sha};
use crate::identity::{FindingFacts, PlacedFinding};

/// A finding that was said to be fixed and is found again so often will not be fixed.
const MAX_RETURNS: u32 = 3;
/// Fixes in a row that resolve nothing.
const PLATEAU: usize = 3;

/// Everything that a run found, and its audits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingHistory {
    findings: Vec<Finding>,
    /// Where the lines of each come from, as it was seen last.
    origins: BTreeMap<FindingId, LineOrigin>,
    /// How often each was found after it was said to be fixed.
    returns: BTreeMap<FindingId, u32>,
    /// The audits, oldest first.
    marks: Vec<PastAudit>,
    /// Those before the run was started again: what they found in a tree still holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<PastAudit>,
}

/// What an audit saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct PastAudit {
    /// Which audit.
    number: u32,
    /// The tree of its head.
    tree: Sha,
    /// What it found.
    found: BTreeSet<FindingId>,
}

impl FindingHistory {
    /// Everything that was found, in no order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Where a finding's lines come from.
    pub fn origin(&self, id: &FindingId) -> Option<LineOrigin> {
        self.origins.get(id).copied()
    }

    /// What fixers declined and stands as it was.
    pub fn declined(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.status, FindingStatus::Declined(_)))
    }

    /// Dismissals that apply to findings of this run.
    pub fn dismissed_now(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.status, FindingStatus::Dismissed(_)))
    }

    /// People have dismissed this: also what was found before this run.
    pub(super) fn dismissed(&mut self, said: &[Dismissal]) {
        dismissal::remember(&mut self.findings, said);
    }

    /// Gives these the status that they have by now.
    pub(super) fn tell<'a>(&self, found: impl Iterator<Item = &'a mut Finding>) {
        for finding in found {
            if let Some(known) = self.findings.iter().find(|known| known.id == finding.id) {
                finding.status = known.status.clone();
            }
        }
    }

    /// After an audit: what it found.
    pub(super) fn audited(&mut self, number: u32, tree: &Sha, found: &[Finding]) {
        let found = found.iter().map(|finding| finding.id.clone()).collect();
        self.marks.push(PastAudit { number, tree: tree.clone(), found });
    }

    /// Somebody has found this, with `origins` in the same order.
    pub(super) fn seen(&mut self, found: &[Finding], origins: &[LineOrigin]) {
        for (finding, origin) in found.iter().zip(origins) {
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

    /// What was said to be fixed and stands where it stood, if nobody has found it there again: it is not fixed, whoever is
    /// silent of it.
    pub(super) fn unfixed(
        &self,
        standing: BTreeMap<FindingId, PlacedFinding>,
        found: &[PlacedFinding],
    ) -> Vec<(PlacedFinding, LineOrigin)> {
        let is_claimed = |finding: &&Finding| finding.status == FindingStatus::Claimed;
        let claimed: BTreeSet<&FindingId> =
            self.findings.iter().filter(is_claimed).map(|finding| &finding.id).collect();
        let is_found = |placed: &PlacedFinding| {
            let place = &placed.raw.place;
            let is_there = |other: &PlacedFinding| {
                let (place, other) = (place, &other.raw.place);
                place.path == other.path
                    && place.start_line <= other.end_line
                    && other.start_line <= place.end_line
            };
            found.iter().any(is_there)
        };
        let held = standing.into_iter().filter(|(id, placed)| claimed.contains(id) && !is_found(placed));
        held.map(|(id, placed)| {
            let origin = self.origin(&id).unwrap_or(LineOrigin::Change);
            let sighting = FindingFacts { of: Some(id), ..placed.sighting };
            (PlacedFinding { sighting, ..placed }, origin)
        })
        .collect()
    }

    /// After an audit of `head`: what is known and was not found. What was declined is so until its code is gone: no auditor
    /// need find it again.
    pub(super) fn gone(&mut self, gone: Vec<Finding>, standing: &BTreeSet<FindingId>, head: &Sha) {
        for mut finding in gone {
            if let (FindingStatus::Declined(_), false) = (&finding.status, standing.contains(&finding.id)) {
                finding.status = FindingStatus::Fixed(head.clone());
            }
            if let Some(known) = self.findings.iter_mut().find(|known| known.id == finding.id) {
                *known = finding;
            }
        }
    }

    /// Somebody else has pushed: what audits of other code found shows nothing of how fixes get on.
    pub(super) fn moved(&mut self) {
        self.marks.clear();
    }

    /// Is this the newest audit, and of this tree?
    pub(super) fn has_audited(&self, number: u32, tree: &Sha) -> bool {
        self.marks.last().is_some_and(|mark| mark.number == number && mark.tree == *tree)
    }

    /// Fixers are asked anew for what the newest audit found: how fixes before it got on counts no more.
    pub(super) fn begin_again(&mut self) {
        let all = self.marks.len().saturating_sub(1);
        self.earlier.extend(self.marks.drain(..all));
        self.returns.clear();
    }

    /// After a fix: what its fixer says of each finding of the audit before.
    pub(super) fn answered(&mut self, found: &[Finding], words: &BTreeMap<FindingId, FixerVerdict>) {
        let found: BTreeSet<&FindingId> = found.iter().map(|finding| &finding.id).collect();
        for known in self.findings.iter_mut().filter(|known| found.contains(&known.id)) {
            known.status = match words.get(&known.id) {
                Some(FixerVerdict::Fixed) => FindingStatus::Claimed,
                Some(FixerVerdict::Declined(why)) => FindingStatus::Declined(why.clone()),
                None => FindingStatus::Declined("the fixer said nothing of it".to_owned()),
            };
        }
    }

    /// Is this what an earlier audit has seen already? Then a fix has undone another one.
    pub(super) fn returns_to(&self, tree: &Sha) -> Option<String> {
        let mark = self.earlier.iter().chain(&self.marks).find(|mark| mark.tree == *tree)?;
        Some(format!("the fix leads back to the files of audit {}: fixes undo each other", mark.number))
    }

    /// One of these comes back after each fix.
    pub(super) fn worn<'a>(
        &self,
        mut found: impl Iterator<Item = &'a FindingId>,
    ) -> Option<(ConvergeExitCode, String)> {
        let worn = found.find(|id| self.returns.get(*id).is_some_and(|many| *many >= MAX_RETURNS))?;
        let finding = self.findings.iter().find(|finding| finding.id == *worn)?;
        let place = &finding.raw.place;
        let reason = format!(
            "finding not converging: {}:{} ({}) was found again after {MAX_RETURNS} fixes",
            place.path, place.start_line, finding.raw.title
        );
        Some((ConvergeExitCode::NotConverging, reason))
    }

    /// Why it is no use to go on, if it is none.
    pub(super) fn standstill(&self) -> Option<(ConvergeExitCode, String)> {
        let newest = self.marks.last()?;
        if let Some(worn) = self.worn(newest.found.iter()) {
            return Some(worn);
        }
        if let [.., one, two, three, four] = self.marks.as_slice()
            && one.found == three.found
            && two.found == four.found
            && one.found != two.found
        {
            let reason =
                format!("audits {} to {} find two sets of findings in turns", one.number, four.number);
            return Some((ConvergeExitCode::Oscillation, reason));
        }
        let last = self.marks.len().checked_sub(PLATEAU + 1).and_then(|from| self.marks.get(from..))?;
        let resolves_nothing = last.windows(2).all(|pair| match pair {
            [before, after] => !before.found.is_empty() && before.found.is_subset(&after.found),
            _ => false,
        });
        resolves_nothing.then(|| {
            (ConvergeExitCode::Plateau, format!("the last {PLATEAU} fixes resolved nothing that was found"))
        })
    }
}
