//! Checks that a fix neither deletes nor weakens tests. If the fix deletes or weakens tests, the fixer
//! receives a report. The crate performs no I/O.
//!
//! The author of a fix must not choose the expectations that the fix has to meet. These rules therefore apply
//! to a test that existed before the fix:
//!
//! * Every assertion must remain, but may move within the test. A changed assertion counts as removed,
//!   because its text does not show if the old expectation was wrong or merely inconvenient.
//! * Every string and every number must remain, even if the code around it changes. Strings and numbers are
//!   the inputs and expected results in tables of cases.
//! * All other code may change, and anything may be added.
//!
//! A test may be renamed or moved to another file, and new tests are unrestricted. If a fix requires any
//! other change of an existing test, people decide: the fixer leaves the code unchanged and reports the
//! reason. A fix must not add code that skips tests, exits tests early, silences a checker, or reduces the
//! set of tests that run.
//!
//! The same protection applies to other files that a test runner loads (`runner_files`) and to the runner's
//! settings (`settings`). A fix must not add such a file or change such a setting, unless a finding concerns
//! that file. Code must not detect that a test is running it.
//!
//! The crate compares texts and does not analyse their meaning. An author who wants to cheat can evade these
//! rules. The fix still has to pass the checks with the original tests (ADR 45, ADR 51) and the next audit.

mod assertions;
mod bindings;
mod code_equivalence;
mod count;
mod file;
mod hardcoded_results;
mod imports;
mod ineffective_tests;
mod language;
mod name_bindings;
mod naming;
mod patterns;
mod product;
mod rename;
mod runner;
mod runner_files;
mod scan;
mod settings;
mod test_bindings;
#[cfg(test)]
mod tests;
mod tokens;
mod unit;
mod used_names;
mod version;
mod weakening;

use std::collections::{BTreeMap, BTreeSet};

use truing_diff::RepoPath;

use assertions::AddedAssertions;
pub use code_equivalence::{contains_code, is_equivalent};
use count::{count_items, missing_items, take_item};
use file::{FileVersionPair, added_lines};
pub use hardcoded_results::{RepositoryFiles, TestSearch, find_hard_coded_answers, texts_to_search};
use language::LANGUAGES;
use runner::{PackageLists, TEST_CONTROL_FILES};
use settings::{TestSettings, concerns_setting, parse_settings};
use unit::{TestUnit, assertions, repeated_names};
use version::{AnalyzedVersion, ScannedFile, language_of};
pub use version::{FileChange, FileVersion, can_affect_tests, is_test_file};
pub use weakening::{FindingSubject, Weakening, WeakeningKind};

/// Maximum number of weakenings that are reported.
pub const MAX_WEAKENINGS: usize = 20;

/// Returns the tests and checks that these changes delete or weaken; at most [`MAX_WEAKENINGS`].
/// `finding_subjects` are the subjects of the findings to fix. The fixer may change the code that these
/// subjects name, even if this code is otherwise protected.
pub fn find_weakenings(
    changes: &[FileChange<'_>],
    finding_subjects: &BTreeSet<FindingSubject>,
) -> Vec<Weakening> {
    let (large, rewrites): (Vec<&FileChange>, Vec<&FileChange>) =
        changes.iter().partition(|it| it.is_large());
    let mut files: Vec<FileVersionPair> = rewrites.into_iter().filter_map(FileVersionPair::new).collect();
    rename::apply_rename_to_tests(&mut files);
    let mut found: Vec<Weakening> = large.into_iter().filter_map(judge_large_file).collect();
    compare_kept_tests(&files, &mut found);
    compare_kept_assertions(&files, &mut found);
    find_added_forbidden_words(&files, &mut found);
    bindings::find_rebound_names(&files, &mut found);
    ineffective_tests::find_undiscovered_moves(&files, &mut found);
    ineffective_tests::find_undeclared_modules(&files, &mut found);
    product::find_new_behaviour(&files, finding_subjects, &mut found);
    for file in &files {
        let subjects: Vec<&FindingSubject> =
            finding_subjects.iter().filter(|subject| subject.path == *file.path).collect();
        file.compare_runner_lines(&subjects, &mut found);
        ineffective_tests::find_weakened_equality(file, &mut found);
        ineffective_tests::find_test_file_references(file, &mut found);
        if subjects.is_empty() {
            file.check_newly_loaded(&mut found);
        }
        file.compare_settings(&subjects, &mut found);
    }
    // Refused changes come before changes that are only reported, so the limit drops reported changes first.
    found.sort_by(|one, other| (one.is_report_only, one).cmp(&(other.is_report_only, other)));
    found.dedup();
    found.truncate(MAX_WEAKENINGS);
    found
}

/// Judges a file that is too large to examine. If the file is code or can affect tests, the change is
/// refused; otherwise, it is only reported.
fn judge_large_file(change: &FileChange<'_>) -> Option<Weakening> {
    let path = change.before.or(change.after)?.path;
    let name = String::from_utf8_lossy(path.as_bytes());
    let guards = can_affect_tests(path) || language_of(name.rsplit('/').next().unwrap_or_default()).is_some();
    Some(Weakening {
        path: path.clone(),
        kind: WeakeningKind::TooLarge,
        quoted_text: String::new(),
        is_report_only: !guards,
    })
}

impl FileVersionPair<'_> {
    /// Adds a weakening if the test runner loads this file after the fix but not before the fix.
    fn check_newly_loaded(&self, weakenings: &mut Vec<Weakening>) {
        let is_loaded =
            |half: &Option<AnalyzedVersion>| half.as_ref().is_some_and(|half| half.is_loaded_by_runner);
        if is_loaded(&self.after) && !is_loaded(&self.before) {
            weakenings.push(self.new_weakening(WeakeningKind::LoadedFile, ""));
        }
    }

    /// Compares this file's test settings, except those that a finding concerns.
    fn compare_settings(&self, subjects: &[&FindingSubject], weakenings: &mut Vec<Weakening>) {
        let name = file_name(self.path);
        let of = |half: &Option<AnalyzedVersion>| half.as_ref().map(|half| parse_settings(&name, &half.text));
        // A file that cannot be parsed has no settings. A fix that makes a file invalid therefore counts as a
        // fix that removes the settings.
        let before = of(&self.before).flatten();
        let after = match of(&self.after) {
            Some(None) if before.is_some() => TestSettings::new(),
            Some(None) => return,
            Some(Some(after)) => after,
            None => TestSettings::new(),
        };
        let before = before.unwrap_or_default();
        let changed = before
            .iter()
            .filter(|(name, setting)| after.get(*name).is_none_or(|now| now.value != setting.value))
            .map(|(name, _)| name);
        let brought = after
            .iter()
            .filter(|(name, setting)| !setting.is_addition_allowed && !before.contains_key(*name))
            .map(|(name, _)| name);
        let text = self.before.as_ref().map_or("", |before| before.text.as_str());
        let changes =
            changed.chain(brought).filter(|setting| !concerns_setting(&name, text, setting, subjects));
        weakenings.extend(changes.map(|name| self.new_weakening(WeakeningKind::ChangedRunnerSetting, name)));
    }

    /// Compares the lines of this file that determine which tests and checks run.
    fn compare_runner_lines(&self, subjects: &[&FindingSubject], weakenings: &mut Vec<Weakening>) {
        let name = file_name(self.path);
        let Some(runner) = TEST_CONTROL_FILES
            .iter()
            .find(|runner| runner.name_prefixes.iter().any(|known| name.starts_with(known)))
        else {
            return;
        };
        let lines = |half: &Option<AnalyzedVersion>| -> Vec<String> {
            let text = half.as_ref().map(|half| half.text.as_str()).unwrap_or_default();
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let (before, after) = (lines(&self.before), lines(&self.after));
        let has = |line: &str, words: &[&str]| words.iter().any(|words| line.contains(words));
        let now = PackageLists::new(&after);
        let lost = missing_items(&before, &after).into_iter().filter(|line| {
            !line.starts_with(['#', ';'])
                && !line.starts_with("//")
                && (runner.required_words.is_empty() || has(line, runner.required_words))
                && !now.has_changed_version(line)
        });
        // If a finding names a line, the fix is expected to change this line, so its removal is only
        // reported.
        let text = self.before.as_ref().map_or("", |before| before.text.as_str());
        let is_named = |line: &str| subjects.iter().any(|subject| subject.has_line(text, line));
        weakenings.extend(lost.map(|line| Weakening {
            is_report_only: is_named(line),
            ..self.new_weakening(WeakeningKind::NarrowedRun, line)
        }));
        let brought =
            missing_items(&after, &before).into_iter().filter(|line| has(line, runner.forbidden_words));
        weakenings.extend(brought.map(|line| self.new_weakening(WeakeningKind::NarrowedRun, line)));
    }
}

fn file_name(path: &RepoPath) -> String {
    String::from_utf8_lossy(path.as_bytes()).rsplit('/').next().unwrap_or_default().to_owned()
}

/// A test, the index of its file, and its content.
struct FoundTest<'f> {
    file_index: usize,
    scanned_file: &'f ScannedFile,
    unit: &'f TestUnit,
    content: String,
    is_paired: bool,
}

fn collect_tests<'f>(
    files: &'f [FileVersionPair<'_>],
    select_version: impl Fn(&'f FileVersionPair<'_>) -> Option<&'f AnalyzedVersion>,
) -> Vec<FoundTest<'f>> {
    let mut found = Vec::new();
    for (file, half) in files.iter().map(select_version).enumerate() {
        for (scanned_file, unit) in half.into_iter().flat_map(AnalyzedVersion::test_units) {
            found.push(FoundTest {
                file_index: file,
                scanned_file,
                unit,
                content: unit.content(&scanned_file.scanned_text),
                is_paired: false,
            });
        }
    }
    found
}

/// Key for matching tests: file, name and content. A part of the key is `None` if it is ignored in the
/// comparison.
type TestKey = (Option<usize>, Option<String>, Option<String>);

/// Pairs every old test with a new test, first by content and then by name, and compares the two tests of
/// each pair.
fn compare_kept_tests(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    let before = collect_tests(files, |file| file.before.as_ref());
    let mut after = collect_tests(files, |file| file.after.as_ref());
    let mut pairs: Vec<Option<usize>> = vec![None; before.len()];
    let by = |key: &dyn Fn(&FoundTest<'_>) -> TestKey,
              after: &mut Vec<FoundTest<'_>>,
              pairs: &mut Vec<Option<usize>>| {
        let mut free: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, test) in after.iter().enumerate().rev().filter(|(_, test)| !test.is_paired) {
            free.entry(key(test)).or_default().push(index);
        }
        for (test, pair) in before.iter().zip(pairs.iter_mut()).filter(|(_, pair)| pair.is_none()) {
            *pair = free.get_mut(&key(test)).and_then(Vec::pop);
            if let Some(taken) = pair.and_then(|index| after.get_mut(index)) {
                taken.is_paired = true;
            }
        }
    };
    let (name, content) = (
        |test: &FoundTest<'_>| Some(test.unit.name.clone()),
        |test: &FoundTest<'_>| Some(test.content.clone()),
    );
    by(&|test| (Some(test.file_index), name(test), content(test)), &mut after, &mut pairs);
    by(&|test| (None, None, content(test)), &mut after, &mut pairs);
    by(&|test| (Some(test.file_index), name(test), None), &mut after, &mut pairs);
    by(&|test| (None, name(test), None), &mut after, &mut pairs);
    let mut lost: BTreeSet<usize> = BTreeSet::new();
    for (test, pair) in before.iter().zip(&pairs) {
        let Some(file) = files.get(test.file_index) else { continue };
        match pair.and_then(|index| after.get(index)) {
            Some(now) if now.content == test.content => {}
            Some(now) => weakenings.extend(compare_tests(file, test, now)),
            None if file.after.is_none() => {
                lost.insert(test.file_index);
            }
            None => weakenings.push(file.new_weakening(WeakeningKind::DeletedTest, &test.unit.name)),
        }
    }
    for (index, file) in files.iter().enumerate() {
        let Some(before) = file.before.as_ref().filter(|before| before.is_test) else { continue };
        let is_gone = !file.after.as_ref().is_some_and(|after| after.is_test);
        if is_gone && (lost.contains(&index) || before.test_units().next().is_none()) {
            weakenings.push(file.new_weakening(WeakeningKind::DeletedTestFile, ""));
        }
        let Some(now) = file
            .after
            .as_ref()
            .and_then(|after| after.scanned_file.as_ref())
            .filter(|now| now.language.has_shadowing)
        else {
            continue;
        };
        let known: BTreeSet<&str> = before.test_units().map(|(_, unit)| unit.name.as_str()).collect();
        let were = before.scanned_file.as_ref().map(|read| repeated_names(&read.units)).unwrap_or_default();
        let shadowed = repeated_names(&now.units)
            .into_iter()
            .filter(|name| !were.contains(name) && known.contains(name));
        weakenings.extend(shadowed.map(|name| file.new_weakening(WeakeningKind::ShadowedTest, name)));
    }
}

/// Returns the first weakening of a test that exists both before and after the fix; `None` if the test is not
/// weakened.
fn compare_tests(
    file: &FileVersionPair<'_>,
    old_test: &FoundTest<'_>,
    new_test: &FoundTest<'_>,
) -> Option<Weakening> {
    let name = &old_test.unit.name;
    let (scanned, language) = (&old_test.scanned_file.scanned_text, old_test.scanned_file.language);
    let claims = old_test.unit.assertions(scanned, language);
    let still = new_test.unit.assertions(&new_test.scanned_file.scanned_text, new_test.scanned_file.language);
    let come = missing_items(&still, &claims);
    let added = AddedAssertions::new(come.iter().map(|claim| claim.as_str()));
    let mut gone = missing_items(&claims, &still);
    // If several equal assertions are missing in a row, only one of them is compared with the added
    // assertions.
    gone.dedup();
    if let Some(gone) = gone.into_iter().find(|gone| !added.asserts_at_least(gone)) {
        let is_hollow = come.iter().any(|one| language.always_true_assertions.contains(&one.as_str()));
        let kind =
            if is_hollow { WeakeningKind::AlwaysTrueAssertion } else { WeakeningKind::ChangedAssertion };
        return Some(file.new_weakening(kind, &format!("{name}: {gone}")));
    }
    let (values, left) =
        (old_test.unit.literals(scanned), new_test.unit.literals(&new_test.scanned_file.scanned_text));
    if let Some(gone) = missing_items(&values, &left).first() {
        return Some(file.new_weakening(WeakeningKind::RemovedTestValue, &format!("{name}: {gone}")));
    }
    let is_emptied = new_test.unit.count_names(&new_test.scanned_file.scanned_text).saturating_mul(2)
        < old_test.unit.count_names(scanned);
    is_emptied.then(|| file.new_weakening(WeakeningKind::EmptiedTest, name))
}

/// Compares the assertions of test files that are outside tests, for example in helpers. Such an assertion
/// may move but must not disappear.
fn compare_kept_assertions(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    let loose = |half: Option<&AnalyzedVersion>| -> Vec<String> {
        let Some((half, read)) = half.and_then(|half| half.scanned_file.as_ref().map(|read| (half, read)))
        else {
            return Vec::new();
        };
        if !half.is_test {
            return Vec::new();
        }
        let all = half.ranges_outside_tests().into_iter();
        let claims = all.flat_map(|range| assertions(&read.scanned_text, read.language, range));
        // Imports are skipped here, because `bindings` compares their targets.
        claims.filter(|claim| !claim.starts_with("import{")).collect()
    };
    let after: Vec<String> = files.iter().flat_map(|file| loose(file.after.as_ref())).collect();
    let mut left = count_items(&after);
    for file in files.iter().filter(|file| file.after.is_some()) {
        let before = loose(file.before.as_ref());
        weakenings.extend(
            before
                .iter()
                .filter(|claim| !take_item(&mut left, claim))
                .map(|claim| file.new_weakening(WeakeningKind::ChangedAssertion, claim)),
        );
    }
}

/// Finds forbidden words that a fix adds more often than it removes.
fn find_added_forbidden_words(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    for language in LANGUAGES {
        let is_of = |half: &&AnalyzedVersion| {
            half.scanned_file.as_ref().is_some_and(|read| std::ptr::eq(read.language, language))
        };
        let existing: BTreeSet<&str> = files
            .iter()
            .filter_map(|file| file.before.as_ref())
            .filter(is_of)
            .flat_map(|half| half.test_units().map(|(_, unit)| unit.name.as_str()))
            .collect();
        for mark in language.forbidden_words {
            let lines = |half: &Option<AnalyzedVersion>| -> Vec<String> {
                half.as_ref()
                    .filter(is_of)
                    .map(|half| half.forbidden_word_lines(mark, &existing))
                    .unwrap_or_default()
            };
            let sides: Vec<_> =
                files.iter().map(|file| (file, lines(&file.before), lines(&file.after))).collect();
            weakenings.extend(added_lines(&sides).iter().map(|(file, line)| {
                // A line that skips only new tests does not weaken an existing test, so the line is only
                // reported. The line is refused if it also occurs elsewhere in the file.
                let is_report_only = mark.kind == WeakeningKind::SkippedTest
                    && file.after.as_ref().is_some_and(|after| after.is_in_new_test(line, &existing));
                Weakening { is_report_only, ..file.new_weakening(mark.kind, line) }
            }));
        }
    }
}
