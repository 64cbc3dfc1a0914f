//! Removes duplicate findings. If two linters report the same defect, only one finding is reported. If a
//! linter reports the same defect as one of Truing's own rules, only the linter's finding is reported. It
//! keeps the higher severity of the two, and the suggestion of the dropped finding. Where the linter reports
//! nothing, the finding of Truing's rule stays: the linter may not check for the defect, or may not have read
//! the file.
//!
//! Findings of two linters on one line report the same defect if the names of their rules are equal, or if
//! the table of tools equates the names.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::finding::{CodeLocation, DefectCategory, FindingSource, RawFinding};
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
        // that the caller supplies. One output may also contain equal findings whose fixes differ.
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

/// Removes each finding of a suggested linter whose defect one of Truing's own rules also reports. The
/// repository has not chosen the linter, so its finding does not replace another one.
pub(crate) fn remove_repeated_suggestions(
    findings: &mut Vec<PlacedFinding>,
    suggested_linters: &BTreeSet<String>,
) {
    let (suggestions, others): (Vec<PlacedFinding>, Vec<PlacedFinding>) = std::mem::take(findings)
        .into_iter()
        .partition(|placed| placed.raw.tool().is_some_and(|tool| suggested_linters.contains(tool)));
    let is_repeated = |suggestion: &PlacedFinding| {
        others.iter().any(|placed| reports_same_defect(&suggestion.raw, &placed.raw))
    };
    let new: Vec<PlacedFinding> = suggestions.into_iter().filter(|placed| !is_repeated(placed)).collect();
    findings.extend(others.into_iter().chain(new));
}

/// Removes each finding of one of Truing's own rules whose defect a linter also reports. The linter's finding
/// gets the higher severity of the two, unless `has_configured_severity` is true for it, and the suggestion
/// if it has none. Returns the rule and the path of each removed finding. If the file was renamed, the rule
/// is also returned with the old path.
pub(crate) fn remove_replaced_findings(
    findings: &mut Vec<PlacedFinding>,
    has_configured_severity: impl Fn(&RawFinding) -> bool,
) -> BTreeSet<(String, RepoPath)> {
    let (mut linter_findings, own_findings): (Vec<PlacedFinding>, Vec<PlacedFinding>) =
        std::mem::take(findings).into_iter().partition(|placed| placed.raw.source == FindingSource::Tool);
    let mut removed = BTreeSet::new();
    for placed in own_findings {
        let mut is_replaced = false;
        for raw in linter_findings.iter_mut().map(|placed| &mut placed.raw) {
            if !reports_same_defect(raw, &placed.raw) {
                continue;
            }
            if !has_configured_severity(raw) {
                raw.severity = raw.severity.min(placed.raw.severity);
            }
            // A suggestion replaces the lines of its finding, so it is valid only for the same lines.
            if raw.suggestion.is_none() && raw.location == placed.raw.location {
                raw.suggestion.clone_from(&placed.raw.suggestion);
            }
            if !is_replaced {
                let space = if raw.body.is_empty() { "" } else { "\n\n" };
                raw.body += &format!("{space}Also found by `{}`.", placed.raw.rule);
            }
            is_replaced = true;
        }
        if is_replaced {
            let names = std::iter::once(&placed.raw.location.path).chain(&placed.old_path);
            removed.extend(names.map(|path| (placed.raw.rule.clone(), path.clone())));
        } else {
            findings.push(placed);
        }
    }
    findings.append(&mut linter_findings);
    removed
}

/// Returns true if a linter's finding reports the same defect as a finding of one of Truing's own rules: the
/// table of tools equates the rules, or both report a secret on a line.
pub(crate) fn reports_same_defect(linter_finding: &RawFinding, own_finding: &RawFinding) -> bool {
    let (place, own_place) = (&linter_finding.location, &own_finding.location);
    let overlaps = (&place.path, place.side) == (&own_place.path, own_place.side)
        && place.start_line <= own_place.end_line
        && own_place.start_line <= place.end_line;
    overlaps
        && (linter_finding.source, own_finding.source) == (FindingSource::Tool, FindingSource::Rule)
        && linter_finding.rule.split_once('/').is_some_and(|(tool, rule)| {
            let is_secret =
                own_finding.category == DefectCategory::H && own_finding.rule.starts_with("core/");
            let equated = |known: &KnownTool| {
                known.replaces.get(&own_finding.rule).is_some_and(|name| *name == known.canonical_rule(rule))
            };
            is_secret && known::is_secret_scanner(tool) || find_known_tool(tool).is_some_and(equated)
        })
}

/// Returns the known tool with this name in findings.
pub(crate) fn find_known_tool(name: &str) -> Option<&'static KnownTool> {
    known::known_tools().iter().find(|known| tool_name(&known.name) == name)
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{AnchorKind, DefectCategory, DiffSide, Severity, SuggestedFix};
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
            specialists: Vec::new(),
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

    fn placed_finding(raw: RawFinding) -> PlacedFinding {
        PlacedFinding {
            comment_location: raw.location.clone(),
            raw,
            anchor: AnchorKind::Inline,
            old_path: None,
            sighting: FindingFacts::default(),
        }
    }

    #[test]
    fn a_finding_gives_way_only_to_a_linter_s_finding_of_the_same_defect_on_its_line() {
        let placed = |rule: &str, path: &str| placed_finding(raw_finding(rule, path, 1, "t"));
        let rule = "core/python-assert-tuple";
        let mut found = vec![
            PlacedFinding { old_path: Some("before.py".into()), ..placed(rule, "a.py") },
            placed(rule, "other/a.py"),
            placed("core/focused-test", "a.py"),
            placed("ruff/F631", "a.py"),
        ];
        let removed = remove_replaced_findings(&mut found, |_| false);
        assert_eq!(removed, [(rule.to_owned(), "a.py".into()), (rule.to_owned(), "before.py".into())].into());
        let left: Vec<_> =
            found.iter().map(|one| (one.raw.rule.as_str(), one.raw.location.path.to_string())).collect();
        let expected = [(rule, "other/a.py"), ("core/focused-test", "a.py"), ("ruff/F631", "a.py")];
        assert_eq!(left, expected.map(|(rule, path)| (rule, path.to_owned())));
        assert_eq!(found[2].raw.body, format!("Also found by `{rule}`."));
    }

    #[test]
    fn a_secret_that_a_scanner_also_finds_is_one_finding() {
        let secret = |rule: &str, line: u32| {
            let raw = raw_finding(rule, "a.py", line, "t");
            placed_finding(RawFinding { category: DefectCategory::H, ..raw })
        };
        for scanner in ["gitleaks/aws-access-token", "detect-secrets/AWS-Access-Key", "trufflehog/AWS"] {
            let mut found = vec![secret("core/aws-access-key-id", 1), secret(scanner, 1)];
            remove_replaced_findings(&mut found, |_| false);
            assert_eq!(found.iter().map(|one| one.raw.rule.as_str()).collect::<Vec<_>>(), [scanner]);
        }
        let mut found = vec![secret("core/aws-access-key-id", 1), secret("gitleaks/aws-access-token", 2)];
        assert!(remove_replaced_findings(&mut found, |_| false).is_empty());
    }

    #[test]
    fn a_suggestion_does_not_replace_the_finding_of_a_rule() {
        let placed = |rule: &str| placed_finding(raw_finding(rule, "a.py", 1, "t"));
        let mut found = vec![
            placed("core/python-assert-tuple"),
            placed("ruff/F631"),
            placed("ruff/F821"),
            placed("mypy/a"),
        ];
        remove_repeated_suggestions(&mut found, &["ruff".to_owned()].into());
        let rules: Vec<&str> = found.iter().map(|placed| placed.raw.rule.as_str()).collect();
        assert_eq!(rules, ["core/python-assert-tuple", "mypy/a", "ruff/F821"]);
    }

    #[test]
    fn a_finding_that_replaces_another_is_no_weaker_than_that() {
        let fix = |replacement: &str| Some(SuggestedFix { replacement: replacement.to_owned() });
        let own = |line| RawFinding {
            severity: Severity::P1,
            suggestion: fix("assert x, 'no'"),
            ..raw_finding("core/python-assert-tuple", "a.py", line, "t")
        };
        let linter = |rule: &str, line| raw_finding(rule, "a.py", line, "t");
        let two_lines = |raw: RawFinding| {
            let end_line = raw.location.start_line + 1;
            RawFinding { location: CodeLocation { end_line, ..raw.location }, ..raw }
        };
        for (own, linter, expected) in [
            (own(1), linter("ruff/F631", 1), (Severity::P1, fix("assert x, 'no'"))),
            (
                own(1),
                RawFinding { severity: Severity::P0, suggestion: fix("x"), ..linter("ruff/F631", 1) },
                (Severity::P0, fix("x")),
            ),
            (own(1), linter("pylint/W0199", 1), (Severity::P1, fix("assert x, 'no'"))),
            (two_lines(own(1)), linter("ruff/F631", 1), (Severity::P1, None)),
        ] {
            let name = linter.rule.clone();
            let mut found = vec![placed_finding(own), placed_finding(linter)];
            remove_replaced_findings(&mut found, |_| false);
            let left = found.into_iter().map(|placed| (placed.raw.severity, placed.raw.suggestion));
            assert_eq!(left.collect::<Vec<_>>(), [expected], "{name}");
        }
        let mut found = vec![placed_finding(own(1)), placed_finding(linter("ruff/F631", 1))];
        remove_replaced_findings(&mut found, |raw| raw.rule == "ruff/F631");
        assert_eq!(found[0].raw.severity, Severity::P2, "a configured severity stays");
        for (rule, line) in [("ruff/F631", 2), ("ruff/E501", 1)] {
            let mut found = vec![placed_finding(own(1)), placed_finding(linter(rule, line))];
            assert!(remove_replaced_findings(&mut found, |_| false).is_empty(), "{rule} {line}");
            assert_eq!(found.len(), 2);
        }
    }
}
