//! Removes duplicate findings. If two linters report the same defect, only one finding is reported. If a
//! linter implements one of Truing's own rules better, the findings of Truing's rule are dropped in files
//! that the linter inspected.
//!
//! Findings of two linters on one line report the same defect if the names of their rules are equal, or if
//! the table of tools equates the names.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::finding::{CodeLocation, FindingSource, RawFinding};
use truing_core::identity::PlacedFinding;
use truing_diff::RepoPath;
use truing_reader::output::known::{self, KnownTool};
use truing_reader::output::{DEFAULT_RULE_NAME, tool_name};

/// Counts the findings in all outputs of linters so far, to recognise repeated findings.
#[derive(Debug, Default)]
pub(crate) struct ReportedFindings {
    /// For each place, rule and message: the highest number of equal findings in any output so far.
    max_counts: BTreeMap<(CodeLocation, String, String), usize>,
    /// For each place, rule and message: the number of equal findings in the current output so far.
    output_counts: BTreeMap<(CodeLocation, String, String), usize>,
    /// For each defect on a line: the linter that reported it first, and the rules of other linters that
    /// reported it later.
    reporters: BTreeMap<(RepoPath, u32, String), (String, BTreeSet<String>)>,
}

impl ReportedFindings {
    /// Starts counting the findings of the next output.
    pub(crate) fn begin_output(&mut self) {
        self.output_counts.clear();
    }

    /// Records a finding. Returns true if no other linter, and no earlier output of the same linter, has
    /// reported the finding.
    pub(crate) fn record_if_new(&mut self, raw: &RawFinding) -> bool {
        // Two outputs may contain the same finding: the output of a linter that Truing runs, and an output
        // that the caller supplies. One output may also contain equal findings that differ only in their
        // column.
        let key = (raw.location.clone(), raw.rule.clone(), raw.title.clone());
        let count = self.output_counts.entry(key.clone()).or_default();
        *count += 1;
        let before = self.max_counts.entry(key).or_default();
        let is_first = *count > *before;
        *before = (*before).max(*count);
        let Some((tool, of_line)) = defect_key(raw) else { return is_first };
        let (first, others) =
            self.reporters.entry(of_line).or_insert_with(|| (tool.to_owned(), BTreeSet::new()));
        if first != tool {
            others.insert(raw.rule.clone());
            return false;
        }
        // The same linter may report a defect twice on one line, for example for two unused names.
        is_first
    }

    /// Adds to each finding the rules of other linters that report the same defect.
    pub(crate) fn add_duplicate_rules(&self, findings: &mut [PlacedFinding]) {
        for raw in
            findings.iter_mut().map(|placed| &mut placed.raw).filter(|raw| raw.source == FindingSource::Tool)
        {
            let others = defect_key(raw).and_then(|(tool, of_line)| {
                self.reporters.get(&of_line).filter(|(first, others)| first == tool && !others.is_empty())
            });
            let Some((_, others)) = others else { continue };
            let rules = others.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
            let space = if raw.body.is_empty() { "" } else { "\n\n" };
            raw.body += &format!("{space}Also found by {rules}.");
        }
    }
}

/// Returns the linter that reported a finding, and a key for the defect: the path, the line and the canonical
/// rule name. `None` if the linter did not report a rule.
fn defect_key(raw: &RawFinding) -> Option<(&str, (RepoPath, u32, String))> {
    let (tool, rule) = raw.rule.split_once('/').filter(|(_, rule)| *rule != DEFAULT_RULE_NAME)?;
    let meaning = find_known_tool(tool).map_or_else(|| rule.to_owned(), |known| known.canonical_rule(rule));
    Some((tool, (raw.location.path.clone(), raw.location.start_line, meaning)))
}

/// The files that each linter inspected in successful runs. The keys are the names of the linters in
/// findings.
pub(crate) type FilesByLinter = BTreeMap<String, BTreeSet<RepoPath>>;

/// Removes a finding of one of Truing's own rules if a linter that implements the rule better has inspected
/// the file. Returns the rule and the path of each removed finding. If the file was renamed, the rule is also
/// returned with the old path.
pub(crate) fn remove_replaced_findings(
    findings: &mut Vec<PlacedFinding>,
    inspected_files: &FilesByLinter,
) -> BTreeSet<(String, RepoPath)> {
    let looked: Vec<(&KnownTool, &BTreeSet<RepoPath>)> =
        inspected_files.iter().filter_map(|(name, files)| Some((find_known_tool(name)?, files))).collect();
    let mut taken = BTreeSet::new();
    findings.retain(|placed| {
        let RawFinding { rule, location: place, source, .. } = &placed.raw;
        let knows_better = |(known, files): &(&KnownTool, &BTreeSet<RepoPath>)| {
            known.replaces.contains(rule) && files.contains(&place.path)
        };
        let is_left = *source == FindingSource::Rule && looked.iter().any(knows_better);
        if is_left {
            let names = std::iter::once(&place.path).chain(&placed.old_path);
            taken.extend(names.map(|path| (rule.clone(), path.clone())));
        }
        !is_left
    });
    taken
}

/// Returns the known tool with this name in findings.
fn find_known_tool(name: &str) -> Option<&'static KnownTool> {
    known::known_tools().iter().find(|known| tool_name(&known.name) == name)
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{AnchorKind, DefectCategory, DiffSide, Severity};
    use truing_core::identity::FindingFacts;

    use super::*;
    use truing_core::code_digest::CodeDigests;

    fn raw_finding(rule: &str, path: &str, line: u32, title: &str) -> RawFinding {
        RawFinding {
            location: CodeLocation {
                path: path.into(),
                side: DiffSide::New,
                start_line: line,
                end_line: line,
            },
            severity: Severity::P2,
            category: DefectCategory::J,
            rule: rule.into(),
            title: title.into(),
            body: String::new(),
            snippet: String::new(),
            code: CodeDigests::default(),
            suggestion: None,
            source: if rule.starts_with("core/") { FindingSource::Rule } else { FindingSource::Tool },
        }
    }

    #[test]
    fn what_two_linters_say_of_a_line_is_told_once_and_what_one_says_twice_is_told_twice() {
        let mut told = ReportedFindings::default();
        let mut is_new =
            |rule: &str, line: u32, title: &str| told.record_if_new(&raw_finding(rule, "a.py", line, title));
        assert!(is_new("flake8/F401", 1, "'os' imported but unused"));
        assert!(is_new("flake8/F401", 1, "'sys' imported but unused"));
        assert!(is_new("flake8/F401", 1, "'sys' imported but unused"), "at another column");
        told.begin_output();
        let mut is_new =
            |rule: &str, line: u32, title: &str| told.record_if_new(&raw_finding(rule, "a.py", line, title));
        assert!(!is_new("flake8/F401", 1, "'sys' imported but unused"), "the same output again");
        assert!(!is_new("ruff/F401", 1, "`os` imported but unused"));
        assert!(!is_new("pylint/W0611", 1, "Unused import os"));
        assert!(is_new("ruff/F401", 2, "another line"));
        assert!(is_new("ruff/E741", 1, "another rule"));
        assert!(is_new("one/diagnostic", 1, "a linter without names of rules"));
        assert!(is_new("other/diagnostic", 1, "another one"));

        let placed = |rule: &str, line: u32| {
            let raw = raw_finding(rule, "a.py", line, "t");
            let at = raw.location.clone();
            PlacedFinding {
                raw,
                anchor: AnchorKind::Inline,
                comment_location: at,
                old_path: None,
                sighting: FindingFacts::default(),
            }
        };
        let mut found = [placed("flake8/F401", 1), placed("ruff/F401", 2)];
        told.add_duplicate_rules(&mut found);
        let bodies = found.map(|placed| placed.raw.body);
        assert_eq!(bodies, ["Also found by `pylint/W0611`, `ruff/F401`.", ""]);
    }

    #[test]
    fn a_rule_that_a_linter_knows_better_is_off_where_that_has_looked() {
        let placed = |rule: &str, path: &str| {
            let raw = raw_finding(rule, path, 1, "t");
            let at = raw.location.clone();
            PlacedFinding {
                raw,
                anchor: AnchorKind::Inline,
                comment_location: at,
                old_path: None,
                sighting: FindingFacts::default(),
            }
        };
        let rule = "core/python-assert-tuple";
        let all = || {
            vec![
                placed(rule, "a.py"),
                placed(rule, "other/a.py"),
                placed("core/focused-test", "a.py"),
                placed("ruff/F631", "a.py"),
            ]
        };
        let looked_at = |linter: &str, files: &[&str]| -> FilesByLinter {
            [(linter.to_owned(), files.iter().map(|file| RepoPath::from(*file)).collect())].into()
        };
        for looked in
            [FilesByLinter::default(), looked_at("ruff", &[]), looked_at("eslint", &["a.py", "other/a.py"])]
        {
            let mut found = all();
            assert!(remove_replaced_findings(&mut found, &looked).is_empty());
            assert_eq!(found.len(), 4, "{looked:?}");
        }
        let mut found = all();
        found[0].old_path = Some("before.py".into());
        let taken = remove_replaced_findings(&mut found, &looked_at("ruff", &["a.py", "b.py"]));
        assert_eq!(taken, [(rule.to_owned(), "a.py".into()), (rule.to_owned(), "before.py".into())].into());
        let left: Vec<_> =
            found.iter().map(|one| (one.raw.rule.as_str(), one.raw.location.path.to_string())).collect();
        let expected = [(rule, "other/a.py"), ("core/focused-test", "a.py"), ("ruff/F631", "a.py")];
        assert_eq!(left, expected.map(|(rule, path)| (rule, path.to_owned())));
    }
}
