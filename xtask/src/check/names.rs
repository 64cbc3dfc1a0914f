//! Counts names and sentences that confuse new readers. The counts may fall but must never rise.
//!
//! `names.toml` records the count of each kind of fault. A count above the recorded count is a problem. A
//! count below it is only a warning, because two branches that both lower a count would conflict in
//! `names.toml`. The warning contains the count to record.

mod changes;
mod faults;
mod prose;
mod tuple_parameters;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use self::changes::ChangedLines;
use self::faults::{FaultPlace, NamingFault, NamingFaults};
use super::report::CheckReport;
use crate::workspace;

/// Path of the file that records the counts, relative to the root.
const RECORD_PATH: &str = "xtask/src/check/names.toml";

/// Maximum number of faults that one problem message lists.
const MAX_LISTED_FAULTS: usize = 20;

/// Checks every tracked Rust file outside of tests, and every page of documentation.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let mut files = workspace::tracked_files(root)?;
    files.retain(|file| faults::is_checked_source(&file.path) || faults::is_documentation_page(&file.path));
    let text = std::fs::read_to_string(root.join(RECORD_PATH))
        .with_context(|| format!("cannot read {RECORD_PATH}"))?;
    let record = toml::from_str(&text).with_context(|| format!("cannot understand {RECORD_PATH}"))?;
    let faults = NamingFaults::from_files(&files);
    let (problems, warnings) = compare_record(&faults, &record, &changes::read_changes(root));
    Ok(CheckReport::Completed { summary: format!("{} files", files.len()), problems, warnings })
}

/// Compares the counts of these faults with the recorded counts. Returns the problems and the warnings.
fn compare_record(
    faults: &NamingFaults,
    record: &BTreeMap<String, usize>,
    changes: &[ChangedLines],
) -> (Vec<String>, Vec<String>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for fault in NamingFault::ALL {
        let (key, number) = (fault.record_key(), faults.recorded_number(fault));
        match record.get(key) {
            None => problems.push(format!("{RECORD_PATH} has no {key}: write `{key} = {number}`")),
            Some(&recorded) if number > recorded => problems.push(format!(
                "{key}: {number}, and {RECORD_PATH} records {recorded}: {}; {}",
                fault.remedy_text(),
                list_places(&faults.fault_places(fault), changes)
            )),
            Some(&recorded) if number < recorded => {
                warnings.push(format!(
                    "{RECORD_PATH} can be lowered: `{key} = {number}`, in place of {recorded}"
                ));
            }
            Some(_) => {}
        }
    }
    let is_known = |key: &str| NamingFault::ALL.iter().any(|fault| fault.record_key() == key);
    let unknown = record.keys().filter(|key| !is_known(key));
    problems
        .extend(unknown.map(|key| format!("{RECORD_PATH}: {key} is no fault that is counted: remove it")));
    (problems, warnings)
}

/// Lists the faults on the lines that a comparison in `changes` reports as changed, because a new fault is
/// probably on one of these lines. Uses the first comparison whose lines have a fault. If no changed line has
/// a fault, lists the first `MAX_LISTED_FAULTS` faults.
fn list_places(places: &[&FaultPlace], changes: &[ChangedLines]) -> String {
    let on_lines = |lines: &ChangedLines| -> Vec<&FaultPlace> {
        places.iter().filter(|place| lines.contains_line(&place.path, place.line)).copied().collect()
    };
    let changed = changes.iter().map(on_lines).find(|changed| !changed.is_empty());
    let (title, listed) = match &changed {
        Some(changed) => ("on changed lines", changed.as_slice()),
        None => ("no changed line has one, so of all", places),
    };
    let mut list = format!("{title}:");
    for place in listed.iter().take(MAX_LISTED_FAULTS) {
        list.push_str(&format!("\n  {place}"));
    }
    if listed.len() > MAX_LISTED_FAULTS {
        list.push_str(&format!("\n  … and {} more", listed.len() - MAX_LISTED_FAULTS));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::TrackedFile;

    /// Returns the faults of a source with three one-word type names on the first three lines, and a two-word
    /// type name.
    fn some_faults() -> NamingFaults {
        let text = "struct Tree;\nstruct Plan;\nstruct Step;\nstruct PlanStep;\n";
        NamingFaults::from_files(&[TrackedFile { path: "a.rs".into(), text: text.into() }])
    }

    fn record_of(one_word_types: usize) -> BTreeMap<String, usize> {
        let mut record: BTreeMap<_, _> =
            NamingFault::ALL.iter().map(|fault| (fault.record_key().to_owned(), 0)).collect();
        record.insert("one-word-types".into(), one_word_types);
        record
    }

    #[test]
    fn more_than_recorded_is_a_problem_and_less_a_warning() {
        let compare = |recorded| compare_record(&some_faults(), &record_of(recorded), &[]);
        assert_eq!(compare(3), (vec![], vec![]));
        let (problems, warnings) = compare(2);
        assert_eq!((problems.len(), warnings.len()), (1, 0));
        assert!(problems[0].starts_with("one-word-types: 3, and xtask/src/check/names.toml records 2: "));
        assert!(
            problems[0].ends_with("of all:\n  a.rs:1 Tree\n  a.rs:2 Plan\n  a.rs:3 Step"),
            "{problems:?}"
        );
        let (problems, warnings) = compare(4);
        assert_eq!((problems.len(), warnings.len()), (0, 1));
        assert!(warnings[0].contains("`one-word-types = 3`"), "{warnings:?}");
    }

    #[test]
    fn the_places_on_changed_lines_are_listed_alone() {
        let lines = |range: &str| ChangedLines::from_diff(&format!("+++ a.rs\n@@ -0,0 +{range} @@\n"));
        let changes = [lines("4,9"), lines("3"), lines("1,9")];
        let (problems, _) = compare_record(&some_faults(), &record_of(2), &changes);
        assert!(problems[0].ends_with("on changed lines:\n  a.rs:3 Step"), "{problems:?}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let text: String = (0..MAX_LISTED_FAULTS + 2).map(|number| format!("struct T{number};\n")).collect();
        let faults = NamingFaults::from_files(&[TrackedFile { path: "a.rs".into(), text }]);
        let (problems, _) = compare_record(&faults, &record_of(0), &[]);
        assert!(problems[0].ends_with("\n  a.rs:20 T19\n  … and 2 more"), "{problems:?}");
    }

    #[test]
    fn the_record_has_each_fault_and_no_other() {
        let mut record = record_of(3);
        record.remove("short-blocks");
        record.insert("long-blocks".into(), 1);
        let (problems, _) = compare_record(&some_faults(), &record, &[]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].ends_with("write `short-blocks = 0`"));
        assert!(problems[1].contains("long-blocks"));
    }
}
