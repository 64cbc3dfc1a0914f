//! Detects findings that already existed at the base. Findings that existed before are therefore not reported
//! again if the change only moves, re-indents or renames code.
//!
//! Each linter with findings on the change also runs on the base. On the base, only findings on lines that
//! the change removes are compared. A finding on an added line is old if its rule, message and code equal
//! those of a finding on a removed line. The comparison ignores whitespace in the code and digits in the
//! message.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::finding::{FindingSource, RawFinding, fingerprint};
use truing_core::id::Fingerprint;
use truing_core::identity::PlacedFinding;
use truing_core::port::ChangedFile;
use truing_diff::{FileDiff, FileStatus, deleted_ranges};
use truing_reader::OMISSION_MARK;

/// Returns the files of the base from which a change removes lines, sorted by path. Each file contains the
/// ranges of its removed lines.
pub(super) fn files_with_removed_lines(
    changes: &[FileDiff<'_>],
    include_all_files: bool,
) -> Vec<ChangedFile> {
    let mut files: Vec<ChangedFile> = Vec::new();
    for file in changes {
        let removed = deleted_ranges(file);
        // With `include_all_files`, findings are accepted on all lines of a changed file, so files without
        // removed lines are included.
        if (removed.is_empty() && !include_all_files) || file.status == FileStatus::Added || file.is_binary {
            continue;
        }
        let path = file.old_path.as_ref().unwrap_or(&file.path).clone();
        files.push(ChangedFile { path, old_path: None, added_lines: removed, secrets_only: false });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

/// Returns the names of the linters with findings.
pub(super) fn reporting_linters(findings: &[PlacedFinding]) -> BTreeSet<String> {
    findings.iter().filter_map(|placed| placed.raw.tool()).map(str::to_owned).collect()
}

/// Removes linter findings on the head that match a finding on the base. Each finding on the base removes at
/// most one finding on the head. Returns the fingerprints of the removed findings.
pub(super) fn remove_base_findings(
    placed_findings: &mut Vec<PlacedFinding>,
    base_findings: &[RawFinding],
) -> BTreeSet<Fingerprint> {
    let mut taken = BTreeSet::new();
    let mut old: BTreeMap<FindingIdentity, usize> = BTreeMap::new();
    for raw in base_findings.iter().filter(|raw| raw.source == FindingSource::Tool) {
        *old.entry(finding_identity(raw)).or_default() += 1;
    }
    placed_findings.retain(|placed| {
        // Two hidden secrets look the same, so a finding on a new secret would wrongly match a finding on an
        // old one.
        let is_hidden = placed.raw.snippet.trim().is_empty() || placed.raw.snippet.contains(OMISSION_MARK);
        if placed.raw.source != FindingSource::Tool || is_hidden {
            return true;
        }
        match old.get_mut(&finding_identity(&placed.raw)) {
            Some(left @ 1..) => {
                *left -= 1;
                let RawFinding { rule, location: place, snippet, .. } = &placed.raw;
                taken.insert(fingerprint(rule, &place.path, snippet));
                false
            }
            Some(_) | None => true,
        }
    });
    taken
}

/// The rule, message and code of a finding. Findings with equal identities are treated as the same finding.
type FindingIdentity = (String, String, String);

fn finding_identity(raw: &RawFinding) -> FindingIdentity {
    let without_blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Digits are ignored, because line and column numbers in a message change when code moves.
    let words = raw.title.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    (raw.rule.clone(), words, without_blanks(&raw.snippet))
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{AnchorKind, CodeLocation, DefectCategory, DiffSide, Severity};
    use truing_core::identity::FindingFacts;

    use super::*;
    use truing_core::code_digest::CodeDigests;

    fn raw_finding(rule: &str, line: u32, title: &str, snippet: &str) -> RawFinding {
        RawFinding {
            location: CodeLocation {
                path: "a.py".into(),
                side: DiffSide::New,
                start_line: line,
                end_line: line,
            },
            severity: Severity::P2,
            category: DefectCategory::J,
            rule: rule.into(),
            title: title.into(),
            body: String::new(),
            snippet: snippet.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Tool,
        }
    }

    fn placed_finding(raw: RawFinding) -> PlacedFinding {
        let at = raw.location.clone();
        PlacedFinding {
            raw,
            anchor: AnchorKind::Inline,
            comment_location: at,
            old_path: None,
            sighting: FindingFacts::default(),
        }
    }

    #[test]
    fn code_that_is_moved_or_indented_keeps_its_findings_and_new_ones_are_told() {
        let mut found: Vec<PlacedFinding> = [
            raw_finding("ruff/E741", 9, "Ambiguous variable name: `l` (line 9)", "        l = 1"),
            raw_finding("ruff/E741", 12, "Ambiguous variable name: `l` (line 12)", "l = 1"),
            raw_finding("ruff/F401", 3, "`os` imported but unused", "import os"),
        ]
        .into_iter()
        .map(placed_finding)
        .collect();
        let base = [raw_finding("ruff/E741", 4, "Ambiguous variable name: `l` (line 4)", "    l = 1")];
        let taken = remove_base_findings(&mut found, &base);
        assert_eq!(taken, [fingerprint("ruff/E741", &"a.py".into(), "l = 1")].into());
        let lines: Vec<u32> = found.iter().map(|placed| placed.raw.location.start_line).collect();
        assert_eq!(lines, [12, 3], "one of two equal ones is old, not both");
    }

    #[test]
    fn a_finding_of_a_rule_is_none_of_a_linter() {
        let rule = RawFinding { source: FindingSource::Rule, ..raw_finding("core/x", 1, "t", "s") };
        let mut found = vec![placed_finding(rule.clone())];
        assert!(remove_base_findings(&mut found, &[rule]).is_empty());
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn removed_lines_are_those_of_the_base_under_its_names() {
        let diff = b"diff --git a/old.py b/new.py\nsimilarity index 60%\nrename from old.py\nrename to \
            new.py\n--- a/old.py\n+++ b/new.py\n@@ -3,3 +3,2 @@\n-a\n-b\n c\n+d\ndiff --git a/added.py \
            b/added.py\nnew file mode 100644\n--- /dev/null\n+++ b/added.py\n@@ -0,0 +1 @@\n+x\ndiff --git \
            a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 \
            @@\n-x\n";
        let files: Vec<_> = files_with_removed_lines(&truing_diff::parse(diff).files, false)
            .into_iter()
            .map(|file| (file.path.to_string(), file.added_lines))
            .collect();
        assert_eq!(files, [("gone.py".into(), vec![(1, 1)]), ("old.py".into(), vec![(3, 4)])]);
    }
}
