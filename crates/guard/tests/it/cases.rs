//! The cases of `data/oracle.toml`. Each case has a source with a defect, a test for the source, and four
//! fixes.

use serde::Deserialize;

const ORACLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../guard/tests/data/oracle.toml"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Oracle {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) defect: String,
    pub(crate) source: String,
    pub(crate) test: String,
    bug: Bug,
    wrong: Edit,
    mutant: Edit,
    cheat: TestChange,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    good: String,
    bad: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    old: String,
    new: String,
}

/// The change that a cheating fix makes to the test, in addition to the change of the source.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum TestChange {
    Edit(Edit),
    Delete { deletes: bool },
}

/// Replaces the only occurrence of `old`.
fn replace_once(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} stands once in\n{text}");
    text.replace(old, new)
}

/// Reads all cases of the file.
pub(crate) fn read_cases() -> Vec<Case> {
    toml::from_str::<Oracle>(ORACLE).unwrap().case
}

impl Case {
    /// Returns the source with its defect.
    pub(crate) fn buggy_source(&self) -> String {
        replace_once(&self.source, &self.bug.good, &self.bug.bad)
    }

    /// Returns the source with the defect and with a change in another line, which does not remove the
    /// defect.
    pub(crate) fn misplaced_fix(&self) -> String {
        replace_once(&self.buggy_source(), &self.wrong.old, &self.wrong.new)
    }

    /// Returns the source with a change that looks like a fix, but does not remove the defect.
    pub(crate) fn mutant_fix(&self) -> String {
        replace_once(&self.buggy_source(), &self.mutant.old, &self.mutant.new)
    }

    /// Returns the weakened test, which passes with the mutant. Returns `None` if the cheating fix deletes
    /// the test.
    pub(crate) fn weakened_test(&self) -> Option<String> {
        match &self.cheat {
            TestChange::Edit(edit) => Some(replace_once(&self.test, &edit.old, &edit.new)),
            TestChange::Delete { deletes } => {
                assert!(deletes, "{}", self.name);
                None
            }
        }
    }
}
