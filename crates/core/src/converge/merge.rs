//! Merges the findings of several auditors into one list.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::PlacedFinding;

/// Maximum distance, in lines, between two findings of the same kind in the same file that are merged.
const MAX_MERGE_DISTANCE_LINES: u32 = 3;

/// The origin of the lines on which a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineOrigin {
    /// The lines existed before the change.
    PreExisting,
    /// The change introduced the lines.
    Change,
    /// A fix of this run introduced the lines.
    Fix,
}

/// One finding of one auditor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditorFinding {
    /// The finding, with the location of its comment.
    pub placed: PlacedFinding,
    /// Origin of the lines.
    pub origin: LineOrigin,
}

/// A finding with the auditors that reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MergedFinding {
    pub finding: AuditorFinding,
    /// Indices of the auditors.
    pub auditors: BTreeSet<u32>,
}

/// Returns the merged findings of all auditors. Findings of the same kind on nearby lines of a file become
/// one finding. A merged finding has the highest severity and the longest text of its findings; if several
/// texts are equally long, it has the first of them. The list is sorted by severity, file, line, kind and
/// auditor.
pub(super) fn merge_findings(answers: BTreeMap<u32, Vec<AuditorFinding>>) -> Vec<MergedFinding> {
    let mut all: Vec<(u32, AuditorFinding)> = answers
        .into_iter()
        .flat_map(|(auditor, claims)| claims.into_iter().map(move |claim| (auditor, claim)))
        .collect();
    all.sort_by(|(by, one), (other_by, other)| {
        let key = |claim: &AuditorFinding| {
            let raw = &claim.placed.raw;
            (raw.location.path.clone(), raw.location.side, raw.category, raw.location.start_line)
        };
        key(one).cmp(&key(other)).then(by.cmp(other_by))
    });
    let mut merged: Vec<MergedFinding> = Vec::new();
    for (auditor, claim) in all {
        match merged.last_mut().filter(|last| is_same_finding(last, auditor, &claim)) {
            Some(last) => {
                let severity = last.finding.placed.raw.severity.min(claim.placed.raw.severity);
                if claim.placed.raw.body.len() > last.finding.placed.raw.body.len() {
                    last.finding = claim;
                }
                last.finding.placed.raw.severity = severity;
                last.auditors.insert(auditor);
            }
            None => merged.push(MergedFinding { finding: claim, auditors: BTreeSet::from([auditor]) }),
        }
    }
    merged.sort_by_key(|merged| {
        let raw = &merged.finding.placed.raw;
        let (path, line) = (raw.location.path.clone(), raw.location.start_line);
        (raw.severity, path, line, raw.category, merged.auditors.first().copied())
    });
    merged
}

/// Returns true if both findings describe the same defect. Findings of one auditor stay separate, unless they
/// are on the same line.
fn is_same_finding(merged_finding: &MergedFinding, auditor: u32, finding: &AuditorFinding) -> bool {
    let (was, is) = (&merged_finding.finding.placed.raw, &finding.placed.raw);
    let near = was.location.start_line.abs_diff(is.location.start_line);
    let same_kind = was.location.path == is.location.path
        && was.location.side == is.location.side
        && was.category == is.category;
    same_kind
        && (near == 0 || near <= MAX_MERGE_DISTANCE_LINES && !merged_finding.auditors.contains(&auditor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code_digest::CodeDigests;
    use crate::finding::{
        AnchorKind, CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding, Severity,
    };
    use crate::identity::FindingFacts;

    fn claim(path: &str, line: u32, category: DefectCategory, severity: Severity) -> AuditorFinding {
        let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
        let raw = RawFinding {
            location: place.clone(),
            severity,
            category,
            rule: String::new(),
            title: "defect".to_owned(),
            body: "what breaks".to_owned(),
            snippet: String::new(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Agent,
            specialists: Vec::new(),
        };
        let sighting = FindingFacts::default();
        let placed = PlacedFinding {
            raw,
            anchor: AnchorKind::Inline,
            comment_location: place,
            old_path: None,
            sighting,
        };
        AuditorFinding { placed, origin: LineOrigin::Change }
    }

    #[test]
    fn auditors_of_one_loop_are_merged() {
        let a = claim("a.py", 10, DefectCategory::F, Severity::P2);
        let mut near = claim("a.py", 12, DefectCategory::F, Severity::P0);
        near.placed.raw.body = "what breaks, and why".into();
        let other = claim("a.py", 10, DefectCategory::H, Severity::P1);
        let own = claim("a.py", 13, DefectCategory::F, Severity::P1);
        let answers = BTreeMap::from([(0, vec![a, own]), (1, vec![near.clone()]), (2, vec![other])]);
        let merged = merge_findings(answers);
        let told: Vec<_> = merged
            .iter()
            .map(|merged| {
                let raw = &merged.finding.placed.raw;
                (
                    raw.severity,
                    raw.location.start_line,
                    raw.category,
                    merged.auditors.iter().copied().collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                // The merged finding has the highest severity and the longest text. The two findings of
                // auditor 0 stay separate.
                (Severity::P0, 12, DefectCategory::F, vec![0, 1]),
                (Severity::P1, 10, DefectCategory::H, vec![2]),
                (Severity::P1, 13, DefectCategory::F, vec![0]),
            ]
        );
        assert_eq!(merged[0].finding.placed.raw.body, near.placed.raw.body);
    }
}
