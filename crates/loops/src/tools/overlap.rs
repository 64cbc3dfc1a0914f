//! Findings that say the same: those of two linters are told once, and those of a rule that a linter knows better are left to it.
//!
//! Two linters say the same of a line if the rule has one name in both, or the table of tools says which name it has in others.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::finding::{Place, RawFinding, Source};
use truing_core::identity::Placed;
use truing_core::outcome::ToolRun;
use truing_diff::RepoPath;
use truing_reader::output::known::{self, KnownTool, sign};
use truing_reader::output::{NO_RULE, tool_name};

/// All that linters have told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    whole: BTreeSet<(Place, String, String)>,
    /// The linter that was the first to say something of a line.
    by: BTreeMap<(RepoPath, u32, String), String>,
}

impl Told {
    /// Is it said for the first time: by this linter, and by any?
    pub(crate) fn is_new(&mut self, raw: &RawFinding) -> bool {
        // The same linter may have been run, and its output given.
        let is_first = self.whole.insert((raw.place.clone(), raw.rule.clone(), raw.title.clone()));
        let Some((tool, rule)) = raw.rule.split_once('/').filter(|(_, rule)| *rule != NO_RULE) else {
            return is_first;
        };
        let meaning = find(tool).map_or_else(|| rule.to_owned(), |known| known.meaning(rule));
        let of_line = (raw.place.path.clone(), raw.place.start_line, meaning);
        let first = self.by.entry(of_line).or_insert_with(|| tool.to_owned());
        // One linter may say the same of a line twice, of two names in it.
        is_first && first == tool
    }
}

/// Takes the findings of rules that linters know better, of the files that these have looked at. The answer: all rules that are left to
/// them.
pub(crate) fn take_replaced(found: &mut Vec<Placed>, runs: &[ToolRun]) -> BTreeSet<String> {
    let looked = runs.iter().filter(|run| run.failed.is_none() && run.skipped.is_none());
    let looked: Vec<&KnownTool> = looked.filter_map(|run| find(&run.name)).collect();
    found.retain(|placed| {
        let RawFinding { rule, place, source, .. } = &placed.raw;
        let knows_better = |known: &&KnownTool| known.replaces.contains(rule) && looks_at(known, &place.path);
        *source != Source::Rule || !looked.iter().any(knows_better)
    });
    looked.into_iter().flat_map(|known| known.replaces.iter().cloned()).collect()
}

/// The known tool of a name that findings have.
fn find(name: &str) -> Option<&'static KnownTool> {
    known::all().iter().find(|known| tool_name(&known.name) == name)
}

fn looks_at(known: &KnownTool, path: &RepoPath) -> bool {
    let Some(path) = path.as_str() else { return false };
    known.paths.iter().filter_map(|glob| sign::compiled(glob)).any(|glob| glob.is_match(path))
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{AnchorKind, Category, Severity, Side};
    use truing_core::identity::Sighting;

    use super::*;

    fn raw(rule: &str, path: &str, line: u32, title: &str) -> RawFinding {
        RawFinding {
            place: Place { path: path.into(), side: Side::New, start_line: line, end_line: line },
            severity: Severity::P2,
            category: Category::J,
            rule: rule.into(),
            title: title.into(),
            body: String::new(),
            snippet: String::new(),
            suggestion: None,
            source: if rule.starts_with("core/") { Source::Rule } else { Source::Tool },
        }
    }

    #[test]
    fn what_two_linters_say_of_a_line_is_told_once_and_what_one_says_twice_is_told_twice() {
        let mut told = Told::default();
        let mut is_new = |rule: &str, line: u32, title: &str| told.is_new(&raw(rule, "a.py", line, title));
        assert!(is_new("flake8/F401", 1, "'os' imported but unused"));
        assert!(is_new("flake8/F401", 1, "'sys' imported but unused"));
        assert!(!is_new("flake8/F401", 1, "'sys' imported but unused"), "the same output again");
        assert!(!is_new("ruff/F401", 1, "`os` imported but unused"));
        assert!(!is_new("pylint/W0611", 1, "Unused import os"));
        assert!(is_new("ruff/F401", 2, "another line"));
        assert!(is_new("ruff/E741", 1, "another rule"));
        assert!(is_new("one/diagnostic", 1, "a linter without names of rules"));
        assert!(is_new("other/diagnostic", 1, "another one"));
    }

    #[test]
    fn a_rule_that_a_linter_knows_better_is_off_where_that_has_looked() {
        let placed = |rule: &str, path: &str| {
            let raw = raw(rule, path, 1, "t");
            let at = raw.place.clone();
            Placed { raw, anchor: AnchorKind::Inline, at, old_path: None, sighting: Sighting::default() }
        };
        let all = || {
            let rule = "core/python-assert-tuple";
            vec![
                placed(rule, "a.py"),
                placed(rule, "a.txt"),
                placed("core/focused-test", "a.py"),
                placed("ruff/F631", "a.py"),
            ]
        };
        let ran = ToolRun { name: "ruff".into(), ..ToolRun::default() };
        let failed = ToolRun { failed: Some("why".into()), ..ran.clone() };
        let skipped = ToolRun { skipped: Some("why".into()), ..ran.clone() };
        for runs in [vec![], vec![failed], vec![skipped]] {
            let mut found = all();
            assert!(take_replaced(&mut found, &runs).is_empty());
            assert_eq!(found.len(), 4, "{runs:?}");
        }
        let mut found = all();
        assert!(take_replaced(&mut found, &[ran]).contains("core/python-assert-tuple"));
        let left: Vec<_> =
            found.iter().map(|one| (one.raw.rule.as_str(), one.raw.place.path.to_string())).collect();
        let expected =
            [("core/python-assert-tuple", "a.txt"), ("core/focused-test", "a.py"), ("ruff/F631", "a.py")];
        assert_eq!(left, expected.map(|(rule, path)| (rule, path.to_owned())));
    }
}
